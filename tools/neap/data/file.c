// SPDX-License-Identifier: MIT
/* Whole files in and out of memory, with .gz and .xz undone on the way in. */
#include "tools/neap/data/data.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_LZMA
#include <lzma.h>
#endif

#define FIRST_CHUNK ((size_t)64 << 10)
#define LZMA_MEMORY ((uint64_t)256 << 20) /* xz -9 needs 65 MiB to decompress */

/* Bytes that grow as they come, never beyond the limit: memory follows what is really there and not
 * what a header claims. */
struct growing {
	char *data;
	size_t used, size, limit;
};

/* Room for at least one more byte; -EFBIG at the limit. One byte over the limit is allocated, so
 * that a file of exactly the limit is seen to end. */
static int growing_room(struct growing *g)
{
	size_t size;
	char *p;

	if (g->used < g->size)
		return 0;
	if (g->used > g->limit)
		return -EFBIG;
	size = g->size ? g->size : FIRST_CHUNK / 2;
	size = size > SIZE_MAX / 2 ? SIZE_MAX : size * 2;
	if (g->limit < SIZE_MAX && size > g->limit + 1)
		size = g->limit + 1;
	p = realloc(g->data, size);
	if (!p)
		return -ENOMEM;
	g->data = p;
	g->size = size;
	return 0;
}

static int too_large(const char *path, int code, size_t limit, struct ne_error *err)
{
	if (code == -ENOMEM)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	return ne_fail(err, EFBIG, "%s: larger than the limit of %zu bytes", path, limit);
}

static int read_plain(const char *path, struct growing *g, struct ne_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t got;
	int rc;

	if (fd < 0)
		return ne_fail(err, errno, "%s: %s", path, strerror(errno));
	if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		close(fd);
		return ne_fail(err, EISDIR, "%s: is a directory, expected a file", path);
	}
	do {
		rc = growing_room(g);
		if (rc < 0) {
			rc = too_large(path, rc, g->limit, err);
			break;
		}
		got = read(fd, g->data + g->used, g->size - g->used);
		if (got < 0)
			rc = ne_fail(err, errno, "%s: %s", path, strerror(errno));
		else
			g->used += (size_t)got;
	} while (!rc && got > 0);
	if (!rc && g->used > g->limit)
		rc = too_large(path, -EFBIG, g->limit, err);
	close(fd);
	return rc;
}

#ifdef HAVE_ZLIB
static int gunzip(const char *path, const struct growing *in, struct growing *out,
		  struct ne_error *err)
{
	z_stream z = {.next_in = (Bytef *)in->data};
	size_t left = in->used;
	int rc = 0, zrc = Z_OK;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	while (left || z.avail_in || zrc != Z_STREAM_END) {
		size_t room;

		if (!z.avail_in) {
			z.avail_in = (uInt)NE_MIN(left, (size_t)1 << 30);
			left -= z.avail_in;
		}
		if (zrc == Z_STREAM_END && inflateReset(&z) != Z_OK) /* members may follow */
			zrc = Z_STREAM_ERROR;
		rc = growing_room(out);
		if (rc < 0)
			break;
		room = NE_MIN(out->size - out->used, (size_t)1 << 30);
		z.next_out = (Bytef *)out->data + out->used;
		z.avail_out = (uInt)room;
		zrc = inflate(&z, Z_NO_FLUSH);
		out->used += room - z.avail_out;
		if (zrc != Z_OK && zrc != Z_STREAM_END)
			break;
	}
	if (rc < 0 || out->used > out->limit)
		rc = too_large(path, rc < 0 ? rc : -EFBIG, out->limit, err);
	else if (zrc == Z_BUF_ERROR)
		rc = ne_fail(err, EBADMSG, "%s: truncated gzip data", path);
	else if (zrc != Z_STREAM_END)
		rc = ne_fail(err, EBADMSG, "%s: damaged gzip data: %s", path,
			     z.msg ? z.msg : "not in gzip format");
	inflateEnd(&z);
	return rc;
}
#else
static int gunzip(const char *path, const struct growing *in, struct growing *out,
		  struct ne_error *err)
{
	(void)in;
	(void)out;
	return ne_fail(err, ENOTSUP,
		       "%s: built without zlib: decompress it first, or install zlib1g-dev and "
		       "build again",
		       path);
}
#endif

