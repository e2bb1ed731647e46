// SPDX-License-Identifier: MIT
/*
 * The link to the daemon: connecting, the handshake, messages and their answers, and doing it all
 * again when the daemon went away.
 *
 * The handshake is a small state machine driven by the answers (hello, rings, each buffer, each
 * model), the same for the first connection and for later ones, so that neap_poll() can reconnect
 * without ever waiting. One message is awaited at a time; its answer lies in n->reply.
 */
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "libclient/internal.h"

/* Messages taken at once; a daemon that floods us gets the rest read by the next call. */
#define MESSAGES_AT_ONCE 64

union message {
	struct neap_msg h;
	struct neap_msg_goodbye goodbye;
	char bytes[NEAP_WIRE_MSG_BYTES];
};

static void reply_clear(struct neap *n)
{
	for (unsigned i = 0; i < NEAP_WIRE_MAX_FDS; i++) {
		if (n->reply.fd[i] >= 0)
			close(n->reply.fd[i]);
		n->reply.fd[i] = -1;
	}
	n->reply.come = false;
	n->reply.id = 0;
}

int client_session_take_fd(struct neap *n, unsigned i)
{
	int fd = n->reply.fd[i];

	n->reply.fd[i] = -1;
	return fd;
}

/* The timer in neap_fd() tells an application that polls when a step is due. */
static void set_timer(struct neap *n)
{
	struct itimerspec t = {0};
	int64_t at = 0;

	if (n->link == LINK_DOWN)
		at = n->next_ns < n->give_up_ns ? n->next_ns : n->give_up_ns;
	else if (n->link == LINK_HANDSHAKE)
		at = n->next_ns;
	if (at == n->timer_ns)
		return;
	n->timer_ns = at;
	t.it_value.tv_sec = at / 1000000000ll;
	t.it_value.tv_nsec = at % 1000000000ll;
	timerfd_settime(n->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void close_socket(struct neap *n)
{
	if (n->socket_fd >= 0) {
		/* Explicitly: a child made by fork() may hold a copy, which would keep it in. */
		epoll_ctl(n->epoll_fd, EPOLL_CTL_DEL, n->socket_fd, NULL);
		close(n->socket_fd);
	}
	if (n->doorbell_fd >= 0)
		close(n->doorbell_fd);
	n->socket_fd = n->doorbell_fd = -1;
}

static void give_up(struct neap *n)
{
	n->link = LINK_GONE;
	set_timer(n);
	client_ring_fail_all(n, -ECONNRESET);
}

void client_session_lost(struct neap *n, int why)
{
	enum link_state was = n->link;
	int64_t now = client_now();

	if (was == LINK_GONE)
		return;
	n->link = LINK_DOWN;
	client_ring_drop(n);
	close_socket(n);
	if (was == LINK_HANDSHAKE)
		reply_clear(n);
	n->asked = NULL;
	n->reason = why;
	if (!n->ever_up || !n->reconnect_ns) {
		give_up(n);
		return;
	}
	if (was == LINK_UP)
		n->give_up_ns = now + n->reconnect_ns;
	if (was == LINK_UP && now - n->up_ns > CLIENT_STABLE_NS) {
		n->backoff_ns = CLIENT_BACKOFF_NS;
		n->next_ns = now;
	} else {
		n->next_ns = now + n->backoff_ns;
		n->backoff_ns *= 2;
		if (n->backoff_ns > CLIENT_BACKOFF_MAX_NS)
			n->backoff_ns = CLIENT_BACKOFF_MAX_NS;
	}
	set_timer(n);
}

void client_session_close(struct neap *n)
{
	n->reconnect_ns = 0;
	client_session_lost(n, -ECONNRESET);
	reply_clear(n);
}

int client_session_send(struct neap *n, struct neap_msg *m, size_t bytes, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = m, .iov_len = bytes};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r;

	/* 0 marks messages that nobody asked for. */
	if (++n->last_id == 0)
		n->last_id = 1;
	reply_clear(n);
	n->reply.id = m->id = n->last_id;
	n->reply.type = m->type | NEAP_MSG_REPLY;
	m->bytes = (uint32_t)bytes;
	if (fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		control.h.cmsg_level = SOL_SOCKET;
		control.h.cmsg_type = SCM_RIGHTS;
		control.h.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.h), &fd, sizeof(int));
	}
	do
		r = sendmsg(n->socket_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* ---- the handshake ---- */

static int hello_ask(struct neap *n)
{
	struct neap_msg_hello m = {.h.type = NEAP_MSG_HELLO, .version = NEAP_WIRE_VERSION};

	memcpy(m.name, n->name, sizeof(m.name));
	return client_session_send(n, &m.h, sizeof(m), -1);
}

static int hello_answer(struct neap *n)
{
	const struct neap_msg_hello_reply *r = &n->reply.m.hello;
	uint32_t entries = n->n_slot ? n->n_slot : n->wanted_entries;

	if (n->reply.bytes != sizeof(*r) || r->version != NEAP_WIRE_VERSION)
		return client_fail(n, -EPROTO, "the daemon at %s speaks another version", n->path);
	while (entries > r->max_entries && entries > NEAP_WIRE_MIN_ENTRIES)
		entries /= 2;
	if (entries > r->max_entries)
		return client_fail(n, -EPROTO, "the daemon allows %u requests in flight, %u needed",
				   r->max_entries, NEAP_WIRE_MIN_ENTRIES);
	n->entries = entries;
	n->device = !strncmp(r->transport, "device", sizeof(r->transport));
	return n->n_slot ? 0 : client_ring_table_new(n, entries);
}

static int rings_ask(struct neap *n)
{
	struct neap_msg_rings m = {.h.type = NEAP_MSG_RINGS, .entries = n->entries};
	int fd, ret = client_ring_make(n, &fd);

	if (ret < 0)
		return ret;
	ret = client_session_send(n, &m.h, sizeof(m), fd);
	close(fd);
	return ret;
}

/* The next message of the handshake; with nothing left to ask the link is up. */
static int handshake_go_on(struct neap *n)
{
	if (n->step == STEP_HELLO)
		return hello_ask(n);
	if (n->step == STEP_RINGS)
		return rings_ask(n);
	if (n->step == STEP_BUFFERS) {
		for (struct neap_buffer *b = n->buffers; b; b = b->next) {
			if (b->session == n->session)
				continue;
			n->asked = b;
			return client_buffer_ask(n, b);
		}
		n->step = STEP_MODELS;
	}
	for (struct neap_model *m = n->models; m; m = m->next) {
		if (m->session == n->session)
			continue;
		n->asked = m;
		return client_model_ask(n, m);
	}
	n->asked = NULL;
	n->link = LINK_UP;
	n->ever_up = true;
	n->up_ns = client_now();
	set_timer(n);
	client_ring_resubmit(n);
	return 0;
}

static int reply_status(struct neap *n)
{
	struct reply *r = &n->reply;

	if (r->m.h.status >= 0)
		return 0;
	/* These two say something of the link, and only we know that. */
	if (r->m.h.status == -ECONNRESET || r->m.h.status == -ETIMEDOUT)
		r->m.h.status = -EIO;
	if (r->bytes == sizeof(r->m.failed)) {
		r->m.failed.text[sizeof(r->m.failed.text) - 1] = 0;
		return client_fail(n, r->m.h.status, "%s", r->m.failed.text);
	}
	return client_fail(n, r->m.h.status, "the daemon refused: %s",
			   neap_strerror(r->m.h.status));
}

static int handshake_answer(struct neap *n)
{
	int ret;

	switch (n->step) {
	case STEP_HELLO:
		ret = reply_status(n);
		if (!ret)
			ret = hello_answer(n);
		n->step = STEP_RINGS;
		break;
	case STEP_RINGS:
		ret = reply_status(n);
		if (!ret)
			ret = client_ring_accept(n);
		n->step = STEP_BUFFERS;
		break;
	case STEP_BUFFERS:
		/* A buffer or a model that is refused now spoils its own requests only; what the daemon
		 * says of it is the last error meanwhile. */
		reply_status(n);
		ret = 0;
		if (n->asked)
			client_buffer_answer(n, n->asked);
		break;
	default:
		reply_status(n);
		ret = 0;
		if (n->asked)
			client_model_answer(n, n->asked);
		break;
	}
	reply_clear(n);
	return ret < 0 ? ret : handshake_go_on(n);
}

static int connect_error(struct neap *n, int error)
{
	const char *why = strerror(-error);

	if (error == -ENOENT || error == -ECONNREFUSED)
		return client_fail(n, error,
				   "no daemon at %s (%s): start it with \"systemctl start "
				   "neapd\", or set NEAP_SOCKET where it listens elsewhere",
				   n->path, why);
	if (error == -EACCES || error == -EPERM)
		return client_fail(n, error,
				   "no permission for %s: add the user to the group neap "
				   "(adduser USER neap) and log in again",
				   n->path);
	return client_fail(n, error, "cannot connect to %s: %s", n->path, why);
}

static int receive(struct neap *n);

/* One attempt; the link is in the handshake afterwards. */
static int attempt(struct neap *n)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct epoll_event e = {.events = EPOLLIN};
	size_t len = strlen(n->path);
	int fd, ret;

	if (len >= sizeof(a.sun_path))
		return client_fail(n, -ENAMETOOLONG, "the socket's path is too long: %s", n->path);
	memcpy(a.sun_path, n->path, len + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return connect_error(n, -errno);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
		ret = connect_error(n, -errno);
		close(fd);
		return ret;
	}
	n->socket_fd = fd;
	n->session++;
	n->link = LINK_HANDSHAKE;
	n->step = STEP_HELLO;
	n->next_ns = client_now() + CLIENT_CALL_NS;
	if (n->ever_up && n->next_ns > n->give_up_ns)
		n->next_ns = n->give_up_ns;
	ret = handshake_go_on(n);
	if (ret < 0) {
		client_fail(n, ret, "cannot talk to %s: %s", n->path, strerror(-ret));
		/* A daemon that refuses us at once has said why before it hung up. */
		receive(n);
	}
	set_timer(n);
	return ret;
}

