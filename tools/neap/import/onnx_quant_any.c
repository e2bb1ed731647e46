/* SPDX-License-Identifier: MIT */
/*
 * Quantisation that has no node of its own in the engine, written in arithmetic: parameters that are
 * computed or lie along an axis or in blocks, and 16-bit integers.
 */
#include "tools/neap/import/onnx_internal.h"

/* Integers of input @i as f32 values. */
int onnx_integers(struct onnx *o, const onnx_node *n, size_t i)
{
	struct onnx_value *v = onnx_in(o, n, i);
	int x;

	if (v && v->shifted) {
		/* its tensor stands for real values: back from those, exactly */
		struct ne_quant q = o->g->tensor[v->tensor].quant;

		x = onnx_emit_typed(o, n, NE_OP_DEQUANTISE, (int)v->tensor, NE_F32,
				    (struct ne_quant){0});
		x = x < 0 ? x
			  : onnx_emit_binary(o, n, NE_BINARY_DIV, x,
					     onnx_emit_number(o, n, x, (double)q.scale));
		x = x < 0 ? x : onnx_emit_function(o, n, NE_UNARY_ROUND, x, 0, 0);
		return x < 0 ? x
			     : onnx_emit_binary(o, n, NE_BINARY_ADD, x,
						onnx_emit_number(o, n, x, q.zero + 128));
	}
	x = onnx_in_tensor(o, n, i);
	if (x >= 0 && o->g->tensor[x].dtype != NE_F32 && o->g->tensor[x].quant.scale > 0)
		return onnx_fail(o, n, EOPNOTSUPP, "integers that another node reads with a scale");
	return onnx_emit_cast(o, n, x, NE_F32);
}

/* Parameter @t (scales or zero points, f32) in the shape that broadcasts against @x. */
static int along_axis(struct onnx *o, const onnx_node *n, int t, int x)
{
	const struct ne_shape *s = onnx_shape_of(o, t);
	int64_t block = onnx_attr_int(n, "block_size", 0), dim[NE_MAX_RANK];
	uint32_t rank = onnx_shape_of(o, x)->rank;
	size_t count = ne_shape_elements(s);
	struct onnx_pick pick = {.value = 0};
	int axis;

	if (count == 1)
		return t;
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 1), rank);
	if (axis < 0)
		return axis;
	if (block > 0 && s->rank == rank) {
		int32_t length = onnx_shape_of(o, x)->dim[axis];
		int32_t *at = onnx_pick_axis(&pick, (uint32_t)axis, length);

		if (!at || (length + block - 1) / block != s->dim[axis]) {
			onnx_pick_done(&pick);
			return onnx_fail(o, n, EINVAL, "%d scales of blocks of %lld for %d values",
					 s->dim[axis], (long long)block, length);
		}
		for (int32_t i = 0; i < length; i++)
			at[i] = (int32_t)(i / block);
		return onnx_emit_pick(o, n, t, &pick);
	}
	if (s->rank != 1 || s->dim[0] != onnx_shape_of(o, x)->dim[axis])
		return onnx_fail(o, n, EINVAL, "%zu scales for axis %d", count, axis);
	for (uint32_t i = 0; i < rank; i++)
		dim[i] = (int)i == axis ? s->dim[0] : 1;
	return onnx_emit_reshape(o, n, t, rank, dim);
}

int onnx_dequantise_any(struct onnx *o, const onnx_node *n)
{
	int x = onnx_integers(o, n, 0), t;

	if (x >= 0 && onnx_in(o, n, 2)) {
		t = onnx_integers(o, n, 2);
		t = t < 0 ? t : along_axis(o, n, t, x);
		x = onnx_emit_binary(o, n, NE_BINARY_SUB, x, t);
	}
	if (x < 0)
		return x;
	t = onnx_in_tensor(o, n, 1);
	t = t < 0 ? t : along_axis(o, n, t, x);
	return onnx_out_tensor(o, n, onnx_emit_binary(o, n, NE_BINARY_MUL, x, t));
}

