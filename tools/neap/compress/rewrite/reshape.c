/* SPDX-License-Identifier: MIT */
/*
 * Joins reshapes that follow each other, and moves a reshape behind an element-wise node, so that
 * the latter meets the convolution or dense node that it can be fused with.
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

static int move_behind(struct edit *e, uint32_t node, uint32_t reshape)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t x = e->g->node[reshape].in[0], y = e->g->node[node].out[0];
	int id = edit_add_tensor(e, y, &e->g->tensor[x].shape);

	if (id < 0)
		return id;
	edit_set_input(e, node, 0, x);
	edit_set_output(e, node, (uint32_t)id);
	id = edit_add_node(e, NE_OP_RESHAPE, (uint32_t)id, y, &attr);
	return id < 0 ? id : 1;
}

int rewrite_reshape(struct edit *e)
{
	struct ne_graph *g = e->g;
	uint32_t n_node = g->n_node;
	int changes = 0;

	for (uint32_t i = 0; i < n_node; i++) {
		enum ne_op op = g->node[i].op;
		uint32_t w;

		/* dequantise nodes come the other way: see quantised.c */
		if ((op != NE_OP_RESHAPE && !edit_is_unary(op)) || op == NE_OP_DEQUANTISE)
			continue;
		w = edit_writer(e, g->node[i].in[0], NE_OP_RESHAPE);
		if (w == NE_NONE || e->uses[g->node[i].out[0]] == 0)
			continue;
		if (op == NE_OP_RESHAPE &&
		    edit_same_values(e, g->node[i].in[0], g->node[w].in[0])) {
			edit_set_input(e, i, 0, g->node[w].in[0]);
			changes++;
		} else if (op != NE_OP_RESHAPE && !edit_is_const(e, g->node[w].in[0]) &&
			   edit_same_values(e, g->node[i].in[0], g->node[w].in[0])) {
			int r = move_behind(e, i, w);

			if (r < 0)
				return r;
			changes += r;
		}
	}
	return changes;
}
