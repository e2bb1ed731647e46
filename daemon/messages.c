/* SPDX-License-Identifier: MIT */
/*
 * The messages of a session. A malformed message ends the session; a well-formed one that cannot be
 * granted is answered with a negative status and a text.
 */
#include "daemon/closer.h"
#include "daemon/log.h"
#include "daemon/rings.h"
#include "daemon/server.h"
#include "daemon/stream.h"
#include "daemon/transport/device.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* One more than is legal: to tell "too many" from "no room in our table". */
#define MAX_FDS_TAKEN (NEAP_WIRE_MAX_FDS + 1)

/* ---- replies ---- */

static int reply_fds(struct session *s, const struct neap_msg *to, void *msg, size_t bytes,
		     const int *fds, unsigned n_fds)
{
	struct neap_msg *h = msg;

	h->type = to->type | NEAP_MSG_REPLY;
	h->id = to->id;
	h->bytes = (uint32_t)bytes;
	return session_send(s, msg, bytes, fds, n_fds);
}

static int reply(struct session *s, const struct neap_msg *to, void *msg, size_t bytes)
{
	return reply_fds(s, to, msg, bytes, NULL, 0);
}

static int reply_error(struct session *s, const struct neap_msg *to, int status, const char *text)
{
	log_debug("session %llu: %s refused: %s", (unsigned long long)s->id,
		  protocol_name(to->type), text);
	return session_send_goodbye(s->fd, to->type | NEAP_MSG_REPLY, to->id, status, text);
}

static int reply_handle(struct session *s, const struct neap_msg *to, uint32_t handle)
{
	struct neap_msg_handle m = {.handle = handle};

	return reply(s, to, &m, sizeof(m));
}

/* ---- one handler a message ---- */

static int on_hello(struct session *s, const struct neap_msg_hello *m)
{
	struct neap_msg_hello_reply r = {
		.version = NEAP_WIRE_VERSION,
		.session = s->id,
		.instance = s->server->instance,
		.max_entries = NEAP_WIRE_MAX_ENTRIES,
		.max_buffers = SESSION_MAX_BUFFERS,
		.max_buffer_bytes = SESSION_MAX_BUFFER,
		.max_session_bytes = SESSION_MAX_BYTES,
	};

	if (m->version != NEAP_WIRE_VERSION) {
		char text[96];

		snprintf(text, sizeof(text), "the daemon speaks version %u, the client %u",
			 NEAP_WIRE_VERSION, m->version);
		return reply_error(s, &m->h, -EPROTO, text);
	}
	if (s->hello)
		return reply_error(s, &m->h, -EALREADY, "hello was said already");
	s->hello = true;
	pthread_mutex_lock(&s->server->lock);
	memcpy(s->name, m->name, sizeof(s->name));
	pthread_mutex_unlock(&s->server->lock);
	strncpy(r.transport, s->server->transport->name, sizeof(r.transport) - 1);
	log_debug("session %llu: hello from '%s', uid %u, pid %d", (unsigned long long)s->id,
		  s->name, s->uid, (int)s->pid);
	return reply(s, &m->h, &r, sizeof(r));
}

/* Puts finished rings in force: from here on workers look at them. */
static int attach_rings(struct session *s, struct rings *rings, int doorbell, struct ne_error *err)
{
	struct server *srv = s->server;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = s->id};
	int r;

	pthread_mutex_lock(&srv->lock);
	r = server_charge(srv, s, rings_bytes(rings->entries), err);
	if (r >= 0 && epoll_ctl(srv->doorbells, EPOLL_CTL_ADD, doorbell, &ev) < 0) {
		r = ne_fail(err, errno, "doorbell: %s", strerror(errno));
		s->bytes -= rings_bytes(rings->entries);
		server_uncharge(srv, s->account, rings_bytes(rings->entries));
	}
	if (r >= 0) {
		s->rings = *rings;
		s->doorbell = doorbell;
		srv->n_rings++;
	}
	pthread_mutex_unlock(&srv->lock);
	return r;
}

