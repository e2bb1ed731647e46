/* SPDX-License-Identifier: MIT */
/*
 * What the operator before does in passing: activations that alone read what it writes, and sums of
 * residual blocks. Changes the planner's entries alone; which nodes join depends on the graph, the
 * level's shapes and the kernels, and the values are the same as those of the steps one by one.
 */
#include "engine/plan/planner.h"
#include "engine/op/op.h"

#include <string.h>

static void count_users(struct planner *p)
{
	const struct ne_graph *g = p->g;

	for (uint32_t t = 0; t < g->n_tensor; t++)
		p->user[t] = NE_NONE;
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_in; k++)
			if (g->node[i].in[k] != NE_NONE) {
				p->users[g->node[i].in[k]]++;
				p->user[g->node[i].in[k]] = i;
			}
	for (uint32_t e = 0; e < g->n_exit; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++)
			p->users[g->exit[e].out[k]]++;
	for (uint32_t i = 0; i < g->n_state; i++)
		p->users[g->state[i].out]++;
}

/*
 * The relu or relu6 that alone reads @node's output, and so becomes its activation; or NE_NONE.
 * This depends on the graph alone: every level does the same arithmetic. The two are always in one
 * segment, since whatever needs the one needs the other.
 */
static uint32_t fused_relu(const struct planner *p, uint32_t node)
{
	const struct ne_node *n = &p->g->node[node];
	uint32_t r = p->user[n->out[0]];

	if (!ne_op_info(n->op)->fuses_act || n->attr.act != NE_ACT_NONE ||
	    p->users[n->out[0]] != 1 || r == NE_NONE)
		return NE_NONE;
	return p->g->node[r].op == NE_OP_RELU || p->g->node[r].op == NE_OP_RELU6 ? r : NE_NONE;
}

/* The only reader of tensor @t, if it is of operator @op and kind @kind and gives f32; or NE_NONE. */
static uint32_t only_reader(const struct planner *p, uint32_t t, enum ne_op op, int32_t kind)
{
	uint32_t r = p->users[t] == 1 ? p->user[t] : NE_NONE;
	const struct ne_node *n;

	if (r == NE_NONE)
		return NE_NONE;
	n = &p->g->node[r];
	return n->op == op && n->attr.kind == kind && p->g->tensor[n->out[0]].dtype == NE_F32
		       ? r
		       : NE_NONE;
}

/* The constant that the maximum @n compares tensor @t with; NULL where it is no single f32. */
static const float *floor_of(const struct planner *p, const struct ne_node *n, uint32_t t)
{
	const struct ne_tensor *c = &p->g->tensor[n->in[0] == t ? n->in[1] : n->in[0]];

	return c->data && c->dtype == NE_F32 && ne_shape_elements(&c->shape) == 1 &&
			       ne_shape_equal(&p->g->tensor[t].shape, &ne_node_out(p->g, n)->shape)
		       ? c->data
		       : NULL;
}

/*
 * A leaky relu, and a maximum with a constant behind it, that alone read what a f32 convolution or
 * dense layer writes. @absorbed: [n_node] what other entries do.
 */
static void fuse_leaky(struct planner *p, struct entry *e, uint8_t *absorbed)
{
	const struct ne_node *n = &p->g->node[e->node];
	const float *floor;
	uint32_t r;

	if ((n->op != NE_OP_CONV && n->op != NE_OP_DENSE) || e->act != NE_ACT_NONE ||
	    p->g->tensor[e->y].dtype != NE_F32)
		return;
	r = only_reader(p, e->y, NE_OP_UNARY, NE_UNARY_LEAKYRELU);
	if (r == NE_NONE || !(p->g->node[r].attr.value > 0 && p->g->node[r].attr.value < 1))
		return;
	e->slope = p->g->node[r].attr.value;
	e->y = p->g->node[r].out[0];
	absorbed[r] = 1;
	r = only_reader(p, e->y, NE_OP_BINARY, NE_BINARY_MAX);
	floor = r == NE_NONE ? NULL : floor_of(p, &p->g->node[r], e->y);
	if (!floor)
		return;
	e->floor = *floor;
	e->y = p->g->node[r].out[0];
	absorbed[r] = 1;
}

/*
 * A sum of two s8 tensors of one shape is done by the convolution that makes the later one, if
 * nothing else reads that: by then the other one is there. The two are in one segment, as above.
 * @maker: [n_tensor] the entry that makes it, or NE_NONE.
 */
static void fuse_add(struct planner *p, struct entry *e, uint32_t *maker)
{
	const struct ne_node *n = &p->g->node[e->node];
	const uint32_t a = n->in[0], b = n->in[1];
	const uint32_t later = maker[a] == NE_NONE || (maker[b] != NE_NONE && maker[b] > maker[a])
				       ? maker[b]
				       : maker[a];
	struct entry *conv;

	if (later == NE_NONE || p->g->tensor[e->y].dtype != NE_S8)
		return;
	conv = &p->entry[later];
	if (p->g->node[conv->node].op != NE_OP_CONV || conv->add.n || p->users[conv->y] != 1 ||
	    (conv->y != a && conv->y != b) || p->g->tensor[a].data || p->g->tensor[b].data ||
	    !ne_shape_equal(&p->shape[a], &p->shape[b]) ||
	    !ne_conv_takes_add(p->lw, &p->g->node[conv->node]))
		return;
	conv->add = (struct ne_fused_add){n, e->y, e->act};
	maker[e->y] = later;
	e->fused = true;
}

void ne_plan_fuse(struct planner *p)
{
	uint8_t *absorbed = p->placed; /* done with: every entry is placed */
	uint32_t *maker = p->item_of;  /* not yet in use */

	count_users(p);
	memset(absorbed, 0, p->g->n_node);
	for (uint32_t t = 0; t < p->g->n_tensor; t++)
		maker[t] = NE_NONE;
	for (uint32_t i = 0; i < p->n_entry; i++) {
		struct entry *e = &p->entry[i];
		const struct ne_node *n = &p->g->node[e->node];
		uint32_t r = fused_relu(p, e->node);

		if (r != NE_NONE) {
			e->act = p->g->node[r].op == NE_OP_RELU ? NE_ACT_RELU : NE_ACT_RELU6;
			e->y = p->g->node[r].out[0];
		} else if (n->op == NE_OP_RELU || n->op == NE_OP_RELU6) {
			uint32_t before = p->producer[n->in[0]];

			e->fused = before != NE_NONE && fused_relu(p, before) == e->node;
		}
		e->fused = e->fused || absorbed[e->node];
		if (!e->fused)
			fuse_leaky(p, e, absorbed);
		if (e->fused)
			continue;
		for (uint32_t k = 0; k < n->n_out; k++)
			maker[k ? n->out[k] : e->y] = i;
		if (n->op == NE_OP_ADD)
			fuse_add(p, e, maker);
	}
}
