/* SPDX-License-Identifier: MIT */
/*
 * Reading submissions and writing completions. The client may write its region at any time with
 * anything: each index is loaded once, each entry copied once, and only the copies are looked at.
 *
 * Our own indices are kept privately; those in our region are told to the client and never read
 * back. (The client cannot write there, but it is one fewer thing to trust.)
 */
#include "daemon/rings.h"
#include "daemon/log.h"
#include "daemon/server.h"
#include "daemon/stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t client_bytes(uint32_t entries)
{
	return sizeof(struct neap_ring_client) + (uint64_t)entries * sizeof(struct neap_sqe);
}

static uint64_t daemon_bytes(uint32_t entries)
{
	return sizeof(struct neap_ring_daemon) + (uint64_t)entries * sizeof(struct neap_cqe);
}

uint64_t rings_bytes(uint32_t entries)
{
	return client_bytes(entries) + daemon_bytes(entries);
}

int rings_new(const struct transport *t, int fd, uint32_t entries, struct session *s,
	      struct rings *ret, int *ret_fd, struct ne_error *err)
{
	struct rings r = {.entries = entries};
	int region = -1, e;

	e = t->map_region(fd, client_bytes(entries), &r.client_map, err);
	if (e < 0)
		return e;
	e = t->new_region(daemon_bytes(entries), &r.daemon_map, &region, err);
	if (e < 0)
		goto fail;
	r.request = calloc(entries, sizeof(*r.request));
	r.overflow = calloc(entries, sizeof(*r.overflow));
	e = sched_queue_init(&r.queue, entries);
	if (e < 0 || !r.request || !r.overflow) {
		e = ne_fail(err, ENOMEM, "no memory for rings of %u entries", entries);
		goto fail;
	}
	for (uint32_t i = 0; i < entries; i++) {
		r.request[i].session = s;
		r.request[i].next_free = i + 1 < entries ? &r.request[i + 1] : NULL;
	}
	r.free_request = r.request;
	r.client = r.client_map.addr;
	r.daemon = r.daemon_map.addr;
	__atomic_store_n(&r.daemon->asleep, 1, __ATOMIC_RELAXED);
	*ret = r;
	*ret_fd = region;
	return 0;
fail:
	if (region >= 0)
		close(region);
	rings_free(&r);
	return e;
}

void rings_free(struct rings *r)
{
	transport_unmap(&r->client_map);
	transport_unmap(&r->daemon_map);
	free(r->request);
	free(r->overflow);
	sched_queue_done(&r->queue);
	*r = (struct rings){0};
}

void rings_release(struct request *rq, struct request_references *ret)
{
	struct session *s = rq->session;

	ret->in = rq->in;
	ret->out = rq->out;
	rq->in = rq->out = NULL;
	rq->model->users--;
	rq->model = NULL;
	stream_unref(rq->stream);
	rq->stream = NULL;
	rq->next_free = s->rings.free_request;
	s->rings.free_request = rq;
	s->rings.in_flight--;
	s->server->in_flight--;
}

void request_references_drop(struct request_references *r)
{
	buffer_unref(r->in);
	buffer_unref(r->out);
}

/* ---- completions ---- */

static bool cq_put(struct rings *r, const struct neap_cqe *cqe)
{
	uint32_t head = __atomic_load_n(&r->client->cq_head, __ATOMIC_ACQUIRE);

	/* A head that lies ahead of the tail gives a huge difference: counts as full. */
	if (r->cq_tail - head >= r->entries)
		return false;
	r->daemon->cqe[r->cq_tail & (r->entries - 1)] = *cqe;
	r->cq_tail++;
	return true;
}

/* Publishes the tail; true if the client sleeps. SEQ_CST on both: the store must be seen before
 * `waiting` is looked at, or both sides could miss each other. */
static bool cq_publish(struct rings *r)
{
	__atomic_exchange_n(&r->daemon->cq_tail, r->cq_tail, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&r->client->waiting, __ATOMIC_SEQ_CST) != 0;
}

bool rings_flush(struct session *s)
{
	struct rings *r = &s->rings;
	uint32_t before = r->n_overflow;

	while (r->n_overflow && cq_put(r, &r->overflow[r->overflow_head])) {
		r->overflow_head = (r->overflow_head + 1) & (r->entries - 1);
		r->n_overflow--;
	}
	return r->n_overflow != before && cq_publish(r);
}

