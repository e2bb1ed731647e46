/* SPDX-License-Identifier: MIT */
/* Concatenation: runs of each input copied side by side; s8 inputs of another quantisation go
 * through a table on the way. Inputs that the plan had made in place need nothing. */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <stdlib.h>
#include <string.h>

NE_OP_CHECK(concat)
{
	const struct ne_tensor *y = ne_node_out(g, n);
	bool channels = n->attr.axis == (int32_t)y->shape.rank - 1;

	if (n->attr.axis < 0 || n->attr.axis >= (int32_t)y->shape.rank)
		return ne_node_fail(err, EINVAL, n, "no axis %d in rank %u", n->attr.axis,
				    y->shape.rank);
	for (uint32_t k = 0; k < n->n_in; k++) {
		const struct ne_tensor *t = ne_node_in(g, n, k);

		if (t->dtype != y->dtype || t->dtype == NE_F16)
			return ne_node_fail(err, EINVAL, n, "types must all be the same");
		if (channels && (t->group || y->group))
			return ne_node_fail(err, EINVAL, n,
					    "joins channels, so no input may be in a channel group "
					    "(input %u is)",
					    k);
		if (t->group != y->group)
			return ne_node_fail(err, EINVAL, n,
					    "input %u is in channel group %u, the output in %u", k,
					    t->group, y->group);
	}
	return 0;
}

NE_OP_INFER(concat)
{
	int64_t sum = 0;

	(void)g;
	if (n->attr.axis < 0 || n->attr.axis >= (int32_t)in[0].rank)
		return ne_node_fail(err, EINVAL, n, "no axis %d in rank %u", n->attr.axis,
				    in[0].rank);
	*ret = in[0];
	for (uint32_t k = 0; k < n->n_in; k++) {
		if (in[k].rank != in[0].rank)
			return ne_node_fail(err, EINVAL, n, "input %u is of another rank", k);
		for (uint32_t i = 0; i < in[0].rank; i++)
			if ((int32_t)i != n->attr.axis && in[k].dim[i] != in[0].dim[i])
				return ne_node_fail(err, EINVAL, n,
						    "input %u differs along axis %u: %d, not %d", k,
						    i, in[k].dim[i], in[0].dim[i]);
		sum += in[k].dim[n->attr.axis];
	}
	if (sum > NE_MAX_DIM)
		return ne_node_fail(err, EINVAL, n, "axis %d grows past %d", n->attr.axis,
				    NE_MAX_DIM);
	ret->dim[n->attr.axis] = (int32_t)sum;
	return 0;
}

struct part {
	struct ne_ref x;
	size_t bytes, at;    /* of a run, and where it goes in the output's */
	const int8_t *table; /* NULL: copied */
};

struct concat_args {
	struct ne_ref y;
	size_t run; /* bytes of the output per outer iteration */
	uint32_t n;
	const struct part *part;
	void (*lut)(int8_t *y, const int8_t *x, size_t n, const int8_t table[256]);
};

/* Units are outer iterations: the product of the axes before the joined one. */
static void run_concat(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		       uint32_t n)
{
	const struct concat_args *c = s->args;

	for (uint32_t k = 0; k < c->n; k++) {
		const struct part *p = &c->part[k];
		const char *x = (const char *)ne_at(f, p->x) + first * p->bytes;
		char *y = (char *)ne_at(f, c->y) + first * c->run + p->at;

		for (uint32_t i = 0; i < n; i++, x += p->bytes, y += c->run) {
			if (p->table)
				c->lut((int8_t *)y, (const int8_t *)x, p->bytes, p->table);
			else
				memcpy(y, x, p->bytes);
		}
	}
}

NE_OP_LOWER(concat)
{
	const struct ne_shape *ys = &lw->shape[lw->y];
	uint32_t axis = (uint32_t)n->attr.axis;
	size_t elem = ne_dtype_size(lw->g->tensor[lw->y].dtype), outer = 1, inner = elem, at = 0;
	size_t moved = 0;
	bool s8 = lw->g->tensor[lw->y].dtype == NE_S8;
	struct concat_args c = {.y = lw->ref[lw->y], .lut = lw->k->lut_s8};
	struct ne_quant qy = ne_lower_quant(lw, lw->y);
	struct part *part = ne_pool_alloc(lw->pool, n->n_in * sizeof(*part));

	if (!part)
		return ne_lower_no_memory(lw, n);
	for (uint32_t i = 0; i < axis; i++)
		outer *= (size_t)ys->dim[i];
	for (uint32_t i = axis + 1; i < ys->rank; i++)
		inner *= (size_t)ys->dim[i];
	for (uint32_t k = 0; k < n->n_in; k++) {
		struct ne_quant qx = ne_lower_quant(lw, n->in[k]);
		struct part *p = &part[c.n];
		int8_t table[256];

		*p = (struct part){.x = lw->ref[n->in[k]], .at = at};
		p->bytes = (size_t)lw->shape[n->in[k]].dim[axis] * inner;
		at += p->bytes;
		if (p->x.base == c.y.base && p->x.offset == c.y.offset + p->at)
			continue; /* it is there already */
		c.n++;
		moved += outer * p->bytes;
		if (ne_quant_equal(qx, qy))
			continue;
		if (!s8 || !(qx.scale > 0) || !(qy.scale > 0))
			return ne_node_fail(lw->err, EINVAL, n,
					    "input %u and the output have different scales", k);
		ne_rescale_table(table, qx, qy);
		p->table = ne_lower_table(lw, table, sizeof(table));
		if (!p->table)
			return ne_lower_no_memory(lw, n);
	}
	c.part = part;
	c.run = at;
	return ne_lower_step(lw, run_concat, &c, sizeof(c), outer, 64, moved, lw->y);
}
