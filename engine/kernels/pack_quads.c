/* SPDX-License-Identifier: MIT */
/*
 * Packing of weights for conv_quads_s8: the inputs of a window are covered by quads of four, at any
 * offset, so that no pair of products passes 16 bits (table.h). The caller owns all arrays.
 *
 * A pair of weights is safe where its sum is within -128 to 128: inputs are 0 to 255, so that the
 * largest product sum is 255 times that, or of one weight alone. A weight beside a zero is always
 * safe. So a quad takes both its pairs, or one pair and a weight, or where its first pair is not
 * safe starts a place earlier, with a zero. Taking as many inputs as possible each time gives the
 * fewest quads, for what covers the rest of a run covers any later part of it too.
 */
#include <string.h>

#include "engine/kernels/table.h"

#define QUAD_OC 8u /* output channels of a block */

/* A run of @n inputs: weights of output channel o of the block from w + o * stride. */
struct run {
	const int8_t *w;
	size_t stride;
	uint32_t oc, n;
};

static bool is_safe(const struct run *r, uint32_t i)
{
	bool safe = true;

	if (i + 1 >= r->n)
		return true;
	for (uint32_t o = 0; o < r->oc; o++) {
		const int8_t *w = r->w + o * r->stride + i;
		const int sum = w[0] + w[1];

		safe &= sum <= 128 && sum >= -128;
	}
	return safe;
}

/* The quad that covers inputs from @i on: where it starts; returns the first that it does not. */
static uint32_t next_quad(const struct run *r, uint32_t i, uint32_t *ret_at)
{
	uint32_t end;

	*ret_at = i;
	if (is_safe(r, i)) {
		end = is_safe(r, i + 2) ? i + 4 : i + 3;
	} else if (i) {
		*ret_at = i - 1;
		end = is_safe(r, i + 1) ? i + 3 : i + 2;
	} else {
		end = 1;
	}
	return NE_MIN(end, r->n);
}

static void put_quad(int8_t *dst, const struct run *r, uint32_t at, uint32_t from, uint32_t end)
{
	memset(dst, 0, NE_QUAD_BYTES);
	for (uint32_t o = 0; o < r->oc; o++)
		for (uint32_t i = from; i < end; i++)
			dst[o * 4 + i - at] = r->w[o * r->stride + i];
}

uint32_t ne_pack_quads(const struct ne_quads_shape *s, const int8_t *w, uint32_t *first,
		       int32_t *offset, int8_t *dst)
{
	uint32_t n = 0;

	for (uint32_t o = 0; o < s->oc; o += QUAD_OC) {
		if (first)
			*first++ = n;
		for (uint32_t t = 0; t < s->runs; t++) {
			const struct run r = {
				.w = w + ((size_t)o * s->runs + t) * s->n,
				.stride = (size_t)s->runs * s->n,
				.oc = NE_MIN(QUAD_OC, s->oc - o),
				.n = s->n,
			};

			for (uint32_t i = 0, end, at; i < r.n; i = end, n++) {
				end = next_quad(&r, i, &at);
				if (dst) {
					put_quad(dst + (size_t)n * NE_QUAD_BYTES, &r, at, i, end);
					offset[n] = s->run_offset[t] + (int32_t)at;
				}
			}
		}
	}
	if (first)
		*first = n;
	return n;
}
