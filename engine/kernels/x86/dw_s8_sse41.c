/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution, s8, SSE4.1: up to 8 channels at a time, two taps interleaved and widened
 * to s16, so that one pmaddwd adds two taps of a channel, exactly.
 */
#include "engine/kernels/x86/util.h"

#define MAX_TAPS 64u /* more go to the C version */

/* What is the same for all pixels. */
struct state {
	__m128i w[MAX_TAPS / 2][2], bias[2];
	__m128 mult[2], hi;
	__m128i zp, lo;
};

static inline __m128i load(const int8_t *p, uint32_t n)
{
	return _mm_cvtsi64_si128((long long)load_up_to_8(p, n));
}

/* Channels 0-3 and 4-7 of two taps, as pairs of s16. */
static inline void interleave(__m128i v[2], __m128i t0, __m128i t1)
{
	const __m128i pairs = _mm_unpacklo_epi8(t0, t1);

	v[0] = _mm_cvtepi8_epi16(pairs);
	v[1] = _mm_cvtepi8_epi16(_mm_srli_si128(pairs, 8));
}

static void setup(struct state *s, const struct ne_dw_s8 *a, uint32_t c, uint32_t n)
{
	memset(s->bias, 0, sizeof(s->bias));
	memset(s->mult, 0, sizeof(s->mult));
	memcpy(s->bias, a->bias + c, n * sizeof(*a->bias));
	memcpy(s->mult, a->mult + c, n * sizeof(*a->mult));
	for (uint32_t t = 0; t < a->taps; t += 2) {
		const int8_t *w = a->w + t * a->w_tap_stride + c;

		interleave(s->w[t / 2], load(w, n),
			   t + 1 < a->taps ? load(w + a->w_tap_stride, n) : _mm_setzero_si128());
	}
	s->hi = _mm_set1_ps((float)(a->hi - a->zp));
	s->zp = _mm_set1_epi16((int16_t)a->zp);
	s->lo = _mm_set1_epi8((int8_t)a->lo);
}

/* Only the upper clamp is needed in float: conversion and packs keep what is below s32 lowest. */
static inline __m128i requantise(const __m128i acc[2], const struct state *s)
{
	__m128i q[2];

	for (int k = 0; k < 2; k++)
		q[k] = _mm_cvtps_epi32(
			_mm_min_ps(_mm_mul_ps(_mm_cvtepi32_ps(acc[k]), s->mult[k]), s->hi));
	q[0] = _mm_adds_epi16(_mm_packs_epi32(q[0], q[1]), s->zp);
	return _mm_max_epi8(_mm_packs_epi16(q[0], q[0]), s->lo);
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
		__m128i acc[2] = {s.bias[0], s.bias[1]};

		for (uint32_t t = 0; t < a->taps; t += 2) {
			const uint32_t t1 = NE_MIN(t + 1, a->taps - 1); /* its weights are zero */
			__m128i v[2];

			interleave(v, load(tap(a, ind, t, c), n), load(tap(a, ind, t1, c), n));
			acc[0] = _mm_add_epi32(acc[0], _mm_madd_epi16(v[0], s.w[t / 2][0]));
			acc[1] = _mm_add_epi32(acc[1], _mm_madd_epi16(v[1], s.w[t / 2][1]));
		}
		store_up_to_8(a->y + p * a->y_stride + c,
			      (uint64_t)_mm_cvtsi128_si64(requantise(acc, &s)), n);
	}
}

void ne_dw_s8_sse41(const struct ne_dw_s8 *a)
{
	uint32_t c = 0;

	if (a->taps > MAX_TAPS) {
		ne_dw_s8_c(a);
		return;
	}
	for (; a->c - c >= 8; c += 8)
		channels(a, c, 8);
	if (c < a->c)
		channels(a, c, a->c - c);
}
