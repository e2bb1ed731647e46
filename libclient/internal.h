/* SPDX-License-Identifier: MIT */
/*
 * Inside libneap: the connection and what hangs on it.
 *
 * Ownership. A struct neap owns its descriptors, both ring mappings and the table of slots; it
 * lists, but does not own, the application's buffers and models. A slot is taken by neap_submit()
 * and freed when its completion is handed out: in between it holds all that is needed to submit
 * the request again to another daemon.
 */
#ifndef NEAP_CLIENT_INTERNAL_H
#define NEAP_CLIENT_INTERNAL_H

#include <errno.h>
#include <time.h>

#include "neap/neap.h"
#include "neap/wire.h"

#define CLIENT_ENTRIES        64u                  /* default */
#define CLIENT_RECONNECT_MS   10000u               /* default */
#define CLIENT_CALL_NS        (10 * 1000000000ll)  /* for an answer to a message */
#define CLIENT_CONTROL_NS     (120 * 1000000000ll) /* loading a model measures its levels */
#define CLIENT_BACKOFF_NS     (5 * 1000000ll)      /* between attempts to connect: from... */
#define CLIENT_BACKOFF_MAX_NS (500 * 1000000ll)    /* ... to */
#define CLIENT_STABLE_NS      (1000 * 1000000ll)   /* up this long: the back-off starts afresh */
/* A request that was in flight when this many daemons died may be what kills them. */
#define CLIENT_MAX_TRIES 3u

enum link_state {
	LINK_DOWN,      /* no socket; the next attempt is at next_ns */
	LINK_HANDSHAKE, /* connected; hello, rings, buffers and models are being repeated */
	LINK_UP,
	LINK_GONE, /* given up */
};

enum handshake_step { STEP_HELLO, STEP_RINGS, STEP_BUFFERS, STEP_MODELS };

enum slot_state {
	SLOT_FREE,
	SLOT_WAITING,   /* accepted, not on a ring: the daemon is away */
	SLOT_SUBMITTED, /* on the ring of this session */
	SLOT_DONE,      /* completed, not handed out */
};

struct slot {
	uint64_t id; /* on the wire; unique in the connection's life */
	enum slot_state state;
	uint8_t tries;
	bool cancelled;
	struct neap_model *model;     /* NULL: closed since */
	struct neap_buffer *in, *out; /* NULL: freed since */
	struct neap_sqe sqe;          /* all but the session's handles */
	struct neap_completion done;
};

struct neap_buffer {
	struct neap *n; /* NULL: the connection was closed */
	struct neap_buffer *prev, *next;
	enum neap_buffer_kind kind;
	void *data; /* a memfd's mapping or, where the daemon takes them, a device buffer's */
	size_t bytes, mapped;
	int fd;
	uint64_t session; /* that knows it as `handle`, or refused it with `error` */
	uint32_t handle;
	int error;
};

struct neap_model {
	struct neap *n; /* NULL: the connection was closed */
	struct neap_model *prev, *next;
	char name[NEAP_WIRE_NAME_BYTES];
	bool described; /* info is valid */
	struct neap_model_info info;
	char io_name[2 * NEAP_MAX_IO][NEAP_WIRE_NAME_BYTES];
	uint64_t session;
	uint32_t handle;
	int error;
};

/* An answer that is awaited, or has come. */
struct reply {
	uint32_t id; /* 0 = none */
	uint16_t type;
	bool come;
	uint32_t bytes;
	int fd[NEAP_WIRE_MAX_FDS]; /* -1 = none; owned until taken */
	union {
		struct neap_msg h;
		struct neap_msg_hello_reply hello;
		struct neap_msg_handle handle;
		struct neap_msg_model_reply model;
		struct neap_msg_goodbye failed;
		char bytes[NEAP_WIRE_MSG_BYTES];
	} m;
};

struct neap {
	char *path;
	char name[NEAP_WIRE_NAME_BYTES];
	uint32_t wanted_entries; /* of the table of slots */
	int64_t reconnect_ns;    /* 0 = do not */
	bool device;             /* the daemon takes buffers of the kernel module */

	enum link_state link;
	enum handshake_step step;
	void *asked; /* the buffer or model that the handshake asked about; NULL: freed since */
	bool ever_up;
	uint64_t session; /* ours: counts the connections made */
	uint32_t last_id; /* of messages */
	int64_t next_ns;  /* DOWN: next attempt. HANDSHAKE: latest end */
	int64_t give_up_ns;
	int64_t up_ns; /* when it came up */
	int64_t backoff_ns;
	int reason; /* of the last loss, negative errno */

