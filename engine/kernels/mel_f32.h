/* SPDX-License-Identifier: MIT */
/*
 * The spectrum and mel filters of eight frames at once, a frame in each lane of a vector, so that
 * nothing is shuffled inside of one: a template for every instruction set, written with the
 * compiler's vectors. No sum is fused or reordered: all sets give the same bits.
 *
 * A real FFT of n points is a complex one of half = n/2 points over the even and the odd samples,
 * then untangled (Sorensen et al. 1987, Real-valued fast Fourier transform algorithms). The complex
 * one decimates in time: its points are written in bit-reversed order, then passes of radix 4 run
 * in place. work[row]: real parts of the lanes, then imaginary parts.
 */
#ifndef NE_MEL_F32_TEMPLATE_H
#define NE_MEL_F32_TEMPLATE_H

#include "engine/kernels/kernels.h"

/* Any alignment that the scalar has. */
typedef float mel_v __attribute__((vector_size(4 * NE_MEL_LANES), aligned(4), may_alias));
typedef int16_t mel_s16 __attribute__((vector_size(2 * NE_MEL_LANES), aligned(2), may_alias));

struct mel_point {
	mel_v re, im;
};

/* Counts up with its bits the other way round; @top: the bit that counts one. */
static inline uint32_t mel_next_reversed(uint32_t j, uint32_t top)
{
	for (; j & top; top >>= 1)
		j ^= top;
	return j ^ top;
}

/* v[l] = NE_MEL_LANES samples of frame l from @at on, windowed. */
static inline void mel_window(const struct ne_mel_f32 *a, uint32_t at, mel_v v[NE_MEL_LANES])
{
	const mel_v w = *(const mel_v *)(a->window + at);

	for (uint32_t l = 0; l < NE_MEL_LANES; l++) {
		const size_t from = (size_t)l * a->hop + at;

		if (l >= a->frames)
			v[l] = w - w;
		else if (a->s16)
			v[l] = __builtin_convertvector(
				       *(const mel_s16 *)((const int16_t *)a->x + from), mel_v) *
			       (1.0f / 32768.0f) * w;
		else
			v[l] = *(const mel_v *)((const float *)a->x + from) * w;
	}
}

