/* SPDX-License-Identifier: MIT */
/*
 * Operators on each element: s8 results and dequantise bit for bit; f32 add, mul and clamp within
 * 2 * FLT_EPSILON of the result, hardswish within 8 * FLT_EPSILON * |x|.
 */
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST 700 /* elements of a random case */

static uint32_t draw_n(struct check *c, char text[40])
{
	const uint32_t n = check_one_in(c, 5) ? check_range(c, 1, MOST) : check_count(c, 200);

	snprintf(text, 40, "n %u", n);
	return n;
}

static bool run_add_s8(struct check *c)
{
	char text[40];
	const uint32_t n = draw_n(c, text);
	int8_t *a = check_input(c, n, 1), *b = check_input(c, n, 1), *want;
	struct ne_add_s8 arg = {.a = a, .b = b, .n = n};
	int32_t zp;

	check_fill_s8(c, a, n);
	check_fill_s8(c, b, n);
	check_draw_mult(c, &arg.fa, 1, 100);
	check_draw_mult(c, &arg.fb, 1, 100);
	if (!(fabsf(arg.fa) < 1e35f) || !(fabsf(arg.fb) < 1e35f)) /* infinity less infinity */
		arg.fa = arg.fb = 0.5f;
	arg.fc = check_float(c, -200, 200);
	check_draw_output(c, &zp, &arg.lo, &arg.hi);
	check_output(c, n, 1, &arg.y, &want);
	for (uint32_t i = 0; i < n; i++) {
		const float pb = fmaf((float)(b[i] + 128), arg.fb, arg.fc);

		want[i] = check_requantise(fmaf((float)(a[i] + 128), arg.fa, pb), -128, arg.lo,
					   arg.hi);
	}
	c->k->add_s8(&arg);
	return check_same(c, 1, n, text);
}

static bool run_lut_s8(struct check *c)
{
	char text[40];
	const uint32_t n = draw_n(c, text);
	int8_t *x = check_input(c, n, 1), *table = check_input(c, 256, 1), *y, *want;

	check_fill_s8(c, x, n);
	for (int i = 0; i < 256; i++)
		table[i] = (int8_t)check_random(c);
	check_output(c, n, 1, &y, &want);
	for (uint32_t i = 0; i < n; i++)
		want[i] = table[(uint8_t)x[i]];
	c->k->lut_s8(y, x, n, table);
	return check_same(c, 1, n, text);
}

static bool run_interleave_8(struct check *c)
{
	char text[40];
	const uint32_t n = draw_n(c, text), planes = check_one_in(c, 2) ? 3 : check_range(c, 1, 9);
	const size_t plane = n + (check_one_in(c, 2) ? 0 : check_range(c, 1, 70));
	const size_t n_x = (planes - 1) * plane + n;
	int8_t *x = check_input(c, n_x, 1), *y, *want;

	check_fill_s8(c, x, n_x);
	check_output(c, (size_t)n * planes, 1, &y, &want);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t p = 0; p < planes; p++)
			want[i * planes + p] = x[p * plane + i];
	c->k->interleave_8(y, x, planes, plane, n);
	return check_same(c, 1, planes, text);
}

static bool run_quantise_s8(struct check *c)
{
	static const float odd[] = {NAN,   INFINITY, -INFINITY, 1e30f,   -1e30f, 0.5f,
				    -0.5f, 1.5f,     2.5f,      -126.5f, 3e9f,   -3e9f};
	char text[40];
	const uint32_t n = draw_n(c, text);
	float *x = check_input(c, n * 4ul, 4);
	const float scale = check_one_in(c, 3) ? 1.0f : check_float(c, 0.01f, 100.0f);
	int32_t zp, lo, hi;
	int8_t *y, *want;

	check_fill_f32(c, x, n, 200.0f * scale);
	for (uint32_t i = 0; i < n; i++)
		if (check_one_in(c, 8))
			x[i] = odd[check_range(c, 0, NE_ARRAY_SIZE(odd) - 1)];
	check_draw_output(c, &zp, &lo, &hi);
	check_output(c, n, 1, &y, &want);
	for (uint32_t i = 0; i < n; i++)
		want[i] = isnan(x[i]) ? (int8_t)lo : check_requantise(x[i] / scale, zp, lo, hi);
	c->k->quantise_s8(y, x, n, scale, zp, lo, hi);
	return check_same(c, 1, n, text);
}

static bool run_dequantise_s8(struct check *c)
{
	char text[40];
	const uint32_t n = draw_n(c, text);
	int8_t *x = check_input(c, n, 1);
	const int32_t zp = (int32_t)check_range(c, 0, 255) - 128;
	const float scale = check_float(c, 1e-4f, 1.0f);
	float *y, *want;

	check_fill_s8(c, x, n);
	check_output(c, n * 4ul, 4, &y, &want);
	for (uint32_t i = 0; i < n; i++)
		want[i] = (float)(x[i] - zp) * scale;
	c->k->dequantise_s8(y, x, n, scale, zp);
	return check_same(c, 4, n, text);
}

enum op { ADD, MUL, CLAMP, HARDSWISH };

static double exact(enum op op, double a, double b)
{
	const double gate = a / 6 + 0.5;

	return op == ADD ? a + b : op == MUL ? a * b : op == CLAMP ? a : a * NE_CLAMP(gate, 0, 1);
}

