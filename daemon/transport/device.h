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

/*
 * A buffer that runs can own. One for each buffer of the module, however often clients have handed
 * it over: or a second handle's run would give back what a first one's still computes on.
 */
struct device_buffer;
int device_buffer_get(int fd, struct device_buffer **ret); /* keeps a descriptor of its own */
void device_buffer_put(struct device_buffer *b);           /* takes NULL */
/* Takes the buffer away from its clients until the last run has disowned it. False: somebody has
 * pinned it, or it was revoked; then nothing is to be disowned. Any thread. */
bool device_buffer_own(struct device_buffer *b);
void device_buffer_disown(struct device_buffer *b);

/* The state page; no system call. False where there is none, or nothing changed since *seq, which
 * is set to what was read. Any thread. */
bool device_state(uint32_t *seq, struct neap_state *ret);

#endif
