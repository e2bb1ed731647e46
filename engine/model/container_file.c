// SPDX-License-Identifier: MIT
/*
 * .neap files on disk. A file is read into memory, not mapped: whoever truncates or rewrites it in
 * place while we parse would otherwise kill the process or change bytes that were already checked.
 * File descriptors and the temporary file never outlive a call.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model/container.h"

#define FILE_BYTES_DEFAULT ((size_t)256 << 20)

static int file_read(int fd, const char *path, size_t limit, void **ret, size_t *ret_bytes,
		     struct ne_error *err)
{
	struct stat st;
	size_t bytes, at = 0;
	char *data;

	if (fstat(fd, &st) < 0)
		return ne_fail(err, errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return ne_fail(err, EINVAL, "%s: not a regular file", path);
	if ((uint64_t)st.st_size > limit)
		return ne_fail(err, E2BIG, "%s: file of %lld bytes, the limit is %zu", path,
			       (long long)st.st_size, limit);
	bytes = (size_t)st.st_size;
	data = malloc(bytes ? bytes : 1);
	if (!data)
		return ne_fail(err, ENOMEM, "%s: no memory for %zu bytes", path, bytes);
	ne_pages_expect(data, bytes);
	while (at < bytes) {
		ssize_t n = read(fd, data + at, bytes - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int e = n < 0 ? errno : EBADMSG;

			free(data);
			return ne_fail(err, e, "%s: %s", path,
				       n < 0 ? strerror(e) : "became shorter while it was read");
		}
		at += (size_t)n;
	}
	*ret = data;
	*ret_bytes = bytes;
	return 0;
}

int ne_container_load(const char *path, const struct ne_limits *limits, struct ne_model **ret_model,
		      struct ne_error *err)
{
	size_t limit = limits && limits->file_bytes ? limits->file_bytes : FILE_BYTES_DEFAULT;
	struct ne_error why;
	size_t bytes = 0;
	void *data = NULL;
	/* O_NONBLOCK: a FIFO in the models' folder must not hang the reader */
	int e, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return ne_fail(err, errno, "%s: %s", path, strerror(errno));
	e = file_read(fd, path, limit, &data, &bytes, err);
	close(fd);
	if (e < 0)
		return e;
	e = ne_container_parse(data, bytes, limits, ret_model, &why);
	free(data); /* its pages serve what is built from the model */
	return e < 0 ? ne_fail(err, -e, "%s: %s", path, why.text) : 0;
}

static int write_all(int fd, const void *data, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t n = write(fd, (const char *)data + at, bytes - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Makes "FOLDER/.NAME.PID.K", which nobody has yet, with the permissions that the umask leaves. */
static int temporary_open(const char *path, char **ret_name)
{
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash + 1 - path) : 0;

	for (unsigned k = 0; k < 100; k++) {
		char *name;
		int fd;

		if (asprintf(&name, "%.*s.%s.%ld.%u", folder, path, path + folder, (long)getpid(),
			     k) < 0)
			return -ENOMEM;
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd >= 0) {
			*ret_name = name;
			return fd;
		}
		free(name);
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

/* Makes the rename itself durable; file systems that cannot sync a folder are left as they are. */
static void folder_sync(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	free(folder);
	if (fd < 0)
		return;
	(void)fsync(fd);
	close(fd);
}

int ne_container_write_file(const char *path, const void *data, size_t bytes, struct ne_error *err)
{
	char *name = NULL;
	int e, fd = temporary_open(path, &name);

	if (fd < 0)
		return ne_fail(err, -fd, "%s: cannot create a file beside it: %s", path,
			       strerror(-fd));
	e = write_all(fd, data, bytes);
	if (close(fd) < 0 && e == 0)
		e = -errno;
	if (e == 0 && rename(name, path) < 0)
		e = -errno;
	if (e < 0)
		unlink(name);
	else
		folder_sync(path);
	free(name);
	return e < 0 ? ne_fail(err, -e, "%s: %s", path, strerror(-e)) : 0;
}

int ne_container_save(const char *path, const struct ne_model *m, unsigned flags,
		      struct ne_error *err)
{
	size_t bytes = 0;
	void *data = NULL;
	int e;

	NE_RETURN_IF(ne_container_serialise(m, flags, &data, &bytes, err));
	e = ne_container_write_file(path, data, bytes, err);
	free(data);
	return e;
}
