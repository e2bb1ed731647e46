/* SPDX-License-Identifier: MIT */
/* What the s8 kernels of arm64 share: loads of a few bytes, the requantisation, stores. */
#ifndef NE_ARM_STORE_S8_H
#define NE_ARM_STORE_S8_H

#include "engine/kernels/arm/tile.h"

/* 4 bytes, four times. */
static inline int8x16_t load_4(const int8_t *x)
{
	uint32_t v;

	memcpy(&v, x, sizeof(v));
	return vreinterpretq_s8_u32(vdupq_n_u32(v));
}

/* The first @n of 8 bytes, 0 < n < 8; the others, and the upper half, are zero. */
static inline int8x16_t load_up_to_7(const int8_t *x, uint32_t n)
{
	uint64_t v = 0;
	uint32_t four = 0;

	if (n & 4) {
		memcpy(&four, x, 4);
		x += 4;
	}
	for (uint32_t i = n & 3; i; i--)
		v = v << 8 | (uint8_t)x[i - 1];
	v = n & 4 ? v << 32 | four : v;
	return vcombine_s8(vcreate_s8(v), vdup_n_s8(0));
}

/* Of one tensor: what all channels share. */
struct requant {
	int16x8_t zp;
	int8x16_t lo, hi;
};

static inline struct requant requant_of(int32_t zp, int32_t lo, int32_t hi)
{
	return (struct requant){vdupq_n_s16((int16_t)zp), vdupq_n_s8((int8_t)lo),
				vdupq_n_s8((int8_t)hi)};
}

/* Conversion, narrowing and addition all saturate: as good as clamping first. */
static inline int32x4_t scale_s32(int32x4_t sum, float32x4_t mult)
{
	return vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sum), mult));
}

NEON_INLINE int16x8_t scale_8(int32x4_t a, int32x4_t b, float32x4_t ma, float32x4_t mb)
{
	return vqmovn_high_s32(vqmovn_s32(scale_s32(a, ma)), scale_s32(b, mb));
}

NEON_INLINE int8x8_t requant_8(const struct requant *q, int32x4_t a, int32x4_t b, float32x4_t ma,
			       float32x4_t mb)
{
	const int8x8_t v = vqmovn_s16(vqaddq_s16(scale_8(a, b, ma, mb), q->zp));

	return vmin_s8(vmax_s8(v, vget_low_s8(q->lo)), vget_low_s8(q->hi));
}

NEON_INLINE int8x16_t requant_16(const struct requant *q, const int32x4_t sum[4],
				 const float32x4_t mult[4])
{
	const int16x8_t a = vqaddq_s16(scale_8(sum[0], sum[1], mult[0], mult[1]), q->zp);
	const int16x8_t b = vqaddq_s16(scale_8(sum[2], sum[3], mult[2], mult[3]), q->zp);

	return vminq_s8(vmaxq_s8(vqmovn_high_s16(vqmovn_s16(a), b), q->lo), q->hi);
}

/* The first @n of 8 and of 16. */
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

static inline void store_up_to_16(int8_t *y, int8x16_t v, uint32_t n)
{
	if (n >= 16) {
		vst1q_s8(y, v);
	} else if (n > 8) {
		vst1_s8(y, vget_low_s8(v));
		store_up_to_8(y + 8, vget_high_s8(v), n - 8);
	} else {
		store_up_to_8(y, vget_low_s8(v), n);
	}
}

#endif
