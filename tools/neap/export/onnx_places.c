/* SPDX-License-Identifier: MIT */
/*
 * Operators that move elements. Those along axes are written in whatever layout their input has; those
 * by computed indices in the engine's. Indices out of range are clamped in the engine and an error in
 * other run times.
 */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"

#include <stdlib.h>

/* ---- by constant positions ---- */

int x_slice(struct exporter *x)
{
	const struct ne_slice *s = &x->node->attr.slice;
	const struct ne_shape *y = &x->shape[x->y];
	uint32_t in = x->node->in[0], n = 0;
	struct layout l = x_layout_of(x, in);
	int64_t first[NE_MAX_RANK], end[NE_MAX_RANK], axis[NE_MAX_RANK], step[NE_MAX_RANK];
	const char *v = x_value(x, in, &l);

	for (uint32_t i = 0; i < y->rank; i++) {
		if (s->begin[i] == 0 && s->step[i] == 1 && y->dim[i] == x->shape[in].dim[i])
			continue;
		first[n] = s->begin[i];
		step[n] = s->step[i];
		end[n] = s->begin[i] + (int64_t)y->dim[i] * s->step[i];
		if (end[n] < 0) /* backwards past the start: further than any length */
			end[n] = INT32_MIN;
		axis[n++] = x_axis_in(&l, (int32_t)i);
	}
	if (n)
		v = X_NODE(x, "Slice", NULL, v, x_init_ints(x, "starts", n, first),
			   x_init_ints(x, "ends", n, end), x_init_ints(x, "axes", n, axis),
			   x_init_ints(x, "steps", n, step));
	return x_result(x, &l, v);
}

/* A constant of the type that @t is computed in; 0-dimensional. */
static const char *wide_constant(struct exporter *x, uint32_t t, float v)
{
	enum ne_dtype type = x_is_real(x, t) ? NE_F32 : x_wide_type(x->g->tensor[t].dtype);
	const int64_t s64 = (int64_t)v;
	const int32_t s32 = (int32_t)v;

	if (type == NE_F32)
		return x_init_float(x, "value", v);
	return x_init(x, "value", type, 0, NULL, type == NE_S64 ? (const void *)&s64 : &s32);
}

/* Where @at is -1 along @axis of a value of @rank axes: bool, [n] followed by axes of length 1. */
static const char *open_places(struct exporter *x, const int32_t *at, int64_t n, int64_t axis,
			       uint32_t rank)
{
	int64_t dim[NE_MAX_RANK];
	uint8_t *open = x_alloc(x, (size_t)n);

	if (!open)
		return NULL;
	for (uint32_t i = 0; i < NE_MAX_RANK; i++)
		dim[i] = i ? 1 : n;
	for (int64_t i = 0; i < n; i++)
		open[i] = at[i] < 0;
	return x_init(x, "open", NE_BOOL, rank - (uint32_t)axis, dim, open);
}

/* Takes the positions of one axis; @v is in its wide type. Those left open take any element, and the
 * value in its place. */
static const char *pick_axis(struct exporter *x, const struct layout *l, uint32_t axis,
			     const char *v)
{
	const struct ne_tensor *t = ne_node_in(x->g, x->node, 1 + axis);
	const int32_t *at = t->data;
	int64_t n = t->shape.dim[0], where = x_axis_in(l, (int32_t)axis);
	int64_t *from = x_alloc(x, (size_t)n * sizeof(*from));
	bool open = false, all = n == x->shape[x->node->in[0]].dim[axis];

	if (!from)
		return NULL;
	for (int64_t i = 0; i < n; i++) {
		open |= at[i] < 0;
		all &= at[i] == i;
		from[i] = NE_MAX(at[i], 0);
	}
	if (all)
		return v;
	v = X_NODE(x, "Gather", NULL, v, x_init_ints(x, "positions", (uint32_t)n, from));
	x_attr_int(x, "axis", where);
	if (!open)
		return v;
	return X_NODE(x, "Where", NULL, open_places(x, at, n, where, x->shape[x->y].rank),
		      wide_constant(x, x->y, x->node->attr.value), v);
}

int x_pick(struct exporter *x)
{
	const struct ne_node *n = x->node;
	uint32_t in = n->in[0];
	enum ne_dtype type = x->g->tensor[x->y].dtype;
	struct layout l = x_layout_of(x, in);
	const char *v = x_wide(x, in, &l);

	if (type == NE_BOOL)
		v = x_cast(x, v, NE_S32);
	for (uint32_t i = 0; i + 1 < n->n_in && !x->failed; i++)
		if (n->in[i + 1] != NE_NONE)
			v = pick_axis(x, &l, i, v);
	if (type == NE_BOOL || (!x_is_real(x, x->y) && x_wide_type(type) != type))
		v = x_cast(x, v, type);
	return x_result(x, &l, v);
}

/* Between pixels; run times round 8-bit values by a rule of their own. */
int x_resize(struct exporter *x)
{
	static const char *const systems[] = {"asymmetric", "align_corners", "half_pixel"};
	uint32_t in = x->node->in[0];
	int32_t form = x->node->attr.kind;
	struct layout l = layout_channels_first(4);
	int64_t size[4];
	const char *v;

	if ((unsigned)form >= NE_ARRAY_SIZE(systems))
		return x_fail(x, EOPNOTSUPP, "corners and half pixels at once are not in ONNX");
	for (uint32_t i = 0; i < 4; i++)
		size[i] = x->shape[x->y].dim[l.perm[i]];
	v = X_NODE(x, "Resize", NULL, x_real(x, in, &l), "", "", x_init_ints(x, "sizes", 4, size));
	x_attr_text(x, "mode", "linear");
	x_attr_text(x, "coordinate_transformation_mode", systems[form]);
	return x_result(x, &l, v);
}

/* ---- by computed indices ---- */

int x_gather(struct exporter *x)
{
	const struct ne_node *n = x->node;
	struct layout same = layout_same();
	const char *in[2] = {x_value(x, n->in[0], &same), x_stored(x, n->in[1], &same)};
	const char *op = n->op == NE_OP_GATHER_ND         ? "GatherND"
			 : n->op == NE_OP_GATHER_ELEMENTS ? "GatherElements"
							  : "Gather";
	const char *v = x_node(x, op, NULL, 2, in);

	x_attr_int(x, n->op == NE_OP_GATHER_ND ? "batch_dims" : "axis", n->attr.axis);
	return x_result(x, &same, v);
}

int x_scatter(struct exporter *x)
{
	static const struct {
		const char *name;
		int opset;
	} reductions[] = {{"none", 13}, {"add", 16}, {"mul", 16}, {"max", 18}, {"min", 18}};
	const struct ne_node *n = x->node;
	struct layout same = layout_same();
	const char *v;

	if ((unsigned)n->attr.kind >= NE_ARRAY_SIZE(reductions))
		return x_fail(x, EOPNOTSUPP, "reduction %d is not in ONNX", n->attr.kind);
	if (!x_needs_opset(x, reductions[n->attr.kind].opset))
		return x->failed;
	v = X_NODE(x, n->op == NE_OP_SCATTER_ND ? "ScatterND" : "ScatterElements", NULL,
		   x_value(x, n->in[0], &same), x_stored(x, n->in[1], &same),
		   x_value(x, n->in[2], &same));
	if (n->op == NE_OP_SCATTER_ELEMENTS)
		x_attr_int(x, "axis", n->attr.axis);
	if (n->attr.kind)
		x_attr_text(x, "reduction", reductions[n->attr.kind].name);
	return x_result(x, &same, v);
}
