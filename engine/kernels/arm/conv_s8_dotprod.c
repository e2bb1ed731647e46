/* SPDX-License-Identifier: MIT */
/* Convolution and dense, s8, NEON with dot product: 16 output channels a block, 4 input channels a
 * step; a vector of 16 inputs serves 4 steps, a lane each. */
#include "engine/kernels/arm/store_s8.h"

#define NR          16u
#define KR          4u
#define MAX_MR      8u
#define TALLEST(oc) ((oc) <= 8 ? 8u : 5u)
#define TILES      \
	TILE(1, 0) \
	TILE(2, 0) \
	TILE(3, 0) \
	TILE(4, 0) \
	TILE(5, 0) \
	TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(8, 1)

typedef int32x4_t conv_sum;
#define VECTORS(half)       ((half) ? 2 : 4) /* of a pixel's sums */
#define CONV_SUMS(mr, half) ((mr)*VECTORS(half))

NEON_INLINE void tile_init(const struct ne_conv_s8 *a, int32x4_t *sum, uint32_t o, const int mr,
			   const int half)
{
	const int nv = VECTORS(half);

	NEON_UNROLL
	for (int v = 0; v < nv; v++)
		sum[v] = vld1q_s32(a->bias + o + 4 * v);
	NEON_UNROLL
	for (int i = nv; i < mr * nv; i++)
		sum[i] = sum[i - nv];
}

/* The weights of a step; where half, the first two vectors. */
NEON_INLINE int8x16x4_t load_step(const int8_t *w, const int half)
{
	int8x16x4_t v;

	if (half) {
		const int8x16x2_t two = vld1q_s8_x2(w);

		v.val[0] = v.val[2] = two.val[0];
		v.val[1] = v.val[3] = two.val[1];
		return v;
	}
	return vld1q_s8_x4(w);
}

/* A step: a lane, which must be a literal, of each pixel's inputs. */
#define DOT(lane)                                                                                 \
	do {                                                                                      \
		const int8x16x4_t wv = load_step(w, half);                                        \
                                                                                                  \
		NEON_STEP(w, NR *KR);                                                             \
		NEON_UNROLL                                                                       \
		for (int i = 0; i < mr; i++) {                                                    \
			NEON_UNROLL                                                               \
			for (int v = 0; v < nv; v++)                                              \
				sum[i * nv + v] =                                                 \
					vdotq_laneq_s32(sum[i * nv + v], wv.val[v], xv[i], lane); \
		}                                                                                 \
	} while (0)

NEON_INLINE void tile_run(const struct ne_conv_s8 *a, int32x4_t *sum, const int8_t **px,
			  const int8_t *w, uint32_t n, const int mr, const int half)
{
	const int nv = VECTORS(half);
	const int8_t *x[MAX_MR];
	int8x16_t xv[MAX_MR];

	(void)a;
	NEON_UNROLL
	for (int i = 0; i < mr; i++)
		x[i] = px[i];
	for (; n >= 16; n -= 16) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++) {
			xv[i] = vld1q_s8(x[i]);
			x[i] += 16;
		}
		DOT(0);
		DOT(1);
		DOT(2);
		DOT(3);
	}
	if (n >= 8) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++) {
			xv[i] = vcombine_s8(vld1_s8(x[i]), vdup_n_s8(0));
			x[i] += 8;
		}
		DOT(0);
		DOT(1);
		n -= 8;
	}
	if (n >= 4) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++) {
			xv[i] = load_4(x[i]);
			x[i] += 4;
		}
		DOT(0);
		n -= 4;
	}
	if (n) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++)
			xv[i] = load_up_to_7(x[i], n);
		DOT(0);
	}
}

NEON_INLINE void tile_store(const struct ne_conv_s8 *a, const int32x4_t *sum, uint32_t p,
			    uint32_t o, const int mr, const int half)
{
	const struct requant q = requant_of(a->zp, a->lo, a->hi);
	const float *m = a->mult + o;
	const uint32_t n = a->oc - o;
	int8_t *y = a->y + p * a->y_stride + o;

	if (half) {
		const float32x4_t m0 = vld1q_f32(m), m1 = vld1q_f32(m + 4);

		NEON_UNROLL
		for (int i = 0; i < mr; i++, y += a->y_stride)
			store_up_to_8(y, requant_8(&q, sum[i * 2], sum[i * 2 + 1], m0, m1), n);
	} else {
		const float32x4_t mult[4] = {vld1q_f32(m), vld1q_f32(m + 4), vld1q_f32(m + 8),
					     vld1q_f32(m + 12)};

		NEON_UNROLL
		for (int i = 0; i < mr; i++, y += a->y_stride)
			store_up_to_16(y, requant_16(&q, sum + i * 4, mult), n);
	}
}

#include "engine/kernels/arm/conv_s8.h"

void ne_conv_s8_dotprod(const struct ne_conv_s8 *a)
{
	conv_s8(a);
}

void ne_conv_image_s8_dotprod(const struct ne_conv_image_s8 *a)
{
	conv_image_s8(a);
}
