/* SPDX-License-Identifier: MIT */
/*
 * One level's plan: which nodes run in which order, what shares memory with what, where each
 * tensor lies, and then the operators' steps.
 *
 * Order. The trunk of a level is what its own exit needs, in one segment per exit passed: what
 * exit 0 needs of it, what exit 1 needs beyond, and so on. The head of an earlier exit is what that
 * exit needs beside the trunk; it is run or skipped as the caller likes, so nothing later reads it.
 * What an exit needs has the next values of the states that it reads.
 */
#include "engine/plan/planner.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void planner_done(struct planner *p)
{
	free(p->entry);
	free(p->trunk_needs);
	free(p->exit_needs);
	free(p->placed);
	free(p->needed);
	free(p->next);
	free(p->producer);
	free(p->users);
	free(p->user);
	free(p->root);
	free(p->join);
	free(p->join_offset);
	free(p->shape);
	free(p->ref);
	free(p->item);
	free(p->item_of);
}

static int planner_init(struct planner *p, struct ne_lower *lw, uint32_t depth)
{
	const struct ne_graph *g = lw->g;
	size_t nodes = g->n_node + 1u, tensors = g->n_tensor + 1u;

	*p = (struct planner){.lw = lw, .g = g, .depth = depth};
	p->trunk_needs = calloc(nodes, 1);
	p->exit_needs = calloc(nodes, 1);
	p->placed = calloc(nodes, 1);
	p->needed = calloc(tensors, 1);
	p->next = calloc(tensors, sizeof(*p->next));
	p->producer = calloc(tensors, sizeof(*p->producer));
	p->users = calloc(tensors, sizeof(*p->users));
	p->user = calloc(tensors, sizeof(*p->user));
	p->root = calloc(tensors, sizeof(*p->root));
	p->join = calloc(tensors, sizeof(*p->join));
	p->join_offset = calloc(tensors, sizeof(*p->join_offset));
	p->shape = calloc(tensors, sizeof(*p->shape));
	p->ref = calloc(tensors, sizeof(*p->ref));
	p->item = calloc(tensors, sizeof(*p->item));
	p->item_of = calloc(tensors, sizeof(*p->item_of));
	if (!p->trunk_needs || !p->exit_needs || !p->placed || !p->needed || !p->next ||
	    !p->producer || !p->users || !p->user || !p->root || !p->join || !p->join_offset ||
	    !p->shape || !p->ref || !p->item || !p->item_of) {
		planner_done(p);
		return ne_fail(lw->err, ENOMEM, "out of memory building a plan");
	}
	for (uint32_t t = 0; t < g->n_tensor; t++)
		p->producer[t] = p->next[t] = NE_NONE;
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_out; k++)
			p->producer[g->node[i].out[k]] = i;
	return 0;
}

/* ---- order ---- */

/* Marks the nodes that exit @e needs. */
static int mark_needs(const struct planner *p, uint32_t e, uint8_t *needs)
{
	const struct ne_graph *g = p->g;

	if (ne_graph_needs(g, e, p->needed) < 0)
		return ne_fail(p->lw->err, ENOMEM, "out of memory building a plan");
	memset(needs, 0, g->n_node);
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_out; k++)
			needs[i] |= p->needed[g->node[i].out[k]];
	return 0;
}

static int append(struct planner *p, uint32_t *capacity, uint32_t node)
{
	const struct ne_node *n = &p->g->node[node];

	if (p->n_entry == *capacity) {
		uint32_t more = *capacity ? 2 * *capacity : 64;
		struct entry *e = realloc(p->entry, more * sizeof(*e));

		if (!e)
			return ne_fail(p->lw->err, ENOMEM, "out of memory building a plan");
		p->entry = e;
		*capacity = more;
	}
	p->entry[p->n_entry++] = (struct entry){
		.node = node,
		.y = n->out[0],
		.act = n->attr.act,
		.floor = -INFINITY,
	};
	return 0;
}

