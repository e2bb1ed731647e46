// SPDX-License-Identifier: MIT
/*
 * The ring pair and the table of requests.
 *
 * Each request lives in a slot from neap_submit() until its completion is handed out, so what the
 * rings hold can be lost with the daemon at any time and be written again. Completions are matched
 * by an id that is never used twice: a daemon that answers twice, or answers what was not asked,
 * changes nothing. The daemon's indices are checked against our own copies; its entries are copied
 * once and only the copy is looked at.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "libclient/internal.h"

#define SLOT_BITS 12u /* NEAP_WIRE_MAX_ENTRIES slots: the low bits of an id */
#define NO_SLOT   UINT32_MAX

_Static_assert(NEAP_WIRE_MAX_ENTRIES <= 1u << SLOT_BITS, "an id names a slot");

/* ---- the table ---- */

int client_ring_table_new(struct neap *n, uint32_t entries)
{
	n->slot = calloc(entries, sizeof(*n->slot));
	n->free_slot = calloc(entries, sizeof(*n->free_slot));
	n->done = calloc(entries, sizeof(*n->done));
	if (!n->slot || !n->free_slot || !n->done)
		return -ENOMEM;
	n->n_slot = n->n_free = entries;
	for (uint32_t i = 0; i < entries; i++)
		n->free_slot[i] = (uint16_t)(entries - 1 - i);
	n->run_slot = NO_SLOT;
	return 0;
}

void client_ring_table_free(struct neap *n)
{
	free(n->slot);
	free(n->free_slot);
	free(n->done);
}

static void slot_free(struct neap *n, uint32_t i)
{
	n->slot[i].state = SLOT_FREE;
	n->slot[i].id = 0;
	n->free_slot[n->n_free++] = (uint16_t)i;
}

static void slot_done(struct neap *n, uint32_t i)
{
	if (n->slot[i].state == SLOT_SUBMITTED)
		n->submitted--;
	n->slot[i].state = SLOT_DONE;
	/* At most n_slot slots are in the FIFO, each once. */
	if (i != n->run_slot)
		n->done[(n->done_head + n->n_done++) & (n->n_slot - 1)] = (uint16_t)i;
}

static void slot_fail(struct neap *n, uint32_t i, int error)
{
	struct slot *s = &n->slot[i];

	s->done = (struct neap_completion){.user_data = s->sqe.user_data, .status = error};
	slot_done(n, i);
}

void client_ring_fail_all(struct neap *n, int error)
{
	for (uint32_t i = 0; i < n->n_slot; i++)
		if (n->slot[i].state == SLOT_WAITING || n->slot[i].state == SLOT_SUBMITTED)
			slot_fail(n, i, error);
	client_ring_show(n);
}

void client_ring_forget(struct neap *n, const struct neap_buffer *b, const struct neap_model *m)
{
	for (uint32_t i = 0; i < n->n_slot; i++) {
		struct slot *s = &n->slot[i];

		if (b && s->in == b)
			s->in = NULL;
		if (b && s->out == b)
			s->out = NULL;
		if (m && s->model == m)
			s->model = NULL;
	}
}

void client_ring_show(struct neap *n)
{
	uint64_t v = 1;
	bool want = n->fd_used && n->n_done > 0;

	if (want == n->event_set)
		return;
	n->event_set = want;
	if (want ? write(n->event_fd, &v, sizeof(v)) < 0 : read(n->event_fd, &v, sizeof(v)) < 0)
		n->event_set = !want;
}

/* ---- the regions ---- */

int client_ring_make(struct neap *n, int *ret_fd)
{
	size_t bytes = sizeof(*n->ring_client) + n->entries * sizeof(struct neap_sqe);
	void *data;
	int ret = client_region_new("neap-ring", bytes, REGION_ONE_WRITER, &data, ret_fd);

	if (ret < 0)
		return client_fail(n, ret, "cannot make a ring: %s", strerror(-ret));
	n->ring_client = data;
	n->client_bytes = bytes;
	n->sq_tail = n->cq_head = 0;
	if (n->fd_used)
		n->ring_client->waiting = 1;
	return 0;
}

