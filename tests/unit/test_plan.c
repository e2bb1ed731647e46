/* SPDX-License-Identifier: MIT */
/*
 * Plans: the arena's items never overlap in time and place, tables are shared, numbers at the edge
 * of 32 bits, the audio front end against its definition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/plan/plan.h"
#include "tests/unit/random_model.h"
#include "tests/unit/run_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_arena(void **state)
{
	struct rng r = {8};

	(void)state;
	for (int turn = 0; turn < 50; turn++) {
		struct ne_arena_item it[40];
		uint32_t n = 1 + rng_below(&r, 40);
		size_t bytes = 0, sum = 0, most = 0;

		for (uint32_t i = 0; i < n; i++) {
			it[i] = (struct ne_arena_item){.bytes = 1 + rng_below(&r, 5000),
						       .first = rng_below(&r, 50)};
			it[i].last = it[i].first + rng_below(&r, 8);
			sum += ne_round_up(it[i].bytes, NE_ALIGN);
		}
		assert_int_equal(ne_arena_plan(it, n, &bytes), 0);
		assert_true(bytes <= sum);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(it[i].offset % NE_ALIGN, 0);
			most = NE_MAX(most, it[i].offset + it[i].bytes);
			for (uint32_t k = 0; k < i; k++)
				assert_true(it[i].last < it[k].first || it[k].last < it[i].first ||
					    it[i].offset + it[i].bytes <= it[k].offset ||
					    it[k].offset + it[k].bytes <= it[i].offset);
		}
		assert_int_equal(most, bytes);
	}
	{ /* a chain of equal buffers needs two */
		struct ne_arena_item it[10];
		size_t bytes;

		for (uint32_t i = 0; i < 10; i++)
			it[i] = (struct ne_arena_item){.bytes = 640, .first = i, .last = i + 1};
		assert_int_equal(ne_arena_plan(it, 10, &bytes), 0);
		assert_int_equal(bytes, 1280);
		it[3].bytes = NE_MAX_ARENA_BYTES + 1;
		assert_int_equal(ne_arena_plan(it, 10, &bytes), -E2BIG);
	}
}

static void test_pool(void **state)
{
	struct ne_pool p;
	char data[300];
	const char *a, *b;

	(void)state;
	assert_int_equal(ne_pool_init(&p), 0);
	memset(data, 7, sizeof(data));
	a = ne_pool_intern(&p, data, sizeof(data));
	data[299] = 8;
	b = ne_pool_intern(&p, data, sizeof(data));
	assert_ptr_not_equal(a, b);
	assert_int_equal(b[299], 8);
	data[299] = 7;
	assert_ptr_equal(ne_pool_intern(&p, data, sizeof(data)), a);
	assert_ptr_not_equal(ne_pool_intern(&p, data, 299), a);
	assert_non_null(ne_pool_alloc(&p, 1 << 20));
	assert_int_equal((uintptr_t)ne_pool_alloc(&p, 1) % NE_ALIGN, 0);
	assert_null(ne_pool_alloc(&p, SIZE_MAX));
	ne_pool_done(&p);
}

/* More levels of one width add steps, not weights: packed bytes grow by far less than double. What
 * levels of several widths may add is in test_own.c: an eighth as well, or 256 KiB. */
static void test_sharing(void **state)
{
	struct rng r = {23};
	struct random_options o = {true, 6, 1, 1, 256}; /* weights outweigh steps */
	struct ne_model *m = random_model(&r, &o);
	struct ne_program *one, *two;
	size_t more;
	struct ne_error err;
	struct ne_level l = m->level[0];

	(void)state;
	assert_int_equal(ne_program_new(m, NULL, &one, &err), 0);
	m->level = realloc(m->level, 2 * sizeof(*m->level));
	m->level[1] = l;
	m->n_level = 2;
	assert_int_equal(ne_program_new(m, NULL, &two, &err), 0);
	assert_int_equal(two->plan[0].n_step, two->plan[1].n_step);
	for (uint32_t s = 0; s < two->plan[0].n_step; s++) {
		assert_ptr_equal(two->plan[0].step[s].run, two->plan[1].step[s].run);
		assert_int_equal(two->plan[0].step[s].units, two->plan[1].step[s].units);
	}
	more = two->pool.bytes - one->pool.bytes;
	assert_true(more <= one->plan[0].n_step * 512u);
	assert_true(8 * more < one->pool.bytes);
	ne_program_free(one);
	ne_program_free(two);
	ne_model_free(m);
}

