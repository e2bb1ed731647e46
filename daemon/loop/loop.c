/* SPDX-License-Identifier: MIT */
/*
 * The part of the loop that does not depend on how the kernel is asked: sources, timers, wake-ups.
 * There are a handful of timers, so a list is searched; nothing here is on the way of a request.
 */
#include "daemon/loop/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct loop {
	const struct loop_ops *ops;
	struct loop_backend *backend;
	struct loop_source *sources; /* alive */
	struct loop_source *removed; /* freed when no callback can hold them */
	struct loop_source *wake_source;
	int wake_fd;
	bool stop;
	loop_fn on_wake;
	void *wake_user;
	char why[128];
};

int64_t loop_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void on_wake_fd(void *user, unsigned events)
{
	struct loop *l = user;
	uint64_t count;

	(void)events;
	if (read(l->wake_fd, &count, sizeof(count)) < 0)
		return;
	if (l->on_wake)
		l->on_wake(l->wake_user);
}

static int open_backend(struct loop *l, enum loop_kind kind, struct ne_error *err)
{
	int r;

	if (kind != LOOP_EPOLL) {
		const char *no = getenv("NEAPD_NO_URING");

		if (kind == LOOP_AUTO && no && *no && strcmp(no, "0")) {
			snprintf(l->why, sizeof(l->why), "NEAPD_NO_URING is set");
		} else {
#ifdef HAVE_URING
			r = loop_uring_ops.open(&l->backend);
			if (r >= 0) {
				l->ops = &loop_uring_ops;
				snprintf(l->why, sizeof(l->why), "the kernel has it");
				return 0;
			}
			snprintf(l->why, sizeof(l->why), "io_uring refused: %s", strerror(-r));
#else
			r = -EOPNOTSUPP;
			snprintf(l->why, sizeof(l->why), "built without liburing");
#endif
			if (kind == LOOP_URING)
				return ne_fail(err, -r, "%s", l->why);
		}
	} else {
		snprintf(l->why, sizeof(l->why), "asked for");
	}
	r = loop_epoll_ops.open(&l->backend);
	if (r < 0)
		return ne_fail(err, -r, "epoll: %s", strerror(-r));
	l->ops = &loop_epoll_ops;
	return 0;
}

int loop_new(enum loop_kind kind, struct loop **ret, struct ne_error *err)
{
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return ne_fail(err, ENOMEM, "no memory for the event loop");
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0) {
		r = ne_fail(err, errno, "eventfd: %s", strerror(errno));
		goto fail;
	}
	r = open_backend(l, kind, err);
	if (r < 0)
		goto fail;
	r = loop_add_fd(l, l->wake_fd, LOOP_READ, on_wake_fd, l, &l->wake_source);
	if (r < 0) {
		ne_fail(err, -r, "event loop: %s", strerror(-r));
		goto fail;
	}
	*ret = l;
	return 0;
fail:
	loop_free(l);
	return r;
}

static void free_removed(struct loop *l)
{
	struct loop_source **at = &l->removed;

	while (*at) {
		struct loop_source *s = *at;

		if (s->armed) { /* the kernel still owes an answer that names it */
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->sources)
		loop_remove(l->sources);
	if (l->backend)
		l->ops->close(l->backend);
	while (l->removed) {
		struct loop_source *s = l->removed;

		l->removed = s->next;
		free(s);
	}
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	free(l);
}

const char *loop_name(const struct loop *l)
{
	return l->ops->name;
}

const char *loop_why(const struct loop *l)
{
	return l->why;
}

static struct loop_source *new_source(struct loop *l, void *user)
{
	struct loop_source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = l;
	s->user = user;
	s->fd = -1;
	s->due_us = -1;
	return s;
}

int loop_add_fd(struct loop *l, int fd, unsigned events, loop_fd_fn fn, void *user,
		struct loop_source **ret)
{
	struct loop_source *s = new_source(l, user);
	int r;

	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->events = events;
	s->on_fd = fn;
	r = l->ops->add(l->backend, s);
	if (r < 0) {
		free(s);
		return r;
	}
	s->next = l->sources;
	l->sources = s;
	*ret = s;
	return 0;
}

int loop_add_timer(struct loop *l, loop_fn fn, void *user, struct loop_source **ret)
{
	struct loop_source *s = new_source(l, user);

	if (!s)
		return -ENOMEM;
	s->on_timer = fn;
	s->next = l->sources;
	l->sources = s;
	*ret = s;
	return 0;
}

void loop_timer_set(struct loop_source *timer, int64_t after_us)
{
	timer->due_us = after_us < 0 ? -1 : loop_now_us() + after_us;
}

void loop_remove(struct loop_source *s)
{
	struct loop *l;
	struct loop_source **at;

	if (!s || s->removed)
		return;
	l = s->loop;
	for (at = &l->sources; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	s->removed = true;
	if (s->fd >= 0)
		l->ops->remove(l->backend, s);
	s->next = l->removed;
	l->removed = s;
}

void loop_on_wake(struct loop *l, loop_fn fn, void *user)
{
	l->on_wake = fn;
	l->wake_user = user;
}

void loop_wake(struct loop *l)
{
	uint64_t one = 1;

	/* EAGAIN means that 2^64 - 2 wake-ups are unread: it wakes all the same. */
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void loop_stop(struct loop *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	loop_wake(l);
}

void loop_dispatch(struct loop_source *s, unsigned events)
{
	if (!s->removed)
		s->on_fd(s->user, events);
}

void loop_forget(struct loop_source *s)
{
	s->armed = false;
}

/* Time until the first timer is due; < 0 if none is set. */
static int64_t next_timer(const struct loop *l)
{
	int64_t first = -1, now;

	for (const struct loop_source *s = l->sources; s; s = s->next)
		if (s->due_us >= 0 && (first < 0 || s->due_us < first))
			first = s->due_us;
	if (first < 0)
		return -1;
	now = loop_now_us();
	return first > now ? first - now : 0;
}

/* A callback may change the list, so the search starts again after each. A timer that sets itself
 * again with 0 is due in the next round, not in this one. */
static void run_timers(struct loop *l)
{
	int64_t now = loop_now_us();

	for (;;) {
		struct loop_source *s = l->sources;

		while (s && (s->due_us < 0 || s->due_us >= now))
			s = s->next;
		if (!s)
			return;
		s->due_us = -1;
		s->on_timer(s->user);
	}
}

int loop_run(struct loop *l)
{
	int r = 0;

	while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
		int64_t wait_us = next_timer(l);

		/* +1: a timer counts as due when its moment has passed. */
		r = l->ops->wait(l->backend, wait_us < 0 ? -1 : wait_us + 1);
		if (r < 0 && r != -EINTR)
			break;
		r = 0;
		run_timers(l);
		free_removed(l);
	}
	__atomic_store_n(&l->stop, false, __ATOMIC_RELEASE);
	return r;
}
