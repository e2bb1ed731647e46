/* SPDX-License-Identifier: MIT */
/* Padding in every mode, cropping, and depth to space and back. */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>
#include <string.h>

struct pads {
	uint32_t rank;
	int64_t before[NE_MAX_RANK], after[NE_MAX_RANK];
};

static int read_axes(struct onnx *o, const onnx_node *n, uint32_t rank, uint32_t count,
		     uint32_t *ret)
{
	const struct onnx_value *v = onnx_in(o, n, 3);

	for (uint32_t i = 0; i < count; i++) {
		int a;

		ret[i] = i;
		if (!v)
			continue;
		if (!v->constant || v->constant->n != count)
			return onnx_fail(o, n, EOPNOTSUPP, "axes must be a constant of %u values",
					 count);
		a = onnx_axis(o, n, onnx_const_int(v->constant, i), rank);
		if (a < 0)
			return a;
		ret[i] = (uint32_t)a;
	}
	return 0;
}

static int read_pads(struct onnx *o, const onnx_node *n, uint32_t rank, struct pads *ret)
{
	int64_t pads[2 * NE_MAX_RANK];
	int count = onnx_ints(o, n, "pads", 1, pads, 2 * NE_MAX_RANK);
	uint32_t half = (uint32_t)count / 2, axes[NE_MAX_RANK];

	if (count < 0)
		return count;
	if (count % 2 || half > rank || (!onnx_in(o, n, 3) && half != rank))
		return onnx_fail(o, n, EINVAL, "pads has %d values for rank %u", count, rank);
	NE_RETURN_IF(read_axes(o, n, rank, half, axes));
	*ret = (struct pads){.rank = rank};
	for (uint32_t i = 0; i < half; i++) {
		if (pads[i] < -NE_MAX_DIM || pads[i] > NE_MAX_DIM || pads[half + i] < -NE_MAX_DIM ||
		    pads[half + i] > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "pads are out of range");
		ret->before[axes[i]] = pads[i];
		ret->after[axes[i]] = pads[half + i];
	}
	return 0;
}

enum mode { CONSTANT, EDGE, REFLECT, WRAP };

/* Where place @i, counted from the input's first, comes from. */
static int64_t place(enum mode mode, int64_t i, int64_t length)
{
	int64_t period = 2 * (length - 1);

	switch (mode) {
	case EDGE:
		return NE_CLAMP(i, 0, length - 1);
	case REFLECT:
		if (length == 1)
			return 0;
		i = ((i % period) + period) % period;
		return i < length ? i : period - i;
	case WRAP:
		return ((i % length) + length) % length;
	default:
		return i >= 0 && i < length ? i : -1;
	}
}

static int pick_padded(struct onnx *o, const onnx_node *n, int x, const struct pads *p,
		       enum mode mode, float value)
{
	struct onnx_pick pick = {.value = value};
	const struct ne_shape *s = onnx_shape_of(o, x);

	for (uint32_t a = 0; a < p->rank; a++) {
		int64_t length = s->dim[a], count = length + p->before[a] + p->after[a];
		int32_t *at;

		if (!p->before[a] && !p->after[a])
			continue;
		at = onnx_pick_axis(&pick, a, count);
		if (!at) {
			onnx_pick_done(&pick);
			return onnx_fail(o, n, count > 0 ? ENOMEM : EOPNOTSUPP,
					 "axis %u would have %lld places", a, (long long)count);
		}
		for (int64_t i = 0; i < count; i++)
			at[i] = (int32_t)place(mode, i - p->before[a], length);
	}
	return onnx_emit_pick(o, n, x, &pick);
}

/* A computed value stands where a tensor of ones, padded with zeros, is zero. */
static int computed_value(struct onnx *o, const onnx_node *n, int x, int y, const struct pads *p)
{
	int ones = onnx_emit_number(o, n, x, 1), value = onnx_in_tensor(o, n, 2), mask;
	struct ne_attr attr = {.groups = 1};
	int64_t dim[NE_MAX_RANK], one[NE_MAX_RANK];

	if (ones < 0 || value < 0 || y < 0)
		return y < 0 ? y : ones < 0 ? ones : value;
	for (uint32_t i = 0; i < p->rank; i++) {
		dim[i] = onnx_shape_of(o, x)->dim[i];
		one[i] = 1;
	}
	ones = onnx_emit_reshape(o, n, ones, p->rank, one);
	ones = onnx_emit_repeat(o, n, ones, dim);
	ones = ones < 0 ? ones : pick_padded(o, n, ones, p, CONSTANT, 0);
	mask = onnx_emit_cast(o, n, ones, NE_BOOL);
	value = onnx_emit_reshape(o, n, value, 0, NULL);
	if (mask < 0 || value < 0)
		return mask < 0 ? mask : value;
	return onnx_emit(o, n, NE_OP_WHERE, &attr, 3,
			 (const uint32_t[]){(uint32_t)mask, (uint32_t)y, (uint32_t)value});
}

