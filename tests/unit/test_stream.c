/* SPDX-License-Identifier: MIT */
/*
 * Streaming against the full computation: random networks over a sliding window, f32 and s8, all
 * levels, many steps; rows as outputs; what cannot stream and why; files. NEAP_SEED repeats one seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/model/container.h"
#include "engine/model/stream.h"
#include "engine/run/run.h"
#include "tests/unit/random_model.h"
#include "tests/unit/run_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUTS 2
#define CLASSES 5
#define STEPS   9 /* compared, after the window is full */

static struct ne_program *program_of(const struct ne_model *m)
{
	struct ne_program *p = NULL;
	struct ne_error err = {""};

	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("program: %s", err.text);
	return p;
}

static struct ne_model *stream_of(const struct ne_model *m, const struct ne_stream_options *o,
				  struct ne_stream_summary *u)
{
	struct ne_error err = {""};
	struct ne_model *s = NULL;

	if (ne_stream_model(m, o, &s, u, &err) < 0)
		fail_msg("stream: %s", err.text);
	return s;
}

/* A model in both forms, and rows enough for all windows. */
struct rig {
	struct ne_model *m, *s;
	struct ne_program *full, *stream;
	struct ne_context *cf, *cs;
	struct ne_stream_summary u;
	size_t row; /* bytes */
	char *rows;
};

static void rig_init(struct rig *g, struct ne_model *m, const struct ne_stream_options *o,
		     struct rng *r)
{
	const struct ne_tensor *t = &m->graph.tensor[m->graph.in[o->input]];
	size_t n;

	memset(g, 0, sizeof(*g));
	g->m = m;
	g->s = stream_of(m, o, &g->u);
	g->full = program_of(m);
	g->stream = program_of(g->s);
	assert_int_equal(ne_context_new(g->full, 1, &g->cf), 0);
	assert_int_equal(ne_context_new(g->stream, 1, &g->cs), 0);
	g->row = ne_program_input(g->full, 0)->bytes / (size_t)g->u.window;
	assert_int_equal(ne_program_input(g->stream, 0)->bytes, g->row * (size_t)g->u.step);
	n = g->row * (size_t)g->u.step * (g->u.fill + STEPS);
	g->rows = malloc(n + 1);
	for (size_t i = 0; i < n / ne_dtype_size(t->dtype); i++) {
		if (t->dtype == NE_F32)
			((float *)(void *)g->rows)[i] = (float)rng_unit(r);
		else
			g->rows[i] = (char)rng_next(r);
	}
}

static void rig_done(struct rig *g)
{
	ne_context_free(g->cf);
	ne_context_free(g->cs);
	ne_program_free(g->full);
	ne_program_free(g->stream);
	ne_model_free(g->m);
	ne_model_free(g->s);
	free(g->rows);
}

/* The level of the streaming model that is @level of the full one. */
static uint32_t same_level(const struct rig *g, uint32_t level)
{
	const struct ne_level *a = ne_program_level(g->full, level);

	for (uint32_t l = 0; l < ne_program_levels(g->stream); l++) {
		const struct ne_level *b = ne_program_level(g->stream, l);

		if (a->depth == b->depth && a->width == b->width)
			return l;
	}
	fail_msg("no such level");
	return 0;
}

/* Runs both forms on the window that ends with run @run; 0 = the first. */
static void run_both(struct rig *g, uint32_t level, uint32_t run, bool full,
		     float out[2][OUTPUTS][CLASSES])
{
	size_t step = g->row * (size_t)g->u.step, window = g->row * (size_t)g->u.window;
	const void *fresh[] = {g->rows + run * step};
	const void *all[] = {g->rows + (run + 1) * step - window};
	void *a[] = {out[0][0], out[0][1]}, *b[] = {out[1][0], out[1][1]};

	assert_int_equal(ne_run(g->stream, g->cs, same_level(g, level), fresh, b, NULL, NULL), 0);
	if (full)
		assert_int_equal(ne_run(g->full, g->cf, level, all, a, NULL, NULL), 0);
}

struct totals {
	uint32_t nodes, sliding, exact, compared;
	double macs, full_macs;
};

static void compare(uint64_t seed, bool s8, struct totals *sum)
{
	struct rng r = {seed * 0x9e3779b97f4a7c15u + 3};
	struct random_options o = {s8, 4, 1 + rng_below(&r, 2), 1 + rng_below(&r, 2), 24};
	struct ne_stream_options so = {0};
	struct ne_model *m = random_sliding_model(&r, &o);
	struct rig g;

	so.axis = rng_below(&r, 2) ? 1 : 0;
	so.step = rng_below(&r, 3) ? 4 * rng_between(&r, 1, 3) : rng_between(&r, 1, 12);
	rig_init(&g, m, &so, &r);
	sum->nodes += g.u.nodes;
	sum->sliding += g.u.sliding;
	for (uint32_t l = 0; l < ne_program_levels(g.full); l++) {
		sum->full_macs += (double)ne_program_level(g.full, l)->macs;
		sum->macs += (double)ne_program_level(g.stream, same_level(&g, l))->macs;
		ne_context_reset(g.cs);
		for (uint32_t i = 0; i < g.u.fill - 1 + STEPS; i++) {
			float out[2][OUTPUTS][CLASSES];

			run_both(&g, l, i, i + 1 >= g.u.fill, out);
			if (i + 1 < g.u.fill)
				continue;
			sum->compared++;
			sum->exact += !memcmp(out[0], out[1], sizeof(out[0]));
			for (int k = 0; k < OUTPUTS; k++)
				for (int c = 0; c < CLASSES; c++) {
					float want = out[0][k][c], got = out[1][k][c];
					float bound = s8 ? 0 : 1e-5f * fmaxf(1, fabsf(want));

					if (!(fabsf(got - want) <= bound))
						fail_msg("seed %llu %s step %d level %u run %u: "
							 "%.9g, not %.9g",
							 (unsigned long long)seed,
							 s8 ? "s8" : "f32", so.step, l, i,
							 (double)got, (double)want);
				}
		}
	}
	rig_done(&g);
}

