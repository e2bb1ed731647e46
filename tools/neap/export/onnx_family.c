/* SPDX-License-Identifier: MIT */
/*
 * The families of element-wise operators, of real values, integers and truth values. What opset 13
 * has under another name or in other parts is put together; what it does not have is refused.
 * Integers of 8 and 16 bits are computed in 32 and cast back, which wraps around as the engine does.
 */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"

/* A member with a name in ONNX, and its attributes of attr.value and attr.value2. */
struct member {
	const char *op, *a, *b;
};

static const struct member unary[NE_UNARY_COUNT] = {
	[NE_UNARY_ABS] = {"Abs", NULL, NULL},
	[NE_UNARY_NEG] = {"Neg", NULL, NULL},
	[NE_UNARY_SIGN] = {"Sign", NULL, NULL},
	[NE_UNARY_FLOOR] = {"Floor", NULL, NULL},
	[NE_UNARY_CEIL] = {"Ceil", NULL, NULL},
	[NE_UNARY_ROUND] = {"Round", NULL, NULL},
	[NE_UNARY_SQRT] = {"Sqrt", NULL, NULL},
	[NE_UNARY_RECIPROCAL] = {"Reciprocal", NULL, NULL},
	[NE_UNARY_EXP] = {"Exp", NULL, NULL},
	[NE_UNARY_LOG] = {"Log", NULL, NULL},
	[NE_UNARY_ERF] = {"Erf", NULL, NULL},
	[NE_UNARY_SIN] = {"Sin", NULL, NULL},
	[NE_UNARY_COS] = {"Cos", NULL, NULL},
	[NE_UNARY_TAN] = {"Tan", NULL, NULL},
	[NE_UNARY_ASIN] = {"Asin", NULL, NULL},
	[NE_UNARY_ACOS] = {"Acos", NULL, NULL},
	[NE_UNARY_ATAN] = {"Atan", NULL, NULL},
	[NE_UNARY_SINH] = {"Sinh", NULL, NULL},
	[NE_UNARY_COSH] = {"Cosh", NULL, NULL},
	[NE_UNARY_ASINH] = {"Asinh", NULL, NULL},
	[NE_UNARY_ACOSH] = {"Acosh", NULL, NULL},
	[NE_UNARY_ATANH] = {"Atanh", NULL, NULL},
	[NE_UNARY_ELU] = {"Elu", "alpha", NULL},
	[NE_UNARY_CELU] = {"Celu", "alpha", NULL},
	[NE_UNARY_SELU] = {"Selu", "alpha", "gamma"},
	[NE_UNARY_LEAKYRELU] = {"LeakyRelu", "alpha", NULL},
	[NE_UNARY_THRESHOLD] = {"ThresholdedRelu", "alpha", NULL},
	[NE_UNARY_SOFTPLUS] = {"Softplus", NULL, NULL},
	[NE_UNARY_SOFTSIGN] = {"Softsign", NULL, NULL},
	[NE_UNARY_NOT] = {"Not", NULL, NULL},
	[NE_UNARY_ISNAN] = {"IsNaN", NULL, NULL},
	[NE_UNARY_ISINF] = {"IsInf", NULL, NULL},
	[NE_UNARY_HARDSIGMOID] = {"HardSigmoid", "alpha", "beta"},
	[NE_UNARY_SHRINK] = {"Shrink", "bias", "lambd"},
};

/* The result @v of integers in their wide type, as the node's output is stored. */
static int narrow_result(struct exporter *x, const struct layout *l, const char *v)
{
	enum ne_dtype type = x->g->tensor[x->y].dtype;

	if (!x_is_real(x, x->y) && x_wide_type(type) != type)
		v = x_cast(x, v, type);
	return x_result(x, l, v);
}

/* ---- of one value ---- */

static const char *half_of(struct exporter *x, const char *v)
{
	return X_NODE(x, "Mul", NULL, v, x_init_float(x, "half", 0.5f));
}

static const char *one_more(struct exporter *x, const char *v)
{
	return X_NODE(x, "Add", NULL, v, x_init_float(x, "one", 1));
}

/* x/2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) */
static const char *gelu_tanh(struct exporter *x, const char *v)
{
	const char *w = X_NODE(x, "Mul", NULL, v, X_NODE(x, "Mul", NULL, v, v));

	w = X_NODE(x, "Mul", NULL, w, x_init_float(x, "factor", 0.044715f));
	w = X_NODE(x, "Mul", NULL, X_NODE(x, "Add", NULL, v, w),
		   x_init_float(x, "factor", 0.7978845608f));
	return X_NODE(x, "Mul", NULL, half_of(x, v), one_more(x, X_NODE(x, "Tanh", NULL, w)));
}

