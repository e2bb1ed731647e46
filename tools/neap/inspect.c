// SPDX-License-Identifier: MIT
/* neap inspect: what is in a model file. */
#include "tools/neap/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/container.h"
#include "tools/neap/command.h"
#include "tools/neap/data/data.h"
#include "tools/neap/options.h"

#define FILE_LIMIT ((size_t)256 << 20) /* the container's own default */

struct inspect_options {
	const char *model;
	bool json, all;
};

static bool parse(struct inspect_options *o, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_FLAG("all", 'a', &o->all, "Print every node and every constant too."),
		OPT_FLAG("json", 'j', &o->json, "Print JSON (all of it)."),
	};
	const struct command_options c = {
		.command = "inspect",
		.about = "Prints what is in a model file: inputs and outputs, graph, tensors, "
			 "channel\n"
			 "groups, exits, levels, notes and the file's sections.",
		.word_name = "MODEL",
		.word = &o->model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&c, argc, argv, ret_exit);
}

const char *inspect_shape(const struct ne_shape *s, char *text, size_t size)
{
	size_t n = (size_t)snprintf(text, size, "[");

	for (uint32_t i = 0; i < s->rank && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%d", i ? "," : "", s->dim[i]);
	if (n < size)
		snprintf(text + n, size - n, "]");
	return text;
}

/* The bytes are read once, so that model and layout are of the same file even if it is replaced. */
static int inspect(struct inspection *s, struct ne_error *err)
{
	struct ne_error why = {""};
	void *data;
	size_t bytes;
	int rc;

	NE_RETURN_IF(data_read_file(s->path, FILE_LIMIT, &data, &bytes, err));
	rc = ne_container_parse(data, bytes, NULL, &s->m, &why);
	if (!rc)
		rc = file_layout_read(data, bytes, s->m, &s->file, &why);
	free(data);
	if (rc < 0)
		return ne_fail(err, -rc, "%.80s: %s", s->path, why.text);
	/* A model that this build cannot run can still be looked at. */
	if (command_program(s->m, &s->p, &s->no_program) < 0)
		s->p = NULL;
	return 0;
}

int cmd_inspect(int argc, char **argv)
{
	struct inspect_options o = {.json = false};
	struct inspection s = {.m = NULL};
	struct ne_error err = {""};
	int exit_code;

	if (!parse(&o, argc, argv, &exit_code))
		return exit_code;
	s.path = o.model;
	exit_code = COMMAND_OK;
	if (inspect(&s, &err) < 0)
		exit_code = command_fail("inspect", "%s", err.text);
	else if (!o.json)
		inspect_print_text(&s, o.all);
	else if (inspect_print_json(&s) < 0)
		exit_code = command_fail("inspect", "out of memory");
	ne_program_free(s.p);
	file_layout_done(&s.file);
	ne_model_free(s.m);
	return exit_code;
}
