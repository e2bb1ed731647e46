/* SPDX-License-Identifier: MIT */
/*
 * Finds x * relu6(x + 3) / 6 in the forms in which exporters write it and makes it one node:
 *   mul(x, mul(relu6(add(x, 3)), 1/6))   mul(mul(x, relu6(add(x, 3))), 1/6)
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <math.h>

/* The other input of node @n if one is a constant near @value; NE_NONE otherwise. */
static uint32_t other_of(const struct edit *e, uint32_t node, float value)
{
	const struct ne_node *n = &e->g->node[node];

	for (uint32_t k = 0; k < 2 && n->n_in == 2; k++) {
		const struct ne_tensor *t = &e->g->tensor[n->in[k]];

		if (t->data && t->dtype == NE_F32 && ne_shape_elements(&t->shape) == 1 &&
		    fabsf(*(const float *)t->data - value) <= 1e-5f)
			return n->in[1 - k];
	}
	return NE_NONE;
}

/* The x of relu6(x + 3) written to @t, or NE_NONE. */
static uint32_t relu6_of_plus_3(const struct edit *e, uint32_t t)
{
	uint32_t relu = edit_writer(e, t, NE_OP_RELU6), add;

	if (relu != NE_NONE) {
		add = edit_writer(e, e->g->node[relu].in[0], NE_OP_ADD);
		return add == NE_NONE ? NE_NONE : other_of(e, add, 3.0f);
	}
	add = edit_writer(e, t, NE_OP_ADD); /* fused earlier */
	if (add == NE_NONE || e->g->node[add].attr.act != NE_ACT_RELU6)
		return NE_NONE;
	return other_of(e, add, 3.0f);
}

/* x of mul(a, b) where @gate(b) leads to a, or the other way round. */
static uint32_t gated(const struct edit *e, uint32_t mul, bool sixth)
{
	const struct ne_node *n = &e->g->node[mul];

	for (uint32_t k = 0; k < 2 && n->n_in == 2; k++) {
		uint32_t t = n->in[k];

		if (sixth) {
			uint32_t w = edit_writer(e, t, NE_OP_MUL);

			t = w == NE_NONE ? NE_NONE : other_of(e, w, 1.0f / 6.0f);
		}
		if (t != NE_NONE && relu6_of_plus_3(e, t) == n->in[1 - k])
			return n->in[1 - k];
	}
	return NE_NONE;
}

static uint32_t hardswish_of(const struct edit *e, uint32_t mul)
{
	uint32_t x = gated(e, mul, true), inner;

	if (x != NE_NONE)
		return x;
	inner = edit_writer(e, other_of(e, mul, 1.0f / 6.0f), NE_OP_MUL);
	return inner == NE_NONE ? NE_NONE : gated(e, inner, false);
}

int rewrite_hardswish(struct edit *e)
{
	struct ne_graph *g = e->g;
	int changes = 0;

	for (uint32_t i = 0; i < g->n_node; i++) {
		uint32_t x;

		if (g->node[i].op != NE_OP_MUL || g->node[i].attr.act ||
		    e->uses[g->node[i].out[0]] == 0)
			continue;
		x = hardswish_of(e, i);
		if (x == NE_NONE ||
		    !edit_same_shape(&g->tensor[x].shape, &g->tensor[g->node[i].out[0]].shape))
			continue;
		edit_set_input(e, i, 0, x);
		edit_set_input(e, i, 1, NE_NONE);
		g->node[i].n_in = 1;
		g->node[i].op = NE_OP_HARDSWISH;
		changes++;
	}
	return changes;
}
