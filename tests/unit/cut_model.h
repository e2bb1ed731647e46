/* SPDX-License-Identifier: MIT */
#ifndef TEST_CUT_MODEL_H
#define TEST_CUT_MODEL_H

#include "engine/model/model.h"

/* The level of @m as a model of its own: weights cut, one width, its exit and what that needs
 * alone. Never NULL. */
struct ne_model *cut_model(const struct ne_model *m, uint32_t level);

#endif
