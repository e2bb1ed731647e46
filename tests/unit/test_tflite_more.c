/* SPDX-License-Identifier: MIT */
/*
 * TFLite's transposed convolutions, interpolation and SVDF, each against the rule that TFLite documents
 * for it, worked out here in plain C.
 */
#include "tests/unit/tflite_ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RESIZE_BILINEAR = 23, SVDF = 27, TRANSPOSE_CONV = 67 };

/* Outputs of @runs runs of one stream; input and output of @in_bytes and @out_bytes a run. */
static void run_stream(const struct tb_subgraph *s, const void *in, size_t in_bytes, void *out,
		       size_t out_bytes, int runs)
{
	struct fbw b = tb_build(s, 1);
	struct ne_model *m = import_ok(&b);
	struct ne_context *c;
	struct ne_program *p;

	assert_int_equal(ne_program_new(m, NULL, &p, NULL), 0);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	assert_int_equal(ne_program_output(p, 0)->bytes, out_bytes);
	assert_int_equal(ne_program_input(p, 0)->bytes, in_bytes);
	for (int i = 0; i < runs; i++) {
		const void *from = (const char *)in + (size_t)i * in_bytes;
		void *to = (char *)out + (size_t)i * out_bytes;

		assert_int_equal(ne_run(p, c, 0, &from, &to, NULL, NULL), 0);
	}
	ne_context_free(c);
	ne_program_free(p);
	ne_model_free(m);
	fbw_free(&b);
}

/* ---- transposed convolution ---- */

struct tc {
	int h, w, ic, oc, kh, kw, sh, sw, oh, ow;
	bool same;
};

static int pad_before(int out, int k, int s, bool same)
{
	int all = ((out + s - 1) / s - 1) * s + k - out;

	return same && all > 0 ? all / 2 : 0;
}

/* Every input value goes to all pixels of its kernel: the definition. @y holds the bias. */
static void scatter(const struct tc *c, const double *x, const double *w, double *y)
{
	int top = pad_before(c->oh, c->kh, c->sh, c->same);
	int left = pad_before(c->ow, c->kw, c->sw, c->same);

	for (int i = 0; i < c->h * c->w * c->ic; i++)
		for (int k = 0; k < c->kh * c->kw * c->oc; k++) {
			int o = k / (c->kh * c->kw), ky = k / c->kw % c->kh, kx = k % c->kw;
			int oy = i / c->ic / c->w * c->sh - top + ky;
			int ox = i / c->ic % c->w * c->sw - left + kx;

			if (oy >= 0 && oy < c->oh && ox >= 0 && ox < c->ow)
				y[(oy * c->ow + ox) * c->oc + o] +=
					x[i] *
					w[((o * c->kh + ky) * c->kw + kx) * c->ic + i % c->ic];
		}
}

static const struct tc transposed[] = {
	{3, 4, 2, 3, 2, 2, 2, 2, 6, 8, true},  {3, 4, 2, 3, 3, 3, 2, 2, 6, 8, true},
	{3, 4, 1, 2, 3, 3, 2, 2, 5, 7, true},  {2, 3, 3, 2, 4, 4, 2, 2, 4, 6, true},
	{2, 3, 3, 2, 4, 4, 2, 2, 6, 8, false}, {3, 3, 2, 2, 3, 3, 1, 1, 3, 3, true},
	{3, 3, 2, 2, 3, 3, 1, 1, 5, 5, false}, {1, 5, 2, 2, 1, 5, 1, 3, 1, 15, true},
	{2, 2, 1, 1, 2, 3, 3, 2, 6, 5, false}, {2, 3, 2, 5, 5, 2, 3, 4, 8, 10, false},
};

#define TC_MAX 1024