/* ---- messages that come ---- */

static unsigned take_fds(struct msghdr *msg, int *fd)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int f;

			memcpy(&f, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < NEAP_WIRE_MAX_FDS)
				fd[n++] = f;
			else
				close(f);
		}
	}
	return n;
}

/* A message that is whole, with the descriptors that came with it: now ours. */
static int dispatch(struct neap *n, union message *m, size_t bytes, int *fd, unsigned n_fd)
{
	struct reply *r = &n->reply;
	bool awaited = r->id && m->h.id == r->id && m->h.type == r->type && !r->come;

	if (!awaited)
		for (unsigned i = 0; i < n_fd; i++)
			close(fd[i]);
	if (m->h.type == NEAP_MSG_GOODBYE && bytes == sizeof(m->goodbye)) {
		m->goodbye.text[sizeof(m->goodbye.text) - 1] = 0;
		return client_fail(n, -ECONNRESET, "the daemon ended the session: %s",
				   m->goodbye.text);
	}
	/* Anything else that is not awaited is a wake-up, or the answer to a call given up. */
	if (!awaited)
		return 0;
	memcpy(&r->m, m, bytes);
	r->bytes = (uint32_t)bytes;
	r->come = true;
	for (unsigned i = 0; i < n_fd; i++)
		r->fd[i] = fd[i];
	if (n->link == LINK_HANDSHAKE)
		return handshake_answer(n);
	return 0;
}

