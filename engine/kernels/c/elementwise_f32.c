/* SPDX-License-Identifier: MIT */
/* Operators on each f32 element by itself, in plain C. y may be an input. */
#include "engine/kernels/kernels.h"

void ne_add_f32_c(float *y, const float *a, const float *b, size_t n, float lo, float hi)
{
	for (size_t i = 0; i < n; i++) {
		const float r = a[i] + b[i];

		y[i] = NE_CLAMP(r, lo, hi);
	}
}

void ne_mul_f32_c(float *y, const float *a, const float *b, size_t n, float lo, float hi)
{
	for (size_t i = 0; i < n; i++) {
		const float r = a[i] * b[i];

		y[i] = NE_CLAMP(r, lo, hi);
	}
}

void ne_clamp_f32_c(float *y, const float *x, size_t n, float lo, float hi)
{
	for (size_t i = 0; i < n; i++)
		y[i] = NE_CLAMP(x[i], lo, hi);
}

void ne_hardswish_f32_c(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const float gate = x[i] * (1.0f / 6.0f) + 0.5f;

		y[i] = x[i] * NE_CLAMP(gate, 0.0f, 1.0f);
	}
}
