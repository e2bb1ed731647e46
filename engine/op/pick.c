/* SPDX-License-Identifier: MIT */
/*
 * Slice and pick: each axis of the output names the positions of the input that it takes, by first,
 * count and step or as a list. Both become a table of offsets per axis; runs of the last axis that
 * lie together are copied at once. What a pick leaves open (-1) is a constant value.
 */
#include "engine/op/elem.h"
#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int check_types(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err)
{
	if (ne_node_in(g, n, 0)->dtype != ne_node_out(g, n)->dtype)
		return ne_node_fail(err, EINVAL, n, "types %s to %s; must be the same",
				    ne_dtype_name(ne_node_in(g, n, 0)->dtype),
				    ne_dtype_name(ne_node_out(g, n)->dtype));
	return ne_check_uncut(g, n, err);
}

/* The last axis as it is: it may be cut. */
static bool keeps_channels(const struct ne_graph *g, const struct ne_node *n)
{
	const struct ne_slice *s = &n->attr.slice;
	uint32_t last = ne_node_in(g, n, 0)->shape.rank - 1;

	return last < NE_MAX_RANK && s->begin[last] == 0 && s->step[last] == 1 &&
	       s->size[last] == ne_node_in(g, n, 0)->shape.dim[last];
}

NE_OP_CHECK(slice)
{
	if (keeps_channels(g, n) && ne_node_in(g, n, 0)->dtype == ne_node_out(g, n)->dtype)
		return ne_check_same_group(g, n, err);
	return check_types(g, n, err);
}

NE_OP_INFER(slice)
{
	const struct ne_slice *s = &n->attr.slice;

	ret->rank = in[0].rank;
	for (uint32_t i = 0; i < in[0].rank; i++) {
		int64_t first = s->begin[i], size = s->size[i], step = s->step[i];
		int64_t dim = in[0].dim[i], last;

		if (i + 1 == in[0].rank && keeps_channels(g, n))
			size = dim; /* at this level */
		last = first + (size - 1) * step;
		if (step == 0 || size < 1 || first < 0 || first >= dim || last < 0 || last >= dim)
			return ne_node_fail(err, EINVAL, n,
					    "axis %u of length %lld: %lld elements from %lld on by "
					    "steps of %lld",
					    i, (long long)dim, (long long)size, (long long)first,
					    (long long)step);
		ret->dim[i] = (int32_t)size;
	}
	return 0;
}

NE_OP_CHECK(pick)
{
	NE_RETURN_IF(check_types(g, n, err));
	if (!isfinite(n->attr.value))
		return ne_node_fail(err, EINVAL, n, "the value is not a number");
	return 0;
}

NE_OP_INFER(pick)
{
	*ret = in[0];
	for (uint32_t i = 0; i + 1 < n->n_in; i++) {
		const struct ne_tensor *t = ne_node_in(g, n, i + 1);
		const int32_t *at;

		if (!t)
			continue;
		at = t->data;
		if (i >= in[0].rank || !at || t->dtype != NE_S32 || t->shape.rank != 1)
			return ne_node_fail(err, EINVAL, n,
					    "positions of axis %u must be a constant s32 vector; "
					    "the rank is %u",
					    i, in[0].rank);
		for (int32_t k = 0; k < t->shape.dim[0]; k++)
			if (at[k] < -1 || at[k] >= in[0].dim[i])
				return ne_node_fail(err, EINVAL, n, "axis %u: position %d of %d", i,
						    at[k], in[0].dim[i]);
		ret->dim[i] = t->shape.dim[0];
	}
	return 0;
}

/* ---- steps ---- */

struct pick_args {
	struct ne_ref x, y;
	uint32_t outer;                 /* axes but the last */
	uint32_t dim[NE_MAX_RANK];      /* of the output */
	const int32_t *at[NE_MAX_RANK]; /* element offsets from x of each place; -1 = the value */
	uint32_t run;                   /* elements of the last axis that lie together */
	size_t elem;
	uint8_t value[8];
};

static void fill(char *y, size_t n, const struct pick_args *c)
{
	for (size_t i = 0; i < n; i++)
		memcpy(y + i * c->elem, c->value, c->elem);
}

static void copy_row(const struct pick_args *c, char *y, const char *x)
{
	const int32_t *at = c->at[c->outer];

	for (uint32_t i = 0; i < c->dim[c->outer]; i += c->run) {
		if (at[i] < 0)
			fill(y + i * c->elem, c->run, c);
		else if (c->run == 1 && c->elem == 4)
			memcpy(y + i * 4, x + (size_t)at[i] * 4, 4);
		else
			memcpy(y + i * c->elem, x + (size_t)at[i] * c->elem, c->run * c->elem);
	}
}

/* Units are rows of the output along the last axis. */
static void run_pick(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct pick_args *c = s->args;
	size_t row = c->dim[c->outer] * c->elem;
	char *y = (char *)ne_at(f, c->y) + first * row;

	for (uint32_t u = first; u < first + n; u++, y += row) {
		bool inside = true;
		uint32_t rest = u;
		size_t from = 0;

		for (uint32_t d = c->outer; d-- > 0; rest /= c->dim[d]) {
			int32_t at = c->at[d][rest % c->dim[d]];

			inside = inside && at >= 0;
			from += (size_t)(at >= 0 ? at : 0);
		}
		if (inside)
			copy_row(c, y, (const char *)ne_at(f, c->x) + from * c->elem);
		else
			fill(y, c->dim[c->outer], c);
	}
}

static uint32_t greatest_divisor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t t = a % b;

		a = b;
		b = t;
	}
	return a;
}

