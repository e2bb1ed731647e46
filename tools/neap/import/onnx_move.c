/* SPDX-License-Identifier: MIT */
/* Operators that take some elements of a tensor, or take them several times: slices and picks. */
#include "tools/neap/import/onnx_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- slices ---- */

struct onnx_cut onnx_cut_of(int64_t length, int64_t start, int64_t end, int64_t step)
{
	int64_t least = step > 0 ? 0 : -1, most = step > 0 ? length : length - 1;
	struct onnx_cut c = {.step = step};

	start = NE_CLAMP(start, -length - 1, length + 1);
	end = NE_CLAMP(end, -length - 1, length + 1);
	start += start < 0 ? length : 0;
	end += end < 0 ? length : 0;
	c.first = NE_CLAMP(start, least, most);
	end = NE_CLAMP(end, least, most);
	if (step > 0)
		c.count = end > c.first ? (end - c.first + step - 1) / step : 0;
	else
		c.count = c.first > end ? (c.first - end - step - 1) / -step : 0;
	return c;
}

int onnx_cuts(struct onnx *o, const onnx_node *n, uint32_t rank, const int64_t *dim,
	      struct onnx_cut *ret)
{
	int64_t start[NE_MAX_RANK], end[NE_MAX_RANK], axes[NE_MAX_RANK], step[NE_MAX_RANK];
	int count = onnx_ints(o, n, "starts", 1, start, NE_MAX_RANK), k, a, s;

	for (uint32_t i = 0; i < NE_MAX_RANK; i++) {
		axes[i] = i;
		step[i] = 1;
	}
	if (count < 0)
		return count;
	k = onnx_ints(o, n, "ends", 2, end, NE_MAX_RANK);
	a = k < 0 ? k : onnx_ints(o, n, "axes", 3, axes, NE_MAX_RANK);
	s = a < 0 ? a : onnx_ints(o, n, "steps", 4, step, NE_MAX_RANK);
	if (s < 0)
		return s;
	if (k != count || (a && a != count) || (s && s != count))
		return onnx_fail(o, n, EINVAL, "starts, ends, axes and steps do not agree");
	for (uint32_t i = 0; i < rank; i++)
		ret[i] = (struct onnx_cut){.first = 0, .count = dim[i], .step = 1};
	for (int i = 0; i < count; i++) {
		int axis = onnx_axis(o, n, axes[i], rank);

		if (axis < 0)
			return axis;
		if (step[i] == 0)
			return onnx_fail(o, n, EINVAL, "a step of 0");
		ret[axis] = onnx_cut_of(dim[axis], start[i], end[i],
					NE_CLAMP(step[i], -NE_MAX_DIM, NE_MAX_DIM));
	}
	return 0;
}

static int emit_cuts(struct onnx *o, const onnx_node *n, int x, const struct onnx_cut *cut)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x, rank;
	bool all = true;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	for (uint32_t i = 0; i < rank; i++) {
		if (cut[i].count == 0)
			return onnx_fail(o, n, EOPNOTSUPP,
					 "the result is empty along axis %u: tensors without "
					 "elements are not supported",
					 i);
		all = all && cut[i].count == onnx_shape_of(o, x)->dim[i] && cut[i].step == 1;
		attr.slice.begin[i] = (int32_t)cut[i].first;
		attr.slice.size[i] = (int32_t)cut[i].count;
		attr.slice.step[i] = (int32_t)cut[i].step;
	}
	return all ? x : onnx_emit(o, n, NE_OP_SLICE, &attr, 1, &in);
}

static void whole(const struct ne_shape *s, struct onnx_cut *cut)
{
	for (uint32_t i = 0; i < s->rank; i++)
		cut[i] = (struct onnx_cut){.first = 0, .count = s->dim[i], .step = 1};
}

