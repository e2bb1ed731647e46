/* SPDX-License-Identifier: MIT */
/*
 * Operators on each s8 element by itself: add, quantise, dequantise, in plain C that compilers
 * vectorise well.
 * A file of each instruction set defines NE_SET(operator), the name of its kernel, and includes
 * this one, so that it is compiled with that set's flags; with NE_OWN_ADD its add is elsewhere.
 */
#include "engine/kernels/kernels.h"

#ifndef NE_OWN_ADD
void NE_SET(add_s8)(const struct ne_add_s8 *arg)
{
	const struct ne_add_s8 v = *arg; /* stores to y cannot change a local */
	const int8_t *a = v.a, *b = v.b;
	int8_t *y = v.y;

#ifndef __clang__
#pragma GCC ivdep /* y may be a or b, but no part of them */
#endif
	for (size_t i = 0; i < v.n; i++) {
		const float fb = ne_fma((float)(b[i] + 128), v.fb, v.fc);

		y[i] = ne_requantise(ne_fma((float)(a[i] + 128), v.fa, fb), -128, v.lo, v.hi);
	}
}
#endif

void NE_SET(quantise_s8)(int8_t *y, const float *x, size_t n, float scale, int32_t zp, int32_t lo,
			 int32_t hi)
{
	for (size_t i = 0; i < n; i++)
		y[i] = ne_requantise(x[i] / scale, zp, lo, hi);
}

void NE_SET(dequantise_s8)(float *y, const int8_t *x, size_t n, float scale, int32_t zp)
{
	for (size_t i = 0; i < n; i++)
		y[i] = (float)(x[i] - zp) * scale;
}