static int on_rings(struct session *s, const struct neap_msg_rings *m, int fd)
{
	struct ne_error err = {0};
	struct rings rings = {0};
	struct neap_msg answer = {0};
	int fds[2] = {-1, -1};
	int r;

	if (s->rings.client)
		return reply_error(s, &m->h, -EALREADY, "this session has rings already");
	if (m->entries < NEAP_WIRE_MIN_ENTRIES || m->entries > NEAP_WIRE_MAX_ENTRIES ||
	    (m->entries & (m->entries - 1)))
		return reply_error(s, &m->h, -EINVAL,
				   "entries is not a power of two from 8 to 4096");
	fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fds[1] < 0)
		return reply_error(s, &m->h, -errno, "no doorbell: out of descriptors");
	r = rings_new(s->server->transport, fd, m->entries, s, &rings, &fds[0], &err);
	if (r >= 0)
		r = attach_rings(s, &rings, fds[1], &err);
	if (r < 0) {
		rings_free(&rings);
		close(fds[1]);
		if (fds[0] >= 0)
			close(fds[0]);
		return reply_error(s, &m->h, r, err.text);
	}
	r = reply_fds(s, &m->h, &answer, sizeof(answer), fds, 2);
	close(fds[0]); /* the mapping stays */
	return r;
}

static int add_buffer(struct session *s, struct buffer *b, uint32_t *ret_handle,
		      struct ne_error *err)
{
	uint32_t i = 0;

	while (i < SESSION_MAX_BUFFERS && s->buffer[i].handle)
		i++;
	if (i == SESSION_MAX_BUFFERS)
		return ne_fail(err, EDQUOT, "a session has at most %u buffers",
			       SESSION_MAX_BUFFERS);
	NE_RETURN_IF(server_charge(s->server, s, b->map.bytes, err));
	b->account = s->account;
	s->buffer[i].handle = *ret_handle = session_new_handle(s, i);
	s->buffer[i].buffer = b;
	return 0;
}

static int on_buf_add(struct session *s, const struct neap_msg_buf_add *m, int fd)
{
	struct server *srv = s->server;
	struct ne_error err = {0};
	struct buffer *b;
	uint32_t handle = 0;
	int r;

	if (!m->flags || (m->flags & ~(uint32_t)(NEAP_WIRE_BUF_READ | NEAP_WIRE_BUF_WRITE)))
		return reply_error(s, &m->h, -EINVAL, "flags are neither READ nor WRITE nor both");
	if (!m->bytes || m->bytes > SESSION_MAX_BUFFER)
		return reply_error(s, &m->h, m->bytes ? -EDQUOT : -EINVAL,
				   "a buffer has 1 byte to 64 MiB");
	b = calloc(1, sizeof(*b));
	if (!b)
		return reply_error(s, &m->h, -ENOMEM, "the daemon is out of memory");
	b->refs = 1;
	b->flags = m->flags;
	b->server = srv;
	r = srv->transport->map_buffer(
		fd, (size_t)m->bytes,
		m->flags & NEAP_WIRE_BUF_WRITE ? TRANSPORT_WRITE : TRANSPORT_READ, &b->map, &err);
	if (r >= 0 && srv->config->strict_buffers && b->map.ownable) {
		r = device_buffer_get(fd, &b->own);
		if (r < 0)
			ne_fail(&err, -r, "the buffer cannot be owned: %s", strerror(-r));
	}
	pthread_mutex_lock(&srv->lock);
	if (r >= 0)
		r = add_buffer(s, b, &handle, &err);
	srv->metrics.buffers_refused += r < 0;
	pthread_mutex_unlock(&srv->lock);
	if (r < 0) {
		transport_unmap(&b->map);
		device_buffer_put(b->own);
		free(b);
		return reply_error(s, &m->h, r, err.text);
	}
	return reply_handle(s, &m->h, handle);
}

