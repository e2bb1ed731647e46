/* SPDX-License-Identifier: MIT */
/* A plan being made: what the files that make it share. Internal to engine/plan. */
#ifndef NE_PLANNER_H
#define NE_PLANNER_H

#include "engine/plan/plan.h"

/* A node at its place in the order. */
struct entry {
	uint32_t node;
	uint32_t y; /* output, or the output of the relu fused into it */
	int32_t act;
	float slope, floor; /* of a leaky relu and a maximum fused into it */
	struct ne_fused_add add;
	bool fused; /* an entry before does it: makes no step */
};

struct planner {
	struct ne_lower *lw;
	const struct ne_graph *g;
	uint32_t depth, n_entry;
	struct entry *entry;
	/* entries of each segment: trunk e, then head e */
	struct ne_segment trunk[NE_MAX_EXITS], head[NE_MAX_EXITS];
	uint8_t *trunk_needs, *exit_needs, *placed; /* [n_node] */
	uint8_t *needed;                            /* [n_tensor] by the level's exit */
	uint32_t *next; /* [n_tensor] state whose next value is written in place, or NE_NONE */
	uint32_t *producer, *users, *user; /* [n_tensor] nodes; how many read it, the last one */
	uint32_t *root; /* [n_tensor] whose values it has in another shape (reshape), or itself */
	/* [n_tensor] of a root: the concat in whose memory it is made, or NE_NONE; and where */
	uint32_t *join;
	size_t *join_offset;
	struct ne_shape *shape;
	struct ne_ref *ref;
	struct ne_arena_item *item; /* [n_tensor] */
	uint32_t *item_of;          /* [n_tensor] index, or NE_NONE */
	uint32_t n_item;
};

/* Counts the users of each tensor; marks what is fused and by which entry. Shapes are known. */
void ne_plan_fuse(struct planner *p);

#endif
