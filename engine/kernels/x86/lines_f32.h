/* SPDX-License-Identifier: MIT */
/*
 * Windows over an image as lines, f32. Padding is zero, so it adds nothing: an output pixel whose
 * window passes the border uses fewer rows or columns of the window, and no other. Pixels that use
 * the same ones and lie in a row, or in a column, are a line: the kernels work off lines straight
 * from the image, with neither copies nor indirection.
 */
#ifndef NE_KERNELS_X86_LINES_F32_H
#define NE_KERNELS_X86_LINES_F32_H

#include "engine/kernels/kernels.h"

/*
 * @n pixels whose inputs are x_step apart and whose results go to y, y + y_step, ...
 * All use the same taps: @n_ky rows of @n_kx, of which the first is number @tap of the window, and
 * @tap_x from x for the first pixel; from row to row it is row_x and row_tap further, from column to
 * column column_x and 1.
 */
struct line_f32 {
	const float *x;
	float *y;
	size_t x_step, y_step;
	uint32_t n;
	int32_t n_ky, n_kx;
	bool down;
	uint32_t tap, row_tap;
	ptrdiff_t tap_x, row_x, column_x;
};

/* The taps of @k, @d apart, starting at @at, that lie in 0..size - 1. No division: windows are
 * small. */
static inline void line_clip(int32_t at, int32_t k, int32_t d, int32_t size, int32_t *ret_first,
			     int32_t *ret_n)
{
	int32_t first = 0, end = k;

	while (first < k && at + first * d < 0)
		first++;
	while (end > first && at + (end - 1) * d >= size)
		end--;
	*ret_first = first;
	*ret_n = end - first;
}

/* First and end of the outputs whose whole window lies in the image. */
static inline void line_whole(int32_t n_out, int32_t s, int32_t pad, int32_t extent, int32_t size,
			      int32_t *ret_first, int32_t *ret_end)
{
	int32_t first = (pad + s - 1) / s, end = size + pad - extent;

	end = end < 0 ? 0 : end / s + 1;
	first = first < n_out ? first : n_out;
	end = end < n_out ? end : n_out;
	*ret_first = first;
	*ret_end = end > first ? end : first;
}

/* Makes the line of @n outputs from (oy, ox), rightwards or (@down) downwards, and hands it to
 * run(). @c: channels of a pixel. */
typedef void line_fn(const void *args, const struct line_f32 *l);

static inline void line_emit(const struct ne_lines_f32 *im, uint32_t c, const float *x, float *y,
			     size_t y_stride, int32_t oy, int32_t ox, int32_t n, bool down,
			     line_fn *run, const void *args)
{
	const int32_t ay = oy * im->sh - im->top, ax = ox * im->sw - im->left;
	struct line_f32 l;
	int32_t ky0, kx0;

	if (n <= 0)
		return;
	line_clip(ay, im->kh, im->dh, im->h, &ky0, &l.n_ky);
	line_clip(ax, im->kw, im->dw, im->w, &kx0, &l.n_kx);
	l.row_x = (ptrdiff_t)im->dh * im->w * (ptrdiff_t)c;
	l.column_x = (ptrdiff_t)im->dw * (ptrdiff_t)c;
	l.row_tap = (uint32_t)im->kw;
	l.tap = (uint32_t)(ky0 * im->kw + kx0);
	l.tap_x = ((ptrdiff_t)ay * im->w + ax) * (ptrdiff_t)c + ky0 * l.row_x + kx0 * l.column_x;
	l.x = x;
	l.y = y + ((size_t)oy * (size_t)im->ow + (size_t)ox) * y_stride;
	l.n = (uint32_t)n;
	l.down = down;
	l.x_step = (size_t)(down ? im->sh * im->w : im->sw) * c;
	l.y_step = (down ? (size_t)im->ow : 1) * y_stride;
	run(args, &l);
}

/* A row whose windows do not use all rows: its columns one by one where they differ. */
static inline void lines_border_row(const struct ne_lines_f32 *im, uint32_t c, const float *x,
				    float *y, size_t y_stride, int32_t oy, int32_t left,
				    int32_t right, line_fn *run, const void *args)
{
	for (int32_t ox = 0; ox < left; ox++)
		line_emit(im, c, x, y, y_stride, oy, ox, 1, false, run, args);
	line_emit(im, c, x, y, y_stride, oy, left, right - left, false, run, args);
	for (int32_t ox = right; ox < im->ow; ox++)
		line_emit(im, c, x, y, y_stride, oy, ox, 1, false, run, args);
}

/* All lines of output rows @first..@first + @n - 1. */
static inline void lines_run(const struct ne_lines_f32 *im, uint32_t c, const float *x, float *y,
			     size_t y_stride, uint32_t first, uint32_t n, line_fn *run,
			     const void *args)
{
	const int32_t from = (int32_t)first, to = from + (int32_t)n;
	int32_t top, bottom, left, right, mid, end;
	bool down;

	line_whole(im->oh, im->sh, im->top, (im->kh - 1) * im->dh + 1, im->h, &top, &bottom);
	line_whole(im->ow, im->sw, im->left, (im->kw - 1) * im->dw + 1, im->w, &left, &right);
	mid = NE_CLAMP(top, from, to);
	end = NE_CLAMP(bottom, mid, to);
	for (int32_t oy = from; oy < mid; oy++)
		lines_border_row(im, c, x, y, y_stride, oy, left, right, run, args);
	/* rows in the middle: along whichever is longer; the columns at the border downwards */
	down = end - mid > right - left;
	for (int32_t oy = mid; oy < end && !down; oy++)
		line_emit(im, c, x, y, y_stride, oy, left, right - left, false, run, args);
	for (int32_t ox = 0; ox < (down ? im->ow : left); ox++)
		line_emit(im, c, x, y, y_stride, mid, ox, end - mid, true, run, args);
	for (int32_t ox = down ? im->ow : right; ox < im->ow; ox++)
		line_emit(im, c, x, y, y_stride, mid, ox, end - mid, true, run, args);
	for (int32_t oy = end; oy < to; oy++)
		lines_border_row(im, c, x, y, y_stride, oy, left, right, run, args);
}

#endif
