/* SPDX-License-Identifier: MIT */
/* Operators that slide a window: convolution and pooling, one or two spatial axes. */
#include "tools/neap/import/onnx_internal.h"

#include <string.h>

/* The window over height and width; one spatial axis is the width. */
struct axes {
	uint32_t spatial; /* 1 or 2 */
	int64_t in[2], k[2], s[2], d[2], before[2], after[2];
};

static int batch_refused(struct onnx *o, const onnx_node *n, const struct ne_shape *s)
{
	return onnx_fail(o, n, EOPNOTSUPP,
			 "a batch of %d; neap runs one image at a time: give the model's input a "
			 "batch of 1 with --shape NAME=1x...",
			 s->dim[0]);
}

static int read_list(struct onnx *o, const onnx_node *n, const char *name, uint32_t spatial,
		     int64_t absent, int64_t least, int64_t *ret)
{
	size_t count = onnx_attr_ints(n, name, ret, 2);

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

static int64_t extent(const struct axes *a, uint32_t i)
{
	return (a->k[i] - 1) * a->d[i] + 1;
}

static int read_pads(struct onnx *o, const onnx_node *n, struct axes *a)
{
	bool upper = onnx_attr_is(n, "auto_pad", "SAME_UPPER");
	bool lower = onnx_attr_is(n, "auto_pad", "SAME_LOWER");
	int64_t pads[4] = {0};
	size_t count;

	if (upper || lower) {
		for (uint32_t i = 0; i < a->spatial; i++) {
			int64_t out = (a->in[i] + a->s[i] - 1) / a->s[i];
			int64_t all = (out - 1) * a->s[i] + extent(a, i) - a->in[i];

			all = NE_MAX(all, 0);
			a->before[i] = upper ? all / 2 : all - all / 2;
			a->after[i] = all - a->before[i];
		}
		return 0;
	}
	if (onnx_attr_is(n, "auto_pad", "VALID"))
		return 0;
	count = onnx_attr_ints(n, "pads", pads, 4);
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

/* @kernel: sizes that the weights give, or NULL: the attribute alone. @x is in NC.. layout. */
static int read_axes(struct onnx *o, const onnx_node *n, int x, const int64_t *kernel,
		     struct axes *a)
{
	const struct ne_shape *s = onnx_shape_of(o, x);

	if (s->rank != 3 && s->rank != 4)
		return onnx_fail(o, n, EOPNOTSUPP,
				 "input of rank %u; one or two spatial axes are supported",
				 s->rank);
	if (s->dim[0] != 1)
		return batch_refused(o, n, s);
	*a = (struct axes){.spatial = s->rank - 2};
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
	return read_pads(o, n, a);
}

/* Rounding up adds the padding that the last position needs; positions that would start in the
 * padding after the input are dropped. */
static bool round_up(struct axes *a)
{
	bool grew = false;

	for (uint32_t i = 0; i < a->spatial; i++) {
		int64_t room = a->in[i] + a->before[i] + a->after[i] - extent(a, i), out, need;

		if (room < 0)
			continue;
		out = (room + a->s[i] - 1) / a->s[i] + 1;
		if ((out - 1) * a->s[i] >= a->in[i] + a->before[i])
			out--;
		need = (out - 1) * a->s[i] + extent(a, i) - a->in[i] - a->before[i];
		if (need > a->after[i]) {
			a->after[i] = need;
			grew = true;
		}
	}
	return grew;
}

static struct ne_window to_window(const struct axes *a)
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
	if (!v->constant)
		return onnx_fail(o, n, EOPNOTSUPP, "the bias must be a constant");
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

int onnx_conv(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *w = onnx_in_const(o, n, 1);
	int64_t group = onnx_attr_int(n, "group", 1), c;
	struct ne_attr attr = {.groups = 1};
	struct axes axes;
	uint32_t in[3];
	bool depthwise;
	int x = onnx_in_tensor(o, n, 0), r, s8 = 0;

	if (x < 0)
		return x;
	if (!w || w->dtype != NE_F32 || w->n == 0)
		return onnx_fail(o, n, EOPNOTSUPP, "the weights must be constant floats");
	if (w->rank != onnx_shape_of(o, x)->rank || w->rank < 3)
		return onnx_fail(o, n, EINVAL, "weights of rank %u for an input of rank %u",
				 w->rank, onnx_shape_of(o, x)->rank);
	c = onnx_shape_of(o, x)->dim[1];
	if (group < 1 || group > c || c % group || w->dim[1] != c / group || w->dim[0] % group)
		return onnx_fail(o, n, EINVAL,
				 "%lld groups of %lld channels do not fit weights [%lld,%lld,..]",
				 (long long)group, (long long)c, (long long)w->dim[0],
				 (long long)w->dim[1]);
	NE_RETURN_IF(read_axes(o, n, x, w->dim + 2, &axes));
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

static int pool(struct onnx *o, const onnx_node *n, enum ne_op op)
{
	struct ne_attr attr = {.groups = 1};
	struct axes axes;
	int x = onnx_in_tensor(o, n, 0);

	if (x < 0)
		return x;
	NE_RETURN_IF(read_axes(o, n, x, NULL, &axes));
	attr.count_include_pad = onnx_attr_int(n, "count_include_pad", 0) != 0;
	if (onnx_attr_int(n, "ceil_mode", 0) && round_up(&axes) && op == NE_OP_AVGPOOL &&
	    attr.count_include_pad)
		return onnx_fail(o, n, EOPNOTSUPP,
				 "ceil_mode together with count_include_pad where they interact");
	attr.window = to_window(&axes);
	x = onnx_emit_channels_last(o, n, x);
	if (x < 0)
		return x;
	x = onnx_emit(o, n, op, &attr, 1, &(uint32_t){(uint32_t)x});
	return onnx_out_tensor(o, n, onnx_emit_channels_first(o, n, x));
}

int onnx_max_pool(struct onnx *o, const onnx_node *n)
{
	if (n->n_output > 1 && n->output[1][0])
		return onnx_fail(o, n, EOPNOTSUPP, "its second output, the indices");
	return pool(o, n, NE_OP_MAXPOOL);
}

int onnx_average_pool(struct onnx *o, const onnx_node *n)
{
	return pool(o, n, NE_OP_AVGPOOL);
}

int onnx_global_max_pool(struct onnx *o, const onnx_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int x = onnx_in_tensor(o, n, 0);
	const struct ne_shape *s;

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	if (s->rank != 3 && s->rank != 4)
		return onnx_fail(o, n, EOPNOTSUPP, "input of rank %u; 3 or 4 are supported",
				 s->rank);
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
	if (s->dim[0] != 1)
		return batch_refused(o, n, s);
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
	if (rank != 3 && rank != 4)
		return onnx_fail(o, n, EOPNOTSUPP, "input of rank %u; 3 or 4 are supported", rank);
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
	if (onnx_shape_of(o, x)->dim[0] != 1 || o->g->tensor[x].dtype != NE_F32)
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
