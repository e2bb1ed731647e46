/* SPDX-License-Identifier: MIT */
/*
 * A session: one connected client, its buffers, handles and rings.
 *
 * Ownership. The server's table holds one reference while the client is connected, each request
 * in flight another. The last one closes the socket and unmaps the rings. A buffer is referenced by
 * its handle and by each request that uses it, so one that is removed, or whose client has died,
 * stays mapped until the run that computes on it is done.
 *
 * Locking. What is marked "guarded" is under server->lock; the rest belongs to the loop's thread.
 */
#ifndef NEAPD_SESSION_H
#define NEAPD_SESSION_H

#include "daemon/metrics.h"
#include "daemon/models.h"
#include "daemon/protocol.h"
#include "daemon/scheduler.h"
#include "daemon/transport/transport.h"

#include <pthread.h>
#include <sys/socket.h>

#define SESSION_MAX_BUFFERS 256u
#define SESSION_MAX_MODELS  64u
#define SESSION_MAX_BYTES   ((uint64_t)256 << 20) /* of buffers and rings */
#define SESSION_MAX_BUFFER  ((uint64_t)64 << 20)
/* Messages of one client that are handled before others have their turn. */
#define SESSION_TURN 16u

struct server;
struct session;
struct stream;

/* What one user has, over all sessions; in the server's table. */
struct account {
	uid_t uid;
	unsigned sessions; /* 0 and no bytes: the entry is free */
	uint64_t bytes;
};

struct buffer {
	unsigned refs;  /* atomic */
	unsigned flags; /* enum neap_wire_buf_flags */
	struct transport_map map;
	struct device_buffer *own; /* strict_buffers: owned while a model runs; else NULL */
	struct server *server;
	struct account *account; /* that pays for its bytes */
};

struct request {
	struct sched_item item; /* first: the scheduler gives back its address */
	struct session *session;
	struct request *next_free;
	uint64_t user_data;
	struct model *model; /* counted in model->users */
	uint64_t io_id;
	struct buffer *in, *out; /* references */
	uint64_t in_offset, out_offset;
	int64_t deadline_ns;            /* SCHED_NO_DEADLINE */
	int64_t taken_ns;               /* from the ring */
	float min_accuracy, confidence; /* confidence: 0 = the model's, > 1 = never */
	bool strict, queued;
	struct stream *stream; /* reference; NULL: the model keeps nothing */
	struct request *next_parked;
	bool parked; /* waits for its turn in the stream, not in the scheduler */
	bool anew;   /* begins the stream */
};

struct buffer_handle {
	uint32_t handle; /* 0 = free */
	struct buffer *buffer;
};

struct model_handle {
	uint32_t handle; /* 0 = free */
	struct model *model;
	uint64_t io_id;        /* what the client was told of inputs and outputs */
	struct stream *stream; /* reference; NULL until one is needed */
};

/* The daemon's side of a ring pair; all guarded. */
struct rings {
	struct transport_map client_map, daemon_map;
	const struct neap_ring_client *client; /* NULL: no rings yet */
	struct neap_ring_daemon *daemon;
	uint32_t entries;
	uint32_t sq_head, cq_tail; /* our own; what is in shared memory is a copy for the client */
	uint32_t in_flight;        /* taken and not completed */
	bool wake;                 /* the client wants to be told of what rings_take() answered */
	bool awake;                /* in server->awake: a worker looks at the ring by itself */
	struct request *request;   /* [entries] */
	struct request *free_request;
	struct neap_cqe *overflow; /* [entries]: completions that the ring has no room for */
	uint32_t overflow_head, n_overflow;
	struct sched_queue queue;
};

struct session {
	unsigned refs; /* atomic */
	struct server *server;
	struct loop_source *source;
	int fd;       /* closed with the last reference */
	int doorbell; /* -1 until RINGS */
	uint32_t slot;
	uint64_t id;
	uid_t uid;
	pid_t pid;
	bool hello;
	bool ended; /* guarded; also read by workers between exits: atomic */
	char name[NEAP_WIRE_NAME_BYTES];
	struct account *account;
	uint64_t bytes;         /* guarded; of buffers and rings */
	uint32_t handle_serial; /* makes handles differ from those that were there before */
	struct buffer_handle buffer[SESSION_MAX_BUFFERS]; /* guarded */
	struct model_handle model[SESSION_MAX_MODELS];    /* guarded */
	struct rings rings;
	struct metrics_session metrics; /* guarded */
};

/* Takes over @fd, also on failure. Account and slot are set by the server. */
int session_new(struct server *srv, int fd, struct session **ret);
struct session *session_ref(struct session *s);
void session_unref(struct session *s); /* without the lock */

/* Drops queued work, tells the client why unless @text is NULL, hangs up; the caller drops the
 * table's reference. The loop's thread, without the lock. */
void session_end(struct session *s, int status, const char *text);
/* The same asked for by a worker that found nonsense in a ring: the loop sees the hang-up and ends
 * the session. With the lock held. */
void session_break(struct session *s, const char *text);

/* messages.c. The socket is readable: handles up to SESSION_TURN messages. Returns < 0 if the session has to
 * end, with status and text in @why. */
int session_receive(struct session *s, struct ne_error *why);

/* Sends without waiting. */
int session_send(struct session *s, const void *msg, size_t bytes, const int *fds, unsigned n_fds);
int session_send_goodbye(int fd, uint16_t type, uint32_t id, int status, const char *text);
/* NEAP_MSG_WAKE; any thread. */
void session_wake(struct session *s);

/* A handle for place @index of a table, unlike those that the place had before; and back. */
uint32_t session_new_handle(struct session *s, uint32_t index);
uint32_t session_handle_index(uint32_t handle);
/* With the lock held; NULL: no such handle. */
struct buffer *session_buffer(struct session *s, uint32_t handle);
struct model_handle *session_model(struct session *s, uint32_t handle);

void buffer_unref(struct buffer *b); /* takes NULL; without the lock */

#endif
