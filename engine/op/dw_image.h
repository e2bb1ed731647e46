/* SPDX-License-Identifier: MIT */
/* What the files that lower depthwise layers share. Internal to engine/op. */
#ifndef NE_DW_IMAGE_H
#define NE_DW_IMAGE_H

#include "engine/op/op.h"
#include "engine/plan/plan.h"

/* s8 weights [taps][channels], @stride apart; tap i is tap tap[i] of the window. */
struct ne_dw_weights {
	const int8_t *v;
	size_t stride;
	uint32_t taps;
	const uint32_t *tap; /* NULL where they are those of the window, in its order */
};

/* More taps than the window has: they are laid out as a window of more rows. */
static inline bool ne_dw_is_longer(const struct ne_windows *w, const struct ne_dw_weights *v)
{
	return v->taps > (uint32_t)w->win.kh * (uint32_t)w->win.kw;
}

/* Whether dw_image_s8 can do the node whose windows are @w. */
bool ne_dw_as_image(const struct ne_lower *lw, const struct ne_windows *w,
		    const struct ne_dw_weights *weights);
/* The step. @ch: with the shift that dw_image_s8 takes; @magnitude: sums of |w| of each channel. */
int ne_dw_lower_image(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
		      const struct ne_dw_weights *weights, const struct ne_channels_s8 *ch,
		      const int64_t *magnitude);

/* The same by dw_square_s8, and whether that can do it. */
bool ne_dw_is_square(const struct ne_lower *lw, const struct ne_windows *w,
		     const struct ne_dw_weights *weights);
int ne_dw_lower_square(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
		       const struct ne_dw_weights *weights, const struct ne_channels_s8 *ch,
		       const int64_t *magnitude);
/* The whole of an s8 layer with these weights, by the best kernel (dw_s8.c). */
int ne_dw_lower_s8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
		   const struct ne_dw_weights *weights);

#endif
