// SPDX-License-Identifier: MIT
/* See raw.h. */
#include "tests/system/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "neap/uapi/neap_ioctl.h"

#define REPLY_MS 20000

void (*raw_step)(void);

static void step(void)
{
	if (raw_step)
		raw_step();
}

void raw_connect(struct raw *r, struct harness *h)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memset(r, 0, sizeof(*r));
	r->client_fd = r->daemon_fd = r->doorbell = -1;
	r->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(r->fd >= 0);
	strcpy(a.sun_path, h->socket);
	step();
	CHECK(connect(r->fd, (struct sockaddr *)&a, sizeof(a)) == 0, "%s", strerror(errno));
	step();
}

void raw_close(struct raw *r)
{
	int fds[] = {r->fd, r->client_fd, r->daemon_fd, r->doorbell};

	for (size_t i = 0; i < 4; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (r->client)
		munmap(r->client, r->client_bytes);
	if (r->daemon)
		munmap((void *)(uintptr_t)r->daemon, r->daemon_bytes);
	if (r->in_data)
		munmap(r->in_data, r->in_bytes);
	if (r->out_data)
		munmap(r->out_data, r->out_bytes);
	memset(r, 0, sizeof(*r));
	r->fd = r->client_fd = r->daemon_fd = r->doorbell = -1;
}

int raw_send(struct raw *r, const void *bytes, size_t n, const int *fds, int n_fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * 64)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fd > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n_fd);
		control.h.cmsg_level = SOL_SOCKET;
		control.h.cmsg_type = SCM_RIGHTS;
		control.h.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n_fd);
		memcpy(CMSG_DATA(&control.h), fds, sizeof(int) * (size_t)n_fd);
	}
	return sendmsg(r->fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *msg, struct raw_reply *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		CHECK(count <= 4);
		memcpy(ret->fd, CMSG_DATA(c), count * sizeof(int));
		ret->n_fd = (int)count;
	}
}