/* A doorbell that is a pipe or a socket could kill us with SIGPIPE, a blocking one stop us. */
static int doorbell_check(int fd)
{
	struct stat st;
	int flags;

	if (fd < 0 || fstat(fd, &st) < 0 || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return -EBADMSG;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -EBADMSG;
	return 0;
}

int client_ring_accept(struct neap *n)
{
	size_t bytes = sizeof(*n->ring_daemon) + n->entries * sizeof(struct neap_cqe);
	const void *data;
	int region = client_session_take_fd(n, 0), ret;

	n->doorbell_fd = client_session_take_fd(n, 1);
	ret = client_region_map(region, bytes, &data);
	if (region >= 0)
		close(region);
	if (ret < 0)
		return client_fail(n, ret, "the daemon's ring is not a sealed memfd of %zu bytes",
				   bytes);
	n->ring_daemon = data;
	n->daemon_bytes = bytes;
	ret = doorbell_check(n->doorbell_fd);
	if (ret < 0)
		return client_fail(n, ret, "the daemon's doorbell is not an eventfd");
	return 0;
}

void client_ring_drop(struct neap *n)
{
	if (n->ring_daemon && n->ring_client)
		client_ring_reap(n);
	if (n->ring_daemon)
		munmap((void *)(uintptr_t)n->ring_daemon, n->daemon_bytes);
	if (n->ring_client)
		munmap(n->ring_client, n->client_bytes);
	n->ring_daemon = NULL;
	n->ring_client = NULL;
	for (uint32_t i = 0; i < n->n_slot; i++) {
		struct slot *s = &n->slot[i];

		if (s->state != SLOT_SUBMITTED)
			continue;
		s->state = SLOT_WAITING;
		n->submitted--;
		if (s->tries >= CLIENT_MAX_TRIES)
			slot_fail(n, i, -ECONNRESET);
	}
	client_ring_show(n);
}

/* ---- submitting ---- */

/* Writes one entry where there is room, and wakes the daemon where it sleeps. */
static int push(struct neap *n, const struct neap_sqe *sqe)
{
	struct neap_ring_client *c = n->ring_client;
	uint32_t head = __atomic_load_n(&n->ring_daemon->sq_head, __ATOMIC_ACQUIRE);
	uint64_t one = 1;

	if (n->sq_tail - head > n->entries) {
		client_fail(n, -EBADMSG, "the daemon's submission index is out of range");
		client_session_lost(n, -EBADMSG);
		return -ECONNRESET;
	}
	if (n->sq_tail - head == n->entries)
		return -EAGAIN;
	c->sqe[n->sq_tail & (n->entries - 1)] = *sqe;
	__atomic_store_n(&c->sq_tail, ++n->sq_tail, __ATOMIC_RELEASE);
	/* The daemon sets asleep and then looks at the tail; we do it the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&n->ring_daemon->asleep, __ATOMIC_RELAXED)) {
		/* -EAGAIN, the counter being full, is an edge all the same. */
		ssize_t r = write(n->doorbell_fd, &one, sizeof(one));
		(void)r;
	}
	return 0;
}

/* Why a slot cannot go to this session's daemon; 0 = it can. */
static int slot_obstacle(const struct neap *n, const struct slot *s)
{
	if (s->cancelled || !s->model || !s->in || !s->out)
		return -ECANCELED;
	if (s->model->session != n->session || s->in->session != n->session ||
	    s->out->session != n->session)
		return -ESTALE;
	if (s->model->error)
		return s->model->error;
	return s->in->error ? s->in->error : s->out->error;
}

/* Puts a waiting slot on the ring. -EAGAIN: no room, it goes on waiting. */
static int slot_push(struct neap *n, uint32_t i)
{
	struct slot *s = &n->slot[i];
	struct neap_sqe sqe = s->sqe;
	int ret = slot_obstacle(n, s);

	if (ret < 0) {
		slot_fail(n, i, ret);
		return 0;
	}
	if (n->submitted == n->entries)
		return -EAGAIN;
	sqe.user_data = s->id;
	sqe.model = s->model->handle;
	sqe.in_buf = s->in->handle;
	sqe.out_buf = s->out->handle;
	ret = push(n, &sqe);
	if (ret < 0)
		return ret;
	s->state = SLOT_SUBMITTED;
	s->tries++;
	n->submitted++;
	return 0;
}

