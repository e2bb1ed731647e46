// SPDX-License-Identifier: MIT
/*
 * neap simulate: what the governor would have done. Replays a trace of requests, load and battery
 * against a model's levels through the governor that the daemon runs (engine/governor), with one
 * worker and simulated time. Nothing is computed but the decisions.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/governor/governor.h"
#include "tools/neap/command.h"
#include "tools/neap/data/csv.h"
#include "tools/neap/data/data.h"
#include "tools/neap/levels.h"
#include "tools/neap/options.h"
#include "tools/neap/simulate.h"
#include "tools/neap/timing.h"

#define TRACE_BYTES  ((size_t)256 << 20)
#define ROW_REQUESTS 1000000u /* of one row: a typing error must not run for ever */
#define POWER_MW     2500     /* of one busy core: MODELS_ACTIVE_POWER_MW of the daemon */
#define MAX_TIME_MS  1e12
#define MAX_SLOWDOWN 1e4

/* One row of the trace, and what an empty field means: as in the row before. */
struct row {
	double time_ms, requests, deadline_us, min_accuracy, strict, slowdown, on_battery,
		charge_permille, capacity_mwh;
};

static const struct column {
	const char *name;
	size_t offset;
	double min, max;
} columns[] = {
#define COLUMN(name, min, max)                              \
	{                                                   \
#name, offsetof(struct row, name), min, max \
	}
	COLUMN(time_ms, 0, MAX_TIME_MS),
	COLUMN(requests, 0, ROW_REQUESTS),
	COLUMN(deadline_us, 0, 1e9),
	COLUMN(min_accuracy, 0, 1),
	COLUMN(strict, 0, 1),
	COLUMN(slowdown, 1e-3, MAX_SLOWDOWN),
	COLUMN(on_battery, 0, 1),
	COLUMN(charge_permille, 0, 1000),
	COLUMN(capacity_mwh, 0, 1e9),
#undef COLUMN
};

#define N_COLUMNS NE_ARRAY_SIZE(columns)

struct totals {
	uint64_t requests, in_time, refused, degraded;
	uint64_t reason[NE_REASON_COUNT];
	uint64_t *level; /* [n_level] */
	double accuracy, energy_uj, busy_us, latency_us;
};

struct simulation {
	const char *model, *trace, *decisions;
	struct option_list budget;
	uint64_t power_mw;
	bool json;
	/* Owned. */
	struct ne_model *m;
	struct ne_gov_level *level;
	struct csv csv;
	FILE *out;
	struct totals total;
	/* State of the machine that is simulated. */
	struct ne_governor governor;
	double free_us;        /* when the worker is free */
	int column[N_COLUMNS]; /* of the file, or -ENOENT */
};

static double *value_of(struct row *r, const struct column *c)
{
	return (double *)(void *)((char *)r + c->offset);
}

static int read_columns(struct simulation *s, struct ne_error *err)
{
	for (uint32_t i = 0; i < s->csv.columns; i++) {
		const char *name = s->csv.field[i];
		size_t k = 0;

		while (k < N_COLUMNS && strcmp(columns[k].name, name))
			k++;
		if (k == N_COLUMNS)
			return ne_fail(
				err, EINVAL,
				"%s: no column \"%.40s\" is known; known are time_ms, requests, "
				"deadline_us, min_accuracy, strict, slowdown, on_battery, "
				"charge_permille, capacity_mwh",
				s->trace, name);
	}
	for (size_t k = 0; k < N_COLUMNS; k++)
		s->column[k] = csv_column(&s->csv, columns[k].name);
	if (s->column[0] < 0)
		return ne_fail(err, EINVAL, "%s: the column time_ms is missing", s->trace);
	return 0;
}

/* Updates @r from data row @i. */
static int read_row(const struct simulation *s, size_t i, struct row *r, struct ne_error *err)
{
	double before = r->time_ms;

	for (size_t k = 0; k < N_COLUMNS; k++) {
		const char *text =
			s->column[k] < 0 ? "" : csv_field(&s->csv, i, (uint32_t)s->column[k]);
		char *end;
		double v;

		if (!*text)
			continue;
		v = strtod(text, &end);
		if (*end || !(v >= columns[k].min && v <= columns[k].max))
			return ne_fail(err, EINVAL,
				       "%s line %zu: %s is \"%.40s\"; want a number from %g to %g",
				       s->trace, s->csv.line[i + 1], columns[k].name, text,
				       columns[k].min, columns[k].max);
		*value_of(r, &columns[k]) = v;
	}
	if (r->time_ms < before)
		return ne_fail(err, EINVAL, "%s line %zu: time_ms goes back", s->trace,
			       s->csv.line[i + 1]);
	return 0;
}

