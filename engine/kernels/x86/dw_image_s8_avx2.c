/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution over whole rows of an image, s8, AVX2: two taps of a channel at once by
 * vpmaddwd on s16.
 */
#include "engine/kernels/x86/util.h"

#define DW_TAPS  2
#define DW_LANES 16u
typedef int16_t dw_x;
typedef int16_t dw_w;
typedef __m256i dw_vec;

static inline dw_x dw_of(int8_t v)
{
	return v;
}

static inline __m256i dw_load(const dw_x *x)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)x);
}

static inline __m256i dw_load_w(const dw_w *w)
{
	return _mm256_load_si256((const __m256i *)(const void *)w);
}

static inline __m256i dw_load_sum(const int32_t *s)
{
	return _mm256_load_si256((const __m256i *)(const void *)s);
}

static inline void dw_interleave(__m256i v[2], const __m256i t[2])
{
	v[0] = _mm256_unpacklo_epi16(t[0], t[1]);
	v[1] = _mm256_unpackhi_epi16(t[0], t[1]);
}

static inline __m256i dw_dot(__m256i acc, __m256i x, __m256i w)
{
	return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

struct dw_requant {
	__m256 top;
	__m256i zp, lo, hi;
};

static inline struct dw_requant dw_requant_of(const struct ne_dw_image_s8 *a)
{
	return (struct dw_requant){
		.top = _mm256_set1_ps((float)(a->hi - a->zp)),
		.zp = _mm256_set1_epi16((int16_t)a->zp),
		.lo = _mm256_set1_epi8((int8_t)a->lo),
		.hi = _mm256_set1_epi8((int8_t)a->hi),
	};
}

/* Saturation clamps as the real number would be, but for products past s32 (wide). */
static inline __attribute__((always_inline)) __m256i
dw_round(const struct dw_requant *to, __m256i acc, const float *mult, const bool wide)
{
	const __m256 r = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_load_ps(mult));

	return _mm256_cvtps_epi32(wide ? _mm256_min_ps(r, to->top) : r);
}

static inline __attribute__((always_inline)) void dw_store(const struct dw_requant *to, int8_t *y,
							   const __m256i acc[2], const float *mult,
							   uint32_t n, const bool wide)
{
	const __m256i a = dw_round(to, acc[0], mult, wide),
		      b = dw_round(to, acc[1], mult + 8, wide);
	__m256i q = _mm256_adds_epi16(_mm256_packs_epi32(a, b), to->zp);

	q = _mm256_permute4x64_epi64(_mm256_packs_epi16(q, q), 0x08);
	q = _mm256_min_epi8(_mm256_max_epi8(q, to->lo), to->hi);
	store_up_to_16(y, _mm256_castsi256_si128(q), n);
}

static inline void dw_fill(int16_t *d, int8_t zero, size_t n)
{
	const __m256i v = _mm256_set1_epi16(dw_of(zero));

	for (size_t i = 0; i < n; i += 16)
		_mm256_storeu_si256((__m256i *)(void *)(d + i), v);
}

static inline void dw_convert(int16_t *d, const int8_t *s, size_t n)
{
	for (; n >= 16; n -= 16, s += 16, d += 16)
		_mm256_storeu_si256(
			(__m256i *)(void *)d,
			_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)s)));
	if (n)
		_mm256_storeu_si256((__m256i *)(void *)d,
				    _mm256_cvtepi8_epi16(load_up_to_16(s, (uint32_t)n)));
}

static inline void dw_convert_8(int16_t *d, const int8_t *s)
{
	_mm_storeu_si128((__m128i *)(void *)d,
			 _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)s)));
}

#include "engine/kernels/x86/dw_image.h"

void ne_dw_image_s8_avx2(const struct ne_dw_image_s8 *a)
{
	dw_image(a);
}
