/* SPDX-License-Identifier: MIT */
/*
 * Folds an addition of, or a multiplication by, a constant per channel into the bias or weights of
 * the convolution or dense node before it: matrix product and bias, scale layers.
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <stdlib.h>

/* Values of a constant of one element, or of @c on the last axis, spread to @c. NULL: it is not. */
static float *per_channel(const struct edit *e, uint32_t t, uint32_t rank, uint32_t c)
{
	const struct ne_tensor *k = &e->g->tensor[t];
	size_t n = ne_shape_elements(&k->shape);
	bool one = n == 1;
	float *v;

	if (k->dtype != NE_F32 || k->shape.rank > rank)
		return NULL;
	if (!one &&
	    (n != c || k->shape.rank == 0 || (uint32_t)k->shape.dim[k->shape.rank - 1] != c))
		return NULL;
	v = malloc(c * sizeof(*v));
	for (uint32_t i = 0; v && i < c; i++)
		v[i] = ((const float *)k->data)[one ? 0 : i];
	return v;
}

static bool foldable(const struct edit *e, uint32_t t)
{
	uint32_t w = e->producer[t];
	const struct ne_node *n;

	if (w == NE_NONE || e->uses[t] != 1)
		return false;
	n = &e->g->node[w];
	return edit_has_weights(n->op) && !n->attr.act && !n->attr.norm &&
	       edit_is_const(e, n->in[1]) && e->g->tensor[n->in[1]].dtype == NE_F32 &&
	       (n->n_in < 3 || n->in[2] == NE_NONE || edit_is_const(e, n->in[2]));
}

static int fold(struct edit *e, uint32_t node, uint32_t x, uint32_t k)
{
	const struct ne_node *n = &e->g->node[node];
	const struct ne_shape *shape = &e->g->tensor[x].shape;
	uint32_t c = (uint32_t)shape->dim[shape->rank - 1], y = n->out[0];
	bool mul = n->op == NE_OP_MUL;
	float *v;
	int r;

	if (n->attr.act || !edit_same_shape(shape, &e->g->tensor[y].shape) || edit_is_exit(e, x))
		return 0;
	v = per_channel(e, k, shape->rank, c);
	if (!v)
		return 0;
	r = edit_scale_weights(e, e->producer[x], mul ? v : NULL, mul ? NULL : v);
	free(v);
	if (r < 0)
		return r;
	return edit_replace(e, y, x);
}

int rewrite_affine(struct edit *e)
{
	struct ne_graph *g = e->g;
	uint32_t n_node = g->n_node;
	int changes = 0;

	for (uint32_t i = 0; i < n_node; i++) {
		const struct ne_node *n = &g->node[i];
		int r = 0;

		if ((n->op != NE_OP_ADD && n->op != NE_OP_MUL) || n->n_in != 2)
			continue;
		if (edit_is_const(e, n->in[1]) && foldable(e, n->in[0]))
			r = fold(e, i, n->in[0], n->in[1]);
		else if (edit_is_const(e, n->in[0]) && foldable(e, n->in[1]))
			r = fold(e, i, n->in[1], n->in[0]);
		if (r < 0)
			return r;
		changes += r;
	}
	return changes;
}
