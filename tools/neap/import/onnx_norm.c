/* SPDX-License-Identifier: MIT */
/* Normalisations, made of reductions and arithmetic. */
#include "tools/neap/import/onnx_internal.h"

#include <string.h>

static int arithmetic(struct onnx *o, const onnx_node *n, enum ne_binary kind, int a, int b)
{
	return onnx_emit_arithmetic(o, n, kind, a, b);
}

static int number(struct onnx *o, const onnx_node *n, enum ne_binary kind, int x, double v)
{
	return arithmetic(o, n, kind, x, onnx_emit_number(o, n, x, v));
}

/* Input @i, one value a channel, shaped to stand against axis 1 of a tensor of @rank. */
static int per_channel(struct onnx *o, const onnx_node *n, size_t i, uint32_t rank)
{
	int64_t dim[NE_MAX_RANK];
	int t = onnx_in_tensor(o, n, i);

	if (t < 0)
		return t;
	if (rank < 2)
		return t;
	dim[0] = (int64_t)ne_shape_elements(onnx_shape_of(o, t));
	for (uint32_t k = 1; k < rank - 1; k++)
		dim[k] = 1;
	return onnx_emit_reshape(o, n, t, rank - 1, dim);
}

struct normal {
	int mean, inverse, y; /* y: (x - mean) * inverse, before scale and bias */
};

/* Over the axes of @mask: mean, 1 / sqrt(variance + epsilon), and x in these terms. */
static int normalise(struct onnx *o, const onnx_node *n, int x, uint32_t mask, float epsilon,
		     struct normal *ret)
{
	int d, v;

	ret->mean = onnx_emit_reduce(o, n, NE_REDUCE_MEAN, x, mask);
	d = arithmetic(o, n, NE_BINARY_SUB, x, ret->mean);
	v = onnx_emit_reduce(o, n, NE_REDUCE_MEAN, arithmetic(o, n, NE_BINARY_MUL, d, d), mask);
	v = number(o, n, NE_BINARY_ADD, v, (double)epsilon);
	v = onnx_emit_function(o, n, NE_UNARY_SQRT, v, 0, 0);
	ret->inverse = onnx_emit_function(o, n, NE_UNARY_RECIPROCAL, v, 0, 0);
	ret->y = arithmetic(o, n, NE_BINARY_MUL, d, ret->inverse);
	return ret->y < 0 ? ret->y : 0;
}

static uint32_t axes_from(uint32_t first, uint32_t rank)
{
	return (1u << rank) - (1u << first);
}

int onnx_layer_normalization(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), axis, y;
	struct normal r;
	uint32_t rank;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", -1), rank);
	if (axis < 0)
		return axis;
	NE_RETURN_IF(normalise(o, n, x, axes_from((uint32_t)axis, rank),
			       onnx_attr_float(n, "epsilon", 1e-5f), &r));
	y = arithmetic(o, n, NE_BINARY_MUL, r.y, onnx_in_tensor(o, n, 1));
	if (onnx_in(o, n, 2))
		y = arithmetic(o, n, NE_BINARY_ADD, y, onnx_in_tensor(o, n, 2));
	NE_RETURN_IF(onnx_out_tensor(o, n, y));
	NE_RETURN_IF(onnx_out_tensor_at(o, n, 1, r.mean));
	return onnx_out_tensor_at(o, n, 2, r.inverse);
}

/* x / sqrt(mean(x^2) + epsilon) * scale */
int onnx_rms_normalization(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), axis, v;
	uint32_t rank;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", -1), rank);
	if (axis < 0)
		return axis;
	v = onnx_emit_reduce(o, n, NE_REDUCE_MEAN, arithmetic(o, n, NE_BINARY_MUL, x, x),
			     axes_from((uint32_t)axis, rank));
	v = number(o, n, NE_BINARY_ADD, v, (double)onnx_attr_float(n, "epsilon", 1e-5f));
	v = onnx_emit_function(o, n, NE_UNARY_SQRT, v, 0, 0);
	x = arithmetic(o, n, NE_BINARY_DIV, x, v);
	return onnx_out_tensor(o, n, arithmetic(o, n, NE_BINARY_MUL, x, onnx_in_tensor(o, n, 1)));
}

