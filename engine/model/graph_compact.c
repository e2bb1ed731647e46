/* SPDX-License-Identifier: MIT */
/*
 * Compaction: keeps what the exits need, in topological order. The order among the kept nodes is
 * the one they had wherever that was topological already.
 *
 * The graph may be malformed in any way that its builder could cause; it is unchanged on failure.
 */
#include "engine/model/graph.h"
#include "engine/op/op.h"

#include <stdlib.h>
#include <string.h>

enum mark { UNSEEN, NEEDED, OPEN, DONE };

struct compaction {
	struct ne_graph *g;
	uint32_t *producer; /* [n_tensor] node or NE_NONE */
	uint32_t *state_of; /* [n_tensor] state that it is the input of, or NE_NONE */
	uint8_t *mark;      /* [n_node] */
	uint8_t *kept;      /* [n_state] */
	uint32_t *stack;    /* [n_node + 1] */
	uint32_t *next_in;  /* [n_node] input of an open node to look at next */
	uint32_t *order;    /* [n_node] kept nodes, sorted */
	uint32_t n_order;
};

static int find_producers(struct compaction *c, struct ne_error *err)
{
	const struct ne_graph *g = c->g;

	for (uint32_t t = 0; t < g->n_tensor; t++)
		c->producer[t] = c->state_of[t] = NE_NONE;
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];

		for (uint32_t k = 0; k < n->n_in; k++)
			if (n->in[k] >= g->n_tensor && n->in[k] != NE_NONE)
				return ne_node_fail(err, EINVAL, n, "input %u: no tensor %u", k,
						    n->in[k]);
		for (uint32_t k = 0; k < n->n_out; k++) {
			if (n->out[k] >= g->n_tensor)
				return ne_node_fail(err, EINVAL, n, "output %u: no tensor %u", k,
						    n->out[k]);
			if (c->producer[n->out[k]] != NE_NONE)
				return ne_node_fail(err, EINVAL, n,
						    "tensor '%.60s' has two producers",
						    g->tensor[n->out[k]].name);
			c->producer[n->out[k]] = i;
		}
	}
	for (uint32_t i = 0; i < g->n_state; i++) {
		const struct ne_graph_state *s = &g->state[i];

		if (s->in >= g->n_tensor || s->out >= g->n_tensor ||
		    (s->initial >= g->n_tensor && s->initial != NE_NONE))
			return ne_fail(err, EINVAL, "state %u: no tensor %u, %u or %u", i, s->in,
				       s->out, s->initial);
		if (c->producer[s->in] != NE_NONE || c->state_of[s->in] != NE_NONE)
			return ne_fail(err, EINVAL, "state %u: '%.80s' has two producers", i,
				       g->tensor[s->in].name);
		c->state_of[s->in] = i;
	}
	for (uint32_t i = 0; i < g->n_in; i++)
		if (g->in[i] >= g->n_tensor)
			return ne_fail(err, EINVAL, "graph input %u: no tensor %u", i, g->in[i]);
	for (uint32_t e = 0; e < g->n_exit; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++)
			if (g->exit[e].out[k] >= g->n_tensor)
				return ne_fail(err, EINVAL, "exit %u: no tensor %u", e,
					       g->exit[e].out[k]);
	return 0;
}

static void need(struct compaction *c, uint32_t tensor, uint32_t *depth)
{
	uint32_t p;

	/* what reads a state needs what writes it, for the next run */
	while (tensor != NE_NONE && c->state_of[tensor] != NE_NONE &&
	       !c->kept[c->state_of[tensor]]) {
		c->kept[c->state_of[tensor]] = 1;
		tensor = c->g->state[c->state_of[tensor]].out;
	}
	p = tensor == NE_NONE ? NE_NONE : c->producer[tensor];
	if (p != NE_NONE && c->mark[p] == UNSEEN) {
		c->mark[p] = NEEDED;
		c->stack[(*depth)++] = p;
	}
}

static void mark_needed(struct compaction *c)
{
	const struct ne_graph *g = c->g;
	uint32_t depth = 0;

	for (uint32_t e = 0; e < g->n_exit; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++)
			need(c, g->exit[e].out[k], &depth);
	while (depth) {
		const struct ne_node *n = &g->node[c->stack[--depth]];

		for (uint32_t k = 0; k < n->n_in; k++)
			need(c, n->in[k], &depth);
	}
}

/* Depth first from @root: producers before it in c->order. A node met while open is a cycle. */
static int sort_from(struct compaction *c, uint32_t root, struct ne_error *err)
{
	uint32_t depth = 0;

	c->stack[depth++] = root;
	c->mark[root] = OPEN;
	while (depth) {
		uint32_t i = c->stack[depth - 1];
		const struct ne_node *n = &c->g->node[i];

		if (c->next_in[i] < n->n_in) {
			uint32_t t = n->in[c->next_in[i]++];
			uint32_t p = t == NE_NONE ? NE_NONE : c->producer[t];

			if (p == NE_NONE || c->mark[p] == DONE)
				continue;
			if (c->mark[p] == OPEN)
				return ne_node_fail(err, EINVAL, n,
						    "depends on its own output (a cycle)");
			c->mark[p] = OPEN;
			c->stack[depth++] = p;
			continue;
		}
		c->mark[i] = DONE;
		c->order[c->n_order++] = i;
		depth--;
	}
	return 0;
}