#ifdef HAVE_LZMA
static const char *lzma_reason(lzma_ret r)
{
	switch (r) {
	case LZMA_BUF_ERROR:
		return "truncated";
	case LZMA_FORMAT_ERROR:
		return "not in xz format";
	case LZMA_OPTIONS_ERROR:
		return "a compression option that this liblzma does not know";
	case LZMA_MEMLIMIT_ERROR:
		return "needs more than 256 MiB to decompress";
	case LZMA_UNSUPPORTED_CHECK:
		return "a checksum that this liblzma does not know";
	default:
		return "damaged";
	}
}

static int unxz(const char *path, const struct growing *in, struct growing *out,
		struct ne_error *err)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret r;
	int rc = 0;

	if (lzma_stream_decoder(&s, LZMA_MEMORY, LZMA_CONCATENATED) != LZMA_OK)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	s.next_in = (const uint8_t *)in->data;
	s.avail_in = in->used;
	do {
		size_t room;

		rc = growing_room(out);
		if (rc < 0)
			break;
		room = out->size - out->used;
		s.next_out = (uint8_t *)out->data + out->used;
		s.avail_out = room;
		r = lzma_code(&s, LZMA_FINISH);
		out->used += room - s.avail_out;
	} while (r == LZMA_OK);
	if (rc < 0 || out->used > out->limit)
		rc = too_large(path, rc < 0 ? rc : -EFBIG, out->limit, err);
	else if (r == LZMA_MEM_ERROR)
		rc = ne_fail(err, ENOMEM, "%s: out of memory", path);
	else if (r != LZMA_STREAM_END)
		rc = ne_fail(err, EBADMSG, "%s: xz data: %s", path, lzma_reason(r));
	lzma_end(&s);
	return rc;
}
#else
static int unxz(const char *path, const struct growing *in, struct growing *out,
		struct ne_error *err)
{
	(void)in;
	(void)out;
	return ne_fail(err, ENOTSUP,
		       "%s: built without liblzma: decompress it first, or install liblzma-dev "
		       "and build again",
		       path);
}
#endif

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), e = strlen(end);

	return n > e && !strcmp(s + n - e, end);
}

int data_read_file(const char *path, size_t limit, void **ret, size_t *ret_bytes,
		   struct ne_error *err)
{
	bool gz = ends_in(path, ".gz"), xz = ends_in(path, ".xz");
	struct growing raw = {.limit = limit}, out = {.limit = limit};
	int rc;

	rc = read_plain(path, &raw, err);
	if (!rc && (gz || xz)) {
		rc = gz ? gunzip(path, &raw, &out, err) : unxz(path, &raw, &out, err);
		free(raw.data);
	} else {
		out = raw;
	}
	if (rc < 0) {
		free(out.data);
		return rc;
	}
	*ret = out.data;
	*ret_bytes = out.used;
	return 0;
}

static int write_all(int fd, const char *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, data, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int data_write_file(const char *path, const void *data, size_t bytes, struct ne_error *err)
{
	bool direct;
	struct stat st;
	char *tmp;
	int fd, rc;

	direct = !stat(path, &st) && !S_ISREG(st.st_mode);
	if (asprintf(&tmp, "%s.%ld.tmp", path, (long)getpid()) < 0)
		return ne_fail(err, ENOMEM, "out of memory");
	if (direct)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	else
		fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0) {
		rc = ne_fail(err, errno, "%s: %s", path, strerror(errno));
		free(tmp);
		return rc;
	}
	rc = write_all(fd, data, bytes);
	if (!rc && !direct && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && !rc)
		rc = -errno;
	if (!rc && !direct && rename(tmp, path) < 0)
		rc = -errno;
	if (rc < 0) {
		rc = ne_fail(err, -rc, "%s: %s", path, strerror(-rc));
		if (!direct)
			unlink(tmp);
	}
	free(tmp);
	return rc;
}
