// SPDX-License-Identifier: MIT
/* neap plot: a model's levels, accuracy against cost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/neap/command.h"
#include "tools/neap/evaluate.h"
#include "tools/neap/levels.h"
#include "tools/neap/options.h"
#include "tools/neap/plot_svg.h"
#include "tools/neap/timing.h"

struct plot_command {
	const char *model, *output, *x, *title, *data;
	bool bench;
	/* Owned. */
	struct ne_model *m;
	float *accuracy, *latency_us; /* [n_level]; latency NULL where x is MACs */
	bool measured_here;
	char cpu[16];
};

static bool parse(struct plot_command *c, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_REQUIRED("output", 'o', &c->output, "F.svg", "Where the drawing goes."),
		OPT_STRING("x", 'x', &c->x, "latency|macs", "What the x axis shows (latency)."),
		OPT_STRING("title", 't', &c->title, "TEXT", "Title (the model's name)."),
		OPT_STRING("data", 'd', &c->data, "SPEC",
			   "Measure accuracy on these data, not the file's (see neap eval)."),
		OPT_FLAG("bench", 'b', &c->bench, "Measure latency here even if the file has it."),
	};
	const struct command_options o = {
		.command = "plot",
		.about = "Draws the accuracy of a model's levels against latency or MACs as SVG.\n"
			 "Latency is the file's, or measured here where the file has none.",
		.word_name = "MODEL",
		.word = &c->model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&o, argc, argv, ret_exit);
}

static int get_accuracy(struct plot_command *c, struct ne_error *err)
{
	bool any = false;

	if (c->data) {
		struct data_set d;
		int rc;

		NE_RETURN_IF(data_open(c->data, &d, err));
		rc = evaluate_levels(c->m, &d, EVALUATE_ALL, 0, 0, c->accuracy, err);
		data_close(&d);
		return rc;
	}
	for (uint32_t i = 0; i < c->m->n_level; i++) {
		c->accuracy[i] = c->m->level[i].accuracy;
		any = any || c->accuracy[i] >= 0;
	}
	if (!any)
		return ne_fail(err, EINVAL,
			       "%s: no accuracy was measured for this file; give --data SPEC",
			       c->model);
	return 0;
}

static int bench_levels(struct plot_command *c, struct ne_error *err)
{
	struct timing_options opt = {.level = LEVELS_ALL, .threads = 1, .stop = &command_stop};
	struct level_timing *t = calloc(c->m->n_level, sizeof(*t));
	struct ne_program *p = NULL;
	int rc;

	rc = t ? command_program(c->m, &p, err) : ne_fail(err, ENOMEM, "out of memory");
	if (!rc)
		rc = time_levels(p, &opt, t, err);
	if (!rc && command_stop)
		rc = ne_fail(err, EINTR, "interrupted; no file was written");
	for (uint32_t i = 0; !rc && i < c->m->n_level; i++)
		c->latency_us[i] = (float)t[i].p50_us;
	if (!rc)
		snprintf(c->cpu, sizeof(c->cpu), "%s", ne_program_cpu(p));
	c->measured_here = true;
	ne_program_free(p);
	free(t);
	return rc;
}

static int get_latency(struct plot_command *c, struct ne_error *err)
{
	bool all = !c->bench;

	c->latency_us = calloc(c->m->n_level, sizeof(*c->latency_us));
	if (!c->latency_us)
		return ne_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < c->m->n_level; i++) {
		c->latency_us[i] = c->m->level[i].latency_us;
		all = all && c->latency_us[i] > 0;
	}
	return all ? 0 : bench_levels(c, err);
}

static int collect(struct plot_command *c, bool macs, struct ne_error *err)
{
	NE_RETURN_IF(command_load(c->model, &c->m, err));
	c->accuracy = calloc(c->m->n_level, sizeof(*c->accuracy));
	if (!c->accuracy)
		return ne_fail(err, ENOMEM, "out of memory");
	NE_RETURN_IF(get_accuracy(c, err));
	return macs ? 0 : get_latency(c, err);
}

