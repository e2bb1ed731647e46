/* SPDX-License-Identifier: MIT */
/*
 * How memory is shared with clients. A transport proves that a descriptor from a client is memory
 * that cannot be pulled away from under the daemon's feet, and maps it. Siblings of memfd.c add
 * other kinds of memory; nothing above this face knows which one is in use.
 *
 * A mapping belongs to the caller until transport_unmap(). Descriptors stay the caller's.
 */
#ifndef NEAPD_TRANSPORT_H
#define NEAPD_TRANSPORT_H

#include "engine/base.h"

struct transport_map {
	void *addr;
	size_t bytes;
	bool ownable; /* device_buffer_get() takes its descriptor */
};

enum transport_access {
	TRANSPORT_READ,  /* the daemon reads */
	TRANSPORT_WRITE, /* the daemon reads and writes */
};

struct transport {
	const char *name; /* in the reply to hello and in `neapctl status` */

	/* A buffer: -EINVAL with the reason where it is not memory of this kind, too small, or its
	 * size can change; -EPERM where it cannot be written. */
	int (*map_buffer)(int fd, size_t bytes, enum transport_access access,
			  struct transport_map *ret, struct ne_error *err);
	/* The client's ring region: as a buffer, read-only, and nobody can map it for writing again. */
	int (*map_region)(int fd, size_t bytes, struct transport_map *ret, struct ne_error *err);
	/* The daemon's ring region: mapped for writing here; others who get @ret_fd can only read. */
	int (*new_region)(size_t bytes, struct transport_map *ret, int *ret_fd,
			  struct ne_error *err);
};

extern const struct transport transport_memfd, transport_device;

/* The best transport of this machine; @ret_why tells in one line why that one. What it opened stays
 * open until transport_done(). */
const struct transport *transport_pick(char *ret_why, size_t bytes);
void transport_done(void);

/* mmap() of a descriptor that was checked. */
int transport_map(int fd, size_t bytes, int prot, struct transport_map *ret, struct ne_error *err);

void transport_unmap(struct transport_map *m);

#endif
