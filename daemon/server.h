/* SPDX-License-Identifier: MIT */
/*
 * The whole of the daemon: what the loop's thread and the workers share.
 *
 * One lock guards sessions, rings, queues, the governor, model references and counters. It is held
 * for less than a microsecond a request; a finer one would cost more than it gives as long as
 * workers are few. Never held while a model runs.
 */
#ifndef NEAPD_SERVER_H
#define NEAPD_SERVER_H

#include "daemon/budget.h"
#include "daemon/config.h"
#include "daemon/loop/loop.h"
#include "daemon/sensors/sensors.h"
#include "daemon/session.h"

#include <pthread.h>

#define SERVER_MAX_SESSIONS         256u
#define SERVER_MAX_SESSIONS_PER_UID 128u
#define SERVER_MAX_BYTES            ((uint64_t)1 << 30) /* of all buffers and rings */
#define SERVER_MAX_BYTES_PER_UID    ((uint64_t)512 << 20)
#define SERVER_MAX_WORKERS          64u
#define SERVER_BACKLOG              128
/* How long a stopping daemon waits for requests that it has accepted. */
#define SERVER_DRAIN_US 5000000

struct worker;

struct server {
	struct config *config; /* the caller's; SIGHUP changes parts of it */
	struct loop *loop;
	const struct transport *transport;
	char transport_why[160];
	struct budget_store *budget;
	bool budget_by_module; /* of the running kernel, not of a fake tree */
	struct sensors *sensors;
	struct models *models;
	int listen_fd;
	bool listen_inherited; /* systemd's: its file stays */
	int reserve_fd;        /* given up to say no where there are no descriptors left */
	uint64_t instance;
	int64_t start_us, drain_us;
	struct loop_source *listen_source, *budget_source, *sensors_source, *models_source,
		*signal_source;
	struct loop_source *models_timer, *tick_timer, *overflow_timer, *watchdog_timer,
		*stop_timer;
	int signal_fd;
	int64_t watchdog_us; /* between pings; 0 = none wanted */
	int64_t overflow_us; /* until the next look at full completion rings */
	bool ticking;        /* sensors are read often because requests come */
	uint64_t ticked_requests;

	pthread_mutex_t lock; /* guards all below */
	bool draining;        /* nothing new is taken */
	bool stopping;        /* workers leave when nothing is queued */
	struct session *session[SERVER_MAX_SESSIONS];
	uint32_t n_session;
	uint64_t next_session;
	struct account account[SERVER_MAX_SESSIONS];
	uint64_t bytes;
	struct sched sched;
	struct session *awake[SERVER_MAX_SESSIONS];
	uint32_t n_awake, n_rings;
	uint32_t in_flight;
	bool overflow_seen; /* for the loop */
	bool quiet;         /* the loop ticks slowly: the next request wakes it */
	struct ne_governor governor;
	struct sensor_values sensed;
	uint32_t state_seq; /* of the module's state page, as taken into the governor */
	struct metrics metrics;

	/* Workers: see worker.c */
	int doorbells; /* epoll set in which idle workers wait */
	int kick_fd;   /* in it: wakes one of them */
	unsigned n_idle, n_worker;
	int64_t polled_ns; /* when doorbells were last looked at by a busy worker */
	struct worker *worker;
};

int server_new(struct config *c, struct server **ret, struct ne_error *err);
void server_free(struct server *srv);
/* Serves until told to stop; 0 or a negative errno. */
int server_run(struct server *srv);

/* Take nothing new, finish what was accepted, then leave server_run(). The loop's thread. */
void server_drain(struct server *srv);

/* Counts @bytes against session, user and machine; -EDQUOT with the limit that stands in the way.
 * With the lock held. */
int server_charge(struct server *srv, struct session *s, uint64_t bytes, struct ne_error *err);
void server_uncharge(struct server *srv, struct account *a, uint64_t bytes);

/* state.c: takes what the module's state page says into the governor, where it changed. No system
 * call, so it is done for each request: a change counts even while the loop is busy. With the lock
 * held. */
void server_follow_state(struct server *srv, int64_t now_us);

/* Runs a text command for a client of user @uid; *ret_json is freed with free(). */
int control_run(struct server *srv, uid_t uid, const char *text, char **ret_json,
		struct ne_error *err);

static inline int64_t server_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

#endif
