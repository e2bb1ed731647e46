/* SPDX-License-Identifier: MIT */
/*
 * Reshape, pad and transpose: values keep, places change. A reshape costs nothing: its output is
 * its input's memory (plan.c gives both the same place) unless s8 ranges differ.
 */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <math.h>
#include <string.h>

static int check_same_type(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err)
{
	if (ne_node_in(g, n, 0)->dtype != ne_node_out(g, n)->dtype)
		return ne_node_fail(err, EINVAL, n, "types %s to %s; must be the same",
				    ne_dtype_name(ne_node_in(g, n, 0)->dtype),
				    ne_dtype_name(ne_node_out(g, n)->dtype));
	return 0;
}

/* After a step that moved s8 values: to the output's range, in place. */
static int lower_rescale(struct ne_lower *lw, const struct ne_node *n)
{
	struct ne_quant qx = ne_lower_quant(lw, n->in[0]), qy = ne_lower_quant(lw, lw->y);
	int8_t table[256];

	ne_rescale_table(table, qx, qy);
	return ne_lower_lut(lw, lw->ref[lw->y], lw->ref[lw->y],
			    ne_shape_elements(&lw->shape[lw->y]), table, lw->y);
}

static bool rescales(const struct ne_lower *lw, const struct ne_node *n)
{
	struct ne_quant qx = ne_lower_quant(lw, n->in[0]), qy = ne_lower_quant(lw, lw->y);

	return lw->g->tensor[lw->y].dtype == NE_S8 && qx.scale > 0 && qy.scale > 0 &&
	       !ne_quant_equal(qx, qy);
}

/* ---- reshape ---- */

NE_OP_CHECK(reshape)
{
	const struct ne_tensor *x = ne_node_in(g, n, 0), *y = ne_node_out(g, n);

	NE_RETURN_IF(check_same_type(g, n, err));
	NE_RETURN_IF(ne_check_same_group(g, n, err));
	/* a cut tensor's rows get shorter: only their number may change its form */
	if (x->group && ne_shape_last(&x->shape) != ne_shape_last(&y->shape))
		return ne_node_fail(err, EINVAL, n,
				    "the input's channels can be cut, so the last axis must stay; "
				    "use a convolution over the whole image to flatten it");
	return 0;
}

NE_OP_INFER(reshape)
{
	const struct ne_tensor *y = ne_node_out(g, n);

	*ret = y->shape;
	if (y->group && ret->rank)
		ret->dim[ret->rank - 1] = ne_shape_last(&in[0]);
	if (ne_shape_elements(ret) != ne_shape_elements(&in[0]))
		return ne_node_fail(err, EINVAL, n, "%zu elements cannot become %zu",
				    ne_shape_elements(&in[0]), ne_shape_elements(ret));
	return 0;
}

NE_OP_LOWER(reshape)
{
	struct ne_ref x = lw->ref[n->in[0]], y = lw->ref[lw->y];
	int8_t table[256];

	if (x.base == y.base && x.offset == y.offset)
		return 0;
	ne_rescale_table(table, ne_lower_quant(lw, n->in[0]), ne_lower_quant(lw, lw->y));
	return ne_lower_lut(lw, x, y, ne_shape_elements(&lw->shape[lw->y]), table, lw->y);
}

/* ---- pad ---- */

NE_OP_CHECK(pad)
{
	uint32_t rank = ne_node_in(g, n, 0)->shape.rank;

	NE_RETURN_IF(ne_check_f32_or_s8(g, n, err));
	NE_RETURN_IF(ne_check_same_group(g, n, err));
	if (!rank)
		return ne_node_fail(err, EINVAL, n, "a single value has no axis to pad");
	if (ne_node_in(g, n, 0)->group && (n->attr.pad[rank - 1] || n->attr.pad[2 * rank - 1]))
		return ne_node_fail(err, EINVAL, n, "channels that can be cut cannot be padded");
	if (isnan(n->attr.value))
		return ne_node_fail(err, EINVAL, n, "the value is not a number");
	return 0;
}

NE_OP_INFER(pad)
{
	uint32_t rank = in[0].rank;

	(void)g;
	*ret = in[0];
	for (uint32_t i = 0; i < rank; i++) {
		int64_t begin = n->attr.pad[i], end = n->attr.pad[rank + i];

		if (begin < 0 || end < 0 || in[0].dim[i] + begin + end > NE_MAX_DIM)
			return ne_node_fail(err, EINVAL, n, "axis %u: padding %lld and %lld", i,
					    (long long)begin, (long long)end);
		ret->dim[i] = (int32_t)(in[0].dim[i] + begin + end);
	}
	return 0;
}

