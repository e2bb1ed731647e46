/* SPDX-License-Identifier: MIT */
/*
 * Dense layers of one row, s8, AVX-512 VNNI. Each weight is used once, so all is about reading them
 * as fast as they come from the second cache: eight blocks of 16 output channels are read side by side,
 * straight into the dot product. Inputs are loaded 64 at a time and spread by shuffles, for loads are
 * what there are too few of: a weight that comes from the second cache takes two turns of them.
 */
typedef struct ne_conv_s8 tile_args;
#define TILE_IS_WIDE(a) true
#include "engine/kernels/x86/tile_s8_avx512.h"

#define DENSE_NB 8 /* of the widest tile */

/* Sums of @nb blocks are kept in as many sets that do not wait for each other. */
#define DENSE_WAYS(nb) ((nb) == 8 ? 1 : (nb) == 4 ? 2 : 4)

static inline __m512i dense_flip(__m512i x)
{
	return _mm512_xor_si512(x, _mm512_set1_epi8(-128));
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

/* Step @k: four inputs, in all lanes. */
static inline __attribute__((always_inline)) void
dense_step(__m512i *acc, __m512i x, const int8_t *w, size_t stride, const int nb, const int k)
{
	acc += k % DENSE_WAYS(nb) * nb;
#pragma GCC unroll 8
	for (int v = 0; v < nb; v++)
		acc[v] = _mm512_dpbusd_epi32(acc[v], x, _mm512_load_si512(w + v * stride));
}

/* 16 inputs, in all 128-bit lanes. */
static inline __attribute__((always_inline)) void
dense_quad(__m512i *acc, __m512i x, const int8_t *w, size_t stride, const int nb)
{
	dense_step(acc, _mm512_shuffle_epi32(x, 0x00), w, stride, nb, 0);
	dense_step(acc, _mm512_shuffle_epi32(x, 0x55), w + 64, stride, nb, 1);
	dense_step(acc, _mm512_shuffle_epi32(x, 0xaa), w + 128, stride, nb, 2);
	dense_step(acc, _mm512_shuffle_epi32(x, 0xff), w + 192, stride, nb, 3);
}

/* Sums of four blocks to the first @n of 64 outputs. */
static inline void dense_store(int8_t *y, const __m512i *acc, const float *mult,
			       const struct requant *to, uint32_t n)
{
	const __m512i q = dense_requantise(acc, mult, to);

	if (n >= 64)
		_mm512_storeu_si512(y, q);
	else
		_mm512_mask_storeu_epi8(y, (1ull << n) - 1, q);
}

/* The same of one block. */
static inline void dense_store_16(int8_t *y, __m512i acc, const float *mult,
				  const struct requant *to, uint32_t n)
{
	const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
	const __m512i all[4] = {acc, acc, acc, acc};
	const __m512 m = _mm512_load_ps(mult), four[4] = {m, m, m, m};
	const __m512i q = _mm512_permutexvar_epi32(order, requantise(all, four, to, true));

	store_16(y, _mm512_castsi512_si128(q), n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1));
}

/* @nb blocks from @block: 8, 4 or 1. */
static inline __attribute__((always_inline)) void
dense_blocks(const struct ne_conv_s8 *a, const int8_t *x, int8_t *y, uint32_t block, const int nb)
{
	const size_t stride = a->w_block_stride;
	const int8_t *w = a->w + block * stride;
	const float *mult = a->mult + block * 16;
	const uint32_t left = a->oc - block * 16;
	const struct requant to = requant_of(a);
	uint32_t n = a->ic;
	__m512i acc[DENSE_NB];

	for (int v = 0; v < nb * DENSE_WAYS(nb); v++)
		acc[v] = v < nb ? _mm512_load_si512(a->bias + block * 16 + v * 16)
				: _mm512_setzero_si512();
	for (; n >= 64; n -= 64, x += 64, w += 1024) {
		const __m512i v = dense_flip(_mm512_loadu_si512(x));

		dense_quad(acc, _mm512_shuffle_i32x4(v, v, 0x00), w, stride, nb);
		dense_quad(acc, _mm512_shuffle_i32x4(v, v, 0x55), w + 256, stride, nb);
		dense_quad(acc, _mm512_shuffle_i32x4(v, v, 0xaa), w + 512, stride, nb);
		dense_quad(acc, _mm512_shuffle_i32x4(v, v, 0xff), w + 768, stride, nb);
	}
	for (; n >= 4; n -= 4, x += 4, w += 64)
		dense_step(acc, dense_flip(_mm512_set1_epi32(load_4(x))), w, stride, nb, 0);
	if (n)
		dense_step(acc, dense_tail(x, n), w, stride, nb, 0);
	for (int v = nb; v < nb * DENSE_WAYS(nb); v++)
		acc[v % nb] = _mm512_add_epi32(acc[v % nb], acc[v]);
	y += block * 16;
	if (nb == 1) {
		dense_store_16(y, acc[0], mult, &to, left);
		return;
	}
	dense_store(y, acc, mult, &to, left);
	if (nb == 8)
		dense_store(y + 64, acc + 4, mult + 64, &to, left - 64);
}

void ne_dense_s8_avx512vnni(const struct ne_conv_s8 *a, const int8_t *x, int8_t *y, uint32_t first,
			    uint32_t n)
{
	for (; n >= 8; n -= 8, first += 8)
		dense_blocks(a, x, y, first, 8);
	for (; n >= 4; n -= 4, first += 4)
		dense_blocks(a, x, y, first, 4);
	for (; n; n--, first++)
		dense_blocks(a, x, y, first, 1);
}
