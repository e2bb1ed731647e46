/* SPDX-License-Identifier: MIT */
/* Random changes to one sample that keep its class. Nothing here allocates or keeps state. */
#ifndef NEAP_TRAIN_AUGMENT_H
#define NEAP_TRAIN_AUGMENT_H

#include "tools/neap/train/random.h"
#include "tools/neap/train/recipe.h"

/* Flip, shift and erase an image [h][w][c] in place; @fill stands for what was outside. @work: as
 * large as the image. */
void augment_image(const struct recipe_augment *a, struct rng *rng, int32_t h, int32_t w, int32_t c,
		   float fill, float *image, float *work);

/* Speed, time shift, gain and noise of @n samples at @rate_hz. @noise: a clip of @n samples to mix
 * in, or NULL. @dst and @src do not overlap. */
void augment_audio(const struct recipe_augment *a, struct rng *rng, int32_t rate_hz, size_t n,
		   const int16_t *src, const int16_t *noise, int16_t *dst);

/* Blanks a band of frames and a band of bins of [frames][bins] with their mean (SpecAugment). */
void augment_features(const struct recipe_augment *a, struct rng *rng, int32_t frames, int32_t bins,
		      float *x);

#endif
