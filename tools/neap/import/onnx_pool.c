/* SPDX-License-Identifier: MIT */
/*
 * Windows over any number of axes: pools that the engine's own do not cover (three spatial axes,
 * batches, integers, Lp, the places of the largest) as picks of each window's elements and
 * reductions, one axis after the other.
 */
#include "tools/neap/import/onnx_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

int onnx_emit_windows(struct onnx *o, const onnx_node *n, int x, const struct onnx_window *w)
{
	struct onnx_pick p = {.value = w->value};
	int64_t dim[NE_MAX_RANK];
	struct ne_shape s;
	uint32_t rank = 0;
	int32_t *at, i = 0;

	if (x < 0)
		return x;
	s = *onnx_shape_of(o, x);
	if (s.rank == NE_MAX_RANK)
		return onnx_fail(o, n, EOPNOTSUPP, "windows over a tensor of rank %u", s.rank);
	if (w->count < 1 || w->k < 1 || w->count > NE_MAX_DIM / w->k)
		return onnx_fail(o, n, EINVAL, "%lld windows of %lld", (long long)w->count,
				 (long long)w->k);
	at = onnx_pick_axis(&p, w->axis, w->count * w->k);
	if (!at)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (int64_t c = 0; c < w->count; c++)
		for (int64_t k = 0; k < w->k; k++) {
			int64_t v = c * w->stride - w->before + k * w->dilation;

			at[i++] = v >= 0 && v < s.dim[w->axis] ? (int32_t)v : -1;
		}
	x = onnx_emit_pick(o, n, x, &p);
	for (uint32_t d = 0; d < s.rank; d++) {
		dim[rank++] = d == w->axis ? w->count : s.dim[d];
		if (d == w->axis)
			dim[rank++] = w->k;
	}
	return onnx_emit_reshape(o, n, x, rank, dim);
}

static struct onnx_window window_of(const struct onnx_axes *a, uint32_t i, float value)
{
	return (struct onnx_window){.axis = 2 + i,
				    .count = a->out[i],
				    .k = a->k[i],
				    .stride = a->s[i],
				    .dilation = a->d[i],
				    .before = a->before[i],
				    .value = value};
}

static int reduce_windows(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a,
			  enum ne_reduce kind, float value)
{
	for (uint32_t i = 0; i < a->spatial; i++) {
		struct onnx_window w = window_of(a, i, value);

		x = onnx_emit_windows(o, n, x, &w);
		x = onnx_drop_axes(o, n, onnx_emit_reduce(o, n, kind, x, 8u << i), 8u << i);
	}
	return x;
}

/* 1 / how many elements each window averages over, as [out, out, ..] of the spatial axes. Padding
 * counts where it is asked for, but not what rounding the size up added behind it. */
static int inverse_counts(struct onnx *o, const onnx_node *n, const struct onnx_axes *a,
			  bool include_pad)
{
	struct onnx_const *c = onnx_const_new(NE_F32, a->spatial, a->out);
	int id;

	if (!c)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (size_t i = 0; i < c->n; i++) {
		size_t rest = i;
		double count = 1;

		for (uint32_t d = a->spatial; d-- > 0; rest /= (size_t)a->out[d]) {
			int64_t first =
				(int64_t)(rest % (size_t)a->out[d]) * a->s[d] - a->before[d];
			int64_t least = include_pad ? -a->before[d] : 0, inside = 0;
			int64_t end = a->in[d] + (include_pad ? a->declared_after[d] : 0);

			for (int64_t k = 0; k < a->k[d]; k++)
				inside += first + k * a->d[d] >= least && first + k * a->d[d] < end;
			count *= (double)inside;
		}
		((float *)c->data)[i] = count > 0 ? (float)(1 / count) : 0;
	}
	id = onnx_emit_value(o, n, c);
	onnx_const_free(c);
	return id;
}

int onnx_general_max_pool(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a)
{
	return reduce_windows(o, n, x, a, NE_REDUCE_MAX, -FLT_MAX);
}

int onnx_general_average_pool(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a)
{
	bool include_pad = onnx_attr_int(n, "count_include_pad", 0) != 0;

	x = reduce_windows(o, n, x, a, NE_REDUCE_SUM, 0);
	return onnx_emit_arithmetic(o, n, NE_BINARY_MUL, x, inverse_counts(o, n, a, include_pad));
}

/* (sum |x|^p)^(1/p) */
int onnx_lp_pool(struct onnx *o, const onnx_node *n)
{
	float p = (float)onnx_attr_int(n, "p", 2);
	int x = onnx_in_tensor(o, n, 0);
	struct onnx_axes a;

	if (x < 0)
		return x;
	if (p < 1)
		return onnx_fail(o, n, EINVAL, "p is %g", (double)p);
	NE_RETURN_IF(onnx_read_axes(o, n, x, NULL, &a));
	x = onnx_emit_function(o, n, NE_UNARY_ABS, x, 0, 0);
	x = onnx_emit_binary(o, n, NE_BINARY_POW, x, onnx_emit_number(o, n, x, (double)p));
	x = reduce_windows(o, n, x, &a, NE_REDUCE_SUM, 0);
	return onnx_out_tensor(
		o, n,
		onnx_emit_binary(o, n, NE_BINARY_POW, x, onnx_emit_number(o, n, x, 1 / (double)p)));
}