static void test_random(void **state)
{
	bool s8 = *(const bool *)*state;
	const char *seed = getenv("NEAP_SEED");
	uint64_t first = seed ? strtoull(seed, NULL, 0) : 1, n = seed ? 1 : 120;
	struct totals sum = {0};

	for (uint64_t i = first; i < first + n; i++)
		compare(i, s8, &sum);
	print_message("%u of %u nodes slide, %.0f %% of the MACs, %u of %u answers bit for bit\n",
		      sum.sliding, sum.nodes, 100 * sum.macs / sum.full_macs, sum.exact,
		      sum.compared);
	if (seed)
		return;
	/* five nodes of each exit never do */
	assert_true(sum.sliding * 4 > sum.nodes);
	assert_true(sum.macs < 0.65 * sum.full_macs);
	assert_true(!s8 || sum.exact == sum.compared);
}

/* ---- by hand ---- */

#define T 30
#define F 6

/*
 * Valid convolutions in time with a crop beside them (a residual of another delay), a dilated
 * depthwise one, a stride of 2 and rows of 5 classes: everything slides.
 */
static struct ne_model *rows_model(void)
{
	struct ne_attr crop = {.groups = 1,
			       .slice = {.size = {1, T - 4, F, 8}, .step = {1, 1, 1, 1}}};
	struct ne_attr dw = {.groups = 1, .window = {3, 3, 2, 1, 3, 1, 0, 1, 0, 1}};
	struct ne_attr soft = {.groups = 1, .axis = 2};
	uint32_t x, a, b, w;
	struct ne_model *m;
	struct ne_graph g;

	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, T, F, 3));
	a = b_conv(&g, x, 8, 1, 1, 0);
	w = b_const(&g, SHAPE(8, 5, 1, 8), -0.4f, 0.4f);
	b = B_NODE(&g, NE_OP_CONV, (&(struct ne_attr){.groups = 1, .window = {5, 1, 1, 1, 1, 1}}),
		   a, w);
	crop.slice.begin[1] = 3;
	a = B_NODE(&g, NE_OP_SLICE, &crop, a);
	a = B_NODE(&g, NE_OP_ADD, NULL, a, b);
	w = b_const(&g, SHAPE(3, 3, 8), -0.4f, 0.4f);
	a = B_NODE(&g, NE_OP_DWCONV, &dw, a, w); /* (26 - 7) / 2 + 1 = 10 rows */
	a = b_reshape(&g, a, SHAPE(1, 10, F * 8));
	a = b_dense(&g, a, CLASSES);
	b_exit(&g, B_NODE(&g, NE_OP_SOFTMAX, &soft, a));
	m = model_of_graph(&g);
	ne_graph_done(&g);
	return m;
}

static int told;

static void tell(void *user, const char *name, const char *op, const char *why)
{
	assert_true(*name && *op && *why);
	assert_string_equal(op, user);
	told++;
}

/* @whole: the outputs are the window's rows, else its last step / 2. */
static void check_rows(int32_t step, bool whole)
{
	struct ne_stream_options o = {.step = step, .whole = whole, .node = tell};
	struct rng r = {(uint64_t)step};
	int32_t rows = whole ? 10 : step / 2;
	float want[10][CLASSES], got[10][CLASSES];
	struct rig g;

	told = 0;
	rig_init(&g, rows_model(), &o, &r);
	assert_int_equal(told, 0);
	assert_int_equal(g.u.sliding, g.u.nodes);
	assert_int_equal(ne_program_output(g.stream, 0)->bytes, sizeof(got[0]) * (size_t)rows);
	for (uint32_t i = 0; i < g.u.fill - 1 + STEPS; i++) {
		size_t at = g.row * (size_t)step;

		assert_int_equal(ne_run(g.stream, g.cs, 0, (const void *[]){g.rows + i * at},
					(void *[]){got}, NULL, NULL),
				 0);
		if (i + 1 < g.u.fill)
			continue;
		assert_int_equal(ne_run(g.full, g.cf, 0,
					(const void *[]){g.rows + (i + 1) * at - g.row * T},
					(void *[]){want}, NULL, NULL),
				 0);
		for (int32_t k = 0; k < rows; k++)
			for (int c = 0; c < CLASSES; c++)
				assert_true(fabsf(want[10 - rows + k][c] - got[k][c]) <= 1e-6f);
	}
	rig_done(&g);
}

