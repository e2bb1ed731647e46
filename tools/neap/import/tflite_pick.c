/* SPDX-License-Identifier: MIT */
/* Elements by their positions: each axis of the result lists where in the input its elements are. */
#include "tools/neap/import/tflite_internal.h"

#include <math.h>
#include <string.h>

enum { GATHER_AXIS, GATHER_BATCH };
enum { MIRROR_MODE };
enum { RESIZE_ALIGN_CORNERS, RESIZE_HALF_PIXEL };

/* Positions along one axis, a constant of @count values that the caller fills in. */
static int new_axis(struct tflite *t, const struct tflite_node *n, int64_t count, int32_t **ret,
		    uint32_t *ret_id)
{
	struct ne_shape shape = {.rank = 1};
	int32_t *v;
	int id;

	if (count < 1 || count > NE_MAX_DIM)
		return tflite_fail(t, n, EINVAL, "an axis of %lld", (long long)count);
	NE_RETURN_IF(tflite_const_alloc(t, n, (size_t)count * sizeof(*v), &v));
	shape.dim[0] = (int32_t)count;
	id = tflite_emit_const(t, n, NE_S32, &shape, v, (struct ne_quant){0});
	if (id < 0)
		return id;
	*ret = v;
	*ret_id = (uint32_t)id;
	return 0;
}

/* Input 0, and no axis listed yet. */
static int begin(struct tflite *t, const struct tflite_node *n, uint32_t in[1 + NE_MAX_RANK])
{
	int id = tflite_in_any(t, n, 0);

	in[0] = (uint32_t)id;
	for (uint32_t i = 0; i < NE_MAX_RANK; i++)
		in[1 + i] = NE_NONE;
	return id;
}

static int finish(struct tflite *t, const struct tflite_node *n, const uint32_t *in)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t rank = tflite_shape_of(t, (int)in[0])->rank;

	return tflite_set_reshaped(t, n, 0,
				   tflite_emit_like(t, n, NE_OP_PICK, &attr, 1 + rank, in));
}

/* Constant positions along one axis. */
int tflite_gather(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *p = tflite_in(t, n, 1);
	uint32_t in[1 + NE_MAX_RANK];
	int id = begin(t, n, in), axis;
	size_t count;
	int32_t *v;

	if (id < 0)
		return id;
	if (fb_s32(&n->opt, GATHER_BATCH, 0))
		return tflite_fail(t, n, EOPNOTSUPP, "batches of positions");
	axis = tflite_axis(t, n, fb_s32(&n->opt, GATHER_AXIS, 0), tflite_shape_of(t, id)->rank);
	if (axis < 0)
		return axis;
	if (!p || !p->data || p->rank > 1 || (p->type != TFLITE_S32 && p->type != TFLITE_S64))
		return tflite_gather_computed(t, n, axis);
	count = tflite_elements(p);
	for (size_t i = 0; i < count; i++)
		if (tflite_int(p, i) < 0 || tflite_int(p, i) >= tflite_shape_of(t, id)->dim[axis])
			return tflite_fail(t, n, EINVAL, "no position %lld along axis %d",
					   (long long)tflite_int(p, i), axis);
	NE_RETURN_IF(new_axis(t, n, (int64_t)count, &v, &in[1 + axis]));
	for (size_t i = 0; i < count; i++)
		v[i] = (int32_t)tflite_int(p, i);
	return finish(t, n, in);
}

/* As often along each axis as input 1 says. */
int tflite_tile(struct tflite *t, const struct tflite_node *n)
{
	uint32_t in[1 + NE_MAX_RANK];
	int64_t times[NE_MAX_RANK];
	int id = begin(t, n, in), count = tflite_in_ints(t, n, 1, times, NE_MAX_RANK);

	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	if ((uint32_t)count != tflite_shape_of(t, id)->rank)
		return tflite_fail(t, n, EINVAL, "%d multiples for rank %u", count,
				   tflite_shape_of(t, id)->rank);
	for (int a = 0; a < count; a++) {
		int32_t dim = tflite_shape_of(t, id)->dim[a], *v;

		if (times[a] == 1)
			continue;
		if (times[a] < 1 || times[a] > NE_MAX_DIM)
			return tflite_fail(t, n, EINVAL, "%lld times along axis %d",
					   (long long)times[a], a);
		NE_RETURN_IF(new_axis(t, n, dim * times[a], &v, &in[1 + a]));
		for (int64_t i = 0; i < dim * times[a]; i++)
			v[i] = (int32_t)(i % dim);
	}
	return finish(t, n, in);
}

/* To the declared shape: axes of 1 are repeated, missing ones come in front. */
int tflite_broadcast_to(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);
	struct ne_shape shape, x;
	uint32_t in[1 + NE_MAX_RANK];
	int id = begin(t, n, in);

	if (id < 0)
		return id;
	if (!y || !y->shaped || y->rank < tflite_shape_of(t, id)->rank)
		return tflite_fail(t, n, EOPNOTSUPP, "to a shape that the file leaves open");
	x = *tflite_shape_of(t, id);
	shape = (struct ne_shape){.rank = y->rank};
	for (uint32_t i = 0; i < y->rank; i++)
		shape.dim[i] = i < y->rank - x.rank ? 1 : x.dim[i - (y->rank - x.rank)];
	id = tflite_emit_reshape(t, n, id, &shape);
	if (id < 0)
		return id;
	in[0] = (uint32_t)id;
	for (uint32_t i = 0; i < y->rank; i++) {
		int32_t *v;

		if (shape.dim[i] == y->dim[i])
			continue;
		if (shape.dim[i] != 1)
			return tflite_fail(t, n, EINVAL, "axis %u of %d becomes %d", i,
					   shape.dim[i], y->dim[i]);
		NE_RETURN_IF(new_axis(t, n, y->dim[i], &v, &in[1 + i]));
		memset(v, 0, (size_t)y->dim[i] * sizeof(*v));
	}
	return finish(t, n, in);
}

