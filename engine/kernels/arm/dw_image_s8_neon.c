/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution over rows of an image, s8, NEON: lanes 8, taps 1. Scratch and weights hold
 * s16, so that one instruction multiplies and adds to sums of s32. For windows of 3x3, by far the
 * most, all weights stay in registers over the rows of a chunk, and an input that was loaded serves
 * every pixel of a tile whose window it is in.
 */
#include "engine/kernels/arm/store_s8.h"

typedef int16_t dw_x;

static inline void dw_copy(int16_t *d, const int8_t *s, size_t n)
{
	for (; n >= 64; n -= 64, s += 64, d += 64) {
		const int8x16x4_t v = vld1q_s8_x4(s);
		const int16x8x4_t lo = {{vmovl_s8(vget_low_s8(v.val[0])), vmovl_high_s8(v.val[0]),
					 vmovl_s8(vget_low_s8(v.val[1])), vmovl_high_s8(v.val[1])}};
		const int16x8x4_t hi = {{vmovl_s8(vget_low_s8(v.val[2])), vmovl_high_s8(v.val[2]),
					 vmovl_s8(vget_low_s8(v.val[3])), vmovl_high_s8(v.val[3])}};

		vst1q_s16_x4(d, lo);
		vst1q_s16_x4(d + 32, hi);
	}
	for (; n >= 16; n -= 16, s += 16, d += 16) {
		const int8x16_t v = vld1q_s8(s);

		vst1q_s16(d, vmovl_s8(vget_low_s8(v)));
		vst1q_s16(d + 8, vmovl_high_s8(v));
	}
	if (n >= 8) {
		vst1q_s16(d, vmovl_s8(vld1_s8(s)));
		n -= 8;
		s += 8;
		d += 8;
	}
	for (; n; n--)
		*d++ = *s++;
}

/* Whole vectors: what follows in scratch is written later. */
static inline void dw_fill(int16_t *d, int8_t zero, size_t n)
{
	const int16x8_t v = vdupq_n_s16(zero);

	for (size_t i = 0; i < n; i += 8)
		vst1q_s16(d + i, v);
}

#include "engine/kernels/arm/dw_rows.h"

#define MAX_PX 6

/* GCC 12 keeps the lower halves of long-lived operands in registers of their own; hence assembly. */
NEON_INLINE void add_product(int32x4_t *sum, int16x8_t x, int16x8_t w)
{
	asm("smlal %0.4s, %1.4h, %2.4h" : "+w"(sum[0]) : "w"(x), "w"(w));
	sum[1] = vmlal_high_s16(sum[1], x, w);
}

/* Output rows of 8 channels: the window of the first pixel, and steps in elements. */
struct dw_run {
	const int16_t *x;
	size_t x_pixel, x_line, x_row; /* to the next column, input row, output row */
	int8_t *y;
	size_t y_pixel, y_row;
	uint32_t rows, pixels; /* pixels of a row */
};

/* px pixels, sw columns from one to the next, in windows of 3x3: w[3 * column + row]. Steps between
 * columns and lines are in bytes. */
NEON_INLINE void tile_3x3(const struct dw_lanes *l, const int16x8_t *w, const char *x,
			  const size_t *column, size_t line, int8_t *y, size_t y_pixel,
			  const int px, const int sw)
{
	int32x4_t sum[2 * MAX_PX];

	NEON_UNROLL
	for (int i = 0; i < px; i++) {
		sum[2 * i] = l->bias0;
		sum[2 * i + 1] = l->bias1;
	}
	NEON_UNROLL
	for (int r = 0; r < 3; r++, x += line) {
		NEON_UNROLL
		for (int j = 0; j < (px - 1) * sw + 3; j++) {
			const int16x8_t v = vld1q_s16((const void *)(x + column[j]));

			NEON_UNROLL
			for (int t = 0; t < 3; t++)
				if (j >= t && (j - t) % sw == 0 && (j - t) / sw < px)
					add_product(sum + (j - t) / sw * 2, v, w[t * 3 + r]);
		}
	}
	store_pixels(l, sum, y, y_pixel, px);
}

typedef void rows_fn(const struct dw_lanes *l, const int16_t *w, const struct dw_run *r);

