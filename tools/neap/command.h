/* SPDX-License-Identifier: MIT */
/*
 * What the commands of neap share. A command is a function like main(): argv[0] is its name. It
 * returns one of the codes below, prints its answer on standard output and everything else on
 * standard error.
 */
#ifndef NEAP_TOOL_COMMAND_H
#define NEAP_TOOL_COMMAND_H

#include <signal.h>

#include "engine/model/model.h"
#include "engine/run/run.h"

enum command_exit {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1, /* also: interrupted, with what was finished until then */
	COMMAND_USAGE = 2,
};

int cmd_bench(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_features(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_plot(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_stream(int argc, char **argv);

/* Set by SIGINT and SIGTERM after command_catch_stop(); a second signal kills. */
extern volatile sig_atomic_t command_stop;
void command_catch_stop(void);

/* "neap COMMAND: text" on standard error; returns COMMAND_FAILED. */
int command_fail(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Loads a .neap file; the error names it. */
int command_load(const char *path, struct ne_model **ret, struct ne_error *err);

/* A program for this CPU, or for the lesser one that NEAP_CPU names; unknown names are refused. */
int command_program(const struct ne_model *m, struct ne_program **ret, struct ne_error *err);

#endif
