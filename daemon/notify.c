/* SPDX-License-Identifier: MIT */
#include "daemon/notify.h"

#ifdef HAVE_SYSTEMD
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

int notify_listen_fd(struct ne_error *err)
{
	int fd = SD_LISTEN_FDS_START, n = sd_listen_fds(1);

	if (n < 0)
		return ne_fail(err, EINVAL, "LISTEN_FDS from the service manager is not valid");
	if (n == 0)
		return -ENOENT;
	if (n != 1)
		return ne_fail(err, EINVAL, "the service manager passed %d sockets; one is used",
			       n);
	if (sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) <= 0)
		return ne_fail(err, EINVAL,
			       "the socket passed by the service manager is not a listening "
			       "ListenSequentialPacket=");
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

void notify_state(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sd_notify(0, text);
}

int64_t notify_watchdog_us(void)
{
	uint64_t us = 0;

	return sd_watchdog_enabled(0, &us) > 0 && us <= INT64_MAX ? (int64_t)us : 0;
}
#else
int notify_listen_fd(struct ne_error *err)
{
	(void)err;
	return -ENOENT;
}

void notify_state(const char *fmt, ...)
{
	(void)fmt;
}

int64_t notify_watchdog_us(void)
{
	return 0;
}
#endif