static int set_budgets(struct simulation *s, struct ne_error *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} fields[] = {
#define FIELD(name) {#name, offsetof(struct ne_gov_budget, name)}
		FIELD(latency_us),   FIELD(power_mw_mains),     FIELD(power_mw_battery),
		FIELD(cpu_permille), FIELD(autonomy_min),       FIELD(reserve_permille),
		FIELD(depth_max),    FIELD(width_max_permille),
#undef FIELD
	};
	struct ne_gov_budget b = {.reserve_permille = 100};

	for (uint32_t i = 0; i < s->budget.n; i++) {
		const char *text = s->budget.item[i], *eq = strchr(text, '=');
		unsigned long v;
		uint32_t value;
		char *end;
		size_t k = 0;

		if (!eq)
			return ne_fail(err, EINVAL, "--budget %s: want NAME=VALUE", text);
		while (k < NE_ARRAY_SIZE(fields) &&
		       (strlen(fields[k].name) != (size_t)(eq - text) ||
			strncmp(fields[k].name, text, (size_t)(eq - text))))
			k++;
		if (k == NE_ARRAY_SIZE(fields))
			return ne_fail(err, EINVAL, "--budget %s: no budget of that name", text);
		errno = 0;
		v = strtoul(eq + 1, &end, 10);
		if (errno || eq[1] < '0' || eq[1] > '9' || *end || v > INT32_MAX)
			return ne_fail(err, EINVAL, "--budget %s: want a whole number", text);
		value = (uint32_t)v;
		memcpy((char *)&b + fields[k].offset, &value, sizeof(value));
	}
	ne_governor_set_budget(&s->governor, &b, 0);
	return 0;
}

/* Levels as the daemon would have them: time from the file, or measured here where it has none. */
static int make_levels(struct simulation *s, struct ne_error *err)
{
	struct level_timing *timing = NULL;
	struct ne_program *p = NULL;
	bool timed = true;
	int r = 0;

	s->level = calloc(s->m->n_level, sizeof(*s->level));
	s->total.level = calloc(s->m->n_level, sizeof(*s->total.level));
	timing = calloc(s->m->n_level, sizeof(*timing));
	if (!s->level || !s->total.level || !timing) {
		r = ne_fail(err, ENOMEM, "out of memory");
		goto out;
	}
	for (uint32_t i = 0; i < s->m->n_level; i++)
		timed &= s->m->level[i].latency_us > 0;
	if (!timed) {
		struct timing_options opt = {
			.level = LEVELS_ALL, .threads = 1, .stop = &command_stop};

		r = command_program(s->m, &p, err);
		if (r == 0)
			r = time_levels(p, &opt, timing, err);
		if (r < 0)
			goto out;
	}
	for (uint32_t i = 0; i < s->m->n_level; i++) {
		const struct ne_level *l = &s->m->level[i];
		float us = timed ? l->latency_us : (float)timing[i].p50_us;

		s->level[i] = (struct ne_gov_level){
			.accuracy = l->accuracy >= 0 ? l->accuracy : (float)(i + 1) * 1e-6f,
			.time_us = us,
			.energy_uj = us * (float)s->power_mw * 1e-3f, /* mW = 1e-3 uJ/us */
			.depth = (uint16_t)l->depth,
			.width_permille = (uint16_t)lround(level_width(s->m, l->width) * 1000),
			.eligible = l->flags & NE_LEVEL_PARETO,
		};
	}
out:
	free(timing);
	ne_program_free(p);
	return r;
}

