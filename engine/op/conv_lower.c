/* SPDX-License-Identifier: MIT */
/*
 * Convolutions and dense layers as kernel calls, f32 and s8. Four ways to read the input:
 *   image    whole rows of the image at once, where the kernels have that (conv_image.c);
 *   windows  an indirection table over the image; grouped convolutions make one call a group;
 *   rows     one tap, rows one after another: dense layers;
 *   patches  an image of 1 to 3 channels: a tap alone would fill a sliver of a register, so the
 *            patches of a tile of pixels are gathered into scratch and count as one tap.
 */
#include "engine/op/conv.h"
#include "engine/op/conv_u8.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PATCH_CHANNELS 3    /* images of at most as many channels are gathered */
#define PATCH_BYTES    8192 /* of a tile's patches: stays in the first cache with the weights */
#define PATCH_PIXELS   64
#define SPLIT_PIXELS   16 /* fewer pixels: the work is split by output channels */

struct patch_args {
	struct ne_image x;
	struct ne_window win;
	int32_t ow;
	uint32_t tile, bytes; /* pixels of a tile; bytes of a patch */
	uint32_t pixel;       /* bytes of an input pixel */
	uint8_t pad;          /* every byte of padding: the zero point, or 0 for f32 */
};

struct conv_s8_args {
	struct ne_conv_s8 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_conv_s8 *a);
	uint32_t groups, nr;
	size_t w_group, padded_oc;
	struct patch_args patch;
};

struct conv_f32_args {
	struct ne_conv_f32 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_conv_f32 *a);
	uint32_t groups, nr;
	size_t w_group, padded_oc;
	struct patch_args patch;
};

/* The part of kernel row @y0 + ky * dh from column @x0 that lies in the image, padding around. */
static void gather_row(const struct patch_args *p, char *dst, const char *x, int32_t y, int32_t x0)
{
	uint32_t kw = (uint32_t)p->win.kw;

	if (y < 0 || y >= p->x.h) {
		memset(dst, p->pad, (size_t)kw * p->pixel);
		return;
	}
	x += (size_t)y * (uint32_t)p->x.w * p->pixel;
	if (p->win.dw == 1) {
		int32_t before = NE_CLAMP(-x0, 0, p->win.kw);
		int32_t end = NE_CLAMP(p->x.w - x0, before, p->win.kw);
		size_t lead = (size_t)before * p->pixel, run = (size_t)(end - before) * p->pixel;

		memset(dst, p->pad, lead);
		if (run)
			memcpy(dst + lead, x + (size_t)(x0 + before) * p->pixel, run);
		memset(dst + lead + run, p->pad, (size_t)kw * p->pixel - lead - run);
		return;
	}
	for (uint32_t k = 0; k < kw; k++, dst += p->pixel) {
		int64_t column = x0 + (int64_t)k * p->win.dw;

		if (column < 0 || column >= p->x.w)
			memset(dst, p->pad, p->pixel);
		else
			memcpy(dst, x + (size_t)column * p->pixel, p->pixel);
	}
}

static void gather(const struct patch_args *p, char *dst, const char *x, uint32_t first, uint32_t n)
{
	size_t row = (size_t)p->win.kw * p->pixel;
	int32_t oy = (int32_t)(first / (uint32_t)p->ow), ox = (int32_t)(first % (uint32_t)p->ow);

	for (uint32_t i = 0; i < n; i++) {
		int32_t x0 = ox * p->win.sw - p->win.pad_left;
		int32_t y0 = oy * p->win.sh - p->win.pad_top;

		for (int32_t ky = 0; ky < p->win.kh; ky++, dst += row)
			gather_row(p, dst, x, y0 + ky * p->win.dh, x0);
		if (++ox == p->ow) {
			ox = 0;
			oy++;
		}
	}
}

