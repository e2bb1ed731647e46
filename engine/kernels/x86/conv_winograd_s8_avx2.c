/* SPDX-License-Identifier: MIT */
/*
 * Convolution of 3x3, s8, AVX2, by Winograd's F(2x2, 3x3) in whole numbers (struct
 * ne_conv_winograd_s8): 16 products for 4 outputs instead of 36.
 *
 * Inputs of some rows of tiles are transformed to scratch, 16 points by tiles by channels. Then six
 * tiles by 16 output channels at a time: products of each point, whose sums stay in the first
 * cache, and from them the outputs.
 */
#include "engine/kernels/tile.h"
#include "engine/kernels/x86/requantise_256.h"

#define MOST_TILES 6u
#define TILE_LIST  TILES_6(2)

/* ---- inputs ---- */

/* Four input rows, NULL where padding is. */
struct rows {
	const int8_t *at[4];
	__m256i zero;
	int32_t w;
	uint32_t ic;
};

static inline __m256i load_input(const struct rows *r, int row, int32_t column, uint32_t c)
{
	const int8_t *x = r->at[row];

	if (!x || column < 0 || column >= r->w)
		return r->zero;
	x += (size_t)column * r->ic + c;
	return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)x));
}

/* d0 - d2, d1 + d2, d2 - d1, d1 - d3 */
static inline void transform(__m256i y[4], __m256i d0, __m256i d1, __m256i d2, __m256i d3)
{
	y[0] = _mm256_sub_epi16(d0, d2);
	y[1] = _mm256_add_epi16(d1, d2);
	y[2] = _mm256_sub_epi16(d2, d1);
	y[3] = _mm256_sub_epi16(d1, d3);
}

static inline void load_column(__m256i y[4], const struct rows *r, int32_t column, uint32_t c)
{
	transform(y, load_input(r, 0, column, c), load_input(r, 1, column, c),
		  load_input(r, 2, column, c), load_input(r, 3, column, c));
}

/* A row of @tiles tiles, whose first column is @left, 16 channels from @c, to @v. */
static void transform_row(const struct rows *r, int16_t *v, size_t point, int32_t left,
			  uint32_t tiles, uint32_t c)
{
	__m256i column[4][4];

	load_column(column[0], r, left, c);
	load_column(column[1], r, left + 1, c);
	for (uint32_t t = 0; t < tiles; t++, left += 2, v += r->ic) {
		load_column(column[2], r, left + 2, c);
		load_column(column[3], r, left + 3, c);
		for (int y = 0; y < 4; y++) {
			__m256i q[4];

			transform(q, column[0][y], column[1][y], column[2][y], column[3][y]);
			for (int x = 0; x < 4; x++)
				_mm256_store_si256(
					(__m256i *)(void *)(v + (size_t)(4 * y + x) * point), q[x]);
		}
		memcpy(column[0], column[2], sizeof(column[0]));
		memcpy(column[1], column[3], sizeof(column[1]));
	}
}

static void transform_inputs(const struct ne_conv_winograd_s8 *a, uint32_t first, uint32_t n)
{
	const struct ne_image_rows *im = &a->im;
	const uint32_t tiles = ne_winograd_tiles(im);
	const size_t point = (size_t)n * tiles * a->ic;
	int16_t *v = a->scratch;

	for (uint32_t t = 0; t < n; t++, v += (size_t)tiles * a->ic) {
		struct rows r = {.zero = _mm256_set1_epi16(im->zero), .w = im->w, .ic = a->ic};

		for (int32_t i = 0; i < 4; i++) {
			const int32_t y = (int32_t)(first + t) * 2 - im->top + i;

			r.at[i] = y < 0 || y >= im->h ? NULL
						      : a->x + (size_t)y * (size_t)im->w * a->ic;
		}
		for (uint32_t c = 0; c < a->ic; c += 16)
			transform_row(&r, v + c, point, -im->left, tiles, c);
	}
}

/* ---- products ---- */

/* Sums of a point: mr tiles by two blocks of 8 output channels. */
TILE_INLINE void point_any(__m256i *sum, const int16_t *v, const int16_t *w, uint32_t ic,
			   const int mr)
{
	__m256i acc[2 * MOST_TILES];

	TILE_UNROLL
	for (int i = 0; i < 2 * mr; i++)
		acc[i] = _mm256_setzero_si256();
	for (uint32_t k = 0; k < ic; k += 2, v += 2, w += 32) {
		const int16_t *const part[2] = {v, v + 3 * (size_t)ic};
		const __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)w);
		const __m256i w1 = _mm256_load_si256((const __m256i *)(const void *)(w + 16));

		TILE_UNROLL
		for (int i = 0; i < mr; i++) {
			const __m256i x =
				_mm256_set1_epi32(load_4(part[i / 3] + i % 3 * (size_t)ic));

			acc[2 * i] = _mm256_add_epi32(acc[2 * i], _mm256_madd_epi16(x, w0));
			acc[2 * i + 1] = _mm256_add_epi32(acc[2 * i + 1], _mm256_madd_epi16(x, w1));
		}
	}
	TILE_UNROLL
	for (int i = 0; i < 2 * mr; i++)
		sum[i] = acc[i];
}

typedef void point_fn(__m256i *sum, const int16_t *v, const int16_t *w, uint32_t ic);

#define TILE(mr, nb)                                                                    \
	TILE_NO_SPILL TILE_PLAIN static void point_##mr(__m256i *sum, const int16_t *v, \
							const int16_t *w, uint32_t ic)  \
	{                                                                               \
		point_any(sum, v, w, ic, mr);                                           \
	}
