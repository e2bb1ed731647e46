/* SPDX-License-Identifier: MIT */
/*
 * Convolution, s8 bit for bit, f32 within (16 + sqrt(K)) * FLT_EPSILON * S, where K is the count of
 * products and S = |scale| * sum of |x * w| + |bias|: sums in any order, with or without FMA.
 */
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
	uint32_t n_pix, taps, ic, oc, packed_ic, packed_oc, pixels, x_stride;
	size_t y_stride;
	char text[160];
};

static void draw_shape(struct check *c, struct shape *s)
{
	static const uint32_t taps[] = {1, 1, 2, 3, 5, 9, 9, 25};

	s->taps = taps[check_range(c, 0, NE_ARRAY_SIZE(taps) - 1)];
	s->n_pix = check_one_in(c, 3) ? 1 : check_range(c, 1, 27);
	s->ic = check_count(c, 100);
	s->oc = check_count(c, 100);
	if (check_one_in(c, 12)) { /* longer than a row of the panel: worked off in chunks */
		s->ic = check_range(c, 300, s->taps == 1 ? 5000 : 700);
		s->oc = check_range(c, 1, 40);
		s->n_pix = check_range(c, 1, 5);
	}
	s->packed_ic = s->ic + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	s->packed_oc = s->oc + (check_one_in(c, 2) ? 0 : check_range(c, 1, 40));
	s->pixels = check_range(c, 1, 30);
	s->x_stride = s->ic + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	s->y_stride = s->oc + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	snprintf(s->text, sizeof(s->text), "n_pix %u taps %u ic %u of %u oc %u of %u y_stride %zu",
		 s->n_pix, s->taps, s->ic, s->packed_ic, s->oc, s->packed_oc, s->y_stride);
}

static size_t x_elements(const struct shape *s)
{
	return (size_t)(s->pixels - 1) * s->x_stride + s->ic;
}

static size_t y_elements(const struct shape *s)
{
	return (s->n_pix - 1) * s->y_stride + s->oc;
}

/* Weights [oc][taps][ic] at full size, freed by the caller; half of the time none is -128. */
static int8_t *draw_weights_s8(struct check *c, const struct shape *s, bool *ret_above_min)
{
	const size_t n = (size_t)s->packed_oc * s->taps * s->packed_ic;
	int8_t *w = malloc(n);

	if (!w)
		abort();
	check_fill_s8(c, w, n);
	*ret_above_min = check_one_in(c, 2);
	if (*ret_above_min)
		for (size_t i = 0; i < n; i++)
			w[i] = NE_MAX(w[i], -INT8_MAX);
	return w;
}

/* Sum of x and of w over a window; wraps as the kernels' sums do. */
static uint32_t window_s8(const struct ne_conv_s8 *a, const struct shape *s, const int8_t *w,
			  uint32_t p, uint32_t o, int32_t shift)
{
	uint32_t sum = (uint32_t)a->bias[o];

	for (uint32_t t = 0; t < a->taps; t++) {
		const int32_t ind = a->ind[(size_t)p * a->taps + t];
		const int8_t *x = ind < 0 ? a->pad : a->x + ind;

		for (uint32_t i = 0; i < a->ic; i++)
			sum += (uint32_t)((x[i] + shift) *
					  w[((size_t)o * s->taps + t) * s->packed_ic + i]);
	}
	return sum;
}

static void draw_conv_s8(struct check *c, const struct shape *s, const int8_t *w,
			 struct ne_conv_s8 *a)
{
	const struct ne_kernels *k = c->k;
	const size_t ocr = ne_round_up(s->oc, k->conv_s8_nr);
	int8_t *x = check_input(c, x_elements(s), 1), *pad = check_input(c, s->ic, 1), *packed;
	int32_t *ind = check_input(c, (size_t)s->n_pix * s->taps * 4, 4);
	int32_t *bias = check_input(c, ocr * 4, 64);
	float *mult = check_input(c, ocr * 4, 64);
	const bool far = check_one_in(c, 6);

