/* SPDX-License-Identifier: MIT */
/*
 * Convolutions by im2col and CBLAS, a few images at a time so that the columns stay in the cache.
 * Owns nothing: scratch comes from the caller.
 */
#ifdef HAVE_OPENBLAS
#include "tools/neap/train/ops.h"
#include "tools/neap/train/conv_direct.h"

#include <cblas.h>
#include <string.h>

/* Floats of columns worked on at once: 1 MiB, half of a common L2. */
#define COLUMNS_FLOATS ((size_t)256 * 1024)

static bool is_pointwise(const struct op_window *d)
{
	return d->kh == 1 && d->kw == 1 && d->sh == 1 && d->sw == 1 && d->pad_top == 0 &&
	       d->pad_left == 0;
}

static size_t taps_of(const struct op_window *d)
{
	return (size_t)d->kh * (size_t)d->kw;
}

/* The convolution that gives dx from dy: stride 1, flipped taps, channels exchanged. */
static struct op_window transposed(const struct op_window *d)
{
	struct op_window t = *d;

	t.ih = d->oh;
	t.iw = d->ow;
	t.ic = d->oc;
	t.oh = d->ih;
	t.ow = d->iw;
	t.oc = d->ic;
	t.pad_top = d->kh - 1 - d->pad_top;
	t.pad_left = d->kw - 1 - d->pad_left;
	return t;
}

static bool can_transpose(const struct op_window *d)
{
	return d->sh == 1 && d->sw == 1 && d->pad_top < d->kh && d->pad_left < d->kw;
}

static size_t image_columns(const struct op_window *d)
{
	return (size_t)d->oh * (size_t)d->ow * taps_of(d) * (size_t)d->ic;
}

static int32_t images_at_once(const struct op_window *d)
{
	size_t fit = COLUMNS_FLOATS / image_columns(d);

	return (int32_t)NE_CLAMP(fit, (size_t)1, (size_t)d->n);
}

size_t op_conv_work(const struct op_window *d)
{
	struct op_window t = transposed(d);
	size_t w = taps_of(d) * (size_t)d->ic * (size_t)d->oc;
	size_t fwd = image_columns(d) * (size_t)images_at_once(d);
	size_t bwd = can_transpose(d) ? image_columns(&t) * (size_t)images_at_once(&t) : 0;

	if (conv_direct_works(d))
		fwd = NE_MAX(fwd, conv_direct_work(d));
	if (can_transpose(d) && conv_direct_works(&t))
		bwd = NE_MAX(bwd, conv_direct_work(&t));
	return NE_MAX(fwd, bwd) + w;
}

/* One row of taps: kw * ic floats that are contiguous in the input except at its edges. */
TRAIN_CLONES
static void copy_taps(const struct op_window *d, const float *row, int32_t ox, float *dst)
{
	int32_t ic = d->ic, ix = ox * d->sw - d->pad_left;

	if (ix >= 0 && ix + d->kw <= d->iw) {
		const float *src = row + (size_t)ix * (size_t)ic;
		size_t count = (size_t)d->kw * (size_t)ic;

		for (size_t i = 0; i < count; i++)
			dst[i] = src[i];
		return;
	}
	for (int32_t kx = 0; kx < d->kw; kx++, dst += ic) {
		if (ix + kx >= 0 && ix + kx < d->iw)
			memcpy(dst, row + (size_t)(ix + kx) * (size_t)ic,
			       (size_t)ic * sizeof(*dst));
		else
			memset(dst, 0, (size_t)ic * sizeof(*dst));
	}
}

