/* SPDX-License-Identifier: MIT */
/*
 * What the 256-bit s8 convolutions share: requantising and storing a tile whose vectors are 8
 * output channels each. Included before conv_tile.h.
 */
#include "engine/kernels/x86/util.h"

/* Four vectors to 32 bytes, 8 for each in turn. Only the upper clamp is needed in float: what is
 * below s32 converts to INT32_MIN, and saturating packs and adds keep it lowest. */
static inline __m256i requantise(const __m256i v[4], const __m256 mult[4], __m256 hi, __m256i zp,
				 __m256i lo)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i q[4];

	for (int i = 0; i < 4; i++)
		q[i] = _mm256_cvtps_epi32(
			_mm256_min_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(v[i]), mult[i]), hi));
	q[0] = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), zp);
	q[2] = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), zp);
	q[0] = _mm256_max_epi8(_mm256_packs_epi16(q[0], q[2]), lo);
	return _mm256_permutevar8x32_epi32(q[0], order);
}

static inline __attribute__((always_inline)) void tile_store(const struct ne_conv_s8 *a,
							     const __m256i *acc, const int mr,
							     const int nb, uint32_t p, uint32_t o)
{
	const uint32_t left = a->oc - o - (uint32_t)(nb - 1) * 8, tail = NE_MIN(left, 8u);
	const __m256 hi = _mm256_set1_ps((float)(a->hi - a->zp));
	const __m256i zp = _mm256_set1_epi16((int16_t)a->zp), lo = _mm256_set1_epi8((int8_t)a->lo);
	int8_t *y = a->y + p * a->y_stride + o;

#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 8
#endif
	for (int i = 0; i < mr * nb; i += 4) {
		const int last = mr * nb - 1;
		const int j[4] = {i, NE_MIN(i + 1, last), NE_MIN(i + 2, last), NE_MIN(i + 3, last)};
		const __m256i v[4] = {acc[j[0]], acc[j[1]], acc[j[2]], acc[j[3]]};
		const float *m = a->mult + o;
		const __m256 mult[4] = {
			_mm256_load_ps(m + j[0] % nb * 8), _mm256_load_ps(m + j[1] % nb * 8),
			_mm256_load_ps(m + j[2] % nb * 8), _mm256_load_ps(m + j[3] % nb * 8)};
		const __m256i q = requantise(v, mult, hi, zp, lo);

#define STORE(k)                                                               \
	if (i + (k) <= last)                                                   \
	store_up_to_8(y + ((i + (k)) / nb) * a->y_stride + (i + (k)) % nb * 8, \
		      (uint64_t)_mm256_extract_epi64(q, k), (i + (k)) % nb == nb - 1 ? tail : 8)
		STORE(0);
		STORE(1);
		STORE(2);
		STORE(3);
#undef STORE
	}
}
