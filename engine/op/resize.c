/* SPDX-License-Identifier: MIT */
/*
 * Images between sizes by interpolation along both axes. The arithmetic is TFLite's RESIZE_BILINEAR:
 * in f32 four products of f32 weights; in s8 weights in steps of 2^-10 along each axis and one
 * rounding of their sum of products, half away from zero.
 */
#include "engine/op/elem.h"
#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <math.h>
#include <stdlib.h>

#define STEPS 1024 /* of an s8 weight along one axis */

/* The largest axis whose positions in steps are within int32. */
#define MAX_SIDE (1 << 16)

NE_OP_CHECK(resize)
{
	const struct ne_shape *x = &ne_node_in(g, n, 0)->shape;

	NE_RETURN_IF(ne_check_f32_or_s8(g, n, err));
	if (n->attr.kind < 0 || n->attr.kind > (NE_RESIZE_CORNERS | NE_RESIZE_HALF_PIXEL))
		return ne_node_fail(err, EINVAL, n, "no form %d", n->attr.kind);
	for (uint32_t i = 1; i < 3; i++)
		if (x->rank != 4 || x->dim[i] > MAX_SIDE || n->attr.slice.size[i] > MAX_SIDE)
			return ne_node_fail(err, EINVAL, n,
					    "an image of at most %d by %d is wanted", MAX_SIDE,
					    MAX_SIDE);
	return ne_check_same_group(g, n, err);
}

NE_OP_INFER(resize)
{
	(void)g;
	if (in[0].rank != 4)
		return ne_node_fail(err, EINVAL, n, "an input of rank %u; 4 is wanted", in[0].rank);
	*ret = in[0];
	for (uint32_t i = 1; i < 3; i++) {
		ret->dim[i] = n->attr.slice.size[i];
		if (ret->dim[i] < 1)
			return ne_node_fail(err, EINVAL, n, "axis %u: a size of %d", i,
					    ret->dim[i]);
	}
	return 0;
}

/* One place along an axis: between two of the input, the upper's weight; in s8 both weights in steps
 * (at the border, where both are the same, one may be below zero). */
struct place {
	uint32_t lower, upper;
	union {
		float f32;
		int32_t s8[2];
	} w;
};

struct resize_args {
	struct ne_ref x, y;
	const struct place *row, *column;
	uint32_t in_h, in_w, h, w, c;
	bool is_s8;
};

/* Images of the batch one after another, of each its rows. */
struct corners {
	const void *upper, *lower; /* rows of the input */
};

static struct corners corners_of(const struct resize_args *c, const char *x, uint32_t u,
				 size_t size)
{
	size_t row = (size_t)c->in_w * c->c * size, image = u / c->h * c->in_h;
	const struct place *p = &c->row[u % c->h];

	return (struct corners){x + (image + p->upper) * row, x + (image + p->lower) * row};
}

static void row_f32(const struct resize_args *c, float v, const struct corners *k, float *y)
{
	for (uint32_t i = 0; i < c->w; i++, y += c->c) {
		const struct place *p = &c->column[i];
		size_t l = (size_t)p->lower * c->c, u = (size_t)p->upper * c->c;
		const float *a = (const float *)k->lower + l, *b = (const float *)k->lower + u;
		const float *d = (const float *)k->upper + l, *e = (const float *)k->upper + u;
		float wa = (1 - v) * (1 - p->w.f32), wb = (1 - v) * p->w.f32;
		float wd = v * (1 - p->w.f32), we = v * p->w.f32;

		for (uint32_t j = 0; j < c->c; j++)
			y[j] = a[j] * wa + d[j] * wd + b[j] * wb + e[j] * we;
	}
}

static void row_s8(const struct resize_args *c, const int32_t *v, const struct corners *k,
		   int8_t *y)
{
	const int32_t half = STEPS * STEPS / 2;

	for (uint32_t i = 0; i < c->w; i++, y += c->c) {
		const struct place *p = &c->column[i];
		size_t l = (size_t)p->lower * c->c, u = (size_t)p->upper * c->c;
		const int8_t *a = (const int8_t *)k->lower + l, *b = (const int8_t *)k->lower + u;
		const int8_t *d = (const int8_t *)k->upper + l, *e = (const int8_t *)k->upper + u;
		int32_t wa = v[0] * p->w.s8[0], wb = v[0] * p->w.s8[1];
		int32_t wd = v[1] * p->w.s8[0], we = v[1] * p->w.s8[1];

		for (uint32_t j = 0; j < c->c; j++) {
			int32_t sum = a[j] * wa + b[j] * wb + d[j] * wd + e[j] * we;

			y[j] = (int8_t)((sum + (sum > 0 ? half : -half)) / (STEPS * STEPS));
		}
	}
}

