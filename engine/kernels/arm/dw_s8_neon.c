/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, s8, NEON: 8 channels at a time, the rest one by one. */
#include <arm_neon.h>

#include "engine/kernels/kernels.h"

static inline int16x4_t scale_s16(int32x4_t acc, const float *mult)
{
	return vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(mult))));
}

/* 8 channels from @c of one pixel. */
static inline void channels_8(const struct ne_dw_s8 *a, const int32_t *ind, uint32_t c, int8_t *y)
{
	const int8_t *w = a->w + c;
	int32x4_t lo = vld1q_s32(a->bias + c), hi = vld1q_s32(a->bias + c + 4);
	int16x8_t q;

	for (uint32_t t = 0; t < a->taps; t++, w += a->w_tap_stride) {
		const int16x8_t p =
			vmull_s8(vld1_s8(ne_tap_s8(a->x, ind[t], a->pad) + c), vld1_s8(w));

		lo = vaddw_s16(lo, vget_low_s16(p));
		hi = vaddw_high_s16(hi, p);
	}
	q = vcombine_s16(scale_s16(lo, a->mult + c), scale_s16(hi, a->mult + c + 4));
	q = vqaddq_s16(q, vdupq_n_s16((int16_t)a->zp));
	vst1_s8(y + c, vmin_s8(vmax_s8(vqmovn_s16(q), vdup_n_s8((int8_t)a->lo)),
			       vdup_n_s8((int8_t)a->hi)));
}

static inline void channel(const struct ne_dw_s8 *a, const int32_t *ind, uint32_t c, int8_t *y)
{
	uint32_t acc = (uint32_t)a->bias[c];

	for (uint32_t t = 0; t < a->taps; t++)
		acc += (uint32_t)(ne_tap_s8(a->x, ind[t], a->pad)[c] *
				  a->w[t * a->w_tap_stride + c]);
	y[c] = ne_requantise((float)(int32_t)acc * a->mult[c], a->zp, a->lo, a->hi);
}

void ne_dw_s8_neon(const struct ne_dw_s8 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;
		int8_t *y = a->y + p * a->y_stride;
		uint32_t c = 0;

		for (; c + 8 <= a->c; c += 8)
			channels_8(a, ind, c, y);
		for (; c < a->c; c++)
			channel(a, ind, c, y);
	}
}
