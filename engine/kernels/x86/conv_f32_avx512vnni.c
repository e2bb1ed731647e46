/* SPDX-License-Identifier: MIT */
/* Convolution and dense, f32, AVX-512: 16 output channels a block. */
#include "engine/kernels/x86/util.h"

typedef struct ne_conv_f32 tile_args;
typedef float tile_in;
typedef float tile_w;
typedef float tile_x;
typedef __m512 tile_vec;
#define TILE_LANES  16
#define TILE_VPB    1
#define TILE_NR     16u
#define TILE_KR     1u
#define TILE_MAX_NB 4u
#define TILE_MAX_MR 12
#define TILE_MR(nb) ((nb) == 4 ? 6u : (nb) == 3 ? 8u : 12u)
#define TILE_LIST   TILES_12(1) TILES_12(2) TILES_8(3) TILES_6(4)

static inline void tile_gather(float *d, const float *s, uint32_t n)
{
	for (; n > 16; n -= 16, s += 16, d += 16)
		_mm512_storeu_ps(d, _mm512_loadu_ps(s));
	const __mmask16 mask = n ? (__mmask16)(0xffff >> (16 - n)) : 0;

	_mm512_storeu_ps(d, _mm512_maskz_loadu_ps(mask, s));
}

static inline __m512 tile_init(const struct ne_conv_f32 *a, uint32_t o)
{
	(void)a;
	(void)o;
	return _mm512_setzero_ps();
}

static inline __m512 tile_load_x(const float *x)
{
	return _mm512_set1_ps(*x);
}

static inline __m512 tile_load_w(const float *w)
{
	return _mm512_load_ps(w);
}

static inline __m512 tile_dot(__m512 acc, __m512 x, __m512 w)
{
	return _mm512_fmadd_ps(x, w, acc);
}

static inline __m512 tile_add(__m512 a, __m512 b)
{
	return _mm512_add_ps(a, b);
}

static inline __m512 finish(__m512 v, const float *scale, const float *bias, __m512 slope,
			    __m512 lo, __m512 hi)
{
	v = _mm512_fmadd_ps(v, _mm512_load_ps(scale), _mm512_load_ps(bias));
	v = _mm512_max_ps(v, _mm512_mul_ps(v, slope));
	return _mm512_min_ps(_mm512_max_ps(v, lo), hi);
}

static inline __attribute__((always_inline)) void tile_store(const struct ne_conv_f32 *a,
							     const __m512 *acc, const int mr,
							     const int nb, uint32_t p, uint32_t o)
{
	const uint32_t left = a->oc - o - (uint32_t)(nb - 1) * 16;
	const __mmask16 mask = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
	const __m512 slope = _mm512_set1_ps(ne_slope_f32(a));
	const __m512 lo = _mm512_set1_ps(a->lo), hi = _mm512_set1_ps(a->hi);
	float *y = a->y + p * a->y_stride + o;

#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 12
#endif
	for (int i = 0; i < mr; i++, y += a->y_stride) {
#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 4
#endif
		for (int b = 0; b < nb; b++) {
			const uint32_t c = o + (uint32_t)b * 16;
			const __m512 v =
				finish(acc[i * nb + b], a->scale + c, a->bias + c, slope, lo, hi);
			float *to = y + b * 16;

			_mm512_mask_storeu_ps(to, b == nb - 1 ? mask : 0xffff, v);
		}
	}
}

#include "engine/kernels/conv_tile.h"

void ne_conv_f32_avx512vnni(const struct ne_conv_f32 *a)
{
	tile_conv(a);
}
