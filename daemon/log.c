/* SPDX-License-Identifier: MIT */
#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

void log_line(int level, const char *fmt, ...)
{
	char line[512];
	int at;
	va_list ap;

	if (level > __atomic_load_n(&log_max, __ATOMIC_RELAXED))
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
