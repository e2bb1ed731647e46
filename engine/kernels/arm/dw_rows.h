/* SPDX-License-Identifier: MIT */
/*
 * What the s8 depthwise convolutions over rows of an image share on arm64: bringing rows to scratch,
 * and storing tiles of pixels, 8 channels of each. Includers define dw_x, an element of scratch, and
 * dw_copy(d, s, n), which converts n inputs, and dw_fill(d, zero, n).
 */
#include "engine/kernels/arm/store_s8.h"

/* ---- to scratch ---- */

/* A row whose columns lie as planes: of few channels, and none may be overwritten. */
static void fill_planes(const struct ne_dw_image_s8 *a, dw_x *d, const int8_t *x, int32_t inside)
{
	const int32_t planes = (int32_t)a->planes, plane = a->im.columns / planes;

	for (int32_t column = 0; column < a->im.columns; column++) {
		dw_x *to = d + (size_t)(column % planes * plane + column / planes) * a->c;
		const int32_t from = column - a->im.left;

		for (uint32_t i = 0; i < a->c; i++)
			to[i] = from < 0 || from >= inside ? a->im.zero
							   : x[(size_t)from * a->c + i];
	}
}

static void fill_row(const struct ne_dw_image_s8 *a, dw_x *d, int32_t row)
{
	const struct ne_image_rows *im = &a->im;
	const int32_t left = NE_MIN(im->left, im->columns);
	const int32_t inside = NE_MIN(im->w, im->columns - left);
	const bool in = row >= 0 && row < im->h;
	const int8_t *x = in ? a->x + (size_t)row * (size_t)im->w * a->c : a->x;

	if (!in) {
		dw_fill(d, im->zero, (size_t)im->columns * a->c);
	} else if (a->planes > 1) {
		fill_planes(a, d, x, inside);
	} else {
		dw_fill(d, im->zero, (size_t)left * a->c);
		d += (size_t)left * a->c;
		dw_copy(d, x, (size_t)inside * a->c);
		d += (size_t)inside * a->c;
		dw_fill(d, im->zero, (size_t)(im->columns - left - inside) * a->c);
	}
}

/* The input rows of @n output rows from @first. */
static void fill_rows(const struct ne_dw_image_s8 *a, uint32_t first, uint32_t n)
{
	const struct ne_image_rows *im = &a->im;
	const int32_t top = (int32_t)first * im->sh - im->top;
	const int32_t rows = (int32_t)(n - 1) * im->sh + im->rows;
	dw_x *d = a->scratch;

	for (int32_t r = 0; r < rows; r++, d += (size_t)im->columns * a->c)
		if (r % im->sh < im->rows) /* rows between windows are skipped */
			fill_row(a, d, top + r);
}

/* ---- from sums to outputs ---- */

/* Of 8 channels; the last ones of the convolution may be fewer. */
struct dw_lanes {
	int32x4_t bias0, bias1;
	float32x4_t mult0, mult1;
	struct requant q;
	uint32_t n;
};

static inline struct dw_lanes lanes_of(const struct ne_dw_image_s8 *a, uint32_t c)
{
	return (struct dw_lanes){
		.bias0 = vld1q_s32(a->bias + c),
		.bias1 = vld1q_s32(a->bias + c + 4),
		.mult0 = vld1q_f32(a->mult + c),
		.mult1 = vld1q_f32(a->mult + c + 4),
		.q = requant_of(a->zp, a->lo, a->hi),
		.n = NE_MIN(a->c - c, 8u),
	};
}

/* Two outputs of 8 channels at once. */
NEON_INLINE int8x16_t requant_two(const struct dw_lanes *l, const int32x4_t *s0,
				  const int32x4_t *s1)
{
	const int16x8_t a = vqaddq_s16(scale_8(s0[0], s0[1], l->mult0, l->mult1), l->q.zp);
	const int16x8_t b = vqaddq_s16(scale_8(s1[0], s1[1], l->mult0, l->mult1), l->q.zp);

	return vminq_s8(vmaxq_s8(vqmovn_high_s16(vqmovn_s16(a), b), l->q.lo), l->q.hi);
}

/* px pixels of two sums each. */
NEON_INLINE void store_pixels(const struct dw_lanes *l, const int32x4_t *sum, int8_t *y,
			      size_t y_pixel, const int px)
{
	if (l->n < 8) {
		NEON_UNROLL
		for (int i = 0; i < px; i++)
			store_up_to_8(
				y + (size_t)i * y_pixel,
				requant_8(&l->q, sum[2 * i], sum[2 * i + 1], l->mult0, l->mult1),
				l->n);
		return;
	}
	NEON_UNROLL
	for (int i = 0; i + 1 < px; i += 2) {
		const int8x16_t v = requant_two(l, sum + 2 * i, sum + 2 * i + 2);

		vst1_s8(y, vget_low_s8(v));
		y += y_pixel;
		vst1_s8(y, vget_high_s8(v));
		y += y_pixel;
	}
	if (px % 2)
		vst1_s8(y, requant_8(&l->q, sum[2 * px - 2], sum[2 * px - 1], l->mult0, l->mult1));
}
