/* SPDX-License-Identifier: MIT */
/*
 * 8-bit values. Quantise and dequantise nodes are written as they stand; the rewrites then fuse
 * them with what lies between (rewrite/quantised.c).
 *
 * The engine computes in s8. An unsigned activation is kept as s8, 128 less in value and zero
 * point; who needs the unsigned bytes themselves gets them from onnx_in_tensor().
 */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- scales and zero points ---- */

struct params {
	const struct onnx_const *scale, *zero; /* zero: NULL = 0 */
	struct ne_quant one;                   /* the only pair, where scale->n == 1 */
};

static int read_params(struct onnx *o, const onnx_node *n, size_t at, struct params *ret)
{
	const struct onnx_const *s = onnx_in_const(o, n, at), *z = onnx_in_const(o, n, at + 1);

	if (!s || s->dtype != NE_F32 || s->n == 0)
		return onnx_fail(o, n, EINVAL, "its scale is no constant of floats");
	if (z && z->n != s->n)
		return onnx_fail(o, n, EINVAL, "%zu scales but %zu zero points", s->n, z->n);
	for (size_t i = 0; i < s->n; i++)
		if (!(((const float *)s->data)[i] > 0) || !isfinite(((const float *)s->data)[i]))
			return onnx_fail(o, n, EINVAL, "scale %zu is not above zero", i);
	*ret = (struct params){.scale = s, .zero = z};
	ret->one.scale = *(const float *)s->data;
	ret->one.zero = z ? (int32_t)NE_CLAMP(onnx_const_int(z, 0), INT16_MIN, INT16_MAX) : 0;
	return 0;
}

/* ---- constants ---- */

/* Index of the scale of element @i along @axis, in blocks of @block. */
struct spread {
	size_t inner, length, block, per_axis;
};

static int spread_of(struct onnx *o, const onnx_node *n, const struct onnx_const *x,
		     const struct onnx_const *s, struct spread *ret)
{
	int64_t block = onnx_attr_int(n, "block_size", 0);
	int axis;

	*ret = (struct spread){1, 1, 1, 1};
	if (s->n == 1 && block == 0)
		return 0;
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 1), x->rank);
	if (axis < 0)
		return axis;
	ret->length = (size_t)x->dim[axis];
	for (uint32_t i = (uint32_t)axis + 1; i < x->rank; i++)
		ret->inner *= (size_t)x->dim[i];
	if (block == 0) {
		ret->per_axis = ret->length;
		return ret->length == s->n
			       ? 0
			       : onnx_fail(o, n, EINVAL, "%zu scales for %zu values of axis %d",
					   s->n, ret->length, axis);
	}
	if (block < 0 || s->rank != x->rank || x->n == 0)
		return onnx_fail(o, n, EINVAL, "block_size %lld with %zu scales", (long long)block,
				 s->n);
	ret->block = (size_t)block;
	ret->per_axis = (ret->length + ret->block - 1) / ret->block;
	if (s->n != x->n / ret->length * ret->per_axis)
		return onnx_fail(o, n, EINVAL, "%zu scales for blocks of %lld", s->n,
				 (long long)block);
	return 0;
}

/* Whether scale and zero point are one constant each, and of a type that the engine quantises to. */
static bool has_node(const struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *s = onnx_in_const(o, n, 1), *z = onnx_in_const(o, n, 2);

	return s && s->n == 1 && !onnx_attr_int(n, "block_size", 0) && (z || !onnx_in(o, n, 2));
}

static size_t scale_index(const struct spread *p, size_t i, size_t n_scale)
{
	size_t at = i / p->inner % p->length / p->block;

	if (n_scale == 1)
		return 0;
	if (n_scale == p->per_axis && p->block == 1)
		return at;
	return (i / (p->inner * p->length) * p->per_axis + at) * p->inner + i % p->inner;
}

static int dequantise_const(struct onnx *o, const onnx_node *n, const struct onnx_const *x,
			    const struct params *p)
{
	struct onnx_const *y;
	struct onnx_value *v;
	struct spread spread;

	NE_RETURN_IF(spread_of(o, n, x, p->scale, &spread));
	y = onnx_const_new(NE_F32, x->rank, x->dim);
	for (size_t i = 0; y && i < x->n; i++) {
		size_t c = scale_index(&spread, i, p->scale->n);
		int64_t zero = p->zero ? onnx_const_int(p->zero, c) : 0;

		((float *)y->data)[i] =
			(float)(onnx_const_int(x, i) - zero) * ((const float *)p->scale->data)[c];
	}
	NE_RETURN_IF(onnx_out_const(o, n, y));
	if (onnx_attr_int(n, "block_size", 0))
		return 0;
	v = onnx_value_find(o, n->output[0]);
	v->of = (struct onnx_quantised){
		.q = x,
		.scale = p->scale,
		.zero = p->zero,
		.axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 1), NE_MAX(x->rank, 2u)),
	};
	return 0;
}

static bool all_zero(const struct onnx_const *z)
{
	for (size_t i = 0; z && i < z->n; i++)
		if (onnx_const_int(z, i))
			return false;
	return true;
}

