/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution, s8, AVX2: up to 16 channels at a time, two taps interleaved and widened to
 * s16, so that one vpmaddwd adds two taps of a channel, exactly.
 */
#include "engine/kernels/x86/util.h"

#define MAX_TAPS 64u /* more go to the C version */

/* What is the same for all pixels. */
struct state {
	__m256i w[MAX_TAPS / 2][2], bias[2];
	__m256 mult[2], hi;
	__m128i zp, lo;
};

/* Channels 0-7 and 8-15 of two taps, as pairs of s16. */
static inline void interleave(__m256i v[2], __m128i t0, __m128i t1)
{
	v[0] = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(t0, t1));
	v[1] = _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(t0, t1));
}

static void setup(struct state *s, const struct ne_dw_s8 *a, uint32_t c, uint32_t n)
{
	memset(s->bias, 0, sizeof(s->bias));
	memset(s->mult, 0, sizeof(s->mult));
	memcpy(s->bias, a->bias + c, n * sizeof(*a->bias));
	memcpy(s->mult, a->mult + c, n * sizeof(*a->mult));
	for (uint32_t t = 0; t < a->taps; t += 2) {
		const int8_t *w = a->w + t * a->w_tap_stride + c;

		interleave(s->w[t / 2], load_up_to_16(w, n),
			   t + 1 < a->taps ? load_up_to_16(w + a->w_tap_stride, n)
					   : _mm_setzero_si128());
	}
	s->hi = _mm256_set1_ps((float)(a->hi - a->zp));
	s->zp = _mm_set1_epi16((int16_t)a->zp);
	s->lo = _mm_set1_epi8((int8_t)a->lo);
}

/* Only the upper clamp is needed in float: conversion and packs keep what is below s32 lowest. */
static inline __m128i requantise(const __m256i acc[2], const struct state *s)
{
	__m256i q[2];

	for (int k = 0; k < 2; k++)
		q[k] = _mm256_cvtps_epi32(_mm256_min_ps(
			_mm256_mul_ps(_mm256_cvtepi32_ps(acc[k]), s->mult[k]), s->hi));
	q[0] = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), 0xd8);
	return _mm_max_epi8(
		_mm_packs_epi16(_mm_adds_epi16(_mm256_castsi256_si128(q[0]), s->zp),
				_mm_adds_epi16(_mm256_extracti128_si256(q[0], 1), s->zp)),
		s->lo);
}

static inline const int8_t *tap(const struct ne_dw_s8 *a, const int32_t *ind, uint32_t t,
				uint32_t c)
{
	return ne_tap_s8(a->x, ind[t], a->pad) + c;
}

static inline __attribute__((always_inline)) void channels(const struct ne_dw_s8 *a, uint32_t c,
							   const uint32_t n)
{
	struct state s;

	setup(&s, a, c, n);
	for (uint32_t p = 0; p < a->n_pix; p++) {
		const int32_t *ind = a->ind + (size_t)p * a->taps;
		__m256i acc[2] = {s.bias[0], s.bias[1]};

		for (uint32_t t = 0; t < a->taps; t += 2) {
			const uint32_t t1 = NE_MIN(t + 1, a->taps - 1); /* its weights are zero */
			__m256i v[2];

			interleave(v, load_up_to_16(tap(a, ind, t, c), n),
				   load_up_to_16(tap(a, ind, t1, c), n));
			acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(v[0], s.w[t / 2][0]));
			acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(v[1], s.w[t / 2][1]));
		}
		store_up_to_16(a->y + p * a->y_stride + c, requantise(acc, &s), n);
	}
}

void ne_dw_s8_avx2(const struct ne_dw_s8 *a)
{
	uint32_t c = 0;

	if (a->taps > MAX_TAPS) {
		ne_dw_s8_c(a);
		return;
	}
	for (; a->c - c >= 16; c += 16)
		channels(a, c, 16);
	if (a->c - c == 8)
		channels(a, c, 8);
	else if (a->c - c)
		channels(a, c, a->c - c);
}