int onnx_emit_slice(struct onnx *o, const onnx_node *n, int x, uint32_t axis, int64_t first,
		    int64_t count)
{
	struct onnx_cut cut[NE_MAX_RANK];

	if (x < 0)
		return x;
	whole(onnx_shape_of(o, x), cut);
	cut[axis].first = first;
	cut[axis].count = count;
	return emit_cuts(o, n, x, cut);
}

int onnx_slice(struct onnx *o, const onnx_node *n)
{
	struct onnx_cut cut[NE_MAX_RANK];
	int x = onnx_in_tensor(o, n, 0);
	int64_t dim[NE_MAX_RANK];

	if (x < 0)
		return x;
	for (uint32_t i = 0; i < onnx_shape_of(o, x)->rank; i++)
		dim[i] = onnx_shape_of(o, x)->dim[i];
	NE_RETURN_IF(onnx_cuts(o, n, onnx_shape_of(o, x)->rank, dim, cut));
	return onnx_out_tensor(o, n, emit_cuts(o, n, x, cut));
}

static int declared_parts(struct onnx *o, const onnx_node *n, uint32_t axis, int64_t *ret)
{
	for (size_t i = 0; i < n->n_output; i++) {
		struct ne_shape y;

		if (!onnx_declared(o, n, i, &y) || y.rank <= axis)
			return onnx_fail(o, n, EOPNOTSUPP, "'split' must be a constant");
		ret[i] = y.dim[axis];
	}
	return 0;
}

/* Lengths of the parts of axis @axis of @length. */
static int split_parts(struct onnx *o, const onnx_node *n, uint32_t axis, int64_t length,
		       int64_t *ret)
{
	int64_t parts = (int64_t)n->n_output, each, sum = 0;
	int count = 0;

	if (onnx_in(o, n, 1) && !onnx_in_const(o, n, 1))
		NE_RETURN_IF(declared_parts(o, n, axis, ret));
	else
		count = onnx_ints(o, n, "split", 1, ret, NE_MAX_IO);
	if (count < 0)
		return count;
	if (count && count != parts)
		return onnx_fail(o, n, EINVAL, "%d lengths for %lld outputs", count,
				 (long long)parts);
	if (count == 0 &&
	    !(onnx_in(o, n, 1) &&
	      !onnx_in_const(o, n, 1))) { /* equal parts, the last as much as is left */
		each = (length + parts - 1) / parts;
		for (int64_t i = 0; i < parts; i++)
			ret[i] = NE_CLAMP(length - i * each, 0, each);
	}
	for (int64_t i = 0; i < parts; i++) {
		if (ret[i] < 0 || ret[i] > length)
			return onnx_fail(o, n, EINVAL, "a part of length %lld", (long long)ret[i]);
		sum += ret[i];
	}
	if (sum != length)
		return onnx_fail(o, n, EINVAL, "parts of %lld in all for an axis of %lld",
				 (long long)sum, (long long)length);
	return 0;
}

int onnx_split(struct onnx *o, const onnx_node *n)
{
	int64_t part[NE_MAX_IO], at = 0, length;
	int x = onnx_in_tensor(o, n, 0), axis;

	if (x < 0)
		return x;
	if (n->n_output < 1 || n->n_output > NE_MAX_IO)
		return onnx_fail(o, n, EINVAL, "%zu outputs", n->n_output);
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 0), onnx_shape_of(o, x)->rank);
	if (axis < 0)
		return axis;
	length = onnx_shape_of(o, x)->dim[axis];
	NE_RETURN_IF(split_parts(o, n, (uint32_t)axis, length, part));
	for (size_t i = 0; i < n->n_output; at += part[i++]) {
		if (!onnx_has_output(n, i))
			continue;
		NE_RETURN_IF(onnx_out_tensor_at(
			o, n, i, onnx_emit_slice(o, n, x, (uint32_t)axis, at, part[i])));
	}
	return 0;
}

/* ---- picks ---- */

