/* SPDX-License-Identifier: MIT */
/* Depthwise convolution over whole rows of an image, s8, AVX-512 VNNI. */
#include "engine/kernels/x86/util.h"

#define DW_TAPS  4
#define DW_LANES 64u
typedef uint8_t dw_x;
typedef int8_t dw_w;
typedef __m512i dw_vec;

static inline uint8_t dw_of(int8_t v)
{
	return (uint8_t)(v + 128);
}

static inline __m512i dw_load(const uint8_t *x)
{
	return _mm512_loadu_si512(x);
}

static inline __m512i dw_load_w(const int8_t *w)
{
	return _mm512_load_si512(w);
}

static inline __m512i dw_load_sum(const int32_t *s)
{
	return _mm512_load_si512(s);
}

static inline void dw_interleave(__m512i v[4], const __m512i t[4])
{
	const __m512i a = _mm512_unpacklo_epi8(t[0], t[1]), b = _mm512_unpackhi_epi8(t[0], t[1]);
	const __m512i c = _mm512_unpacklo_epi8(t[2], t[3]), d = _mm512_unpackhi_epi8(t[2], t[3]);

	v[0] = _mm512_unpacklo_epi16(a, c);
	v[1] = _mm512_unpackhi_epi16(a, c);
	v[2] = _mm512_unpacklo_epi16(b, d);
	v[3] = _mm512_unpackhi_epi16(b, d);
}

static inline __m512i dw_dot(__m512i acc, __m512i x, __m512i w)
{
	return _mm512_dpbusd_epi32(acc, x, w);
}

struct dw_requant {
	__m512 top;
	__m512i zp, lo, hi;
};

static inline struct dw_requant dw_requant_of(const struct ne_dw_image_s8 *a)
{
	return (struct dw_requant){
		.top = _mm512_set1_ps((float)(a->hi - a->zp)),
		.zp = _mm512_set1_epi16((int16_t)a->zp),
		.lo = _mm512_set1_epi8((int8_t)a->lo),
		.hi = _mm512_set1_epi8((int8_t)a->hi),
	};
}

/* Saturation clamps as the real number would be, but for products past s32 (wide). */
static inline __attribute__((always_inline)) void dw_store(const struct dw_requant *to, int8_t *y,
							   const __m512i acc[4], const float *mult,
							   uint32_t n, const bool wide)
{
	__m512i q[4];

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		const __m512 r =
			_mm512_mul_ps(_mm512_cvtepi32_ps(acc[i]), _mm512_load_ps(mult + 16 * i));

		q[i] = _mm512_cvtps_epi32(wide ? _mm512_min_ps(r, to->top) : r);
	}
	q[0] = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), to->zp);
	q[2] = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), to->zp);
	q[0] = _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(q[0], q[2]), to->lo), to->hi);
	if (n == 64)
		_mm512_storeu_si512(y, q[0]);
	else
		_mm512_mask_storeu_epi8(y, ~0ull >> (64 - n), q[0]);
}

static inline void dw_fill(uint8_t *d, int8_t zero, size_t n)
{
	const __m512i v = _mm512_set1_epi8((char)dw_of(zero));

	for (size_t i = 0; i < n; i += 64)
		_mm512_storeu_si512(d + i, v);
}

static inline void dw_convert(uint8_t *d, const int8_t *s, size_t n)
{
	const __m512i sign = _mm512_set1_epi8(-128);

	for (; n >= 64; n -= 64, s += 64, d += 64)
		_mm512_storeu_si512(d, _mm512_xor_si512(_mm512_loadu_si512(s), sign));
	if (n) {
		const __mmask64 mask = ~0ull >> (64 - n);

		_mm512_storeu_si512(d, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, s), sign));
	}
}

static inline void dw_convert_8(uint8_t *d, const int8_t *s)
{
	const uint64_t v = load_8(s) ^ 0x8080808080808080u;

	memcpy(d, &v, sizeof(v));
}

/* Pixels of 8, 16 or 32 channels: two vectors at a time. */
#define DW_SPLIT
static inline uint32_t dw_split(uint8_t *even, uint8_t *odd, const int8_t *s, uint32_t c,
				uint32_t pixels)
{
	const __m512i sign = _mm512_set1_epi8(-128);
	const __m512i count = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
	const uint32_t step = c ? 128 / c : 0;
	__m512i first, second;
	uint32_t done = 0;

	if (c != 8 && c != 16 && c != 32)
		return 0;
	/* 8-byte words 0, 2, 4, ... where c is 8; 0, 1, 4, 5, ... where 16; 0 to 3, 8 to 11: 32 */
	first = c == 8    ? _mm512_slli_epi64(count, 1)
		: c == 16 ? _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13)
			  : _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11);
	second = _mm512_add_epi64(first, _mm512_set1_epi64(c / 8));
	for (; done + step <= pixels; done += step, s += 128, even += 64, odd += 64) {
		const __m512i a = _mm512_xor_si512(_mm512_loadu_si512(s), sign);
		const __m512i b = _mm512_xor_si512(_mm512_loadu_si512(s + 64), sign);

		_mm512_storeu_si512(even, _mm512_permutex2var_epi64(a, first, b));
		_mm512_storeu_si512(odd, _mm512_permutex2var_epi64(a, second, b));
	}
	return done;
}

#include "engine/kernels/x86/dw_image.h"

void ne_dw_image_s8_avx512vnni(const struct ne_dw_image_s8 *a)
{
	dw_image(a);
}
