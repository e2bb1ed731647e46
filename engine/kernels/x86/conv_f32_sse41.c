/* SPDX-License-Identifier: MIT */
/* Convolution and dense, f32, SSE4.1: 4 output channels a block. */
#include "engine/kernels/x86/util.h"

typedef struct ne_conv_f32 tile_args;
typedef float tile_in;
typedef float tile_w;
typedef float tile_x;
typedef __m128 tile_vec;
#define TILE_LANES  4
#define TILE_VPB    1
#define TILE_NR     4u
#define TILE_KR     1u
#define TILE_MAX_NB 3u
#define TILE_MAX_MR 12
#define TILE_MR(nb) ((nb) == 3 ? 4u : (nb) == 2 ? 6u : 12u)
#define TILE_LIST   TILES_12(1) TILES_6(2) TILES_4(3)

static inline void tile_gather(float *d, const float *s, uint32_t n)
{
	for (; n >= 4; n -= 4, s += 4, d += 4)
		_mm_storeu_ps(d, _mm_loadu_ps(s));
	for (; n; n--)
		*d++ = *s++;
}

static inline __m128 tile_init(const struct ne_conv_f32 *a, uint32_t o)
{
	(void)a;
	(void)o;
	return _mm_setzero_ps();
}

static inline __m128 tile_load_x(const float *x)
{
	return _mm_set1_ps(*x);
}

static inline __m128 tile_load_w(const float *w)
{
	return _mm_load_ps(w);
}

static inline __m128 tile_dot(__m128 acc, __m128 x, __m128 w)
{
	return _mm_add_ps(acc, _mm_mul_ps(x, w));
}

static inline __m128 tile_add(__m128 a, __m128 b)
{
	return _mm_add_ps(a, b);
}

static inline __m128 finish(__m128 v, const float *scale, const float *bias, __m128 slope,
			    __m128 lo, __m128 hi)
{
	v = _mm_add_ps(_mm_mul_ps(v, _mm_load_ps(scale)), _mm_load_ps(bias));
	v = _mm_max_ps(v, _mm_mul_ps(v, slope));
	return _mm_min_ps(_mm_max_ps(v, lo), hi);
}

static inline __attribute__((always_inline)) void tile_store(const struct ne_conv_f32 *a,
							     const __m128 *acc, const int mr,
							     const int nb, uint32_t p, uint32_t o)
{
	const uint32_t left = a->oc - o - (uint32_t)(nb - 1) * 4;

	const __m128 slope = _mm_set1_ps(ne_slope_f32(a));
	const __m128 lo = _mm_set1_ps(a->lo), hi = _mm_set1_ps(a->hi);
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
			const uint32_t c = o + (uint32_t)b * 4;
			const __m128 v =
				finish(acc[i * nb + b], a->scale + c, a->bias + c, slope, lo, hi);
			float *to = y + b * 4;

			store_up_to_4f(to, v, b == nb - 1 ? NE_MIN(left, 4u) : 4);
		}
	}
}

#include "engine/kernels/conv_tile.h"

void ne_conv_f32_sse41(const struct ne_conv_f32 *a)
{
	tile_conv(a);
}