/* Tensors: the output's shape, weights, input, bias, output. */
static void run_transposed(const struct tc *c, int type, const void *x, const void *w,
			   const void *b, const float *scales, void *y)
{
	const int32_t shape[4] = {1, c->oh, c->ow, c->oc};
	size_t size = type == F32 ? 4 : 1, wn = (size_t)(c->oc * c->kh * c->kw * c->ic);
	size_t yn = (size_t)(c->oh * c->ow * c->oc);
	bool q = type != F32;
	const struct tb_tensor t[] = {
		CONST("shape", S32, shape, 1, {4}),
		{"w",
		 type,
		 4,
		 {c->oc, c->kh, c->kw, c->ic},
		 w,
		 wn * size,
		 q ? c->oc : 0,
		 scales,
		 0,
		 0,
		 0},
		{"in", type, 4, {1, c->h, c->w, c->ic}, NULL, 0, q, NULL, 0.05f, q ? 7 : 0, 0},
		{"b", q ? S32 : F32, 1, {c->oc}, b, (size_t)c->oc * 4, 0, NULL, 0, 0, 0},
		{"out", type, 4, {1, c->oh, c->ow, c->oc}, NULL, 0, q, NULL, 0.3f, q ? -5 : 0, 0},
	};
	const struct tb_op op = {
		TRANSPOSE_CONV,
		4,
		1,
		{0, 1, 2, 3},
		{4},
		4,
		{{0, 1, c->same ? 0 : VALID, NULL},
		 {1, 4, c->sw, NULL},
		 {2, 4, c->sh, NULL},
		 {3, 1, RELU, NULL}},
	};
	const struct tb_subgraph s = {TB_SIZE(t), 1, 1, 1, t, &op, {2}, {4}};

	run_subgraph(&s, &x, y, yn * size);
}

static void test_transpose_conv(void **state)
{
	uint32_t seed = 3;

	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(transposed); k++) {
		const struct tc *c = &transposed[k];
		float x[TC_MAX], w[TC_MAX], b[8], y[TC_MAX], want[TC_MAX];
		double rx[TC_MAX], rw[TC_MAX], ry[TC_MAX];

		for (int i = 0; i < TC_MAX; i++) {
			rx[i] = x[i] = (float)tflite_draw(&seed) / 32768 - 1;
			rw[i] = w[i] = (float)tflite_draw(&seed) / 32768 - 1;
		}
		for (int i = 0; i < 8; i++)
			b[i] = (float)i / 4 - 0.5f;
		for (int i = 0; i < TC_MAX; i++)
			ry[i] = (double)b[i % c->oc];
		scatter(c, rx, rw, ry);
		run_transposed(c, F32, x, w, b, NULL, y);
		for (int i = 0; i < c->oh * c->ow * c->oc; i++)
			want[i] = (float)fmax(ry[i], 0);
		assert_reals(y, want, (size_t)(c->oh * c->ow * c->oc));
	}
}

/* The same integers are summed up, and rounded once. */
static void test_transpose_conv_s8(void **state)
{
	static const float scales[8] = {0.02f, 0.01f, 0.03f, 0.015f, 0.02f, 0.01f, 0.01f, 0.01f};
	uint32_t seed = 4;

	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(transposed); k++) {
		const struct tc *c = &transposed[k];
		int8_t x[TC_MAX], w[TC_MAX], y[TC_MAX];
		double rx[TC_MAX], rw[TC_MAX], ry[TC_MAX];
		int32_t b[8];

		for (int i = 0; i < TC_MAX; i++) {
			x[i] = (int8_t)tflite_draw(&seed);
			w[i] = (int8_t)NE_MAX((int8_t)tflite_draw(&seed), -127);
			rx[i] = x[i] - 7;
			rw[i] = w[i];
		}
		for (int i = 0; i < 8; i++)
			b[i] = i * 100 - 300;
		for (int i = 0; i < TC_MAX; i++)
			ry[i] = b[i % c->oc];
		scatter(c, rx, rw, ry);
		run_transposed(c, S8, x, w, b, scales, y);
		for (int i = 0; i < c->oh * c->ow * c->oc; i++) {
			double scale = 0.05f * (double)scales[i % c->oc] / (double)0.3f;
			double real = NE_CLAMP(ry[i] * scale - 5, -5.0, 127.0);
			int by_rule = tflite_multiply((int64_t)ry[i], scale) - 5;

			assert_true(fabs(y[i] - real) <= 0.5 + 1e-3);
			assert_true(abs(y[i] - NE_CLAMP(by_rule, -5, 127)) <= 1);
		}
	}
}

