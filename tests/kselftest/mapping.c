// SPDX-License-Identifier: GPL-2.0-only
/* mmap and what can be done to a mapping: flags, offsets, fork, mremap, mprotect, madvise. */
#include "kselftest_harness.h"
#include "neap_test.h"

FIXTURE(mapping)
{
	int client, fd;
	size_t bytes;
};

FIXTURE_SETUP(mapping)
{
	self->bytes = 40 * PAGE;
	self->client = open_client();
	ASSERT_GE(self->client, 0);
	self->fd = alloc_buf(self->client, self->bytes);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(mapping)
{
	close(self->fd);
	close(self->client);
}

TEST_F(mapping, is_shared_between_mappings)
{
	unsigned char *a = map_buf(self->fd, self->bytes), *b = map_buf(self->fd, self->bytes);

	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	for (size_t i = 0; i < self->bytes; i++)
		a[i] = (unsigned char)(i * 7);
	for (size_t i = 0; i < self->bytes; i++)
		if (b[i] != (unsigned char)(i * 7))
			ASSERT_EQ((unsigned char)(i * 7), b[i]);
	munmap(a, self->bytes);
	EXPECT_EQ(0, touch_read(b));
	munmap(b, self->bytes);
}

TEST_F(mapping, outlives_its_descriptor)
{
	unsigned char *a = map_buf(self->fd, self->bytes);

	ASSERT_NE(MAP_FAILED, a);
	a[5] = 42;
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(42, a[5]);
	EXPECT_EQ(0, touch(a + self->bytes - 1, 1));
	munmap(a, self->bytes);
}

TEST_F(mapping, parts_and_offsets)
{
	unsigned char *all = map_buf(self->fd, self->bytes);
	unsigned char *part = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, self->fd, 5 * PAGE);

	ASSERT_NE(MAP_FAILED, all);
	ASSERT_NE(MAP_FAILED, part);
	all[5 * PAGE] = 11;
	all[8 * PAGE - 1] = 12;
	EXPECT_EQ(11, part[0]);
	EXPECT_EQ(12, part[3 * PAGE - 1]);
	EXPECT_EQ(SIGSEGV, touch(part, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, self->bytes));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->bytes + PAGE, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->fd, self->bytes - PAGE));
	munmap(all, self->bytes);
	munmap(part, 3 * PAGE);
}

TEST_F(mapping, private_and_executable_are_refused)
{
	unsigned char *p;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EPERM, errno);
	p = map_buf(self->fd, self->bytes);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(SIGSEGV, touch(p, 1));
	EXPECT_EQ(0, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, touch(p, 1));
	munmap(p, self->bytes);
}

TEST_F(mapping, cannot_grow_or_move)
{
	unsigned char *p = map_buf(self->fd, self->bytes);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(MAP_FAILED, mremap(p, self->bytes, self->bytes + PAGE, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(MAP_FAILED, mremap(p, self->bytes, self->bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
				     (char *)p + (1 << 30)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, touch(p, 1));
	EXPECT_EQ(0, touch(p + self->bytes - 1, 1));
	munmap(p, self->bytes);
}

TEST_F(mapping, is_not_inherited)
{
	unsigned char *p = map_buf(self->fd, self->bytes);
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 9;
	pid = fork();
	if (!pid) {
		unsigned char *own;

		if (touch_read(p) != SIGSEGV)
			_exit(1);
		own = map_buf(self->fd, self->bytes); /* the descriptor is enough */
		_exit(own != MAP_FAILED && own[0] == 9 ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	munmap(p, self->bytes);
}

TEST_F(mapping, split_by_munmap)
{
	unsigned char *p = map_buf(self->fd, self->bytes);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 3, self->bytes);
	EXPECT_EQ(0, munmap(p + 8 * PAGE, 8 * PAGE));
	EXPECT_EQ(3, p[0]);
	EXPECT_EQ(SIGSEGV, touch_read(p + 8 * PAGE));
	EXPECT_EQ(3, p[16 * PAGE]);
	munmap(p, 8 * PAGE);
	munmap(p + 16 * PAGE, self->bytes - 16 * PAGE);
}

/* So that taking a buffer away, which visits each mapping, costs the server little. */
TEST_F(mapping, there_are_at_most_256)
{
	unsigned char *p[256];

	for (int i = 0; i < 256; i++) {
		p[i] = map_buf(self->fd, self->bytes);
		ASSERT_NE(MAP_FAILED, p[i]);
		EXPECT_EQ(0, touch(p[i], i));
	}
	EXPECT_EQ(MAP_FAILED, map_buf(self->fd, self->bytes));
	EXPECT_EQ(ENOMEM, errno);
	/* A hole in the middle, or other rights in a part, would be one more. */
	EXPECT_EQ(-1, munmap(p[0] + 8 * PAGE, PAGE));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(-1, mprotect(p[0] + 8 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(255, p[0][0]);
	/* Two less, and the hole makes one more. */
	EXPECT_EQ(0, munmap(p[254], self->bytes));
	EXPECT_EQ(0, munmap(p[255], self->bytes));
	EXPECT_EQ(0, munmap(p[0] + 8 * PAGE, PAGE));
	p[255] = map_buf(self->fd, self->bytes);
	EXPECT_NE(MAP_FAILED, p[255]);
	EXPECT_EQ(MAP_FAILED, map_buf(self->fd, self->bytes));
	munmap(p[0], self->bytes);
	for (int i = 1; i < 256; i++)
		if (i != 254)
			munmap(p[i], self->bytes);
	/* All were given back. */
	for (int i = 0; i < 256; i++)
		ASSERT_NE(MAP_FAILED, p[i] = map_buf(self->fd, self->bytes));
	for (int i = 0; i < 256; i++)
		munmap(p[i], self->bytes);
}

/* What pulls pages away from a shmem file has no hold on a buffer. */
TEST_F(mapping, has_no_holes_to_punch)
{
	unsigned char *p = map_buf(self->fd, self->bytes);

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0x77, self->bytes);
	madvise(p, self->bytes, MADV_DONTNEED);
	EXPECT_EQ(0x77, p[0]);
	EXPECT_EQ(-1, madvise(p, self->bytes, MADV_REMOVE));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-1, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(-1, ftruncate(self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	for (size_t i = 0; i < self->bytes; i += PAGE)
		EXPECT_EQ(0x77, p[i]);
	munmap(p, self->bytes);
}

TEST_F(mapping, reads_and_writes_of_the_kernel_work)
{
	unsigned char *p = map_buf(self->fd, self->bytes);
	int pipes[2];

	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, pipe(pipes));
	memset(p, 0x31, PAGE);
	ASSERT_EQ(PAGE, write(pipes[1], p, PAGE));
	ASSERT_EQ(PAGE, read(pipes[0], p + 20 * PAGE, PAGE)); /* not touched before */
	EXPECT_EQ(0, memcmp(p, p + 20 * PAGE, PAGE));
	close(pipes[0]);
	close(pipes[1]);
	munmap(p, self->bytes);
}

TEST_HARNESS_MAIN
