/* SPDX-License-Identifier: MIT */
/*
 * Maximum and average pooling, f32, in plain C that compilers vectorise well.
 * A file of each instruction set defines NE_SET(operator), the name of its kernel, and includes
 * this one, so that it is compiled with that set's flags.
 */
#include <math.h>

#include "engine/kernels/kernels.h"

#define BLOCK 64u /* channels whose maxima or sums stay in L1 */

static void keep_max(float *restrict max, const float *restrict x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		max[i] = NE_MAX(max[i], x[i]);
}

static void accumulate(float *restrict acc, const float *restrict x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		acc[i] += x[i];
}

static void clamp(const struct ne_pool_f32 *a, float *y, const float *v, float mult, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const float r = v[i] * mult;

		y[i] = NE_CLAMP(r, a->lo, a->hi);
	}
}

void NE_SET(maxpool_f32)(const struct ne_pool_f32 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;

		for (uint32_t c = 0; c < a->c; c += BLOCK) {
			const uint32_t n = NE_MIN(BLOCK, a->c - c);
			float max[BLOCK];

			for (uint32_t i = 0; i < n; i++)
				max[i] = -INFINITY;
			for (uint32_t t = 0; t < a->taps; t++)
				if (ind[t] >= 0)
					keep_max(max, a->x + ind[t] + c, n);
			clamp(a, a->y + p * a->y_stride + c, max, 1.0f, n);
		}
	}
}

void NE_SET(avgpool_f32)(const struct ne_pool_f32 *a)
{
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;

		for (uint32_t c = 0; c < a->c; c += BLOCK) {
			const uint32_t n = NE_MIN(BLOCK, a->c - c);
			float acc[BLOCK] = {0};

			for (uint32_t t = 0; t < a->taps; t++)
				if (ind[t] >= 0)
					accumulate(acc, a->x + ind[t] + c, n);
			clamp(a, a->y + p * a->y_stride + c, acc, a->mult[p], n);
		}
	}
}
