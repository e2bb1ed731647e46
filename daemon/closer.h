/* SPDX-License-Identifier: MIT */
/*
 * Closing descriptors that a client passed. close() may wait for as long as the client likes: on a
 * FUSE file for the client's own file system to answer, on a TCP socket for SO_LINGER. So whatever
 * is neither plain memory nor a buffer of the kernel module is closed by a thread of its own. While
 * that one hangs its queue fills, then descriptors stay open until the table is full and messages
 * with descriptors are refused; the daemon itself goes on.
 */
#ifndef NEAPD_CLOSER_H
#define NEAPD_CLOSER_H

#include "engine/base.h"

/* Once in the life of the process; its thread ends with it. */
int closer_start(struct ne_error *err);

/* Any thread; the descriptor is the closer's from here on. */
void closer_close(int fd);

#endif
