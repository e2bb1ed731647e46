/* SPDX-License-Identifier: MIT */
/* Table lookup, s8, in plain C: two loads for each element, which x86 does no better by shuffles. */
#include "engine/kernels/kernels.h"

void ne_lut_s8_c(int8_t *y, const int8_t *x, size_t n, const int8_t table[256])
{
	for (size_t i = 0; i < n; i++)
		y[i] = table[(uint8_t)x[i]];
}
