/* SPDX-License-Identifier: MIT */
/* How conv, dense and dwconv lower u8 weights, which have a zero point; see conv_u8.c. */
#ifndef NE_CONV_U8_H
#define NE_CONV_U8_H

#include "engine/op/conv.h"

/* @c: its windows (ind), or an image. */
int ne_lower_conv_u8(struct ne_lower *lw, const struct ne_conv *c);
/* Windows @w over @w->x.c active channels. */
int ne_lower_dwconv_u8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w);

#endif
