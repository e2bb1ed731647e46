/* SPDX-License-Identifier: MIT */
/* Sums of weights, C. */
#include "engine/kernels/kernels.h"

#include <stdlib.h>

void ne_sums_s8_c(struct ne_sums *s, const int8_t *x, size_t n)
{
	while (n) {
		const size_t part = NE_MIN(n, (size_t)1 << 20); /* sums below 2^27 */
		int32_t sum = 0, magnitude = 0, least = s->least;

		for (size_t i = 0; i < part; i++) {
			sum += x[i];
			magnitude += abs(x[i]);
			least = NE_MIN(least, x[i]);
		}
		s->sum += sum;
		s->magnitude += magnitude;
		s->least = least;
		x += part;
		n -= part;
	}
}
