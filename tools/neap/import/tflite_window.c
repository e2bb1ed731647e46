/* SPDX-License-Identifier: MIT */
/* What slides over an image: convolutions and pools. */
#include "tools/neap/import/tflite_internal.h"

#include <stdlib.h>
#include <string.h>

/* Fields of the options' tables, in the schema's order. */
enum { CONV_PADDING, CONV_STRIDE_W, CONV_STRIDE_H, CONV_ACT, CONV_DILATION_W, CONV_DILATION_H };
enum { DW_PADDING, DW_STRIDE_W, DW_STRIDE_H, DW_MULTIPLIER, DW_ACT, DW_DILATION_W, DW_DILATION_H };
enum { POOL_PADDING, POOL_STRIDE_W, POOL_STRIDE_H, POOL_WIDTH, POOL_HEIGHT, POOL_ACT };

int tflite_same_padding(int64_t size, int64_t k, int64_t d, int64_t stride, int32_t *ret_before,
			int32_t *ret_after)
{
	int64_t out = (size + stride - 1) / stride;
	int64_t all = NE_MAX((out - 1) * stride + (k - 1) * d + 1 - size, 0);

	if (all > NE_MAX_DIM)
		return -EINVAL;
	*ret_before = (int32_t)(all / 2);
	*ret_after = (int32_t)(all - all / 2);
	return 0;
}

/* Fills in the padding of @w over @x. */
static int pad_window(struct tflite *t, const struct tflite_node *n, int padding,
		      const struct ne_shape *x, struct ne_window *w)
{
	const int32_t checked[] = {w->kh, w->kw, w->sh, w->sw, w->dh, w->dw};

	for (size_t i = 0; i < NE_ARRAY_SIZE(checked); i++)
		if (checked[i] < 1 || checked[i] > NE_MAX_DIM)
			return tflite_fail(t, n, EINVAL,
					   "kernel %dx%d, stride %dx%d, dilation %dx%d", w->kh,
					   w->kw, w->sh, w->sw, w->dh, w->dw);
	if (x->rank != 4)
		return tflite_fail(t, n, EINVAL, "an input of rank %u; 4 is wanted", x->rank);
	if (padding == TFLITE_VALID)
		return 0;
	if (padding != TFLITE_SAME)
		return tflite_fail(t, n, EOPNOTSUPP, "padding %d", padding);
	if (tflite_same_padding(x->dim[1], w->kh, w->dh, w->sh, &w->pad_top, &w->pad_bottom) < 0 ||
	    tflite_same_padding(x->dim[2], w->kw, w->dw, w->sw, &w->pad_left, &w->pad_right) < 0)
		return tflite_fail(t, n, EINVAL, "padding over %d", NE_MAX_DIM);
	return 0;
}

int tflite_conv_2d(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *w = tflite_in(t, n, 1);
	struct ne_attr attr = {.groups = 1};
	const struct ne_shape *x;
	uint32_t in[3];
	int id = tflite_in_id(t, n, 0);

	if (id < 0)
		return id;
	if (!w || !w->shaped || w->rank != 4)
		return tflite_fail(t, n, EINVAL, "weights must be of rank 4");
	x = tflite_shape_of(t, id);
	attr.window = (struct ne_window){
		.kh = w->dim[1],
		.kw = w->dim[2],
		.sh = fb_s32(&n->opt, CONV_STRIDE_H, 0),
		.sw = fb_s32(&n->opt, CONV_STRIDE_W, 0),
		.dh = fb_s32(&n->opt, CONV_DILATION_H, 1),
		.dw = fb_s32(&n->opt, CONV_DILATION_W, 1),
	};
	NE_RETURN_IF(pad_window(t, n, fb_s8(&n->opt, CONV_PADDING, 0), x, &attr.window));
	NE_RETURN_IF(tflite_window_of_blocks(t, n, &attr.window));
	if (x->dim[3] % w->dim[3])
		return tflite_fail(t, n, EINVAL, "weights of %d channels for an input of %d",
				   w->dim[3], x->dim[3]);
	attr.groups = x->dim[3] / w->dim[3];
	in[0] = (uint32_t)id;
	NE_RETURN_IF(tflite_weights(t, n, id, NULL, NULL, &in[1]));
	NE_RETURN_IF(tflite_bias(t, n, 2, id, 1, &in[2]));
	return tflite_set_out_act(t, n, NE_OP_CONV, &attr, in[2] == NE_NONE ? 2 : 3, in,
				  fb_s8(&n->opt, CONV_ACT, 0));
}

