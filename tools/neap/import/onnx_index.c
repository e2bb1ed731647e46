/* SPDX-License-Identifier: MIT */
/* Operators whose indices are values: gather and scatter, top k, cumulative sums, one-hot. */
#include "tools/neap/import/onnx_internal.h"

#include <string.h>

static int axis_of(struct onnx *o, const onnx_node *n, int x, int64_t absent)
{
	return onnx_axis(o, n, onnx_attr_int(n, "axis", absent), onnx_shape_of(o, x)->rank);
}

/* Inputs 0 .. @count - 1 and the attributes as operator @op. */
static int emit_inputs(struct onnx *o, const onnx_node *n, enum ne_op op,
		       const struct ne_attr *attr, uint32_t count)
{
	uint32_t in[4];

	for (uint32_t i = 0; i < count; i++) {
		int t = onnx_in_tensor(o, n, i);

		if (t < 0)
			return t;
		in[i] = (uint32_t)t;
	}
	return onnx_out_tensor(o, n, onnx_emit(o, n, op, attr, count, in));
}

int onnx_gather_computed(struct onnx *o, const onnx_node *n, int axis)
{
	struct ne_attr attr = {.groups = 1, .axis = axis};

	return emit_inputs(o, n, NE_OP_GATHER, &attr, 2);
}

int onnx_gather_elements(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), axis = x < 0 ? x : axis_of(o, n, x, 0);
	struct ne_attr attr = {.groups = 1, .axis = axis};

	return axis < 0 ? axis : emit_inputs(o, n, NE_OP_GATHER_ELEMENTS, &attr, 2);
}

int onnx_gather_nd(struct onnx *o, const onnx_node *n)
{
	int64_t batch = onnx_attr_int(n, "batch_dims", 0);
	struct ne_attr attr = {.groups = 1, .axis = (int32_t)NE_CLAMP(batch, -1, 64)};

	return emit_inputs(o, n, NE_OP_GATHER_ND, &attr, 2);
}

static int reduction_of(struct onnx *o, const onnx_node *n, struct ne_attr *attr)
{
	static const char *const names[] = {"none", "add", "mul", "max", "min"};

	if (!onnx_attr(n, "reduction"))
		return 0;
	for (size_t i = 0; i < NE_ARRAY_SIZE(names); i++)
		if (onnx_attr_is(n, "reduction", names[i])) {
			attr->kind = (int32_t)i;
			return 0;
		}
	return onnx_fail(o, n, EINVAL, "an unknown reduction");
}

int onnx_scatter_elements(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), axis = x < 0 ? x : axis_of(o, n, x, 0);
	struct ne_attr attr = {.groups = 1, .axis = axis};

	if (axis < 0)
		return axis;
	NE_RETURN_IF(reduction_of(o, n, &attr));
	return emit_inputs(o, n, NE_OP_SCATTER_ELEMENTS, &attr, 3);
}

int onnx_scatter_nd(struct onnx *o, const onnx_node *n)
{
	struct ne_attr attr = {.groups = 1};

	NE_RETURN_IF(reduction_of(o, n, &attr));
	return emit_inputs(o, n, NE_OP_SCATTER_ND, &attr, 3);
}

int onnx_cum_sum(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *axis = onnx_in_const(o, n, 1);
	struct ne_attr attr = {.groups = 1};
	int x = onnx_in_tensor(o, n, 0), a = 0;
	uint32_t in = (uint32_t)x;

	if (x < 0)
		return x;
	if (onnx_shape_of(o, x)->rank > 1) {
		if (!axis || axis->n != 1)
			return onnx_fail(o, n, EOPNOTSUPP, "its axis must be a constant");
		a = onnx_axis(o, n, onnx_const_int(axis, 0), onnx_shape_of(o, x)->rank);
	}
	if (a < 0)
		return a;
	attr.axis = a;
	attr.kind = (onnx_attr_int(n, "exclusive", 0) ? 1 : 0) |
		    (onnx_attr_int(n, "reverse", 0) ? 2 : 0);
	return onnx_out_tensor(o, n, onnx_emit(o, n, NE_OP_CUMSUM, &attr, 1, &in));
}

int onnx_top_k(struct onnx *o, const onnx_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int x = onnx_in_tensor(o, n, 0), axis;
	int64_t k = onnx_attr_int(n, "k", 0);
	struct ne_shape y;
	uint32_t in = (uint32_t)x, out[2];

	if (x < 0)
		return x;
	axis = axis_of(o, n, x, -1);
	if (axis < 0)
		return axis;
	if (onnx_in_const(o, n, 1) && onnx_in_const(o, n, 1)->n == 1)
		k = onnx_const_int(onnx_in_const(o, n, 1), 0);
	else if (onnx_in(o, n, 1) && onnx_declared(o, n, 0, &y) && y.rank > (uint32_t)axis)
		k = y.dim[axis];
	else if (onnx_in(o, n, 1))
		return onnx_fail(o, n, EOPNOTSUPP, "'k' must be a constant");
	if (k < 1 || k > onnx_shape_of(o, x)->dim[axis])
		return onnx_fail(o, n, EINVAL, "the first %lld of %d", (long long)k,
				 onnx_shape_of(o, x)->dim[axis]);
	attr.axis = axis;
	attr.slice.size[axis] = (int32_t)k;
	attr.kind = onnx_attr_int(n, "largest", 1) ? 0 : 1;
	NE_RETURN_IF(onnx_emit_outputs(o, n, NE_OP_TOPK, &attr, 1, &in, 2, out));
	o->g->tensor[out[1]].dtype = NE_S64;
	NE_RETURN_IF(onnx_out_tensor_at(o, n, 0, (int)out[0]));
	return onnx_out_tensor_at(o, n, 1, (int)out[1]);
}

