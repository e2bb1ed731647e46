/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, f32, AVX-512. */
#include "engine/kernels/x86/util.h"

typedef __m512 dw_vec;
#define DW_LANES    16u
#define DW_OP(name) _mm512_##name

static inline __m512 dw_load(const float *p, uint32_t n)
{
	return _mm512_maskz_loadu_ps((__mmask16)(0xffffu >> (16 - n)), p);
}

static inline void dw_store(float *p, __m512 v, uint32_t n)
{
	_mm512_mask_storeu_ps(p, (__mmask16)(0xffffu >> (16 - n)), v);
}

static inline __m512 dw_fma(__m512 a, __m512 b, __m512 c)
{
	return _mm512_fmadd_ps(a, b, c);
}

#include "engine/kernels/x86/dw_f32.h"

void ne_dw_f32_avx512vnni(const struct ne_dw_f32 *a)
{
	dw_conv(a);
}
