// SPDX-License-Identifier: MIT
/* neap eval: accuracy and latency of a model's levels on labelled data; may put them in the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model/container.h"
#include "tools/neap/command.h"
#include "tools/neap/evaluate.h"
#include "tools/neap/levels.h"
#include "tools/neap/options.h"
#include "tools/neap/timing.h"
#include "tools/neap/train/report.h"

struct eval {
	const char *model, *data, *level, *out, *report;
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
		OPT_STRING("output", 'o', &e->out, "OUT.neap",
			   "Write the model with the accuracies and times measured here; no\n"
			   "--limit, no single level."),
		OPT_STRING("report", 'r', &e->report, "R.json",
			   "With -o: the report that neap train writes, of that file."),
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

/* Nothing but the figures changes: tensors keep their bits. A signature is dropped. */
static int store(struct eval *e, uint32_t n, struct ne_error *err)
{
	struct stat st;

	for (uint32_t i = 0; i < n; i++)
		e->m->level[e->row[i].level].accuracy = (float)e->row[i].accuracy;
	if (ne_model_set_note(e->m, "accuracy_data", e->data) < 0)
		return ne_fail(err, ENOMEM, "out of memory");
	NE_RETURN_IF(time_model(e->m, &command_stop, err));
	if (command_stop)
		return ne_fail(err, EINTR, "interrupted: %s was not written", e->out);
	NE_RETURN_IF(ne_container_save(e->out, e->m, NE_PACK_RANS | NE_PACK_F16_EXACT, err));
	if (!e->report)
		return 0;
	if (stat(e->out, &st) < 0)
		return ne_fail(err, errno, "%s: %s", e->out, strerror(errno));
	return report_write(e->report, e->m, (size_t)st.st_size, err);
}

/* What -o and --report need of the other options; NULL where it is there. */
static const char *output_problem(const struct eval *e)
{
	if (e->out && (e->limit || strcmp(e->level, "all") != 0))
		return "--output needs all levels and all samples: no --level, no --limit";
	return e->report && !e->out ? "--report needs --output" : NULL;
}

int cmd_eval(int argc, char **argv)
{
	struct eval e = {.level = "all"};
	struct ne_error err = {""};
	uint32_t n = 0;
	int exit_code;

	if (!parse(&e, argc, argv, &exit_code))
		return exit_code;
	if (output_problem(&e)) {
		command_fail("eval", "%s", output_problem(&e));
		return COMMAND_USAGE;
	}
	command_catch_stop();
	if (evaluate(&e, &n, &err) < 0)
		exit_code = command_fail("eval", "%s", err.text);
	else
		exit_code = report(&e, n);
	if (exit_code == COMMAND_OK && e.out && store(&e, n, &err) < 0)
		exit_code = command_fail("eval", "%s", err.text);
	free(e.row);
	free(e.measure);
	data_close(&e.d);
	ne_program_free(e.p);
	ne_model_free(e.m);
	return exit_code;
}
