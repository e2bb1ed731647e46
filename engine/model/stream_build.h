/* SPDX-License-Identifier: MIT */
/* The streaming graph from what ne_stream_follow() found. Internal to engine/model/stream*.c. */
#ifndef NE_STREAM_BUILD_H
#define NE_STREAM_BUILD_H

#include "engine/model/stream_internal.h"

struct ne_stream_graph {
	struct ne_graph graph;
	uint32_t *origin; /* [graph.n_tensor] tensor of the full graph that it is a form of */
};

/* The graph and origin are the caller's to free. */
int ne_stream_build(const struct ne_graph *old, const struct ne_track *track,
		    const struct ne_node_track *node, bool whole, struct ne_stream_graph *ret,
		    struct ne_error *err);

#endif
