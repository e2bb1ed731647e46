/* SPDX-License-Identifier: MIT */
/* Between the two halves of streaming: what follows from the graph, and building the new one. */
#ifndef NE_STREAM_INTERNAL_H
#define NE_STREAM_INTERNAL_H

#include "engine/model/stream.h"

enum ne_motion {
	NE_FIXED,  /* follows from constants alone */
	NE_SLIDES, /* row i of this run is row i - fresh of the next */
	NE_WHOLE,  /* computed anew in each run */
};

struct ne_track {
	enum ne_motion motion;
	/* of what slides */
	uint32_t axis;
	int32_t length; /* rows of the window */
	int32_t fresh;  /* the last rows, new in each run; at most length */
	int32_t kept;   /* old rows before them that some reader needs */
};

/*
 * What a node that slides reads: for each of its inputs that slide the fresh rows and `before` old
 * ones in front of them; fewer than the fresh rows where it is negative.
 */
struct ne_node_track {
	bool slides;
	int32_t before;
	const char *why; /* where it does not slide though an input does */
};

/* Fills @t [n_tensor] and @n [n_node]. @first is the sliding input's track. */
void ne_stream_follow(const struct ne_graph *g, uint32_t input, struct ne_track first, bool whole,
		      struct ne_track *t, struct ne_node_track *n);

#endif