static void fill_point(const struct plot_command *c, uint32_t i, struct plot_point *p)
{
	const struct ne_level *l = &c->m->level[i];
	double width = level_width(c->m, l->width), x;
	int n;

	x = c->latency_us ? (double)c->latency_us[i] : (double)l->macs;
	*p = (struct plot_point){
		.x = x,
		.y = 100 * (double)c->accuracy[i],
		.series = l->depth,
		.hollow = !(l->flags & NE_LEVEL_PARETO),
	};
	snprintf(p->label, sizeof(p->label), "d%u w%.2f", l->depth, width);
	n = snprintf(p->detail, sizeof(p->detail),
		     "level %u: depth %u, width %.3f, %llu MACs, accuracy %.2f %%", i, l->depth,
		     width, (unsigned long long)l->macs, p->y);
	if (c->latency_us && n > 0 && (size_t)n < sizeof(p->detail))
		snprintf(p->detail + n, sizeof(p->detail) - (size_t)n, ", %.1f us", x);
}

/* Only exits that have a point are in the legend. */
static void name_series(struct plot *plot)
{
	for (uint32_t i = 0; i < plot->n; i++) {
		unsigned depth = plot->point[i].series;

		if (depth < PLOT_COLOURS)
			snprintf(plot->series_name[depth], sizeof(plot->series_name[depth]),
				 "depth %u", depth);
	}
}

static int draw(const struct plot_command *c, char **ret, size_t *ret_bytes, struct ne_error *err)
{
	const char *slash = strrchr(c->model, '/'), *name = ne_model_get_note(c->m, "name");
	char title[160], x_title[96] = "multiply-accumulates of one inference";
	struct plot plot = {
		.y_title = "accuracy, %",
		.x_title = x_title,
		.title = c->title,
		.caption = "d depth (exit), w width; rings: off the front",
	};
	int rc;

	if (c->latency_us)
		snprintf(x_title, sizeof(x_title), "latency, p50, one thread, \xc2\xb5s%s%s%s",
			 c->measured_here ? " (" : "", c->cpu, c->measured_here ? ")" : "");
	if (!plot.title) {
		snprintf(title, sizeof(title), "%.60s: accuracy against %s",
			 name && *name ? name
			 : slash       ? slash + 1
				       : c->model,
			 c->latency_us ? "latency" : "MACs");
		plot.title = title;
	}
	plot.x_si = !c->latency_us;
	plot.point = calloc(c->m->n_level, sizeof(*plot.point));
	if (!plot.point)
		return ne_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < c->m->n_level; i++)
		if (c->accuracy[i] >= 0 && (c->latency_us || c->m->level[i].macs))
			fill_point(c, i, &plot.point[plot.n++]);
	name_series(&plot);
	rc = plot_svg(&plot, ret, ret_bytes, err);
	free(plot.point);
	return rc;
}

int cmd_plot(int argc, char **argv)
{
	struct plot_command c = {.x = "latency"};
	struct ne_error err = {""};
	char *svg = NULL;
	size_t bytes = 0;
	bool macs;
	int exit_code, rc;

	if (!parse(&c, argc, argv, &exit_code))
		return exit_code;
	macs = !strcmp(c.x, "macs");
	if (!macs && strcmp(c.x, "latency")) {
		command_fail("plot", "--x '%s': expected latency or macs", c.x);
		return COMMAND_USAGE;
	}
	command_catch_stop();
	rc = collect(&c, macs, &err);
	if (!rc)
		rc = draw(&c, &svg, &bytes, &err);
	if (!rc)
		rc = data_write_file(c.output, svg, bytes, &err);
	exit_code = rc < 0 ? command_fail("plot", "%s", err.text) : COMMAND_OK;
	free(svg);
	free(c.accuracy);
	free(c.latency_us);
	ne_model_free(c.m);
	return exit_code;
}
