/* SPDX-License-Identifier: MIT */
/* What the files that lower convolutions share. Internal to engine/op. */
#ifndef NE_CONV_H
#define NE_CONV_H

#include "engine/op/op.h"
#include "engine/plan/plan.h"

/* A convolution or dense layer at one level, whatever its type. */
struct ne_conv {
	const struct ne_node *n;
	struct ne_image x; /* of the level */
	int32_t oh, ow;
	uint32_t n_pix, taps, ic, oc, groups; /* ic, oc: of one group */
	uint32_t nr;
	/* How the weights are packed, the same at every level: tap by tap (packed_taps = taps), the
	 * taps of a row as channels of one (kh), or all of them (1). */
	uint32_t packed_taps;
	bool patches, image;
	bool w_above_min; /* s8: see ne_conv_s8 */
	const int32_t *ind;
	const struct ne_packed *packed;
};

/* Whether it is best worked out by conv_image_s8; sets packed_taps then. */
bool ne_conv_as_image(const struct ne_lower *lw, struct ne_conv *c);
/* The step; weights are packed. @magnitude: sums of |w| of each output channel. */
int ne_conv_lower_image(struct ne_lower *lw, const struct ne_conv *c,
			const struct ne_channels_s8 *ch, const int64_t *magnitude);

#endif
