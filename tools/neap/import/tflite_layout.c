/* SPDX-License-Identifier: MIT */
/* Values keep, places change: reshapes, concatenation, padding, transposes. */
#include "tools/neap/import/tflite_internal.h"

#include <string.h>

enum { CONCAT_AXIS, CONCAT_ACT };
enum { BLOCK_SIZE };

/* Also of squeeze and expand_dims: the file declares the shape that comes of it. */
int tflite_reshape(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);
	struct ne_shape shape;
	int id = tflite_in_id(t, n, 0);

	if (id < 0)
		return id;
	if (!y || !y->shaped)
		return tflite_fail(t, n, EOPNOTSUPP, "to a shape that the file leaves open");
	shape = tflite_shape(y);
	return tflite_set_out(t, n, 0, tflite_emit_reshape(t, n, id, &shape));
}

int tflite_concatenation(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	const struct tflite_tensor *y;
	uint32_t in[NE_MAX_IO];
	struct ne_quant q = {0};
	bool real = false;
	int axis, id;

	if (!n->in.n || n->in.n > NE_MAX_IO)
		return tflite_fail(t, n, E2BIG, "%u inputs; 1 to %u are supported", n->in.n,
				   NE_MAX_IO);
	for (uint32_t i = 0; i < n->in.n; i++) {
		id = tflite_in_id(t, n, i);
		if (id < 0)
			return id;
		in[i] = (uint32_t)id;
		real |= tflite_real(t, id);
	}
	for (uint32_t i = 0; real && i < n->in.n; i++) {
		id = tflite_emit_real(t, n, (int)in[i]);
		if (id < 0)
			return id;
		in[i] = (uint32_t)id;
	}
	axis = tflite_axis(t, n, fb_s32(&n->opt, CONCAT_AXIS, 0),
			   tflite_shape_of(t, (int)in[0])->rank);
	if (axis < 0)
		return axis;
	attr.axis = axis;
	y = tflite_out(t, n, 0);
	if (y && !real)
		q = tflite_quant(y);
	id = tflite_emit(t, n, NE_OP_CONCAT, &attr, n->in.n, in, q);
	return tflite_set_out(t, n, 0, tflite_activate(t, n, id, fb_s8(&n->opt, CONCAT_ACT, 0)));
}

/* The value that PADV2 pads with: a constant of one value, real or quantised. */
static int pad_value(struct tflite *t, const struct tflite_node *n, float *ret)
{
	const struct tflite_tensor *v = tflite_in(t, n, 2);
	float *real;

	*ret = 0;
	if (!v)
		return 0;
	if (!v->data || tflite_elements(v) != 1)
		return tflite_fail(t, n, EOPNOTSUPP, "the value must be one constant");
	NE_RETURN_IF(tflite_reals(t, n, v, &real));
	*ret = *real;
	return tflite_const_drop(t, real, sizeof(*real));
}

/* Paddings are [rank,2]: before and after each axis. */
int tflite_pad(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int64_t v[2 * NE_MAX_RANK];
	int id = tflite_in_id(t, n, 0), count = tflite_in_ints(t, n, 1, v, 2 * NE_MAX_RANK);
	uint32_t rank, in = (uint32_t)id;

	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	rank = tflite_shape_of(t, id)->rank;
	if ((uint32_t)count != 2 * rank)
		return tflite_fail(t, n, EINVAL, "%d paddings for a tensor of rank %u", count,
				   rank);
	for (uint32_t i = 0; i < 2 * rank; i++) {
		if (v[i] < 0 || v[i] > NE_MAX_DIM)
			return tflite_fail(t, n, EINVAL, "padding %lld", (long long)v[i]);
		attr.pad[i % 2 * rank + i / 2] = (int32_t)v[i];
	}
	NE_RETURN_IF(pad_value(t, n, &attr.value));
	return tflite_set_out_act(t, n, NE_OP_PAD, &attr, 1, &in, TFLITE_ACT_NONE);
}

int tflite_transpose(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int64_t v[NE_MAX_RANK];
	int id = tflite_in_id(t, n, 0), count = tflite_in_ints(t, n, 1, v, NE_MAX_RANK);
	uint32_t in = (uint32_t)id;

	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	if ((uint32_t)count != tflite_shape_of(t, id)->rank)
		return tflite_fail(t, n, EINVAL, "a permutation of %d axes for a tensor of rank %u",
				   count, tflite_shape_of(t, id)->rank);
	for (int i = 0; i < count; i++) {
		int axis = tflite_axis(t, n, v[i], (uint32_t)count);

		if (axis < 0)
			return axis;
		attr.perm[i] = axis;
	}
	return tflite_set_out_act(t, n, NE_OP_TRANSPOSE, &attr, 1, &in, TFLITE_ACT_NONE);
}

/* Blocks of pixels to channels and back: [1,H,W,C] seen as [1,H/b,b,W/b,b,C] with axes changed. */
static int move_blocks(struct tflite *t, const struct tflite_node *n, bool to_space)
{
	static const int32_t perm[6] = {0, 1, 3, 2, 4, 5};
	struct ne_attr attr = {.groups = 1};
	int32_t b = fb_s32(&n->opt, BLOCK_SIZE, 0);
	struct ne_shape x, split, y;
	int id = tflite_in_id(t, n, 0);
	uint32_t in;

	if (id < 0)
		return id;
	x = *tflite_shape_of(t, id);
	if (x.rank != 4 || b < 1 || b > 4096 ||
	    (to_space ? x.dim[3] % (b * b) != 0 : x.dim[1] % b || x.dim[2] % b))
		return tflite_fail(t, n, EINVAL, "blocks of %d do not fit the input", b);
	if (to_space) {
		split = (struct ne_shape){6,
					  {x.dim[0], x.dim[1], x.dim[2], b, b, x.dim[3] / (b * b)}};
		y = (struct ne_shape){4,
				      {x.dim[0], x.dim[1] * b, x.dim[2] * b, x.dim[3] / (b * b)}};
	} else {
		split = (struct ne_shape){6,
					  {x.dim[0], x.dim[1] / b, b, x.dim[2] / b, b, x.dim[3]}};
		y = (struct ne_shape){4, {x.dim[0], x.dim[1] / b, x.dim[2] / b, x.dim[3] * b * b}};
	}
	id = tflite_emit_reshape(t, n, id, &split);
	if (id < 0)
		return id;
	in = (uint32_t)id;
	memcpy(attr.perm, perm, sizeof(perm));
	id = tflite_emit(t, n, NE_OP_TRANSPOSE, &attr, 1, &in, t->g->tensor[id].quant);
	return tflite_set_out(t, n, 0, tflite_emit_reshape(t, n, id, &y));
}

int tflite_depth_to_space(struct tflite *t, const struct tflite_node *n)
{
	return move_blocks(t, n, true);
}

int tflite_space_to_depth(struct tflite *t, const struct tflite_node *n)
{
	return move_blocks(t, n, false);
}
