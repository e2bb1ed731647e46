/* SPDX-License-Identifier: MIT */
#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINES_PER_SECOND 20 /* warnings */

static int log_max = LOG_LEVEL_INFO;

void log_set_level(int level)
{
	__atomic_store_n(&log_max, level, __ATOMIC_RELAXED);
}

int log_parse_level(const char *name)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {
		{"error", LOG_LEVEL_ERROR},
		{"warning", LOG_LEVEL_WARN},
		{"info", LOG_LEVEL_INFO},
		{"debug", LOG_LEVEL_DEBUG},
	};

	for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (!strcmp(levels[i].name, name))
			return levels[i].level;
	return -EINVAL;
}

/* A name that a client chose may hold control characters: they never reach a terminal. */
static void make_printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

static uint64_t log_second; /* the second that is being counted, and lines in it: one word */

/* Clients can cause warnings as fast as they like: a flood is cut, and said to be. */
static bool flooded(int level)
{
	struct timespec now;
	uint64_t old, new;

	if (level != LOG_LEVEL_WARN)
		return false;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	old = __atomic_load_n(&log_second, __ATOMIC_RELAXED);
	do {
		new = old >> 16 == (uint64_t)now.tv_sec ? old : (uint64_t)now.tv_sec << 16;
		if ((new & 0xffff) > LINES_PER_SECOND)
			return true;
		new ++;
	} while (!__atomic_compare_exchange_n(&log_second, &old, new, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	if ((new & 0xffff) <= LINES_PER_SECOND)
		return false;
	log_error("more than %d warnings a second: the rest of this second's are dropped",
		  LINES_PER_SECOND);
	return true;
}

void log_line(int level, const char *fmt, ...)
{
	char line[512];
	int at;
	va_list ap;

	if (level > __atomic_load_n(&log_max, __ATOMIC_RELAXED) || flooded(level))
		return;
	if (getenv("JOURNAL_STREAM"))
		at = snprintf(line, sizeof(line), "<%d>", level);
	else
		at = snprintf(line, sizeof(line), "neapd: %s",
			      level == LOG_LEVEL_ERROR  ? "error: "
			      : level == LOG_LEVEL_WARN ? "warning: "
							: "");
	va_start(ap, fmt);
	vsnprintf(line + at, sizeof(line) - 1 - (size_t)at, fmt, ap);
	va_end(ap);
	make_printable(line + at);
	strcat(line, "\n");
	/* A log that cannot be written must not stop the service. */
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return;
}
