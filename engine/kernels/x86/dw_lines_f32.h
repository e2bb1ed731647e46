/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution along lines of pixels, f32: MR pixels of a line by a vector of channels, sums
 * in registers; a tap's weights are read once for all pixels. Before including it a kernel's file
 * defines
 *
 *   vec, LANES                               a vector and its floats
 *   vec_zero(), vec_fma(a, b, c)
 *   vec_load(p, n), vec_store(p, v, n)       n floats, 1..LANES
 *   vec_set1(v), vec_min(a, b), vec_max(a, b)
 *   vec_twice(p)                             LANES / 2 floats and the same again
 *   vec_low(p), vec_high(p)                  LANES / 2 floats, or those behind them; the rest zero,
 *                                            and not read
 *
 * Windows of three taps along the line, in steps of one or two, have all their lines full: an input
 * is read once and goes to all pixels that have it, and the one that the first or last pixel misses
 * is zero. Other windows take their lines from lines_f32.h.
 */
#include <math.h>

#include "engine/kernels/tile.h"
#include "engine/kernels/x86/lines_f32.h"

#define DW_MR   12 /* pixels of a tile, or vectors of two pixels */
#define DW_TAPS 3  /* along the line, where full lines are worked off */

enum {
	DW_NO_FIRST = 1, /* the first pixel's first tap is padding */
	DW_NO_LAST = 2,  /* the last pixel's last */
};

/* Everything about a line that its tiles share. */
struct dw_job {
	const struct ne_dw_lines_f32 *a;
	size_t xs, ys; /* from input to input along the line, from pixel to pixel */
	/* Full lines: rows of the window; where the first pixel's second tap is, from its line's
	 * start, and the first tap's weights. Others: taps, all of the first pixel. */
	uint32_t n;
	ptrdiff_t x[NE_LINES_TAPS];
	size_t w[NE_LINES_TAPS];
	size_t w_next; /* full lines: from tap to tap */
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

/* Any windows: @mr pixels, channels from @c. */
TILE_INLINE void dw_any(const struct dw_job *j, const float *x, float *y, uint32_t c,
			const uint32_t n, const int mr)
{
	vec acc[DW_MR];

	dw_start(j, acc, c, n, false, mr);
	for (uint32_t t = 0; t < j->n; t++) {
		const float *xt = x + j->x[t] + c;
		const vec wv = vec_load(j->a->w + j->w[t] + c, n);

		TILE_UNROLL
		for (int i = 0; i < mr; i++)
			acc[i] = vec_fma(vec_load(xt + (size_t)i * j->xs, n), wv, acc[i]);
	}
	dw_finish(j, y, acc, c, n, false, mr);
}

static const float dw_padding[LANES];

/* Of a full line whose windows are @s apart. */
TILE_INLINE void dw_slide(const struct dw_job *j, const float *x, float *y, uint32_t c,
			  const uint32_t n, uint32_t ends, const int mr, const int s)
{
	const ptrdiff_t xs = (ptrdiff_t)j->xs;
	const int last = (mr - 1) * s + DW_TAPS - 1;
	vec acc[DW_MR];

	dw_start(j, acc, c, n, false, mr);
	for (uint32_t r = 0; r < j->n; r++) {
		const float *xt = x + j->x[r] + c, *w = j->a->w + j->w[r] + c;
		const float *before = ends & DW_NO_FIRST ? dw_padding : xt - xs;
		const float *after = ends & DW_NO_LAST ? dw_padding : xt + (last - 1) * xs;
		vec wv[DW_TAPS];

		TILE_UNROLL
		for (int k = 0; k < DW_TAPS; k++)
			wv[k] = vec_load(w + (size_t)k * j->w_next, n);
		TILE_UNROLL
		for (int i = 0; i <= last; i++) {
			vec xv = vec_load(i == 0      ? before
					  : i == last ? after
						      : xt + (i - 1) * xs,
					  n);

			/* one load, not one in each of the operations */
			__asm__("" : "+v"(xv));

			TILE_UNROLL
			for (int k = 0; k < DW_TAPS; k++)
				if (i >= k && (i - k) % s == 0 && (i - k) / s < mr)
					acc[(i - k) / s] = vec_fma(xv, wv[k], acc[(i - k) / s]);
		}
	}
	dw_finish(j, y, acc, c, n, false, mr);
}

/* As dw_slide() in steps of one: @mr vectors of two pixels side by side, LANES / 2 channels. */
TILE_INLINE void dw_pair(const struct dw_job *j, const float *x, float *y, uint32_t ends,
			 const int mr)
{
	const int last = 2 * mr;
	vec acc[DW_MR];

	dw_start(j, acc, 0, LANES, true, mr);
	for (uint32_t r = 0; r < j->n; r++) {
		const float *xt = x + j->x[r] - LANES / 2, *w = j->a->w + j->w[r];
		vec wv[DW_TAPS];

		TILE_UNROLL
		for (int k = 0; k < DW_TAPS; k++)
			wv[k] = vec_twice(w + (size_t)k * j->w_next);
		TILE_UNROLL
		for (int i = 0; i <= last; i++) {
			const float *p = xt + i * (int)LANES / 2;
			vec xv;

			if (i == 0 && (ends & DW_NO_FIRST))
				xv = vec_high(p);
			else if (i == last && (ends & DW_NO_LAST))
				xv = vec_low(p);
			else
				xv = vec_load(p, LANES);
			__asm__("" : "+v"(xv));

			TILE_UNROLL
			for (int k = 0; k < DW_TAPS; k++)
				if (i >= k && (i - k) % 2 == 0 && (i - k) / 2 < mr)
					acc[(i - k) / 2] = vec_fma(xv, wv[k], acc[(i - k) / 2]);
		}
	}
	dw_finish(j, y, acc, 0, LANES, true, mr);
}

/* All channels of @mr pixels. */
typedef void dw_fn(const struct dw_job *j, const float *x, float *y, uint32_t ends);

#define DW_CHANNELS(name, mr, call)                                                              \
	TILE_NO_SPILL TILE_PLAIN static void name##_##mr(const struct dw_job *j, const float *x, \
							 float *y, uint32_t ends)                \
	{                                                                                        \
		uint32_t c = 0, n = LANES;                                                       \
                                                                                                 \
		(void)ends;                                                                      \
		for (; j->a->c - c >= LANES; c += LANES)                                         \
			call;                                                                    \
		n = j->a->c - c;                                                                 \
		if (n)                                                                           \
			call;                                                                    \
	}
