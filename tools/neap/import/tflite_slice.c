/* SPDX-License-Identifier: MIT */
/* Parts of a tensor and parts put together: slices, splits, packing along a new axis. */
#include <stdlib.h>

#include "tools/neap/import/tflite_internal.h"

#include <string.h>

enum {
	STRIDED_BEGIN_MASK,
	STRIDED_END_MASK,
	STRIDED_ELLIPSIS_MASK,
	STRIDED_NEW_AXIS_MASK,
	STRIDED_SHRINK_MASK,
	STRIDED_OFFSET
};
enum { PACK_COUNT, PACK_AXIS };
enum { UNPACK_COUNT, UNPACK_AXIS };

/* All of @x. */
static struct ne_slice whole(const struct ne_shape *x)
{
	struct ne_slice s = {{0}, {0}, {0}};

	for (uint32_t i = 0; i < x->rank; i++) {
		s.size[i] = x->dim[i];
		s.step[i] = 1;
	}
	return s;
}

static int emit_slice(struct tflite *t, const struct tflite_node *n, int x,
		      const struct ne_slice *s)
{
	struct ne_attr attr = {.groups = 1, .slice = *s};
	uint32_t in = (uint32_t)x;

	return tflite_emit_like(t, n, NE_OP_SLICE, &attr, 1, &in);
}

/* The dimensions other than 1, in order. */
static struct ne_shape without_ones(const struct ne_shape *s)
{
	struct ne_shape r = {.rank = 0};

	for (uint32_t i = 0; i < s->rank; i++)
		if (s->dim[i] != 1)
			r.dim[r.rank++] = s->dim[i];
	return r;
}

static bool same_shape(const struct ne_shape *a, const struct ne_shape *b)
{
	return a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof(a->dim[0]));
}

/* The shape declared for output @i where only axes of 1 come and go. */
int tflite_set_reshaped(struct tflite *t, const struct tflite_node *n, uint32_t i, int id)
{
	const struct tflite_tensor *y = tflite_out(t, n, i);
	struct ne_shape shape;

	if (id >= 0 && y && y->shaped) {
		struct ne_shape a, b;

		shape = tflite_shape(y);
		a = without_ones(&shape);
		b = without_ones(tflite_shape_of(t, id));
		if (!same_shape(&shape, tflite_shape_of(t, id)) && same_shape(&a, &b))
			id = tflite_emit_reshape(t, n, id, &shape);
	}
	return tflite_set_out(t, n, i, id);
}

/* ---- strided slices ---- */

/* Python's rules: negative positions count from the end, those outside are cut. */
static int64_t position(int64_t v, int64_t dim, int64_t lo, int64_t hi)
{
	return NE_CLAMP(v < 0 ? v + dim : v, lo, hi);
}

/* One axis: where it begins and how many elements it keeps. */
static int strided_axis(struct tflite *t, const struct tflite_node *n,
			const struct tflite_strided *s, uint32_t i, int64_t dim,
			struct ne_slice *ret)
{
	int64_t step = s->step[i], stride, begin, end, size;
	int64_t lo = step > 0 ? 0 : -1, hi = step > 0 ? dim : dim - 1;

	if (step == 0 || step < -NE_MAX_DIM || step > NE_MAX_DIM)
		return tflite_fail(t, n, EINVAL, "stride %lld along axis %u", (long long)step, i);
	begin = s->begin_mask >> i & 1 ? (step > 0 ? 0 : dim - 1)
				       : position(s->begin[i], dim, lo, hi);
	end = s->end_mask >> i & 1 ? (step > 0 ? dim : -1) : position(s->end[i], dim, lo, hi);
	if (s->shrink_mask >> i & 1) {
		step = 1;
		end = begin + 1;
	}
	stride = llabs(step);
	size = ((step > 0 ? end - begin : begin - end) + stride - 1) / stride;
	if (size < 1 || begin < 0 || begin >= dim)
		return tflite_fail(t, n, EINVAL, "an empty slice along axis %u", i);
	ret->begin[i] = (int32_t)begin;
	ret->size[i] = (int32_t)size;
	ret->step[i] = (int32_t)step;
	return 0;
}

/*
 * The file's lists are about the axes of the result: an ellipsis stands for as many as are missing, a
 * new axis for none. @s gets what is about the tensor's axes; missing ones are taken whole.
 */
