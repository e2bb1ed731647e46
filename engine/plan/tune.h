/* SPDX-License-Identifier: MIT */
/*
 * Choosing among a kernel's ways of cutting the work into tiles by measuring them when a program is
 * built. All ways give the same bytes, so an ill choice costs time alone.
 *
 * What was measured is remembered for the process, by instruction set and shape, so that loading a
 * model again, or its next level, measures nothing twice; and a program has but a few milliseconds.
 * Any number of threads may build programs at the same time.
 */
#ifndef NE_TUNE_H
#define NE_TUNE_H

#include "engine/kernels/table.h"

/* What a program may still spend. */
struct ne_tune {
	int64_t left_ns;
};
#define NE_TUNE_NS       2500000 /* of a program of one level */
#define NE_TUNE_LEVEL_NS 250000  /* and for each level more, whose shapes are others, */
#define NE_TUNE_MOST_NS  8000000 /* up to this */

/* The fastest way of @a, whose x, y and scratch are not looked at; 0 where nothing is measured. */
uint32_t ne_tune_conv_image(struct ne_tune *t, const struct ne_kernels *k,
			    const struct ne_conv_image_s8 *a);

#endif
