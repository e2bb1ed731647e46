/* SPDX-License-Identifier: MIT */
/*
 * What the two implementations of the loop share.
 */
#ifndef NEAPD_LOOP_INTERNAL_H
#define NEAPD_LOOP_INTERNAL_H

#include "daemon/loop/loop.h"

struct loop_source {
	struct loop *loop;
	struct loop_source *next; /* of all sources, or of the removed ones */
	loop_fd_fn on_fd;         /* descriptors */
	loop_fn on_timer;         /* timers */
	void *user;
	int fd;
	unsigned events;
	bool removed;
	bool armed;     /* io_uring: a poll request is under way */
	int64_t due_us; /* timers; < 0 = not set */
};

struct loop_backend;

struct loop_ops {
	const char *name;
	int (*open)(struct loop_backend **ret);
	void (*close)(struct loop_backend *b);
	int (*add)(struct loop_backend *b, struct loop_source *s);
	void (*remove)(struct loop_backend *b, struct loop_source *s);
	/* Waits at most @timeout_us (< 0 = for ever) and calls loop_dispatch() for what is ready. */
	int (*wait)(struct loop_backend *b, int64_t timeout_us);
};

extern const struct loop_ops loop_epoll_ops;
#ifdef HAVE_URING
extern const struct loop_ops loop_uring_ops;
#endif

/* Calls the source's function unless it was removed meanwhile. */
void loop_dispatch(struct loop_source *s, unsigned events);
/* The kernel holds no more reference to a removed source. */
void loop_forget(struct loop_source *s);

#endif