static int expand(struct tflite *t, const struct tflite_node *n, const struct tflite_strided *from,
		  int count, uint32_t rank, struct tflite_strided *s)
{
	uint32_t ellipsis = fb_u32(&n->opt, STRIDED_ELLIPSIS_MASK, 0), at = 0;
	uint32_t added = fb_u32(&n->opt, STRIDED_NEW_AXIS_MASK, 0) & ~ellipsis, named = 0;

	if (ellipsis & (ellipsis - 1))
		return tflite_fail(t, n, EINVAL, "two ellipses");
	for (int i = 0; i < count; i++)
		named += !((added | ellipsis) >> i & 1);
	if (named > rank)
		return tflite_fail(t, n, EINVAL, "%u axes named for rank %u", named, rank);
	*s = (struct tflite_strided){.begin_mask = 0};
	for (int i = 0; i < count; i++) {
		uint32_t whole_axes = ellipsis >> i & 1 ? rank - named : 0;

		for (uint32_t k = 0; k < whole_axes; k++, at++) {
			s->begin_mask |= 1u << at;
			s->end_mask |= 1u << at;
			s->step[at] = 1;
		}
		if ((added | ellipsis) >> i & 1)
			continue;
		s->begin[at] = from->begin[i];
		s->end[at] = from->end[i];
		s->step[at] = from->step[i];
		s->begin_mask |= (from->begin_mask >> i & 1) << at;
		s->end_mask |= (from->end_mask >> i & 1) << at;
		s->shrink_mask |= (from->shrink_mask >> i & 1) << at;
		at++;
	}
	for (; at < rank; at++) {
		s->begin_mask |= 1u << at;
		s->end_mask |= 1u << at;
		s->step[at] = 1;
	}
	return 0;
}

int tflite_read_strided(struct tflite *t, const struct tflite_node *n, uint32_t rank,
			const int32_t *dim, struct ne_slice *ret)
{
	struct tflite_strided given, s = {.begin_mask = 0};
	int nb = tflite_in_ints(t, n, 1, given.begin, NE_MAX_RANK);
	int ne = tflite_in_ints(t, n, 2, given.end, NE_MAX_RANK);
	int ns = tflite_in_ints(t, n, 3, given.step, NE_MAX_RANK);

	if (nb < 0 || ne < 0 || ns < 0)
		return nb < 0 ? nb : ne < 0 ? ne : ns;
	if (nb != ne || nb != ns)
		return tflite_fail(t, n, EINVAL, "%d begins, %d ends, %d strides", nb, ne, ns);
	given.begin_mask = fb_u32(&n->opt, STRIDED_BEGIN_MASK, 0);
	given.end_mask = fb_u32(&n->opt, STRIDED_END_MASK, 0);
	given.shrink_mask = fb_u32(&n->opt, STRIDED_SHRINK_MASK, 0);
	if (fb_bool(&n->opt, STRIDED_OFFSET))
		for (int i = 0; i < nb; i++)
			if (__builtin_add_overflow(given.begin[i], given.end[i], &given.end[i]))
				return tflite_fail(t, n, EINVAL, "an end out of range");
	NE_RETURN_IF(expand(t, n, &given, nb, rank, &s));
	for (uint32_t i = 0; i < rank; i++)
		NE_RETURN_IF(strided_axis(t, n, &s, i, dim[i], ret));
	return 0;
}

int tflite_strided_slice(struct tflite *t, const struct tflite_node *n)
{
	const struct ne_shape *x;
	struct ne_slice s = {{0}, {0}, {0}};
	int id = tflite_in_any(t, n, 0);

	if (id < 0)
		return id;
	x = tflite_shape_of(t, id);
	NE_RETURN_IF(tflite_read_strided(t, n, x->rank, x->dim, &s));
	return tflite_set_reshaped(t, n, 0, emit_slice(t, n, id, &s));
}

/* Begins and sizes; -1 = to the end. */
int tflite_slice(struct tflite *t, const struct tflite_node *n)
{
	int64_t begin[NE_MAX_RANK], size[NE_MAX_RANK];
	struct ne_slice s;
	const struct ne_shape *x;
	int id = tflite_in_id(t, n, 0);
	int nb = tflite_in_ints(t, n, 1, begin, NE_MAX_RANK);
	int ns = tflite_in_ints(t, n, 2, size, NE_MAX_RANK);

	if (id < 0 || nb < 0 || ns < 0)
		return id < 0 ? id : nb < 0 ? nb : ns;
	x = tflite_shape_of(t, id);
	if ((uint32_t)nb != x->rank || ns != nb)
		return tflite_fail(t, n, EINVAL, "%d begins, %d sizes for rank %u", nb, ns,
				   x->rank);
	s = whole(x);
	for (uint32_t i = 0; i < x->rank; i++) {
		int64_t rest = begin[i] < 0 || begin[i] >= x->dim[i] ? 0 : x->dim[i] - begin[i];

		if (size[i] == -1)
			size[i] = rest;
		if (size[i] < 1 || size[i] > rest)
			return tflite_fail(t, n, EINVAL, "%lld from %lld along axis %u of %d",
					   (long long)size[i], (long long)begin[i], i, x->dim[i]);
		s.begin[i] = (int32_t)begin[i];
		s.size[i] = (int32_t)size[i];
	}
	return tflite_set_out(t, n, 0, emit_slice(t, n, id, &s));
}

/* ---- splits ---- */