/* ---- interpolation ---- */

enum { PLAIN, CORNERS, HALF };

static void interpolate_f32(const float *x, int h, int w, int oh, int ow, int form, float *y)
{
	for (int i = 0; i < oh * ow; i++) {
		float at[2], f[2];
		int lo[2], hi[2];

		for (int a = 0; a < 2; a++) {
			int in = a ? w : h, out = a ? ow : oh, p = a ? i % ow : i / ow;
			float scale = form == CORNERS && out > 1
					      ? (float)(in - 1) / (float)(out - 1)
					      : (float)in / (float)out;

			at[a] = form == HALF ? ((float)p + 0.5f) * scale - 0.5f : (float)p * scale;
			lo[a] = NE_MAX((int)floorf(at[a]), 0);
			hi[a] = NE_MIN((int)ceilf(at[a]), in - 1);
			hi[a] = NE_MAX(hi[a], 0);
			f[a] = at[a] - (float)lo[a];
		}
		for (int c = 0; c < 2; c++)
			y[2 * i + c] = x[2 * (lo[0] * w + lo[1]) + c] * (1 - f[0]) * (1 - f[1]) +
				       x[2 * (hi[0] * w + lo[1]) + c] * f[0] * (1 - f[1]) +
				       x[2 * (lo[0] * w + hi[1]) + c] * (1 - f[0]) * f[1] +
				       x[2 * (hi[0] * w + hi[1]) + c] * f[0] * f[1];
	}
}

