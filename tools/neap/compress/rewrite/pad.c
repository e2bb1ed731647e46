/* SPDX-License-Identifier: MIT */
/* Fuses a zero pad of height and width into the window of the convolution that reads it. */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

/* Only H and W of [1,H,W,C], by values that are not negative. */
static bool is_spatial_zero_pad(const struct ne_graph *g, const struct ne_node *n)
{
	uint32_t rank = g->tensor[n->in[0]].shape.rank;

	if (rank != 4 || n->attr.value < 0 || n->attr.value > 0)
		return false;
	for (uint32_t i = 0; i < rank; i++) {
		int32_t begin = n->attr.pad[i], end = n->attr.pad[rank + i];

		if (begin < 0 || end < 0 || ((i == 0 || i == 3) && (begin || end)))
			return false;
	}
	return true;
}

int rewrite_pad(struct edit *e)
{
	struct ne_graph *g = e->g;
	int changes = 0;

	for (uint32_t i = 0; i < g->n_node; i++) {
		struct ne_node *n = &g->node[i];
		const struct ne_node *pad;
		uint32_t p;

		if (n->op != NE_OP_CONV && n->op != NE_OP_DWCONV)
			continue;
		p = edit_writer(e, n->in[0], NE_OP_PAD);
		if (p == NE_NONE || !is_spatial_zero_pad(g, &g->node[p]))
			continue;
		pad = &g->node[p];
		n->attr.window.pad_top += pad->attr.pad[1];
		n->attr.window.pad_left += pad->attr.pad[2];
		n->attr.window.pad_bottom += pad->attr.pad[5];
		n->attr.window.pad_right += pad->attr.pad[6];
		edit_set_input(e, i, 0, pad->in[0]);
		changes++;
	}
	return changes;
}