	*a = (struct ne_conv_s8){.x = x, .ind = ind, .pad = pad, .bias = bias, .mult = mult};
	a->n_pix = s->n_pix;
	a->taps = s->taps;
	a->ic = s->ic;
	a->oc = s->oc;
	a->y_stride = s->y_stride;
	packed = check_input(c, ne_pack_conv_s8_bytes(k, s->packed_oc, s->taps, s->packed_ic), 64);
	ne_pack_conv_s8(k, packed, w, s->packed_oc, s->taps, s->packed_ic, &a->w_tap_stride,
			&a->w_block_stride);
	a->w = packed;
	check_fill_s8(c, x, x_elements(s));
	check_fill_s8(c, pad, s->ic);
	check_draw_ind(c, ind, s->n_pix, s->taps, s->pixels, s->x_stride, true);
	for (size_t i = 0; i < ocr; i++)
		bias[i] =
			far ? (int32_t)check_random(c) : (int32_t)check_range(c, 0, 20000) - 10000;
	check_draw_mult(c, mult, ocr, 5000 * sqrt((double)s->taps * s->ic));
	check_draw_output(c, &a->zp, &a->lo, &a->hi);
}

static bool run_s8(struct check *c)
{
	struct shape s;
	struct ne_conv_s8 a;
	int8_t *w, *want;
	bool above_min;

	draw_shape(c, &s);
	w = draw_weights_s8(c, &s, &above_min);
	draw_conv_s8(c, &s, w, &a);
	a.w_above_min = above_min;
	check_output(c, y_elements(&s), 1, &a.y, &want);
	for (uint32_t p = 0; p < s.n_pix; p++)
		for (uint32_t o = 0; o < s.oc; o++) {
			const uint32_t sum = window_s8(&a, &s, w, p, o, c->k->conv_s8_shift);

			want[p * s.y_stride + o] =
				check_requantise((float)(int32_t)sum * a.mult[o], a.zp, a.lo, a.hi);
		}
	free(w);
	c->k->conv_s8(&a);
	return check_same(c, 1, s.y_stride, s.text);
}

/* A layer of one row, in pieces of blocks. */
static bool run_dense_s8(struct check *c)
{
	const uint32_t nr = c->k->conv_s8_nr;
	struct shape s;
	struct ne_conv_s8 a;
	uint32_t blocks, first = 0;
	int8_t *w, *want, *y;
	bool above_min;

	draw_shape(c, &s);
	s.n_pix = s.taps = s.pixels = 1;
	w = draw_weights_s8(c, &s, &above_min);
	draw_conv_s8(c, &s, w, &a);
	*(int32_t *)(uintptr_t)a.ind = 0;
	a.w_above_min = above_min;
	check_output(c, s.oc, 1, &y, &want);
	for (uint32_t o = 0; o < s.oc; o++) {
		const uint32_t sum = window_s8(&a, &s, w, 0, o, c->k->conv_s8_shift);

		want[o] = check_requantise((float)(int32_t)sum * a.mult[o], a.zp, a.lo, a.hi);
	}
	free(w);
	blocks = (s.oc + nr - 1) / nr;
	for (uint32_t n; first < blocks; first += n) {
		n = check_one_in(c, 2) ? blocks - first : check_range(c, 1, blocks - first);
		c->k->dense_s8(&a, a.x, y, first, n);
	}
	return check_same(c, 1, s.oc, s.text);
}

/* The value by f64 and the bound of its error. */
static float window_f32(const struct ne_conv_f32 *a, const struct shape *s, const float *w,
			uint32_t p, uint32_t o, double *ret_bound)
{
	const double k = (double)a->taps * a->ic;
	double sum = 0, size = 0, y;

	for (uint32_t t = 0; t < a->taps; t++) {
		const int32_t ind = a->ind[(size_t)p * a->taps + t];
		const float *x = ind < 0 ? a->pad : a->x + ind;

		for (uint32_t i = 0; i < a->ic; i++) {
			const double v = (double)x[i] *
					 (double)w[((size_t)o * s->taps + t) * s->packed_ic + i];

			sum += v;
			size += fabs(v);
		}
	}
	y = (double)a->scale[o] * sum + (double)a->bias[o];
	*ret_bound = (16 + sqrt(k)) * (double)FLT_EPSILON *
		     (fabs((double)a->scale[o]) * size + fabs((double)a->bias[o]));
	y = a->slope > 0 && y < 0 ? y * (double)a->slope : y;
	return (float)NE_CLAMP(y, (double)a->lo, (double)a->hi);
}

