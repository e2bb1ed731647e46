/* SPDX-License-Identifier: MIT */
/*
 * Maximum and average pooling, s8: 16 channels at a time, the last in part. Written with SSE4.1's
 * intrinsics; a file of each instruction set defines NE_SET(operator), the name of its kernel, and
 * includes this one, so that it is compiled with that set's encoding.
 */
#include "engine/kernels/x86/util.h"

static inline __attribute__((always_inline)) void
maximum(const struct ne_pool_s8 *a, const int32_t *ind, uint32_t c, int8_t *y, const uint32_t n)
{
	__m128i max = _mm_set1_epi8(INT8_MIN);

	for (uint32_t t = 0; t < a->taps; t++)
		if (ind[t] >= 0)
			max = _mm_max_epi8(max, load_up_to_16(a->x + ind[t] + c, n));
	max = _mm_max_epi8(max, _mm_set1_epi8((int8_t)a->lo));
	store_up_to_16(y, _mm_min_epi8(max, _mm_set1_epi8((int8_t)a->hi)), n);
}

void NE_SET(maxpool_s8)(const struct ne_pool_s8 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;
		int8_t *y = a->y + p * a->y_stride;
		uint32_t c = 0;

		for (; a->c - c >= 16; c += 16)
			maximum(a, ind, c, y + c, 16);
		if (c < a->c)
			maximum(a, ind, c, y + c, a->c - c);
	}
}

#define SUM_TAPS 255u /* so many s8 fit a sum of s16 */

static inline __m128i scale(__m128i acc, __m128i zero, __m128 mult, __m128 offset, __m128 hi)
{
	const __m128 r = _mm_mul_ps(_mm_cvtepi32_ps(_mm_sub_epi32(acc, zero)), mult);

	return _mm_cvtps_epi32(_mm_min_ps(_mm_add_ps(r, offset), hi));
}

static inline __attribute__((always_inline)) void average(const struct ne_pool_s8 *a,
							  const int32_t *ind, uint32_t c, float m,
							  int8_t *y, const uint32_t n)
{
	const __m128 mult = _mm_set1_ps(m), hi = _mm_set1_ps((float)(a->hi - a->zp));
	const __m128 offset = _mm_set1_ps(a->offset);
	const __m128i zp = _mm_set1_epi16((int16_t)a->zp);
	__m128i acc[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(),
			  _mm_setzero_si128()};
	__m128i q[4], zero;
	int32_t valid = 0;

	for (uint32_t t = 0; t < a->taps;) {
		const uint32_t end = NE_MIN(a->taps - t, SUM_TAPS) + t;
		__m128i lo16 = _mm_setzero_si128(), hi16 = lo16;

		for (; t < end; t++) {
			if (ind[t] < 0)
				continue;
			const __m128i x = load_up_to_16(a->x + ind[t] + c, n);

			lo16 = _mm_add_epi16(lo16, _mm_cvtepi8_epi16(x));
			hi16 = _mm_add_epi16(hi16, _mm_cvtepi8_epi16(_mm_srli_si128(x, 8)));
			valid++;
		}
		acc[0] = _mm_add_epi32(acc[0], _mm_cvtepi16_epi32(lo16));
		acc[1] = _mm_add_epi32(acc[1], _mm_cvtepi16_epi32(_mm_srli_si128(lo16, 8)));
		acc[2] = _mm_add_epi32(acc[2], _mm_cvtepi16_epi32(hi16));
		acc[3] = _mm_add_epi32(acc[3], _mm_cvtepi16_epi32(_mm_srli_si128(hi16, 8)));
	}
	zero = _mm_set1_epi32(valid * a->zx);
	for (int k = 0; k < 4; k++)
		q[k] = scale(acc[k], zero, mult, offset, hi);
	q[0] = _mm_adds_epi16(_mm_packs_epi32(q[0], q[1]), zp);
	q[2] = _mm_adds_epi16(_mm_packs_epi32(q[2], q[3]), zp);
	store_up_to_16(y, _mm_max_epi8(_mm_packs_epi16(q[0], q[2]), _mm_set1_epi8((int8_t)a->lo)),
		       n);
}

void NE_SET(avgpool_s8)(const struct ne_pool_s8 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;
		int8_t *y = a->y + p * a->y_stride;
		uint32_t c = 0;

		for (; a->c - c >= 16; c += 16)
			average(a, ind, c, a->mult[p], y + c, 16);
		if (c < a->c)
			average(a, ind, c, a->mult[p], y + c, a->c - c);
	}
}
