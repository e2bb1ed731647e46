/* SPDX-License-Identifier: MIT */
/* Chains of constants, computed on the host: what exporters write to work out shapes. */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>
#include <string.h>

static double arithmetic(const char *op, double a, double b, bool integer)
{
	switch (op[0]) {
	case 'A':
		return a + b;
	case 'S':
		return a - b;
	case 'M':
		return a * b;
	default:
		if (integer)
			return b < 0 || b > 0 ? trunc(a / b) : 0;
		return a / b;
	}
}

/* Index in @c, right-aligned and broadcast, of the element at @at of @out. */
static size_t index_of(const struct onnx_const *c, const struct onnx_const *out, const int64_t *at)
{
	size_t i = 0;

	for (uint32_t k = 0; k < c->rank; k++)
		i = i * (size_t)c->dim[k] +
		    (size_t)(c->dim[k] == 1 ? 0 : at[out->rank - c->rank + k]);
	return i;
}

static int broadcast_shape(const struct onnx_const *a, const struct onnx_const *b, uint32_t *rank,
			   int64_t *dim)
{
	*rank = NE_MAX(a->rank, b->rank);
	for (uint32_t i = 0; i < *rank; i++) {
		int64_t u = i + a->rank < *rank ? 1 : a->dim[i + a->rank - *rank];
		int64_t v = i + b->rank < *rank ? 1 : b->dim[i + b->rank - *rank];

		if (u != v && u != 1 && v != 1)
			return -EINVAL;
		dim[i] = u == 1 ? v : u;
	}
	return 0;
}

int onnx_fold_arithmetic(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *a = onnx_in_const(o, n, 0), *b = onnx_in_const(o, n, 1);
	int64_t dim[NE_MAX_RANK], at[NE_MAX_RANK] = {0};
	struct onnx_const *y;
	uint32_t rank;

	if (!a || !b || a->dtype != b->dtype)
		return onnx_fail(o, n, EINVAL, "it needs two constants of one type");
	if (broadcast_shape(a, b, &rank, dim) < 0)
		return onnx_fail(o, n, EINVAL, "the shapes of its inputs do not agree");
	y = onnx_const_new(a->dtype, rank, dim);
	for (size_t i = 0; y && i < y->n; i++) {
		onnx_const_set(y, i,
			       arithmetic(n->op_type, onnx_const_real(a, index_of(a, y, at)),
					  onnx_const_real(b, index_of(b, y, at)),
					  a->dtype != NE_F32));
		for (uint32_t k = rank; k-- > 0;) {
			if (++at[k] < dim[k])
				break;
			at[k] = 0;
		}
	}
	return onnx_out_const(o, n, y);
}

int onnx_fold_cast(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *x = onnx_in_const(o, n, 0);
	struct onnx_const *y;
	enum ne_dtype to;

	switch (onnx_attr_int(n, "to", 0)) {
	case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
	case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
		to = NE_F32;
		break;
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
		to = NE_S64;
		break;
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
		to = NE_S32;
		break;
	case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
		to = NE_BOOL;
		break;
	default:
		return onnx_fail(o, n, EOPNOTSUPP, "to ONNX type %lld",
				 (long long)onnx_attr_int(n, "to", 0));
	}
	y = onnx_const_new(to, x->rank, x->dim);
	for (size_t i = 0; y && i < x->n; i++)
		onnx_const_set(y, i, onnx_const_real(x, i));
	return onnx_out_const(o, n, y);
}

/* [outer, axis, inner] of a constant around an axis. */
struct split {
	size_t outer, axis, inner;
};

static struct split split_at(const struct onnx_const *c, uint32_t axis)
{
	struct split s = {.outer = 1, .axis = (size_t)c->dim[axis], .inner = 1};

	for (uint32_t i = 0; i < axis; i++)
		s.outer *= (size_t)c->dim[i];
	for (uint32_t i = axis + 1; i < c->rank; i++)
		s.inner *= (size_t)c->dim[i];
	return s;
}

int onnx_fold_concat(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *first = onnx_in_const(o, n, 0);
	int axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 0), first ? first->rank : 0);
	int64_t dim[NE_MAX_RANK], sum = 0;
	struct onnx_const *y;
	size_t size, at = 0;

	if (axis < 0)
		return axis;
	for (size_t i = 0; i < n->n_input; i++) {
		const struct onnx_const *c = onnx_in_const(o, n, i);

		if (!c || c->dtype != first->dtype || c->rank != first->rank)
			return onnx_fail(o, n, EINVAL, "input %zu differs in type or rank", i);
		for (uint32_t k = 0; k < c->rank; k++)
			if ((int)k != axis && c->dim[k] != first->dim[k])
				return onnx_fail(o, n, EINVAL, "input %zu differs in shape", i);
		sum += c->dim[axis];
	}
	memcpy(dim, first->dim, sizeof(dim));
	dim[axis] = sum;
	y = onnx_const_new(first->dtype, first->rank, dim);
	size = ne_dtype_size(first->dtype);
	for (size_t i = 0; y && i < n->n_input; i++) {
		const struct onnx_const *c = onnx_in_const(o, n, i);
		struct split s = split_at(c, (uint32_t)axis);
		size_t run = s.axis * s.inner * size, step = (size_t)sum * s.inner * size;

		for (size_t k = 0; k < s.outer && run; k++)
			memcpy((char *)y->data + k * step + at, (const char *)c->data + k * run,
			       run);
		at += run;
	}
	return onnx_out_const(o, n, y);
}

