/* SPDX-License-Identifier: MIT */
/* Requantisation of s32 sums to s8, 256-bit vectors. */
#include "engine/kernels/x86/util.h"

/* What requantising takes, in registers: bytes that are stored may alias the arguments. */
struct requant {
	__m256 top;
	__m256i zp, lo, hi;
};

static inline struct requant requant_of_range(int32_t zp, int32_t lo, int32_t hi)
{
	return (struct requant){
		.top = _mm256_set1_ps((float)(hi - zp)),
		.zp = _mm256_set1_epi16((int16_t)zp),
		.lo = _mm256_set1_epi8((int8_t)lo),
		.hi = _mm256_set1_epi8((int8_t)hi),
	};
}

/*
 * Four vectors to 32 bytes, 8 for each in turn. Saturating packs and adds clamp as the real number
 * would be, but for products past s32 (wide), which convert to INT32_MIN: right for negative ones,
 * so only the upper side is clamped in float.
 */
static inline __attribute__((always_inline)) __m256i
requantise(const __m256i v[4], const __m256 mult[4], const struct requant *to, const bool wide)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i q[4];

	for (int i = 0; i < 4; i++) {
		const __m256 r = _mm256_mul_ps(_mm256_cvtepi32_ps(v[i]), mult[i]);

		q[i] = _mm256_cvtps_epi32(wide ? _mm256_min_ps(r, to->top) : r);
	}
	q[0] = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), to->zp);
	q[2] = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), to->zp);
	q[0] = _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(q[0], q[2]), to->lo), to->hi);
	return _mm256_permutevar8x32_epi32(q[0], order);
}