/* The length that every run of neighbours along the axis is a multiple of. */
static uint32_t common_run(const int32_t *at, uint32_t n)
{
	uint32_t run = n, start = 0;

	for (uint32_t i = 1; i <= n; i++) {
		bool open = i < n && at[i] < 0 && at[i - 1] < 0;
		bool next = i < n && at[i - 1] >= 0 && at[i] == at[i - 1] + 1;

		if (open || next)
			continue;
		run = greatest_divisor(run, i - start);
		start = i;
	}
	return run;
}

/* Positions of each axis of the output in the input; @fill_in writes those of one axis. */
static int lower_positions(struct ne_lower *lw, const struct ne_node *n,
			   void (*fill_in)(const struct ne_lower *lw, const struct ne_node *n,
					   uint32_t axis, int32_t *ret))
{
	const struct ne_shape *xs = &lw->shape[n->in[0]], *ys = &lw->shape[lw->y];
	struct ne_elem e = ne_elem_of(lw, n->in[0]);
	struct pick_args c = {.x = lw->ref[n->in[0]], .y = lw->ref[lw->y], .dim = {1}, .run = 1};
	static const int32_t zero;
	size_t elements = ne_shape_elements(ys), stride = 1;

	c.elem = ne_dtype_size(e.type);
	ne_elem_constant(c.value, (double)n->attr.value, &e);
	c.outer = ys->rank ? ys->rank - 1 : 0;
	c.at[0] = &zero;
	for (uint32_t i = ys->rank; i-- > 0; stride *= (size_t)xs->dim[i]) {
		uint32_t length = (uint32_t)ys->dim[i];
		int32_t *at = malloc(length * sizeof(*at));

		if (!at)
			return ne_lower_no_memory(lw, n);
		fill_in(lw, n, i, at);
		if (i == c.outer)
			c.run = common_run(at, length);
		for (uint32_t k = 0; k < length; k++)
			at[k] = at[k] < 0 ? -1 : (int32_t)((size_t)at[k] * stride);
		c.dim[i] = length;
		c.at[i] = ne_lower_table(lw, at, length * sizeof(*at));
		free(at);
		if (!c.at[i])
			return ne_lower_no_memory(lw, n);
	}
	return ne_lower_step(lw, run_pick, &c, sizeof(c), elements / c.dim[c.outer], 16,
			     elements * c.elem, lw->y);
}

static void slice_positions(const struct ne_lower *lw, const struct ne_node *n, uint32_t axis,
			    int32_t *ret)
{
	const struct ne_slice *s = &n->attr.slice;

	for (int32_t k = 0; k < lw->shape[lw->y].dim[axis]; k++)
		ret[k] = s->begin[axis] + k * s->step[axis];
}

static void pick_positions(const struct ne_lower *lw, const struct ne_node *n, uint32_t axis,
			   int32_t *ret)
{
	const struct ne_tensor *t = ne_node_in(lw->g, n, axis + 1);
	int32_t length = lw->shape[lw->y].dim[axis];

	if (t)
		memcpy(ret, t->data, (size_t)length * sizeof(*ret));
	else
		for (int32_t k = 0; k < length; k++)
			ret[k] = k;
}

/* s8 and its kin keep their meaning: the same scale on both sides, or the bytes as they are. */
static int check_ranges(const struct ne_lower *lw, const struct ne_node *n)
{
	struct ne_elem x = ne_elem_of(lw, n->in[0]), y = ne_elem_of(lw, lw->y);

	if (ne_quant_equal(x.q, y.q) || !(x.q.scale > 0) || !(y.q.scale > 0))
		return 0;
	return ne_node_fail(lw->err, EINVAL, n, "input and output have different scales");
}

/* ---- rows that lie together ---- */

struct block_args {
	struct ne_ref x, y;
	size_t offset; /* bytes */
};

/* Units are bytes. */
static void run_block(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct block_args *c = s->args;

	memcpy((char *)ne_at(f, c->y) + first, (const char *)ne_at(f, c->x) + c->offset + first, n);
}

/* A slice of the first axis that is longer than 1, the others whole: one copy. False: it is none. */
static bool is_block(const struct ne_lower *lw, const struct ne_node *n, size_t *ret_offset)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]], *ys = &lw->shape[lw->y];
	const struct ne_slice *s = &n->attr.slice;
	uint32_t axis = 0;
	size_t inner = ne_dtype_size(lw->g->tensor[lw->y].dtype);

	while (axis + 1 < xs->rank && xs->dim[axis] == 1)
		axis++;
	if (!xs->rank || s->step[axis] != 1)
		return false;
	for (uint32_t i = axis + 1; i < xs->rank; i++) {
		if (ys->dim[i] != xs->dim[i] || s->begin[i] || s->step[i] != 1)
			return false;
		inner *= (size_t)xs->dim[i];
	}
	*ret_offset = (size_t)s->begin[axis] * inner;
	return true;
}

NE_OP_LOWER(slice)
{
	struct block_args b = {.x = lw->ref[n->in[0]], .y = lw->ref[lw->y]};
	size_t bytes =
		ne_shape_elements(&lw->shape[lw->y]) * ne_dtype_size(lw->g->tensor[lw->y].dtype);

	NE_RETURN_IF(check_ranges(lw, n));
	if (bytes <= UINT32_MAX && is_block(lw, n, &b.offset))
		return ne_lower_step(lw, run_block, &b, sizeof(b), bytes, 16384, bytes, lw->y);
	return lower_positions(lw, n, slice_positions);
}

NE_OP_LOWER(pick)
{
	NE_RETURN_IF(check_ranges(lw, n));
	return lower_positions(lw, n, pick_positions);
}