static int order_nodes(struct planner *p)
{
	uint32_t capacity = 0;

	NE_RETURN_IF(mark_needs(p, p->depth, p->trunk_needs));
	for (uint32_t e = 0; e <= p->depth; e++) {
		/* the last leaves in p->needed what the level needs */
		NE_RETURN_IF(mark_needs(p, e, p->exit_needs));
		p->trunk[e].first = p->n_entry;
		for (uint32_t i = 0; i < p->g->n_node; i++)
			if (p->exit_needs[i] && p->trunk_needs[i] && !p->placed[i]) {
				p->placed[i] = 1;
				NE_RETURN_IF(append(p, &capacity, i));
			}
		p->trunk[e].n = p->n_entry - p->trunk[e].first;
		if (e == p->depth)
			break;
		p->head[e].first = p->n_entry;
		for (uint32_t i = 0; i < p->g->n_node; i++)
			if (p->exit_needs[i] && !p->trunk_needs[i])
				NE_RETURN_IF(append(p, &capacity, i));
		p->head[e].n = p->n_entry - p->head[e].first;
	}
	return 0;
}

/* ---- shared memory ---- */

/* Reshapes share their input's memory unless s8 values mean something else after. */
static void share_memory(struct planner *p)
{
	for (uint32_t t = 0; t < p->g->n_tensor; t++)
		p->root[t] = t;
	for (uint32_t i = 0; i < p->n_entry; i++) {
		const struct ne_node *n = &p->g->node[p->entry[i].node];
		struct ne_quant x, y;

		if (n->op != NE_OP_RESHAPE)
			continue;
		x = ne_lower_quant(p->lw, n->in[0]);
		y = ne_lower_quant(p->lw, n->out[0]);
		if (p->g->tensor[n->out[0]].dtype == NE_S8 && x.scale > 0 && y.scale > 0 &&
		    !ne_quant_equal(x, y))
			continue;
		p->root[n->out[0]] = p->root[n->in[0]];
	}
}

/* Where inputs follow each other in the concat's output whole, not row by row. */
static bool joins_whole(const struct planner *p, const struct ne_node *n)
{
	const struct ne_shape *y = &p->shape[n->out[0]];

	for (int32_t i = 0; i < n->attr.axis; i++)
		if (y->dim[i] != 1)
			return false;
	return true;
}

/* Input @x of a concat that can be made right where the concat wants it, at @offset. What other
 * inputs were made in stays where it is: joins never lead to joins. */
static void join(struct planner *p, uint32_t x, uint32_t y, size_t offset)
{
	uint32_t r = p->root[x];

	if (p->producer[r] == NE_NONE || p->join[r] != NE_NONE)
		return;
	if (!ne_quant_equal(ne_lower_quant(p->lw, x), ne_lower_quant(p->lw, y)))
		return;
	p->join[r] = y;
	p->join_offset[r] = offset;
	p->join[y] = y;
}

/* Concats along the first axis that is longer than 1: what they join is made in place. */
static void join_memory(struct planner *p)
{
	for (uint32_t t = 0; t < p->g->n_tensor; t++)
		p->join[t] = NE_NONE;
	for (uint32_t i = 0; i < p->n_entry; i++) {
		const struct ne_node *n = &p->g->node[p->entry[i].node];
		size_t offset = 0;

		if (n->op != NE_OP_CONCAT || !joins_whole(p, n))
			continue;
		for (uint32_t k = 0; k < n->n_in; k++) {
			join(p, n->in[k], n->out[0], offset);
			offset += ne_shape_elements(&p->shape[n->in[k]]) *
				  ne_dtype_size(p->g->tensor[n->in[k]].dtype);
		}
	}
}

/* The tensor that has memory of its own, of which @tensor has a part or all. */
static uint32_t home_of(const struct planner *p, uint32_t tensor, size_t *ret_offset)
{
	uint32_t r = p->root[tensor];
	bool joined = p->join[r] != NE_NONE;

	*ret_offset = joined ? p->join_offset[r] : 0;
	return joined ? p->join[r] : r;
}

