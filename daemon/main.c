/* SPDX-License-Identifier: MIT */
/*
 * neapd: the daemon. See neapd(8).
 */
#include "daemon/closer.h"
#include "daemon/log.h"
#include "daemon/server.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Each session takes two descriptors; the usual soft limit of 1024 is for select(). */
static void raise_fd_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur >= 4096)
		return;
	/* A limit set low on purpose (soft = hard) stays. */
	rl.rlim_cur = rl.rlim_max < 4096 ? rl.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &rl);
}

int main(int argc, char **argv)
{
	enum config_action action;
	struct ne_error err = {0};
	struct server *srv;
	struct config c;
	int r;

	/* Resident memory is a promise: one arena, and what is freed goes back to the system. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	if (config_load(argc, argv, &c, &action, &err) < 0) {
		fprintf(stderr, "neapd: %s\n", err.text);
		return 2;
	}
	if (action == CONFIG_HELP) {
		fputs(config_usage, stdout);
		return 0;
	}
	if (action == CONFIG_VERSION) {
		puts("neapd " NEAP_VERSION);
		return 0;
	}
	log_set_level(c.log_level);
	raise_fd_limit();
	r = closer_start(&err);
	if (r >= 0)
		r = server_new(&c, &srv, &err);
	if (r < 0) {
		log_error("%s", err.text[0] ? err.text : strerror(-r));
		config_done(&c);
		return 1;
	}
	r = server_run(srv);
	server_free(srv);
	config_done(&c);
	return r < 0;
}
