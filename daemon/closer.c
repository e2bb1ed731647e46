/* SPDX-License-Identifier: MIT */
#include "daemon/closer.h"
#include "daemon/log.h"
#include "daemon/transport/device.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STACK_BYTES (64u << 10)

static int queue[2] = {-1, -1}; /* a pipe of descriptor numbers; lives as long as the process */

static void *closer_main(void *arg)
{
	int fd;

	(void)arg;
	while (read(queue[0], &fd, sizeof(fd)) == sizeof(fd))
		close(fd);
	return NULL;
}

int closer_start(struct ne_error *err)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int r;

	if (pipe2(queue, O_CLOEXEC) < 0)
		return ne_fail(err, errno, "pipe: %s", strerror(errno));
	fcntl(queue[1], F_SETFL, O_NONBLOCK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, closer_main, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r ? ne_fail(err, r, "thread: %s", strerror(r)) : 0;
}

void closer_close(int fd)
{
	struct neap_buf_info info;
	struct statfs fs;

	/* Here and now also because its bytes count against the client's limit until it is closed. */
	if (device_is_open() && device_info(fd, &info) >= 0) {
		close(fd);
		return;
	}
	/* Only memory files answer the first question, and neither question can block on them. */
	if (fcntl(fd, F_GET_SEALS) >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC) {
		close(fd);
		return;
	}
	/* The pipe is full: the descriptor stays open, see closer.h. */
	if (write(queue[1], &fd, sizeof(fd)) < 0)
		log_warn("a client's descriptor cannot be closed without waiting: it stays open");
}
