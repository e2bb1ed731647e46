/* SPDX-License-Identifier: MIT */
/*
 * The listening socket: our own, with its file, or the service manager's.
 */
#ifndef NEAPD_LISTEN_H
#define NEAPD_LISTEN_H

#include "engine/base.h"

/* Makes @path listen; a file left by a daemon that died is replaced, a living one's is not
 * (-EADDRINUSE). Members of group neap may connect, all of them if there is no such group. */
int listen_open(const char *path, int backlog, int *ret_fd, struct ne_error *err);

#endif
