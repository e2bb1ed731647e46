/* SPDX-License-Identifier: MIT */
/*
 * Packing of weights for conv_quads_s8: the inputs of a window are covered by quads of four, at any
 * offset, so that no pair of products passes 16 bits (table.h); then quads are matched in twos whose
 * sums do not either. The caller owns all arrays.
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

/* ---- twos ---- */

#define MOST_QUADS 256u /* that are matched among themselves; more of a block are the next ones */
#define TRIES      8u   /* for a partner */
#define SAMPLES    4u   /* blocks that tell how many twos there are */
#define MOST_SUM   128  /* of weights of one sign in a lane of 16 bits */

struct quad {
	_Alignas(16) uint8_t sum[32]; /* positive and negative weights of 16 pairs */
	int8_t w[NE_QUAD_BYTES];
	int32_t offset;
	uint32_t weight; /* sum of |w| */
};

/* Quads of a block on their way to it: twos go to its front, what is left over to its back. */
struct block {
	uint32_t n;
	struct quad quad[MOST_QUADS];
	uint8_t order[MOST_QUADS]; /* the heaviest first */
	uint32_t front, back;      /* where the next ones go */
	int32_t *offset;           /* NULL where they are only counted */
	int8_t *dst;
};

static void put_quad(struct quad *q, const struct run *r, uint32_t at, uint32_t from, uint32_t end)
{
	memset(q, 0, sizeof(*q));
	for (uint32_t o = 0; o < r->oc; o++)
		for (uint32_t i = from; i < end; i++) {
			const int v = r->w[o * r->stride + i];
			const uint32_t place = o * 4 + i - at;

			q->w[place] = (int8_t)v;
			q->sum[place / 2 + (v < 0 ? 16 : 0)] += (uint8_t)(v < 0 ? -v : v);
			q->weight += (uint32_t)(v < 0 ? -v : v);
		}
}

typedef uint8_t lanes __attribute__((vector_size(16), may_alias));

static inline bool fit(const struct quad *a, const struct quad *b)
{
	const lanes *x = (const void *)a->sum, *y = (const void *)b->sum;
	const lanes most = (lanes){0} + MOST_SUM; /* which neither is above */
	const lanes over = (lanes)(x[0] > most - y[0]) | (lanes)(x[1] > most - y[1]);
	uint64_t bits[2];

	memcpy(bits, &over, sizeof(bits));
	return !(bits[0] | bits[1]);
}

static void write_quad(struct block *b, uint32_t at, const struct quad *q)
{
	if (!b->dst)
		return;
	memcpy(b->dst + (size_t)at * NE_QUAD_BYTES, q->w, NE_QUAD_BYTES);
	b->offset[at] = q->offset;
}

/* By falling weight: a counting sort on its upper bits. */
static void sort(struct block *b)
{
	uint32_t start[65] = {0};

	for (uint32_t i = 0; i < b->n; i++)
		start[64 - b->quad[i].weight / 65]++; /* weight is at most 32 * 128 */
	for (uint32_t k = 0, at = 0; k < 65; k++) {
		const uint32_t n = start[k];

		start[k] = at;
		at += n;
	}
	for (uint32_t i = 0; i < b->n; i++)
		b->order[start[64 - b->quad[i].weight / 65]++] = (uint8_t)i;
}

/* The heaviest with the lightest that fits, until all are gone. */
static void match(struct block *b)
{
	uint32_t n = b->n;

	sort(b);
	for (uint32_t i = 0; i < n; i++) {
		const struct quad *q = &b->quad[b->order[i]];
		uint32_t k = n - 1;

		while (k > i && n - k <= TRIES && !fit(q, &b->quad[b->order[k]]))
			k--;
		if (k > i && n - k <= TRIES) {
			write_quad(b, b->front++, q);
			write_quad(b, b->front++, &b->quad[b->order[k]]);
			n--;
			memmove(b->order + k, b->order + k + 1, n - k);
		} else {
			write_quad(b, --b->back, q);
		}
	}
	b->n = 0;
}

/* The quads of a run, added to @b unless that is NULL; returns how many. */
static uint32_t walk_run(const struct run *r, int32_t offset, struct block *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0, end, at; i < r->n; i = end, n++) {
		end = next_quad(r, i, &at);
		if (!b)
			continue;
		if (b->n == MOST_QUADS)
			match(b);
		put_quad(&b->quad[b->n], r, at, i, end);
		b->quad[b->n++].offset = offset + (int32_t)at;
	}
	return n;
}

static uint32_t walk_block(const struct ne_quads_shape *s, const int8_t *w, uint32_t o,
			   struct block *b)
{
	uint32_t n = 0;

	for (uint32_t t = 0; t < s->runs; t++) {
		const struct run r = {
			.w = w + ((size_t)o * s->runs + t) * s->n,
			.stride = (size_t)s->runs * s->n,
			.oc = NE_MIN(QUAD_OC, s->oc - o),
			.n = s->n,
		};

		n += walk_run(&r, s->run_offset[t], b);
	}
	return n;
}

uint32_t ne_count_quads(const struct ne_quads_shape *s, const int8_t *w, uint32_t *ret_twos)
{
	const uint32_t blocks = (s->oc + QUAD_OC - 1) / QUAD_OC;
	const uint32_t step = NE_MAX(blocks / SAMPLES, 1u);
	uint32_t n = 0, sampled = 0, twos = 0;
	struct block b = {.n = 0};

	for (uint32_t i = 0; i < blocks; i++) {
		const bool sample = i % step == 0;
		const uint32_t quads = walk_block(s, w, i * QUAD_OC, sample ? &b : NULL);

		n += quads;
		if (!sample)
			continue;
		sampled += quads;
		b.front = 0;
		b.back = quads;
		match(&b);
		twos += b.front / 2;
	}
	*ret_twos = sampled ? (uint32_t)((uint64_t)twos * n / sampled) : 0;
	return n;
}

void ne_pack_quads(const struct ne_quads_shape *s, const int8_t *w, uint32_t *first,
		   int32_t *offset, int8_t *dst)
{
	struct block b = {.offset = offset, .dst = dst};
	uint32_t n = 0;

	for (uint32_t o = 0; o < s->oc; o += QUAD_OC) {
		const uint32_t end = n + walk_block(s, w, o, NULL);

		b.front = n;
		b.back = end;
		walk_block(s, w, o, &b);
		match(&b);
		*first++ = n;
		*first++ = b.front;
		n = end;
	}
	*first = n;
}
