/* SPDX-License-Identifier: MIT */
/*
 * Broadcasting operands from the right.
 *
 * The output is walked as outer iterations of one contiguous inner run: trailing axes join the run
 * as long as each operand either has them whole or lacks all of them. An operand that lacks the
 * run is one value for all of it.
 */
#ifndef NE_BROADCAST_H
#define NE_BROADCAST_H

#include "engine/model/graph.h"

struct ne_lower;

#define NE_BROADCAST_MAX 3u

struct ne_broadcast {
	uint32_t n_outer;          /* axes */
	uint32_t dim[NE_MAX_RANK]; /* of the outer axes */
	uint32_t inner;            /* elements of the run */
	struct ne_operand {
		uint32_t stride[NE_MAX_RANK]; /* elements, of the outer axes; 0 = broadcast */
		bool spread;                  /* one value for the whole run */
	} in[NE_BROADCAST_MAX];
};

/* The shape that @n operands give; -EINVAL with the first axis that does not fit. */
int ne_broadcast_shape(const struct ne_shape *in, uint32_t n, struct ne_shape *ret,
		       uint32_t *ret_axis);

/* How tensors @t [n] lie against the output's shape @y at this level. */
void ne_broadcast_plan(const struct ne_lower *lw, const uint32_t *t, uint32_t n,
		       const struct ne_shape *y, struct ne_broadcast *ret);

/* Element of operand @k at which outer iteration @i starts. */
static inline size_t ne_broadcast_at(const struct ne_broadcast *b, uint32_t k, uint32_t i)
{
	size_t at = 0;

	for (uint32_t d = b->n_outer; d-- > 0; i /= b->dim[d])
		at += (size_t)(i % b->dim[d]) * b->in[k].stride[d];
	return at;
}

#endif
