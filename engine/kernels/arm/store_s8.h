/* SPDX-License-Identifier: MIT */
/* What the s8 convolutions of arm64 share: requantising and storing a tile of two vectors of 4
 * output channels a block. Included before conv_tile.h. */
#include <arm_neon.h>

#include "engine/kernels/kernels.h"

static inline int32x4_t tile_init(const struct ne_conv_s8 *a, uint32_t o)
{
	return vld1q_s32(a->bias + o);
}

static inline int32x4_t tile_add(int32x4_t a, int32x4_t b)
{
	return vaddq_s32(a, b);
}

/* Conversion, narrowing and addition all saturate: as good as clamping first. */
static inline int16x4_t scale_s16(int32x4_t acc, const float *mult)
{
	return vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(mult))));
}

static inline int8x8_t requantise(int32x4_t a, int32x4_t b, const float *mult, int16x8_t zp,
				  int8x8_t lo, int8x8_t hi)
{
	const int16x8_t q = vcombine_s16(scale_s16(a, mult), scale_s16(b, mult + 4));

	return vmin_s8(vmax_s8(vqmovn_s16(vqaddq_s16(q, zp)), lo), hi);
}

static inline void store_up_to_8(int8_t *y, int8x8_t v, uint32_t n)
{
	uint64_t bits = vget_lane_u64(vreinterpret_u64_s8(v), 0);

	if (n >= 8) {
		vst1_s8(y, v);
		return;
	}
	for (; n; n--, bits >>= 8)
		*y++ = (int8_t)bits;
}

static inline __attribute__((always_inline)) void tile_store(const struct ne_conv_s8 *a,
							     const int32x4_t *acc, const int mr,
							     const int nb, uint32_t p, uint32_t o)
{
	const uint32_t tail = a->oc - o - (uint32_t)(nb - 1) * 8;
	const int16x8_t zp = vdupq_n_s16((int16_t)a->zp);
	const int8x8_t lo = vdup_n_s8((int8_t)a->lo), hi = vdup_n_s8((int8_t)a->hi);
	int8_t *y = a->y + p * a->y_stride + o;

#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 8
#endif
	for (int i = 0; i < mr; i++, y += a->y_stride) {
#ifdef __clang__
#pragma unroll
#else
#pragma GCC unroll 2
#endif
		for (int b = 0; b < nb; b++) {
			const int v = (i * nb + b) * 2;

			store_up_to_8(
				y + b * 8,
				requantise(acc[v], acc[v + 1], a->mult + o + b * 8, zp, lo, hi),
				b == nb - 1 ? tail : 8);
		}
	}
}
