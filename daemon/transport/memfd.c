/* SPDX-License-Identifier: MIT */
/*
 * Shared memory by memfd. The seals are what makes it safe to touch: SHRINK means that no page
 * below the size goes away (a truncated file would be SIGBUS), and SEAL or GROW that this stays so.
 * Huge pages are refused: a hole punched there may not be refilled, which is SIGBUS again.
 */
#include "daemon/transport/transport.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SIZE_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW)
#define OWNER_SEALS (SIZE_SEALS | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

/* By its name alone: a question to the file itself could block where it is not what it should be. */
static bool is_dmabuf(int fd)
{
	char link[32], name[16];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, name, sizeof(name)) >= 8 && !memcmp(name, "/dmabuf:", 8);
}

/* Proves that @fd is a memory file of at least @bytes with all of @seals; returns its seals. */
static int check_memfd(int fd, size_t bytes, int seals, struct ne_error *err)
{
	struct statfs fs;
	struct stat st;
	int have = fcntl(fd, F_GET_SEALS);

	if (have < 0)
		return ne_fail(err, EINVAL, "the descriptor is not a memory file (memfd_create)");
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return ne_fail(err, EINVAL,
			       "the memory file uses huge pages: make it without "
			       "MFD_HUGETLB");
	if ((have & seals) != seals)
		return ne_fail(err, EINVAL,
			       "the memory file lacks seals: has 0x%x, needs 0x%x (F_ADD_SEALS, "
			       "MFD_ALLOW_SEALING)",
			       (unsigned)have, (unsigned)seals);
	/* After the seals were seen: the size cannot change any more. */
	if (fstat(fd, &st) < 0)
		return ne_fail(err, EINVAL, "fstat: %s", strerror(errno));
	if (st.st_size < 0 || (uint64_t)st.st_size < bytes)
		return ne_fail(err, EINVAL, "the memory file has %lld bytes, %zu are needed",
			       (long long)st.st_size, bytes);
	return have;
}

static int memfd_map_buffer(int fd, size_t bytes, enum transport_access access,
			    struct transport_map *ret, struct ne_error *err)
{
	int have;

	if (is_dmabuf(fd))
		return ne_fail(
			err, ENODEV,
			"the buffer is a dma-buf, but not of a kernel module that this daemon "
			"uses (\"neapctl status\" says which memory it takes)");
	have = check_memfd(fd, bytes, SIZE_SEALS, err);
	NE_RETURN_IF(have);
	if (access == TRANSPORT_READ)
		return transport_map(fd, bytes, PROT_READ, ret, err);
	if (have & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return ne_fail(
			err, EINVAL,
			"the memory file is sealed against writing: it can only be an input");
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
		return ne_fail(err, EINVAL, "the descriptor is read-only: it can only be an input");
	return transport_map(fd, bytes, PROT_READ | PROT_WRITE, ret, err);
}

static int memfd_map_region(int fd, size_t bytes, struct transport_map *ret, struct ne_error *err)
{
	NE_RETURN_IF(check_memfd(fd, bytes, OWNER_SEALS, err));
	return transport_map(fd, bytes, PROT_READ, ret, err);
}

static int memfd_new_region(size_t bytes, struct transport_map *ret, int *ret_fd,
			    struct ne_error *err)
{
	struct transport_map m = {0};
	int fd = memfd_create("neapd-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return ne_fail(err, errno, "memfd_create: %s", strerror(errno));
	if (ftruncate(fd, (off_t)bytes) < 0) {
		r = ne_fail(err, errno, "ring of %zu bytes: %s", bytes, strerror(errno));
		goto fail;
	}
	r = transport_map(fd, bytes, PROT_READ | PROT_WRITE, &m, err);
	if (r < 0)
		goto fail;
	if (fcntl(fd, F_ADD_SEALS, OWNER_SEALS) < 0) {
		r = ne_fail(err, errno, "F_ADD_SEALS: %s", strerror(errno));
		goto fail;
	}
	*ret = m;
	*ret_fd = fd;
	return 0;
fail:
	transport_unmap(&m);
	close(fd);
	return r;
}

const struct transport transport_memfd = {
	.name = "memfd",
	.map_buffer = memfd_map_buffer,
	.map_region = memfd_map_region,
	.new_region = memfd_new_region,
};