int tflite_reverse_v2(struct tflite *t, const struct tflite_node *n)
{
	uint32_t in[1 + NE_MAX_RANK];
	int64_t axes[NE_MAX_RANK];
	int id = begin(t, n, in), count = tflite_in_ints(t, n, 1, axes, NE_MAX_RANK);

	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	for (int k = 0; k < count; k++) {
		int a = tflite_axis(t, n, axes[k], tflite_shape_of(t, id)->rank);
		int32_t dim, *v;

		if (a < 0)
			return a;
		dim = tflite_shape_of(t, id)->dim[a];
		NE_RETURN_IF(new_axis(t, n, dim, &v, &in[1 + a]));
		for (int32_t i = 0; i < dim; i++)
			v[i] = dim - 1 - i;
	}
	return finish(t, n, in);
}

/* Mode 0 leaves the border out (c b | a b c | b a), mode 1 repeats it (b a | a b c | c b). */
int tflite_mirror_pad(struct tflite *t, const struct tflite_node *n)
{
	int64_t pads[2 * NE_MAX_RANK], border = fb_s8(&n->opt, MIRROR_MODE, 0) == 1;
	uint32_t in[1 + NE_MAX_RANK];
	int id = begin(t, n, in), count = tflite_in_ints(t, n, 1, pads, 2 * NE_MAX_RANK);

	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	if ((uint32_t)count != 2 * tflite_shape_of(t, id)->rank)
		return tflite_fail(t, n, EINVAL, "%d paddings", count);
	for (int a = 0; 2 * a < count; a++) {
		int64_t dim = tflite_shape_of(t, id)->dim[a], before = pads[2 * a];
		int64_t after = pads[2 * a + 1];
		int32_t *v;

		if (before < 0 || after < 0 || before > dim - 1 + border ||
		    after > dim - 1 + border)
			return tflite_fail(t, n, EINVAL, "padding %lld and %lld of an axis of %lld",
					   (long long)before, (long long)after, (long long)dim);
		if (!before && !after)
			continue;
		NE_RETURN_IF(new_axis(t, n, dim + before + after, &v, &in[1 + a]));
		for (int64_t i = -before; i < dim + after; i++)
			*v++ = (int32_t)(i < 0      ? -i - border
					 : i >= dim ? 2 * (dim - 1) - i + border
						    : i);
	}
	return finish(t, n, in);
}

/* Height and width of an image, the nearest pixel. */
int tflite_resize_nearest_neighbor(struct tflite *t, const struct tflite_node *n)
{
	bool corners = fb_bool(&n->opt, RESIZE_ALIGN_CORNERS);
	bool half = fb_bool(&n->opt, RESIZE_HALF_PIXEL);
	uint32_t in[1 + NE_MAX_RANK];
	int64_t size[2] = {0};
	int id = begin(t, n, in), count = tflite_in_ints(t, n, 1, size, 2);

	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	if (count != 2 || tflite_shape_of(t, id)->rank != 4)
		return tflite_fail(t, n, EINVAL, "an image of rank 4 and two sizes are wanted");
	for (int a = 0; a < 2; a++) {
		int32_t dim = tflite_shape_of(t, id)->dim[1 + a], *v;
		float scale;

		NE_RETURN_IF(new_axis(t, n, size[a], &v, &in[2 + a]));
		scale = corners && size[a] > 1 ? (float)(dim - 1) / (float)(size[a] - 1)
					       : (float)dim / (float)size[a];
		for (int64_t i = 0; i < size[a]; i++) {
			float at = ((float)i + (half ? 0.5f : 0.0f)) * scale;

			v[i] = (int32_t)NE_CLAMP(corners ? roundf(at) : floorf(at), 0.0f,
						 (float)(dim - 1));
		}
	}
	return finish(t, n, in);
}

/* Height and width, interpolated; quantised values keep their scale on the way. */
int tflite_resize_bilinear(struct tflite *t, const struct tflite_node *n)
{
	bool corners = fb_bool(&n->opt, RESIZE_ALIGN_CORNERS);
	bool half = fb_bool(&n->opt, RESIZE_HALF_PIXEL);
	struct ne_attr attr = {.groups = 1};
	int64_t size[2] = {0};
	int id = tflite_in_id(t, n, 0), count = tflite_in_ints(t, n, 1, size, 2);
	uint32_t in = (uint32_t)id;

	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	if (count != 2 || tflite_shape_of(t, id)->rank != 4)
		return tflite_fail(t, n, EINVAL, "an image of rank 4 and two sizes are wanted");
	if (corners && half)
		return tflite_fail(t, n, EINVAL, "corners and half pixels at once");
	for (int a = 0; a < 2; a++) {
		if (size[a] < 1 || size[a] > NE_MAX_DIM)
			return tflite_fail(t, n, EINVAL, "a size of %lld", (long long)size[a]);
		attr.slice.size[1 + a] = (int32_t)size[a];
	}
	attr.kind = corners ? NE_RESIZE_CORNERS : half ? NE_RESIZE_HALF_PIXEL : 0;
	return tflite_set_out(t, n, 0, tflite_emit_like(t, n, NE_OP_RESIZE, &attr, 1, &in));
}
