/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution over rows of an image, s8, NEON with dot product: lanes 16, taps 4. The rows
 * of a column of a window are interleaved, so that one dot product adds all of them; an interleaved
 * column serves every pixel of a tile whose window it is in, and both rows of a pair. 8 channels at
 * a time, whose weights stay in registers where windows are 3x3, by far the most.
 */
#include "engine/kernels/arm/store_s8.h"

typedef int8_t dw_x;

static inline void dw_copy(int8_t *d, const int8_t *s, size_t n)
{
	memcpy(d, s, n);
}

static inline void dw_fill(int8_t *d, int8_t zero, size_t n)
{
	memset(d, zero, n);
}

#include "engine/kernels/arm/dw_rows.h"

#define MAX_PX 3

/* 4 taps of 8 channels: channels 0 to 3, 4 to 7, all taps of each side by side. */
NEON_INLINE void interleave(int8x16_t *t, const int8_t *x0, const int8_t *x1, const int8_t *x2,
			    const int8_t *x3)
{
	const int8x8_t no = vdup_n_s8(0);
	const int16x8_t a = vreinterpretq_s16_s8(
		vzip1q_s8(vcombine_s8(vld1_s8(x0), no), vcombine_s8(vld1_s8(x1), no)));
	const int16x8_t b = vreinterpretq_s16_s8(
		vzip1q_s8(vcombine_s8(vld1_s8(x2), no), vcombine_s8(vld1_s8(x3), no)));

	t[0] = vreinterpretq_s8_s16(vzip1q_s16(a, b));
	t[1] = vreinterpretq_s8_s16(vzip2q_s16(a, b));
}

/* Output rows of 8 channels: the window of the first pixel, and steps in elements. */
struct dw_run {
	const int8_t *x;
	size_t x_pixel, x_line, x_row; /* to the next column, input row, (pair of) output row(s) */
	const int8_t *w;
	size_t w_group;
	int8_t *y;
	size_t y_pixel, y_row;
	uint32_t rows, pixels; /* (pairs of) rows; pixels of one */
};

/* px pixels of `pair` rows, 1 or 2; sw columns from one to the next. w[(3 * row + column) * 2]. */
NEON_INLINE void tile_3x3(const struct dw_lanes *l, const int8x16_t *w, const int8_t *const *line,
			  const size_t *column, int8_t *y, size_t y_pixel, size_t y_row,
			  const int px, const int pair, const int sw)
{
	int32x4_t sum[2][2 * MAX_PX];

	NEON_UNROLL
	for (int r = 0; r < pair; r++) {
		NEON_UNROLL
		for (int i = 0; i < px; i++) {
			sum[r][2 * i] = l->bias0;
			sum[r][2 * i + 1] = l->bias1;
		}
	}
	NEON_UNROLL
	for (int j = 0; j < (px - 1) * sw + 3; j++) {
		int8x16_t t[2];

		interleave(t, line[0] + column[j], line[1] + column[j], line[2] + column[j],
			   line[pair + 1] + column[j]);
		NEON_UNROLL
		for (int k = 0; k < 3; k++) {
			const int i = (j - k) / sw;

			if (j < k || (j - k) % sw || i >= px)
				continue;
			NEON_UNROLL
			for (int r = 0; r < pair; r++) {
				int32x4_t *s = sum[r] + 2 * i;

				s[0] = vdotq_s32(s[0], t[0], w[(3 * r + k) * 2]);
				s[1] = vdotq_s32(s[1], t[1], w[(3 * r + k) * 2 + 1]);
			}
		}
	}
	store_pixels(l, sum[0], y, y_pixel, px);
	if (pair == 2)
		store_pixels(l, sum[1], y + y_row, y_pixel, px);
}

typedef void rows_fn(const struct dw_lanes *l, const struct dw_run *r);

#define ROWS(px, pair, sw)                                                                      \
	NEON_FN static void rows_##px##_##pair##_##sw(const struct dw_lanes *lanes,             \
						      const struct dw_run *run)                 \
	{                                                                                       \
		const struct dw_lanes l = *lanes;                                               \
		const struct dw_run r = *run;                                                   \
		size_t column[(px - 1) * sw + 3];                                               \
		int8x16_t wv[6 * pair];                                                         \
                                                                                                \
		NEON_UNROLL                                                                     \
		for (int i = 0; i < 6 * pair; i++)                                              \
			wv[i] = vld1q_s8(r.w + (size_t)(i / 2 % 3) * r.w_group + i / 6 * 64 +   \
					 i % 2 * 16);                                           \
		NEON_UNROLL                                                                     \
		for (int i = 0; i < (px - 1) * sw + 3; i++) {                                   \
			column[i] = (size_t)i * r.x_pixel;                                      \
			asm("" : "+r"(column[i])); /* else worked out for each load */          \
		}                                                                               \
		for (uint32_t k = 0; k < r.rows; k++) {                                         \
			const int8_t *x = r.x + k * pair * r.x_row;                             \
			const int8_t *line[4] = {x, x + r.x_line, x + 2 * r.x_line,             \
						 x + 3 * r.x_line};                             \
			int8_t *y = r.y + k * pair * r.y_row;                                   \
                                                                                                \
			for (uint32_t n = r.pixels; n; n -= px) {                               \
				tile_3x3(&l, wv, line, column, y, r.y_pixel, r.y_row, px, pair, \
					 sw);                                                   \
				NEON_UNROLL                                                     \
				for (int i = 0; i < 4; i++)                                     \
					line[i] += px * sw * r.x_pixel;                         \
				y += px * r.y_pixel;                                            \
			}                                                                       \
		}                                                                               \
	}
