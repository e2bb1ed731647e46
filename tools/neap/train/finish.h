/* SPDX-License-Identifier: MIT */
/* From trained weights to the shipped model: quantised, measured, its front chosen, with its story. */
#ifndef NEAP_TRAIN_FINISH_H
#define NEAP_TRAIN_FINISH_H

#include "tools/neap/train/assemble.h"
#include "tools/neap/train/sampler.h"

struct finish {
	const struct recipe *r;
	const struct network *n;
	const struct data_set *train, *test;
	const struct sampler *s; /* of the training data: what is held out of it */
	uint32_t epochs;
	unsigned threads;
};

/*
 * Makes the s8 model: activation ranges from training samples; the front chosen by accuracy on the
 * held-out samples (on the training samples used for calibration where none are held out); then
 * every level measured on the test data, in f32 and in s8, and timed. All f32 constants of the result
 * are f16 values: storing it with NE_PACK_F16_EXACT loses nothing of what was measured.
 */
int finish_model(const struct finish *f, const float *theta, const struct width_stats *stats,
		 struct ne_model **ret, struct ne_error *err);

/* Hash of the recipe as the note "recipe_xxh3" has it. */
void finish_recipe_hash(const struct recipe *r, char text[17]);

#endif
