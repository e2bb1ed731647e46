/* SPDX-License-Identifier: MIT */
/*
 * Operators on integers that bring their scales as inputs. Each is imported as the nodes that it
 * stands for: dequantise, the operator on real values, quantise; the rewrites make one s8 operator
 * of them again. Sums of products without scales (ConvInteger, MatMulInteger) are worked out in f32,
 * which is exact below 2^24; where they may grow larger the left side is split into two.
 */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX  NE_MAX_IO
#define NAME_BYTES 16
#define EXACT      16777216.0 /* 2^24: integers up to it are f32 values */

/* ---- nodes that no file holds ---- */

/* Imports "out = op(in...)" under the name of @as, with the attributes given. */
static int call(struct onnx *o, const onnx_node *as, const char *op, size_t n_in, char **in,
		const char *out, size_t n_attr, Onnx__AttributeProto **attr)
{
	char *outs[1] = {(char *)(uintptr_t)out};
	onnx_node n;

	onnx__node_proto__init(&n);
	n.name = as->name && as->name[0] ? as->name : as->n_output ? as->output[0] : NULL;
	n.op_type = (char *)(uintptr_t)op;
	n.n_input = n_in;
	n.input = in;
	n.n_output = 1;
	n.output = outs;
	n.n_attribute = n_attr;
	n.attribute = attr;
	return onnx_add_node(o, &n);
}

static void int_attr(Onnx__AttributeProto *a, const char *name, int64_t v)
{
	onnx__attribute_proto__init(a);
	a->name = (char *)(uintptr_t)name;
	a->has_i = 1;
	a->i = v;
}

/* Name @k of the scope: none that a file can hold. */
static char *inner_name(char *buf, size_t k)
{
	snprintf(buf, NAME_BYTES, "\001%zu", k);
	return buf;
}

static char *outer_name(const onnx_node *n, size_t i)
{
	return i < n->n_input && n->input[i] ? n->input[i] : (char *)(uintptr_t) "";
}

/* ---- the operators ---- */

struct qlinear {
	const char *name, *op;
	uint8_t n_in;        /* values with scale and zero point */
	uint8_t value[2];    /* where each starts */
	uint8_t out;         /* the output's scale and zero point */
	uint8_t plain, bias; /* inputs that are passed on (1 + index); a bias in s32 (index) */
};

static const struct qlinear operators[] = {
	{"QGemm", "Gemm", 2, {0, 3}, 7, 0, 6},
	{"QLinearAdd", "Add", 2, {0, 3}, 6, 0, 0},
	{"QLinearAveragePool", "AveragePool", 1, {0}, 3, 0, 0},
	{"QLinearConv", "Conv", 2, {0, 3}, 6, 0, 8},
	{"QLinearGlobalAveragePool", "GlobalAveragePool", 1, {0}, 3, 0, 0},
	{"QLinearLeakyRelu", "LeakyRelu", 1, {0}, 3, 0, 0},
	{"QLinearMatMul", "MatMul", 2, {0, 3}, 6, 0, 0},
	{"QLinearMul", "Mul", 2, {0, 3}, 6, 0, 0},
	{"QLinearReduceMean", "ReduceMean", 1, {0}, 3, 0, 0},
	{"QLinearSigmoid", "Sigmoid", 1, {0}, 3, 0, 0},
	{"QLinearSoftmax", "Softmax", 1, {0}, 3, 0, 0},
	{"QLinearWhere", "Where", 2, {1, 4}, 7, 1, 0},
};

static int dequantise(struct onnx *o, const onnx_node *n, size_t at, int64_t axis, const char *out)
{
	char *in[3] = {outer_name(n, at), outer_name(n, at + 1), outer_name(n, at + 2)};
	Onnx__AttributeProto a, *list[1] = {&a};

	int_attr(&a, "axis", axis);
	return call(o, n, "DequantizeLinear", 3, in, out, axis >= 0, list);
}

/* A bias in steps of both scales: its scale is a constant of its own. */
static int dequantise_bias(struct onnx *o, const onnx_node *n, size_t bias, const char *out)
{
	const struct onnx_const *x = onnx_in_const(o, n, 1), *w = onnx_in_const(o, n, 4);
	char name[NAME_BYTES], *in[2] = {outer_name(n, bias), inner_name(name, 9)};
	float alpha = onnx_attr_float(n, "alpha", 1);
	Onnx__AttributeProto a, *list[1] = {&a};
	struct onnx_const *scale;
	int64_t count;

	if (!x || !w || x->n != 1 || x->dtype != NE_F32 || w->dtype != NE_F32 || !w->n)
		return onnx_fail(o, n, EOPNOTSUPP, "a bias beside scales that are no constants");
	count = (int64_t)w->n;
	scale = onnx_const_new(NE_F32, w->n == 1 ? 0 : 1, &count);
	if (!scale)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (size_t i = 0; i < w->n; i++)
		((float *)scale->data)[i] =
			alpha * *(const float *)x->data * ((const float *)w->data)[i];
	NE_RETURN_IF(onnx_value_add(o, in[1], scale, -1));
	int_attr(&a, "axis", 0);
	return call(o, n, "DequantizeLinear", 2, in, out, 1, list);
}

