/* SPDX-License-Identifier: MIT */
/*
 * What the 256-bit s8 convolutions share: requantising and storing a tile whose vectors are 8
 * output channels each. Included before conv_tile.h or conv_image.h; the includer defines tile_args,
 * and TILE_IS_WIDE(a): whether a product may pass 2^31.
 */
#include "engine/kernels/x86/requantise_256.h"

/* Vectors i to i + 3 of a tile, in @q, to their places, all of them whole. */
static inline __attribute__((always_inline)) void store_whole(int8_t *y, size_t stride, __m256i q,
							      int i, const int mr, const int nb)
{
	const __m128i half[2] = {_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)};

#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 4
#endif
	for (int u = 0; u < 4; u++) {
		int8_t *to = y + (size_t)((i + u) / nb) * stride + (i + u) % nb * 8;

		if (i + u >= mr * nb)
			continue;
		if (nb == 2 && u % 2 == 0)
			_mm_storeu_si128((__m128i *)(void *)to, half[u / 2]);
		else if (nb != 2 && u % 2)
			_mm_storeh_pi((__m64 *)(void *)to, _mm_castsi128_ps(half[u / 2]));
		else if (nb != 2)
			_mm_storel_epi64((__m128i *)(void *)to, half[u / 2]);
	}
}

/* The same where the last block has but @left channels. */
static inline __attribute__((always_inline)) void
store_apart(int8_t *y, size_t stride, __m256i q, int i, const int mr, const int nb, uint32_t left)
{
#define STORE(k)                                                                  \
	if (i + (k) < mr * nb)                                                    \
	store_up_to_8(y + (size_t)((i + (k)) / nb) * stride + (i + (k)) % nb * 8, \
		      (uint64_t)_mm256_extract_epi64(q, k), (i + (k)) % nb == nb - 1 ? left : 8)
	STORE(0);
	STORE(1);
	STORE(2);
	STORE(3);
#undef STORE
}

static inline __attribute__((always_inline)) void store_tile(const tile_args *a, const __m256i *acc,
							     const int mr, const int nb, uint32_t p,
							     uint32_t o, const bool wide)
{
	const uint32_t left = a->oc - o - (uint32_t)(nb - 1) * 8; /* of the last block */
	const bool dense = a->oc == a->y_stride && !o && a->oc == (uint32_t)nb * 8;
	const struct requant to = requant_of_range(a->zp, a->lo, a->hi);
	const size_t y_stride = a->y_stride;
	const float *m = a->mult + o;
	int8_t *y = a->y + p * y_stride + o;

#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 8
#endif
	for (int i = 0; i < mr * nb; i += 4) {
		const int last = mr * nb - 1;
		const int j[4] = {i, NE_MIN(i + 1, last), NE_MIN(i + 2, last), NE_MIN(i + 3, last)};
		const __m256i v[4] = {acc[j[0]], acc[j[1]], acc[j[2]], acc[j[3]]};
		const __m256 mult[4] = {
			_mm256_load_ps(m + j[0] % nb * 8), _mm256_load_ps(m + j[1] % nb * 8),
			_mm256_load_ps(m + j[2] % nb * 8), _mm256_load_ps(m + j[3] % nb * 8)};
		const __m256i q = requantise(v, mult, &to, wide);

		if (dense && i + 4 <= mr * nb) {
			_mm256_storeu_si256((__m256i *)(void *)(y + i * 8), q);
			continue;
		}
		if (left >= 8)
			store_whole(y, y_stride, q, i, mr, nb);
		else
			store_apart(y, y_stride, q, i, mr, nb, left);
	}
}

static inline __attribute__((always_inline)) void tile_store(const tile_args *a, const __m256i *acc,
							     const int mr, const int nb, uint32_t p,
							     uint32_t o)
{
	if (TILE_IS_WIDE(a))
		store_tile(a, acc, mr, nb, p, o, true);
	else
		store_tile(a, acc, mr, nb, p, o, false);
}