/* TFLite's int8 kernel: steps of 2^-10 along each axis, one rounding half away from zero. */
static void interpolate_s8(const int8_t *x, int h, int w, int oh, int ow, int form, int8_t *y)
{
	for (int i = 0; i < oh * ow; i++) {
		int64_t at[2], lo[2], hi[2];

		for (int a = 0; a < 2; a++) {
			int in = a ? w : h, out = a ? ow : oh, p = a ? i % ow : i / ow;
			int scale = (1024 * in + out / 2) / out;

			if (form == CORNERS && out > 1)
				scale = (1024 * (in - 1) + (out - 1) / 2) / (out - 1);
			at[a] = p * scale + (form == HALF ? scale / 2 - 512 : 0);
			lo[a] = NE_MAX(at[a] / 1024, 0);
			hi[a] = NE_MIN((at[a] + 1023) / 1024, in - 1);
		}
		for (int c = 0; c < 2; c++) {
			int64_t v0 = 1024 - (at[0] - 1024 * lo[0]), v1 = at[0] - 1024 * lo[0];
			int64_t h0 = 1024 - (at[1] - 1024 * lo[1]), h1 = at[1] - 1024 * lo[1];
			int64_t sum = x[2 * (lo[0] * w + lo[1]) + c] * v0 * h0 +
				      x[2 * (hi[0] * w + lo[1]) + c] * v1 * h0 +
				      x[2 * (lo[0] * w + hi[1]) + c] * v0 * h1 +
				      x[2 * (hi[0] * w + hi[1]) + c] * v1 * h1;

			y[2 * i + c] =
				(int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
		}
	}
}

#define SIDE_MAX 24

static void test_resize_bilinear(void **state)
{
	static const int sizes[][4] = {{4, 5, 8, 10}, {5, 3, 7, 11}, {9, 8, 4, 3},
				       {1, 6, 5, 1},  {3, 3, 3, 3},  {2, 2, 24, 17}};
	uint32_t seed = 5;

	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(sizes) * 3; k++) {
		const int *s = sizes[k / 3];
		int form = (int)(k % 3);
		const int32_t size[2] = {s[2], s[3]};
		const struct tb_tensor real[] = {
			REAL("in", 4, {1, s[0], s[1], 2}),
			CONST("size", S32, size, 1, {2}),
			REAL("out", 4, {1, s[2], s[3], 2}),
		};
		const struct tb_tensor s8[] = {
			Q8("in", S8, 0.1f, 3, 4, {1, s[0], s[1], 2}),
			CONST("size", S32, size, 1, {2}),
			Q8("out", S8, 0.1f, 3, 4, {1, s[2], s[3], 2}),
		};
		const struct tb_op op = {
			RESIZE_BILINEAR,
			2,
			1,
			{0, 1},
			{2},
			2,
			{{0, 1, form == CORNERS, NULL}, {1, 1, form == HALF, NULL}}};
		float x[2 * SIDE_MAX * SIDE_MAX], y[2 * SIDE_MAX * SIDE_MAX];
		float want[2 * SIDE_MAX * SIDE_MAX];
		int8_t x8[2 * SIDE_MAX * SIDE_MAX], y8[2 * SIDE_MAX * SIDE_MAX];
		int8_t want8[2 * SIDE_MAX * SIDE_MAX];
		size_t n = (size_t)(2 * s[2] * s[3]);

		for (size_t i = 0; i < NE_ARRAY_SIZE(x); i++) {
			x8[i] = (int8_t)tflite_draw(&seed);
			x[i] = x8[i];
		}
		interpolate_f32(x, s[0], s[1], s[2], s[3], form, want);
		run_one(real, 3, &op, x, y, n * sizeof(*y));
		assert_reals(y, want, n);
		interpolate_s8(x8, s[0], s[1], s[2], s[3], form, want8);
		run_one(s8, 3, &op, x8, y8, n);
		assert_memory_equal(y8, want8, n);
	}
}

/* ---- SVDF ---- */

enum { FILTERS = 6, RANK = 2, UNITS = FILTERS / RANK, INPUTS = 5, STEPS = 4, RUNS = 12 };

static const struct tb_op svdf = {
	SVDF, 5, 1, {0, 1, 2, 3, 4}, {5}, 2, {{0, 4, RANK, NULL}, {1, 1, RELU, NULL}}};

static void test_svdf(void **state)
{
	float x[RUNS][INPUTS], w[FILTERS][INPUTS], time[FILTERS][STEPS], y[RUNS][UNITS];
	float memory[FILTERS][STEPS] = {{0}}, b[UNITS] = {0.1f, -0.2f, 0.3f}, want[UNITS];
	const struct tb_tensor t[] = {
		REAL("in", 2, {1, INPUTS}),
		CONST("w", F32, w, 2, {FILTERS, INPUTS}),
		CONST("time", F32, time, 2, {FILTERS, STEPS}),
		CONST("b", F32, b, 1, {UNITS}),
		REAL("state", 2, {1, FILTERS * STEPS}),
		REAL("out", 2, {1, UNITS}),
	};
	const struct tb_subgraph s = {TB_SIZE(t), 1, 1, 1, t, &svdf, {0}, {5}};
	uint32_t seed = 6;

	(void)state;
	for (int i = 0; i < RUNS * INPUTS; i++)
		x[i / INPUTS][i % INPUTS] = (float)tflite_draw(&seed) / 32768 - 1;
	for (int i = 0; i < FILTERS * INPUTS; i++)
		w[i / INPUTS][i % INPUTS] = (float)tflite_draw(&seed) / 32768 - 1;
	for (int i = 0; i < FILTERS * STEPS; i++)
		time[i / STEPS][i % STEPS] = (float)tflite_draw(&seed) / 32768 - 1;
	run_stream(&s, x, sizeof(x[0]), y, sizeof(y[0]), RUNS);
	for (int r = 0; r < RUNS; r++) {
		memcpy(want, b, sizeof(want));
		for (int f = 0; f < FILTERS; f++) {
			memmove(memory[f], memory[f] + 1, (STEPS - 1) * sizeof(float));
			memory[f][STEPS - 1] = 0;
			for (int i = 0; i < INPUTS; i++)
				memory[f][STEPS - 1] += w[f][i] * x[r][i];
			for (int k = 0; k < STEPS; k++)
				want[f / RANK] += memory[f][k] * time[f][k];
		}
		for (int u = 0; u < UNITS; u++)
			want[u] = fmaxf(want[u], 0);
		assert_reals(y[r], want, UNITS);
	}
}

