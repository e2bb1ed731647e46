/* SPDX-License-Identifier: MIT */
/* Which measured points become levels that the governor may choose. */
#ifndef NEAP_TRAIN_FRONT_H
#define NEAP_TRAIN_FRONT_H

#include "engine/model/model.h"

/*
 * Marks the Pareto front of MACs against @accuracy (one a level, in their order, measured on held-out
 * data), leaving out what is below @min_accuracy and, beyond @most, the points that add least. Then
 * sorts the levels: the front by rising MACs, the others behind it. -ERANGE where no level is left.
 */
int front_choose(struct ne_model *m, const float *accuracy, float min_accuracy, uint32_t most);

/*
 * Takes off the front what a network of the same shape trained alone (control_accuracy, where known)
 * beats by more than @margin: such a level is not worth its place. Sorts as front_choose() does.
 * Returns how many were taken off; -ERANGE, and nothing is changed, where none would be left.
 */
int front_drop_beaten(struct ne_model *m, float margin);

#endif
