/* SPDX-License-Identifier: MIT */
/* Convolutions over whole rows of an image, s8, by quads (conv_quads_s8 of kernels/table.h). */
#include "engine/op/conv.h"

#include <stdlib.h>

#include "engine/plan/pool.h"

/* What conv_image_s8 takes for four inputs, a quad by itself, one of two, and a block; measured. */
#define IMAGE_TIME 100u
#define QUAD_TIME  68u
#define TWO_TIME   56u
#define BLOCK_TIME 100u

struct quads_args {
	struct ne_conv_quads_s8 a;
	struct ne_ref x, y;
	struct ne_conv_sum sum;
	void (*fn)(const struct ne_conv_quads_s8 *a);
};

static void run_quads(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct quads_args *c = s->args;
	struct ne_conv_quads_s8 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = ne_at(f, c->y);
	ne_conv_bind_sum(&c->sum, f, &a.add);
	a.scratch = f->scratch;
	a.first = first;
	a.n = n;
	c->fn(&a);
}

/* A window's runs: its rows, or its taps where they do not touch. */
static void runs_of(const struct ne_conv *c, uint32_t oc, int32_t *offset, struct ne_quads_shape *s)
{
	const struct ne_window *w = &c->n->attr.window;
	const struct ne_image_rows im = ne_conv_rows(c, c->ic);
	const int32_t columns = w->dw == 1 ? 1 : w->kw;

	*s = (struct ne_quads_shape){
		.oc = oc,
		.runs = (uint32_t)(w->kh * columns),
		.n = c->ic * (uint32_t)(w->kw / columns),
		.run_offset = offset,
	};
	for (int32_t y = 0; y < w->kh; y++)
		for (int32_t x = 0; x < columns; x++)
			offset[y * columns + x] =
				(y * w->dh * im.columns + x * w->dw) * (int32_t)c->ic;
}

/* At full width: levels use the first blocks. */
static int pack(struct ne_lower *lw, const struct ne_conv *c, const struct ne_conv_weights *w,
		size_t room, int32_t *offset, struct ne_packed *p)
{
	const uint32_t blocks = (w->oc + 7) / 8;
	struct ne_quads_shape s;
	struct {
		struct ne_conv_quads head;
		uint32_t first[];
	} * table;
	uint32_t twos;
	size_t n, head, time;
	int8_t *dst;

	runs_of(c, w->oc, offset, &s);
	n = ne_count_quads(&s, w->data, &twos);
	head = ne_round_up(sizeof(*table) + (2 * blocks + 1 + n) * sizeof(uint32_t), NE_ALIGN);
	time = (n - 2 * twos) * QUAD_TIME + 2 * (size_t)twos * TWO_TIME + blocks * BLOCK_TIME;
	p->no_quads = time > (size_t)blocks * s.runs * s.n * IMAGE_TIME / 4 ||
		      head + n * NE_QUAD_BYTES > room;
	if (p->no_quads)
		return 0;
	table = ne_pool_alloc(lw->pool, head + n * NE_QUAD_BYTES);
	if (!table)
		return ne_lower_no_memory(lw, c->n);
	offset = (int32_t *)table->first + 2 * blocks + 1;
	dst = (int8_t *)table + head;
	ne_pack_quads(&s, w->data, table->first, offset, dst);
	table->head = (struct ne_conv_quads){table->first, offset, dst};
	p->quads = &table->head;
	return 0;
}

int ne_conv_pack_quads(struct ne_lower *lw, const struct ne_conv *c,
		       const struct ne_conv_weights *w, size_t room, struct ne_packed *p)
{
	int32_t *offset = calloc(c->taps, sizeof(*offset));
	int r;

	if (!offset)
		return ne_lower_no_memory(lw, c->n);
	r = pack(lw, c, w, room, offset, p);
	free(offset);
	return r;
}

int ne_conv_lower_quads(struct ne_lower *lw, const struct ne_conv *c,
			const struct ne_channels_s8 *ch, const int64_t *magnitude)
{
	const struct ne_quant qx = ne_lower_quant(lw, c->n->in[0]), qy = ne_lower_quant(lw, lw->y);
	const struct ne_conv_quads *q = c->packed->quads;
	struct quads_args s = {.fn = lw->k->conv_quads_s8};
	uint32_t y;
	bool flat;

	s.a = (struct ne_conv_quads_s8){
		.im = ne_conv_rows(c, c->ic),
		.ic = c->ic,
		.oc = c->oc,
		.quad = q->first,
		.offset = q->offset,
		.w = q->w,
		.bias = ch->bias,
		.mult = ch->mult,
		.wide = ne_channels_are_wide(c->oc, ch, magnitude),
		.zp = qy.zero,
		.y_stride = c->oc,
	};
	s.a.im.zero = (int8_t)qx.zero;
	ne_conv_choose_chunk(&s.a.im, 1, c->oc);
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.x = lw->ref[c->n->in[0]];
	y = ne_conv_lower_sum(lw, &s.a.add, &s.a.wide, &s.sum);
	s.y = lw->ref[y];
	flat = ne_image_flat(&s.a.im);
	ne_lower_scratch(lw, ne_image_scratch(&s.a.im, flat, 1));
	return ne_lower_step(lw, run_quads, &s, sizeof(s),
			     flat ? (size_t)s.a.im.ow : (size_t)s.a.im.oh, flat ? 24 : 1,
			     (uint64_t)c->n_pix * c->taps * c->ic * c->oc, y);
}
