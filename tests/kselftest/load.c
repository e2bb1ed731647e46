// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading. NEAP_KO names the module's file; without it nothing is tried, so that a
 * machine in use keeps its module.
 */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <sys/syscall.h>
#include <sys/uio.h>

static int unload(void)
{
	return syscall(SYS_delete_module, "neap", O_NONBLOCK) ? -errno : 0;
}

static int load(void)
{
	const char *path = getenv("NEAP_KO");
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return r;
}

TEST(refused_while_something_lives)
{
	int client, server, fd;
	unsigned char *map;

	if (!getenv("NEAP_KO"))
		SKIP(return, "NEAP_KO does not name the module's file");
	/* io_uring lets pages of tests before this one go when it gets to it. */
	ASSERT_TRUE(wait_sysfs("buffers/count", 0, 20000));
	client = open_client();
	ASSERT_GE(client, 0);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	fd = alloc_buf(client, 4 * PAGE);
	ASSERT_GE(fd, 0);
	close(client);
	EXPECT_EQ(-EWOULDBLOCK, unload()); /* a descriptor of a buffer */
	map = map_buf(fd, 4 * PAGE);
	ASSERT_NE(MAP_FAILED, (void *)map);
	map[0] = 1;
	close(fd);
	EXPECT_EQ(-EWOULDBLOCK, unload()); /* a mapping alone */
	munmap(map, 4 * PAGE);
	server = open_server();
	ASSERT_GE(server, 0);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(server);
	ASSERT_EQ(0, unload());
	EXPECT_EQ(-1, open_client());
	EXPECT_EQ(ENOENT, errno);
	ASSERT_EQ(0, load());
	client = open_client();
	EXPECT_GE(client, 0);
	close(client);
}

/* Pages in a pipe outlive every descriptor: the module stays until they are let go. */
TEST(refused_while_pages_are_held)
{
	int client, fd, pipes[2], r = -EWOULDBLOCK;
	struct iovec iov = {.iov_len = PAGE};

	if (!getenv("NEAP_KO"))
		SKIP(return, "NEAP_KO does not name the module's file");
	client = open_client();
	fd = alloc_buf(client, PAGE);
	iov.iov_base = map_buf(fd, PAGE);
	ASSERT_NE(MAP_FAILED, iov.iov_base);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &iov, 1, 0));
	munmap(iov.iov_base, PAGE);
	close(fd);
	close(client);
	usleep(1500000);
	EXPECT_EQ(-EWOULDBLOCK, unload());
	close(pipes[0]);
	close(pipes[1]);
	for (int i = 0; i < 500 && r; i++) {
		r = unload();
		usleep(10000);
	}
	EXPECT_EQ(0, r);
	ASSERT_EQ(0, load());
}

TEST(twenty_times)
{
	if (!getenv("NEAP_KO"))
		SKIP(return, "NEAP_KO does not name the module's file");
	for (int i = 0; i < 20; i++) {
		int client, fd;

		client = open_client();
		fd = alloc_buf(client, PAGE);
		EXPECT_GE(fd, 0);
		close(fd);
		close(client);
		ASSERT_EQ(0, unload());
		ASSERT_EQ(0, load());
	}
}

TEST_HARNESS_MAIN