/* What opset 13 has no node for; NULL: nor any nodes. */
static const char *unary_of_parts(struct exporter *x, const struct ne_attr *a, const char *v)
{
	const char *w;

	switch (a->kind) {
	case NE_UNARY_CLIP:
		return X_NODE(x, "Clip", NULL, v, x_init_float(x, "low", a->value),
			      x_init_float(x, "high", a->value2));
	case NE_UNARY_SWISH:
		w = X_NODE(x, "Mul", NULL, v, x_init_float(x, "factor", a->value));
		return X_NODE(x, "Mul", NULL, v, X_NODE(x, "Sigmoid", NULL, w));
	case NE_UNARY_MISH:
		w = X_NODE(x, "Tanh", NULL, X_NODE(x, "Softplus", NULL, v));
		return X_NODE(x, "Mul", NULL, v, w);
	case NE_UNARY_GELU:
		w = X_NODE(x, "Mul", NULL, v, x_init_float(x, "factor", 0.70710678f));
		return X_NODE(x, "Mul", NULL, half_of(x, v),
			      one_more(x, X_NODE(x, "Erf", NULL, w)));
	case NE_UNARY_GELU_TANH:
		return gelu_tanh(x, v);
	default:
		return NULL;
	}
}

int x_unary_family(struct exporter *x)
{
	const struct ne_attr *a = &x->node->attr;
	const struct member *m = (unsigned)a->kind < NE_UNARY_COUNT ? &unary[a->kind] : NULL;
	struct layout l = x_layout_of(x, x->node->in[0]);
	const char *v;

	if (a->kind == NE_UNARY_BITNOT) {
		if (!x_needs_opset(x, 18))
			return x->failed;
		return x_result(x, &l,
				X_NODE(x, "BitwiseNot", NULL, x_value(x, x->node->in[0], &l)));
	}
	v = x_wide(x, x->node->in[0], &l);
	if (!m || !m->op) {
		v = unary_of_parts(x, a, v);
		if (!v)
			return x_fail(x, EOPNOTSUPP, "member %d of the family is not in ONNX",
				      a->kind);
		return x_result(x, &l, v);
	}
	v = X_NODE(x, m->op, NULL, v);
	if (m->a)
		x_attr_float(x, m->a, a->value);
	if (m->b)
		x_attr_float(x, m->b, a->value2);
	if (a->kind == NE_UNARY_ISINF) {
		x_attr_int(x, "detect_negative", a->value < 0 || a->value > 0);
		x_attr_int(x, "detect_positive", a->value2 < 0 || a->value2 > 0);
	}
	return narrow_result(x, &l, v);
}

/* ---- of two ---- */

/* An operand as the node computes with it; of lower rank only in the engine's order. */
static const char *operand(struct exporter *x, uint32_t k, const struct layout *l)
{
	uint32_t t = x->node->in[k];
	struct layout same = layout_same();

	return x_wide(x, t, x->shape[t].rank == x->shape[x->y].rank ? l : &same);
}

/* By the divisor's sign, of real values, where ONNX has the dividend's: of r = fmod(a, b) that is
 * fmod(r + b, b). */
static const char *real_modulo(struct exporter *x, const char *a, const char *b)
{
	const char *v = X_NODE(x, "Mod", NULL, a, b);

	x_attr_int(x, "fmod", 1);
	v = X_NODE(x, "Mod", NULL, X_NODE(x, "Add", NULL, v, b), b);
	x_attr_int(x, "fmod", 1);
	return v;
}

/* PRelu itself is of reals, its slope spread over the other operand alone. */
static const char *prelu(struct exporter *x, const char *a, const char *b)
{
	const struct ne_shape *s = &x->shape[x->node->in[0]];
	const int64_t wide = 0;
	const int32_t narrow = 0;
	const char *zero;

	if (x_is_real(x, x->node->in[0]) && ne_shape_equal(s, &x->shape[x->y]))
		return X_NODE(x, "PRelu", NULL, a, b);
	if (x_is_real(x, x->node->in[0]))
		zero = x_init_float(x, "zero", 0);
	else if (x->g->tensor[x->y].dtype == NE_S64)
		zero = x_init(x, "zero", NE_S64, 0, NULL, &wide);
	else
		zero = x_init(x, "zero", NE_S32, 0, NULL, &narrow);
	return X_NODE(x, "Where", NULL, X_NODE(x, "Less", NULL, a, zero),
		      X_NODE(x, "Mul", NULL, a, b), a);
}

/* Of the bits of the type itself. */
static int bits(struct exporter *x, const char *op)
{
	struct layout l = x_common_layout(x), same = layout_same();
	bool shift = x->node->attr.kind == NE_BINARY_SHIFT_LEFT ||
		     x->node->attr.kind == NE_BINARY_SHIFT_RIGHT;
	const char *in[2], *v;

	if (shift && x->g->tensor[x->y].dtype != NE_U8)
		return x_fail(x, EOPNOTSUPP, "ONNX shifts unsigned integers alone, not %s",
			      ne_dtype_name(x->g->tensor[x->y].dtype));
	if (!shift && !x_needs_opset(x, 18))
		return x->failed;
	for (uint32_t k = 0; k < 2; k++) {
		uint32_t t = x->node->in[k];

		in[k] = x_stored(x, t, x->shape[t].rank == x->shape[x->y].rank ? &l : &same);
	}
	v = x_node(x, op, NULL, 2, in);
	if (shift)
		x_attr_text(x, "direction",
			    x->node->attr.kind == NE_BINARY_SHIFT_LEFT ? "LEFT" : "RIGHT");
	return x_result(x, &l, v);
}

