/* SPDX-License-Identifier: MIT */
/* Sums of weights, AVX2: as unsigned bytes (128 more), and their magnitudes, eight bytes at once. */
#include "engine/kernels/x86/util.h"

static inline int64_t sum_64(__m256i v)
{
	const __m128i two =
		_mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	return _mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1);
}

/* The least of unsigned bytes. */
static inline int32_t least_u8(__m256i v)
{
	const __m128i a = _mm_min_epu8(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
	const __m128i words = _mm_min_epu8(a, _mm_srli_epi16(a, 8));

	return _mm_extract_epi16(_mm_minpos_epu16(words), 0) & 0xff;
}

void ne_sums_s8_avx2(struct ne_sums *s, const int8_t *x, size_t n)
{
	const __m256i zero = _mm256_setzero_si256(), sign = _mm256_set1_epi8(-128);
	__m256i sum = zero, magnitude = zero, least = _mm256_set1_epi8(-1);
	const size_t whole = n / 32 * 32;

	for (size_t i = 0; i < whole; i += 32) {
		const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
		const __m256i u = _mm256_xor_si256(v, sign);

		sum = _mm256_add_epi64(sum, _mm256_sad_epu8(u, zero));
		magnitude = _mm256_add_epi64(magnitude, _mm256_sad_epu8(_mm256_abs_epi8(v), zero));
		least = _mm256_min_epu8(least, u);
	}
	if (whole) {
		s->sum += sum_64(sum) - 128 * (int64_t)whole;
		s->magnitude += sum_64(magnitude);
		s->least = NE_MIN(s->least, least_u8(least) - 128);
	}
	ne_sums_s8_c(s, x + whole, n - whole);
}
