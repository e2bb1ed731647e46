/* SPDX-License-Identifier: MIT */
/* Operators on each s8 element by itself, in plain C: add, table lookup, quantise, dequantise. */
#include "engine/kernels/kernels.h"

void ne_add_s8_c(const struct ne_add_s8 *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const float pa = (float)a->a[i] * a->fa;
		const float pb = (float)a->b[i] * a->fb;

		a->y[i] = ne_requantise((pa + pb) + a->fc, a->zp, a->lo, a->hi);
	}
}

void ne_lut_s8_c(int8_t *y, const int8_t *x, size_t n, const int8_t table[256])
{
	for (size_t i = 0; i < n; i++)
		y[i] = table[(uint8_t)x[i]];
}

void ne_quantise_s8_c(int8_t *y, const float *x, size_t n, float inv_scale, int32_t zp, int32_t lo,
		      int32_t hi)
{
	for (size_t i = 0; i < n; i++)
		y[i] = ne_requantise(x[i] * inv_scale, zp, lo, hi);
}

void ne_dequantise_s8_c(float *y, const int8_t *x, size_t n, float scale, int32_t zp)
{
	for (size_t i = 0; i < n; i++)
		y[i] = (float)(x[i] - zp) * scale;
}
