/* SPDX-License-Identifier: MIT */
/* Functions of one value and of two: the engine's families under ONNX's names. */
#include "tools/neap/import/onnx_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- of one value ---- */

struct function {
	const char *name;
	enum ne_unary kind;
	const char *a, *b; /* attributes of the parameters, or NULL */
	float a_absent, b_absent;
};

static const struct function functions[] = {
	{"Abs", NE_UNARY_ABS, NULL, NULL, 0, 0},
	{"Acos", NE_UNARY_ACOS, NULL, NULL, 0, 0},
	{"Acosh", NE_UNARY_ACOSH, NULL, NULL, 0, 0},
	{"Asin", NE_UNARY_ASIN, NULL, NULL, 0, 0},
	{"Asinh", NE_UNARY_ASINH, NULL, NULL, 0, 0},
	{"Atan", NE_UNARY_ATAN, NULL, NULL, 0, 0},
	{"Atanh", NE_UNARY_ATANH, NULL, NULL, 0, 0},
	{"BitwiseNot", NE_UNARY_BITNOT, NULL, NULL, 0, 0},
	{"Ceil", NE_UNARY_CEIL, NULL, NULL, 0, 0},
	{"Celu", NE_UNARY_CELU, "alpha", NULL, 1, 0},
	{"Cos", NE_UNARY_COS, NULL, NULL, 0, 0},
	{"Cosh", NE_UNARY_COSH, NULL, NULL, 0, 0},
	{"Elu", NE_UNARY_ELU, "alpha", NULL, 1, 0},
	{"Erf", NE_UNARY_ERF, NULL, NULL, 0, 0},
	{"Exp", NE_UNARY_EXP, NULL, NULL, 0, 0},
	{"Floor", NE_UNARY_FLOOR, NULL, NULL, 0, 0},
	{"IsNaN", NE_UNARY_ISNAN, NULL, NULL, 0, 0},
	{"LeakyRelu", NE_UNARY_LEAKYRELU, "alpha", NULL, 0.01f, 0},
	{"Log", NE_UNARY_LOG, NULL, NULL, 0, 0},
	{"Mish", NE_UNARY_MISH, NULL, NULL, 0, 0},
	{"Neg", NE_UNARY_NEG, NULL, NULL, 0, 0},
	{"Not", NE_UNARY_NOT, NULL, NULL, 0, 0},
	{"Reciprocal", NE_UNARY_RECIPROCAL, NULL, NULL, 0, 0},
	{"Round", NE_UNARY_ROUND, NULL, NULL, 0, 0},
	{"Selu", NE_UNARY_SELU, "alpha", "gamma", 1.67326319217681884765625f,
	 1.05070102214813232421875f},
	{"Shrink", NE_UNARY_SHRINK, "bias", "lambd", 0, 0.5f},
	{"Sign", NE_UNARY_SIGN, NULL, NULL, 0, 0},
	{"Sin", NE_UNARY_SIN, NULL, NULL, 0, 0},
	{"Sinh", NE_UNARY_SINH, NULL, NULL, 0, 0},
	{"Softplus", NE_UNARY_SOFTPLUS, NULL, NULL, 0, 0},
	{"Softsign", NE_UNARY_SOFTSIGN, NULL, NULL, 0, 0},
	{"Sqrt", NE_UNARY_SQRT, NULL, NULL, 0, 0},
	{"Swish", NE_UNARY_SWISH, "alpha", NULL, 1, 0},
	{"Tan", NE_UNARY_TAN, NULL, NULL, 0, 0},
	{"ThresholdedRelu", NE_UNARY_THRESHOLD, "alpha", NULL, 1, 0},
};

int onnx_function(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0);

	for (size_t i = 0; i < NE_ARRAY_SIZE(functions); i++) {
		const struct function *f = &functions[i];

		if (strcmp(f->name, n->op_type) != 0)
			continue;
		return onnx_out_tensor(
			o, n,
			onnx_emit_function(o, n, f->kind, x,
					   f->a ? onnx_attr_float(n, f->a, f->a_absent) : 0,
					   f->b ? onnx_attr_float(n, f->b, f->b_absent) : 0));
	}
	return onnx_fail(o, n, EOPNOTSUPP, "this operator is not supported");
}

int onnx_is_inf(struct onnx *o, const onnx_node *n)
{
	float negative = onnx_attr_int(n, "detect_negative", 1) != 0;
	float positive = onnx_attr_int(n, "detect_positive", 1) != 0;

	return onnx_out_tensor(o, n,
			       onnx_emit_function(o, n, NE_UNARY_ISINF, onnx_in_tensor(o, n, 0),
						  negative, positive));
}

