/* SPDX-License-Identifier: MIT */
/*
 * Accuracy and latency of a model's levels on a data set; shared by eval, plot, train and import.
 */
#ifndef NEAP_TOOL_EVALUATE_H
#define NEAP_TOOL_EVALUATE_H

#include <signal.h>

#include "engine/model/model.h"
#include "engine/run/run.h"
#include "tools/neap/data/data.h"

/*
 * Converts sample @i of @d to the bytes that input 0 of the model takes: same type: copied;
 * integers to f32: value * scale + offset from the model's notes "input_scale" and "input_offset"
 * (defaults 1 and 0); to a quantised s8 or u8 input: that real value by the input's quantisation.
 * A sample [H,W,C] for an input [1,C,H,W] is transposed. -EINVAL where the number of elements
 * differs or there is no such conversion.
 */
struct sample_feeder; /* made once per model and data set; immutable: any thread may use it */
int sample_feeder_new(const struct ne_model *m, const struct data_set *d,
		      struct sample_feeder **ret, struct ne_error *err);
void sample_feeder_free(struct sample_feeder *f);
void sample_feed(const struct sample_feeder *f, size_t i, void *dst);
/* Bytes that sample_feed() writes. */
size_t sample_feeder_bytes(const struct sample_feeder *f);

#define EVALUATE_ALL UINT32_MAX

struct evaluate_options {
	uint32_t level;   /* index into m->level, or EVALUATE_ALL */
	size_t limit;     /* first samples only; 0 = all */
	unsigned threads; /* 0 = one per CPU */
	/* Ends early and cleanly where it becomes nonzero; may be NULL. */
	const volatile sig_atomic_t *stop;
	/* Called now and then by the first thread; may be NULL. */
	void (*progress)(void *user, size_t done, size_t total);
	void *user;
};

/* What was seen of one level. */
struct level_measure {
	uint32_t level;
	size_t samples, right; /* samples < the number asked for: stopped early */
	double p50_us, p99_us; /* of single runs, one thread each, as many at once as asked */
};

/*
 * Runs the data set through @p, made from @m. @ret has one entry per level of the model, or one
 * where a single level is asked for. A class is right where the largest of output 0 is at the
 * sample's class, by name where the model has labels that hold all class names, else by number.
 */
int evaluate_measure(const struct ne_model *m, const struct ne_program *p, const struct data_set *d,
		     const struct evaluate_options *opt, struct level_measure *ret,
		     struct ne_error *err);

/*
 * Share of samples whose largest output is their class, for level @level (index into m->level) or,
 * for UINT32_MAX, every level: ret_accuracy[n_level]. @limit: first samples only, 0 = all.
 * Uses @threads threads (0 = one per CPU).
 */
int evaluate_levels(const struct ne_model *m, const struct data_set *d, uint32_t level,
		    size_t limit, unsigned threads, float *ret_accuracy, struct ne_error *err);

/* Value at quantile @q (0..1) of @n numbers, which are reordered; 0 where n is 0. */
double quantile(float *v, size_t n, double q);

#endif
