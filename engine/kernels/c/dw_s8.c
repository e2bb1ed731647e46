/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, s8, in plain C. */
#include "engine/kernels/kernels.h"

#define BLOCK 64u /* channels whose sums stay in L1 */

static void accumulate(uint32_t *restrict acc, const int8_t *restrict x, const int8_t *restrict w,
		       uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		acc[i] += (uint32_t)(x[i] * w[i]);
}

void ne_dw_s8_c(const struct ne_dw_s8 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;

		for (uint32_t c = 0; c < a->c; c += BLOCK) {
			const uint32_t n = NE_MIN(BLOCK, a->c - c);
			int8_t *y = a->y + p * a->y_stride + c;
			uint32_t acc[BLOCK];

			memcpy(acc, a->bias + c, n * sizeof(acc[0]));
			for (uint32_t t = 0; t < a->taps; t++)
				accumulate(acc, ne_tap_s8(a->x, ind[t], a->pad) + c,
					   a->w + t * a->w_tap_stride + c, n);
			for (uint32_t i = 0; i < n; i++)
				y[i] = ne_requantise((float)(int32_t)acc[i] * a->mult[c + i], a->zp,
						     a->lo, a->hi);
		}
	}
}
