/* SPDX-License-Identifier: MIT */
/* Element by element: sums and products, functions of one value, softmax, changes of type. */
#include "tools/neap/import/tflite_internal.h"

#include <math.h>
#include <stdlib.h>

enum { SOFTMAX_BETA };

/* ---- of two tensors ---- */

/* Inputs 0 and 1: both quantised, or both f32, or both plain integers. */
static int two_inputs(struct tflite *t, const struct tflite_node *n, uint32_t in[2])
{
	int a = tflite_in_any(t, n, 0), b = tflite_in_any(t, n, 1);

	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	if (tflite_real(t, a) != tflite_real(t, b)) {
		a = tflite_emit_real(t, n, a);
		b = tflite_emit_real(t, n, b);
		if (a < 0 || b < 0)
			return a < 0 ? a : b;
	}
	in[0] = (uint32_t)a;
	in[1] = (uint32_t)b;
	return 0;
}

/* A member of the engine's family of binary operators; @act after it is a node of its own. */
static int import_family(struct tflite *t, const struct tflite_node *n, enum ne_binary kind,
			 int act)
{
	struct ne_attr attr = {.groups = 1, .kind = (int32_t)kind};
	struct ne_quant q;
	uint32_t in[2];
	int id;

	NE_RETURN_IF(two_inputs(t, n, in));
	if (tflite_plain(t, (int)in[0])) {
		if (act != TFLITE_ACT_NONE)
			return tflite_fail(t, n, EOPNOTSUPP, "an activation of integers");
		return tflite_set_out(t, n, 0,
				      tflite_emit_as(t, n, NE_OP_BINARY, &attr, 2, in,
						     t->g->tensor[in[0]].dtype));
	}
	NE_RETURN_IF(tflite_result_quant(t, n, (int)in[0], &q));
	id = tflite_emit(t, n, NE_OP_BINARY, &attr, 2, in, q);
	return tflite_set_out(t, n, 0, tflite_activate(t, n, id, act));
}

/* Of two with an operator of its own but for integers. */
static int import_binary(struct tflite *t, const struct tflite_node *n, enum ne_op op,
			 enum ne_binary kind)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in[2];

	NE_RETURN_IF(two_inputs(t, n, in));
	if (tflite_plain(t, (int)in[0]))
		return import_family(t, n, kind, fb_s8(&n->opt, 0, 0));
	return tflite_set_out_act(t, n, op, &attr, 2, in, fb_s8(&n->opt, 0, 0));
}

int tflite_add(struct tflite *t, const struct tflite_node *n)
{
	return import_binary(t, n, NE_OP_ADD, NE_BINARY_ADD);
}

int tflite_mul(struct tflite *t, const struct tflite_node *n)
{
	return import_binary(t, n, NE_OP_MUL, NE_BINARY_MUL);
}

/* All of them, one after another. */
int tflite_add_n(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in[2];
	int id = tflite_in_real(t, n, 0), next;

	for (uint32_t i = 1; i < n->in.n && id >= 0; i++) {
		next = tflite_in_real(t, n, i);
		if (next < 0)
			return next;
		in[0] = (uint32_t)id;
		in[1] = (uint32_t)next;
		id = tflite_emit(t, n, NE_OP_ADD, &attr, 2, in, (struct ne_quant){0});
	}
	return tflite_set_out(t, n, 0, id);
}

int tflite_sub(struct tflite *t, const struct tflite_node *n)
{
	return import_family(t, n, NE_BINARY_SUB, fb_s8(&n->opt, 0, 0));
}

int tflite_div(struct tflite *t, const struct tflite_node *n)
{
	return import_family(t, n, NE_BINARY_DIV, fb_s8(&n->opt, 0, 0));
}

int tflite_maximum(struct tflite *t, const struct tflite_node *n)
{
	return import_family(t, n, NE_BINARY_MAX, TFLITE_ACT_NONE);
}

int tflite_minimum(struct tflite *t, const struct tflite_node *n)
{
	return import_family(t, n, NE_BINARY_MIN, TFLITE_ACT_NONE);
}

int tflite_pow(struct tflite *t, const struct tflite_node *n)
{
	return import_family(t, n, NE_BINARY_POW, TFLITE_ACT_NONE);
}

/* (a - (a mod b)) / b of integers: nothing is left to round. */
static int exact_quotient(struct tflite *t, const struct tflite_node *n, const uint32_t in[2])
{
	enum ne_dtype type = t->g->tensor[in[0]].dtype;
	struct ne_attr attr = {.groups = 1, .kind = NE_BINARY_MOD};
	uint32_t step[2] = {in[0]};
	int id = tflite_emit_as(t, n, NE_OP_BINARY, &attr, 2, in, type);

	if (id < 0)
		return id;
	step[1] = (uint32_t)id;
	attr.kind = NE_BINARY_SUB;
	id = tflite_emit_as(t, n, NE_OP_BINARY, &attr, 2, step, type);
	if (id < 0)
		return id;
	step[0] = (uint32_t)id;
	step[1] = in[1];
	attr.kind = NE_BINARY_DIV;
	return tflite_set_out(t, n, 0, tflite_emit_as(t, n, NE_OP_BINARY, &attr, 2, step, type));
}

