// SPDX-License-Identifier: MIT
/* neap bench: how long each level takes on this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/command.h"
#include "tools/neap/layers.h"
#include "tools/neap/levels.h"
#include "tools/neap/options.h"
#include "tools/neap/timing.h"

struct bench {
	const char *model, *level;
	uint64_t threads, runs;
	bool json, layers;
	/* Owned. */
	struct ne_model *m;
	struct ne_program *p;
	struct level_timing *timing;
	struct level_row *row;
};

static bool parse(struct bench *b, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_STRING("level", 'l', &b->level, "all|K", "Levels to run (all)."),
		OPT_NUMBER("threads", 't', &b->threads, "N", "Threads that share a run (1).", 1,
			   256),
		OPT_NUMBER("runs", 'r', &b->runs, "N",
			   "Runs of each level (at least 500 and 0.3 s, within 3 s).", 1,
			   1000000000),
		OPT_FLAG("layers", 0, &b->layers,
			 "Time each operator of a level (of the most accurate by default)."),
		OPT_FLAG("json", 'j', &b->json, "Print JSON."),
	};
	const struct command_options o = {
		.command = "bench",
		.about = "Measures how long each level of a model takes on this machine, with "
			 "random input.\nLevels take turns; "
			 "NEAP_CPU=c|sse41|avx2|avxvnni|avx512vnni|amx"
			 "|neon|dotprod lowers the\nchoice of kernels. Accuracy is what the file "
			 "says.",
		.word_name = "MODEL",
		.word = &b->model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&o, argc, argv, ret_exit);
}

static int measure(struct bench *b, uint32_t *ret_n, struct ne_error *err)
{
	struct timing_options opt = {
		.threads = (uint32_t)b->threads,
		.runs = b->runs,
		.stop = &command_stop,
	};

	NE_RETURN_IF(command_load(b->model, &b->m, err));
	NE_RETURN_IF(level_parse(b->m, b->level, true, false, &opt.level, err));
	NE_RETURN_IF(command_program(b->m, &b->p, err));
	*ret_n = opt.level == LEVELS_ALL ? b->m->n_level : 1;
	b->timing = calloc(*ret_n, sizeof(*b->timing));
	b->row = calloc(*ret_n, sizeof(*b->row));
	if (!b->timing || !b->row)
		return ne_fail(err, ENOMEM, "out of memory");
	return time_levels(b->p, &opt, b->timing, err);
}

static int report(const struct bench *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct level_timing *t = &b->timing[i];

		b->row[i] = (struct level_row){
			.level = t->level,
			.accuracy = (double)b->m->level[t->level].accuracy,
			.p50_us = t->p50_us,
			.p99_us = t->p99_us,
			.runs = t->runs,
		};
	}
	if (!b->json)
		levels_print_table(b->m, b->p, b->row, n);
	else if (levels_print_json(b->m, b->p, b->row, n) < 0)
		return command_fail("bench", "out of memory");
	if (command_stop)
		return command_fail("bench", "interrupted: fewer runs than asked for are in these "
					     "results");
	return COMMAND_OK;
}

/* bench --layers: one level, operator by operator. */
static int bench_layers(struct bench *b, struct ne_error *err)
{
	struct timing_options opt = {
		.threads = (uint32_t)b->threads,
		.runs = b->runs,
		.stop = &command_stop,
	};
	struct layer_timing *t = NULL;
	uint32_t n = 0;
	int r = 0;

	NE_RETURN_IF(command_load(b->model, &b->m, err));
	NE_RETURN_IF(level_parse(b->m, strcmp(b->level, "all") ? b->level : "auto", false, true,
				 &opt.level, err));
	NE_RETURN_IF(command_program(b->m, &b->p, err));
	NE_RETURN_IF(time_layers(b->p, &opt, &t, &n, err));
	if (b->json)
		r = layers_print_json(b->m, opt.level, t, n);
	else
		layers_print_table(b->m, opt.level, t, n);
	free(t);
	return r < 0 ? ne_fail(err, ENOMEM, "out of memory") : 0;
}

int cmd_bench(int argc, char **argv)
{
	struct bench b = {.level = "all", .threads = 1};
	struct ne_error err = {""};
	uint32_t n = 0;
	int exit_code;

	if (!parse(&b, argc, argv, &exit_code))
		return exit_code;
	command_catch_stop();
	if (b.layers) {
		exit_code = bench_layers(&b, &err) < 0 ? command_fail("bench", "%s", err.text)
						       : COMMAND_OK;
	} else if (measure(&b, &n, &err) < 0)
		exit_code = command_fail("bench", "%s", err.text);
	else
		exit_code = report(&b, n);
	free(b.row);
	free(b.timing);
	ne_program_free(b.p);
	ne_model_free(b.m);
	return exit_code;
}
