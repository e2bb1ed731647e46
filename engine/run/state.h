/* SPDX-License-Identifier: MIT */
/* The state of one stream; internal to engine/run. It owns all of it. */
#ifndef NE_STATE_H
#define NE_STATE_H

#include "engine/plan/plan.h"

struct ne_state {
	uint32_t n; /* states and bytes of a bank, as in the program that it was made for */
	size_t bytes;
	uint8_t *bank[2];
	uint32_t current;  /* bank that the next run reads */
	uint32_t width;    /* setting that wrote it */
	uint64_t runs;     /* since it was reset; 0: nothing is in the banks */
	uint64_t *written; /* [n] the run that wrote each value */
};

/* Sets the bases of a run's states. -EINVAL: of another program; -ESTALE, see ne_run(). */
int ne_state_begin(const struct ne_program *p, uint32_t level, struct ne_state *s, uintptr_t *base);
/* The run is over: what it wrote is what the next one reads. */
void ne_state_commit(const struct ne_program *p, uint32_t level, struct ne_state *s,
		     const struct ne_frame *f);

#endif
