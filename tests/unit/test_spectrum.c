/* SPDX-License-Identifier: MIT */
/*
 * A power spectrum made of convolutions becomes one operator, and gives what they gave; what only
 * looks like one is left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/run_graph.h"
#include "tools/neap/compress/rewrite/rewrite.h"

#include <math.h>
#include <stdlib.h>

enum twist { NONE, SWAPPED, SINES, BENT, OTHER_SIGNAL, MIXED_UP, HOPS };

struct front {
	int32_t frame, hop, samples, bins;
	bool layout; /* channels in front of time, as PyTorch has them */
	enum twist twist;
};

static uint32_t waves(struct ne_graph *g, const struct front *f, bool sine)
{
	int32_t bins = f->frame / 2 + 1;
	uint32_t t = b_const(g, SHAPE(bins, 1, f->frame, 1), 0, 1);
	float *w = g->tensor[t].data;

	for (int32_t k = 0; k < bins; k++)
		for (int32_t i = 0; i < f->frame; i++) {
			double a = 2 * M_PI * (double)((int64_t)k * i % f->frame) / f->frame;
			double window = 0.54 - 0.46 * cos(2 * M_PI * i / f->frame);

			w[k * f->frame + i] = (float)(window * (sine ? -sin(a) : cos(a)));
		}
	if (f->twist == BENT && sine)
		w[3 * f->frame + 5] += 1e-4f;
	return t;
}

static uint32_t squares(struct ne_graph *g, const struct front *f, uint32_t x, bool sine)
{
	struct ne_attr a = {.groups = 1, .window = {1, f->frame, 1, f->hop, 1, 1}};
	int32_t frames = (f->samples - f->frame) / f->hop + 1, bins = f->frame / 2 + 1;
	uint32_t y;

	if (f->twist == HOPS && sine) { /* a hop of its own, to as many frames */
		a.window.sw -= 1;
		frames = (f->samples - f->frame) / a.window.sw + 1;
	}
	y = B_NODE(g, NE_OP_CONV, &a, x, waves(g, f, f->twist == SINES || sine));
	if (f->layout) {
		y = b_transpose(g, y, (const int32_t[]){0, 2, 1});
		y = b_reshape(g, y, SHAPE(1, 1, bins, frames));
	}
	return B_NODE(g, NE_OP_MUL, NULL, y, y);
}

static struct ne_model *front_model(const struct front *f)
{
	struct ne_attr relu = {.groups = 1};
	int32_t bins = f->frame / 2 + 1, frames = (f->samples - f->frame) / f->hop + 1;
	uint32_t x, y, a, b;
	struct ne_model *m;
	struct ne_graph g;

	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, f->samples));
	y = x = b_reshape(&g, x, SHAPE(1, f->samples, 1));
	if (f->twist == OTHER_SIGNAL)
		y = B_NODE(&g, NE_OP_TANH, &relu, x);
	a = squares(&g, f, x, f->twist == SWAPPED);
	b = squares(&g, f, y, f->twist != SWAPPED);
	x = B_NODE(&g, NE_OP_ADD, NULL, a, b);
	if (f->layout && f->twist == MIXED_UP) /* a reshape instead: bins by frames, all wrong */
		x = b_reshape(&g, x, SHAPE(1, 1, frames, bins));
	else if (f->layout)
		x = b_transpose(&g, x, (const int32_t[]){0, 1, 3, 2});
	x = B_NODE(&g, NE_OP_DENSE, NULL, x, b_const(&g, SHAPE(f->bins, bins), 0, 1));
	b_exit(&g, x);
	m = model_of_graph(&g);
	ne_graph_done(&g);
	return m;
}

static uint32_t count(const struct ne_graph *g, enum ne_op op)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n_node; i++)
		n += g->node[i].op == op;
	return n;
}

/* Rewrites the model; the values stay. */
static void check(const struct front *f, bool found)
{
	struct ne_model *m = front_model(f), *after;
	struct ne_error err = {""};
	struct ne_graph g;
	float *want, *got;
	size_t n, n2;

	assert_int_equal(ne_graph_copy(&g, &m->graph), 0);
	if (rewrite_graph_with(&g, "spectrum", &err) < 0)
		fail_msg("%s", err.text);
	if ((count(&g, NE_OP_SPECTRUM) == 1) != found)
		fail_msg("frame %d, twist %d: %s", f->frame, f->twist,
			 found ? "not found" : "found what is none");
	assert_int_equal(count(&g, NE_OP_CONV), found ? 0 : 2);
	after = model_of_graph(&g);
	want = run_random(m, 7, &n);
	got = run_random(after, 7, &n2);
	assert_int_equal(n, n2);
	assert_close(want, got, n, 2e-6f);
	free(want);
	free(got);
	ne_graph_done(&g);
	ne_model_free(m);
	ne_model_free(after);
}

static void test_found(void **state)
{
	static const int32_t frames[] = {4, 8, 16, 64, 256, 512};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(frames); i++)
		for (int layout = 0; layout < 2; layout++) {
			struct front f = {.frame = frames[i], .hop = frames[i] / 4 + 1};

			f.layout = layout;
			f.samples = frames[i] + f.hop * (int32_t)(2 + 5 * i) + (int32_t)i;
			f.bins = 1 + (int32_t)i * 7;
			check(&f, true);
			f.twist = SWAPPED;
			check(&f, true);
		}
}

static void test_left_alone(void **state)
{
	static const enum twist wrong[] = {SINES, BENT, OTHER_SIGNAL, MIXED_UP};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(wrong); i++) {
		struct front f = {.frame = 32, .hop = 9, .samples = 32 + 9 * 5, .bins = 6};

		f.layout = true;
		f.twist = wrong[i];
		check(&f, false);
	}
	/* 5 frames either way: (45 / 9 = 5) and 45 / 8 = 5 */
	check(
		&(struct front){
			.frame = 32, .hop = 9, .samples = 32 + 9 * 5, .bins = 6, .twist = HOPS},
		false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