/* 1 = took a message, 0 = there is none, negative = the session is of no more use. */
static int receive(struct neap *n)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * NEAP_WIRE_MAX_FDS)];
	} control;
	union message m;
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int fd[NEAP_WIRE_MAX_FDS], ret;
	unsigned n_fd;
	ssize_t r;

	r = recvmsg(n->socket_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (r <= 0)
		return client_fail(n, -ECONNRESET, "the daemon hung up");
	n_fd = take_fds(&msg, fd);
	if ((size_t)r < sizeof(m.h) || m.h.bytes != (size_t)r ||
	    (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (unsigned i = 0; i < n_fd; i++)
			close(fd[i]);
		return client_fail(n, -EBADMSG, "the daemon sent a malformed message");
	}
	ret = dispatch(n, &m, (size_t)r, fd, n_fd);
	return ret < 0 ? ret : 1;
}

void client_session_progress(struct neap *n)
{
	for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
		int ret;

		if (n->link != LINK_UP && n->link != LINK_HANDSHAKE)
			break;
		/* An answer that is awaited is looked at before a hang-up behind it. */
		if (n->link == LINK_UP && n->reply.come)
			return;
		ret = receive(n);
		if (ret < 0)
			client_session_lost(n, ret);
		if (ret <= 0)
			break;
	}
	if (n->link == LINK_HANDSHAKE && client_now() >= n->next_ns) {
		client_fail(n, -ETIMEDOUT, "the daemon at %s does not answer", n->path);
		client_session_lost(n, -ETIMEDOUT);
	}
	if (n->link == LINK_DOWN) {
		int64_t now = client_now();

		if (now >= n->give_up_ns) {
			give_up(n);
		} else if (now >= n->next_ns) {
			int ret = attempt(n);

			if (ret < 0)
				client_session_lost(n, ret);
		}
	}
}

