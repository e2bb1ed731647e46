/* SPDX-License-Identifier: MIT */
/*
 * TRANSPOSE_CONV: each input pixel spreads its value over KH by KW pixels of the output, stride apart
 * from its neighbour's. Seen from the output: pixels at the same place modulo the stride see the same
 * taps, so that each of these phases is an ordinary convolution of the input. All phases together are
 * one convolution whose output channels are phase by phase, and its blocks of channels are laid out as
 * pixels. Its sums are the same integers.
 *
 * Along one axis: output o = s * q + p sums x[i] * w[k] with i * s = o + pad - k. With r = (p + pad)
 * mod s and c = (p + pad) div s that is k = r + s * m and i = q + c - m, m = 0, 1, ... while k is in
 * the kernel.
 */
#include "tools/neap/import/tflite_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TC_PADDING, TC_STRIDE_W, TC_STRIDE_H, TC_ACT };
enum { TC_SHAPE, TC_WEIGHTS, TC_INPUT, TC_BIAS };

#define STRIDE_MAX 64

/* One axis: what the convolution of all phases looks like. */
struct axis {
	int32_t in, out, kernel, stride, pad;
	int32_t blocks; /* rows of phases: ceil(out / stride) */
	int32_t taps;   /* window of the convolution */
	int32_t before, after;
};

static int plan_axis(struct tflite *t, const struct tflite_node *n, bool same, struct axis *a)
{
	int32_t before = 0, after = 0, most, c_min, c_max;

	if (a->stride < 1 || a->stride > STRIDE_MAX || a->kernel < 1 || a->out < 1)
		return tflite_fail(t, n, EINVAL, "kernel %d, stride %d, output %d", a->kernel,
				   a->stride, a->out);
	if (same && tflite_same_padding(a->out, a->kernel, 1, a->stride, &before, &after) < 0)
		return tflite_fail(t, n, EINVAL, "padding over %d", NE_MAX_DIM);
	a->pad = before;
	a->blocks = (a->out + a->stride - 1) / a->stride;
	most = (a->kernel + a->stride - 1) / a->stride; /* taps of the phase with the most */
	c_min = a->pad / a->stride;
	c_max = (a->pad + a->stride - 1) / a->stride;
	a->taps = c_max - c_min + most;
	a->before = most - 1 - c_min;
	a->after = a->blocks - a->in - a->before + a->taps - 1;
	if (a->before < 0 || a->after > NE_MAX_DIM)
		return tflite_fail(t, n, EINVAL, "an output of %d of an input of %d", a->out,
				   a->in);
	return 0;
}

/* The kernel's tap that tap @j of the window is in phase @p, or -1. */
static int32_t tap_of(const struct axis *a, int32_t p, int32_t j)
{
	/* the window's tap j reads x[q - before + j] */
	int32_t m = (p + a->pad) / a->stride + a->before - j;
	int32_t k = (p + a->pad) % a->stride + a->stride * m;

	return m >= 0 && k < a->kernel ? k : -1;
}

/* The file has [OC,KH,KW,IC], the convolution [phases * OC,taps,taps,IC]. */
static int map_weights(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *w,
		       const struct axis *v, const struct axis *h, const struct ne_shape *shape,
		       size_t **ret)
{
	int32_t oc = w->dim[0], ic = w->dim[3];
	size_t elements = ne_shape_elements(shape), at = 0;
	size_t *from;

	if (!elements)
		return tflite_fail(t, n, E2BIG, "weights over the limit");
	from = malloc(elements * sizeof(*from));
	if (!from)
		return tflite_fail(t, n, ENOMEM, "no memory");
	for (int32_t phase = 0; phase < v->stride * h->stride; phase++)
		for (int32_t o = 0; o < oc; o++)
			for (int32_t j = 0; j < v->taps * h->taps; j++) {
				int32_t ky = tap_of(v, phase / h->stride, j / h->taps);
				int32_t kx = tap_of(h, phase % h->stride, j % h->taps);
				size_t first = (((size_t)o * (size_t)w->dim[1] + (size_t)ky) *
							(size_t)w->dim[2] +
						(size_t)kx) *
					       (size_t)ic;

				for (int32_t i = 0; i < ic; i++)
					from[at++] = ky < 0 || kx < 0 ? TFLITE_NO_PLACE
								      : first + (size_t)i;
			}
	*ret = from;
	return 0;
}

/* The first @h by @w pixels. */
static int crop(struct tflite *t, const struct tflite_node *n, int x, int32_t h, int32_t w)
{
	const struct ne_shape *s = tflite_shape_of(t, x);
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x;

	if (s->dim[1] == h && s->dim[2] == w)
		return x;
	for (uint32_t i = 0; i < 4; i++) {
		attr.slice.size[i] = i == 1 ? h : i == 2 ? w : s->dim[i];
		attr.slice.step[i] = 1;
	}
	return tflite_emit(t, n, NE_OP_SLICE, &attr, 1, &in, t->g->tensor[x].quant);
}

