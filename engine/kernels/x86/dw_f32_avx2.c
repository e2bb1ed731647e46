/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, f32, AVX2 and FMA. */
#include "engine/kernels/x86/util.h"

typedef __m256 dw_vec;
#define DW_LANES    8u
#define DW_OP(name) _mm256_##name

/* Mask of the first @n lanes. */
static inline __m256i first(uint32_t n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n),
				  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline __m256 dw_load(const float *p, uint32_t n)
{
	return n == 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first(n));
}

static inline void dw_store(float *p, __m256 v, uint32_t n)
{
	if (n == 8)
		_mm256_storeu_ps(p, v);
	else
		_mm256_maskstore_ps(p, first(n), v);
}

static inline __m256 dw_fma(__m256 a, __m256 b, __m256 c)
{
	return _mm256_fmadd_ps(a, b, c);
}

#include "engine/kernels/x86/dw_f32.h"

void ne_dw_f32_avx2(const struct ne_dw_f32 *a)
{
	dw_conv(a);
}
