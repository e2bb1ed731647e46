/* SPDX-License-Identifier: MIT */
#include "daemon/listen.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define GROUP "neap"

/*
 * The process that listens behind the connected @fd is there. After a kill the kernel may take a
 * second to tear io_uring down, and until then the dead daemon's socket still takes connections.
 */
static bool listener_lives(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char path[32], text[512], *state;
	ssize_t n;
	int stat_fd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0)
		return true;
	if (kill(peer.pid, 0) < 0 && errno == ESRCH)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)peer.pid);
	stat_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (stat_fd < 0)
		return errno != ENOENT;
	n = read(stat_fd, text, sizeof(text) - 1);
	close(stat_fd);
	if (n <= 0)
		return n < 0 && errno != ESRCH;
	text[n] = '\0';
	/* proc(5): "pid (comm) state"; comm may hold anything, so from the last parenthesis. */
	state = strrchr(text, ')');
	return !state || !(state[1] == ' ' && (state[2] == 'Z' || state[2] == 'X'));
}

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
	if (r == 0 && !listener_lives(fd))
		r = ECONNREFUSED;
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