#define ROWS(px, sw)                                                                         \
	NEON_FN static void rows_##px##_##sw(const struct dw_lanes *lanes, const int16_t *w, \
					     const struct dw_run *r)                         \
	{                                                                                    \
		const struct dw_lanes l = *lanes;                                            \
		const size_t line = r->x_line * 2, y_pixel = r->y_pixel;                     \
		size_t column[(px - 1) * sw + 3];                                            \
		int16x8_t wv[9];                                                             \
                                                                                             \
		NEON_UNROLL                                                                  \
		for (int i = 0; i < 9; i++)                                                  \
			wv[i] = vld1q_s16(w + 8 * i);                                        \
		NEON_UNROLL                                                                  \
		for (int i = 0; i < (px - 1) * sw + 3; i++) {                                \
			column[i] = (size_t)i * r->x_pixel * 2;                              \
			asm("" : "+r"(column[i])); /* else worked out for each load */       \
		}                                                                            \
		for (uint32_t k = 0; k < r->rows; k++) {                                     \
			const char *x = (const char *)(r->x + k * r->x_row);                 \
			int8_t *y = r->y + k * r->y_row;                                     \
                                                                                             \
			for (uint32_t n = r->pixels; n; n -= px) {                           \
				tile_3x3(&l, wv, x, column, line, y, y_pixel, px, sw);       \
				x += px * sw * r->x_pixel * 2;                               \
				y += px * y_pixel;                                           \
			}                                                                    \
		}                                                                            \
	}
#define ALL_ROWS(sw) ROWS(1, sw) ROWS(2, sw) ROWS(3, sw) ROWS(4, sw) ROWS(5, sw) ROWS(6, sw)
ALL_ROWS(1)
ALL_ROWS(2)
#undef ROWS
#define ROWS(px, sw) rows_##px##_##sw,
static rows_fn *const rows_3x3[2][MAX_PX] = {{ALL_ROWS(1)}, {ALL_ROWS(2)}};
#undef ROWS

/* Rows of @r, in tiles of as equal a width as can be: @some of one, then the rest of one less. */
static void rows_by_tiles(const struct dw_lanes *l, const int16_t *w, struct dw_run r, uint32_t sw)
{
	const uint32_t ow = r.pixels, tiles = (ow + MAX_PX - 1) / MAX_PX;
	const uint32_t less = ow / tiles, some = ow % tiles;

	if (some) {
		r.pixels = some * (less + 1);
		rows_3x3[sw - 1][less](l, w, &r);
		r.x += r.pixels * sw * r.x_pixel;
		r.y += r.pixels * r.y_pixel;
	}
	r.pixels = ow - some * (less + 1);
	rows_3x3[sw - 1][less - 1](l, w, &r); /* some < tiles: there is one at least */
}

/* Windows of any taps, a pixel at a time. */
static void rows_any(const struct ne_dw_image_s8 *a, const struct dw_lanes *l, const int16_t *w,
		     const struct dw_run *r, size_t step)
{
	for (uint32_t k = 0; k < r->rows; k++)
		for (uint32_t p = 0; p < r->pixels; p++) {
			const int16_t *x = r->x + k * r->x_row + p * step;
			int32x4_t sum[2] = {l->bias0, l->bias1};

			for (uint32_t g = 0; g < a->n_group; g++)
				add_product(sum, vld1q_s16(x + a->offset[g]), vld1q_s16(w + 8 * g));
			store_pixels(l, sum, r->y + k * r->y_row + p * r->y_pixel, 0, 1);
		}
}

static bool is_3x3(const struct ne_dw_image_s8 *a)
{
	const struct ne_image_rows *im = &a->im;

	if (a->n_group != 9 || a->planes > 1 || im->sw > 2 || im->rows != 3)
		return false;
	for (int32_t i = 0; i < 9; i++)
		if (a->offset[i] != (i % 3 * im->columns + i / 3) * (int32_t)a->c)
			return false;
	return true;
}

static void dw_chunk(const struct ne_dw_image_s8 *a, uint32_t first, uint32_t n, bool fast)
{
	const struct ne_image_rows *im = &a->im;
	struct dw_run r = {
		.x = a->scratch,
		.x_pixel = a->c,
		.x_line = (size_t)im->columns * a->c,
		.x_row = (size_t)im->sh * (size_t)im->columns * a->c,
		.y = a->y + (size_t)first * (size_t)im->ow * a->c,
		.y_pixel = a->c,
		.y_row = (size_t)im->ow * a->c,
		.rows = n,
		.pixels = (uint32_t)im->ow,
	};
	const int16_t *w = a->w;

	fill_rows(a, first, n);
	for (uint32_t c = 0; c < a->c; c += 8, w += 8 * a->n_group, r.x += 8, r.y += 8) {
		const struct dw_lanes l = lanes_of(a, c);

		if (fast)
			rows_by_tiles(&l, w, r, (uint32_t)im->sw);
		else
			rows_any(a, &l, w, &r, a->planes > 1 ? a->c : (size_t)im->sw * a->c);
	}
}

void ne_dw_image_s8_neon(const struct ne_dw_image_s8 *a)
{
	const bool fast = is_3x3(a);

	for (uint32_t first = a->first, left = a->n, n; left; first += n, left -= n) {
		n = NE_MIN(left, a->im.chunk);
		dw_chunk(a, first, n, fast);
	}
}
