/* SPDX-License-Identifier: MIT */
/*
 * The wire between libneap and neapd: messages on an AF_UNIX SOCK_SEQPACKET socket, and two ring
 * regions in shared memory. Written down for people in docs/protocol.md.
 *
 * All integers are native endian (both ends are one machine), naturally aligned; reserved fields
 * are zero and checked. Everything here comes from somebody who may lie: each side copies once and
 * validates the copy.
 */
#ifndef NEAP_WIRE_H
#define NEAP_WIRE_H

#include <stdint.h>

#define NEAP_WIRE_VERSION 1u
#define NEAP_WIRE_SOCKET  "/run/neap/neapd.sock"

/* Limits; a message or entry beyond one is answered with an error or ends the session. */
#define NEAP_WIRE_MSG_BYTES   4096u /* longest message either way; larger answers travel as a memfd */
#define NEAP_WIRE_NAME_BYTES  64u   /* model and tensor names, NUL included */
#define NEAP_WIRE_MAX_FDS     2u
#define NEAP_WIRE_MIN_ENTRIES 8u
#define NEAP_WIRE_MAX_ENTRIES 4096u
#define NEAP_WIRE_MAX_IO      8u
#define NEAP_WIRE_MAX_RANK    6u

enum neap_msg_type {
	/* client to daemon; the reply has the same type with NEAP_MSG_REPLY set and the same id */
	NEAP_MSG_HELLO = 1,
	NEAP_MSG_RINGS = 2,   /* fd: client region */
	NEAP_MSG_BUF_ADD = 3, /* fd: the buffer */
	NEAP_MSG_BUF_REMOVE = 4,
	NEAP_MSG_MODEL_OPEN = 5,
	NEAP_MSG_MODEL_CLOSE = 6,
	NEAP_MSG_CONTROL = 7, /* neapctl: a text command, a JSON answer in a memfd */
	/* daemon to client, unasked; id 0. WAKE is a bare header */
	NEAP_MSG_WAKE = 64,    /* completions were posted while the client slept */
	NEAP_MSG_GOODBYE = 65, /* the session ends; status and text tell why */
	NEAP_MSG_REPLY = 0x8000,
};

struct neap_msg {
	uint16_t type;
	uint16_t reserved;
	uint32_t id;    /* chosen by the asker, copied into the reply */
	int32_t status; /* replies: 0 or a negative errno; requests: 0 */
	uint32_t bytes; /* of the whole message, this header included */
};

/*
 * A failed reply of neapd (status negative) has the layout of struct neap_msg_goodbye with its own
 * type and id; CONTROL is told below. Good replies to RINGS (two descriptors), *_REMOVE and *_CLOSE
 * are bare headers.
 */

struct neap_msg_hello {
	struct neap_msg h;
	uint32_t version;                /* NEAP_WIRE_VERSION */
	uint32_t features;               /* none yet: 0 */
	char name[NEAP_WIRE_NAME_BYTES]; /* of the client, for neapctl top */
};

struct neap_msg_hello_reply {
	struct neap_msg h;
	uint32_t version, features;
	uint64_t session;  /* unique in this daemon's life */
	uint64_t instance; /* random for each start of the daemon */
	uint32_t max_entries, max_buffers;
	uint64_t max_buffer_bytes, max_session_bytes;
	char transport[16]; /* "memfd", or "device": buffers of /dev/neap are taken as well */
};

/* The client makes its region (one writer: sealed FUTURE_WRITE|SHRINK|GROW|SEAL after mapping it),
 * passes it, and gets back the daemon's region (fd 0, sealed likewise) and the doorbell eventfd
 * (fd 1) that it writes 1 to when neap_ring_daemon.asleep is set. The daemon never reads the
 * doorbell: edges alone wake it, so nothing that a client does to it can block the daemon. */
struct neap_msg_rings {
	struct neap_msg h;
	uint32_t entries; /* power of two */
	uint32_t reserved;
};

enum neap_wire_buf_flags {
	NEAP_WIRE_BUF_READ = 1,  /* the daemon reads it (inputs) */
	NEAP_WIRE_BUF_WRITE = 2, /* the daemon writes it (outputs) */
};

/* A memfd's seals that are checked: SHRINK|GROW always; with FUTURE_WRITE it can only be READ. */
struct neap_msg_buf_add {
	struct neap_msg h;
	uint64_t bytes; /* at most the file's size */
	uint32_t flags;
	uint32_t reserved;
};

struct neap_msg_handle { /* BUF_ADD and MODEL_OPEN replies, *_REMOVE and *_CLOSE requests */
	struct neap_msg h;
	uint32_t handle;
	uint32_t reserved;
};

struct neap_msg_model_open {
	struct neap_msg h;
	char name[NEAP_WIRE_NAME_BYTES];
};

struct neap_wire_io {
	char name[NEAP_WIRE_NAME_BYTES];
	uint32_t dtype; /* enum neap_dtype in neap.h */
	uint32_t rank;
	int32_t dim[NEAP_WIRE_MAX_RANK];
	float scale;
	int32_t zero;
	uint64_t offset; /* in the request's input or output block, 64-byte aligned */
	uint64_t bytes;
};

