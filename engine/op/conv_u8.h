/* SPDX-License-Identifier: MIT */
/* How conv, dense and dwconv lower u8 weights, which have a zero point; see conv_u8.c. */
#ifndef NE_CONV_U8_H
#define NE_CONV_U8_H

#include "engine/op/op.h"
#include "engine/plan/plan.h"

struct ne_windows_u8 {
	const int32_t *ind; /* [n_pix][taps], of the windows themselves */
	uint32_t n_pix, taps, groups;
	uint32_t ic; /* active input channels of a group; for dwconv all channels */
};

int ne_lower_conv_u8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows_u8 *w);
int ne_lower_dwconv_u8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows_u8 *w);

#endif