/* The functions below differ only in the type of the elements. */
#define CONV_RUNS(type, elem, scale_field)                                                        \
	static void run_##type(const struct ne_step *s, const struct ne_frame *f, uint32_t first, \
			       uint32_t n)                                                        \
	{                                                                                         \
		const struct conv_##type##_args *c = s->args;                                     \
		struct ne_conv_##type a = c->a;                                                   \
                                                                                                  \
		a.x = ne_at(f, c->x);                                                             \
		a.y = (elem *)ne_at(f, c->y) + first * a.y_stride;                                \
		a.ind += (size_t)first * a.taps;                                                  \
		a.n_pix = n;                                                                      \
		c->fn(&a);                                                                        \
	}                                                                                         \
                                                                                                  \
	static void run_groups_##type(const struct ne_step *s, const struct ne_frame *f,          \
				      uint32_t first, uint32_t n)                                 \
	{                                                                                         \
		const struct conv_##type##_args *c = s->args;                                     \
		struct ne_conv_##type a = c->a;                                                   \
                                                                                                  \
		a.x = ne_at(f, c->x);                                                             \
		a.y = (elem *)ne_at(f, c->y) + first * a.y_stride;                                \
		a.ind += (size_t)first * a.taps;                                                  \
		a.n_pix = n;                                                                      \
		for (uint32_t g = 0; g < c->groups; g++) {                                        \
			c->fn(&a);                                                                \
			a.x += a.ic;                                                              \
			a.y += a.oc;                                                              \
			a.w += c->w_group;                                                        \
			a.bias += c->padded_oc;                                                   \
			a.scale_field += c->padded_oc;                                            \
		}                                                                                 \
	}                                                                                         \
                                                                                                  \
	/* units are blocks of nr output channels */                                              \
	static void run_blocks_##type(const struct ne_step *s, const struct ne_frame *f,          \
				      uint32_t first, uint32_t n)                                 \
	{                                                                                         \
		const struct conv_##type##_args *c = s->args;                                     \
		struct ne_conv_##type a = c->a;                                                   \
		uint32_t from = first * c->nr;                                                    \
                                                                                                  \
		a.x = ne_at(f, c->x);                                                             \
		a.y = (elem *)ne_at(f, c->y) + from;                                              \
		a.w += first * a.w_block_stride;                                                  \
		a.bias += from;                                                                   \
		a.scale_field += from;                                                            \
		a.oc = NE_MIN(n * c->nr, a.oc - from);                                            \
		c->fn(&a);                                                                        \
	}                                                                                         \
                                                                                                  \
	static void run_patches_##type(const struct ne_step *s, const struct ne_frame *f,         \
				       uint32_t first, uint32_t n)                                \
	{                                                                                         \
		const struct conv_##type##_args *c = s->args;                                     \
		const char *x = ne_at(f, c->x);                                                   \
		struct ne_conv_##type a = c->a;                                                   \
                                                                                                  \
		a.x = f->scratch;                                                                 \
		a.y = (elem *)ne_at(f, c->y) + first * a.y_stride;                                \
		for (; n; n -= a.n_pix, first += a.n_pix) {                                       \
			a.n_pix = NE_MIN(n, c->patch.tile);                                       \
			gather(&c->patch, f->scratch, x, first, a.n_pix);                         \
			c->fn(&a);                                                                \
			a.y += a.n_pix * a.y_stride;                                              \
		}                                                                                 \
	}

CONV_RUNS(s8, int8_t, mult)
CONV_RUNS(f32, float, scale)

struct dense_args {
	struct ne_conv_s8 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_conv_s8 *a, const int8_t *x, int8_t *y, uint32_t first,
		   uint32_t n);
};

/* units are blocks of nr output channels */
static void run_dense(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct dense_args *c = s->args;

	c->fn(&c->a, ne_at(f, c->x), ne_at(f, c->y), first, n);
}

/* ---- building ---- */

/* Sums of the active weights of each output channel, for the zero point's correction. */
static int sum_weights(struct ne_lower *lw, struct ne_conv *c, int64_t **ret_sum,
		       int64_t **ret_magnitude)
{
	const struct ne_tensor *w = &lw->g->tensor[c->n->in[1]];
	size_t full_ic = (size_t)ne_shape_last(&w->shape), oc = (size_t)c->oc * c->groups;
	const bool whole = c->ic == full_ic;
	const size_t runs = whole ? 1 : c->taps, run = whole ? full_ic * c->taps : c->ic;
	const size_t stride = whole ? run : full_ic;
	const int8_t *v = w->data;
	int64_t *sum = calloc(oc, sizeof(*sum)), *mag = calloc(oc, sizeof(*mag));

	if (!sum || !mag) {
		free(sum);
		free(mag);
		return ne_lower_no_memory(lw, c->n);
	}
	c->w_above_min = true;
	for (size_t o = 0; o < oc; o++) {
		struct ne_sums s = {.least = INT8_MAX};

		for (size_t t = 0; t < runs; t++, v += stride)
			lw->k->sums_s8(&s, v, run);
		sum[o] = s.sum;
		mag[o] = s.magnitude;
		c->w_above_min &= s.least > INT8_MIN;
	}
	*ret_sum = sum;
	*ret_magnitude = mag;
	return 0;
}

