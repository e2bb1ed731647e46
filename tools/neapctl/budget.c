// SPDX-License-Identifier: MIT
/* neapctl budget [get [NAME]] and budget set NAME VALUE. */
#include "tools/neapctl/ctl.h"

#include <string.h>

static void print(const cJSON *list)
{
	struct table *t = table_new("budget|>value|>least|>most|>default|unit");
	const cJSON *b;

	cJSON_ArrayForEach(b, list)
	{
		table_row(t);
		table_cell(t, "%s", ctl_text(b, "name"));
		table_number(t, ctl_number(b, "value"), 0, "");
		table_number(t, ctl_number(b, "min"), 0, "");
		table_number(t, ctl_number(b, "max"), 0, "");
		table_number(t, ctl_number(b, "default"), 0, "");
		table_cell(t, "%s", ctl_text(b, "unit"));
	}
	table_print(t, stdout);
}

static int print_one(const struct ctl *c, const cJSON *list, const char *name)
{
	const cJSON *b;

	cJSON_ArrayForEach(b, list)
	{
		if (strcmp(ctl_text(b, "name"), name))
			continue;
		if (c->json)
			return ctl_print_json(b);
		printf("%.0f\n", ctl_number(b, "value"));
		return CTL_OK;
	}
	fprintf(stderr, "neapctl: no budget \"%s\"; there are:", name);
	cJSON_ArrayForEach(b, list) fprintf(stderr, " %s", ctl_text(b, "name"));
	fprintf(stderr, "\n");
	return CTL_FAILED;
}

static int get(const struct ctl *c, const char *name)
{
	const cJSON *list;
	cJSON *j;
	int r = ctl_ask_or_tell(c, "budget get", &j);

	if (r)
		return r;
	list = cJSON_GetObjectItemCaseSensitive(j, "budget");
	if (name)
		r = print_one(c, list, name);
	else if (c->json)
		r = ctl_print_json(j);
	else
		print(list);
	cJSON_Delete(j);
	return r;
}

static int set(const struct ctl *c, const char *name, const char *value)
{
	char command[512];
	cJSON *j;
	int r;

	if (strpbrk(name, " \t\n") || strpbrk(value, " \t\n") || !*name || !*value ||
	    strlen(name) + strlen(value) > 200) {
		fprintf(stderr, "neapctl: a budget has one name and one number\n");
		return CTL_USAGE;
	}
	snprintf(command, sizeof(command), "budget set %s %s", name, value);
	r = ctl_ask_or_tell(c, command, &j);
	if (r)
		return r;
	if (c->json)
		r = ctl_print_json(j);
	else
		printf("%s = %.0f\n", name, ctl_number(j, name));
	cJSON_Delete(j);
	return r;
}

int ctl_budget(const struct ctl *c, int argc, char **argv)
{
	if (argc == 1 || (argc == 2 && !strcmp(argv[1], "get")))
		return get(c, NULL);
	if (argc == 3 && !strcmp(argv[1], "get"))
		return get(c, argv[2]);
	if (argc == 4 && !strcmp(argv[1], "set"))
		return set(c, argv[2], argv[3]);
	fprintf(stderr, "usage: neapctl budget [get [NAME] | set NAME VALUE]\n");
	return CTL_USAGE;
}
