// SPDX-License-Identifier: MIT
/*
 * Runs a data set through a program on several threads, each with a context of its own. Threads
 * take blocks of samples; within a block a level runs all samples before the next level does, so
 * that its weights are in the cache as they are in service.
 */
#include "tools/neap/evaluate.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK       32u /* samples taken at once */
#define MAX_THREADS 256u

struct job {
	const struct ne_program *p;
	const struct data_set *d;
	const struct sample_feeder *feeder;
	const struct evaluate_options *opt;
	const uint32_t *class_at; /* [n_class]: index in output 0 */
	uint32_t first_level, n_level;
	size_t total;       /* samples */
	atomic_size_t next; /* sample */
	atomic_size_t done;
	atomic_size_t right[NE_MAX_LEVELS];
	float *us; /* [n_level][total]; a thread writes at its own samples */
	atomic_int status;
};

struct worker {
	struct job *job;
	struct ne_context *c;
	pthread_t thread;
	bool first, started;
	void *input; /* [BLOCK][input bytes] */
	void *output[NE_MAX_IO];
};

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

double quantile(float *v, size_t n, double q)
{
	double at;
	size_t i;

	if (!n)
		return 0;
	qsort(v, n, sizeof(*v), by_value);
	at = q * (double)(n - 1);
	i = (size_t)at;
	if (i + 1 >= n)
		return v[n - 1];
	return v[i] + (at - (double)i) * ((double)v[i + 1] - v[i]);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double element(const void *v, enum ne_dtype t, size_t i)
{
	switch (t) {
	case NE_S8:
		return ((const int8_t *)v)[i];
	case NE_U8:
		return ((const uint8_t *)v)[i];
	case NE_S16:
		return ((const int16_t *)v)[i];
	case NE_S32:
		return ((const int32_t *)v)[i];
	default:
		return ((const float *)v)[i];
	}
}

/* Index of the largest value; SIZE_MAX where all are NaN. */
static size_t largest(const void *v, enum ne_dtype t, size_t n)
{
	size_t best = SIZE_MAX;
	double top = 0;

	for (size_t i = 0; i < n; i++) {
		double x = element(v, t, i);

		if (!isnan(x) && (best == SIZE_MAX || x > top)) {
			best = i;
			top = x;
		}
	}
	return best;
}

static bool stopped(const struct job *j)
{
	return (j->opt->stop && *j->opt->stop) || atomic_load(&j->status) < 0;
}

/* One level over the block's samples. */
static int run_block(struct worker *w, uint32_t l, size_t from, size_t n)
{
	struct job *j = w->job;
	const struct ne_io *out = ne_program_output(j->p, 0);
	size_t elements = ne_shape_elements(&out->shape), right = 0;
	size_t bytes = sample_feeder_bytes(j->feeder);

	for (size_t i = 0; i < n; i++) {
		const void *in = (const char *)w->input + i * bytes;
		struct ne_result result;
		double start = now_us();
		size_t got;

		ne_context_reset(w->c); /* samples are not a stream */
		NE_RETURN_IF(ne_run(j->p, w->c, j->first_level + l, &in, w->output, NULL, &result));
		j->us[l * j->total + from + i] = (float)(now_us() - start);
		got = largest(w->output[0], out->dtype, elements);
		right += got == j->class_at[j->d->y[from + i]];
	}
	atomic_fetch_add(&j->right[l], right);
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct job *j = w->job;
	int rc = 0;

	while (!stopped(j)) {
		size_t from = atomic_fetch_add(&j->next, BLOCK), n;

		if (from >= j->total)
			break;
		n = NE_MIN((size_t)BLOCK, j->total - from);
		for (size_t i = 0; i < n; i++)
			sample_feed(j->feeder, from + i,
				    (char *)w->input + i * sample_feeder_bytes(j->feeder));
		for (uint32_t l = 0; !rc && l < j->n_level; l++)
			rc = run_block(w, l, from, n);
		if (rc < 0) {
			atomic_store(&j->status, rc);
			break;
		}
		n += atomic_fetch_add(&j->done, n);
		if (w->first && j->opt->progress)
			j->opt->progress(j->opt->user, n, j->total);
	}
	return NULL;
}

static void worker_done(struct worker *w, uint32_t outputs)
{
	ne_context_free(w->c);
	free(w->input);
	for (uint32_t i = 0; i < outputs; i++)
		free(w->output[i]);
}

static int worker_init(struct worker *w, struct job *j)
{
	w->job = j;
	w->input = ne_alloc_aligned(BLOCK * sample_feeder_bytes(j->feeder));
	if (!w->input)
		return -ENOMEM;
	for (uint32_t i = 0; i < ne_program_outputs(j->p); i++) {
		w->output[i] = ne_alloc_aligned(ne_program_output(j->p, i)->bytes);
		if (!w->output[i])
			return -ENOMEM;
	}
	return ne_context_new(j->p, 1, &w->c);
}

/* The calling thread is the first worker. Fewer threads than asked for is no failure. */
static int run_workers(struct job *j, unsigned threads)
{
	struct worker *w = calloc(threads, sizeof(*w));
	unsigned ready = 0;
	int rc = 0;

	if (!w)
		return -ENOMEM;
	w[0].first = true;
	while (!rc && ready < threads)
		rc = worker_init(&w[ready++], j);
	for (unsigned i = 1; !rc && i < threads; i++)
		w[i].started = !pthread_create(&w[i].thread, NULL, work, &w[i]);
	if (!rc)
		work(&w[0]);
	for (unsigned i = 0; i < ready; i++) {
		if (w[i].started)
			pthread_join(w[i].thread, NULL);
		worker_done(&w[i], ne_program_outputs(j->p));
	}
	free(w);
	return rc < 0 ? rc : atomic_load(&j->status);
}

/* Where each class of the data set stands in the model's output. */
static int map_classes(const struct ne_model *m, const struct ne_program *p,
		       const struct data_set *d, uint32_t **ret, struct ne_error *err)
{
	const struct ne_io *out = ne_program_output(p, 0);
	size_t elements = ne_shape_elements(&out->shape);
	uint32_t *at, found = 0;

	if (elements < d->n_class)
		return ne_fail(err, EINVAL,
			       "the model's output '%s' has %zu values, the data set %u classes",
			       out->name, elements, d->n_class);
	if (out->dtype == NE_S64 || out->dtype == NE_BOOL || out->dtype == NE_F16)
		return ne_fail(err, EINVAL, "the model's output '%s' is %s, expected scores",
			       out->name, ne_dtype_name(out->dtype));
	at = calloc(d->n_class, sizeof(*at));
	if (!at)
		return ne_fail(err, ENOMEM, "out of memory");
	for (uint32_t c = 0; d->class_name && c < d->n_class && m->n_label == elements; c++)
		for (uint32_t i = 0; i < m->n_label; i++)
			if (!strcmp(m->label[i], d->class_name[c])) {
				at[c] = i;
				found++;
				break;
			}
	for (uint32_t c = 0; found < d->n_class && c < d->n_class; c++)
		at[c] = c;
	*ret = at;
	return 0;
}

/* Latencies of the samples that ran, moved together at the front of @us. */
static size_t gather(float *us, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (us[i] > 0)
			us[kept++] = us[i];
	return kept;
}

static unsigned thread_count(unsigned asked, size_t samples)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = asked ? asked : cpus > 0 ? (size_t)cpus : 1;

	n = NE_MIN(n, (samples + BLOCK - 1) / BLOCK);
	return (unsigned)NE_CLAMP(n, 1, MAX_THREADS);
}