static int lower_patches(struct ne_lower *lw, const struct ne_conv *c, size_t elem, uint8_t pad,
			 struct patch_args *p, const int32_t **ret_ind)
{
	size_t patch = (size_t)c->taps * c->ic * elem;
	size_t tile = NE_CLAMP(PATCH_BYTES / patch, 8, PATCH_PIXELS);

	*p = (struct patch_args){
		.x = c->x,
		.win = c->n->attr.window,
		.ow = c->ow,
		.tile = (uint32_t)tile,
		.bytes = (uint32_t)patch,
		.pixel = (uint32_t)(c->ic * elem),
		.pad = pad,
	};
	ne_lower_scratch(lw, tile * patch);
	return ne_lower_rows(lw, c->n, tile, c->taps * c->ic, ret_ind);
}

/* What the step is split by, and its cost. */
struct split {
	uint32_t units, grain;
	bool blocks;
	uint64_t cost;
};

static struct split split_of(const struct ne_conv *c)
{
	uint32_t blocks = (c->oc + c->nr - 1) / c->nr;
	struct split s = {.units = c->n_pix, .grain = 8};

	s.cost = (uint64_t)c->n_pix * c->taps * c->ic * c->oc * c->groups;
	if (c->n_pix < SPLIT_PIXELS && c->groups == 1 && !c->patches && blocks > 1) {
		s.blocks = true;
		s.units = blocks;
		s.grain = 1;
	}
	return s;
}

const int8_t *ne_lower_padding(struct ne_lower *lw, const struct ne_node *n, size_t channels)
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

static int lower_s8(struct ne_lower *lw, struct ne_conv *c)
{
	struct ne_quant qx = ne_lower_quant(lw, c->n->in[0]), qy = ne_lower_quant(lw, lw->y);
	struct conv_s8_args s = {.fn = lw->k->conv_s8, .groups = c->groups};
	uint32_t padded = (uint32_t)ne_round_up(c->oc, c->nr);
	struct split split = split_of(c);
	struct ne_channels_s8 ch;
	int64_t *sum = NULL, *mag = NULL;
	int32_t shift;
	bool quads;
	int r;

	NE_RETURN_IF(ne_conv_pack(lw, c));
	quads = c->packed->quads;
	shift = quads ? 128 : c->packed->winograd ? 0 : lw->k->conv_s8_shift;
	NE_RETURN_IF(sum_weights(lw, c, &sum, &mag));
	r = ne_lower_channels_s8(lw, c->n, c->oc * c->groups, sum, mag, shift, c->oc, padded, &ch);
	if (r == 0 && c->image)
		r = c->packed->winograd ? ne_conv_lower_winograd(lw, c, &ch, mag)
		    : quads             ? ne_conv_lower_quads(lw, c, &ch, mag)
					: ne_conv_lower_image(lw, c, &ch, mag);
	free(sum);
	free(mag);
	if (r < 0 || c->image)
		return r;
	s.a = (struct ne_conv_s8){
		.ind = c->ind,
		.pad = ne_lower_padding(lw, c->n, c->ic),
		.n_pix = c->n_pix,
		.taps = c->taps,
		.ic = c->ic,
		.oc = c->oc,
		.w = c->packed->w,
		.w_above_min = c->w_above_min,
		.w_tap_stride = c->packed->tap_stride,
		.w_block_stride = c->packed->block_stride,
		.bias = ch.bias,
		.mult = ch.mult,
		.zp = qy.zero,
		.y_stride = (size_t)c->oc * c->groups,
	};
	if (!s.a.pad)
		return ne_lower_no_memory(lw, c->n);
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.x = lw->ref[c->n->in[0]];
	s.y = lw->ref[lw->y];
	s.nr = c->nr;
	s.w_group = c->packed->group_stride;
	s.padded_oc = padded;
	if (c->n_pix == 1 && c->taps == 1 && c->groups == 1 && lw->k->dense_s8) {
		struct dense_args d = {s.a, s.x, s.y, lw->k->dense_s8};

		return ne_lower_step(lw, run_dense, &d, sizeof(d), padded / c->nr, 4, split.cost,
				     lw->y);
	}
	if (c->patches) {
		NE_RETURN_IF(lower_patches(lw, c, 1, (uint8_t)qx.zero, &s.patch, &s.a.ind));
		s.a.ic *= s.a.taps;
		s.a.taps = 1;
	}
	return ne_lower_step(lw,
			     c->patches      ? run_patches_s8
			     : c->groups > 1 ? run_groups_s8
			     : split.blocks  ? run_blocks_s8
					     : run_s8,
			     &s, sizeof(s), split.units, split.grain, split.cost, lw->y);
}

