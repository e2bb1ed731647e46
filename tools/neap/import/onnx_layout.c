/* SPDX-License-Identifier: MIT */
/* Operators that change the shape or the order of values, of tensors and of constants. */
#include "tools/neap/import/onnx_internal.h"

#include <string.h>

struct dims {
	uint32_t rank;
	int64_t dim[NE_MAX_RANK];
};

static int in_dims(struct onnx *o, const onnx_node *n, struct dims *ret)
{
	const struct onnx_value *v = onnx_in(o, n, 0);

	if (!v)
		return onnx_fail(o, n, EINVAL, "input 0 is missing");
	if (v->tensor >= 0) {
		const struct ne_shape *s = onnx_shape_of(o, (int)v->tensor);

		ret->rank = s->rank;
		for (uint32_t i = 0; i < ret->rank; i++)
			ret->dim[i] = s->dim[i];
		return 0;
	}
	ret->rank = v->constant->rank;
	memcpy(ret->dim, v->constant->dim, sizeof(ret->dim));
	return 0;
}

/* Gives input 0 the new shape, as a constant or as a tensor. */
static int reshape_to(struct onnx *o, const onnx_node *n, const struct dims *d)
{
	struct onnx_value *v = onnx_in(o, n, 0);
	int64_t was, now = 1;
	int x;

	if (!v)
		return onnx_fail(o, n, EINVAL, "input 0 is missing");
	if (v->constant) {
		struct onnx_const *c = onnx_const_reshape(v->constant, d->rank, d->dim);

		return c ? onnx_out_const(o, n, c)
			 : onnx_fail(o, n, EINVAL, "the new shape does not hold %zu values",
				     v->constant->n);
	}
	x = onnx_in_tensor(o, n, 0);
	if (x < 0)
		return x;
	was = (int64_t)ne_shape_elements(onnx_shape_of(o, x));
	for (uint32_t i = 0; i < d->rank; i++) {
		if (d->dim[i] < 1 || d->dim[i] > was)
			return onnx_fail(o, n, EINVAL, "dimension %u becomes %lld", i,
					 (long long)d->dim[i]);
		now *= d->dim[i];
		if (now > was)
			break;
	}
	if (now != was)
		return onnx_fail(o, n, EINVAL, "the new shape does not hold %lld values",
				 (long long)was);
	return onnx_out_tensor(o, n, onnx_emit_reshape(o, n, x, d->rank, d->dim));
}

int onnx_flatten(struct onnx *o, const onnx_node *n)
{
	int64_t axis = onnx_attr_int(n, "axis", 1);
	struct dims in, out = {.rank = 2, .dim = {1, 1}};

	NE_RETURN_IF(in_dims(o, n, &in));
	if (axis < 0)
		axis += in.rank;
	if (axis < 0 || axis > (int64_t)in.rank)
		return onnx_fail(o, n, EINVAL, "axis is out of range");
	for (uint32_t i = 0; i < in.rank; i++)
		out.dim[i >= axis] *= in.dim[i];
	return reshape_to(o, n, &out);
}

/* To the shape that the model declares for the output, where the one that is asked for is computed:
 * one shape alone has it. */
static int reshape_as_declared(struct onnx *o, const onnx_node *n, const char *what)
{
	struct dims d;
	struct ne_shape y;

	if (!onnx_declared(o, n, 0, &y))
		return onnx_fail(o, n, EOPNOTSUPP, "'%s' must be a constant", what);
	d.rank = y.rank;
	for (uint32_t i = 0; i < y.rank; i++)
		d.dim[i] = y.dim[i];
	return reshape_to(o, n, &d);
}

static bool is_computed(const struct onnx *o, const onnx_node *n, size_t i)
{
	return onnx_in(o, n, i) && !onnx_in_const(o, n, i);
}

