// SPDX-License-Identifier: MIT
/*
 * The sums run over k = (tap, input channel); of[k] is where that value lies, counted from the
 * first one of an output pixel's window. Output channels are the lanes. Owns nothing.
 *
 * Scratch: one padded image, the offsets, and weights as [k][oc rounded up to 16].
 */
#include "tools/neap/train/conv_direct.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>

#define LANES       16
#define MOST_OC     96 /* beyond it matrix products win */
#define MOST_K      2048
#define PIXELS      7 /* of a tile: 7 * 3 sums and 3 weights fit the 32 registers */
#define GROUP       8 /* values of k whose weight gradients are summed at once */
#define AVX512      __attribute__((target("avx512f")))
#define AVX512_TILE static inline __attribute__((always_inline, target("avx512f")))

struct layout {
	size_t k, k_up, oc_up, row, image; /* padded: floats of a row and of the image */
	int32_t ph, pw;
	float *padded, *w;
	int32_t *of;
};

static struct layout layout_of(const struct op_window *d, float *work)
{
	struct layout l;

	/* Also what lies right of and below the last window's start. */
	l.ph = NE_MAX(d->ih + d->pad_top, (d->oh - 1) * d->sh + d->kh);
	l.pw = NE_MAX(d->iw + d->pad_left, (d->ow - 1) * d->sw + d->kw);
	l.k = (size_t)d->kh * (size_t)d->kw * (size_t)d->ic;
	l.k_up = ne_round_up(l.k, GROUP);
	l.oc_up = ne_round_up((size_t)d->oc, LANES);
	l.row = (size_t)l.pw * (size_t)d->ic;
	l.image = ne_round_up((size_t)l.ph * l.row, LANES);
	l.padded = work;
	l.w = work + l.image;
	l.of = (int32_t *)(void *)(l.w + l.k_up * l.oc_up);
	return l;
}

bool conv_direct_works(const struct op_window *d)
{
	return d->oc <= MOST_OC && d->kh * d->kw * d->ic <= MOST_K &&
	       __builtin_cpu_supports("avx512f");
}

size_t conv_direct_work(const struct op_window *d)
{
	struct layout l = layout_of(d, NULL);

	return l.image + l.k_up * l.oc_up + l.k_up;
}

static void set_offsets(const struct op_window *d, const struct layout *l)
{
	size_t k = 0;

	for (int32_t ky = 0; ky < d->kh; ky++)
		for (int32_t i = 0; i < d->kw * d->ic; i++)
			l->of[k++] = ky * (int32_t)l->row + i;
	for (; k < l->k_up; k++)
		l->of[k] = 0;
}

static void pad_image(const struct op_window *d, const struct layout *l, const float *x)
{
	size_t line = (size_t)d->iw * (size_t)d->ic;

	for (int32_t y = 0; y < d->ih; y++)
		memcpy(l->padded + (size_t)(y + d->pad_top) * l->row +
			       (size_t)d->pad_left * (size_t)d->ic,
		       x + (size_t)y * line, line * sizeof(*x));
}

struct tile {
	const float *x; /* first window */
	size_t step;    /* floats from window to window */
	const float *w;
	const int32_t *of;
	size_t k, oc_up, oc;
	float *y;
	__mmask16 last; /* lanes of the last block */
	bool add;
};

AVX512_TILE void run_tile(const struct tile *t, const int pixels, const int blocks)
{
	__m512 sum[PIXELS][3];

	for (int p = 0; p < pixels; p++)
		for (int b = 0; b < blocks; b++)
			sum[p][b] = _mm512_setzero_ps();
	for (size_t k = 0; k < t->k; k++) {
		const float *x = t->x + t->of[k], *w = t->w + k * t->oc_up;
		__m512 v[3];

		for (int b = 0; b < blocks; b++)
			v[b] = _mm512_loadu_ps(w + b * LANES);
		for (int p = 0; p < pixels; p++) {
			__m512 value = _mm512_set1_ps(x[(size_t)p * t->step]);

			for (int b = 0; b < blocks; b++)
				sum[p][b] = _mm512_fmadd_ps(value, v[b], sum[p][b]);
		}
	}
	for (int p = 0; p < pixels; p++) {
		for (int b = 0; b < blocks; b++) {
			float *y = t->y + (size_t)p * t->oc + b * LANES;
			__mmask16 m = b == blocks - 1 ? t->last : 0xffff;

			if (t->add)
				sum[p][b] = _mm512_add_ps(sum[p][b], _mm512_maskz_loadu_ps(m, y));
			_mm512_mask_storeu_ps(y, m, sum[p][b]);
		}
	}
}