/* Units are rows of the output. */
static void run_resize(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		       uint32_t n)
{
	const struct resize_args *c = s->args;
	size_t size = c->is_s8 ? 1 : sizeof(float), row = (size_t)c->w * c->c * size;
	char *y = (char *)ne_at(f, c->y) + first * row;

	for (uint32_t u = first; u < first + n; u++, y += row) {
		const struct place *p = &c->row[u % c->h];
		struct corners k = corners_of(c, ne_at(f, c->x), u, size);

		if (c->is_s8)
			row_s8(c, p->w.s8, &k, (int8_t *)y);
		else
			row_f32(c, p->w.f32, &k, (float *)y);
	}
}

/* ---- tables ---- */

static struct place place_f32(int32_t form, int32_t in, int32_t out, int32_t i)
{
	bool corners = form & NE_RESIZE_CORNERS && out > 1;
	float scale = corners ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
	float at =
		form & NE_RESIZE_HALF_PIXEL ? ((float)i + 0.5f) * scale - 0.5f : (float)i * scale;
	struct place p;

	p.lower = (uint32_t)NE_CLAMP(floorf(at), 0.0f, (float)(in - 1));
	p.upper = (uint32_t)NE_CLAMP(ceilf(at), 0.0f, (float)(in - 1));
	p.w.f32 = at - (float)p.lower;
	return p;
}

static struct place place_s8(int32_t form, int32_t in, int32_t out, int32_t i)
{
	bool corners = form & NE_RESIZE_CORNERS && out > 1;
	int64_t d = corners ? out - 1 : out;
	int64_t scale = ((int64_t)STEPS * (corners ? in - 1 : in) + d / 2) / d;
	int64_t at = i * scale + (form & NE_RESIZE_HALF_PIXEL ? scale / 2 - STEPS / 2 : 0);
	struct place p;

	p.lower = (uint32_t)NE_CLAMP(at / STEPS, 0, in - 1);
	p.upper = (uint32_t)NE_CLAMP((at + STEPS - 1) / STEPS, 0, in - 1);
	/* past the last place, where the scale was rounded up, both are the last */
	p.w.s8[1] = (int32_t)(at - (int64_t)p.lower * STEPS);
	if (p.upper == p.lower)
		p.w.s8[1] = 0;
	p.w.s8[0] = STEPS - p.w.s8[1];
	return p;
}

static const struct place *make_places(struct ne_lower *lw, bool is_s8, int32_t form, int32_t in,
				       int32_t out)
{
	struct place *p = calloc((size_t)out, sizeof(*p));
	const struct place *r;

	if (!p)
		return NULL;
	for (int32_t i = 0; i < out; i++)
		p[i] = is_s8 ? place_s8(form, in, out, i) : place_f32(form, in, out, i);
	r = ne_lower_table(lw, p, (size_t)out * sizeof(*p));
	free(p);
	return r;
}

NE_OP_LOWER(resize)
{
	const struct ne_shape *x = &lw->shape[n->in[0]], *y = &lw->shape[lw->y];
	struct resize_args c = {
		.x = lw->ref[n->in[0]],
		.y = lw->ref[lw->y],
		.in_h = (uint32_t)x->dim[1],
		.in_w = (uint32_t)x->dim[2],
		.h = (uint32_t)y->dim[1],
		.w = (uint32_t)y->dim[2],
		.c = (uint32_t)y->dim[3],
		.is_s8 = lw->g->tensor[lw->y].dtype == NE_S8,
	};
	uint32_t rows = (uint32_t)y->dim[0] * c.h;

	if (c.is_s8 && !ne_quant_equal(ne_lower_quant(lw, n->in[0]), ne_lower_quant(lw, lw->y)))
		return ne_node_fail(lw->err, EINVAL, n, "input and output have different scales");
	c.row = make_places(lw, c.is_s8, n->attr.kind, x->dim[1], y->dim[1]);
	c.column = make_places(lw, c.is_s8, n->attr.kind, x->dim[2], y->dim[2]);
	if (!c.row || !c.column)
		return ne_lower_no_memory(lw, n);
	return ne_lower_step(lw, run_resize, &c, sizeof(c), rows, 4, (uint64_t)rows * c.w * c.c * 4,
			     lw->y);
}
