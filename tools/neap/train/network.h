/* SPDX-License-Identifier: MIT */
/*
 * The network in training: an engine graph that still has its batch norm nodes, and where each of
 * its parameters lies in one flat vector. All widths share that vector: a width uses the first
 * channels of each parameter.
 */
#ifndef NEAP_TRAIN_NETWORK_H
#define NEAP_TRAIN_NETWORK_H

#include "engine/model/model.h"
#include "tools/neap/train/recipe.h"

#define NETWORK_NONE SIZE_MAX

struct network {
	struct ne_graph graph; /* inputs, features, trunk, heads with softmax */
	uint32_t feed;         /* f32 tensor that training feeds: after dequantise or log-mel */
	uint32_t n_class, n_exit;
	uint32_t logits[NE_MAX_EXITS]; /* tensor of each exit before its softmax */
	struct ne_quant normalise;     /* of the graph's input; scale 0 = none */
	uint32_t n_width;
	int32_t *active[RECIPE_MAX_WIDTHS]; /* [n_group + 1] each */

	size_t n_theta;
	size_t *theta_of; /* [n_tensor]: offset of a parameter, or NETWORK_NONE */
	size_t n_stat;
	size_t *stat_of; /* [n_node]: offset of a batch norm's statistics, or NETWORK_NONE */
};

/* Builds the recipe's blocks for @n_class classes. */
int network_build(const struct recipe *r, uint32_t n_class, struct network *ret,
		  struct ne_error *err);
/* Takes the network of an imported model with one exit: batch norms are put where they were folded
 * away, channel groups found and sorted by importance, and the graph's own weights are where
 * training starts (tape_adopt_norms() then fits the norms to the data). */
int network_import(const struct recipe *r, const struct ne_model *m, struct network *ret,
		   struct ne_error *err);
void network_done(struct network *n);

/* Groups' active channels at a fraction of the full width: multiples of 8 where a group is wider. */
int32_t network_cut(int32_t channels, float fraction);

/* Channels of a tensor's last axis, and values in one sample of it, at @active. */
int32_t network_channels(const struct network *n, const int32_t *active, uint32_t tensor);
size_t network_elements(const struct network *n, const int32_t *active, uint32_t tensor);

/* First values: He's normal for the fan-in at @active (so that a narrow network alone starts as it
 * should), 1 and 0 for batch norms. Imported constants are copied instead. */
void network_init_theta(const struct network *n, const int32_t *active, uint32_t seed, bool fresh,
			float *theta);
/* Whether weight decay applies to the parameter @tensor: weights, not biases nor norms. */
bool network_decays(const struct network *n, uint32_t tensor);

#endif
