// SPDX-License-Identifier: MIT
/*
 * libneap against a daemon that lies, dies and falls silent: a thread here that speaks the wire.
 * What it does wrong is set in struct fake before the client connects, or while it runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "neap/neap.h"
#include "neap/wire.h"

enum lie {
	HONEST,
	HELLO_SHORT,
	HELLO_VERSION,
	HELLO_REFUSED,
	HELLO_NO_ENTRIES,
	HELLO_GARBAGE,
	HELLO_HANG_UP,
	RINGS_NO_FD,
	RINGS_SMALL,
	RINGS_UNSEALED,
	RINGS_PIPE_BELL,
	RINGS_REFUSED,
	MODEL_NAME,
	MODEL_RANK,
	MODEL_OFFSET,
	MODEL_BYTES,
	MODEL_COUNT,
	MODEL_SHORT,
	BUFFER_REFUSED,
	BUFFER_RESET, /* a status that is the library's own */
	CQ_TAIL,
	SQ_HEAD,
	CQ_TWICE,   /* each completion three times */
	CQ_FOREIGN, /* and some that nobody asked for */
	CQ_STATUS,  /* a positive status */
	CONTROL_NO_FD,
	CONTROL_UNSEALED,
	CONTROL_PIPE,
	CONTROL_NUL,
	FLOOD, /* messages that nobody asked for */
};

struct fake {
	char dir[64], path[128];
	int listener;
	pthread_t thread;
	volatile bool stop;
	volatile enum lie lie;
	volatile int die_after; /* entries taken, then the connection is closed; 0 = never */
	volatile bool deadly;   /* closes the connection over every entry */
	volatile bool silent;   /* takes entries, answers none */
	volatile uint32_t in_bytes;
	volatile unsigned sessions, taken, cancels;
	uint32_t entries;
	/* of the session */
	const struct neap_ring_client *client;
	struct neap_ring_daemon *daemon;
	uint32_t sq_head, cq_tail;
	size_t client_bytes, daemon_bytes;
	uint64_t held[256];
	unsigned n_held;
};

