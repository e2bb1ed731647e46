/* SPDX-License-Identifier: MIT */
/* Accuracy of a model's levels on a data set; shared by eval, train and import. */
#ifndef NEAP_TOOL_EVALUATE_H
#define NEAP_TOOL_EVALUATE_H

#include "engine/model/model.h"
#include "tools/neap/data/data.h"

/*
 * Converts sample @i of @d to the bytes that input 0 of the model takes: same type: copied; u8 or
 * s16 to f32: value * scale + offset from the model's notes "input_scale" and "input_offset"
 * (defaults 1 and 0); u8 to s8 by the input's quantisation. A sample [H,W,C] for an input
 * [1,C,H,W] is transposed. -EINVAL where the number of elements differs.
 */
struct sample_feeder; /* made once per model and data set */
int sample_feeder_new(const struct ne_model *m, const struct data_set *d,
		      struct sample_feeder **ret, struct ne_error *err);
void sample_feeder_free(struct sample_feeder *f);
void sample_feed(const struct sample_feeder *f, size_t i, void *dst);

/*
 * Share of samples whose largest output is their class, for level @level (index into m->level) or,
 * for UINT32_MAX, every level: ret_accuracy[n_level]. @limit: first samples only, 0 = all.
 * Uses @threads threads (0 = one per CPU).
 */
int evaluate_levels(const struct ne_model *m, const struct data_set *d, uint32_t level,
		    size_t limit, unsigned threads, float *ret_accuracy, struct ne_error *err);

#endif
