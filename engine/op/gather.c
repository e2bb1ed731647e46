/* SPDX-License-Identifier: MIT */
/*
 * Gather and scatter by computed indices (constant ones become picks). Indices come from a tensor,
 * so any value may stand there while the step runs: negative ones count from the end, and what is
 * still out of range is clamped to it.
 */
#include "engine/op/elem.h"
#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <string.h>

static int check_index(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err)
{
	const struct ne_tensor *x = ne_node_in(g, n, 0), *index = ne_node_in(g, n, 1);

	if (x->dtype != ne_node_out(g, n)->dtype)
		return ne_node_fail(err, EINVAL, n, "types %s to %s; must be the same",
				    ne_dtype_name(x->dtype),
				    ne_dtype_name(ne_node_out(g, n)->dtype));
	if (index->dtype != NE_S32 && index->dtype != NE_S64)
		return ne_node_fail(err, EINVAL, n, "indices of type %s; s32 or s64",
				    ne_dtype_name(index->dtype));
	return ne_check_uncut(g, n, err);
}

static int check_axis(const struct ne_node *n, const struct ne_shape *x, struct ne_error *err)
{
	if (n->attr.axis < 0 || n->attr.axis >= (int32_t)x->rank)
		return ne_node_fail(err, EINVAL, n, "no axis %d in rank %u", n->attr.axis, x->rank);
	return 0;
}

/* Index @i of @index, in an axis of @length. */
static size_t index_at(const void *index, bool wide, size_t i, size_t length)
{
	int64_t v = wide ? ((const int64_t *)index)[i] : ((const int32_t *)index)[i];

	v += v < 0 ? (int64_t)length : 0;
	return (size_t)NE_CLAMP(v, 0, (int64_t)length - 1);
}

static size_t product(const struct ne_shape *s, uint32_t first, uint32_t end)
{
	size_t n = 1;

	for (uint32_t i = first; i < end; i++)
		n *= (size_t)s->dim[i];
	return n;
}

static int check_scales(const struct ne_lower *lw, const struct ne_node *n, uint32_t k)
{
	struct ne_elem x = ne_elem_of(lw, n->in[k]), y = ne_elem_of(lw, lw->y);

	if (ne_quant_equal(x.q, y.q) || !(x.q.scale > 0) || !(y.q.scale > 0))
		return 0;
	return ne_node_fail(lw->err, EINVAL, n, "input %u and the output have different scales", k);
}

/* ---- gather: slices of an axis ---- */

NE_OP_CHECK(gather)
{
	return check_index(g, n, err);
}

NE_OP_INFER(gather)
{
	uint32_t axis = (uint32_t)n->attr.axis, rank = 0;

	(void)g;
	NE_RETURN_IF(check_axis(n, &in[0], err));
	if (in[0].rank - 1 + in[1].rank > NE_MAX_RANK)
		return ne_node_fail(err, EINVAL, n, "the result would be of rank %u",
				    in[0].rank - 1 + in[1].rank);
	for (uint32_t i = 0; i < axis; i++)
		ret->dim[rank++] = in[0].dim[i];
	for (uint32_t i = 0; i < in[1].rank; i++)
		ret->dim[rank++] = in[1].dim[i];
	for (uint32_t i = axis + 1; i < in[0].rank; i++)
		ret->dim[rank++] = in[0].dim[i];
	ret->rank = rank;
	return 0;
}

struct gather_args {
	struct ne_ref x, index, updates, y;
	struct ne_elem elem;
	bool wide; /* s64 indices */
	int32_t kind;
	size_t run; /* bytes copied at once */
	size_t length, count, inner, outer;
	/* elements form: the walk over the indices' shape */
	uint32_t rank, axis;
	uint32_t dim[NE_MAX_RANK];
	size_t stride[NE_MAX_RANK]; /* of x, elements */
	/* nd form: a tuple of `depth` indices */
	uint32_t depth;
	size_t x_bytes;
};

/* Units are slices: outer iterations times indices. */
static void run_gather(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		       uint32_t n)
{
	const struct gather_args *c = s->args;
	const void *index = ne_at(f, c->index);
	char *y = (char *)ne_at(f, c->y) + first * c->run;

	for (uint32_t u = first; u < first + n; u++, y += c->run) {
		size_t at = index_at(index, c->wide, u % c->count, c->length);

		memcpy(y, (const char *)ne_at(f, c->x) + (u / c->count * c->length + at) * c->run,
		       c->run);
	}
}

