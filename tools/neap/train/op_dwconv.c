/* SPDX-License-Identifier: MIT */
/* Depthwise convolutions and pools: direct loops, channels innermost. Owns nothing. */
#include "tools/neap/train/ops.h"

#include <float.h>
#include <string.h>

/* Taps of output pixel @p that lie inside of the input: rows [ky0, ky1), columns [kx0, kx1). */
struct taps {
	int32_t y0, x0, ky0, ky1, kx0, kx1;
};

static struct taps taps_at(const struct op_window *d, int32_t p)
{
	struct taps t;

	t.y0 = p / d->ow * d->sh - d->pad_top;
	t.x0 = p % d->ow * d->sw - d->pad_left;
	t.ky0 = NE_MAX(0, -t.y0);
	t.kx0 = NE_MAX(0, -t.x0);
	t.ky1 = NE_MIN(d->kh, d->ih - t.y0);
	t.kx1 = NE_MIN(d->kw, d->iw - t.x0);
	return t;
}

static size_t input_at(const struct op_window *d, const struct taps *t, int32_t ky, int32_t kx)
{
	return ((size_t)(t->y0 + ky) * (size_t)d->iw + (size_t)(t->x0 + kx)) * (size_t)d->ic;
}

static size_t input_size(const struct op_window *d)
{
	return (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
}

static size_t output_size(const struct op_window *d)
{
	return (size_t)d->oh * (size_t)d->ow * (size_t)d->oc;
}

TRAIN_CLONES
static void multiply_add(float *restrict y, const float *restrict a, const float *restrict b,
			 int32_t c)
{
	for (int32_t i = 0; i < c; i++)
		y[i] += a[i] * b[i];
}

TRAIN_CLONES
static void scale_add(float *restrict y, const float *restrict a, float s, int32_t c)
{
	for (int32_t i = 0; i < c; i++)
		y[i] += a[i] * s;
}

void op_dwconv_forward(const struct op_window *d, const float *x, const float *w, float *y)
{
	int32_t c = d->oc;

	memset(y, 0, output_size(d) * (size_t)d->n * sizeof(*y));
	for (int32_t n = 0; n < d->n; n++, x += input_size(d)) {
		for (int32_t p = 0; p < d->oh * d->ow; p++, y += c) {
			struct taps t = taps_at(d, p);

			for (int32_t ky = t.ky0; ky < t.ky1; ky++)
				for (int32_t kx = t.kx0; kx < t.kx1; kx++)
					multiply_add(y, x + input_at(d, &t, ky, kx),
						     w + (size_t)(ky * d->kw + kx) * (size_t)c, c);
		}
	}
}

void op_dwconv_backward(const struct op_window *d, const float *x, const float *w, const float *dy,
			float *dx, float beta, float *dw)
{
	int32_t c = d->oc;

	memset(dw, 0, (size_t)d->kh * (size_t)d->kw * (size_t)c * sizeof(*dw));
	if (dx && beta == 0.0f)
		memset(dx, 0, input_size(d) * (size_t)d->n * sizeof(*dx));
	for (int32_t n = 0; n < d->n; n++) {
		for (int32_t p = 0; p < d->oh * d->ow; p++, dy += c) {
			struct taps t = taps_at(d, p);

			for (int32_t ky = t.ky0; ky < t.ky1; ky++) {
				for (int32_t kx = t.kx0; kx < t.kx1; kx++) {
					size_t at = input_at(d, &t, ky, kx);
					size_t tap = (size_t)(ky * d->kw + kx) * (size_t)c;

					multiply_add(dw + tap, x + at, dy, c);
					if (dx)
						multiply_add(dx + at, w + tap, dy, c);
				}
			}
		}
		x += input_size(d);
		if (dx)
			dx += input_size(d);
	}
}

static float pool_scale(const struct op_window *d, const struct taps *t, bool count_pad)
{
	int32_t taps = count_pad ? d->kh * d->kw : (t->ky1 - t->ky0) * (t->kx1 - t->kx0);

	return 1.0f / (float)taps;
}

TRAIN_CLONES
static void max_into(float *restrict y, const float *restrict x, int32_t c)
{
	for (int32_t i = 0; i < c; i++)
		y[i] = x[i] > y[i] ? x[i] : y[i];
}

void op_pool_forward(const struct op_window *d, bool max, bool count_pad, const float *x, float *y)
{
	int32_t c = d->oc;

	for (int32_t n = 0; n < d->n; n++, x += input_size(d)) {
		for (int32_t p = 0; p < d->oh * d->ow; p++, y += c) {
			struct taps t = taps_at(d, p);
			float s = pool_scale(d, &t, count_pad);

			for (int32_t i = 0; i < c; i++)
				y[i] = max ? -FLT_MAX : 0.0f;
			for (int32_t ky = t.ky0; ky < t.ky1; ky++) {
				for (int32_t kx = t.kx0; kx < t.kx1; kx++) {
					if (max)
						max_into(y, x + input_at(d, &t, ky, kx), c);
					else
						scale_add(y, x + input_at(d, &t, ky, kx), s, c);
				}
			}
		}
	}
}

/* The gradient of a maximum goes to the first input that has it. */
static void max_backward(const struct op_window *d, const struct taps *t, const float *x,
			 const float *dy, float *dx)
{
	for (int32_t i = 0; i < d->oc; i++) {
		size_t best = 0;
		float top = -FLT_MAX;

		for (int32_t ky = t->ky0; ky < t->ky1; ky++) {
			for (int32_t kx = t->kx0; kx < t->kx1; kx++) {
				size_t at = input_at(d, t, ky, kx) + (size_t)i;

				if (x[at] > top) {
					top = x[at];
					best = at;
				}
			}
		}
		if (top > -FLT_MAX)
			dx[best] += dy[i];
	}
}

void op_pool_backward(const struct op_window *d, bool max, bool count_pad, const float *x,
		      const float *dy, float *dx, float beta)
{
	if (beta == 0.0f)
		memset(dx, 0, input_size(d) * (size_t)d->n * sizeof(*dx));
	for (int32_t n = 0; n < d->n; n++, x += input_size(d), dx += input_size(d)) {
		for (int32_t p = 0; p < d->oh * d->ow; p++, dy += d->oc) {
			struct taps t = taps_at(d, p);
			float s = pool_scale(d, &t, count_pad);

			if (max) {
				max_backward(d, &t, x, dy, dx);
				continue;
			}
			for (int32_t ky = t.ky0; ky < t.ky1; ky++)
				for (int32_t kx = t.kx0; kx < t.kx1; kx++)
					scale_add(dx + input_at(d, &t, ky, kx), dy, s, d->oc);
		}
	}
}

void op_globalpool_forward(int32_t n, int32_t hw, int32_t c, const float *x, float *y)
{
	memset(y, 0, (size_t)n * (size_t)c * sizeof(*y));
	for (int32_t i = 0; i < n; i++, y += c)
		for (int32_t p = 0; p < hw; p++, x += c)
			scale_add(y, x, 1.0f / (float)hw, c);
}

void op_globalpool_backward(int32_t n, int32_t hw, int32_t c, const float *dy, float *dx,
			    float beta)
{
	if (beta == 0.0f)
		memset(dx, 0, (size_t)n * (size_t)hw * (size_t)c * sizeof(*dx));
	for (int32_t i = 0; i < n; i++, dy += c)
		for (int32_t p = 0; p < hw; p++, dx += c)
			scale_add(dx, dy, 1.0f / (float)hw, c);
}
