/* SPDX-License-Identifier: MIT */
/*
 * Types. A model in QDQ form becomes the f32 model that it stands for: constants are dequantised,
 * quantised activations keep their real values, and where the 8-bit range would clip (a ReLU or
 * ReLU6 fused into the range) the clipping is put back.
 */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>

/* 8-bit graph inputs as real values: (q - zero) * scale. */
static int input_as_real(struct onnx *o, const onnx_node *n, int tensor, struct ne_quant q)
{
	for (uint32_t i = 0; i < o->g->n_in; i++) {
		struct ne_quant *had = &o->in_quant[i];

		if (o->g->in[i] != (uint32_t)tensor)
			continue;
		if (had->scale > 0 &&
		    (had->scale < q.scale || had->scale > q.scale || had->zero != q.zero))
			return onnx_fail(o, n, EOPNOTSUPP, "an input read with two scales");
		*had = q;
		return onnx_out_tensor(o, n, onnx_emit_unary(o, n, NE_OP_DEQUANTISE, tensor));
	}
	return onnx_fail(o, n, EOPNOTSUPP, "integer values computed in the graph");
}

int onnx_cast(struct onnx *o, const onnx_node *n)
{
	int64_t to = onnx_attr_int(n, "to", 0);
	int x = onnx_in_tensor(o, n, 0);

	if (x < 0)
		return x;
	if (to != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
		return onnx_fail(o, n, EOPNOTSUPP, "to ONNX type %lld; only to float",
				 (long long)to);
	if (o->g->tensor[x].dtype == NE_F32)
		return onnx_out_tensor(o, n, x);
	return input_as_real(o, n, x, (struct ne_quant){.scale = 1, .zero = 0});
}

static int read_quant(struct onnx *o, const onnx_node *n, const struct onnx_const **ret_scale,
		      const struct onnx_const **ret_zero)
{
	const struct onnx_const *s = onnx_in_const(o, n, 1), *z = onnx_in_const(o, n, 2);

	if (!s || s->dtype != NE_F32 || s->n == 0 || (onnx_in(o, n, 2) && !z))
		return onnx_fail(o, n, EOPNOTSUPP, "scale and zero point must be constants");
	if (z && z->n != s->n)
		return onnx_fail(o, n, EINVAL, "%zu scales but %zu zero points", s->n, z->n);
	for (size_t i = 0; i < s->n; i++)
		if (!(((const float *)s->data)[i] > 0) || !isfinite(((const float *)s->data)[i]))
			return onnx_fail(o, n, EINVAL, "scale %zu is not above zero", i);
	*ret_scale = s;
	*ret_zero = z;
	return 0;
}

static int dequantise_const(struct onnx *o, const onnx_node *n, const struct onnx_const *x,
			    const struct onnx_const *s, const struct onnx_const *z)
{
	struct onnx_const *y = onnx_const_new(NE_F32, x->rank, x->dim);
	size_t inner = 1;

	if (s->n > 1) {
		int axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 1), x->rank);

		if (axis < 0 || x->dim[axis] != (int64_t)s->n) {
			onnx_const_free(y);
			return axis < 0 ? axis
					: onnx_fail(o, n, EINVAL, "%zu scales for axis %d", s->n,
						    axis);
		}
		for (uint32_t i = (uint32_t)axis + 1; i < x->rank; i++)
			inner *= (size_t)x->dim[i];
	}
	for (size_t i = 0; y && i < x->n; i++) {
		size_t c = s->n > 1 ? i / inner % s->n : 0;
		int64_t zero = z ? onnx_const_int(z, c) : 0;

		onnx_const_set(y, i, (double)(onnx_const_int(x, i) - zero) * onnx_const_real(s, c));
	}
	return onnx_out_const(o, n, y);
}

int onnx_dequantize_linear(struct onnx *o, const onnx_node *n)
{
	const struct onnx_value *v = onnx_in(o, n, 0);
	const struct onnx_const *s, *z;

	if (!v)
		return onnx_fail(o, n, EINVAL, "input 0 is missing");
	NE_RETURN_IF(read_quant(o, n, &s, &z));
	if (v->constant)
		return dequantise_const(o, n, v->constant, s, z);
	if (s->n != 1)
		return onnx_fail(o, n, EOPNOTSUPP, "activations with a scale per channel");
	if (v->quantised || o->g->tensor[v->tensor].dtype == NE_F32)
		return onnx_out_tensor(o, n, (int)v->tensor);
	return input_as_real(o, n, (int)v->tensor,
			     (struct ne_quant){
				     .scale = *(const float *)s->data,
				     .zero = z ? (int32_t)onnx_const_int(z, 0) : 0,
			     });
}

int onnx_quantize_linear(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *s, *z;
	int x = onnx_in_tensor(o, n, 0), r;
	double lo, hi;
	bool is_signed;

	if (x < 0)
		return x;
	NE_RETURN_IF(read_quant(o, n, &s, &z));
	if (s->n != 1 || (z && z->dtype != NE_U8 && z->dtype != NE_S8))
		return onnx_fail(o, n, EOPNOTSUPP, "other than one scale and 8-bit values");
	is_signed = z && z->dtype == NE_S8;
	lo = ((is_signed ? -128 : 0) - (z ? (double)onnx_const_int(z, 0) : 0)) *
	     onnx_const_real(s, 0);
	hi = lo + 255 * onnx_const_real(s, 0);
	if (lo >= 0) /* an all-positive range: within 1 % of 6 it stands for ReLU6 */
		x = onnx_emit_unary(o, n, fabs(hi - 6) < 0.06 ? NE_OP_RELU6 : NE_OP_RELU, x);
	r = onnx_out_tensor(o, n, x);
	if (r >= 0)
		onnx_value_find(o, n->output[0])->quantised = true;
	return r;
}
