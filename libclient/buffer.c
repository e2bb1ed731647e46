// SPDX-License-Identifier: MIT
/*
 * Buffers: memory that the application and the daemon share. The application owns each; the daemon
 * gets a descriptor and, for inputs, cannot write through it. A buffer outlives the daemon: the
 * handshake of a new session hands it over again.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libclient/internal.h"

static void unlink_buffer(struct neap_buffer *b)
{
	struct neap *n = b->n;

	if (n->asked == b)
		n->asked = NULL;
	if (b->prev)
		b->prev->next = b->next;
	else
		n->buffers = b->next;
	if (b->next)
		b->next->prev = b->prev;
	b->n = NULL;
}

static void destroy(struct neap_buffer *b)
{
	if (b->data)
		munmap(b->data, b->mapped);
	if (b->fd >= 0)
		close(b->fd);
	free(b);
}

static void message(const struct neap_buffer *b, struct neap_msg_buf_add *m)
{
	*m = (struct neap_msg_buf_add){
		.h.type = NEAP_MSG_BUF_ADD,
		.bytes = b->bytes,
		.flags = b->kind == NEAP_BUFFER_INPUT ? NEAP_WIRE_BUF_READ : NEAP_WIRE_BUF_WRITE,
	};
}

int client_buffer_ask(struct neap *n, struct neap_buffer *b)
{
	struct neap_msg_buf_add m;

	message(b, &m);
	return client_session_send(n, &m.h, sizeof(m), b->fd);
}

void client_buffer_answer(struct neap *n, struct neap_buffer *b)
{
	const struct neap_msg_handle *r = &n->reply.m.handle;

	b->session = n->session;
	b->error = 0;
	if (r->h.status < 0)
		b->error = r->h.status;
	else if (n->reply.bytes != sizeof(*r))
		b->error = -EBADMSG;
	else
		b->handle = r->handle;
}

/* Tells the daemon of it; a session lost meanwhile does it in its handshake. */
static int announce(struct neap *n, struct neap_buffer *b)
{
	for (;;) {
		struct neap_msg_buf_add m;
		int ret = client_session_await(n);

		if (ret < 0)
			return ret;
		if (b->session == n->session)
			return b->error;
		message(b, &m);
		ret = client_session_call(n, &m.h, sizeof(m), b->fd, CLIENT_CALL_NS);
		if (ret == -ECONNRESET)
			continue;
		if (ret < 0)
			return ret;
		client_buffer_answer(n, b);
	}
}

/* From the kernel module where both the daemon and this process can use it, else a memfd. */
static int allocate(struct neap *n, struct neap_buffer *b)
{
	int ret = n->device ? client_device_new(n, b->mapped, &b->data, &b->fd) : -ENODEV;

	if (ret != -ENODEV)
		return ret;
	ret = client_region_new("neap-buffer", b->mapped,
				b->kind == NEAP_BUFFER_INPUT ? REGION_ONE_WRITER : REGION_SHARED,
				&b->data, &b->fd);
	if (ret < 0)
		client_fail(n, ret, "cannot make a buffer of %zu bytes: %s", b->bytes,
			    strerror(-ret));
	return ret;
}

int neap_buffer_new(struct neap *n, size_t bytes, enum neap_buffer_kind kind,
		    struct neap_buffer **ret_buffer)
{
	struct neap_buffer *b;
	int ret;

	if (kind != NEAP_BUFFER_INPUT && kind != NEAP_BUFFER_OUTPUT)
		return client_fail(n, -EINVAL, "a buffer is an input or an output");
	if (!bytes || bytes > PTRDIFF_MAX / 2)
		return client_fail(n, -EINVAL, "a buffer of %zu bytes", bytes);
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->fd = -1;
	b->kind = kind;
	b->bytes = bytes;
	b->mapped = (bytes + 63) / 64 * 64;
	ret = allocate(n, b);
	if (ret < 0) {
		destroy(b);
		return ret;
	}
	b->n = n;
	b->next = n->buffers;
	if (b->next)
		b->next->prev = b;
	n->buffers = b;
	ret = announce(n, b);
	if (ret < 0) {
		unlink_buffer(b);
		destroy(b);
		return ret;
	}
	*ret_buffer = b;
	return 0;
}

void neap_buffer_free(struct neap_buffer *b)
{
	struct neap *n;

	if (!b)
		return;
	n = b->n;
	if (n) {
		bool known = n->link == LINK_UP && b->session == n->session && !b->error;
		struct neap_msg_handle m = {.h.type = NEAP_MSG_BUF_REMOVE, .handle = b->handle};

		client_ring_forget(n, b, NULL);
		unlink_buffer(b);
		/* If the session is lost meanwhile the daemon has forgotten it as well. */
		if (known)
			client_session_call(n, &m.h, sizeof(m), -1, CLIENT_CALL_NS);
	}
	destroy(b);
}

void *neap_buffer_data(const struct neap_buffer *b)
{
	return b->data;
}

size_t neap_buffer_bytes(const struct neap_buffer *b)
{
	return b->bytes;
}

int neap_buffer_fd(const struct neap_buffer *b)
{
	return b->fd;
}