/* ---- places ---- */

static void level_shapes(struct planner *p)
{
	for (uint32_t t = 0; t < p->g->n_tensor; t++) {
		const struct ne_tensor *v = &p->g->tensor[t];

		p->shape[t] = v->shape;
		if (v->group && v->shape.rank)
			p->shape[t].dim[v->shape.rank - 1] = p->lw->width->active[v->group];
	}
}

static void touch(struct planner *p, uint32_t tensor, uint32_t position)
{
	struct ne_arena_item *it;
	size_t offset;
	uint32_t root = home_of(p, tensor, &offset);

	if (p->producer[root] == NE_NONE) /* an input or a constant: not in the arena */
		return;
	if (p->item_of[root] == NE_NONE) {
		p->item_of[root] = p->n_item;
		p->item[p->n_item++] = (struct ne_arena_item){
			.bytes = ne_shape_elements(&p->shape[root]) *
				 ne_dtype_size(p->g->tensor[root].dtype),
			.first = position,
		};
	}
	it = &p->item[p->item_of[root]];
	it->last = position;
}

static void touch_exit(struct planner *p, uint32_t e, uint32_t position)
{
	for (uint32_t k = 0; k < p->g->exit[e].n_out; k++)
		touch(p, p->g->exit[e].out[k], position);
}

/* Positions: two an entry, so that an exit's outputs can live just past its last entry. */
static void find_lifetimes(struct planner *p)
{
	for (uint32_t t = 0; t < p->g->n_tensor; t++)
		p->item_of[t] = NE_NONE;
	for (uint32_t i = 0; i < p->n_entry; i++) {
		const struct ne_node *n = &p->g->node[p->entry[i].node];

		if (p->entry[i].fused)
			continue;
		for (uint32_t k = 0; k < n->n_in; k++)
			if (n->in[k] != NE_NONE)
				touch(p, n->in[k], 2 * i);
		for (uint32_t k = 0; p->entry[i].add.n && k < 2; k++)
			if (p->entry[i].add.n->in[k] != p->entry[i].y)
				touch(p, p->entry[i].add.n->in[k], 2 * i);
		touch(p, p->entry[i].add.n ? p->entry[i].add.y : p->entry[i].y, 2 * i);
		for (uint32_t k = 1; k < n->n_out; k++)
			touch(p, n->out[k], 2 * i);
	}
	for (uint32_t e = 0; e < p->depth; e++) {
		uint32_t end = p->head[e].first + p->head[e].n;

		/* written within, read at the end: touching only ever moves `last` on from there */
		for (uint32_t k = 0; k < p->g->exit[e].n_out; k++) {
			size_t offset;
			uint32_t root = home_of(p, p->g->exit[e].out[k], &offset);

			if (p->item_of[root] != NE_NONE)
				p->item[p->item_of[root]].last =
					NE_MAX(p->item[p->item_of[root]].last, 2 * end);
		}
	}
	touch_exit(p, p->depth, 2 * p->n_entry + 1);
	for (uint32_t i = 0; i < p->g->n_state; i++)
		if (p->needed[p->g->state[i].in])
			touch(p, p->g->state[i].out, 2 * p->n_entry + 1);
}

/* A state's next value that a step of its own makes is made where the next run reads it. */
static void place_states(struct planner *p)
{
	for (uint32_t i = 0; i < p->g->n_state; i++) {
		uint32_t out = p->g->state[i].out;

		p->ref[p->g->state[i].in] = (struct ne_ref){NE_BASE_STATE, p->lw->state[i].offset};
		if (p->needed[p->g->state[i].in] && p->item_of[out] != NE_NONE &&
		    p->next[out] == NE_NONE)
			p->next[out] = i;
	}
}

