// SPDX-License-Identifier: MIT
/*
 * What the daemon adds to the engine's own time, and what it costs when it does nothing.
 *
 *   ipc_sleep_p50_us   one client, a request every few milliseconds, the daemon asleep: round trip
 *                      less the time that the daemon computed (run_ns), median
 *   ipc_busy_p50_us    eight requests in flight, one worker, and a client that polls its ring, so
 *                      that nobody sleeps: time from completion to completion less the time
 *                      computed, median of windows of 64 requests; client and daemon on a CPU each
 *   ipc_busy_wait_p50_us  the same with a client that sleeps until the next completion: the worker
 *                      wakes it every time, on another CPU
 *   level_switch_ns    the engine alone: runs that alternate between two levels against runs of the
 *                      same levels alone, per change, median
 *   rss_mb             resident memory of neapd with all models of the folder, after requests
 *   idle_wakeups_per_s context switches of all its threads with a silent client
 *
 * The engine is timed in this process too, interleaved with the requests, so that frequency and load
 * are the same for both.
 */
#include "tests/system/harness.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model/container.h"
#include "engine/run/run.h"

#define MODEL      "fashion"
#define SLEEP_RUNS 600
#define GAP_MS     3
#define IN_FLIGHT  8
#define WINDOW     64
#define WINDOWS    200
#define SWITCHES   400
#define IDLE_S     5

struct bench {
	struct harness h;
	struct ne_program *program;
	struct ne_context *context;
	void *in, *out;
	uint32_t best, least; /* levels */
	struct neap *n;
	struct neap_model *model;
	struct neap_buffer *bin[IN_FLIGHT], *bout[IN_FLIGHT];
	cJSON *json;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static double engine_us(struct bench *b, uint32_t level)
{
	const void *const in[] = {b->in};
	void *const out[] = {b->out};
	struct ne_result r;
	double t = now_s();

	CHECK(ne_run(b->program, b->context, level, in, out, NULL, &r) == 0);
	return (now_s() - t) * 1e6;
}

static void figure(struct bench *b, const char *key, double v, const char *what)
{
	printf("%-28s %9.2f  %s\n", key, v, what);
	cJSON_AddNumberToObject(b->json, key, v);
}

/* ---- the figures ---- */

static void asleep(struct bench *b)
{
	static double added[SLEEP_RUNS], round[SLEEP_RUNS], own[SLEEP_RUNS];
	struct neap_request rq = {
		.model = b->model, .in = b->bin[0], .out = b->bout[0], .confidence = 2};
	struct neap_completion c;

	for (int i = 0; i < SLEEP_RUNS; i++) {
		double t;

		sleep_ms(GAP_MS);
		t = now_s();
		CHECK_OK(neap_run(b->n, &rq, &c));
		round[i] = (now_s() - t) * 1e6;
		added[i] = round[i] - c.run_ns * 1e-3;
		sleep_ms(GAP_MS);
		own[i] = engine_us(b, c.level);
	}
	figure(b, "ipc_sleep_p50_us", median(added, SLEEP_RUNS),
	       "round trip less computing, daemon asleep");
	figure(b, "ipc_sleep_round_p50_us", median(round, SLEEP_RUNS), "round trip, daemon asleep");
	figure(b, "engine_sleep_p50_us", median(own, SLEEP_RUNS),
	       "the engine alone in this process, after the same sleep");
}

/* Completions, by polling or by sleeping until there are some. */
static int take(struct bench *b, struct neap_completion *c, bool polling)
{
	int r;

	if (!polling)
		return neap_wait(b->n, c, IN_FLIGHT, -1);
	do
		r = neap_poll(b->n, c, IN_FLIGHT);
	while (r == 0);
	return r;
}

/* Keeps the ring at IN_FLIGHT until @n more have completed; the time they took, less computing. */
static double window(struct bench *b, unsigned n, unsigned *next, bool polling)
{
	struct neap_completion c[IN_FLIGHT];
	double began = now_s(), computed = 0;
	unsigned got = 0;

	while (got < n) {
		int r;

		while (neap_pending(b->n) < IN_FLIGHT) {
			unsigned k = (*next)++ % IN_FLIGHT;
			struct neap_request rq = {.model = b->model,
						  .in = b->bin[k],
						  .out = b->bout[k],
						  .confidence = 2};

			CHECK_OK(neap_submit(b->n, &rq));
		}
		r = take(b, c, polling);
		CHECK(r > 0);
		for (int i = 0; i < r; i++) {
			CHECK(c[i].status == 0, "%s", neap_strerror(c[i].status));
			computed += c[i].run_ns * 1e-3;
		}
		got += (unsigned)r;
	}
	return ((now_s() - began) * 1e6 - computed) / got;
}

/* The client and all threads of the daemon on a CPU each, or on any again. */
static void pin_apart(struct bench *b, bool apart)
{
	cpu_set_t first, second, all;
	struct dirent *e;
	char path[64];
	DIR *dir;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	CPU_ZERO(&second);
	CPU_SET(1, &second);
	CPU_ZERO(&all);
	for (int i = 0; i < CPU_SETSIZE; i++)
		CPU_SET(i, &all);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	sched_setaffinity(0, sizeof(all), apart ? &first : &all);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)b->h.pid);
	dir = opendir(path);
	CHECK(dir);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			sched_setaffinity(atoi(e->d_name), sizeof(all), apart ? &second : &all);
	closedir(dir);
}

