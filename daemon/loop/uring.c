/* SPDX-License-Identifier: MIT */
/*
 * The loop on io_uring. Each descriptor has one poll request under way; after its callback the poll
 * is asked again, which costs no system call of its own (it goes out with the next wait) and gives
 * level-triggered behaviour: a poll on a descriptor that is still ready completes at once. A
 * multishot poll would tell new edges only, and a callback that stops half-way (so that one client
 * does not keep the others waiting) would never be called again.
 */
#ifdef HAVE_URING
#include "daemon/loop/internal.h"

#include <liburing.h>
#include <poll.h>
#include <stdlib.h>

#define ENTRIES 64 /* of the submission queue; a full one is submitted and filled again */
#define BATCH   32

struct loop_backend {
	struct io_uring ring;
};

static int uring_open(struct loop_backend **ret)
{
	struct loop_backend *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	/* COOP_TASKRUN (5.19): no interrupt to tell this thread what it will see by itself. */
	r = io_uring_queue_init(ENTRIES, &b->ring, IORING_SETUP_COOP_TASKRUN);
	if (r == -EINVAL)
		r = io_uring_queue_init(ENTRIES, &b->ring, 0);
	if (r >= 0 && !(b->ring.features & IORING_FEAT_EXT_ARG)) {
		/* Before 5.11 a time-out takes an entry of its own: not worth a second way. */
		io_uring_queue_exit(&b->ring);
		r = -EOPNOTSUPP;
	}
	if (r < 0) {
		free(b);
		return r;
	}
	*ret = b;
	return 0;
}

static void uring_close(struct loop_backend *b)
{
	io_uring_queue_exit(&b->ring);
	free(b);
}

static struct io_uring_sqe *get_sqe(struct loop_backend *b)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);

	if (!sqe && io_uring_submit(&b->ring) >= 0)
		sqe = io_uring_get_sqe(&b->ring);
	return sqe;
}

static int uring_add(struct loop_backend *b, struct loop_source *s)
{
	struct io_uring_sqe *sqe = get_sqe(b);
	unsigned mask = 0;

	if (!sqe)
		return -EBUSY;
	if (s->events & LOOP_READ)
		mask |= POLLIN;
	if (s->events & LOOP_WRITE)
		mask |= POLLOUT;
	io_uring_prep_poll_add(sqe, s->fd, mask);
	io_uring_sqe_set_data(sqe, s);
	s->armed = true;
	return 0;
}

static void uring_remove(struct loop_backend *b, struct loop_source *s)
{
	struct io_uring_sqe *sqe;

	if (!s->armed)
		return;
	sqe = get_sqe(b);
	if (!sqe)
		return; /* the poll stays until the file is closed by all; its answer is ignored */
	io_uring_prep_poll_remove(sqe, (uint64_t)(uintptr_t)s);
	io_uring_sqe_set_data(sqe, NULL);
	/* At once: the poll holds the file open, and a peer must see the close that follows. */
	io_uring_submit(&b->ring);
}

static void complete(struct loop_backend *b, struct loop_source *s, int res)
{
	unsigned events = 0;

	loop_forget(s);
	if (s->removed)
		return;
	if (res < 0 || (res & (POLLHUP | POLLERR)))
		events |= LOOP_HANGUP;
	if (res > 0 && (res & POLLIN))
		events |= LOOP_READ;
	if (res > 0 && (res & POLLOUT))
		events |= LOOP_WRITE;
	loop_dispatch(s, events);
	/* Out of entries is passing: the submission in get_sqe() makes room. */
	if (!s->removed && uring_add(b, s) < 0)
		loop_dispatch(s, LOOP_HANGUP);
}

static int uring_wait(struct loop_backend *b, int64_t timeout_us)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_us / 1000000,
		.tv_nsec = timeout_us % 1000000 * 1000,
	};
	struct io_uring_cqe *cqe[BATCH];
	struct {
		struct loop_source *source;
		int res;
	} done[BATCH];
	unsigned n;
	int r = io_uring_submit_and_wait_timeout(&b->ring, cqe, 1, timeout_us < 0 ? NULL : &ts,
						 NULL);

	if (r == -ETIME || r == -EBUSY)
		r = 0;
	if (r < 0)
		return r;
	/* Copied first: callbacks submit, and the entries are free for the kernel before they run. */
	n = io_uring_peek_batch_cqe(&b->ring, cqe, BATCH);
	for (unsigned i = 0; i < n; i++) {
		done[i].source = io_uring_cqe_get_data(cqe[i]);
		done[i].res = cqe[i]->res;
	}
	io_uring_cq_advance(&b->ring, n);
	for (unsigned i = 0; i < n; i++)
		if (done[i].source)
			complete(b, done[i].source, done[i].res);
	return 0;
}

const struct loop_ops loop_uring_ops = {
	.name = "io_uring",
	.open = uring_open,
	.close = uring_close,
	.add = uring_add,
	.remove = uring_remove,
	.wait = uring_wait,
};
#endif