static void send_fds(int s, void *m, size_t bytes, const int *fds, int n)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(8)];
	} c = {0};
	struct iovec iov = {m, bytes};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		msg.msg_control = &c;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
		c.h.cmsg_level = SOL_SOCKET;
		c.h.cmsg_type = SCM_RIGHTS;
		c.h.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
		memcpy(CMSG_DATA(&c.h), fds, sizeof(int) * (size_t)n);
	}
	sendmsg(s, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void reply(int s, struct neap_msg *h, const struct neap_msg *to, size_t bytes, int status)
{
	h->type = to->type | NEAP_MSG_REPLY;
	h->id = to->id;
	h->status = status;
	h->bytes = (uint32_t)bytes;
	send_fds(s, h, bytes, NULL, 0);
}

static void refuse(int s, const struct neap_msg *to, int status)
{
	struct neap_msg_goodbye m = {.text = "refused on purpose"};

	reply(s, &m.h, to, sizeof(m), status);
}

static void on_hello(struct fake *f, int s, const struct neap_msg *to)
{
	struct neap_msg_hello_reply m = {.version = NEAP_WIRE_VERSION, .max_entries = 64};

	if (f->lie == HELLO_VERSION)
		m.version = 99;
	if (f->lie == HELLO_NO_ENTRIES)
		m.max_entries = 0;
	if (f->lie == HELLO_REFUSED)
		refuse(s, to, -EPROTO);
	else if (f->lie == HELLO_GARBAGE)
		send_fds(s, &m, 3, NULL, 0);
	else if (f->lie == HELLO_HANG_UP)
		shutdown(s, SHUT_RDWR);
	else
		reply(s, &m.h, to, f->lie == HELLO_SHORT ? sizeof(m) - 8 : sizeof(m), 0);
}

static void on_rings(struct fake *f, int s, const struct neap_msg_rings *to, int region)
{
	struct neap_msg m = {
		.type = NEAP_MSG_RINGS | NEAP_MSG_REPLY, .id = to->h.id, .bytes = sizeof(m)};
	int seals = F_SEAL_SHRINK | F_SEAL_GROW, fd[2], pipes[2];

	f->entries = to->entries;
	f->client_bytes = sizeof(*f->client) + to->entries * sizeof(struct neap_sqe);
	f->daemon_bytes = sizeof(*f->daemon) + to->entries * sizeof(struct neap_cqe);
	f->client = mmap(NULL, f->client_bytes, PROT_READ, MAP_SHARED, region, 0);
	assert_true(f->client != MAP_FAILED);
	fd[0] = memfd_create("fake", MFD_ALLOW_SEALING);
	if (f->lie == RINGS_SMALL)
		f->daemon_bytes -= 64;
	assert_int_equal(ftruncate(fd[0], (off_t)f->daemon_bytes), 0);
	f->daemon = mmap(NULL, f->daemon_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd[0], 0);
	if (f->lie != RINGS_UNSEALED)
		fcntl(fd[0], F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE);
	fd[1] = eventfd(0, 0);
	if (f->lie == RINGS_PIPE_BELL) {
		close(fd[1]);
		assert_int_equal(pipe(pipes), 0);
		close(pipes[0]);
		fd[1] = pipes[1];
	}
	f->daemon->asleep = 1;
	if (f->lie == RINGS_REFUSED)
		refuse(s, &to->h, -ENOMEM);
	else
		send_fds(s, &m, sizeof(m), fd, f->lie == RINGS_NO_FD ? 0 : 2);
	close(fd[0]);
	close(fd[1]);
}

static void on_model(struct fake *f, int s, const struct neap_msg_model_open *to)
{
	struct neap_msg_model_reply m = {.handle = 7,
					 .generation = 1,
					 .n_level = 3,
					 .n_exit = 1,
					 .n_in = 1,
					 .n_out = 1,
					 .in_bytes = f->in_bytes,
					 .out_bytes = 64};

	m.io[0] = (struct neap_wire_io){.name = "x",
					.dtype = NEAP_U8,
					.rank = 2,
					.dim = {1, (int32_t)f->in_bytes},
					.bytes = f->in_bytes};
	m.io[1] = (struct neap_wire_io){
		.name = "y", .dtype = NEAP_F32, .rank = 2, .dim = {1, 16}, .bytes = 64};
	if (!strcmp(to->name, "none")) {
		refuse(s, &to->h, -ENOENT);
		return;
	}
	if (f->lie == MODEL_NAME)
		memset(m.io[0].name, 'x', sizeof(m.io[0].name));
	if (f->lie == MODEL_RANK)
		m.io[0].rank = 1000;
	if (f->lie == MODEL_OFFSET)
		m.io[1].offset = UINT64_MAX - 8;
	if (f->lie == MODEL_BYTES)
		m.io[0].bytes = 1u << 30;
	if (f->lie == MODEL_COUNT)
		m.n_in = UINT32_MAX;
	reply(s, &m.h, &to->h, f->lie == MODEL_SHORT ? 24 : sizeof(m), 0);
}

static void on_control(struct fake *f, int s, const struct neap_msg_control *to)
{
	static const char json[] = "{\"ok\": true}";
	struct neap_msg m = {
		.type = NEAP_MSG_CONTROL | NEAP_MSG_REPLY, .id = to->h.id, .bytes = sizeof(m)};
	int fd = memfd_create("fake", MFD_ALLOW_SEALING), pipes[2];
	size_t n = f->lie == CONTROL_NUL ? sizeof(json) : sizeof(json) - 1;

	assert_int_equal(write(fd, json, n), n);
	if (f->lie != CONTROL_UNSEALED)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	if (!strcmp(to->text, "refuse")) {
		refuse(s, &to->h, -EPERM);
	} else if (f->lie == CONTROL_PIPE) {
		assert_int_equal(pipe(pipes), 0);
		send_fds(s, &m, sizeof(m), pipes, 1);
		close(pipes[0]);
		close(pipes[1]);
	} else {
		send_fds(s, &m, sizeof(m), &fd, f->lie == CONTROL_NO_FD ? 0 : 1);
	}
	close(fd);
}

static void complete(struct fake *f, int s, uint64_t user_data, int status)
{
	struct neap_cqe c = {.user_data = user_data, .status = status, .level = 2, .reason = 200};
	int times = f->lie == CQ_TWICE ? 3 : 1;
	struct neap_msg wake = {.type = NEAP_MSG_WAKE, .bytes = sizeof(wake)};

	if (f->lie == CQ_STATUS)
		c.status = 5;
	for (int i = 0; i < times; i++) {
		f->daemon->cqe[f->cq_tail & (f->entries - 1)] = c;
		f->cq_tail++;
	}
	if (f->lie == CQ_FOREIGN) {
		c.user_data = user_data ^ 0xabcdef0000;
		f->daemon->cqe[f->cq_tail++ & (f->entries - 1)] = c;
	}
	if (f->lie == CQ_TAIL)
		f->cq_tail += 1000;
	if (f->lie == SQ_HEAD)
		__atomic_store_n(&f->daemon->sq_head, f->sq_head + 500, __ATOMIC_RELEASE);
	__atomic_store_n(&f->daemon->cq_tail, f->cq_tail, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&f->client->waiting, __ATOMIC_SEQ_CST))
		send_fds(s, &wake, sizeof(wake), NULL, 0);
}

