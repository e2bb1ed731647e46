/* SPDX-License-Identifier: MIT */
/* Pools: maxima and s8 averages bit for bit, f32 averages within 16 * FLT_EPSILON * |mult| * sum
 * of |x|, more taps allowing more: plus the root of their count. */
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

struct shape {
	uint32_t n_pix, taps, c, pixels, x_stride;
	size_t y_stride;
	char text[120];
};

static void draw_shape(struct check *c, struct shape *s)
{
	static const uint32_t taps[] = {1, 2, 4, 4, 9, 25, 49, 130};

	s->taps = taps[check_range(c, 0, NE_ARRAY_SIZE(taps) - 1)];
	s->n_pix = check_one_in(c, 3) ? 1 : check_range(c, 1, 20);
	s->c = check_one_in(c, 6) ? check_range(c, 100, 300) : check_count(c, 100);
	s->pixels = check_range(c, 1, 40);
	s->x_stride = s->c + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	s->y_stride = s->c + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	snprintf(s->text, sizeof(s->text), "n_pix %u taps %u c %u y_stride %zu", s->n_pix, s->taps,
		 s->c, s->y_stride);
}

static size_t rows(uint32_t n, size_t stride, uint32_t c)
{
	return (n - 1) * stride + c;
}

static void draw_pool_s8(struct check *c, const struct shape *s, struct ne_pool_s8 *a)
{
	const size_t n_x = rows(s->pixels, s->x_stride, s->c);
	int8_t *x = check_input(c, n_x, 1);
	int32_t *ind = check_input(c, (size_t)s->n_pix * s->taps * 4, 4);
	float *mult = check_input(c, s->n_pix * 4ul, 4);

	*a = (struct ne_pool_s8){
		.x = x,
		.ind = ind,
		.mult = mult,
		.n_pix = s->n_pix,
		.taps = s->taps,
		.c = s->c,
		.zx = (int32_t)check_range(c, 0, 255) - 128,
		.y_stride = s->y_stride,
	};
	check_fill_s8(c, x, n_x);
	check_draw_ind(c, ind, s->n_pix, s->taps, s->pixels, s->x_stride, true);
	check_draw_mult(c, mult, s->n_pix, 128.0 * s->taps);
	check_draw_output(c, &a->zp, &a->lo, &a->hi);
	a->offset = check_one_in(c, 2) ? 0 : check_float(c, -300, 300);
}

/* Maximum and sum of (x - zx) over the taps that are no padding. */
static void window_s8(const struct ne_pool_s8 *a, uint32_t p, uint32_t i, int32_t *max,
		      int32_t *sum)
{
	*max = -128;
	*sum = 0;
	for (uint32_t t = 0; t < a->taps; t++) {
		const int32_t ind = a->ind[(size_t)p * a->taps + t];

		if (ind < 0)
			continue;
		*max = NE_MAX(*max, a->x[ind + (int32_t)i]);
		*sum += a->x[ind + (int32_t)i] - a->zx;
	}
}

static bool run_pool_s8(struct check *c, bool average)
{
	struct shape s;
	struct ne_pool_s8 a;
	int8_t *want;

	draw_shape(c, &s);
	draw_pool_s8(c, &s, &a);
	check_output(c, rows(s.n_pix, s.y_stride, s.c), 1, &a.y, &want);
	for (uint32_t p = 0; p < s.n_pix; p++)
		for (uint32_t i = 0; i < s.c; i++) {
			int32_t max, sum;
			float product;

			window_s8(&a, p, i, &max, &sum);
			product = (float)sum * a.mult[p];
			want[p * s.y_stride + i] =
				average ? check_requantise(product + a.offset, a.zp, a.lo, a.hi)
					: (int8_t)NE_CLAMP(max, a.lo, a.hi);
		}
	if (average)
		c->k->avgpool_s8(&a);
	else
		c->k->maxpool_s8(&a);
	return check_same(c, 1, s.y_stride, s.text);
}

static bool run_maxpool_s8(struct check *c)
{
	return run_pool_s8(c, false);
}

static bool run_avgpool_s8(struct check *c)
{
	return run_pool_s8(c, true);
}

static void draw_pool_f32(struct check *c, const struct shape *s, struct ne_pool_f32 *a)
{
	const size_t n_x = rows(s->pixels, s->x_stride, s->c);
	float *x = check_input(c, n_x * 4, 4), *mult = check_input(c, s->n_pix * 4ul, 4);
	int32_t *ind = check_input(c, (size_t)s->n_pix * s->taps * 4, 4);
	const bool clamped = check_one_in(c, 2);

	*a = (struct ne_pool_f32){
		.x = x,
		.ind = ind,
		.mult = mult,
		.n_pix = s->n_pix,
		.taps = s->taps,
		.c = s->c,
		.lo = clamped ? 0.0f : -INFINITY,
		.hi = clamped ? 6.0f : INFINITY,
		.y_stride = s->y_stride,
	};
	check_fill_f32(c, x, n_x, 10.0f);
	check_fill_f32(c, mult, s->n_pix, 1.0f);
	check_draw_ind(c, ind, s->n_pix, s->taps, s->pixels, s->x_stride, true);
}