static int set_scales(struct onnx *o, const onnx_node *n, struct ne_tensor *t,
		      const struct onnx_const *s)
{
	float *copy = malloc(s->n * sizeof(*copy));

	if (!copy)
		return onnx_fail(o, n, ENOMEM, "no memory");
	memcpy(copy, s->data, s->n * sizeof(*copy));
	free(t->scale);
	t->scale = copy;
	t->n_scale = (uint32_t)s->n;
	return 0;
}

/* Whether every weight less its zero point fits s8. */
static bool fits_s8(const struct onnx_quantised *of, size_t inner)
{
	for (size_t i = 0; i < of->q->n; i++) {
		size_t c = of->scale->n == 1 ? 0 : i / inner % of->scale->n;
		int64_t v = onnx_const_int(of->q, i) - (of->zero ? onnx_const_int(of->zero, c) : 0);

		if (v < INT8_MIN || v > INT8_MAX)
			return false;
	}
	return true;
}

/* The integers that the f32 weights of @t were made of: exact, for each product was rounded once and
 * its integer has eight bits. @zero is added to each. */
static void *weight_bytes(const struct ne_tensor *t, const struct onnx_const *scale, int32_t zero)
{
	bool last = t->shape.rank == 3; /* depthwise: [kh, kw, channels] */
	size_t total = ne_shape_elements(&t->shape);
	size_t channels = (size_t)(last ? t->shape.dim[2] : t->shape.dim[0]);
	uint8_t *data = ne_alloc_aligned(total);

	for (size_t k = 0; data && k < total; k++) {
		size_t c = scale->n == 1 ? 0 : last ? k % channels : k / (total / channels);
		float w = ((const float *)t->data)[k] / ((const float *)scale->data)[c];

		data[k] = (uint8_t)(lrintf(w) + zero);
	}
	return data;
}

int onnx_quantised_weights(struct onnx *o, const onnx_node *n, size_t i, int axis, int tensor)
{
	const struct onnx_value *v = onnx_in(o, n, i);
	struct ne_tensor *t = &o->g->tensor[tensor];
	const struct onnx_quantised *of;
	int32_t zero = 0;
	size_t inner = 1;
	void *data;
	bool s8;

	if (!v || !v->of.q || (o->opt && o->opt->plain))
		return 0;
	of = &v->of;
	if ((of->q->dtype != NE_S8 && of->q->dtype != NE_U8) ||
	    (of->scale->n > 1 && of->axis != axis))
		return 0;
	for (uint32_t k = (uint32_t)axis + 1; k < of->q->rank; k++)
		inner *= (size_t)of->q->dim[k];
	s8 = fits_s8(of, inner);
	if (!s8 && (of->q->dtype != NE_U8 || of->scale->n != 1))
		return 0;
	if (!s8 && of->zero)
		zero = (int32_t)onnx_const_int(of->zero, 0);
	data = weight_bytes(t, of->scale, zero);
	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	free(t->data);
	t->data = data;
	t->bytes = ne_shape_elements(&t->shape);
	t->dtype = s8 ? NE_S8 : NE_U8;
	if (!s8)
		t->quant = (struct ne_quant){*(const float *)of->scale->data, zero};
	else
		NE_RETURN_IF(set_scales(o, n, t, of->scale));
	return 1;
}

int onnx_quantised_bias(struct onnx *o, const onnx_node *n, size_t i, int tensor)
{
	const struct onnx_value *v = onnx_in(o, n, i);
	struct ne_tensor *t = &o->g->tensor[tensor];

	if (!v || !v->of.q || v->of.q->dtype != NE_S32 || !all_zero(v->of.zero) ||
	    v->of.q->n != ne_shape_elements(&t->shape))
		return 0;
	memcpy(t->data, v->of.q->data, v->of.q->n * sizeof(int32_t));
	t->dtype = NE_S32;
	return set_scales(o, n, t, v->of.scale);
}

/* A constant of 8 bits and one scale, with the node that makes it real: for operands of what may
 * become an s8 operator. */
int onnx_quantised_const(struct onnx *o, const onnx_node *n, struct onnx_value *v)
{
	const struct onnx_const *q = v->of.q;
	int32_t offset, zero;
	int id;
	int8_t *data;

	if (!q || (q->dtype != NE_S8 && q->dtype != NE_U8) || v->of.scale->n != 1 || !q->n ||
	    (o->opt && o->opt->plain))
		return 0;
	offset = q->dtype == NE_U8 ? 128 : 0;
	zero = (v->of.zero ? (int32_t)onnx_const_int(v->of.zero, 0) : 0) - offset;
	data = ne_alloc_aligned(q->n);
	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (size_t i = 0; i < q->n; i++)
		data[i] = (int8_t)(onnx_const_int(q, i) - offset);
	id = onnx_emit_const_as(o, n, NE_S8, q->rank, q->dim, data);
	if (id < 0)
		return id;
	o->g->tensor[id].quant = (struct ne_quant){*(const float *)v->of.scale->data, zero};
	return onnx_emit_typed(o, n, NE_OP_DEQUANTISE, id, NE_F32, (struct ne_quant){0});
}

/* ---- activations ---- */