/* Rounded down. */
int tflite_floor_div(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1, .kind = NE_BINARY_DIV};
	uint32_t in[2];
	int id;

	NE_RETURN_IF(two_inputs(t, n, in));
	if (tflite_plain(t, (int)in[0]))
		return exact_quotient(t, n, in);
	for (int k = 0; k < 2; k++) {
		id = tflite_emit_real(t, n, (int)in[k]);
		if (id < 0)
			return id;
		in[k] = (uint32_t)id;
	}
	id = tflite_emit_as(t, n, NE_OP_BINARY, &attr, 2, in, NE_F32);
	if (id < 0)
		return id;
	in[0] = (uint32_t)id;
	attr.kind = NE_UNARY_FLOOR;
	return tflite_set_out(t, n, 0, tflite_emit_as(t, n, NE_OP_UNARY, &attr, 1, in, NE_F32));
}

int tflite_floor_mod(struct tflite *t, const struct tflite_node *n)
{
	return import_family(t, n, NE_BINARY_MOD, TFLITE_ACT_NONE);
}

int tflite_prelu(struct tflite *t, const struct tflite_node *n)
{
	return import_family(t, n, NE_BINARY_PRELU, TFLITE_ACT_NONE);
}

/* (a - b)^2, in f32. */
int tflite_squared_difference(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1, .kind = NE_BINARY_SUB};
	uint32_t in[2];
	int a = tflite_in_real(t, n, 0), b = tflite_in_real(t, n, 1), d;

	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	in[0] = (uint32_t)a;
	in[1] = (uint32_t)b;
	d = tflite_emit(t, n, NE_OP_BINARY, &attr, 2, in, (struct ne_quant){0});
	if (d < 0)
		return d;
	in[0] = in[1] = (uint32_t)d;
	attr.kind = 0;
	return tflite_set_out(t, n, 0,
			      tflite_emit(t, n, NE_OP_MUL, &attr, 2, in, (struct ne_quant){0}));
}

/* ---- of one ---- */

static int import_unary(struct tflite *t, const struct tflite_node *n, enum ne_op op)
{
	struct ne_attr attr = {.groups = 1};
	int id = tflite_in_id(t, n, 0);
	uint32_t in = (uint32_t)id;

	return id < 0 ? id : tflite_set_out_act(t, n, op, &attr, 1, &in, TFLITE_ACT_NONE);
}

int tflite_relu(struct tflite *t, const struct tflite_node *n)
{
	return import_unary(t, n, NE_OP_RELU);
}

int tflite_relu6(struct tflite *t, const struct tflite_node *n)
{
	return import_unary(t, n, NE_OP_RELU6);
}

int tflite_hard_swish(struct tflite *t, const struct tflite_node *n)
{
	return import_unary(t, n, NE_OP_HARDSWISH);
}

int tflite_logistic(struct tflite *t, const struct tflite_node *n)
{
	return import_unary(t, n, NE_OP_SIGMOID);
}

int tflite_tanh(struct tflite *t, const struct tflite_node *n)
{
	return import_unary(t, n, NE_OP_TANH);
}

/* A member of the engine's family of unary operators. */
static int import_function(struct tflite *t, const struct tflite_node *n, enum ne_unary kind,
			   float a, float b)
{
	struct ne_attr attr = {.groups = 1, .kind = (int32_t)kind, .value = a, .value2 = b};
	int id = tflite_in_id(t, n, 0);
	uint32_t in = (uint32_t)id;

	return id < 0 ? id : tflite_set_out_act(t, n, NE_OP_UNARY, &attr, 1, &in, TFLITE_ACT_NONE);
}

#define FUNCTION(name, kind, a, b)                                       \
	int tflite_##name(struct tflite *t, const struct tflite_node *n) \
	{                                                                \
		return import_function(t, n, kind, a, b);                \
	}

FUNCTION(abs, NE_UNARY_ABS, 0, 0)
FUNCTION(sign, NE_UNARY_SIGN, 0, 0)
FUNCTION(neg, NE_UNARY_NEG, 0, 0)
FUNCTION(exp, NE_UNARY_EXP, 0, 0)
FUNCTION(log, NE_UNARY_LOG, 0, 0)
FUNCTION(sqrt, NE_UNARY_SQRT, 0, 0)
FUNCTION(sin, NE_UNARY_SIN, 0, 0)
FUNCTION(cos, NE_UNARY_COS, 0, 0)
FUNCTION(floor, NE_UNARY_FLOOR, 0, 0)
FUNCTION(ceil, NE_UNARY_CEIL, 0, 0)
FUNCTION(round, NE_UNARY_ROUND, 0, 0)
FUNCTION(elu, NE_UNARY_ELU, 1, 0)
FUNCTION(relu_n1_to_1, NE_UNARY_CLIP, -1, 1)
FUNCTION(relu_0_to_1, NE_UNARY_CLIP, 0, 1)

