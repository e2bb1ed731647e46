/* SPDX-License-Identifier: MIT */
/*
 * A slow, plain evaluator of models, for tests: every operator as loops over its definition, f32 in
 * double, s8 by the rule in engine/kernels/table.h. It shares no code with the engine's plans.
 */
#ifndef TEST_REFERENCE_H
#define TEST_REFERENCE_H

#include "engine/model/model.h"

/* xorshift64*: the same numbers everywhere. */
struct rng {
	uint64_t s;
};
uint32_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n);
int rng_between(struct rng *r, int lo, int hi); /* both included */
double rng_unit(struct rng *r);                 /* -1..1 */

/* Values of every tensor that exit @depth needs at width setting @width; s8 and u8 as the integers
 * that they are. @in: one array per graph input. Freed with reference_free(). */
double **reference_run(const struct ne_model *m, uint32_t width, const double *const *in);
/* The same for a model with states: @before is what it gave for the run before, NULL in the first. */
double **reference_next(const struct ne_model *m, uint32_t width, const double *const *in,
			double *const *before);
void reference_free(const struct ne_model *m, double **values);

struct ne_shape reference_shape(const struct ne_model *m, uint32_t width, uint32_t tensor);

#endif