int onnx_instance_normalization(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), y;
	struct normal r;
	uint32_t rank;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	if (rank < 3)
		return onnx_fail(o, n, EINVAL, "input of rank %u", rank);
	NE_RETURN_IF(
		normalise(o, n, x, axes_from(2, rank), onnx_attr_float(n, "epsilon", 1e-5f), &r));
	y = arithmetic(o, n, NE_BINARY_MUL, r.y, per_channel(o, n, 1, rank));
	return onnx_out_tensor(o, n,
			       arithmetic(o, n, NE_BINARY_ADD, y, per_channel(o, n, 2, rank)));
}

/* Scale and bias of input @i by group (before opset 21) or by channel, for [N, groups, C/groups, ..]
 * folded to [N, groups, rest] or unfolded to the input's rank. */
int onnx_group_normalization(struct onnx *o, const onnx_node *n)
{
	int64_t groups = onnx_attr_int(n, "num_groups", 0), dim[NE_MAX_RANK], folded[3];
	int x = onnx_in_tensor(o, n, 0), y, scale;
	struct ne_shape s;
	struct normal r;
	bool by_group;

	if (x < 0)
		return x;
	s = *onnx_shape_of(o, x);
	if (s.rank < 3 || groups < 1 || s.dim[1] % groups)
		return onnx_fail(o, n, EINVAL, "%lld groups of an input of rank %u",
				 (long long)groups, s.rank);
	folded[0] = s.dim[0];
	folded[1] = groups;
	folded[2] = (int64_t)ne_shape_elements(&s) / s.dim[0] / groups;
	for (uint32_t i = 0; i < s.rank; i++)
		dim[i] = s.dim[i];
	NE_RETURN_IF(normalise(o, n, onnx_emit_reshape(o, n, x, 3, folded), 4,
			       onnx_attr_float(n, "epsilon", 1e-5f), &r));
	scale = onnx_in_tensor(o, n, 1);
	if (scale < 0)
		return scale;
	by_group =
		ne_shape_elements(onnx_shape_of(o, scale)) == (size_t)groups && groups != s.dim[1];
	y = by_group ? r.y : onnx_emit_reshape(o, n, r.y, s.rank, dim);
	y = arithmetic(o, n, NE_BINARY_MUL, y, per_channel(o, n, 1, by_group ? 3 : s.rank));
	y = arithmetic(o, n, NE_BINARY_ADD, y, per_channel(o, n, 2, by_group ? 3 : s.rank));
	return onnx_out_tensor(o, n, by_group ? onnx_emit_reshape(o, n, y, s.rank, dim) : y);
}

/* x / (bias + alpha / size * sum of the squares of `size` neighbouring channels) ^ beta */
int onnx_lrn(struct onnx *o, const onnx_node *n)
{
	int64_t size = onnx_attr_int(n, "size", 0);
	int x = onnx_in_tensor(o, n, 0), v;
	struct onnx_window w;

	if (x < 0)
		return x;
	if (size < 1 || size > NE_MAX_DIM || onnx_shape_of(o, x)->rank < 2)
		return onnx_fail(o, n, EINVAL, "size %lld for rank %u", (long long)size,
				 onnx_shape_of(o, x)->rank);
	w = (struct onnx_window){.axis = 1,
				 .count = onnx_shape_of(o, x)->dim[1],
				 .k = size,
				 .stride = 1,
				 .dilation = 1,
				 .before = (size - 1) / 2};
	v = onnx_emit_windows(o, n, arithmetic(o, n, NE_BINARY_MUL, x, x), &w);
	v = onnx_drop_axes(o, n, onnx_emit_reduce(o, n, NE_REDUCE_SUM, v, 4), 4);
	v = number(o, n, NE_BINARY_MUL, v,
		   (double)onnx_attr_float(n, "alpha", 1e-4f) / (double)size);
	v = number(o, n, NE_BINARY_ADD, v, (double)onnx_attr_float(n, "bias", 1));
	v = number(o, n, NE_BINARY_POW, v, (double)onnx_attr_float(n, "beta", 0.75f));
	return onnx_out_tensor(o, n, arithmetic(o, n, NE_BINARY_DIV, x, v));
}

