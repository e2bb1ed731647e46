/* SPDX-License-Identifier: MIT */
/* Convolutions of 3x3, s8, by Winograd's algorithm (conv_winograd_s8 of kernels/table.h). */
#include "engine/op/conv.h"

#include "engine/plan/pool.h"

#define SCRATCH_BYTES 20480u     /* of transformed inputs at a time: in the first cache */
#define MOST_WEIGHTS  (4u << 20) /* bytes: they take 3.6 times what the plain ones do */
#define LEAST_PIXELS  36u        /* fewer do not fill the tiles of the products */

struct winograd_args {
	struct ne_conv_winograd_s8 a;
	struct ne_ref x, y;
	struct ne_conv_sum sum;
	void (*fn)(const struct ne_conv_winograd_s8 *a);
};

static void run_winograd(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			 uint32_t n)
{
	const struct winograd_args *c = s->args;
	struct ne_conv_winograd_s8 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = ne_at(f, c->y);
	ne_conv_bind_sum(&c->sum, f, &a.add);
	a.scratch = f->scratch;
	a.first = first;
	a.n = n;
	c->fn(&a);
}

bool ne_winograd_suits(const struct ne_kernels *k, const struct ne_node *n, uint32_t pixels,
		       uint32_t oc, uint32_t ic)
{
	const struct ne_window *v = &n->attr.window;

	return k->conv_winograd_s8 && v->kh == 3 && v->kw == 3 && v->sh == 1 && v->sw == 1 &&
	       v->dh == 1 && v->dw == 1 && n->attr.groups == 1 && ic % 16 == 0 &&
	       ic <= NE_WINOGRAD_INPUTS && oc % 16 == 0 && pixels >= LEAST_PIXELS &&
	       ne_pack_winograd_bytes(oc, ic) <= MOST_WEIGHTS;
}

int ne_conv_pack_winograd(struct ne_lower *lw, const struct ne_conv *c,
			  const struct ne_conv_weights *w, size_t room, struct ne_packed *p)
{
	const size_t bytes = ne_pack_winograd_bytes(w->oc, w->ic);
	int16_t *dst;

	if (!c->image || !ne_winograd_suits(lw->k, c->n, c->n_pix, w->oc, w->ic) || bytes > room)
		return 0;
	dst = ne_pool_alloc(lw->pool, bytes);
	if (!dst)
		return ne_lower_no_memory(lw, c->n);
	ne_pack_winograd(dst, w->data, w->oc, w->ic);
	p->winograd = dst;
	p->tap_stride = (size_t)w->ic * 16;
	return 0;
}

int ne_conv_lower_winograd(struct ne_lower *lw, const struct ne_conv *c,
			   const struct ne_channels_s8 *ch, const int64_t *magnitude)
{
	const struct ne_quant qx = ne_lower_quant(lw, c->n->in[0]), qy = ne_lower_quant(lw, lw->y);
	struct winograd_args s = {.fn = lw->k->conv_winograd_s8};
	uint32_t y, rows;

	s.a = (struct ne_conv_winograd_s8){
		.im = ne_conv_rows(c, c->ic),
		.ic = c->ic,
		.oc = c->oc,
		.w = c->packed->winograd,
		.w_point = c->packed->tap_stride,
		.bias = ch->bias,
		.mult = ch->mult,
		.wide = ne_channels_are_wide(c->oc, ch, magnitude),
		.zp = qy.zero,
		.y_stride = c->oc,
	};
	s.a.im.zero = (int8_t)qx.zero;
	rows = ((uint32_t)c->oh + 1) / 2;
	while (s.a.im.chunk < rows) {
		s.a.im.chunk++;
		if (ne_winograd_scratch(&s.a.im) > SCRATCH_BYTES) {
			s.a.im.chunk--;
			break;
		}
	}
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.x = lw->ref[c->n->in[0]];
	y = ne_conv_lower_sum(lw, &s.a.add, &s.a.wide, &s.sum);
	s.y = lw->ref[y];
	ne_lower_scratch(lw, ne_winograd_scratch(&s.a.im));
	return ne_lower_step(lw, run_winograd, &s, sizeof(s), rows, 1,
			     (uint64_t)c->n_pix * c->taps * c->ic * c->oc, y);
}
