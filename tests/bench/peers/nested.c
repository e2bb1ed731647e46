/* SPDX-License-Identifier: MIT */
/*
 * What nesting costs: each level of a nested model beside a model that has that shape alone, the
 * level cut out and written as a container of its own. Both give the same answers; they take turns.
 *
 * A process has its luck with where memory lies and with what was measured at loading. So each of
 * many processes loads both anew, the one or the other first, and the medians of their medians count.
 */
#include "tests/bench/peers/measure.h"

#include "engine/model/container.h"
#include "tests/unit/cut_model.h"
#include "tools/neap/train/assemble.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 20
#define CLASSES   10 /* of an untrained network */

/* What a process found. */
struct found {
	double nested_us, alone_us;
	bool same;
	char cpu[16], why[256];
};

/* The recipe's network in f32 as it is before training: the time is that of the trained one. */
static int untrained(const char *recipe, struct ne_model **ret, struct ne_error *err)
{
	struct width_stats stats = {0};
	struct network n;
	struct recipe r;
	float *theta;
	int rc;

	NE_RETURN_IF(recipe_load(recipe, &r, err));
	rc = network_build(&r, CLASSES, &n, err);
	if (rc < 0)
		goto out;
	theta = calloc(n.n_theta + 1, sizeof(*theta));
	if (!theta || width_stats_new(&n, &stats) < 0) {
		rc = ne_fail(err, ENOMEM, "out of memory");
	} else {
		for (uint32_t w = 0; w < n.n_width; w++)
			for (size_t i = 0; i < n.n_stat; i++)
				stats.var[w][i] = 1;
		network_init_theta(&n, n.active[0], 1, true, theta);
		rc = assemble_model(&n, theta, &stats, ret, err);
	}
	width_stats_done(&stats);
	free(theta);
	network_done(&n);
out:
	recipe_done(&r);
	return rc;
}

/* @m as it is after it was written to a file and read. */
static int through_container(const struct ne_model *m, struct ne_model **ret, struct ne_error *err)
{
	void *data;
	size_t bytes;
	int r;

	NE_RETURN_IF(ne_container_serialise(m, NE_PACK_RANS, &data, &bytes, err));
	r = ne_container_parse(data, bytes, NULL, ret, err);
	free(data);
	return r;
}

static bool same_answer(const struct peer_run *a, const struct peer_run *b)
{
	const float *x = a->out, *y = b->out;

	if (a->out_bytes != b->out_bytes || a->out_type != b->out_type)
		return false;
	if (a->out_type != NE_F32)
		return memcmp(a->out, b->out, a->out_bytes) == 0;
	for (size_t i = 0; i < a->out_bytes / sizeof(*x); i++)
		if (!(fabsf(x[i] - y[i]) <= 1e-5f))
			return false;
	return true;
}

/* @c: nested and alone; @first of them is loaded first and has the first turn. */
static void measure_level(const struct peer_case c[2], int first, const char *cpu, const void *in,
			  uint32_t samples, struct found *ret)
{
	struct lane l[2], *nested = &l[first], *alone = &l[!first];

	lane_open(&l[0], &peer_neap, &c[first], cpu, 1, in);
	lane_open(&l[1], &peer_neap, &c[!first], cpu, 1, in);
	measure(l, 2, samples);
	*ret = (struct found){.nested_us = nested->median_us, .alone_us = alone->median_us};
	snprintf(ret->why, sizeof(ret->why), "%s", l[0].why[0] ? l[0].why : l[1].why);
	if (!ret->why[0]) {
		ret->same = same_answer(&l[0].run, &l[1].run);
		snprintf(ret->cpu, sizeof(ret->cpu), "%s", neap_cpu(&l[0].run));
	}
	lane_close(&l[0]);
	lane_close(&l[1]);
}

