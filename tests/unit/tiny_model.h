/* SPDX-License-Identifier: MIT */
/* The smallest model with two exits whose answers are known, and data for it. */
#ifndef NEAP_TEST_TINY_MODEL_H
#define NEAP_TEST_TINY_MODEL_H

#include "engine/model/model.h"

#define TINY_CLASSES 4

/*
 * Input "x" f32 [1,4]. Exit 0 answers x itself, exit 1 x in reverse order; so the largest input is
 * at class k of exit 0 and at class 3 - k of exit 1. Labels a, b, c, d; two levels, both on the
 * front.
 */
struct ne_model *tiny_model(void);

/* A model whose only work is relu on an input of @dtype and @shape: for what feeds it. Its weights
 * are none, its input quantisation is @quant. */
struct ne_model *tiny_input(enum ne_dtype dtype, const struct ne_shape *shape,
			    struct ne_quant quant);

#endif
