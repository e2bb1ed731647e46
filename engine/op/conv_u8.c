/* SPDX-License-Identifier: MIT */
/*
 * Convolutions, depthwise convolutions and dense layers whose u8 weights have a zero point.
 *
 * w - zero lies in -255..255, which s8 cannot hold, but a sum of up to three s8 numbers can. Nearly
 * all weights fit one; of the rest only those runs of inputs that have any are added, as runs that read
 * the same inputs again. The same integers come out as from the weights themselves, by the kernels that
 * are there: over whole rows of an image where they can, with runs short enough that little is read
 * twice, else over an indirection table, run by tap.
 */
#include "engine/op/conv_u8.h"
#include "engine/op/dw_image.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PARTS 3u

/* The weights as [row][taps][length]: a row is an output channel, or all of a depthwise layer. */
struct parts {
	int8_t *v;           /* owned */
	uint32_t *tap;       /* [taps] which of a row's runs each is; owned */
	uint32_t taps;       /* all runs of a row, then those of later parts */
	size_t rows, length; /* length: of a run */
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

/* Parts that @value takes beyond the first. */
static uint8_t more_parts(int32_t value)
{
	if (value < INT8_MIN)
		return 1;
	return value > 2 * INT8_MAX ? 2 : value > INT8_MAX;
}

/* For each of @runs runs of a row the parts that any row takes there beyond the first; freed with
 * free(). */
static uint8_t *count_parts(const uint8_t *w, int32_t zero, size_t rows, size_t runs, size_t length)
{
	uint8_t *more = calloc(runs, 1);

	for (size_t r = 0; more && r < rows; r++)
		for (size_t k = 0; k < runs; k++) {
			uint8_t least = UINT8_MAX, most = 0;

			for (size_t i = 0; i < length; i++, w++) {
				least = NE_MIN(least, *w);
				most = NE_MAX(most, *w);
			}
			more[k] = NE_MAX(more[k],
					 NE_MAX(more_parts(least - zero), more_parts(most - zero)));
		}
	return more;
}

/* @rows rows of @runs runs. */
static int split_weights(struct ne_lower *lw, const struct ne_node *n, size_t rows, uint32_t runs,
			 struct parts *ret)
{
	const struct ne_tensor *t = &lw->g->tensor[n->in[1]];
	int32_t zero = lw->width->quant[n->in[1]].zero;
	const uint8_t *w = t->data;
	struct parts p = {.rows = rows, .length = ne_shape_elements(&t->shape) / rows / runs};
	uint8_t *more = count_parts(w, zero, rows, runs, p.length);

