/* SPDX-License-Identifier: MIT */
/*
 * Small nested models made on the spot, and what they must answer.
 *
 * A test model takes f32 [1,side,side,1]: a convolution to 24 channels and exit 0, then `blocks`
 * convolutions of 24 by 24 channels and exit 1; three widths (8, 16, 24 channels): six levels. Its
 * weights are random from `seed`. side 8 takes some microseconds, side 96 with 4 blocks tens of
 * milliseconds.
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

/* Random input of @bytes: floats from 0 to 1. */
void input_fill(void *in, size_t bytes, uint64_t *state);

#endif