/* Of weights with several scales: the axis of output channels. */
static int64_t weight_axis(const struct onnx *o, const onnx_node *n, const struct qlinear *q,
			   size_t k)
{
	const struct onnx_const *w = onnx_in_const(o, n, q->value[1]);

	if (k != 1 || !w)
		return -1;
	if (strcmp(q->op, "Conv") == 0)
		return 0;
	if (strcmp(q->op, "Gemm") == 0)
		return onnx_attr_int(n, "transB", 0) ? 0 : 1;
	return w->rank ? (int64_t)w->rank - 1 : -1;
}

static int quantise(struct onnx *o, const onnx_node *n, char *x, size_t scale, size_t zero,
		    const char *out)
{
	char *in[3] = {x, outer_name(n, scale), outer_name(n, zero)};

	return call(o, n, "QuantizeLinear", 3, in, out, 0, NULL);
}

/* The operator between its conversions; the result is called @out in the scope at hand. */
static int import_parts(struct onnx *o, const onnx_node *n, const struct qlinear *q,
			const char *out)
{
	char names[4][NAME_BYTES], result[NAME_BYTES], *in[4];
	int64_t opset = o->opset;
	size_t n_in = 0;
	int r;

	if (q->plain)
		in[n_in++] = outer_name(n, q->plain - 1u);
	for (size_t k = 0; k < q->n_in; k++, n_in++) {
		in[n_in] = inner_name(names[n_in], n_in);
		NE_RETURN_IF(dequantise(o, n, q->value[k], weight_axis(o, n, q, k), in[n_in]));
	}
	if (q->bias && onnx_in(o, n, q->bias)) {
		in[n_in] = inner_name(names[n_in], n_in);
		NE_RETURN_IF(dequantise_bias(o, n, q->bias, in[n_in]));
		n_in++;
	}
	o->opset = onnx_attr_int(n, "opset", o->opset); /* of QLinearSoftmax */
	r = call(o, n, q->op, n_in, in, onnx_in(o, n, q->out) ? inner_name(result, 8) : out,
		 n->n_attribute, n->attribute);
	o->opset = opset;
	if (r < 0 || !onnx_in(o, n, q->out))
		return r;
	return quantise(o, n, result, q->out, q->out + 1u, out);
}

static int import_concat(struct onnx *o, const onnx_node *n, const char *out)
{
	size_t count = n->n_input > 2 ? (n->n_input - 2) / 3 : 0;
	char names[PARTS_MAX][NAME_BYTES], result[NAME_BYTES], *in[PARTS_MAX];

	if (count == 0 || count > PARTS_MAX)
		return onnx_fail(o, n, EINVAL, "%zu inputs", n->n_input);
	for (size_t k = 0; k < count; k++) {
		in[k] = inner_name(names[k], 10 + k);
		NE_RETURN_IF(dequantise(o, n, 2 + 3 * k, -1, in[k]));
	}
	NE_RETURN_IF(call(o, n, "Concat", count, in, inner_name(result, 8), n->n_attribute,
			  n->attribute));
	return quantise(o, n, result, 0, 1, out);
}

/* The value @name of the scope becomes the node's output in the scope around it. */
static int export_value(struct onnx *o, const onnx_node *n, const char *name)
{
	struct onnx_value v = *onnx_value_find(o, name), *made;
	struct onnx_const *c = NULL;

	onnx_scope_leave(o);
	if (v.constant) {
		c = onnx_const_reshape(v.constant, v.constant->rank, v.constant->dim);
		return onnx_out_const(o, n, c);
	}
	NE_RETURN_IF(onnx_out_tensor(o, n, (int)v.tensor));
	made = onnx_value_find(o, n->output[0]);
	made->shifted = v.shifted;
	made->bytes = v.bytes;
	return 0;
}

/* Other run times disagree on what does not fit then: some wrap around. */
static bool signed_by_computed_scales(const struct onnx *o, const onnx_node *n)
{
	const struct onnx_value *zero = onnx_in(o, n, 7);

	return strcmp(n->op_type, "QLinearMatMul") == 0 && !onnx_in_const(o, n, 6) && zero &&
	       zero->tensor >= 0 && o->g->tensor[zero->tensor].dtype == NE_S8;
}

int onnx_qlinear(struct onnx *o, const onnx_node *n)
{
	const struct qlinear *q = NULL;
	struct onnx_scope scope;
	char out[NAME_BYTES];
	int r;

	if (onnx_attr_int(n, "channels_last", 0))
		return onnx_fail(o, n, EOPNOTSUPP, "channels_last");
	if (signed_by_computed_scales(o, n))
		return onnx_fail(o, n, EOPNOTSUPP,
				 "a signed product with scales that are computed");
	for (size_t i = 0; i < NE_ARRAY_SIZE(operators); i++)
		if (strcmp(operators[i].name, n->op_type) == 0)
			q = &operators[i];
	onnx_scope_enter(o, &scope);
	inner_name(out, 7);
	r = q ? import_parts(o, n, q, out) : import_concat(o, n, out);
	if (r >= 0)
		return export_value(o, n, out);
	onnx_scope_leave(o);
	return r;
}

