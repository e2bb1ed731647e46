/* SPDX-License-Identifier: MIT */
/* Random nested networks for tests: every operator, channel groups, widths, exits; f32 or s8. */
#ifndef TEST_RANDOM_MODEL_H
#define TEST_RANDOM_MODEL_H

#include "tests/unit/reference.h"

struct random_options {
	bool s8;
	uint32_t blocks; /* operators of the trunk, about */
	uint32_t exits;
	uint32_t widths;
	int max_channels; /* of a group; 0 = 40 */
};

/* A model that passes ne_model_check(), with a level for each width and exit. Never NULL. */
struct ne_model *random_model(struct rng *r, const struct random_options *o);
/* One that keeps at least @states values from run to run. */
struct ne_model *random_stateful_model(struct rng *r, const struct random_options *o,
				       uint32_t states);

/* One over 16 to 120 rows of axis 1: either hardly anything pads along it, or every window does. */
struct ne_model *random_sliding_model(struct rng *r, const struct random_options *o);

/* Random input values: @bytes as the engine takes them, and as doubles for the reference. */
void random_input(struct rng *r, const struct ne_tensor *t, void **ret_bytes, double **ret_values);

#endif
