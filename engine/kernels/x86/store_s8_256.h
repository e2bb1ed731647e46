/* SPDX-License-Identifier: MIT */
/*
 * What the 256-bit s8 convolutions share: requantising and storing a tile whose vectors are 8
 * output channels each. Included before conv_tile.h or conv_image.h; the includer defines tile_args,
 * and TILE_IS_WIDE(a): whether a product may pass 2^31.
 */
#include "engine/kernels/x86/requantise_256.h"

static inline __attribute__((always_inline)) void store_tile(const tile_args *a, const __m256i *acc,
							     const int mr, const int nb, uint32_t p,
							     uint32_t o, const bool wide)
{
	const uint32_t left = a->oc - o - (uint32_t)(nb - 1) * 8, tail = NE_MIN(left, 8u);
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
#define STORE(k)                                                                    \
	if (i + (k) <= last)                                                        \
	store_up_to_8(y + (size_t)((i + (k)) / nb) * y_stride + (i + (k)) % nb * 8, \
		      (uint64_t)_mm256_extract_epi64(q, k), (i + (k)) % nb == nb - 1 ? tail : 8)
		STORE(0);
		STORE(1);
		STORE(2);
		STORE(3);
#undef STORE
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
