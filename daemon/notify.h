/* SPDX-License-Identifier: MIT */
/*
 * The service manager: sockets handed over and states told, through libsystemd. A build without it
 * makes its own socket and tells nobody.
 */
#ifndef NEAPD_NOTIFY_H
#define NEAPD_NOTIFY_H

#include "engine/base.h"

/* The listening SEQPACKET socket that the manager passed; -ENOENT: none; -EINVAL: another kind. */
int notify_listen_fd(struct ne_error *err);

/* Sends "READY=1\nSTATUS=..." and the like; does nothing without a manager. */
void notify_state(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Microseconds within which the manager wants "WATCHDOG=1"; 0 = it does not. */
int64_t notify_watchdog_us(void);

#endif