static int fill_job(struct job *j, const struct ne_model *m, const struct evaluate_options *opt,
		    struct ne_error *err)
{
	if (opt->level != EVALUATE_ALL && opt->level >= m->n_level)
		return ne_fail(err, EINVAL, "level %u: the model has levels 0 to %u", opt->level,
			       m->n_level - 1);
	if (m->n_level > NE_MAX_LEVELS)
		return ne_fail(err, E2BIG, "more than %u levels", NE_MAX_LEVELS);
	j->first_level = opt->level == EVALUATE_ALL ? 0 : opt->level;
	j->n_level = opt->level == EVALUATE_ALL ? m->n_level : 1;
	j->total = opt->limit ? NE_MIN(opt->limit, j->d->n) : j->d->n;
	j->us = calloc(j->total * j->n_level, sizeof(*j->us));
	return j->us ? 0 : ne_fail(err, ENOMEM, "out of memory");
}

int evaluate_measure(const struct ne_model *m, const struct ne_program *p, const struct data_set *d,
		     const struct evaluate_options *opt, struct level_measure *ret,
		     struct ne_error *err)
{
	struct job j = {.p = p, .d = d, .opt = opt};
	struct sample_feeder *feeder = NULL;
	uint32_t *class_at = NULL;
	int rc;

	rc = sample_feeder_new(m, d, &feeder, err);
	if (!rc)
		rc = map_classes(m, p, d, &class_at, err);
	if (!rc)
		rc = fill_job(&j, m, opt, err);
	if (!rc) {
		j.feeder = feeder;
		j.class_at = class_at;
		rc = run_workers(&j, thread_count(opt->threads, j.total));
		if (rc < 0)
			ne_fail(err, -rc, "running the model failed: %s", strerror(-rc));
	}
	for (uint32_t l = 0; !rc && l < j.n_level; l++) {
		float *us = j.us + l * j.total;
		size_t n = gather(us, j.total);

		ret[l] = (struct level_measure){
			.level = j.first_level + l,
			.samples = atomic_load(&j.done),
			.right = atomic_load(&j.right[l]),
			.p50_us = quantile(us, n, 0.50),
			.p99_us = quantile(us, n, 0.99),
		};
	}
	free(j.us);
	free(class_at);
	sample_feeder_free(feeder);
	return rc;
}

int evaluate_levels(const struct ne_model *m, const struct data_set *d, uint32_t level,
		    size_t limit, unsigned threads, float *ret_accuracy, struct ne_error *err)
{
	struct evaluate_options opt = {.level = level, .limit = limit, .threads = threads};
	struct level_measure *measure = calloc(m->n_level + 1u, sizeof(*measure));
	struct ne_program *p = NULL;
	uint32_t n = level == EVALUATE_ALL ? m->n_level : 1;
	int rc;

	if (!measure)
		return ne_fail(err, ENOMEM, "out of memory");
	rc = ne_program_new(m, NULL, &p, err);
	if (!rc)
		rc = evaluate_measure(m, p, d, &opt, measure, err);
	for (uint32_t i = 0; !rc && i < n; i++)
		ret_accuracy[i] = (float)measure[i].right / (float)measure[i].samples;
	ne_program_free(p);
	free(measure);
	return rc;
}
