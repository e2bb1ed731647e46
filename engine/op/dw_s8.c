/* SPDX-License-Identifier: MIT */
/*
 * Depthwise layers in s8, of s8 weights or of the s8 parts of u8 ones: over whole rows of the image
 * where the kernels have that (dw_image.c, dw_square.c), else over an indirection table.
 */
#include "engine/op/conv_u8.h"
#include "engine/op/dw_image.h"

#include <stdlib.h>

struct dw_args {
	struct ne_dw_s8 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_dw_s8 *a);
};

static void run_dw(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct dw_args *c = s->args;
	struct ne_dw_s8 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = (int8_t *)ne_at(f, c->y) + first * a.y_stride;
	a.ind += (size_t)first * a.taps;
	a.n_pix = n;
	c->fn(&a);
}

/* Bias and factor of each channel; @magnitude: zeros, gets the sums of |w|. */
static int lower_channels(struct ne_lower *lw, const struct ne_node *n, uint32_t channels,
			  const struct ne_dw_weights *w, int32_t shift, struct ne_channels_s8 *ch,
			  int64_t *magnitude)
{
	int64_t *sum = calloc(channels, sizeof(*sum));
	int r;

	if (!sum)
		return ne_lower_no_memory(lw, n);
	for (uint32_t t = 0; t < w->taps; t++)
		for (uint32_t c = 0; c < channels; c++) {
			sum[c] += w->v[t * w->stride + c];
			magnitude[c] += abs(w->v[t * w->stride + c]);
		}
	r = ne_lower_channels_s8(lw, n, channels, sum, magnitude, shift, channels, channels, ch);
	free(sum);
	return r;
}

static int lower_windows(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
			 const struct ne_dw_weights *weights, const struct ne_channels_s8 *ch)
{
	const uint32_t n_pix = (uint32_t)w->oh * (uint32_t)w->ow, c = (uint32_t)w->x.c;
	const uint32_t taps = (uint32_t)w->win.kh * (uint32_t)w->win.kw;
	struct ne_quant qy = ne_lower_quant(lw, lw->y);
	struct dw_args s = {.fn = lw->k->dw_s8};
	const int32_t *all, *ind;

	NE_RETURN_IF(ne_lower_windows(lw, n, w, &all));
	NE_RETURN_IF(
		ne_lower_select_taps(lw, n, all, n_pix, taps, weights->taps, weights->tap, &ind));
	s.a = (struct ne_dw_s8){
		.ind = ind,
		.pad = ne_lower_padding(lw, n, c),
		.taps = weights->taps,
		.c = c,
		.w = ne_lower_table(lw, weights->v, (size_t)weights->taps * weights->stride),
		.w_tap_stride = weights->stride,
		.bias = ch->bias,
		.mult = ch->mult,
		.zp = qy.zero,
		.y_stride = c,
	};
	if (!s.a.pad || !s.a.w)
		return ne_lower_no_memory(lw, n);
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.x = lw->ref[n->in[0]];
	s.y = lw->ref[lw->y];
	return ne_lower_step(lw, run_dw, &s, sizeof(s), n_pix, 8,
			     (uint64_t)n_pix * weights->taps * c, lw->y);
}

int ne_dw_lower_s8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
		   const struct ne_dw_weights *weights)
{
	const bool image = ne_dw_as_image(lw, w, weights);
	const uint32_t c = (uint32_t)w->x.c;
	int64_t *mag = calloc(c, sizeof(*mag));
	struct ne_channels_s8 ch;
	int r;

	if (!mag)
		return ne_lower_no_memory(lw, n);
	r = lower_channels(lw, n, c, weights, image ? lw->k->dw_image_shift : 0, &ch, mag);
	if (r == 0)
		r = image ? ne_dw_lower_image(lw, n, w, weights, &ch, mag)
			  : lower_windows(lw, n, w, weights, &ch);
	free(mag);
	return r;
}
