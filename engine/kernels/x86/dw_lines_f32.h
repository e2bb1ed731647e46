/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution along lines of pixels (lines_f32.h), f32: MR pixels of a line by a vector
 * of channels, sums in registers; a tap's weights are read once for all pixels. Before including it
 * a kernel's file defines
 *
 *   vec, LANES                               a vector and its floats
 *   vec_zero(), vec_fma(a, b, c)
 *   vec_load(p, n), vec_store(p, v, n)       n floats, 1..LANES
 *   vec_set1(v), vec_min(a, b), vec_max(a, b)
 *   vec_twice(p)                             LANES / 2 floats and the same again
 */
#include <math.h>

#include "engine/kernels/tile.h"
#include "engine/kernels/x86/lines_f32.h"

#define DW_MR    8
#define DW_SLIDE 3 /* taps along the line of windows that overlap all but one */

/* Taps of a line's windows and where their weights are. */
struct dw_taps {
	uint32_t n;
	const ptrdiff_t *x;
	size_t w[NE_LINES_TAPS];
};

/* Everything about a line that its tiles share. */
struct dw_job {
	const struct ne_dw_lines_f32 *a;
	struct dw_taps taps;
	size_t xs, ys; /* from pixel to pixel */
	/* Windows that overlap: rows of DW_SLIDE taps along the line, how far apart in the list
	 * taps are, and rows. 0 rows: others. */
	uint32_t rows, next_tap, next_row;
};

/* A value of each channel. */
TILE_INLINE vec dw_channels(const float *p, uint32_t c, const uint32_t n, const bool twice)
{
	return twice ? vec_twice(p) : vec_load(p + c, n);
}

/* What sums start from: the bias, or zero where it is added once they are scaled. */
TILE_INLINE void dw_start(const struct dw_job *j, vec *acc, uint32_t c, const uint32_t n,
			  const bool twice, const int mr)
{
	const vec start = j->a->scale ? vec_zero() : dw_channels(j->a->bias, c, n, twice);

	TILE_UNROLL
	for (int i = 0; i < mr; i++)
		acc[i] = start;
}

TILE_INLINE void dw_finish(const struct dw_job *j, float *y, vec *acc, uint32_t c, const uint32_t n,
			   const bool twice, const int mr)
{
	const struct ne_dw_lines_f32 *a = j->a;
	const vec lo = vec_set1(a->lo), hi = vec_set1(a->hi);

	if (a->scale) {
		const vec scale = dw_channels(a->scale, c, n, twice);
		const vec bias = dw_channels(a->bias, c, n, twice);

		TILE_UNROLL
		for (int i = 0; i < mr; i++)
			acc[i] = vec_fma(acc[i], scale, bias);
	}
	if (a->hi < INFINITY) {
		TILE_UNROLL
		for (int i = 0; i < mr; i++)
			acc[i] = vec_min(acc[i], hi);
	}
	TILE_UNROLL
	for (int i = 0; i < mr; i++)
		vec_store(y + (size_t)i * j->ys + c, vec_max(acc[i], lo), n);
}

/* Any windows: @mr pixels, channels from @c. @twice: vectors of two pixels, LANES / 2 channels. */
TILE_INLINE void dw_any(const struct dw_job *j, const float *x, float *y, uint32_t c,
			const uint32_t n, const bool twice, const int mr)
{
	vec acc[DW_MR];

	dw_start(j, acc, c, n, twice, mr);
	for (uint32_t t = 0; t < j->taps.n; t++) {
		const float *wt = j->a->w + j->taps.w[t] + c, *xt = x + j->taps.x[t] + c;
		const vec wv = twice ? vec_twice(wt) : vec_load(wt, n);

		TILE_UNROLL
		for (int i = 0; i < mr; i++)
			acc[i] = vec_fma(vec_load(xt + (size_t)i * j->xs, n), wv, acc[i]);
	}
	dw_finish(j, y, acc, c, n, twice, mr);
}

/* Windows that move by one tap: an input is read once and goes to all pixels that have it. */
TILE_INLINE void dw_slide(const struct dw_job *j, const float *x, float *y, uint32_t c,
			  const uint32_t n, const int mr)
{
	const size_t xs = j->xs;
	vec acc[DW_MR];

	dw_start(j, acc, c, n, false, mr);
	for (uint32_t r = 0; r < j->rows; r++) {
		const float *xt = x + j->taps.x[r * j->next_row] + c;
		const size_t *w = j->taps.w + r * j->next_row;
		vec wv[DW_SLIDE];

		TILE_UNROLL
		for (int k = 0; k < DW_SLIDE; k++)
			wv[k] = vec_load(j->a->w + w[(uint32_t)k * j->next_tap] + c, n);
		TILE_UNROLL
		for (int i = 0; i < mr + DW_SLIDE - 1; i++) {
			vec xv = vec_load(xt + (size_t)i * xs, n);

			/* one load, not one in each of the operations */
			__asm__("" : "+v"(xv));

			TILE_UNROLL
			for (int k = 0; k < DW_SLIDE; k++)
				if (i - k >= 0 && i - k < mr)
					acc[i - k] = vec_fma(xv, wv[k], acc[i - k]);
		}
	}
	dw_finish(j, y, acc, c, n, false, mr);
}

