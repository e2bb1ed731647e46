/* SPDX-License-Identifier: MIT */
/* Chains of constants, computed on the host: what exporters write to work out shapes. */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>
#include <string.h>

/* Of an empty list, which no tensor can be, an empty one. */
int onnx_fold_cast(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *x = onnx_in_const(o, n, 0);
	int64_t type = onnx_attr_int(n, "to", 0);
	enum ne_dtype to;

	if (x->n)
		return onnx_eval(o, n);
	if (onnx_dtype(type, &to) < 0)
		return onnx_fail(o, n, EOPNOTSUPP, "to type %s", onnx_type_name(type));
	return onnx_out_const(o, n, onnx_const_new(to, x->rank, x->dim));
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

/* Slices one axis after the other. */
int onnx_fold_slice(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *x = onnx_in_const(o, n, 0);
	struct onnx_cut cut[NE_MAX_RANK];
	struct onnx_const *y;

	NE_RETURN_IF(onnx_cuts(o, n, x->rank, x->dim, cut));
	y = onnx_const_reshape(x, x->rank, x->dim);
	for (uint32_t axis = 0; y && axis < x->rank; axis++) {
		struct split s = split_at(y, axis);
		size_t run = s.inner * ne_dtype_size(y->dtype);
		int64_t dim[NE_MAX_RANK], count = cut[axis].count;
		struct onnx_const *next;

		memcpy(dim, y->dim, sizeof(dim));
		dim[axis] = count;
		next = onnx_const_new(y->dtype, y->rank, dim);
		for (size_t u = 0; next && u < s.outer; u++)
			for (int64_t v = 0; v < count; v++) {
				size_t from = (size_t)(cut[axis].first + v * cut[axis].step);

				memcpy((char *)next->data + (u * (size_t)count + (size_t)v) * run,
				       (char *)y->data + (u * s.axis + from) * run, run);
			}
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

/* start, start + delta, .. below (above, where delta is negative) limit */
int onnx_fold_range(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *c[3];
	struct onnx_const *y;
	double start, limit, delta, count;
	int64_t dim;

	for (uint32_t i = 0; i < 3; i++) {
		c[i] = onnx_in_const(o, n, i);
		if (!c[i] || c[i]->n != 1 || c[i]->dtype != c[0]->dtype)
			return onnx_fail(o, n, EINVAL, "it needs three scalars of one type");
	}
	start = onnx_const_real(c[0], 0);
	limit = onnx_const_real(c[1], 0);
	delta = onnx_const_real(c[2], 0);
	count = ceil((limit - start) / delta);
	if (!(fabs(delta) > 0) || !isfinite(count) || count > NE_MAX_DIM)
		return onnx_fail(o, n, EINVAL, "from %g to %g by steps of %g", start, limit, delta);
	dim = count > 0 ? (int64_t)count : 0;
	y = onnx_const_new(c[0]->dtype, 1, &dim);
	for (int64_t i = 0; y && i < dim; i++)
		onnx_const_set(y, (size_t)i, start + (double)i * delta);
	return onnx_out_const(o, n, y);
}

/* Ones on a diagonal of a matrix shaped as the input, whose values do not matter. */
int onnx_eye_like(struct onnx *o, const onnx_node *n)
{
	int64_t k = onnx_attr_int(n, "k", 0), dim[2];
	const struct onnx_value *v = onnx_in(o, n, 0);
	enum ne_dtype type = NE_F32;
	struct onnx_const *y;
	uint32_t rank;

	if (!v)
		return onnx_fail(o, n, EINVAL, "input 0 is missing");
	rank = v->constant ? v->constant->rank : onnx_shape_of(o, (int)v->tensor)->rank;
	if (rank != 2)
		return onnx_fail(o, n, EINVAL, "input of rank %u", rank);
	for (uint32_t i = 0; i < 2; i++)
		dim[i] = v->constant ? v->constant->dim[i]
				     : onnx_shape_of(o, (int)v->tensor)->dim[i];
	type = v->constant ? v->constant->dtype : o->g->tensor[v->tensor].dtype;
	if (onnx_attr(n, "dtype") && onnx_dtype(onnx_attr_int(n, "dtype", 0), &type) < 0)
		return onnx_fail(o, n, EOPNOTSUPP, "of type %s",
				 onnx_type_name(onnx_attr_int(n, "dtype", 0)));
	y = onnx_const_new(type, 2, dim);
	for (int64_t i = 0; y && i < (int64_t)y->n; i++)
		if (i % dim[1] - i / dim[1] == k)
			onnx_const_set(y, (size_t)i, 1);
	return onnx_out_const(o, n, y);
}
