/* SPDX-License-Identifier: MIT */
/* Inputs as unsigned bytes, 128 more, for 256-bit kernels: tile_gather() of conv_tile.h. */
#include "engine/kernels/x86/util.h"

static inline void tile_gather(uint8_t *d, const int8_t *s, uint32_t n)
{
	const __m128i sign = _mm_set1_epi8(-128);
	const __m128i index = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

	for (; n > 32; n -= 32, s += 32, d += 32)
		_mm256_storeu_si256(
			(__m256i *)(void *)d,
			_mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)s),
					 _mm256_set1_epi8(-128)));
	for (; n >= 16; n -= 16, s += 16, d += 16)
		_mm_storeu_si128(
			(__m128i *)(void *)d,
			_mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)s), sign));
	if (n) { /* +128 only where there is input: the rest counts as zero */
		const __m128i valid = _mm_cmpgt_epi8(_mm_set1_epi8((char)n), index);

		_mm_storeu_si128((__m128i *)(void *)d,
				 _mm_add_epi8(load_up_to_16(s, n), _mm_and_si128(valid, sign)));
	}
}
