/* SPDX-License-Identifier: MIT */
/*
 * neapctl: talks to a running neapd. Each command asks the daemon for JSON (docs/json.md) and
 * prints that, or a table for people.
 *
 * What the daemon says is not trusted: fields may be missing or of another type, and names come
 * from clients, so control characters never reach the terminal.
 */
#ifndef NEAPCTL_H
#define NEAPCTL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

struct ctl {
	const char *socket; /* NULL: the default */
	bool json, once;
	double interval_s; /* of top */
};

enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

/* ---- ask.c ---- */

/* Connects, sends @command, parses the answer (freed with cJSON_Delete()). On failure writes why
 * and what to do about it to @why. 0 or a negative errno. */
int ctl_ask(const struct ctl *c, const char *command, cJSON **ret, char *why, size_t why_bytes);
/* The same, telling stderr; an exit code. */
int ctl_ask_or_tell(const struct ctl *c, const char *command, cJSON **ret);
/* Prints @j indented. */
int ctl_print_json(const cJSON *j);

/* Fields that may be absent: then NAN, "" and false. */
double ctl_number(const cJSON *o, const char *key);
const char *ctl_text(const cJSON *o, const char *key);
bool ctl_true(const cJSON *o, const char *key);

/* ---- table.c: aligned columns ---- */

struct table;
/* Titles separated by '|'; one that begins with '>' is aligned to the right. */
struct table *table_new(const char *titles);
void table_row(struct table *t);
/* The next cell of the row; control characters become '?'. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_number(struct table *t, double v, int decimals, const char *unit); /* NAN: "-" */
void table_print(struct table *t, FILE *to);                                  /* and frees */
/* @text without control characters. */
void table_text(const char *text, FILE *to);
/* @share (0..1) of @width characters; blocks where the terminal speaks UTF-8. */
const char *table_bar(double share, unsigned width);

/* ---- commands: an exit code ---- */

int ctl_status(const struct ctl *c, int argc, char **argv);
int ctl_models(const struct ctl *c, int argc, char **argv);
int ctl_top(const struct ctl *c, int argc, char **argv);
int ctl_budget(const struct ctl *c, int argc, char **argv);
int ctl_load(const struct ctl *c, int argc, char **argv);
int ctl_unload(const struct ctl *c, int argc, char **argv);
int ctl_drain(const struct ctl *c, int argc, char **argv);

/* The table of "top", for the screen and for --once. */
void top_render(const cJSON *top, FILE *to);

#endif