struct neap_msg_model_reply {
	struct neap_msg h;
	uint32_t handle;
	uint32_t generation; /* changes when the file is replaced */
	uint32_t n_level, n_exit, n_in, n_out;
	uint64_t in_bytes, out_bytes; /* of the blocks */
	float accuracy_min, accuracy_max;
	struct neap_wire_io io[2 * NEAP_WIRE_MAX_IO]; /* inputs, then outputs from n_in on */
};

/* The message ends with the text's NUL or anywhere behind it. The reply is a bare header with one
 * descriptor, whether it failed or not: a memfd sealed SHRINK|GROW|WRITE that holds the JSON text (no
 * NUL, at most NEAP_WIRE_JSON_BYTES); of a failure {"error": "why"}. Only where the daemon has no
 * memory for that, a failed reply as of other messages. */
#define NEAP_WIRE_JSON_BYTES (4u << 20)
struct neap_msg_control {
	struct neap_msg h;
	char text[NEAP_WIRE_MSG_BYTES - 16]; /* NUL-terminated command, see docs/protocol.md */
};

struct neap_msg_goodbye {
	struct neap_msg h;
	char text[192];
};

/* ---- rings ---- */

/* CANCEL names a request by user_data (other fields zero) and posts no completion of its own: the
 * request completes as ever, with -ECANCELED if it had not been started. A client keeps its RUN
 * entries without a consumed completion at or below the ring's entries. */
enum neap_sqe_op { NEAP_SQE_RUN = 1, NEAP_SQE_CANCEL = 2 };
enum neap_sqe_flags {
	NEAP_SQE_STRICT = 1,
	NEAP_SQE_ANEW = 2, /* begins a new stream, where the model keeps values from run to run */
};

struct neap_sqe {
	uint64_t user_data;
	uint32_t model;
	uint16_t op, flags;
	uint32_t in_buf, out_buf;
	uint64_t in_offset, out_offset; /* multiples of 64 */
	uint64_t deadline_ns;           /* CLOCK_MONOTONIC; 0 = none */
	uint16_t min_accuracy;          /* 1/10000; 0 = none */
	uint16_t
		confidence; /* 1/10000 that ends the run at an exit; 0 = the model's; 65535 = never */
	uint32_t reserved0;
	uint64_t reserved1;
};

enum neap_cqe_flags {
	NEAP_CQE_DEGRADED = 1, /* nothing fitted, or the floor could not be kept */
	NEAP_CQE_MEASURED = 2, /* energy_uj was measured, else modelled */
	NEAP_CQE_LATE = 4,     /* answered after the deadline */
	NEAP_CQE_BEGAN = 8,    /* first run of a stream: the model kept nothing from before */
};

struct neap_cqe {
	uint64_t user_data;
	int32_t status; /* 0 or a negative errno */
	uint16_t level; /* that answered */
	uint16_t depth; /* exit that answered, 0-based */
	uint16_t width_permille;
	uint8_t reason; /* enum neap_reason */
	uint8_t flags;
	uint16_t accuracy;   /* expected, 1/10000 */
	uint16_t confidence; /* largest output where it is a probability, 1/10000 */
	uint32_t queue_us, run_us;
	uint32_t energy_uj;
	uint32_t generation; /* of the model */
	uint64_t done_ns;    /* CLOCK_MONOTONIC */
	uint64_t reserved[1];
	uint32_t top_index; /* index of the largest output */
	uint32_t run_ns;    /* the run to the nanosecond; 2^32 - 1 = longer than fits */
};

_Static_assert(sizeof(struct neap_sqe) == 64, "a cache line");
_Static_assert(sizeof(struct neap_cqe) == 64, "a cache line");

/* Sleeping and waking. The daemon: store asleep = 1, full fence, look at sq_tail again, sleep. The
 * client: store sq_tail (release), full fence, look at asleep, ring the doorbell where it is 1. The
 * same the other way round with waiting, cq_tail and NEAP_MSG_WAKE. A WAKE that the socket has no
 * room for is dropped: one that the client has not read yet wakes it as well.
 *
 * Free-running u32 indices; entry i lies at i & (entries - 1). Head is where the reader is, tail
 * where the writer is; tail - head <= entries always. Stores with release, loads with acquire. */
struct neap_ring_client { /* written by the client alone */
	uint32_t sq_tail;
	uint32_t pad0[15];
	uint32_t cq_head;
	uint32_t waiting; /* 1 = send NEAP_MSG_WAKE with the next completion */
	uint32_t pad1[14];
	struct neap_sqe sqe[];
};

struct neap_ring_daemon { /* written by the daemon alone */
	uint32_t cq_tail;
	uint32_t pad0[15];
	uint32_t sq_head;
	uint32_t asleep; /* 1 = write the doorbell after a submission */
	uint32_t pad1[14];
	struct neap_cqe cqe[];
};

#endif