void client_ring_resubmit(struct neap *n)
{
	/* In the order in which they were submitted: ids rise. A table is small and this is rare. */
	uint64_t after = 0;

	while (n->link == LINK_UP) {
		uint32_t next = NO_SLOT;

		for (uint32_t i = 0; i < n->n_slot; i++) {
			const struct slot *s = &n->slot[i];

			if (s->state == SLOT_WAITING && s->id > after &&
			    (next == NO_SLOT || s->id < n->slot[next].id))
				next = i;
		}
		if (next == NO_SLOT)
			break;
		after = n->slot[next].id;
		/* A smaller ring than before: the rest goes as completions make room. */
		if (slot_push(n, next) < 0)
			break;
	}
	client_ring_show(n);
}

static bool fraction(float v)
{
	return v >= 0 && v <= 1; /* false for NaN */
}

static int request_check(struct neap *n, const struct neap_request *rq)
{
	const struct neap_model_info *info;

	if (!rq->model || !rq->in || !rq->out)
		return client_fail(n, -EINVAL, "a request needs a model, an input and an output");
	if (rq->model->n != n || rq->in->n != n || rq->out->n != n)
		return client_fail(n, -EINVAL, "model or buffer of another connection");
	if (rq->in->kind != NEAP_BUFFER_INPUT || rq->out->kind != NEAP_BUFFER_OUTPUT)
		return client_fail(n, -EINVAL, "input and output buffers are mixed up");
	if (rq->in_offset % 64 || rq->out_offset % 64)
		return client_fail(n, -EINVAL, "offsets must be multiples of 64");
	info = &rq->model->info;
	if (rq->in_offset > rq->in->bytes || rq->in->bytes - rq->in_offset < info->in_bytes)
		return client_fail(n, -EINVAL,
				   "input buffer too small: %zu bytes at %zu, %zu needed",
				   rq->in->bytes, rq->in_offset, info->in_bytes);
	if (rq->out_offset > rq->out->bytes || rq->out->bytes - rq->out_offset < info->out_bytes)
		return client_fail(n, -EINVAL,
				   "output buffer too small: %zu bytes at %zu, %zu needed",
				   rq->out->bytes, rq->out_offset, info->out_bytes);
	if (!fraction(rq->min_accuracy) || !(rq->confidence >= 0))
		return client_fail(n, -EINVAL, "min_accuracy and confidence are from 0 to 1");
	return 0;
}

static uint16_t permyriad(float v)
{
	return (uint16_t)lrintf(v * 10000);
}

static void slot_fill(struct slot *s, const struct neap_request *rq)
{
	s->model = rq->model;
	s->in = rq->in;
	s->out = rq->out;
	s->tries = 0;
	s->cancelled = false;
	s->sqe = (struct neap_sqe){
		.user_data = rq->user_data,
		.op = NEAP_SQE_RUN,
		.flags = (uint16_t)((rq->strict ? NEAP_SQE_STRICT : 0) |
				    (rq->begin_stream ? NEAP_SQE_ANEW : 0)),
		.in_offset = rq->in_offset,
		.out_offset = rq->out_offset,
		.min_accuracy = permyriad(rq->min_accuracy),
		.confidence = rq->confidence > 1 ? UINT16_MAX : permyriad(rq->confidence),
	};
	if (rq->confidence > 0 && !s->sqe.confidence)
		s->sqe.confidence = 1; /* 0 would mean the model's */
	if (rq->deadline_us) {
		int64_t now = client_now(), at;

		/* Absolute, so that a reconnection does not prolong it; 1 ns = long past. */
		if (__builtin_mul_overflow(rq->deadline_us, 1000, &at) ||
		    __builtin_add_overflow(at, now, &at))
			at = rq->deadline_us < 0 ? 1 : INT64_MAX;
		s->sqe.deadline_ns = at < 1 ? 1 : (uint64_t)at;
	}
}

