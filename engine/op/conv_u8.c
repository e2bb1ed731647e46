/* SPDX-License-Identifier: MIT */
/*
 * Convolutions, depthwise convolutions and dense layers whose u8 weights have a zero point.
 *
 * w - zero lies in -255..255, which s8 cannot hold, but a sum of up to three s8 numbers can. Nearly
 * all weights fit one; of the rest only the taps that have any are added, as taps that read the
 * same pixel again. The same integers come out as from the weights themselves, by the kernels that
 * are there.
 */
#include "engine/op/conv_u8.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PARTS 3u

/* The weights as [row][taps][length]: a row is an output channel, or all of a depthwise layer. */
struct parts {
	int8_t *v;           /* owned */
	uint32_t *tap;       /* [taps] tap of the window that each reads; owned */
	uint32_t taps;       /* those of the window, then those of later parts */
	size_t rows, length; /* length: of a tap */
};

static void parts_done(struct parts *p)
{
	free(p->v);
	free(p->tap);
}

/* What part @part of @value, -255..255, is. */
static int8_t part_of(int32_t value, uint32_t part)
{
	int32_t v = 0;

	for (uint32_t k = 0; k <= part; k++) {
		v = NE_CLAMP(value, INT8_MIN, INT8_MAX);
		value -= v;
	}
	return (int8_t)v;
}

/* Whether tap @tap of part @part has any weight that is not zero. */
static bool any_weight(const uint8_t *w, int32_t zero, const struct parts *p, uint32_t taps,
		       uint32_t tap, uint32_t part)
{
	for (size_t r = 0; r < p->rows; r++)
		for (size_t i = 0; i < p->length; i++)
			if (part_of(w[(r * taps + tap) * p->length + i] - zero, part))
				return true;
	return false;
}

/* @rows rows of @taps taps. */
static int split_weights(struct ne_lower *lw, const struct ne_node *n, size_t rows, uint32_t taps,
			 struct parts *ret)
{
	const struct ne_tensor *t = &lw->g->tensor[n->in[1]];
	int32_t zero = lw->width->quant[n->in[1]].zero;
	const uint8_t *w = t->data;
	struct parts p = {.rows = rows};

	p.length = ne_shape_elements(&t->shape) / rows / taps;
	p.tap = calloc((size_t)taps * MAX_PARTS, sizeof(*p.tap));
	if (!p.tap)
		return ne_lower_no_memory(lw, n);
	for (uint32_t part = 0; part < MAX_PARTS; part++)
		for (uint32_t k = 0; k < taps; k++)
			if (!part || any_weight(w, zero, &p, taps, k, part))
				p.tap[p.taps++] = part * taps + k;
	p.v = malloc(p.rows * p.taps * p.length);
	if (!p.v) {
		parts_done(&p);
		return ne_lower_no_memory(lw, n);
	}
	for (size_t r = 0; r < rows; r++)
		for (uint32_t k = 0; k < p.taps; k++)
			for (size_t i = 0; i < p.length; i++)
				p.v[(r * p.taps + k) * p.length + i] = part_of(
					w[(r * taps + p.tap[k] % taps) * p.length + i] - zero,
					p.tap[k] / taps);
	for (uint32_t k = 0; k < p.taps; k++)
		p.tap[k] %= taps;
	*ret = p;
	return 0;
}

/* The windows' table, @taps a pixel, with the taps that @p reads. */
static int select_taps(struct ne_lower *lw, const struct ne_node *n, const struct parts *p,
		       const struct ne_windows_u8 *w, const int32_t **ret)
{
	size_t entries = (size_t)w->n_pix * p->taps;
	int32_t *all;

	*ret = w->ind;
	if (p->taps == w->taps)
		return 0;
	if (entries > NE_MAX_INDIRECTION)
		return ne_node_fail(lw->err, E2BIG, n, "too many window taps");
	all = malloc(entries * sizeof(*all));
	if (!all)
		return ne_lower_no_memory(lw, n);
	for (size_t i = 0; i < w->n_pix; i++)
		for (uint32_t k = 0; k < p->taps; k++)
			all[i * p->taps + k] = w->ind[i * w->taps + p->tap[k]];
	*ret = ne_lower_table(lw, all, entries * sizeof(*all));
	free(all);
	return *ret ? 0 : ne_lower_no_memory(lw, n);
}

