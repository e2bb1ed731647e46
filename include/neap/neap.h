/* SPDX-License-Identifier: MIT */
/*
 * libneap: run neap models through the daemon, at the depth and width that the moment allows.
 *
 *	struct neap *n;
 *	struct neap_model *m;
 *	struct neap_buffer *in, *out;
 *	struct neap_request rq = { .model = NULL };
 *	struct neap_completion c;
 *
 *	neap_connect(NULL, &n);
 *	neap_model_open(n, "fashion", &m);
 *	neap_buffer_new(n, neap_model_info(m)->in_bytes, NEAP_BUFFER_INPUT, &in);
 *	neap_buffer_new(n, neap_model_info(m)->out_bytes, NEAP_BUFFER_OUTPUT, &out);
 *	memcpy(neap_buffer_data(in), image, 784);
 *	rq = (struct neap_request){ .model = m, .in = in, .out = out, .deadline_us = 5000 };
 *	neap_run(n, &rq, &c);          // c.level, c.depth, c.width_permille, c.reason
 *	                               // the answer: (float *)neap_buffer_data(out)
 *
 * Functions return 0 or a negative errno; `ret_` outputs are untouched on failure;
 * neap_strerror() gives the text, neap_last_error() what exactly went wrong. A connection may be
 * used by one thread at a time; open one per thread. After fork() only the parent may use it: the
 * child may at most exec() (all descriptors are close-on-exec).
 *
 * When the daemon dies the library reconnects and submits again what was not answered: every
 * accepted request completes exactly once, with an answer or with an error.
 */
#ifndef NEAP_H
#define NEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

struct neap;        /* a connection to the daemon */
struct neap_model;  /* an opened model */
struct neap_buffer; /* shared memory for inputs or outputs */

enum neap_dtype {
	NEAP_F32 = 1,
	NEAP_S8 = 3,
	NEAP_U8 = 4,
	NEAP_S16 = 5,
	NEAP_S32 = 6,
	NEAP_S64 = 7,
	NEAP_BOOL = 8,
};

enum neap_reason { /* what kept the request from a better level */
		   NEAP_REASON_FULL = 0,
		   NEAP_REASON_TIME = 1,
		   NEAP_REASON_ENERGY = 2,
		   NEAP_REASON_CPU = 3,
		   NEAP_REASON_CAP = 4,
		   NEAP_REASON_CONFIDENCE = 5,
};

/* ---- connection ---- */

/* Options; zero-initialise. */
struct neap_options {
	const char *socket;    /* NULL: $NEAP_SOCKET, else /run/neap/neapd.sock */
	const char *name;      /* shown in neapctl top; NULL: the program's name */
	uint32_t entries;      /* requests in flight, power of two, 8..4096; 0 = 64 */
	uint32_t reconnect_ms; /* how long to try to reach a restarted daemon; 0 = 10000 */
	bool no_reconnect;     /* report -ECONNRESET instead */
};

/* Connects. @opt may be NULL. -ENOENT, -ECONNREFUSED: no daemon; -EACCES: not in group neap;
 * -EPROTO: the daemon speaks another version. */
int neap_connect(const struct neap_options *opt, struct neap **ret_neap);
/* Closes; takes NULL. Buffers and models of the connection must have been freed; requests that
 * have not completed are dropped. */
void neap_close(struct neap *n);

/* Readable (POLLIN) when neap_poll() has something to do; then call neap_poll() until it returns
 * less than @max. Valid until neap_close(): reconnecting keeps the number. Never read from it. */
int neap_fd(struct neap *n);

/* ---- models ---- */

#define NEAP_MAX_RANK 6
#define NEAP_MAX_IO   8

struct neap_tensor_info {
	const char *name;
	enum neap_dtype dtype;
	uint32_t rank;
	int32_t dim[NEAP_MAX_RANK];
	float scale; /* quantised values: real = (q - zero) * scale; 0 = real or raw values */
	int32_t zero;
	size_t offset; /* in the input or output block, bytes */
	size_t bytes;
};

struct neap_model_info {
	const char *name;
	uint32_t levels, exits;
	float accuracy_min, accuracy_max; /* of the levels, 0..1; negative = not measured */
	uint32_t inputs, outputs;
	size_t in_bytes, out_bytes; /* of the whole blocks */
	struct neap_tensor_info input[NEAP_MAX_IO], output[NEAP_MAX_IO];
};

/* Opens the model that the daemon serves as @name. -ENOENT: none of that name. The file may be
 * replaced meanwhile (neap_completion.generation tells); if it is removed or its shapes differ,
 * requests complete with -ESTALE: close the model and open it again. */
int neap_model_open(struct neap *n, const char *name, struct neap_model **ret_model);
void neap_model_close(struct neap_model *m);
const struct neap_model_info *neap_model_info(const struct neap_model *m);