NE_OP_LOWER(gather)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]];
	uint32_t axis = (uint32_t)n->attr.axis;
	struct gather_args c = {.x = lw->ref[n->in[0]],
				.index = lw->ref[n->in[1]],
				.y = lw->ref[lw->y],
				.wide = lw->g->tensor[n->in[1]].dtype == NE_S64,
				.length = (size_t)xs->dim[axis],
				.count = ne_shape_elements(&lw->shape[n->in[1]])};

	NE_RETURN_IF(check_scales(lw, n, 0));
	c.run = product(xs, axis + 1, xs->rank) * ne_dtype_size(lw->g->tensor[lw->y].dtype);
	return ne_lower_step(lw, run_gather, &c, sizeof(c), product(xs, 0, axis) * c.count, 16,
			     product(xs, 0, axis) * c.count * c.run, lw->y);
}

/* ---- one index an element: gather and scatter of elements ---- */

static int check_elements(const struct ne_node *n, const struct ne_shape *x,
			  const struct ne_shape *index, struct ne_error *err)
{
	NE_RETURN_IF(check_axis(n, x, err));
	if (x->rank != index->rank)
		return ne_node_fail(err, EINVAL, n, "indices of rank %u for rank %u", index->rank,
				    x->rank);
	for (uint32_t i = 0; i < x->rank; i++)
		if ((int32_t)i != n->attr.axis && index->dim[i] > x->dim[i])
			return ne_node_fail(err, EINVAL, n, "axis %u: %d indices for length %d", i,
					    index->dim[i], x->dim[i]);
	return 0;
}

NE_OP_CHECK(gather_elements)
{
	return check_index(g, n, err);
}

NE_OP_INFER(gather_elements)
{
	(void)g;
	NE_RETURN_IF(check_elements(n, &in[0], &in[1], err));
	*ret = in[1];
	return 0;
}

/* Element of x that element @u of the indices names. */
static size_t named_element(const struct gather_args *c, const void *index, uint32_t u)
{
	size_t at = 0;
	uint32_t rest = u;

	for (uint32_t d = c->rank; d-- > 0; rest /= c->dim[d])
		at += (d == c->axis ? index_at(index, c->wide, u, c->length) : rest % c->dim[d]) *
		      c->stride[d];
	return at;
}

static void run_gather_elements(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
				uint32_t n)
{
	const struct gather_args *c = s->args;
	const void *index = ne_at(f, c->index);
	char *y = (char *)ne_at(f, c->y) + first * c->run;

	for (uint32_t u = first; u < first + n; u++, y += c->run)
		memcpy(y, (const char *)ne_at(f, c->x) + named_element(c, index, u) * c->run,
		       c->run);
}

static void elements_args(const struct ne_lower *lw, const struct ne_node *n, struct gather_args *c)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]], *is = &lw->shape[n->in[1]];

	c->x = lw->ref[n->in[0]];
	c->index = lw->ref[n->in[1]];
	c->y = lw->ref[lw->y];
	c->elem = ne_elem_of(lw, lw->y);
	c->kind = n->attr.kind;
	c->wide = lw->g->tensor[n->in[1]].dtype == NE_S64;
	c->run = ne_dtype_size(c->elem.type);
	c->rank = xs->rank;
	c->axis = (uint32_t)n->attr.axis;
	c->count = ne_shape_elements(is);
	c->x_bytes = ne_shape_elements(xs) * c->run;
	if (c->axis < xs->rank)
		c->length = (size_t)xs->dim[c->axis];
	for (uint32_t i = 0; i < xs->rank; i++) {
		c->dim[i] = i < is->rank ? (uint32_t)is->dim[i] : 1;
		c->stride[i] = product(xs, i + 1, xs->rank);
	}
}

NE_OP_LOWER(gather_elements)
{
	struct gather_args c = {.run = 0};

	NE_RETURN_IF(check_scales(lw, n, 0));
	elements_args(lw, n, &c);
	return ne_lower_step(lw, run_gather_elements, &c, sizeof(c), c.count, 1024, c.count * 8,
			     lw->y);
}

/* ---- scatter ---- */

/* What a scattered value does with the one that is there: attr.kind. */
enum { PUT, ADD, MULTIPLY, MOST, LEAST, SCATTER_KINDS };