int tflite_leaky_relu(struct tflite *t, const struct tflite_node *n)
{
	return import_function(t, n, NE_UNARY_LEAKYRELU, fb_f32(&n->opt, 0, 0), 0);
}

int tflite_gelu(struct tflite *t, const struct tflite_node *n)
{
	return import_function(t, n, fb_bool(&n->opt, 0) ? NE_UNARY_GELU_TANH : NE_UNARY_GELU, 0,
			       0);
}

int tflite_rsqrt(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1, .kind = NE_UNARY_SQRT};
	int id = tflite_in_real(t, n, 0);
	uint32_t in = (uint32_t)id;

	if (id < 0)
		return id;
	id = tflite_emit(t, n, NE_OP_UNARY, &attr, 1, &in, (struct ne_quant){0});
	if (id < 0)
		return id;
	in = (uint32_t)id;
	attr.kind = NE_UNARY_RECIPROCAL;
	return tflite_set_out(t, n, 0,
			      tflite_emit(t, n, NE_OP_UNARY, &attr, 1, &in, (struct ne_quant){0}));
}

int tflite_square(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int id = tflite_in_id(t, n, 0);
	uint32_t in[2] = {(uint32_t)id, (uint32_t)id};

	return id < 0 ? id : tflite_set_out_act(t, n, NE_OP_MUL, &attr, 2, in, TFLITE_ACT_NONE);
}

/* exp(beta * x) / sum: along the last axis. A beta other than 1 is a product before it, in f32. */
int tflite_softmax(struct tflite *t, const struct tflite_node *n)
{
	static const struct ne_shape one = {1, {1}};
	float beta = fb_f32(&n->opt, SOFTMAX_BETA, 0), *v;
	struct ne_attr attr = {.groups = 1};
	int id = tflite_in_id(t, n, 0), k;
	uint32_t in[2];

	if (id < 0)
		return id;
	if (!isfinite(beta))
		return tflite_fail(t, n, EINVAL, "beta is not a number");
	if (beta < 1 || beta > 1) {
		id = tflite_emit_real(t, n, id);
		if (id < 0)
			return id;
		NE_RETURN_IF(tflite_const_alloc(t, n, sizeof(*v), &v));
		*v = beta;
		k = tflite_emit_const(t, n, NE_F32, &one, v, (struct ne_quant){0});
		if (k < 0)
			return k;
		in[0] = (uint32_t)id;
		in[1] = (uint32_t)k;
		id = tflite_emit(t, n, NE_OP_MUL, &attr, 2, in, (struct ne_quant){0});
		if (id < 0)
			return id;
	}
	if (!tflite_shape_of(t, id)->rank)
		return tflite_fail(t, n, EINVAL, "a single value has no axis");
	attr.axis = (int32_t)tflite_shape_of(t, id)->rank - 1;
	in[0] = (uint32_t)id;
	return tflite_set_out_act(t, n, NE_OP_SOFTMAX, &attr, 1, in, TFLITE_ACT_NONE);
}

/* ---- types ---- */

/* To what the output is declared as: from f32, or from one quantisation to another. */
int tflite_quantize(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);
	struct ne_quant q;
	int id = tflite_in_id(t, n, 0);

	if (id < 0)
		return id;
	if (!y)
		return tflite_fail(t, n, EINVAL, "output 0 is missing");
	if (tflite_is_s16(y))
		return tflite_set_out(t, n, 0, tflite_emit_real(t, n, id));
	q = tflite_quant(y);
	if (!(q.scale > 0))
		return tflite_fail(t, n, EOPNOTSUPP,
				   "to type %d, or without one scale; int8, uint8 and int16 are "
				   "supported",
				   (int)y->type);
	return tflite_set_out(t, n, 0, tflite_emit_quantised(t, n, id, NE_S8, q));
}

/* float16 and quantised constants become f32 constants, values a node of their own. */
int tflite_dequantize(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *x = tflite_in(t, n, 0);
	struct ne_shape shape;
	float *v;
	int id;

	if (x && x->id < 0 && x->data) {
		shape = tflite_shape(x);
		NE_RETURN_IF(tflite_reals(t, n, x, &v));
		id = tflite_emit_const(t, n, NE_F32, &shape, v, (struct ne_quant){0});
		return tflite_set_out(t, n, 0, id);
	}
	return tflite_set_out(t, n, 0, tflite_in_real(t, n, 0));
}