int onnx_global_lp_pool(struct onnx *o, const onnx_node *n)
{
	float p = (float)onnx_attr_int(n, "p", 2);
	int x = onnx_in_tensor(o, n, 0);
	uint32_t rank;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	if (p < 1 || rank < 3)
		return onnx_fail(o, n, EINVAL, "p is %g, the rank %u", (double)p, rank);
	x = onnx_emit_function(o, n, NE_UNARY_ABS, x, 0, 0);
	x = onnx_emit_binary(o, n, NE_BINARY_POW, x, onnx_emit_number(o, n, x, (double)p));
	x = onnx_emit_reduce(o, n, NE_REDUCE_SUM, x, (1u << rank) - 4);
	return onnx_out_tensor(
		o, n,
		onnx_emit_binary(o, n, NE_BINARY_POW, x, onnx_emit_number(o, n, x, 1 / (double)p)));
}

/* ---- where the largest of each window is ---- */

/* Constant s64 tensor [1, .., values along @axis, .., 1] of @rank: first + i * step. */
static int ramp(struct onnx *o, const onnx_node *n, uint32_t rank, uint32_t axis, int64_t count,
		int64_t first, int64_t step)
{
	int64_t dim[NE_MAX_RANK] = {1, 1, 1, 1, 1, 1};
	struct onnx_const *c;
	int id;

	dim[axis] = count;
	c = onnx_const_new(NE_S64, rank, dim);
	if (!c)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (int64_t i = 0; i < count; i++)
		((int64_t *)c->data)[i] = first + i * step;
	id = onnx_emit_value(o, n, c);
	onnx_const_free(c);
	return id;
}

/*
 * Windows of one or two axes side by side in a last axis, the first largest of each there, and from
 * its number in the window its place in the whole input: along rows, or columns first.
 */
int onnx_max_pool_places(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a)
{
	static const int32_t perm[NE_MAX_RANK] = {0, 1, 2, 4, 3, 5};
	bool columns = onnx_attr_int(n, "storage_order", 0) != 0;
	int64_t dim[NE_MAX_RANK], taps = 1, plane = 1;
	struct ne_shape s = *onnx_shape_of(o, x);
	int k, place, i;

	if (a->spatial > 2)
		return onnx_fail(o, n, EOPNOTSUPP, "its second output, with three spatial axes");
	for (uint32_t d = a->spatial; d-- > 0;) {
		struct onnx_window w = window_of(a, d, -FLT_MAX);

		x = onnx_emit_windows(o, n, x, &w);
		taps *= a->k[d];
		plane *= a->in[d];
	}
	if (a->spatial == 2)
		x = onnx_emit_transpose(o, n, x, perm);
	for (uint32_t d = 0; d < a->spatial + 2; d++)
		dim[d] = d < 2 ? s.dim[d] : a->out[d - 2];
	dim[a->spatial + 2] = taps;
	k = onnx_emit_reduce(o, n, NE_REDUCE_ARGMAX,
			     onnx_emit_reshape(o, n, x, a->spatial + 3, dim), 4u << a->spatial);
	k = onnx_drop_axes(o, n, k, 4u << a->spatial);
	place = onnx_emit_binary(
		o, n, NE_BINARY_ADD,
		ramp(o, n, a->spatial + 2, 0, s.dim[0], 0, (int64_t)s.dim[1] * plane),
		ramp(o, n, a->spatial + 2, 1, s.dim[1], 0, plane));
	for (uint32_t d = a->spatial; d-- > 0;) {
		int64_t unit = d + 1 == a->spatial ? columns ? plane / a->in[d] : 1
			       : columns           ? 1
						   : a->in[1];

		i = onnx_emit_binary(o, n, NE_BINARY_MOD, k,
				     onnx_emit_number(o, n, k, (double)a->k[d]));
		k = onnx_emit_binary(o, n, NE_BINARY_DIV, k,
				     onnx_emit_number(o, n, k, (double)a->k[d]));
		i = onnx_emit_binary(o, n, NE_BINARY_MUL, i,
				     onnx_emit_number(o, n, i, (double)a->d[d]));
		i = onnx_emit_binary(
			o, n, NE_BINARY_ADD, i,
			ramp(o, n, a->spatial + 2, 2 + d, a->out[d], -a->before[d], a->s[d]));
		i = onnx_emit_binary(o, n, NE_BINARY_MUL, i,
				     onnx_emit_number(o, n, i, (double)unit));
		place = onnx_emit_binary(o, n, NE_BINARY_ADD, place, i);
	}
	return place;
}
