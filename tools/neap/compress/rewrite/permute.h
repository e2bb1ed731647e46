/* SPDX-License-Identifier: MIT */
/* Permutations of axes: out.dim[i] = in.dim[perm[i]], as NE_OP_TRANSPOSE has them. */
#ifndef NEAP_REWRITE_PERMUTE_H
#define NEAP_REWRITE_PERMUTE_H

#include "engine/model/graph.h"

void permute_shape(const struct ne_shape *in, const int32_t *perm, struct ne_shape *ret);
void permute_inverse(const int32_t *perm, uint32_t rank, int32_t *ret);
bool permute_is_identity(const int32_t *perm, uint32_t rank);
/* True where the order of the elements in memory stays: only axes of length 1 move. */
bool permute_is_free(const struct ne_shape *in, const int32_t *perm);
/* dst[k] = index in the input of the k-th element of the output; freed with free(); NULL: memory. */
uint32_t *permute_index(const struct ne_shape *in, const int32_t *perm);

#endif
