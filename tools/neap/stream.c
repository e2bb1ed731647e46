// SPDX-License-Identifier: MIT
/* neap stream: a model over a sliding window becomes one that takes only what is new. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/container.h"
#include "engine/model/stream.h"
#include "tools/neap/command.h"
#include "tools/neap/options.h"

struct stream {
	const char *model, *output, *input;
	uint64_t axis, step;
	bool whole, no_rans, f16, verbose;
	/* Owned. */
	struct ne_model *m, *s;
	struct ne_stream_summary u;
};

static bool parse(struct stream *s, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_REQUIRED("output", 'o', &s->output, "FILE", "The .neap file to write."),
		OPT_NUMBER("step", 's', &s->step, "N",
			   "Rows that are new in each run; less than the window has.", 1,
			   NE_MAX_DIM),
		OPT_NUMBER("axis", 'a', &s->axis, "A",
			   "Axis of time of the input, the batch being 0 (the first longer than "
			   "1).",
			   1, NE_MAX_RANK - 1),
		OPT_STRING("input", 'i', &s->input, "NAME", "The input that slides (the first)."),
		OPT_FLAG("whole-outputs", 'w', &s->whole,
			 "Give outputs that slide whole, not their new rows alone."),
		OPT_FLAG("verbose", 'v', &s->verbose,
			 "Tell which operators run over their whole window, and why."),
		OPT_FLAG("no-rans", 0, &s->no_rans, "Store 8-bit weights without entropy coding."),
		OPT_FLAG("f16", 0, &s->f16, "Store f32 weights as f16 (lossy)."),
	};
	const struct command_options o = {
		.command = "stream",
		.about =
			"Turns a model over a window that slides along its input into one that "
			"takes only the\nrows that are new and keeps the rest from run to run. Its "
			"answers are the full\nmodel's once the window has filled.",
		.word_name = "MODEL",
		.word = &s->model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&o, argc, argv, ret_exit);
}

static int find_input(const struct stream *s, uint32_t *ret, struct ne_error *err)
{
	const struct ne_graph *g = &s->m->graph;

	*ret = 0;
	if (!s->input)
		return 0;
	for (uint32_t i = 0; i < g->n_in; i++)
		if (!strcmp(g->tensor[g->in[i]].name, s->input)) {
			*ret = i;
			return 0;
		}
	return ne_fail(err, EINVAL, "%s has no input '%s'; neap inspect tells their names",
		       s->model, s->input);
}

static void tell_node(void *user, const char *name, const char *op, const char *why)
{
	(void)user;
	fprintf(stderr, "%s (%s) %s\n", name, op, why);
}

static int work(struct stream *s, struct ne_error *err)
{
	struct ne_stream_options o = {
		.axis = (int32_t)s->axis,
		.step = (int32_t)s->step,
		.whole = s->whole,
		.node = s->verbose ? tell_node : NULL,
	};
	unsigned pack = (s->no_rans ? 0u : NE_PACK_RANS) | (s->f16 ? NE_PACK_F16 : 0u);

	NE_RETURN_IF(command_load(s->model, &s->m, err));
	NE_RETURN_IF(find_input(s, &o.input, err));
	NE_RETURN_IF(ne_stream_model(s->m, &o, &s->s, &s->u, err));
	return ne_container_save(s->output, s->s, pack, err);
}

/* MACs of the level that has most. */
static uint64_t most_macs(const struct ne_model *m)
{
	uint64_t most = 0;

	for (uint32_t i = 0; i < m->n_level; i++)
		most = NE_MAX(most, m->level[i].macs);
	return most;
}

static void report(const struct stream *s)
{
	uint64_t from = most_macs(s->m), to = most_macs(s->s);

	printf("%s: %d of %d rows along axis %d in each run\n", s->output, s->u.step, s->u.window,
	       s->u.axis);
	printf("%u of %u operators for the new rows alone, %u values kept\n", s->u.sliding,
	       s->u.nodes, s->u.states);
	printf("%" PRIu64 " MACs a run%s, %.1f %% of %" PRIu64 "\n", to,
	       s->m->n_level > 1 ? " at most" : "", from ? 100 * (double)to / (double)from : 100.0,
	       from);
	printf("the full model's answers from run %u on\n", s->u.fill);
}

int cmd_stream(int argc, char **argv)
{
	struct stream s = {.step = 0};
	struct ne_error err = {""};
	int exit_code;

	if (!parse(&s, argc, argv, &exit_code))
		return exit_code;
	if (!s.step) {
		fputs("neap stream: how many rows are new in each run? add --step N\n", stderr);
		return COMMAND_USAGE;
	}
	if (work(&s, &err) < 0) {
		exit_code = command_fail("stream", "%s", err.text);
	} else {
		report(&s);
		exit_code = COMMAND_OK;
	}
	ne_model_free(s.m);
	ne_model_free(s.s);
	return exit_code;
}
