/* SPDX-License-Identifier: MIT */
/*
 * Ranges of activations: runs the f32 model on calibration samples, one width setting after the
 * other, at full depth with every head, and keeps each tensor's least and greatest value; with a
 * percentile also a histogram of magnitudes. One width's histograms live at a time.
 */
#include "tools/neap/compress/quantise/internal.h"

#include "engine/run/run.h"
#include "tools/neap/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SAMPLES 512
#define HISTOGRAM_BINS  2048

/* Counts of |x| in bins of equal width from 0 to limit. A value above the limit doubles it. */
struct histogram {
	uint32_t *bin; /* [HISTOGRAM_BINS] */
	double limit;
	uint64_t total;
};

struct watch {
	const struct ne_graph *graph;
	struct range *range;    /* [n_tensor], of the width at hand */
	struct histogram *hist; /* [n_tensor], or NULL */
	bool no_memory;
};

static void histogram_grow(struct histogram *h, double value)
{
	while (value >= h->limit) {
		for (size_t i = 0; i < HISTOGRAM_BINS / 2; i++)
			h->bin[i] = h->bin[2 * i] + h->bin[2 * i + 1];
		memset(h->bin + HISTOGRAM_BINS / 2, 0, HISTOGRAM_BINS / 2 * sizeof(*h->bin));
		h->limit *= 2;
	}
}

static int histogram_add(struct histogram *h, const float *x, size_t n)
{
	if (!h->bin) {
		h->bin = calloc(HISTOGRAM_BINS, sizeof(*h->bin));
		if (!h->bin)
			return -ENOMEM;
		h->limit = 1e-6;
	}
	for (size_t i = 0; i < n; i++) {
		double v = fabs((double)x[i]);

		if (!isfinite(v))
			continue;
		if (v >= h->limit)
			histogram_grow(h, v);
		h->bin[(size_t)(v / h->limit * HISTOGRAM_BINS)]++;
		h->total++;
	}
	return 0;
}

/* The magnitude that @share of all values do not exceed. */
static float histogram_percentile(const struct histogram *h, double share)
{
	uint64_t need = (uint64_t)ceil(share * (double)h->total), sum = 0;

	for (size_t i = 0; i < HISTOGRAM_BINS; i++) {
		sum += h->bin[i];
		if (sum >= need)
			return (float)(h->limit * (double)(i + 1) / HISTOGRAM_BINS);
	}
	return (float)h->limit;
}

static void watch_tensor(void *user, uint32_t tensor, const void *data, size_t n)
{
	struct watch *w = user;
	struct range *r = &w->range[tensor];
	const float *x = data;

	if (w->graph->tensor[tensor].dtype != NE_F32 || n == 0)
		return;
	if (!r->seen)
		*r = (struct range){.lo = 0, .hi = 0, .seen = true};
	for (size_t i = 0; i < n; i++) {
		/* Comparisons are false for NaN; infinities would give no scale at all. */
		if (x[i] < r->lo && x[i] >= -3e38f)
			r->lo = x[i];
		if (x[i] > r->hi && x[i] <= 3e38f)
			r->hi = x[i];
	}
	if (w->hist && histogram_add(&w->hist[tensor], x, n) < 0)
		w->no_memory = true;
}

static void watch_clip(struct watch *w, float percentile)
{
	for (uint32_t t = 0; t < w->graph->n_tensor; t++) {
		struct histogram *h = &w->hist[t];

		if (h->bin && h->total) {
			float keep = histogram_percentile(h, (double)percentile);

			w->range[t].lo = fmaxf(w->range[t].lo, -keep);
			w->range[t].hi = fminf(w->range[t].hi, keep);
		}
		free(h->bin);
		*h = (struct histogram){.bin = NULL};
	}
}

static int level_order(const void *a, const void *b)
{
	const struct ne_level *x = a, *y = b;

	return x->macs < y->macs ? -1 : x->macs > y->macs;
}

/* One level a width, each at full depth, cheapest first as a model's levels must be. */
static int width_levels(const struct ne_model *m, struct ne_level **ret)
{
	struct ne_level *l = calloc(m->n_width, sizeof(*l));

	if (!l)
		return -ENOMEM;
	for (uint32_t w = 0; w < m->n_width; w++)
		l[w] = (struct ne_level){
			.depth = m->graph.n_exit - 1,
			.width = w,
			.flags = NE_LEVEL_PARETO,
			.macs = ne_model_macs(m, m->graph.n_exit - 1, w),
			.accuracy = -1,
			.control_accuracy = -1,
			.f32_accuracy = -1,
		};
	qsort(l, m->n_width, sizeof(*l), level_order);
	*ret = l;
	return 0;
}