int onnx_emit_pick(struct onnx *o, const onnx_node *n, int x, struct onnx_pick *p)
{
	struct ne_attr attr = {.groups = 1, .value = p->value};
	uint32_t in[1 + NE_MAX_RANK], rank, used = 0;
	int r = 0;

	if (x >= 0) {
		rank = onnx_shape_of(o, x)->rank;
		in[0] = (uint32_t)x;
		for (uint32_t i = 0; i < rank && r == 0; i++) {
			struct ne_shape s = {.rank = 1, .dim = {(int32_t)p->count[i]}};
			int id;

			in[1 + i] = NE_NONE;
			if (!p->at[i])
				continue;
			id = ne_graph_add_const(o->g, n->op_type, NE_S32, &s, p->at[i]);
			p->at[i] = NULL;
			if (id < 0)
				r = onnx_fail(o, n, -id, "positions of %lld places along axis %u",
					      (long long)p->count[i], i);
			in[1 + i] = (uint32_t)id;
			used = i + 1;
		}
		if (r == 0)
			r = used ? onnx_emit(o, n, NE_OP_PICK, &attr, 1 + used, in) : x;
	}
	for (uint32_t i = 0; i < NE_MAX_RANK; i++)
		free(p->at[i]);
	return x < 0 ? x : r;
}

int32_t *onnx_pick_axis(struct onnx_pick *p, uint32_t axis, int64_t count)
{
	if (count < 1 || count > NE_MAX_DIM || axis >= NE_MAX_RANK)
		return NULL;
	free(p->at[axis]);
	p->at[axis] = ne_alloc_aligned((size_t)count * sizeof(int32_t));
	p->count[axis] = count;
	return p->at[axis];
}

void onnx_pick_done(struct onnx_pick *p)
{
	for (uint32_t i = 0; i < NE_MAX_RANK; i++)
		free(p->at[i]);
}

/* @x with leading axes of length 1 up to @rank. */
static int widen(struct onnx *o, const onnx_node *n, int x, uint32_t rank)
{
	int64_t dim[NE_MAX_RANK];
	const struct ne_shape *s;

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	if (rank <= s->rank || rank > NE_MAX_RANK)
		return x;
	for (uint32_t i = 0; i < rank; i++)
		dim[i] = i < rank - s->rank ? 1 : s->dim[i - (rank - s->rank)];
	return onnx_emit_reshape(o, n, x, rank, dim);
}

/* Each axis of @x repeated to @dim [its rank], element i from i modulo its length. */
int onnx_emit_repeat(struct onnx *o, const onnx_node *n, int x, const int64_t *dim)
{
	struct onnx_pick p = {.value = 0};
	const struct ne_shape *s;

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	for (uint32_t i = 0; i < s->rank; i++) {
		int32_t *at;

		if (dim[i] == s->dim[i])
			continue;
		at = onnx_pick_axis(&p, i, dim[i]);
		if (!at) {
			onnx_pick_done(&p);
			return onnx_fail(o, n, dim[i] ? ENOMEM : EOPNOTSUPP,
					 "axis %u would have %lld places", i, (long long)dim[i]);
		}
		for (int32_t k = 0; k < dim[i]; k++)
			at[k] = k % s->dim[i];
	}
	return onnx_emit_pick(o, n, x, &p);
}

/* Constant input 1, or the shape that the output is declared with. */
static int lengths(struct onnx *o, const onnx_node *n, const char *what, int64_t *ret)
{
	struct ne_shape y;

	if (!onnx_in(o, n, 1) || onnx_in_const(o, n, 1))
		return onnx_ints(o, n, what, 1, ret, NE_MAX_RANK);
	if (!onnx_declared(o, n, 0, &y))
		return onnx_fail(o, n, EOPNOTSUPP, "'%s' must be a constant", what);
	for (uint32_t i = 0; i < y.rank; i++)
		ret[i] = y.dim[i];
	return (int)y.rank;
}