/* A dense layer of one input and @n outputs, s8. */
static struct ne_model *dense_model(int32_t n, const float *bias, const float *scale)
{
	struct ne_model *m = ne_model_new();
	struct ne_graph *g = &m->graph;
	struct ne_shape xs = {.rank = 2, .dim = {1, 1}}, ys = {.rank = 2, .dim = {1, n}};
	struct ne_shape ws = {.rank = 2, .dim = {n, 1}}, bs = {.rank = 1, .dim = {n}};
	int8_t *w = malloc((size_t)n);
	float *b = malloc((size_t)n * sizeof(*b));
	struct ne_error err;
	uint32_t in[3], y;

	memset(w, 100, (size_t)n);
	memcpy(b, bias, (size_t)n * sizeof(*b));
	in[0] = (uint32_t)ne_graph_add_tensor(g, "x", NE_S8, &xs);
	in[1] = (uint32_t)ne_graph_add_const(g, "w", NE_S8, &ws, w);
	in[2] = (uint32_t)ne_graph_add_const(g, "b", NE_F32, &bs, b);
	y = (uint32_t)ne_graph_add_tensor(g, "y", NE_S8, &ys);
	g->tensor[in[1]].scale = malloc((size_t)n * sizeof(float));
	memcpy(g->tensor[in[1]].scale, scale, (size_t)n * sizeof(float));
	g->tensor[in[1]].n_scale = (uint32_t)n;
	ne_graph_add_input(g, in[0]);
	ne_graph_add_node(g, NE_OP_DENSE, "d", 3, in, 1, &y, NULL);
	ne_graph_add_exit(g, 1, &y);
	assert_int_equal(ne_model_add_default_levels(m, &err), 0);
	m->width[0].quant[in[0]] = (struct ne_quant){0.1f, 3};
	m->width[0].quant[y] = (struct ne_quant){0.05f, -10};
	return m;
}

/* Biases far larger than their unit, and weights of scale 0: the value is the bias all the same. */
static void test_extreme_bias(void **state)
{
	const float bias[6] = {1.0f, -2.5f, 3.0f, 1.0f, 0, 100.0f};
	const float scale[6] = {1e-12f, 1e-20f, 0, 0.001f, 0, 1e-30f};
	const double want[6] = {10, -60, 50, 0, -10, 127};
	struct ne_model *m = dense_model(6, bias, scale);
	struct ne_program *p;
	struct ne_context *c;
	struct ne_error err = {""};
	int8_t x = 13, y[6];

	(void)state;
	assert_int_equal(ne_program_new(m, NULL, &p, &err), 0);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	assert_int_equal(ne_run(p, c, 0, (const void *[]){&x}, (void *[]){y}, NULL, NULL), 0);
	for (int i = 0; i < 6; i++) {
		/* channel 3 is an ordinary one: 1.0 * 100 * 0.001 + 1.0 */
		double v = i == 3 ? rint(1.1 / 0.05) - 10 : want[i];

		assert_true(fabs(y[i] - v) <= 1e-9);
	}
	ne_context_free(c);
	ne_program_free(p);
	ne_model_free(m);
}

/* Scales that leave the range of f32 are refused, not run. */
static void test_extreme_scale(void **state)
{
	const float bias = 0, scale = 3e38f;
	struct ne_model *m = dense_model(1, &bias, &scale);
	struct ne_program *p = NULL;
	struct ne_error err = {""};

	(void)state;
	m->width[0].quant[3].scale = 1e-20f;
	assert_int_equal(ne_program_new(m, NULL, &p, &err), -ERANGE);
	assert_non_null(strstr(err.text, "channel 0"));
	assert_null(p);
	ne_model_free(m);
}