static float window_f32(const struct ne_pool_f32 *a, uint32_t p, uint32_t i, bool average,
			double *ret_bound)
{
	double max = -INFINITY, sum = 0, size = 0, y;

	for (uint32_t t = 0; t < a->taps; t++) {
		const int32_t ind = a->ind[(size_t)p * a->taps + t];
		const double x = ind < 0 ? 0 : (double)a->x[ind + (int32_t)i];

		if (ind >= 0)
			max = NE_MAX(max, x);
		sum += x;
		size += fabs(x);
	}
	y = average ? sum * (double)a->mult[p] : max;
	*ret_bound = average ? (16 + sqrt(a->taps)) * (double)FLT_EPSILON *
				       fabs((double)a->mult[p]) * size
			     : 0;
	return (float)NE_CLAMP(y, (double)a->lo, (double)a->hi);
}

static bool run_pool_f32(struct check *c, bool average)
{
	double bound[300];
	struct shape s;
	struct ne_pool_f32 a;
	float *want;
	bool ok = true;

	draw_shape(c, &s);
	draw_pool_f32(c, &s, &a);
	check_output(c, rows(s.n_pix, s.y_stride, s.c) * 4, 4, &a.y, &want);
	if (average)
		c->k->avgpool_f32(&a);
	else
		c->k->maxpool_f32(&a);
	for (uint32_t p = 0; ok && p < s.n_pix; p++) {
		for (uint32_t i = 0; i < s.c; i++)
			want[p * s.y_stride + i] = window_f32(&a, p, i, average, &bound[i]);
		ok = check_near(c, a.y + p * s.y_stride, want + p * s.y_stride, bound, s.c, s.text);
	}
	return ok && check_same(c, 4, s.y_stride, s.text);
}

static bool run_maxpool_f32(struct check *c)
{
	return run_pool_f32(c, false);
}

static bool run_avgpool_f32(struct check *c)
{
	return run_pool_f32(c, true);
}

static const struct {
	const char *label;
	uint32_t n_pix, taps, c;
} layers[] = {
	{"2x2 16, 196 px", 196, 4, 16},
	{"global 64, 125 px", 1, 125, 64},
};

struct job {
	const struct ne_kernels *k;
	struct ne_pool_s8 s8;
	struct ne_pool_f32 f32;
};

static void call_maxpool_s8(const void *arg)
{
	const struct job *job = arg;

	job->k->maxpool_s8(&job->s8);
}

static void call_avgpool_s8(const void *arg)
{
	const struct job *job = arg;

	job->k->avgpool_s8(&job->s8);
}

static void call_maxpool_f32(const void *arg)
{
	const struct job *job = arg;

	job->k->maxpool_f32(&job->f32);
}

static void call_avgpool_f32(const void *arg)
{
	const struct job *job = arg;

	job->k->avgpool_f32(&job->f32);
}

static void bench(struct check *c, void (*call)(const void *))
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		const struct shape s = {
			.n_pix = layers[i].n_pix,
			.taps = layers[i].taps,
			.c = layers[i].c,
			.pixels = layers[i].n_pix * layers[i].taps,
			.x_stride = layers[i].c,
			.y_stride = layers[i].c,
		};
		struct job job = {.k = c->k};
		int8_t *want_s8;
		float *want_f32;

		check_reset();
		draw_pool_s8(c, &s, &job.s8);
		check_output(c, (size_t)s.n_pix * s.c, 1, &job.s8.y, &want_s8);
		draw_pool_f32(c, &s, &job.f32);
		check_output(c, (size_t)s.n_pix * s.c * 4, 4, &job.f32.y, &want_f32);
		check_time(c, layers[i].label, (double)s.n_pix * s.taps * s.c, "input", call, &job);
	}
}

static void bench_maxpool_s8(struct check *c)
{
	bench(c, call_maxpool_s8);
}

static void bench_avgpool_s8(struct check *c)
{
	bench(c, call_avgpool_s8);
}

static void bench_maxpool_f32(struct check *c)
{
	bench(c, call_maxpool_f32);
}

static void bench_avgpool_f32(struct check *c)
{
	bench(c, call_avgpool_f32);
}

#define TEST(op)                                                                 \
	const struct check_test check_##op = {                                   \
		#op, offsetof(struct ne_kernels, op), run_##op, bench_##op, 200, \
	}
TEST(maxpool_s8);
TEST(avgpool_s8);
TEST(maxpool_f32);
TEST(avgpool_f32);
