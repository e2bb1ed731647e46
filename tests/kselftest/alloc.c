// SPDX-License-Identifier: GPL-2.0-only
/* QUERY and BUF_ALLOC: arguments, sizes, charges, refusals. */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <sched.h>
#include <sys/prctl.h>

FIXTURE(alloc)
{
	int client;
	long long used, count;
};

FIXTURE_SETUP(alloc)
{
	self->client = open_client();
	ASSERT_GE(self->client, 0);
	self->used = read_sysfs("buffers/used_bytes");
	self->count = read_sysfs("buffers/count");
}

FIXTURE_TEARDOWN(alloc)
{
	close(self->client);
	/* Whatever a test did, nothing is left. */
	EXPECT_TRUE(wait_sysfs("buffers/used_bytes", self->used, 3000));
	EXPECT_TRUE(wait_sysfs("buffers/count", self->count, 3000));
}

TEST_F(alloc, query_tells_limits)
{
	struct neap_query q;

	memset(&q, 0xff, sizeof(q));
	ASSERT_EQ(0, call(self->client, NEAP_IOC_QUERY, &q));
	EXPECT_EQ(NEAP_FEATURE_OWN | NEAP_FEATURE_REVOKE | NEAP_FEATURE_STATE, q.features);
	EXPECT_EQ(read_sysfs("buffers/max_bytes"), q.max_bytes);
	EXPECT_EQ(read_sysfs("buffers/limit_bytes"), q.limit_bytes);
	EXPECT_EQ(read_sysfs("buffers/limit_bytes_per_uid"), q.limit_bytes_per_uid);
	EXPECT_EQ(self->used, q.used_bytes);
}

TEST_F(alloc, zeroed_and_rounded_up)
{
	static const uint64_t sizes[] = {1,     100,     4096,          4097,
					 65536, 1 << 20, (1 << 20) + 1, 5 << 20};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct neap_buf_alloc a = {.bytes = sizes[i]};
		uint64_t sum = 0, *p;

		ASSERT_EQ(0, call(self->client, NEAP_IOC_BUF_ALLOC, &a));
		EXPECT_EQ((sizes[i] + PAGE - 1) / PAGE * PAGE, a.bytes);
		EXPECT_EQ(FD_CLOEXEC, fcntl(a.fd, F_GETFD));
		EXPECT_EQ(a.bytes, lseek(a.fd, 0, SEEK_END));
		p = map_buf(a.fd, a.bytes);
		ASSERT_NE(MAP_FAILED, p);
		for (size_t k = 0; k < a.bytes / 8; k++)
			sum |= p[k];
		EXPECT_EQ(0, sum);
		memset(p, 0xa5, a.bytes); /* what the next owner must not see */
		EXPECT_EQ(self->used + a.bytes, read_sysfs("buffers/used_bytes"));
		EXPECT_EQ(self->count + 1, read_sysfs("buffers/count"));
		munmap(p, a.bytes);
		close(a.fd);
	}
}

TEST_F(alloc, bad_arguments)
{
	struct neap_buf_alloc a = {.bytes = 0};
	struct {
		struct neap_buf_alloc a;
		uint64_t more;
	} longer = {.a.bytes = 4096};

	EXPECT_EQ(-EINVAL, call(self->client, NEAP_IOC_BUF_ALLOC, &a));
	a = (struct neap_buf_alloc){.bytes = 4096, .flags = 1};
	EXPECT_EQ(-EINVAL, call(self->client, NEAP_IOC_BUF_ALLOC, &a));
	a = (struct neap_buf_alloc){.bytes = UINT64_MAX};
	EXPECT_EQ(-EDQUOT, call(self->client, NEAP_IOC_BUF_ALLOC, &a));
	a = (struct neap_buf_alloc){.bytes = read_sysfs("buffers/max_bytes") + 1};
	EXPECT_EQ(-EDQUOT, call(self->client, NEAP_IOC_BUF_ALLOC, &a));
	EXPECT_EQ(-EFAULT, call(self->client, NEAP_IOC_BUF_ALLOC, NULL));
	EXPECT_EQ(-EFAULT, call(self->client, NEAP_IOC_BUF_ALLOC, (void *)8));
	EXPECT_EQ(-ENOTTY, call(self->client, _IO(NEAP_IOC_MAGIC, 99), NULL));
	EXPECT_EQ(-ENOTTY, call(self->client, _IOWR('T', 1, struct neap_buf_alloc), &a));
	/* Calls of the server are not there for clients. */
	EXPECT_EQ(-ENOTTY, call(self->client, NEAP_IOC_BUF_INFO, &a));
	EXPECT_EQ(-ENOTTY, call(self->client, NEAP_IOC_BUF_OWN, &a));
	EXPECT_EQ(-ENOTTY, call(self->client, NEAP_IOC_BUF_REVOKE, &a));

	/* By size: longer is taken where the rest is zero, shorter cannot hold the descriptor. */
	ASSERT_EQ(0, call(self->client, _IOWR(NEAP_IOC_MAGIC, 1, longer), &longer));
	close(longer.a.fd);
	longer.a = (struct neap_buf_alloc){.bytes = 4096};
	longer.more = 1;
	EXPECT_EQ(-EINVAL, call(self->client, _IOWR(NEAP_IOC_MAGIC, 1, longer), &longer));
	EXPECT_EQ(-EINVAL, call(self->client, _IOWR(NEAP_IOC_MAGIC, 1, uint64_t), &longer));
	EXPECT_EQ(-EINVAL, call(self->client, _IOWR(NEAP_IOC_MAGIC, 1, char[8000]), &longer));
}

