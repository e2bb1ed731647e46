/* SPDX-License-Identifier: MIT */
/* Operators that slide a window: convolution and pooling. One or two spatial axes of a batch of one
 * are the engine's own operators; the rest is put together (onnx_conv.c, onnx_pool.c). */
#include "tools/neap/import/onnx_internal.h"

#include <string.h>

static int read_list(struct onnx *o, const onnx_node *n, const char *name, uint32_t spatial,
		     int64_t absent, int64_t least, int64_t *ret)
{
	size_t count = onnx_attr_ints(n, name, ret, 3);

	if (count != 0 && count != spatial)
		return onnx_fail(o, n, EINVAL, "%s has %zu values for %u axes", name, count,
				 spatial);
	for (uint32_t i = 0; i < spatial; i++) {
		if (count == 0)
			ret[i] = absent;
		if (ret[i] < least || ret[i] > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "%s %lld is out of range", name,
					 (long long)ret[i]);
	}
	return 0;
}

static int64_t extent(const struct onnx_axes *a, uint32_t i)
{
	return (a->k[i] - 1) * a->d[i] + 1;
}

/* Padding that keeps the size, but for the stride. */
static void pad_same(struct onnx_axes *a, bool upper)
{
	for (uint32_t i = 0; i < a->spatial; i++) {
		int64_t out = (a->in[i] + a->s[i] - 1) / a->s[i];
		int64_t all = NE_MAX((out - 1) * a->s[i] + extent(a, i) - a->in[i], 0);

		a->before[i] = upper ? all / 2 : all - all / 2;
		a->after[i] = all - a->before[i];
	}
}

static int read_pads(struct onnx *o, const onnx_node *n, struct onnx_axes *a)
{
	int64_t pads[6] = {0};
	size_t count = onnx_attr_ints(n, "pads", pads, 6);

	if (count != 0 && count != 2 * a->spatial)
		return onnx_fail(o, n, EINVAL, "pads has %zu values for %u axes", count,
				 a->spatial);
	for (uint32_t i = 0; i < a->spatial; i++) {
		a->before[i] = pads[i];
		a->after[i] = pads[a->spatial + i];
		if (a->before[i] < 0 || a->after[i] < 0)
			return onnx_fail(o, n, EOPNOTSUPP, "negative pads");
		if (a->before[i] > NE_MAX_DIM || a->after[i] > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "pads are out of range");
	}
	return 0;
}

/* What all window operators have; padding only as the attribute says it. */
static int read_common(struct onnx *o, const onnx_node *n, int x, const int64_t *kernel,
		       struct onnx_axes *a)
{
	const struct ne_shape *s = onnx_shape_of(o, x);

	if (s->rank < 3 || s->rank > 5)
		return onnx_fail(o, n, EOPNOTSUPP,
				 "input of rank %u; one to three spatial axes are supported",
				 s->rank);
	*a = (struct onnx_axes){.spatial = s->rank - 2};
	for (uint32_t i = 0; i < a->spatial; i++)
		a->in[i] = s->dim[2 + i];
	NE_RETURN_IF(read_list(o, n, "kernel_shape", a->spatial, kernel ? 1 : 0, 1, a->k));
	if (kernel && onnx_attr(n, "kernel_shape") &&
	    memcmp(a->k, kernel, a->spatial * sizeof(*kernel)) != 0)
		return onnx_fail(o, n, EINVAL, "kernel_shape differs from the weights' shape");
	if (kernel)
		memcpy(a->k, kernel, a->spatial * sizeof(*kernel));
	NE_RETURN_IF(read_list(o, n, "strides", a->spatial, 1, 1, a->s));
	NE_RETURN_IF(read_list(o, n, "dilations", a->spatial, 1, 1, a->d));
	NE_RETURN_IF(read_pads(o, n, a));
	memcpy(a->declared_after, a->after, sizeof(a->after));
	return 0;
}

int onnx_read_transposed_axes(struct onnx *o, const onnx_node *n, int x, const int64_t *kernel,
			      struct onnx_axes *a)
{
	return read_common(o, n, x, kernel, a);
}

/* Places of the window. Rounding up adds the padding that the last one needs; one that would start
 * in the padding after the input is dropped. */