static int check_scatter(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err)
{
	NE_RETURN_IF(check_index(g, n, err));
	if (ne_node_in(g, n, 2)->dtype != ne_node_in(g, n, 0)->dtype)
		return ne_node_fail(err, EINVAL, n, "updates of type %s for %s",
				    ne_dtype_name(ne_node_in(g, n, 2)->dtype),
				    ne_dtype_name(ne_node_in(g, n, 0)->dtype));
	if (n->attr.kind < 0 || n->attr.kind >= SCATTER_KINDS ||
	    (n->attr.kind != PUT && ne_node_in(g, n, 0)->dtype == NE_BOOL))
		return ne_node_fail(err, EINVAL, n, "no reduction %d", n->attr.kind);
	return 0;
}

NE_OP_CHECK(scatter_elements)
{
	return check_scatter(g, n, err);
}

NE_OP_INFER(scatter_elements)
{
	(void)g;
	NE_RETURN_IF(check_elements(n, &in[0], &in[1], err));
	if (!ne_shape_equal(&in[1], &in[2]))
		return ne_node_fail(err, EINVAL, n, "updates are not shaped as the indices");
	*ret = in[0];
	return 0;
}

static void put(const struct gather_args *c, char *y, const char *update)
{
	if (c->kind == PUT) {
		memcpy(y, update, c->run);
	} else if (ne_elem_is_real(&c->elem)) {
		float a, b;

		ne_elem_load_f32(&a, y, 1, &c->elem);
		ne_elem_load_f32(&b, update, 1, &c->elem);
		a = c->kind == ADD        ? a + b
		    : c->kind == MULTIPLY ? a * b
		    : c->kind == MOST     ? NE_MAX(a, b)
					  : NE_MIN(a, b);
		ne_elem_store_f32(y, &a, 1, &c->elem);
	} else {
		int64_t a, b;

		ne_elem_load_s64(&a, y, 1, &c->elem);
		ne_elem_load_s64(&b, update, 1, &c->elem);
		a = c->kind == ADD        ? (int64_t)((uint64_t)a + (uint64_t)b)
		    : c->kind == MULTIPLY ? (int64_t)((uint64_t)a * (uint64_t)b)
		    : c->kind == MOST     ? NE_MAX(a, b)
					  : NE_MIN(a, b);
		ne_elem_store_s64(y, &a, 1, &c->elem);
	}
}

/* One unit: later updates see what earlier ones did to the same place. */
static void run_scatter_elements(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
				 uint32_t n)
{
	const struct gather_args *c = s->args;
	const void *index = ne_at(f, c->index);
	const char *update = ne_at(f, c->updates);
	char *y = ne_at(f, c->y);

	(void)first;
	(void)n;
	memcpy(y, ne_at(f, c->x), c->x_bytes);
	for (uint32_t u = 0; u < c->count; u++)
		put(c, y + named_element(c, index, u) * c->run, update + u * c->run);
}

NE_OP_LOWER(scatter_elements)
{
	struct gather_args c = {.run = 0};

	NE_RETURN_IF(check_scales(lw, n, 0));
	NE_RETURN_IF(check_scales(lw, n, 2));
	elements_args(lw, n, &c);
	c.updates = lw->ref[n->in[2]];
	return ne_lower_step(lw, run_scatter_elements, &c, sizeof(c), 1, 1, c.x_bytes + c.count * 8,
			     lw->y);
}

/* ---- tuples of indices; attr.axis leading axes are batches ---- */

/* The last axis of the indices holds the tuples; @ret: the axes before it, then what a tuple names. */
static int nd_shape(const struct ne_node *n, const struct ne_shape *x, const struct ne_shape *index,
		    struct ne_shape *ret, struct ne_error *err)
{
	uint32_t batch = (uint32_t)n->attr.axis, depth, rank = 0;

