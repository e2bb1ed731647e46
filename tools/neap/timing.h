/* SPDX-License-Identifier: MIT */
/* How long levels take on this machine; shared by bench, plot, eval and train. */
#ifndef NEAP_TOOL_TIMING_H
#define NEAP_TOOL_TIMING_H

#include <signal.h>

#include "engine/run/run.h"

struct timing_options {
	uint32_t level;   /* or UINT32_MAX for all */
	uint32_t threads; /* that share a run */
	/* Runs of each level; 0 = at least 500 and 0.3 s, but at most 3 s where that is 20 runs. */
	uint64_t runs;
	const volatile sig_atomic_t *stop; /* may be NULL */
};

struct level_timing {
	uint32_t level;
	uint64_t runs; /* fewer than asked for: stopped */
	double p50_us, p99_us;
};

/* A program's inputs, filled with pseudo-random values, and its outputs. */
struct timing_buffers {
	void *in[NE_MAX_IO], *out[NE_MAX_IO];
};
int timing_buffers_init(struct timing_buffers *b, const struct ne_program *p); /* -ENOMEM */
void timing_buffers_done(struct timing_buffers *b);

/*
 * Times runs on pseudo-random input. Levels take turns in short bursts, so that heat, frequency
 * and other processes meet all of them alike; the first runs of each burst are not counted.
 * @ret: one entry a level, or one.
 */
int time_levels(const struct ne_program *p, const struct timing_options *opt,
		struct level_timing *ret, struct ne_error *err);

/* Puts the median of 500 runs, one thread, into each level's latency_us. @stop may be NULL. */
int time_model(struct ne_model *m, const volatile sig_atomic_t *stop, struct ne_error *err);

#endif
