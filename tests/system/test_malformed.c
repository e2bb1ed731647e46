// SPDX-License-Identifier: MIT
/*
 * Every malformed message: each type too short, too long, with reserved fields, a wrong version or
 * a wrong number of descriptors, out of order; descriptors of every kind that is not a sealed memfd
 * of the right size. The daemon refuses each, with a reply or by ending the session, and serves on.
 */
#include "tests/system/model.h"
#include "tests/system/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define GOOD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

enum stage { FRESH, GREETED, RINGED }; /* what went well before */

static void open_at(struct raw *r, struct harness *h, enum stage stage)
{
	raw_connect(r, h);
	if (stage >= GREETED)
		raw_hello(r);
	if (stage >= RINGED)
		raw_rings(r, 8);
}

/* The message must not be accepted: a negative reply, or the end of the session. */
static void refused(struct raw *r, const void *m, size_t bytes, const int *fds, int n_fd,
		    const char *what)
{
	struct raw_reply reply = {0};
	int ret = raw_send(r, m, bytes, fds, n_fd);

	CHECK(ret == 0 || ret == -EPIPE || ret == -ECONNRESET, "%s: %s", what, strerror(-ret));
	do {
		raw_reply_done(&reply);
		raw_receive(r, &reply, 20000);
	} while (reply.bytes > 0 && reply.m.h.type == NEAP_MSG_WAKE);
	CHECK(reply.bytes != -ETIMEDOUT, "%s: neither reply nor end", what);
	if (reply.bytes > 0) {
		CHECK(reply.m.h.status < 0, "%s: accepted", what);
		CHECK(reply.m.h.bytes == (uint32_t)reply.bytes, "%s: reply's length", what);
		/* A text, or for commands a JSON text in a memfd. */
		CHECK((reply.bytes == sizeof(reply.m.goodbye) && reply.m.goodbye.text[0]) ||
			      (reply.m.h.type == (NEAP_MSG_CONTROL | NEAP_MSG_REPLY) &&
			       reply.n_fd == 1),
		      "%s: refused without a reason", what);
	}
	raw_reply_done(&reply);
}

static void try(struct harness *h, enum stage stage, const void *m, size_t bytes, const int *fds,
		int n_fd, const char *what)
{
	struct raw r;

	open_at(&r, h, stage);
	refused(&r, m, bytes, fds, n_fd, what);
	raw_close(&r);
}

/* ---- the form of messages ---- */

static const struct form {
	unsigned type;
	size_t bytes;
	int fds;
	enum stage stage;
	size_t reserved; /* offset of a reserved u32 in the body; 0 = none */
} forms[] = {
	{NEAP_MSG_HELLO, sizeof(struct neap_msg_hello), 0, FRESH,
	 offsetof(struct neap_msg_hello, features)},
	{NEAP_MSG_RINGS, sizeof(struct neap_msg_rings), 1, GREETED,
	 offsetof(struct neap_msg_rings, reserved)},
	{NEAP_MSG_BUF_ADD, sizeof(struct neap_msg_buf_add), 1, GREETED,
	 offsetof(struct neap_msg_buf_add, reserved)},
	{NEAP_MSG_BUF_REMOVE, sizeof(struct neap_msg_handle), 0, GREETED,
	 offsetof(struct neap_msg_handle, reserved)},
	{NEAP_MSG_MODEL_OPEN, sizeof(struct neap_msg_model_open), 0, GREETED, 0},
	{NEAP_MSG_MODEL_CLOSE, sizeof(struct neap_msg_handle), 0, GREETED,
	 offsetof(struct neap_msg_handle, reserved)},
	{NEAP_MSG_CONTROL, sizeof(struct neap_msg_control), 0, GREETED, 0},
};

union any {
	struct neap_msg h;
	struct neap_msg_hello hello;
	struct neap_msg_rings rings;
	struct neap_msg_buf_add buf_add;
	struct neap_msg_handle handle;
	struct neap_msg_model_open model;
	struct neap_msg_control control;
	char raw[2 * NEAP_WIRE_MSG_BYTES];
};

/* A message of the form that would be accepted, but for handles. */
static void good(const struct form *f, union any *m)
{
	memset(m, 0, sizeof(*m));
	m->h = (struct neap_msg){.type = (uint16_t)f->type, .id = 77, .bytes = (uint32_t)f->bytes};
	if (f->type == NEAP_MSG_HELLO)
		m->hello.version = NEAP_WIRE_VERSION;
	if (f->type == NEAP_MSG_RINGS)
		m->rings.entries = 8;
	if (f->type == NEAP_MSG_BUF_ADD)
		m->buf_add.bytes = 4096, m->buf_add.flags = NEAP_WIRE_BUF_READ;
	if (f->type == NEAP_MSG_MODEL_OPEN)
		strcpy(m->model.name, "quick");
	if (f->type == NEAP_MSG_CONTROL)
		strcpy(m->control.text, "status");
}