	if (!index->rank || n->attr.axis < 0 || batch >= index->rank || batch >= x->rank)
		return ne_node_fail(err, EINVAL, n, "%d batch axes, indices of rank %u",
				    n->attr.axis, index->rank);
	depth = (uint32_t)index->dim[index->rank - 1];
	if (depth > x->rank - batch || index->rank - 1 + x->rank - batch - depth > NE_MAX_RANK)
		return ne_node_fail(err, EINVAL, n, "tuples of %u indices for rank %u", depth,
				    x->rank);
	for (uint32_t i = 0; i < batch; i++)
		if (x->dim[i] != index->dim[i])
			return ne_node_fail(err, EINVAL, n, "batch axis %u: %d and %d", i,
					    x->dim[i], index->dim[i]);
	for (uint32_t i = 0; i + 1 < index->rank; i++)
		ret->dim[rank++] = index->dim[i];
	for (uint32_t i = batch + depth; i < x->rank; i++)
		ret->dim[rank++] = x->dim[i];
	ret->rank = rank;
	return 0;
}

NE_OP_CHECK(gather_nd)
{
	return check_index(g, n, err);
}

NE_OP_INFER(gather_nd)
{
	(void)g;
	return nd_shape(n, &in[0], &in[1], ret, err);
}

NE_OP_CHECK(scatter_nd)
{
	if (n->attr.axis)
		return ne_node_fail(err, EINVAL, n, "batch axes");
	return check_scatter(g, n, err);
}

NE_OP_INFER(scatter_nd)
{
	struct ne_shape want = {0};

	(void)g;
	NE_RETURN_IF(nd_shape(n, &in[0], &in[1], &want, err));
	if (!ne_shape_equal(&want, &in[2]))
		return ne_node_fail(err, EINVAL, n, "updates are not shaped as what they replace");
	*ret = in[0];
	return 0;
}

/* First element of x that tuple @u names. */
static size_t named_slice(const struct gather_args *c, const void *index, size_t u)
{
	size_t at = u / c->inner * c->outer;

	for (uint32_t d = 0; d < c->depth; d++)
		at += index_at(index, c->wide, u * c->depth + d, c->dim[d]) * c->stride[d];
	return at;
}

static void nd_args(const struct ne_lower *lw, const struct ne_node *n, struct gather_args *c)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]], *is = &lw->shape[n->in[1]];
	uint32_t batch = (uint32_t)n->attr.axis;

	elements_args(lw, n, c);
	c->depth = (uint32_t)is->dim[is->rank - 1];
	c->count /= c->depth;
	c->inner = c->count / product(xs, 0, batch); /* tuples of a batch */
	c->outer = product(xs, batch, xs->rank);     /* elements of a batch of x */
	for (uint32_t d = 0; d < c->depth; d++) {
		c->dim[d] = (uint32_t)xs->dim[batch + d];
		c->stride[d] = product(xs, batch + d + 1, xs->rank);
	}
	c->length = product(xs, batch + c->depth, xs->rank); /* elements that a tuple names */
}

static void run_gather_nd(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			  uint32_t n)
{
	const struct gather_args *c = s->args;
	size_t bytes = c->length * c->run;
	char *y = (char *)ne_at(f, c->y) + first * bytes;

	for (uint32_t u = first; u < first + n; u++, y += bytes)
		memcpy(y,
		       (const char *)ne_at(f, c->x) +
			       named_slice(c, ne_at(f, c->index), u) * c->run,
		       bytes);
}

NE_OP_LOWER(gather_nd)
{
	struct gather_args c = {.run = 0};

	NE_RETURN_IF(check_scales(lw, n, 0));
	nd_args(lw, n, &c);
	return ne_lower_step(lw, run_gather_nd, &c, sizeof(c), c.count, 16,
			     c.count * c.length * c.run, lw->y);
}

static void run_scatter_nd(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			   uint32_t n)
{
	const struct gather_args *c = s->args;
	const char *update = ne_at(f, c->updates);
	char *y = ne_at(f, c->y);

	(void)first;
	(void)n;
	memcpy(y, ne_at(f, c->x), c->x_bytes);
	for (size_t u = 0; u < c->count; u++) {
		size_t at = named_slice(c, ne_at(f, c->index), u);

		for (size_t i = 0; i < c->length; i++, update += c->run)
			put(c, y + (at + i) * c->run, update);
	}
}

NE_OP_LOWER(scatter_nd)
{
	struct gather_args c = {.run = 0};

	NE_RETURN_IF(check_scales(lw, n, 0));
	NE_RETURN_IF(check_scales(lw, n, 2));
	nd_args(lw, n, &c);
	c.updates = lw->ref[n->in[2]];
	return ne_lower_step(lw, run_scatter_nd, &c, sizeof(c), 1, 1,
			     c.x_bytes + c.count * c.length * 8, lw->y);
}
