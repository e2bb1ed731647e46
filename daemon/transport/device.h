/* SPDX-License-Identifier: MIT */
/*
 * The kernel module's node for the daemon (docs/neap-ioctl.md). The kernel lets one process have it
 * open, so there is one here as well: opened once, before other threads start, closed at the end.
 */
#ifndef NEAPD_DEVICE_H
#define NEAPD_DEVICE_H

#include "engine/base.h"
#include "neap/uapi/neap_ioctl.h"

/* -ENOENT: no module; -EBUSY: another server; -EACCES. @err tells it and what to do. */
int device_open(struct ne_error *err);
bool device_is_open(void);
void device_close(void);

/* NEAP_IOC_BUF_INFO: -EINVAL where @fd is no buffer of the module. */
int device_info(int fd, struct neap_buf_info *ret);
/* Takes the buffer away from its client, or gives it back. -EBUSY: somebody has pinned it. */
int device_own(int fd, bool server);

/* The state page; no system call. False where there is none, or nothing changed since *seq, which
 * is set to what was read. Any thread. */
bool device_state(uint32_t *seq, struct neap_state *ret);

#endif
