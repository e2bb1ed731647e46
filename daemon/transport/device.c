/* SPDX-License-Identifier: MIT */
/*
 * Buffers from the kernel module. BUF_INFO proves that a descriptor is one: its pages are pinned and
 * its size is fixed, so nothing can be pulled away. Clients may send memory files as well (they
 * cannot open /dev/neap, or were there before the module): those are checked as memfd.c does.
 *
 * Ring regions stay memory files. A ring needs one writer, which a seal promises and the module does
 * not: whoever has a buffer's descriptor can map it for writing.
 *
 * The node, the mapping of its state page and the list of buffers that runs own belong to this file.
 */
#include "daemon/transport/device.h"
#include "daemon/transport/transport.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NODE "/dev/neap-server"
/* A daemon that was killed may hold the node for as long as the kernel takes it apart. */
#define BUSY_TRIES    100
#define BUSY_PAUSE_NS 20000000L
#define STATE_TRIES   200

static int node = -1;
static const struct neap_state *page; /* NULL: none */

static int open_node(void)
{
	const struct timespec pause = {.tv_nsec = BUSY_PAUSE_NS};
	int fd, tries = BUSY_TRIES;

	while ((fd = open(NODE, O_RDWR | O_CLOEXEC)) < 0 && errno == EBUSY && --tries)
		nanosleep(&pause, NULL);
	return fd < 0 ? -errno : fd;
}

static int explain(int error, struct ne_error *err)
{
	if (error == -ENOENT || error == -ENXIO || error == -ENODEV)
		return ne_fail(err, -error, "no " NODE ": the kernel module is not loaded");
	if (error == -EACCES || error == -EPERM)
		return ne_fail(err, -error, "no permission for " NODE ": see neapd(8)");
	if (error == -EBUSY)
		return ne_fail(err, -error, NODE " is in use by another process");
	return ne_fail(err, -error, NODE ": %s", strerror(-error));
}

int device_open(struct ne_error *err)
{
	struct neap_query q;
	const char *no = getenv("NEAPD_NO_DEVICE");
	void *map;
	int fd;

	if (no && *no && strcmp(no, "0"))
		return ne_fail(err, ENODEV, "NEAPD_NO_DEVICE is set");
	fd = open_node();
	if (fd < 0)
		return explain(fd, err);
	if (ioctl(fd, NEAP_IOC_QUERY, &q) < 0) {
		int r = ne_fail(err, errno, NODE " does not answer as neap's module: %s",
				strerror(errno));

		close(fd);
		return r;
	}
	node = fd;
	map = MAP_FAILED;
	if (q.features & NEAP_FEATURE_STATE)
		map = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
	page = map == MAP_FAILED ? NULL : map;
	return 0;
}

bool device_is_open(void)
{
	return node >= 0;
}

void device_close(void)
{
	if (page)
		munmap((void *)(uintptr_t)page, (size_t)sysconf(_SC_PAGESIZE));
	page = NULL;
	if (node >= 0)
		close(node);
	node = -1;
}

int device_info(int fd, struct neap_buf_info *ret)
{
	struct neap_buf_info info = {.fd = fd};

	if (ioctl(node, NEAP_IOC_BUF_INFO, &info) < 0)
		return -errno;
	*ret = info;
	return 0;
}

/* ---- buffers that runs own ---- */

struct device_buffer {
	struct device_buffer *next;
	uint64_t id;   /* the module's */
	unsigned refs; /* guarded by buffers_lock */
	int fd;
	pthread_mutex_t lock; /* guards owners, and holds others up while a call is under way */
	unsigned owners;
};

static pthread_mutex_t buffers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct device_buffer *buffers;

static int new_buffer(int fd, uint64_t id, struct device_buffer **ret)
{
	struct device_buffer *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (b->fd < 0) {
		int r = -errno;

		free(b);
		return r;
	}
	b->id = id;
	pthread_mutex_init(&b->lock, NULL);
	*ret = b;
	return 0;
}

int device_buffer_get(int fd, struct device_buffer **ret)
{
	struct neap_buf_info info;
	struct device_buffer *b;
	int r = 0;

	NE_RETURN_IF(device_info(fd, &info));
	pthread_mutex_lock(&buffers_lock);
	for (b = buffers; b && b->id != info.id; b = b->next)
		;
	if (!b) {
		r = new_buffer(fd, info.id, &b);
		if (r >= 0) {
			b->next = buffers;
			buffers = b;
		}
	}
	if (r >= 0) {
		b->refs++;
		*ret = b;
	}
	pthread_mutex_unlock(&buffers_lock);
	return r;
}