int onnx_gelu(struct onnx *o, const onnx_node *n)
{
	bool by_tanh = onnx_attr_is(n, "approximate", "tanh");

	return onnx_out_tensor(o, n,
			       onnx_emit_function(o, n,
						  by_tanh ? NE_UNARY_GELU_TANH : NE_UNARY_GELU,
						  onnx_in_tensor(o, n, 0), 0, 0));
}

static bool is_input(const struct onnx *o, int tensor)
{
	for (uint32_t i = 0; i < o->g->n_in; i++)
		if (o->g->in[i] == (uint32_t)tensor)
			return true;
	return false;
}

int onnx_cast(struct onnx *o, const onnx_node *n)
{
	int64_t type = onnx_attr_int(n, "to", 0);
	int x = onnx_in_tensor(o, n, 0);
	enum ne_dtype to;

	if (onnx_dtype(type, &to) < 0)
		return onnx_fail(o, n, EOPNOTSUPP, "to type %s", onnx_type_name(type));
	if (x >= 0 && to == NE_F32 && is_input(o, x) && ne_dtype_size(o->g->tensor[x].dtype) == 1 &&
	    o->g->tensor[x].dtype != NE_BOOL) {
		/* as quantised values, so that the model's 8-bit form can read them as they are */
		o->g->tensor[x].quant = (struct ne_quant){.scale = 1, .zero = 0};
		return onnx_out_tensor(o, n, onnx_emit_unary(o, n, NE_OP_DEQUANTISE, x));
	}
	return onnx_out_tensor(o, n, onnx_emit_cast(o, n, x, to));
}

int onnx_cast_like(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), like = onnx_in_tensor(o, n, 1);

	if (x < 0 || like < 0)
		return x < 0 ? x : like;
	return onnx_out_tensor(o, n, onnx_emit_cast(o, n, x, o->g->tensor[like].dtype));
}

/* ---- clip ---- */

/* A limit that is a constant number, or one that is computed or of integers. */
static int clip_number(struct onnx *o, const onnx_node *n, const char *attr, size_t i, float absent,
		       float *ret)
{
	const struct onnx_value *v = onnx_in(o, n, i);

	*ret = onnx_attr_float(n, attr, absent);
	if (v && v->constant && v->constant->n != 1)
		return onnx_fail(o, n, EINVAL, "limits must be scalars");
	if (v && v->constant)
		*ret = (float)onnx_const_real(v->constant, 0);
	return 0;
}

static bool is_computed(const struct onnx *o, const onnx_node *n, size_t i)
{
	return onnx_in(o, n, i) && !onnx_in_const(o, n, i);
}

/* An infinite constant is no limit. */
static bool limits(const struct onnx *o, const onnx_node *n, size_t i)
{
	const struct onnx_const *c = onnx_in_const(o, n, i);

	return onnx_in(o, n, i) && !(c && c->n == 1 && isinf(onnx_const_real(c, 0)));
}

int onnx_clip(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0);
	float lo, hi;

	if (x < 0)
		return x;
	if (o->g->tensor[x].dtype != NE_F32 || is_computed(o, n, 1) || is_computed(o, n, 2)) {
		if (limits(o, n, 1))
			x = onnx_emit_binary(o, n, NE_BINARY_MAX, x, onnx_in_tensor(o, n, 1));
		if (limits(o, n, 2))
			x = onnx_emit_binary(o, n, NE_BINARY_MIN, x, onnx_in_tensor(o, n, 2));
		return onnx_out_tensor(o, n, x);
	}
	NE_RETURN_IF(clip_number(o, n, "min", 1, -INFINITY, &lo));
	NE_RETURN_IF(clip_number(o, n, "max", 2, INFINITY, &hi));
	if (isnan(lo) || isnan(hi))
		return onnx_fail(o, n, EINVAL, "limits %g and %g", (double)lo, (double)hi);
	lo = NE_MAX(lo, -FLT_MAX); /* the largest numbers stand for "no limit" */
	hi = NE_MIN(hi, FLT_MAX);
	if (lo <= -FLT_MAX && hi >= FLT_MAX)
		return onnx_out_tensor(o, n, x);
	if (!(lo < 0 || lo > 0) && hi >= FLT_MAX)
		return onnx_out_tensor(o, n, onnx_emit_unary(o, n, NE_OP_RELU, x));
	if (!(lo < 0 || lo > 0) && !(hi < 6 || hi > 6))
		return onnx_out_tensor(o, n, onnx_emit_unary(o, n, NE_OP_RELU6, x));
	return onnx_out_tensor(o, n, onnx_emit_function(o, n, NE_UNARY_CLIP, x, lo, hi));
}