struct pad_args {
	struct ne_ref x, y;
	uint32_t outer;              /* axes but the last */
	uint32_t dim[NE_MAX_RANK];   /* of the output */
	uint32_t begin[NE_MAX_RANK]; /* where the input starts */
	uint32_t in[NE_MAX_RANK];    /* of the input */
	size_t elem;
	uint8_t value[4]; /* one element */
};

static void fill(char *y, size_t n, const struct pad_args *c)
{
	if (c->elem == 1)
		memset(y, c->value[0], n);
	else
		for (size_t i = 0; i < n; i++)
			memcpy(y + i * c->elem, c->value, c->elem);
}

/* Units are rows of the output along the last axis. */
static void run_pad(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct pad_args *c = s->args;
	uint32_t last = c->outer;
	size_t row = c->dim[last] * c->elem, keep = c->in[last] * c->elem;
	size_t before = c->begin[last];
	char *y = (char *)ne_at(f, c->y) + first * row;

	for (uint32_t u = first; u < first + n; u++, y += row) {
		size_t at = 0, stride = 1;
		bool inside = true;
		uint32_t rest = u;

		for (uint32_t d = last; d-- > 0; rest /= c->dim[d]) {
			uint32_t i = rest % c->dim[d] - c->begin[d]; /* wraps where before it */

			inside = inside && i < c->in[d];
			at += i * stride;
			stride *= c->in[d];
		}
		if (!inside) {
			fill(y, c->dim[last], c);
			continue;
		}
		fill(y, before, c);
		memcpy(y + before * c->elem, (const char *)ne_at(f, c->x) + at * keep, keep);
		fill(y + before * c->elem + keep, c->dim[last] - before - c->in[last], c);
	}
}

NE_OP_LOWER(pad)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]], *ys = &lw->shape[lw->y];
	enum ne_dtype type = lw->g->tensor[lw->y].dtype;
	struct pad_args c = {.x = lw->ref[n->in[0]],
			     .y = lw->ref[lw->y],
			     .outer = ys->rank - 1,
			     .elem = ne_dtype_size(type)};
	size_t elements = ne_shape_elements(ys);
	bool rescale = rescales(lw, n);

	for (uint32_t i = 0; i < ys->rank; i++) {
		c.dim[i] = (uint32_t)ys->dim[i];
		c.in[i] = (uint32_t)xs->dim[i];
		c.begin[i] = (uint32_t)n->attr.pad[i];
	}
	if (type == NE_S8)
		c.value[0] = (uint8_t)ne_quantise_real(
			(double)n->attr.value, ne_lower_quant(lw, n->in[0]), INT8_MIN, INT8_MAX);
	else
		memcpy(c.value, &n->attr.value, sizeof(float));
	NE_RETURN_IF(ne_lower_step(lw, run_pad, &c, sizeof(c), elements / c.dim[c.outer], 16,
				   elements * c.elem, rescale ? NE_NONE : lw->y));
	return rescale ? lower_rescale(lw, n) : 0;
}

/* ---- transpose ---- */

NE_OP_CHECK(transpose)
{
	const struct ne_tensor *x = ne_node_in(g, n, 0);
	uint32_t rank = x->shape.rank;

	NE_RETURN_IF(check_same_type(g, n, err));
	NE_RETURN_IF(ne_check_same_group(g, n, err));
	if (x->group && n->attr.perm[rank - 1] != (int32_t)rank - 1)
		return ne_node_fail(err, EINVAL, n,
				    "channels that can be cut must stay the last axis");
	return 0;
}

NE_OP_INFER(transpose)
{
	uint32_t seen = 0;

	(void)g;
	ret->rank = in[0].rank;
	for (uint32_t i = 0; i < in[0].rank; i++) {
		int32_t p = n->attr.perm[i];

		if (p < 0 || p >= (int32_t)in[0].rank || (seen & 1u << p))
			return ne_node_fail(err, EINVAL, n,
					    "axis %u: %d is no axis or there already", i, p);
		seen |= 1u << p;
		ret->dim[i] = in[0].dim[p];
	}
	return 0;
}