/* A descriptor that the form would take. */
static int good_fd(void)
{
	return raw_memfd(65536, GOOD_SEALS | F_SEAL_FUTURE_WRITE);
}

static void lengths(struct harness *h)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];
		size_t least = f->type == NEAP_MSG_CONTROL ? 17 : f->bytes - 1;
		size_t wrong[] = {1,
				  4,
				  15,
				  16,
				  17,
				  least,
				  f->bytes + 1,
				  f->bytes + 8,
				  4096,
				  4097,
				  2 * NEAP_WIRE_MSG_BYTES};
		int fd = good_fd();
		union any m;

		for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			char what[64];

			/* Control texts have any length up to the longest message. */
			if (wrong[k] == f->bytes ||
			    (f->type == NEAP_MSG_CONTROL && wrong[k] > 17 && wrong[k] <= 4096))
				continue;
			good(f, &m);
			m.h.bytes = (uint32_t)wrong[k];
			snprintf(what, sizeof(what), "type %u of %zu bytes", f->type, wrong[k]);
			try(h, f->stage, &m, wrong[k], &fd, f->fds, what);
		}
		/* A header that lies of the length. */
		good(f, &m);
		m.h.bytes = (uint32_t)f->bytes + 4;
		try(h, f->stage, &m, f->bytes, &fd, f->fds, "header's length");
		close(fd);
	}
}

static void reserved_fields(struct harness *h)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];
		int fd = good_fd();
		union any m;

		good(f, &m);
		m.h.reserved = 1;
		try(h, f->stage, &m, f->bytes, &fd, f->fds, "header reserved");
		good(f, &m);
		m.h.status = -5;
		try(h, f->stage, &m, f->bytes, &fd, f->fds, "status of a request");
		if (f->reserved) {
			good(f, &m);
			m.raw[f->reserved + 3] = 0x40;
			try(h, f->stage, &m, f->bytes, &fd, f->fds, "reserved field");
		}
		close(fd);
	}
}

static void descriptor_counts(struct harness *h)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];
		static const int counts[] = {0, 1, 2, 3, 16, 60};
		int fds[60];
		union any m;

		for (int k = 0; k < 60; k++)
			fds[k] = good_fd();
		for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
			char what[64];

			if (counts[k] == f->fds)
				continue;
			good(f, &m);
			snprintf(what, sizeof(what), "type %u with %d descriptors", f->type,
				 counts[k]);
			try(h, f->stage, &m, f->bytes, fds, counts[k], what);
		}
		for (int k = 0; k < 60; k++)
			close(fds[k]);
	}
}

static void versions_and_order(struct harness *h)
{
	static const unsigned types[] = {0,
					 8,
					 63,
					 NEAP_MSG_WAKE,
					 NEAP_MSG_GOODBYE,
					 66,
					 1000,
					 NEAP_MSG_REPLY,
					 NEAP_MSG_REPLY | NEAP_MSG_HELLO,
					 0xffff};
	struct raw r;
	union any m;
	int fd = good_fd();

	good(&forms[0], &m);
	m.hello.version = 2;
	try(h, FRESH, &m, forms[0].bytes, NULL, 0, "version 2");
	m.hello.version = 0;
	try(h, FRESH, &m, forms[0].bytes, NULL, 0, "version 0");
	good(&forms[0], &m);
	memset(m.hello.name, 'x', sizeof(m.hello.name));
	try(h, FRESH, &m, forms[0].bytes, NULL, 0, "name without an end");
	good(&forms[0], &m);
	try(h, GREETED, &m, forms[0].bytes, NULL, 0, "second hello");
	for (size_t i = 1; i < sizeof(forms) / sizeof(forms[0]); i++) {
		good(&forms[i], &m);
		try(h, FRESH, &m, forms[i].bytes, &fd, forms[i].fds, "before hello");
	}
	good(&forms[1], &m);
	try(h, RINGED, &m, forms[1].bytes, &fd, 1, "second rings");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		m.h = (struct neap_msg){.type = (uint16_t)types[i], .id = 5, .bytes = 16};
		try(h, GREETED, &m, 16, NULL, 0, "unknown type");
	}
	close(fd);
	/* Nothing at all, and a connection that only closes. */
	raw_connect(&r, h);
	raw_send(&r, "", 0, NULL, 0);
	CHECK(raw_ended(&r, 20000, NULL), "an empty message is taken");
	raw_close(&r);
	raw_connect(&r, h);
	raw_close(&r);
}

