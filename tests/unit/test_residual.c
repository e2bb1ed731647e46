/* SPDX-License-Identifier: MIT */
/*
 * Sums of residual blocks, s8: the convolution behind which they come does them where the kernels
 * can, whichever operand it is and in whatever order the two are made; the values are those of the
 * steps one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/plan/plan.h"
#include "tests/unit/random_model.h"

#include <stdlib.h>
#include <string.h>

#define HEIGHT 7
#define WIDTH  5

struct builder {
	struct ne_model *m;
	struct ne_quant quant[32];
	struct rng r;
	int32_t c;
};

static uint32_t activation(struct builder *b)
{
	struct ne_shape s = {.rank = 4, .dim = {1, HEIGHT, WIDTH, b->c}};
	uint32_t t = (uint32_t)ne_graph_add_tensor(&b->m->graph, NULL, NE_S8, &s);

	b->quant[t] = (struct ne_quant){0.03f + 0.01f * (float)rng_below(&b->r, 4),
					(int32_t)rng_below(&b->r, 100) - 50};
	return t;
}

static uint32_t node(struct builder *b, enum ne_op op, uint32_t n, const uint32_t *in, int32_t act,
		     int32_t kernel)
{
	const struct ne_attr a = {
		.act = act,
		.groups = 1,
		.window = {.kh = kernel,
			   .kw = kernel,
			   .sh = 1,
			   .sw = 1,
			   .dh = 1,
			   .dw = 1,
			   .pad_top = kernel / 2,
			   .pad_bottom = kernel / 2,
			   .pad_left = kernel / 2,
			   .pad_right = kernel / 2},
	};
	uint32_t y = activation(b);

	assert_true(ne_graph_add_node(&b->m->graph, op, NULL, n, in, 1, &y, &a) >= 0);
	return y;
}

static uint32_t conv(struct builder *b, uint32_t x, int32_t kernel, int32_t act)
{
	struct ne_shape s = {.rank = 4, .dim = {b->c, kernel, kernel, b->c}};
	size_t n = ne_shape_elements(&s);
	int8_t *w = malloc(n);
	float *scale = malloc(sizeof(*scale));
	uint32_t in[2] = {x};

	assert_non_null(w);
	assert_non_null(scale);
	for (size_t i = 0; i < n; i++)
		w[i] = (int8_t)((int32_t)rng_below(&b->r, 255) - 127);
	in[1] = (uint32_t)ne_graph_add_const(&b->m->graph, NULL, NE_S8, &s, w);
	*scale = 0.01f / (float)(kernel * kernel);
	b->m->graph.tensor[in[1]].scale = scale;
	b->m->graph.tensor[in[1]].n_scale = 1;
	return node(b, NE_OP_CONV, 2, in, act, kernel);
}

static uint32_t sum(struct builder *b, uint32_t x, uint32_t y, int32_t act)
{
	return node(b, NE_OP_ADD, 2, (uint32_t[]){x, y}, act, 1);
}

/*
 * Three blocks: a sum of two convolutions; of one and the sum before, its operands in the other
 * order; of one and the input. @apart: what convolutions give is given out too, and so must be there.
 */
static struct ne_model *blocks(int32_t channels, bool apart)
{
	struct builder b = {.m = ne_model_new(), .r = {17}, .c = channels};
	struct ne_graph *g = &b.m->graph;
	struct ne_error err = {""};
	uint32_t x = activation(&b), out[5];

	ne_graph_add_input(g, x);
	out[1] = conv(&b, x, 3, NE_ACT_RELU);
	out[2] = conv(&b, x, 1, NE_ACT_NONE);
	out[0] = sum(&b, out[1], out[2], NE_ACT_RELU);
	out[3] = conv(&b, out[0], 3, NE_ACT_NONE);
	out[0] = sum(&b, out[3], out[0], NE_ACT_NONE);
	out[4] = conv(&b, out[0], 1, NE_ACT_NONE);
	out[0] = sum(&b, x, out[4], NE_ACT_RELU6);
	assert_true(ne_graph_add_exit(g, apart ? 5 : 1, out) >= 0);
	assert_int_equal(ne_model_add_default_levels(b.m, &err), 0);
	memcpy(b.m->width[0].quant, b.quant, g->n_tensor * sizeof(b.quant[0]));
	return b.m;
}

/* Output 0, which the caller frees. */
static int8_t *run(const struct ne_model *m, const char *cpu, uint32_t threads, uint32_t want_steps,
		   size_t n)
{
	const struct ne_program_options opt = {cpu};
	struct ne_program *p = NULL;
	struct ne_context *c = NULL;
	struct ne_error err = {""};
	void *out[5];
	int8_t *x = malloc(n);

	if (ne_program_new(m, &opt, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(p->plan[0].n_step, p->k.conv_image_s8 ? want_steps : 7);
	assert_int_equal(ne_context_new(p, threads, &c), 0);
	assert_non_null(x);
	for (size_t i = 0; i < n; i++)
		x[i] = (int8_t)(uint8_t)(i * 37 % 256);
	for (uint32_t i = 0; i < 5; i++) {
		out[i] = calloc(n, 1);
		assert_non_null(out[i]);
	}
	assert_int_equal(ne_run(p, c, 0, (const void *[]){x}, out, NULL, NULL), 0);
	ne_context_free(c);
	ne_program_free(p);
	free(x);
	for (uint32_t i = 1; i < 5; i++)
		free(out[i]);
	return out[0];
}

static void test_blocks(void **state)
{
	static const char *const cpus[] = {"c",          "sse41", "avx2", "avxvnni",
					   "avx512vnni", "amx",   "neon", "dotprod"};

	(void)state;
	for (int32_t channels = 1; channels <= 100; channels += channels < 16 ? 3 : 16) {
		const size_t n = (size_t)(HEIGHT * WIDTH * channels);
		struct ne_model *m = blocks(channels, false), *apart = blocks(channels, true);
		int8_t *want = run(apart, "c", 1, 7, n);

		for (size_t i = 0; i < NE_ARRAY_SIZE(cpus); i++) {
			const int flags = ne_cpu_parse(cpus[i]);
			int8_t *y;

			if (flags < 0 || ((unsigned)flags & ~ne_cpu_detect()))
				continue;
			y = run(m, cpus[i], 1 + (uint32_t)channels % 2, 4, n);
			assert_memory_equal(y, want, n);
			free(y);
			y = run(apart, cpus[i], 1, 7, n);
			assert_memory_equal(y, want, n);
			free(y);
		}
		free(want);
		ne_model_free(m);
		ne_model_free(apart);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
