// SPDX-License-Identifier: MIT
/*
 * How long each operator of a level takes. An observer reads the clock after every step; what a
 * reading costs is measured and taken off. Times are medians over runs, so their sum is a little
 * below the median of whole runs.
 */
#include "tools/neap/layers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/op/op.h"
#include "tools/neap/evaluate.h"
#include "tools/neap/inspect.h"
#include "tools/neap/levels.h"

#define RUNS       500u
#define MOST_US    3e6 /* but no longer than that */
#define MOST_STEPS 65536u

struct recorder {
	uint32_t n, capacity; /* operators of the run at hand */
	uint32_t *tensor;
	float *us; /* [run * n + operator] */
	uint64_t run;
	double last_us, clock_us;
	bool counting;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double clock_cost(void)
{
	double from = now_us();

	for (int i = 0; i < 1000; i++)
		now_us();
	return (now_us() - from) / 1001;
}

static void on_step(void *user, uint32_t tensor)
{
	struct recorder *r = user;
	double now;

	if (tensor == NE_NONE)
		return;
	if (r->counting) {
		if (r->n < MOST_STEPS)
			r->n++;
		return;
	}
	now = now_us();
	if (r->capacity < r->n) {
		r->tensor[r->capacity] = tensor;
		r->us[r->run * r->n + r->capacity] =
			(float)NE_MAX(now - r->last_us - r->clock_us, 0.0);
		r->capacity++;
	}
	r->last_us = now_us();
}

static int record(struct recorder *r, const struct ne_program *p, struct ne_context *c,
		  const struct timing_options *opt, struct timing_buffers *b)
{
	const uint64_t runs = opt->runs ? NE_MIN(opt->runs, 1u << 16) : RUNS;
	const double start = now_us();

	r->counting = true;
	NE_RETURN_IF(ne_run(p, c, opt->level, (const void *const *)b->in, b->out, NULL, NULL));
	r->counting = false;
	r->tensor = calloc(r->n + 1u, sizeof(*r->tensor));
	r->us = calloc((r->n + 1u) * runs, sizeof(*r->us));
	if (!r->tensor || !r->us)
		return -ENOMEM;
	r->clock_us = clock_cost();
	while (r->run < runs && (r->run < 3 || now_us() - start < MOST_US)) {
		if (r->run && opt->stop && *opt->stop)
			break;
		r->capacity = 0;
		r->last_us = now_us();
		NE_RETURN_IF(
			ne_run(p, c, opt->level, (const void *const *)b->in, b->out, NULL, NULL));
		r->run++;
	}
	return 0;
}

static int medians(const struct recorder *r, struct layer_timing **ret)
{
	float *column = calloc(r->run + 1, sizeof(*column));
	struct layer_timing *t = calloc(r->n + 1u, sizeof(*t));

	if (!column || !t) {
		free(column);
		free(t);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < r->n; i++) {
		for (uint64_t k = 0; k < r->run; k++)
			column[k] = r->us[k * r->n + i];
		t[i] = (struct layer_timing){r->tensor[i], quantile(column, (size_t)r->run, 0.5)};
	}
	free(column);
	*ret = t;
	return 0;
}

int time_layers(const struct ne_program *p, const struct timing_options *opt,
		struct layer_timing **ret, uint32_t *ret_n, struct ne_error *err)
{
	struct recorder r = {.counting = true};
	const struct ne_observer watch = {.user = &r, .step = on_step};
	struct timing_buffers b = {.in = {NULL}};
	struct ne_context *c = NULL;
	int rc = timing_buffers_init(&b, p);

