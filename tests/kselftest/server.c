// SPDX-License-Identifier: GPL-2.0-only
/* /dev/neap-server: one opener, who may call, BUF_INFO, the state page. */
#include "kselftest_harness.h"
#include "neap_test.h"

FIXTURE(server)
{
	int client, server;
};

FIXTURE_SETUP(server)
{
	self->client = open_client();
	self->server = open_server();
	ASSERT_GE(self->client, 0);
	ASSERT_GE(self->server, 0);
}

FIXTURE_TEARDOWN(server)
{
	close(self->server);
	close(self->client);
}

TEST_F(server, one_at_a_time)
{
	int again;

	EXPECT_EQ(-1, open_server());
	EXPECT_EQ(EBUSY, errno);
	close(self->server);
	again = open_server();
	EXPECT_GE(again, 0);
	self->server = again;
}

TEST_F(server, frees_its_place_when_it_dies)
{
	int status, ready[2];
	pid_t pid;

	close(self->server);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		if (open_server() < 0)
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(2);
		pause();
	}
	ASSERT_EQ(1, read(ready[0], &status, 1));
	EXPECT_EQ(-1, open_server());
	EXPECT_EQ(EBUSY, errno);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	self->server = open_server();
	EXPECT_GE(self->server, 0);
}

/* A child that inherited the descriptor does not keep the next server out. */
TEST_F(server, a_dead_one_does_not_hold_its_place)
{
	int status, ready[2], again;
	pid_t pid, child;

	close(self->server);
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		if (open_server() < 0)
			_exit(1);
		child = fork();
		if (!child) {
			pause();
			_exit(0);
		}
		if (write(ready[1], &child, sizeof(child)) != sizeof(child))
			_exit(2);
		pause();
	}
	ASSERT_EQ(sizeof(child), read(ready[0], &child, sizeof(child)));
	EXPECT_EQ(-1, open_server());
	EXPECT_EQ(EBUSY, errno);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	self->server = open_server();
	EXPECT_GE(self->server, 0);
	/* The old descriptor's end is not the end of the new server. */
	kill(child, SIGKILL);
	usleep(200000);
	again = open_server();
	EXPECT_EQ(-1, again);
	EXPECT_EQ(EBUSY, errno);
}

TEST_F(server, a_leaked_descriptor_is_of_no_use)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct neap_query q;

		if (call(self->server, NEAP_IOC_QUERY, &q) != -EPERM)
			_exit(1);
		if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->server, 0) != MAP_FAILED ||
		    errno != EPERM)
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(server, calls_and_their_errors)
{
	struct neap_query q;
	struct neap_buf_alloc a = {.bytes = PAGE};
	struct neap_buf_info info = {.fd = -1};
	struct neap_buf_own own = {.fd = -1};
	int memfd = memfd_create("not ours", MFD_CLOEXEC);

	EXPECT_EQ(0, call(self->server, NEAP_IOC_QUERY, &q));
	EXPECT_EQ(-ENOTTY, call(self->server, NEAP_IOC_BUF_ALLOC, &a));
	EXPECT_EQ(-EBADF, call(self->server, NEAP_IOC_BUF_INFO, &info));
	info.fd = memfd;
	EXPECT_EQ(-EINVAL, call(self->server, NEAP_IOC_BUF_INFO, &info));
	info.fd = self->server;
	EXPECT_EQ(-EINVAL, call(self->server, NEAP_IOC_BUF_INFO, &info));
	info = (struct neap_buf_info){.fd = memfd, .reserved = 1};
	EXPECT_EQ(-EINVAL, call(self->server, NEAP_IOC_BUF_INFO, &info));
	EXPECT_EQ(-EFAULT, call(self->server, NEAP_IOC_BUF_INFO, NULL));
	EXPECT_EQ(-EBADF, call(self->server, NEAP_IOC_BUF_OWN, &own));
	own.who = 2;
	EXPECT_EQ(-EINVAL, call(self->server, NEAP_IOC_BUF_OWN, &own));
	EXPECT_EQ(-EINVAL, set_owner(self->server, memfd, NEAP_OWNER_SERVER));
	EXPECT_EQ(-EINVAL, revoke_buf(self->server, memfd));
	EXPECT_EQ(-EBADF, revoke_buf(self->server, 999));
	close(memfd);
}

TEST_F(server, info_tells_owner_and_size)
{
	struct neap_buf_info a = {0}, b = {0};

	a.fd = alloc_buf(self->client, 3 * PAGE);
	b.fd = alloc_buf(self->client, 1);
	ASSERT_GE(a.fd, 0);
	ASSERT_GE(b.fd, 0);
	ASSERT_EQ(0, call(self->server, NEAP_IOC_BUF_INFO, &a));
	ASSERT_EQ(0, call(self->server, NEAP_IOC_BUF_INFO, &b));
	EXPECT_EQ(3 * PAGE, a.bytes);
	EXPECT_EQ(PAGE, b.bytes);
	EXPECT_EQ(getuid(), a.uid);
	EXPECT_EQ(0, a.state);
	EXPECT_NE(a.id, b.id);
	close(a.fd);
	close(b.fd);
}

TEST_F(server, state_page_is_read_only)
{
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->server, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->server, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->server, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->server, PAGE));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->client, 0));
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->server, 0);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	munmap(p, PAGE);
}

/* One consistent copy of the state page. */
static struct neap_state read_state(const volatile struct neap_state *page)
{
	struct neap_state copy;
	uint32_t seq;

	do {
		do
			seq = __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE);
		while (seq & 1);
		memcpy(&copy, (const void *)page, sizeof(copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&page->seq, __ATOMIC_RELAXED) != seq);
	return copy;
}

TEST_F(server, state_page_follows_the_budgets)
{
	const volatile struct neap_state *page =
		mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->server, 0);
	struct neap_state before, after;

	ASSERT_NE(MAP_FAILED, (void *)page);
	before = read_state(page);
	EXPECT_EQ(sizeof(struct neap_state), before.bytes);
	ASSERT_EQ(0, write_sysfs("budget/latency_us", "1234"));
	after = read_state(page);
	EXPECT_EQ(1234, after.latency_us);
	EXPECT_NE(before.seq, after.seq);
	ASSERT_EQ(0, write_sysfs("budget/latency_us", "0"));
	EXPECT_EQ(0, read_state(page).latency_us);
	munmap((void *)page, PAGE);
}

TEST_HARNESS_MAIN
