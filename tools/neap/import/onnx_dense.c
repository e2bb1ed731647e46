/* SPDX-License-Identifier: MIT */
/* Matrix products, by constant weights (the engine's dense) or of computed ones, and batch norm. */
#include "tools/neap/import/onnx_internal.h"

/* ONNX weights [I,O], or [O,I] where @transposed, times @alpha, to [O,I]. */
static int dense_weights(struct onnx *o, const onnx_node *n, const struct onnx_const *w,
			 bool transposed, float alpha)
{
	size_t rows = (size_t)w->dim[w->rank - 2], cols = (size_t)w->dim[w->rank - 1];
	int64_t dim[2] = {(int64_t)(transposed ? rows : cols), (int64_t)(transposed ? cols : rows)};
	float *data = ne_alloc_aligned(w->n * sizeof(*data));
	const float *src = w->data;

	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (size_t r = 0; r < rows; r++)
		for (size_t c = 0; c < cols; c++)
			data[transposed ? r * cols + c : c * rows + r] = src[r * cols + c] * alpha;
	return onnx_emit_const(o, n, 2, dim, data);
}

/* Values of ONNX's C times @beta, spread over @m outputs. */
static int dense_bias(struct onnx *o, const onnx_node *n, const struct onnx_const *c, int64_t m,
		      float beta)
{
	float *data;

	if (c->dtype != NE_F32 ||
	    (c->n != 1 && (c->n != (size_t)m || c->rank == 0 || c->dim[c->rank - 1] != m)))
		return onnx_fail(o, n, EOPNOTSUPP, "a bias of %zu values for %lld outputs", c->n,
				 (long long)m);
	data = ne_alloc_aligned((size_t)m * sizeof(*data));
	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	for (size_t i = 0; i < (size_t)m; i++)
		data[i] = ((const float *)c->data)[c->n == 1 ? 0 : i] * beta;
	return onnx_emit_const(o, n, 1, &m, data);
}

/* One matrix of constant floats: what NE_OP_DENSE takes. */
static bool is_matrix(const struct onnx_const *w)
{
	if (!w || w->dtype != NE_F32 || w->n == 0 || w->rank < 2)
		return false;
	for (uint32_t i = 0; i + 2 < w->rank; i++)
		if (w->dim[i] != 1)
			return false;
	return true;
}

static bool is_bias(const struct onnx_const *c, int64_t m)
{
	return c->dtype == NE_F32 &&
	       (c->n == 1 || (c->n == (size_t)m && c->rank > 0 && c->dim[c->rank - 1] == m));
}

/* ---- both computed ---- */

static int product(struct onnx *o, const onnx_node *n, int a, int b)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in[2] = {(uint32_t)a, (uint32_t)b};

	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	return onnx_emit(o, n, NE_OP_MATMUL, &attr, 2, in);
}

static int transposed(struct onnx *o, const onnx_node *n, int x, bool swap)
{
	static const int32_t perm[NE_MAX_RANK] = {1, 0};

	if (x >= 0 && onnx_shape_of(o, x)->rank != 2)
		return onnx_fail(o, n, EINVAL, "an operand of rank %u", onnx_shape_of(o, x)->rank);
	return swap ? onnx_emit_transpose(o, n, x, perm) : x;
}

/* alpha * A * B + beta * C */
static int general_gemm(struct onnx *o, const onnx_node *n)
{
	float alpha = onnx_attr_float(n, "alpha", 1), beta = onnx_attr_float(n, "beta", 1);
	int a = transposed(o, n, onnx_in_tensor(o, n, 0), onnx_attr_int(n, "transA", 0) != 0);
	int b = transposed(o, n, onnx_in_tensor(o, n, 1), onnx_attr_int(n, "transB", 0) != 0);
	int y = product(o, n, a, b), c;

	if (alpha < 1 || alpha > 1)
		y = onnx_emit_scalar(o, n, NE_OP_MUL, y, alpha);
	if (y < 0 || !onnx_in(o, n, 2))
		return y;
	c = onnx_in_tensor(o, n, 2);
	if (beta < 1 || beta > 1)
		c = onnx_emit_scalar(o, n, NE_OP_MUL, c, beta);
	return onnx_emit_arithmetic(o, n, NE_BINARY_ADD, y, c);
}

/* A vector is a row on the left and a column on the right; the axis goes again after. */
static int general_mat_mul(struct onnx *o, const onnx_node *n)
{
	int a = onnx_in_tensor(o, n, 0), b = onnx_in_tensor(o, n, 1), y;
	uint32_t ra, rb, rank;

	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	ra = onnx_shape_of(o, a)->rank;
	rb = onnx_shape_of(o, b)->rank;
	if (ra == 0 || rb == 0)
		return onnx_fail(o, n, EINVAL, "an operand of rank 0");
	if (ra == 1)
		a = onnx_emit_reshape(o, n, a, 2,
				      (const int64_t[]){1, onnx_shape_of(o, a)->dim[0]});
	if (rb == 1)
		b = onnx_emit_reshape(o, n, b, 2,
				      (const int64_t[]){onnx_shape_of(o, b)->dim[0], 1});
	y = product(o, n, a, b);
	if (y < 0)
		return y;
	rank = onnx_shape_of(o, y)->rank;
	return onnx_drop_axes(o, n, y,
			      (ra == 1 ? 1u << (rank - 2) : 0) | (rb == 1 ? 1u << (rank - 1) : 0));
}

