/* SPDX-License-Identifier: MIT */
/* Along one axis: cumulative sums, and the k largest or smallest with their places. */
#include "engine/op/elem.h"
#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int check_axis(const struct ne_node *n, const struct ne_shape *x, struct ne_error *err)
{
	if (n->attr.axis < 0 || n->attr.axis >= (int32_t)x->rank)
		return ne_node_fail(err, EINVAL, n, "no axis %d in rank %u", n->attr.axis, x->rank);
	return 0;
}

/* Rows along the axis: units are rows, element i of unit u at row_at(u) + i * inner. */
struct rows {
	uint32_t length;
	size_t inner;
};

static struct rows rows_of(const struct ne_shape *x, uint32_t axis)
{
	struct rows r = {(uint32_t)x->dim[axis], 1};

	for (uint32_t i = axis + 1; i < x->rank; i++)
		r.inner *= (size_t)x->dim[i];
	return r;
}

static size_t row_at(const struct rows *r, uint32_t u, uint32_t length)
{
	return u / r->inner * length * r->inner + u % r->inner;
}

/* ---- cumulative sum ---- */

enum { EXCLUSIVE = 1, REVERSE = 2 };

NE_OP_CHECK(cumsum)
{
	enum ne_dtype x = ne_node_in(g, n, 0)->dtype;

	if (x != ne_node_out(g, n)->dtype || (x != NE_F32 && x != NE_S32 && x != NE_S64))
		return ne_node_fail(err, EINVAL, n, "types %s to %s; f32, s32 or s64, both alike",
				    ne_dtype_name(x), ne_dtype_name(ne_node_out(g, n)->dtype));
	if (n->attr.kind < 0 || n->attr.kind > (EXCLUSIVE | REVERSE))
		return ne_node_fail(err, EINVAL, n, "no form %d", n->attr.kind);
	return ne_check_uncut(g, n, err);
}

NE_OP_INFER(cumsum)
{
	(void)g;
	NE_RETURN_IF(check_axis(n, &in[0], err));
	*ret = in[0];
	return 0;
}

struct cumsum_args {
	struct ne_ref x, y;
	struct ne_elem elem;
	struct rows rows;
	int32_t form;
};

static void run_cumsum(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		       uint32_t n)
{
	const struct cumsum_args *c = s->args;
	size_t size = ne_dtype_size(c->elem.type);
	bool real = c->elem.type == NE_F32;

	for (uint32_t u = first; u < first + n; u++) {
		size_t at = row_at(&c->rows, u, c->rows.length);
		double sum = 0;
		int64_t total = 0;

		for (uint32_t k = 0; k < c->rows.length; k++) {
			uint32_t i = c->form & REVERSE ? c->rows.length - 1 - k : k;
			size_t e = (at + i * c->rows.inner) * size;
			const char *x = (const char *)ne_at(f, c->x) + e;
			char *y = (char *)ne_at(f, c->y) + e;
			int64_t v = 0;
			float r = 0, here;

			if (real)
				ne_elem_load_f32(&r, x, 1, &c->elem);
			else
				ne_elem_load_s64(&v, x, 1, &c->elem);
			if (!(c->form & EXCLUSIVE)) {
				sum += (double)r;
				total = (int64_t)((uint64_t)total + (uint64_t)v);
			}
			here = (float)sum;
			if (real)
				ne_elem_store_f32(y, &here, 1, &c->elem);
			else
				ne_elem_store_s64(y, &total, 1, &c->elem);
			if (c->form & EXCLUSIVE) {
				sum += (double)r;
				total = (int64_t)((uint64_t)total + (uint64_t)v);
			}
		}
	}
}

NE_OP_LOWER(cumsum)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]];
	struct cumsum_args c = {.x = lw->ref[n->in[0]],
				.y = lw->ref[lw->y],
				.elem = ne_elem_of(lw, n->in[0]),
				.rows = rows_of(xs, (uint32_t)n->attr.axis),
				.form = n->attr.kind};
	size_t elements = ne_shape_elements(xs);

	return ne_lower_step(lw, run_cumsum, &c, sizeof(c), elements / c.rows.length, 16,
			     elements * 8, lw->y);
}

/* ---- the k first in order: values, and optionally their places ---- */

NE_OP_CHECK(topk)
{
	enum ne_dtype x = ne_node_in(g, n, 0)->dtype;

	if (x != ne_node_out(g, n)->dtype || x == NE_F16 || x == NE_BOOL)
		return ne_node_fail(err, EINVAL, n, "types %s to %s; numbers, both alike",
				    ne_dtype_name(x), ne_dtype_name(ne_node_out(g, n)->dtype));
	if (n->n_out > 1 && g->tensor[n->out[1]].dtype != NE_S64)
		return ne_node_fail(err, EINVAL, n, "places are s64");
	if (n->attr.kind < 0 || n->attr.kind > 1)
		return ne_node_fail(err, EINVAL, n, "no order %d", n->attr.kind);
	return ne_check_uncut(g, n, err);
}

