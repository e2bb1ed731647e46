/* SPDX-License-Identifier: MIT */
/* Other people's ONNX models and recordings, for tests that reproduce what they answer. */
#ifndef TEST_REAL_MODEL_H
#define TEST_REAL_MODEL_H

#include "engine/run/run.h"

struct real_model {
	struct ne_program *p;
	struct ne_context *c;
};

/* Imports @file of the reference data, with what neap import takes by --shape and --set, each list
 * ending with NULL or absent. Skips the test, saying why, where the file is absent. */
void real_open(struct real_model *r, const char *file, const char *const *shapes,
	       const char *const *values);
void real_run(struct real_model *r, const void *const *in, void *const *out);
void real_close(struct real_model *r);

/* Samples of a recording of 16 kHz, 16 bit, one channel, as float of the same values; freed with
 * free(). Skips where it is absent. */
float *real_recording(const char *file, size_t *ret_n);

#endif
