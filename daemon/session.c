/* SPDX-License-Identifier: MIT */
/*
 * The life of a session, what it sends, its handles. messages.c holds what it is asked.
 */
#include "daemon/session.h"
#include "daemon/log.h"
#include "daemon/rings.h"
#include "daemon/server.h"
#include "daemon/stream.h"
#include "daemon/transport/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define HANDLE_INDEX_BITS 10u /* enough for the larger table; above it a serial number */

int session_new(struct server *srv, int fd, struct session **ret)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		r = -ENOMEM;
		goto fail;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		r = -errno;
		goto fail;
	}
	s->refs = 1;
	s->server = srv;
	s->fd = fd;
	s->doorbell = -1;
	s->uid = peer.uid;
	s->pid = peer.pid;
	strcpy(s->name, "?");
	*ret = s;
	return 0;
fail:
	free(s);
	close(fd);
	return r;
}

struct session *session_ref(struct session *s)
{
	__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void session_unref(struct session *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (s->rings.client)
		server_uncharge(s->server, s->account, rings_bytes(s->rings.entries));
	rings_free(&s->rings);
	close(s->fd);
	free(s);
}

void buffer_unref(struct buffer *b)
{
	if (!b || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL))
		return;
	server_uncharge(b->server, b->account, b->map.bytes);
	transport_unmap(&b->map);
	device_buffer_put(b->own);
	free(b);
}

/* ---- sending ---- */

int session_send(struct session *s, const void *msg, size_t bytes, const int *fds, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char raw[CMSG_SPACE(NEAP_WIRE_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = bytes};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.raw;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	return sendmsg(s->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int session_send_goodbye(int fd, uint16_t type, uint32_t id, int status, const char *text)
{
	struct neap_msg_goodbye m = {
		.h = {.type = type, .id = id, .status = status, .bytes = sizeof(m)},
	};

	snprintf(m.text, sizeof(m.text), "%s", text);
	return send(fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void session_wake(struct session *s)
{
	struct neap_msg m = {.type = NEAP_MSG_WAKE, .bytes = sizeof(m)};

	/* No room means that the client has unread messages: those wake it. */
	send(s->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- the end ---- */

static void drop_request(struct request *rq)
{
	struct request_references held;

	rings_release(rq, &held);
	request_references_drop(&held);
}

static void drop_queued(struct session *s)
{
	struct rings *r = &s->rings;

	for (uint32_t i = 0; i < r->entries; i++)
		if (r->request[i].parked) {
			stream_unpark(r->request[i].stream, &r->request[i]);
			drop_request(&r->request[i]);
		}
	while (r->queue.n) {
		struct request *rq = (struct request *)(void *)r->queue.heap[0];

		sched_remove(&s->server->sched, &r->queue, &rq->item);
		drop_request(rq);
	}
}

static void drop_handles(struct session *s)
{
	for (uint32_t i = 0; i < SESSION_MAX_BUFFERS; i++) {
		if (s->buffer[i].handle)
			buffer_unref(s->buffer[i].buffer);
		s->buffer[i] = (struct buffer_handle){0};
	}
	for (uint32_t i = 0; i < SESSION_MAX_MODELS; i++) {
		if (s->model[i].handle)
			s->model[i].model->users--;
		stream_unref(s->model[i].stream);
		s->model[i] = (struct model_handle){0};
	}
}

static void leave_awake(struct session *s)
{
	struct server *srv = s->server;

	for (uint32_t i = 0; i < srv->n_awake; i++)
		if (srv->awake[i] == s)
			srv->awake[i--] = srv->awake[--srv->n_awake];
	s->rings.awake = false;
}

void session_end(struct session *s, int status, const char *text)
{
	struct server *srv = s->server;

	loop_remove(s->source);
	s->source = NULL;
	pthread_mutex_lock(&srv->lock);
	__atomic_store_n(&s->ended, true, __ATOMIC_RELAXED);
	leave_awake(s);
	drop_queued(s);
	drop_handles(s);
	srv->n_rings -= s->rings.client != NULL;
	pthread_mutex_unlock(&srv->lock);
	if (s->doorbell >= 0) {
		/* The client has it open too, so closing alone would not take it out of the set. */
		epoll_ctl(srv->doorbells, EPOLL_CTL_DEL, s->doorbell, NULL);
		close(s->doorbell);
		s->doorbell = -1;
	}
	if (text)
		session_send_goodbye(s->fd, NEAP_MSG_GOODBYE, 0, status, text);
	shutdown(s->fd, SHUT_RDWR);
}

void session_break(struct session *s, const char *text)
{
	if (s->ended)
		return;
	__atomic_store_n(&s->ended, true, __ATOMIC_RELAXED);
	s->server->metrics.protocol_errors++;
	log_warn("session %llu (%s, pid %d): %s", (unsigned long long)s->id, s->name, (int)s->pid,
		 text);
	session_send_goodbye(s->fd, NEAP_MSG_GOODBYE, 0, -EPROTO, text);
	shutdown(s->fd, SHUT_RDWR);
}

/* ---- handles ---- */

uint32_t session_new_handle(struct session *s, uint32_t index)
{
	uint32_t serial = ++s->handle_serial & ((1u << (32 - HANDLE_INDEX_BITS)) - 1);

	return serial << HANDLE_INDEX_BITS | (index + 1);
}

uint32_t session_handle_index(uint32_t handle)
{
	return (handle & ((1u << HANDLE_INDEX_BITS) - 1)) - 1;
}

struct buffer *session_buffer(struct session *s, uint32_t handle)
{
	uint32_t i = session_handle_index(handle);

	return i < SESSION_MAX_BUFFERS && s->buffer[i].handle == handle ? s->buffer[i].buffer
									: NULL;
}

struct model_handle *session_model(struct session *s, uint32_t handle)
{
	uint32_t i = session_handle_index(handle);

	return i < SESSION_MAX_MODELS && s->model[i].handle == handle ? &s->model[i] : NULL;
}