int onnx_quantise_any(struct onnx *o, const onnx_node *n, enum ne_dtype dtype)
{
	float lo = dtype == NE_U8 ? 0 : dtype == NE_S8 ? INT8_MIN : INT16_MIN;
	float hi = dtype == NE_U8 ? UINT8_MAX : dtype == NE_S8 ? INT8_MAX : INT16_MAX;
	int x = onnx_in_tensor(o, n, 0), t;

	if (x < 0)
		return x;
	x = onnx_emit_cast(o, n, x, NE_F32);
	t = x < 0 ? x : onnx_in_tensor(o, n, 1);
	t = t < 0 ? t : along_axis(o, n, t, x);
	x = onnx_emit_function(o, n, NE_UNARY_ROUND, onnx_emit_binary(o, n, NE_BINARY_DIV, x, t), 0,
			       0);
	if (x >= 0 && onnx_in(o, n, 2)) {
		t = onnx_integers(o, n, 2);
		t = t < 0 ? t : along_axis(o, n, t, x);
		x = onnx_emit_binary(o, n, NE_BINARY_ADD, x, t);
	}
	if (x < 0)
		return x;
	x = onnx_emit_function(o, n, NE_UNARY_CLIP, x, lo, hi);
	return onnx_out_tensor(o, n, onnx_emit_cast(o, n, x, dtype));
}

int onnx_dynamic_quantize_linear(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), lo, hi, scale, zero, y;
	uint32_t all;

	if (x < 0)
		return x;
	all = (1u << onnx_shape_of(o, x)->rank) - 1;
	lo = onnx_emit_reshape(o, n, onnx_emit_reduce(o, n, NE_REDUCE_MIN, x, all), 0, NULL);
	hi = onnx_emit_reshape(o, n, onnx_emit_reduce(o, n, NE_REDUCE_MAX, x, all), 0, NULL);
	if (lo < 0 || hi < 0)
		return NE_MIN(lo, hi);
	lo = onnx_emit_binary(o, n, NE_BINARY_MIN, lo, onnx_emit_number(o, n, lo, 0));
	hi = onnx_emit_binary(o, n, NE_BINARY_MAX, hi, onnx_emit_number(o, n, hi, 0));
	scale = onnx_emit_binary(o, n, NE_BINARY_SUB, hi, lo);
	if (scale < 0)
		return scale;
	scale = onnx_emit_binary(o, n, NE_BINARY_DIV, scale, onnx_emit_number(o, n, scale, 255));
	/* of zeros alone any scale does: 1 */
	if (scale >= 0)
		y = onnx_emit_binary(o, n, NE_BINARY_EQUAL, scale,
				     onnx_emit_number(o, n, scale, 0));
	else
		y = scale;
	scale = onnx_emit_binary(o, n, NE_BINARY_ADD, scale, onnx_emit_cast(o, n, y, NE_F32));
	zero = onnx_emit_binary(o, n, NE_BINARY_DIV, lo, scale);
	zero = onnx_emit_function(o, n, NE_UNARY_NEG, zero, 0, 0);
	zero = onnx_emit_function(o, n, NE_UNARY_ROUND, zero, 0, 0);
	zero = zero < 0 ? zero : onnx_emit_function(o, n, NE_UNARY_CLIP, zero, 0, 255);
	y = onnx_emit_function(o, n, NE_UNARY_ROUND,
			       onnx_emit_binary(o, n, NE_BINARY_DIV, x, scale), 0, 0);
	y = onnx_emit_binary(o, n, NE_BINARY_ADD, y, zero);
	if (y < 0)
		return y;
	y = onnx_emit_cast(o, n, onnx_emit_function(o, n, NE_UNARY_CLIP, y, 0, 255), NE_U8);
	NE_RETURN_IF(onnx_out_tensor_at(o, n, 0, y));
	NE_RETURN_IF(onnx_out_tensor_at(o, n, 1, scale));
	return onnx_out_tensor_at(o, n, 2, onnx_emit_cast(o, n, zero, NE_U8));
}
