/* SPDX-License-Identifier: MIT */
/* Convolution and dense, f32, in plain C: NR output channels a block. */
#include "engine/kernels/kernels.h"

#define NR 8u

static void accumulate(float acc[NR], const float *x, const float *w, uint32_t ic)
{
	for (uint32_t i = 0; i < ic; i++, w += NR)
		for (uint32_t o = 0; o < NR; o++)
			acc[o] += x[i] * w[o];
}

void ne_conv_f32_c(const struct ne_conv_f32 *a)
{
	const float slope = ne_slope_f32(a);

	for (uint32_t o = 0; o < a->oc; o += NR) {
		const float *block = a->w + o / NR * a->w_block_stride;
		const uint32_t n = NE_MIN(NR, a->oc - o);

		for (uint32_t p = 0; p < a->n_pix; p++) {
			const int32_t *ind = a->ind + (size_t)p * a->taps;
			float *y = a->y + p * a->y_stride + o;
			float acc[NR] = {0};

			for (uint32_t t = 0; t < a->taps; t++)
				accumulate(acc, ne_tap_f32(a->x, ind[t], a->pad),
					   block + t * a->w_tap_stride, a->ic);
			for (uint32_t i = 0; i < n; i++) {
				const float v = a->scale[o + i] * acc[i] + a->bias[o + i];
				const float r = NE_MAX(v, slope * v);

				y[i] = NE_CLAMP(r, a->lo, a->hi);
			}
		}
	}
}
