/* SPDX-License-Identifier: MIT */
/* Depthwise convolution over whole rows of an image, s8, AVX-VNNI. */
#include "engine/kernels/x86/util.h"

#define DW_TAPS  4
#define DW_LANES 32u
typedef uint8_t dw_x;
typedef int8_t dw_w;
typedef __m256i dw_vec;

static inline dw_x dw_of(int8_t v)
{
	return (uint8_t)(v + 128);
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

static inline void dw_interleave(__m256i v[4], const __m256i t[4])
{
	const __m256i a = _mm256_unpacklo_epi8(t[0], t[1]), b = _mm256_unpackhi_epi8(t[0], t[1]);
	const __m256i c = _mm256_unpacklo_epi8(t[2], t[3]), d = _mm256_unpackhi_epi8(t[2], t[3]);

	v[0] = _mm256_unpacklo_epi16(a, c);
	v[1] = _mm256_unpackhi_epi16(a, c);
	v[2] = _mm256_unpacklo_epi16(b, d);
	v[3] = _mm256_unpackhi_epi16(b, d);
}

static inline __m256i dw_dot(__m256i acc, __m256i x, __m256i w)
{
	return _mm256_dpbusd_avx_epi32(acc, x, w);
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
							   const __m256i acc[4], const float *mult,
							   uint32_t n, const bool wide)
{
	__m256i q[4];

	for (int i = 0; i < 4; i++)
		q[i] = dw_round(to, acc[i], mult + 8 * i, wide);
	q[0] = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), to->zp);
	q[2] = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), to->zp);
	q[0] = _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(q[0], q[2]), to->lo), to->hi);
	if (n == 32) {
		_mm256_storeu_si256((__m256i *)(void *)y, q[0]);
		return;
	}
	store_up_to_16(y, _mm256_castsi256_si128(q[0]), NE_MIN(n, 16u));
	if (n > 16)
		store_up_to_16(y + 16, _mm256_extracti128_si256(q[0], 1), n - 16);
}

static inline void dw_fill(uint8_t *d, int8_t zero, size_t n)
{
	const __m256i v = _mm256_set1_epi8((char)dw_of(zero));

	for (size_t i = 0; i < n; i += 32)
		_mm256_storeu_si256((__m256i *)(void *)(d + i), v);
}

static inline void dw_convert(uint8_t *d, const int8_t *s, size_t n)
{
	const __m128i sign = _mm_set1_epi8(-128);

	for (; n >= 16; n -= 16, s += 16, d += 16)
		_mm_storeu_si128(
			(__m128i *)(void *)d,
			_mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)s), sign));
	if (n)
		_mm_storeu_si128((__m128i *)(void *)d,
				 _mm_xor_si128(load_up_to_16(s, (uint32_t)n), sign));
}

static inline void dw_convert_8(uint8_t *d, const int8_t *s)
{
	const uint64_t v = load_8(s) ^ 0x8080808080808080u;

	memcpy(d, &v, sizeof(v));
}

#include "engine/kernels/x86/dw_image.h"

void ne_dw_image_s8_avxvnni(const struct ne_dw_image_s8 *a)
{
	dw_image(a);
}
