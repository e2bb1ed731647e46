/* SPDX-License-Identifier: MIT */
/*
 * Tiles of s8 convolutions, AVX2: 8 output channels a block, 2 input channels a step. Both sides
 * are widened to s16 for vpmaddwd, which is exact, unlike the saturating vpmaddubsw. Included before
 * conv_tile.h or conv_image.h, as store_s8_256.h tells.
 */
#include "engine/kernels/x86/store_s8_256.h"

typedef int8_t tile_in;
typedef int8_t tile_w;
typedef int16_t tile_x;
typedef __m256i tile_vec;
#define TILE_LANES  8
#define TILE_VPB    1
#define TILE_NR     8u
#define TILE_KR     2u
#define TILE_MAX_NB 3u
#define TILE_MAX_MR 12
#define TILE_MR(nb) ((nb) == 3 ? 4u : (nb) == 2 ? 6u : 12u)
#define TILE_LIST   TILES_12(1) TILES_6(2) TILES_4(3)

static inline void tile_gather(int16_t *d, const int8_t *s, uint32_t n)
{
	for (; n >= 16; n -= 16, s += 16, d += 16)
		_mm256_storeu_si256(
			(__m256i *)(void *)d,
			_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)s)));
	if (n)
		_mm256_storeu_si256((__m256i *)(void *)d,
				    _mm256_cvtepi8_epi16(load_up_to_16(s, n)));
}

static inline __m256i tile_init(const tile_args *a, uint32_t o)
{
	return _mm256_load_si256((const __m256i *)(const void *)(a->bias + o));
}

static inline __m256i tile_load_x(const int16_t *x)
{
	return _mm256_set1_epi32(load_4(x));
}

static inline __m256i tile_load_w(const int8_t *w)
{
	return _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(const void *)w));
}

static inline __m256i tile_dot(__m256i acc, __m256i x, __m256i w)
{
	return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

static inline __m256i tile_add(__m256i a, __m256i b)
{
	return _mm256_add_epi32(a, b);
}