static int on_buf_remove(struct session *s, const struct neap_msg_handle *m)
{
	struct neap_msg answer = {0};
	struct buffer *b;

	pthread_mutex_lock(&s->server->lock);
	b = session_buffer(s, m->handle);
	if (b) {
		s->buffer[session_handle_index(m->handle)] = (struct buffer_handle){0};
		s->bytes -= b->map.bytes;
	}
	pthread_mutex_unlock(&s->server->lock);
	if (!b)
		return reply_error(s, &m->h, -EBADF, "no such buffer handle");
	buffer_unref(b);
	return reply(s, &m->h, &answer, sizeof(answer));
}

static void describe_model(const struct model_version *v, struct neap_msg_model_reply *r)
{
	r->generation = v->generation;
	r->n_level = v->n_level;
	r->n_exit = v->n_exit;
	r->n_in = v->io.n_in;
	r->n_out = v->io.n_out;
	r->in_bytes = v->io.in_bytes;
	r->out_bytes = v->io.out_bytes;
	r->accuracy_min = v->accuracy_min;
	r->accuracy_max = v->accuracy_max;
	memcpy(r->io, v->io.io, sizeof(r->io));
}

static int open_model(struct session *s, const char *name, struct neap_msg_model_reply *ret,
		      struct ne_error *err)
{
	struct model *m = models_find(s->server->models, name);
	uint32_t i = 0;

	if (!m)
		return ne_fail(err, ENOENT, "no model '%s' is served", name);
	while (i < SESSION_MAX_MODELS && s->model[i].handle)
		i++;
	if (i == SESSION_MAX_MODELS)
		return ne_fail(err, EMFILE, "a session opens at most %u models",
			       SESSION_MAX_MODELS);
	s->model[i] = (struct model_handle){
		.handle = session_new_handle(s, i),
		.model = m,
		.io_id = m->current->io.id,
	};
	m->users++;
	ret->handle = s->model[i].handle;
	describe_model(m->current, ret);
	return 0;
}

static int on_model_open(struct session *s, const struct neap_msg_model_open *m)
{
	struct neap_msg_model_reply answer = {0};
	struct ne_error err = {0};
	int r;

	pthread_mutex_lock(&s->server->lock);
	r = open_model(s, m->name, &answer, &err);
	pthread_mutex_unlock(&s->server->lock);
	if (r < 0)
		return reply_error(s, &m->h, r, err.text);
	return reply(s, &m->h, &answer, sizeof(answer));
}

static int on_model_close(struct session *s, const struct neap_msg_handle *m)
{
	struct neap_msg answer = {0};
	struct model_handle *h;

	pthread_mutex_lock(&s->server->lock);
	h = session_model(s, m->handle);
	if (h) {
		h->model->users--;
		stream_unref(h->stream);
		*h = (struct model_handle){0};
	}
	pthread_mutex_unlock(&s->server->lock);
	if (!h)
		return reply_error(s, &m->h, -EBADF, "no such model handle");
	return reply(s, &m->h, &answer, sizeof(answer));
}