static int measure_in_child(const struct peer_case c[2], int first, const char *cpu, const void *in,
			    uint32_t samples, struct found *ret, struct ne_error *err)
{
	bool whole = false;
	pid_t child;
	int fd[2];

	if (pipe(fd) < 0)
		return ne_fail(err, errno, "no pipe");
	fflush(stdout);
	child = fork();
	if (child == 0) {
		measure_level(c, first, cpu, in, samples, ret);
		_exit(write(fd[1], ret, sizeof(*ret)) != sizeof(*ret));
	}
	close(fd[1]);
	if (child > 0)
		whole = read(fd[0], ret, sizeof(*ret)) == sizeof(*ret);
	close(fd[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	if (!whole)
		return ne_fail(err, EIO, "a process that measures failed");
	return ret->why[0] ? ne_fail(err, EIO, "%s", ret->why) : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double v[PROCESSES])
{
	qsort(v, PROCESSES, sizeof(*v), by_value);
	return (v[(PROCESSES - 1) / 2] + v[PROCESSES / 2]) / 2;
}

static int measure_pair(const struct peer_case c[2], const char *cpu, uint32_t samples,
			struct found *ret, struct ne_error *err)
{
	double nested[PROCESSES], alone[PROCESSES];
	void *in = random_input_of(c[0].model, c[0].level + 1);
	int r = in ? 0 : ne_fail(err, ENOMEM, "out of memory");

	for (int i = 0; i < PROCESSES && r == 0; i++) {
		r = measure_in_child(c, i % 2, cpu, in, samples / PROCESSES + 1, ret, err);
		nested[i] = ret->nested_us;
		alone[i] = ret->alone_us;
	}
	free(in);
	NE_RETURN_IF(r);
	ret->nested_us = median(nested);
	ret->alone_us = median(alone);
	return 0;
}

static int bench_level(const char *file, const struct peer_case c[2], const char *cpu,
		       uint32_t samples, cJSON *rows, struct ne_error *err)
{
	const struct ne_model *m = c[0].model;
	const uint32_t level = c[0].level;
	struct found f;
	cJSON *row;

	NE_RETURN_IF(measure_pair(c, cpu, samples, &f, err));
	printf("  %-10s level %-2u %10llu MACs %9.2f us, alone %9.2f us, ratio %.3f\n", f.cpu,
	       level, (unsigned long long)m->level[level].macs, f.nested_us, f.alone_us,
	       f.nested_us / f.alone_us);
	if (!f.same)
		return ne_fail(err, EIO, "%s: level %u answers otherwise than its shape alone",
			       file, level);
	row = cJSON_CreateObject();
	cJSON_AddStringToObject(row, "model", file);
	cJSON_AddStringToObject(row, "cpu", f.cpu);
	cJSON_AddNumberToObject(row, "level", level);
	cJSON_AddNumberToObject(row, "nested_us", f.nested_us);
	cJSON_AddNumberToObject(row, "alone_us", f.alone_us);
	cJSON_AddNumberToObject(row, "ratio", f.nested_us / f.alone_us);
	cJSON_AddItemToArray(rows, row);
	return 0;
}

static int bench_set(const char *file, struct ne_model *m, const char *cpu, uint32_t samples,
		     cJSON *rows, struct ne_error *err)
{
	int r = 0;

	for (uint32_t i = 0; i < m->n_level && r == 0; i++) {
		struct peer_case c[2] = {{.model = m, .level = i}, {0}};
		struct ne_model *cut = cut_model(m, i);

		r = through_container(cut, &c[1].model, err);
		if (r == 0)
			r = bench_level(file, c, cpu, samples, rows, err);
		ne_model_free(cut);
		ne_model_free(c[1].model);
	}
	return r;
}

int bench_nested(const char *file, uint32_t samples, cJSON *rows, struct ne_error *err)
{
	const char *suffix = strrchr(file, '.');
	const bool recipe = suffix && !strcmp(suffix, ".ini");
	struct ne_model *m = NULL;
	int r = recipe ? untrained(file, &m, err) : ne_container_load(file, NULL, &m, err);

	NE_RETURN_IF(r);
	printf("Levels of %s%s beside the same shape alone, one thread, medians\n", file,
	       recipe ? ", f32 and untrained," : "");
	r = bench_set(file, m, NULL, samples, rows, err);
	for (const char *const *cpu = lesser_sets; *cpu && r == 0 && !getenv("NEAP_CPU"); cpu++)
		if (has_more_than(*cpu))
			r = bench_set(file, m, *cpu, samples, rows, err);
	ne_model_free(m);
	return r;
}
