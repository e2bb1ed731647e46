/* SPDX-License-Identifier: MIT */
/* What the files that lower convolutions share. Internal to engine/op. */
#ifndef NE_CONV_H
#define NE_CONV_H

#include "engine/op/op.h"
#include "engine/plan/plan.h"

/* What a convolution adds up where that is not the taps of its window as they are: runs of @length
 * inputs, of which at[i] is the number in [kh][kw * ic]; a run may come more than once. */
struct ne_conv_runs {
	uint32_t n, length;
	const uint32_t *at;
};

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
	const struct ne_conv_runs *runs; /* of the image kernel, NULL: the taps */
};

/* Packs the weights, or finds them packed: sets c->packed. */
int ne_conv_pack(struct ne_lower *lw, struct ne_conv *c);
/* Weights as the graph has them: [groups][oc][taps][ic], one after another. */
struct ne_conv_weights {
	const void *data;
	enum ne_dtype type;
	uint32_t groups, oc, taps, ic;
};

/* Whether it is best worked out by conv_image_s8; sets packed_taps then. */
bool ne_conv_as_image(const struct ne_lower *lw, struct ne_conv *c);
/* The step, and the addition fused into it; weights are packed. @magnitude: sums of |w| of each output channel. */
int ne_conv_lower_image(struct ne_lower *lw, const struct ne_conv *c,
			const struct ne_channels_s8 *ch, const int64_t *magnitude);

/* The rows that @c reads, @pixel elements of scratch for each; chunk is 1. */
struct ne_image_rows ne_conv_rows(const struct ne_conv *c, uint32_t pixel);
/* Sets chunk, for elements of scratch of @elem bytes. */
void ne_conv_choose_chunk(struct ne_image_rows *im, size_t elem, uint32_t oc);
/* Whether the sum of one of @n output channels times its factor may pass 2^31. */
bool ne_channels_are_wide(uint32_t n, const struct ne_channels_s8 *ch, const int64_t *magnitude);
/* What windows read beside the image, s8: @channels times input 0's zero point; NULL: no memory. */
const int8_t *ne_lower_padding(struct ne_lower *lw, const struct ne_node *n, size_t channels);

/* The addition fused into the convolution (lw->add), where there is any. */
struct ne_conv_sum {
	bool any, first; /* first: the convolution's result is the first operand */
	struct ne_ref other;
};
/* Its factors to *add and where its other operand is; *wide is set where it is so. Returns the tensor
 * that the step writes. */
uint32_t ne_conv_lower_sum(const struct ne_lower *lw, struct ne_add_s8 *add, bool *wide,
			   struct ne_conv_sum *ret);

static inline void ne_conv_bind_sum(const struct ne_conv_sum *s, const struct ne_frame *f,
				    struct ne_add_s8 *add)
{
	if (!s->any)
		return;
	add->a = s->first ? NULL : ne_at(f, s->other);
	add->b = s->first ? ne_at(f, s->other) : NULL;
}

/* What ne_pack_quads() gave. */
struct ne_conv_quads {
	const uint32_t *first;
	const int32_t *offset;
	const int8_t *w;
};

/* Packs @w, whose inputs are those of @c, for conv_quads_s8 where that is the best kernel for @c, an
 * image, and takes at most @room bytes: p->quads is set then, and else p->no_quads. */
int ne_conv_pack_quads(struct ne_lower *lw, const struct ne_conv *c,
		       const struct ne_conv_weights *w, size_t room, struct ne_packed *p);
/* The step, as ne_conv_lower_image(). */
int ne_conv_lower_quads(struct ne_lower *lw, const struct ne_conv *c,
			const struct ne_channels_s8 *ch, const int64_t *magnitude);

/* Packs @w for conv_winograd_s8 where that can do @c, is the best, and takes at most @room bytes:
 * p->winograd is set then, and tap_stride is from point to point. */
int ne_conv_pack_winograd(struct ne_lower *lw, const struct ne_conv *c,
			  const struct ne_conv_weights *w, size_t room, struct ne_packed *p);
/* The step, as ne_conv_lower_image(). */
int ne_conv_lower_winograd(struct ne_lower *lw, const struct ne_conv *c,
			   const struct ne_channels_s8 *ch, const int64_t *magnitude);

#endif
