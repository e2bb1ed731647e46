// SPDX-License-Identifier: MIT
/*
 * Buffers of the kernel module (docs/neap-ioctl.md): dma-bufs that count against limits which the
 * kernel keeps. The node is opened for each, so that a process that may open it only at its start,
 * or only later, gets what it can have.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libclient/internal.h"
#include "neap/uapi/neap_ioctl.h"

#define NODE   "/dev/neap"
#define LIMITS "/sys/devices/virtual/misc/neap/buffers/"

/* Which limit stands in the way, and the file that holds it. */
static int over_limit(struct neap *n, int node, size_t bytes)
{
	struct neap_query q = {0};

	if (ioctl(node, NEAP_IOC_QUERY, &q) < 0)
		return client_fail(n, -EDQUOT, "a buffer of %zu bytes is over a limit in " LIMITS,
				   bytes);
	if (bytes > q.max_bytes)
		return client_fail(n, -EDQUOT,
				   "a buffer has at most %llu bytes, not %zu: " LIMITS "max_bytes",
				   (unsigned long long)q.max_bytes, bytes);
	if (q.used_bytes_uid + bytes > q.limit_bytes_per_uid)
		return client_fail(
			n, -EDQUOT,
			"this user has %llu of %llu bytes of buffers, no room for %zu: " LIMITS
			"limit_bytes_per_uid",
			(unsigned long long)q.used_bytes_uid,
			(unsigned long long)q.limit_bytes_per_uid, bytes);
	return client_fail(n, -EDQUOT,
			   "all users have %llu of %llu bytes of buffers, no room for %zu: " LIMITS
			   "limit_bytes",
			   (unsigned long long)q.used_bytes, (unsigned long long)q.limit_bytes,
			   bytes);
}

/* What is not about memory or limits means that the node is none of ours. */
static int refused(struct neap *n, int node, size_t bytes, int error)
{
	if (error == EDQUOT)
		return over_limit(n, node, bytes);
	if (error == ENOMEM || error == EMFILE || error == ENFILE || error == EINTR)
		return client_fail(n, -error, "cannot make a buffer of %zu bytes: %s", bytes,
				   strerror(error));
	return -ENODEV;
}

int client_device_new(struct neap *n, size_t bytes, void **ret_data, int *ret_fd)
{
	struct neap_buf_alloc a = {.bytes = bytes};
	const char *no = secure_getenv("NEAP_NO_DEVICE");
	void *data;
	int node, ret;

	if (no && *no && strcmp(no, "0"))
		return -ENODEV;
	node = open(NODE, O_RDWR | O_CLOEXEC);
	if (node < 0)
		return -ENODEV;
	if (ioctl(node, NEAP_IOC_BUF_ALLOC, &a) < 0) {
		ret = refused(n, node, bytes, errno);
		close(node);
		return ret;
	}
	close(node);
	data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0);
	if (data == MAP_FAILED) {
		ret = client_fail(n, -errno, "cannot map a buffer of %zu bytes: %s", bytes,
				  strerror(errno));
		close(a.fd);
		return ret;
	}
	*ret_data = data;
	*ret_fd = a.fd;
	return 0;
}
