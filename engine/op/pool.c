/* SPDX-License-Identifier: MIT */
/*
 * Pooling: maximum, average, and the mean over the whole image. Taps in the padding are skipped.
 * s8 maxima are taken as they are; where output and input differ in quantisation a table follows.
 */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <stdlib.h>

#define MAX_TAPS_S8 (1u << 23) /* times 255 fits 32 bits */

NE_OP_CHECK(pool)
{
	const struct ne_window *w = &n->attr.window;

	NE_RETURN_IF(ne_check_f32_or_s8(g, n, err));
	NE_RETURN_IF(ne_check_same_group(g, n, err));
	NE_RETURN_IF(ne_check_window(n, err));
	if (w->pad_top >= (int64_t)(w->kh - 1) * w->dh + 1 ||
	    w->pad_left >= (int64_t)(w->kw - 1) * w->dw + 1 ||
	    w->pad_bottom >= (int64_t)(w->kh - 1) * w->dh + 1 ||
	    w->pad_right >= (int64_t)(w->kw - 1) * w->dw + 1)
		return ne_node_fail(err, EINVAL, n, "padding as wide as the window");
	return 0;
}

NE_OP_INFER(pool)
{
	struct ne_image x;
	int32_t oh, ow;

	(void)g;
	NE_RETURN_IF(ne_image_of(n, &in[0], &x, err));
	NE_RETURN_IF(ne_window_output(n, &x, &oh, &ow, err));
	*ret = in[0];
	if (ret->rank == 4)
		ret->dim[1] = oh;
	else if (oh != 1)
		return ne_node_fail(err, EINVAL, n, "a sequence has one row, the result %d", oh);
	ret->dim[ret->rank - 2] = ow;
	return 0;
}

NE_OP_CHECK(globalpool)
{
	NE_RETURN_IF(ne_check_f32_or_s8(g, n, err));
	return ne_check_same_group(g, n, err);
}

NE_OP_INFER(globalpool)
{
	struct ne_image x;

	(void)g;
	NE_RETURN_IF(ne_image_of(n, &in[0], &x, err));
	*ret = (struct ne_shape){.rank = 2, .dim = {1, x.c}};
	return 0;
}

struct pool_s8_args {
	struct ne_pool_s8 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_pool_s8 *a);
};

struct pool_f32_args {
	struct ne_pool_f32 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_pool_f32 *a);
};

static void run_s8(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct pool_s8_args *c = s->args;
	struct ne_pool_s8 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = (int8_t *)ne_at(f, c->y) + first * a.y_stride;
	a.ind += (size_t)first * a.taps;
	if (a.mult)
		a.mult += first;
	a.n_pix = n;
	c->fn(&a);
}

static void run_f32(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct pool_f32_args *c = s->args;
	struct ne_pool_f32 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = (float *)ne_at(f, c->y) + first * a.y_stride;
	a.ind += (size_t)first * a.taps;
	if (a.mult)
		a.mult += first;
	a.n_pix = n;
	c->fn(&a);
}

struct pool {
	const struct ne_node *n;
	uint32_t n_pix, taps, c;
	const int32_t *ind;
	const float *mult; /* averages */
};

/* Every window has a tap in the image; @sx / (taps counted * @sy) for the averages, each step in
 * f32 as ONNX Runtime has it. */
static int lower_counts(struct ne_lower *lw, struct pool *p, float sx, float sy)
{
	bool average = p->n->op != NE_OP_MAXPOOL;
	float *mult = calloc(p->n_pix, sizeof(*mult));

	if (!mult)
		return ne_lower_no_memory(lw, p->n);
	for (uint32_t i = 0; i < p->n_pix; i++) {
		uint32_t count = 0;

		for (uint32_t t = 0; t < p->taps; t++)
			count += p->ind[(size_t)i * p->taps + t] >= 0;
		if (!count) {
			free(mult);
			return ne_node_fail(lw->err, EINVAL, p->n,
					    "a window lies in the padding altogether");
		}
		if (p->n->op == NE_OP_AVGPOOL && p->n->attr.count_include_pad)
			count = p->taps;
		mult[i] = sx / (sy * (float)count);
	}
	if (average)
		p->mult = ne_lower_table(lw, mult, p->n_pix * sizeof(*mult));
	free(mult);
	return average && !p->mult ? ne_lower_no_memory(lw, p->n) : 0;
}