static int text_memfd(const char *text)
{
	size_t bytes = strlen(text), done = 0;
	int fd = memfd_create("neapd-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	while (done < bytes) {
		ssize_t n = write(fd, text + done, bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto fail;
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		goto fail;
	return fd;
fail:
	r = -errno;
	close(fd);
	return r;
}

static int on_control(struct session *s, const struct neap_msg_control *m)
{
	struct neap_msg answer = {0};
	struct ne_error err = {0};
	char *json = NULL;
	int r = control_run(s->server, s->uid, m->text, &json, &err);
	int fd;

	answer.status = r;
	if (r < 0)
		log_debug("session %llu: '%.64s': %s", (unsigned long long)s->id, m->text,
			  err.text);
	if (!json)
		return reply_error(s, &m->h, r < 0 ? r : -ENOMEM,
				   err.text[0] ? err.text : "the daemon is out of memory");
	fd = text_memfd(json);
	free(json);
	if (fd < 0)
		return reply_error(s, &m->h, fd, "no memory file for the answer");
	r = reply_fds(s, &m->h, &answer, sizeof(answer), &fd, 1);
	close(fd);
	return r;
}

static int handle_message(struct session *s, int type, const union protocol_message *m,
			  const int *fds, struct ne_error *why)
{
	int r;

	if (!s->hello && type != NEAP_MSG_HELLO)
		return ne_fail(why, EPROTO, "%s before HELLO", protocol_name((unsigned)type));
	switch (type) {
	case NEAP_MSG_HELLO:
		r = on_hello(s, &m->hello);
		if (r >= 0 && !s->hello)
			return ne_fail(why, EPROTO, "wire version %u is not spoken here",
				       m->hello.version);
		break;
	case NEAP_MSG_RINGS:
		r = on_rings(s, &m->rings, fds[0]);
		break;
	case NEAP_MSG_BUF_ADD:
		r = on_buf_add(s, &m->buf_add, fds[0]);
		break;
	case NEAP_MSG_BUF_REMOVE:
		r = on_buf_remove(s, &m->handle);
		break;
	case NEAP_MSG_MODEL_OPEN:
		r = on_model_open(s, &m->model_open);
		break;
	case NEAP_MSG_MODEL_CLOSE:
		r = on_model_close(s, &m->handle);
		break;
	default:
		r = on_control(s, &m->control);
		break;
	}
	if (r == -EAGAIN)
		return ne_fail(why, EPROTO, "the client does not read its answers");
	if (r < 0)
		return ne_fail(why, -r, "answer: %s", strerror(-r));
	return 0;
}

static unsigned collect_fds(struct msghdr *mh, int *fds, unsigned max)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < max)
				fds[n++] = fd;
			else
				closer_close(fd);
		}
	}
	return n;
}

/* One message. 1: handled; 0: none there; < 0: the session ends. */
static int receive_one(struct session *s, struct ne_error *why)
{
	union {
		struct cmsghdr align;
		char raw[CMSG_SPACE(MAX_FDS_TAKEN * sizeof(int))];
	} control;
	union protocol_message m;
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.raw,
		.msg_controllen = sizeof(control.raw),
	};
	int fds[MAX_FDS_TAKEN], r;
	unsigned n_fds;
	ssize_t n = recvmsg(s->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	n_fds = collect_fds(&mh, fds, MAX_FDS_TAKEN);
	if (n == 0) {
		r = -ECONNRESET; /* an empty message would be the same: nobody has a use for it */
	} else if (mh.msg_flags & MSG_TRUNC) {
		r = ne_fail(why, EPROTO, "a message is longer than %u bytes", NEAP_WIRE_MSG_BYTES);
	} else if ((mh.msg_flags & MSG_CTRUNC) && n_fds < MAX_FDS_TAKEN &&
		   n >= (ssize_t)sizeof(m.h)) {
		/* The kernel found no free number in our table. */
		log_warn("out of file descriptors: a message of session %llu is refused",
			 (unsigned long long)s->id);
		r = reply_error(s, &m.h, -EMFILE, "the daemon is out of file descriptors");
	} else {
		r = protocol_check(&m, (size_t)n, n_fds, why);
		if (r >= 0)
			r = handle_message(s, r, &m, fds, why);
	}
	for (unsigned i = 0; i < n_fds; i++)
		closer_close(fds[i]);
	return r < 0 ? r : 1;
}

int session_receive(struct session *s, struct ne_error *why)
{
	for (unsigned i = 0; i < SESSION_TURN; i++) {
		int r = receive_one(s, why);

		if (r <= 0)
			return r;
	}
	return 0;
}
