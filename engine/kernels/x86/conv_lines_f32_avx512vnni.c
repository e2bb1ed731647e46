/* SPDX-License-Identifier: MIT */
/* Convolution along lines, f32, AVX-512: 16 output channels a block, 24 sums in registers. */
#include "engine/kernels/x86/util.h"

typedef __m512 vec;
#define LANES     16u
#define MAX_NB    4u
#define MAX_MR    16
#define MR(nb)    ((nb) == 4 ? 6u : (nb) == 3 ? 8u : (nb) == 2 ? 12u : 16u)
#define TILE_LIST TILES_16(1) TILES_12(2) TILES_8(3) TILES_6(4)

static inline __m512 vec_zero(void)
{
	return _mm512_setzero_ps();
}

static inline __m512 vec_load(const float *p)
{
	return _mm512_load_ps(p);
}

static inline __m512 vec_set1(const float *p)
{
	return _mm512_set1_ps(*p);
}

/* In the registers of c: left alone GCC moves sums about between the unrolled steps. */
static inline __m512 vec_fma(__m512 a, __m512 b, __m512 c)
{
	__asm__("vfmadd231ps %1, %2, %0" : "+v"(c) : "v"(a), "v"(b));
	return c;
}

static inline __m512 vec_add(__m512 a, __m512 b)
{
	return _mm512_add_ps(a, b);
}

static inline __m512 vec_mul(__m512 a, __m512 b)
{
	return _mm512_mul_ps(a, b);
}

static inline __m512 vec_min(__m512 a, __m512 b)
{
	return _mm512_min_ps(a, b);
}

static inline __m512 vec_max(__m512 a, __m512 b)
{
	return _mm512_max_ps(a, b);
}

static inline void vec_store(float *p, __m512 v, uint32_t n)
{
	_mm512_mask_storeu_ps(p, (__mmask16)(0xffffu >> (16 - n)), v);
}

#include "engine/kernels/x86/conv_lines_f32.h"
#include "engine/kernels/x86/conv_few_f32_avx512.h"
#include "engine/kernels/x86/conv_slide_f32_avx512.h"

void ne_conv_lines_f32_avx512vnni(const struct ne_conv_lines_f32 *a)
{
	if (few_takes(a))
		few_conv(a);
	else
		lines_conv(a, slide_takes(a) ? slide_line : lines_line);
}