static int count_places(struct onnx *o, const onnx_node *n, struct onnx_axes *a)
{
	bool ceil = onnx_attr_int(n, "ceil_mode", 0) != 0;

	for (uint32_t i = 0; i < a->spatial; i++) {
		int64_t room = a->in[i] + a->before[i] + a->after[i] - extent(a, i), need;

		if (room < 0)
			return onnx_fail(o, n, EINVAL, "a window of %lld does not fit axis %u",
					 (long long)extent(a, i), i);
		a->out[i] = (ceil ? room + a->s[i] - 1 : room) / a->s[i] + 1;
		if (ceil && (a->out[i] - 1) * a->s[i] >= a->in[i] + a->before[i])
			a->out[i]--;
		need = (a->out[i] - 1) * a->s[i] + extent(a, i) - a->in[i] - a->before[i];
		a->grew = a->grew || need > a->after[i];
		a->after[i] = NE_MAX(a->after[i], need);
	}
	return 0;
}

int onnx_read_axes(struct onnx *o, const onnx_node *n, int x, const int64_t *kernel,
		   struct onnx_axes *a)
{
	bool upper = onnx_attr_is(n, "auto_pad", "SAME_UPPER");

	NE_RETURN_IF(read_common(o, n, x, kernel, a));
	if (upper || onnx_attr_is(n, "auto_pad", "SAME_LOWER")) {
		pad_same(a, upper);
	} else if (onnx_attr_is(n, "auto_pad", "VALID")) {
		memset(a->before, 0, sizeof(a->before));
		memset(a->after, 0, sizeof(a->after));
	}
	memcpy(a->declared_after, a->after, sizeof(a->after));
	return count_places(o, n, a);
}

/* Whether the engine's own operators take it. */
static bool is_native(const struct onnx *o, int x, const struct onnx_axes *a)
{
	return a->spatial <= 2 && onnx_shape_of(o, x)->dim[0] == 1 &&
	       o->g->tensor[x].dtype == NE_F32;
}

static struct ne_window to_window(const struct onnx_axes *a)
{
	uint32_t w = a->spatial - 1; /* index of the width */
	struct ne_window r = {
		.kh = 1,
		.kw = (int32_t)a->k[w],
		.sh = 1,
		.sw = (int32_t)a->s[w],
		.dh = 1,
		.dw = (int32_t)a->d[w],
		.pad_left = (int32_t)a->before[w],
		.pad_right = (int32_t)a->after[w],
	};

	if (a->spatial == 2) {
		r.kh = (int32_t)a->k[0];
		r.sh = (int32_t)a->s[0];
		r.dh = (int32_t)a->d[0];
		r.pad_top = (int32_t)a->before[0];
		r.pad_bottom = (int32_t)a->after[0];
	}
	return r;
}

/* ---- convolution ---- */

/* ONNX [M, C/g, taps..] to [M, taps.., C/g], or for depthwise [taps.., M]. */
static int conv_weights(struct onnx *o, const onnx_node *n, const struct onnx_const *w,
			const struct ne_window *win, bool depthwise, int *ret_s8)
{
	int r;
	size_t m = (size_t)w->dim[0], ic = (size_t)w->dim[1], taps = w->n / (m * ic);
	int64_t full[4] = {w->dim[0], win->kh, win->kw, w->dim[1]};
	int64_t dw[3] = {win->kh, win->kw, w->dim[0]};
	float *data = ne_alloc_aligned(w->n * sizeof(*data));
	const float *src = w->data;

	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (size_t i = 0; i < m; i++)
		for (size_t c = 0; c < ic; c++)
			for (size_t t = 0; t < taps; t++)
				data[depthwise ? t * m + i : (i * taps + t) * ic + c] =
					src[(i * ic + c) * taps + t];
	r = depthwise ? onnx_emit_const(o, n, 3, dw, data) : onnx_emit_const(o, n, 4, full, data);
	if (r >= 0)
		*ret_s8 = onnx_quantised_weights(o, n, 1, 0, r);
	return r < 0 || *ret_s8 >= 0 ? r : *ret_s8;
}

static int conv_bias(struct onnx *o, const onnx_node *n, int64_t m, bool s8, uint32_t *ret)
{
	const struct onnx_value *v = onnx_in(o, n, 2);
	float *data;
	int b;

	*ret = NE_NONE;
	if (!v)
		return 0;
	if (v->constant->n != (size_t)m || v->constant->rank != 1)
		return onnx_fail(o, n, EINVAL, "the bias has %zu values for %lld channels",
				 v->constant->n, (long long)m);
	if (v->constant->dtype != NE_F32)
		return onnx_fail(o, n, EOPNOTSUPP, "a bias of type %s",
				 ne_dtype_name(v->constant->dtype));
	data = ne_alloc_aligned((size_t)m * sizeof(*data));
	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	memcpy(data, v->constant->data, (size_t)m * sizeof(*data));
	b = onnx_emit_const(o, n, 1, &m, data); /* one of its own: it may become s32 */
	if (b < 0)
		return b;
	*ret = (uint32_t)b;
	return s8 ? onnx_quantised_bias(o, n, 2, b) : 0;
}