/* False: the connection is to be closed. */
static bool serve_ring(struct fake *f, int s)
{
	uint32_t tail;

	if (!f->client)
		return true;
	tail = __atomic_load_n(&f->client->sq_tail, __ATOMIC_ACQUIRE);
	while (f->sq_head != tail) {
		struct neap_sqe e = f->client->sqe[f->sq_head++ & (f->entries - 1)];

		__atomic_store_n(&f->daemon->sq_head, f->sq_head, __ATOMIC_RELEASE);
		if (e.op == NEAP_SQE_CANCEL) {
			f->cancels++;
			for (unsigned i = 0; i < f->n_held; i++)
				if (f->held[i] == e.user_data)
					complete(f, s, e.user_data, -ECANCELED);
			continue;
		}
		f->taken++;
		if (f->deadly)
			return false;
		if (f->die_after && f->taken >= (unsigned)f->die_after) {
			f->die_after = 0;
			return false;
		}
		if (f->silent)
			f->held[f->n_held++ & 255] = e.user_data;
		else
			complete(f, s, e.user_data, 0);
	}
	return true;
}

static bool serve_message(struct fake *f, int s)
{
	union {
		struct neap_msg h;
		struct neap_msg_rings rings;
		struct neap_msg_handle handle;
		struct neap_msg_model_open model;
		struct neap_msg_control control;
		char raw[NEAP_WIRE_MSG_BYTES];
	} m;
	char space[CMSG_SPACE(8)];
	struct iovec iov = {&m, sizeof(m)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = space,
			     .msg_controllen = sizeof(space)};
	struct neap_msg_handle handle = {.handle = 1};
	ssize_t n = recvmsg(s, &msg, MSG_DONTWAIT);
	int fd = -1;

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return false;
	if (CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	if (f->lie == FLOOD)
		for (uint32_t i = 0; i < 20; i++) {
			struct neap_msg junk = {
				.type = (uint16_t)(i * 3571), .id = i, .bytes = sizeof(junk)};

			send_fds(s, &junk, sizeof(junk), NULL, 0);
		}
	if (m.h.type == NEAP_MSG_HELLO)
		on_hello(f, s, &m.h);
	else if (m.h.type == NEAP_MSG_RINGS)
		on_rings(f, s, &m.rings, fd);
	else if (m.h.type == NEAP_MSG_MODEL_OPEN)
		on_model(f, s, &m.model);
	else if (m.h.type == NEAP_MSG_CONTROL)
		on_control(f, s, &m.control);
	else if (m.h.type == NEAP_MSG_BUF_ADD && f->lie == BUFFER_REFUSED)
		refuse(s, &m.h, -EDQUOT);
	else if (m.h.type == NEAP_MSG_BUF_ADD && f->lie == BUFFER_RESET)
		refuse(s, &m.h, -ECONNRESET);
	else if (m.h.type == NEAP_MSG_BUF_ADD)
		reply(s, &handle.h, &m.h, sizeof(handle), 0);
	else
		reply(s, &handle.h, &m.h, sizeof(handle.h), 0);
	if (fd >= 0)
		close(fd);
	return true;
}

static void serve(struct fake *f, int s)
{
	f->sessions++;
	f->client = NULL;
	f->sq_head = f->cq_tail = 0;
	f->n_held = 0;
	while (!f->stop) {
		struct pollfd p = {s, POLLIN, 0};

		poll(&p, 1, 1);
		if (!serve_message(f, s) || !serve_ring(f, s))
			break;
	}
	if (f->client) {
		munmap((void *)(uintptr_t)f->client, f->client_bytes);
		munmap(f->daemon, f->daemon_bytes);
	}
	close(s);
}

static void *fake_main(void *arg)
{
	struct fake *f = arg;

	while (!f->stop) {
		struct pollfd p = {f->listener, POLLIN, 0};

		if (poll(&p, 1, 20) > 0)
			serve(f, accept(f->listener, NULL, NULL));
	}
	return NULL;
}

static void fake_start(struct fake *f, enum lie lie)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memset(f, 0, sizeof(*f));
	f->lie = lie;
	f->in_bytes = 784;
	strcpy(f->dir, "/tmp/neap-fake-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	strcpy(a.sun_path, f->path);
	f->listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(f->listener, 8), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_main, f), 0);
}

