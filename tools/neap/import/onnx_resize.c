/* SPDX-License-Identifier: MIT */
/*
 * Resize and Upsample. Nearest neighbours are a pick; linear and cubic interpolation is a product
 * with a constant matrix along each axis that changes, in any of ONNX's coordinate systems.
 */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROI_MAX 1e6 /* in lengths of the input */

enum method { NEAREST, LINEAR, CUBIC };
enum system { HALF_PIXEL, PYTORCH, ALIGN_CORNERS, ASYMMETRIC, TF_HALF_PIXEL, SYMMETRIC, CROP };
enum nearest { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };

struct resize {
	enum method method;
	enum system system;
	enum nearest nearest;
	bool exclude_outside, antialias, changes[NE_MAX_RANK];
	double cubic, outside;
	uint32_t rank;
	int64_t in[NE_MAX_RANK], out[NE_MAX_RANK];
	double scale[NE_MAX_RANK], roi[2][NE_MAX_RANK];
};

/* Index of the attribute's text in @names, 0 where it is absent. */
static int choice(struct onnx *o, const onnx_node *n, const char *attr, const char *const *names,
		  size_t count)
{
	if (!onnx_attr(n, attr))
		return 0;
	for (size_t i = 0; i < count; i++)
		if (onnx_attr_is(n, attr, names[i]))
			return (int)i;
	return onnx_fail(o, n, EOPNOTSUPP, "an unknown %s", attr);
}

static int read_modes(struct onnx *o, const onnx_node *n, struct resize *r)
{
	static const char *const methods[] = {"nearest", "linear", "cubic", "bilinear"};
	static const char *const systems[] = {
		"half_pixel",           "pytorch_half_pixel",   "align_corners",     "asymmetric",
		"tf_half_pixel_for_nn", "half_pixel_symmetric", "tf_crop_and_resize"};
	static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
						"ceil"};
	int method = choice(o, n, "mode", methods, 4);
	int coordinates = choice(o, n, "coordinate_transformation_mode", systems, 7);
	int nearest = choice(o, n, "nearest_mode", roundings, 4);

	if (method < 0 || coordinates < 0 || nearest < 0)
		return -EOPNOTSUPP;
	r->method = method == 3 ? LINEAR : (enum method)method;
	r->system = (enum system)coordinates;
	r->nearest = (enum nearest)nearest;
	if (o->opset < 11) { /* Upsample, and the first Resize */
		r->system = ASYMMETRIC;
		r->nearest = FLOOR;
	}
	r->exclude_outside = onnx_attr_int(n, "exclude_outside", 0) != 0;
	r->antialias = onnx_attr_int(n, "antialias", 0) != 0;
	r->cubic = (double)onnx_attr_float(n, "cubic_coeff_a", -0.75f);
	r->outside = (double)onnx_attr_float(n, "extrapolation_value", 0);
	return 0;
}

/* The axes that scales, sizes and the region of interest are about; all where none are named. */
static int read_axes(struct onnx *o, const onnx_node *n, uint32_t rank, uint32_t *ret)
{
	int64_t axes[NE_MAX_RANK];
	size_t count = onnx_attr_ints(n, "axes", axes, NE_MAX_RANK);

	if (count > rank)
		return onnx_fail(o, n, EINVAL, "%zu axes for rank %u", count, rank);
	for (uint32_t i = 0; i < rank; i++)
		ret[i] = i;
	for (size_t i = 0; i < count; i++) {
		int a = onnx_axis(o, n, axes[i], rank);

		if (a < 0)
			return a;
		ret[i] = (uint32_t)a;
	}
	return count ? (int)count : (int)rank;
}

/* With sizes: each axis by itself, or all by the smallest or largest factor. */
static int apply_sizes(struct onnx *o, const onnx_node *n, const struct onnx_const *sizes,
		       const uint32_t *axes, int count, struct resize *r)
{
	bool larger = onnx_attr_is(n, "keep_aspect_ratio_policy", "not_larger");
	bool smaller = onnx_attr_is(n, "keep_aspect_ratio_policy", "not_smaller");
	double common = larger ? INFINITY : 0;

	if (sizes->n != (size_t)count)
		return onnx_fail(o, n, EINVAL, "%zu sizes for %d axes", sizes->n, count);
	for (int i = 0; i < count; i++) {
		uint32_t a = axes[i];

		r->out[a] = NE_CLAMP(onnx_const_int(sizes, (size_t)i), 0, (int64_t)NE_MAX_DIM + 1);
		r->scale[a] = (double)r->out[a] / (double)r->in[a];
		common = larger ? fmin(common, r->scale[a]) : fmax(common, r->scale[a]);
	}
	for (int i = 0; i < count && (larger || smaller); i++) {
		r->scale[axes[i]] = common;
		r->out[axes[i]] = (int64_t)floor(common * (double)r->in[axes[i]] + 0.5);
	}
	return 0;
}