static void busy(struct bench *b)
{
	static double polled[WINDOWS], waited[WINDOWS], own[WINDOWS];
	struct neap_completion c[IN_FLIGHT];
	unsigned next = 0;

	pin_apart(b, true); /* a client that polls must not compute where the worker does */
	window(b, 500, &next, false);
	for (int i = 0; i < WINDOWS; i++) {
		polled[i] = window(b, WINDOW, &next, true);
		waited[i] = window(b, WINDOW, &next, false);
		if (i % 20 == 19) {
			/* Interleaved with the engine; what is in flight is taken first. */
			while (neap_pending(b->n))
				neap_wait(b->n, c, IN_FLIGHT, -1);
			window(b, WINDOW, &next, false);
		}
		own[i] = engine_us(b, b->best);
	}
	while (neap_pending(b->n))
		neap_wait(b->n, c, IN_FLIGHT, -1);
	pin_apart(b, false);
	figure(b, "ipc_busy_p50_us", median(polled, WINDOWS),
	       "per request less computing, 8 in flight, one worker, the client polls");
	figure(b, "ipc_busy_wait_p50_us", median(waited, WINDOWS),
	       "the same, the client sleeps until the next completion");
	figure(b, "engine_busy_p50_us", median(own, WINDOWS), "the engine alone, interleaved");
}

static void level_switch(struct bench *b)
{
	static double cost[SWITCHES];

	for (int i = 0; i < SWITCHES; i++) {
		double alone = 0, changing = 0;

		/* 16 runs each way, in turns. */
		engine_us(b, b->least);
		for (int k = 0; k < 8; k++)
			alone += engine_us(b, b->least);
		engine_us(b, b->best);
		for (int k = 0; k < 8; k++)
			alone += engine_us(b, b->best);
		for (int k = 0; k < 8; k++) {
			changing += engine_us(b, b->least);
			changing += engine_us(b, b->best);
		}
		cost[i] = (changing - alone) / 16 * 1000;
	}
	figure(b, "level_switch_ns", median(cost, SWITCHES),
	       "per change of level (weights of the other level are less warm in the cache)");
}

static void resting(struct bench *b)
{
	char *text = NULL;
	const cJSON *v;
	cJSON *status;
	double n;

	CHECK_OK(neap_control(b->n, "status", &text));
	status = cJSON_Parse(text);
	v = cJSON_GetObjectItemCaseSensitive(status, "rss_kb");
	CHECK(cJSON_IsNumber(v), "%s", text);
	figure(b, "rss_mb", v->valuedouble / 1024, "neapd, all models of the folder loaded");
	cJSON_Delete(status);
	free(text);
	sleep_ms(2500);
	n = harness_wakeups(&b->h);
	sleep_ms(IDLE_S * 1000);
	figure(b, "idle_wakeups_per_s", (harness_wakeups(&b->h) - n) / IDLE_S,
	       "all threads of neapd, one silent client");
}

