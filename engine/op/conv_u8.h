/* SPDX-License-Identifier: MIT */
/* How conv, dense and dwconv lower u8 weights, which have a zero point; see conv_u8.c. */
#ifndef NE_CONV_U8_H
#define NE_CONV_U8_H

#include "engine/op/conv.h"

/* @c: its windows (ind), or an image. */
int ne_lower_conv_u8(struct ne_lower *lw, const struct ne_conv *c);
/* Windows @w over @w->x.c active channels. */
int ne_lower_dwconv_u8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w);

/* The windows' table @ind, @taps a pixel, as one of @n_tap a pixel, each of the window's tap[i]; @ind
 * itself where there are no more of them than the window has. */
int ne_lower_select_taps(struct ne_lower *lw, const struct ne_node *n, const int32_t *ind,
			 uint32_t n_pix, uint32_t taps, uint32_t n_tap, const uint32_t *tap,
			 const int32_t **ret);

#endif