/* Lanes by samples to samples by lanes: 2 by 2 vectors, then by pairs, then by quads. */
static inline void mel_transpose(mel_v v[NE_MEL_LANES])
{
	mel_v t[NE_MEL_LANES];

	for (int i = 0; i < 8; i += 2) {
		t[i] = __builtin_shufflevector(v[i], v[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
		t[i + 1] = __builtin_shufflevector(v[i], v[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
	}
	for (int i = 0; i < 8; i += 4)
		for (int k = 0; k < 2; k++) {
			const mel_v p = t[i + k], q = t[i + k + 2];

			v[i + k] = __builtin_shufflevector(p, q, 0, 1, 8, 9, 4, 5, 12, 13);
			v[i + k + 2] = __builtin_shufflevector(p, q, 2, 3, 10, 11, 6, 7, 14, 15);
		}
	for (int i = 0; i < 4; i++) {
		const mel_v p = v[i], q = v[i + 4];

		v[i] = __builtin_shufflevector(p, q, 0, 1, 2, 3, 8, 9, 10, 11);
		v[i + 4] = __builtin_shufflevector(p, q, 4, 5, 6, 7, 12, 13, 14, 15);
	}
}

static inline float mel_sample(const struct ne_mel_f32 *a, uint32_t lane, uint32_t at)
{
	const size_t from = (size_t)lane * a->hop + at;

	if (lane >= a->frames || at >= a->frame)
		return 0;
	if (a->s16)
		return (float)((const int16_t *)a->x)[from] * (1.0f / 32768.0f) * a->window[at];
	return ((const float *)a->x)[from] * a->window[at];
}

/* Windowed samples 2p and 2p + 1 to row reversed(p); zeros past the frame. */
static inline void mel_load(const struct ne_mel_f32 *a, struct mel_point *work)
{
	const uint32_t half = a->n / 2, top = half / 2;
	uint32_t row = 0, p = 0;
	mel_v v[NE_MEL_LANES];

	for (; 2 * p + NE_MEL_LANES <= a->frame;) {
		mel_window(a, 2 * p, v);
		mel_transpose(v);
		for (uint32_t i = 0; i < NE_MEL_LANES; i += 2, p++) {
			work[row].re = v[i];
			work[row].im = v[i + 1];
			row = mel_next_reversed(row, top);
		}
	}
	for (; 2 * p < a->frame; p++) {
		for (uint32_t l = 0; l < NE_MEL_LANES; l++) {
			work[row].re[l] = mel_sample(a, l, 2 * p);
			work[row].im[l] = mel_sample(a, l, 2 * p + 1);
		}
		row = mel_next_reversed(row, top);
	}
	for (; p < half; p++) {
		work[row] = (struct mel_point){0};
		row = mel_next_reversed(row, top);
	}
}

/* Factors of 1 alone: the first pass where the number of passes of radix 2 is odd. */
static inline void mel_first_2(struct mel_point *d, uint32_t half)
{
	for (uint32_t i = 0; i < half; i += 2) {
		const struct mel_point a = d[i], b = d[i + 1];

		d[i].re = a.re + b.re;
		d[i].im = a.im + b.im;
		d[i + 1].re = a.re - b.re;
		d[i + 1].im = a.im - b.im;
	}
}

/* Factors of 1 and -i alone: the first two passes as one. */
static inline void mel_first_4(struct mel_point *d, uint32_t half)
{
	for (uint32_t i = 0; i < half; i += 4) {
		const struct mel_point a = d[i], b = d[i + 1], c = d[i + 2], e = d[i + 3];
		const mel_v sr = a.re + b.re, si = a.im + b.im, ur = a.re - b.re, ui = a.im - b.im;
		const mel_v tr = c.re + e.re, ti = c.im + e.im, vr = c.im - e.im, vi = e.re - c.re;

		d[i].re = sr + tr;
		d[i].im = si + ti;
		d[i + 1].re = ur + vr;
		d[i + 1].im = ui + vi;
		d[i + 2].re = sr - tr;
		d[i + 2].im = si - ti;
		d[i + 3].re = ur - vr;
		d[i + 3].im = ui - vi;
	}
}

/* Two passes as one: butterflies of points @h apart, then of points 2 @h apart. */
static inline void mel_pass_4(struct mel_point *d, uint32_t half, uint32_t h, const float *twiddle)
{
	const size_t step = half / (4 * (size_t)h); /* of the factors of the second pass */

	for (uint32_t start = 0; start < half; start += 4 * h) {
		for (uint32_t j = 0; j < h; j++) {
			struct mel_point *p = d + start + j;
			const float *w1 = twiddle + 4 * step * j, *w2 = twiddle + 2 * step * j;
			const struct mel_point a = p[0], b = p[h], c = p[2 * h], e = p[3 * h];
			const mel_v br = b.re * w1[0] - b.im * w1[1];
			const mel_v bi = b.re * w1[1] + b.im * w1[0];
			const mel_v er = e.re * w1[0] - e.im * w1[1];
			const mel_v ei = e.re * w1[1] + e.im * w1[0];
			const mel_v sr = a.re + br, si = a.im + bi, ur = a.re - br, ui = a.im - bi;
			const mel_v cr = c.re + er, ci = c.im + ei, fr = c.re - er, fi = c.im - ei;
			const mel_v tr = cr * w2[0] - ci * w2[1], ti = cr * w2[1] + ci * w2[0];
			/* times -i: the factor a quarter turn on */
			const mel_v vr = fr * w2[1] + fi * w2[0], vi = fi * w2[1] - fr * w2[0];

			p[0].re = sr + tr;
			p[0].im = si + ti;
			p[h].re = ur + vr;
			p[h].im = ui + vi;
			p[2 * h].re = sr - tr;
			p[2 * h].im = si - ti;
			p[3 * h].re = ur - vr;
			p[3 * h].im = ui - vi;
		}
	}
}

static inline void mel_fft(struct mel_point *d, uint32_t half, const float *twiddle)
{
	uint32_t h;

	if (__builtin_ctz(half) & 1) {
		mel_first_2(d, half);
		h = 2;
	} else {
		mel_first_4(d, half);
		h = 4;
	}
	for (; h < half; h *= 4)
		mel_pass_4(d, half, h, twiddle);
}

/* The real parts of rows 0 to half become |X[k]|^2. */
static inline void mel_power(struct mel_point *d, uint32_t half, const float *untangle)
{
	const mel_v sum = d[0].re + d[0].im, difference = d[0].re - d[0].im;

	d[0].re = sum * sum;
	d[half].re = difference * difference;
	for (uint32_t k = 1; k <= half / 2; k++) {
		const struct mel_point p = d[k], q = d[half - k];
		const float wr = untangle[2 * (size_t)k], wi = untangle[2 * (size_t)k + 1];
		const mel_v er = 0.5f * (p.re + q.re),
			    ei = 0.5f * (p.im - q.im); /* even samples' */
		const mel_v or = 0.5f * (p.im + q.im), oi = 0.5f * (q.re - p.re); /* odd samples' */
		const mel_v tr = wr * or -wi * oi, ti = wr * oi + wi * or ;
		const mel_v lr = er + tr, li = ei + ti, hr = er - tr, hi = ei - ti;

		d[k].re = lr * lr + li * li;
		d[half - k].re = hr * hr + hi * hi;
	}
}

/* Two sums each: one alone waits for its own additions. */
static inline void mel_filter(const struct ne_mel_f32 *a, const struct mel_point *d)
{
	for (uint32_t b = 0; b < a->bins; b++) {
		const struct ne_mel_triangle *t = &a->triangle[b];
		const struct mel_point *p = d + t->first;
		const float *w = a->weight + t->at;
		mel_v even = {0}, odd = {0};
		uint32_t i = 0;

		for (; i + 1 < t->n; i += 2) {
			even += p[i].re * w[i];
			odd += p[i + 1].re * w[i + 1];
		}
		if (i < t->n)
			even += p[i].re * w[i];
		*(mel_v *)(a->y + (size_t)b * NE_MEL_LANES) = even + odd;
	}
}

static inline void mel_frames(const struct ne_mel_f32 *a)
{
	struct mel_point *work = (struct mel_point *)a->work;
	const uint32_t half = a->n / 2;

	mel_load(a, work);
	mel_fft(work, half, a->twiddle);
	mel_power(work, half, a->untangle);
	mel_filter(a, work);
}

#endif