static int lower_s8(struct ne_lower *lw, struct pool *p)
{
	struct ne_quant qx = ne_lower_quant(lw, p->n->in[0]), qy = ne_lower_quant(lw, lw->y);
	bool max = p->n->op == NE_OP_MAXPOOL, rescale = max && !ne_quant_equal(qx, qy);
	struct pool_s8_args s = {.fn = max ? lw->k->maxpool_s8 : lw->k->avgpool_s8};
	int8_t table[256];

	if (p->taps > MAX_TAPS_S8)
		return ne_node_fail(lw->err, E2BIG, p->n, "%u taps; sums of more than %u overflow",
				    p->taps, MAX_TAPS_S8);
	NE_RETURN_IF(lower_counts(lw, p, qx.scale, qy.scale));
	s.a = (struct ne_pool_s8){.ind = p->ind,
				  .taps = p->taps,
				  .c = p->c,
				  .zx = qx.zero,
				  .mult = p->mult,
				  .zp = qy.zero,
				  .y_stride = p->c};
	ne_act_limits_s8(lw->act, max ? qx : qy, &s.a.lo, &s.a.hi);
	/* ONNX Runtime rounds an average with the zero point of its unsigned byte already added, which
	 * decides ties; the mean over a whole image it rounds before */
	if (p->n->op == NE_OP_AVGPOOL) {
		s.a.offset = (float)(qy.zero + 128);
		s.a.zp = -128;
	}
	s.x = lw->ref[p->n->in[0]];
	s.y = lw->ref[lw->y];
	NE_RETURN_IF(ne_lower_step(lw, run_s8, &s, sizeof(s), p->n_pix, 8,
				   (uint64_t)p->n_pix * p->taps * p->c, rescale ? NE_NONE : lw->y));
	if (!rescale)
		return 0;
	ne_rescale_table(table, qx, qy);
	return ne_lower_lut(lw, s.y, s.y, (size_t)p->n_pix * p->c, table, lw->y);
}

static int lower_f32(struct ne_lower *lw, struct pool *p)
{
	bool max = p->n->op == NE_OP_MAXPOOL;
	struct pool_f32_args s = {.fn = max ? lw->k->maxpool_f32 : lw->k->avgpool_f32};

	NE_RETURN_IF(lower_counts(lw, p, 1.0f, 1.0f));
	s.a = (struct ne_pool_f32){
		.ind = p->ind, .taps = p->taps, .c = p->c, .mult = p->mult, .y_stride = p->c};
	ne_act_limits_f32(lw->act, &s.a.lo, &s.a.hi);
	s.x = lw->ref[p->n->in[0]];
	s.y = lw->ref[lw->y];
	return ne_lower_step(lw, run_f32, &s, sizeof(s), p->n_pix, 8,
			     (uint64_t)p->n_pix * p->taps * p->c, lw->y);
}

NE_OP_LOWER(pool)
{
	const struct ne_shape *ys = &lw->shape[lw->y];
	struct pool p = {.n = n};
	struct ne_windows w = {.win = n->attr.window};
	struct ne_image x;

	NE_RETURN_IF(ne_image_of(n, &lw->shape[n->in[0]], &x, lw->err));
	w.x.h = x.h;
	w.x.w = x.w;
	w.x.c = x.c;
	if (n->op == NE_OP_GLOBALPOOL) {
		w.win = (struct ne_window){x.h, x.w, 1, 1, 1, 1, 0, 0, 0, 0};
		w.oh = w.ow = 1;
	} else {
		w.oh = ys->rank == 4 ? ys->dim[1] : 1;
		w.ow = ys->dim[ys->rank - 2];
	}
	p.n_pix = (uint32_t)w.oh * (uint32_t)w.ow;
	p.taps = (uint32_t)w.win.kh * (uint32_t)w.win.kw;
	p.c = (uint32_t)x.c;
	NE_RETURN_IF(ne_lower_windows(lw, n, &w, &p.ind));
	return lw->g->tensor[n->in[0]].dtype == NE_S8 ? lower_s8(lw, &p) : lower_f32(lw, &p);
}