TEST_F(alloc, a_result_that_cannot_be_told_leaks_nothing)
{
	/* Readable argument, not writable: the descriptor's number cannot be given back. */
	struct neap_buf_alloc *a =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int before, after;

	ASSERT_NE(MAP_FAILED, a);
	a->bytes = 4096;
	mprotect(a, PAGE, PROT_READ);
	before = dup(0);
	close(before);
	EXPECT_EQ(-EFAULT, call(self->client, NEAP_IOC_BUF_ALLOC, a));
	after = dup(0);
	close(after);
	EXPECT_EQ(before, after);
	munmap(a, PAGE);
}

TEST_F(alloc, limits_per_buffer_uid_and_all)
{
	long long max = read_sysfs("buffers/max_bytes");
	long long limit = read_sysfs("buffers/limit_bytes");
	long long per_uid = read_sysfs("buffers/limit_bytes_per_uid");
	long long refused = read_sysfs("buffers/refused_total");
	int a, b;

	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes_per_uid", 8 * PAGE));
	a = alloc_buf(self->client, 8 * PAGE);
	EXPECT_GE(a, 0);
	EXPECT_EQ(-EDQUOT, alloc_buf(self->client, 1));
	close(a);
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes_per_uid", per_uid));
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes", self->used + 2 * PAGE));
	a = alloc_buf(self->client, PAGE);
	b = alloc_buf(self->client, PAGE);
	EXPECT_GE(a, 0);
	EXPECT_GE(b, 0);
	EXPECT_EQ(-EDQUOT, alloc_buf(self->client, 1));
	/* Lowered below what is in use: nothing is taken away, nothing more is given. */
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes", 0));
	close(a);
	EXPECT_EQ(-EDQUOT, alloc_buf(self->client, 1));
	close(b);
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes", limit));
	ASSERT_EQ(0, write_sysfs_number("buffers/max_bytes", PAGE));
	EXPECT_EQ(-EDQUOT, alloc_buf(self->client, PAGE + 1));
	ASSERT_EQ(0, write_sysfs_number("buffers/max_bytes", max));
	EXPECT_GE(read_sysfs("buffers/refused_total"), refused + 3);
}

TEST_F(alloc, another_uid_has_an_account_of_its_own)
{
	long long per_uid = read_sysfs("buffers/limit_bytes_per_uid");
	int mine, status;
	pid_t pid;

	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes_per_uid", 4 * PAGE));
	mine = alloc_buf(self->client, 4 * PAGE);
	ASSERT_GE(mine, 0);
	pid = fork();
	if (!pid) {
		struct neap_query q;
		int fd;

		if (setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		fd = alloc_buf(self->client, 3 * PAGE); /* the device was opened by root */
		if (fd < 0 || call(self->client, NEAP_IOC_QUERY, &q))
			_exit(2);
		if (q.used_bytes_uid != 3 * PAGE)
			_exit(3);
		_exit(alloc_buf(self->client, 2 * PAGE) == -EDQUOT ? 0 : 4);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(mine);
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes_per_uid", per_uid));
}

/* Many uids of a user namespace are one account: that of whoever made the namespace. */
TEST_F(alloc, a_user_namespace_is_one_account)
{
	long long per_uid = read_sysfs("buffers/limit_bytes_per_uid");
	int ready[2], go[2], status;
	char byte, path[64];
	bool mapped;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes_per_uid", 4 * PAGE));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_DUMPABLE, 1);
		if (setresuid(NOBODY, NOBODY, NOBODY) || alloc_buf(self->client, 3 * PAGE) < 0)
			_exit(1);
		if (unshare(CLONE_NEWUSER))
			_exit(77);
		if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(2);
		if (setresuid(1, 1, 1)) /* uid 100000 outside */
			_exit(3);
		if (alloc_buf(self->client, 2 * PAGE) != -EDQUOT)
			_exit(4);
		_exit(alloc_buf(self->client, PAGE) < 0 ? 5 : 0);
	}
	close(ready[1]);
	mapped = read(ready[0], &byte, 1) == 1;
	if (mapped) {
		snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
		int fd = open(path, O_WRONLY);

		EXPECT_GT(write(fd, "0 65534 1\n1 100000 10\n", 22), 0);
		close(fd);
		ASSERT_EQ(1, write(go[1], "g", 1));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, write_sysfs_number("buffers/limit_bytes_per_uid", per_uid));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		SKIP(return, "no user namespaces");
	EXPECT_EQ(0, status);
}

TEST_F(alloc, nobody_outside_the_group_opens_the_node)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		if (open_client() >= 0 || errno != EACCES)
			_exit(2);
		if (open_server() >= 0 || errno != EACCES)
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(alloc, double_close_and_passing_keep_the_charge)
{
	int fd = alloc_buf(self->client, PAGE), copy;

	ASSERT_GE(fd, 0);
	copy = dup(fd);
	close(fd);
	EXPECT_EQ(-1, close(fd));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(self->used + PAGE, read_sysfs("buffers/used_bytes"));
	close(copy);
}

TEST_F(alloc, out_of_descriptors)
{
	int fds[64], n = 0, fd;

	while (n < 64 && (fd = alloc_buf(self->client, PAGE)) >= 0)
		fds[n++] = fd;
	for (int i = 0; i < n; i++)
		close(fds[i]);
	ASSERT_EQ(64, n);
}

TEST_HARNESS_MAIN
