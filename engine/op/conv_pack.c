/* SPDX-License-Identifier: MIT */
/*
 * Packing the weights of convolutions and dense layers: once for all levels, which use prefixes of
 * both kinds of channels, and once more for those that have a copy of their own (plan/own.c). What
 * is packed lives in the program's pool.
 */
#include "engine/op/conv.h"

#include <stdlib.h>
#include <string.h>

static int pack(struct ne_lower *lw, const struct ne_conv *c, const struct ne_conv_weights *w,
		struct ne_packed *p)
{
	const bool s8 = w->type == NE_S8;
	const size_t size = s8 ? 1 : sizeof(float);
	const size_t per_group = (size_t)w->oc * w->taps * w->ic * size;
	size_t group = s8 ? ne_pack_conv_s8_bytes(lw->k, w->oc, w->taps, w->ic)
			  : ne_pack_conv_f32_elements(lw->k, w->oc, w->taps, w->ic) * size;
	bool filled;
	char *dst;

	filled = group % NE_ALIGN == 0;
	group = ne_round_up(group, NE_ALIGN);
	if (group > NE_MAX_POOL_BYTES / w->groups)
		return ne_lower_no_memory(lw, c->n);
	dst = filled ? ne_pool_alloc_unset(lw->pool, group * w->groups)
		     : ne_pool_alloc(lw->pool, group * w->groups);
	if (!dst)
		return ne_lower_no_memory(lw, c->n);
	for (uint32_t g = 0; g < w->groups; g++) {
		const void *from = (const char *)w->data + g * per_group;

		if (s8)
			ne_pack_conv_s8(lw->k, (int8_t *)(dst + g * group), from, w->oc, w->taps,
					w->ic, &p->tap_stride, &p->block_stride);
		else
			ne_pack_conv_f32(lw->k, (float *)(void *)(dst + g * group), from, w->oc,
					 w->taps, w->ic, &p->tap_stride, &p->block_stride);
	}
	p->group_stride = group / size;
	p->w = dst;
	return 0;
}

/* The first @ic input and @oc output channels of the weights @w of @taps taps; freed with free(). */
static void *prefix_of(const struct ne_tensor *w, uint32_t oc, uint32_t taps, uint32_t ic)
{
	const size_t size = ne_dtype_size(w->dtype), full = (size_t)ne_shape_last(&w->shape) * size;
	const size_t rows = (size_t)oc * taps, row = ic * size;
	char *prefix = malloc(rows * row);

	for (size_t i = 0; prefix && i < rows; i++)
		memcpy(prefix + i * row, (const char *)w->data + i * full, row);
	return prefix;
}

/* As a kernel of s8 images wants them that takes more than what conv_image_s8 does: a copy may take
 * more than it was counted with, as long as the budget has it. */
static int pack_s8(struct ne_lower *lw, const struct ne_conv *c, const struct ne_conv_weights *w,
		   struct ne_packed *p, const struct ne_own *own)
{
	const size_t room = own ? own->bytes + lw->own_left : SIZE_MAX;
	const size_t before = lw->pool->bytes;
	size_t took;

	if (!p->no_winograd)
		NE_RETURN_IF(ne_conv_pack_winograd(lw, c, w, room, p));
	if (!p->winograd && !p->no_quads && lw->k->conv_quads_s8)
		NE_RETURN_IF(ne_conv_pack_quads(lw, c, w, room, p));
	took = lw->pool->bytes - before;
	if (own && took > own->bytes)
		lw->own_left -= NE_MIN(took - own->bytes, lw->own_left);
	return 0;
}

static int pack_either(struct ne_lower *lw, const struct ne_conv *c, struct ne_conv_weights *w,
		       struct ne_packed *p, const struct ne_own *own)
{
	if (c->image && w->type == NE_S8)
		NE_RETURN_IF(pack_s8(lw, c, w, p, own));
	if (p->winograd || p->quads)
		return 0;
	if (c->packed_taps != c->taps) { /* taps side by side count as channels of one */
		w->ic *= w->taps / c->packed_taps;
		w->taps = c->packed_taps;
	}
	return pack(lw, c, w, p);
}

int ne_conv_pack(struct ne_lower *lw, struct ne_conv *c)
{
	const struct ne_tensor *w = &lw->g->tensor[c->n->in[1]];
	struct ne_own *own = ne_own_of(lw, c->n, c->ic);
	struct ne_packed *p = own ? &own->packed : &lw->packed[c->n - lw->g->node];
	/* full width: levels use prefixes */
	struct ne_conv_weights s = {w->data,   w->dtype,
				    c->groups, (uint32_t)w->shape.dim[0] / c->groups,
				    c->taps,   (uint32_t)ne_shape_last(&w->shape)};
	void *prefix = NULL;
	int r;

	c->packed = p;
	if (p->w || p->winograd || p->quads)
		return 0;
	if (own) {
		s.data = prefix = prefix_of(w, own->oc, c->taps, own->ic);
		s.oc = own->oc;
		s.ic = own->ic;
		if (!prefix)
			return ne_lower_no_memory(lw, c->n);
	}
	r = pack_either(lw, c, &s, p, own);
	free(prefix);
	return r;
}