int onnx_mean_variance_normalization(struct onnx *o, const onnx_node *n)
{
	int64_t axes[NE_MAX_RANK] = {0, 2, 3};
	size_t count = onnx_attr_ints(n, "axes", axes, NE_MAX_RANK);
	int x = onnx_in_tensor(o, n, 0), v;
	uint32_t mask = 0;

	if (x < 0)
		return x;
	count = onnx_attr(n, "axes") ? NE_MIN(count, NE_MAX_RANK) : 3;
	for (size_t i = 0; i < count; i++) {
		int a = onnx_axis(o, n, axes[i], onnx_shape_of(o, x)->rank);

		if (a < 0)
			return a;
		mask |= 1u << a;
	}
	x = arithmetic(o, n, NE_BINARY_SUB, x, onnx_emit_reduce(o, n, NE_REDUCE_MEAN, x, mask));
	v = onnx_emit_reduce(o, n, NE_REDUCE_MEAN, arithmetic(o, n, NE_BINARY_MUL, x, x), mask);
	v = number(o, n, NE_BINARY_ADD, onnx_emit_function(o, n, NE_UNARY_SQRT, v, 0, 0), 1e-9);
	return onnx_out_tensor(o, n, arithmetic(o, n, NE_BINARY_DIV, x, v));
}

int onnx_lp_normalization(struct onnx *o, const onnx_node *n)
{
	int64_t p = onnx_attr_int(n, "p", 2);
	int x = onnx_in_tensor(o, n, 0), axis;

	if (x < 0)
		return x;
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", -1), onnx_shape_of(o, x)->rank);
	if (axis < 0)
		return axis;
	if (p != 1 && p != 2)
		return onnx_fail(o, n, EINVAL, "p is %lld; 1 or 2", (long long)p);
	return onnx_out_tensor(
		o, n,
		arithmetic(o, n, NE_BINARY_DIV, x,
			   onnx_emit_reduce(o, n, p == 1 ? NE_REDUCE_L1 : NE_REDUCE_L2, x,
					    1u << axis)));
}

/* ---- batch norm with what it computes from the batch, or from computed statistics ---- */

/* old * momentum + new * (1 - momentum) */
static int running(struct onnx *o, const onnx_node *n, size_t i, int now, float momentum)
{
	int old = number(o, n, NE_BINARY_MUL, onnx_in_tensor(o, n, i), (double)momentum);

	if (now < 0)
		return now;
	return arithmetic(o, n, NE_BINARY_ADD, old,
			  number(o, n, NE_BINARY_MUL, now, 1 - (double)momentum));
}

static int flat(struct onnx *o, const onnx_node *n, int x)
{
	int64_t dim;

	if (x < 0)
		return x;
	dim = (int64_t)ne_shape_elements(onnx_shape_of(o, x));
	return onnx_emit_reshape(o, n, x, 1, &dim);
}

int onnx_general_batch_normalization(struct onnx *o, const onnx_node *n, int x)
{
	float momentum = onnx_attr_float(n, "momentum", 0.9f);
	bool training = onnx_attr_int(n, "training_mode", 0) != 0;
	int mean, var, d, y;
	uint32_t rank, mask;

	rank = onnx_shape_of(o, x)->rank;
	mask = axes_from(0, rank) & ~2u;
	if (training) {
		mean = onnx_emit_reduce(o, n, NE_REDUCE_MEAN, x, mask);
		d = arithmetic(o, n, NE_BINARY_SUB, x, mean);
		var = onnx_emit_reduce(o, n, NE_REDUCE_MEAN, arithmetic(o, n, NE_BINARY_MUL, d, d),
				       mask);
	} else {
		mean = per_channel(o, n, 3, rank);
		var = per_channel(o, n, 4, rank);
		d = arithmetic(o, n, NE_BINARY_SUB, x, mean);
	}
	y = number(o, n, NE_BINARY_ADD, var, (double)onnx_attr_float(n, "epsilon", 1e-5f));
	y = onnx_emit_function(o, n, NE_UNARY_SQRT, y, 0, 0);
	y = arithmetic(o, n, NE_BINARY_DIV, d, y);
	y = arithmetic(o, n, NE_BINARY_MUL, y, per_channel(o, n, 1, rank));
	y = arithmetic(o, n, NE_BINARY_ADD, y, per_channel(o, n, 2, rank));
	NE_RETURN_IF(onnx_out_tensor(o, n, y));
	if (!training)
		return 0;
	NE_RETURN_IF(onnx_out_tensor_at(o, n, 1, running(o, n, 3, flat(o, n, mean), momentum)));
	return onnx_out_tensor_at(o, n, 2, running(o, n, 4, flat(o, n, var), momentum));
}