/* One request that arrives at @arrival_us: waits for the worker, is decided, runs. */
static void run_request(struct simulation *s, const struct row *row, double arrival_us)
{
	struct totals *t = &s->total;
	double start = fmax(arrival_us, s->free_us), waited = start - arrival_us, took = 0;
	struct ne_gov_request req = {
		.left_us = row->deadline_us > 0 ? (int64_t)(row->deadline_us - waited)
						: NE_GOV_NO_DEADLINE,
		.waited_us = (int64_t)waited,
		.min_accuracy = (float)row->min_accuracy,
		.strict = row->strict >= 0.5,
	};
	struct ne_decision d;
	bool in_time;

	ne_governor_decide(&s->governor, s->level, s->m->n_level, &req, (int64_t)start, &d);
	t->requests++;
	t->reason[d.reason]++;
	if (d.error) {
		t->refused++;
	} else {
		const struct ne_gov_level *l = &s->level[d.level];

		took = (double)l->time_us * row->slowdown;
		s->free_us = start + took;
		ne_governor_account(&s->governor, d.predicted_us, took,
				    (double)l->energy_uj * row->slowdown, (int64_t)s->free_us);
		t->level[d.level]++;
		t->degraded += d.degraded;
		t->accuracy += (double)l->accuracy;
		t->energy_uj += (double)l->energy_uj * row->slowdown;
		t->busy_us += took;
		t->latency_us += waited + took;
	}
	in_time = !d.error && (row->deadline_us <= 0 || waited + took <= row->deadline_us);
	t->in_time += in_time;
	if (s->out)
		fprintf(s->out, "%.0f,%.0f,%d,%s,%.1f,%.1f,%d\n", arrival_us, start,
			d.error ? -1 : (int)d.level, ne_reason_name(d.reason), waited, took,
			in_time);
}

/* Requests of a row arrive evenly until the next row. */
static int replay(struct simulation *s, struct ne_error *err)
{
	struct row now = {.requests = 1, .slowdown = 1, .charge_permille = 1000}, next;

	NE_RETURN_IF(read_columns(s, err));
	NE_RETURN_IF(read_row(s, 0, &now, err));
	for (size_t i = 0; i < s->csv.rows && !command_stop; i++) {
		struct ne_gov_supply supply = {
			.on_battery = now.on_battery >= 0.5,
			.charge_permille = (uint32_t)now.charge_permille,
			.capacity_mwh = (uint32_t)now.capacity_mwh,
		};
		uint32_t n = (uint32_t)now.requests;
		double gap_us = 0;

		next = now;
		if (i + 1 < s->csv.rows)
			NE_RETURN_IF(read_row(s, i + 1, &next, err));
		if (n)
			gap_us = (next.time_ms - now.time_ms) * 1e3 / n;
		ne_governor_set_supply(&s->governor, &supply, (int64_t)(now.time_ms * 1e3));
		for (uint32_t k = 0; k < n && !command_stop; k++)
			run_request(s, &now, now.time_ms * 1e3 + k * gap_us);
		now = next;
	}
	return 0;
}

static int print_json(const struct simulation *s)
{
	const struct totals *t = &s->total;
	double answered = (double)(t->requests - t->refused);
	cJSON *o = cJSON_CreateObject(), *levels, *reasons;
	char name[16];

	cJSON_AddNumberToObject(o, "requests", (double)t->requests);
	cJSON_AddItemToObject(o, "accuracy",
			      json_measured(answered > 0 ? t->accuracy / answered : -1, 6));
	cJSON_AddItemToObject(
		o, "deadline_hit_rate",
		json_measured(t->requests ? (double)t->in_time / (double)t->requests : -1, 6));
	cJSON_AddItemToObject(o, "mean_latency_us",
			      json_measured(answered > 0 ? t->latency_us / answered : -1, 1));
	cJSON_AddItemToObject(o, "energy_mj", json_number(t->energy_uj / 1e3, 3));
	cJSON_AddItemToObject(o, "busy_ms", json_number(t->busy_us / 1e3, 3));
	cJSON_AddNumberToObject(o, "refused", (double)t->refused);
	cJSON_AddNumberToObject(o, "degraded", (double)t->degraded);
	levels = cJSON_AddObjectToObject(o, "levels");
	for (uint32_t i = 0; i < s->m->n_level; i++) {
		if (!t->level[i])
			continue;
		snprintf(name, sizeof(name), "%u", i);
		cJSON_AddNumberToObject(levels, name, (double)t->level[i]);
	}
	reasons = cJSON_AddObjectToObject(o, "reasons");
	for (int i = 0; i < NE_REASON_COUNT; i++)
		if (t->reason[i])
			cJSON_AddNumberToObject(reasons, ne_reason_name((enum ne_reason)i),
						(double)t->reason[i]);
	return json_print(o);
}

