/* SPDX-License-Identifier: MIT */
/*
 * One training from its first step, or from a checkpoint, to its last: progress for people, a clean
 * stop when command_stop is set, checkpoints. What `neap train` runs for the nested model and again
 * for each control.
 */
#ifndef NEAP_TRAIN_SESSION_H
#define NEAP_TRAIN_SESSION_H

#include "tools/neap/train/checkpoint.h"

struct session {
	const struct recipe *r;
	const struct network *n;
	struct sampler *s;
	struct pool *pool;
	const char *checkpoint; /* path */
	const char *title;      /* for the progress line */
	uint32_t epochs;
	bool resume, quiet;
	/* 0 = to the end; else stop with a checkpoint after this many steps (for tests). */
	uint64_t stop_after;
};

/*
 * Trains @scope. 0 with the trainer at its last step in @ret; -EINTR after a clean stop, with a
 * checkpoint that `resume` goes on from.
 */
int session_train(const struct session *c, const struct trainer_scope *scope, bool fresh,
		  struct trainer **ret, struct ne_error *err);

#endif
