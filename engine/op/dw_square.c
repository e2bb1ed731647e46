/* SPDX-License-Identifier: MIT */
/* Depthwise convolutions of 3x3, s8, by pairs of rows (dw_square_s8 of kernels/table.h). */
#include "engine/op/dw_image.h"
#include "engine/op/conv.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 16384u /* of input rows at a time: in the first cache */
#define CHANNELS    32u    /* at a time, where a row of all is more: half a cache line of output */

struct square_args {
	struct ne_dw_square_s8 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_dw_square_s8 *a);
};

static void run_square(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		       uint32_t n)
{
	const struct square_args *c = s->args;
	struct ne_dw_square_s8 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = ne_at(f, c->y);
	a.scratch = f->scratch;
	a.first = first;
	a.n = n;
	c->fn(&a);
}

bool ne_dw_is_square(const struct ne_lower *lw, const struct ne_windows *w,
		     const struct ne_dw_weights *weights)
{
	const struct ne_window *v = &w->win;

	return lw->k->dw_square_s8 && v->kh == 3 && v->kw == 3 && v->dh == 1 && v->dw == 1 &&
	       (v->sh == 1 || v->sh == 2) && w->x.c >= 8 && !ne_dw_is_longer(w, weights);
}

static struct ne_image_rows rows_of(const struct ne_windows *w, int8_t zero)
{
	const struct ne_window *v = &w->win;
	const uint32_t step = v->sh == 1 ? 2 : 1;
	struct ne_image_rows im = {
		.h = w->x.h,
		.w = w->x.w,
		.oh = w->oh,
		.ow = w->ow,
		.sh = v->sh,
		.sw = v->sw,
		.top = v->pad_top,
		.left = v->pad_left,
		.rows = 3,
		.columns = (w->ow - 1) * v->sw + 3,
		.pixel = (uint32_t)w->x.c,
		.chunk = step,
		.zero = zero,
	};

	if (im.pixel > CHANNELS && ne_dw_square_scratch(&im) > CHUNK_BYTES)
		im.pixel = CHANNELS;
	while (im.chunk < (uint32_t)w->oh) {
		im.chunk += step;
		if (ne_dw_square_scratch(&im) > CHUNK_BYTES) {
			im.chunk -= step;
			break;
		}
	}
	return im;
}

/* [c] values of 32 bits, zeros to a multiple of 8. */
static const void *lower_channels(struct ne_lower *lw, const void *values, uint32_t c)
{
	const size_t n = ne_round_up(c, 8);
	uint32_t *padded = calloc(n, sizeof(*padded));
	const void *kept = NULL;

	if (padded) {
		memcpy(padded, values, c * sizeof(*padded));
		kept = ne_lower_table(lw, padded, n * sizeof(*padded));
	}
	free(padded);
	return kept;
}

static const int16_t *lower_weights(struct ne_lower *lw, const struct ne_dw_weights *v, uint32_t c,
				    int32_t sh)
{
	const size_t bytes = ne_pack_dw_square_bytes(c, sh);
	int16_t *packed = malloc(bytes);
	const void *kept = NULL;

	if (packed) {
		ne_pack_dw_square(packed, v->v, v->stride, c, sh);
		kept = ne_lower_table(lw, packed, bytes);
	}
	free(packed);
	return kept;
}

int ne_dw_lower_square(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
		       const struct ne_dw_weights *weights, const struct ne_channels_s8 *ch,
		       const int64_t *magnitude)
{
	const struct ne_quant qx = ne_lower_quant(lw, n->in[0]), qy = ne_lower_quant(lw, lw->y);
	const uint32_t c = (uint32_t)w->x.c;
	struct square_args s = {
		.fn = lw->k->dw_square_s8,
		.x = lw->ref[n->in[0]],
		.y = lw->ref[lw->y],
	};

	s.a = (struct ne_dw_square_s8){
		.im = rows_of(w, (int8_t)qx.zero),
		.c = c,
		.w = lower_weights(lw, weights, c, w->win.sh),
		.bias = lower_channels(lw, ch->bias, c),
		.mult = lower_channels(lw, ch->mult, c),
		.wide = ne_channels_are_wide(c, ch, magnitude),
		.zp = qy.zero,
	};
	if (!s.a.w || !s.a.bias || !s.a.mult)
		return ne_lower_no_memory(lw, n);
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	ne_lower_scratch(lw, ne_dw_square_scratch(&s.a.im));
	return ne_lower_step(lw, run_square, &s, sizeof(s), (size_t)w->oh, w->win.sh == 1 ? 2 : 1,
			     (uint64_t)w->oh * (uint64_t)w->ow * 9 * c, lw->y);
}
