// SPDX-License-Identifier: MIT
/* neapctl models, load, unload, drain. */
#include "tools/neapctl/ctl.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void print_levels(const cJSON *m)
{
	struct table *t = table_new(">level|>depth|>width|>MACs|>accuracy|>time|>energy|>answered|"
				    "front");
	const cJSON *l;

	cJSON_ArrayForEach(l, cJSON_GetObjectItemCaseSensitive(m, "levels"))
	{
		table_row(t);
		table_number(t, ctl_number(l, "level"), 0, "");
		table_number(t, ctl_number(l, "depth"), 0, "");
		table_number(t, ctl_number(l, "width_permille") / 10, 0, " %");
		table_number(t, ctl_number(l, "macs"), 0, "");
		table_number(t, ctl_number(l, "accuracy") * 100, 2, " %");
		table_number(t, ctl_number(l, "time_us"), 1, " us");
		table_number(t, ctl_number(l, "energy_uj"), 1, " uJ");
		table_number(t, ctl_number(l, "count"), 0, "");
		table_cell(t, "%s", ctl_true(l, "front") ? "yes" : "");
	}
	table_print(t, stdout);
}

static void print_models(const cJSON *list)
{
	struct table *t = table_new("model|>gen.|>file|>packed|>exits|kernels|>answered|>failed|"
				    ">late|path");
	const cJSON *m;

	if (!cJSON_GetArraySize(list)) {
		printf("no models: put .neap files into the daemon's model folder, or use "
		       "\"neapctl load PATH\"\n");
		table_print(t, stdout);
		return;
	}
	cJSON_ArrayForEach(m, list)
	{
		table_row(t);
		table_cell(t, "%s", ctl_text(m, "name"));
		table_number(t, ctl_number(m, "generation"), 0, "");
		table_number(t, ctl_number(m, "file_bytes") / 1000, 1, " kB");
		table_number(t, ctl_number(m, "packed_bytes") / 1000, 1, " kB");
		table_number(t, ctl_number(m, "exits"), 0, "");
		table_cell(t, "%s", ctl_text(m, "kernels"));
		table_number(t, ctl_number(m, "answered"), 0, "");
		table_number(t, ctl_number(m, "failed"), 0, "");
		table_number(t, ctl_number(m, "late"), 0, "");
		table_cell(t, "%s", ctl_text(m, "path"));
	}
	table_print(t, stdout);
	cJSON_ArrayForEach(m, list)
	{
		printf("\n");
		table_text(ctl_text(m, "name"), stdout);
		printf(":\n");
		print_levels(m);
	}
}

int ctl_models(const struct ctl *c, int argc, char **argv)
{
	cJSON *j;
	int r;

	(void)argc;
	(void)argv;
	r = ctl_ask_or_tell(c, "models", &j);
	if (r)
		return r;
	if (c->json)
		r = ctl_print_json(j);
	else
		print_models(cJSON_GetObjectItemCaseSensitive(j, "models"));
	cJSON_Delete(j);
	return r;
}

/* A command whose answer is only of interest to programs. */
static int act(const struct ctl *c, const char *command, const char *done)
{
	cJSON *j;
	int r = ctl_ask_or_tell(c, command, &j);

	if (r)
		return r;
	if (c->json)
		r = ctl_print_json(j);
	else
		printf("%s\n", done);
	cJSON_Delete(j);
	return r;
}

int ctl_load(const struct ctl *c, int argc, char **argv)
{
	char path[PATH_MAX], command[PATH_MAX + 8], done[PATH_MAX + 16];

	(void)argc;
	/* The daemon has another working directory. */
	if (!realpath(argv[1], path)) {
		fprintf(stderr, "neapctl: %s: %s\n", argv[1], strerror(errno));
		return CTL_FAILED;
	}
	if (strlen(path) >= 4000) {
		fprintf(stderr, "neapctl: %s: the path is too long\n", argv[1]);
		return CTL_FAILED;
	}
	snprintf(command, sizeof(command), "load %s", path);
	snprintf(done, sizeof(done), "loaded %s", path);
	return act(c, command, done);
}

int ctl_unload(const struct ctl *c, int argc, char **argv)
{
	char command[256], done[256];

	(void)argc;
	if (strlen(argv[1]) >= 64 || strpbrk(argv[1], " \t\n")) {
		fprintf(stderr, "neapctl: %s is not a model's name\n", argv[1]);
		return CTL_FAILED;
	}
	snprintf(command, sizeof(command), "unload %s", argv[1]);
	snprintf(done, sizeof(done), "unloaded %s; requests in flight finish", argv[1]);
	return act(c, command, done);
}

int ctl_drain(const struct ctl *c, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return act(c, "drain", "draining: the daemon finishes what it has accepted and ends");
}
