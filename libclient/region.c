// SPDX-License-Identifier: MIT
/*
 * Shared memory: regions that we make (memfd, sealed so that neither end can shrink them under the
 * other's feet) and regions and texts that the daemon gives. A mapping of a file that could shrink
 * is a SIGBUS waiting to happen, so a descriptor without F_SEAL_SHRINK is never mapped.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libclient/internal.h"

int client_region_new(const char *name, size_t bytes, enum region_kind kind, void **ret_data,
		      int *ret_fd)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	void *data = MAP_FAILED;
	int fd, ret;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0)
		goto fail;
	data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		goto fail;
	/* After our own mapping is made nobody can make another writable one. */
	if (kind == REGION_ONE_WRITER)
		seals |= F_SEAL_FUTURE_WRITE;
	if (fcntl(fd, F_ADD_SEALS, seals) < 0)
		goto fail;
	*ret_data = data;
	*ret_fd = fd;
	return 0;
fail:
	ret = -errno;
	if (data != MAP_FAILED)
		munmap(data, bytes);
	close(fd);
	return ret;
}

/* A regular file of the size promised that cannot shrink any more. */
static int region_check(int fd, size_t bytes, size_t *ret_bytes)
{
	struct stat st;
	int seals;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -EBADMSG;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || !S_ISREG(st.st_mode))
		return -EBADMSG;
	if (st.st_size < 0 || (uint64_t)st.st_size < bytes)
		return -EBADMSG;
	*ret_bytes = (size_t)st.st_size;
	return 0;
}

int client_region_map(int fd, size_t bytes, const void **ret_data)
{
	size_t have;
	void *data;
	int ret = region_check(fd, bytes, &have);

	if (ret < 0)
		return ret;
	data = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	*ret_data = data;
	return 0;
}

int client_region_read(int fd, size_t limit, char **ret_text)
{
	size_t bytes = 0, got = 0;
	char *text;
	int ret = region_check(fd, 0, &bytes);

	if (ret < 0)
		return ret;
	if (bytes > limit)
		return -E2BIG;
	text = malloc(bytes + 1);
	if (!text)
		return -ENOMEM;
	while (got < bytes) {
		ssize_t r = pread(fd, text + got, bytes - got, (off_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			ret = r < 0 ? -errno : -EBADMSG;
			free(text);
			return ret;
		}
		got += (size_t)r;
	}
	text[bytes] = 0;
	if (strlen(text) != bytes) {
		free(text);
		return -EBADMSG;
	}
	*ret_text = text;
	return 0;
}
