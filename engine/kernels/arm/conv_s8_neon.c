/* SPDX-License-Identifier: MIT */
/*
 * Convolution and dense, s8, NEON without dot product: 8 output channels a block, 16 input channels
 * a step. A sum is a vector of 4 partial ones, which are added up at the end: the products of 16
 * inputs are made 8 at a time in s16, two for each lane, and added in pairs to the sums. Two products
 * fit in s16 where no weight is -128; else each is added by itself.
 */
#include "engine/kernels/arm/store_s8.h"

#define NR          8u
#define KR          16u
#define MAX_MR      3u
#define TALLEST(oc) 3u
#define TILES       TILE(1, 0) TILE(2, 0) TILE(3, 0) TILE(1, 1) TILE(2, 1) TILE(3, 1)

typedef int32x4_t conv_sum;
#define CHANNELS(half)      ((half) ? 4 : 8)
#define CONV_SUMS(mr, half) ((mr)*CHANNELS(half))

NEON_INLINE void tile_init(const struct ne_conv_s8 *a, int32x4_t *sum, uint32_t o, const int mr,
			   const int half)
{
	const int n = CHANNELS(half);
	int32x4_t zero = vdupq_n_s32(0);

	(void)a;
	(void)o;
	asm("" : "+w"(zero)); /* else a loop to clear memory is seen in it */
	NEON_UNROLL
	for (int v = 0; v < n; v++)
		sum[v] = zero;
	NEON_UNROLL
	for (int i = n; i < mr * n; i++)
		sum[i] = sum[i - n];
}

NEON_INLINE int32x4_t add_16(int32x4_t sum, int8x16_t x, int8x16_t w, const int pairs)
{
	const int16x8_t p = vmull_s8(vget_low_s8(x), vget_low_s8(w));

	if (pairs)
		return vpadalq_s16(sum, vmlal_high_s8(p, x, w));
	return vpadalq_s16(vpadalq_s16(sum, p), vmull_high_s8(x, w));
}

/* One step of 16 inputs. */
NEON_INLINE void step_16(int32x4_t *sum, const int8x16_t *x, const int8_t **w, const int pairs,
			 const int mr, const int half)
{
	const int n = CHANNELS(half);

	NEON_UNROLL
	for (int o = 0; o < n; o += 4) {
		int8x16x4_t wv;

		if (mr < 3) {
			wv = vld1q_s8_x4(*w);
			NEON_STEP(*w, 4 * KR);
		}
		NEON_UNROLL
		for (int v = 0; v < 4; v++) {
			if (mr == 3 && v % 2 == 0) { /* 4 vectors more would be too many */
				const int8x16x2_t two = vld1q_s8_x2(*w);

				wv.val[v] = two.val[0];
				wv.val[v + 1] = two.val[1];
				NEON_STEP(*w, 2 * KR);
			}
			NEON_UNROLL
			for (int i = 0; i < mr; i++)
				sum[i * n + o + v] =
					add_16(sum[i * n + o + v], x[i], wv.val[v], pairs);
		}
	}
}

/* The first 8 inputs of a step. */
NEON_INLINE void step_8(int32x4_t *sum, const int8x16_t *x, const int8_t *w, const int mr,
			const int half)
{
	const int n = CHANNELS(half);

	NEON_UNROLL
	for (int o = 0; o < n; o++) {
		const int8x8_t wv = vld1_s8(w + o * 16);

		NEON_UNROLL
		for (int i = 0; i < mr; i++)
			sum[i * n + o] =
				vpadalq_s16(sum[i * n + o], vmull_s8(vget_low_s8(x[i]), wv));
	}
}

NEON_INLINE void run_pairs(int32x4_t *sum, const int8_t **px, const int8_t *w, uint32_t n,
			   const int pairs, const int mr, const int half)
{
	const int8_t *x[MAX_MR];
	int8x16_t xv[MAX_MR];

	NEON_UNROLL
	for (int i = 0; i < mr; i++)
		x[i] = px[i];
	for (; n >= 16; n -= 16) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++) {
			xv[i] = vld1q_s8(x[i]);
			x[i] += 16;
		}
		step_16(sum, xv, &w, pairs, mr, half);
		if (half)
			w += 4 * KR;
	}
	if (n >= 8) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++) {
			xv[i] = vcombine_s8(vld1_s8(x[i]), vdup_n_s8(0));
			x[i] += 8;
		}
		step_8(sum, xv, w, mr, half);
		w += 8;
		n -= 8;
	}
	if (n) {
		NEON_UNROLL
		for (int i = 0; i < mr; i++)
			xv[i] = load_up_to_7(x[i], n);
		step_8(sum, xv, w, mr, half);
	}
}

NEON_INLINE void tile_run(const struct ne_conv_s8 *a, int32x4_t *sum, const int8_t **x,
			  const int8_t *w, uint32_t n, const int mr, const int half)
{
	if (a->w_above_min)
		run_pairs(sum, x, w, n, 1, mr, half);
	else
		run_pairs(sum, x, w, n, 0, mr, half);
}

NEON_INLINE void tile_store(const struct ne_conv_s8 *a, const int32x4_t *sum, uint32_t p,
			    uint32_t o, const int mr, const int half)
{
	const struct requant q = requant_of(a->zp, a->lo, a->hi);
	const int n = CHANNELS(half);
	const int32x4_t b0 = vld1q_s32(a->bias + o), b1 = vld1q_s32(a->bias + o + 4);
	const float32x4_t m0 = vld1q_f32(a->mult + o), m1 = vld1q_f32(a->mult + o + 4);
	int8_t *y = a->y + p * a->y_stride + o;

	NEON_UNROLL
	for (int i = 0; i < mr; i++, y += a->y_stride) {
		const int32x4_t *s = sum + i * n;
		int32x4_t v0, v1 = vdupq_n_s32(0);

		v0 = vpaddq_s32(vpaddq_s32(s[0], s[1]), vpaddq_s32(s[2], s[3]));
		if (!half)
			v1 = vpaddq_s32(vpaddq_s32(s[4], s[5]), vpaddq_s32(s[6], s[7]));
		store_up_to_8(y, requant_8(&q, vaddq_s32(v0, b0), vaddq_s32(v1, b1), m0, m1),
			      a->oc - o);
	}
}

#include "engine/kernels/arm/conv_s8.h"

void ne_conv_s8_neon(const struct ne_conv_s8 *a)
{
	conv_s8(a);
}

void ne_conv_image_s8_neon(const struct ne_conv_image_s8 *a)
{
	conv_image_s8(a);
}
