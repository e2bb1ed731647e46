/* SPDX-License-Identifier: MIT */
/*
 * Dense layers of one row, s8, AVX-512 VNNI. Each weight is used once, so all is about reading them
 * as fast as they come: four blocks of 16 output channels are read side by side, straight into the
 * dot product, in two sets of sums that do not wait for each other.
 */
typedef struct ne_conv_s8 tile_args;
#define TILE_IS_WIDE(a) true
#include "engine/kernels/x86/tile_s8_avx512.h"

#define DENSE_NB 4 /* more are more streams than the hardware fetches ahead well */

static inline __m512i dense_x(const int8_t *x)
{
	return _mm512_xor_si512(_mm512_set1_epi32(load_4(x)), _mm512_set1_epi8(-128));
}

/* The last 1 to 3 inputs; what is missing counts as zero. */
static inline __m512i dense_tail(const int8_t *x, uint32_t n)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < n; i++)
		v |= (uint32_t)(uint8_t)(x[i] ^ -128) << (8 * i);
	return _mm512_set1_epi32((int32_t)v);
}

/* Four blocks of sums to 64 outputs. */
static inline __m512i dense_requantise(const __m512i *acc, const float *mult,
				       const struct requant *to)
{
	const __m512i order =
		_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	const __m512 m[4] = {_mm512_load_ps(mult), _mm512_load_ps(mult + 16),
			     _mm512_load_ps(mult + 32), _mm512_load_ps(mult + 48)};

	return _mm512_permutexvar_epi32(order, requantise(acc, m, to, true));
}

/* @nb blocks from @block: 4 or 1. */
static inline __attribute__((always_inline)) void
dense_blocks(const struct ne_conv_s8 *a, const int8_t *x, int8_t *y, uint32_t block, const int nb)
{
	const size_t stride = a->w_block_stride;
	const int8_t *w = a->w + block * stride;
	const float *mult = a->mult + block * 16;
	const uint32_t left = a->oc - block * 16;
	const struct requant to = requant_of(a);
	uint32_t n = a->ic;
	__m512i even[DENSE_NB], odd[DENSE_NB];

#pragma GCC unroll 4
	for (int v = 0; v < nb; v++) {
		even[v] = _mm512_load_si512(a->bias + block * 16 + v * 16);
		odd[v] = _mm512_setzero_si512();
	}
	for (; n >= 8; n -= 8, x += 8, w += 128) {
		const __m512i x0 = dense_x(x), x1 = dense_x(x + 4);

#pragma GCC unroll 4
		for (int v = 0; v < nb; v++) {
			const int8_t *wv = w + v * stride;

			even[v] = _mm512_dpbusd_epi32(even[v], x0, _mm512_load_si512(wv));
			odd[v] = _mm512_dpbusd_epi32(odd[v], x1, _mm512_load_si512(wv + 64));
		}
	}
	for (; n; n -= n < 4 ? n : 4, x += 4, w += 64) {
		const __m512i xv = n < 4 ? dense_tail(x, n) : dense_x(x);

#pragma GCC unroll 4
		for (int v = 0; v < nb; v++)
			even[v] =
				_mm512_dpbusd_epi32(even[v], xv, _mm512_load_si512(w + v * stride));
	}
#pragma GCC unroll 4
	for (int v = 0; v < nb; v++)
		even[v] = _mm512_add_epi32(even[v], odd[v]);
	y += block * 16;
	if (nb == 1) {
		const __m512i all[4] = {even[0], even[0], even[0], even[0]};
		const __m512 m = _mm512_load_ps(mult), four[4] = {m, m, m, m};
		const __m512i order =
			_mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
		const __m512i q = _mm512_permutexvar_epi32(order, requantise(all, four, &to, true));

		_mm_mask_storeu_epi8(y, left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1),
				     _mm512_castsi512_si128(q));
		return;
	}
	_mm512_mask_storeu_epi8(y, left >= 64 ? ~0ull : (1ull << left) - 1,
				dense_requantise(even, mult, &to));
}

void ne_dense_s8_avx512vnni(const struct ne_conv_s8 *a, const int8_t *x, int8_t *y, uint32_t first,
			    uint32_t n)
{
	for (; n >= DENSE_NB; n -= DENSE_NB, first += DENSE_NB)
		dense_blocks(a, x, y, first, DENSE_NB);
	for (; n; n--, first++)
		dense_blocks(a, x, y, first, 1);
}
