/* SPDX-License-Identifier: MIT */
/* Convolution and dense, f32, NEON: 8 output channels a block, 4 steps for each vector of inputs. */
#include <arm_neon.h>

#include "engine/kernels/kernels.h"

typedef struct ne_conv_f32 tile_args;
typedef float tile_in;
typedef float tile_w;
typedef float tile_x;
typedef float32x4_t tile_vec;
#define TILE_LANES  4
#define TILE_VPB    2
#define TILE_NR     8u
#define TILE_KR     1u
#define TILE_MAX_NB 2u
#define TILE_MAX_MR 8
#define TILE_MR(nb) ((nb) == 2 ? 5u : 8u)
#define TILE_LIST   TILES_8(1) TILES_5(2)

static inline void tile_gather(float *d, const float *s, uint32_t n)
{
	for (; n >= 4; n -= 4, s += 4, d += 4)
		vst1q_f32(d, vld1q_f32(s));
	for (; n; n--)
		*d++ = *s++;
}

static inline float32x4_t tile_init(const struct ne_conv_f32 *a, uint32_t o)
{
	(void)a;
	(void)o;
	return vdupq_n_f32(0.0f);
}

static inline float32x4_t tile_load_x(const float *x)
{
	return vld1q_dup_f32(x);
}

static inline float32x4_t tile_load_w(const float *w)
{
	return vld1q_f32(w);
}

static inline float32x4_t tile_dot(float32x4_t acc, float32x4_t x, float32x4_t w)
{
	return vfmaq_f32(acc, x, w);
}

static inline float32x4_t tile_add(float32x4_t a, float32x4_t b)
{
	return vaddq_f32(a, b);
}

static inline void store_up_to_4(float *y, float32x4_t v, uint32_t n)
{
	if (n >= 4) {
		vst1q_f32(y, v);
		return;
	}
	for (; n; n--, v = vextq_f32(v, v, 1))
		*y++ = vgetq_lane_f32(v, 0);
}

static inline __attribute__((always_inline)) void tile_store(const struct ne_conv_f32 *a,
							     const float32x4_t *acc, const int mr,
							     const int nb, uint32_t p, uint32_t o)
{
	const uint32_t n = a->oc - o;
	const float32x4_t slope = vdupq_n_f32(ne_slope_f32(a));
	const float32x4_t lo = vdupq_n_f32(a->lo), hi = vdupq_n_f32(a->hi);
	float *y = a->y + p * a->y_stride + o;

#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 8
#endif
	for (int i = 0; i < mr; i++, y += a->y_stride) {
#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 4
#endif
		for (int v = 0; v < nb * 2; v++) {
			const uint32_t at = (uint32_t)v * 4;
			const float32x4_t s =
				vfmaq_f32(vld1q_f32(a->bias + o + at), vld1q_f32(a->scale + o + at),
					  acc[i * nb * 2 + v]);

			const float32x4_t r = vmaxq_f32(s, vmulq_f32(s, slope));

			if (at < n)
				store_up_to_4(y + at, vminq_f32(vmaxq_f32(r, lo), hi), n - at);
		}
	}
}

/* Four steps: a lane of each pixel's vector of 4 inputs at a time. */
#define TILE_WIDE 4
#define STEP(g)                                                                                   \
	do {                                                                                      \
		float32x4_t *set = acc + (g) % ways * mr * nv;                                    \
                                                                                                  \
		TILE_UNROLL                                                                       \
		for (int v = 0; v < nv; v++) {                                                    \
			const float32x4_t wv =                                                    \
				vld1q_f32(w + v / 2 * block_stride + v % 2 * 4 + (g)*8);          \
                                                                                                  \
			TILE_UNROLL                                                               \
			for (int i = 0; i < mr; i++)                                              \
				set[i * nv + v] = vfmaq_laneq_f32(set[i * nv + v], wv, xv[i], g); \
		}                                                                                 \
	} while (0)
#define tile_wide(acc, x, w, block_stride, mr, nb, ways)       \
	do {                                                   \
		const int nv = (nb)*2;                         \
		float32x4_t xv[8];                             \
                                                               \
		TILE_UNROLL                                    \
		for (int i = 0; i < (mr); i++)                 \
			xv[i] = vld1q_f32((x) + i * TILE_ROW); \
		STEP(0);                                       \
		STEP(1);                                       \
		STEP(2);                                       \
		STEP(3);                                       \
	} while (0)

#include "engine/kernels/conv_tile.h"

void ne_conv_f32_neon(const struct ne_conv_f32 *a)
{
	tile_conv(a);
}