static void fake_stop(struct fake *f)
{
	f->stop = true;
	pthread_join(f->thread, NULL);
	close(f->listener);
	unlink(f->path);
	rmdir(f->dir);
}

struct client {
	struct neap *n;
	struct neap_model *m;
	struct neap_buffer *in, *out;
	struct neap_request rq;
};

static int client_open(struct client *c, struct fake *f, uint32_t entries, uint32_t reconnect_ms)
{
	struct neap_options opt = {
		.socket = f->path, .entries = entries, .reconnect_ms = reconnect_ms};
	int ret;

	memset(c, 0, sizeof(*c));
	ret = neap_connect(&opt, &c->n);
	if (ret < 0)
		return ret;
	ret = neap_model_open(c->n, "m", &c->m);
	if (!ret)
		ret = neap_buffer_new(c->n, neap_model_info(c->m)->in_bytes, NEAP_BUFFER_INPUT,
				      &c->in);
	if (!ret)
		ret = neap_buffer_new(c->n, 64, NEAP_BUFFER_OUTPUT, &c->out);
	c->rq = (struct neap_request){.model = c->m, .in = c->in, .out = c->out};
	return ret;
}

static void client_close(struct client *c)
{
	neap_buffer_free(c->in);
	neap_buffer_free(c->out);
	neap_model_close(c->m);
	neap_close(c->n);
}

static void test_no_daemon(void **state)
{
	struct neap_options opt = {.socket = "/tmp/neap-there-is-none"};
	struct neap *n = NULL;

	(void)state;
	assert_int_equal(neap_connect(&opt, &n), -ENOENT);
	assert_non_null(strstr(neap_last_error(NULL), "systemctl start"));
	assert_null(n);
	opt.entries = 12;
	assert_int_equal(neap_connect(&opt, &n), -EINVAL);
	opt.entries = 0;
	opt.socket =
		"/tmp/a-path-that-is-longer-than-an-address-can-be-and-so-cannot-be-connected-to-"
		"whatever-one-tries-to-do-about-it";
	assert_int_equal(neap_connect(&opt, &n), -ENAMETOOLONG);
}