struct lines_args {
	struct ne_conv_lines_f32 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_conv_lines_f32 *a);
};

static void run_lines(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct lines_args *c = s->args;
	struct ne_conv_lines_f32 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = ne_at(f, c->y);
	a.first = first;
	a.n = n;
	c->fn(&a);
}

/* One row of pixels, each a window of its own: units are pixels. */
static void run_flat_lines(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			   uint32_t n)
{
	const struct lines_args *c = s->args;
	struct ne_conv_lines_f32 a = c->a;

	a.x = (const float *)ne_at(f, c->x) + (size_t)first * a.ic;
	a.y = (float *)ne_at(f, c->y) + first * a.y_stride;
	a.im.w = a.im.ow = (int32_t)n;
	c->fn(&a);
}

static int lower_lines(struct ne_lower *lw, const struct ne_conv *c,
		       const struct ne_channels_f32 *ch)
{
	const struct ne_window *w = &c->n->attr.window;
	struct lines_args s = {.fn = lw->k->conv_lines_f32};
	bool flat = c->taps == 1 && w->sh == 1 && w->sw == 1 && c->oh == c->x.h && c->ow == c->x.w;

	s.a = (struct ne_conv_lines_f32){
		.im = {c->x.h, c->x.w, c->oh, c->ow, w->kh, w->kw, w->sh, w->sw, w->dh, w->dw,
		       w->pad_top, w->pad_left},
		.n = 1,
		.ic = c->ic,
		.oc = c->oc,
		.w = c->packed->w,
		.w_tap_stride = c->packed->tap_stride,
		.w_block_stride = c->packed->block_stride,
		.scale = ch->unscaled ? NULL : ch->scale,
		.bias = ch->bias,
		.y_stride = c->oc,
	};
	if (flat)
		s.a.im.h = s.a.im.oh = 1;
	ne_act_limits_f32(lw->act, &s.a.lo, &s.a.hi);
	s.a.lo = fmaxf(s.a.lo, lw->floor);
	s.a.slope = lw->slope;
	s.x = lw->ref[c->n->in[0]];
	s.y = lw->ref[lw->y];
	return ne_lower_step(lw, flat ? run_flat_lines : run_lines, &s, sizeof(s),
			     flat ? c->n_pix : (size_t)c->oh, flat ? 24 : 1,
			     (uint64_t)c->n_pix * c->taps * c->ic * c->oc, lw->y);
}

static int lower_f32(struct ne_lower *lw, struct ne_conv *c)
{
	struct conv_f32_args s = {.fn = lw->k->conv_f32, .groups = c->groups};
	uint32_t padded = (uint32_t)ne_round_up(c->oc, c->nr);
	struct split split = split_of(c);
	struct ne_channels_f32 ch;
	float *pad;

	NE_RETURN_IF(ne_conv_pack(lw, c));
	NE_RETURN_IF(ne_lower_channels_f32(lw, c->n, c->oc * c->groups, c->oc, padded, &ch));
	if (c->image)
		return lower_lines(lw, c, &ch);
	pad = calloc(c->ic, sizeof(*pad));
	if (!pad)
		return ne_lower_no_memory(lw, c->n);
	s.a = (struct ne_conv_f32){
		.ind = c->ind,
		.pad = ne_lower_table(lw, pad, c->ic * sizeof(*pad)),
		.n_pix = c->n_pix,
		.taps = c->taps,
		.ic = c->ic,
		.oc = c->oc,
		.w = c->packed->w,
		.w_tap_stride = c->packed->tap_stride,
		.w_block_stride = c->packed->block_stride,
		.scale = ch.scale,
		.bias = ch.bias,
		.y_stride = (size_t)c->oc * c->groups,
	};
	free(pad);
	if (!s.a.pad)
		return ne_lower_no_memory(lw, c->n);
	ne_act_limits_f32(lw->act, &s.a.lo, &s.a.hi);
	s.a.slope = lw->slope;
	s.a.lo = fmaxf(s.a.lo, lw->floor);
	s.x = lw->ref[c->n->in[0]];
	s.y = lw->ref[lw->y];
	s.nr = c->nr;
	s.w_group = c->packed->group_stride;
	s.padded_oc = padded;
	if (c->patches) {
		NE_RETURN_IF(lower_patches(lw, c, sizeof(float), 0, &s.patch, &s.a.ind));
		s.a.ic *= s.a.taps;
		s.a.taps = 1;
	}
	return ne_lower_step(lw,
			     c->patches      ? run_patches_f32
			     : c->groups > 1 ? run_groups_f32
			     : split.blocks  ? run_blocks_f32
					     : run_f32,
			     &s, sizeof(s), split.units, split.grain, split.cost, lw->y);
}

