// SPDX-License-Identifier: GPL-2.0-only
/*
 * BUF_OWN and BUF_REVOKE. The test is the server; a child process is the client, since mappings of
 * the server's own process are exempt.
 */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <pthread.h>
#include <time.h>

FIXTURE(ownership)
{
	int client, server, fd;
	unsigned char *map; /* the server's */
	/* Seen by both: what the client did. */
	volatile struct {
		int step, signal;
		uint64_t touched_ns;
	} * shared;
	pid_t pid;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

FIXTURE_SETUP(ownership)
{
	self->client = open_client();
	self->server = open_server();
	ASSERT_GE(self->server, 0);
	self->fd = alloc_buf(self->client, 4 * PAGE);
	ASSERT_GE(self->fd, 0);
	self->map = map_buf(self->fd, 4 * PAGE);
	ASSERT_NE(MAP_FAILED, (void *)self->map);
	self->shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	self->pid = 0;
}

FIXTURE_TEARDOWN(ownership)
{
	if (self->pid) {
		kill(self->pid, SIGKILL);
		waitpid(self->pid, NULL, 0);
	}
	munmap(self->map, 4 * PAGE);
	close(self->fd);
	if (self->server >= 0)
		close(self->server);
	close(self->client);
}

static void wait_step(volatile int *step, int want)
{
	while (*step < want)
		usleep(1000);
}

/* The client maps the buffer, writes once (step 1), waits for step 2, writes again (step 3). */
static void client_main(FIXTURE_DATA(ownership) * self)
{
	unsigned char *map = map_buf(self->fd, 4 * PAGE);

	close(self->server); /* or the device would stay open when the server closes it */
	if (map == MAP_FAILED)
		_exit(1);
	map[0] = 1;
	self->shared->step = 1;
	wait_step(&self->shared->step, 2);
	self->shared->signal = touch(map, 2);
	self->shared->touched_ns = now_ns();
	self->shared->step = 3;
	pause();
}

static void start_client(FIXTURE_DATA(ownership) * self)
{
	self->pid = fork();
	if (!self->pid)
		client_main(self);
	wait_step(&self->shared->step, 1);
}

TEST_F(ownership, the_client_waits_and_goes_on)
{
	uint64_t given_back;

	start_client(self);
	EXPECT_EQ(1, self->map[0]);
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	self->shared->step = 2;
	usleep(200000);
	EXPECT_EQ(2, self->shared->step); /* still waiting */
	EXPECT_EQ(1, self->map[0]);       /* the server reads on */
	EXPECT_EQ(0, touch(self->map + PAGE, 5));
	given_back = now_ns();
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_CLIENT));
	wait_step(&self->shared->step, 3);
	EXPECT_EQ(0, self->shared->signal);
	EXPECT_GE(self->shared->touched_ns, given_back);
	EXPECT_EQ(2, self->map[0]);
}

TEST_F(ownership, a_waiting_client_can_be_killed)
{
	int status;

	start_client(self);
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	self->shared->step = 2;
	usleep(100000);
	kill(self->pid, SIGKILL);
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	self->pid = 0;
}

TEST_F(ownership, comes_back_when_the_server_goes)
{
	start_client(self);
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	self->shared->step = 2;
	usleep(100000);
	close(self->server);
	self->server = -1;
	wait_step(&self->shared->step, 3);
	EXPECT_EQ(0, self->shared->signal);
}

TEST_F(ownership, info_tells_it)
{
	struct neap_buf_info info = {.fd = self->fd};

	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER)); /* twice is once */
	ASSERT_EQ(0, call(self->server, NEAP_IOC_BUF_INFO, &info));
	EXPECT_EQ(NEAP_BUF_OWNED, info.state);
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_CLIENT));
	ASSERT_EQ(0, call(self->server, NEAP_IOC_BUF_INFO, &info));
	EXPECT_EQ(0, info.state);
}

