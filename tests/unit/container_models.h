/* SPDX-License-Identifier: MIT */
/* Models and bytes for the container's tests. Everything returned is the caller's to free. */
#ifndef TEST_CONTAINER_MODELS_H
#define TEST_CONTAINER_MODELS_H

#include "engine/model/container.h"

/* A reproducible stream of numbers. */
struct test_random {
	uint64_t state;
};
uint32_t test_random_next(struct test_random *r);
uint32_t test_random_below(struct test_random *r, uint32_t n);
float test_random_normal(struct test_random *r); /* mean 0, deviation 1, within +-6 */

/* Two exits, two widths, s8 convolutions with norms, a constant of every type, labels, notes. */
struct ne_model *test_model_small(void);
/* As above with a state for each exit, the second with a first value. */
struct ne_model *test_model_stateful(void);
/* As above with sizes, names, constants and numbers that depend on the seed. */
struct ne_model *test_model_random(uint64_t seed);
/* x [1,1] f32 -> relu -> y: the least that is a model. */
struct ne_model *test_model_least(void);

/* Fails the running test where the two differ; floats by their bits unless @half. */
void test_models_equal(const struct ne_model *a, const struct ne_model *b, bool half);

/* Makes header and section checksums true again wherever the table is sound enough to say where
 * sections lie. */
void test_container_fix(uint8_t *data, size_t bytes);
/* The table entry of section @type in a sound file. */
struct neap_file_section *test_container_section(uint8_t *data, uint32_t type);

#endif
