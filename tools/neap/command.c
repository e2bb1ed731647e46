// SPDX-License-Identifier: MIT
/* What the commands of neap share. */
#include "tools/neap/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/table.h"
#include "engine/model/container.h"

volatile sig_atomic_t command_stop;

static void on_stop(int sig)
{
	(void)sig;
	command_stop = 1;
}

void command_catch_stop(void)
{
	struct sigaction sa = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

int command_fail(const char *command, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "neap %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return COMMAND_FAILED;
}

int command_load(const char *path, struct ne_model **ret, struct ne_error *err)
{
	struct ne_error why = {""};
	int rc = ne_container_load(path, NULL, ret, &why);

	if (rc >= 0)
		return rc;
	if (!why.text[0])
		return ne_fail(err, -rc, "%s: %s", path, strerror(-rc));
	if (strstr(why.text, path))
		return ne_fail(err, -rc, "%s", why.text);
	return ne_fail(err, -rc, "%.80s: %s", path, why.text);
}

int command_program(const struct ne_model *m, struct ne_program **ret, struct ne_error *err)
{
	const char *cpu = getenv("NEAP_CPU");

	if (cpu && *cpu && ne_cpu_parse(cpu) < 0)
		return ne_fail(
			err, EINVAL,
			"NEAP_CPU=%.40s: expected c, sse41, avx2, avxvnni, avx512vnni or amx on "
			"x86, c, neon or dotprod on arm64",
			cpu);
	return ne_program_new(m, NULL, ret, err);
}
