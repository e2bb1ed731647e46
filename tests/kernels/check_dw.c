/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution, s8 bit for bit, f32 within 16 * FLT_EPSILON * S, where
 * S = |scale| * sum of |x * w| + |bias|.
 */
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct shape {
	uint32_t n_pix, taps, c, pixels, x_stride;
	size_t w_stride, y_stride;
	char text[120];
};

static void draw_shape(struct check *c, struct shape *s)
{
	static const uint32_t taps[] = {1, 2, 3, 4, 5, 9, 9, 9, 12, 25, 49, 70};

	s->taps = taps[check_range(c, 0, NE_ARRAY_SIZE(taps) - 1)];
	s->n_pix = check_range(c, 1, 20);
	s->c = check_one_in(c, 6) ? check_range(c, 100, 300) : check_count(c, 100);
	s->pixels = check_range(c, 1, 30);
	s->x_stride = s->c + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	s->w_stride = s->c + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	s->y_stride = s->c + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	snprintf(s->text, sizeof(s->text), "n_pix %u taps %u c %u w_stride %zu y_stride %zu",
		 s->n_pix, s->taps, s->c, s->w_stride, s->y_stride);
}

static size_t rows(uint32_t n, size_t stride, uint32_t c)
{
	return (n - 1) * stride + c;
}

static void draw_dw_s8(struct check *c, const struct shape *s, struct ne_dw_s8 *a)
{
	const size_t n_x = rows(s->pixels, s->x_stride, s->c),
		     n_w = rows(s->taps, s->w_stride, s->c);
	int8_t *x = check_input(c, n_x, 1), *pad = check_input(c, s->c, 1);
	int8_t *w = check_input(c, n_w, 1);
	int32_t *ind = check_input(c, (size_t)s->n_pix * s->taps * 4, 4);
	int32_t *bias = check_input(c, s->c * 4ul, 4);
	float *mult = check_input(c, s->c * 4ul, 4);
	const bool far = check_one_in(c, 6);

	*a = (struct ne_dw_s8){
		.x = x,
		.ind = ind,
		.pad = pad,
		.w = w,
		.bias = bias,
		.mult = mult,
		.n_pix = s->n_pix,
		.taps = s->taps,
		.c = s->c,
		.w_tap_stride = s->w_stride,
		.y_stride = s->y_stride,
	};
	check_fill_s8(c, x, n_x);
	check_fill_s8(c, pad, s->c);
	check_fill_s8(c, w, n_w);
	check_draw_ind(c, ind, s->n_pix, s->taps, s->pixels, s->x_stride, true);
	for (uint32_t i = 0; i < s->c; i++)
		bias[i] =
			far ? (int32_t)check_random(c) : (int32_t)check_range(c, 0, 20000) - 10000;
	check_draw_mult(c, mult, s->c, 5000 * sqrt(s->taps));
	check_draw_output(c, &a->zp, &a->lo, &a->hi);
}

static bool run_s8(struct check *c)
{
	struct shape s;
	struct ne_dw_s8 a;
	int8_t *want;

	draw_shape(c, &s);
	draw_dw_s8(c, &s, &a);
	check_output(c, rows(s.n_pix, s.y_stride, s.c), 1, &a.y, &want);
	for (uint32_t p = 0; p < s.n_pix; p++)
		for (uint32_t i = 0; i < s.c; i++) {
			uint32_t sum = (uint32_t)a.bias[i];

			for (uint32_t t = 0; t < s.taps; t++) {
				const int32_t ind = a.ind[(size_t)p * s.taps + t];
				const int8_t x = ind < 0 ? a.pad[i] : a.x[ind + (int32_t)i];

				sum += (uint32_t)(x * a.w[t * s.w_stride + i]);
			}
			want[p * s.y_stride + i] =
				check_requantise((float)(int32_t)sum * a.mult[i], a.zp, a.lo, a.hi);
		}
	c->k->dw_s8(&a);
	return check_same(c, 1, s.y_stride, s.text);
}

static void draw_dw_f32(struct check *c, const struct shape *s, struct ne_dw_f32 *a)
{
	const size_t n_x = rows(s->pixels, s->x_stride, s->c),
		     n_w = rows(s->taps, s->w_stride, s->c);
	float *x = check_input(c, n_x * 4, 4), *pad = check_input(c, s->c * 4ul, 4);
	float *w = check_input(c, n_w * 4, 4), *bias = check_input(c, s->c * 4ul, 4);
	float *scale = check_input(c, s->c * 4ul, 4);
	int32_t *ind = check_input(c, (size_t)s->n_pix * s->taps * 4, 4);
	const bool clamped = check_one_in(c, 2);

	*a = (struct ne_dw_f32){
		.x = x,
		.ind = ind,
		.pad = pad,
		.w = w,
		.bias = bias,
		.scale = scale,
		.n_pix = s->n_pix,
		.taps = s->taps,
		.c = s->c,
		.w_tap_stride = s->w_stride,
		.y_stride = s->y_stride,
		.lo = clamped ? 0.0f : -INFINITY,
		.hi = clamped ? 6.0f : INFINITY,
	};
	check_fill_f32(c, x, n_x, 4.0f);
	check_fill_f32(c, pad, s->c, 1.0f);
	check_fill_f32(c, w, n_w, 1.0f);
	check_fill_f32(c, scale, s->c, 2.0f);
	check_fill_f32(c, bias, s->c, 8.0f);
	check_draw_ind(c, ind, s->n_pix, s->taps, s->pixels, s->x_stride, true);
}