/* ---- waiting ---- */

int client_session_sleep(struct neap *n, int64_t deadline_ns)
{
	struct pollfd p = {.fd = n->socket_fd, .events = POLLIN};
	struct timespec t, *timeout = NULL;

	if (n->timer_ns && n->timer_ns < deadline_ns)
		deadline_ns = n->timer_ns;
	if (deadline_ns != INT64_MAX) {
		int64_t left = deadline_ns - client_now();

		if (left < 0)
			left = 0;
		t.tv_sec = left / 1000000000ll;
		t.tv_nsec = left % 1000000000ll;
		timeout = &t;
	}
	if (ppoll(&p, 1, timeout, NULL) < 0 && errno == EINTR)
		return -EINTR;
	client_session_progress(n);
	return 0;
}

int client_session_await(struct neap *n)
{
	while (n->link != LINK_UP) {
		if (n->link == LINK_GONE)
			return -ECONNRESET;
		client_session_sleep(n, INT64_MAX);
	}
	return 0;
}

int client_session_open(struct neap *n)
{
	int64_t until = client_now() + CLIENT_CALL_NS;
	int ret;

	/* -EAGAIN: many connect at the same moment and the daemon's queue is full. */
	while ((ret = attempt(n)) == -EAGAIN && client_now() < until) {
		struct timespec t = {.tv_nsec = CLIENT_BACKOFF_NS};

		nanosleep(&t, NULL);
	}
	if (ret < 0) {
		client_session_lost(n, ret);
		return ret;
	}
	while (n->link == LINK_HANDSHAKE)
		client_session_sleep(n, INT64_MAX);
	return n->link == LINK_UP ? 0 : n->reason;
}

int client_session_call(struct neap *n, struct neap_msg *m, size_t bytes, int fd,
			int64_t patience_ns)
{
	uint64_t session;
	int64_t until;
	int ret = client_session_await(n);

	if (ret < 0)
		return ret;
	session = n->session;
	until = client_now() + patience_ns;
	ret = client_session_send(n, m, bytes, fd);
	if (ret < 0) {
		client_fail(n, ret, "the daemon hung up");
		client_session_lost(n, -ECONNRESET);
		return -ECONNRESET;
	}
	for (;;) {
		if (n->session != session || n->link != LINK_UP)
			return -ECONNRESET;
		if (n->reply.come)
			break;
		if (client_now() >= until) {
			reply_clear(n);
			return client_fail(n, -ETIMEDOUT, "the daemon did not answer within %lld s",
					   (long long)(patience_ns / 1000000000ll));
		}
		client_session_sleep(n, until);
	}
	/* Read: the next look at the socket may go past it. */
	n->reply.come = false;
	n->reply.id = 0;
	return reply_status(n);
}