int onnx_expand(struct onnx *o, const onnx_node *n)
{
	int64_t want[NE_MAX_RANK], dim[NE_MAX_RANK];
	int count = lengths(o, n, "shape", want), x = onnx_in_tensor(o, n, 0);
	const struct ne_shape *s;

	if (count < 0 || x < 0)
		return count < 0 ? count : x;
	x = widen(o, n, x, (uint32_t)count);
	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	for (uint32_t i = 0; i < s->rank; i++) {
		int64_t w = i + (uint32_t)count < s->rank ? 1 : want[i + (uint32_t)count - s->rank];

		if (w != 1 && s->dim[i] != 1 && w != s->dim[i])
			return onnx_fail(o, n, EINVAL, "axis %u of length %d cannot become %lld", i,
					 s->dim[i], (long long)w);
		dim[i] = w == 1 ? s->dim[i] : w;
	}
	return onnx_out_tensor(o, n, onnx_emit_repeat(o, n, x, dim));
}

int onnx_tile(struct onnx *o, const onnx_node *n)
{
	int64_t times[NE_MAX_RANK], dim[NE_MAX_RANK];
	int count = lengths(o, n, "repeats", times), x = onnx_in_tensor(o, n, 0);
	bool declared = onnx_in(o, n, 1) && !onnx_in_const(o, n, 1);
	const struct ne_shape *s;

	if (count < 0 || x < 0)
		return count < 0 ? count : x;
	s = onnx_shape_of(o, x);
	if ((uint32_t)count != s->rank)
		return onnx_fail(o, n, EINVAL, "%d repeats for rank %u", count, s->rank);
	for (uint32_t i = 0; i < s->rank; i++) {
		if (declared) {
			if (times[i] % s->dim[i])
				return onnx_fail(o, n, EINVAL,
						 "no repeats give the shape that its output "
						 "declares");
			times[i] /= s->dim[i];
		}
		if (times[i] < 0 || times[i] > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "axis %u repeated %lld times", i,
					 (long long)times[i]);
		dim[i] = s->dim[i] * times[i];
	}
	return onnx_out_tensor(o, n, onnx_emit_repeat(o, n, x, dim));
}

/* ---- gather ---- */

/* Constant indices: a pick along the axis, then the indices' own axes. */
static int gather_const(struct onnx *o, const onnx_node *n, int x, uint32_t axis,
			const struct onnx_const *index)
{
	int64_t dim[2 * NE_MAX_RANK], length = onnx_shape_of(o, x)->dim[axis];
	struct onnx_pick p = {.value = 0};
	struct ne_shape s = *onnx_shape_of(o, x);
	uint32_t rank = 0;
	int32_t *at = onnx_pick_axis(&p, axis, (int64_t)index->n);

	if (!at)
		return onnx_fail(o, n, index->n ? ENOMEM : EOPNOTSUPP, "%zu indices", index->n);
	for (size_t i = 0; i < index->n; i++) {
		int64_t v = onnx_const_int(index, i);

		if (v < -length || v >= length) {
			onnx_pick_done(&p);
			return onnx_fail(o, n, EINVAL, "index %lld of an axis of %lld",
					 (long long)v, (long long)length);
		}
		at[i] = (int32_t)(v < 0 ? v + length : v);
	}
	x = onnx_emit_pick(o, n, x, &p);
	for (uint32_t i = 0; i < axis; i++)
		dim[rank++] = s.dim[i];
	for (uint32_t i = 0; i < index->rank; i++)
		dim[rank++] = index->dim[i];
	for (uint32_t i = axis + 1; i < s.rank; i++)
		dim[rank++] = s.dim[i];
	return index->rank == 1 ? x : onnx_emit_reshape(o, n, x, rank, dim);
}

int onnx_gather(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *index = onnx_in_const(o, n, 1);
	int x = onnx_in_tensor(o, n, 0), axis;

	if (x < 0)
		return x;
	axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 0), onnx_shape_of(o, x)->rank);
	if (axis < 0)
		return axis;
	if (!index)
		return onnx_gather_computed(o, n, axis);
	return onnx_out_tensor(o, n, gather_const(o, n, x, (uint32_t)axis, index));
}
