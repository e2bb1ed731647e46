/* SPDX-License-Identifier: MIT */
#include "daemon/scheduler.h"

#include <stdlib.h>

int sched_init(struct sched *s, uint32_t queues)
{
	*s = (struct sched){.capacity = queues};
	s->active = calloc(queues, sizeof(*s->active));
	return s->active ? 0 : -ENOMEM;
}

void sched_done(struct sched *s)
{
	free(s->active);
	s->active = NULL;
}

int sched_queue_init(struct sched_queue *q, uint32_t capacity)
{
	*q = (struct sched_queue){.capacity = capacity};
	q->heap = calloc(capacity, sizeof(struct sched_item *));
	return q->heap ? 0 : -ENOMEM;
}

void sched_queue_done(struct sched_queue *q)
{
	free(q->heap);
	q->heap = NULL;
}

static bool before(const struct sched_item *a, const struct sched_item *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->seq < b->seq;
}

static void put(struct sched_queue *q, uint32_t at, struct sched_item *item)
{
	q->heap[at] = item;
	item->pos = at;
}

static void sift_up(struct sched_queue *q, uint32_t at, struct sched_item *item)
{
	while (at > 0 && before(item, q->heap[(at - 1) / 2])) {
		put(q, at, q->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(q, at, item);
}

static void sift_down(struct sched_queue *q, uint32_t at, struct sched_item *item)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= q->n)
			break;
		if (child + 1 < q->n && before(q->heap[child + 1], q->heap[child]))
			child++;
		if (!before(q->heap[child], item))
			break;
		put(q, at, q->heap[child]);
		at = child;
	}
	put(q, at, item);
}

void sched_push(struct sched *s, struct sched_queue *q, struct sched_item *item)
{
	if (q->n == 0) {
		/* Time spent idle is no credit; a debt from before is kept. */
		q->served_us = NE_MAX(q->served_us, s->floor_us);
		q->active = s->n_active;
		s->active[s->n_active++] = q;
	}
	item->seq = s->seq++;
	s->n_waiting++;
	s->least_us += item->least_us;
	sift_up(q, q->n++, item);
}

void sched_remove(struct sched *s, struct sched_queue *q, struct sched_item *item)
{
	struct sched_item *last = q->heap[--q->n];
	uint32_t at = item->pos;

	if (last != item) {
		if (at > 0 && before(last, q->heap[(at - 1) / 2]))
			sift_up(q, at, last);
		else
			sift_down(q, at, last);
	}
	s->n_waiting--;
	s->least_us = s->n_waiting ? s->least_us - item->least_us : 0;
	if (q->n == 0) {
		struct sched_queue *moved = s->active[--s->n_active];

		s->active[q->active] = moved;
		moved->active = q->active;
	}
}

struct sched_item *sched_pick(struct sched *s, struct sched_queue **ret_queue)
{
	struct sched_queue *best = NULL;
	struct sched_item *item;
	double least = 0;

	if (!s->n_active)
		return NULL;
	for (uint32_t i = 0; i < s->n_active; i++)
		if (i == 0 || s->active[i]->served_us < least)
			least = s->active[i]->served_us;
	s->floor_us = NE_MAX(s->floor_us, least);
	for (uint32_t i = 0; i < s->n_active; i++) {
		struct sched_queue *q = s->active[i];

		if (q->served_us > least + SCHED_SHARE_US)
			continue;
		if (!best || q->heap[0]->deadline_ns < best->heap[0]->deadline_ns ||
		    (q->heap[0]->deadline_ns == best->heap[0]->deadline_ns &&
		     q->served_us < best->served_us))
			best = q;
	}
	item = best->heap[0];
	sched_remove(s, best, item);
	*ret_queue = best;
	return item;
}

void sched_charge(struct sched_queue *q, double us)
{
	q->served_us += us;
}

struct due {
	int64_t deadline_ns;
	int64_t least_ns;
};

/* Sorted insertion: the array is short, and nearly sorted as heaps are. */
static void insert_due(struct due *due, uint32_t n, struct due d)
{
	uint32_t at = n;

	while (at > 0 && due[at - 1].deadline_ns > d.deadline_ns) {
		due[at] = due[at - 1];
		at--;
	}
	due[at] = d;
}

int64_t sched_slack_ns(const struct sched *s, int64_t now_ns, unsigned workers, double stretch)
{
	struct due due[SCHED_LOOK_AHEAD];
	uint32_t n = 0, share = SCHED_LOOK_AHEAD / NE_MAX(s->n_active, 1u);
	int64_t slack = INT64_MAX, sum = 0;

	share = NE_MAX(share, 1u);
	for (uint32_t i = 0; i < s->n_active; i++) {
		const struct sched_queue *q = s->active[i];

		for (uint32_t k = 0; k < NE_MIN(q->n, share) && n < SCHED_LOOK_AHEAD; k++) {
			const struct sched_item *item = q->heap[k];
			struct due d = {item->deadline_ns,
					(int64_t)(item->least_us * stretch * 1e3)};

			if (d.deadline_ns == SCHED_NO_DEADLINE ||
			    d.deadline_ns - now_ns < d.least_ns)
				continue;
			insert_due(due, n++, d);
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		int64_t left;

		sum += due[i].least_ns;
		left = due[i].deadline_ns - now_ns - sum / (int64_t)NE_MAX(workers, 1u);
		slack = NE_MIN(slack, left);
	}
	return slack;
}