int x_binary_family(struct exporter *x)
{
	static const char *const binary[NE_BINARY_COUNT] = {
		[NE_BINARY_ADD] = "Add",
		[NE_BINARY_SUB] = "Sub",
		[NE_BINARY_MUL] = "Mul",
		[NE_BINARY_DIV] = "Div",
		[NE_BINARY_MOD] = "Mod",
		[NE_BINARY_FMOD] = "Mod",
		[NE_BINARY_POW] = "Pow",
		[NE_BINARY_MIN] = "Min",
		[NE_BINARY_MAX] = "Max",
		[NE_BINARY_EQUAL] = "Equal",
		[NE_BINARY_LESS] = "Less",
		[NE_BINARY_LESS_EQUAL] = "LessOrEqual",
		[NE_BINARY_GREATER] = "Greater",
		[NE_BINARY_GREATER_EQUAL] = "GreaterOrEqual",
		[NE_BINARY_AND] = "And",
		[NE_BINARY_OR] = "Or",
		[NE_BINARY_XOR] = "Xor",
		[NE_BINARY_BITAND] = "BitwiseAnd",
		[NE_BINARY_BITOR] = "BitwiseOr",
		[NE_BINARY_BITXOR] = "BitwiseXor",
		[NE_BINARY_SHIFT_LEFT] = "BitShift",
		[NE_BINARY_SHIFT_RIGHT] = "BitShift",
		[NE_BINARY_PRELU] = "PRelu",
	};
	const struct ne_node *n = x->node;
	int32_t kind = n->attr.kind;
	const char *op = (unsigned)kind < NE_BINARY_COUNT ? binary[kind] : NULL;
	struct layout l = x_common_layout(x);
	const char *a, *b, *v;

	if (!op)
		return x_fail(x, EOPNOTSUPP,
			      "member %d of the family, which the exporter does not write", kind);
	if (kind >= NE_BINARY_BITAND && kind <= NE_BINARY_SHIFT_RIGHT)
		return bits(x, op);
	a = operand(x, 0, &l);
	b = operand(x, 1, &l);
	if (kind == NE_BINARY_PRELU) {
		v = prelu(x, a, b);
	} else if (kind == NE_BINARY_MOD && x_is_real(x, n->in[0])) {
		v = real_modulo(x, a, b);
	} else {
		v = X_NODE(x, op, NULL, a, b);
		if (kind == NE_BINARY_FMOD)
			x_attr_int(x, "fmod", 1);
	}
	return narrow_result(x, &l, v);
}

int x_where(struct exporter *x)
{
	struct layout l = x_common_layout(x);
	enum ne_dtype type = x->g->tensor[x->y].dtype;
	const char *a = operand(x, 1, &l), *b = operand(x, 2, &l), *v;

	if (type == NE_BOOL) {
		a = x_cast(x, a, NE_S32);
		b = x_cast(x, b, NE_S32);
	}
	v = X_NODE(x, "Where", NULL, operand(x, 0, &l), a, b);
	return narrow_result(x, &l, type == NE_BOOL ? x_cast(x, v, NE_BOOL) : v);
}

/* ---- from type to type ---- */

/* Real values become integers truncated and clamped; of f32 the largest below 2^31 and 2^63. */
static const char *clamped(struct exporter *x, const char *v, enum ne_dtype type)
{
	static const struct {
		enum ne_dtype type;
		float low, high;
	} ranges[] = {
		{NE_S8, INT8_MIN, INT8_MAX},        {NE_U8, 0, UINT8_MAX},
		{NE_S16, INT16_MIN, INT16_MAX},     {NE_S32, -0x1p31f, 0x1.fffffep30f},
		{NE_S64, -0x1p63f, 0x1.fffffep62f},
	};

	for (size_t i = 0; i < NE_ARRAY_SIZE(ranges); i++)
		if (ranges[i].type == type)
			return X_NODE(x, "Clip", NULL, v, x_init_float(x, "low", ranges[i].low),
				      x_init_float(x, "high", ranges[i].high));
	return v;
}

int x_convert(struct exporter *x)
{
	uint32_t in = x->node->in[0];
	struct layout l = x_layout_of(x, in);
	enum ne_dtype from = x_is_real(x, in) ? NE_F32 : x->g->tensor[in].dtype;
	enum ne_dtype to = x_is_real(x, x->y) ? NE_F32 : x->g->tensor[x->y].dtype;
	const char *v = x_value(x, in, &l);

	if (from == NE_F32)
		v = clamped(x, v, to);
	return x_result(x, &l, from == to ? v : x_cast(x, v, to));
}
