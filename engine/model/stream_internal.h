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
	int32_t fresh;  /* rows that come in with each run, at most length */
	/* The first rows and the last that padding reaches: they differ from what slides between them
	 * and are computed anew. With any, more rows than the fresh ones slide. */
	int32_t lo, hi;
	int32_t kept; /* old rows before the fresh ones that some reader needs, where lo = hi = 0 */
};

/* How a node that slides is computed. */
enum ne_way {
	NE_FRESH, /* its fresh rows from the inputs' fresh rows and `before` old ones in front of them;
		   * less than the fresh rows where that is negative */
	NE_PARTS, /* first rows, fresh rows and last rows each by themselves: lo and hi somewhere */
	NE_COPY,  /* all rows, since it only moves them; they slide nevertheless */
};

struct ne_node_track {
	bool slides;
	enum ne_way way;
	int32_t before;
	/* NE_PARTS: output row i reads @span rows from begin + i * stride on; 0: row i reads row i */
	int32_t begin, stride, span;
	const char *why; /* where it does not slide though an input does */
};

static inline bool ne_track_has_ends(const struct ne_track *t)
{
	return t->lo || t->hi;
}

/* Fills @t [n_tensor] and @n [n_node]. @first is the sliding input's track. */
void ne_stream_follow(const struct ne_graph *g, uint32_t input, struct ne_track first, bool whole,
		      struct ne_track *t, struct ne_node_track *n);

#endif
