/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling, s8, in plain C. */
#include "engine/kernels/kernels.h"

#define BLOCK 64u /* channels whose maxima or sums stay in L1 */

static void keep_max(int8_t *restrict max, const int8_t *restrict x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		max[i] = NE_MAX(max[i], x[i]);
}

void ne_maxpool_s8_c(const struct ne_pool_s8 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;

		for (uint32_t c = 0; c < a->c; c += BLOCK) {
			const uint32_t n = NE_MIN(BLOCK, a->c - c);
			int8_t *y = a->y + p * a->y_stride + c;
			int8_t max[BLOCK];

			memset(max, INT8_MIN, sizeof(max));
			for (uint32_t t = 0; t < a->taps; t++)
				if (ind[t] >= 0)
					keep_max(max, a->x + ind[t] + c, n);
			for (uint32_t i = 0; i < n; i++)
				y[i] = (int8_t)NE_CLAMP(max[i], a->lo, a->hi);
		}
	}
}

static void accumulate(int32_t *restrict acc, const int8_t *restrict x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		acc[i] += x[i];
}

static void average(const struct ne_pool_s8 *a, uint32_t p, uint32_t c, uint32_t n)
{
	const int32_t *ind = a->ind + (size_t)p * a->taps, zp = a->zp, lo = a->lo, hi = a->hi;
	const float mult = a->mult[p], offset = a->offset;
	int8_t *y = a->y + p * a->y_stride + c;
	int32_t acc[BLOCK] = {0}, zero = 0;

	for (uint32_t t = 0; t < a->taps; t++) {
		if (ind[t] < 0)
			continue;
		accumulate(acc, a->x + ind[t] + c, n);
		zero += a->zx;
	}
	for (uint32_t i = 0; i < n; i++)
		y[i] = ne_requantise((float)(acc[i] - zero) * mult + offset, zp, lo, hi);
}

void ne_avgpool_s8_c(const struct ne_pool_s8 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++)
		for (uint32_t c = 0; c < a->c; c += BLOCK)
			average(a, p, c, NE_MIN(BLOCK, a->c - c));
}
