/* SPDX-License-Identifier: MIT */
/* Complex FFT, f32, in plain C: radix 2, decimation in time, in place. */
#include "engine/kernels/fft.h"

static void butterflies(float *data, uint32_t n, uint32_t half, const float *twiddle)
{
	const uint32_t step = n / (2 * half);

	for (uint32_t start = 0; start < n; start += 2 * half) {
		float *lo = data + 2 * (size_t)start, *hi = lo + 2 * (size_t)half;

		for (uint32_t k = 0; k < half; k++) {
			const float wr = twiddle[2 * (size_t)k * step];
			const float wi = twiddle[2 * (size_t)k * step + 1];
			const float re = hi[2 * k] * wr - hi[2 * k + 1] * wi;
			const float im = hi[2 * k] * wi + hi[2 * k + 1] * wr;

			hi[2 * k] = lo[2 * k] - re;
			hi[2 * k + 1] = lo[2 * k + 1] - im;
			lo[2 * k] += re;
			lo[2 * k + 1] += im;
		}
	}
}

void ne_fft_f32_c(float *data, uint32_t n, const float *twiddle)
{
	ne_fft_bit_reverse(data, n);
	for (uint32_t half = 1; half < n; half *= 2)
		butterflies(data, n, half, twiddle);
}