static void draw_conv_f32(struct check *c, const struct shape *s, const float *w,
			  struct ne_conv_f32 *a)
{
	const struct ne_kernels *k = c->k;
	const size_t ocr = ne_round_up(s->oc, k->conv_f32_nr);
	float *x = check_input(c, x_elements(s) * 4, 4), *pad = check_input(c, s->ic * 4, 4);
	int32_t *ind = check_input(c, (size_t)s->n_pix * s->taps * 4, 4);
	float *bias = check_input(c, ocr * 4, 64), *scale = check_input(c, ocr * 4, 64), *packed;
	const bool clamped = check_one_in(c, 2);

	*a = (struct ne_conv_f32){.x = x, .ind = ind, .pad = pad, .bias = bias, .scale = scale};
	a->n_pix = s->n_pix;
	a->taps = s->taps;
	a->ic = s->ic;
	a->oc = s->oc;
	a->y_stride = s->y_stride;
	a->lo = clamped ? 0.0f : -INFINITY;
	a->hi = clamped ? 6.0f : INFINITY;
	if (!check_one_in(c, 3)) {
		a->slope = 0.2f;
		a->lo = clamped ? -0.4f : a->lo;
	}
	packed = check_input(
		c, ne_pack_conv_f32_elements(k, s->packed_oc, s->taps, s->packed_ic) * 4, 64);
	ne_pack_conv_f32(k, packed, w, s->packed_oc, s->taps, s->packed_ic, &a->w_tap_stride,
			 &a->w_block_stride);
	a->w = packed;
	check_fill_f32(c, x, x_elements(s), 4.0f);
	check_fill_f32(c, pad, s->ic, 1.0f);
	check_fill_f32(c, scale, ocr, 2.0f);
	check_fill_f32(c, bias, ocr, 8.0f);
	check_draw_ind(c, ind, s->n_pix, s->taps, s->pixels, s->x_stride, true);
}

static bool run_f32(struct check *c)
{
	double *bound;
	float *w, *want;
	struct shape s;
	struct ne_conv_f32 a;
	bool ok = true;

	draw_shape(c, &s);
	w = malloc((size_t)s.packed_oc * s.taps * s.packed_ic * 4);
	bound = malloc((size_t)s.n_pix * s.oc * sizeof(*bound));
	if (!w || !bound)
		abort();
	check_fill_f32(c, w, (size_t)s.packed_oc * s.taps * s.packed_ic, 1.0f);
	draw_conv_f32(c, &s, w, &a);
	check_output(c, y_elements(&s) * 4, 4, &a.y, &want);
	for (uint32_t p = 0; p < s.n_pix; p++)
		for (uint32_t o = 0; o < s.oc; o++)
			want[p * s.y_stride + o] =
				window_f32(&a, &s, w, p, o, &bound[(size_t)p * s.oc + o]);
	c->k->conv_f32(&a);
	for (uint32_t p = 0; ok && p < s.n_pix; p++)
		ok = check_near(c, a.y + p * s.y_stride, want + p * s.y_stride,
				bound + (size_t)p * s.oc, s.oc, s.text);
	free(w);
	free(bound);
	return ok && check_same(c, 4, s.y_stride, s.text);
}

/* Shapes of small networks: n_pix, taps, ic, oc. */
static const struct {
	const char *label;
	uint32_t n_pix, taps, ic, oc;
} layers[] = {
	{"1x1 64>64, 125 px", 125, 1, 64, 64}, {"1x1 8>16, 2304 px", 2304, 1, 8, 16},
	{"1x1 24>24, 196 px", 196, 1, 24, 24}, {"1x1 128>128, 36 px", 36, 1, 128, 128},
	{"3x3 3>8, 2304 px", 2304, 9, 3, 8},   {"3x3 16>16, 1024 px", 1024, 9, 16, 16},
	{"3x3 32>32, 256 px", 256, 9, 32, 32}, {"3x3 64>64, 64 px", 64, 9, 64, 64},
	{"3x3 24>40, 49 px", 49, 9, 24, 40},   {"dense 128>128", 1, 1, 128, 128},
	{"dense 640>128", 1, 1, 640, 128},     {"dense 64>12", 1, 1, 64, 12},
};