static void print_text(const struct simulation *s)
{
	const struct totals *t = &s->total;
	double answered = (double)(t->requests - t->refused);

	printf("requests   %llu, in time %llu, refused %llu, degraded %llu\n",
	       (unsigned long long)t->requests, (unsigned long long)t->in_time,
	       (unsigned long long)t->refused, (unsigned long long)t->degraded);
	if (answered > 0)
		printf("mean       accuracy %.2f %%, latency %.1f us, %.3f mJ\n",
		       100 * t->accuracy / answered, t->latency_us / answered,
		       t->energy_uj / 1e3 / answered);
	for (uint32_t i = 0; i < s->m->n_level; i++)
		if (t->level[i])
			printf("level %-4u %llu\n", i, (unsigned long long)t->level[i]);
	for (int i = 0; i < NE_REASON_COUNT; i++)
		if (t->reason[i])
			printf("%-10s %llu\n", ne_reason_name((enum ne_reason)i),
			       (unsigned long long)t->reason[i]);
}

static bool parse(struct simulation *s, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_REQUIRED("model", 'm', &s->model, "MODEL",
			     "The model whose levels are chosen."),
		OPT_LIST("budget", 'b', &s->budget, "NAME=VALUE",
			 "A budget, as neapctl budget names them; may be given several times."),
		OPT_NUMBER("power-mw", 'p', &s->power_mw, "MW",
			   "What a busy core draws, for the energy of a level (2500).", 1, 1000000),
		OPT_STRING("decisions", 'd', &s->decisions, "FILE",
			   "Write each decision there as CSV."),
		OPT_FLAG("json", 'j', &s->json, "Print JSON."),
	};
	const struct command_options o = {
		.command = "simulate",
		.about =
			"Replays a trace through the daemon's governor. TRACE.csv has a header and "
			"the columns\ntime_ms (required), requests (that arrive evenly until the "
			"next row; 1), deadline_us\n(0 = none), min_accuracy, strict, slowdown "
			"(measured over predicted time; 1), on_battery,\ncharge_permille, "
			"capacity_mwh. An empty field is as in the row before.",
		.word_name = "TRACE.csv",
		.word = &s->trace,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	return options_parse(&o, argc, argv, ret_exit);
}

static int simulate(struct simulation *s, struct ne_error *err)
{
	void *text = NULL;
	size_t bytes;
	int r;

	NE_RETURN_IF(command_load(s->model, &s->m, err));
	ne_governor_init(&s->governor, 0);
	NE_RETURN_IF(set_budgets(s, err));
	NE_RETURN_IF(data_read_file(s->trace, TRACE_BYTES, &text, &bytes, err));
	r = csv_parse(s->trace, text, bytes, &s->csv, err);
	free(text);
	NE_RETURN_IF(r);
	if (!s->csv.rows)
		return ne_fail(err, EINVAL, "%s: no rows after the header", s->trace);
	NE_RETURN_IF(make_levels(s, err));
	if (s->decisions) {
		s->out = fopen(s->decisions, "w");
		if (!s->out)
			return ne_fail(err, errno, "cannot write %s: %s", s->decisions,
				       strerror(errno));
		fputs("arrival_us,start_us,level,reason,waited_us,ran_us,in_time\n", s->out);
	}
	NE_RETURN_IF(replay(s, err));
	if (s->out) {
		r = fclose(s->out);
		s->out = NULL;
		if (r)
			return ne_fail(err, EIO, "cannot write %s", s->decisions);
	}
	return 0;
}

int cmd_simulate(int argc, char **argv)
{
	struct simulation s = {.power_mw = POWER_MW};
	struct ne_error err = {""};
	int exit_code;

	if (!parse(&s, argc, argv, &exit_code))
		return exit_code;
	exit_code = COMMAND_OK;
	command_catch_stop();
	if (simulate(&s, &err) < 0)
		exit_code = command_fail("simulate", "%s", err.text);
	else if (command_stop)
		exit_code = command_fail("simulate", "interrupted");
	else if (!s.json)
		print_text(&s);
	else if (print_json(&s) < 0)
		exit_code = command_fail("simulate", "out of memory");
	if (s.out)
		fclose(s.out);
	csv_done(&s.csv);
	free(s.total.level);
	free(s.level);
	ne_model_free(s.m);
	return exit_code;
}
