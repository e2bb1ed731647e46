/* SPDX-License-Identifier: MIT */
/*
 * A client without libneap, which can do everything wrong: it speaks the wire as include/neap/wire.h
 * lays it out, one step a function, and lets tests look into and scribble over what it shares.
 */
#ifndef NEAP_TEST_RAW_H
#define NEAP_TEST_RAW_H

#include "neap/wire.h"
#include "tests/system/harness.h"

struct raw {
	int fd;
	bool device; /* the daemon takes buffers of the kernel module */
	uint32_t id;
	uint32_t entries;
	struct neap_ring_client *client; /* NULL until raw_rings() */
	const struct neap_ring_daemon *daemon;
	size_t client_bytes, daemon_bytes;
	int client_fd, daemon_fd, doorbell;
	/* After raw_ready(): */
	struct neap_msg_model_reply model;
	uint32_t in, out; /* handles */
	char *in_data, *out_data;
	size_t in_bytes, out_bytes; /* mapped */
};

struct raw_reply {
	ssize_t bytes; /* 0 = hung up; negative errno, -ETIMEDOUT where nothing came */
	int fd[4], n_fd;
	union {
		struct neap_msg h;
		struct neap_msg_hello_reply hello;
		struct neap_msg_handle handle;
		struct neap_msg_model_reply model;
		struct neap_msg_goodbye goodbye;
		char raw[NEAP_WIRE_MSG_BYTES];
	} m;
};

/* Called between any two steps that another process could see; NULL = not. */
extern void (*raw_step)(void);

void raw_connect(struct raw *r, struct harness *h);
void raw_close(struct raw *r); /* unmaps and closes all that is open */

/* Any bytes with any descriptors; 0 or -errno. */
int raw_send(struct raw *r, const void *bytes, size_t n, const int *fds, int n_fd);
/* One message, waiting at most @timeout_ms. Its descriptors are the caller's: raw_reply_done(). */
void raw_receive(struct raw *r, struct raw_reply *ret, int timeout_ms);
void raw_reply_done(struct raw_reply *reply);
/* Fills in id and bytes, sends, and takes the reply to it (WAKE messages are passed over). */
void raw_call(struct raw *r, struct neap_msg *m, size_t bytes, const int *fds, int n_fd,
	      struct raw_reply *ret);

/* The steps of an orderly client; each fails the test where the daemon refuses. */
void raw_hello(struct raw *r);
void raw_rings(struct raw *r, uint32_t entries);
/* Of the kernel module where the daemon takes such, else a memfd. */
uint32_t raw_buffer(struct raw *r, size_t bytes, uint32_t flags, char **ret_data);
uint32_t raw_add(struct raw *r, int fd, size_t bytes, uint32_t flags); /* @fd stays the caller's */
/* A buffer of the kernel module; -1 where there is no /dev/neap. */
int raw_device_buffer(size_t bytes);
void raw_model(struct raw *r, const char *name);
void raw_ready(struct raw *r, struct harness *h, const char *model, uint32_t entries);

/* Writes one entry for the model and buffers of raw_ready() and rings the doorbell if need be. */
void raw_submit(struct raw *r, uint64_t user_data);
struct neap_sqe raw_sqe(const struct raw *r, uint64_t user_data);
void raw_push(struct raw *r, const struct neap_sqe *sqe);
void raw_ring(struct raw *r); /* the doorbell, always */
/* Waits for a completion and takes it; false where none came. */
bool raw_complete(struct raw *r, struct neap_cqe *ret, int timeout_ms);
/* Has the daemon ended the session (within @timeout_ms)? A goodbye's text goes to @why. */
bool raw_ended(struct raw *r, int timeout_ms, char why[192]);

/* A memfd of @bytes with @seals; -1 seals = one that cannot be sealed. */
int raw_memfd(size_t bytes, int seals);

#endif
