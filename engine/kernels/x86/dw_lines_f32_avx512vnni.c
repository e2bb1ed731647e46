/* SPDX-License-Identifier: MIT */
/* Depthwise convolution along lines, f32, AVX-512. */
#include "engine/kernels/x86/util.h"

typedef __m512 vec;
#define LANES 16u

static inline __m512 vec_zero(void)
{
	return _mm512_setzero_ps();
}

static inline __m512 vec_load(const float *p, uint32_t n)
{
	return n == 16 ? _mm512_loadu_ps(p)
		       : _mm512_maskz_loadu_ps((__mmask16)(0xffffu >> (16 - n)), p);
}

static inline void vec_store(float *p, __m512 v, uint32_t n)
{
	if (n == 16)
		_mm512_storeu_ps(p, v);
	else
		_mm512_mask_storeu_ps(p, (__mmask16)(0xffffu >> (16 - n)), v);
}

static inline __m512 vec_twice(const float *p)
{
	return _mm512_broadcast_f32x8(_mm256_loadu_ps(p));
}

static inline __m512 vec_low(const float *p)
{
	return _mm512_maskz_loadu_ps(0x00ff, p);
}

static inline __m512 vec_high(const float *p)
{
	return _mm512_maskz_loadu_ps(0xff00, p);
}

static inline __m512 vec_fma(__m512 a, __m512 b, __m512 c)
{
	__asm__("vfmadd231ps %1, %2, %0" : "+v"(c) : "v"(a), "v"(b));
	return c;
}

static inline __m512 vec_set1(float v)
{
	return _mm512_set1_ps(v);
}

static inline __m512 vec_min(__m512 a, __m512 b)
{
	return _mm512_min_ps(a, b);
}

static inline __m512 vec_max(__m512 a, __m512 b)
{
	return _mm512_max_ps(a, b);
}

#include "engine/kernels/x86/dw_lines_f32.h"

void ne_dw_lines_f32_avx512vnni(const struct ne_dw_lines_f32 *a)
{
	dw_lines(a);
}