TILE_LIST
#undef TILE
#define TILE(mr, nb) [(mr)-1] = point_##mr,
static point_fn *const point_table[MOST_TILES] = {TILE_LIST};
#undef TILE

/* ---- outputs ---- */

struct sums {
	__m256i point[16][2 * MOST_TILES];
};

/* The four outputs of tile and block @i: bias + A' sums A / 4. */
static inline void outputs(__m256i y[4], const struct sums *s, uint32_t i, __m256i bias)
{
	__m256i upper[4], lower[4];

	for (int x = 0; x < 4; x++) {
		const __m256i m1 = s->point[4 + x][i], m2 = s->point[8 + x][i];

		upper[x] = _mm256_add_epi32(s->point[x][i], _mm256_add_epi32(m1, m2));
		lower[x] = _mm256_sub_epi32(_mm256_sub_epi32(m1, m2), s->point[12 + x][i]);
	}
	y[0] = _mm256_add_epi32(upper[0], _mm256_add_epi32(upper[1], upper[2]));
	y[1] = _mm256_sub_epi32(_mm256_sub_epi32(upper[1], upper[2]), upper[3]);
	y[2] = _mm256_add_epi32(lower[0], _mm256_add_epi32(lower[1], lower[2]));
	y[3] = _mm256_sub_epi32(_mm256_sub_epi32(lower[1], lower[2]), lower[3]);
	for (int k = 0; k < 4; k++)
		y[k] = _mm256_add_epi32(_mm256_srai_epi32(y[k], 2), bias);
}

/* Up to 16 output channels of the pixels @y and @y + @next; @two: both are there. */
static inline void store_two(int8_t *y, size_t next, __m256i q, uint32_t n, bool two)
{
	store_up_to_16(y, _mm256_castsi256_si128(q), n);
	if (two)
		store_up_to_16(y + next, _mm256_extracti128_si256(q, 1), n);
}

/* Tiles @tile to @tile + @mr - 1 of all, output channels @o to @o + 15. */
static void store_tiles(const struct ne_conv_winograd_s8 *a, const struct sums *s, uint32_t tile,
			uint32_t mr, uint32_t o)
{
	const uint32_t tiles = ne_winograd_tiles(&a->im), n = NE_MIN(16u, a->oc - o);
	const uint32_t second = n > 8 ? o + 8 : o; /* no more is there to be read */
	const struct requant to = requant_of_range(a->zp, a->lo, a->hi);
	const __m256 m0 = _mm256_load_ps(a->mult + o), m1 = _mm256_load_ps(a->mult + second);
	const __m256i b0 = _mm256_load_si256((const __m256i *)(const void *)(a->bias + o));
	const __m256i b1 = _mm256_load_si256((const __m256i *)(const void *)(a->bias + second));
	const __m256 mult[4] = {m0, m1, m0, m1};
	const size_t stride = a->y_stride;

	for (uint32_t i = 0; i < mr; i++) {
		const uint32_t row = (tile + i) / tiles * 2, column = (tile + i) % tiles * 2;
		const bool two = column + 1 < (uint32_t)a->im.ow;
		int8_t *y = a->y + ((size_t)row * (uint32_t)a->im.ow + column) * stride + o;
		__m256i y0[4], y1[4];

		outputs(y0, s, 2 * i, b0);
		outputs(y1, s, 2 * i + 1, b1);
		for (uint32_t r = 0; r < 2 && row + r < (uint32_t)a->im.oh; r++) {
			const __m256i v[4] = {y0[2 * r], y1[2 * r], y0[2 * r + 1], y1[2 * r + 1]};

			store_two(y + r * (size_t)(uint32_t)a->im.ow * stride, stride,
				  a->wide ? requantise(v, mult, &to, true)
					  : requantise(v, mult, &to, false),
				  n, two);
		}
	}
}

/* Rows of tiles @first to @first + @n - 1, whose inputs are in scratch. */
static void winograd_blocks(const struct ne_conv_winograd_s8 *a, uint32_t first, uint32_t n)
{
	const uint32_t tiles = ne_winograd_tiles(&a->im), all = n * tiles;
	const size_t w_point = a->w_point, v_point = (size_t)all * a->ic;
	struct sums s;

	for (uint32_t o = 0; o < a->oc; o += 16) {
		const int16_t *v = a->scratch, *w = a->w + o / 16 * 16 * w_point;
		uint32_t done = 0;

		for (uint32_t left = (all + MOST_TILES - 1) / MOST_TILES; left; left--) {
			const uint32_t mr = (all - done + left - 1) / left;

			for (uint32_t p = 0; p < 16; p++)
				point_table[mr - 1](s.point[p], v + p * v_point, w + p * w_point,
						    a->ic);
			store_tiles(a, &s, first * tiles + done, mr, o);
			done += mr;
			v += (size_t)mr * a->ic;
		}
	}
}

void ne_conv_winograd_s8_avx2(const struct ne_conv_winograd_s8 *a)
{
	const uint32_t ow = (uint32_t)a->im.ow;

	for (uint32_t first = a->first, left = a->n, n; left; first += n, left -= n) {
		n = NE_MIN(left, a->im.chunk);
		transform_inputs(a, first, n);
		winograd_blocks(a, first, n);
		if (ne_adds_s8(&a->add)) {
			const uint32_t rows = NE_MIN(2 * n, (uint32_t)a->im.oh - 2 * first);

			ne_sum_s8(&a->add, a->y, (size_t)2 * first * ow * a->oc,
				  (size_t)rows * ow * a->oc, ne_add_s8_avx2);
		}
	}
}
