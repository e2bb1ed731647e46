/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, f32, NEON: 4 channels at a time, the rest one by one. */
#include <arm_neon.h>

#include "engine/kernels/kernels.h"

static inline void channels_4(const struct ne_dw_f32 *a, const int32_t *ind, uint32_t c, float *y)
{
	const float *w = a->w + c;
	float32x4_t acc = vdupq_n_f32(0.0f);

	for (uint32_t t = 0; t < a->taps; t++, w += a->w_tap_stride)
		acc = vfmaq_f32(acc, vld1q_f32(ne_tap_f32(a->x, ind[t], a->pad) + c), vld1q_f32(w));
	acc = vfmaq_f32(vld1q_f32(a->bias + c), vld1q_f32(a->scale + c), acc);
	vst1q_f32(y + c, vminq_f32(vmaxq_f32(acc, vdupq_n_f32(a->lo)), vdupq_n_f32(a->hi)));
}

static inline void channel(const struct ne_dw_f32 *a, const int32_t *ind, uint32_t c, float *y)
{
	float acc = 0.0f;

	for (uint32_t t = 0; t < a->taps; t++)
		acc += ne_tap_f32(a->x, ind[t], a->pad)[c] * a->w[t * a->w_tap_stride + c];
	acc = a->scale[c] * acc + a->bias[c];
	y[c] = NE_CLAMP(acc, a->lo, a->hi);
}

void ne_dw_f32_neon(const struct ne_dw_f32 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;
		float *y = a->y + p * a->y_stride;
		uint32_t c = 0;

		for (; c + 4 <= a->c; c += 4)
			channels_4(a, ind, c, y);
		for (; c < a->c; c++)
			channel(a, ind, c, y);
	}
}
