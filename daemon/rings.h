/* SPDX-License-Identifier: MIT */
/*
 * The ring pair of a session, as the daemon handles it (layout in include/neap/wire.h). Everything
 * here is called with server->lock held, but rings_new() and rings_free().
 */
#ifndef NEAPD_RINGS_H
#define NEAPD_RINGS_H

#include "daemon/session.h"

/* Maps the client's region @fd and makes ours, *ret_fd. Not in force until rings_attach(). */
int rings_new(const struct transport *t, int fd, uint32_t entries, struct session *s,
	      struct rings *ret, int *ret_fd, struct ne_error *err);
void rings_free(struct rings *r);
/* Bytes that a pair of @entries takes, both regions. */
uint64_t rings_bytes(uint32_t entries);

/* Entries that are taken before others have their turn at the lock. */
#define RINGS_TURN 64u

/* Takes entries until the ring is empty, too much is in flight or RINGS_TURN is over: queues runs, drops cancelled
 * ones, answers bad ones. Breaks the session where the client's index is nonsense. */
void rings_take(struct session *s, int64_t now_ns);

/* Posts a completion; true: the client wants NEAP_MSG_WAKE. Frees nothing. */
bool rings_post(struct session *s, const struct neap_cqe *cqe);
/* Moves what overflowed into the ring; true as above. */
bool rings_flush(struct session *s);

/* Says that nobody looks at the ring any more; false if something is there, so it is still awake. */
bool rings_try_sleep(struct session *s);
void rings_stay_awake(struct session *s);

/* Gives back what @rq holds. Its references are put into @ret for request_references_drop(), to be
 * called without the lock. */
struct request_references {
	struct buffer *in, *out;
};
void rings_release(struct request *rq, struct request_references *ret);
void request_references_drop(struct request_references *r);

#endif