/* ---- of two values ---- */

static const struct {
	const char *name;
	enum ne_binary kind;
} binaries[] = {
	{"And", NE_BINARY_AND},
	{"BitwiseAnd", NE_BINARY_BITAND},
	{"BitwiseOr", NE_BINARY_BITOR},
	{"BitwiseXor", NE_BINARY_BITXOR},
	{"Equal", NE_BINARY_EQUAL},
	{"Greater", NE_BINARY_GREATER},
	{"GreaterOrEqual", NE_BINARY_GREATER_EQUAL},
	{"Less", NE_BINARY_LESS},
	{"LessOrEqual", NE_BINARY_LESS_EQUAL},
	{"Max", NE_BINARY_MAX},
	{"Min", NE_BINARY_MIN},
	{"Or", NE_BINARY_OR},
	{"Xor", NE_BINARY_XOR},
};

/* Of two values; of one, or of more than two, from left to right. */
int onnx_binary(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0);

	for (size_t k = 0; k < NE_ARRAY_SIZE(binaries); k++) {
		if (strcmp(binaries[k].name, n->op_type) != 0)
			continue;
		for (size_t i = 1; i < n->n_input && x >= 0; i++)
			x = onnx_emit_binary(o, n, binaries[k].kind, x, onnx_in_tensor(o, n, i));
		return onnx_out_tensor(o, n, x);
	}
	return onnx_fail(o, n, EOPNOTSUPP, "this operator is not supported");
}

int onnx_pow(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *c = onnx_in_const(o, n, 1);
	int x = onnx_in_tensor(o, n, 0);
	bool square = c && c->n == 1 && c->rank == 0 && fabs(onnx_const_real(c, 0) - 2) <= 0;

	if (x >= 0 && square && o->g->tensor[x].dtype == NE_F32) {
		struct ne_attr attr = {.groups = 1};
		uint32_t in[2] = {(uint32_t)x, (uint32_t)x};

		return onnx_out_tensor(o, n, onnx_emit(o, n, NE_OP_MUL, &attr, 2, in));
	}
	return onnx_out_tensor(o, n,
			       onnx_emit_binary(o, n, NE_BINARY_POW, x, onnx_in_tensor(o, n, 1)));
}

int onnx_mod(struct onnx *o, const onnx_node *n)
{
	enum ne_binary kind = onnx_attr_int(n, "fmod", 0) ? NE_BINARY_FMOD : NE_BINARY_MOD;
	int x = onnx_in_tensor(o, n, 0);

	return onnx_out_tensor(o, n, onnx_emit_binary(o, n, kind, x, onnx_in_tensor(o, n, 1)));
}

int onnx_bit_shift(struct onnx *o, const onnx_node *n)
{
	bool left = onnx_attr_is(n, "direction", "LEFT");
	int x = onnx_in_tensor(o, n, 0);

	if (!left && !onnx_attr_is(n, "direction", "RIGHT"))
		return onnx_fail(o, n, EINVAL, "its direction is neither LEFT nor RIGHT");
	return onnx_out_tensor(o, n,
			       onnx_emit_binary(o, n,
						left ? NE_BINARY_SHIFT_LEFT : NE_BINARY_SHIFT_RIGHT,
						x, onnx_in_tensor(o, n, 1)));
}

int onnx_prelu(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *c = onnx_in_const(o, n, 1);
	int x = onnx_in_tensor(o, n, 0);

	if (c && c->n == 1 && c->dtype == NE_F32)
		return onnx_out_tensor(o, n,
				       onnx_emit_function(o, n, NE_UNARY_LEAKYRELU, x,
							  *(const float *)c->data, 0));
	return onnx_out_tensor(o, n,
			       onnx_emit_binary(o, n, NE_BINARY_PRELU, x, onnx_in_tensor(o, n, 1)));
}

int onnx_where(struct onnx *o, const onnx_node *n)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in[3];

	for (uint32_t i = 0; i < 3; i++) {
		int t = onnx_in_tensor(o, n, i);

		if (t < 0)
			return t;
		in[i] = (uint32_t)t;
	}
	return onnx_out_tensor(o, n, onnx_emit(o, n, NE_OP_WHERE, &attr, 3, in));
}

/* Mean of any number of tensors. */
int onnx_mean(struct onnx *o, const onnx_node *n)
{
	int x = onnx_emit_sum(o, n);

	if (n->n_input > 1)
		x = onnx_emit_scalar(o, n, NE_OP_MUL, x, 1.0f / (float)n->n_input);
	return onnx_out_tensor(o, n, x);
}
