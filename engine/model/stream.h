/* SPDX-License-Identifier: MIT */
/*
 * Streaming: a model over a window that slides along an input becomes one that takes only what is
 * new, and keeps from run to run what it needs again (struct ne_graph_state). Worked out from the
 * graph: which tensors slide with the window, how many of their rows are new at each step, and how
 * many old rows their readers still need. The ends of a window, which padding makes unlike the rest, are
 * computed anew. What does not slide (a pool over the whole window, strides that the step is no multiple
 * of) is computed over its whole window, which is kept just before it: the answer is the full model's
 * in any case.
 */
#ifndef NE_STREAM_H
#define NE_STREAM_H

#include "engine/model/model.h"

struct ne_stream_options {
	uint32_t input; /* graph input that slides; the others are given whole in each run */
	int32_t axis;   /* its axis of time; 0 = the first after the batch that is longer than 1 */
	int32_t step;   /* rows that are new in each run: 1 to one less than the window's length */
	/* Outputs that slide are given whole; else their new rows alone, unless an exit's do not slide as
	 * the others' do: then all are given whole. */
	bool whole;
	/* Told of each node that is computed over its whole window, and why. May be NULL. */
	void (*node)(void *user, const char *name, const char *op, const char *why);
	void *user;
};

struct ne_stream_summary {
	int32_t axis, window, step;
	uint32_t nodes,
		sliding; /* nodes that depend on the input; those computed for new rows only */
	uint32_t states;
	/* Runs from a reset until the answer is the full model's: the window is filled. */
	uint32_t fill;
};

/*
 * Makes the streaming form of @m, which is unchanged. The sliding input keeps its name and takes @step
 * rows. Widths, norms, levels, labels and notes are taken over; MACs are those of one run. Errors:
 * -EINVAL for options that do not fit the model, and for a model that keeps values already; -ENOMEM.
 */
int ne_stream_model(const struct ne_model *m, const struct ne_stream_options *o,
		    struct ne_model **ret, struct ne_stream_summary *ret_summary,
		    struct ne_error *err);

#endif