#define TILE(mr, unused)                                                                          \
	DW_CHANNELS(dw_any, mr, dw_any(j, x, y, c, n, mr))                                        \
	DW_CHANNELS(dw_slide1, mr, dw_slide(j, x, y, c, n, ends, mr, 1))                          \
	DW_CHANNELS(dw_slide2, mr, dw_slide(j, x, y, c, n, ends, mr, 2))                          \
	TILE_NO_SPILL TILE_PLAIN static void dw_pair_##mr(const struct dw_job *j, const float *x, \
							  float *y, uint32_t ends)                \
	{                                                                                         \
		dw_pair(j, x, y, ends, mr);                                                       \
	}
TILES_12(1)
#undef TILE
#define TILE(mr, unused) [(mr)-1] = dw_any_##mr,
static dw_fn *const dw_any_table[DW_MR] = {TILES_12(1)};
#undef TILE
#define TILE(mr, unused) [(mr)-1] = dw_slide1_##mr,
static dw_fn *const dw_slide1_table[DW_MR] = {TILES_12(1)};
#undef TILE
#define TILE(mr, unused) [(mr)-1] = dw_slide2_##mr,
static dw_fn *const dw_slide2_table[DW_MR] = {TILES_12(1)};
#undef TILE
#define TILE(mr, unused) [(mr)-1] = dw_pair_##mr,
static dw_fn *const dw_pair_table[DW_MR] = {TILES_12(1)};
#undef TILE

/* @n pixels, dealt out evenly; @xs, @ys: from pixel to pixel. */
static void dw_pixels(const struct dw_job *j, dw_fn *const *table, const float *x, size_t xs,
		      float *y, size_t ys, uint32_t n, uint32_t ends)
{
	const uint32_t tiles = (n + DW_MR - 1) / DW_MR, least = n <= DW_MR ? n : n / tiles;
	const uint32_t taller = n - least * tiles; /* tiles that have one more */
	uint32_t here = ends & ~(uint32_t)DW_NO_LAST;

	for (uint32_t t = 0; t < tiles; t++) {
		const uint32_t mr = least + (t < taller);

		table[mr - 1](j, x, y, t + 1 == tiles ? here | (ends & DW_NO_LAST) : here);
		here = 0;
		x += mr * xs;
		y += mr * ys;
	}
}

/* ---- full lines ---- */

/* Whether windows along one axis are what full lines are for: three taps next to each other, and
 * but one of them in the padding, the first or the last. */
static bool dw_is_full(int32_t k, int32_t s, int32_t d, int32_t pad, int32_t n_out, int32_t size)
{
	return k == DW_TAPS && d == 1 && s <= 2 && pad <= 1 &&
	       (int64_t)(n_out - 1) * s - pad + DW_TAPS - 1 <= size;
}

/* The ends of outputs @first..@first + @n - 1 along an axis. */
static uint32_t dw_ends(int32_t first, int32_t n, int32_t s, int32_t pad, int32_t size)
{
	return (first * s < pad ? (uint32_t)DW_NO_FIRST : 0) |
	       ((first + n - 1) * s - pad + DW_TAPS > size ? (uint32_t)DW_NO_LAST : 0);
}

