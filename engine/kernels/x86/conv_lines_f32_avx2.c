/* SPDX-License-Identifier: MIT */
/* Convolution along lines, f32, AVX2 and FMA: 8 output channels a block, 12 sums in registers. */
#include "engine/kernels/x86/util.h"

typedef __m256 vec;
#define LANES     8u
#define MAX_NB    3u
#define MAX_MR    12
#define MR(nb)    ((nb) == 3 ? 4u : (nb) == 2 ? 6u : 12u)
#define TILE_LIST TILES_12(1) TILES_6(2) TILES_4(3)

static inline __m256 vec_zero(void)
{
	return _mm256_setzero_ps();
}

static inline __m256 vec_load(const float *p)
{
	return _mm256_load_ps(p);
}

static inline __m256 vec_set1(const float *p)
{
	return _mm256_broadcast_ss(p);
}

static inline __m256 vec_fma(__m256 a, __m256 b, __m256 c)
{
	return _mm256_fmadd_ps(a, b, c);
}

static inline __m256 vec_add(__m256 a, __m256 b)
{
	return _mm256_add_ps(a, b);
}

static inline __m256 vec_mul(__m256 a, __m256 b)
{
	return _mm256_mul_ps(a, b);
}

static inline __m256 vec_min(__m256 a, __m256 b)
{
	return _mm256_min_ps(a, b);
}

static inline __m256 vec_max(__m256 a, __m256 b)
{
	return _mm256_max_ps(a, b);
}

static inline void vec_store(float *p, __m256 v, uint32_t n)
{
	const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	if (n == 8)
		_mm256_storeu_ps(p, v);
	else
		_mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), index), v);
}

#include "engine/kernels/x86/conv_lines_f32.h"

void ne_conv_lines_f32_avx2(const struct ne_conv_lines_f32 *a)
{
	lines_conv(a, lines_line);
}