int onnx_reshape(struct onnx *o, const onnx_node *n)
{
	int64_t want[NE_MAX_RANK], all = 1, known = 1;
	bool keep_zero = onnx_attr_int(n, "allowzero", 0) != 0;
	struct dims in, out = {0};
	int count, open = -1;

	if (is_computed(o, n, 1))
		return reshape_as_declared(o, n, "shape");
	count = onnx_ints(o, n, "shape", 1, want, NE_MAX_RANK);
	if (count < 0)
		return count;
	NE_RETURN_IF(in_dims(o, n, &in));
	for (uint32_t i = 0; i < in.rank; i++)
		all *= in.dim[i];
	out.rank = (uint32_t)count;
	for (int i = 0; i < count; i++) {
		out.dim[i] = want[i];
		if (want[i] == 0 && !keep_zero) {
			if (i >= (int)in.rank)
				return onnx_fail(o, n, EINVAL, "shape copies axis %d of rank %u", i,
						 in.rank);
			out.dim[i] = in.dim[i];
		} else if (want[i] == -1 && open < 0) {
			open = i;
			continue;
		}
		if (out.dim[i] < 0 || out.dim[i] > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "dimension %d becomes %lld", i,
					 (long long)want[i]);
		known *= out.dim[i];
		if (known > (int64_t)NE_MAX_ELEMENTS)
			return onnx_fail(o, n, E2BIG, "the new shape is too large");
	}
	if (open >= 0 && (known == 0 || all % known))
		return onnx_fail(o, n, EINVAL, "%lld values do not divide by %lld", (long long)all,
				 (long long)known);
	if (open >= 0)
		out.dim[open] = all / known;
	return reshape_to(o, n, &out);
}

/* Axes of @rank as a bit mask. */
static int axes_mask(struct onnx *o, const onnx_node *n, uint32_t rank, unsigned *ret)
{
	int64_t axes[NE_MAX_RANK];
	int count = onnx_ints(o, n, "axes", 1, axes, NE_MAX_RANK);

	*ret = 0;
	for (int i = 0; i < count; i++) {
		int a = onnx_axis(o, n, axes[i], rank);

		if (a < 0)
			return a;
		*ret |= 1u << a;
	}
	return count;
}

int onnx_squeeze(struct onnx *o, const onnx_node *n)
{
	struct dims in, out = {0};
	unsigned mask;
	int count;

	if (is_computed(o, n, 1))
		return reshape_as_declared(o, n, "axes");
	NE_RETURN_IF(in_dims(o, n, &in));
	count = axes_mask(o, n, in.rank, &mask);
	if (count < 0)
		return count;
	for (uint32_t i = 0; i < in.rank; i++) {
		bool drop = count ? mask >> i & 1 : in.dim[i] == 1;

		if (drop && in.dim[i] != 1)
			return onnx_fail(o, n, EINVAL, "axis %u has length %lld, not 1", i,
					 (long long)in.dim[i]);
		if (!drop)
			out.dim[out.rank++] = in.dim[i];
	}
	return reshape_to(o, n, &out);
}

int onnx_unsqueeze(struct onnx *o, const onnx_node *n)
{
	int64_t axes[NE_MAX_RANK];
	struct dims in, out = {0};
	uint32_t from = 0;
	unsigned mask;
	int count;

	if (is_computed(o, n, 1))
		return reshape_as_declared(o, n, "axes");
	count = onnx_ints(o, n, "axes", 1, axes, NE_MAX_RANK);
	if (count < 0)
		return count;
	NE_RETURN_IF(in_dims(o, n, &in));
	out.rank = in.rank + (uint32_t)count;
	if (count == 0 || out.rank > NE_MAX_RANK)
		return onnx_fail(o, n, EINVAL, "%d new axes for rank %u", count, in.rank);
	NE_RETURN_IF(axes_mask(o, n, out.rank, &mask));
	if (__builtin_popcount(mask) != count)
		return onnx_fail(o, n, EINVAL, "an axis is named twice");
	for (uint32_t i = 0; i < out.rank; i++)
		out.dim[i] = mask >> i & 1 ? 1 : in.dim[from++];
	return reshape_to(o, n, &out);
}

int onnx_identity(struct onnx *o, const onnx_node *n)
{
	const struct onnx_value *v = onnx_in(o, n, 0);
	struct dims d;

	if (!v)
		return onnx_fail(o, n, EINVAL, "input 0 is missing");
	if (!v->constant)
		return onnx_out_tensor(o, n, onnx_in_tensor(o, n, 0));
	NE_RETURN_IF(in_dims(o, n, &d));
	return reshape_to(o, n, &d);
}

/* At inference an identity; nothing is dropped, so the mask is all true. */
int onnx_dropout(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *mode = onnx_in_const(o, n, 2), *ratio = onnx_in_const(o, n, 1);
	bool drops = !ratio || ratio->n != 1 || onnx_const_real(ratio, 0) > 0;
	struct onnx_const *mask;
	struct dims d;

	if (is_computed(o, n, 2) || (mode && mode->n == 1 && onnx_const_int(mode, 0) && drops))
		return onnx_fail(o, n, EOPNOTSUPP, "training_mode");
	NE_RETURN_IF(onnx_identity(o, n));
	if (!onnx_has_output(n, 1))
		return 0;
	NE_RETURN_IF(in_dims(o, n, &d));
	mask = onnx_const_new(NE_BOOL, d.rank, d.dim);
	if (mask)
		memset(mask->data, 1, mask->n);
	return onnx_out_const_at(o, n, 1, mask);
}