static void call_s8(const void *arg)
{
	const struct {
		const struct ne_kernels *k;
		struct ne_conv_s8 a;
	} *job = arg;

	job->k->conv_s8(&job->a);
}

static void call_f32(const void *arg)
{
	const struct {
		const struct ne_kernels *k;
		struct ne_conv_f32 a;
	} *job = arg;

	job->k->conv_f32(&job->a);
}

static struct shape layer_shape(size_t i)
{
	return (struct shape){
		.n_pix = layers[i].n_pix,
		.taps = layers[i].taps,
		.ic = layers[i].ic,
		.oc = layers[i].oc,
		.packed_ic = layers[i].ic,
		.packed_oc = layers[i].oc,
		.pixels = layers[i].n_pix,
		.x_stride = layers[i].ic,
		.y_stride = layers[i].oc,
	};
}

/* Windows as a layer has them: neighbouring pixels, few of them padding. */
static void layer_ind(int32_t *ind, const struct shape *s)
{
	for (uint32_t p = 0; p < s->n_pix; p++)
		for (uint32_t t = 0; t < s->taps; t++)
			*ind++ = (int32_t)((p + t) % s->n_pix * s->x_stride);
}

static void bench_s8(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		const struct shape s = layer_shape(i);
		struct {
			const struct ne_kernels *k;
			struct ne_conv_s8 a;
		} job = {.k = c->k};
		bool above_min;
		int8_t *w = draw_weights_s8(c, &s, &above_min), *want;

		check_reset();
		draw_conv_s8(c, &s, w, &job.a);
		job.a.w_above_min = above_min;
		layer_ind((int32_t *)(uintptr_t)job.a.ind, &s);
		check_output(c, y_elements(&s), 1, &job.a.y, &want);
		check_time(c, layers[i].label, (double)s.n_pix * s.taps * s.ic * s.oc, "MAC",
			   call_s8, &job);
		free(w);
	}
}

static void bench_f32(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		const struct shape s = layer_shape(i);
		struct {
			const struct ne_kernels *k;
			struct ne_conv_f32 a;
		} job = {.k = c->k};
		float *w = malloc((size_t)s.oc * s.taps * s.ic * 4), *want;

		if (!w)
			abort();
		check_reset();
		check_fill_f32(c, w, (size_t)s.oc * s.taps * s.ic, 1.0f);
		draw_conv_f32(c, &s, w, &job.a);
		layer_ind((int32_t *)(uintptr_t)job.a.ind, &s);
		check_output(c, y_elements(&s) * 4, 4, &job.a.y, &want);
		check_time(c, layers[i].label, (double)s.n_pix * s.taps * s.ic * s.oc, "MAC",
			   call_f32, &job);
		free(w);
	}
}

static void call_dense_s8(const void *arg)
{
	const struct {
		const struct ne_kernels *k;
		struct ne_conv_s8 a;
		int8_t *y;
	} *job = arg;
	const uint32_t nr = job->k->conv_s8_nr;

	job->k->dense_s8(&job->a, job->a.x, job->y, 0, (job->a.oc + nr - 1) / nr);
}

static void bench_dense_s8(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		const struct shape s = layer_shape(i);
		struct {
			const struct ne_kernels *k;
			struct ne_conv_s8 a;
			int8_t *y;
		} job = {.k = c->k};
		bool above_min;
		int8_t *w, *want;

		if (s.n_pix > 1)
			continue;
		check_reset();
		w = draw_weights_s8(c, &s, &above_min);
		draw_conv_s8(c, &s, w, &job.a);
		check_output(c, s.oc, 1, &job.y, &want);
		check_time(c, layers[i].label, (double)s.ic * s.oc, "MAC", call_dense_s8, &job);
		free(w);
	}
}

const struct check_test check_dense_s8 = {
	"dense_s8", offsetof(struct ne_kernels, dense_s8), run_dense_s8, bench_dense_s8, 300,
};
const struct check_test check_conv_s8 = {
	"conv_s8", offsetof(struct ne_kernels, conv_s8), run_s8, bench_s8, 300,
};
const struct check_test check_conv_f32 = {
	"conv_f32", offsetof(struct ne_kernels, conv_f32), run_f32, bench_f32, 300,
};