/* Constants that an operator turns into tables of its own. */
static bool is_weights(const struct ne_node *n, uint32_t k)
{
	if (n->op == NE_OP_LSTM || n->op == NE_OP_GRU || n->op == NE_OP_RNN)
		return k == 1 || k == 2;
	return k > 0 &&
	       (n->op == NE_OP_CONV || n->op == NE_OP_DWCONV || n->op == NE_OP_DENSE ||
		n->op == NE_OP_BATCHNORM || n->op == NE_OP_PICK || n->op == NE_OP_SPECTRUM);
}

static int place_constant(struct planner *p, uint32_t t)
{
	const struct ne_tensor *v = &p->g->tensor[t];
	const void *copy;

	if (!v->data || p->ref[t].offset)
		return 0;
	copy = ne_lower_table(p->lw, v->data, v->bytes);
	if (!copy)
		return ne_fail(p->lw->err, ENOMEM, "out of memory for constant '%.80s'", v->name);
	p->ref[t] = (struct ne_ref){NE_BASE_CONST, (size_t)(uintptr_t)copy};
	return 0;
}

static int place_tensors(struct planner *p, size_t *ret_arena)
{
	const struct ne_graph *g = p->g;
	int r = ne_arena_plan(p->item, p->n_item, ret_arena);

	if (r < 0)
		return ne_fail(p->lw->err, -r,
			       "the arena of a level would be over the limit of %zu bytes",
			       NE_MAX_ARENA_BYTES);
	for (uint32_t i = 0; i < p->n_entry; i++) {
		const struct ne_node *n = &g->node[p->entry[i].node];

		for (uint32_t k = 0; k < n->n_in; k++)
			if (n->in[k] != NE_NONE && !is_weights(n, k))
				NE_RETURN_IF(place_constant(p, n->in[k]));
	}
	for (uint32_t e = 0; e <= p->depth; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++)
			NE_RETURN_IF(place_constant(p, g->exit[e].out[k]));
	for (uint32_t i = 0; i < g->n_in; i++)
		p->ref[g->in[i]] = (struct ne_ref){NE_BASE_IN + i, 0};
	place_states(p);
	for (uint32_t t = 0; t < g->n_tensor; t++)
		if (p->producer[t] != NE_NONE && p->item_of[t] != NE_NONE)
			p->ref[t] = p->next[t] == NE_NONE
					    ? (struct ne_ref){NE_BASE_ARENA,
							      p->item[p->item_of[t]].offset}
					    : (struct ne_ref){NE_BASE_NEXT,
							      p->lw->state[p->next[t]].offset};
	for (uint32_t t = 0; t < g->n_tensor; t++) {
		size_t offset;
		uint32_t home = home_of(p, t, &offset);

		if (home != t) {
			p->ref[t] = p->ref[home];
			p->ref[t].offset += offset;
		}
	}
	return 0;
}

/* ---- steps ---- */

static int lower_segment(struct planner *p, struct ne_segment s, struct ne_segment *ret)
{
	struct ne_lower *lw = p->lw;

	ret->first = lw->n_step;
	for (uint32_t i = s.first; i < s.first + s.n; i++) {
		const struct ne_node *n = &p->g->node[p->entry[i].node];

		if (p->entry[i].fused)
			continue;
		lw->y = p->entry[i].y;
		lw->act = p->entry[i].act;
		lw->slope = p->entry[i].slope;
		lw->floor = p->entry[i].floor;
		lw->add = p->entry[i].add;
		NE_RETURN_IF(ne_op_info(n->op)->lower(lw, n));
	}
	ret->n = lw->n_step - ret->first;
	return 0;
}

