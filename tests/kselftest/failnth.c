// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation and every copy to or from user space that a call makes fails once, in turn
 * (/proc/thread-self/fail-nth; needs a kernel with FAULT_INJECTION and FAILSLAB). Whatever fails, the
 * caller gets a clear errno or success, and nothing is left: no bytes charged, no descriptor taken.
 */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define MOST 5000 /* failing points of one call; a walk that does not end is a failure */

/* What a call under test works on; act() and undo() pass results in @fd and @map. */
struct subject {
	int client, server, buf, pipes[2], fd;
	unsigned char *map;
	const char *name;
};

struct call_under_test {
	const char *name;
	int (*prepare)(struct subject *s); /* no failures here; may be NULL */
	int (*act)(struct subject *s);     /* 0 or a negative errno */
	void (*undo)(struct subject *s);   /* no failures here; may be NULL */
};

FIXTURE(failnth)
{
	int fail; /* the thread's fail-nth */
	bool usable;
	struct subject s;
	pid_t holder;
};

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) > 0;
	close(fd);
	return ok;
}

/* All allocations count, also those that may sleep, of any order; silently. */
static bool open_injection(int *ret_fd)
{
	*ret_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	write_file("/sys/kernel/debug/failslab/verbose", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
	return *ret_fd >= 0 && write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N") &&
	       write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N") &&
	       write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N") &&
	       write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
}

/* Another process that has the buffer mapped, so that ownership has something to take away. */
static pid_t start_holder(int buf, int server)
{
	pid_t pid = fork();

	if (!pid) {
		unsigned char *map = map_buf(buf, 8 * PAGE);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(server); /* or closing it would not free its place */
		touch(map, 1);
		pause();
		_exit(0);
	}
	return pid;
}

FIXTURE_SETUP(failnth)
{
	self->usable = open_injection(&self->fail);
	self->s = (struct subject){.client = open_client(), .server = open_server(), .fd = -1};
	ASSERT_GE(self->s.client, 0);
	ASSERT_GE(self->s.server, 0);
	self->s.buf = alloc_buf(self->s.client, 8 * PAGE);
	ASSERT_GE(self->s.buf, 0);
	ASSERT_EQ(0, pipe2(self->s.pipes, O_NONBLOCK | O_CLOEXEC));
	self->holder = start_holder(self->s.buf, self->s.server);
}

FIXTURE_TEARDOWN(failnth)
{
	kill(self->holder, SIGKILL);
	waitpid(self->holder, NULL, 0);
	close(self->s.buf);
	close(self->s.client);
	close(self->s.server);
	EXPECT_TRUE(wait_sysfs("buffers/used_bytes", 0, 5000));
	EXPECT_TRUE(wait_sysfs("buffers/count", 0, 5000));
}

static void set_nth(int fail, int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", nth);

	/* Where a failure is still due it may meet this write's copy, and is spent then. */
	while (pwrite(fail, text, (size_t)n, 0) != n)
		if (errno != EFAULT)
			abort();
}

/* How many points were left before the failure: 0 = it happened. */
static int points_left(int fail)
{
	char text[16] = {0};

	/* The read itself may meet the failure, at its copy: then the call did not. */
	return pread(fail, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 1;
}

static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static bool is_clean_error(int r)
{
	return r == -ENOMEM || r == -EFAULT || r == -ENFILE || r == -EAGAIN || r == -ENOSPC;
}

struct books {
	long long used, count;
	int fd;
};

static struct books look(void)
{
	return (struct books){read_sysfs("buffers/used_bytes"), read_sysfs("buffers/count"),
			      lowest_fd()};
}

/* Fails point after point of one call; how many there were, or -1 with the reason printed. */
static int walk(int fail, struct subject *s, const struct call_under_test *c)
{
	for (int nth = 1; nth < MOST; nth++) {
		struct books before = look(), after;
		int r, left;

		if (c->prepare && (r = c->prepare(s))) {
			ksft_print_msg("%s: preparing gives %d\n", c->name, r);
			return -1;
		}
		set_nth(fail, nth);
		r = c->act(s);
		left = points_left(fail);
		set_nth(fail, 0);
		if (c->undo)
			c->undo(s);
		after = look();
		if (after.used != before.used || after.count != before.count ||
		    after.fd != before.fd) {
			ksft_print_msg("%s, point %d, %d: used %lld, was %lld; count %lld, was "
				       "%lld; next descriptor %d, was %d\n",
				       c->name, nth, r, after.used, before.used, after.count,
				       before.count, after.fd, before.fd);
			return -1;
		}
		if (left && r) {
			ksft_print_msg("%s: %d though nothing failed\n", c->name, r);
			return -1;
		}
		if (left)
			return nth - 1;
		if (r && !is_clean_error(r)) {
			ksft_print_msg("%s, point %d: unclear error %d\n", c->name, nth, r);
			return -1;
		}
	}
	ksft_print_msg("%s: no end\n", c->name);
	return -1;
}

/* ---- the calls ---- */

static void close_fd(struct subject *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void unmap(struct subject *s)
{
	if (s->map)
		munmap(s->map, 8 * PAGE);
	s->map = NULL;
}

static int act_open_client(struct subject *s)
{
	s->fd = open_client();
	return s->fd < 0 ? -errno : 0;
}

static int act_query(struct subject *s)
{
	struct neap_query q;

	return call(s->client, NEAP_IOC_QUERY, &q);
}

static int act_alloc(struct subject *s)
{
	int fd = alloc_buf(s->client, 3 * PAGE);

	s->fd = fd;
	return fd < 0 ? fd : 0;
}

static int act_alloc_large(struct subject *s)
{
	int fd = alloc_buf(s->client, (2 << 20) + (64 << 10) + PAGE);

	s->fd = fd;
	return fd < 0 ? fd : 0;
}

static int act_alloc_and_close(struct subject *s)
{
	int fd = alloc_buf(s->client, PAGE);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int act_info(struct subject *s)
{
	struct neap_buf_info info = {.fd = s->buf};

	return call(s->server, NEAP_IOC_BUF_INFO, &info);
}

static int act_own(struct subject *s)
{
	return set_owner(s->server, s->buf, NEAP_OWNER_SERVER);
}

static void undo_own(struct subject *s)
{
	set_owner(s->server, s->buf, NEAP_OWNER_CLIENT);
}

static int prepare_buf(struct subject *s)
{
	int fd = alloc_buf(s->client, 2 * PAGE);

	s->fd = fd;
	return fd < 0 ? fd : 0;
}

static int act_revoke(struct subject *s)
{
	return revoke_buf(s->server, s->fd);
}

static int act_mmap(struct subject *s)
{
	s->map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, s->buf, 0);
	if (s->map != MAP_FAILED)
		return 0;
	s->map = NULL;
	return -errno;
}

static int prepare_map(struct subject *s)
{
	s->map = map_buf(s->buf, 8 * PAGE);
	return s->map == MAP_FAILED ? -errno : 0;
}

/* A fault of the process: what fails is tried again, the process does not see it. */
static int act_touch(struct subject *s)
{
	return touch(s->map + PAGE, 3) ? -EIO : 0;
}

/* A fault of the kernel on the process's behalf. */
static int act_read_into(struct subject *s)
{
	return syscall(SYS_getrandom, s->map + 2 * PAGE, 32, 0) == 32 ? 0 : -EFAULT;
}

static int act_populate(struct subject *s)
{
	return madvise(s->map, 8 * PAGE, MADV_POPULATE_WRITE) ? -errno : 0;
}

static int act_splice(struct subject *s)
{
	struct iovec iov = {s->map, PAGE};

	return vmsplice(s->pipes[1], &iov, 1, 0) < 0 ? -errno : 0;
}

static void undo_splice(struct subject *s)
{
	char page[PAGE];

	while (read(s->pipes[0], page, sizeof(page)) > 0)
		;
	unmap(s);
}

static int act_state_page(struct subject *s)
{
	s->map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, s->server, 0);
	if (s->map != MAP_FAILED)
		return 0;
	s->map = NULL;
	return -errno;
}

static void undo_state_page(struct subject *s)
{
	if (s->map)
		munmap(s->map, PAGE);
	s->map = NULL;
}

static int act_fork(struct subject *s)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(0);
	while (waitpid(pid, &status, 0) < 0 && errno == EFAULT)
		;
	return 0;
}

static int prepare_server(struct subject *s)
{
	close(s->server);
	return 0;
}

static int act_open_server(struct subject *s)
{
	s->server = open_server();
	return s->server < 0 ? -errno : 0;
}

static void undo_open_server(struct subject *s)
{
	if (s->server < 0)
		s->server = open_server();
}

static int prepare_import(struct subject *s)
{
	s->fd = open("/sys/kernel/debug/neap_import_dma", O_WRONLY | O_CLOEXEC);
	return 0;
}

static int act_import(struct subject *s)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", s->buf);

	if (s->fd < 0)
		return 0;
	return write(s->fd, text, (size_t)n) < 0 ? -errno : 0;
}

