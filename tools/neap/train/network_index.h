/* SPDX-License-Identifier: MIT */
/* What the two ways to make a network share. */
#ifndef NEAP_TRAIN_NETWORK_INDEX_H
#define NEAP_TRAIN_NETWORK_INDEX_H

#include "tools/neap/train/network.h"

/* Fills parameters, statistics and widths once graph, feed and logits are there. */
int network_index(struct network *n, const struct recipe *r, struct ne_error *err);

#endif
