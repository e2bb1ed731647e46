/* SPDX-License-Identifier: MIT */
/* Broadcasting; see broadcast.h. */
#include "engine/op/broadcast.h"

#include "engine/plan/plan.h"

/* Dimension of @s at the place of axis @axis of a shape of @rank: 1 where it has none. */
static int32_t aligned_dim(const struct ne_shape *s, uint32_t rank, uint32_t axis)
{
	uint32_t missing = rank - s->rank;

	return axis < missing ? 1 : s->dim[axis - missing];
}

int ne_broadcast_shape(const struct ne_shape *in, uint32_t n, struct ne_shape *ret,
		       uint32_t *ret_axis)
{
	struct ne_shape y = {0};

	for (uint32_t k = 0; k < n; k++)
		y.rank = NE_MAX(y.rank, in[k].rank);
	for (uint32_t i = 0; i < y.rank; i++) {
		y.dim[i] = 1;
		for (uint32_t k = 0; k < n; k++) {
			int32_t d = aligned_dim(&in[k], y.rank, i);

			if (d != 1 && y.dim[i] != 1 && d != y.dim[i]) {
				*ret_axis = i;
				return -EINVAL;
			}
			y.dim[i] = d == 1 ? y.dim[i] : d;
		}
	}
	*ret = y;
	return 0;
}

/* How an operand lies against the output's axes. */
struct layout {
	int32_t dim[NE_MAX_RANK];   /* at this level */
	size_t stride[NE_MAX_RANK]; /* in its storage, which is full width for constants */
};

static void lay_out(const struct ne_lower *lw, uint32_t tensor, const struct ne_shape *y,
		    struct layout *ret)
{
	const struct ne_tensor *t = &lw->g->tensor[tensor];
	const struct ne_shape *stored = t->data ? &t->shape : &lw->shape[tensor];
	size_t stride = 1;

	for (uint32_t i = y->rank; i-- > 0;) {
		int32_t d = aligned_dim(stored, y->rank, i);

		/* a constant's last axis is cut to what the output has */
		ret->dim[i] = d == 1 ? 1 : y->dim[i];
		ret->stride[i] = stride;
		stride *= (size_t)d;
	}
}

void ne_broadcast_plan(const struct ne_lower *lw, const uint32_t *t, uint32_t n,
		       const struct ne_shape *y, struct ne_broadcast *ret)
{
	struct layout l[NE_BROADCAST_MAX];
	bool whole[NE_BROADCAST_MAX] = {false};
	uint32_t axis = y->rank;
	size_t inner = 1;

	for (uint32_t k = 0; k < n; k++)
		lay_out(lw, t[k], y, &l[k]);
	for (; axis; axis--) {
		uint32_t i = axis - 1;
		bool fits = true;

		if (y->dim[i] == 1)
			continue;
		for (uint32_t k = 0; k < n; k++) {
			bool has = l[k].dim[i] != 1;

			if (inner == 1) /* the first axis of the run decides */
				whole[k] = has;
			fits = fits && has == whole[k] && (!has || l[k].stride[i] == inner);
		}
		if (!fits)
			break;
		inner *= (size_t)y->dim[i];
	}
	*ret = (struct ne_broadcast){.n_outer = axis, .inner = (uint32_t)inner};
	for (uint32_t k = 0; k < n; k++) {
		ret->in[k].spread = inner > 1 && !whole[k];
		for (uint32_t i = 0; i < axis; i++)
			ret->in[k].stride[i] = l[k].dim[i] == 1 ? 0 : (uint32_t)l[k].stride[i];
	}
	for (uint32_t i = 0; i < axis; i++)
		ret->dim[i] = (uint32_t)y->dim[i];
}
