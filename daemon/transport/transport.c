/* SPDX-License-Identifier: MIT */
#include "daemon/transport/transport.h"
#include "daemon/transport/device.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

const struct transport *transport_pick(char *ret_why, size_t bytes)
{
	struct ne_error why = {0};

	if (device_open(&why) < 0) {
		snprintf(ret_why, bytes, "%s", why.text);
		return &transport_memfd;
	}
	snprintf(ret_why, bytes, "the kernel module is loaded");
	return &transport_device;
}

void transport_done(void)
{
	device_close();
}

int transport_map(int fd, size_t bytes, int prot, struct transport_map *ret, struct ne_error *err)
{
	void *addr = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);

	if (addr == MAP_FAILED)
		return ne_fail(err, errno, "mmap of %zu bytes: %s", bytes, strerror(errno));
	/* A core dump of the daemon shows no client's data. */
	madvise(addr, bytes, MADV_DONTDUMP);
	*ret = (struct transport_map){.addr = addr, .bytes = bytes};
	return 0;
}

void transport_unmap(struct transport_map *m)
{
	if (m->addr)
		munmap(m->addr, m->bytes);
	*m = (struct transport_map){0};
}