#define ALL_ROWS(pair, sw) ROWS(1, pair, sw) ROWS(2, pair, sw) ROWS(3, pair, sw)
ALL_ROWS(2, 1)
ALL_ROWS(1, 1)
ALL_ROWS(1, 2)
#undef ROWS
#define ROWS(px, pair, sw) rows_##px##_##pair##_##sw,
static rows_fn *const pairs_3x3[MAX_PX] = {ALL_ROWS(2, 1)};
static rows_fn *const rows_3x3[2][MAX_PX] = {{ALL_ROWS(1, 1)}, {ALL_ROWS(1, 2)}};
#undef ROWS

/* In tiles of as equal a width as can be: @some of one, then the rest of one less. */
static void rows_by_tiles(const struct dw_lanes *l, rows_fn *const *fn, struct dw_run r,
			  uint32_t sw)
{
	const uint32_t ow = r.pixels, tiles = (ow + MAX_PX - 1) / MAX_PX;
	const uint32_t less = ow / tiles, some = ow % tiles;

	if (some) {
		r.pixels = some * (less + 1);
		fn[less](l, &r);
		r.x += r.pixels * sw * r.x_pixel;
		r.y += r.pixels * r.y_pixel;
	}
	r.pixels = ow - some * (less + 1);
	fn[less - 1](l, &r); /* some < tiles: there is one at least */
}

/* Windows of any taps, a pixel at a time, @pair rows of which @kept are stored. */
static void rows_any(const struct ne_dw_image_s8 *a, const struct dw_lanes *l,
		     const struct dw_run *r, size_t step, const int pair, int kept)
{
	for (uint32_t p = 0; p < r->pixels; p++) {
		const int8_t *x = r->x + p * step, *w = r->w;
		int32x4_t sum[2][2] = {{l->bias0, l->bias1}, {l->bias0, l->bias1}};

		for (uint32_t g = 0; g < a->n_group; g++, w += r->w_group) {
			const int32_t *o = a->offset + 4 * g;
			int8x16_t t[2];

			interleave(t, x + o[0], x + o[1], x + o[2], x + o[3]);
			for (int i = 0; i < pair; i++) {
				sum[i][0] = vdotq_s32(sum[i][0], t[0], vld1q_s8(w + 64 * i));
				sum[i][1] = vdotq_s32(sum[i][1], t[1], vld1q_s8(w + 64 * i + 16));
			}
		}
		for (int i = 0; i < kept; i++)
			store_pixels(l, sum[i], r->y + (size_t)i * r->y_row + p * r->y_pixel, 0, 1);
	}
}

static bool is_3x3(const struct ne_dw_image_s8 *a)
{
	const struct ne_image_rows *im = &a->im;

	if (a->n_group != 3 || a->planes > 1 || im->sw > 2 || im->rows != 3 ||
	    (a->pair && im->sw != 1))
		return false;
	for (int32_t i = 0; i < 12; i++)
		if (i % 4 < 3 && a->offset[i] != (i % 4 * im->columns + i / 4) * (int32_t)a->c)
			return false;
	return true;
}

/* 8 channels of @n output rows. */
static void dw_channels(const struct ne_dw_image_s8 *a, const struct dw_lanes *l, struct dw_run r,
			uint32_t n, bool fast)
{
	const size_t step = a->planes > 1 ? a->c : (size_t)a->im.sw * a->c;
	const uint32_t pairs = a->pair ? n / 2 : 0;

	if (fast) {
		r.rows = pairs;
		if (pairs)
			rows_by_tiles(l, pairs_3x3, r, 1);
		r.x += 2 * pairs * r.x_row;
		r.y += 2 * pairs * r.y_row;
		r.rows = n - 2 * pairs;
		if (r.rows)
			rows_by_tiles(l, rows_3x3[a->im.sw - 1], r, (uint32_t)a->im.sw);
		return;
	}
	for (uint32_t k = 0; k < n; k += a->pair ? 2 : 1) {
		if (a->pair)
			rows_any(a, l, &r, step, 2, k + 1 < n ? 2 : 1);
		else
			rows_any(a, l, &r, step, 1, 1);
		r.x += (a->pair ? 2 : 1) * r.x_row;
		r.y += (a->pair ? 2 : 1) * r.y_row;
	}
}

static void dw_chunk(const struct ne_dw_image_s8 *a, uint32_t first, uint32_t n, bool fast)
{
	const struct ne_image_rows *im = &a->im;
	const size_t vectors = a->pair ? 8 : 4; /* of a group's weights, 16 bytes each */
	struct dw_run r = {
		.x_pixel = a->c,
		.x_line = (size_t)im->columns * a->c,
		.x_row = (size_t)im->sh * (size_t)im->columns * a->c,
		.w_group = vectors * 16,
		.y_pixel = a->c,
		.y_row = (size_t)im->ow * a->c,
		.pixels = (uint32_t)im->ow,
	};

	fill_rows(a, first, n);
	for (uint32_t c = 0; c < a->c; c += 8) {
		const struct dw_lanes l = lanes_of(a, c);

		r.x = (const int8_t *)a->scratch + c;
		r.y = a->y + (size_t)first * r.y_row + c;
		r.w = (const int8_t *)a->w + c / 16 * a->n_group * r.w_group + c % 16 * 4;
		dw_channels(a, &l, r, n, fast);
	}
}

void ne_dw_image_s8_dotprod(const struct ne_dw_image_s8 *a)
{
	const bool fast = is_3x3(a);

	for (uint32_t first = a->first, left = a->n, n; left; first += n, left -= n) {
		n = NE_MIN(left, a->im.chunk);
		dw_chunk(a, first, n, fast);
	}
}
