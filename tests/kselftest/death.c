// SPDX-License-Identifier: GPL-2.0-only
/* A client killed at every stage leaves nothing behind. */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <sys/socket.h>

enum stage { OPENED, ALLOCATED, MAPPED, TOUCHED, MANY, SENT, CLOSED_FD, N_STAGES };

static int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &m, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static void child_main(enum stage stage, int sock)
{
	int client = open_client(), fd;
	unsigned char *map;

	if (stage > OPENED) {
		fd = alloc_buf(client, 16 * PAGE);
		if (fd < 0)
			_exit(1);
		for (int i = 0; stage == MANY && i < 50; i++)
			alloc_buf(client, PAGE);
		if (stage >= MAPPED) {
			map = map_buf(fd, 16 * PAGE);
			if (stage >= TOUCHED)
				memset(map, 1, 16 * PAGE);
		}
		if (stage == SENT && send_fd(sock, fd))
			_exit(2);
		if (stage == CLOSED_FD)
			close(fd);
	}
	if (write(sock, "r", 1) != 1)
		_exit(3);
	pause();
}

TEST(nothing_is_left_at_any_stage)
{
	long long used = read_sysfs("buffers/used_bytes"), count = read_sysfs("buffers/count");

	for (int stage = OPENED; stage < N_STAGES; stage++) {
		int sock[2], received = -1, status;
		char ready;
		pid_t pid;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
		pid = fork();
		if (!pid)
			child_main((enum stage)stage, sock[1]);
		if (stage == SENT)
			received = receive_fd(sock[0]);
		ASSERT_EQ(1, read(sock[0], &ready, 1));
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (received >= 0) {
			/* Passed on: it lives as long as whoever holds it, and so does the charge. */
			unsigned char *map = map_buf(received, 16 * PAGE);

			ASSERT_NE(MAP_FAILED, (void *)map);
			EXPECT_EQ(1, map[PAGE]);
			EXPECT_EQ(used + 16 * PAGE, read_sysfs("buffers/used_bytes"));
			munmap(map, 16 * PAGE);
			close(received);
		}
		close(sock[0]);
		close(sock[1]);
		EXPECT_TRUE(wait_sysfs("buffers/used_bytes", used, 3000))
		{
			TH_LOG("stage %d", stage);
		}
		EXPECT_TRUE(wait_sysfs("buffers/count", count, 3000));
	}
}

/* A descriptor in a socket that nobody reads is freed with the socket. */
TEST(unread_message_frees_its_buffer)
{
	long long used = read_sysfs("buffers/used_bytes");
	int sock[2], client = open_client(), fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock));
	fd = alloc_buf(client, PAGE);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, send_fd(sock[0], fd));
	close(fd);
	EXPECT_EQ(used + PAGE, read_sysfs("buffers/used_bytes"));
	close(sock[0]);
	close(sock[1]);
	EXPECT_TRUE(wait_sysfs("buffers/used_bytes", used, 3000));
	close(client);
}

TEST_HARNESS_MAIN