/* A program with its inputs' and outputs' memory. */
struct bench {
	struct ne_program *program;
	struct ne_context *context;
	void *in;
	void *out[NE_MAX_IO];
};

static void bench_done(struct bench *b)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(b->out); i++)
		free(b->out[i]);
	free(b->in);
	ne_context_free(b->context);
	ne_program_free(b->program);
}

static int bench_init(struct bench *b, const struct ne_model *m, struct ne_error *err)
{
	int r;

	*b = (struct bench){.program = NULL};
	r = ne_program_new(m, NULL, &b->program, err);
	if (r < 0)
		return r;
	r = ne_context_new(b->program, 1, &b->context);
	if (r < 0)
		goto fail;
	r = -ENOMEM;
	b->in = ne_alloc_aligned(ne_program_input(b->program, 0)->bytes);
	if (!b->in)
		goto fail;
	for (uint32_t i = 0; i < ne_program_outputs(b->program); i++) {
		b->out[i] = ne_alloc_aligned(ne_program_output(b->program, i)->bytes);
		if (!b->out[i])
			goto fail;
	}
	return 0;
fail:
	bench_done(b);
	return ne_fail(err, -r, "calibration: no memory for a run");
}

static int observe_level(struct bench *b, const struct ne_model *m, uint32_t level,
			 const struct sample_feeder *feeder, const struct data_set *calib,
			 size_t samples, struct watch *watch, struct ne_error *err)
{
	struct ne_observer observer = {.user = watch, .tensor = watch_tensor};
	const void *in[1] = {b->in};
	size_t elements = ne_shape_elements(&m->graph.tensor[m->graph.in[0]].shape);
	int r = 0;

	ne_context_observe(b->context, &observer);
	for (size_t i = 0; i < samples && r >= 0; i++) {
		struct ne_result result;

		/* Spread over the set, which may be sorted by class. */
		sample_feed(feeder, (size_t)((double)i * (double)calib->n / (double)samples),
			    b->in);
		watch_tensor(watch, m->graph.in[0], b->in, elements);
		r = ne_run(b->program, b->context, level, in, b->out, NULL, &result);
	}
	ne_context_observe(b->context, NULL);
	if (r < 0)
		return ne_fail(err, -r, "calibration: the f32 model does not run");
	if (watch->no_memory)
		return ne_fail(err, ENOMEM, "calibration: no memory for histograms");
	return 0;
}

static int observe_all(const struct ne_model *m, const struct data_set *calib,
		       const struct quantise_options *opt, struct range *ret, struct ne_error *err)
{
	float percentile = opt ? opt->percentile : 0;
	size_t samples = opt && opt->samples ? opt->samples : DEFAULT_SAMPLES;
	struct watch watch = {.graph = &m->graph};
	struct sample_feeder *feeder = NULL;
	struct bench bench;
	int r;

	r = bench_init(&bench, m, err);
	if (r < 0)
		return r;
	r = sample_feeder_new(m, calib, &feeder, err);
	if (r < 0)
		goto out;
	if (percentile > 0) {
		watch.hist = calloc(m->graph.n_tensor, sizeof(*watch.hist));
		if (!watch.hist) {
			r = ne_fail(err, ENOMEM, "calibration: no memory");
			goto out;
		}
	}
	for (uint32_t l = 0; l < m->n_level && r >= 0; l++) {
		watch.range = ret + (size_t)m->level[l].width * m->graph.n_tensor;
		r = observe_level(&bench, m, l, feeder, calib, NE_MIN(samples, calib->n), &watch,
				  err);
		if (watch.hist)
			watch_clip(&watch, percentile);
	}
out:
	free(watch.hist);
	sample_feeder_free(feeder);
	bench_done(&bench);
	return r;
}

int ranges_observe(const struct ne_model *f32, const struct data_set *calib,
		   const struct quantise_options *opt, struct range *ret, struct ne_error *err)
{
	struct ne_model view = *f32; /* borrows all but the levels */
	int r;

	if (f32->graph.n_in != 1)
		return ne_fail(err, EOPNOTSUPP,
			       "calibration: the model has %u inputs, a data set feeds one",
			       f32->graph.n_in);
	if (calib->n == 0)
		return ne_fail(err, EINVAL, "calibration: the data set %s is empty",
			       calib->name ? calib->name : "");
	if (opt && (opt->percentile < 0 || opt->percentile > 1))
		return ne_fail(err, EINVAL, "calibration: percentile %g is not in 0..1",
			       (double)opt->percentile);
	r = width_levels(f32, &view.level);
	if (r < 0)
		return ne_fail(err, -r, "calibration: no memory");
	view.n_level = f32->n_width;
	r = observe_all(&view, calib, opt, ret, err);
	free(view.level);
	return r;
}
