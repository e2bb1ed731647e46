/* SPDX-License-Identifier: MIT */
/* Complex FFT, f32, AVX2 and FMA: the first two passes as one of radix 4, whose factors are 1 and
 * -i, then passes of radix 2 on four points at a time. */
#include <immintrin.h>

#include "engine/kernels/fft.h"

/* Radix 4 on points 4k to 4k + 3, already in bit-reversed order; n >= 4. */
static void first_passes(float *data, uint32_t n)
{
	const __m128 minus_hi = _mm_setr_ps(0.0f, 0.0f, -0.0f, -0.0f);
	const __m128 minus_i = _mm_setr_ps(0.0f, 0.0f, 0.0f, -0.0f);

	for (uint32_t i = 0; i < n; i += 4, data += 8) {
		const __m128 ab = _mm_loadu_ps(data), cd = _mm_loadu_ps(data + 4);
		/* (a + b, a - b) and (c + d, -i (c - d)) */
		const __m128 s = _mm_add_ps(_mm_movelh_ps(ab, ab),
					    _mm_xor_ps(_mm_movehl_ps(ab, ab), minus_hi));
		const __m128 t = _mm_add_ps(_mm_movelh_ps(cd, cd),
					    _mm_xor_ps(_mm_movehl_ps(cd, cd), minus_hi));
		const __m128 u = _mm_xor_ps(_mm_shuffle_ps(t, t, _MM_SHUFFLE(2, 3, 1, 0)), minus_i);

		_mm_storeu_ps(data, _mm_add_ps(s, u));
		_mm_storeu_ps(data + 4, _mm_sub_ps(s, u));
	}
}

static inline __m256 multiply(__m256 x, __m256 w)
{
	const __m256 swapped = _mm256_permute_ps(x, _MM_SHUFFLE(2, 3, 0, 1));

	return _mm256_fmaddsub_ps(x, _mm256_moveldup_ps(w),
				  _mm256_mul_ps(swapped, _mm256_movehdup_ps(w)));
}

/* Four factors, @step apart. */
static inline __m256 load_factors(const float *twiddle, size_t step)
{
	double pair[4]; /* each a complex number as eight bytes */

	if (step == 1)
		return _mm256_loadu_ps(twiddle);
	for (int i = 0; i < 4; i++)
		memcpy(&pair[i], twiddle + 2 * step * (size_t)i, sizeof(pair[i]));
	return _mm256_castpd_ps(_mm256_setr_pd(pair[0], pair[1], pair[2], pair[3]));
}

/* Four factors serve all groups of a pass, so groups are the inner loop. */
static void pass(float *data, uint32_t n, uint32_t half, const float *twiddle)
{
	const size_t step = n / (2 * (size_t)half);

	for (size_t k = 0; k < half; k += 4) {
		const __m256 w = load_factors(twiddle + 2 * k * step, step);

		for (size_t start = k; start < n; start += 2 * (size_t)half) {
			float *lo = data + 2 * start, *hi = lo + 2 * (size_t)half;
			const __m256 a = _mm256_loadu_ps(lo);
			const __m256 b = multiply(_mm256_loadu_ps(hi), w);

			_mm256_storeu_ps(lo, _mm256_add_ps(a, b));
			_mm256_storeu_ps(hi, _mm256_sub_ps(a, b));
		}
	}
}

void ne_fft_f32_avx2(float *data, uint32_t n, const float *twiddle)
{
	if (n < 4) {
		ne_fft_f32_c(data, n, twiddle);
		return;
	}
	ne_fft_bit_reverse(data, n);
	first_passes(data, n);
	for (uint32_t half = 4; half < n; half *= 2)
		pass(data, n, half, twiddle);
}