/* neap_submit(); the slot taken in *ret_slot. */
static int submit(struct neap *n, const struct neap_request *rq, uint32_t *ret_slot)
{
	struct slot *s;
	uint32_t i;
	int ret;

	if (n->link != LINK_UP)
		client_session_progress(n);
	if (n->link == LINK_GONE)
		return -ECONNRESET;
	ret = request_check(n, rq);
	if (ret < 0)
		return ret;
	if (!n->n_free)
		return -EAGAIN;
	i = n->free_slot[n->n_free - 1];
	s = &n->slot[i];
	slot_fill(s, rq);
	s->id = ++n->last_slot_id << SLOT_BITS | i;
	s->state = SLOT_WAITING;
	n->n_free--;
	*ret_slot = i;
	if (n->link != LINK_UP)
		return 0;
	ret = slot_push(n, i);
	if (ret != -EAGAIN)
		return 0; /* sent; or completed as failed; or waits for the next session */
	slot_free(n, i);
	return -EAGAIN;
}

int neap_submit(struct neap *n, const struct neap_request *rq)
{
	uint32_t slot;
	int ret = submit(n, rq, &slot);

	client_ring_show(n);
	return ret;
}

int neap_cancel(struct neap *n, uint64_t user_data)
{
	struct neap_sqe sqe = {.op = NEAP_SQE_CANCEL};
	struct slot *s = NULL;
	int ret;

	for (uint32_t i = 0; i < n->n_slot; i++) {
		struct slot *c = &n->slot[i];

		if ((c->state == SLOT_WAITING || c->state == SLOT_SUBMITTED) && !c->cancelled &&
		    c->sqe.user_data == user_data && (!s || c->id < s->id))
			s = c;
	}
	if (!s)
		return -ENOENT;
	if (s->state == SLOT_SUBMITTED) {
		sqe.user_data = s->id;
		ret = push(n, &sqe);
		if (ret == -EAGAIN)
			return ret;
	}
	s->cancelled = true; /* and never submitted again */
	return 0;
}

/* ---- completions ---- */

