// SPDX-License-Identifier: GPL-2.0-only
/* Pinned by others: get_user_pages through vmsplice, and io_uring registration (6.5 and later). */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/uio.h>

TEST(vmsplice_takes_the_pages)
{
	long long used = read_sysfs("buffers/used_bytes");
	int client = open_client(), fd, pipes[2];
	unsigned char *map, byte;
	struct iovec iov;

	ASSERT_GE(client, 0);
	fd = alloc_buf(client, PAGE);
	map = map_buf(fd, PAGE);
	ASSERT_NE(MAP_FAILED, (void *)map);
	map[0] = 1;
	iov = (struct iovec){map, PAGE};
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &iov, 1, 0));
	map[0] = 2; /* the pipe holds the page itself */
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	EXPECT_EQ(2, byte);
	munmap(map, PAGE);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	close(client);
	EXPECT_TRUE(wait_sysfs("buffers/used_bytes", used, 5000));
}

/* Pages in a pipe outlive the buffer: charged until the pipe is gone. */
TEST(pages_held_elsewhere_stay_charged)
{
	long long used = read_sysfs("buffers/used_bytes");
	int client = open_client(), fd = alloc_buf(client, 4 * PAGE), pipes[2];
	unsigned char *map = map_buf(fd, 4 * PAGE), byte;
	struct iovec iov = {map, PAGE};

	ASSERT_NE(MAP_FAILED, (void *)map);
	map[0] = 5;
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &iov, 1, 0));
	munmap(map, 4 * PAGE);
	close(fd);
	close(client);
	usleep(1500000);
	EXPECT_EQ(used + 4 * PAGE, read_sysfs("buffers/used_bytes"));
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	EXPECT_EQ(5, byte);
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_TRUE(wait_sysfs("buffers/used_bytes", used, 5000));
}

/* A reference that nobody can take away may be one to write with: no strict ownership then. */
TEST(pages_held_elsewhere_cannot_be_owned)
{
	int client = open_client(), server = open_server(), fd = alloc_buf(client, 4 * PAGE),
	    pipes[2];
	struct neap_buf_info info = {.fd = fd};
	unsigned char *map = map_buf(fd, 4 * PAGE);
	struct iovec iov = {map, PAGE};

	ASSERT_GE(server, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	memset(map, 1, 4 * PAGE);
	ASSERT_EQ(0, call(server, NEAP_IOC_BUF_INFO, &info));
	EXPECT_EQ(0, info.state); /* mappings are no pins */
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, vmsplice(pipes[1], &iov, 1, 0));
	EXPECT_EQ(-EBUSY, set_owner(server, fd, NEAP_OWNER_SERVER));
	ASSERT_EQ(0, call(server, NEAP_IOC_BUF_INFO, &info));
	EXPECT_EQ(NEAP_BUF_PINNED, info.state);
	EXPECT_EQ(0, touch(map, 2)); /* it stayed the client's */
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_EQ(0, set_owner(server, fd, NEAP_OWNER_SERVER));
	EXPECT_EQ(0, set_owner(server, fd, NEAP_OWNER_CLIENT));
	munmap(map, 4 * PAGE);
	close(fd);
	close(server);
	close(client);
}

/* The descriptor of a ring that has @map registered as its one buffer, or a negative errno. */
static int register_buffer(void *map, size_t bytes)
{
	struct io_uring_params params = {0};
	struct iovec iov = {map, bytes};
	int ring = (int)syscall(__NR_io_uring_setup, 4, &params), r;

	if (ring < 0)
		return -errno;
	if (syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1) == 0)
		return ring;
	r = -errno;
	close(ring);
	return r;
}

TEST(io_uring_registers_it_or_says_no)
{
	int client = open_client(), server = open_server(), fd = alloc_buf(client, 4 * PAGE), ring;
	struct neap_buf_info info = {.fd = fd};
	unsigned char *map = map_buf(fd, 4 * PAGE);

	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_GE(server, 0);
	ring = register_buffer(map, 4 * PAGE);
	if (ring == -EOPNOTSUPP || ring == -ENOSYS || ring == -EPERM) {
		/* 6.1 takes no file but shmem and hugetlb (io_uring/rsrc.c). */
		SKIP(goto out, "io_uring refused the registration: %s", strerror(-ring));
	}
	ASSERT_GE(ring, 0);
	ASSERT_EQ(0, call(server, NEAP_IOC_BUF_INFO, &info));
	EXPECT_TRUE(info.state & NEAP_BUF_PINNED);
	/* Whoever pinned it can write at any time: strict ownership cannot be had. */
	EXPECT_EQ(-EBUSY, set_owner(server, fd, NEAP_OWNER_SERVER));
	EXPECT_EQ(0, touch(map, 1));
	close(ring);
out:
	munmap(map, 4 * PAGE);
	close(fd);
	close(server);
	close(client);
}

TEST_HARNESS_MAIN
