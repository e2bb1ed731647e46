/* SPDX-License-Identifier: MIT */
/* Values of interleaved rANS, AVX-512: sixteen states a vector. */
#include "engine/kernels/x86/util.h"

/* A value of each of sixteen states to @y; returns the words that they took. */
static inline uint32_t step(const uint32_t *slot, uint32_t bits, __m512i *state,
			    const uint8_t *word, int8_t *y)
{
	const __m128i shift = _mm_cvtsi32_si128((int)bits);
	const __m512i mask = _mm512_set1_epi32((int)((1u << bits) - 1));
	const __m512i s = _mm512_i32gather_epi32(_mm512_and_si512(*state, mask), slot, 4);
	const __m512i rest = _mm512_srl_epi32(*state, shift);
	const __m512i f = _mm512_and_si512(_mm512_srli_epi32(s, 8), _mm512_set1_epi32(0xfff));
	const __m512i x = _mm512_add_epi32(_mm512_mullo_epi32(f, rest),
					   _mm512_add_epi32(rest, _mm512_srli_epi32(s, 20)));
	const __mmask16 low = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32((int)NE_RANS32_LOW));
	const __m512i words =
		_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)word));

	_mm_storeu_si128((__m128i *)(void *)y, _mm512_cvtepi32_epi8(s));
	*state = _mm512_mask_or_epi32(x, low, _mm512_slli_epi32(x, 16),
				      _mm512_maskz_expand_epi32(low, words));
	return (uint32_t)__builtin_popcount(low);
}

void ne_rans32_avx512vnni(struct ne_rans32 *a)
{
	const uint32_t *slot = a->slot, bits = a->bits;
	const uint8_t *word = a->word, *end = word + 2 * a->words;
	int8_t *y = a->y, *stop = y + a->n;
	__m512i state[2];

	for (int v = 0; v < 2; v++)
		state[v] = _mm512_loadu_si512(a->state + 16 * v);
	for (; stop - y >= (ptrdiff_t)NE_RANS32 && end - word >= 2 * (ptrdiff_t)NE_RANS32;
	     y += NE_RANS32)
		for (int v = 0; v < 2; v++)
			word += 2 * step(slot, bits, &state[v], word, y + 16 * v);
	for (int v = 0; v < 2; v++)
		_mm512_storeu_si512(a->state + 16 * v, state[v]);
	a->word = word;
	a->words = (size_t)(end - word) / 2;
	a->y = y;
	a->n = (size_t)(stop - y);
}