/* Moves the kept nodes into their order and frees the others. */
static int reorder_nodes(struct compaction *c)
{
	struct ne_graph *g = c->g;
	struct ne_node *node = calloc(c->n_order + 1u, sizeof(*node));

	if (!node)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_order; i++)
		node[i] = g->node[c->order[i]];
	for (uint32_t i = 0; i < g->n_node; i++)
		if (c->mark[i] != DONE) {
			free(g->node[i].name);
			free(g->node[i].in);
			free(g->node[i].out);
		}
	free(g->node);
	g->node = node;
	g->n_node = c->n_order;
	return 0;
}

static void drop_states(struct compaction *c)
{
	struct ne_graph *g = c->g;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < g->n_state; i++)
		if (c->kept[i])
			g->state[kept++] = g->state[i];
	g->n_state = kept;
}

/* Renumbers the tensors that something uses; @map (one entry a tensor) is scratch. */
static void drop_tensors(struct ne_graph *g, uint32_t *map)
{
	uint32_t kept = 0;

	memset(map, 0, g->n_tensor * sizeof(*map));
	for (uint32_t i = 0; i < g->n_in; i++)
		map[g->in[i]] = 1;
	for (uint32_t e = 0; e < g->n_exit; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++)
			map[g->exit[e].out[k]] = 1;
	for (uint32_t i = 0; i < g->n_state; i++) {
		map[g->state[i].in] = map[g->state[i].out] = 1;
		if (g->state[i].initial != NE_NONE)
			map[g->state[i].initial] = 1;
	}
	for (uint32_t i = 0; i < g->n_node; i++) {
		for (uint32_t k = 0; k < g->node[i].n_in; k++)
			if (g->node[i].in[k] != NE_NONE)
				map[g->node[i].in[k]] = 1;
		for (uint32_t k = 0; k < g->node[i].n_out; k++)
			map[g->node[i].out[k]] = 1;
	}
	for (uint32_t t = 0; t < g->n_tensor; t++) {
		if (!map[t]) {
			free(g->tensor[t].name);
			free(g->tensor[t].data);
			free(g->tensor[t].scale);
			continue;
		}
		map[t] = kept;
		g->tensor[kept++] = g->tensor[t];
	}
	g->n_tensor = kept;
	for (uint32_t i = 0; i < g->n_in; i++)
		g->in[i] = map[g->in[i]];
	for (uint32_t e = 0; e < g->n_exit; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++)
			g->exit[e].out[k] = map[g->exit[e].out[k]];
	for (uint32_t i = 0; i < g->n_state; i++) {
		struct ne_graph_state *s = &g->state[i];

		s->in = map[s->in];
		s->out = map[s->out];
		s->initial = s->initial == NE_NONE ? NE_NONE : map[s->initial];
	}
	for (uint32_t i = 0; i < g->n_node; i++) {
		for (uint32_t k = 0; k < g->node[i].n_in; k++)
			if (g->node[i].in[k] != NE_NONE)
				g->node[i].in[k] = map[g->node[i].in[k]];
		for (uint32_t k = 0; k < g->node[i].n_out; k++)
			g->node[i].out[k] = map[g->node[i].out[k]];
	}
}

int ne_graph_compact(struct ne_graph *g, struct ne_error *err)
{
	struct compaction c = {.g = g};
	int r = -ENOMEM;

	c.producer = calloc(g->n_tensor + 1u, sizeof(*c.producer));
	c.state_of = calloc(g->n_tensor + 1u, sizeof(*c.state_of));
	c.mark = calloc(g->n_node + 1u, 1);
	c.kept = calloc(g->n_state + 1u, 1);
	c.stack = calloc(g->n_node + 1u, sizeof(*c.stack));
	c.next_in = calloc(g->n_node + 1u, sizeof(*c.next_in));
	c.order = calloc(g->n_node + 1u, sizeof(*c.order));
	if (!c.producer || !c.state_of || !c.mark || !c.kept || !c.stack || !c.next_in ||
	    !c.order) {
		ne_fail(err, ENOMEM, "out of memory sorting the graph");
		goto out;
	}
	r = find_producers(&c, err);
	if (r < 0)
		goto out;
	mark_needed(&c);
	for (uint32_t i = 0; i < g->n_node && r == 0; i++)
		if (c.mark[i] == NEEDED)
			r = sort_from(&c, i, err);
	if (r == 0)
		r = reorder_nodes(&c);
	if (r == 0) {
		drop_states(&c);
		drop_tensors(g, c.producer);
	}
out:
	free(c.producer);
	free(c.state_of);
	free(c.mark);
	free(c.kept);
	free(c.stack);
	free(c.next_in);
	free(c.order);
	return r;
}
