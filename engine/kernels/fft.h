/* SPDX-License-Identifier: MIT */
/* What the FFT kernels share: the permutation that decimation in time starts from. */
#ifndef NE_KERNELS_FFT_H
#define NE_KERNELS_FFT_H

#include "engine/kernels/kernels.h"

/* Swaps each of the @n complex points with the one whose index has its bits reversed. */
static inline void ne_fft_bit_reverse(float *data, uint32_t n)
{
	for (uint32_t i = 1, j = 0; i < n; i++) {
		uint32_t bit = n >> 1;

		for (; j & bit; bit >>= 1)
			j ^= bit;
		j ^= bit; /* j is i with its bits reversed: add one from the top */
		if (i < j) {
			uint64_t a, b;

			memcpy(&a, data + 2 * (size_t)i, sizeof(a));
			memcpy(&b, data + 2 * (size_t)j, sizeof(b));
			memcpy(data + 2 * (size_t)i, &b, sizeof(b));
			memcpy(data + 2 * (size_t)j, &a, sizeof(a));
		}
	}
}

#endif
