// SPDX-License-Identifier: MIT
/* neap eval: accuracy and latency of a model's levels on labelled data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/neap/command.h"
#include "tools/neap/evaluate.h"
#include "tools/neap/levels.h"
#include "tools/neap/options.h"

struct eval {
	const char *model, *data, *level;
	uint64_t limit, threads;
	bool json;
	/* Owned. */
	struct ne_model *m;
	struct ne_program *p;
	struct data_set d;
	struct level_measure *measure;
	struct level_row *row;
};

static bool parse(struct eval *e, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_REQUIRED(
			"data", 'd', &e->data, "SPEC",
			"Data: idx:IMAGES,LABELS, npy:X.npy,Y.npy, fashion-mnist:train|test or\n"
			"audio:TAR_OR_DIR,CSV[,split=train|test]; paths may end in .gz, .xz."),
		OPT_STRING("level", 'l', &e->level, "all|K", "Levels to run (all)."),
		OPT_NUMBER("limit", 'n', &e->limit, "N", "First N samples only (0: all).", 0, 0),
		OPT_NUMBER("threads", 't', &e->threads, "N",
			   "Samples run at once (0: one per CPU).", 0, 256),
		OPT_FLAG("json", 'j', &e->json, "Print JSON."),
	};
	const struct command_options o = {
		.command = "eval",
		.about = "Runs labelled data through a model and prints accuracy and latency of "
			 "each level.",
		.word_name = "MODEL",
		.word = &e->model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&o, argc, argv, ret_exit);
}

static void show_progress(void *user, size_t done, size_t total)
{
	(void)user;
	fprintf(stderr, "\r%zu of %zu samples", done, total);
	if (done >= total)
		fprintf(stderr, "\r%40s\r", "");
}

static int evaluate(struct eval *e, uint32_t *ret_n, struct ne_error *err)
{
	struct evaluate_options opt = {
		.limit = e->limit,
		.threads = (unsigned)e->threads,
		.stop = &command_stop,
		.progress = isatty(STDERR_FILENO) ? show_progress : NULL,
	};

	NE_RETURN_IF(command_load(e->model, &e->m, err));
	NE_RETURN_IF(level_parse(e->m, e->level, true, false, &opt.level, err));
	NE_RETURN_IF(data_open(e->data, &e->d, err));
	NE_RETURN_IF(command_program(e->m, &e->p, err));
	*ret_n = opt.level == LEVELS_ALL ? e->m->n_level : 1;
	e->measure = calloc(*ret_n, sizeof(*e->measure));
	e->row = calloc(*ret_n, sizeof(*e->row));
	if (!e->measure || !e->row)
		return ne_fail(err, ENOMEM, "out of memory");
	return evaluate_measure(e->m, e->p, &e->d, &opt, e->measure, err);
}

static int report(const struct eval *e, uint32_t n)
{
	size_t samples = e->measure[0].samples;
	size_t asked = e->limit ? NE_MIN(e->limit, e->d.n) : e->d.n;

	for (uint32_t i = 0; i < n; i++) {
		const struct level_measure *s = &e->measure[i];

		e->row[i] = (struct level_row){
			.level = s->level,
			.accuracy = s->samples ? (double)s->right / (double)s->samples : -1,
			.p50_us = s->p50_us,
			.p99_us = s->p99_us,
			.runs = s->samples,
		};
	}
	if (e->json) {
		if (levels_print_json(e->m, e->p, e->row, n) < 0)
			return command_fail("eval", "out of memory");
	} else {
		printf("%s on %s: %zu samples, %u classes\n", e->model, e->data, samples,
		       e->d.n_class);
		levels_print_table(e->m, e->p, e->row, n);
	}
	if (samples < asked)
		return command_fail("eval",
				    "interrupted: these are the results of %zu of %zu "
				    "samples",
				    samples, asked);
	return COMMAND_OK;
}

int cmd_eval(int argc, char **argv)
{
	struct eval e = {.level = "all"};
	struct ne_error err = {""};
	uint32_t n = 0;
	int exit_code;

	if (!parse(&e, argc, argv, &exit_code))
		return exit_code;
	command_catch_stop();
	if (evaluate(&e, &n, &err) < 0)
		exit_code = command_fail("eval", "%s", err.text);
	else
		exit_code = report(&e, n);
	free(e.row);
	free(e.measure);
	data_close(&e.d);
	ne_program_free(e.p);
	ne_model_free(e.m);
	return exit_code;
}