static int read_sizes(struct onnx *o, const onnx_node *n, struct resize *r)
{
	size_t at = o->opset < 11 ? 1 : 2; /* of the scales; a region comes before from 11 on */
	const struct onnx_const *scales = onnx_in_const(o, n, at), *roi = NULL;
	const struct onnx_const *sizes = o->opset < 11 ? NULL : onnx_in_const(o, n, 3);
	const Onnx__AttributeProto *listed = onnx_attr(n, "scales");
	uint32_t axes[NE_MAX_RANK];
	int count = read_axes(o, n, r->rank, axes);

	if (count < 0)
		return count;
	if (o->opset >= 11)
		roi = onnx_in_const(o, n, 1);
	if (sizes && sizes->n) {
		NE_RETURN_IF(apply_sizes(o, n, sizes, axes, count, r));
	} else if ((scales && scales->n == (size_t)count && scales->dtype == NE_F32) ||
		   (listed && listed->n_floats == (size_t)count)) {
		for (int i = 0; i < count; i++) {
			uint32_t a = axes[i];

			r->scale[a] = scales ? onnx_const_real(scales, (size_t)i)
					     : (double)listed->floats[i];
			r->out[a] =
				(int64_t)NE_CLAMP(floor(r->scale[a] * (double)r->in[a]), -1.0, 1e9);
		}
	} else {
		return onnx_fail(o, n, EOPNOTSUPP, "its scales or sizes must be constants");
	}
	if (r->system == CROP) {
		if (!roi || roi->n != 2 * (size_t)count)
			return onnx_fail(o, n, EOPNOTSUPP, "its region must be a constant");
		for (int i = 0; i < count; i++) {
			r->roi[0][axes[i]] = onnx_const_real(roi, (size_t)i);
			r->roi[1][axes[i]] = onnx_const_real(roi, (size_t)(i + count));
			if (!(fabs(r->roi[0][axes[i]]) < ROI_MAX) ||
			    !(fabs(r->roi[1][axes[i]]) < ROI_MAX))
				return onnx_fail(o, n, EINVAL, "a region out of range");
		}
	}
	for (uint32_t i = 0; i < r->rank; i++) {
		if (r->out[i] < 1 || r->out[i] > NE_MAX_DIM || !(r->scale[i] > 0) ||
		    !isfinite(r->scale[i]))
			return onnx_fail(o, n, EINVAL, "axis %u would have %lld places", i,
					 (long long)r->out[i]);
		r->changes[i] = r->out[i] != r->in[i] || r->scale[i] < 1 || r->scale[i] > 1 ||
				r->system == CROP;
	}
	return 0;
}

/* Where place @i of axis @a lies in the input. */
static double source(const struct resize *r, uint32_t a, int64_t i)
{
	double x = (double)i, scale = r->scale[a], in = (double)r->in[a], out = scale * in;

	switch (r->system) {
	case PYTORCH:
		return r->out[a] == 1 ? -0.5 : (x + 0.5) / scale - 0.5;
	case ALIGN_CORNERS:
		return r->out[a] == 1 ? 0 : x * (in - 1) / (out - 1);
	case ASYMMETRIC:
		return x / scale;
	case TF_HALF_PIXEL:
		return (x + 0.5) / scale;
	case SYMMETRIC: {
		double adjustment = (double)r->out[a] / out;

		return in / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5;
	}
	case CROP:
		if (r->out[a] == 1)
			return (r->roi[0][a] + r->roi[1][a]) * (in - 1) / 2;
		return r->roi[0][a] * (in - 1) +
		       x * (r->roi[1][a] - r->roi[0][a]) * (in - 1) / ((double)r->out[a] - 1);
	default:
		return (x + 0.5) / scale - 0.5;
	}
}

static bool is_outside(const struct resize *r, uint32_t a, double x)
{
	return r->system == CROP && (x < 0 || x > (double)r->in[a] - 1);
}

/* ---- nearest ---- */

static int64_t nearest_of(const struct resize *r, uint32_t a, double x)
{
	double v;

	switch (r->nearest) {
	case PREFER_CEIL:
		v = floor(x + 0.5);
		break;
	case FLOOR:
		v = floor(x);
		break;
	case CEIL:
		v = ceil(x);
		break;
	default:
		v = ceil(x - 0.5);
	}
	return (int64_t)NE_CLAMP(v, 0.0, (double)r->in[a] - 1);
}

static int resize_nearest(struct onnx *o, const onnx_node *n, int x, const struct resize *r)
{
	struct onnx_pick p = {.value = (float)r->outside};

	for (uint32_t a = 0; a < r->rank; a++) {
		int32_t *at;

		if (!r->changes[a])
			continue;
		at = onnx_pick_axis(&p, a, r->out[a]);
		if (!at) {
			onnx_pick_done(&p);
			return onnx_fail(o, n, ENOMEM, "no memory");
		}
		for (int64_t i = 0; i < r->out[a]; i++) {
			double from = source(r, a, i);

			at[i] = is_outside(r, a, from) ? -1 : (int32_t)nearest_of(r, a, from);
		}
	}
	return onnx_emit_pick(o, n, x, &p);
}

