/* SPDX-License-Identifier: MIT */
#include "daemon/listen.h"

#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GROUP "neap"

static int remove_stale(const struct sockaddr_un *sa, struct ne_error *err)
{
	struct stat st;
	int fd, r;

	if (lstat(sa->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return ne_fail(err, EEXIST, "%s is there and is not a socket", sa->sun_path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ne_fail(err, errno, "socket: %s", strerror(errno));
	r = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? errno : 0;
	close(fd);
	/* EAGAIN: its queue is full, so it lives. */
	if (r == 0 || r == EAGAIN)
		return ne_fail(err, EADDRINUSE, "another daemon serves %s", sa->sun_path);
	if (unlink(sa->sun_path) < 0)
		return ne_fail(err, errno, "%s: %s", sa->sun_path, strerror(errno));
	return 0;
}

/* Root's daemon opens the socket to the group, where there is one. */
static void share_with_group(const char *path)
{
	struct group *g = geteuid() == 0 ? getgrnam(GROUP) : NULL;
	mode_t mode = 0666;

	if (g && chown(path, (uid_t)-1, g->gr_gid) == 0)
		mode = 0660;
	if (chmod(path, mode) < 0)
		return; /* stays as the umask made it: stricter */
}

int listen_open(const char *path, int backlog, int *ret_fd, struct ne_error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(sa.sun_path))
		return ne_fail(err, ENAMETOOLONG, "the socket's path is too long");
	strcpy(sa.sun_path, path);
	NE_RETURN_IF(remove_stale(&sa, err));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ne_fail(err, errno, "socket: %s", strerror(errno));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		r = ne_fail(err, errno, "%s: %s", path, strerror(errno));
		goto fail;
	}
	share_with_group(path);
	if (listen(fd, backlog) < 0) {
		r = ne_fail(err, errno, "listen: %s", strerror(errno));
		unlink(path);
		goto fail;
	}
	*ret_fd = fd;
	return 0;
fail:
	close(fd);
	return r;
}
