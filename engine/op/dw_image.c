/* SPDX-License-Identifier: MIT */
/* Depthwise convolutions over whole rows of an image, s8 (dw_image_s8 of kernels/table.h). */
#include "engine/op/dw_image.h"
#include "engine/op/conv.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES  16384u     /* of input rows at a time: in the first cache */
#define MOST_SCRATCH (1u << 20) /* rows longer than that go to the kernel with indirection */

struct image_args {
	struct ne_dw_image_s8 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_dw_image_s8 *a);
};

static void run_image(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct image_args *c = s->args;
	struct ne_dw_image_s8 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = ne_at(f, c->y);
	a.scratch = f->scratch;
	a.first = first;
	a.n = n;
	c->fn(&a);
}

static bool is_pair(const struct ne_lower *lw, const struct ne_windows *w,
		    const struct ne_dw_weights *v)
{
	return lw->k->dw_image_taps > 1 && w->win.sh == 1 && w->win.dh == 1 && w->oh > 1 &&
	       !ne_dw_is_longer(w, v);
}

/* Rows, planes and chunk of @a; the other fields are not looked at. */
static void set_rows(const struct ne_lower *lw, const struct ne_windows *w, bool pair,
		     struct ne_dw_image_s8 *a)
{
	const struct ne_window *v = &w->win;
	const int32_t step = pair ? 2 : 1;
	size_t row;

	a->c = (uint32_t)w->x.c;
	a->pixels = ne_dw_image_pixels(lw->k, a->c);
	a->planes = a->pixels > 1 ? (uint32_t)v->sw : 1;
	a->pair = pair;
	a->im = (struct ne_image_rows){
		.h = w->x.h,
		.w = w->x.w,
		.oh = w->oh,
		.ow = w->ow,
		.sh = v->sh,
		.sw = v->sw,
		.top = v->pad_top,
		.left = v->pad_left,
		.rows = (v->kh - 1) * v->dh + 1,
		.columns = (w->ow - 1) * v->sw + (v->kw - 1) * v->dw + 1,
		.pixel = a->c,
		.chunk = (uint32_t)step,
	};
	a->im.columns = (int32_t)ne_round_up((size_t)a->im.columns, a->planes);
	row = (size_t)a->im.columns * a->c * lw->k->dw_image_elem;
	while (a->im.chunk < (uint32_t)w->oh &&
	       ((size_t)(a->im.chunk + (uint32_t)step) * (size_t)v->sh + (size_t)a->im.rows) *
			       row <=
		       CHUNK_BYTES)
		a->im.chunk += (uint32_t)step;
}

static struct ne_dw_shape shape_of(const struct ne_lower *lw, const struct ne_windows *w,
				   const struct ne_dw_weights *v)
{
	const uint32_t kw = (uint32_t)w->win.kw;

	return (struct ne_dw_shape){
		.kh = (v->taps + kw - 1) / kw,
		.kw = kw,
		.c = (uint32_t)w->x.c,
		.pair = is_pair(lw, w, v),
	};
}

bool ne_dw_as_image(const struct ne_lower *lw, const struct ne_windows *w,
		    const struct ne_dw_weights *v)
{
	const struct ne_dw_shape s = shape_of(lw, w, v);
	struct ne_dw_image_s8 a;

	if (!lw->k->dw_image_s8 || s.kh > NE_DW_MAX_GROUPS ||
	    w->win.kw > (int32_t)NE_DW_MAX_GROUPS ||
	    ne_dw_image_groups(lw->k, &s) > NE_DW_MAX_GROUPS)
		return false;
	if ((int64_t)w->ow * w->win.sw > (1 << 20)) /* before columns are worked out in 32 bits */
		return false;
	set_rows(lw, w, s.pair, &a);
	return (int64_t)a.im.columns * a.c * a.im.rows <= MOST_SCRATCH;
}

/* The tap of the window that place @i of the weights reads: any where there is none. */
static int32_t window_tap(const struct ne_windows *w, const struct ne_dw_weights *v, int32_t i)
{
	if (!ne_dw_is_longer(w, v))
		return NE_MAX(i, 0);
	return i >= 0 && i < (int32_t)v->taps ? (int32_t)v->tap[i] : 0;
}

