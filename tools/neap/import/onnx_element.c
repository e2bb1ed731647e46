/* SPDX-License-Identifier: MIT */
/* Element by element: arithmetic, activations, softmax; and concat. */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>

/* ---- arithmetic ---- */

/* Opset 6 and before aligned the second operand by attributes. */
static int check_broadcast(struct onnx *o, const onnx_node *n)
{
	if (o->opset < 7 && onnx_attr_int(n, "broadcast", 0))
		return onnx_fail(o, n, EOPNOTSUPP, "broadcast as in opset %lld; 7 or newer is read",
				 (long long)o->opset);
	return 0;
}

static int binary(struct onnx *o, const onnx_node *n, enum ne_op op, int a, int b)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in[2] = {(uint32_t)a, (uint32_t)b};

	if (a < 0)
		return a;
	if (b < 0)
		return b;
	/* The wider first: the engine broadcasts the second operand as a rule. */
	if (ne_shape_elements(onnx_shape_of(o, a)) < ne_shape_elements(onnx_shape_of(o, b))) {
		in[0] = (uint32_t)b;
		in[1] = (uint32_t)a;
	}
	return onnx_emit(o, n, op, &attr, 2, in);
}

/* f32 by the fast forms, other types by the family. */
int onnx_emit_arithmetic(struct onnx *o, const onnx_node *n, enum ne_binary kind, int a, int b)
{
	bool real = a >= 0 && b >= 0 && o->g->tensor[a].dtype == NE_F32 &&
		    o->g->tensor[b].dtype == NE_F32;

	if (real && kind == NE_BINARY_ADD)
		return binary(o, n, NE_OP_ADD, a, b);
	if (real && kind == NE_BINARY_MUL)
		return binary(o, n, NE_OP_MUL, a, b);
	return onnx_emit_binary(o, n, kind, a, b);
}

int onnx_add(struct onnx *o, const onnx_node *n)
{
	int a = onnx_in_tensor(o, n, 0), b = onnx_in_tensor(o, n, 1);

	NE_RETURN_IF(check_broadcast(o, n));
	return onnx_out_tensor(o, n, onnx_emit_arithmetic(o, n, NE_BINARY_ADD, a, b));
}

int onnx_mul(struct onnx *o, const onnx_node *n)
{
	int a = onnx_in_tensor(o, n, 0), b = onnx_in_tensor(o, n, 1);

	NE_RETURN_IF(check_broadcast(o, n));
	return onnx_out_tensor(o, n, onnx_emit_arithmetic(o, n, NE_BINARY_MUL, a, b));
}

/* @c's values each by @f as a tensor; -ENOENT where one is no finite number. */
static int mapped_const(struct onnx *o, const onnx_node *n, const struct onnx_const *c,
			bool inverse)
{
	float *data;

	for (size_t i = 0; i < c->n; i++) {
		float v = ((const float *)c->data)[i];

		if (!isfinite(inverse ? 1.0f / v : v))
			return -ENOENT;
	}
	data = ne_alloc_aligned(c->n * sizeof(*data));
	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (size_t i = 0; i < c->n; i++) {
		float v = ((const float *)c->data)[i];

		data[i] = inverse ? 1.0f / v : -v;
	}
	return onnx_emit_const(o, n, c->rank, c->dim, data);
}

/* a - b and a / b of a constant b as a + (-b) and a * (1/b), which can be folded into what is
 * before; else as they are. */
static int by_inverse(struct onnx *o, const onnx_node *n, bool division)
{
	const struct onnx_const *c = onnx_in_const(o, n, 1);
	int a, b = -ENOENT;

	NE_RETURN_IF(check_broadcast(o, n));
	a = onnx_in_tensor(o, n, 0);
	if (a < 0)
		return a;
	if (c && c->n && c->dtype == NE_F32 && !onnx_in_const(o, n, 0))
		b = mapped_const(o, n, c, division);
	if (b != -ENOENT)
		return onnx_out_tensor(
			o, n,
			onnx_emit_arithmetic(o, n, division ? NE_BINARY_MUL : NE_BINARY_ADD, a, b));
	return onnx_out_tensor(o, n,
			       onnx_emit_arithmetic(o, n, division ? NE_BINARY_DIV : NE_BINARY_SUB,
						    a, onnx_in_tensor(o, n, 1)));
}

int onnx_sub(struct onnx *o, const onnx_node *n)
{
	return by_inverse(o, n, false);
}

int onnx_div(struct onnx *o, const onnx_node *n)
{
	return by_inverse(o, n, true);
}

int onnx_emit_sum(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0);

	for (size_t i = 1; i < n->n_input && x >= 0; i++)
		x = onnx_emit_arithmetic(o, n, NE_BINARY_ADD, x, onnx_in_tensor(o, n, i));
	return x;
}