static const int8_t *padding(struct ne_lower *lw, const struct ne_node *n, size_t channels)
{
	int8_t *row = malloc(channels);
	const int8_t *table = NULL;

	if (row) {
		memset(row, ne_lower_quant(lw, n->in[0]).zero, channels);
		table = ne_lower_table(lw, row, channels);
	}
	free(row);
	return table;
}

/* ---- convolutions and dense layers ---- */

struct conv_args {
	struct ne_conv_s8 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_conv_s8 *a);
	uint32_t groups;
	size_t w_group, padded_oc;
};

static void run_conv(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct conv_args *c = s->args;
	struct ne_conv_s8 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = (int8_t *)ne_at(f, c->y) + first * a.y_stride;
	a.ind += (size_t)first * a.taps;
	a.n_pix = n;
	for (uint32_t g = 0; g < c->groups; g++) {
		c->fn(&a);
		a.x += a.ic;
		a.y += a.oc;
		a.w += c->w_group;
		a.bias += c->padded_oc;
		a.mult += c->padded_oc;
	}
}

/* Packs the parts of all output channels once for all levels. */
static int pack(struct ne_lower *lw, const struct ne_node *n, const struct parts *p,
		uint32_t groups)
{
	struct ne_packed *packed = &lw->packed[n - lw->g->node];
	uint32_t oc = (uint32_t)p->rows / groups, ic = (uint32_t)p->length;
	size_t group;
	char *dst;

	if (packed->w)
		return 0;
	group = ne_round_up(ne_pack_conv_s8_bytes(lw->k, oc, p->taps, ic), NE_ALIGN);
	if (group > NE_MAX_POOL_BYTES / groups)
		return ne_lower_no_memory(lw, n);
	dst = ne_pool_alloc(lw->pool, group * groups);
	if (!dst)
		return ne_lower_no_memory(lw, n);
	for (uint32_t g = 0; g < groups; g++)
		ne_pack_conv_s8(lw->k, (int8_t *)(dst + g * group),
				p->v + (size_t)g * oc * p->taps * p->length, oc, p->taps, ic,
				&packed->tap_stride, &packed->block_stride);
	packed->group_stride = group;
	packed->w = dst;
	return 0;
}

/* Sums of the active weights of the first @oc output channels, @ic of each tap's inputs. */
static int sum_rows(const struct parts *p, size_t oc, size_t ic, int64_t **ret_sum,
		    int64_t **ret_magnitude)
{
	int64_t *sum = calloc(oc, sizeof(*sum)), *mag = calloc(oc, sizeof(*mag));

	if (!sum || !mag) {
		free(sum);
		free(mag);
		return -ENOMEM;
	}
	for (size_t k = 0; k < oc * p->taps; k++)
		for (size_t i = 0; i < ic; i++) {
			sum[k / p->taps] += p->v[k * p->length + i];
			mag[k / p->taps] += abs(p->v[k * p->length + i]);
		}
	*ret_sum = sum;
	*ret_magnitude = mag;
	return 0;
}

