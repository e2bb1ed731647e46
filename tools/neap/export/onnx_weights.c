/* SPDX-License-Identifier: MIT */
/*
 * Weights and biases: the level's prefix of both channels, in ONNX's order, with the width's norm
 * folded in. s8 weights stay as they are; a norm only changes the scale of a channel, and the sign
 * of its weights where it is negative. u8 weights keep their zero point. The s32 bias is the one that
 * the engine computes with.
 */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"

#include <math.h>
#include <string.h>

#define BIAS_LIMIT 1073741824.0 /* 2^30, as the engine limits it */

/* The weights of the node at hand at this level. */
struct source {
	const struct ne_tensor *w, *b;
	const struct ne_norm *norm;
	uint32_t oc, ic, taps;     /* at the level; ic of a group, 1 for depthwise */
	size_t o_stride, t_stride; /* elements in the engine's array; channels are neighbours */
	const uint32_t *columns;
	double sx;          /* scale of the input */
	struct ne_quant u8; /* of u8 weights; scale 0: they are s8 or f32 */
};

static struct source source_of(struct exporter *x, const uint32_t *columns)
{
	const struct ne_node *n = x->node;
	const struct ne_tensor *w = ne_node_in(x->g, n, 1);
	uint32_t xc = (uint32_t)ne_shape_last(&x->shape[n->in[0]]);
	struct source s = {
		.w = w,
		.b = ne_node_in(x->g, n, 2),
		.norm = n->attr.norm ? &x->width->norm[n->attr.norm - 1] : NULL,
		.oc = (uint32_t)ne_shape_last(&x->shape[x->y]),
		.ic = xc,
		.taps = 1,
		.columns = columns,
		.sx = (double)x_quant(x, n->in[0]).scale,
	};
	size_t last = (size_t)ne_shape_last(&w->shape);

	if (w->dtype == NE_U8)
		s.u8 = x_quant(x, n->in[1]);
	switch (n->op) {
	case NE_OP_DWCONV:
		s.taps = (uint32_t)(w->shape.dim[0] * w->shape.dim[1]);
		s.ic = 1;
		s.o_stride = 1;
		s.t_stride = last;
		break;
	case NE_OP_CONV:
		s.taps = (uint32_t)(w->shape.dim[1] * w->shape.dim[2]);
		s.ic = xc / (uint32_t)n->attr.groups;
		s.o_stride = s.taps * last;
		s.t_stride = last;
		break;
	default:
		s.o_stride = last;
		break;
	}
	return s;
}

/* ONNX has [oc][ic][taps]. */
static size_t weight_at(const struct source *s, uint32_t o, uint32_t i, uint32_t t)
{
	return o * s->o_stride + t * s->t_stride + (s->columns ? s->columns[i] : i);
}

static const char *weights_init(struct exporter *x, const struct source *s, enum ne_dtype type,
				const void *data)
{
	const struct ne_window *win = &x->node->attr.window;
	int64_t dim[4] = {s->oc, s->ic};
	uint32_t rank = 2;

	if (x->node->op != NE_OP_DENSE) {
		if (x->shape[x->node->in[0]].rank == 4)
			dim[rank++] = win->kh;
		dim[rank++] = win->kw;
	}
	return x_init(x, s->w->name, type, rank, dim, data);
}

/* ---- f32 ---- */

static int weights_f32(struct exporter *x, const struct source *s, struct x_weights *ret)
{
	float *w = x_alloc(x, (size_t)s->oc * s->ic * s->taps * sizeof(*w)), *to = w;
	float *b = x_alloc(x, s->oc * sizeof(*b));
	int64_t dim = s->oc;

	if (!w || !b)
		return x->failed;
	for (uint32_t o = 0; o < s->oc; o++) {
		float f = s->norm ? s->norm->scale[o] : 1.0f;

		for (uint32_t i = 0; i < s->ic; i++)
			for (uint32_t t = 0; t < s->taps; t++)
				*to++ = ((const float *)s->w->data)[weight_at(s, o, i, t)] * f;
		b[o] = s->norm ? s->norm->bias[o] : s->b ? ((const float *)s->b->data)[o] : 0.0f;
	}
	ret->w = weights_init(x, s, NE_F32, w);
	if (s->norm || s->b)
		ret->b = x_init(x, s->b ? s->b->name : "bias", NE_F32, 1, &dim, b);
	return x->failed;
}

/* ---- s8 and u8 ---- */

/* Scale of the weights of channel @o, above zero, and its bias; *ret_sign is what to multiply the
 * weights by. */