/* Offsets of the groups' taps in scratch; a place without a tap reads the first. */
static const int32_t *lower_offsets(struct ne_lower *lw, const struct ne_windows *w,
				    const struct ne_dw_weights *v, const struct ne_dw_image_s8 *a)
{
	const struct ne_dw_shape s = shape_of(lw, w, v);
	const uint32_t n = a->n_group * lw->k->dw_image_taps;
	const int32_t plane = a->im.columns / (int32_t)a->planes;
	int32_t offset[NE_DW_MAX_GROUPS * 4];

	ne_dw_image_taps(lw->k, offset, &s);
	for (uint32_t i = 0; i < n; i++) {
		const int32_t tap = window_tap(w, v, offset[i]);
		const int32_t row = tap / w->win.kw * w->win.dh;
		const int32_t column = tap % w->win.kw * w->win.dw;
		const int32_t planes = (int32_t)a->planes;

		offset[i] = (row * a->im.columns + column % planes * plane + column / planes) *
			    (int32_t)a->c;
	}
	return ne_lower_table(lw, offset, n * sizeof(*offset));
}

static const void *lower_channels(struct ne_lower *lw, const void *values, uint32_t c)
{
	const size_t bytes =
		(size_t)ne_dw_image_blocks(lw->k, c) * lw->k->dw_image_lanes * sizeof(int32_t);
	void *packed = malloc(bytes);
	const void *kept = NULL;

	if (packed) {
		ne_pack_dw_channels(lw->k, packed, values, c);
		kept = ne_lower_table(lw, packed, bytes);
	}
	free(packed);
	return kept;
}

static const void *lower_weights(struct ne_lower *lw, const struct ne_windows *w,
				 const struct ne_dw_weights *v)
{
	const struct ne_dw_shape s = shape_of(lw, w, v);
	const size_t bytes = ne_pack_dw_image_bytes(lw->k, &s);
	const size_t places = (size_t)s.kh * s.kw;
	int8_t *whole = calloc(places, v->stride);
	void *packed = malloc(bytes);
	const void *kept = NULL;

	if (packed && whole) {
		/* the last row of a longer window need not be full */
		memcpy(whole, v->v, ((size_t)v->taps - 1) * v->stride + s.c);
		ne_pack_dw_image(lw->k, packed, whole, v->stride, &s);
		kept = ne_lower_table(lw, packed, bytes);
	}
	free(packed);
	free(whole);
	return kept;
}

int ne_dw_lower_image(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w,
		      const struct ne_dw_weights *weights, const struct ne_channels_s8 *ch,
		      const int64_t *magnitude)
{
	struct ne_quant qx = ne_lower_quant(lw, n->in[0]), qy = ne_lower_quant(lw, lw->y);
	struct image_args s = {.fn = lw->k->dw_image_s8};
	const struct ne_dw_shape shape = shape_of(lw, w, weights);

	if (ne_dw_is_square(lw, w, weights))
		return ne_dw_lower_square(lw, n, w, weights, ch, magnitude);
	set_rows(lw, w, shape.pair, &s.a);
	s.a.im.zero = (int8_t)qx.zero;
	s.a.n_group = ne_dw_image_groups(lw->k, &shape);
	s.a.wide = ne_channels_are_wide(s.a.c, ch, magnitude);
	s.a.zp = qy.zero;
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.a.offset = lower_offsets(lw, w, weights, &s.a);
	s.a.w = lower_weights(lw, w, weights);
	s.a.bias = lower_channels(lw, ch->bias, s.a.c);
	s.a.mult = lower_channels(lw, ch->mult, s.a.c);
	if (!s.a.offset || !s.a.w || !s.a.bias || !s.a.mult)
		return ne_lower_no_memory(lw, n);
	s.x = lw->ref[n->in[0]];
	s.y = lw->ref[lw->y];
	ne_lower_scratch(lw, ne_image_scratch(&s.a.im, false, lw->k->dw_image_elem));
	return ne_lower_step(lw, run_image, &s, sizeof(s), (size_t)w->oh, s.a.pair ? 2 : 1,
			     (uint64_t)w->oh * (uint64_t)w->ow * shape.kh * shape.kw * s.a.c,
			     lw->y);
}
