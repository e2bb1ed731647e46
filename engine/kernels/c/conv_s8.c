/* SPDX-License-Identifier: MIT */
/* Convolution and dense, s8, in plain C: nr = NR output channels a block, kr = 1. */
#include "engine/kernels/kernels.h"

#define NR 8u

/* Sums wrap modulo 2^32, as those of every instruction set do. */
static void accumulate(uint32_t acc[NR], const int8_t *x, const int8_t *w, uint32_t ic)
{
	for (uint32_t i = 0; i < ic; i++, w += NR)
		for (uint32_t o = 0; o < NR; o++)
			acc[o] += (uint32_t)(x[i] * w[o]);
}

void ne_conv_s8_c(const struct ne_conv_s8 *a)
{
	for (uint32_t o = 0; o < a->oc; o += NR) {
		const int8_t *block = a->w + o / NR * a->w_block_stride;
		const uint32_t n = NE_MIN(NR, a->oc - o);

		for (uint32_t p = 0; p < a->n_pix; p++) {
			const int32_t *ind = a->ind + (size_t)p * a->taps;
			int8_t *y = a->y + p * a->y_stride + o;
			uint32_t acc[NR];

			memcpy(acc, a->bias + o, sizeof(acc));
			for (uint32_t t = 0; t < a->taps; t++)
				accumulate(acc, ne_tap_s8(a->x, ind[t], a->pad),
					   block + t * a->w_tap_stride, a->ic);
			for (uint32_t i = 0; i < n; i++)
				y[i] = ne_requantise((float)(int32_t)acc[i] * a->mult[o + i], a->zp,
						     a->lo, a->hi);
		}
	}
}