static void test_unknown_cpu(void **state)
{
	struct rng r = {2};
	struct random_options o = {false, 1, 1, 1, 0};
	struct ne_model *m = random_model(&r, &o);
	struct ne_program_options opt = {"z80"};
	struct ne_program *p = NULL;
	struct ne_error err = {""};

	(void)state;
	assert_int_equal(ne_program_new(m, &opt, &p, &err), -EINVAL);
	assert_non_null(strstr(err.text, "z80"));
	ne_model_free(m);
}

/* ---- log-mel ---- */

#define SAMPLES 2000

static struct ne_model *mel_model(enum ne_dtype type, const struct ne_mel *mel, struct ne_shape ys)
{
	struct ne_model *m = ne_model_new();
	struct ne_shape xs = {.rank = 2, .dim = {1, SAMPLES}};
	struct ne_attr a = {.mel = *mel};
	struct ne_error err = {""};
	uint32_t x = (uint32_t)ne_graph_add_tensor(&m->graph, "pcm", type, &xs);
	uint32_t y = (uint32_t)ne_graph_add_tensor(&m->graph, "mel", NE_F32, &ys);

	ne_graph_add_input(&m->graph, x);
	ne_graph_add_node(&m->graph, NE_OP_LOGMEL, "front", 1, &x, 1, &y, &a);
	ne_graph_add_exit(&m->graph, 1, &y);
	assert_int_equal(ne_model_add_default_levels(m, &err), 0);
	if (ne_model_check(m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

static double hz_of(double mel)
{
	return 700 * (pow(10, mel / 2595) - 1);
}

/* The definition in graph.h, term by term, for one frame. */
static void mel_reference(const struct ne_mel *m, const double *x, double *out)
{
	double power[513], mel[64];
	double lo = 2595 * log10(1 + (double)m->lo_hz / 700);
	double hi = 2595 * log10(1 + (double)m->hi_hz / 700);

	for (int k = 0; k <= m->fft / 2; k++) {
		double re = 0, im = 0;

		for (int i = 0; i < m->frame; i++) {
			double v = x[i] * (0.5 - 0.5 * cos(2 * M_PI * i / m->frame));

			re += v * cos(2 * M_PI * k * i / m->fft);
			im -= v * sin(2 * M_PI * k * i / m->fft);
		}
		power[k] = re * re + im * im;
	}
	for (int b = 0; b < m->bins; b++) {
		double step = (hi - lo) / (m->bins + 1), sum = 0;
		double left = hz_of(lo + b * step), top = hz_of(lo + (b + 1) * step);
		double right = hz_of(lo + (b + 2) * step);

		for (int k = 0; k <= m->fft / 2; k++) {
			double f = (double)k * m->rate_hz / m->fft;

			if (f > left && f <= top)
				sum += power[k] * (f - left) / (top - left);
			else if (f > top && f < right)
				sum += power[k] * (right - f) / (right - top);
		}
		mel[b] = log(sum + (double)m->floor);
	}
	for (int k = 0; k < (m->cepstra ? m->cepstra : m->bins); k++) {
		out[k] = m->cepstra ? 0 : mel[k];
		for (int b = 0; m->cepstra && b < m->bins; b++)
			out[k] += sqrt((k ? 2.0 : 1.0) / m->bins) * mel[b] *
				  cos(M_PI * k * (2 * b + 1) / (2.0 * m->bins));
	}
}

static void test_logmel(void **state)
{
	struct rng r = {6};
	int16_t pcm[SAMPLES];
	float real[SAMPLES];
	double x[SAMPLES], want[64];
	static float got[100 * 64];

	(void)state;
	for (int i = 0; i < SAMPLES; i++) {
		pcm[i] = (int16_t)(9000 * sin(i * 0.2) + 3000 * rng_unit(&r));
		x[i] = pcm[i] / 32768.0;
		real[i] = (float)x[i];
	}
	for (int t = 0; t < 8; t++) {
		struct ne_mel m = {.rate_hz = 16000,
				   .frame = t < 4 ? 400 : 60,
				   .hop = t < 4 ? 160 : 33,
				   .fft = t < 4 ? 512 : 64,
				   .bins = t < 4 ? 40 : 12,
				   .cepstra = t % 2 ? 10 : 0,
				   .lo_hz = 20,
				   .hi_hz = 7600,
				   .floor = 1e-6f};
		int frames = (SAMPLES - m.frame) / m.hop + 1;
		int outputs = m.cepstra ? m.cepstra : m.bins;
		struct ne_shape ys = {.rank = 4, .dim = {1, frames, outputs, 1}};
		struct ne_model *model = mel_model(t % 4 < 2 ? NE_S16 : NE_F32, &m, ys);
		const void *in = t % 4 < 2 ? (const void *)pcm : real;
		struct ne_program *p;
		struct ne_context *c;
		struct ne_error err;

		assert_int_equal(ne_program_new(model, NULL, &p, &err), 0);
		assert_int_equal(ne_context_new(p, 1, &c), 0);
		assert_int_equal(ne_run(p, c, 0, &in, (void *[]){got}, NULL, NULL), 0);
		for (int f = 0; f < frames; f++) {
			mel_reference(&m, x + f * m.hop, want);
			for (int k = 0; k < outputs; k++)
				if (!(fabs((double)got[f * outputs + k] - want[k]) < 2e-3))
					fail_msg("case %d frame %d value %d: %g, not %g", t, f, k,
						 (double)got[f * outputs + k], want[k]);
		}
		ne_context_free(c);
		ne_program_free(p);
		ne_model_free(model);
	}
}

/* conv, leaky relu, maximum with a constant: one step, and the values of three. */
static struct ne_model *leaky_model(bool apart, int32_t channels)
{
	struct ne_attr a = {.groups = 1, .kind = NE_UNARY_LEAKYRELU, .value = 0.2f};
	uint32_t x, y, z, m;
	struct ne_model *model;
	struct ne_graph g;

	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 7, 5, 3));
	x = b_conv(&g, x, channels, 3, 1, 1);
	y = B_NODE(&g, NE_OP_UNARY, &a, x);
	a.kind = NE_BINARY_MAX;
	z = b_const(&g, SHAPE(1, 1, 1, 1), -0.1f, -0.1f);
	m = B_NODE(&g, NE_OP_BINARY, &a, y, z);
	if (apart) /* what is given out must be there */
		assert_true(ne_graph_add_exit(&g, 3, (uint32_t[]){m, x, y}) >= 0);
	else
		b_exit(&g, m);
	model = model_of_graph(&g);
	ne_graph_done(&g);
	return model;
}

static void test_leaky(void **state)
{
	(void)state;
	for (int32_t channels = 1; channels <= 40; channels += 3) {
		float *out[2];
		size_t n = 0;

		for (int k = 0; k < 2; k++) {
			struct ne_model *m = leaky_model(k, channels);
			struct ne_program *p = NULL;
			struct ne_error err = {""};

			for (uint32_t t = 0; t < m->graph.n_tensor; t++) /* the same weights */
				for (size_t i = 0; m->graph.tensor[t].data &&
						   i < ne_shape_elements(&m->graph.tensor[t].shape);
				     i++)
					((float *)m->graph.tensor[t].data)[i] =
						i % 7 * 0.03f - (t % 2 ? 0.1f : 0.08f);
			if (ne_program_new(m, NULL, &p, &err) < 0)
				fail_msg("%s", err.text);
			assert_int_equal(p->plan[0].n_step, k ? 3 : 1);
			out[k] = run_random(m, 5, &n);
			ne_program_free(p);
			ne_model_free(m);
		}
		assert_close(out[0], out[1], n, 1e-6f);
		free(out[0]);
		free(out[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena),         cmocka_unit_test(test_pool),
		cmocka_unit_test(test_sharing),       cmocka_unit_test(test_extreme_bias),
		cmocka_unit_test(test_extreme_scale), cmocka_unit_test(test_unknown_cpu),
		cmocka_unit_test(test_logmel),        cmocka_unit_test(test_leaky),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