void device_buffer_put(struct device_buffer *b)
{
	struct device_buffer **at = &buffers;

	if (!b)
		return;
	pthread_mutex_lock(&buffers_lock);
	if (--b->refs) {
		pthread_mutex_unlock(&buffers_lock);
		return;
	}
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	pthread_mutex_unlock(&buffers_lock);
	close(b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static int set_owner(int fd, bool server)
{
	struct neap_buf_own own = {
		.fd = fd,
		.who = server ? NEAP_OWNER_SERVER : NEAP_OWNER_CLIENT,
	};

	return ioctl(node, NEAP_IOC_BUF_OWN, &own) < 0 ? -errno : 0;
}

bool device_buffer_own(struct device_buffer *b)
{
	bool owned;

	pthread_mutex_lock(&b->lock);
	owned = b->owners || set_owner(b->fd, true) >= 0;
	b->owners += owned;
	pthread_mutex_unlock(&b->lock);
	return owned;
}

void device_buffer_disown(struct device_buffer *b)
{
	pthread_mutex_lock(&b->lock);
	if (!--b->owners)
		set_owner(b->fd, false);
	pthread_mutex_unlock(&b->lock);
}

/* ---- the state page ---- */

/* Word by word with acquire, so that the counter is read again after all of them. */
static void copy_state(struct neap_state *ret)
{
	const uint32_t *from = (const uint32_t *)(uintptr_t)page;
	uint32_t to[sizeof(*ret) / sizeof(uint32_t)];

	for (size_t i = 0; i < NE_ARRAY_SIZE(to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
	memcpy(ret, to, sizeof(*ret));
}

bool device_state(uint32_t *seq, struct neap_state *ret)
{
	struct neap_state copy;

	if (!page)
		return false;
	/* Being written takes less than a microsecond, but the writer may be preempted in it: then
	 * the next caller sees what is new. */
	for (int tries = 0; tries < STATE_TRIES; tries++) {
		uint32_t before = __atomic_load_n(&page->seq, __ATOMIC_ACQUIRE);

		if (before == *seq)
			return false;
		if (before & 1)
			continue;
		copy_state(&copy);
		if (__atomic_load_n(&page->seq, __ATOMIC_RELAXED) != before)
			continue;
		*seq = before;
		*ret = copy;
		return true;
	}
	return false;
}

/* ---- the transport ---- */

static int device_map_buffer(int fd, size_t bytes, enum transport_access access,
			     struct transport_map *ret, struct ne_error *err)
{
	struct neap_buf_info info;
	int r = device_info(fd, &info);

	if (r == -EINVAL)
		return transport_memfd.map_buffer(fd, bytes, access, ret, err);
	if (r < 0)
		return ne_fail(err, -r, "NEAP_IOC_BUF_INFO: %s", strerror(-r));
	if (info.state & NEAP_BUF_REVOKED)
		return ne_fail(err, ESTALE, "the buffer was revoked");
	if (info.bytes < bytes)
		return ne_fail(err, EINVAL, "the buffer has %llu bytes, %zu are needed",
			       (unsigned long long)info.bytes, bytes);
	if (access == TRANSPORT_WRITE && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
		return ne_fail(err, EINVAL, "the descriptor is read-only: it can only be an input");
	NE_RETURN_IF(transport_map(fd, bytes,
				   access == TRANSPORT_WRITE ? PROT_READ | PROT_WRITE : PROT_READ,
				   ret, err));
	ret->ownable = true;
	return 0;
}

static int device_map_region(int fd, size_t bytes, struct transport_map *ret, struct ne_error *err)
{
	return transport_memfd.map_region(fd, bytes, ret, err);
}

static int device_new_region(size_t bytes, struct transport_map *ret, int *ret_fd,
			     struct ne_error *err)
{
	return transport_memfd.new_region(bytes, ret, ret_fd, err);
}

const struct transport transport_device = {
	.name = "device",
	.map_buffer = device_map_buffer,
	.map_region = device_map_region,
	.new_region = device_new_region,
};