	int socket_fd, doorbell_fd;
	int epoll_fd; /* what neap_fd() gives: the socket, the timer and the event are in it */
	int timer_fd; /* the next step of a reconnection */
	int event_fd; /* readable while completions are kept for neap_poll() */
	bool fd_used, event_set;
	int64_t timer_ns; /* what the timer is set to; 0 = off */

	struct neap_ring_client *ring_client;
	const struct neap_ring_daemon *ring_daemon;
	size_t client_bytes, daemon_bytes;
	uint32_t entries;          /* of this session's rings, at most n_slot */
	uint32_t submitted;        /* slots in SLOT_SUBMITTED, at most entries */
	uint32_t sq_tail, cq_head; /* our own copies: nobody else's word is taken for them */

	struct slot *slot;
	uint32_t n_slot;
	uint16_t *free_slot;
	uint32_t n_free;
	uint16_t *done; /* FIFO of completed slots */
	uint32_t done_head, n_done;
	uint32_t run_slot; /* that neap_run() waits for: kept out of the FIFO; UINT32_MAX = none */
	uint64_t last_slot_id;

	struct neap_buffer *buffers;
	struct neap_model *models;
	struct reply reply;
	char error[256];
};

static inline int64_t client_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* error.c: sets the text of neap_last_error() and returns @error (negative). @n NULL: per thread */
int client_fail(struct neap *n, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* region.c: shared memory, ours and theirs */
enum region_kind { REGION_ONE_WRITER, REGION_SHARED };
int client_region_new(const char *name, size_t bytes, enum region_kind kind, void **ret_data,
		      int *ret_fd);
/* Maps @bytes of a descriptor from the daemon, read only; -EBADMSG where it could shrink. */
int client_region_map(int fd, size_t bytes, const void **ret_data);
/* Copies a sealed text; *ret is NUL-terminated and freed with free(). */
int client_region_read(int fd, size_t limit, char **ret);

/* device.c: a buffer of the kernel module. -ENODEV: this process cannot have one, take a memfd. Other
 * errors are told in neap_last_error(). */
int client_device_new(struct neap *n, size_t bytes, void **ret_data, int *ret_fd);

/* session.c: the link to the daemon */
int client_session_open(struct neap *n);           /* first connection; blocks */
void client_session_close(struct neap *n);         /* drops it for good */
void client_session_lost(struct neap *n, int why); /* drops it; tries again where that is allowed */
void client_session_progress(struct neap *n);      /* all that can be done without waiting */
/* Sleeps until the daemon says something, a step of a reconnection is due or @deadline_ns has
 * passed, then client_session_progress(). -EINTR. */
int client_session_sleep(struct neap *n, int64_t deadline_ns);
/* Waits while the link is being made again. -ECONNRESET: gone. */
int client_session_await(struct neap *n);
/* Sends @m (its id is set here) and waits for the answer in n->reply. 0, the answer's negative
 * status, -ECONNRESET where the session was lost meanwhile, -ETIMEDOUT. */
int client_session_call(struct neap *n, struct neap_msg *m, size_t bytes, int fd,
			int64_t patience_ns);
int client_session_send(struct neap *n, struct neap_msg *m, size_t bytes, int fd);
int client_session_take_fd(struct neap *n,
			   unsigned i); /* of n->reply, now the caller's; -1 = none */

/* ring.c */
int client_ring_table_new(struct neap *n, uint32_t entries);
void client_ring_table_free(struct neap *n);
int client_ring_make(struct neap *n, int *ret_fd); /* our region for a new session */
int client_ring_accept(struct neap *n);            /* theirs, from n->reply */
void client_ring_drop(struct neap *n);             /* unmaps; takes what was answered first */
void client_ring_resubmit(struct neap *n);         /* a new session is up */
void client_ring_fail_all(struct neap *n, int error);
void client_ring_reap(struct neap *n);
void client_ring_forget(struct neap *n, const struct neap_buffer *b, const struct neap_model *m);
void client_ring_show(struct neap *n); /* makes neap_fd() readable, or not, after a change */

/* buffer.c, model.c: the handshake's part */
int client_buffer_ask(struct neap *n, struct neap_buffer *b);
void client_buffer_answer(struct neap *n, struct neap_buffer *b);
int client_model_ask(struct neap *n, struct neap_model *m);
void client_model_answer(struct neap *n, struct neap_model *m);

#endif