static void test_rows(void **state)
{
	(void)state;
	for (int32_t step = 2; step <= 20; step += 2) {
		check_rows(step, false);
		check_rows(step, true);
	}
}

/* Padded convolutions, as most networks have them: only their ends and new rows are computed. */
static void test_padded(void **state)
{
	struct ne_stream_options o = {.step = 4};
	struct rng r = {77};
	float want[CLASSES], got[CLASSES];
	struct ne_model *m;
	struct ne_graph g;
	struct rig k;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 128, 6, 2));
	for (int i = 0; i < 4; i++)
		x = B_NODE(&g, i % 2 ? NE_OP_RELU : NE_OP_TANH, NULL,
			   b_conv(&g, x, 8, 3, i == 1 ? 2 : 1, 1));
	b_exit(&g, b_dense(&g, B_NODE(&g, NE_OP_GLOBALPOOL, NULL, x), CLASSES));
	m = model_of_graph(&g);
	ne_graph_done(&g);
	rig_init(&k, m, &o, &r);
	assert_int_equal(k.u.sliding, 8);
	assert_true(k.s->level[0].macs * 4 < m->level[0].macs);
	for (uint32_t i = 0; i < k.u.fill - 1 + STEPS; i++) {
		size_t at = k.row * 4;

		assert_int_equal(ne_run(k.stream, k.cs, 0, (const void *[]){k.rows + i * at},
					(void *[]){got}, NULL, NULL),
				 0);
		if (i + 1 < k.u.fill)
			continue;
		assert_int_equal(ne_run(k.full, k.cf, 0,
					(const void *[]){k.rows + (i + 1) * at - k.row * 128},
					(void *[]){want}, NULL, NULL),
				 0);
		for (int c = 0; c < CLASSES; c++)
			assert_true(fabsf(want[c] - got[c]) <= 1e-5f * fmaxf(1, fabsf(want[c])));
	}
	rig_done(&k);
}

/* A step that a stride does not divide: what comes after it is computed whole, and rightly. */
static void test_odd_step(void **state)
{
	struct ne_stream_options o = {
		.step = 3, .node = tell, .user = (void *)(uintptr_t) "dwconv"};
	struct ne_model *m = rows_model(), *s;
	struct ne_stream_summary u;

	(void)state;
	told = 0;
	s = stream_of(m, &o, &u);
	assert_int_equal(told, 1);
	assert_true(u.sliding > 0 && u.sliding < u.nodes);
	assert_int_equal(u.fill, T / 3);
	assert_true(s->level[0].macs < m->level[0].macs);
	assert_non_null(ne_model_get_note(s, "stream"));
	ne_model_free(s);
	ne_model_free(m);
}

/* Exits of 6 rows, one that slides and one that a softmax over time ends: both are given whole. */
static void test_exits(void **state)
{
	struct ne_attr soft = {.groups = 1, .axis = 1};
	struct ne_stream_options o = {.step = 1};
	struct ne_stream_summary u;
	struct ne_model *m, *s;
	struct ne_graph g;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_dense(&g, b_input(&g, SHAPE(1, 6, 4)), 3);
	b_exit(&g, x);
	b_exit(&g, B_NODE(&g, NE_OP_SOFTMAX, &soft, x));
	m = model_of_graph(&g);
	s = stream_of(m, &o, &u);
	for (uint32_t e = 0; e < 2; e++)
		assert_int_equal(s->graph.tensor[s->graph.exit[e].out[0]].shape.dim[1], 6);
	assert_int_equal(u.sliding, 1);
	ne_model_free(m);
	ne_model_free(s);
	ne_graph_done(&g);
}

static void refused(const struct ne_model *m, struct ne_stream_options o, const char *why)
{
	struct ne_error err = {""};
	struct ne_model *s = NULL;

	assert_int_equal(ne_stream_model(m, &o, &s, NULL, &err), -EINVAL);
	assert_null(s);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_refused(void **state)
{
	struct ne_stream_options o = {.step = 2};
	struct ne_model *m = rows_model(), *s = stream_of(m, &o, NULL);

	(void)state;
	refused(m, (struct ne_stream_options){.step = 0}, "step of 0");
	refused(m, (struct ne_stream_options){.step = -4}, "step of -4");
	refused(m, (struct ne_stream_options){.step = T}, "step of 30");
	refused(m, (struct ne_stream_options){.step = 1, .axis = 4}, "no axis 4");
	refused(m, (struct ne_stream_options){.step = 1, .axis = -1}, "no axis -1");
	refused(m, (struct ne_stream_options){.step = 1, .input = 1}, "no input 1");
	refused(s, o, "keeps values from run to run already");
	ne_model_free(s);
	ne_model_free(m);
}

int main(void)
{
	static bool f32 = false, s8 = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_random, &f32),
		cmocka_unit_test_prestate(test_random, &s8),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_padded),
		cmocka_unit_test(test_odd_step),
		cmocka_unit_test(test_exits),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