	p.tap = calloc((size_t)runs * MAX_PARTS, sizeof(*p.tap));
	for (uint32_t part = 0; more && p.tap && part < MAX_PARTS; part++)
		for (uint32_t k = 0; k < runs; k++)
			if (part <= more[k])
				p.tap[p.taps++] = part * runs + k;
	p.v = malloc(p.rows * p.taps * p.length + 1);
	if (!more || !p.tap || !p.v) {
		free(more);
		parts_done(&p);
		return ne_lower_no_memory(lw, n);
	}
	free(more);
	for (size_t r = 0; r < rows; r++)
		for (uint32_t k = 0; k < p.taps; k++)
			for (size_t i = 0; i < p.length; i++)
				p.v[(r * p.taps + k) * p.length + i] = part_of(
					w[(r * runs + p.tap[k] % runs) * p.length + i] - zero,
					p.tap[k] / runs);
	for (uint32_t k = 0; k < p.taps; k++)
		p.tap[k] %= runs;
	*ret = p;
	return 0;
}

int ne_lower_select_taps(struct ne_lower *lw, const struct ne_node *n, const int32_t *ind,
			 uint32_t n_pix, uint32_t taps, uint32_t n_tap, const uint32_t *tap,
			 const int32_t **ret)
{
	size_t entries = (size_t)n_pix * n_tap;
	int32_t *all;

	*ret = ind;
	if (n_tap == taps)
		return 0;
	if (entries > NE_MAX_INDIRECTION)
		return ne_node_fail(lw->err, E2BIG, n, "too many window taps");
	all = malloc(entries * sizeof(*all));
	if (!all)
		return ne_lower_no_memory(lw, n);
	for (size_t i = 0; i < n_pix; i++)
		for (uint32_t k = 0; k < n_tap; k++)
			all[i * n_tap + k] = ind[i * taps + tap[k]];
	*ret = ne_lower_table(lw, all, entries * sizeof(*all));
	free(all);
	return *ret ? 0 : ne_lower_no_memory(lw, n);
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

static int lower_windows(struct ne_lower *lw, const struct ne_conv *c, const struct parts *p,
			 const struct ne_channels_s8 *ch)
{
	struct ne_quant qy = ne_lower_quant(lw, lw->y);
	struct conv_args s = {
		.fn = lw->k->conv_s8,
		.groups = c->groups,
		.padded_oc = ne_round_up(c->oc, lw->k->conv_s8_nr),
	};
	const int32_t *ind;

	NE_RETURN_IF(
		ne_lower_select_taps(lw, c->n, c->ind, c->n_pix, c->taps, p->taps, p->tap, &ind));
	s.a = (struct ne_conv_s8){
		.ind = ind,
		.pad = ne_lower_padding(lw, c->n, c->ic),
		.taps = p->taps,
		.ic = c->ic,
		.oc = c->oc,
		.w = c->packed->w,
		.w_tap_stride = c->packed->tap_stride,
		.w_block_stride = c->packed->block_stride,
		.bias = ch->bias,
		.mult = ch->mult,
		.zp = qy.zero,
		.y_stride = (size_t)c->oc * c->groups,
	};
	if (!s.a.pad)
		return ne_lower_no_memory(lw, c->n);
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.x = lw->ref[c->n->in[0]];
	s.y = lw->ref[lw->y];
	s.w_group = c->packed->group_stride;
	return ne_lower_step(lw, run_conv, &s, sizeof(s), c->n_pix, 8,
			     (uint64_t)c->n_pix * s.a.taps * c->ic * c->oc * c->groups, lw->y);
}

/* A run costs its steps and about two more to begin with. */
static uint64_t cost_of(const struct ne_lower *lw, const uint8_t *more, uint32_t units,
			uint32_t join, uint32_t unit)
{
	const uint32_t kr = lw->k->conv_s8_kr;
	uint64_t runs = 0;

	for (uint32_t k = 0; k < units; k += join) {
		uint8_t most = 0;

		for (uint32_t i = k; i < k + join; i++)
			most = NE_MAX(most, more[i]);
		runs += 1u + most;
	}
	return runs * ((join * unit + kr - 1) / kr + 2);
}

#define SHORTEST_RUN 16u

/*
 * Inputs of a run of the image kernel: what lies together in scratch, a row of the window or a tap, or
 * a part of it, so that fewer inputs are read again for the few weights that take more than one part.
 */
static int choose_run(struct ne_lower *lw, const struct ne_conv *c, uint32_t *ret)
{
	const struct ne_tensor *t = &lw->g->tensor[c->n->in[1]];
	const struct ne_window *win = &c->n->attr.window;
	const uint32_t kr = lw->k->conv_s8_kr, row = (uint32_t)win->kw * c->ic;
	const bool joined = c->packed_taps != c->taps;
	uint32_t unit = joined ? row : c->ic, units;
	uint64_t best = UINT64_MAX;
	uint8_t *more;

	while (!joined && c->ic % kr == 0 && unit % (2 * kr) == 0 && unit / 2 >= SHORTEST_RUN)
		unit /= 2;
	units = (uint32_t)win->kh * (row / unit);
	more = count_parts(t->data, lw->width->quant[c->n->in[1]].zero, (size_t)t->shape.dim[0],
			   units, unit);
	if (!more)
		return ne_lower_no_memory(lw, c->n);
	for (uint32_t run = unit; run <= row; run = run < c->ic ? 2 * run
						    : run < row ? row
								: row + 1) {
		const bool together = run <= c->ic || joined || (win->dw == 1 && c->ic % kr == 0);
		const uint64_t cost =
			together ? cost_of(lw, more, units, run / unit, unit) : UINT64_MAX;

		if (cost < best) {
			best = cost;
			*ret = run;
		}
	}
	free(more);
	return 0;
}

/* All but the step: the weights' parts, packed once for all levels, biases and factors. */
static int lower_parts(struct ne_lower *lw, struct ne_conv *c, const struct parts *p)
{
	const uint32_t oc = c->oc * c->groups, ic = c->image ? (uint32_t)p->length : c->ic;
	const struct ne_conv_runs runs = {p->taps, (uint32_t)p->length, p->tap};
	struct ne_channels_s8 ch;
	int64_t *sum, *mag;
	int r;

	NE_RETURN_IF(pack(lw, c->n, p, c->groups));
	c->packed = &lw->packed[c->n - lw->g->node];
	if (sum_rows(p, oc, ic, &sum, &mag) < 0)
		return ne_lower_no_memory(lw, c->n);
	r = ne_lower_channels_s8(lw, c->n, oc, sum, mag, lw->k->conv_s8_shift, c->oc,
				 (uint32_t)ne_round_up(c->oc, lw->k->conv_s8_nr), &ch);
	if (r == 0 && c->image) {
		struct ne_conv image = *c;

		image.runs = &runs;
		r = ne_conv_lower_image(lw, &image, &ch, mag);
	} else if (r == 0) {
		r = lower_windows(lw, c, p, &ch);
	}
	free(sum);
	free(mag);
	return r;
}

int ne_lower_conv_u8(struct ne_lower *lw, const struct ne_conv *conv)
{
	struct ne_conv c = *conv;
	size_t rows = (size_t)lw->g->tensor[c.n->in[1]].shape.dim[0];
	uint32_t runs = c.taps, run = 0;
	struct parts p = {NULL};
	int r;

	if (c.image) {
		NE_RETURN_IF(choose_run(lw, &c, &run));
		runs = c.taps * c.ic / run;
	}
	NE_RETURN_IF(split_weights(lw, c.n, rows, runs, &p));
	r = lower_parts(lw, &c, &p);
	parts_done(&p);
	return r;
}

/* ---- depthwise ---- */

int ne_lower_dwconv_u8(struct ne_lower *lw, const struct ne_node *n, const struct ne_windows *w)
{
	struct ne_dw_weights weights;
	struct parts p = {NULL};
	int r;

	NE_RETURN_IF(split_weights(lw, n, 1, (uint32_t)w->win.kh * (uint32_t)w->win.kw, &p));
	weights = (struct ne_dw_weights){p.v, p.length, p.taps, p.tap};
	r = ne_dw_lower_s8(lw, n, w, &weights);
	parts_done(&p);
	return r;
}
