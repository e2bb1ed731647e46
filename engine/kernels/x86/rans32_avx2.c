/* SPDX-License-Identifier: MIT */
/* Values of interleaved rANS, AVX2: eight states a vector. */
#include "engine/kernels/x86/util.h"

/* rank[m][i]: how many bits of m are set below bit i, which is the word that lane i takes. */
#define RANK(m, i) (uint8_t) __builtin_popcount((m) & ((1u << (i)) - 1))
#define ROW(m)                                                                          \
	{                                                                               \
		RANK(m, 0), RANK(m, 1), RANK(m, 2), RANK(m, 3), RANK(m, 4), RANK(m, 5), \
			RANK(m, 6), RANK(m, 7)                                          \
	}
#define ROWS_4(m)  ROW(m), ROW((m) + 1), ROW((m) + 2), ROW((m) + 3)
#define ROWS_16(m) ROWS_4(m), ROWS_4((m) + 4), ROWS_4((m) + 8), ROWS_4((m) + 12)
#define ROWS_64(m) ROWS_16(m), ROWS_16((m) + 16), ROWS_16((m) + 32), ROWS_16((m) + 48)
static const uint8_t rank[256][8] = {ROWS_64(0u), ROWS_64(64u), ROWS_64(128u), ROWS_64(192u)};

/* A value of each of eight states to @y; returns the words that they took. */
static inline uint32_t step(const uint32_t *slot, uint32_t bits, __m256i *state,
			    const uint8_t *word, int8_t *y)
{
	const __m128i shift = _mm_cvtsi32_si128((int)bits);
	const __m256i mask = _mm256_set1_epi32((int)((1u << bits) - 1));
	const __m256i bytes = _mm256_set1_epi32(0x0c080400);
	const __m256i s = _mm256_i32gather_epi32((const int *)(const void *)slot,
						 _mm256_and_si256(*state, mask), 4);
	const __m256i rest = _mm256_srl_epi32(*state, shift);
	const __m256i f = _mm256_and_si256(_mm256_srli_epi32(s, 8), _mm256_set1_epi32(0xfff));
	const __m256i x = _mm256_add_epi32(_mm256_mullo_epi32(f, rest),
					   _mm256_add_epi32(rest, _mm256_srli_epi32(s, 20)));
	const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
	const uint32_t m = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(low));
	const __m256i words =
		_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)word));
	const __m256i own = _mm256_permutevar8x32_epi32(
		words, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)load_8(rank[m]))));
	const __m256i values = _mm256_shuffle_epi8(s, bytes);

	_mm_storel_epi64((__m128i *)(void *)y,
			 _mm_unpacklo_epi32(_mm256_castsi256_si128(values),
					    _mm256_extracti128_si256(values, 1)));
	*state = _mm256_blendv_epi8(x, _mm256_or_si256(_mm256_slli_epi32(x, 16), own), low);
	return (uint32_t)__builtin_popcount(m);
}

void ne_rans32_avx2(struct ne_rans32 *a)
{
	const uint32_t *slot = a->slot, bits = a->bits;
	const uint8_t *word = a->word, *end = word + 2 * a->words;
	int8_t *y = a->y, *stop = y + a->n;
	__m256i state[4];

	for (int v = 0; v < 4; v++)
		state[v] = _mm256_loadu_si256((const __m256i *)(const void *)(a->state + 8 * v));
	for (; stop - y >= (ptrdiff_t)NE_RANS32 && end - word >= 2 * (ptrdiff_t)NE_RANS32;
	     y += NE_RANS32)
		for (int v = 0; v < 4; v++)
			word += 2 * step(slot, bits, &state[v], word, y + 8 * v);
	for (int v = 0; v < 4; v++)
		_mm256_storeu_si256((__m256i *)(void *)(a->state + 8 * v), state[v]);
	a->word = word;
	a->words = (size_t)(end - word) / 2;
	a->y = y;
	a->n = (size_t)(stop - y);
}