#define TILES(blocks)                                                       \
	AVX512 static void tiles_##blocks(const struct tile *t, int pixels) \
	{                                                                   \
		switch (pixels) {                                           \
		case 1:                                                     \
			run_tile(t, 1, blocks);                             \
			break;                                              \
		case 2:                                                     \
			run_tile(t, 2, blocks);                             \
			break;                                              \
		case 3:                                                     \
			run_tile(t, 3, blocks);                             \
			break;                                              \
		case 4:                                                     \
			run_tile(t, 4, blocks);                             \
			break;                                              \
		case 5:                                                     \
			run_tile(t, 5, blocks);                             \
			break;                                              \
		case 6:                                                     \
			run_tile(t, 6, blocks);                             \
			break;                                              \
		default:                                                    \
			run_tile(t, 7, blocks);                             \
		}                                                           \
	}
TILES(1)
TILES(2)
TILES(3)

/* How many of @left blocks the next pass takes: 4 go better as 2 and 2. */
static int blocks_now(size_t left)
{
	return left == 4 ? 2 : (int)NE_MIN(left, (size_t)3);
}

static __mmask16 lanes_of(size_t oc, size_t first, int blocks)
{
	size_t left = oc - first - (size_t)(blocks - 1) * LANES;

	return left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
}

static void forward_row(const struct op_window *d, struct tile t, int blocks)
{
	for (int32_t ox = 0; ox < d->ow;) {
		/* Two tiles of like size rather than a full one and a crumb. */
		int left = d->ow - ox, pixels = left;

		if (left > PIXELS)
			pixels = left >= 2 * PIXELS ? PIXELS : (left + 1) / 2;
		if (blocks == 1)
			tiles_1(&t, pixels);
		else if (blocks == 2)
			tiles_2(&t, pixels);
		else
			tiles_3(&t, pixels);
		ox += pixels;
		t.x += (size_t)pixels * t.step;
		t.y += (size_t)pixels * t.oc;
	}
}

/* Weights as [k][oc_up], zeros behind the last channel. */
static void lay_weights(const struct op_window *d, const struct layout *l, const float *w)
{
	memset(l->w, 0, l->k * l->oc_up * sizeof(*l->w));
	for (size_t o = 0; o < (size_t)d->oc; o++)
		for (size_t k = 0; k < l->k; k++)
			l->w[k * l->oc_up + o] = w[o * l->k + k];
}

void conv_direct_forward(const struct op_window *d, const float *x, const float *w, float beta,
			 float *y, float *work)
{
	struct layout l = layout_of(d, work);
	size_t in = (size_t)d->ih * (size_t)d->iw * (size_t)d->ic, oc = (size_t)d->oc;

	memset(l.padded, 0, l.image * sizeof(*l.padded));
	set_offsets(d, &l);
	lay_weights(d, &l, w);
	for (int32_t n = 0; n < d->n; n++, x += in) {
		pad_image(d, &l, x);
		for (int32_t oy = 0; oy < d->oh; oy++, y += (size_t)d->ow * oc) {
			size_t blocks = l.oc_up / LANES, b = 0;

			while (b < blocks) {
				int now = blocks_now(blocks - b);
				struct tile t = {.x = l.padded + (size_t)(oy * d->sh) * l.row,
						 .step = (size_t)d->sw * (size_t)d->ic,
						 .w = l.w + b * LANES,
						 .of = l.of,
						 .k = l.k,
						 .oc_up = l.oc_up,
						 .oc = oc,
						 .y = y + b * LANES,
						 .last = lanes_of(oc, b * LANES, now),
						 .add = beta != 0.0f};

				forward_row(d, t, now);
				b += (size_t)now;
			}
		}
	}
}