bool rings_post(struct session *s, const struct neap_cqe *cqe)
{
	struct rings *r = &s->rings;

	if (s->ended)
		return false;
	if (r->n_overflow)
		rings_flush(s);
	if (!r->n_overflow && cq_put(r, cqe))
		return cq_publish(r);
	/* in_flight + n_overflow never passes entries, so there is room. */
	r->overflow[(r->overflow_head + r->n_overflow++) & (r->entries - 1)] = *cqe;
	if (!s->server->overflow_seen) {
		s->server->overflow_seen = true;
		loop_wake(s->server->loop);
	}
	return __atomic_load_n(&r->client->waiting, __ATOMIC_SEQ_CST) != 0;
}

/* An answer without a run. */
static void post_status(struct session *s, uint64_t user_data, int status, int64_t now_ns)
{
	struct neap_cqe cqe = {
		.user_data = user_data,
		.status = status,
		.done_ns = (uint64_t)now_ns,
	};

	s->rings.wake |= rings_post(s, &cqe);
}

/* ---- submissions ---- */

/* A request that was not started, in the scheduler or parked in its stream; NULL: there is none. */
static struct request *find_waiting(const struct rings *r, uint64_t user_data)
{
	for (uint32_t i = 0; i < r->queue.n; i++) {
		struct request *rq = (struct request *)(void *)r->queue.heap[i];

		if (rq->user_data == user_data)
			return rq;
	}
	for (uint32_t i = 0; i < r->entries; i++)
		if (r->request[i].parked && r->request[i].user_data == user_data)
			return &r->request[i];
	return NULL;
}

static void take_cancel(struct session *s, uint64_t user_data, int64_t now_ns)
{
	struct request *rq = find_waiting(&s->rings, user_data);
	struct request_references held;

	if (!rq)
		return;
	if (rq->parked) {
		stream_unpark(rq->stream, rq);
	} else {
		sched_remove(&s->server->sched, &s->rings.queue, &rq->item);
		if (rq->stream)
			stream_end_turn(rq->stream);
	}
	rings_release(rq, &held);
	request_references_drop(&held);
	s->server->metrics.cancelled++;
	post_status(s, user_data, -ECANCELED, now_ns);
}

/* Resolves handles and checks ranges; takes no reference. */
static int resolve(struct session *s, const struct neap_sqe *sqe, struct request *rq,
		   const char **why)
{
	struct model_handle *h = session_model(s, sqe->model);
	struct model_version *v;

	*why = "unknown model handle";
	if (!h)
		return -EINVAL;
	v = h->model->current;
	*why = "the model was removed, or replaced by one with other inputs and outputs";
	if (!v || v->io.id != h->io_id)
		return -ESTALE;
	rq->model = h->model;
	rq->io_id = h->io_id;
	rq->in = session_buffer(s, sqe->in_buf);
	rq->out = session_buffer(s, sqe->out_buf);
	*why = "unknown buffer handle";
	if (!rq->in || !rq->out)
		return -EINVAL;
	*why = "the input is not in a buffer for reading, or the output not in one for writing";
	if (!(rq->in->flags & NEAP_WIRE_BUF_READ) || !(rq->out->flags & NEAP_WIRE_BUF_WRITE))
		return -EINVAL;
	*why = "the input or output block does not fit in its buffer";
	if (!protocol_range_fits(sqe->in_offset, v->io.in_bytes, rq->in->map.bytes) ||
	    !protocol_range_fits(sqe->out_offset, v->io.out_bytes, rq->out->map.bytes))
		return -EINVAL;
	rq->item.least_us = v->least_us;
	*why = "no memory for a stream";
	if (ne_program_states(v->program) && !h->stream)
		h->stream = stream_new(s);
	if (ne_program_states(v->program) && !h->stream)
		return -ENOMEM;
	rq->stream = h->stream;
	return 0;
}

static void fill_request(struct request *rq, const struct neap_sqe *sqe, int64_t now_ns)
{
	rq->user_data = sqe->user_data;
	rq->in_offset = sqe->in_offset;
	rq->out_offset = sqe->out_offset;
	rq->deadline_ns = sqe->deadline_ns ? (int64_t)sqe->deadline_ns : SCHED_NO_DEADLINE;
	rq->item.deadline_ns = rq->deadline_ns;
	rq->taken_ns = now_ns;
	rq->min_accuracy = sqe->min_accuracy / 10000.0f;
	rq->confidence = sqe->confidence == UINT16_MAX ? 2.0f : sqe->confidence / 10000.0f;
	rq->strict = sqe->flags & NEAP_SQE_STRICT;
	rq->anew = sqe->flags & NEAP_SQE_ANEW;
}