static void im2col(const struct op_window *d, const float *x, int32_t images, float *col)
{
	size_t in = (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
	size_t line = (size_t)d->kw * (size_t)d->ic, k = line * (size_t)d->kh;

	for (int32_t i = 0; i < images; i++, x += in) {
		for (int32_t oy = 0; oy < d->oh; oy++, col += k * (size_t)d->ow) {
			for (int32_t ky = 0; ky < d->kh; ky++) {
				int32_t iy = oy * d->sh - d->pad_top + ky;
				const float *row = x + (size_t)iy * (size_t)d->iw * (size_t)d->ic;
				float *dst = col + (size_t)ky * line;

				if (iy < 0 || iy >= d->ih) {
					for (int32_t ox = 0; ox < d->ow; ox++, dst += k)
						memset(dst, 0, line * sizeof(*dst));
					continue;
				}
				for (int32_t ox = 0; ox < d->ow; ox++, dst += k)
					copy_taps(d, row, ox, dst);
			}
		}
	}
}

TRAIN_CLONES
static void add_floats(float *dst, const float *src, size_t count)
{
	for (size_t i = 0; i < count; i++)
		dst[i] += src[i];
}

static void col2im_add(const struct op_window *d, const float *col, int32_t images, float *x)
{
	size_t in = (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
	size_t ic = (size_t)d->ic;

	for (int32_t i = 0; i < images; i++, x += in) {
		for (int32_t p = 0; p < d->oh * d->ow; p++) {
			int32_t y0 = p / d->ow * d->sh - d->pad_top;
			int32_t x0 = p % d->ow * d->sw - d->pad_left;

			for (int32_t t = 0; t < d->kh * d->kw; t++, col += ic) {
				int32_t iy = y0 + t / d->kw, ix = x0 + t % d->kw;

				if (iy >= 0 && iy < d->ih && ix >= 0 && ix < d->iw)
					add_floats(x + ((size_t)iy * (size_t)d->iw + (size_t)ix) *
								   ic,
						   col, ic);
			}
		}
	}
}

/* y [images][oh][ow][oc] = columns(x) * w^T, set or added. */
static void multiply_columns(const struct op_window *d, const float *x, const float *w, float beta,
			     float *y, float *col)
{
	size_t in = (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
	size_t out = (size_t)d->oh * (size_t)d->ow * (size_t)d->oc;
	int k = (int)taps_of(d) * d->ic;
	int32_t step = images_at_once(d);

	if (conv_direct_works(d)) {
		conv_direct_forward(d, x, w, beta, y, col);
		return;
	}
	for (int32_t i = 0; i < d->n; i += step) {
		int32_t images = NE_MIN(step, d->n - i);
		const float *a = x + in * (size_t)i;

		if (!is_pointwise(d)) {
			im2col(d, a, images, col);
			a = col;
		}
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, images * d->oh * d->ow, d->oc,
			    k, 1.0f, a, k, w, k, beta, y + out * (size_t)i, d->oc);
	}
}

void op_conv_forward(const struct op_window *d, const float *x, const float *w, float *y,
		     float *work)
{
	multiply_columns(d, x, w, 0.0f, y, work);
}

/* [oc][kh][kw][ic] to [ic][flipped taps][oc]. */
static void flip_weights(const struct op_window *d, const float *w, float *dst)
{
	size_t taps = taps_of(d), ic = (size_t)d->ic, oc = (size_t)d->oc;

	for (size_t o = 0; o < oc; o++)
		for (size_t t = 0; t < taps; t++)
			for (size_t i = 0; i < ic; i++)
				dst[(i * taps + (taps - 1 - t)) * oc + o] =
					w[(o * taps + t) * ic + i];
}

static void backward_weights(const struct op_window *d, const float *x, const float *dy, float *dw,
			     float *col)
{
	size_t in = (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
	size_t out = (size_t)d->oh * (size_t)d->ow * (size_t)d->oc;
	int k = (int)taps_of(d) * d->ic;
	int32_t step = images_at_once(d);

	if (conv_direct_works(d)) {
		conv_direct_weights(d, x, dy, dw, col);
		return;
	}
	for (int32_t i = 0; i < d->n; i += step) {
		int32_t images = NE_MIN(step, d->n - i);
		const float *a = x + in * (size_t)i;

		if (!is_pointwise(d)) {
			im2col(d, a, images, col);
			a = col;
		}
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, d->oc, k,
			    images * d->oh * d->ow, 1.0f, dy + out * (size_t)i, d->oc, a, k,
			    i ? 1.0f : 0.0f, dw, k);
	}
}

/* Strided: gradients of the columns, scattered back. */
static void backward_scatter(const struct op_window *d, const float *w, const float *dy, float *dx,
			     float *col)
{
	size_t in = (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
	size_t out = (size_t)d->oh * (size_t)d->ow * (size_t)d->oc;
	int k = (int)taps_of(d) * d->ic;
	int32_t step = images_at_once(d);

	for (int32_t i = 0; i < d->n; i += step) {
		int32_t images = NE_MIN(step, d->n - i);

		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, images * d->oh * d->ow, k,
			    d->oc, 1.0f, dy + out * (size_t)i, d->oc, w, k, 0.0f, col, k);
		col2im_add(d, col, images, dx + in * (size_t)i);
	}
}

void op_conv_backward(const struct op_window *d, const float *x, const float *w, const float *dy,
		      float *dx, float beta, float *dw, float *work)
{
	size_t in = (size_t)d->n * (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
	size_t n_w = taps_of(d) * (size_t)d->ic * (size_t)d->oc;

	backward_weights(d, x, dy, dw, work);
	if (!dx)
		return;
	if (can_transpose(d)) {
		struct op_window t = transposed(d);

		flip_weights(d, w, work);
		multiply_columns(&t, dy, work, beta, dx, work + n_w);
		return;
	}
	if (beta == 0.0f)
		memset(dx, 0, in * sizeof(*dx));
	backward_scatter(d, w, dy, dx, work);
}

void op_dense_forward(int32_t n, int32_t i, int32_t o, int32_t ldw, const float *x, const float *w,
		      const float *bias, float *y)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, o, i, 1.0f, x, i, w, ldw, 0.0f, y,
		    o);
	if (bias)
		op_bias_forward((size_t)n, o, bias, y);
}

void op_dense_backward(int32_t n, int32_t i, int32_t o, int32_t ldw, const float *x, const float *w,
		       const float *dy, float *dx, float beta, float *dw, float *dbias)
{
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, o, i, n, 1.0f, dy, o, x, i, 1.0f, dw,
		    ldw);
	if (dbias)
		op_bias_backward((size_t)n, o, dy, dbias);
	if (dx)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, i, o, 1.0f, dy, o, w, ldw,
			    beta, dx, i);
}
#endif
