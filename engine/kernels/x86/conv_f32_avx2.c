/* SPDX-License-Identifier: MIT */
/* Convolution and dense, f32, AVX2 and FMA: 8 output channels a block. */
#include "engine/kernels/x86/util.h"

typedef struct ne_conv_f32 tile_args;
typedef float tile_in;
typedef float tile_w;
typedef float tile_x;
typedef __m256 tile_vec;
#define TILE_LANES  8
#define TILE_VPB    1
#define TILE_NR     8u
#define TILE_KR     1u
#define TILE_MAX_NB 3u
#define TILE_MAX_MR 12
#define TILE_MR(nb) ((nb) == 3 ? 4u : (nb) == 2 ? 6u : 12u)
#define TILE_LIST   TILES_12(1) TILES_6(2) TILES_4(3)

static inline void tile_gather(float *d, const float *s, uint32_t n)
{
	for (; n >= 8; n -= 8, s += 8, d += 8)
		_mm256_storeu_ps(d, _mm256_loadu_ps(s));
	for (; n; n--)
		*d++ = *s++;
}

static inline __m256 tile_init(const struct ne_conv_f32 *a, uint32_t o)
{
	(void)a;
	(void)o;
	return _mm256_setzero_ps();
}

static inline __m256 tile_load_x(const float *x)
{
	return _mm256_set1_ps(*x);
}

static inline __m256 tile_load_w(const float *w)
{
	return _mm256_load_ps(w);
}

static inline __m256 tile_dot(__m256 acc, __m256 x, __m256 w)
{
	return _mm256_fmadd_ps(x, w, acc);
}

static inline __m256 tile_add(__m256 a, __m256 b)
{
	return _mm256_add_ps(a, b);
}

static inline __m256 finish(__m256 v, const float *scale, const float *bias, __m256 slope,
			    __m256 lo, __m256 hi)
{
	v = _mm256_fmadd_ps(v, _mm256_load_ps(scale), _mm256_load_ps(bias));
	v = _mm256_max_ps(v, _mm256_mul_ps(v, slope));
	return _mm256_min_ps(_mm256_max_ps(v, lo), hi);
}

static inline __attribute__((always_inline)) void tile_store(const struct ne_conv_f32 *a,
							     const __m256 *acc, const int mr,
							     const int nb, uint32_t p, uint32_t o)
{
	const uint32_t left = a->oc - o - (uint32_t)(nb - 1) * 8;
	const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)NE_MIN(left, 8u)), index);
	const __m256 slope = _mm256_set1_ps(ne_slope_f32(a));
	const __m256 lo = _mm256_set1_ps(a->lo), hi = _mm256_set1_ps(a->hi);
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
			const uint32_t c = o + (uint32_t)b * 8;
			const __m256 v =
				finish(acc[i * nb + b], a->scale + c, a->bias + c, slope, lo, hi);
			float *to = y + b * 8;

			if (b == nb - 1 && left < 8)
				_mm256_maskstore_ps(to, mask, v);
			else
				_mm256_storeu_ps(to, v);
		}
	}
}

#include "engine/kernels/conv_tile.h"

void ne_conv_f32_avx2(const struct ne_conv_f32 *a)
{
	tile_conv(a);
}