int onnx_pad(struct onnx *o, const onnx_node *n)
{
	static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
	struct ne_attr attr = {.groups = 1, .value = onnx_attr_float(n, "value", 0)};
	const struct onnx_const *value = onnx_in_const(o, n, 2);
	int x = onnx_in_tensor(o, n, 0), y;
	enum mode mode = CONSTANT;
	bool grows = true;
	struct pads p;
	uint32_t in = (uint32_t)x;

	if (x < 0)
		return x;
	for (enum mode m = CONSTANT; m <= WRAP; m++)
		mode = onnx_attr_is(n, "mode", modes[m]) ? m : mode;
	if (onnx_attr(n, "mode") && !onnx_attr_is(n, "mode", modes[mode]))
		return onnx_fail(o, n, EOPNOTSUPP, "an unknown mode");
	if (value && value->n != 1)
		return onnx_fail(o, n, EINVAL, "its value has %zu elements", value->n);
	if (value)
		attr.value = (float)onnx_const_real(value, 0);
	if (!isfinite(attr.value))
		return onnx_fail(o, n, EOPNOTSUPP, "padding with %g", (double)attr.value);
	NE_RETURN_IF(read_pads(o, n, onnx_shape_of(o, x)->rank, &p));
	for (uint32_t i = 0; i < p.rank; i++) {
		grows = grows && p.before[i] >= 0 && p.after[i] >= 0;
		attr.pad[i] = (int32_t)p.before[i];
		attr.pad[p.rank + i] = (int32_t)p.after[i];
	}
	if (mode == CONSTANT && onnx_in(o, n, 2) && !value) {
		y = pick_padded(o, n, x, &p, mode, 0);
		return onnx_out_tensor(o, n, computed_value(o, n, x, y, &p));
	}
	if (mode == CONSTANT && grows && o->g->tensor[x].dtype == NE_F32)
		y = onnx_emit(o, n, NE_OP_PAD, &attr, 1, &in);
	else
		y = pick_padded(o, n, x, &p, mode, attr.value);
	return onnx_out_tensor(o, n, y);
}

/* Axes cut or padded with zeros, alike on both sides, to given lengths. */
int onnx_center_crop_pad(struct onnx *o, const onnx_node *n)
{
	int64_t want[NE_MAX_RANK], axes[NE_MAX_RANK];
	int count = onnx_ints(o, n, "shape", 1, want, NE_MAX_RANK);
	size_t named = onnx_attr_ints(n, "axes", axes, NE_MAX_RANK);
	int x = onnx_in_tensor(o, n, 0);
	struct pads p = {.rank = 0};

	if (count < 0 || x < 0)
		return count < 0 ? count : x;
	p.rank = onnx_shape_of(o, x)->rank;
	if ((uint32_t)count > p.rank ||
	    (named ? named != (size_t)count : p.rank != (uint32_t)count))
		return onnx_fail(o, n, EINVAL, "%d lengths for rank %u", count, p.rank);
	for (int i = 0; i < count; i++) {
		int a = named ? onnx_axis(o, n, axes[i], p.rank) : i;
		int64_t length, more;

		if (a < 0)
			return a;
		length = onnx_shape_of(o, x)->dim[a];
		if (want[i] < 1 || want[i] > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "a length of %lld", (long long)want[i]);
		more = want[i] - length;
		/* what is odd goes behind, whether it is added or taken off */
		p.before[a] = more >= 0 ? more / 2 : -(-more / 2);
		p.after[a] = more - p.before[a];
	}
	return onnx_out_tensor(o, n, pick_padded(o, n, x, &p, CONSTANT, 0));
}

/* ---- depth and space ---- */

int onnx_depth_to_space(struct onnx *o, const onnx_node *n)
{
	static const int32_t by_depth[] = {0, 3, 4, 1, 5, 2}, by_column[] = {0, 1, 4, 2, 5, 3};
	bool columns = onnx_attr_is(n, "mode", "CRD");
	int64_t b = onnx_attr_int(n, "blocksize", 0), d[NE_MAX_RANK], y[4];
	int x = onnx_in_tensor(o, n, 0);
	const struct ne_shape *s;

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	if (s->rank != 4 || b < 1 || b > 4096 || s->dim[1] % (b * b))
		return onnx_fail(o, n, EINVAL, "blocks of %lld for rank %u", (long long)b, s->rank);
	y[0] = s->dim[0];
	y[1] = s->dim[1] / (b * b);
	y[2] = s->dim[2] * b;
	y[3] = s->dim[3] * b;
	d[0] = s->dim[0];
	d[1] = columns ? y[1] : b;
	d[2] = b;
	d[3] = columns ? b : y[1];
	d[4] = s->dim[2];
	d[5] = s->dim[3];
	x = onnx_emit_reshape(o, n, x, 6, d);
	x = onnx_emit_transpose(o, n, x, columns ? by_column : by_depth);
	return onnx_out_tensor(o, n, onnx_emit_reshape(o, n, x, 4, y));
}

int onnx_space_to_depth(struct onnx *o, const onnx_node *n)
{
	static const int32_t perm[] = {0, 3, 5, 1, 2, 4};
	int64_t b = onnx_attr_int(n, "blocksize", 0), d[NE_MAX_RANK], y[4];
	int x = onnx_in_tensor(o, n, 0);
	const struct ne_shape *s;

	if (x < 0)
		return x;
	s = onnx_shape_of(o, x);
	if (s->rank != 4 || b < 1 || b > 4096 || s->dim[2] % b || s->dim[3] % b)
		return onnx_fail(o, n, EINVAL, "blocks of %lld for rank %u", (long long)b, s->rank);
	d[0] = y[0] = s->dim[0];
	d[1] = s->dim[1];
	y[1] = s->dim[1] * b * b;
	d[2] = y[2] = s->dim[2] / b;
	d[3] = d[5] = b;
	d[4] = y[3] = s->dim[3] / b;
	x = onnx_emit_transpose(o, n, onnx_emit_reshape(o, n, x, 6, d), perm);
	return onnx_out_tensor(o, n, onnx_emit_reshape(o, n, x, 4, y));
}
