/* SPDX-License-Identifier: MIT */
/* Reductions, extremes' places, and what is made of them: log-softmax, hardmax. */
#include "tools/neap/import/onnx_internal.h"

#include <string.h>

/* Without the axes of @mask, each of length 1. */
int onnx_drop_axes(struct onnx *o, const onnx_node *n, int x, uint32_t mask)
{
	int64_t dim[NE_MAX_RANK];
	const struct ne_shape *s;
	uint32_t rank = 0;

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	for (uint32_t i = 0; i < s->rank; i++)
		if (!(mask >> i & 1))
			dim[rank++] = s->dim[i];
	return onnx_emit_reshape(o, n, x, rank, dim);
}

static bool leaves(const struct ne_shape *x, uint32_t mask, bool keep, const struct ne_shape *y)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < x->rank; i++) {
		bool reduced = mask >> i & 1;

		if (reduced && !keep)
			continue;
		if (k == y->rank || y->dim[k++] != (reduced ? 1 : x->dim[i]))
			return false;
	}
	return k == y->rank;
}

/*
 * Computed axes, where the model declares the output's shape and one set of axes alone gives it: of
 * axes of length 1 it does not matter whether they are reduced as long as the shape is right.
 */
static int declared_axes(struct onnx *o, const onnx_node *n, const struct ne_shape *x,
			 uint32_t *ret)
{
	bool keep = onnx_attr_int(n, "keepdims", 1) != 0, found = false;
	uint32_t ones = 0, first = 0;
	struct ne_shape y;

	for (uint32_t i = 0; i < x->rank; i++)
		ones |= x->dim[i] == 1 ? 1u << i : 0;
	if (!onnx_declared(o, n, 0, &y))
		return onnx_fail(o, n, EOPNOTSUPP, "'axes' must be a constant");
	for (uint32_t mask = 0; mask < 1u << x->rank; mask++) {
		if (!leaves(x, mask, keep, &y))
			continue;
		if (found && (mask & ~ones) != (first & ~ones))
			return onnx_fail(o, n, EOPNOTSUPP,
					 "'axes' must be a constant: the declared shape allows "
					 "several");
		first = found ? first : mask;
		found = true;
	}
	*ret = first;
	return found ? 0
		     : onnx_fail(o, n, EINVAL, "no axes give the shape that its output declares");
}

/* Axes as a mask: of the attribute or of input 1; all where there are none, or none at all. */
static int reduced_axes(struct onnx *o, const onnx_node *n, const struct ne_shape *x, uint32_t *ret)
{
	uint32_t rank = x->rank;
	int64_t axes[NE_MAX_RANK];
	int count;

	if (!onnx_attr(n, "axes") && onnx_in(o, n, 1) && !onnx_in_const(o, n, 1))
		return declared_axes(o, n, x, ret);
	count = onnx_ints(o, n, "axes", 1, axes, NE_MAX_RANK);
	if (count < 0)
		return count;
	*ret = 0;
	for (int i = 0; i < count; i++) {
		int a = onnx_axis(o, n, axes[i], rank);

		if (a < 0)
			return a;
		*ret |= 1u << a;
	}
	if (count == 0 && !onnx_attr_int(n, "noop_with_empty_axes", 0))
		*ret = (1u << rank) - 1;
	return 0;
}

static const struct {
	const char *name;
	enum ne_reduce kind;
} reductions[] = {
	{"ReduceL1", NE_REDUCE_L1},          {"ReduceL2", NE_REDUCE_L2},
	{"ReduceLogSum", NE_REDUCE_LOG_SUM}, {"ReduceLogSumExp", NE_REDUCE_LOG_SUM_EXP},
	{"ReduceMax", NE_REDUCE_MAX},        {"ReduceMean", NE_REDUCE_MEAN},
	{"ReduceMin", NE_REDUCE_MIN},        {"ReduceProd", NE_REDUCE_PROD},
	{"ReduceSum", NE_REDUCE_SUM},        {"ReduceSumSquare", NE_REDUCE_SUM_SQUARE},
};

int onnx_reduce(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0);
	struct ne_shape shape;
	uint32_t mask = 0;

	if (x < 0)
		return x;
	shape = *onnx_shape_of(o, x);
	NE_RETURN_IF(reduced_axes(o, n, &shape, &mask));
	for (size_t i = 0; i < NE_ARRAY_SIZE(reductions); i++) {
		enum ne_reduce kind = reductions[i].kind;

		if (strcmp(reductions[i].name, n->op_type) != 0)
			continue;
		x = onnx_emit_reduce(o, n, kind, x, mask);
		if (!onnx_attr_int(n, "keepdims", 1))
			x = onnx_drop_axes(o, n, x, mask);
		return onnx_out_tensor(o, n, x);
	}
	return onnx_fail(o, n, EOPNOTSUPP, "this operator is not supported");
}