NE_OP_INFER(topk)
{
	int32_t k;

	(void)g;
	NE_RETURN_IF(check_axis(n, &in[0], err));
	k = n->attr.slice.size[n->attr.axis];
	if (k < 1 || k > in[0].dim[n->attr.axis])
		return ne_node_fail(err, EINVAL, n, "the first %d of %d", k,
				    in[0].dim[n->attr.axis]);
	for (uint32_t i = 0; i < n->n_out; i++) {
		ret[i] = in[0];
		ret[i].dim[n->attr.axis] = k;
	}
	return 0;
}

struct topk_args {
	struct ne_ref x, y, place;
	bool places, most;
	struct ne_elem elem;
	struct rows rows;
	uint32_t k;
};

/* A candidate; integers of 64 bits are not all numbers of a float. */
struct candidate {
	int64_t integer;
	float real;
	uint32_t at;
};

/* Whether @a stands before @b: larger (or smaller), then by place. NaN stands last. */
static bool stands_before(const struct topk_args *c, const struct candidate *a,
			  const struct candidate *b)
{
	bool less, more;

	if (ne_elem_is_real(&c->elem)) {
		if (isnan(a->real) != isnan(b->real))
			return isnan(b->real);
		less = a->real < b->real;
		more = a->real > b->real;
	} else {
		less = a->integer < b->integer;
		more = a->integer > b->integer;
	}
	if (less || more)
		return c->most ? more : less;
	return a->at < b->at;
}

/* Keeps the best k in @list as a heap whose root is the worst of them. */
static void sink(const struct topk_args *c, struct candidate *list, uint32_t n, uint32_t i)
{
	for (;;) {
		uint32_t worst = i;

		for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++)
			if (stands_before(c, &list[worst], &list[child]))
				worst = child;
		if (worst == i)
			return;
		struct candidate t = list[i];

		list[i] = list[worst];
		list[worst] = t;
		i = worst;
	}
}

static void select_row(const struct topk_args *c, const char *x, struct candidate *list)
{
	size_t size = ne_dtype_size(c->elem.type);

	for (uint32_t i = 0; i < c->rows.length; i++) {
		const char *p = x + i * c->rows.inner * size;
		struct candidate v = {.at = i};

		if (ne_elem_is_real(&c->elem))
			ne_elem_load_f32(&v.real, p, 1, &c->elem);
		else
			ne_elem_load_s64(&v.integer, p, 1, &c->elem);
		if (i < c->k) {
			list[i] = v;
			if (i + 1 == c->k)
				for (uint32_t j = c->k / 2; j-- > 0;)
					sink(c, list, c->k, j);
		} else if (stands_before(c, &v, &list[0])) {
			list[0] = v;
			sink(c, list, c->k, 0);
		}
	}
	/* the worst goes to the end, again and again */
	for (uint32_t n = c->k; n > 1; n--) {
		struct candidate t = list[0];

		list[0] = list[n - 1];
		list[n - 1] = t;
		sink(c, list, n - 1, 0);
	}
}

static void run_topk(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct topk_args *c = s->args;
	size_t size = ne_dtype_size(c->elem.type);
	struct candidate *list = f->scratch;

	for (uint32_t u = first; u < first + n; u++) {
		const char *x =
			(const char *)ne_at(f, c->x) + row_at(&c->rows, u, c->rows.length) * size;
		size_t at = row_at(&c->rows, u, c->k);

		select_row(c, x, list);
		for (uint32_t i = 0; i < c->k; i++) {
			size_t e = at + i * c->rows.inner;

			memcpy((char *)ne_at(f, c->y) + e * size,
			       x + list[i].at * c->rows.inner * size, size);
			if (c->places)
				((int64_t *)ne_at(f, c->place))[e] = list[i].at;
		}
	}
}

NE_OP_LOWER(topk)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]];
	uint32_t axis = (uint32_t)n->attr.axis;
	struct topk_args c = {.x = lw->ref[n->in[0]],
			      .y = lw->ref[lw->y],
			      .places = n->n_out > 1,
			      .most = n->attr.kind == 0,
			      .elem = ne_elem_of(lw, n->in[0]),
			      .rows = rows_of(xs, axis),
			      .k = (uint32_t)n->attr.slice.size[axis]};
	struct ne_quant qy = ne_elem_of(lw, lw->y).q;
	size_t elements = ne_shape_elements(xs);

	if (!ne_quant_equal(c.elem.q, qy) && c.elem.q.scale > 0 && qy.scale > 0)
		return ne_node_fail(lw->err, EINVAL, n, "input and output have different scales");
	if (c.places)
		c.place = lw->ref[n->out[1]];
	ne_lower_scratch(lw, c.k * sizeof(struct candidate));
	return ne_lower_step(lw, run_topk, &c, sizeof(c), elements / c.rows.length, 1,
			     elements * 16, lw->y);
}
