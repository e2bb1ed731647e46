/* SPDX-License-Identifier: MIT */
/*
 * Operators on each f32 element by itself, in plain C that compilers vectorise well. y may be an
 * input.
 * A file of each instruction set defines NE_SET(operator), the name of its kernel, and includes
 * this one, so that it is compiled with that set's flags.
 */
#include "engine/kernels/kernels.h"

void NE_SET(add_f32)(float *y, const float *a, const float *b, size_t n, float lo, float hi)
{
	for (size_t i = 0; i < n; i++) {
		const float r = a[i] + b[i];

		y[i] = NE_CLAMP(r, lo, hi);
	}
}

void NE_SET(mul_f32)(float *y, const float *a, const float *b, size_t n, float lo, float hi)
{
	for (size_t i = 0; i < n; i++) {
		const float r = a[i] * b[i];

		y[i] = NE_CLAMP(r, lo, hi);
	}
}

void NE_SET(clamp_f32)(float *y, const float *x, size_t n, float lo, float hi)
{
	for (size_t i = 0; i < n; i++)
		y[i] = NE_CLAMP(x[i], lo, hi);
}

/* Gates are written down before they are used: in one loop compilers branch around the products
 * with gates of 0 and 1, and do not vectorise. */
void NE_SET(hardswish_f32)(float *y, const float *x, size_t n)
{
	for (size_t at = 0; at < n; at += 64) {
		const size_t most = NE_MIN(n - at, 64u);
		float gate[64];

		for (size_t i = 0; i < most; i++) {
			const float g = x[at + i] * (1.0f / 6.0f) + 0.5f;

			gate[i] = NE_CLAMP(g, 0.0f, 1.0f);
		}
		for (size_t i = 0; i < most; i++)
			y[at + i] = x[at + i] * gate[i];
	}
}