/* Outputs of @size elements each along @axis. */
static int split(struct tflite *t, const struct tflite_node *n, int id, uint32_t axis,
		 const int64_t *size)
{
	const struct ne_shape x = *tflite_shape_of(t, id); /* the tensors move below */
	struct ne_slice s = whole(&x);
	int64_t at = 0;

	for (uint32_t i = 0; i < n->out.n; i++) {
		if (size[i] < 1 || size[i] > x.dim[axis] - at)
			return tflite_fail(t, n, EINVAL, "part %u of %lld does not fit axis %u", i,
					   (long long)size[i], axis);
		s.begin[axis] = (int32_t)at;
		s.size[axis] = (int32_t)size[i];
		at += size[i];
		NE_RETURN_IF(tflite_set_reshaped(t, n, i, emit_slice(t, n, id, &s)));
	}
	return at == x.dim[axis]
		       ? 0
		       : tflite_fail(t, n, EINVAL, "the parts leave some of axis %u", axis);
}

static int check_outputs(struct tflite *t, const struct tflite_node *n)
{
	if (!n->out.n || n->out.n > NE_MAX_IO)
		return tflite_fail(t, n, EOPNOTSUPP, "%u outputs; 1 to %u are supported", n->out.n,
				   NE_MAX_IO);
	return 0;
}

/* The axis stands before the tensor. */
int tflite_split(struct tflite *t, const struct tflite_node *n)
{
	int64_t axis = 0, size[NE_MAX_IO];
	int id = tflite_in_id(t, n, 1), r = tflite_in_ints(t, n, 0, &axis, 1), a;

	if (id < 0 || r < 0)
		return id < 0 ? id : r;
	NE_RETURN_IF(check_outputs(t, n));
	a = tflite_axis(t, n, axis, tflite_shape_of(t, id)->rank);
	if (a < 0)
		return a;
	for (uint32_t i = 0; i < n->out.n; i++)
		size[i] = tflite_shape_of(t, id)->dim[a] / (int32_t)n->out.n;
	return split(t, n, id, (uint32_t)a, size);
}

/* Sizes are a constant; one of them may be -1: what is left. */
int tflite_split_v(struct tflite *t, const struct tflite_node *n)
{
	int64_t axis = 0, size[NE_MAX_IO] = {0}, known = 0;
	int id = tflite_in_id(t, n, 0), r = tflite_in_ints(t, n, 2, &axis, 1), a, count;

	if (id < 0 || r < 0)
		return id < 0 ? id : r;
	NE_RETURN_IF(check_outputs(t, n));
	count = tflite_in_ints(t, n, 1, size, NE_MAX_IO);
	a = tflite_axis(t, n, axis, tflite_shape_of(t, id)->rank);
	if (count < 0 || a < 0)
		return count < 0 ? count : a;
	if ((uint32_t)count != n->out.n)
		return tflite_fail(t, n, EINVAL, "%d sizes for %u outputs", count, n->out.n);
	for (int i = 0; i < count; i++)
		known += size[i] > 0 && size[i] <= NE_MAX_DIM ? size[i] : 0;
	for (int i = 0; i < count; i++)
		if (size[i] == -1)
			size[i] = tflite_shape_of(t, id)->dim[a] - known;
	return split(t, n, id, (uint32_t)a, size);
}

/* ---- along a new axis ---- */

int tflite_pack(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in[NE_MAX_IO], rank;
	struct ne_shape shape;
	int axis;

	if (!n->in.n || n->in.n > NE_MAX_IO)
		return tflite_fail(t, n, E2BIG, "%u inputs; 1 to %u are supported", n->in.n,
				   NE_MAX_IO);
	for (uint32_t i = 0; i < n->in.n; i++) {
		int id = tflite_in_id(t, n, i);

		if (id < 0)
			return id;
		shape = *tflite_shape_of(t, id);
		rank = shape.rank + 1;
		if (rank > NE_MAX_RANK)
			return tflite_fail(t, n, EINVAL, "a result of rank %u", rank);
		axis = tflite_axis(t, n, fb_s32(&n->opt, PACK_AXIS, 0), rank);
		if (axis < 0)
			return axis;
		memmove(shape.dim + axis + 1, shape.dim + axis,
			(shape.rank - (uint32_t)axis) * sizeof(shape.dim[0]));
		shape.dim[axis] = 1;
		shape.rank = rank;
		id = tflite_emit_reshape(t, n, id, &shape);
		if (id < 0)
			return id;
		in[i] = (uint32_t)id;
		attr.axis = axis;
	}
	return tflite_set_out_act(t, n, NE_OP_CONCAT, &attr, n->in.n, in, TFLITE_ACT_NONE);
}

int tflite_unpack(struct tflite *t, const struct tflite_node *n)
{
	int64_t size[NE_MAX_IO];
	int id = tflite_in_id(t, n, 0), axis;

	if (id < 0)
		return id;
	NE_RETURN_IF(check_outputs(t, n));
	axis = tflite_axis(t, n, fb_s32(&n->opt, UNPACK_AXIS, 0), tflite_shape_of(t, id)->rank);
	if (axis < 0)
		return axis;
	for (uint32_t i = 0; i < n->out.n; i++)
		size[i] = 1;
	return split(t, n, id, (uint32_t)axis, size);
}