/* ---- buffers ---- */

enum neap_buffer_kind {
	NEAP_BUFFER_INPUT = 1,  /* the daemon can only read it */
	NEAP_BUFFER_OUTPUT = 2, /* the daemon writes it */
};

/* Zeroed shared memory of at least @bytes, 64-byte aligned: from the kernel module where it is loaded,
 * else a memory file. -EDQUOT: over a limit of the daemon or of the module. Requests with it complete
 * with -ENODEV if a daemon comes back that does not use the module. Not for a child made by
 * fork(): the module's buffers are not mapped there. */
int neap_buffer_new(struct neap *n, size_t bytes, enum neap_buffer_kind kind,
		    struct neap_buffer **ret_buffer);
/* Takes NULL. Waits for no request: take the completions of those that use it first. */
void neap_buffer_free(struct neap_buffer *b);
void *neap_buffer_data(const struct neap_buffer *b);
size_t neap_buffer_bytes(const struct neap_buffer *b);
int neap_buffer_fd(const struct neap_buffer *b); /* to pass to a producer; owned by the buffer */

/* ---- requests ---- */

struct neap_request {
	struct neap_model *model;
	struct neap_buffer *in, *out;
	size_t in_offset, out_offset; /* multiples of 64 */
	int64_t deadline_us;          /* from neap_submit(); 0 = none; negative: already past */
	float min_accuracy; /* floor of expected accuracy, 0..1; wins over energy, not over time */
	float confidence;   /* leave at an exit this sure, 0..1; 0 = the model's; > 1 = never */
	bool strict;        /* -ETIME at once rather than a late answer */
	/* A model that keeps values from run to run does so for each neap_model_open(): its requests are
	 * one stream, run in the order of submission, at the level that the first was given. */
	bool begin_stream; /* forget what was kept, choose the level anew */
	uint64_t user_data;
};

struct neap_completion {
	uint64_t user_data;
	int status; /* 0; -ETIME strict and no time; -ECANCELED; -ECONNRESET daemon gone for good; ... */
	uint16_t level, depth; /* that answered */
	uint16_t width_permille;
	enum neap_reason reason;
	bool degraded;        /* nothing fitted: this is the smallest level */
	bool late;            /* after the deadline */
	bool energy_measured; /* else modelled */
	bool stream_began; /* nothing was kept from before: the first of a stream, or the model was
			       * replaced, or the daemon was started again */
	float accuracy;    /* expected */
	float confidence;  /* largest probability of the answer */
	uint32_t top_index;
	uint32_t queue_us, run_us; /* waiting for a worker; computing */
	uint32_t run_ns;           /* run_us, finer; UINT32_MAX where it is longer than fits */
	uint32_t energy_uj;
	uint32_t generation; /* of the model's file */
};

/* Puts a request on the ring. -EAGAIN: ring full, take completions first. -EINVAL: a field out of
 * range, a buffer too small or of the wrong kind. -ECONNRESET: the daemon is gone for good. While
 * the daemon is being reached again requests are accepted, and sent when it is back. */
int neap_submit(struct neap *n, const struct neap_request *rq);
/* Asks to drop a request; it still completes, with -ECANCELED if it had not been started. -ENOENT:
 * none pending with this user_data (of several the oldest submitted is meant); -EAGAIN: ring full. */
int neap_cancel(struct neap *n, uint64_t user_data);
/* Takes up to @max completions without waiting; returns their number. */
int neap_poll(struct neap *n, struct neap_completion *ret, unsigned max);
/* Waits until there is at least one or @timeout_ms (-1 = forever) has passed; returns their
 * number, 0 on time-out and where no request is pending. -EINTR on a signal. */
int neap_wait(struct neap *n, struct neap_completion *ret, unsigned max, int timeout_ms);
/* Submit and wait for this request; other completions stay for neap_poll(). Returns its status.
 * Signals do not interrupt it: give the request a deadline and strict where that matters. */
int neap_run(struct neap *n, const struct neap_request *rq, struct neap_completion *ret);
/* Requests submitted and not yet taken as completions. */
unsigned neap_pending(const struct neap *n);

/* ---- control (what neapctl uses) ---- */

/* Sends a command ("status", "models", "top", "budget get", "budget set latency_us 5000",
 * "load PATH", "unload NAME", "drain"); *ret_json is freed with free(). */
int neap_control(struct neap *n, const char *command, char **ret_json);

/* ---- errors ---- */

const char *neap_strerror(int error);              /* of a negative errno, in neap's terms */
const char *neap_last_error(const struct neap *n); /* details of the last failure; "" = none.
						    * NULL = of a failed neap_connect, per thread */
const char *neap_reason_name(enum neap_reason r);
const char *neap_version(void);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
