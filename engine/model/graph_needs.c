/* SPDX-License-Identifier: MIT */
/*
 * What an exit needs, states included: a run that reads a state must also work out what the next
 * one will read. Every tensor is looked at once, so this is linear however states depend on each
 * other.
 */
#include "engine/model/graph.h"

#include <stdlib.h>

struct search {
	const struct ne_graph *g;
	uint32_t *producer,
		*state_of; /* [n_tensor] node, state that it is the input of; or NE_NONE */
	uint32_t *stack, depth;
	uint8_t *needed;
};

static void need(struct search *s, uint32_t t)
{
	if (t == NE_NONE || s->needed[t])
		return;
	s->needed[t] = 1;
	s->stack[s->depth++] = t;
}

static void follow(struct search *s, uint32_t t)
{
	if (s->state_of[t] != NE_NONE)
		need(s, s->g->state[s->state_of[t]].out);
	if (s->producer[t] != NE_NONE) {
		const struct ne_node *n = &s->g->node[s->producer[t]];

		for (uint32_t k = 0; k < n->n_in; k++)
			need(s, n->in[k]);
	}
}

static void index_tensors(struct search *s)
{
	const struct ne_graph *g = s->g;

	for (uint32_t t = 0; t < g->n_tensor; t++) {
		s->producer[t] = s->state_of[t] = NE_NONE;
		s->needed[t] = 0;
	}
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_out; k++)
			s->producer[g->node[i].out[k]] = i;
	for (uint32_t i = 0; i < g->n_state; i++)
		s->state_of[g->state[i].in] = i;
}

int ne_graph_needs(const struct ne_graph *g, uint32_t e, uint8_t *needed)
{
	size_t n = g->n_tensor + 1u;
	uint32_t *memory = malloc(3 * n * sizeof(*memory));
	struct search s = {.g = g, .needed = needed};

	if (!memory)
		return -ENOMEM;
	s.producer = memory;
	s.state_of = memory + n;
	s.stack = memory + 2 * n;
	index_tensors(&s);
	for (uint32_t k = 0; k < g->exit[e].n_out; k++)
		need(&s, g->exit[e].out[k]);
	while (s.depth)
		follow(&s, s.stack[--s.depth]);
	free(memory);
	return 0;
}