static float window_f32(const struct ne_dw_f32 *a, uint32_t p, uint32_t i, double *ret_bound)
{
	double sum = 0, size = 0, y;

	for (uint32_t t = 0; t < a->taps; t++) {
		const int32_t ind = a->ind[(size_t)p * a->taps + t];
		const double v = (double)(ind < 0 ? a->pad[i] : a->x[ind + (int32_t)i]) *
				 (double)a->w[t * a->w_tap_stride + i];

		sum += v;
		size += fabs(v);
	}
	y = (double)a->scale[i] * sum + (double)a->bias[i];
	*ret_bound = 16 * (double)FLT_EPSILON *
		     (fabs((double)a->scale[i]) * size + fabs((double)a->bias[i]));
	return (float)NE_CLAMP(y, (double)a->lo, (double)a->hi);
}

static bool run_f32(struct check *c)
{
	double bound[300];
	struct shape s;
	struct ne_dw_f32 a;
	float *want;
	bool ok = true;

	draw_shape(c, &s);
	draw_dw_f32(c, &s, &a);
	check_output(c, rows(s.n_pix, s.y_stride, s.c) * 4, 4, &a.y, &want);
	c->k->dw_f32(&a);
	for (uint32_t p = 0; ok && p < s.n_pix; p++) {
		for (uint32_t i = 0; i < s.c; i++)
			want[p * s.y_stride + i] = window_f32(&a, p, i, &bound[i]);
		ok = check_near(c, a.y + p * s.y_stride, want + p * s.y_stride, bound, s.c, s.text);
	}
	return ok && check_same(c, 4, s.y_stride, s.text);
}

static const struct {
	const char *label;
	uint32_t n_pix, c;
} layers[] = {
	{"3x3 64, 125 px", 125, 64}, {"3x3 8, 2304 px", 2304, 8}, {"3x3 16, 576 px", 576, 16},
	{"3x3 24, 196 px", 196, 24}, {"3x3 128, 36 px", 36, 128},
};

static struct shape layer_shape(size_t i)
{
	return (struct shape){
		.n_pix = layers[i].n_pix,
		.taps = 9,
		.c = layers[i].c,
		.pixels = layers[i].n_pix,
		.x_stride = layers[i].c,
		.w_stride = layers[i].c,
		.y_stride = layers[i].c,
	};
}

static void layer_ind(int32_t *ind, const struct shape *s)
{
	for (uint32_t p = 0; p < s->n_pix; p++)
		for (uint32_t t = 0; t < s->taps; t++)
			*ind++ = (int32_t)((p + t) % s->n_pix * s->x_stride);
}

struct job_s8 {
	const struct ne_kernels *k;
	struct ne_dw_s8 a;
};

struct job_f32 {
	const struct ne_kernels *k;
	struct ne_dw_f32 a;
};

static void call_s8(const void *arg)
{
	const struct job_s8 *job = arg;

	job->k->dw_s8(&job->a);
}

static void call_f32(const void *arg)
{
	const struct job_f32 *job = arg;

	job->k->dw_f32(&job->a);
}

static void bench_s8(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		const struct shape s = layer_shape(i);
		struct job_s8 job = {.k = c->k};
		int8_t *want;

		check_reset();
		draw_dw_s8(c, &s, &job.a);
		layer_ind((int32_t *)(uintptr_t)job.a.ind, &s);
		check_output(c, (size_t)s.n_pix * s.c, 1, &job.a.y, &want);
		check_time(c, layers[i].label, 9.0 * s.n_pix * s.c, "MAC", call_s8, &job);
	}
}

static void bench_f32(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		const struct shape s = layer_shape(i);
		struct job_f32 job = {.k = c->k};
		float *want;

		check_reset();
		draw_dw_f32(c, &s, &job.a);
		layer_ind((int32_t *)(uintptr_t)job.a.ind, &s);
		check_output(c, (size_t)s.n_pix * s.c * 4, 4, &job.a.y, &want);
		check_time(c, layers[i].label, 9.0 * s.n_pix * s.c, "MAC", call_f32, &job);
	}
}

const struct check_test check_dw_s8 = {
	"dw_s8", offsetof(struct ne_kernels, dw_s8), run_s8, bench_s8, 300,
};
const struct check_test check_dw_f32 = {
	"dw_f32", offsetof(struct ne_kernels, dw_f32), run_f32, bench_f32, 200,
};
