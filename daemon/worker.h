/* SPDX-License-Identifier: MIT */
/*
 * The threads that compute.
 */
#ifndef NEAPD_WORKER_H
#define NEAPD_WORKER_H

#include "daemon/server.h"

/* Starts @n workers. */
int workers_start(struct server *srv, unsigned n, struct ne_error *err);
/* Lets them finish what is queued and waits for them; also for those that did start. */
void workers_stop(struct server *srv);
/* Wakes one that is idle: there is something in the queue. Any thread. */
void workers_kick(struct server *srv);
/* Microseconds since the longest run in progress began; 0 if none. Any thread. */
int64_t workers_longest_us(const struct server *srv);

#endif
