/* SPDX-License-Identifier: MIT */
/*
 * Runs the real neapd in a private directory, for the tests of tests/system, the demo and the
 * benchmark.
 *
 * Layout of the directory: run/ (runtime directory and socket), models/, sys/ (the fake tree that
 * --sysroot points at), log. It is removed by harness_done(), also when a check fails; the log of a
 * failed test is printed first.
 *
 * The program comes from $NEAPD, else from $NEAP_BUILD/bin/neapd, else from where the test itself
 * was built. NEAPD_NO_URING and other variables reach it as they are.
 */
#ifndef NEAP_TEST_HARNESS_H
#define NEAP_TEST_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "neap/neap.h"

struct harness {
	char dir[64], run[96], socket[112], models[96], sys[96], log[96];
	char neapd[4096];
	pid_t pid;             /* 0 = not running */
	const char *workers;   /* --workers; NULL = the daemon's choice */
	const char *config;    /* --config; NULL = none */
	bool real_sys;         /* the machine's own sensors, not those of sys/ */
	unsigned long max_fds; /* RLIMIT_NOFILE of the daemon; 0 = as is */
	unsigned uid;          /* of the daemon, where this test is root; 0 = as is */
	bool sanitized;        /* asan or tsan: slower, figures mean nothing */
	bool emulated; /* NEAP_TEST_EMULATED: slower still, tests repeat things less often */
};

/* Fails the test: says where and why, kills the daemon, shows the log's end. */
#define CHECK(cond, ...)                                                          \
	do {                                                                      \
		if (!(cond))                                                      \
			harness_fail(__FILE__, __LINE__, #cond, " " __VA_ARGS__); \
	} while (0)
#define CHECK_OK(expr)                                                 \
	do {                                                           \
		long check_ok_ = (expr);                               \
		if (check_ok_ < 0)                                     \
			harness_fail(__FILE__, __LINE__, #expr, " %s", \
				     neap_strerror((int)check_ok_));   \
	} while (0)
void harness_fail(const char *file, int line, const char *what, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

/* Ends the test as skipped. */
void harness_skip(const char *why) __attribute__((noreturn));

/* The calling program's harness: makes the directories; starts nothing. */
void harness_init(struct harness *h);
/* The same without a test around it (demo, benchmark): 0 or -errno, no CHECK. */
int harness_prepare(struct harness *h, const char *build);
/* Starts the daemon and waits until it answers a hello. */
void harness_start(struct harness *h);
int harness_launch(struct harness *h, int timeout_ms); /* 0 or -errno, no CHECK */
/* SIGTERM; the exit status must be 0 and the log free of sanitizer reports. */
void harness_stop(struct harness *h);
/* SIGKILL, as by the OOM killer. */
void harness_kill(struct harness *h);
/* Is the daemon alive and free of sanitizer reports? */
void harness_check(struct harness *h);
/* Stops and removes everything. */
void harness_done(struct harness *h);
/* The same in a hurry, safe to call at any time, also from atexit. */
void harness_clean(struct harness *h);

/* Connects with @opt (may be NULL; its socket is set). */
struct neap *harness_connect(struct harness *h, const struct neap_options *opt);
/* A command; the answer is freed with free(). NULL with the error in *ret_error where it failed. */
char *harness_control(struct harness *h, const char *command, int *ret_error);

/* Writes below sys/: makes the folders. */
void harness_sysfs(struct harness *h, const char *path, const char *value);
/* A battery (capacity 10 Wh) and mains in sys/. */
void harness_supply(struct harness *h, bool on_mains, unsigned percent);

/* Number of lines of the log that contain @text. */
unsigned harness_log_count(const struct harness *h, const char *text);
/* Context switches of all the daemon's threads since it started. */
double harness_wakeups(const struct harness *h);
/* Open descriptors of the daemon. */
unsigned harness_daemon_fds(const struct harness *h);

void sleep_ms(unsigned ms);
double now_s(void);
uint32_t random_u32(uint64_t *state); /* xorshift: a test prints its seed */

#endif
