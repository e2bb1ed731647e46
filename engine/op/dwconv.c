/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, multiplier 1. Weights stay as the graph has them: channels last. */
#include "engine/op/dw_image.h"
#include "engine/plan/plan.h"
#include "engine/op/conv_u8.h"
#include "engine/op/op.h"

#include <stdlib.h>

NE_OP_CHECK(dwconv)
{
	const struct ne_tensor *w = ne_node_in(g, n, 1);

	if (w->shape.rank != 3)
		return ne_node_fail(err, EINVAL, n, "weights must be [KH,KW,C]");
	NE_RETURN_IF(ne_check_same_group(g, n, err));
	return ne_weights_check(g, n, w->shape.dim[2], err);
}

NE_OP_INFER(dwconv)
{
	const struct ne_window *win = &n->attr.window;
	const struct ne_shape *w = &in[1];
	struct ne_image x;
	int32_t oh, ow;

	(void)g;
	NE_RETURN_IF(ne_image_of(n, &in[0], &x, err));
	NE_RETURN_IF(ne_window_output(n, &x, &oh, &ow, err));
	if (w->rank != 3 || w->dim[0] != win->kh || w->dim[1] != win->kw || w->dim[2] != x.c)
		return ne_node_fail(err, EINVAL, n,
				    "weights do not fit a %dx%d kernel, %d channels", win->kh,
				    win->kw, x.c);
	*ret = in[0];
	if (ret->rank == 4)
		ret->dim[1] = oh;
	else if (oh != 1)
		return ne_node_fail(err, EINVAL, n, "a sequence has one row, the result %d", oh);
	ret->dim[ret->rank - 2] = ow;
	return 0;
}

NE_OP_MACS(dwconv)
{
	(void)n;
	(void)x;
	return (uint64_t)ne_shape_elements(y) * (uint64_t)w->dim[0] * (uint64_t)w->dim[1];
}

struct dw_f32_args {
	struct ne_dw_f32 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_dw_f32 *a);
};

static void run_f32(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct dw_f32_args *c = s->args;
	struct ne_dw_f32 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = (float *)ne_at(f, c->y) + first * a.y_stride;
	a.ind += (size_t)first * a.taps;
	a.n_pix = n;
	c->fn(&a);
}

struct dw {
	const struct ne_node *n;
	uint32_t n_pix, taps, c;
	const int32_t *ind;
	const void *w;
	size_t full_c;
};

static int lower_f32(struct ne_lower *lw, const struct dw *d, const void *pad)
{
	struct dw_f32_args s = {.fn = lw->k->dw_f32};
	struct ne_channels_f32 ch;

	NE_RETURN_IF(ne_lower_channels_f32(lw, d->n, d->c, d->c, d->c, &ch));
	s.a = (struct ne_dw_f32){.ind = d->ind,
				 .pad = pad,
				 .taps = d->taps,
				 .c = d->c,
				 .w = d->w,
				 .w_tap_stride = d->full_c,
				 .scale = ch.scale,
				 .bias = ch.bias,
				 .y_stride = d->c};
	ne_act_limits_f32(lw->act, &s.a.lo, &s.a.hi);
	s.x = lw->ref[d->n->in[0]];
	s.y = lw->ref[lw->y];
	return ne_lower_step(lw, run_f32, &s, sizeof(s), d->n_pix, 8,
			     (uint64_t)d->n_pix * d->taps * d->c, lw->y);
}

struct dw_lines_args {
	struct ne_dw_lines_f32 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_dw_lines_f32 *a);
};

static void run_lines(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct dw_lines_args *c = s->args;
	struct ne_dw_lines_f32 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = ne_at(f, c->y);
	a.first = first;
	a.n = n;
	c->fn(&a);
}

/* f32 straight from the image, where the kernels have that: units are rows. */
static int lower_lines(struct ne_lower *lw, const struct dw *d, const struct ne_windows *v)
{
	struct dw_lines_args s = {.fn = lw->k->dw_lines_f32};
	const struct ne_window *w = &v->win;
	struct ne_channels_f32 ch;

	NE_RETURN_IF(ne_lower_channels_f32(lw, d->n, d->c, d->c, d->c, &ch));
	s.a = (struct ne_dw_lines_f32){
		.im = {v->x.h, v->x.w, v->oh, v->ow, w->kh, w->kw, w->sh, w->sw, w->dh, w->dw,
		       w->pad_top, w->pad_left},
		.c = d->c,
		.w = d->w,
		.w_tap_stride = d->full_c,
		.scale = ch.unscaled ? NULL : ch.scale,
		.bias = ch.bias,
		.y_stride = d->c,
	};
	ne_act_limits_f32(lw->act, &s.a.lo, &s.a.hi);
	s.x = lw->ref[d->n->in[0]];
	s.y = lw->ref[lw->y];
	return ne_lower_step(lw, run_lines, &s, sizeof(s), (size_t)v->oh, 1,
			     (uint64_t)d->n_pix * d->taps * d->c, lw->y);
}

NE_OP_LOWER(dwconv)
{
	const struct ne_tensor *wt = &lw->g->tensor[n->in[1]];
	const struct ne_shape *ys = &lw->shape[lw->y];
	struct dw d = {.n = n, .full_c = (size_t)wt->shape.dim[2]};
	struct ne_windows w = {.win = n->attr.window};
	struct ne_image x;
	void *row;
	const void *pad;

	NE_RETURN_IF(ne_image_of(n, &lw->shape[n->in[0]], &x, lw->err));
	w.x.h = x.h;
	w.x.w = x.w;
	w.x.c = x.c;
	w.oh = ys->rank == 4 ? ys->dim[1] : 1;
	w.ow = ys->dim[ys->rank - 2];
	d.n_pix = (uint32_t)w.oh * (uint32_t)w.ow;
	d.taps = (uint32_t)n->attr.window.kh * (uint32_t)n->attr.window.kw;
	d.c = (uint32_t)x.c;
	if (wt->dtype == NE_F32 && lw->k->dw_lines_f32 && d.taps <= NE_LINES_TAPS) {
		d.w = ne_lower_table(lw, wt->data, wt->bytes);
		return d.w ? lower_lines(lw, &d, &w) : ne_lower_no_memory(lw, n);
	}
	if (wt->dtype == NE_U8)
		return ne_lower_dwconv_u8(lw, n, &w);
	if (wt->dtype == NE_S8)
		return ne_dw_lower_s8(lw, n, &w,
				      &(struct ne_dw_weights){wt->data, d.full_c, d.taps, NULL});
	NE_RETURN_IF(ne_lower_windows(lw, n, &w, &d.ind));
	d.w = ne_lower_table(lw, wt->data, wt->bytes);
	row = calloc(d.c, sizeof(float));
	pad = row ? ne_lower_table(lw, row, d.c * sizeof(float)) : NULL;
	free(row);
	return pad && d.w ? lower_f32(lw, &d, pad) : ne_lower_no_memory(lw, n);
}
