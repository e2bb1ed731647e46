/* SPDX-License-Identifier: MIT */
/*
 * From a data set to what the network is fed: the split into training and validation, augmentation,
 * and the features, computed by the engine's own code so that training and serving see the same.
 */
#ifndef NEAP_TRAIN_SAMPLER_H
#define NEAP_TRAIN_SAMPLER_H

#include "tools/neap/data/data.h"
#include "tools/neap/train/network.h"

struct sampler;

/* @d must outlive the sampler. @threads: how many may call sampler_fill() at the same time. */
int sampler_new(const struct recipe *r, const struct network *n, const struct data_set *d,
		uint32_t threads, struct sampler **ret, struct ne_error *err);
void sampler_free(struct sampler *s);

/* Samples of the data set that are trained on, and those held out (whole speakers where the data
 * set names them), in an order that the seed decides. */
size_t sampler_train(const struct sampler *s, const uint32_t **ret_index);
size_t sampler_held_out(const struct sampler *s, const uint32_t **ret_index);
size_t sampler_feed_floats(const struct sampler *s);

/*
 * Writes @count samples to @x and their targets (rows of n_class, summing to 1) to @target.
 * @draw: with augmentation, the number of the first draw; sample i takes random stream @draw + i.
 */
void sampler_fill(struct sampler *s, uint32_t thread, const uint32_t *index, uint32_t count,
		  bool augment, uint64_t draw, float *x, float *target);

/* A data set of chosen samples of @d, copied; closed with data_close(). */
int sampler_subset(const struct data_set *d, const uint32_t *index, size_t count,
		   struct data_set *ret, struct ne_error *err);

#endif