static void values(struct harness *h)
{
	static const uint32_t entries[] = {0, 1, 4, 7, 9, 100, 8192, 1u << 31, UINT32_MAX};
	static const uint64_t bytes[] = {0,          65537,      1ull << 32,
					 1ull << 62, UINT64_MAX, UINT64_MAX - 63};
	static const uint32_t flags[] = {0, 4, 8, 0xff, UINT32_MAX};
	static const char *const names[] = {"", "nothing", "../quick", "quick.neap", "/etc/passwd"};
	int ring = good_fd(), fd = good_fd();
	union any m;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		good(&forms[1], &m);
		m.rings.entries = entries[i];
		try(h, GREETED, &m, forms[1].bytes, &ring, 1, "entries");
	}
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		good(&forms[2], &m);
		m.buf_add.bytes = bytes[i];
		try(h, GREETED, &m, forms[2].bytes, &fd, 1, "bytes of a buffer");
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		good(&forms[2], &m);
		m.buf_add.flags = flags[i];
		try(h, GREETED, &m, forms[2].bytes, &fd, 1, "flags of a buffer");
	}
	/* One writer's buffer cannot be an output. */
	good(&forms[2], &m);
	m.buf_add.flags = NEAP_WIRE_BUF_WRITE;
	try(h, GREETED, &m, forms[2].bytes, &fd, 1, "output sealed against writing");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		good(&forms[4], &m);
		snprintf(m.model.name, sizeof(m.model.name), "%s", names[i]);
		try(h, GREETED, &m, forms[4].bytes, NULL, 0, "model's name");
	}
	for (uint32_t i = 0; i < 4; i++) {
		good(&forms[3], &m);
		m.handle.handle = i ? UINT32_MAX / i : 0;
		try(h, GREETED, &m, forms[3].bytes, NULL, 0, "handle of a buffer");
		m.h.type = NEAP_MSG_MODEL_CLOSE;
		try(h, GREETED, &m, forms[3].bytes, NULL, 0, "handle of a model");
	}
	close(ring);
	close(fd);
}

static void control_texts(struct harness *h)
{
	static const char *const texts[] = {
		"",
		" ",
		"\n",
		"stat",
		"status now",
		"budget",
		"budget set",
		"budget set latency_us",
		"budget set latency_us -1",
		"budget set latency_us 1x",
		"budget set latency_us 99999999999",
		"budget set ../../x 1",
		"budget set nothing 1",
		"load",
		"load /dev/zero",
		"load /proc/self/mem",
		"load /nonexistent",
		"load relative",
		"unload",
		"unload nothing",
		"%s%n%s%n",
		"status\x01",
	};
	union any m;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		good(&forms[6], &m);
		strcpy(m.control.text, texts[i]);
		try(h, GREETED, &m, forms[6].bytes, NULL, 0, texts[i]);
	}
	good(&forms[6], &m);
	memset(m.control.text, 'a', sizeof(m.control.text));
	try(h, GREETED, &m, forms[6].bytes, NULL, 0, "text without an end");
	memset(m.control.text, ' ', sizeof(m.control.text));
	m.control.text[sizeof(m.control.text) - 1] = 0;
	try(h, GREETED, &m, forms[6].bytes, NULL, 0, "spaces");
}

/* ---- descriptors ---- */

static int kinds[32];
static const char *kind_name[32];
static int n_kind;

static void kind(const char *name, int fd)
{
	CHECK(fd >= 0, "%s: %s", name, strerror(errno));
	kind_name[n_kind] = name;
	kinds[n_kind++] = fd;
}

static int read_only(int fd)
{
	char path[64];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return ro;
}

