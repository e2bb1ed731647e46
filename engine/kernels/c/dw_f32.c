/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, f32, in plain C. */
#include "engine/kernels/kernels.h"

#define BLOCK 64u /* channels whose sums stay in L1 */

static void accumulate(float *restrict acc, const float *restrict x, const float *restrict w,
		       uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		acc[i] += x[i] * w[i];
}

void ne_dw_f32_c(const struct ne_dw_f32 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;

		for (uint32_t c = 0; c < a->c; c += BLOCK) {
			const uint32_t n = NE_MIN(BLOCK, a->c - c);
			float *y = a->y + p * a->y_stride + c;
			float acc[BLOCK] = {0};

			for (uint32_t t = 0; t < a->taps; t++)
				accumulate(acc, ne_tap_f32(a->x, ind[t], a->pad) + c,
					   a->w + t * a->w_tap_stride + c, n);
			for (uint32_t i = 0; i < n; i++) {
				const float r = a->scale[c + i] * acc[i] + a->bias[c + i];

				y[i] = NE_CLAMP(r, a->lo, a->hi);
			}
		}
	}
}
