/* SPDX-License-Identifier: MIT */
/* neap export: one level of a model file as an ONNX file, for other run times. */
#include "tools/neap/export/export.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/model/container.h"
#include "tools/neap/command.h"
#include "tools/neap/export/onnx_export.h"
#include "tools/neap/levels.h"
#include "tools/neap/options.h"

struct export
{
	const char *model, *out, *level;
	struct onnx_export_options opt;
};

static bool parse(struct export *e, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_REQUIRED("output", 'o', &e->out, "FILE", "The .onnx file to write."),
		OPT_STRING("level", 'l', &e->level, "auto|K",
			   "Level to write (auto: the most accurate)."),
		OPT_FLAG("channels-first", 'c', &e->opt.channels_first,
			 "Declare image inputs [1,C,H,W] instead of [1,H,W,C]."),
	};
	const struct command_options o = {
		.command = "export",
		.about = "Writes one level of a model as ONNX, opset 13 or, where an operator "
			 "needs it, "
			 "later.\ns8 models become QDQ form with u8 activations (value + 128) and "
			 "s8 "
			 "weights; norms are\nfolded in. Values kept from run to run become inputs "
			 "state_NAME and outputs state_NAME_next.",
		.word_name = "MODEL",
		.word = &e->model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&o, argc, argv, ret_exit);
}

static int write_level(struct export *e, size_t *ret_bytes, struct ne_error *err)
{
	struct ne_model *m = NULL;
	void *data = NULL;
	int r;

	NE_RETURN_IF(command_load(e->model, &m, err));
	r = level_parse(m, e->level, false, true, &e->opt.level, err);
	if (r == 0)
		r = onnx_export(m, &e->opt, &data, ret_bytes, err);
	if (r == 0)
		r = ne_container_write_file(e->out, data, *ret_bytes, err);
	free(data);
	ne_model_free(m);
	return r;
}

int cmd_export(int argc, char **argv)
{
	struct export e = {.level = "auto"};
	struct ne_error err = {""};
	size_t bytes = 0;
	int exit_code;

	if (!parse(&e, argc, argv, &exit_code))
		return exit_code;
	if (write_level(&e, &bytes, &err) < 0)
		return command_fail("export", "%s", err.text);
	printf("%s: level %u of %s, %zu bytes\n", e.out, e.opt.level, e.model, bytes);
	return COMMAND_OK;
}
