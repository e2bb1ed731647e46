/* SPDX-License-Identifier: MIT */
/*
 * Convolution and dense, f32, NEON: 16 output channels a block, a lane of each pixel's vector of 4
 * inputs a step. Tiles of 5 pixels and a block, or, where 8 channels or fewer are left, of 8 pixels;
 * taps are found by indirection for each tile and read where they lie.
 */
#include "engine/kernels/arm/tile.h"

#define NR       16u
#define MAX_MR   8u
#define TALL     5u /* of a whole block */
#define MAX_SUMS 20

/* A step: lane @lane, a literal, of the inputs. One pixel has two sets of sums, else each of its
 * additions would wait for the one before. */
#define STEP(lane)                                                                            \
	do {                                                                                  \
		float32x4_t *set = sum + (lane) % ways * mr * nv, wv[4];                      \
                                                                                              \
		if (nv == 4) {                                                                \
			const float32x4x4_t four = vld1q_f32_x4(w);                           \
                                                                                              \
			wv[0] = four.val[0], wv[1] = four.val[1];                             \
			wv[2] = four.val[2], wv[3] = four.val[3];                             \
		} else {                                                                      \
			const float32x4x2_t two = vld1q_f32_x2(w);                            \
                                                                                              \
			wv[0] = two.val[0], wv[1] = two.val[1];                               \
		}                                                                             \
		NEON_STEP(w, NR);                                                             \
		NEON_UNROLL                                                                   \
		for (int i = 0; i < mr; i++) {                                                \
			NEON_UNROLL                                                           \
			for (int v = 0; v < nv; v++)                                          \
				set[i * nv + v] =                                             \
					vfmaq_laneq_f32(set[i * nv + v], wv[v], xv[i], lane); \
		}                                                                             \
	} while (0)

/* The products of @n inputs from x[i] of pixel i. */
NEON_INLINE void add_tap(float32x4_t *sum, const float *const *px, const float *w, uint32_t n,
			 const int mr, const int nv)
{
	const int ways = mr == 1 ? 2 : 1;
	const float *x[MAX_MR];
	float32x4_t xv[MAX_MR];

	NEON_UNROLL
	for (int i = 0; i < mr; i++)
		x[i] = px[i];
	for (; n >= 4; n -= 4) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++) {
			xv[i] = vld1q_f32(x[i]);
			x[i] += 4;
		}
		STEP(0);
		STEP(1);
		STEP(2);
		STEP(3);
	}
	for (; n; n--) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++)
			xv[i] = vld1q_dup_f32(x[i]++);
		STEP(0);
	}
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

NEON_INLINE void store_tile(const struct ne_conv_f32 *a, const float32x4_t *sum, float *y,
			    uint32_t o, const int mr, const int nv)
{
	const float32x4_t slope = vdupq_n_f32(ne_slope_f32(a));
	const float32x4_t lo = vdupq_n_f32(a->lo), hi = vdupq_n_f32(a->hi);
	const uint32_t n = a->oc - o;

	NEON_UNROLL
	for (int v = 0; v < nv; v++) {
		const uint32_t at = 4 * (uint32_t)v;
		const float32x4_t bias = vld1q_f32(a->bias + o + at);
		const float32x4_t scale = vld1q_f32(a->scale + o + at);

		NEON_UNROLL
		for (int i = 0; i < mr; i++) {
			const float32x4_t s = vfmaq_f32(bias, scale, sum[i * nv + v]);
			const float32x4_t r = vmaxq_f32(s, vmulq_f32(s, slope));

			if (at < n)
				store_up_to_4(y + (size_t)i * a->y_stride + at,
					      vminq_f32(vmaxq_f32(r, lo), hi), n - at);
		}
	}
}

/* @n tiles of mr pixels from pixel @p, 4 nv channels from @o. */
NEON_INLINE void add_tiles(const struct ne_conv_f32 *a, uint32_t p, uint32_t o, uint32_t n,
			   const int mr, const int nv)
{
	const int all = mr * nv * (mr == 1 ? 2 : 1);
	const int32_t *ind = a->ind + (size_t)p * a->taps;
	float *y = a->y + p * a->y_stride + o;

	for (; n; n--, ind += (size_t)mr * a->taps, y += mr * a->y_stride) {
		const float *w = a->w + o / NR * a->w_block_stride, *x[MAX_MR];
		float32x4_t sum[MAX_SUMS], zero = vdupq_n_f32(0.0f);

		asm("" : "+w"(zero)); /* else a loop to clear memory is seen here */
		NEON_UNROLL
		for (int i = 0; i < all; i++)
			sum[i] = zero;
		for (uint32_t t = 0; t < a->taps; t++, w += a->w_tap_stride) {
			NEON_UNROLL
			for (int i = 0; i < mr; i++)
				x[i] = ne_tap_f32(a->x, ind[(size_t)i * a->taps + t], a->pad);
			add_tap(sum, x, w, a->ic, mr, nv);
		}
		NEON_UNROLL
		for (int i = mr * nv; i < all; i++)
			sum[i - mr * nv] = vaddq_f32(sum[i - mr * nv], sum[i]);
		store_tile(a, sum, y, o, mr, nv);
	}
}

typedef void tiles_fn(const struct ne_conv_f32 *a, uint32_t p, uint32_t o, uint32_t n);

#define TILES(mr, nv)                                                                              \
	NEON_FN static void tiles_##mr##_##nv(const struct ne_conv_f32 *a, uint32_t p, uint32_t o, \
					      uint32_t n)                                          \
	{                                                                                          \
		add_tiles(a, p, o, n, mr, nv);                                                     \
	}
#define WHOLE TILES(1, 4) TILES(2, 4) TILES(3, 4) TILES(4, 4) TILES(5, 4)
#define HALF        \
	TILES(1, 2) \
	TILES(2, 2) TILES(3, 2) TILES(4, 2) TILES(5, 2) TILES(6, 2) TILES(7, 2) TILES(8, 2)
WHOLE
HALF
#undef TILES
#define TILES(mr, nv) tiles_##mr##_##nv,
	static tiles_fn *const whole[TALL] = {WHOLE},
			       *const half[MAX_MR] = {HALF};
#undef TILES

void ne_conv_f32_neon(const struct ne_conv_f32 *a)
{
	for (uint32_t o = 0; a->n_pix && o < a->oc; o += NR) {
		const bool few = a->oc - o <= NR / 2;
		const uint32_t most = few ? MAX_MR : TALL;
		const uint32_t tiles = (a->n_pix + most - 1) / most;
		/* dealt out evenly: so many have a pixel more than the others */
		const uint32_t less = a->n_pix / tiles, some = a->n_pix % tiles;
		tiles_fn *const *fn = few ? half : whole;

		if (some)
			fn[less](a, 0, o, some);
		fn[less - 1](a, some * (less + 1), o, tiles - some);
	}
}
