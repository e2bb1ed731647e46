/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution of 3x3, s8, AVX2 (struct ne_dw_square_s8): 8 channels of up to four pixels
 * at once. The rows of a pair lie in scratch element by element, so that vpmaddwd adds two taps of
 * a column without shuffling; each input is widened and interleaved once, not for every tap.
 */
#include "engine/kernels/tile.h"
#include "engine/kernels/x86/requantise_256.h"

#define MOST_PIXELS 4u

/* ---- to scratch ---- */

/* @n elements of padding; may write 8 elements beyond. */
static void fill(int16_t *d, int8_t zero, size_t n)
{
	const __m256i v = _mm256_set1_epi16(zero);

	for (size_t i = 0; i < n; i += 8)
		_mm256_storeu_si256((__m256i *)(void *)(d + 2 * i), v);
}

static inline void put_16(int16_t *d, __m128i a, __m128i b)
{
	_mm256_storeu_si256((__m256i *)(void *)d, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b)));
	_mm256_storeu_si256((__m256i *)(void *)(d + 16),
			    _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(a, b)));
}

static inline __m128i take(const int8_t *x, size_t i, uint32_t n, __m128i zero)
{
	return x ? load_up_to_16(x + i, n) : zero;
}

/* @n elements of two rows in turn; NULL is padding. May write 16 elements beyond. */
static void interleave(int16_t *d, const int8_t *a, const int8_t *b, size_t n, int8_t zero)
{
	const __m128i z = _mm_set1_epi8(zero);
	size_t i = 0;

	for (; i + 16 <= n; i += 16)
		put_16(d + 2 * i, take(a, i, 16, z), take(b, i, 16, z));
	if (i < n)
		put_16(d + 2 * i, take(a, i, (uint32_t)(n - i), z),
		       take(b, i, (uint32_t)(n - i), z));
}

/* 32 channels of @pixels pixels, from pixels of @c to pixels of 32. */
static void interleave_32(int16_t *d, const int8_t *a, const int8_t *b, size_t pixels, size_t c)
{
	for (; pixels; pixels--, a += c, b += c, d += 64) {
		put_16(d, load_up_to_16(a, 16), load_up_to_16(b, 16));
		put_16(d + 32, load_up_to_16(a + 16, 16), load_up_to_16(b + 16, 16));
	}
}

static const int8_t *row_at(const struct ne_dw_square_s8 *a, int32_t row)
{
	return row < 0 || row >= a->im.h ? NULL : a->x + (size_t)row * (size_t)a->im.w * a->c;
}

/* Channels @c to @c + @n - 1 of input rows @row and the next. */
static void fill_pair(const struct ne_dw_square_s8 *a, int16_t *d, int32_t row, uint32_t c,
		      uint32_t n)
{
	const struct ne_image_rows *im = &a->im;
	const int32_t left = NE_MIN(im->left, im->columns);
	const int32_t inside = NE_MIN(im->w, im->columns - left);
	const int8_t *upper = row_at(a, row), *lower = row_at(a, row + 1);

	fill(d, im->zero, (size_t)left * im->pixel);
	d += (size_t)left * im->pixel * 2;
	if (im->pixel == a->c)
		interleave(d, upper, lower, (size_t)inside * a->c, im->zero);
	else if (n == 32 && im->pixel == 32 && upper && lower)
		interleave_32(d, upper + c, lower + c, (size_t)inside, a->c);
	else
		for (int32_t i = 0; i < inside; i++) {
			const size_t at = (size_t)i * a->c + c;

			interleave(d + (size_t)i * im->pixel * 2, upper ? upper + at : NULL,
				   lower ? lower + at : NULL, n, im->zero);
		}
	d += (size_t)inside * im->pixel * 2;
	fill(d, im->zero, (size_t)(im->columns - left - inside) * im->pixel);
}

/* ---- a block of 8 channels ---- */

/* What is the same for all pixels of a row. */
struct part {
	const int16_t *w;
	__m256i bias;
	__m256 mult;
	struct requant to;
	size_t pair, column, pixel; /* elements from one to the next in scratch */
	size_t y_row, y_pixel;
	uint32_t channels; /* that are stored, 1 to 8 */
};

TILE_INLINE void store_four(int8_t *const y[4], __m256i q, uint32_t n, int count)
{
	const __m128i lower = _mm256_castsi256_si128(q), upper = _mm256_extracti128_si256(q, 1);

	TILE_UNROLL
	for (int i = 0; i < 4; i++) {
		const __m128i v = i < 2 ? lower : upper;

		if (i >= count)
			continue;
		if (n < 8)
			store_up_to_8(
				y[i],
				(uint64_t)_mm_cvtsi128_si64(i % 2 ? _mm_unpackhi_epi64(v, v) : v),
				n);
		else if (i % 2)
			_mm_storeh_pi((__m64 *)(void *)y[i], _mm_castsi128_ps(v));
		else
			_mm_storel_epi64((__m128i *)(void *)y[i], v);
	}
}

/*
 * @px pixels of @rows output rows, of which @kept are stored. Columns are a loop of their own: GCC
 * would put off the additions of longer code and spill the products.
 */
