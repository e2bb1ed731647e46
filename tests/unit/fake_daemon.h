/* SPDX-License-Identifier: MIT */
/*
 * A daemon that lies, dies and falls silent, for tests of libneap: a thread that speaks the wire.
 * What it does wrong is set in struct fake before the client connects, or while it runs.
 */
#ifndef TESTS_UNIT_FAKE_DAEMON_H
#define TESTS_UNIT_FAKE_DAEMON_H

#include "neap/wire.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum lie {
	HONEST,
	HELLO_SHORT,
	HELLO_VERSION,
	HELLO_REFUSED,
	HELLO_NO_ENTRIES,
	HELLO_GARBAGE,
	HELLO_HANG_UP,
	RINGS_NO_FD,
	RINGS_SMALL,
	RINGS_UNSEALED,
	RINGS_PIPE_BELL,
	RINGS_REFUSED,
	MODEL_NAME,
	MODEL_RANK,
	MODEL_OFFSET,
	MODEL_BYTES,
	MODEL_COUNT,
	MODEL_SHORT,
	BUFFER_REFUSED,
	BUFFER_RESET, /* a status that is the library's own */
	CQ_TAIL,
	SQ_HEAD,
	CQ_TWICE,   /* each completion three times */
	CQ_FOREIGN, /* and some that nobody asked for */
	CQ_STATUS,  /* a positive status */
	CONTROL_NO_FD,
	CONTROL_UNSEALED,
	CONTROL_PIPE,
	CONTROL_NUL,
	FLOOD, /* messages that nobody asked for */
};

struct fake {
	char dir[64], path[128];
	int listener;
	pthread_t thread;
	volatile bool stop;
	volatile enum lie lie;
	volatile int die_after; /* entries taken, then the connection is closed; 0 = never */
	volatile bool deadly;   /* closes the connection over every entry */
	volatile bool silent;   /* takes entries, answers none */
	volatile uint32_t in_bytes;
	volatile unsigned sessions, taken, cancels;
	uint32_t entries;
	/* of the session */
	const struct neap_ring_client *client;
	struct neap_ring_daemon *daemon;
	uint32_t sq_head, cq_tail;
	size_t client_bytes, daemon_bytes;
	uint64_t held[256];
	unsigned n_held;
};

/* Listens on f->path, in a directory of its own. */
void fake_start(struct fake *f, enum lie lie);
void fake_stop(struct fake *f);

#endif