static void test_run(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done;
	struct neap_model *none = NULL;
	char *json = NULL;

	(void)state;
	fake_start(&f, HONEST);
	assert_int_equal(client_open(&c, &f, 0, 0), 0);
	assert_int_equal(neap_model_info(c.m)->in_bytes, 784);
	assert_string_equal(neap_model_info(c.m)->input[0].name, "x");
	assert_int_equal(neap_model_open(c.n, "none", &none), -ENOENT);
	assert_string_equal(neap_last_error(c.n), "refused on purpose");
	for (uint64_t i = 0; i < 200; i++) {
		c.rq.user_data = i;
		assert_int_equal(neap_run(c.n, &c.rq, &done), 0);
		assert_int_equal(done.user_data, i);
		assert_int_equal(done.level, 2);
		assert_int_equal(done.reason, NEAP_REASON_FULL);
	}
	assert_int_equal(neap_pending(c.n), 0);
	assert_int_equal(neap_wait(c.n, &done, 1, -1), 0); /* nothing to wait for */
	assert_int_equal(neap_control(c.n, "status", &json), 0);
	assert_string_equal(json, "{\"ok\": true}");
	free(json);
	assert_int_equal(neap_control(c.n, "refuse", &json), -EPERM);
	client_close(&c);
	fake_stop(&f);
}

static void test_bad_requests(void **state)
{
	struct fake f;
	struct client c;
	struct neap_request rq;

	(void)state;
	fake_start(&f, HONEST);
	assert_int_equal(client_open(&c, &f, 0, 0), 0);
	rq = c.rq, rq.in = c.out;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.in_offset = 32;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.in_offset = 64;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.out_offset = SIZE_MAX / 64 * 64;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.min_accuracy = 1.5f;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.confidence = -1;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	rq = c.rq, rq.model = NULL;
	assert_int_equal(neap_submit(c.n, &rq), -EINVAL);
	assert_int_equal(neap_cancel(c.n, 5), -ENOENT);
	assert_int_equal(neap_pending(c.n), 0);
	client_close(&c);
	fake_stop(&f);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_full_cancel_wait(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done[16];
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval t = {.it_value.tv_usec = 30000};

	(void)state;
	fake_start(&f, HONEST);
	f.silent = true;
	assert_int_equal(client_open(&c, &f, 8, 0), 0);
	for (uint64_t i = 0; i < 8; i++) {
		c.rq.user_data = i;
		assert_int_equal(neap_submit(c.n, &c.rq), 0);
	}
	assert_int_equal(neap_submit(c.n, &c.rq), -EAGAIN);
	assert_int_equal(neap_wait(c.n, done, 16, 20), 0);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
	assert_int_equal(neap_wait(c.n, done, 16, -1), -EINTR);
	assert_int_equal(neap_cancel(c.n, 3), 0);
	assert_int_equal(neap_wait(c.n, done, 16, 2000), 1);
	assert_int_equal(done[0].user_data, 3);
	assert_int_equal(done[0].status, -ECANCELED);
	assert_int_equal(neap_pending(c.n), 7);
	client_close(&c);
	fake_stop(&f);
}

/* The daemon dies with requests in flight; each is answered once, and neap_fd() stays in a set. */
static void test_reconnect(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done[32];
	unsigned seen[32] = {0}, got = 0;
	int set, fd;
	struct epoll_event e = {.events = EPOLLIN};

	(void)state;
	fake_start(&f, HONEST);
	f.die_after = 6;
	assert_int_equal(client_open(&c, &f, 32, 5000), 0);
	fd = neap_fd(c.n);
	set = epoll_create1(0);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e), 0);
	for (uint64_t i = 0; i < 20; i++) {
		c.rq.user_data = i;
		assert_int_equal(neap_submit(c.n, &c.rq), 0);
	}
	while (got < 20) {
		int r;

		assert_int_equal(epoll_wait(set, &e, 1, 3000), 1);
		while ((r = neap_poll(c.n, done, 3)) > 0)
			for (int i = 0; i < r; i++, got++) {
				assert_int_equal(done[i].status, 0);
				seen[done[i].user_data]++;
			}
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(neap_fd(c.n), fd);
	assert_int_equal(f.sessions, 2);
	assert_int_equal(epoll_wait(set, &e, 1, 50), 0); /* quiet when there is nothing */
	close(set);
	client_close(&c);
	fake_stop(&f);
}

