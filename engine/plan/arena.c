/* SPDX-License-Identifier: MIT */
/*
 * The arena: activations whose lifetimes overlap never overlap in memory. Greedy by size, the
 * largest first, each at the lowest offset that is free for its lifetime (Pisarchyk and Lee,
 * "Efficient Memory Management for Deep Neural Net Inference", 2020).
 */
#include "engine/plan/plan.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
	const struct ne_arena_item *x = *(const struct ne_arena_item *const *)a;
	const struct ne_arena_item *y = *(const struct ne_arena_item *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x < y ? -1 : x > y; /* the same plan on every machine */
}

static size_t place(struct ne_arena_item *const *placed, uint32_t n, const struct ne_arena_item *it)
{
	size_t at = 0;

	/* placed[] is sorted by offset: the first gap that holds the item */
	for (uint32_t i = 0; i < n; i++) {
		const struct ne_arena_item *p = placed[i];

		if (p->last < it->first || it->last < p->first)
			continue;
		if (p->offset >= at && p->offset - at >= it->bytes)
			break;
		at = NE_MAX(at, p->offset + p->bytes);
	}
	return at;
}

int ne_arena_plan(struct ne_arena_item *items, uint32_t n, size_t *ret_bytes)
{
	struct ne_arena_item **order = calloc(2 * (size_t)n + 1, sizeof(*order));
	struct ne_arena_item **placed = order + n;
	size_t top = 0;
	int r = 0;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (items[i].bytes > NE_MAX_ARENA_BYTES) {
			r = -E2BIG;
			goto out;
		}
		items[i].bytes = ne_round_up(items[i].bytes, NE_ALIGN);
		order[i] = &items[i];
	}
	qsort(order, n, sizeof(*order), by_size);
	for (uint32_t i = 0; i < n; i++) {
		struct ne_arena_item *it = order[i];
		uint32_t k = i;

		it->offset = place(placed, i, it);
		if (it->offset > NE_MAX_ARENA_BYTES - it->bytes) {
			r = -E2BIG;
			goto out;
		}
		top = NE_MAX(top, it->offset + it->bytes);
		for (; k && placed[k - 1]->offset > it->offset; k--)
			placed[k] = placed[k - 1];
		placed[k] = it;
	}
	*ret_bytes = top;
out:
	free(order);
	return r;
}
