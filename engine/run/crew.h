/* SPDX-License-Identifier: MIT */
/*
 * The threads that share one run. A crew belongs to one context; its members sleep between runs
 * and spin only briefly within one.
 */
#ifndef NE_CREW_H
#define NE_CREW_H

#include "engine/plan/plan.h"

struct ne_crew;

/* @members >= 1 threads besides the caller's, each with @scratch_bytes of its own. */
int ne_crew_new(uint32_t members, size_t scratch_bytes, const uintptr_t *base,
		struct ne_crew **ret);
void ne_crew_free(struct ne_crew *c); /* NULL is fine; no run may be going on */

/* Runs @s with the caller as one of the crew; returns when all of it is done. */
void ne_crew_step(struct ne_crew *c, const struct ne_step *s, const struct ne_frame *own);

/* A run begins or ends: members spin for work only in between. */
void ne_crew_begin(struct ne_crew *c);
void ne_crew_end(struct ne_crew *c);

#endif