TEST_F(ownership, revoked_is_sigbus_for_the_client_alone)
{
	struct neap_buf_info info = {.fd = self->fd};
	long long total = read_sysfs("buffers/revoked_total");

	start_client(self);
	ASSERT_EQ(0, revoke_buf(self->server, self->fd));
	ASSERT_EQ(0, revoke_buf(self->server, self->fd)); /* counted once */
	EXPECT_EQ(total + 1, read_sysfs("buffers/revoked_total"));
	self->shared->step = 2;
	wait_step(&self->shared->step, 3);
	EXPECT_EQ(SIGBUS, self->shared->signal);
	EXPECT_EQ(1, self->map[0]); /* as it was */
	EXPECT_EQ(0, touch(self->map + 2 * PAGE, 5));
	ASSERT_EQ(0, call(self->server, NEAP_IOC_BUF_INFO, &info));
	EXPECT_EQ(NEAP_BUF_REVOKED, info.state);
	EXPECT_EQ(-ESTALE, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
}

TEST_F(ownership, a_client_that_waits_is_told_of_the_revocation)
{
	start_client(self);
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	self->shared->step = 2;
	usleep(100000);
	ASSERT_EQ(0, revoke_buf(self->server, self->fd));
	wait_step(&self->shared->step, 3);
	EXPECT_EQ(SIGBUS, self->shared->signal);
}

TEST_F(ownership, a_system_call_on_an_owned_page_waits_too)
{
	int pipes[2];
	char byte;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	self->pid = fork();
	if (!self->pid) {
		unsigned char *map = map_buf(self->fd, 4 * PAGE);

		_exit(write(pipes[1], map, 1) == 1 ? 0 : 1);
	}
	usleep(100000);
	self->map[0] = 77;
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_CLIENT));
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	EXPECT_EQ(77, byte);
	close(pipes[0]);
	close(pipes[1]);
}

/* Accesses from several threads while the buffer is taken and given back again and again. */
struct hammer {
	unsigned char *map;
	volatile bool stop;
	uint64_t count;
};

static void *hammer_thread(void *arg)
{
	struct hammer *h = arg;

	while (!h->stop) {
		h->map[h->count % (4 * PAGE)]++;
		h->count++;
	}
	return NULL;
}

TEST_F(ownership, under_access)
{
	int status;

	self->pid = fork();
	if (!self->pid) {
		struct hammer h[3];
		pthread_t t[3];
		unsigned char *map = map_buf(self->fd, 4 * PAGE);

		for (int i = 0; i < 3; i++) {
			h[i] = (struct hammer){.map = map};
			pthread_create(&t[i], NULL, hammer_thread, &h[i]);
		}
		self->shared->step = 1;
		wait_step(&self->shared->step, 2);
		for (int i = 0; i < 3; i++)
			h[i].stop = true;
		for (int i = 0; i < 3; i++)
			pthread_join(t[i], NULL);
		_exit(0);
	}
	wait_step(&self->shared->step, 1);
	for (int i = 0; i < 300; i++) {
		unsigned char before[4 * PAGE];

		ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
		memcpy(before, self->map, sizeof(before));
		for (int k = 0; k < 20; k++)
			sched_yield();
		/* Nobody wrote while the server had it. */
		EXPECT_EQ(0, memcmp(before, self->map, sizeof(before)));
		ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_CLIENT));
	}
	self->shared->step = 2;
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(0, status);
	self->pid = 0;
}

/* Inherited mappings can pass the limit of a buffer's: then it is not taken. */
TEST_F(ownership, is_refused_where_fork_made_too_many_mappings)
{
	unsigned char *p[200];
	int pipes[2];
	char byte;

	ASSERT_EQ(0, pipe(pipes));
	for (int i = 0; i < 200; i++) {
		p[i] = map_buf(self->fd, 4 * PAGE);
		ASSERT_NE(MAP_FAILED, (void *)p[i]);
		if (madvise(p[i], 4 * PAGE, MADV_DOFORK))
			SKIP(return, "this kernel passes no device's mapping on");
		EXPECT_EQ(0, touch(p[i], 3));
	}
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	ASSERT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_CLIENT));
	self->pid = fork();
	if (!self->pid) {
		close(self->server);
		_exit(read(pipes[0], &byte, 1) == 1 && p[0][0] == 3 ? 0 : 1);
	}
	EXPECT_EQ(-EBUSY, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	ASSERT_EQ(1, write(pipes[1], "", 1));
	ASSERT_EQ(self->pid, waitpid(self->pid, NULL, 0));
	self->pid = 0;
	EXPECT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_SERVER));
	EXPECT_EQ(0, set_owner(self->server, self->fd, NEAP_OWNER_CLIENT));
	for (int i = 0; i < 200; i++)
		munmap(p[i], 4 * PAGE);
	close(pipes[0]);
	close(pipes[1]);
}

static void *expect_sigbus(void *arg)
{
	volatile unsigned char *map = arg;

	for (;;)
		map[0]++;
	return NULL;
}

TEST_F(ownership, revocation_under_access)
{
	int status;

	self->pid = fork();
	if (!self->pid) {
		pthread_t t[3];
		unsigned char *map = map_buf(self->fd, 4 * PAGE);

		for (int i = 0; i < 3; i++)
			pthread_create(&t[i], NULL, expect_sigbus, map);
		self->shared->step = 1;
		for (int i = 0; i < 3; i++)
			pthread_join(t[i], NULL);
		_exit(0);
	}
	wait_step(&self->shared->step, 1);
	usleep(50000);
	ASSERT_EQ(0, revoke_buf(self->server, self->fd));
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	self->pid = 0;
}

TEST_HARNESS_MAIN
