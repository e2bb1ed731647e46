/* SPDX-License-Identifier: MIT */
/*
 * Convolutions that the engine's own do not cover: computed weights, batches, three spatial axes,
 * transposed ones. Each window's elements are picked side by side, and a product of matrices does
 * the rest; a depth axis joins the batch and the channels first.
 */
#include "tools/neap/import/onnx_internal.h"

#include <string.h>

static void dims_of(const struct onnx *o, int t, int64_t *dim)
{
	for (uint32_t i = 0; i < onnx_shape_of(o, t)->rank; i++)
		dim[i] = onnx_shape_of(o, t)->dim[i];
}

/* ---- three spatial axes: [N, C, D, H, W] to [N * OD, C * KD, H, W] ---- */

static int fold_depth(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a)
{
	static const int32_t perm[NE_MAX_RANK] = {0, 2, 1, 3, 4, 5};
	struct onnx_window w = {.axis = 2,
				.count = a->out[0],
				.k = a->k[0],
				.stride = a->s[0],
				.dilation = a->d[0],
				.before = a->before[0]};
	int64_t d[NE_MAX_RANK], dim[4];

	x = onnx_emit_windows(o, n, x, &w); /* [N, C, OD, KD, H, W] */
	x = onnx_emit_transpose(o, n, x, perm);
	if (x < 0)
		return x;
	dims_of(o, x, d);
	dim[0] = d[0] * d[1];
	dim[1] = d[2] * d[3];
	dim[2] = d[4];
	dim[3] = d[5];
	return onnx_emit_reshape(o, n, x, 4, dim);
}

/* [N * OD, OC, OH, OW] to [N, OC, OD, OH, OW] */
static int unfold_depth(struct onnx *o, const onnx_node *n, int y, int64_t batch)
{
	static const int32_t perm[NE_MAX_RANK] = {0, 2, 1, 3, 4};
	int64_t d[NE_MAX_RANK], dim[5];

	if (y < 0)
		return y;
	dims_of(o, y, d);
	dim[0] = batch;
	dim[1] = d[0] / batch;
	dim[2] = d[1];
	dim[3] = d[2];
	dim[4] = d[3];
	return onnx_emit_transpose(o, n, onnx_emit_reshape(o, n, y, 5, dim), perm);
}

/* ---- one or two spatial axes ---- */

/* Elements of each window side by side: [N, G, C/G * taps, pixels]. */
static int patches(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a,
		   int64_t groups)
{
	/* [N, C, OH, KH, OW, KW] to [N, C, KH, KW, OH, OW] */
	static const int32_t perm[2][NE_MAX_RANK] = {{0, 1, 3, 2}, {0, 1, 3, 5, 2, 4}};
	int64_t batch = onnx_shape_of(o, x)->dim[0], channels = onnx_shape_of(o, x)->dim[1];
	int64_t dim[4] = {batch, groups, channels / groups, 1};

	for (uint32_t i = a->spatial; i-- > 0;) {
		struct onnx_window w = {.axis = 2 + i,
					.count = a->out[i],
					.k = a->k[i],
					.stride = a->s[i],
					.dilation = a->d[i],
					.before = a->before[i]};

		x = onnx_emit_windows(o, n, x, &w);
		dim[2] *= a->k[i];
		dim[3] *= a->out[i];
	}
	x = onnx_emit_transpose(o, n, x, perm[a->spatial - 1]);
	return onnx_emit_reshape(o, n, x, 4, dim);
}

/* @w [OC, C/G, taps..] by the windows of @x [N, C, ..]; the result is [N, OC, out..]. */
static int product(struct onnx *o, const onnx_node *n, int x, int w, const struct onnx_axes *a,
		   int64_t groups, int64_t outputs)
{
	int64_t dim[NE_MAX_RANK] = {groups, outputs / groups, 0};
	struct ne_attr attr = {.groups = 1};
	int64_t batch = onnx_shape_of(o, x)->dim[0];
	uint32_t in[2];

	dim[2] = (int64_t)ne_shape_elements(onnx_shape_of(o, w)) / outputs;
	w = onnx_emit_reshape(o, n, w, 3, dim);
	x = patches(o, n, x, a, groups);
	if (w < 0 || x < 0)
		return w < 0 ? w : x;
	in[0] = (uint32_t)w;
	in[1] = (uint32_t)x;
	x = onnx_emit(o, n, NE_OP_MATMUL, &attr, 2, in);
	dim[0] = batch;
	dim[1] = outputs;
	for (uint32_t i = 0; i < a->spatial; i++)
		dim[2 + i] = a->out[i];
	return onnx_emit_reshape(o, n, x, 2 + a->spatial, dim);
}