TILE_INLINE void square_any(const struct part *p, const int16_t *x, int8_t *y, const int px,
			    const int rows, const int kept, const bool wide)
{
	const __m256 mult[4] = {p->mult, p->mult, p->mult, p->mult};
	const int16_t *w = p->w, *end = w + 3 * 2 * rows * 16;
	const size_t pair = p->pair, column = p->column, pixel = p->pixel;
	__m256i acc[2 * MOST_PIXELS];

	TILE_UNROLL
	for (int i = 0; i < rows * px; i++)
		acc[i] = p->bias;
#pragma GCC unroll 1
	for (; w < end; w += 2 * rows * 16, x += column) {
		TILE_UNROLL
		for (int t = 0; t < 2 * px; t++) {
			const int16_t *at = x + t / px * pair + t % px * pixel;
			const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)at);

			TILE_UNROLL
			for (int r = 0; r < rows; r++) {
				const int16_t *wt = w + (t / px * rows + r) * 16;
				const __m256i wv =
					_mm256_load_si256((const __m256i *)(const void *)wt);

				acc[r * px + t % px] = _mm256_add_epi32(acc[r * px + t % px],
									_mm256_madd_epi16(v, wv));
			}
		}
	}
	TILE_UNROLL
	for (int i = 0; i < kept * px; i += 4) {
		const int last = kept * px - 1;
		const int j[4] = {i, NE_MIN(i + 1, last), NE_MIN(i + 2, last), NE_MIN(i + 3, last)};
		const __m256i v[4] = {acc[j[0]], acc[j[1]], acc[j[2]], acc[j[3]]};
		int8_t *to[4];

		TILE_UNROLL
		for (int k = 0; k < 4; k++)
			to[k] = y + (size_t)(j[k] / px) * p->y_row +
				(size_t)(j[k] % px) * p->y_pixel;
		store_four(to, requantise(v, mult, &p->to, wide), p->channels, last - i + 1);
	}
}

typedef void square_fn(const struct part *p, const int16_t *x, int8_t *y);

#define SQUARE_PX(name, px, rows, kept, wide)                                       \
	TILE_NO_SPILL TILE_PLAIN static __attribute__((noinline)) void name##_##px( \
		const struct part *p, const int16_t *x, int8_t *y)                  \
	{                                                                           \
		square_any(p, x, y, px, rows, kept, wide);                          \
	}
#define SQUARE(name, rows, kept, wide)       \
	SQUARE_PX(name, 1, rows, kept, wide) \
	SQUARE_PX(name, 2, rows, kept, wide) \
	SQUARE_PX(name, 3, rows, kept, wide) \
	SQUARE_PX(name, 4, rows, kept, wide) \
	static square_fn *const name[] = {name##_1, name##_2, name##_3, name##_4};
SQUARE(square_1, 1, 1, false)
SQUARE(square_1_wide, 1, 1, true)
SQUARE(square_2, 2, 2, false)
SQUARE(square_2_wide, 2, 2, true)
SQUARE(square_2_last, 2, 1, true)

/* @n pixels: as many fours as go, but no one left alone. */
static void square_row(square_fn *const fn[], const struct part *p, const int16_t *x, int8_t *y,
		       uint32_t n)
{
	while (n) {
		const uint32_t px = n == 5 ? 3 : NE_MIN(n, MOST_PIXELS);

		fn[px - 1](p, x, y);
		x += px * p->pixel;
		y += px * p->y_pixel;
		n -= px;
	}
}

/* The block of 8 channels from @c on, which lies at @x in scratch. */
static void square_block(const struct ne_dw_square_s8 *a, const int16_t *x, uint32_t c,
			 uint32_t first, uint32_t n)
{
	const uint32_t step = a->im.sh == 1 ? 2 : 1, ow = (uint32_t)a->im.ow;
	const struct part p = {
		.w = a->w + (size_t)c / 8 * 6 * step * 16,
		.bias = _mm256_load_si256((const __m256i *)(const void *)(a->bias + c)),
		.mult = _mm256_load_ps(a->mult + c),
		.to = requant_of_range(a->zp, a->lo, a->hi),
		.pair = (size_t)a->im.columns * a->im.pixel * 2,
		.column = (size_t)a->im.pixel * 2,
		.pixel = (size_t)a->im.sw * a->im.pixel * 2,
		.y_row = (size_t)ow * a->c,
		.y_pixel = a->c,
		.channels = NE_MIN(8u, a->c - c),
	};
	int8_t *y = a->y + first * p.y_row + c;

	for (uint32_t r = 0; r < n; r += step, x += p.pair, y += step * p.y_row) {
		square_fn *const *fn = step == 1    ? a->wide ? square_1_wide : square_1
				       : n - r == 1 ? square_2_last
				       : a->wide    ? square_2_wide
						    : square_2;

		square_row(fn, &p, x, y, ow);
	}
}

/* Output rows @first to @first + @n - 1, channels @c to @c + @channels - 1. */
static void square_chunk(const struct ne_dw_square_s8 *a, uint32_t first, uint32_t n, uint32_t c,
			 uint32_t channels)
{
	const int32_t top = (int32_t)first * a->im.sh - a->im.top;
	const size_t pair = (size_t)a->im.columns * a->im.pixel * 2;
	int16_t *scratch = a->scratch;

	for (int32_t r = 0; r < (int32_t)(n - 1) * a->im.sh + 3; r += 2)
		fill_pair(a, scratch + (size_t)(r / 2) * pair, top + r, c, channels);
	for (uint32_t i = 0; i < channels; i += 8)
		square_block(a, scratch + i * 2, c + i, first, n);
}

void ne_dw_square_s8_avx2(const struct ne_dw_square_s8 *a)
{
	for (uint32_t first = a->first, left = a->n, n; left; first += n, left -= n) {
		n = NE_MIN(left, a->im.chunk);
		for (uint32_t c = 0; c < a->c; c += a->im.pixel)
			square_chunk(a, first, n, c, NE_MIN(a->im.pixel, a->c - c));
	}
}
