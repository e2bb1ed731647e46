/* SPDX-License-Identifier: MIT */
/* Planes to channels, SSE4.1: three planes, 16 pixels at a time; other counts in C. */
#include "engine/kernels/x86/util.h"

/* Where byte i of output vector @v of three comes from: its pixel, or 0x80 (zero) for another plane. */
static inline __m128i place(int v, int plane)
{
	int8_t at[16];

	for (int i = 0; i < 16; i++)
		at[i] = (16 * v + i) % 3 == plane ? (int8_t)((16 * v + i) / 3) : INT8_MIN;
	return _mm_loadu_si128((const __m128i *)(const void *)at);
}

void ne_interleave_8_sse41(int8_t *y, const int8_t *x, uint32_t planes, size_t plane, size_t n)
{
	__m128i from[3][3];
	size_t i = 0;

	if (planes != 3) {
		ne_interleave_8_c(y, x, planes, plane, n);
		return;
	}
	for (int v = 0; v < 3; v++)
		for (int p = 0; p < 3; p++)
			from[v][p] = place(v, p);
	for (; i + 16 <= n; i += 16, y += 48) {
		__m128i in[3];

		for (int p = 0; p < 3; p++)
			in[p] = _mm_loadu_si128(
				(const __m128i *)(const void *)(x + (size_t)p * plane + i));
		for (int v = 0; v < 3; v++)
			_mm_storeu_si128(
				(__m128i *)(void *)(y + 16 * v),
				_mm_or_si128(_mm_shuffle_epi8(in[0], from[v][0]),
					     _mm_or_si128(_mm_shuffle_epi8(in[1], from[v][1]),
							  _mm_shuffle_epi8(in[2], from[v][2]))));
	}
	ne_interleave_8_c(y, x + i, planes, plane, n - i);
}
