/* SPDX-License-Identifier: MIT */
/* Depthwise convolution along lines, f32, AVX2 and FMA. */
#include "engine/kernels/x86/util.h"

typedef __m256 vec;
#define LANES 8u

static inline __m256i vec_mask(uint32_t n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n),
				  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline __m256 vec_zero(void)
{
	return _mm256_setzero_ps();
}

static inline __m256 vec_load(const float *p, uint32_t n)
{
	return n == 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, vec_mask(n));
}

static inline void vec_store(float *p, __m256 v, uint32_t n)
{
	if (n == 8)
		_mm256_storeu_ps(p, v);
	else
		_mm256_maskstore_ps(p, vec_mask(n), v);
}

static inline __m256 vec_twice(const float *p)
{
	return _mm256_broadcast_ps((const __m128 *)(const void *)p);
}

static inline __m256 vec_low(const float *p)
{
	return _mm256_zextps128_ps256(_mm_loadu_ps(p));
}

static inline __m256 vec_high(const float *p)
{
	return _mm256_insertf128_ps(_mm256_setzero_ps(), _mm_loadu_ps(p + 4), 1);
}

static inline __m256 vec_fma(__m256 a, __m256 b, __m256 c)
{
	return _mm256_fmadd_ps(a, b, c);
}

static inline __m256 vec_set1(float v)
{
	return _mm256_set1_ps(v);
}

static inline __m256 vec_min(__m256 a, __m256 b)
{
	return _mm256_min_ps(a, b);
}

static inline __m256 vec_max(__m256 a, __m256 b)
{
	return _mm256_max_ps(a, b);
}

#include "engine/kernels/x86/dw_lines_f32.h"

void ne_dw_lines_f32_avx2(const struct ne_dw_lines_f32 *a)
{
	dw_lines(a);
}