static void make_kinds(struct harness *h)
{
	char path[128];
	int p[2];

	n_kind = 0;
	CHECK(pipe2(p, O_CLOEXEC) == 0);
	kind("a pipe to read", p[0]);
	kind("a pipe to write", p[1]);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	kind("a socket", p[0]);
	close(p[1]);
	kind("an eventfd", eventfd(0, EFD_CLOEXEC));
	kind("an epoll set", epoll_create1(EPOLL_CLOEXEC));
	kind("/dev/null", open("/dev/null", O_RDWR | O_CLOEXEC));
	kind("/dev/zero", open("/dev/zero", O_RDWR | O_CLOEXEC));
	kind("a folder", open(h->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	kind("a path", open(h->dir, O_PATH | O_CLOEXEC));
	snprintf(path, sizeof(path), "%s/file", h->dir);
	kind("a file", open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	CHECK(ftruncate(kinds[n_kind - 1], 1 << 20) == 0);
	kind("a memfd without seals", raw_memfd(65536, 0));
	kind("a memfd that cannot be sealed", raw_memfd(65536, -1));
	kind("a memfd that can shrink", raw_memfd(65536, F_SEAL_GROW));
	kind("a memfd that can grow", raw_memfd(65536, F_SEAL_SHRINK));
	kind("an empty memfd", raw_memfd(0, GOOD_SEALS));
	kind("a small memfd", raw_memfd(100, GOOD_SEALS));
}

static void close_kinds(void)
{
	while (n_kind)
		close(kinds[--n_kind]);
}

static void descriptors(struct harness *h)
{
	union any m;

	make_kinds(h);
	for (int i = 0; i < n_kind; i++) {
		good(&forms[1], &m);
		try(h, GREETED, &m, forms[1].bytes, &kinds[i], 1, kind_name[i]);
		for (uint32_t flags = 1; flags <= 2; flags++) {
			good(&forms[2], &m);
			m.buf_add.flags = flags;
			try(h, GREETED, &m, forms[2].bytes, &kinds[i], 1, kind_name[i]);
		}
	}
	close_kinds();
	/* An output that the daemon cannot write. */
	kind("an output to read only", read_only(raw_memfd(65536, GOOD_SEALS)));
	good(&forms[2], &m);
	m.buf_add.flags = NEAP_WIRE_BUF_WRITE;
	try(h, GREETED, &m, forms[2].bytes, &kinds[0], 1, kind_name[0]);
	close_kinds();
	kind("an output sealed against writing", raw_memfd(65536, GOOD_SEALS | F_SEAL_WRITE));
	try(h, GREETED, &m, forms[2].bytes, &kinds[0], 1, kind_name[0]);
	close_kinds();
}

/* A buffer that was accepted cannot be made smaller under the daemon's feet. */
static void shrinking(struct harness *h)
{
	struct neap_msg_buf_add add = {
		.h.type = NEAP_MSG_BUF_ADD, .bytes = 65536, .flags = NEAP_WIRE_BUF_READ};
	int fd = raw_memfd(65536, GOOD_SEALS), loose;
	struct raw_reply reply;
	struct neap_sqe sqe;
	struct neap_cqe c;
	struct raw r;

	raw_ready(&r, h, "quick", 8);
	raw_call(&r, &add.h, sizeof(add), &fd, 1, &reply);
	CHECK(reply.bytes == sizeof(reply.m.handle) && reply.m.h.status == 0, "%s",
	      reply.m.goodbye.text);
	CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
	CHECK(ftruncate(fd, 1 << 20) < 0 && errno == EPERM);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536) == 0);
	sqe = raw_sqe(&r, 1);
	sqe.in_buf = reply.m.handle.handle;
	raw_push(&r, &sqe);
	CHECK(raw_complete(&r, &c, 20000) && c.status == 0);
	close(fd);
	/* One that shrinks between sending and looking is refused or harmless. */
	for (int i = 0; i < 50; i++) {
		loose = raw_memfd(65536, 0);
		add.h.id = 1000 + (uint32_t)i;
		add.h.bytes = sizeof(add);
		CHECK(raw_send(&r, &add, sizeof(add), &loose, 1) == 0);
		CHECK(ftruncate(loose, 0) == 0);
		raw_receive(&r, &reply, 20000);
		CHECK(reply.bytes >= 16 && reply.m.h.status < 0);
		close(loose);
	}
	raw_close(&r);
}

/* Random messages: whatever it is, it ends nothing but the session. */
static void random_messages(struct harness *h)
{
	uint64_t state = 0xabad1dea;

	for (int i = 0; i < 400; i++) {
		const struct form *f = &forms[random_u32(&state) % 7];
		int fd = good_fd();
		union any m;
		struct raw r;

		good(f, &m);
		for (uint32_t k = random_u32(&state) % 6; k; k--)
			m.raw[random_u32(&state) % f->bytes] ^=
				(char)(1u << random_u32(&state) % 8);
		/* "drain" is the one text that may end it. */
		if (f->type == NEAP_MSG_CONTROL && m.control.text[0] == 'd')
			m.control.text[0] = 'x';
		open_at(&r, h, f->stage);
		raw_send(&r, &m, f->bytes, &fd, f->fds);
		raw_close(&r);
		close(fd);
		if (i % 50 == 0)
			harness_check(h);
	}
}

int main(void)
{
	struct harness h = {0};
	double bytes;

	harness_init(&h);
	model_install(&h, "quick", &model_quick);
	harness_start(&h);
	model_wait(&h, "quick");
	bytes = status_number(&h, "shared_bytes"); /* of the one that asks */
	RUN_CASE(&h, lengths);
	RUN_CASE(&h, reserved_fields);
	RUN_CASE(&h, descriptor_counts);
	RUN_CASE(&h, versions_and_order);
	RUN_CASE(&h, values);
	RUN_CASE(&h, control_texts);
	RUN_CASE(&h, descriptors);
	RUN_CASE(&h, shrinking);
	RUN_CASE(&h, random_messages);
	status_wait(&h, "sessions", 1, 20000);
	status_wait(&h, "shared_bytes", bytes, 20000);
	harness_done(&h);
	return 0;
}
