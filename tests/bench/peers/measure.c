/* SPDX-License-Identifier: MIT */
/* Timing and memory; see measure.h. */
#include "tests/bench/peers/measure.h"

#include "engine/kernels/table.h"
#include "engine/plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE_US 20.0  /* shorter runs are timed several at once: the clock takes 0.03 us */
#define BURST     20    /* samples of one engine before the next has its turn */
#define WARM_US   200.0 /* of each burst, not counted: its code and weights come back */

const char *const lesser_sets[] = {"avx512vnni", "avx2", NULL};

bool has_more_than(const char *cpu)
{
	const unsigned flags = (unsigned)ne_cpu_parse(cpu);

	return ne_cpu_detect() != flags && (ne_cpu_detect() & flags) == flags;
}

double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

void *random_input_of(const struct ne_model *m, unsigned seed)
{
	const struct ne_tensor *x = &m->graph.tensor[m->graph.in[0]];
	size_t n = ne_shape_elements(&x->shape), size = ne_dtype_size(x->dtype);
	char *data = ne_alloc_aligned(n * size);

	for (size_t i = 0; data && i < n; i++) {
		float v;

		seed = seed * 1664525u + 1013904223u;
		v = (float)(seed >> 8) / 8388608.0f - 1;
		if (x->dtype == NE_F32)
			memcpy(data + i * size, &v, sizeof(v));
		else
			memcpy(data + i * size, &(uint16_t){(uint16_t)(seed >> 16)}, size);
	}
	return data;
}

const struct ne_node *peer_relu_after(const struct ne_graph *g, uint32_t i)
{
	const struct ne_node *found = NULL;

	for (uint32_t k = 0; k < g->n_node; k++)
		for (uint32_t j = 0; j < g->node[k].n_in; j++)
			if (g->node[k].in[j] == g->node[i].out[0]) {
				if (found ||
				    (g->node[k].op != NE_OP_RELU && g->node[k].op != NE_OP_RELU6))
					return NULL;
				found = &g->node[k];
			}
	return found;
}

uint32_t peer_input(const struct ne_graph *g)
{
	uint32_t x = g->in[0];

	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];

		if (n->op == NE_OP_TRANSPOSE && n->in[0] == x)
			return n->out[0];
		if (n->op == NE_OP_QUANTISE && n->in[0] == x)
			x = n->out[0];
	}
	return g->in[0];
}

void lane_open(struct lane *l, const struct peer *peer, const struct peer_case *c, const char *cpu,
	       unsigned threads, const void *in)
{
	struct ne_error err = {""};

	*l = (struct lane){.peer = peer, .run = {.peer = peer}};
	if (peer->open(c, cpu, threads, in, &l->run, &err) < 0)
		snprintf(l->why, sizeof(l->why), "%s", err.text[0] ? err.text : "it failed");
}

void lane_close(struct lane *l)
{
	if (!l->why[0])
		l->peer->close(&l->run);
	free(l->sample);
}

static double time_runs(struct lane *l, uint32_t n)
{
	double from = now_us();

	for (uint32_t i = 0; i < n; i++)
		l->peer->run(&l->run);
	return (now_us() - from) / n;
}

static void warm(struct lane *l)
{
	double from = now_us();

	do
		l->peer->run(&l->run);
	while (now_us() - from < WARM_US);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void measure(struct lane *l, uint32_t n, uint32_t samples)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < n; i++) {
		double once;

		if (l[i].why[0])
			continue;
		l[i].sample = calloc(samples, sizeof(*l[i].sample));
		if (!l[i].sample)
			abort();
		time_runs(&l[i], 20);
		once = time_runs(&l[i], 20);
		l[i].batch = once < SAMPLE_US ? (uint32_t)(SAMPLE_US / once) + 1 : 1;
	}
	for (; done < samples; done += NE_MIN(BURST, samples - done))
		for (uint32_t i = 0; i < n; i++) {
			if (l[i].why[0])
				continue;
			warm(&l[i]);
			for (uint32_t k = done; k < NE_MIN(done + BURST, samples); k++)
				l[i].sample[k] = time_runs(&l[i], l[i].batch);
		}
	for (uint32_t i = 0; i < n; i++) {
		if (l[i].why[0])
			continue;
		qsort(l[i].sample, samples, sizeof(double), by_value);
		l[i].min_us = l[i].sample[0];
		l[i].median_us = l[i].sample[samples / 2];
	}
}

/* ---- memory ---- */

static long resident_kib(void)
{
	long pages = -1, ignored;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f)
		return -1;
	if (fscanf(f, "%ld %ld", &ignored, &pages) != 2)
		pages = -1;
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void measure_footprint(const struct peer *peer, const struct peer_case *c,
			      struct footprint *ret)
{
	void *in = random_input_of(c->model, 1);
	struct peer_run run = {.peer = peer};
	struct ne_error err;
	double start;
	long before;

	peer->version(); /* brings the library itself, which all its models share */
	before = resident_kib();
	start = now_us();
	if (!in || peer->open(c, NULL, 1, in, &run, &err) < 0)
		return;
	ret->first_load_ms = (now_us() - start) / 1e3;
	for (int i = 0; i < 10; i++)
		peer->run(&run);
	ret->kib = resident_kib() - before;
	peer->close(&run);
	for (int i = 0; i < 5; i++) {
		double from = now_us(), took;

		if (peer->open(c, NULL, 1, in, &run, &err) < 0)
			return;
		took = (now_us() - from) / 1e3;
		peer->close(&run);
		ret->load_ms = i && ret->load_ms < took ? ret->load_ms : took;
	}
}

struct footprint footprint_of(const struct peer *peer, const struct peer_case *c)
{
	struct footprint f = {.kib = -1};
	int fd[2], status;
	pid_t child;

	if (pipe(fd) < 0)
		return f;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		measure_footprint(peer, c, &f);
		_exit(write(fd[1], &f, sizeof(f)) != sizeof(f));
	}
	close(fd[1]);
	if (child < 0 || read(fd[0], &f, sizeof(f)) != sizeof(f))
		f = (struct footprint){.kib = -1};
	close(fd[0]);
	if (child > 0)
		waitpid(child, &status, 0);
	return f;
}

size_t neap_bytes(const struct ne_model *m)
{
	struct ne_program *p;
	size_t bytes = 0;

	if (ne_program_new(m, NULL, &p, NULL) < 0)
		return 0;
	bytes = p->arena_bytes + p->scratch_bytes + p->stage_bytes + ne_program_packed_bytes(p);
	ne_program_free(p);
	return bytes;
}