void raw_receive(struct raw *r, struct raw_reply *ret, int timeout_ms)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * 4)];
	} control;
	struct iovec iov = {&ret->m, sizeof(ret->m)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct pollfd p = {r->fd, POLLIN, 0};

	memset(&ret->m, 0, sizeof(ret->m));
	ret->n_fd = 0;
	if (poll(&p, 1, timeout_ms) <= 0) {
		ret->bytes = -ETIMEDOUT;
		return;
	}
	ret->bytes = recvmsg(r->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (ret->bytes < 0)
		ret->bytes = -errno;
	else
		take_fds(&msg, ret);
}

void raw_reply_done(struct raw_reply *reply)
{
	for (int i = 0; i < reply->n_fd; i++)
		close(reply->fd[i]);
	reply->n_fd = 0;
}

void raw_call(struct raw *r, struct neap_msg *m, size_t bytes, const int *fds, int n_fd,
	      struct raw_reply *ret)
{
	m->id = ++r->id;
	m->bytes = (uint32_t)bytes;
	ret->bytes = raw_send(r, m, bytes, fds, n_fd);
	ret->n_fd = 0;
	if (ret->bytes < 0)
		return;
	step();
	do
		raw_receive(r, ret, REPLY_MS);
	while (ret->bytes > 0 && ret->m.h.type == NEAP_MSG_WAKE);
	step();
}

static void expect(const struct raw_reply *r, unsigned type, size_t bytes, const char *what)
{
	CHECK(r->bytes >= (ssize_t)sizeof(struct neap_msg), "%s: no reply: %zd", what, r->bytes);
	CHECK(r->m.h.type == (type | NEAP_MSG_REPLY), "%s: message of type 0x%x: %s", what,
	      r->m.h.type, r->m.goodbye.text);
	CHECK(r->m.h.status == 0, "%s: %s: %s", what, strerror(-r->m.h.status), r->m.goodbye.text);
	CHECK(r->bytes == (ssize_t)bytes, "%s: a reply of %zd bytes", what, r->bytes);
}

void raw_hello(struct raw *r)
{
	struct neap_msg_hello m = {
		.h.type = NEAP_MSG_HELLO, .version = NEAP_WIRE_VERSION, .name = "raw"};
	struct raw_reply reply;

	raw_call(r, &m.h, sizeof(m), NULL, 0, &reply);
	expect(&reply, NEAP_MSG_HELLO, sizeof(reply.m.hello), "hello");
	r->device = !strcmp(reply.m.hello.transport, "device");
}

int raw_memfd(size_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | (seals < 0 ? 0 : MFD_ALLOW_SEALING));

	CHECK(fd >= 0);
	CHECK(ftruncate(fd, (off_t)bytes) == 0);
	if (seals > 0)
		CHECK(fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

void raw_rings(struct raw *r, uint32_t entries)
{
	struct neap_msg_rings m = {.h.type = NEAP_MSG_RINGS, .entries = entries};
	struct raw_reply reply;

	r->entries = entries;
	r->client_bytes = sizeof(*r->client) + entries * sizeof(struct neap_sqe);
	r->daemon_bytes = sizeof(*r->daemon) + entries * sizeof(struct neap_cqe);
	r->client_fd = raw_memfd(r->client_bytes, 0);
	r->client =
		mmap(NULL, r->client_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->client_fd, 0);
	CHECK(r->client != MAP_FAILED);
	CHECK(fcntl(r->client_fd, F_ADD_SEALS,
		    F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	raw_call(r, &m.h, sizeof(m), &r->client_fd, 1, &reply);
	expect(&reply, NEAP_MSG_RINGS, sizeof(struct neap_msg), "rings");
	CHECK(reply.n_fd == 2);
	r->daemon_fd = reply.fd[0];
	r->doorbell = reply.fd[1];
	r->daemon = mmap(NULL, r->daemon_bytes, PROT_READ, MAP_SHARED, r->daemon_fd, 0);
	CHECK(r->daemon != MAP_FAILED, "%s", strerror(errno));
}

int raw_device_buffer(size_t bytes)
{
	struct neap_buf_alloc a = {.bytes = bytes};
	int node = open("/dev/neap", O_RDWR | O_CLOEXEC);

	if (node < 0)
		return -1;
	CHECK(ioctl(node, NEAP_IOC_BUF_ALLOC, &a) == 0, "%s", strerror(errno));
	close(node);
	return a.fd;
}

uint32_t raw_add(struct raw *r, int fd, size_t bytes, uint32_t flags)
{
	struct neap_msg_buf_add m = {.h.type = NEAP_MSG_BUF_ADD, .bytes = bytes, .flags = flags};
	struct raw_reply reply;

	raw_call(r, &m.h, sizeof(m), &fd, 1, &reply);
	expect(&reply, NEAP_MSG_BUF_ADD, sizeof(reply.m.handle), "buffer");
	return reply.m.handle.handle;
}

uint32_t raw_buffer(struct raw *r, size_t bytes, uint32_t flags, char **ret_data)
{
	int fd = r->device ? raw_device_buffer(bytes) : -1;
	uint32_t handle;

	if (fd < 0)
		fd = raw_memfd(bytes, F_SEAL_SHRINK | F_SEAL_GROW);
	*ret_data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(*ret_data != MAP_FAILED);
	handle = raw_add(r, fd, bytes, flags);
	close(fd);
	return handle;
}

void raw_model(struct raw *r, const char *name)
{
	struct neap_msg_model_open m = {.h.type = NEAP_MSG_MODEL_OPEN};
	struct raw_reply reply;

	snprintf(m.name, sizeof(m.name), "%s", name);
	raw_call(r, &m.h, sizeof(m), NULL, 0, &reply);
	expect(&reply, NEAP_MSG_MODEL_OPEN, sizeof(reply.m.model), "model");
	r->model = reply.m.model;
}

void raw_ready(struct raw *r, struct harness *h, const char *model, uint32_t entries)
{
	raw_connect(r, h);
	raw_hello(r);
	raw_rings(r, entries);
	raw_model(r, model);
	r->in_bytes = r->model.in_bytes;
	r->out_bytes = r->model.out_bytes;
	r->in = raw_buffer(r, r->in_bytes, NEAP_WIRE_BUF_READ, &r->in_data);
	r->out = raw_buffer(r, r->out_bytes, NEAP_WIRE_BUF_WRITE, &r->out_data);
}

struct neap_sqe raw_sqe(const struct raw *r, uint64_t user_data)
{
	return (struct neap_sqe){.user_data = user_data,
				 .model = r->model.handle,
				 .op = NEAP_SQE_RUN,
				 .in_buf = r->in,
				 .out_buf = r->out};
}

void raw_ring(struct raw *r)
{
	uint64_t one = 1;
	ssize_t n = write(r->doorbell, &one, sizeof(one));

	CHECK(n == sizeof(one) || errno == EAGAIN, "doorbell: %s", strerror(errno));
}

void raw_push(struct raw *r, const struct neap_sqe *sqe)
{
	uint32_t tail = r->client->sq_tail;

	r->client->sqe[tail & (r->entries - 1)] = *sqe;
	step();
	__atomic_store_n(&r->client->sq_tail, tail + 1, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	step();
	if (__atomic_load_n(&r->daemon->asleep, __ATOMIC_RELAXED))
		raw_ring(r);
	step();
}

void raw_submit(struct raw *r, uint64_t user_data)
{
	struct neap_sqe sqe = raw_sqe(r, user_data);

	raw_push(r, &sqe);
}

bool raw_complete(struct raw *r, struct neap_cqe *ret, int timeout_ms)
{
	double until = now_s() + timeout_ms / 1000.0;
	uint32_t head = r->client->cq_head;

	while (__atomic_load_n(&r->daemon->cq_tail, __ATOMIC_ACQUIRE) == head) {
		if (now_s() > until)
			return false;
		sleep_ms(1);
	}
	step();
	*ret = r->daemon->cqe[head & (r->entries - 1)];
	__atomic_store_n(&r->client->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

bool raw_ended(struct raw *r, int timeout_ms, char why[192])
{
	double until = now_s() + timeout_ms / 1000.0;
	struct raw_reply reply;

	if (why)
		why[0] = 0;
	for (;;) {
		int left = (int)((until - now_s()) * 1000);

		raw_receive(r, &reply, left > 0 ? left : 0);
		if (reply.bytes == 0 || reply.bytes == -ECONNRESET || reply.bytes == -EPIPE)
			return true;
		if (reply.bytes < 0)
			return false;
		if (why && reply.m.h.type == NEAP_MSG_GOODBYE)
			memcpy(why, reply.m.goodbye.text, 192);
		raw_reply_done(&reply);
	}
}