/* [1,H,W,sh*sw*C] to [1,H*sh,W*sw,C]. */
static int lay_out(struct tflite *t, const struct tflite_node *n, int x, int32_t sh, int32_t sw)
{
	static const int32_t perm[6] = {0, 1, 3, 2, 4, 5};
	struct ne_attr attr = {.groups = 1};
	struct ne_shape s = *tflite_shape_of(t, x);
	int32_t c = s.dim[3] / sh / sw;
	const struct ne_shape split = {6, {s.dim[0], s.dim[1], s.dim[2], sh, sw, c}};
	const struct ne_shape y = {4, {s.dim[0], s.dim[1] * sh, s.dim[2] * sw, c}};
	uint32_t in;

	if (sh == 1 && sw == 1)
		return x;
	x = tflite_emit_reshape(t, n, x, &split);
	if (x < 0)
		return x;
	in = (uint32_t)x;
	memcpy(attr.perm, perm, sizeof(perm));
	x = tflite_emit(t, n, NE_OP_TRANSPOSE, &attr, 1, &in, t->g->tensor[x].quant);
	return tflite_emit_reshape(t, n, x, &y);
}

/* The convolution of all phases. */
static int phases(struct tflite *t, const struct tflite_node *n, int x, const struct axis *v,
		  const struct axis *h, int *act)
{
	const struct tflite_tensor *w = tflite_in(t, n, TC_WEIGHTS);
	struct tflite_places places = {.times = (uint32_t)(v->stride * h->stride)};
	struct ne_attr attr = {.groups = 1};
	struct ne_shape shape = {4, {0, v->taps, h->taps, w->dim[3]}};
	struct ne_quant q = {0};
	uint32_t in[3] = {(uint32_t)x};
	size_t *from = NULL;
	int r;

	if (w->dim[0] > NE_MAX_DIM / (v->stride * h->stride))
		return tflite_fail(t, n, E2BIG, "%d channels", w->dim[0]);
	shape.dim[0] = w->dim[0] * v->stride * h->stride;
	NE_RETURN_IF(map_weights(t, n, w, v, h, &shape, &from));
	places.from = from;
	r = tflite_weights(t, n, x, &shape, &places, &in[1]);
	free(from);
	NE_RETURN_IF(r);
	NE_RETURN_IF(tflite_bias(t, n, TC_BIAS, x, places.times, &in[2]));
	attr.window = (struct ne_window){
		.kh = v->taps,
		.kw = h->taps,
		.sh = 1,
		.sw = 1,
		.dh = 1,
		.dw = 1,
		.pad_top = v->before,
		.pad_left = h->before,
		.pad_bottom = NE_MAX(v->after, 0),
		.pad_right = NE_MAX(h->after, 0),
	};
	NE_RETURN_IF(tflite_result_quant(t, n, x, &q));
	*act = tflite_fuse_act(&attr, *act);
	return tflite_emit(t, n, NE_OP_CONV, &attr, in[2] == NE_NONE ? 2 : 3, in, q);
}

int tflite_transpose_conv(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *w = tflite_in(t, n, TC_WEIGHTS), *y = tflite_out(t, n, 0);
	bool same = fb_s8(&n->opt, TC_PADDING, 0) == TFLITE_SAME;
	int act = fb_s8(&n->opt, TC_ACT, 0);
	struct axis v, h;
	const struct ne_shape *x;
	int id = tflite_in_id(t, n, TC_INPUT);

	if (id < 0)
		return id;
	x = tflite_shape_of(t, id);
	if (!w || !w->shaped || w->rank != 4 || x->rank != 4 || x->dim[3] != w->dim[3])
		return tflite_fail(t, n, EINVAL, "weights must be [OC,KH,KW,%d]",
				   x->dim[x->rank ? x->rank - 1 : 0]);
	if (!y || !y->shaped || y->rank != 4)
		return tflite_fail(t, n, EOPNOTSUPP, "to a shape that the file leaves open");
	v = (struct axis){.in = x->dim[1],
			  .out = y->dim[1],
			  .kernel = w->dim[1],
			  .stride = fb_s32(&n->opt, TC_STRIDE_H, 0)};
	h = (struct axis){.in = x->dim[2],
			  .out = y->dim[2],
			  .kernel = w->dim[2],
			  .stride = fb_s32(&n->opt, TC_STRIDE_W, 0)};
	NE_RETURN_IF(plan_axis(t, n, same, &v));
	NE_RETURN_IF(plan_axis(t, n, same, &h));
	id = phases(t, n, id, &v, &h, &act);
	if (id < 0)
		return id;
	id = crop(t, n, id, v.blocks, h.blocks);
	if (id < 0)
		return id;
	id = lay_out(t, n, id, v.stride, h.stride);
	if (id < 0)
		return id;
	id = tflite_activate(t, n, crop(t, n, id, y->dim[1], y->dim[2]), act);
	return tflite_set_out(t, n, 0, id);
}