static void cqe_copy(struct neap_cqe *dst, const struct neap_cqe *src)
{
	const uint64_t *from = (const uint64_t *)(const void *)src;
	uint64_t to[sizeof(*dst) / 8];

	/* Each word once: the daemon may go on writing while we look. */
	for (size_t i = 0; i < sizeof(to) / 8; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	memcpy(dst, to, sizeof(*dst));
}

static void complete(struct neap *n, const struct neap_cqe *c)
{
	uint32_t i = (uint32_t)(c->user_data & ((1u << SLOT_BITS) - 1));
	struct slot *s;

	if (i >= n->n_slot)
		return;
	s = &n->slot[i];
	if (s->state != SLOT_SUBMITTED || s->id != c->user_data)
		return;
	s->done = (struct neap_completion){
		.user_data = s->sqe.user_data,
		.status = c->status > 0 ? -EBADMSG : c->status,
		.level = c->level,
		.depth = c->depth,
		.width_permille = c->width_permille,
		.reason = c->reason <= NEAP_REASON_CONFIDENCE ? (enum neap_reason)c->reason
							      : NEAP_REASON_FULL,
		.degraded = c->flags & NEAP_CQE_DEGRADED,
		.late = c->flags & NEAP_CQE_LATE,
		.energy_measured = c->flags & NEAP_CQE_MEASURED,
		.stream_began = c->flags & NEAP_CQE_BEGAN,
		.accuracy = (float)c->accuracy / 10000,
		.confidence = (float)c->confidence / 10000,
		.top_index = c->top_index,
		.queue_us = c->queue_us,
		.run_us = c->run_us,
		.run_ns = c->run_ns,
		.energy_uj = c->energy_uj,
		.generation = c->generation,
	};
	slot_done(n, i);
}

/* Moves what the daemon has completed from its ring to the FIFO. */
void client_ring_reap(struct neap *n)
{
	uint32_t tail, head = n->cq_head;

	if (!n->ring_daemon || !n->ring_client)
		return;
	tail = __atomic_load_n(&n->ring_daemon->cq_tail, __ATOMIC_ACQUIRE);
	if (tail == head)
		return;
	if (tail - head > n->entries) {
		if (n->link != LINK_UP)
			return;
		client_fail(n, -EBADMSG, "the daemon's completion index is out of range");
		client_session_lost(n, -EBADMSG);
		return;
	}
	while (head != tail) {
		struct neap_cqe c;

		cqe_copy(&c, &n->ring_daemon->cqe[head++ & (n->entries - 1)]);
		complete(n, &c);
	}
	n->cq_head = head;
	__atomic_store_n(&n->ring_client->cq_head, head, __ATOMIC_RELEASE);
}

/* Asks for a wake-up with the next completion; one that came before is reaped here. */
static void arm(struct neap *n)
{
	if (!n->ring_client)
		return;
	__atomic_store_n(&n->ring_client->waiting, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	client_ring_reap(n);
}

static void disarm(struct neap *n)
{
	if (n->ring_client && !n->fd_used)
		__atomic_store_n(&n->ring_client->waiting, 0, __ATOMIC_RELAXED);
}

int neap_fd(struct neap *n)
{
	/* From here on completions wake the descriptor, whoever looks at it. */
	if (!n->fd_used) {
		n->fd_used = true;
		arm(n);
		client_ring_show(n);
	}
	return n->epoll_fd;
}

static unsigned take(struct neap *n, struct neap_completion *ret, unsigned max)
{
	unsigned got = 0;

	while (got < max && n->n_done) {
		uint32_t i = n->done[n->done_head];

		n->done_head = (n->done_head + 1) & (n->n_slot - 1);
		n->n_done--;
		ret[got++] = n->slot[i].done;
		slot_free(n, i);
	}
	return got;
}

/* Room was made: what could not be sent to a daemon with smaller rings goes now. */
static void send_waiting(struct neap *n)
{
	if (n->link == LINK_UP && n->entries < n->n_slot)
		client_ring_resubmit(n);
}

int neap_poll(struct neap *n, struct neap_completion *ret, unsigned max)
{
	unsigned got;

	client_ring_reap(n);
	/* The socket matters only where it may have woken somebody, or where nothing came: then a
	 * hang-up may be the reason. */
	if (n->fd_used || !n->n_done || n->link != LINK_UP) {
		client_session_progress(n);
		client_ring_reap(n);
	}
	got = take(n, ret, max);
	send_waiting(n);
	client_ring_show(n);
	return (int)got;
}

/* Sleeps until something may have completed. -EINTR. */
static int doze(struct neap *n, int64_t deadline_ns)
{
	uint32_t before = n->n_done;
	int ret = 0;

	arm(n);
	if (n->n_done == before &&
	    (n->run_slot == NO_SLOT || n->slot[n->run_slot].state != SLOT_DONE))
		ret = client_session_sleep(n, deadline_ns);
	disarm(n);
	client_ring_reap(n);
	return ret;
}

int neap_wait(struct neap *n, struct neap_completion *ret, unsigned max, int timeout_ms)
{
	int64_t until = INT64_MAX;
	bool looked = false; /* at the socket, at least once */
	unsigned got;
	int r = 0;

	if (!max)
		return -EINVAL;
	if (timeout_ms >= 0)
		until = client_now() + timeout_ms * 1000000ll;
	for (;;) {
		client_ring_reap(n);
		got = take(n, ret, max);
		if (got || r < 0 || !neap_pending(n))
			break;
		if (looked && timeout_ms >= 0 && client_now() >= until)
			break;
		r = doze(n, until);
		looked = true;
	}
	send_waiting(n);
	client_ring_show(n);
	return got ? (int)got : r;
}

int neap_run(struct neap *n, const struct neap_request *rq, struct neap_completion *ret)
{
	uint32_t slot;
	int r;

	/* run_slot keeps the completion out of the FIFO, so it is set before anything can come. */
	n->run_slot = n->n_free ? n->free_slot[n->n_free - 1] : NO_SLOT;
	r = submit(n, rq, &slot);
	if (r < 0)
		goto out;
	client_ring_reap(n);
	while (n->slot[slot].state != SLOT_DONE) {
		doze(n, INT64_MAX);
		send_waiting(n);
	}
	*ret = n->slot[slot].done;
	r = ret->status;
	slot_free(n, slot);
out:
	n->run_slot = NO_SLOT;
	client_ring_show(n);
	return r;
}

unsigned neap_pending(const struct neap *n)
{
	return n->n_slot - n->n_free;
}