/* Where value @i of weights [OC,KH,KW,1] is in [1,KH,KW,OC]; to be freed, NULL without memory. */
static size_t *turned(const struct tflite_tensor *w)
{
	size_t elements = tflite_elements(w), oc = (size_t)w->dim[3], taps = elements / oc;
	size_t *from = malloc(elements * sizeof(*from));

	for (size_t i = 0; from && i < elements; i++)
		from[i] = i % taps * oc + i / taps;
	return from;
}

/*
 * Weights are [1,KH,KW,C * multiplier]. With a multiplier of 1 they are the engine's; else channel
 * c of the input gives outputs c * multiplier and on, which is a convolution in C groups.
 */
int tflite_depthwise_conv_2d(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *w = tflite_in(t, n, 1);
	struct ne_attr attr = {.groups = 1};
	struct tflite_places places = {.times = 1};
	struct ne_shape shape;
	const struct ne_shape *x;
	uint32_t in[3];
	bool plain;
	int id = tflite_in_id(t, n, 0), r;

	if (id < 0)
		return id;
	if (!w || !w->shaped || w->rank != 4 || w->dim[0] != 1)
		return tflite_fail(t, n, EINVAL, "weights must be [1,KH,KW,C]");
	x = tflite_shape_of(t, id);
	attr.window = (struct ne_window){
		.kh = w->dim[1],
		.kw = w->dim[2],
		.sh = fb_s32(&n->opt, DW_STRIDE_H, 0),
		.sw = fb_s32(&n->opt, DW_STRIDE_W, 0),
		.dh = fb_s32(&n->opt, DW_DILATION_H, 1),
		.dw = fb_s32(&n->opt, DW_DILATION_W, 1),
	};
	NE_RETURN_IF(pad_window(t, n, fb_s8(&n->opt, DW_PADDING, 0), x, &attr.window));
	NE_RETURN_IF(tflite_window_of_blocks(t, n, &attr.window));
	if (w->dim[3] % x->dim[3])
		return tflite_fail(t, n, EINVAL, "weights of %d channels for an input of %d",
				   w->dim[3], x->dim[3]);
	plain = w->dim[3] == x->dim[3];
	if (plain)
		shape = (struct ne_shape){3, {w->dim[1], w->dim[2], w->dim[3]}};
	else
		shape = (struct ne_shape){4, {w->dim[3], w->dim[1], w->dim[2], 1}};
	attr.groups = plain ? 1 : x->dim[3];
	in[0] = (uint32_t)id;
	places.from = plain ? NULL : turned(w);
	if (!plain && !places.from)
		return tflite_fail(t, n, ENOMEM, "no memory");
	r = tflite_weights(t, n, id, &shape, &places, &in[1]);
	free((void *)(uintptr_t)places.from);
	NE_RETURN_IF(r);
	NE_RETURN_IF(tflite_bias(t, n, 2, id, 1, &in[2]));
	return tflite_set_out_act(t, n, plain ? NE_OP_DWCONV : NE_OP_CONV, &attr,
				  in[2] == NE_NONE ? 2 : 3, in, fb_s8(&n->opt, DW_ACT, 0));
}

static int import_pool(struct tflite *t, const struct tflite_node *n, enum ne_op op)
{
	struct ne_attr attr = {.groups = 1};
	int id = tflite_in_id(t, n, 0);
	uint32_t in = (uint32_t)id;

	if (id < 0)
		return id;
	attr.window = (struct ne_window){
		.kh = fb_s32(&n->opt, POOL_HEIGHT, 0),
		.kw = fb_s32(&n->opt, POOL_WIDTH, 0),
		.sh = fb_s32(&n->opt, POOL_STRIDE_H, 0),
		.sw = fb_s32(&n->opt, POOL_STRIDE_W, 0),
		.dh = 1,
		.dw = 1,
	};
	NE_RETURN_IF(pad_window(t, n, fb_s8(&n->opt, POOL_PADDING, 0), tflite_shape_of(t, id),
				&attr.window));
	return tflite_set_out_act(t, n, op, &attr, 1, &in, fb_s8(&n->opt, POOL_ACT, 0));
}

int tflite_average_pool_2d(struct tflite *t, const struct tflite_node *n)
{
	return import_pool(t, n, NE_OP_AVGPOOL);
}

int tflite_max_pool_2d(struct tflite *t, const struct tflite_node *n)
{
	return import_pool(t, n, NE_OP_MAXPOOL);
}
