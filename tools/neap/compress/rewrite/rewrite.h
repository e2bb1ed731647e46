/* SPDX-License-Identifier: MIT */
/*
 * Rewrites of an imported graph into the form that the engine runs well. Each keeps the outputs
 * (up to rounding of folded constants); each is one file and one line of the table in rewrite.c.
 */
#ifndef NEAP_TOOL_REWRITE_H
#define NEAP_TOOL_REWRITE_H

#include "engine/model/graph.h"

struct edit;

struct rewrite {
	const char *name;
	/* Goes once over the graph; returns the number of changes or a negative errno. */
	int (*apply)(struct edit *e);
	bool last_resort; /* only where none of the others finds anything any more */
};

/* The table, in order of application; ends with a NULL name. */
extern const struct rewrite rewrite_table[];

/* Applies the whole table until nothing changes, then compacts. The graph has no channel groups
 * yet: -EINVAL otherwise. */
int rewrite_graph(struct ne_graph *g, struct ne_error *err);

/* Applies one rewrite until it finds nothing; -ENOENT for an unknown name. */
int rewrite_graph_with(struct ne_graph *g, const char *name, struct ne_error *err);

#endif
