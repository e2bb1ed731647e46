/* SPDX-License-Identifier: MIT */
/*
 * The loop on epoll, level-triggered.
 */
#include "daemon/loop/internal.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32

struct loop_backend {
	int fd;
};

static int epoll_backend_open(struct loop_backend **ret)
{
	struct loop_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->fd = epoll_create1(EPOLL_CLOEXEC);
	if (b->fd < 0) {
		int r = -errno;

		free(b);
		return r;
	}
	*ret = b;
	return 0;
}

static void epoll_backend_close(struct loop_backend *b)
{
	close(b->fd);
	free(b);
}

static int epoll_backend_add(struct loop_backend *b, struct loop_source *s)
{
	struct epoll_event ev = {.data.ptr = s};

	if (s->events & LOOP_READ)
		ev.events |= EPOLLIN;
	if (s->events & LOOP_WRITE)
		ev.events |= EPOLLOUT;
	return epoll_ctl(b->fd, EPOLL_CTL_ADD, s->fd, &ev) < 0 ? -errno : 0;
}

static void epoll_backend_remove(struct loop_backend *b, struct loop_source *s)
{
	epoll_ctl(b->fd, EPOLL_CTL_DEL, s->fd, NULL);
}

static int epoll_backend_wait(struct loop_backend *b, int64_t timeout_us)
{
	struct epoll_event ev[BATCH];
	/* Rounded up: to wake before a timer is due would mean to go round idly. */
	int64_t ms = timeout_us < 0 ? -1 : (timeout_us + 999) / 1000;
	int n = epoll_wait(b->fd, ev, BATCH, ms > INT32_MAX ? INT32_MAX : (int)ms);

	if (n < 0)
		return -errno;
	/* Removed sources stay allocated until the round is over, so every pointer is good. */
	for (int i = 0; i < n; i++) {
		unsigned events = 0;

		if (ev[i].events & EPOLLIN)
			events |= LOOP_READ;
		if (ev[i].events & EPOLLOUT)
			events |= LOOP_WRITE;
		if (ev[i].events & (EPOLLHUP | EPOLLERR))
			events |= LOOP_HANGUP;
		loop_dispatch(ev[i].data.ptr, events);
	}
	return 0;
}

const struct loop_ops loop_epoll_ops = {
	.name = "epoll",
	.open = epoll_backend_open,
	.close = epoll_backend_close,
	.add = epoll_backend_add,
	.remove = epoll_backend_remove,
	.wait = epoll_backend_wait,
};