static int act_sysfs_write(struct subject *s)
{
	return write_sysfs(s->name, "0");
}

static const struct call_under_test calls[] = {
	{"open /dev/neap", NULL, act_open_client, close_fd},
	{"QUERY", NULL, act_query, NULL},
	{"BUF_ALLOC", NULL, act_alloc, close_fd},
	{"BUF_ALLOC of 2 MiB and more", NULL, act_alloc_large, close_fd},
	{"BUF_ALLOC and close", NULL, act_alloc_and_close, NULL},
	{"BUF_INFO", NULL, act_info, NULL},
	{"BUF_OWN", NULL, act_own, undo_own},
	{"BUF_REVOKE", prepare_buf, act_revoke, close_fd},
	{"mmap with MAP_POPULATE", NULL, act_mmap, unmap},
	{"access", prepare_map, act_touch, unmap},
	{"access by the kernel", prepare_map, act_read_into, unmap},
	{"MADV_POPULATE_WRITE", prepare_map, act_populate, unmap},
	{"vmsplice", prepare_map, act_splice, undo_splice},
	{"mmap of the state page", NULL, act_state_page, undo_state_page},
	{"fork with a mapping", prepare_map, act_fork, unmap},
	{"import by a device", prepare_import, act_import, close_fd},
	{"open /dev/neap-server", prepare_server, act_open_server, undo_open_server},
};

