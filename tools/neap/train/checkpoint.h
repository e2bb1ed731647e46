/* SPDX-License-Identifier: MIT */
/*
 * A training's state between two steps, on disk. Written to a temporary file, synced and renamed,
 * so there is always one whole checkpoint; checked by XXH3 and against the recipe when read.
 */
#ifndef NEAP_TRAIN_CHECKPOINT_H
#define NEAP_TRAIN_CHECKPOINT_H

#include "tools/neap/train/trainer.h"

/* What a checkpoint must agree with to be gone on from. */
struct checkpoint_key {
	uint64_t recipe;  /* checkpoint_recipe_hash() */
	uint64_t scope;   /* checkpoint_hash() of what is trained and for how many epochs */
	uint32_t threads; /* sums are ordered by thread */
	uint32_t n_theta;
};

uint64_t checkpoint_hash(const void *data, size_t bytes);
/* Of the lines of a recipe that decide the weights: not comments, nor the sections [quantise],
 * [levels] and [report], so that these can be changed and applied to a finished training. */
uint64_t checkpoint_recipe_hash(const char *text);

int checkpoint_save(const char *path, const struct checkpoint_key *key,
		    const struct trainer_state *state, struct ne_error *err);
/*
 * Reads into @state, whose arrays have key->n_theta values and stay untouched on failure.
 * -ENOENT: no such file. -ESTALE: made by another recipe, scope or number of threads. -EBADMSG:
 * damaged.
 */
int checkpoint_load(const char *path, const struct checkpoint_key *key, struct trainer_state *state,
		    struct ne_error *err);

#endif
