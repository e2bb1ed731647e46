/* SPDX-License-Identifier: MIT */
/*
 * The form of messages on the socket (include/neap/wire.h, docs/protocol.md): one check that every
 * message passes before anything looks into it. Pure: no sockets, no state.
 */
#ifndef NEAPD_PROTOCOL_H
#define NEAPD_PROTOCOL_H

#include "engine/base.h"
#include "neap/wire.h"

/* Any message from a client, copied out of the socket. */
union protocol_message {
	struct neap_msg h;
	struct neap_msg_hello hello;
	struct neap_msg_rings rings;
	struct neap_msg_buf_add buf_add;
	struct neap_msg_handle handle;
	struct neap_msg_model_open model_open;
	struct neap_msg_control control;
	char raw[NEAP_WIRE_MSG_BYTES];
};

/*
 * Checks @bytes at @msg (any alignment) that came with @n_fds descriptors: length for its type,
 * reserved fields, strings ended, count of descriptors, fields that have few legal values.
 * Returns the type (enum neap_msg_type), or -EPROTO with the reason. After it a message of the type
 * can be read as its struct. What needs to know the session (handles, limits, order) is not here.
 */
int protocol_check(const void *msg, size_t bytes, unsigned n_fds, struct ne_error *err);

/* "BUF_ADD" and so on; "?" for an unknown type. */
const char *protocol_name(unsigned type);

/*
 * The entry of the submission ring: what can be said without the session. Returns 0 or -EINVAL
 * with the reason. @sqe is a private copy.
 */
int protocol_check_sqe(const struct neap_sqe *sqe, struct ne_error *err);

/* True if [offset, offset + need) lies in a buffer of @bytes. */
bool protocol_range_fits(uint64_t offset, uint64_t need, uint64_t bytes);

#endif