/* Sums over one image for GROUP values of k and up to 3 blocks: dw [k][oc_up] += x * dy. */
AVX512_TILE void run_group(const struct op_window *d, const struct layout *l, const float *dy,
			   const int32_t *of, float *dw, __mmask16 last, const int blocks)
{
	__m512 sum[GROUP][3];
	size_t step = (size_t)d->sw * (size_t)d->ic, oc = (size_t)d->oc;

	for (int g = 0; g < GROUP; g++)
		for (int b = 0; b < blocks; b++)
			sum[g][b] = _mm512_loadu_ps(dw + (size_t)g * l->oc_up + b * LANES);
	for (int32_t oy = 0; oy < d->oh; oy++) {
		const float *x = l->padded + (size_t)(oy * d->sh) * l->row;

		for (int32_t ox = 0; ox < d->ow; ox++, x += step, dy += oc) {
			__m512 v[3];

			for (int b = 0; b < blocks; b++)
				v[b] = b == blocks - 1 ? _mm512_maskz_loadu_ps(last, dy + b * LANES)
						       : _mm512_loadu_ps(dy + b * LANES);
			for (int g = 0; g < GROUP; g++) {
				__m512 value = _mm512_set1_ps(x[of[g]]);

				for (int b = 0; b < blocks; b++)
					sum[g][b] = _mm512_fmadd_ps(value, v[b], sum[g][b]);
			}
		}
	}
	for (int g = 0; g < GROUP; g++)
		for (int b = 0; b < blocks; b++)
			_mm512_storeu_ps(dw + (size_t)g * l->oc_up + b * LANES, sum[g][b]);
}

AVX512 static void run_groups(const struct op_window *d, const struct layout *l, const float *dy,
			      size_t block, int blocks)
{
	__mmask16 last = lanes_of((size_t)d->oc, block * LANES, blocks);

	dy += block * LANES;
	for (size_t k = 0; k < l->k; k += GROUP) {
		float *dw = l->w + k * l->oc_up + block * LANES;

		if (blocks == 1)
			run_group(d, l, dy, l->of + k, dw, last, 1);
		else if (blocks == 2)
			run_group(d, l, dy, l->of + k, dw, last, 2);
		else
			run_group(d, l, dy, l->of + k, dw, last, 3);
	}
}

void conv_direct_weights(const struct op_window *d, const float *x, const float *dy, float *dw,
			 float *work)
{
	struct layout l = layout_of(d, work);
	size_t in = (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
	size_t out = (size_t)d->oh * (size_t)d->ow * (size_t)d->oc;

	memset(l.padded, 0, l.image * sizeof(*l.padded));
	memset(l.w, 0, l.k_up * l.oc_up * sizeof(*l.w));
	set_offsets(d, &l);
	for (int32_t n = 0; n < d->n; n++, x += in, dy += out) {
		size_t blocks = l.oc_up / LANES, b = 0;

		pad_image(d, &l, x);
		while (b < blocks) {
			int now = blocks_now(blocks - b);

			run_groups(d, &l, dy, b, now);
			b += (size_t)now;
		}
	}
	for (size_t o = 0; o < (size_t)d->oc; o++)
		for (size_t k = 0; k < l.k; k++)
			dw[o * l.k + k] = l.w[k * l.oc_up + o];
}

#else /* other CPUs: matrix products */

bool conv_direct_works(const struct op_window *d)
{
	(void)d;
	return false;
}

size_t conv_direct_work(const struct op_window *d)
{
	(void)d;
	return 0;
}

void conv_direct_forward(const struct op_window *d, const float *x, const float *w, float beta,
			 float *y, float *work)
{
	(void)d, (void)x, (void)w, (void)beta, (void)y, (void)work;
}

void conv_direct_weights(const struct op_window *d, const float *x, const float *dy, float *dw,
			 float *work)
{
	(void)d, (void)x, (void)dy, (void)dw, (void)work;
}
#endif
