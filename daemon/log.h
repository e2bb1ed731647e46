/* SPDX-License-Identifier: MIT */
/*
 * Log lines on standard error: one write a line, so lines of different threads do not mix. Under
 * systemd (JOURNAL_STREAM is set) each line begins with its syslog level.
 */
#ifndef NEAPD_LOG_H
#define NEAPD_LOG_H

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Lines above @level are dropped from now on. Call before threads start, or from the loop. */
void log_set_level(int level);
/* "error", "warning", "info", "debug" or -EINVAL. */
int log_parse_level(const char *name);

void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