struct transpose_args {
	struct ne_ref x, y;
	uint32_t outer; /* axes but the last */
	uint32_t dim[NE_MAX_RANK];
	size_t stride[NE_MAX_RANK]; /* elements of the input per step of the output's axis */
	size_t elem;
};

/* Units are rows of the output along the last axis. */
static void run_transpose(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			  uint32_t n)
{
	const struct transpose_args *c = s->args;
	uint32_t last = c->outer, length = c->dim[last];
	char *y = (char *)ne_at(f, c->y) + (size_t)first * length * c->elem;

	for (uint32_t u = first; u < first + n; u++) {
		const char *x = ne_at(f, c->x);
		size_t at = 0, step = c->stride[last] * c->elem;
		uint32_t rest = u;

		for (uint32_t d = last; d-- > 0; rest /= c->dim[d])
			at += rest % c->dim[d] * c->stride[d];
		x += at * c->elem;
		if (c->stride[last] == 1) {
			memcpy(y, x, length * c->elem);
			y += length * c->elem;
			continue;
		}
		for (uint32_t i = 0; i < length; i++, x += step, y += c->elem) {
			if (c->elem == 1)
				*y = *x;
			else
				memcpy(y, x, c->elem);
		}
	}
}

/* ---- planes to channels: a transpose of an 8-bit image as other tools lay it out ---- */

#define MOST_PLANES 16u

struct interleave_args {
	struct ne_ref x, y;
	uint32_t planes;
	size_t plane;
	void (*fn)(int8_t *y, const int8_t *x, uint32_t planes, size_t plane, size_t n);
};

/* Units are pixels. */
static void run_interleave(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			   uint32_t n)
{
	const struct interleave_args *c = s->args;

	c->fn((int8_t *)ne_at(f, c->y) + (size_t)first * c->planes,
	      (const int8_t *)ne_at(f, c->x) + first, c->planes, c->plane, n);
}

/* Whether @n brings the first axis longer than 1 behind all others; how long it is. */
static bool moves_first_last(const struct ne_shape *xs, const struct ne_node *n, uint32_t *ret)
{
	uint32_t axis[NE_MAX_RANK], count = 0;

	for (uint32_t i = 0; i < xs->rank; i++)
		if (xs->dim[n->attr.perm[i]] != 1)
			axis[count++] = (uint32_t)n->attr.perm[i];
	if (count < 2)
		return false;
	for (uint32_t i = 0; i + 2 < count; i++)
		if (axis[i] > axis[i + 1])
			return false;
	*ret = (uint32_t)xs->dim[axis[count - 1]];
	return axis[count - 1] < axis[0];
}

NE_OP_LOWER(transpose)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]], *ys = &lw->shape[lw->y];
	struct transpose_args c = {.x = lw->ref[n->in[0]],
				   .y = lw->ref[lw->y],
				   .elem = ne_dtype_size(lw->g->tensor[lw->y].dtype)};
	size_t stride[NE_MAX_RANK], elements = ne_shape_elements(ys), s = 1;
	bool rescale = rescales(lw, n);
	uint32_t planes;

	if (c.elem == 1 && moves_first_last(xs, n, &planes) && planes <= MOST_PLANES) {
		struct interleave_args in = {c.x, c.y, planes, elements / planes,
					     lw->k->interleave_8};

		NE_RETURN_IF(ne_lower_step(lw, run_interleave, &in, sizeof(in), in.plane, 1024,
					   elements, rescale ? NE_NONE : lw->y));
		return rescale ? lower_rescale(lw, n) : 0;
	}
	for (uint32_t i = xs->rank; i-- > 0; s *= (size_t)xs->dim[i])
		stride[i] = s;
	c.outer = ys->rank ? ys->rank - 1 : 0;
	c.dim[0] = 1;
	c.stride[0] = 1;
	for (uint32_t i = 0; i < ys->rank; i++) {
		c.dim[i] = (uint32_t)ys->dim[i];
		c.stride[i] = stride[n->attr.perm[i]];
	}
	NE_RETURN_IF(ne_lower_step(lw, run_transpose, &c, sizeof(c), elements / c.dim[c.outer], 16,
				   elements * c.elem, rescale ? NE_NONE : lw->y));
	return rescale ? lower_rescale(lw, n) : 0;
}
