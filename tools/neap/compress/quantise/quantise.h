/* SPDX-License-Identifier: MIT */
/*
 * Post-training quantisation to s8: weights symmetric per output channel, activations affine per
 * tensor and per width setting, ranges observed on calibration samples.
 */
#ifndef NEAP_TOOL_QUANTISE_H
#define NEAP_TOOL_QUANTISE_H

#include "engine/model/model.h"
#include "tools/neap/data/data.h"

struct quantise_options {
	size_t samples;   /* calibration samples used; 0 = 512 */
	float percentile; /* of |activation| kept in range, e.g. 0.9999; 0 = min and max */
};

/*
 * Makes the s8 model of a f32 model with one or many widths: every width is calibrated at full
 * depth with every exit's head. Inputs keep their type (a quantise node follows); outputs stay f32.
 */
int quantise_model(const struct ne_model *f32, const struct data_set *calib,
		   const struct quantise_options *opt, struct ne_model **ret, struct ne_error *err);

#endif
