/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, f32, SSE4.1. */
#include "engine/kernels/x86/util.h"

typedef __m128 dw_vec;
#define DW_LANES    4u
#define DW_OP(name) _mm_##name

static inline __m128 dw_load(const float *p, uint32_t n)
{
	return load_up_to_4f(p, n);
}

static inline void dw_store(float *p, __m128 v, uint32_t n)
{
	store_up_to_4f(p, v, n);
}

static inline __m128 dw_fma(__m128 a, __m128 b, __m128 c)
{
	return _mm_add_ps(_mm_mul_ps(a, b), c);
}

#include "engine/kernels/x86/dw_f32.h"

void ne_dw_f32_sse41(const struct ne_dw_f32 *a)
{
	dw_conv(a);
}
