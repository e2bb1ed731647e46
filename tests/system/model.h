/* SPDX-License-Identifier: MIT */
/*
 * Small nested models made on the spot, and what they must answer.
 *
 * A test model takes f32 [1,side,side,1]: a convolution to 24 channels and exit 0, then `blocks`
 * convolutions of 24 by 24 channels and exit 1; three widths (8, 16, 24 channels): six levels. Its
 * weights are random from `seed`. side 8 takes some microseconds, side 96 with 4 blocks tens of
 * milliseconds; both are made smaller on an emulated processor, the latter under a sanitizer too.
 */
#ifndef NEAP_TEST_MODEL_H
#define NEAP_TEST_MODEL_H

#include "engine/run/run.h"
#include "tests/system/harness.h"

#define TEST_CLASSES 10

struct model_spec {
	int side, blocks;
	uint64_t seed;
	float confidence; /* the model's own threshold of early exits; 0 = none */
};

extern const struct model_spec model_quick; /* a few microseconds */
extern const struct model_spec model_slow;  /* tens of milliseconds at its best level */

struct ne_model *model_make(const struct model_spec *spec);
/* Makes it and puts it in place by rename as h->models/NAME.neap. */
void model_install(struct harness *h, const char *name, const struct model_spec *spec);
void model_wait(struct harness *h, const char *name); /* until the daemon serves it */

/* Runs the file here, to compare bit for bit. One thread at a time. */
struct oracle {
	struct ne_program *program;
	struct ne_context *context;
	size_t in_bytes, out_bytes;
};
void oracle_open(struct oracle *o, const char *path);
void oracle_open_installed(struct oracle *o, struct harness *h, const char *name);
void oracle_close(struct oracle *o);
void oracle_run(struct oracle *o, uint32_t level, const void *in, void *out);
/* Is @out what @level gives for @in, bit for bit? */
bool oracle_agrees(struct oracle *o, uint32_t level, const void *in, const void *out);
/* Microseconds of one run of @level here. */
double oracle_time_us(struct oracle *o, uint32_t level);

/* An orderly application with one model and one pair of buffers. */
struct user {
	struct neap *n;
	struct neap_model *m;
	struct neap_buffer *in, *out;
	struct neap_request rq;
};
void user_open(struct user *u, struct harness *h, const char *model,
	       const struct neap_options *opt);
void user_close(struct user *u);
/* neap_run() of u->rq with fresh input; the answer must agree with @o. Fails unless it succeeds. */
struct neap_completion user_run(struct user *u, struct oracle *o, uint64_t *state);

/* Does the daemon still answer as it should? Needs the model "quick" in place. */
void serves(struct harness *h);
/* Runs one case, says so, and asks whether the daemon still serves. */
void run_case(struct harness *h, const char *name, void (*fn)(struct harness *h));
#define RUN_CASE(h, fn) run_case(h, #fn, fn)

/* A number of "neapctl status", e.g. "sessions" or "counters.answered". */
double status_number(struct harness *h, const char *key);
/* Waits until the number is @want. */
void status_wait(struct harness *h, const char *key, double want, unsigned timeout_ms);

/* Random input of @bytes: floats from 0 to 1. */
void input_fill(void *in, size_t bytes, uint64_t *state);

#endif