/* ---- constant weights ---- */

static bool is_one(float v)
{
	return !(v < 1.0f) && !(v > 1.0f);
}

int onnx_gemm(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *w = onnx_in_const(o, n, 1), *c = onnx_in_const(o, n, 2);
	struct ne_attr attr = {.groups = 1};
	int x = onnx_in_tensor(o, n, 0), r, s8 = 0;
	uint32_t in[3];

	if (x < 0)
		return x;
	if (!is_matrix(w) || (onnx_in(o, n, 2) && !c) ||
	    (c && !is_bias(c, w->dim[onnx_attr_int(n, "transB", 0) ? 0 : 1])) ||
	    o->g->tensor[x].dtype != NE_F32)
		return onnx_out_tensor(o, n, general_gemm(o, n));
	if (onnx_attr_int(n, "transA", 0))
		x = onnx_emit_transpose(o, n, x, (const int32_t[]){1, 0, 0, 0, 0, 0});
	if (x < 0)
		return x;
	in[0] = (uint32_t)x;
	r = dense_weights(o, n, w, onnx_attr_int(n, "transB", 0) != 0,
			  onnx_attr_float(n, "alpha", 1));
	if (r < 0)
		return r;
	in[1] = (uint32_t)r;
	if (is_one(onnx_attr_float(n, "alpha", 1)))
		s8 = onnx_quantised_weights(o, n, 1, onnx_attr_int(n, "transB", 0) ? 0 : 1, r);
	if (s8 < 0)
		return s8;
	if (c) {
		r = dense_bias(o, n, c, onnx_shape_of(o, r)->dim[0], onnx_attr_float(n, "beta", 1));
		if (r >= 0 && s8 && is_one(onnx_attr_float(n, "beta", 1)))
			s8 = onnx_quantised_bias(o, n, 2, r);
		if (r < 0 || s8 < 0)
			return r < 0 ? r : s8;
		in[2] = (uint32_t)r;
	}
	return onnx_out_tensor(o, n, onnx_emit(o, n, NE_OP_DENSE, &attr, c ? 3 : 2, in));
}

int onnx_mat_mul(struct onnx *o, const onnx_node *n)
{
	const struct onnx_const *w = onnx_in_const(o, n, 1);
	struct ne_attr attr = {.groups = 1};
	int x = onnx_in_tensor(o, n, 0), r;
	uint32_t in[2];

	if (x < 0)
		return x;
	if (!is_matrix(w) || w->rank > onnx_shape_of(o, x)->rank || o->g->tensor[x].dtype != NE_F32)
		return onnx_out_tensor(o, n, general_mat_mul(o, n));
	in[0] = (uint32_t)x;
	r = dense_weights(o, n, w, false, 1);
	if (r < 0)
		return r;
	in[1] = (uint32_t)r;
	r = onnx_quantised_weights(o, n, 1, (int)w->rank - 1, r);
	if (r < 0)
		return r;
	return onnx_out_tensor(o, n, onnx_emit(o, n, NE_OP_DENSE, &attr, 2, in));
}

int onnx_batch_normalization(struct onnx *o, const onnx_node *n)
{
	struct ne_attr attr = {.groups = 1, .value = onnx_attr_float(n, "epsilon", 1e-5f)};
	int x = onnx_in_tensor(o, n, 0), r;
	bool all_constant = true;
	uint32_t in[5];

	if (x < 0)
		return x;
	if (onnx_shape_of(o, x)->rank < 2)
		return onnx_fail(o, n, EINVAL, "input of rank %u", onnx_shape_of(o, x)->rank);
	for (uint32_t i = 1; i < 5; i++)
		all_constant = all_constant && onnx_in_const(o, n, i);
	if (onnx_attr_int(n, "training_mode", 0) || !all_constant)
		return onnx_general_batch_normalization(o, n, x);
	for (uint32_t i = 1; i < 5; i++) {
		const struct onnx_const *c = onnx_in_const(o, n, i);

		if (c->n != (size_t)onnx_shape_of(o, x)->dim[1] || c->rank != 1)
			return onnx_fail(o, n, EINVAL, "input %u has %zu values for %d channels", i,
					 c->n, onnx_shape_of(o, x)->dim[1]);
		r = onnx_in_tensor(o, n, i);
		if (r < 0)
			return r;
		in[i] = (uint32_t)r;
	}
	x = onnx_emit_channels_last(o, n, x);
	if (x < 0)
		return x;
	in[0] = (uint32_t)x;
	r = onnx_emit(o, n, NE_OP_BATCHNORM, &attr, 5, in);
	return onnx_out_tensor(o, n, onnx_emit_channels_first(o, n, r));
}