int onnx_arg(struct onnx *o, const onnx_node *n)
{
	bool last = onnx_attr_int(n, "select_last_index", 0) != 0;
	bool most = strcmp(n->op_type, "ArgMax") == 0;
	enum ne_reduce kind = most   ? last ? NE_REDUCE_ARGMAX_LAST : NE_REDUCE_ARGMAX
			      : last ? NE_REDUCE_ARGMIN_LAST
				     : NE_REDUCE_ARGMIN;
	int x = onnx_in_tensor(o, n, 0), axis;

	if (x < 0)
		return x;
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 0), onnx_shape_of(o, x)->rank);
	if (axis < 0)
		return axis;
	x = onnx_emit_reduce(o, n, kind, x, 1u << axis);
	if (!onnx_attr_int(n, "keepdims", 1))
		x = onnx_drop_axes(o, n, x, 1u << axis);
	return onnx_out_tensor(o, n, x);
}

/* The axes that softmax and its kin work along: one, or before opset 13 all from `axis` on. */
static int softmax_axes(struct onnx *o, const onnx_node *n, uint32_t rank, uint32_t *ret)
{
	int axis = onnx_axis(o, n, onnx_attr_int(n, "axis", o->opset >= 13 ? -1 : 1), rank);

	if (axis < 0)
		return axis;
	*ret = o->opset >= 13 ? 1u << axis : (1u << rank) - (1u << axis);
	return 0;
}

/* (x - max) - log(sum(exp(x - max))) */
int onnx_log_softmax(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), sum;
	uint32_t mask;

	if (x < 0)
		return x;
	NE_RETURN_IF(softmax_axes(o, n, onnx_shape_of(o, x)->rank, &mask));
	x = onnx_emit_binary(o, n, NE_BINARY_SUB, x,
			     onnx_emit_reduce(o, n, NE_REDUCE_MAX, x, mask));
	sum = onnx_emit_reduce(o, n, NE_REDUCE_SUM, onnx_emit_function(o, n, NE_UNARY_EXP, x, 0, 0),
			       mask);
	sum = onnx_emit_function(o, n, NE_UNARY_LOG, sum, 0, 0);
	return onnx_out_tensor(o, n, onnx_emit_binary(o, n, NE_BINARY_SUB, x, sum));
}

/* 1 at the first of the largest along the axis, 0 elsewhere. */
static int first_largest(struct onnx *o, const onnx_node *n, int x, uint32_t axis)
{
	const struct ne_shape *s = onnx_shape_of(o, x);
	enum ne_dtype type = o->g->tensor[x].dtype;
	int64_t dim[NE_MAX_RANK];
	struct onnx_const *c;
	int place, count;

	for (uint32_t i = 0; i < s->rank; i++)
		dim[i] = i == axis ? s->dim[i] : 1;
	c = onnx_const_new(NE_S64, s->rank, dim);
	if (!c)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (size_t i = 0; i < c->n; i++)
		((int64_t *)c->data)[i] = (int64_t)i;
	count = onnx_emit_value(o, n, c);
	onnx_const_free(c);
	place = onnx_emit_reduce(o, n, NE_REDUCE_ARGMAX, x, 1u << axis);
	return onnx_emit_cast(o, n, onnx_emit_binary(o, n, NE_BINARY_EQUAL, place, count), type);
}

int onnx_hardmax(struct onnx *o, const onnx_node *n)
{
	int64_t dim[NE_MAX_RANK], matrix[2] = {1, 1};
	int x = onnx_in_tensor(o, n, 0), axis;
	struct ne_shape s;

	if (x < 0)
		return x;
	s = *onnx_shape_of(o, x);
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", o->opset >= 13 ? -1 : 1), s.rank);
	if (axis < 0)
		return axis;
	if (o->opset >= 13)
		return onnx_out_tensor(o, n, first_largest(o, n, x, (uint32_t)axis));
	for (uint32_t i = 0; i < s.rank; i++) {
		dim[i] = s.dim[i];
		matrix[(int)i >= axis] *= s.dim[i];
	}
	x = onnx_emit_reshape(o, n, x, 2, matrix);
	x = x < 0 ? x : first_largest(o, n, x, 1);
	return onnx_out_tensor(o, n, onnx_emit_reshape(o, n, x, s.rank, dim));
}
