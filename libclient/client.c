// SPDX-License-Identifier: MIT
/* Connections: options, neap_connect() and neap_close(). */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "libclient/internal.h"

static void client_free(struct neap *n)
{
	int fds[] = {n->timer_fd, n->event_fd, n->epoll_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	client_ring_table_free(n);
	free(n->path);
	free(n);
}

static int make_fds(struct neap *n)
{
	struct epoll_event e = {.events = EPOLLIN};

	n->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	n->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	n->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->epoll_fd < 0 || n->timer_fd < 0 || n->event_fd < 0)
		return -errno;
	if (epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, n->timer_fd, &e) < 0 ||
	    epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, n->event_fd, &e) < 0)
		return -errno;
	return 0;
}

static int take_options(struct neap *n, const struct neap_options *opt)
{
	const char *path = opt->socket, *name = opt->name;
	uint32_t entries = opt->entries ? opt->entries : CLIENT_ENTRIES;

	if (entries < NEAP_WIRE_MIN_ENTRIES || entries > NEAP_WIRE_MAX_ENTRIES ||
	    (entries & (entries - 1)))
		return client_fail(NULL, -EINVAL, "entries is a power of two from %u to %u, not %u",
				   NEAP_WIRE_MIN_ENTRIES, NEAP_WIRE_MAX_ENTRIES, entries);
	/* secure_getenv: a setuid program does not let its caller choose the daemon. */
	if (!path)
		path = secure_getenv("NEAP_SOCKET");
	if (!path || !*path)
		path = NEAP_WIRE_SOCKET;
	if (!name)
		name = program_invocation_short_name;
	n->path = strdup(path);
	if (!n->path)
		return -ENOMEM;
	strncpy(n->name, name, sizeof(n->name) - 1);
	n->wanted_entries = entries;
	if (!opt->no_reconnect)
		n->reconnect_ns =
			(opt->reconnect_ms ? opt->reconnect_ms : CLIENT_RECONNECT_MS) * 1000000ll;
	return 0;
}

int neap_connect(const struct neap_options *opt, struct neap **ret_neap)
{
	static const struct neap_options none;
	struct neap *n = calloc(1, sizeof(*n));
	int ret;

	if (!n)
		return -ENOMEM;
	n->socket_fd = n->doorbell_fd = n->epoll_fd = n->timer_fd = n->event_fd = -1;
	for (unsigned i = 0; i < NEAP_WIRE_MAX_FDS; i++)
		n->reply.fd[i] = -1;
	n->run_slot = UINT32_MAX;
	n->backoff_ns = CLIENT_BACKOFF_NS;
	ret = take_options(n, opt ? opt : &none);
	if (ret < 0)
		goto fail;
	ret = make_fds(n);
	if (ret < 0) {
		client_fail(NULL, ret, "cannot make descriptors: %s", strerror(-ret));
		goto fail;
	}
	ret = client_session_open(n);
	if (ret < 0) {
		client_fail(NULL, ret, "%s", n->error);
		client_session_close(n);
		goto fail;
	}
	*ret_neap = n;
	return 0;
fail:
	client_free(n);
	return ret;
}

void neap_close(struct neap *n)
{
	if (!n)
		return;
	client_session_close(n);
	/* What was not freed stays valid by itself and can be freed later. */
	for (struct neap_buffer *b = n->buffers; b; b = b->next)
		b->n = NULL;
	for (struct neap_model *m = n->models; m; m = m->next)
		m->n = NULL;
	client_free(n);
}
