/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, f32, NEON: 16 channels at a time, so that finding a tap is worth it, then 4,
 * the rest one by one. */
#include <arm_neon.h>

#include "engine/kernels/kernels.h"

/* 4 nv channels from @c of every pixel. */
static inline __attribute__((always_inline)) void channels(const struct ne_dw_f32 *a, uint32_t c,
							   const int nv)
{
	const float32x4_t lo = vdupq_n_f32(a->lo), hi = vdupq_n_f32(a->hi);

	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;
		const float *w = a->w + c;
		float *y = a->y + p * a->y_stride + c;
		float32x4_t sum[4];

		for (int v = 0; v < nv; v++)
			sum[v] = vdupq_n_f32(0.0f);
		for (uint32_t t = 0; t < a->taps; t++, w += a->w_tap_stride) {
			const float *x = ne_tap_f32(a->x, ind[t], a->pad) + c;

			for (int v = 0; v < nv; v++)
				sum[v] = vfmaq_f32(sum[v], vld1q_f32(x + 4 * v),
						   vld1q_f32(w + 4 * v));
		}
		for (int v = 0; v < nv; v++) {
			const float32x4_t r = vfmaq_f32(vld1q_f32(a->bias + c + 4 * v),
							vld1q_f32(a->scale + c + 4 * v), sum[v]);

			vst1q_f32(y + 4 * v, vminq_f32(vmaxq_f32(r, lo), hi));
		}
	}
}

static void channel(const struct ne_dw_f32 *a, uint32_t c)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;
		float sum = 0.0f;

		for (uint32_t t = 0; t < a->taps; t++)
			sum += ne_tap_f32(a->x, ind[t], a->pad)[c] * a->w[t * a->w_tap_stride + c];
		sum = a->scale[c] * sum + a->bias[c];
		a->y[p * a->y_stride + c] = NE_CLAMP(sum, a->lo, a->hi);
	}
}

void ne_dw_f32_neon(const struct ne_dw_f32 *a)
{
	uint32_t c = 0;

	for (; c + 16 <= a->c; c += 16)
		channels(a, c, 4);
	for (; c + 4 <= a->c; c += 4)
		channels(a, c, 1);
	for (; c < a->c; c++)
		channel(a, c);
}