static int add_bias(struct onnx *o, const onnx_node *n, int y)
{
	int64_t dim[NE_MAX_RANK] = {1, 1, 1, 1, 1};
	int b;

	if (y < 0 || !onnx_in(o, n, 2))
		return y;
	b = onnx_in_tensor(o, n, 2);
	if (b < 0)
		return b;
	dim[0] = onnx_shape_of(o, y)->dim[1];
	b = onnx_emit_reshape(o, n, b, onnx_shape_of(o, y)->rank - 1, dim);
	return onnx_emit_arithmetic(o, n, NE_BINARY_ADD, y, b);
}

int onnx_general_conv(struct onnx *o, const onnx_node *n, int x, int w, const struct onnx_axes *a,
		      int64_t groups)
{
	int64_t batch = onnx_shape_of(o, x)->dim[0], outputs = onnx_shape_of(o, w)->dim[0];
	struct onnx_axes plane = *a;

	if (o->g->tensor[x].dtype != NE_F32 || o->g->tensor[w].dtype != NE_F32)
		return onnx_fail(o, n, EOPNOTSUPP, "input of type %s, weights of type %s",
				 ne_dtype_name(o->g->tensor[x].dtype),
				 ne_dtype_name(o->g->tensor[w].dtype));
	if (a->spatial < 3)
		return add_bias(o, n, product(o, n, x, w, a, groups, outputs));
	plane.spatial = 2;
	for (uint32_t i = 0; i < 2; i++) {
		plane.in[i] = a->in[i + 1];
		plane.out[i] = a->out[i + 1];
		plane.k[i] = a->k[i + 1];
		plane.s[i] = a->s[i + 1];
		plane.d[i] = a->d[i + 1];
		plane.before[i] = a->before[i + 1];
	}
	x = fold_depth(o, n, x, a);
	if (x < 0)
		return x;
	x = product(o, n, x, w, &plane, groups, outputs);
	return add_bias(o, n, unfold_depth(o, n, x, batch));
}

/* ---- transposed ---- */

/* What each axis of a transposed convolution is as an ordinary one of stride 1 over the input with
 * zeros between its elements. */
struct stretch {
	int64_t out[3], before[3]; /* before: in terms of the stretched input, may be negative */
};

static int read_stretch(struct onnx *o, const onnx_node *n, const struct onnx_axes *a,
			struct stretch *ret)
{
	bool upper = onnx_attr_is(n, "auto_pad", "SAME_UPPER");
	bool lower = onnx_attr_is(n, "auto_pad", "SAME_LOWER");
	int64_t extra[3] = {0}, shape[5] = {0};
	size_t count = onnx_attr_ints(n, "output_padding", extra, 3);
	size_t given = onnx_attr_ints(n, "output_shape", shape, 5);

	if ((count && count != a->spatial) ||
	    (given && given != a->spatial && given != a->spatial + 2))
		return onnx_fail(o, n, EINVAL,
				 "output_padding or output_shape of %zu and %zu values", count,
				 given);
	for (uint32_t i = 0; i < a->spatial; i++) {
		int64_t full, begin = a->before[i], out;

		if (extra[i] < 0 || extra[i] > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "output_padding is out of range");
		full = (a->in[i] - 1) * a->s[i] + (a->k[i] - 1) * a->d[i] + 1 + extra[i];
		out = full - a->before[i] - a->declared_after[i];
		if (given)
			out = NE_CLAMP(shape[given - a->spatial + i], 0, (int64_t)NE_MAX_DIM + 1);
		else if (upper || lower)
			out = a->in[i] * a->s[i];
		if (given || upper || lower) {
			int64_t all = NE_MAX(full - out, 0);

			begin = upper ? all / 2 : all - all / 2;
		}
		if (out < 1 || out > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "axis %u would have %lld places", i,
					 (long long)out);
		ret->out[i] = out;
		ret->before[i] = (a->k[i] - 1) * a->d[i] - begin;
	}
	return 0;
}