/* ---- sums of products of integers ---- */

/* Input @i less its zero point, as f32 values called @name. */
static int centred(struct onnx *o, const onnx_node *n, size_t i, size_t zero, const char *name)
{
	char plain[NAME_BYTES], *in[3] = {outer_name(n, i), NULL, outer_name(n, zero)};
	struct onnx_const *one;
	int x;

	in[1] = inner_name(plain, 10 + i);
	one = onnx_const_new(NE_F32, 0, NULL);
	if (!one)
		return onnx_fail(o, n, ENOMEM, "no memory");
	*(float *)one->data = 1;
	NE_RETURN_IF(onnx_value_add(o, in[1], one, -1));
	if (onnx_in(o, n, i)->constant && (!onnx_in(o, n, zero) || onnx_in_const(o, n, zero)))
		return call(o, n, "DequantizeLinear", onnx_in(o, n, zero) ? 3 : 2, in, name, 0,
			    NULL);
	x = onnx_integers(o, n, i);
	if (x >= 0 && onnx_in(o, n, zero))
		x = onnx_emit_binary(o, n, NE_BINARY_SUB, x, onnx_integers(o, n, zero));
	return x < 0 ? x : onnx_value_add(o, name, NULL, x);
}

/* How many products a sum has. */
static size_t products(const struct onnx *o, const onnx_node *n)
{
	const struct onnx_value *w = onnx_in(o, n, 1);
	int64_t dim[NE_MAX_RANK] = {0};
	uint32_t rank;
	size_t k = 1;

	if (w->constant) {
		rank = w->constant->rank;
		memcpy(dim, w->constant->dim, sizeof(dim));
	} else {
		rank = onnx_shape_of(o, (int)w->tensor)->rank;
		for (uint32_t i = 0; i < rank; i++)
			dim[i] = onnx_shape_of(o, (int)w->tensor)->dim[i];
	}
	if (n->op_type[0] == 'M')
		return rank >= 2 ? (size_t)dim[rank - 2] : rank ? (size_t)dim[0] : 1;
	for (uint32_t i = 1; i < rank; i++)
		k *= (size_t)dim[i];
	return k;
}

/* The product of tensor @x with what is called @w, in s32. */
static int product(struct onnx *o, const onnx_node *n, int x, char *w, size_t at)
{
	const char *op = n->op_type[0] == 'M' ? "MatMul" : "Conv";
	char from[NAME_BYTES], to[NAME_BYTES], *in[2] = {inner_name(from, at), w};

	NE_RETURN_IF(onnx_value_add(o, in[0], NULL, x));
	NE_RETURN_IF(call(o, n, op, 2, in, inner_name(to, at + 1), n->n_attribute, n->attribute));
	return onnx_emit_cast(o, n, (int)onnx_value_find(o, to)->tensor, NE_S32);
}

static int whole_product(struct onnx *o, const onnx_node *n)
{
	double most = (double)products(o, n) * 255.0;
	char names[2][NAME_BYTES], *w = inner_name(names[1], 1);
	struct onnx_value *left;
	int x, high, low;

	NE_RETURN_IF(centred(o, n, 1, 3, w));
	NE_RETURN_IF(centred(o, n, 0, 2, inner_name(names[0], 0)));
	left = onnx_value_find(o, names[0]);
	if (left->constant) { /* a constant by what is computed */
		x = onnx_emit_value(o, n, left->constant);
		if (x < 0)
			return x;
		left->tensor = x;
	}
	x = (int)left->tensor;
	if (most * 255 < EXACT)
		return product(o, n, x, w, 20);
	if (most * 16 >= EXACT)
		return onnx_fail(o, n, E2BIG, "sums of more than %.0f products", EXACT / 16 / 255);
	high = onnx_emit_scalar(o, n, NE_OP_MUL, x, 1.0f / 16);
	high = onnx_emit_function(o, n, NE_UNARY_FLOOR, high, 0, 0);
	low = onnx_emit_binary(o, n, NE_BINARY_SUB, x, onnx_emit_scalar(o, n, NE_OP_MUL, high, 16));
	if (low < 0)
		return low;
	high = product(o, n, high, w, 20);
	low = high < 0 ? high : product(o, n, low, w, 22);
	if (low < 0)
		return low;
	high = onnx_emit_binary(o, n, NE_BINARY_MUL, high, onnx_emit_number(o, n, high, 16));
	return onnx_emit_binary(o, n, NE_BINARY_ADD, high, low);
}

int onnx_integer_product(struct onnx *o, const onnx_node *n)
{
	struct onnx_scope scope;
	int y;

	if (!onnx_in(o, n, 0) || !onnx_in(o, n, 1))
		return onnx_fail(o, n, EINVAL, "an input is missing");
	onnx_scope_enter(o, &scope);
	y = whole_product(o, n);
	onnx_scope_leave(o);
	return onnx_out_tensor(o, n, y);
}