/* A request that kills each daemon it meets is reported, not carried to the next for ever. */
static void test_poison(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done;

	(void)state;
	fake_start(&f, HONEST);
	f.deadly = true;
	assert_int_equal(client_open(&c, &f, 0, 3000), 0);
	assert_int_equal(neap_run(c.n, &c.rq, &done), -ECONNRESET);
	assert_int_equal(f.taken, 3);
	f.deadly = false;
	assert_int_equal(neap_run(c.n, &c.rq, &done), 0); /* the connection is fine */
	client_close(&c);
	fake_stop(&f);
}

static void test_gone(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done[8];

	(void)state;
	fake_start(&f, HONEST);
	f.silent = true;
	assert_int_equal(client_open(&c, &f, 8, 200), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(neap_submit(c.n, &c.rq), 0);
	fake_stop(&f);
	assert_int_equal(neap_wait(c.n, done, 8, 5000), 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(done[i].status, -ECONNRESET);
	assert_int_equal(neap_submit(c.n, &c.rq), -ECONNRESET);
	assert_int_equal(neap_run(c.n, &c.rq, done), -ECONNRESET);
	client_close(&c);
}

/* The model has another shape when the daemon is back: the application has to be told. */
static void test_stale(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done;

	(void)state;
	fake_start(&f, HONEST);
	assert_int_equal(client_open(&c, &f, 8, 2000), 0);
	f.in_bytes = 100;
	f.die_after = 1;
	assert_int_equal(neap_run(c.n, &c.rq, &done), -ESTALE);
	client_close(&c);
	fake_stop(&f);
}

static void test_lies(void **state)
{
	static const struct {
		enum lie lie;
		int connect; /* 0 = connects, but the model or a buffer is refused */
	} lies[] = {
		{HELLO_SHORT, -EPROTO},     {HELLO_VERSION, -EPROTO},
		{HELLO_REFUSED, -EPROTO},   {HELLO_NO_ENTRIES, -EPROTO},
		{HELLO_GARBAGE, -EBADMSG},  {HELLO_HANG_UP, -ECONNRESET},
		{RINGS_NO_FD, -EBADMSG},    {RINGS_SMALL, -EBADMSG},
		{RINGS_UNSEALED, -EBADMSG}, {RINGS_PIPE_BELL, -EBADMSG},
		{RINGS_REFUSED, -ENOMEM},   {MODEL_NAME, -EBADMSG},
		{MODEL_RANK, -EBADMSG},     {MODEL_OFFSET, -EBADMSG},
		{MODEL_BYTES, -EBADMSG},    {MODEL_COUNT, -EBADMSG},
		{MODEL_SHORT, -EBADMSG},    {BUFFER_REFUSED, -EDQUOT},
		{BUFFER_RESET, -EIO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fake f;
		struct client c;
		int ret;

		fake_start(&f, lies[i].lie);
		ret = client_open(&c, &f, 0, 100);
		if (ret != lies[i].connect)
			print_error("lie %d: %d instead of %d\n", lies[i].lie, ret,
				    lies[i].connect);
		assert_int_equal(ret, lies[i].connect);
		client_close(&c);
		fake_stop(&f);
	}
}

static void test_ring_lies(void **state)
{
	static const enum lie lies[] = {CQ_TAIL, SQ_HEAD, CQ_TWICE, CQ_FOREIGN, CQ_STATUS, FLOOD};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fake f;
		struct client c;
		struct neap_completion done[64];
		unsigned sent = 0, got = 0, failed = 0;
		time_t until = time(NULL) + 20;

		fake_start(&f, lies[i]);
		assert_int_equal(client_open(&c, &f, 64, 100), 0); /* room for the lies */
		while (got < 50 && time(NULL) < until) {
			int r;

			while (sent < 50 && neap_pending(c.n) < 16 && neap_submit(c.n, &c.rq) == 0)
				sent++;
			r = neap_wait(c.n, done, 64, 200);
			for (int k = 0; k < r; k++, got++)
				failed += done[k].status != 0;
			if (!r && sent < 50 && neap_submit(c.n, &c.rq) == -ECONNRESET)
				break;
		}
		/* What was accepted came back exactly once, whatever was on the ring. */
		assert_int_equal(got, sent);
		assert_int_equal(neap_pending(c.n), 0);
		if (lies[i] == CQ_TWICE || lies[i] == CQ_FOREIGN || lies[i] == FLOOD)
			assert_int_equal(failed, 0);
		if (lies[i] == CQ_STATUS)
			assert_int_equal(failed, got);
		client_close(&c);
		fake_stop(&f);
	}
}

static void test_control_lies(void **state)
{
	static const enum lie lies[] = {CONTROL_NO_FD, CONTROL_UNSEALED, CONTROL_PIPE, CONTROL_NUL};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fake f;
		struct client c;
		char *json = NULL;

		fake_start(&f, lies[i]);
		assert_int_equal(client_open(&c, &f, 0, 0), 0);
		assert_int_equal(neap_control(c.n, "status", &json), -EBADMSG);
		assert_null(json);
		client_close(&c);
		fake_stop(&f);
	}
}

/* Buffers are freed, models closed and the connection closed in any order, daemon or not. */
static void test_orders(void **state)
{
	struct fake f;
	struct client c;
	struct neap_completion done[8];

	(void)state;
	fake_start(&f, HONEST);
	f.silent = true;
	assert_int_equal(client_open(&c, &f, 8, 2000), 0);
	assert_int_equal(neap_submit(c.n, &c.rq), 0);
	assert_int_equal(neap_submit(c.n, &c.rq), 0);
	neap_wait(c.n, done, 8, 20);
	neap_buffer_free(c.in); /* under two requests */
	c.in = NULL;
	f.silent = false;
	f.taken = 0;
	f.die_after = 1;
	assert_int_equal(neap_buffer_new(c.n, 784, NEAP_BUFFER_INPUT, &c.in), 0);
	c.rq.in = c.in;
	assert_int_equal(neap_submit(c.n, &c.rq), 0);
	for (int got = 0, ok = 0; got < 3;) {
		int r = neap_wait(c.n, done, 8, 3000);

		assert_true(r > 0);
		for (int i = 0; i < r; i++, got++) {
			ok += done[i].status == 0;
			assert_true(done[i].status == 0 || done[i].status == -ECANCELED);
		}
		if (got == 3)
			assert_int_equal(ok, 1);
	}
	neap_close(c.n);
	neap_buffer_free(c.in);
	neap_buffer_free(c.out);
	neap_model_close(c.m);
	neap_close(NULL);
	neap_buffer_free(NULL);
	neap_model_close(NULL);
	fake_stop(&f);
}

static void test_texts(void **state)
{
	(void)state;
	assert_string_equal(neap_reason_name(NEAP_REASON_ENERGY), "energy");
	assert_string_equal(neap_reason_name((enum neap_reason)77), "unknown");
	assert_string_equal(neap_strerror(0), "success");
	assert_non_null(strstr(neap_strerror(-EACCES), "group neap"));
	assert_true(strlen(neap_strerror(-EXDEV)) > 0);
	assert_string_equal(neap_version(), NEAP_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_daemon),    cmocka_unit_test(test_run),
		cmocka_unit_test(test_bad_requests), cmocka_unit_test(test_full_cancel_wait),
		cmocka_unit_test(test_reconnect),    cmocka_unit_test(test_poison),
		cmocka_unit_test(test_gone),         cmocka_unit_test(test_stale),
		cmocka_unit_test(test_lies),         cmocka_unit_test(test_ring_lies),
		cmocka_unit_test(test_control_lies), cmocka_unit_test(test_orders),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
