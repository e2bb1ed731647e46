/* SPDX-License-Identifier: MIT */
#include "tools/neap/compress/rewrite/permute.h"

#include <stdlib.h>

void permute_shape(const struct ne_shape *in, const int32_t *perm, struct ne_shape *ret)
{
	struct ne_shape out = {.rank = in->rank};

	for (uint32_t i = 0; i < in->rank; i++)
		out.dim[i] = in->dim[perm[i]];
	*ret = out;
}

void permute_inverse(const int32_t *perm, uint32_t rank, int32_t *ret)
{
	for (uint32_t i = 0; i < rank; i++)
		ret[perm[i]] = (int32_t)i;
}

bool permute_is_identity(const int32_t *perm, uint32_t rank)
{
	for (uint32_t i = 0; i < rank; i++)
		if (perm[i] != (int32_t)i)
			return false;
	return true;
}

bool permute_is_free(const struct ne_shape *in, const int32_t *perm)
{
	int32_t last = -1;

	for (uint32_t i = 0; i < in->rank; i++) {
		if (in->dim[perm[i]] == 1)
			continue;
		if (perm[i] < last)
			return false;
		last = perm[i];
	}
	return true;
}

uint32_t *permute_index(const struct ne_shape *in, const int32_t *perm)
{
	size_t total = ne_shape_elements(in), stride[NE_MAX_RANK], s = 1;
	int32_t at[NE_MAX_RANK] = {0};
	uint32_t *index = malloc((total + 1) * sizeof(*index));
	struct ne_shape out;

	if (!index)
		return NULL;
	permute_shape(in, perm, &out);
	for (uint32_t i = in->rank; i-- > 0;) {
		stride[i] = s;
		s *= (size_t)in->dim[i];
	}
	for (size_t k = 0; k < total; k++) {
		size_t from = 0;

		for (uint32_t i = 0; i < in->rank; i++)
			from += (size_t)at[i] * stride[perm[i]];
		index[k] = (uint32_t)from;
		for (uint32_t i = in->rank; i-- > 0;) {
			if (++at[i] < out.dim[i])
				break;
			at[i] = 0;
		}
	}
	return index;
}