static bool has_u8_weights(const struct ne_lower *lw, const struct ne_node *n)
{
	return lw->g->tensor[n->in[1]].dtype == NE_U8;
}

static int lower_typed(struct ne_lower *lw, struct ne_conv *c)
{
	bool s8 = lw->g->tensor[c->n->in[0]].dtype == NE_S8;

	if (has_u8_weights(lw, c->n))
		return ne_lower_conv_u8(lw, c);
	c->nr = s8 ? lw->k->conv_s8_nr : lw->k->conv_f32_nr;
	return s8 ? lower_s8(lw, c) : lower_f32(lw, c);
}

/* What the shapes of the level say of the convolution @n. */
static int conv_of(const struct ne_lower *lw, const struct ne_node *n, struct ne_conv *ret)
{
	const struct ne_shape *ys = &lw->shape[n->out[0]];
	const uint32_t taps = (uint32_t)n->attr.window.kh * (uint32_t)n->attr.window.kw;
	struct ne_conv c = {.n = n, .groups = (uint32_t)n->attr.groups, .taps = taps};

	NE_RETURN_IF(ne_image_of(n, &lw->shape[n->in[0]], &c.x, lw->err));
	c.oh = ys->rank == 4 ? ys->dim[1] : 1;
	c.ow = ys->dim[ys->rank - 2];
	c.n_pix = (uint32_t)c.oh * (uint32_t)c.ow;
	c.ic = (uint32_t)c.x.c / c.groups;
	c.oc = (uint32_t)ne_shape_last(ys) / c.groups;
	c.packed_taps = taps;
	*ret = c;
	return 0;
}

/* u8 weights are packed for all levels in runs of inputs that none of them cuts. */
static bool as_image(const struct ne_lower *lw, struct ne_conv *c)
{
	if (has_u8_weights(lw, c->n) && lw->g->tensor[c->n->in[0]].group)
		return false;
	return ne_conv_as_image(lw, c);
}

bool ne_conv_takes_add(const struct ne_lower *lw, const struct ne_node *n)
{
	struct ne_conv c;

	return lw->g->tensor[n->in[0]].dtype == NE_S8 && conv_of(lw, n, &c) == 0 &&
	       as_image(lw, &c);
}

NE_OP_LOWER(conv)
{
	const struct ne_tensor *x = &lw->g->tensor[n->in[0]];
	struct ne_conv c;

	NE_RETURN_IF(conv_of(lw, n, &c));
	if (x->dtype == NE_F32)
		c.image = lw->k->conv_lines_f32 && c.groups == 1 && c.taps <= NE_LINES_TAPS;
	else
		c.image = as_image(lw, &c);
	c.patches = !c.image && c.groups == 1 && c.taps > 1 && !x->group &&
		    c.x.c <= PATCH_CHANNELS && !has_u8_weights(lw, n);
	if (c.patches)
		c.packed_taps = 1;
	if (!c.patches && !c.image) {
		struct ne_windows w = {{c.x.h, c.x.w, c.x.c}, c.oh, c.ow, n->attr.window};

		NE_RETURN_IF(ne_lower_windows(lw, n, &w, &c.ind));
	}
	return lower_typed(lw, &c);
}

NE_OP_LOWER(dense)
{
	const struct ne_shape *xs = &lw->shape[n->in[0]];
	struct ne_conv c = {.n = n, .groups = 1, .taps = 1, .packed_taps = 1};

	c.ic = (uint32_t)ne_shape_last(xs);
	c.oc = (uint32_t)ne_shape_last(&lw->shape[lw->y]);
	c.n_pix = (uint32_t)(ne_shape_elements(xs) / c.ic);
	NE_RETURN_IF(ne_lower_rows(lw, n, c.n_pix, c.ic, &c.ind));
	return lower_typed(lw, &c);
}
