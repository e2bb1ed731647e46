// SPDX-License-Identifier: MIT
/* neap run: one or many samples from npy files through one level, outputs to npy files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/command.h"
#include "tools/neap/levels.h"
#include "tools/neap/options.h"
#include "tools/neap/run_io.h"

#define SHOWN_SAMPLES 10u /* whose answers are printed */

struct run {
	const char *model, *level;
	struct option_list input, output;
	uint64_t threads;
	/* Owned. */
	struct ne_model *m;
	struct ne_program *p;
	struct ne_context *c;
	struct run_io io;
};

static bool parse(struct run *r, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_LIST("input", 'i', &r->input, "[NAME=]X.npy",
			 "Values of an input; in order where without a name."),
		OPT_LIST("output", 'o', &r->output, "[NAME=]Y.npy", "Where an output goes."),
		OPT_STRING("level", 'l', &r->level, "K|auto",
			   "Level to run (auto: the most accurate)."),
		OPT_NUMBER("threads", 't', &r->threads, "N", "Threads that share a run (1).", 1,
			   256),
	};
	const struct command_options o = {
		.command = "run",
		.about = "Runs a model once, or N times where the inputs have N samples in front.\n"
			 "Types and shapes must be the model's (see neap inspect); nothing is "
			 "converted.\nA model that keeps values from run to run takes the samples "
			 "as "
			 "one stream.",
		.word_name = "MODEL",
		.word = &r->model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&o, argc, argv, ret_exit);
}

static int prepare(struct run *r, uint32_t *ret_level, struct ne_error *err)
{
	int rc;

	NE_RETURN_IF(command_load(r->model, &r->m, err));
	NE_RETURN_IF(level_parse(r->m, r->level, false, true, ret_level, err));
	NE_RETURN_IF(command_program(r->m, &r->p, err));
	NE_RETURN_IF(run_io_open(r->p, &r->input, &r->output, &r->io, err));
	rc = ne_context_new(r->p, (uint32_t)r->threads, &r->c);
	return rc < 0 ? ne_fail(err, -rc, "out of memory") : 0;
}

static void print_answer(const struct run *r, size_t i, const struct ne_result *result)
{
	const struct ne_io *out = ne_program_output(r->p, 0);

	if (i >= SHOWN_SAMPLES || out->dtype != NE_F32)
		return;
	printf("sample %zu: largest of '%s' is %.6g at %u", i, out->name, (double)result->top,
	       result->top_index);
	if (result->top_index < r->m->n_label)
		printf(" (%s)", r->m->label[result->top_index]);
	putchar('\n');
}

static int run_samples(struct run *r, uint32_t level, struct ne_error *err)
{
	const void *in[NE_MAX_IO];
	void *out[NE_MAX_IO];

	for (size_t i = 0; i < r->io.samples; i++) {
		struct ne_result result = {.depth = 0};
		int rc;

		if (command_stop)
			return ne_fail(err, EINTR,
				       "interrupted after %zu of %zu samples; no file was written",
				       i, r->io.samples);
		run_io_sample(r->p, &r->io, i, in, out);
		rc = ne_run(r->p, r->c, level, in, out, NULL, &result);
		if (rc < 0)
			return ne_fail(err, -rc, "sample %zu: %s", i, strerror(-rc));
		print_answer(r, i, &result);
	}
	return 0;
}

int cmd_run(int argc, char **argv)
{
	struct run r = {.level = "auto", .threads = 1};
	struct ne_error err = {""};
	uint32_t level = 0;
	int exit_code, rc;

	if (!parse(&r, argc, argv, &exit_code))
		return exit_code;
	command_catch_stop();
	rc = prepare(&r, &level, &err);
	if (!rc)
		rc = run_samples(&r, level, &err);
	if (!rc)
		rc = run_io_save(r.p, &r.io, &err);
	if (rc < 0) {
		exit_code = command_fail("run", "%s", err.text);
	} else {
		const struct ne_level *l = &r.m->level[level];

		printf("level %u (depth %u, width %.3f): %zu sample%s\n", level, l->depth,
		       level_width(r.m, l->width), r.io.samples, r.io.samples == 1 ? "" : "s");
		exit_code = COMMAND_OK;
	}
	run_io_done(&r.io);
	ne_context_free(r.c);
	ne_program_free(r.p);
	ne_model_free(r.m);
	return exit_code;
}
