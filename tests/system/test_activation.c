/* SPDX-License-Identifier: MIT */
/*
 * neapd under a service manager: a listening socket handed over (sd_listen_fds(3)), readiness and
 * the watchdog told (sd_notify(3)). The test plays the manager.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "neap/neap.h"

static char dir[64], socket_path[128], notify_path[128];

static int bound(int type, const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Waits for a message that holds @want. */
static bool told(int notify, const char *want, int timeout_ms)
{
	struct pollfd p = {.fd = notify, .events = POLLIN};
	char text[512];

	while (poll(&p, 1, timeout_ms) == 1) {
		ssize_t n = recv(notify, text, sizeof(text) - 1, 0);

		if (n < 0)
			return false;
		text[n] = '\0';
		if (strstr(text, want))
			return true;
	}
	return false;
}

static void daemon_main(int listening)
{
	const char *neapd = getenv("NEAPD"), *build = getenv("NEAP_BUILD");
	char path[256], pid[16], run[128], models[128];

	snprintf(path, sizeof(path), "%s/bin/neapd", build ? build : "build");
	snprintf(run, sizeof(run), "%s/run", dir);
	snprintf(models, sizeof(models), "%s/models", dir);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (listening == 3)
		fcntl(3, F_SETFD, 0);
	else
		dup2(listening, 3);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", pid, 1);
	setenv("NOTIFY_SOCKET", notify_path, 1);
	setenv("WATCHDOG_USEC", "1000000", 1);
	unsetenv("WATCHDOG_PID");
	execl(neapd ? neapd : path, "neapd", "--runtime-dir", run, "--models", models,
	      (char *)NULL);
	_exit(127);
}

static void manager_hands_over_and_is_told(void **state)
{
	struct neap_options opt = {.socket = socket_path, .no_reconnect = true};
	int listening, notify, status;
	struct neap *n = NULL;
	char command[160];
	pid_t pid;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/neap-activation-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), "mkdir %s/run %s/models", dir, dir);
	assert_int_equal(system(command), 0);
	snprintf(socket_path, sizeof(socket_path), "%s/s", dir);
	snprintf(notify_path, sizeof(notify_path), "%s/n", dir);
	listening = bound(SOCK_SEQPACKET, socket_path);
	notify = bound(SOCK_DGRAM, notify_path);
	assert_int_equal(listen(listening, 8), 0);

	/* A client may connect before the daemon is there: the socket keeps it waiting. */
	pid = fork();
	if (!pid)
		daemon_main(listening);
	if (!told(notify, "READY=1", 60000)) {
		kill(pid, SIGKILL);
		fail_msg("no READY=1");
	}
	assert_int_equal(neap_connect(&opt, &n), 0);
	assert_true(told(notify, "WATCHDOG=1", 10000));
	neap_close(n);

	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_true(told(notify, "STOPPING=1", 10000));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* The socket is the manager's: its file stays. */
	assert_int_equal(access(socket_path, F_OK), 0);
	close(listening);
	close(notify);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

/* A socket of another kind is refused with the reason, not used. */
static void a_wrong_socket_is_refused(void **state)
{
	int listening, status;
	char command[160];
	pid_t pid;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/neap-activation-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), "mkdir %s/run %s/models", dir, dir);
	assert_int_equal(system(command), 0);
	snprintf(socket_path, sizeof(socket_path), "%s/s", dir);
	snprintf(notify_path, sizeof(notify_path), "%s/n", dir);
	listening = bound(SOCK_STREAM, socket_path);
	assert_int_equal(listen(listening, 8), 0);
	pid = fork();
	if (!pid)
		daemon_main(listening);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 127);
	close(listening);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manager_hands_over_and_is_told),
		cmocka_unit_test(a_wrong_socket_is_refused),
	};

#ifndef HAVE_SYSTEMD
	puts("built without libsystemd: no service manager is spoken to");
	return 77;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
