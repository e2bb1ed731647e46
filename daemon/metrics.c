/* SPDX-License-Identifier: MIT */
#include "daemon/metrics.h"

#include <math.h>

static unsigned bucket_of(uint64_t us)
{
	unsigned octave, i;

	if (us < METRICS_STEPS)
		return (unsigned)us;
	octave = 63u - (unsigned)__builtin_clzll(us); /* >= 3 */
	i = (octave - 2) * METRICS_STEPS + (unsigned)(us >> (octave - 3)) % METRICS_STEPS;
	return NE_MIN(i, METRICS_BUCKETS - 1);
}

/* The middle of bucket @i. */
static double bucket_middle(unsigned i)
{
	unsigned octave = i / METRICS_STEPS;
	double low, width;

	if (octave == 0)
		return i;
	width = ldexp(1.0, (int)octave - 1);
	low = (METRICS_STEPS + i % METRICS_STEPS) * width;
	return low + (width - 1) / 2;
}

void metrics_histogram_add(struct metrics_histogram *h, uint64_t us)
{
	h->count++;
	h->bucket[bucket_of(us)]++;
}

double metrics_histogram_quantile(const struct metrics_histogram *h, double q)
{
	double want = q * (double)h->count, seen = 0;

	if (!h->count)
		return 0;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= want && h->bucket[i])
			return bucket_middle(i);
	}
	return bucket_middle(METRICS_BUCKETS - 1);
}

double metrics_rate_now(const struct metrics_rate *r, int64_t now_us)
{
	double gone_s = (double)(now_us - r->last_us) * 1e-6;

	return r->last_us ? r->per_s * exp(-gone_s / METRICS_RATE_S) : 0;
}

void metrics_rate_add(struct metrics_rate *r, int64_t now_us)
{
	r->per_s = metrics_rate_now(r, now_us) + 1 / METRICS_RATE_S;
	r->last_us = now_us;
}

void metrics_model_add(struct metrics_model *m, const struct metrics_outcome *o, int64_t now_us)
{
	metrics_rate_add(&m->rate, now_us);
	m->with_deadline += o->has_deadline;
	if (o->status) {
		m->failed++;
		m->refused_time += o->status == -ETIME;
		return;
	}
	m->answered++;
	m->degraded += o->degraded;
	m->late += o->late;
	m->energy_uj += o->energy_uj;
	m->reason[o->reason]++;
	if (o->level < NE_GOV_MAX_LEVELS)
		m->level[o->level]++;
	m->last_level = o->level;
	m->last_reason = o->reason;
	metrics_histogram_add(&m->total_us, (uint64_t)o->queue_us + o->run_us);
}

void metrics_session_add(struct metrics_session *m, const struct metrics_outcome *o, int64_t now_us)
{
	metrics_rate_add(&m->rate, now_us);
	if (o->status) {
		m->failed++;
		return;
	}
	m->answered++;
	m->last_level = o->level;
	m->last_reason = o->reason;
	metrics_histogram_add(&m->total_us, (uint64_t)o->queue_us + o->run_us);
}