	if (!rc)
		rc = ne_context_new(p, NE_MAX(opt->threads, 1u), &c);
	if (!rc) {
		ne_context_observe(c, &watch);
		rc = record(&r, p, c, opt, &b);
	}
	if (!rc)
		rc = medians(&r, ret);
	if (!rc)
		*ret_n = r.n;
	free(r.tensor);
	free(r.us);
	timing_buffers_done(&b);
	ne_context_free(c);
	return rc < 0 ? ne_fail(err, -rc, "running the model failed: %s", strerror(-rc)) : 0;
}

static bool is_written(const struct layer_timing *t, uint32_t n, uint32_t tensor)
{
	for (uint32_t i = 0; i < n; i++)
		if (t[i].tensor == tensor)
			return true;
	return false;
}

/* The operator behind a tensor: a relu and the like that no step of its own does (whose input no step
 * of @t [n] writes) is not told apart from what it follows. */
static const struct ne_node *operator_of(const struct ne_model *m, const struct layer_timing *t,
					 uint32_t n, uint32_t tensor)
{
	const struct ne_graph *g = &m->graph;
	const struct ne_node *found = NULL;

	for (uint32_t i = g->n_node; i-- > 0;) { /* writers come before their readers */
		const struct ne_node *v = &g->node[i];

		if (v->out[0] != tensor)
			continue;
		found = v;
		if ((v->op != NE_OP_RELU && v->op != NE_OP_RELU6 && v->op != NE_OP_UNARY &&
		     v->op != NE_OP_BINARY) ||
		    is_written(t, n, v->in[0]))
			break;
		tensor = v->in[0];
	}
	return found;
}

struct layer_text {
	const char *op;
	char kernel[24], in[64], out[64];
	uint64_t macs;
};

static void shape_at(const struct ne_model *m, uint32_t width, uint32_t tensor, char *text,
		     size_t size)
{
	struct ne_shape s = m->graph.tensor[tensor].shape;

	if (s.rank)
		s.dim[s.rank - 1] = ne_model_channels(m, width, tensor);
	inspect_shape(&s, text, size);
}

/* Step @i of @all [count]. */
static void describe(const struct ne_model *m, uint32_t level, const struct layer_timing *all,
		     uint32_t count, uint32_t i, struct layer_text *t)
{
	const uint32_t tensor = all[i].tensor;
	const struct ne_node *n = operator_of(m, all, count, tensor);
	const uint32_t width = m->level[level].width;
	const struct ne_window *w;

	*t = (struct layer_text){.op = "?"};
	if (!n)
		return;
	t->op = ne_op_info(n->op)->name;
	w = &n->attr.window;
	if (w->kh > 0 && w->kw > 0)
		snprintf(t->kernel, sizeof(t->kernel), "%dx%d/%d", w->kh, w->kw, w->sh);
	if (n->n_in && n->in[0] != NE_NONE)
		shape_at(m, width, n->in[0], t->in, sizeof(t->in));
	shape_at(m, width, tensor, t->out, sizeof(t->out));
	t->macs = ne_model_node_macs(m, n, width);
}

static double sum_us(const struct layer_timing *t, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += t[i].p50_us;
	return sum;
}

void layers_print_table(const struct ne_model *m, uint32_t level, const struct layer_timing *t,
			uint32_t n)
{
	const double sum = sum_us(t, n);

	printf("level %u\n%-4s %-12s %-8s %-18s %-18s %10s %9s %6s %8s\n", level, "step",
	       "operator", "window", "input", "output", "MACs", "p50 us", "share", "MAC/ns");
	for (uint32_t i = 0; i < n; i++) {
		struct layer_text l;

		describe(m, level, t, n, i, &l);
		printf("%4u %-12s %-8s %-18s %-18s %10" PRIu64 " %9.2f %5.1f%%", i, l.op, l.kernel,
		       l.in, l.out, l.macs, t[i].p50_us, sum > 0 ? 100 * t[i].p50_us / sum : 0.0);
		if (l.macs && t[i].p50_us > 0)
			printf(" %8.1f", (double)l.macs / t[i].p50_us * 1e-3);
		putchar('\n');
	}
	printf("sum %.2f us, %.1f MAC/ns\n", sum,
	       sum > 0 ? (double)m->level[level].macs / sum * 1e-3 : 0.0);
}

int layers_print_json(const struct ne_model *m, uint32_t level, const struct layer_timing *t,
		      uint32_t n)
{
	cJSON *all = cJSON_CreateArray();

	for (uint32_t i = 0; all && i < n; i++) {
		cJSON *o = cJSON_CreateObject();
		struct layer_text l;

		describe(m, level, t, n, i, &l);
		if (!o || !cJSON_AddStringToObject(o, "operator", l.op) ||
		    !cJSON_AddStringToObject(o, "window", l.kernel) ||
		    !cJSON_AddStringToObject(o, "input", l.in) ||
		    !cJSON_AddStringToObject(o, "output", l.out) ||
		    !cJSON_AddNumberToObject(o, "macs", (double)l.macs) ||
		    !cJSON_AddItemToObject(o, "p50_us", json_number(t[i].p50_us, 3)) ||
		    !cJSON_AddItemToArray(all, o)) {
			cJSON_Delete(o);
			cJSON_Delete(all);
			return -ENOMEM;
		}
	}
	return json_print(all);
}
