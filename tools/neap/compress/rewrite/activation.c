/* SPDX-License-Identifier: MIT */
/* Fuses ReLU and ReLU6 into the node before them (attr.act). */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

static bool can_activate(enum ne_op op)
{
	switch (op) {
	case NE_OP_CONV:
	case NE_OP_DWCONV:
	case NE_OP_DENSE:
	case NE_OP_ADD:
	case NE_OP_MAXPOOL:
	case NE_OP_AVGPOOL:
	case NE_OP_GLOBALPOOL:
		return true;
	default:
		return false;
	}
}

int rewrite_activation(struct edit *e)
{
	struct ne_graph *g = e->g;
	int changes = 0;

	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];
		struct ne_node *before;
		uint32_t x;

		if (n->op != NE_OP_RELU && n->op != NE_OP_RELU6)
			continue;
		x = n->in[0];
		if (e->producer[x] == NE_NONE || e->uses[x] != 1 || e->uses[n->out[0]] == 0)
			continue;
		before = &g->node[e->producer[x]];
		if (!can_activate(before->op) || before->attr.act != NE_ACT_NONE ||
		    !edit_same_values(e, x, n->out[0]))
			continue;
		if (!edit_replace(e, n->out[0], x))
			continue;
		before->attr.act = n->op == NE_OP_RELU ? NE_ACT_RELU : NE_ACT_RELU6;
		changes++;
	}
	return changes;
}