/* Dimensions of the weights, constant or computed, with their rank in @ret[5]. */
static int weights_shape(struct onnx *o, const onnx_node *n, int64_t *ret)
{
	const struct onnx_value *v = onnx_in(o, n, 1);
	uint32_t rank;

	if (!v)
		return onnx_fail(o, n, EINVAL, "input 1 is missing");
	rank = v->constant ? v->constant->rank : onnx_shape_of(o, (int)v->tensor)->rank;
	for (uint32_t i = 0; i < NE_MIN(rank, 5u); i++)
		ret[i] = v->constant ? v->constant->dim[i]
				     : onnx_shape_of(o, (int)v->tensor)->dim[i];
	ret[5] = rank;
	return 0;
}

int onnx_conv(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *w = onnx_in_const(o, n, 1);
	int64_t group = onnx_attr_int(n, "group", 1), dim[6], c;
	struct ne_attr attr = {.groups = 1};
	struct onnx_axes axes;
	uint32_t in[3];
	bool depthwise;
	int x = onnx_in_tensor(o, n, 0), r, s8 = 0;

	if (x < 0)
		return x;
	NE_RETURN_IF(weights_shape(o, n, dim));
	if (dim[5] != (int64_t)onnx_shape_of(o, x)->rank || dim[5] < 3)
		return onnx_fail(o, n, EINVAL, "weights of rank %lld for an input of rank %u",
				 (long long)dim[5], onnx_shape_of(o, x)->rank);
	c = onnx_shape_of(o, x)->dim[1];
	if (group < 1 || group > c || c % group || dim[1] != c / group || dim[0] % group)
		return onnx_fail(o, n, EINVAL,
				 "%lld groups of %lld channels do not fit weights [%lld,%lld,..]",
				 (long long)group, (long long)c, (long long)dim[0],
				 (long long)dim[1]);
	NE_RETURN_IF(onnx_read_axes(o, n, x, dim + 2, &axes));
	if (!w || !is_native(o, x, &axes) || (onnx_in(o, n, 2) && !onnx_in_const(o, n, 2))) {
		r = onnx_in_tensor(o, n, 1);
		return r < 0 ? r
			     : onnx_out_tensor(o, n, onnx_general_conv(o, n, x, r, &axes, group));
	}
	if (w->dtype != NE_F32 || w->n == 0)
		return onnx_fail(o, n, EOPNOTSUPP, "the weights must be floats");
	attr.window = to_window(&axes);
	depthwise = group == c && w->dim[0] == c;
	attr.groups = depthwise ? 1 : (int32_t)group;
	x = onnx_emit_channels_last(o, n, x);
	if (x < 0)
		return x;
	in[0] = (uint32_t)x;
	r = conv_weights(o, n, w, &attr.window, depthwise, &s8);
	if (r < 0)
		return r;
	in[1] = (uint32_t)r;
	NE_RETURN_IF(conv_bias(o, n, w->dim[0], s8, &in[2]));
	r = onnx_emit(o, n, depthwise ? NE_OP_DWCONV : NE_OP_CONV, &attr, in[2] == NE_NONE ? 2 : 3,
		      in);
	return onnx_out_tensor(o, n, onnx_emit_channels_first(o, n, r));
}

/* ---- pooling ---- */

static int native_pool(struct onnx *o, const onnx_node *n, enum ne_op op, int x,
		       const struct onnx_axes *a)
{
	struct ne_attr attr = {.groups = 1, .window = to_window(a)};

	attr.count_include_pad = onnx_attr_int(n, "count_include_pad", 0) != 0;
	x = onnx_emit_channels_last(o, n, x);
	if (x < 0)
		return x;
	x = onnx_emit(o, n, op, &attr, 1, &(uint32_t){(uint32_t)x});
	return onnx_emit_channels_first(o, n, x);
}

int onnx_max_pool(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0), y;
	struct onnx_axes a;

	if (x < 0)
		return x;
	NE_RETURN_IF(onnx_read_axes(o, n, x, NULL, &a));
	if (is_native(o, x, &a))
		y = native_pool(o, n, NE_OP_MAXPOOL, x, &a);
	else
		y = onnx_general_max_pool(o, n, x, &a);
	NE_RETURN_IF(onnx_out_tensor(o, n, y));
	if (!onnx_has_output(n, 1))
		return 0;
	return onnx_out_tensor_at(o, n, 1, onnx_max_pool_places(o, n, x, &a));
}

