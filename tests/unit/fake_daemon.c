// SPDX-License-Identifier: MIT
#include "tests/unit/fake_daemon.h"

#include "neap/neap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

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

void fake_start(struct fake *f, enum lie lie)
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

void fake_stop(struct fake *f)
{
	f->stop = true;
	pthread_join(f->thread, NULL);
	close(f->listener);
	unlink(f->path);
	rmdir(f->dir);
}
