/* SPDX-License-Identifier: MIT */
/* From a trained network to a f32 model: batch norms folded per width, activations fused. */
#ifndef NEAP_TRAIN_ASSEMBLE_H
#define NEAP_TRAIN_ASSEMBLE_H

#include "tools/neap/train/network.h"

/* Batch norm statistics of every width: [n_stat] each. */
struct width_stats {
	float *mean[RECIPE_MAX_WIDTHS], *var[RECIPE_MAX_WIDTHS];
};

int width_stats_new(const struct network *n, struct width_stats *ret);
void width_stats_done(struct width_stats *s);

/* One level for every exit of every width, by rising MACs, none measured nor on the front. */
int assemble_model(const struct network *n, const float *theta, const struct width_stats *stats,
		   struct ne_model **ret, struct ne_error *err);

#endif
