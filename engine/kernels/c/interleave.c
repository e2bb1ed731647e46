/* SPDX-License-Identifier: MIT */
/* Planes to channels, C. */
#include "engine/kernels/kernels.h"

void ne_interleave_8_c(int8_t *y, const int8_t *x, uint32_t planes, size_t plane, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t p = 0; p < planes; p++)
			*y++ = x[p * plane + i];
}