int onnx_average_pool(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0);
	struct onnx_axes a;

	if (x < 0)
		return x;
	NE_RETURN_IF(onnx_read_axes(o, n, x, NULL, &a));
	/* the engine counts all padding or none, not what rounding up added */
	if (is_native(o, x, &a) && !(a.grew && onnx_attr_int(n, "count_include_pad", 0)))
		return onnx_out_tensor(o, n, native_pool(o, n, NE_OP_AVGPOOL, x, &a));
	return onnx_out_tensor(o, n, onnx_general_average_pool(o, n, x, &a));
}

int onnx_global_max_pool(struct onnx *o, const onnx_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int x = onnx_in_tensor(o, n, 0);
	const struct ne_shape *s;

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	if (s->rank < 3)
		return onnx_fail(o, n, EINVAL, "input of rank %u", s->rank);
	if (s->rank > 4 || s->dim[0] != 1 || o->g->tensor[x].dtype != NE_F32)
		return onnx_out_tensor(
			o, n, onnx_emit_reduce(o, n, NE_REDUCE_MAX, x, (1u << s->rank) - 4));
	attr.window = (struct ne_window){
		.kh = s->rank == 4 ? s->dim[2] : 1,
		.kw = s->dim[s->rank - 1],
		.sh = 1,
		.sw = 1,
		.dh = 1,
		.dw = 1,
	};
	x = onnx_emit_channels_last(o, n, x);
	if (x < 0)
		return x;
	x = onnx_emit(o, n, NE_OP_MAXPOOL, &attr, 1, &(uint32_t){(uint32_t)x});
	return onnx_out_tensor(o, n, onnx_emit_channels_first(o, n, x));
}

/* Mean over all but the batch and the last axis of @x, as [1, C] or, kept, with axes of length 1
 * where @channels says the channels stand in the result. */
static int global_mean(struct onnx *o, const onnx_node *n, int x, uint32_t rank, uint32_t channels,
		       bool keep)
{
	const struct ne_shape *s;
	int64_t dim[NE_MAX_RANK], image[4];

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	if (s->rank == 3) {
		image[0] = s->dim[0];
		image[1] = 1;
		image[2] = s->dim[1];
		image[3] = s->dim[2];
		x = onnx_emit_reshape(o, n, x, 4, image);
	}
	x = onnx_emit_unary(o, n, NE_OP_GLOBALPOOL, x);
	if (x < 0 || !keep)
		return x;
	s = onnx_shape_of(o, x);
	for (uint32_t i = 0; i < rank; i++)
		dim[i] = 1;
	dim[0] = s->dim[0];
	dim[channels] = s->dim[s->rank - 1];
	return onnx_emit_reshape(o, n, x, rank, dim);
}

int onnx_global_average_pool(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0);
	uint32_t rank;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	if (rank < 3)
		return onnx_fail(o, n, EINVAL, "input of rank %u", rank);
	if (rank > 4 || onnx_shape_of(o, x)->dim[0] != 1 || o->g->tensor[x].dtype != NE_F32)
		return onnx_out_tensor(o, n,
				       onnx_emit_reduce(o, n, NE_REDUCE_MEAN, x, (1u << rank) - 4));
	x = onnx_emit_channels_last(o, n, x);
	return onnx_out_tensor(o, n, global_mean(o, n, x, rank, 1, true));
}

/* The mean over the image has an operator of its own. */
int onnx_reduce_mean(struct onnx *o, const onnx_node *n)
{
	bool keep = onnx_attr_int(n, "keepdims", 1) != 0;
	int x = onnx_in_tensor(o, n, 0), count;
	int64_t axes[NE_MAX_RANK];
	unsigned mask = 0, first, last;
	uint32_t rank;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	if (onnx_shape_of(o, x)->dim[0] != 1 || o->g->tensor[x].dtype != NE_F32 ||
	    (onnx_in(o, n, 1) && !onnx_in_const(o, n, 1)))
		return onnx_reduce(o, n);
	count = onnx_ints(o, n, "axes", 1, axes, NE_MAX_RANK);
	if (count < 0)
		return count;
	for (int i = 0; i < count; i++) {
		int a = onnx_axis(o, n, axes[i], rank);

		if (a < 0)
			return a;
		mask |= 1u << a;
	}
	/* Spatial axes of NC.. (all from 2 on), or of N..C (all between). */
	first = rank == 3 ? 4u : 12u;
	last = rank == 3 ? 2u : 6u;
	if ((rank != 3 && rank != 4) || (mask != first && mask != last))
		return onnx_reduce(o, n);
	if (mask == first)
		x = global_mean(o, n, onnx_emit_channels_last(o, n, x), rank, 1, keep);
	else
		x = global_mean(o, n, x, rank, rank - 1, keep);
	return onnx_out_tensor(o, n, x);
}
