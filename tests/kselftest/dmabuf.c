// SPDX-License-Identifier: GPL-2.0-only
/*
 * The buffer as a dma-buf: CPU access ioctls, and a device that imports it (neap_import.ko, built
 * beside these tests: writing a descriptor's number to its file imports it, maps it for a device and
 * through the kernel, and adds one to each byte).
 */
#include "kselftest_harness.h"
#include "neap_test.h"

#include <linux/dma-buf.h>

#define IMPORT "/sys/kernel/debug/neap_import"

TEST(sync_ioctls)
{
	int client = open_client(), fd = alloc_buf(client, PAGE);
	struct dma_buf_sync s = {.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW};

	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, call(fd, DMA_BUF_IOCTL_SYNC, &s));
	s.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	EXPECT_EQ(0, call(fd, DMA_BUF_IOCTL_SYNC, &s));
	s.flags = 1 << 20;
	EXPECT_EQ(-EINVAL, call(fd, DMA_BUF_IOCTL_SYNC, &s));
	close(fd);
	close(client);
}

/* 0 or a negative errno of the importing module. */
static int import(int fd)
{
	char text[16];
	int file = open(IMPORT, O_WRONLY), r = 0;

	if (file < 0)
		return -ENOENT;
	snprintf(text, sizeof(text), "%d", fd);
	if (write(file, text, strlen(text)) < 0)
		r = -errno;
	close(file);
	return r;
}

TEST(a_device_imports_it)
{
	int client = open_client(), server = open_server(), fd;
	size_t bytes = (1 << 20) + 3 * PAGE;
	long long used = read_sysfs("buffers/used_bytes");
	unsigned char *map;
	int r;

	ASSERT_GE(server, 0);
	fd = alloc_buf(client, bytes);
	ASSERT_GE(fd, 0);
	map = map_buf(fd, bytes);
	ASSERT_NE(MAP_FAILED, (void *)map);
	for (size_t i = 0; i < bytes; i += 997)
		map[i] = (unsigned char)i;
	r = import(fd);
	if (r == -ENOENT)
		SKIP(goto out, "neap_import.ko is not loaded");
	ASSERT_EQ(0, r);
	for (size_t i = 0; i < bytes; i += 997)
		if (map[i] != (unsigned char)(i + 1))
			ASSERT_EQ((unsigned char)(i + 1), map[i]);
	/* A device cannot be made to wait for an owned buffer. */
	ASSERT_EQ(0, set_owner(server, fd, NEAP_OWNER_SERVER));
	EXPECT_EQ(-EBUSY, import(fd));
	ASSERT_EQ(0, set_owner(server, fd, NEAP_OWNER_CLIENT));
	EXPECT_EQ(0, import(fd));
	ASSERT_EQ(0, revoke_buf(server, fd));
	EXPECT_EQ(-ENODEV, import(fd));
out:
	munmap(map, bytes);
	close(fd);
	EXPECT_TRUE(wait_sysfs("buffers/used_bytes", used, 3000));
	close(server);
	close(client);
}

TEST_HARNESS_MAIN
