/* SPDX-License-Identifier: MIT */
/*
 * Tiles of s8 convolutions, AVX-VNNI: 8 output channels a block, 4 input channels a step.
 * vpdpbusd takes u8 by s8: the panel holds x + 128. Included before
 * conv_tile.h or conv_image.h, as store_s8_256.h tells.
 */
#include "engine/kernels/x86/store_s8_256.h"

typedef int8_t tile_in;
typedef int8_t tile_w;
typedef uint8_t tile_x;
typedef __m256i tile_vec;
#define TILE_LANES  8
#define TILE_VPB    1
#define TILE_NR     8u
#define TILE_KR     4u
#define TILE_MAX_NB 3u
#define TILE_MAX_MR 12
#define TILE_MR(nb) ((nb) == 3 ? 4u : (nb) == 2 ? 6u : 12u)
#define TILE_LIST   TILES_12(1) TILES_6(2) TILES_4(3)

#include "engine/kernels/x86/gather_u8_256.h"

static inline __m256i tile_init(const tile_args *a, uint32_t o)
{
	return _mm256_load_si256((const __m256i *)(const void *)(a->bias + o));
}

static inline __m256i tile_load_x(const uint8_t *x)
{
	return _mm256_set1_epi32(load_4(x));
}

static inline __m256i tile_load_w(const int8_t *w)
{
	return _mm256_load_si256((const __m256i *)(const void *)w);
}

static inline __m256i tile_dot(__m256i acc, __m256i x, __m256i w)
{
	return _mm256_dpbusd_avx_epi32(acc, x, w);
}

static inline __m256i tile_add(__m256i a, __m256i b)
{
	return _mm256_add_epi32(a, b);
}