int onnx_sum(struct onnx *o, const onnx_node *n)
{
	return onnx_out_tensor(o, n, onnx_emit_sum(o, n));
}

/* ---- activations ---- */

static int unary(struct onnx *o, const onnx_node *n, enum ne_op op)
{
	return onnx_out_tensor(o, n, onnx_emit_unary(o, n, op, onnx_in_tensor(o, n, 0)));
}

int onnx_relu(struct onnx *o, const onnx_node *n)
{
	return unary(o, n, NE_OP_RELU);
}

int onnx_sigmoid(struct onnx *o, const onnx_node *n)
{
	return unary(o, n, NE_OP_SIGMOID);
}

int onnx_tanh(struct onnx *o, const onnx_node *n)
{
	return unary(o, n, NE_OP_TANH);
}

int onnx_hard_swish(struct onnx *o, const onnx_node *n)
{
	return unary(o, n, NE_OP_HARDSWISH);
}

/* x * @mul + @add, leaving out what changes nothing. */
static int affine(struct onnx *o, const onnx_node *n, int x, float mul, float add)
{
	if (mul < 1.0f || mul > 1.0f)
		x = onnx_emit_scalar(o, n, NE_OP_MUL, x, mul);
	if (add < 0.0f || add > 0.0f)
		x = onnx_emit_scalar(o, n, NE_OP_ADD, x, add);
	return x;
}

/* max(0, min(1, alpha * x + beta)) = relu6(6 * alpha * x + 6 * beta) / 6. */
int onnx_hard_sigmoid(struct onnx *o, const onnx_node *n)
{
	float alpha = 6.0f * onnx_attr_float(n, "alpha", 0.2f);
	float beta = 6.0f * onnx_attr_float(n, "beta", 0.5f);
	int x = onnx_in_tensor(o, n, 0);

	if (fabsf(alpha - 1.0f) < 1e-6f) /* 1/6 as exporters round it */
		alpha = 1.0f;
	x = onnx_emit_unary(o, n, NE_OP_RELU6, affine(o, n, x, alpha, beta));
	return onnx_out_tensor(o, n, affine(o, n, x, 1.0f / 6.0f, 0));
}

/* ---- along an axis ---- */

/* Before opset 13 softmax saw its input as a matrix [axes before, axes from `axis` on]. */
static int softmax_matrix(struct onnx *o, const onnx_node *n, int x, int axis)
{
	struct ne_attr attr = {.groups = 1, .axis = 1};
	struct ne_shape s = *onnx_shape_of(o, x);
	int64_t dim[NE_MAX_RANK], matrix[2] = {1, 1};
	uint32_t in;

	for (uint32_t i = 0; i < s.rank; i++) {
		dim[i] = s.dim[i];
		matrix[(int)i >= axis] *= s.dim[i];
	}
	x = onnx_emit_reshape(o, n, x, 2, matrix);
	if (x < 0)
		return x;
	in = (uint32_t)x;
	x = onnx_emit(o, n, NE_OP_SOFTMAX, &attr, 1, &in);
	return onnx_emit_reshape(o, n, x, s.rank, dim);
}

int onnx_softmax(struct onnx *o, const onnx_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int x = onnx_in_tensor(o, n, 0);
	uint32_t in;
	int axis;

	if (x < 0)
		return x;
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", o->opset >= 13 ? -1 : 1),
			 onnx_shape_of(o, x)->rank);
	if (axis < 0)
		return axis;
	if (o->opset < 13 && axis + 1 != (int)onnx_shape_of(o, x)->rank)
		return onnx_out_tensor(o, n, softmax_matrix(o, n, x, axis));
	attr.axis = axis;
	in = (uint32_t)x;
	return onnx_out_tensor(o, n, onnx_emit(o, n, NE_OP_SOFTMAX, &attr, 1, &in));
}

int onnx_concat(struct onnx *o, const onnx_node *n)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in[NE_MAX_IO], count = 0;
	int axis;

	if (n->n_input > NE_MAX_IO)
		return onnx_fail(o, n, E2BIG, "%zu inputs, at most %u", n->n_input, NE_MAX_IO);
	for (size_t i = 0; i < n->n_input; i++) {
		const struct onnx_const *c = onnx_in_const(o, n, i);
		int x;

		if (c && c->n == 0)
			continue;
		x = onnx_in_tensor(o, n, i);
		if (x < 0)
			return x;
		in[count++] = (uint32_t)x;
	}
	if (count == 0)
		return onnx_fail(o, n, EINVAL, "it has no input");
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 1), onnx_shape_of(o, (int)in[0])->rank);
	if (axis < 0)
		return axis;
	attr.axis = axis;
	return onnx_out_tensor(o, n, onnx_emit(o, n, NE_OP_CONCAT, &attr, count, in));
}
