/* SPDX-License-Identifier: MIT */
/*
 * Counters and distributions. Plain memory: the caller holds the lock under which they change.
 */
#ifndef NEAPD_METRICS_H
#define NEAPD_METRICS_H

#include "engine/governor/governor.h"

/* Log-linear: 8 steps an octave from 1 us to 2^32 us, so a quantile is within 7 %. */
#define METRICS_STEPS   8u
#define METRICS_BUCKETS (30u * METRICS_STEPS)

struct metrics_histogram {
	uint64_t count;
	uint32_t bucket[METRICS_BUCKETS];
};
void metrics_histogram_add(struct metrics_histogram *h, uint64_t us);
/* The value below which @q (0..1) of all lie; 0 if there are none. */
double metrics_histogram_quantile(const struct metrics_histogram *h, double q);

/* Events a second, forgetting with a time constant of METRICS_RATE_S. */
#define METRICS_RATE_S 2.0
struct metrics_rate {
	double per_s;
	int64_t last_us;
};
void metrics_rate_add(struct metrics_rate *r, int64_t now_us);
double metrics_rate_now(const struct metrics_rate *r, int64_t now_us);

struct metrics_outcome {
	int status; /* 0 or a negative errno */
	uint32_t level;
	enum ne_reason reason;
	bool degraded, late, has_deadline;
	uint32_t queue_us, run_us, energy_uj;
};

struct metrics_model {
	uint64_t answered, failed, refused_time, degraded, late, with_deadline;
	double energy_uj;
	uint64_t reason[NE_REASON_COUNT];
	uint64_t level[NE_GOV_MAX_LEVELS];
	struct metrics_histogram total_us; /* queue and run */
	struct metrics_rate rate;
	uint32_t last_level;
	enum ne_reason last_reason;
};
void metrics_model_add(struct metrics_model *m, const struct metrics_outcome *o, int64_t now_us);

struct metrics_session {
	uint64_t answered, failed;
	struct metrics_rate rate;
	struct metrics_histogram total_us;
	uint32_t last_level;
	enum ne_reason last_reason;
};
void metrics_session_add(struct metrics_session *m, const struct metrics_outcome *o,
			 int64_t now_us);

struct metrics {
	uint64_t sessions, sessions_refused, protocol_errors, bad_entries;
	uint64_t requests, answered, failed, cancelled, late, degraded, with_deadline;
	uint64_t buffers_refused, commands, wakes;
	uint64_t owned, own_refused; /* runs with strict_buffers */
};

#endif