/* Output row @oy, all of it. */
static void dw_row(const struct ne_dw_lines_f32 *a, int32_t oy, uint32_t ends)
{
	const struct ne_lines_f32 *im = &a->im;
	const int32_t at = oy * im->sh - im->top;
	const float *x = a->x;
	float *y = a->y + (size_t)oy * (size_t)im->ow * a->y_stride;
	uint32_t n = (uint32_t)im->ow;
	struct dw_job j; /* set one by one: clearing its lists would take as long as a tile */
	int32_t first, rows;

	line_clip(at, im->kh, im->dh, im->h, &first, &rows);
	j.a = a;
	j.xs = a->c;
	j.ys = a->y_stride;
	j.w_next = a->w_tap_stride;
	j.n = (uint32_t)rows;
	for (int32_t r = 0; r < rows; r++) {
		j.x[r] = ((ptrdiff_t)(at + (first + r) * im->dh) * im->w + 1 - im->left) *
			 (ptrdiff_t)a->c;
		j.w[r] = (size_t)(first + r) * DW_TAPS * a->w_tap_stride;
	}
	/* few channels, pixels side by side: two pixels a vector */
	if (a->c * 2 == LANES && a->y_stride == a->c && im->sw == 1 && n > 1) {
		const uint32_t odd = n % 2;

		j.ys = LANES;
		dw_pixels(&j, dw_pair_table, x, LANES, y, LANES, n / 2,
			  odd ? ends & ~(uint32_t)DW_NO_LAST : ends);
		x += (n - odd) * LANES / 2;
		y += (n - odd) * LANES / 2;
		n = odd;
		ends &= DW_NO_LAST;
	}
	dw_pixels(&j, im->sw == 1 ? dw_slide1_table : dw_slide2_table, x, j.xs * (size_t)im->sw, y,
		  j.ys, n, ends);
}

/* The pixels of column @ox in output rows @a->first on. */
static void dw_column(const struct ne_dw_lines_f32 *a, int32_t ox, uint32_t ends)
{
	const struct ne_lines_f32 *im = &a->im;
	const int32_t at = ox * im->sw - im->left;
	const size_t row = (size_t)im->w * a->c;
	struct dw_job j;
	int32_t first, columns;

	line_clip(at, im->kw, im->dw, im->w, &first, &columns);
	j.a = a;
	j.xs = row;
	j.ys = (size_t)im->ow * a->y_stride;
	j.w_next = (size_t)im->kw * a->w_tap_stride;
	j.n = (uint32_t)columns;
	for (int32_t r = 0; r < columns; r++) {
		j.x[r] = (ptrdiff_t)(1 - im->top + (int32_t)a->first * im->sh) * (ptrdiff_t)row +
			 (ptrdiff_t)(at + (first + r) * im->dw) * (ptrdiff_t)a->c;
		j.w[r] = (size_t)(first + r) * a->w_tap_stride;
	}
	dw_pixels(&j, im->sh == 1 ? dw_slide1_table : dw_slide2_table, a->x, row * (size_t)im->sh,
		  a->y + ((size_t)a->first * (size_t)im->ow + (size_t)ox) * a->y_stride, j.ys, a->n,
		  ends);
}

/* ---- other lines ---- */

static void dw_line(const void *args, const struct line_f32 *l)
{
	const struct ne_dw_lines_f32 *a = args;
	struct dw_job j;

	j.a = a;
	j.xs = l->x_step;
	j.ys = l->y_step;
	j.n = 0;
	for (int32_t r = 0; r < l->n_ky; r++)
		for (int32_t k = 0; k < l->n_kx; k++, j.n++) {
			j.x[j.n] = l->tap_x + r * l->row_x + k * l->column_x;
			j.w[j.n] =
				(l->tap + (uint32_t)r * l->row_tap + (uint32_t)k) * a->w_tap_stride;
		}
	dw_pixels(&j, dw_any_table, l->x, l->x_step, l->y, l->y_step, l->n, 0);
}

static void dw_lines(const struct ne_dw_lines_f32 *a)
{
	const struct ne_lines_f32 *im = &a->im;
	const int32_t from = (int32_t)a->first, n = (int32_t)a->n;
	const bool across = dw_is_full(im->kw, im->sw, im->dw, im->left, im->ow, im->w);
	const bool down = dw_is_full(im->kh, im->sh, im->dh, im->top, im->oh, im->h);

	if (down && (!across || n > im->ow)) {
		const uint32_t ends = dw_ends(from, n, im->sh, im->top, im->h);

		for (int32_t ox = 0; ox < im->ow; ox++)
			dw_column(a, ox, ends);
	} else if (across) {
		const uint32_t ends = dw_ends(0, im->ow, im->sw, im->left, im->w);

		for (int32_t oy = from; oy < from + n; oy++)
			dw_row(a, oy, ends);
	} else {
		lines_run(im, a->c, a->x, a->y, a->y_stride, a->first, a->n, dw_line, a);
	}
}
