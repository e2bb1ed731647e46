/* SPDX-License-Identifier: MIT */
/* Softmax along one axis, in f32: s8 input is widened first, s8 output rounded last. */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <math.h>

NE_OP_CHECK(softmax)
{
	enum ne_dtype x = ne_node_in(g, n, 0)->dtype, y = ne_node_out(g, n)->dtype;

	if (!((x == NE_F32 && y == NE_F32) || (x == NE_S8 && (y == NE_S8 || y == NE_F32))))
		return ne_node_fail(err, EINVAL, n, "types %s to %s; f32 to f32, s8 to s8 or f32",
				    ne_dtype_name(x), ne_dtype_name(y));
	if (n->attr.axis < 0 || n->attr.axis >= (int32_t)ne_node_in(g, n, 0)->shape.rank)
		return ne_node_fail(err, EINVAL, n, "no axis %d", n->attr.axis);
	return ne_check_same_group(g, n, err);
}

struct softmax_args {
	struct ne_ref x, y;
	uint32_t length, inner; /* of the axis; elements between its neighbours */
	bool s8_in, s8_out;
	struct ne_quant qx, qy;
};

/* One row of @n values @stride apart, through @row. */
static void softmax_row(const struct softmax_args *c, float *row)
{
	float top = -INFINITY, sum = 0;

	for (uint32_t i = 0; i < c->length; i++)
		top = row[i] > top ? row[i] : top;
	if (top == -INFINITY) /* nothing is larger than -inf: all alike */
		top = 0;
	for (uint32_t i = 0; i < c->length; i++) {
		row[i] = expf(row[i] - top);
		sum += row[i];
	}
	sum = sum > 0 ? 1.0f / sum : 0;
	for (uint32_t i = 0; i < c->length; i++)
		row[i] *= sum;
}

static void run_softmax(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			uint32_t n)
{
	const struct softmax_args *c = s->args;
	float *row = f->scratch;

	for (uint32_t u = first; u < first + n; u++) {
		size_t at = (size_t)(u / c->inner) * c->length * c->inner + u % c->inner;
		const float *xf = ne_at(f, c->x);
		const int8_t *xq = ne_at(f, c->x);
		float *yf = ne_at(f, c->y);
		int8_t *yq = ne_at(f, c->y);

		for (uint32_t i = 0; i < c->length; i++) {
			size_t e = at + (size_t)i * c->inner;

			row[i] = c->s8_in ? (float)(xq[e] - c->qx.zero) * c->qx.scale : xf[e];
		}
		softmax_row(c, row);
		for (uint32_t i = 0; i < c->length; i++) {
			size_t e = at + (size_t)i * c->inner;

			if (c->s8_out)
				yq[e] = ne_quantise_real((double)row[i], c->qy, INT8_MIN, INT8_MAX);
			else
				yf[e] = row[i];
		}
	}
}

NE_OP_LOWER(softmax)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]];
	uint32_t axis = (uint32_t)n->attr.axis;
	size_t elements = ne_shape_elements(xs), inner = 1;
	struct softmax_args c = {
		.x = lw->ref[n->in[0]],
		.y = lw->ref[lw->y],
		.length = (uint32_t)xs->dim[axis],
		.s8_in = lw->g->tensor[n->in[0]].dtype == NE_S8,
		.s8_out = lw->g->tensor[lw->y].dtype == NE_S8,
		.qx = ne_lower_quant(lw, n->in[0]),
		.qy = ne_lower_quant(lw, lw->y),
	};

	for (uint32_t i = axis + 1; i < xs->rank; i++)
		inner *= (size_t)xs->dim[i];
	c.inner = (uint32_t)inner;
	ne_lower_scratch(lw, c.length * sizeof(float));
	return ne_lower_step(lw, run_softmax, &c, sizeof(c), elements / c.length, 8, elements * 16,
			     lw->y);
}
