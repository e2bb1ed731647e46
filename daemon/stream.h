/* SPDX-License-Identifier: MIT */
/*
 * A stream: what a model that keeps values from run to run keeps for one opened handle. Its requests
 * run one at a time, in the order of submission: the first is in the scheduler or on a worker, the
 * others are parked here. A stream stays at the level that it began with, since values of different
 * networks do not mix, and begins anew when the model's file is replaced.
 *
 * Ownership. The handle holds one reference, each request another. All is guarded by server->lock,
 * but `state`, `generation` and `level`, which belong to the request whose turn it is.
 */
#ifndef NEAPD_STREAM_H
#define NEAPD_STREAM_H

#include "daemon/session.h"

struct stream {
	unsigned refs;
	struct session *session; /* that pays; it outlives its requests and handles */
	uint64_t charged;        /* bytes */
	bool busy;               /* somebody has the turn */
	struct request *first, *last;
	struct ne_state *state;
	uint32_t generation; /* of the model that the state belongs to; 0 = there is none yet */
	uint32_t level;
	bool begun; /* something is in the state: level counts */
};

/* With the lock held. NULL: no memory. */
struct stream *stream_new(struct session *s);
struct stream *stream_ref(struct stream *st); /* takes and gives NULL */
void stream_unref(struct stream *st);         /* takes NULL */

/* @rq may run now, or is parked until its turn comes. With the lock held. */
bool stream_take_turn(struct stream *st, struct request *rq);
/* The turn is over: the next in line goes to the scheduler. With the lock held. */
void stream_end_turn(struct stream *st);
/* Takes a parked request out of the line. With the lock held. */
void stream_unpark(struct stream *st, struct request *rq);

/* Before a run on @v: memory for another version is charged. With the lock held. */
int stream_charge(struct stream *st, const struct model_version *v);
/* Makes the state fit @v, and empty where it was another version's or @anew. Without the lock. */
int stream_prepare(struct stream *st, const struct model_version *v, bool anew);

#endif
