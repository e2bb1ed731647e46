/* SPDX-License-Identifier: MIT */
/*
 * Maximum and average pooling, f32, in plain C that compilers vectorise well.
 * A file of each instruction set defines NE_SET(operator), the name of its kernel, and includes
 * this one, so that it is compiled with that set's flags.
 */
#include <math.h>
#include <string.h>

#include "engine/kernels/kernels.h"

#define BLOCK 64u /* channels whose maxima or sums stay in L1, or in registers */

/* Any alignment that the scalar has. */
typedef float pool_v __attribute__((vector_size(64), aligned(4), may_alias));
#define LANES (sizeof(pool_v) / sizeof(float))

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

/* BLOCK channels from @x on: their sums, in registers. Of two taps the sum comes first, which halves
 * how long the additions wait for each other. */
static void sum_block(const struct ne_pool_f32 *a, const int32_t *ind, const float *x, float *sum)
{
	pool_v acc[BLOCK / LANES] = {{0}};
	uint32_t t = 0;

	for (; t + 1 < a->taps; t += 2) {
		const pool_v *p = (const pool_v *)(x + (ind[t] < 0 ? 0 : ind[t]));
		const pool_v *q = (const pool_v *)(x + (ind[t + 1] < 0 ? 0 : ind[t + 1]));

		if ((ind[t] | ind[t + 1]) >= 0)
			for (uint32_t i = 0; i < BLOCK / LANES; i++)
				acc[i] += p[i] + q[i];
		else if (ind[t] >= 0 || ind[t + 1] >= 0)
			for (uint32_t i = 0; i < BLOCK / LANES; i++)
				acc[i] += ind[t] < 0 ? q[i] : p[i];
	}
	if (t < a->taps && ind[t] >= 0)
		for (uint32_t i = 0; i < BLOCK / LANES; i++)
			acc[i] += ((const pool_v *)(x + ind[t]))[i];
	memcpy(sum, acc, sizeof(acc));
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

			if (n == BLOCK)
				sum_block(a, ind, a->x + c, acc);
			for (uint32_t t = 0; t < a->taps && n < BLOCK; t++)
				if (ind[t] >= 0)
					accumulate(acc, a->x + ind[t] + c, n);
			clamp(a, a->y + p * a->y_stride + c, acc, a->mult[p], n);
		}
	}
}