static void take_run(struct session *s, const struct neap_sqe *sqe, int64_t now_ns)
{
	struct rings *r = &s->rings;
	struct request *rq = r->free_request;
	const char *why;
	int status;

	rq->stream = NULL;
	status = resolve(s, sqe, rq, &why);

	s->server->metrics.requests++;
	if (status < 0) {
		rq->model = NULL;
		rq->in = rq->out = NULL;
		rq->stream = NULL;
		s->server->metrics.failed++;
		s->server->metrics.bad_entries += status == -EINVAL;
		s->metrics.failed++;
		log_debug("session %llu: request refused: %s", (unsigned long long)s->id, why);
		post_status(s, sqe->user_data, status, now_ns);
		return;
	}
	r->free_request = rq->next_free;
	fill_request(rq, sqe, now_ns);
	rq->model->users++;
	__atomic_fetch_add(&rq->in->refs, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&rq->out->refs, 1, __ATOMIC_RELAXED);
	r->in_flight++;
	s->server->in_flight++;
	if (!stream_ref(rq->stream) || stream_take_turn(rq->stream, rq))
		sched_push(&s->server->sched, &r->queue, &rq->item);
}

static void take_one(struct session *s, const struct neap_sqe *sqe, int64_t now_ns)
{
	struct ne_error err;

	if (protocol_check_sqe(sqe, &err) < 0) {
		s->server->metrics.bad_entries++;
		s->metrics.failed++;
		log_debug("session %llu: bad entry: %s", (unsigned long long)s->id, err.text);
		post_status(s, sqe->user_data, -EINVAL, now_ns);
	} else if (sqe->op == NEAP_SQE_CANCEL) {
		take_cancel(s, sqe->user_data, now_ns);
	} else {
		take_run(s, sqe, now_ns);
	}
}

/* Room for one more request: each in flight has a place in the overflow queue. */
static bool has_room(const struct rings *r)
{
	return r->in_flight + r->n_overflow < r->entries;
}

void rings_take(struct session *s, int64_t now_ns)
{
	struct rings *r = &s->rings;
	uint32_t tail, waiting, first = r->sq_head;

	if (s->ended || s->server->draining)
		return;
	r->wake = r->n_overflow && rings_flush(s);
	tail = __atomic_load_n(&r->client->sq_tail, __ATOMIC_ACQUIRE);
	waiting = tail - r->sq_head;
	if (waiting > r->entries) {
		session_break(s, "submission ring: the tail is more than the ring's entries ahead");
		return;
	}
	while (r->sq_head != tail && has_room(r) && r->sq_head - first < RINGS_TURN) {
		struct neap_sqe sqe;

		memcpy(&sqe, &r->client->sqe[r->sq_head & (r->entries - 1)], sizeof(sqe));
		/* The copy is made here; the compiler must not read the ring again for it. */
		__asm__ volatile("" : : "r"(&sqe) : "memory");
		r->sq_head++;
		take_one(s, &sqe, now_ns);
	}
	if (r->sq_head != first)
		__atomic_store_n(&r->daemon->sq_head, r->sq_head, __ATOMIC_RELEASE);
	if (r->wake) { /* once for all that was answered without a run */
		s->server->metrics.wakes++;
		session_wake(s);
	}
}

void rings_stay_awake(struct session *s)
{
	struct server *srv = s->server;

	if (s->rings.awake || s->ended)
		return;
	s->rings.awake = true;
	srv->awake[srv->n_awake++] = s;
	__atomic_store_n(&s->rings.daemon->asleep, 0, __ATOMIC_RELAXED);
}

bool rings_try_sleep(struct session *s)
{
	struct rings *r = &s->rings;
	uint32_t tail;

	/* SEQ_CST on both, against the client's store of the tail and look at `asleep`. */
	__atomic_exchange_n(&r->daemon->asleep, 1, __ATOMIC_SEQ_CST);
	tail = __atomic_load_n(&r->client->sq_tail, __ATOMIC_SEQ_CST);
	/* What waits for room is taken by the flush of a full completion ring or after a run. */
	if (tail != r->sq_head && has_room(r) && !s->server->draining) {
		__atomic_store_n(&r->daemon->asleep, 0, __ATOMIC_RELAXED);
		return false;
	}
	r->awake = false;
	return true;
}