static void call(const struct ne_kernels *k, enum op op, float *y, const float *a, const float *b,
		 size_t n, float lo, float hi)
{
	switch (op) {
	case ADD:
		k->add_f32(y, a, b, n, lo, hi);
		break;
	case MUL:
		k->mul_f32(y, a, b, n, lo, hi);
		break;
	case CLAMP:
		k->clamp_f32(y, a, n, lo, hi);
		break;
	case HARDSWISH:
		k->hardswish_f32(y, a, n);
		break;
	}
}

static bool run_f32(struct check *c, enum op op)
{
	char text[40];
	const uint32_t n = draw_n(c, text);
	float *a = check_input(c, n * 4ul, 4), *b = check_input(c, n * 4ul, 4), *y, *want;
	const float lo = op == HARDSWISH || check_one_in(c, 2) ? -INFINITY : check_float(c, -5, 0);
	const float hi = op == HARDSWISH || check_one_in(c, 2) ? INFINITY : check_float(c, 0, 6);
	double bound[MOST];

	check_fill_f32(c, a, n, 10.0f);
	check_fill_f32(c, b, n, 10.0f);
	check_output(c, n * 4ul, 4, &y, &want);
	for (uint32_t i = 0; i < n; i++) {
		const double v = exact(op, (double)a[i], (double)b[i]);

		want[i] = (float)NE_CLAMP(v, (double)lo, (double)hi);
		bound[i] = (double)FLT_EPSILON *
			   (op == HARDSWISH ? 8 * fabs((double)a[i]) : 2 * fabs(v));
	}
	if (check_one_in(c, 3)) { /* in place */
		memcpy(y, a, n * 4ul);
		call(c->k, op, y, y, b, n, lo, hi);
	} else {
		call(c->k, op, y, a, b, n, lo, hi);
	}
	return check_near(c, y, want, bound, n, text) && check_same(c, 4, n, text);
}

static bool run_add_f32(struct check *c)
{
	return run_f32(c, ADD);
}

static bool run_mul_f32(struct check *c)
{
	return run_f32(c, MUL);
}

static bool run_clamp_f32(struct check *c)
{
	return run_f32(c, CLAMP);
}

static bool run_hardswish_f32(struct check *c)
{
	return run_f32(c, HARDSWISH);
}

#define BENCH_N 8000

struct job {
	const struct ne_kernels *k;
	int8_t *y, *a, *b, *table;
	float *fy, *fa, *fb;
};

static void time_add_s8(const void *arg)
{
	const struct job *j = arg;
	const struct ne_add_s8 a = {
		.a = j->a,
		.b = j->b,
		.y = j->y,
		.n = BENCH_N,
		.fa = 0.5f,
		.fb = 0.25f,
		.fc = 1.0f,
		.lo = -128,
		.hi = 127,
	};

	j->k->add_s8(&a);
}

static void time_lut_s8(const void *arg)
{
	const struct job *j = arg;

	j->k->lut_s8(j->y, j->a, BENCH_N, j->table);
}

static void time_interleave_8(const void *arg)
{
	const struct job *j = arg;

	j->k->interleave_8(j->y, j->a, 3, BENCH_N / 3, BENCH_N / 3);
}

static void time_quantise_s8(const void *arg)
{
	const struct job *j = arg;

	j->k->quantise_s8(j->y, j->fa, BENCH_N, 3.0f, 3, -128, 127);
}

static void time_dequantise_s8(const void *arg)
{
	const struct job *j = arg;

	j->k->dequantise_s8(j->fy, j->a, BENCH_N, 0.1f, 3);
}

static void time_add_f32(const void *arg)
{
	const struct job *j = arg;

	call(j->k, ADD, j->fy, j->fa, j->fb, BENCH_N, 0.0f, 6.0f);
}

static void time_mul_f32(const void *arg)
{
	const struct job *j = arg;

	call(j->k, MUL, j->fy, j->fa, j->fb, BENCH_N, 0.0f, 6.0f);
}

static void time_clamp_f32(const void *arg)
{
	const struct job *j = arg;

	call(j->k, CLAMP, j->fy, j->fa, NULL, BENCH_N, 0.0f, 6.0f);
}

static void time_hardswish_f32(const void *arg)
{
	const struct job *j = arg;

	call(j->k, HARDSWISH, j->fy, j->fa, NULL, BENCH_N, 0.0f, 6.0f);
}

static void bench(struct check *c, void (*timed)(const void *))
{
	struct job j = {
		.k = c->k,
		.y = check_input(c, BENCH_N, 64),
		.a = check_input(c, BENCH_N, 64),
		.b = check_input(c, BENCH_N, 64),
		.table = check_input(c, 256, 64),
		.fy = check_input(c, BENCH_N * 4, 64),
		.fa = check_input(c, BENCH_N * 4, 64),
		.fb = check_input(c, BENCH_N * 4, 64),
	};

	check_fill_s8(c, j.a, BENCH_N);
	check_fill_s8(c, j.b, BENCH_N);
	check_fill_f32(c, j.fa, BENCH_N, 40.0f);
	check_fill_f32(c, j.fb, BENCH_N, 40.0f);
	check_time(c, "8000 elements", BENCH_N, "element", timed, &j);
}

#define TEST(op)                                                                 \
	static void bench_##op(struct check *c)                                  \
	{                                                                        \
		bench(c, time_##op);                                             \
	}                                                                        \
	const struct check_test check_##op = {                                   \
		#op, offsetof(struct ne_kernels, op), run_##op, bench_##op, 200, \
	}
TEST(add_s8);
TEST(lut_s8);
TEST(interleave_8);
TEST(quantise_s8);
TEST(dequantise_s8);
TEST(add_f32);
TEST(mul_f32);
TEST(clamp_f32);
TEST(hardswish_f32);