TEST_F_TIMEOUT(failnth, calls, 400)
{
	if (!self->usable)
		SKIP(return, "no fail-nth: the kernel has no FAULT_INJECTION, or debugfs is not "
			     "there");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int points = walk(self->fail, &self->s, &calls[i]);

		EXPECT_GE(points, 0);
		ksft_print_msg("%s: %d points\n", calls[i].name, points);
	}
}

TEST_F_TIMEOUT(failnth, sysfs_writes, 200)
{
	static const char *const names[] = {"budget/latency_us",        "budget/power_mw_mains",
					    "budget/power_mw_battery",  "budget/cpu_permille",
					    "budget/autonomy_min",      "budget/depth_max",
					    "budget/width_max_permille"};
	const struct call_under_test write_it = {"sysfs", NULL, act_sysfs_write, NULL};

	if (!self->usable)
		SKIP(return, "no fail-nth: the kernel has no FAULT_INJECTION, or debugfs is not "
			     "there");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		self->s.name = names[i];
		EXPECT_GE(walk(self->fail, &self->s, &write_it), 1);
	}
}

/* Loading: what fails half-way leaves no node, no notifier, no page. */
FIXTURE(loading)
{
	int fail, file;
	bool usable;
};

FIXTURE_SETUP(loading)
{
	const char *path = getenv("NEAP_KO");

	self->usable = open_injection(&self->fail) && path;
	if (!self->usable)
		return;
	self->file = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(self->file, 0);
	ASSERT_EQ(0, syscall(SYS_delete_module, "neap", O_NONBLOCK));
}

FIXTURE_TEARDOWN(loading)
{
	if (self->usable)
		EXPECT_EQ(0, syscall(SYS_finit_module, self->file, "", 0));
}

TEST_F_TIMEOUT(loading, fails_at_every_point, 500)
{
	int nth, r = -1, left = 0;

	if (!self->usable)
		SKIP(return, "no fail-nth, or NEAP_KO does not name the module's file");
	for (nth = 1; nth < MOST && !left; nth++) {
		set_nth(self->fail, nth);
		r = (int)syscall(SYS_finit_module, self->file, "", 0);
		left = points_left(self->fail);
		set_nth(self->fail, 0);
		/* Some failures do no harm: it is loaded all the same. */
		if (!r)
			ASSERT_EQ(0, syscall(SYS_delete_module, "neap", O_NONBLOCK));
		ASSERT_NE(0, access("/dev/neap", F_OK));
		ASSERT_NE(0, access("/dev/neap-server", F_OK));
	}
	EXPECT_EQ(0, r);
	EXPECT_GT(nth, 10);
	ksft_print_msg("loading: %d points\n", nth - 2);
}

TEST_HARNESS_MAIN