int onnx_fold_gather(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *x = onnx_in_const(o, n, 0), *index = onnx_in_const(o, n, 1);
	int axis = onnx_axis(o, n, onnx_attr_int(n, "axis", 0), x ? x->rank : 0);
	int64_t dim[2 * NE_MAX_RANK];
	struct onnx_const *y;
	struct split s;
	uint32_t rank = 0;
	size_t run;

	if (axis < 0)
		return axis;
	if (!index || x->rank - 1 + index->rank > NE_MAX_RANK)
		return onnx_fail(o, n, EINVAL, "it needs constant indices of a low rank");
	s = split_at(x, (uint32_t)axis);
	for (int i = 0; i < axis; i++)
		dim[rank++] = x->dim[i];
	for (uint32_t i = 0; i < index->rank; i++)
		dim[rank++] = index->dim[i];
	for (uint32_t i = (uint32_t)axis + 1; i < x->rank; i++)
		dim[rank++] = x->dim[i];
	y = onnx_const_new(x->dtype, rank, dim);
	run = s.inner * ne_dtype_size(x->dtype);
	for (size_t k = 0; y && k < s.outer; k++) {
		for (size_t i = 0; i < index->n; i++) {
			int64_t at = onnx_const_int(index, i);

			if (at < 0)
				at += (int64_t)s.axis;
			if (at < 0 || at >= (int64_t)s.axis) {
				onnx_const_free(y);
				return onnx_fail(o, n, EINVAL, "index %lld is out of range",
						 (long long)onnx_const_int(index, i));
			}
			memcpy((char *)y->data + (k * index->n + i) * run,
			       (const char *)x->data + (k * s.axis + (size_t)at) * run, run);
		}
	}
	return onnx_out_const(o, n, y);
}

/* One axis of a slice: element i of the result is element first + i * step. */
struct cut {
	int64_t first, count, step;
};

static struct cut cut_of(int64_t length, int64_t start, int64_t end, int64_t step)
{
	int64_t least = step > 0 ? 0 : -1, most = step > 0 ? length : length - 1;
	struct cut c = {.step = step};

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

/* Slices one axis after the other. */
int onnx_fold_slice(struct onnx *o, const onnx_node *n)
{
	int64_t start[NE_MAX_RANK], end[NE_MAX_RANK], axes[NE_MAX_RANK], step[NE_MAX_RANK];
	int count = onnx_ints(o, n, "starts", 1, start, NE_MAX_RANK), k;
	const struct onnx_const *x = onnx_in_const(o, n, 0);
	struct onnx_const *y = onnx_const_reshape(x, x->rank, x->dim);

	for (int i = 0; i < (int)NE_MAX_RANK; i++) {
		axes[i] = i;
		step[i] = 1;
	}
	k = onnx_ints(o, n, "ends", 2, end, NE_MAX_RANK);
	if (count < 0 || k != count || onnx_ints(o, n, "axes", 3, axes, NE_MAX_RANK) < 0 ||
	    onnx_ints(o, n, "steps", 4, step, NE_MAX_RANK) < 0) {
		onnx_const_free(y);
		return onnx_fail(o, n, EINVAL, "starts, ends, axes and steps do not agree");
	}
	for (int i = 0; y && i < count; i++) {
		int axis = onnx_axis(o, n, axes[i], y->rank);
		struct onnx_const *next = NULL;
		int64_t dim[NE_MAX_RANK];
		struct split s;
		struct cut c;
		size_t run;

		if (axis < 0 || step[i] == 0 || step[i] == INT64_MIN) {
			onnx_const_free(y);
			return onnx_fail(o, n, EINVAL, "a bad axis or step");
		}
		s = split_at(y, (uint32_t)axis);
		c = cut_of((int64_t)s.axis, start[i], end[i],
			   NE_CLAMP(step[i], -NE_MAX_DIM, NE_MAX_DIM));
		memcpy(dim, y->dim, sizeof(dim));
		dim[axis] = c.count;
		next = onnx_const_new(y->dtype, y->rank, dim);
		run = s.inner * ne_dtype_size(y->dtype);
		for (size_t u = 0; next && u < s.outer; u++)
			for (int64_t v = 0; v < c.count; v++)
				memcpy((char *)next->data + (u * (size_t)c.count + (size_t)v) * run,
				       (char *)y->data +
					       (u * s.axis + (size_t)(c.first + v * c.step)) * run,
				       run);
		onnx_const_free(y);
		y = next;
	}
	return onnx_out_const(o, n, y);
}

int onnx_fold_constant_of_shape(struct onnx *o, const onnx_node *n)
{
	const Onnx__AttributeProto *a = onnx_attr(n, "value");
	const struct onnx_const *shape = onnx_in_const(o, n, 0);
	struct onnx_const *value = NULL, *y = NULL;
	int64_t dim[NE_MAX_RANK];

	if (!shape || shape->n > NE_MAX_RANK)
		return onnx_fail(o, n, EINVAL, "it needs a constant shape");
	for (size_t i = 0; i < shape->n; i++)
		dim[i] = onnx_const_int(shape, i);
	if (a && a->t)
		NE_RETURN_IF(onnx_const_decode(o, a->t, "value", &value));
	if (!value || value->n == 1)
		y = onnx_const_new(value ? value->dtype : NE_F32, (uint32_t)shape->n, dim);
	for (size_t i = 0; y && value && i < y->n; i++)
		onnx_const_set(y, i, onnx_const_real(value, 0));
	onnx_const_free(value);
	return onnx_out_const(o, n, y);
}
