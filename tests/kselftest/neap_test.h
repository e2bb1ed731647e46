/* SPDX-License-Identifier: GPL-2.0-only */
/* What the module's tests share. Included after kselftest_harness.h. */
#ifndef NEAP_TEST_H
#define NEAP_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "neap/uapi/neap_ioctl.h"

#define SYSFS  "/sys/devices/virtual/misc/neap/"
#define NOBODY 65534
#define PAGE   4096ul

static inline int open_client(void)
{
	return open("/dev/neap", O_RDWR | O_CLOEXEC);
}

static inline int open_server(void)
{
	return open("/dev/neap-server", O_RDWR | O_CLOEXEC);
}

/* A buffer's descriptor, or a negative errno. */
static inline int alloc_buf(int client, uint64_t bytes)
{
	struct neap_buf_alloc a = {.bytes = bytes};

	return ioctl(client, NEAP_IOC_BUF_ALLOC, &a) < 0 ? -errno : a.fd;
}

static inline void *map_buf(int fd, size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/* 0 or a negative errno, for one-line assertions. */
static inline int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

static inline int set_owner(int server, int fd, uint32_t who)
{
	struct neap_buf_own a = {.fd = fd, .who = who};

	return call(server, NEAP_IOC_BUF_OWN, &a);
}

static inline int revoke_buf(int server, int fd)
{
	struct neap_buf_revoke a = {.fd = fd};

	return call(server, NEAP_IOC_BUF_REVOKE, &a);
}

/* The value of SYSFS/@name; -1 where it cannot be read. */
static inline long long read_sysfs(const char *name)
{
	char path[256];
	long long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), SYSFS "%s", name);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%lld", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

/* Writes @text as it is: 0 or a negative errno. */
static inline int write_sysfs(const char *name, const char *text)
{
	char path[256];
	int fd, r = 0;

	snprintf(path, sizeof(path), SYSFS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static inline int write_sysfs_number(const char *name, long long v)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", v);
	return write_sysfs(name, text);
}

/* Waits up to @ms for a sysfs value: pages that were pinned are looked at once a second. */
static inline bool wait_sysfs(const char *name, long long want, int ms)
{
	for (; ms > 0; ms -= 10) {
		if (read_sysfs(name) == want)
			return true;
		usleep(10000);
	}
	return read_sysfs(name) == want;
}

static sigjmp_buf fault_jump;

static inline void on_fault(int sig)
{
	siglongjmp(fault_jump, sig);
}

/* The signal that reading (or writing @value to) @p raises, 0 = none. */
static inline int touch(volatile unsigned char *p, int value)
{
	struct sigaction old_bus, old_segv, sa = {.sa_handler = on_fault};
	int sig;

	sigaction(SIGBUS, &sa, &old_bus);
	sigaction(SIGSEGV, &sa, &old_segv);
	sig = sigsetjmp(fault_jump, 1);
	if (!sig) {
		if (value < 0)
			(void)*p;
		else
			*p = (unsigned char)value;
	}
	sigaction(SIGBUS, &old_bus, NULL);
	sigaction(SIGSEGV, &old_segv, NULL);
	return sig;
}

#define touch_read(p) touch(p, -1)

#endif