/* ---- linear and cubic ---- */

/* The kernel at distance @d: a triangle, or Keys' cubic convolution. */
static double kernel(const struct resize *r, double d)
{
	double a = r->cubic;

	d = fabs(d);
	if (r->method == LINEAR)
		return d < 1 ? 1 - d : 0;
	if (d <= 1)
		return ((a + 2) * d - (a + 3)) * d * d + 1;
	return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Weights of one place over the input's axis; false where it lies outside. */
static bool weights_of(const struct resize *r, uint32_t a, int64_t i, double *row)
{
	double from = source(r, a, i), sum = 0;
	double squeeze = r->antialias ? fmin(r->scale[a], 1) : 1;
	int64_t reach = (int64_t)ceil((r->method == CUBIC ? 2 : 1) / squeeze);
	int64_t first = (int64_t)floor(from) - reach + 1;

	if (is_outside(r, a, from))
		return false;
	for (int64_t k = first; k < first + 2 * reach; k++) {
		double w = kernel(r, ((double)k - from) * squeeze);
		bool inside = k >= 0 && k < r->in[a];

		if (!inside && r->exclude_outside)
			continue;
		row[NE_CLAMP(k, 0, r->in[a] - 1)] += w;
		sum += w;
	}
	for (int64_t k = 0; k < r->in[a] && (r->exclude_outside || r->antialias) && sum != 0; k++)
		row[k] /= sum;
	return true;
}

/* x along its last axis by a constant matrix. */
static int interpolate(struct onnx *o, const onnx_node *n, int x, const struct resize *r,
		       uint32_t a)
{
	size_t in = (size_t)r->in[a], out = (size_t)r->out[a];
	float *w, *bias;
	double *row = calloc(in, sizeof(*row));
	struct ne_attr attr = {.groups = 1};
	uint32_t t[3] = {(uint32_t)x};
	int id;

	if (in > NE_MAX_ELEMENTS / out) {
		free(row);
		return onnx_fail(o, n, E2BIG, "axis %u from %zu to %zu places", a, in, out);
	}
	w = ne_alloc_aligned(in * out * sizeof(*w));
	bias = ne_alloc_aligned(out * sizeof(*bias));
	if (!row || !w || !bias) {
		free(row);
		free(w);
		free(bias);
		return onnx_fail(o, n, ENOMEM, "no memory");
	}
	for (size_t i = 0; i < out; i++) {
		memset(row, 0, in * sizeof(*row));
		if (!weights_of(r, a, (int64_t)i, row))
			bias[i] = (float)r->outside;
		for (size_t k = 0; k < in; k++)
			w[i * in + k] = (float)row[k];
	}
	free(row);
	id = onnx_emit_const(o, n, 2, (const int64_t[]){r->out[a], r->in[a]}, w);
	if (id < 0) {
		free(bias);
		return id;
	}
	t[1] = (uint32_t)id;
	id = onnx_emit_const(o, n, 1, &r->out[a], bias);
	if (id < 0)
		return id;
	t[2] = (uint32_t)id;
	return onnx_emit(o, n, NE_OP_DENSE, &attr, 3, t);
}

static int resize_smooth(struct onnx *o, const onnx_node *n, int x, const struct resize *r)
{
	if (o->g->tensor[x].dtype != NE_F32)
		return onnx_fail(o, n, EOPNOTSUPP, "interpolation of type %s",
				 ne_dtype_name(o->g->tensor[x].dtype));
	for (uint32_t a = 0; a < r->rank && x >= 0; a++) {
		int32_t perm[NE_MAX_RANK];
		bool last = a + 1 == r->rank;

		if (!r->changes[a])
			continue;
		for (uint32_t i = 0; i < r->rank; i++)
			perm[i] = (int32_t)i;
		perm[a] = (int32_t)r->rank - 1; /* a swap is its own inverse */
		perm[r->rank - 1] = (int32_t)a;
		if (!last)
			x = onnx_emit_transpose(o, n, x, perm);
		x = x < 0 ? x : interpolate(o, n, x, r, a);
		if (!last)
			x = onnx_emit_transpose(o, n, x, perm);
	}
	return x;
}

int onnx_resize(struct onnx *o, const onnx_node *n)
{
	struct resize r = {.method = NEAREST};
	int x = onnx_in_tensor(o, n, 0);

	if (x < 0)
		return x;
	NE_RETURN_IF(read_modes(o, n, &r));
	r.rank = onnx_shape_of(o, x)->rank;
	for (uint32_t i = 0; i < r.rank; i++) {
		r.in[i] = r.out[i] = onnx_shape_of(o, x)->dim[i];
		r.scale[i] = 1;
		r.roi[1][i] = 1;
	}
	NE_RETURN_IF(read_sizes(o, n, &r));
	x = r.method == NEAREST ? resize_nearest(o, n, x, &r) : resize_smooth(o, n, x, &r);
	return onnx_out_tensor(o, n, x);
}