typedef void dw_fn(const struct dw_job *j, const float *x, float *y);

/* All channels of @mr pixels. */
#define TILE(mr, unused)                                                                           \
	TILE_NO_SPILL TILE_PLAIN static void dw_any_##mr(const struct dw_job *j, const float *x,   \
							 float *y)                                 \
	{                                                                                          \
		uint32_t c = 0;                                                                    \
                                                                                                   \
		for (; j->a->c - c >= LANES; c += LANES)                                           \
			dw_any(j, x, y, c, LANES, false, mr);                                      \
		if (c < j->a->c)                                                                   \
			dw_any(j, x, y, c, j->a->c - c, false, mr);                                \
	}                                                                                          \
	TILE_NO_SPILL TILE_PLAIN static void dw_slide_##mr(const struct dw_job *j, const float *x, \
							   float *y)                               \
	{                                                                                          \
		uint32_t c = 0;                                                                    \
                                                                                                   \
		for (; j->a->c - c >= LANES; c += LANES)                                           \
			dw_slide(j, x, y, c, LANES, mr);                                           \
		if (c < j->a->c)                                                                   \
			dw_slide(j, x, y, c, j->a->c - c, mr);                                     \
	}                                                                                          \
	TILE_NO_SPILL TILE_PLAIN static void dw_twice_##mr(const struct dw_job *j, const float *x, \
							   float *y)                               \
	{                                                                                          \
		dw_any(j, x, y, 0, LANES, true, mr);                                               \
	}
TILES_8(1)
#undef TILE
#define TILE(mr, unused) [(mr)-1] = dw_any_##mr,
static dw_fn *const dw_any_table[DW_MR] = {TILES_8(1)};
#undef TILE
#define TILE(mr, unused) [(mr)-1] = dw_slide_##mr,
static dw_fn *const dw_slide_table[DW_MR] = {TILES_8(1)};
#undef TILE
#define TILE(mr, unused) [(mr)-1] = dw_twice_##mr,
static dw_fn *const dw_twice_table[DW_MR] = {TILES_8(1)};
#undef TILE

/* @n pixels, dealt out evenly. */
static void dw_pixels(const struct dw_job *j, dw_fn *const *table, const float *x, float *y,
		      uint32_t n)
{
	for (uint32_t t = (n + DW_MR - 1) / DW_MR; t; t--) {
		const uint32_t mr = (n + t - 1) / t;

		table[mr - 1](j, x, y);
		x += mr * j->xs;
		y += mr * j->ys;
		n -= mr;
	}
}

static void dw_line(const void *args, const struct line_f32 *l)
{
	const struct ne_dw_lines_f32 *a = args;
	const struct ne_lines_f32 *im = &a->im;
	const float *x = l->x;
	float *y = l->y;
	struct dw_job j = {
		.a = a,
		.taps = {.n = (uint32_t)(l->n_ky * l->n_kx), .x = l->tap_x},
		.xs = l->x_step,
		.ys = l->y_step,
	};
	uint32_t n = l->n;

	for (uint32_t t = 0; t < j.taps.n; t++)
		j.taps.w[t] = l->tap[t] * a->w_tap_stride;
	/* few channels, pixels side by side: two pixels a vector */
	if (a->c * 2 == LANES && l->x_step == a->c && l->y_step == a->c) {
		j.xs = j.ys = LANES;
		dw_pixels(&j, dw_twice_table, x, y, n / 2);
		j.xs = j.ys = a->c;
		x += (size_t)(n / 2) * LANES;
		y += (size_t)(n / 2) * LANES;
		n %= 2;
	}
	if (l->down && l->n_ky == DW_SLIDE && im->sh == im->dh) {
		j.rows = (uint32_t)l->n_kx;
		j.next_tap = (uint32_t)l->n_kx;
		j.next_row = 1;
	} else if (!l->down && l->n_kx == DW_SLIDE && im->sw == im->dw) {
		j.rows = (uint32_t)l->n_ky;
		j.next_tap = 1;
		j.next_row = (uint32_t)l->n_kx;
	}
	dw_pixels(&j, j.rows ? dw_slide_table : dw_any_table, x, y, n);
}

static void dw_lines(const struct ne_dw_lines_f32 *a)
{
	lines_run(&a->im, a->c, a->x, a->y, a->y_stride, a->first, a->n, dw_line, a);
}
