/* SPDX-License-Identifier: MIT */
#include "daemon/notify.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_FDS_START 3

/* An unsigned number from the environment; -1 if absent or not one. */
static int64_t env_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long long v;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	v = strtoll(text, &end, 10);
	return errno || *end ? -1 : v;
}

int notify_listen_fd(struct ne_error *err)
{
	int type = 0, accepting = 0, fd = LISTEN_FDS_START;
	socklen_t len = sizeof(int);
	int64_t n = env_number("LISTEN_FDS");
	bool mine = env_number("LISTEN_PID") == getpid();

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (!mine || n < 1)
		return -ENOENT;
	if (n != 1)
		return ne_fail(err, EINVAL, "the service manager passed %lld sockets; one is used",
			       (long long)n);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return ne_fail(err, EINVAL,
			       "the socket passed by the service manager is not "
			       "ListenSequentialPacket=");
	len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &len) < 0 || !accepting)
		return ne_fail(err, EINVAL,
			       "the socket passed by the service manager does not listen");
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

void notify_state(const char *fmt, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char text[512];
	size_t n;
	va_list ap;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n < 2 || n >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, path, n);
	if (path[0] == '@')
		sa.sun_path[0] = 0; /* the abstract namespace */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&sa,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}

int64_t notify_watchdog_us(void)
{
	int64_t us = env_number("WATCHDOG_USEC"), pid = env_number("WATCHDOG_PID");

	if (us <= 0 || (pid >= 0 && pid != getpid()))
		return 0;
	return us;
}
