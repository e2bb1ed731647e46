/* SPDX-License-Identifier: MIT */
/*
 * Removes what does nothing: reshapes to the same shape, transposes that keep every axis, pads by
 * zero, concats of one input; a transpose that only moves axes of length 1 becomes a reshape.
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/permute.h"
#include "tools/neap/compress/rewrite/rewrites.h"

static bool does_nothing(const struct edit *e, const struct ne_node *n)
{
	const struct ne_graph *g = e->g;
	const struct ne_shape *in = &g->tensor[n->in[0]].shape;
	const struct ne_shape *out = &g->tensor[n->out[0]].shape;

	if (!edit_same_values(e, n->in[0], n->out[0]))
		return false;
	switch (n->op) {
	case NE_OP_RESHAPE:
	case NE_OP_PAD:
		return edit_same_shape(in, out);
	case NE_OP_TRANSPOSE:
		return permute_is_identity(n->attr.perm, in->rank);
	case NE_OP_CONCAT:
		return n->n_in == 1;
	default:
		return false;
	}
}

int rewrite_identity(struct edit *e)
{
	struct ne_graph *g = e->g;
	int changes = 0;

	for (uint32_t i = 0; i < g->n_node; i++) {
		struct ne_node *n = &g->node[i];

		if (n->n_in < 1 || n->n_out != 1 || n->in[0] == NE_NONE || e->uses[n->out[0]] == 0)
			continue;
		if (does_nothing(e, n)) {
			changes += edit_replace(e, n->out[0], n->in[0]);
		} else if (n->op == NE_OP_TRANSPOSE &&
			   permute_is_free(&g->tensor[n->in[0]].shape, n->attr.perm)) {
			n->op = NE_OP_RESHAPE;
			changes++;
		}
	}
	return changes;
}