int onnx_transpose(struct onnx *o, const onnx_node *n)
{
	int x = onnx_in_tensor(o, n, 0);
	int64_t perm[NE_MAX_RANK];
	int32_t p[NE_MAX_RANK];
	uint32_t rank;
	unsigned seen = 0;
	size_t count;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	count = onnx_attr_ints(n, "perm", perm, NE_MAX_RANK);
	if (count != 0 && count != rank)
		return onnx_fail(o, n, EINVAL, "perm has %zu values for rank %u", count, rank);
	for (uint32_t i = 0; i < rank; i++) {
		int a = count ? onnx_axis(o, n, perm[i], rank) : (int)(rank - 1 - i);

		if (a < 0)
			return a;
		p[i] = a;
		seen |= 1u << a;
	}
	if (seen != (1u << rank) - 1)
		return onnx_fail(o, n, EINVAL, "perm names an axis twice");
	return onnx_out_tensor(o, n, onnx_emit_transpose(o, n, x, p));
}

int onnx_shape(struct onnx *o, const onnx_node *n)
{
	struct onnx_const *c;
	int64_t first, last, count;
	struct dims d;

	NE_RETURN_IF(in_dims(o, n, &d));
	first = onnx_attr_int(n, "start", 0);
	last = onnx_attr_int(n, "end", d.rank);
	first = NE_CLAMP(first < 0 ? first + d.rank : first, 0, (int64_t)d.rank);
	last = NE_CLAMP(last < 0 ? last + d.rank : last, 0, (int64_t)d.rank);
	count = NE_MAX(last - first, 0);
	c = onnx_const_new(NE_S64, 1, &count);
	for (int64_t i = 0; c && i < count; i++)
		((int64_t *)c->data)[i] = d.dim[first + i];
	return onnx_out_const(o, n, c);
}

int onnx_size(struct onnx *o, const onnx_node *n)
{
	struct onnx_const *c = onnx_const_new(NE_S64, 0, NULL);
	struct dims d;
	int r = in_dims(o, n, &d);

	if (r < 0) {
		onnx_const_free(c);
		return r;
	}
	if (c) {
		int64_t *size = c->data;

		*size = 1;
		for (uint32_t i = 0; i < d.rank; i++)
			*size *= d.dim[i];
	}
	return onnx_out_const(o, n, c);
}

/* ---- constants written in the graph ---- */

static struct onnx_const *const_of_list(enum ne_dtype dtype, size_t count, bool scalar,
					const int64_t *ints, const float *floats)
{
	int64_t dim = (int64_t)count;
	struct onnx_const *c = onnx_const_new(dtype, scalar ? 0 : 1, &dim);

	for (size_t i = 0; c && i < count; i++)
		if (dtype == NE_S64)
			((int64_t *)c->data)[i] = ints[i];
		else
			((float *)c->data)[i] = floats[i];
	return c;
}

int onnx_constant(struct onnx *o, const onnx_node *n)
{
	const Onnx__AttributeProto *a = onnx_attr(n, "value");
	struct onnx_const *c;

	if (a && a->t) {
		NE_RETURN_IF(onnx_const_decode(o, a->t, n->n_output ? n->output[0] : "", &c));
		return onnx_out_const(o, n, c);
	}
	a = onnx_attr(n, "value_int");
	if (a)
		return onnx_out_const(o, n, const_of_list(NE_S64, 1, true, &a->i, NULL));
	a = onnx_attr(n, "value_ints");
	if (a)
		return onnx_out_const(o, n, const_of_list(NE_S64, a->n_ints, false, a->ints, NULL));
	a = onnx_attr(n, "value_float");
	if (a)
		return onnx_out_const(o, n, const_of_list(NE_F32, 1, true, NULL, &a->f));
	a = onnx_attr(n, "value_floats");
	if (a)
		return onnx_out_const(o, n,
				      const_of_list(NE_F32, a->n_floats, false, NULL, a->floats));
	return onnx_fail(o, n, EOPNOTSUPP, "a constant that is no tensor, number or list");
}
