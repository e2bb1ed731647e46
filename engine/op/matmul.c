/* SPDX-License-Identifier: MIT */
/*
 * Products of two computed matrices (constant weights are NE_OP_DENSE), f32: a [.., M, K] by
 * b [.., K, N], the axes before broadcast. A row of the result is summed up from rows of b, which
 * vectors do well for any N.
 */
#include "engine/op/broadcast.h"
#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <string.h>

NE_OP_CHECK(matmul)
{
	for (uint32_t k = 0; k < 2; k++)
		if (ne_node_in(g, n, k)->dtype != NE_F32 || ne_node_out(g, n)->dtype != NE_F32)
			return ne_node_fail(err, EINVAL, n, "types must be f32");
	return ne_check_uncut(g, n, err);
}

static void batches(const struct ne_shape *s, struct ne_shape *ret)
{
	*ret = *s;
	ret->rank -= 2;
}

NE_OP_INFER(matmul)
{
	struct ne_shape batch[2];
	uint32_t axis = 0;

	(void)g;
	if (in[0].rank < 2 || in[1].rank < 2)
		return ne_node_fail(err, EINVAL, n, "operands of rank %u and %u", in[0].rank,
				    in[1].rank);
	batches(&in[0], &batch[0]);
	batches(&in[1], &batch[1]);
	if (in[0].dim[in[0].rank - 1] != in[1].dim[in[1].rank - 2])
		return ne_node_fail(err, EINVAL, n, "rows of %d by columns of %d",
				    in[0].dim[in[0].rank - 1], in[1].dim[in[1].rank - 2]);
	if (ne_broadcast_shape(batch, 2, ret, &axis) < 0)
		return ne_node_fail(err, EINVAL, n, "axis %u: dimensions are neither equal nor 1",
				    axis);
	ret->dim[ret->rank++] = in[0].dim[in[0].rank - 2];
	ret->dim[ret->rank++] = in[1].dim[in[1].rank - 1];
	return 0;
}

NE_OP_MACS(matmul)
{
	(void)n;
	(void)w;
	return (uint64_t)ne_shape_elements(y) * (uint64_t)ne_shape_last(x);
}

struct matmul_args {
	struct ne_ref a, b, y;
	uint32_t m, k, n;
	uint32_t rank; /* of the batches */
	uint32_t dim[NE_MAX_RANK];
	uint32_t stride[2][NE_MAX_RANK]; /* matrices; 0 = broadcast */
};

/* Units are rows of the result. */
static void run_matmul(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		       uint32_t n)
{
	const struct matmul_args *c = s->args;
	float *y = (float *)ne_at(f, c->y) + (size_t)first * c->n;

	for (uint32_t u = first; u < first + n; u++, y += c->n) {
		uint32_t batch = u / c->m;
		size_t at[2] = {0, 0};
		const float *a, *b;

		for (uint32_t d = c->rank; d-- > 0; batch /= c->dim[d])
			for (int i = 0; i < 2; i++)
				at[i] += (size_t)(batch % c->dim[d]) * c->stride[i][d];
		a = (const float *)ne_at(f, c->a) + (at[0] * c->m + u % c->m) * c->k;
		b = (const float *)ne_at(f, c->b) + at[1] * c->k * c->n;
		memset(y, 0, c->n * sizeof(*y));
		for (uint32_t k = 0; k < c->k; k++, b += c->n)
			for (uint32_t j = 0; j < c->n; j++)
				y[j] += a[k] * b[j];
	}
}

NE_OP_LOWER(matmul)
{
	const struct ne_shape *ys = &lw->shape[lw->y];
	struct matmul_args c = {.a = lw->ref[n->in[0]],
				.b = lw->ref[n->in[1]],
				.y = lw->ref[lw->y],
				.m = (uint32_t)ys->dim[ys->rank - 2],
				.n = (uint32_t)ys->dim[ys->rank - 1],
				.k = (uint32_t)ne_shape_last(&lw->shape[n->in[0]]),
				.rank = ys->rank - 2};
	size_t rows = ne_shape_elements(ys) / c.n;

	for (int i = 0; i < 2; i++) {
		const struct ne_shape *s = &lw->shape[n->in[i]];
		uint32_t missing = ys->rank - s->rank, stride = 1;

		for (uint32_t d = c.rank; d-- > 0;) {
			int32_t dim = d < missing ? 1 : s->dim[d - missing];

			c.dim[d] = (uint32_t)ys->dim[d];
			c.stride[i][d] = dim == 1 ? 0 : stride;
			stride *= (uint32_t)dim;
		}
	}
	return ne_lower_step(lw, run_matmul, &c, sizeof(c), rows, 1, (uint64_t)rows * c.n * c.k,
			     lw->y);
}