/* ---- set-up ---- */

static void open_engine(struct bench *b, const char *models)
{
	char path[PATH_MAX];
	struct ne_error err;
	struct ne_model *m;

	snprintf(path, sizeof(path), "%s/" MODEL ".neap", models);
	CHECK(ne_container_load(path, NULL, &m, &err) == 0, "%s: %s", path, err.text);
	CHECK(ne_program_new(m, NULL, &b->program, &err) == 0, "%s", err.text);
	ne_model_free(m);
	CHECK(ne_context_new(b->program, 1, &b->context) == 0);
	b->in = calloc(1, ne_program_input(b->program, 0)->bytes);
	b->out = calloc(1, ne_program_output(b->program, 0)->bytes);
	CHECK(b->in && b->out);
	/* Levels of the front rise in cost. */
	for (uint32_t i = 0; i < ne_program_levels(b->program); i++)
		if (ne_program_level(b->program, i)->flags & NE_LEVEL_PARETO)
			b->best = i;
}

static void start(struct bench *b, const char *build, const char *models, const char *workers)
{
	char real[PATH_MAX];
	int ret;

	if (!b->h.dir[0]) {
		ret = harness_prepare(&b->h, build);
		CHECK(ret == 0, "%s: %s", b->h.neapd, strerror(-ret));
		CHECK(realpath(models, real), "%s: %s", models, strerror(errno));
		CHECK(rmdir(b->h.models) == 0 && symlink(real, b->h.models) == 0);
	}
	b->h.workers = workers;
	harness_start(&b->h);
	b->n = harness_connect(&b->h, NULL);
	CHECK_OK(neap_model_open(b->n, MODEL, &b->model));
	for (int i = 0; i < IN_FLIGHT; i++) {
		const struct neap_model_info *info = neap_model_info(b->model);

		CHECK_OK(neap_buffer_new(b->n, info->in_bytes, NEAP_BUFFER_INPUT, &b->bin[i]));
		CHECK_OK(neap_buffer_new(b->n, info->out_bytes, NEAP_BUFFER_OUTPUT, &b->bout[i]));
	}
}

static void stop(struct bench *b)
{
	for (int i = 0; i < IN_FLIGHT; i++) {
		neap_buffer_free(b->bin[i]);
		neap_buffer_free(b->bout[i]);
	}
	neap_model_close(b->model);
	neap_close(b->n);
	harness_stop(&b->h);
}

static int write_json(const struct bench *b, const char *path)
{
	char *text = cJSON_Print(b->json);
	FILE *f = fopen(path, "w");
	int ret = 0;

	if (!text || !f || fprintf(f, "%s\n", text) < 0)
		ret = 1;
	if (f && fclose(f))
		ret = 1;
	if (ret)
		fprintf(stderr, "bench_ipc: %s: %s\n", path, strerror(errno));
	free(text);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"build", required_argument, NULL, 'b'},
						{"models", required_argument, NULL, 'm'},
						{"json", required_argument, NULL, 'j'},
						{NULL, 0, NULL, 0}};
	const char *build = NULL, *models = "models", *json = NULL;
	struct bench b = {0};
	int o, ret = 0;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'b') {
			build = optarg;
		} else if (o == 'm') {
			models = optarg;
		} else if (o == 'j') {
			json = optarg;
		} else {
			fprintf(stderr,
				"usage: bench_ipc [--build DIR] [--models DIR] [--json FILE]\n");
			return 2;
		}
	}
	b.json = cJSON_CreateObject();
	open_engine(&b, models);
	start(&b, build, models, NULL);
	asleep(&b);
	resting(&b);
	stop(&b);
	start(&b, build, models, "1");
	busy(&b);
	stop(&b);
	level_switch(&b);
	if (json)
		ret = write_json(&b, json);
	cJSON_Delete(b.json);
	ne_context_free(b.context);
	ne_program_free(b.program);
	free(b.in);
	free(b.out);
	harness_done(&b.h);
	return ret;
}