static int lower_conv(struct ne_lower *lw, const struct ne_node *n, const struct parts *p,
		      const struct ne_windows_u8 *w)
{
	struct ne_quant qy = ne_lower_quant(lw, lw->y);
	uint32_t oc = (uint32_t)ne_shape_last(&lw->shape[lw->y]) / w->groups;
	uint32_t nr = lw->k->conv_s8_nr, padded = (uint32_t)ne_round_up(oc, nr);
	struct conv_args s = {.fn = lw->k->conv_s8, .groups = w->groups, .padded_oc = padded};
	struct ne_packed *packed = &lw->packed[n - lw->g->node];
	struct ne_channels_s8 ch;
	int64_t *sum, *mag;
	const int32_t *ind;
	int r;

	NE_RETURN_IF(pack(lw, n, p, w->groups));
	NE_RETURN_IF(select_taps(lw, n, p, w, &ind));
	if (sum_rows(p, (size_t)oc * w->groups, w->ic, &sum, &mag) < 0)
		return ne_lower_no_memory(lw, n);
	r = ne_lower_channels_s8(lw, n, oc * w->groups, sum, mag, lw->k->conv_s8_shift, oc, padded,
				 &ch);
	free(sum);
	free(mag);
	NE_RETURN_IF(r);
	s.a = (struct ne_conv_s8){
		.ind = ind,
		.pad = padding(lw, n, w->ic),
		.taps = p->taps,
		.ic = w->ic,
		.oc = oc,
		.w = packed->w,
		.w_tap_stride = packed->tap_stride,
		.w_block_stride = packed->block_stride,
		.bias = ch.bias,
		.mult = ch.mult,
		.zp = qy.zero,
		.y_stride = (size_t)oc * w->groups,
	};
	if (!s.a.pad)
		return ne_lower_no_memory(lw, n);
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.x = lw->ref[n->in[0]];
	s.y = lw->ref[lw->y];
	s.w_group = packed->group_stride;
	return ne_lower_step(lw, run_conv, &s, sizeof(s), w->n_pix, 8,
			     (uint64_t)w->n_pix * s.a.taps * w->ic * oc * w->groups, lw->y);
}

int ne_lower_conv_u8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows_u8 *w)
{
	struct parts p;
	int r;

	NE_RETURN_IF(
		split_weights(lw, n, (size_t)lw->g->tensor[n->in[1]].shape.dim[0], w->taps, &p));
	r = lower_conv(lw, n, &p, w);
	parts_done(&p);
	return r;
}

/* ---- depthwise ---- */

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

static int sum_columns(struct ne_lower *lw, const struct ne_node *n, const struct parts *p,
		       const struct ne_windows_u8 *w, struct ne_channels_s8 *ch)
{
	int64_t *sum = calloc(w->ic, sizeof(*sum)), *mag = calloc(w->ic, sizeof(*mag));
	int r = -ENOMEM;

	if (!sum || !mag) {
		ne_lower_no_memory(lw, n);
		goto out;
	}
	for (size_t t = 0; t < p->taps; t++)
		for (uint32_t c = 0; c < w->ic; c++) {
			sum[c] += p->v[t * p->length + c];
			mag[c] += abs(p->v[t * p->length + c]);
		}
	r = ne_lower_channels_s8(lw, n, w->ic, sum, mag, 0, w->ic, w->ic, ch);
out:
	free(sum);
	free(mag);
	return r;
}

static int lower_dw(struct ne_lower *lw, const struct ne_node *n, const struct parts *p,
		    const struct ne_windows_u8 *w)
{
	struct ne_quant qy = ne_lower_quant(lw, lw->y);
	struct dw_args s = {.fn = lw->k->dw_s8};
	struct ne_channels_s8 ch;
	const int32_t *ind;

	NE_RETURN_IF(sum_columns(lw, n, p, w, &ch));
	NE_RETURN_IF(select_taps(lw, n, p, w, &ind));
	s.a = (struct ne_dw_s8){
		.ind = ind,
		.pad = padding(lw, n, w->ic),
		.taps = p->taps,
		.c = w->ic,
		.w = ne_lower_table(lw, p->v, p->taps * p->length),
		.w_tap_stride = p->length,
		.bias = ch.bias,
		.mult = ch.mult,
		.zp = qy.zero,
		.y_stride = w->ic,
	};
	if (!s.a.pad || !s.a.w)
		return ne_lower_no_memory(lw, n);
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.x = lw->ref[n->in[0]];
	s.y = lw->ref[lw->y];
	return ne_lower_step(lw, run_dw, &s, sizeof(s), w->n_pix, 8,
			     (uint64_t)w->n_pix * s.a.taps * w->ic, lw->y);
}

int ne_lower_dwconv_u8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows_u8 *w)
{
	struct parts p;
	int r;

	NE_RETURN_IF(split_weights(lw, n, 1, w->taps, &p));
	r = lower_dw(lw, n, &p, w);
	parts_done(&p);
	return r;
}
