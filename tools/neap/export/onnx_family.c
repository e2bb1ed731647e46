/* SPDX-License-Identifier: MIT */
/*
 * The families of element-wise operators, of f32 and of what stands for real values. What opset 13
 * has under another name or in other parts is put together; what it does not have is refused.
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
	[NE_UNARY_HARDSIGMOID] = {"HardSigmoid", "alpha", "beta"},
	[NE_UNARY_SHRINK] = {"Shrink", "bias", "lambd"},
};

/* Real-valued on both sides. */
static int check_real(struct exporter *x)
{
	const struct ne_node *n = x->node;

	for (uint32_t k = 0; k < n->n_in; k++)
		if (x->g->tensor[n->in[k]].dtype != NE_F32 && !(x_quant(x, n->in[k]).scale > 0))
			return x_fail(x, EOPNOTSUPP,
				      "of integers, which the exporter does not write");
	if (x->g->tensor[x->y].dtype != NE_F32 && !(x_is_s8(x, x->y) && x_quant(x, x->y).scale > 0))
		return x_fail(x, EOPNOTSUPP, "with a result that is not real");
	return 0;
}

int x_unary_family(struct exporter *x)
{
	const struct ne_attr *a = &x->node->attr;
	const struct member *m = (unsigned)a->kind < NE_UNARY_COUNT ? &unary[a->kind] : NULL;
	struct layout l = x_layout_of(x, x->node->in[0]);
	const char *v, *w;

	NE_RETURN_IF(check_real(x));
	v = x_real(x, x->node->in[0], &l);
	if (m && m->op) {
		v = X_NODE(x, m->op, NULL, v);
		if (m->a)
			x_attr_float(x, m->a, a->value);
		if (m->b)
			x_attr_float(x, m->b, a->value2);
		return x_result(x, &l, v);
	}
	switch (a->kind) {
	case NE_UNARY_CLIP:
		w = X_NODE(x, "Clip", NULL, v, x_init_float(x, "low", a->value),
			   x_init_float(x, "high", a->value2));
		break;
	case NE_UNARY_SWISH:
		w = X_NODE(x, "Mul", NULL, v, x_init_float(x, "factor", a->value));
		w = X_NODE(x, "Mul", NULL, v, X_NODE(x, "Sigmoid", NULL, w));
		break;
	case NE_UNARY_MISH:
		w = X_NODE(x, "Tanh", NULL, X_NODE(x, "Softplus", NULL, v));
		w = X_NODE(x, "Mul", NULL, v, w);
		break;
	case NE_UNARY_GELU:
		w = X_NODE(x, "Mul", NULL, v, x_init_float(x, "factor", 0.70710678f));
		w = X_NODE(x, "Add", NULL, X_NODE(x, "Erf", NULL, w), x_init_float(x, "one", 1));
		w = X_NODE(x, "Mul", NULL, X_NODE(x, "Mul", NULL, v, x_init_float(x, "half", 0.5f)),
			   w);
		break;
	default:
		return x_fail(x, EOPNOTSUPP, "member %d of the family is not in opset 13", a->kind);
	}
	return x_result(x, &l, w);
}

int x_binary_family(struct exporter *x)
{
	static const char *const binary[NE_BINARY_COUNT] = {
		[NE_BINARY_ADD] = "Add", [NE_BINARY_SUB] = "Sub",     [NE_BINARY_MUL] = "Mul",
		[NE_BINARY_DIV] = "Div", [NE_BINARY_POW] = "Pow",     [NE_BINARY_MIN] = "Min",
		[NE_BINARY_MAX] = "Max", [NE_BINARY_PRELU] = "PRelu",
	};
	const struct ne_node *n = x->node;
	const char *op = (unsigned)n->attr.kind < NE_BINARY_COUNT ? binary[n->attr.kind] : NULL;
	struct layout l = x_common_layout(x), same = layout_same();
	uint32_t rank = x->shape[x->y].rank;
	const char *in[2];

	NE_RETURN_IF(check_real(x));
	if (!op)
		return x_fail(x, EOPNOTSUPP,
			      "member %d of the family, which the exporter does not write",
			      n->attr.kind);
	for (int k = 0; k < 2; k++)
		in[k] = x_real(x, n->in[k], x->shape[n->in[k]].rank == rank ? &l : &same);
	return x_result(x, &l, x_node(x, op, NULL, 2, in));
}
