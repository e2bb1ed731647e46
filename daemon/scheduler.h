/* SPDX-License-Identifier: MIT */
/*
 * Which request a worker takes next: the earliest deadline, among sessions that have not had much
 * more than their share. Pure bookkeeping: no threads, no clock, no allocation after init; the
 * caller holds a lock.
 *
 * Fairness. Each session (struct sched_queue) has a count of the time it was served. A session that
 * is SCHED_SHARE_US ahead of the one that had least, of those with work waiting, is passed over.
 * So a flood of urgent requests delays others by at most that time, and a session alone gets
 * everything. One that comes back from idling starts level with the least served: no credit.
 */
#ifndef NEAPD_SCHEDULER_H
#define NEAPD_SCHEDULER_H

#include "engine/base.h"

#define SCHED_SHARE_US    20000.0
#define SCHED_NO_DEADLINE INT64_MAX

struct sched_item {
	int64_t deadline_ns; /* SCHED_NO_DEADLINE: after all that have one, in order of arrival */
	uint32_t least_us;   /* what it takes at its smallest level */
	uint32_t pos;        /* in the heap */
	uint64_t seq;        /* order of arrival; set by sched_push() */
};

struct sched_queue {
	struct sched_item **heap; /* the first is the most urgent */
	uint32_t n, capacity;
	uint32_t active; /* index in struct sched while n > 0 */
	double served_us;
};

struct sched {
	struct sched_queue **active; /* queues with work */
	uint32_t n_active, capacity;
	uint32_t n_waiting;
	uint64_t seq;
	double least_us; /* of all that wait, at their smallest levels */
	double floor_us; /* served_us of the least served queue when last looked */
};

int sched_init(struct sched *s, uint32_t queues);
void sched_done(struct sched *s);
int sched_queue_init(struct sched_queue *q, uint32_t capacity);
void sched_queue_done(struct sched_queue *q);

/* @q must have room: the caller admits at most its capacity. */
void sched_push(struct sched *s, struct sched_queue *q, struct sched_item *item);
/* Takes the next out of its queue; NULL if none waits. */
struct sched_item *sched_pick(struct sched *s, struct sched_queue **ret_queue);
void sched_remove(struct sched *s, struct sched_queue *q, struct sched_item *item);
/* Counts @us of service against @q. */
void sched_charge(struct sched_queue *q, double us);

/*
 * For how long, in nanoseconds from @now_ns, @workers workers can do something else before a
 * waiting request misses its deadline at its smallest level; INT64_MAX if none has one, negative if
 * it is too late already. Requests that are lost anyway do not count. Looks at most at
 * SCHED_LOOK_AHEAD requests of the most urgent.
 */
int64_t sched_slack_ns(const struct sched *s, int64_t now_ns, unsigned workers, double stretch);
#define SCHED_LOOK_AHEAD 64u

#endif
