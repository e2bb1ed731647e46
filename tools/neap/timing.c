// SPDX-License-Identifier: MIT
/* How long levels take on this machine. */
#include "tools/neap/timing.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/neap/evaluate.h"

#define LEAST_RUNS  500u
#define LEAST_US    0.3e6
#define MOST_US     3e6
#define FEWEST_RUNS 20u
#define BURST_US    2e4        /* of one level before the next has its turn */
#define WARM_RUNS   2u         /* not counted, at the start of a burst */
#define KEPT_RUNS   (1u << 20) /* memory: 4 MiB a level; later runs replace the oldest */

struct series {
	float *us;
	size_t size;
	uint64_t runs;
	double total_us;
	bool enough;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* xorshift64 (Marsaglia): any values serve, but denormals and NaN would not be ordinary input. */
static void fill_random(void *data, const struct ne_io *io)
{
	size_t n = ne_shape_elements(&io->shape);
	uint64_t x = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (io->dtype == NE_F32)
			((float *)data)[i] = (float)(x >> 40) * 0x1p-24f;
		else if (ne_dtype_size(io->dtype) == 1)
			((uint8_t *)data)[i] =
				(uint8_t)(x >> 32 & (io->dtype == NE_BOOL ? 1 : 255));
		else if (io->dtype == NE_S16)
			((int16_t *)data)[i] = (int16_t)(x >> 32);
	}
}

int timing_buffers_init(struct timing_buffers *b, const struct ne_program *p)
{
	for (uint32_t i = 0; i < ne_program_inputs(p); i++) {
		const struct ne_io *io = ne_program_input(p, i);

		b->in[i] = ne_alloc_aligned(io->bytes);
		if (!b->in[i])
			return -ENOMEM;
		fill_random(b->in[i], io);
	}
	for (uint32_t i = 0; i < ne_program_outputs(p); i++) {
		b->out[i] = ne_alloc_aligned(ne_program_output(p, i)->bytes);
		if (!b->out[i])
			return -ENOMEM;
	}
	return 0;
}

void timing_buffers_done(struct timing_buffers *b)
{
	for (uint32_t i = 0; i < NE_MAX_IO; i++) {
		free(b->in[i]);
		free(b->out[i]);
	}
}

static bool is_enough(const struct series *s, const struct timing_options *opt)
{
	if (opt->runs)
		return s->runs >= opt->runs;
	if (s->runs >= LEAST_RUNS && s->total_us >= LEAST_US)
		return true;
	return s->runs >= FEWEST_RUNS && s->total_us >= MOST_US;
}

static int keep(struct series *s, double us)
{
	if (s->runs >= s->size && s->size < KEPT_RUNS) {
		size_t size = s->size ? 2 * s->size : 1024;
		float *bigger = reallocarray(s->us, size, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		s->us = bigger;
		s->size = size;
	}
	s->us[s->runs++ % s->size] = (float)us;
	s->total_us += us;
	return 0;
}

static int burst(const struct ne_program *p, struct ne_context *c, uint32_t level,
		 struct timing_buffers *b, const struct timing_options *opt, struct series *s)
{
	double start = now_us(), from, to;
	struct ne_result result;
	int rc;

	ne_context_reset(c); /* a level cannot go on with another's values */
	for (unsigned i = 0; !s->enough && now_us() - start < BURST_US; i++) {
		if (opt->stop && *opt->stop)
			break;
		from = now_us();
		rc = ne_run(p, c, level, (const void *const *)b->in, b->out, NULL, &result);
		to = now_us();
		if (rc < 0)
			return rc;
		/* Slow models: a burst is one run, and the one before it warmed nothing away. */
		if (i < WARM_RUNS && (to - from) * (WARM_RUNS + 1) < BURST_US)
			continue;
		NE_RETURN_IF(keep(s, to - from));
		s->enough = is_enough(s, opt);
	}
	return 0;
}

static int take_turns(const struct ne_program *p, struct ne_context *c,
		      const struct timing_options *opt, struct timing_buffers *b, uint32_t first,
		      uint32_t n, struct series *s)
{
	bool more = true;

	while (more && !(opt->stop && *opt->stop)) {
		more = false;
		for (uint32_t i = 0; i < n; i++) {
			if (s[i].enough)
				continue;
			NE_RETURN_IF(burst(p, c, first + i, b, opt, &s[i]));
			more = more || !s[i].enough;
		}
	}
	return 0;
}

int time_levels(const struct ne_program *p, const struct timing_options *opt,
		struct level_timing *ret, struct ne_error *err)
{
	bool all = opt->level == UINT32_MAX;
	uint32_t n = all ? ne_program_levels(p) : 1, first = all ? 0 : opt->level;
	struct timing_buffers b = {.in = {NULL}};
	struct ne_context *c = NULL;
	struct series *s;
	int rc;

	s = calloc(n, sizeof(*s));
	rc = s ? timing_buffers_init(&b, p) : -ENOMEM;
	if (!rc)
		rc = ne_context_new(p, NE_MAX(opt->threads, 1u), &c);
	if (!rc)
		rc = take_turns(p, c, opt, &b, first, n, s);
	for (uint32_t i = 0; !rc && i < n; i++) {
		size_t kept = (size_t)NE_MIN(s[i].runs, s[i].size);

		ret[i] = (struct level_timing){
			.level = first + i,
			.runs = s[i].runs,
			.p50_us = quantile(s[i].us, kept, 0.50),
			.p99_us = quantile(s[i].us, kept, 0.99),
		};
	}
	for (uint32_t i = 0; s && i < n; i++)
		free(s[i].us);
	free(s);
	timing_buffers_done(&b);
	ne_context_free(c);
	return rc < 0 ? ne_fail(err, -rc, "running the model failed: %s", strerror(-rc)) : 0;
}

int time_model(struct ne_model *m, const volatile sig_atomic_t *stop, struct ne_error *err)
{
	struct timing_options opt = {.level = UINT32_MAX, .threads = 1, .runs = 500, .stop = stop};
	struct level_timing *t = calloc(m->n_level + 1, sizeof(*t));
	struct ne_program *p = NULL;
	int rc = t ? ne_program_new(m, NULL, &p, err) : ne_fail(err, ENOMEM, "out of memory");

	if (rc >= 0)
		rc = time_levels(p, &opt, t, err);
	for (uint32_t i = 0; rc >= 0 && i < m->n_level; i++)
		m->level[i].latency_us = (float)t[i].p50_us;
	ne_program_free(p);
	free(t);
	return rc;
}
