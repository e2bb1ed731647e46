/* SPDX-License-Identifier: MIT */
/* Along axes: reductions, cumulative sums, the largest ones; and products of computed matrices. */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"

/* ---- reductions ---- */

static bool is_place(int32_t kind)
{
	return kind >= NE_REDUCE_ARGMAX && kind <= NE_REDUCE_ARGMIN_LAST;
}

/* Axes are an attribute or an input, as the operator set and the operator have them. */
static const char *reduce_node(struct exporter *x, const char *op, const char *v, uint32_t n,
			       const int64_t *axis)
{
	if (is_place(x->node->attr.kind)) {
		v = X_NODE(x, op, NULL, v);
		x_attr_int(x, "axis", axis[0]);
		x_attr_int(x, "select_last_index",
			   x->node->attr.kind == NE_REDUCE_ARGMAX_LAST ||
				   x->node->attr.kind == NE_REDUCE_ARGMIN_LAST);
	} else if (x->opset >= 18 || x->node->attr.kind == NE_REDUCE_SUM) {
		v = X_NODE(x, op, NULL, v, x_init_ints(x, "axes", n, axis));
	} else {
		v = X_NODE(x, op, NULL, v);
		x_attr_ints(x, "axes", n, axis);
	}
	return v;
}

static uint32_t reduced_axes(const struct exporter *x, const struct layout *l, int64_t *axis)
{
	uint32_t rank = x->shape[x->node->in[0]].rank, n = 0;

	for (uint32_t i = 0; i < rank; i++)
		if (x->node->attr.axes >> l->perm[i] & 1)
			axis[n++] = i;
	return n;
}

/* No axes are all of them in ONNX: a last one of length 1 is reduced instead. */
static const char *reduce_none(struct exporter *x, const char *op, const char *v,
			       const struct layout *l)
{
	const struct ne_shape *s = &x->shape[x->node->in[0]];
	int64_t dim[NE_MAX_RANK + 1], axis = s->rank;

	for (uint32_t i = 0; i < s->rank; i++)
		dim[i] = s->dim[l->perm[i]];
	dim[s->rank] = 1;
	v = X_NODE(x, "Reshape", NULL, v, x_init_ints(x, "shape", s->rank + 1, dim));
	v = reduce_node(x, op, v, 1, &axis);
	x_attr_int(x, "keepdims", 0);
	return v;
}

int x_reduce(struct exporter *x)
{
	static const char *const name[NE_REDUCE_COUNT] = {
		[NE_REDUCE_SUM] = "ReduceSum",        [NE_REDUCE_MEAN] = "ReduceMean",
		[NE_REDUCE_MAX] = "ReduceMax",        [NE_REDUCE_MIN] = "ReduceMin",
		[NE_REDUCE_PROD] = "ReduceProd",      [NE_REDUCE_L1] = "ReduceL1",
		[NE_REDUCE_L2] = "ReduceL2",          [NE_REDUCE_SUM_SQUARE] = "ReduceSumSquare",
		[NE_REDUCE_LOG_SUM] = "ReduceLogSum", [NE_REDUCE_LOG_SUM_EXP] = "ReduceLogSumExp",
		[NE_REDUCE_ARGMAX] = "ArgMax",        [NE_REDUCE_ARGMIN] = "ArgMin",
		[NE_REDUCE_ARGMAX_LAST] = "ArgMax",   [NE_REDUCE_ARGMIN_LAST] = "ArgMin",
	};
	const struct ne_node *n = x->node;
	const char *op = (unsigned)n->attr.kind < NE_REDUCE_COUNT ? name[n->attr.kind] : NULL, *v;
	enum ne_dtype type = x->g->tensor[x->y].dtype;
	struct layout l = x_layout_of(x, n->in[0]);
	int64_t axis[NE_MAX_RANK];
	uint32_t n_axis = reduced_axes(x, &l, axis);

	if (!op)
		return x_fail(x, EOPNOTSUPP, "reduction %d is not in ONNX", n->attr.kind);
	v = x_wide(x, n->in[0], &l);
	if (type == NE_BOOL)
		v = x_cast(x, v, NE_S32);
	if (n_axis) {
		v = reduce_node(x, op, v, n_axis, axis);
		x_attr_int(x, "keepdims", 1);
	} else {
		v = reduce_none(x, op, v, &l);
	}
	if (type == NE_BOOL || (!x_is_real(x, x->y) && x_wide_type(type) != type))
		v = x_cast(x, v, type);
	return x_result(x, &l, v);
}

/* ---- others ---- */

enum { EXCLUSIVE = 1, REVERSE = 2 }; /* forms of a cumulative sum */

int x_cumsum(struct exporter *x)
{
	const struct ne_node *n = x->node;
	struct layout l = x_layout_of(x, n->in[0]);
	const int64_t axis = x_axis_in(&l, n->attr.axis);
	const char *v = X_NODE(x, "CumSum", NULL, x_value(x, n->in[0], &l),
			       x_init(x, "axis", NE_S64, 0, NULL, &axis));

	x_attr_int(x, "exclusive", (n->attr.kind & EXCLUSIVE) != 0);
	x_attr_int(x, "reverse", (n->attr.kind & REVERSE) != 0);
	return x_result(x, &l, v);
}

int x_topk(struct exporter *x)
{
	const struct ne_node *n = x->node;
	struct layout l = x_layout_of(x, n->in[0]);
	const int64_t k = n->attr.slice.size[n->attr.axis];
	enum ne_dtype type = x->g->tensor[x->y].dtype;
	const char *in[2] = {x_wide(x, n->in[0], &l), x_init_ints(x, "k", 1, &k)};
	const char *out[2] = {NULL, NULL};

	NE_RETURN_IF(x_node_outputs(x, "TopK", 2, out, 2, in));
	x_attr_int(x, "axis", x_axis_in(&l, n->attr.axis));
	x_attr_int(x, "largest", n->attr.kind == 0);
	if (n->n_out > 1)
		x_add_form(x, n->out[1], &l, out[1]);
	if (!x_is_real(x, x->y) && x_wide_type(type) != type)
		out[0] = x_cast(x, out[0], type);
	return x_result(x, &l, out[0]);
}

int x_matmul(struct exporter *x)
{
	struct layout same = layout_same();

	return x_result(x, &same,
			X_NODE(x, "MatMul", NULL, x_real(x, x->node->in[0], &same),
			       x_real(x, x->node->in[1], &same)));
}
