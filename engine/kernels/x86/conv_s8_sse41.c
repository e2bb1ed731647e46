/* SPDX-License-Identifier: MIT */
/*
 * Convolution and dense, s8, SSE4.1: 4 output channels a block, 2 input channels a step. Both
 * sides are widened to s16 for pmaddwd, which is exact.
 */
#include "engine/kernels/x86/util.h"

typedef struct ne_conv_s8 tile_args;
typedef int8_t tile_in;
typedef int8_t tile_w;
typedef int16_t tile_x;
typedef __m128i tile_vec;
#define TILE_LANES  4
#define TILE_VPB    1
#define TILE_NR     4u
#define TILE_KR     2u
#define TILE_MAX_NB 3u
#define TILE_MAX_MR 12
#define TILE_MR(nb) ((nb) == 3 ? 4u : (nb) == 2 ? 6u : 12u)
#define TILE_LIST   TILES_12(1) TILES_6(2) TILES_4(3)

static inline void tile_gather(int16_t *d, const int8_t *s, uint32_t n)
{
	for (; n >= 8; n -= 8, s += 8, d += 8)
		_mm_storeu_si128((__m128i *)(void *)d, _mm_cvtepi8_epi16(_mm_loadl_epi64(
							       (const __m128i *)(const void *)s)));
	if (n)
		_mm_storeu_si128((__m128i *)(void *)d, _mm_cvtepi8_epi16(load_up_to_16(s, n)));
}

static inline __m128i tile_init(const struct ne_conv_s8 *a, uint32_t o)
{
	return _mm_load_si128((const __m128i *)(const void *)(a->bias + o));
}

static inline __m128i tile_load_x(const int16_t *x)
{
	return _mm_set1_epi32(load_4(x));
}

static inline __m128i tile_load_w(const int8_t *w)
{
	return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)w));
}

static inline __m128i tile_dot(__m128i acc, __m128i x, __m128i w)
{
	return _mm_add_epi32(acc, _mm_madd_epi16(x, w));
}

static inline __m128i tile_add(__m128i a, __m128i b)
{
	return _mm_add_epi32(a, b);
}

/* Only the upper clamp is needed in float: what is below s32 converts to INT32_MIN, and saturating
 * packs and adds keep it lowest. */
static inline __m128i scale(__m128i v, const float *mult, __m128 hi)
{
	return _mm_cvtps_epi32(_mm_min_ps(_mm_mul_ps(_mm_cvtepi32_ps(v), _mm_load_ps(mult)), hi));
}

static inline __attribute__((always_inline)) void tile_store(const struct ne_conv_s8 *a,
							     const __m128i *acc, const int mr,
							     const int nb, uint32_t p, uint32_t o)
{
	const uint32_t n = NE_MIN(a->oc - o, (uint32_t)nb * 4);
	const __m128 hi = _mm_set1_ps((float)(a->hi - a->zp));
	const __m128i zp = _mm_set1_epi16((int16_t)a->zp), lo = _mm_set1_epi8((int8_t)a->lo);
	const float *mult = a->mult + o;
	int8_t *y = a->y + p * a->y_stride + o;

#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 12
#endif
	for (int i = 0; i < mr; i++, y += a->y_stride, acc += nb) {
		const int b1 = nb > 1, b2 = nb > 2 ? 2 : b1;
		const __m128i q01 =
			_mm_packs_epi32(scale(acc[0], mult, hi), scale(acc[b1], mult + 4 * b1, hi));
		const __m128i q2 = nb > 2 ? scale(acc[b2], mult + 4 * b2, hi) : q01;
		const __m128i q = _mm_packs_epi16(_mm_adds_epi16(q01, zp),
						  _mm_adds_epi16(_mm_packs_epi32(q2, q2), zp));

		store_up_to_16(y, _mm_max_epi8(q, lo), n);
	}
}

#include "engine/kernels/conv_tile.h"

void ne_conv_s8_sse41(const struct ne_conv_s8 *a)
{
	tile_conv(a);
}