/* Where the activations are, for the observer; and the exits' outputs. */
static int describe_places(struct planner *p, struct ne_plan *plan)
{
	const struct ne_graph *g = p->g;
	uint32_t n_out = g->exit[0].n_out;

	plan->out = calloc((size_t)(p->depth + 1) * n_out, sizeof(*plan->out));
	plan->place = calloc(g->n_tensor + 1u, sizeof(*plan->place));
	if (!plan->out || !plan->place)
		return ne_fail(p->lw->err, ENOMEM, "out of memory building a plan");
	for (uint32_t e = 0; e <= p->depth; e++)
		for (uint32_t k = 0; k < n_out; k++)
			plan->out[e * n_out + k] = p->ref[g->exit[e].out[k]];
	for (uint32_t t = 0; t < g->n_tensor; t++) {
		uint32_t root = p->root[t];
		bool there = p->item_of[root] != NE_NONE || p->ref[t].base != NE_BASE_CONST;

		if (!g->tensor[t].data && there)
			plan->place[plan->n_place++] = (struct ne_place){
				.tensor = t,
				.root = root,
				.ref = p->ref[t],
				.elements = ne_shape_elements(&p->shape[t]),
			};
	}
	return 0;
}

/* What is left to do for the states once the steps have run. */
static int describe_states(struct planner *p, struct ne_plan *plan)
{
	const struct ne_graph *g = p->g;

	plan->carry = calloc(g->n_state + 1u, sizeof(*plan->carry));
	plan->state_zero = calloc(g->n_state + 1u, sizeof(*plan->state_zero));
	if (!plan->carry || !plan->state_zero)
		return ne_fail(p->lw->err, ENOMEM, "out of memory building a plan");
	for (uint32_t i = 0; i < g->n_state; i++) {
		const struct ne_graph_state *s = &g->state[i];
		struct ne_quant zero = ne_lower_quant(p->lw, s->in);

		plan->state_zero[i] = zero.scale > 0 ? zero.zero : 0;
		if (!p->needed[s->in])
			continue;
		NE_RETURN_IF(place_constant(p, s->out));
		plan->carry[plan->n_carry++] = (struct ne_carry){
			.state = i,
			.from = p->ref[s->out],
			.to = p->lw->state[i].offset,
			.bytes = p->next[s->out] == i
					 ? 0
					 : ne_shape_elements(&p->shape[s->out]) *
						   ne_dtype_size(g->tensor[s->out].dtype),
		};
	}
	return 0;
}

static int build(struct planner *p, struct ne_plan *plan)
{
	struct ne_lower *lw = p->lw;

	NE_RETURN_IF(order_nodes(p));
	level_shapes(p);
	lw->shape = p->shape;
	ne_plan_fuse(p);
	share_memory(p);
	join_memory(p);
	find_lifetimes(p);
	NE_RETURN_IF(place_tensors(p, &plan->arena_bytes));
	lw->ref = p->ref;
	plan->depth = p->depth;
	for (uint32_t e = 0; e <= p->depth; e++) {
		NE_RETURN_IF(lower_segment(p, p->trunk[e], &plan->trunk[e]));
		if (e < p->depth)
			NE_RETURN_IF(lower_segment(p, p->head[e], &plan->head[e]));
	}
	NE_RETURN_IF(describe_states(p, plan));
	return describe_places(p, plan);
}

int ne_plan_build(struct ne_lower *lw, const struct ne_level *level, struct ne_plan *ret)
{
	struct ne_plan plan = {0};
	struct planner p;
	int r;

	NE_RETURN_IF(planner_init(&p, lw, level->depth));
	lw->step = NULL;
	lw->n_step = lw->step_capacity = 0;
	r = build(&p, &plan);
	plan.step = lw->step;
	plan.n_step = lw->n_step;
	lw->step = NULL;
	lw->shape = NULL;
	lw->ref = NULL;
	planner_done(&p);
	if (r < 0) {
		ne_plan_done(&plan);
		return r;
	}
	*ret = plan;
	return 0;
}

void ne_plan_done(struct ne_plan *p)
{
	free(p->step);
	free(p->out);
	free(p->place);
	free(p->carry);
	free(p->state_zero);
	*p = (struct ne_plan){0};
}
