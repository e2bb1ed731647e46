/* SPDX-License-Identifier: MIT */
/* What makes one value of many: sums and extremes over axes, places of extremes, norms. */
#include "tools/neap/import/tflite_internal.h"

#include <string.h>

static int reduced_axes(struct tflite *t, const struct tflite_node *n, uint32_t rank,
			uint32_t *ret_mask)
{
	int64_t axes[NE_MAX_RANK];
	int count = tflite_in_ints(t, n, 1, axes, NE_MAX_RANK);

	if (count < 0)
		return count;
	*ret_mask = 0;
	for (int i = 0; i < count; i++) {
		int axis = tflite_axis(t, n, axes[i], rank);

		if (axis < 0)
			return axis;
		*ret_mask |= 1u << axis;
	}
	return 0;
}

/* The axes that are reduced stay with length 1 in the engine; the file may drop them. */
static int reduce(struct tflite *t, const struct tflite_node *n, enum ne_reduce kind)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);
	struct ne_attr attr = {.groups = 1, .kind = (int32_t)kind};
	struct ne_quant q = {0};
	struct ne_shape shape;
	int id = tflite_in_id(t, n, 0);
	uint32_t in = (uint32_t)id;

	if (id < 0)
		return id;
	if (!y)
		return tflite_fail(t, n, EINVAL, "output 0 is missing");
	NE_RETURN_IF(reduced_axes(t, n, tflite_shape_of(t, id)->rank, &attr.axes));
	if (!tflite_real(t, id))
		q = tflite_quant(y);
	/* the mean over height and width of an image has an operator of its own */
	if (kind == NE_REDUCE_MEAN && tflite_shape_of(t, id)->rank == 4 &&
	    tflite_shape_of(t, id)->dim[0] == 1 && attr.axes == 6)
		id = tflite_emit_unary(t, n, NE_OP_GLOBALPOOL, id, q);
	else
		id = tflite_emit(t, n, NE_OP_REDUCE, &attr, 1, &in, q);
	if (id < 0)
		return id;
	shape = tflite_shape(y);
	if (y->shaped && shape.rank != tflite_shape_of(t, id)->rank &&
	    ne_shape_elements(&shape) == ne_shape_elements(tflite_shape_of(t, id)))
		id = tflite_emit_reshape(t, n, id, &shape);
	return tflite_set_out(t, n, 0, id);
}

int tflite_mean(struct tflite *t, const struct tflite_node *n)
{
	return reduce(t, n, NE_REDUCE_MEAN);
}

int tflite_sum(struct tflite *t, const struct tflite_node *n)
{
	return reduce(t, n, NE_REDUCE_SUM);
}

int tflite_reduce_max(struct tflite *t, const struct tflite_node *n)
{
	return reduce(t, n, NE_REDUCE_MAX);
}

int tflite_reduce_min(struct tflite *t, const struct tflite_node *n)
{
	return reduce(t, n, NE_REDUCE_MIN);
}

int tflite_reduce_prod(struct tflite *t, const struct tflite_node *n)
{
	return reduce(t, n, NE_REDUCE_PROD);
}

/* The place along one axis, a constant. */
static int place_of(struct tflite *t, const struct tflite_node *n, enum ne_reduce kind)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);
	struct ne_attr attr = {.groups = 1, .kind = (int32_t)kind};
	struct ne_shape shape;
	int id = tflite_in_id(t, n, 0);
	uint32_t in = (uint32_t)id;

	if (id < 0)
		return id;
	NE_RETURN_IF(reduced_axes(t, n, tflite_shape_of(t, id)->rank, &attr.axes));
	id = tflite_emit_as(t, n, NE_OP_REDUCE, &attr, 1, &in, NE_S64);
	if (id >= 0 && y && y->shaped) {
		shape = tflite_shape(y);
		id = tflite_emit_reshape(t, n, id, &shape);
	}
	return tflite_set_out(t, n, 0, id);
}

int tflite_arg_max(struct tflite *t, const struct tflite_node *n)
{
	return place_of(t, n, NE_REDUCE_ARGMAX);
}

int tflite_arg_min(struct tflite *t, const struct tflite_node *n)
{
	return place_of(t, n, NE_REDUCE_ARGMIN);
}

/* @op of x and of its reduction by @kind along the last axis, in f32. */
static int against_reduction(struct tflite *t, const struct tflite_node *n, enum ne_reduce kind,
			     enum ne_binary op)
{
	struct ne_attr attr = {.groups = 1, .kind = (int32_t)kind};
	int x = tflite_in_real(t, n, 0), r;
	uint32_t in[2] = {(uint32_t)x};

	if (x < 0)
		return x;
	if (!tflite_shape_of(t, x)->rank)
		return tflite_fail(t, n, EINVAL, "a single value has no axis");
	attr.axes = 1u << (tflite_shape_of(t, x)->rank - 1);
	r = tflite_emit(t, n, NE_OP_REDUCE, &attr, 1, in, (struct ne_quant){0});
	if (r < 0)
		return r;
	in[1] = (uint32_t)r;
	attr.axes = 0;
	attr.kind = (int32_t)op;
	return tflite_set_out(t, n, 0,
			      tflite_emit(t, n, NE_OP_BINARY, &attr, 2, in, (struct ne_quant){0}));
}

int tflite_log_softmax(struct tflite *t, const struct tflite_node *n)
{
	return against_reduction(t, n, NE_REDUCE_LOG_SUM_EXP, NE_BINARY_SUB);
}

int tflite_l2_normalization(struct tflite *t, const struct tflite_node *n)
{
	return against_reduction(t, n, NE_REDUCE_L2, NE_BINARY_DIV);
}