/* Constant [1, .., 0 .. count - 1 along @axis, .., 1] of tensor @like's type. */
static int count_along(struct onnx *o, const onnx_node *n, int like, uint32_t rank, uint32_t axis,
		       int64_t count)
{
	int64_t dim[NE_MAX_RANK] = {1, 1, 1, 1, 1, 1};
	struct onnx_const *c;
	int id;

	dim[axis] = count;
	c = onnx_const_new(o->g->tensor[like].dtype, rank, dim);
	if (!c)
		return onnx_fail(o, n, EINVAL, "a depth of %lld", (long long)count);
	for (size_t i = 0; i < c->n; i++)
		onnx_const_set(c, i, (double)i);
	id = onnx_emit_value(o, n, c);
	onnx_const_free(c);
	return id;
}

/* Negative indices counted from the end of @length. */
static int from_the_end(struct onnx *o, const onnx_node *n, int index, int64_t length)
{
	struct ne_attr attr = {.groups = 1};
	int below = onnx_emit_binary(o, n, NE_BINARY_LESS, index, onnx_emit_number(o, n, index, 0));
	int moved = onnx_emit_binary(o, n, NE_BINARY_ADD, index,
				     onnx_emit_number(o, n, index, (double)length));

	if (below < 0 || moved < 0)
		return below < 0 ? below : moved;
	return onnx_emit(o, n, NE_OP_WHERE, &attr, 3,
			 (const uint32_t[]){(uint32_t)below, (uint32_t)moved, (uint32_t)index});
}

/* off and on values at places where the index, negative ones from the end, is the position. */
int onnx_one_hot(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *depth = onnx_in_const(o, n, 1);
	int index = onnx_in_tensor(o, n, 0), values = onnx_in_tensor(o, n, 2), axis, count;
	int64_t dim[NE_MAX_RANK], length;
	const struct ne_shape *s;
	struct ne_attr attr = {.groups = 1};
	uint32_t in[3], rank = 0;
	struct ne_shape y;

	if (index < 0 || values < 0)
		return index < 0 ? index : values;
	s = onnx_shape_of(o, index);
	if (s->rank >= NE_MAX_RANK)
		return onnx_fail(o, n, EOPNOTSUPP, "indices of rank %u", s->rank);
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", -1), s->rank + 1);
	if (axis < 0)
		return axis;
	if (depth && depth->n == 1)
		length = onnx_const_int(depth, 0);
	else if (onnx_declared(o, n, 0, &y) && y.rank == s->rank + 1)
		length = y.dim[axis];
	else
		return onnx_fail(o, n, EOPNOTSUPP, "'depth' must be a constant");
	for (uint32_t i = 0; i <= s->rank; i++)
		dim[i] = (int)i == axis ? 1 : s->dim[rank++];
	index = onnx_emit_reshape(o, n, index, s->rank + 1, dim);
	index = from_the_end(o, n, index, length);
	if (index < 0)
		return index;
	count = count_along(o, n, index, onnx_shape_of(o, index)->rank, (uint32_t)axis, length);
	index = onnx_emit_binary(o, n, NE_BINARY_EQUAL, index, count);
	if (index < 0)
		return index;
	if (onnx_shape_of(o, values)->rank != 1 || onnx_shape_of(o, values)->dim[0] != 2)
		return onnx_fail(o, n, EINVAL, "its values are not an off and an on value");
	in[0] = (uint32_t)index;
	for (uint32_t i = 0; i < 2; i++) {
		int v = onnx_emit_slice(o, n, values, 0, 1 - i, 1);

		if (v < 0)
			return v;
		in[1 + i] = (uint32_t)v;
	}
	return onnx_out_tensor(o, n, onnx_emit(o, n, NE_OP_WHERE, &attr, 3, in));
}

/* A triangle of the last two axes; the rest is 0. */
int onnx_trilu(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *k = onnx_in_const(o, n, 1);
	bool upper = onnx_attr_int(n, "upper", 1) != 0;
	int x = onnx_in_tensor(o, n, 0), mask, zero;
	struct ne_attr attr = {.groups = 1};
	int64_t shift = 0, dim[2];
	const struct ne_shape *s;
	struct onnx_const *c;

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	if (s->rank < 2 || (onnx_in(o, n, 1) && (!k || k->n != 1)))
		return onnx_fail(o, n, EOPNOTSUPP, "rank %u, or a computed k", s->rank);
	if (k)
		shift = NE_CLAMP(onnx_const_int(k, 0), -NE_MAX_DIM, NE_MAX_DIM);
	dim[0] = s->dim[s->rank - 2];
	dim[1] = s->dim[s->rank - 1];
	c = onnx_const_new(NE_BOOL, 2, dim);
	if (!c)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (int64_t i = 0; i < (int64_t)c->n; i++) {
		int64_t beyond = i % dim[1] - i / dim[1] - shift;

		((uint8_t *)c->data)[i] = upper ? beyond >= 0 : beyond <= 0;
	}
	mask = onnx_emit_value(o, n, c);
	onnx_const_free(c);
	zero = onnx_emit_number(o, n, x, 0);
	if (mask < 0 || zero < 0)
		return mask < 0 ? mask : zero;
	return onnx_out_tensor(
		o, n,
		onnx_emit(o, n, NE_OP_WHERE, &attr, 3,
			  (const uint32_t[]){(uint32_t)mask, (uint32_t)x, (uint32_t)zero}));
}
