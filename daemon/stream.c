/* SPDX-License-Identifier: MIT */
/* Streams of models that keep values from run to run; see stream.h. */
#include "daemon/stream.h"
#include "daemon/server.h"

#include <stdlib.h>

struct stream *stream_new(struct session *s)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (st) {
		st->refs = 1;
		st->session = s;
	}
	return st;
}

struct stream *stream_ref(struct stream *st)
{
	if (st)
		st->refs++;
	return st;
}

void stream_unref(struct stream *st)
{
	if (!st || --st->refs)
		return;
	st->session->bytes -= st->charged;
	server_uncharge(st->session->server, st->session->account, st->charged);
	ne_state_free(st->state);
	free(st);
}

bool stream_take_turn(struct stream *st, struct request *rq)
{
	if (!st->busy) {
		st->busy = true;
		return true;
	}
	rq->parked = true;
	rq->next_parked = NULL;
	if (st->last)
		st->last->next_parked = rq;
	else
		st->first = rq;
	st->last = rq;
	return false;
}

void stream_unpark(struct stream *st, struct request *rq)
{
	struct request **at = &st->first, *before = NULL;

	for (; *at != rq; at = &before->next_parked)
		before = *at;
	*at = rq->next_parked;
	if (st->last == rq)
		st->last = before;
	rq->parked = false;
}

void stream_end_turn(struct stream *st)
{
	struct request *next = st->session->ended ? NULL : st->first;

	st->busy = next != NULL;
	if (!next)
		return;
	stream_unpark(st, next);
	sched_push(&st->session->server->sched, &st->session->rings.queue, &next->item);
}

int stream_charge(struct stream *st, const struct model_version *v)
{
	uint64_t bytes = ne_program_state_bytes(v->program);
	struct session *s = st->session;

	if (st->generation == v->generation)
		return 0;
	s->bytes -= st->charged;
	server_uncharge(s->server, s->account, st->charged);
	st->charged = 0;
	NE_RETURN_IF(server_charge(s->server, s, bytes, NULL));
	st->charged = bytes;
	return 0;
}

int stream_prepare(struct stream *st, const struct model_version *v, bool anew)
{
	if (st->generation != v->generation) {
		ne_state_free(st->state);
		st->state = NULL;
		st->generation = 0;
		st->begun = false;
		NE_RETURN_IF(ne_state_new(v->program, &st->state));
		st->generation = v->generation;
	} else if (anew) {
		ne_state_reset(st->state);
		st->begun = false;
	}
	return 0;
}