/* [C, OC/G, k..] to [OC, C/G, k..], each axis of k backwards. */
static int transposed_weights(struct onnx *o, const onnx_node *n, int w, int64_t groups)
{
	static const int32_t perm[NE_MAX_RANK] = {0, 2, 1, 3, 4, 5};
	struct onnx_pick p = {.value = 0};
	int64_t d[NE_MAX_RANK], dim[NE_MAX_RANK];
	uint32_t rank = onnx_shape_of(o, w)->rank;

	for (uint32_t i = 2; i < rank; i++) {
		int32_t length = onnx_shape_of(o, w)->dim[i];
		int32_t *at = onnx_pick_axis(&p, i, length);

		if (!at) {
			onnx_pick_done(&p);
			return onnx_fail(o, n, ENOMEM, "no memory");
		}
		for (int32_t k = 0; k < length; k++)
			at[k] = length - 1 - k;
	}
	w = onnx_emit_pick(o, n, w, &p);
	if (w < 0)
		return w;
	dims_of(o, w, d);
	dim[0] = groups;
	dim[1] = d[0] / groups;
	dim[2] = d[1];
	dim[3] = 1;
	for (uint32_t i = 2; i < rank; i++)
		dim[3] *= d[i];
	w = onnx_emit_transpose(o, n, onnx_emit_reshape(o, n, w, 4, dim), perm);
	d[0] = dim[0] * dim[2];
	d[1] = dim[1];
	return onnx_emit_reshape(o, n, w, rank, d);
}

int onnx_conv_transpose(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), w = onnx_in_tensor(o, n, 1);
	int64_t groups = onnx_attr_int(n, "group", 1), kernel[3];
	struct onnx_pick p = {.value = 0};
	struct onnx_axes a;
	struct stretch s;

	if (x < 0 || w < 0)
		return x < 0 ? x : w;
	if (onnx_shape_of(o, w)->rank != onnx_shape_of(o, x)->rank ||
	    onnx_shape_of(o, w)->rank < 3 || onnx_shape_of(o, w)->rank > 5)
		return onnx_fail(o, n, EINVAL, "weights of rank %u for an input of rank %u",
				 onnx_shape_of(o, w)->rank, onnx_shape_of(o, x)->rank);
	if (groups < 1 || onnx_shape_of(o, x)->dim[1] % groups ||
	    onnx_shape_of(o, w)->dim[0] != onnx_shape_of(o, x)->dim[1])
		return onnx_fail(o, n, EINVAL, "%lld groups of %d channels, weights for %d",
				 (long long)groups, onnx_shape_of(o, x)->dim[1],
				 onnx_shape_of(o, w)->dim[0]);
	for (uint32_t i = 2; i < onnx_shape_of(o, w)->rank; i++)
		kernel[i - 2] = onnx_shape_of(o, w)->dim[i];
	NE_RETURN_IF(onnx_read_transposed_axes(o, n, x, kernel, &a));
	NE_RETURN_IF(read_stretch(o, n, &a, &s));
	/* the input with zeros between its elements, cut or padded to what the windows read */
	for (uint32_t i = 0; i < a.spatial; i++) {
		int64_t length = s.out[i] + (a.k[i] - 1) * a.d[i];
		int32_t *at = onnx_pick_axis(&p, 2 + i, length);

		if (!at) {
			onnx_pick_done(&p);
			return onnx_fail(o, n, E2BIG, "axis %u would have %lld places", i,
					 (long long)length);
		}
		for (int64_t k = 0; k < length; k++) {
			int64_t v = k - s.before[i];

			at[k] = v >= 0 && v % a.s[i] == 0 && v / a.s[i] < a.in[i]
					? (int32_t)(v / a.s[i])
					: -1;
		}
		a.in[i] = length;
		a.out[i] = s.out[i];
		a.s[i] = 1;
		a.before[i] = 0;
	}
	x = onnx_emit_pick(o, n, x, &p);
	w = transposed_weights(o, n, w, groups);
	if (x < 0 || w < 0)
		return x < 0 ? x : w;
	return onnx_out_tensor(o, n, onnx_general_conv(o, n, x, w, &a, groups));
}