static double channel_scale(const struct source *s, uint32_t o, int32_t *ret_bias, int *ret_sign)
{
	double scale = (double)(s->w->dtype == NE_U8 ? s->u8.scale
						     : s->w->scale[s->w->n_scale == 1 ? 0 : o]);
	double real = 0, limit;

	if (s->norm)
		real = (double)s->norm->bias[o];
	else if (s->b)
		real = s->b->dtype == NE_S32 ? ((const int32_t *)s->b->data)[o] * s->sx * scale
					     : (double)((const float *)s->b->data)[o];
	if (s->norm)
		scale *= (double)s->norm->scale[o];
	*ret_sign = scale < 0 ? -1 : scale > 0;
	scale = fabs(scale);
	limit = fabs(real) / BIAS_LIMIT / s->sx;
	if (scale <
	    limit) { /* the engine keeps its weights too: next to the bias they are nothing */
		scale = limit;
		*ret_sign = 1;
	}
	if (!(scale > 0))
		scale = 1;
	*ret_bias = (int32_t)rint(real / (s->sx * scale));
	return scale;
}

/* Weights times the sign; -128 has no negative. */
static int copy_channel(struct exporter *x, const struct source *s, uint32_t o, int sign,
			int8_t *to)
{
	for (uint32_t i = 0; i < s->ic; i++)
		for (uint32_t t = 0; t < s->taps; t++) {
			int v = ((const int8_t *)s->w->data)[weight_at(s, o, i, t)] * sign;

			if (v > INT8_MAX)
				return x_fail(x, EOPNOTSUPP,
					      "output channel %u: a weight of -128 and a negative "
					      "norm",
					      o);
			*to++ = (int8_t)v;
		}
	return 0;
}

/* Values as they are; a norm of 0 leaves the zero point. */
static int copy_channel_u8(struct exporter *x, const struct source *s, uint32_t o, int sign,
			   uint8_t *to)
{
	if (sign < 0)
		return x_fail(x, EOPNOTSUPP, "output channel %u: u8 weights and a negative norm",
			      o);
	for (uint32_t i = 0; i < s->ic; i++)
		for (uint32_t t = 0; t < s->taps; t++)
			*to++ = sign ? ((const uint8_t *)s->w->data)[weight_at(s, o, i, t)]
				     : (uint8_t)s->u8.zero;
	return 0;
}

/* A DequantizeLinear of constants with @n scales: 1, or one for each of axis 0. s32 constants have no
 * zero point. */
static const char *dequantise_const(struct exporter *x, const char *name, uint32_t n,
				    const float *scale, enum ne_dtype type, int32_t zero)
{
	const int64_t dim = n;
	uint8_t *zeros = x_alloc(x, n);
	const char *s = x_init(x, "scale", NE_F32, n > 1, &dim, scale), *r;

	if (!zeros)
		return NULL;
	memset(zeros, zero, n);
	if (type != NE_S32)
		r = X_NODE(x, "DequantizeLinear", NULL, name, s,
			   x_init(x, "zero", type, n > 1, &dim, zeros));
	else
		r = X_NODE(x, "DequantizeLinear", NULL, name, s);
	if (n > 1)
		x_attr_int(x, "axis", 0);
	return r;
}

static int weights_quantised(struct exporter *x, const struct source *s, struct x_weights *ret)
{
	size_t row = (size_t)s->ic * s->taps;
	enum ne_dtype type = s->w->dtype;
	char *w = x_alloc(x, s->oc * row);
	int32_t *b = x_alloc(x, s->oc * sizeof(*b));
	float *scale = x_alloc(x, s->oc * sizeof(*scale));
	float *bias_scale = x_alloc(x, s->oc * sizeof(*scale));
	int64_t dim = s->oc;
	uint32_t n = 1;

	if (!w || !b || !scale || !bias_scale)
		return x->failed;
	if (!(s->sx > 0))
		return x_fail(x, EINVAL, "its input has no quantisation scale");
	for (uint32_t o = 0; o < s->oc; o++) {
		int sign;
		double v = channel_scale(s, o, &b[o], &sign);

		scale[o] = (float)v;
		bias_scale[o] = (float)(v * s->sx);
		if (scale[o] < scale[0] || scale[o] > scale[0])
			n = s->oc;
		if (type == NE_U8)
			NE_RETURN_IF(copy_channel_u8(x, s, o, sign, (uint8_t *)w + o * row));
		else
			NE_RETURN_IF(copy_channel(x, s, o, sign, (int8_t *)w + o * row));
	}
	ret->w = dequantise_const(x, weights_init(x, s, type, w), n, scale, type, s->u8.zero);
	if (s->norm || s->b)
		ret->b = dequantise_const(x,
					  x_init(x, s->b ? s->b->name : "bias", NE_S32, 1, &dim, b),
					  n, bias_scale, NE_S32, 0);
	return x->failed;
}

int x_weights(struct exporter *x, const uint32_t *columns, struct x_weights *ret)
{
	struct source s = source_of(x, columns);

	*ret = (struct x_weights){.b = NULL};
	return s.w->dtype == NE_F32 ? weights_f32(x, &s, ret) : weights_quantised(x, &s, ret);
}
