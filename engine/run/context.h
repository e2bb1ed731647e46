/* SPDX-License-Identifier: MIT */
/* What a context holds. It owns all of it; internal to engine/run and its tests. */
#ifndef NE_CONTEXT_H
#define NE_CONTEXT_H

#include "engine/run/crew.h"
#include "engine/run/state.h"

struct ne_context {
	uint32_t threads;
	struct ne_frame frame; /* the caller's own */
	uintptr_t base[NE_BASES];
	void *arena, *stage;
	size_t arena_bytes; /* of the program that it was made for */
	size_t scratch_bytes, stage_bytes;
	struct ne_crew *crew;         /* NULL for one thread */
	struct ne_state *own, *state; /* own: NULL where the program has none */
	struct ne_observer observer;
};

#endif
