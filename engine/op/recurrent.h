/* SPDX-License-Identifier: MIT */
/* What the two files of LSTM, GRU and plain recurrence share: a step's arguments. */
#ifndef NE_OP_RECURRENT_H
#define NE_OP_RECURRENT_H

#include "engine/plan/plan.h"

/* y[row][oc] = w * x[row]. Constant weights are packed for the kernel, computed ones are read as
 * they stand: [oc][ic]. */
struct ne_product {
	void (*fn)(const struct ne_conv_f32 *a); /* NULL: not packed */
	struct ne_conv_f32 a;
	struct ne_ref w;
	size_t at; /* elements into w */
	uint32_t ic, oc;
};

struct ne_recurrent_args {
	enum ne_op op;
	struct ne_recurrent attr;
	uint32_t steps, batch, in, hidden, gates, directions;
	uint32_t chunk;  /* time steps whose products with the input are made at once */
	float cell_clip; /* LSTM: > 0: the cell is kept within +-cell_clip */
	bool has_bias, has_lengths, has_h, has_c, has_peephole;
	struct ne_ref x, bias, lengths, h0, c0, peephole, y, yh, yc;
	/* By direction. R of a GRU is two: update and reset gates, then the new value's. */
	struct ne_product input[2], state[2], candidate[2];
};

/* Elements of scratch that a run takes. */
size_t ne_recurrent_scratch(const struct ne_recurrent_args *c);
/* Units are directions. */
void ne_recurrent_run(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		      uint32_t n);

#endif
