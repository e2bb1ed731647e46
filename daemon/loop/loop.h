/* SPDX-License-Identifier: MIT */
/*
 * The event loop of the daemon's main thread: descriptors, timers, wake-ups from other threads.
 * One face, two implementations: io_uring, and epoll where the kernel or the administrator refuses
 * io_uring. Both are level-triggered: a callback that leaves something unread is called again.
 *
 * A loop belongs to one thread; loop_wake() and loop_stop() alone may be called from others.
 * Sources belong to the loop and die with loop_remove() or loop_free(); a callback may remove any
 * source, its own too.
 */
#ifndef NEAPD_LOOP_H
#define NEAPD_LOOP_H

#include "engine/base.h"

struct loop;
struct loop_source;

enum loop_kind {
	LOOP_AUTO,  /* io_uring, or epoll if NEAPD_NO_URING=1 or the kernel refuses */
	LOOP_EPOLL, /* epoll */
	LOOP_URING, /* io_uring or an error */
};

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 /* always told */ };

typedef void (*loop_fd_fn)(void *user, unsigned events);
typedef void (*loop_fn)(void *user);

int loop_new(enum loop_kind kind, struct loop **ret, struct ne_error *err);
void loop_free(struct loop *l);

/* "io_uring" or "epoll", and why that one. */
const char *loop_name(const struct loop *l);
const char *loop_why(const struct loop *l);

/* @fd stays the caller's, who removes the source before closing it. */
int loop_add_fd(struct loop *l, int fd, unsigned events, loop_fd_fn fn, void *user,
		struct loop_source **ret);
/* A timer that is not set yet. */
int loop_add_timer(struct loop *l, loop_fn fn, void *user, struct loop_source **ret);
/* Fires once, @after_us from now; < 0 takes it back. */
void loop_timer_set(struct loop_source *timer, int64_t after_us);
/* Takes NULL. */
void loop_remove(struct loop_source *s);

/* What runs in the loop's thread after loop_wake(); several wakes may become one call. */
void loop_on_wake(struct loop *l, loop_fn fn, void *user);
void loop_wake(struct loop *l);

/* Runs until loop_stop(); 0 or a negative errno of the waiting call. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* CLOCK_MONOTONIC in microseconds. */
int64_t loop_now_us(void);

#endif