int onnx_plain_bytes(struct onnx *o, const onnx_node *n, struct onnx_value *v)
{
	struct ne_quant q = o->g->tensor[v->tensor].quant;
	int id;

	q.zero += 128;
	id = onnx_emit_typed(o, n, NE_OP_QUANTISE, (int)v->tensor, NE_U8, q);
	if (id >= 0)
		v->bytes = id;
	return id;
}

/* An integer tensor has one quantisation: who reads it with another one is refused. */
static int set_quant(struct onnx *o, const onnx_node *n, int tensor, struct ne_quant q)
{
	struct ne_quant *had = &o->g->tensor[tensor].quant;

	if (had->scale > 0 && (had->scale < q.scale || had->scale > q.scale || had->zero != q.zero))
		return onnx_fail(o, n, EOPNOTSUPP, "integers read with two scales or zero points");
	*had = q;
	return 0;
}

int onnx_dequantize_linear(struct onnx *o, const onnx_node *n)
{
	struct onnx_value *v = onnx_in(o, n, 0);
	struct params p;
	enum ne_dtype type;
	int x;

	if (!v)
		return onnx_fail(o, n, EINVAL, "input 0 is missing");
	if (v->constant && onnx_in_const(o, n, 1) &&
	    (onnx_in_const(o, n, 2) || !onnx_in(o, n, 2))) {
		NE_RETURN_IF(read_params(o, n, 1, &p));
		return dequantise_const(o, n, v->constant, &p);
	}
	type = v->constant ? v->constant->dtype : o->g->tensor[v->tensor].dtype;
	if (v->constant || !has_node(o, n) || (type != NE_U8 && type != NE_S8 && type != NE_S16))
		return onnx_dequantise_any(o, n);
	NE_RETURN_IF(read_params(o, n, 1, &p));
	x = (int)v->tensor;
	if (v->shifted)
		p.one.zero -= 128;
	NE_RETURN_IF(set_quant(o, n, x, p.one));
	if (type == NE_U8) {
		p.one.zero -= 128;
		x = onnx_emit_typed(o, n, NE_OP_QUANTISE, x, NE_S8, p.one);
	}
	x = onnx_emit_typed(o, n, NE_OP_DEQUANTISE, x, NE_F32, (struct ne_quant){0});
	return onnx_out_tensor(o, n, x);
}

/* The type that a quantise node gives: its zero point's, or one that an attribute tells. */
static int quantised_type(struct onnx *o, const onnx_node *n, enum ne_dtype *ret)
{
	const struct onnx_value *z = onnx_in(o, n, 2);
	int64_t type = onnx_attr_int(n, "output_dtype", 0);

	*ret = NE_U8;
	if (z)
		*ret = z->constant ? z->constant->dtype : o->g->tensor[z->tensor].dtype;
	else if (type && onnx_dtype(type, ret) < 0)
		return onnx_fail(o, n, EOPNOTSUPP, "to type %s", onnx_type_name(type));
	if (*ret != NE_U8 && *ret != NE_S8 && *ret != NE_S16)
		return onnx_fail(o, n, EOPNOTSUPP,
				 "to type %s; uint8, int8 and int16 are supported",
				 ne_dtype_name(*ret));
	return 0;
}

/* Weights that a model quantises in the graph, as after training for it. */
static int quantise_const(struct onnx *o, const onnx_node *n, const struct onnx_const *x,
			  enum ne_dtype type)
{
	struct params p;
	struct spread spread;
	struct onnx_const *y;

	NE_RETURN_IF(read_params(o, n, 1, &p));
	NE_RETURN_IF(spread_of(o, n, x, p.scale, &spread));
	y = onnx_const_new(type, x->rank, x->dim);
	for (size_t i = 0; y && i < x->n; i++) {
		size_t c = scale_index(&spread, i, p.scale->n);
		float v = rintf((float)onnx_const_real(x, i) / ((const float *)p.scale->data)[c]);

		onnx_const_set(y, i, (double)v + (p.zero ? onnx_const_real(p.zero, c) : 0));
	}
	return onnx_out_const(o, n, y);
}

int onnx_quantize_linear(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *c = onnx_in_const(o, n, 0);
	enum ne_dtype type = NE_U8;
	struct params p;
	int x;

	NE_RETURN_IF(quantised_type(o, n, &type));
	if (c && onnx_in_const(o, n, 1) && (onnx_in_const(o, n, 2) || !onnx_in(o, n, 2)))
		return quantise_const(o, n, c, type);
	x = onnx_in_tensor(o, n, 0);
	if (x < 0)
		return x;
	if (!has_node(o, n) || type == NE_S16 || o->g->tensor[x].dtype != NE_F32)
		return onnx_quantise_any(o, n, type);
	NE_RETURN_IF(read_params(o, n, 1, &p));
	p.one.zero -= type == NE_U8 ? 128 : 0;
	x = onnx_emit_typed(o, n, NE_OP_QUANTISE, x, NE_S8, p.one);
	NE_RETURN_IF(onnx_out_tensor(o, n, x));
	onnx_value_find(o, n->output[0])->shifted = type == NE_U8;
	return 0;
}