/* The int8 kernel: features rounded to int16, sums over time of 32 bits. */
static void test_svdf_s8(void **state)
{
	const float sx = 0.05f, sw = 0.01f, ss = 0.0005f, st = 0.00003f, sy = 0.02f;
	int8_t x[RUNS][INPUTS], w[FILTERS][INPUTS], y[RUNS][UNITS];
	int16_t time[FILTERS][STEPS], memory[FILTERS][STEPS] = {{0}};
	int32_t b[UNITS] = {1000000, -20000, 0}, sum[UNITS];
	const struct tb_tensor t[] = {
		Q8("in", S8, sx, 4, 2, {1, INPUTS}),
		{"w", S8, 2, {FILTERS, INPUTS}, w, sizeof(w), 1, NULL, sw, 0, 0},
		{"time", S16, 2, {FILTERS, STEPS}, time, sizeof(time), 1, NULL, st, 0, 0},
		{"b", S32, 1, {UNITS}, b, sizeof(b), 1, NULL, ss * st, 0, 0},
		Q8("state", S16, ss, 0, 2, {1, FILTERS * STEPS}),
		Q8("out", S8, sy, -10, 2, {1, UNITS}),
	};
	const struct tb_subgraph s = {TB_SIZE(t), 1, 1, 1, t, &svdf, {0}, {5}};
	uint32_t seed = 8;

	(void)state;
	for (int i = 0; i < RUNS * INPUTS; i++)
		x[i / INPUTS][i % INPUTS] = (int8_t)tflite_draw(&seed);
	for (int i = 0; i < FILTERS * INPUTS; i++)
		w[i / INPUTS][i % INPUTS] = (int8_t)tflite_draw(&seed);
	for (int i = 0; i < FILTERS * STEPS; i++)
		time[i / STEPS][i % STEPS] = (int16_t)tflite_draw(&seed);
	run_stream(&s, x, sizeof(x[0]), y, sizeof(y[0]), RUNS);
	for (int r = 0; r < RUNS; r++) {
		memcpy(sum, b, sizeof(sum));
		for (int f = 0; f < FILTERS; f++) {
			int32_t dot = 0;

			for (int i = 0; i < INPUTS; i++)
				dot += w[f][i] * (x[r][i] - 4);
			dot = tflite_multiply(dot, (double)sx * (double)sw / (double)ss);
			memmove(memory[f], memory[f] + 1, (STEPS - 1) * sizeof(int16_t));
			memory[f][STEPS - 1] = (int16_t)NE_CLAMP(dot, INT16_MIN, INT16_MAX);
			for (int k = 0; k < STEPS; k++)
				sum[f / RANK] += memory[f][k] * time[f][k];
		}
		for (int u = 0; u < UNITS; u++) {
			int want = tflite_multiply(sum[u], (double)ss * (double)st / (double)sy);

			want = NE_CLAMP(NE_MAX(want, 0) - 10, -128, 127);
			assert_true(abs(want - y[r][u]) <= 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transpose_conv),  cmocka_unit_test(test_transpose_conv_s8),
		cmocka_unit_test(test_resize_bilinear), cmocka_unit_test(test_svdf),
		cmocka_unit_test(test_svdf_s8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
