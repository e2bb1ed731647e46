// SPDX-License-Identifier: MIT
/*
 * Writing entropy-coded s8 tensors.
 *
 * A tensor of a few thousand values cannot afford a table of 256 frequencies. Its table is a curve
 * instead: log weights at knots, linear in between, which fits the smooth distributions of trained
 * weights; a weight of its own for zero fits pruned ones, and a bitmap of the symbols that occur fits
 * clustered ones. The knots are chosen by dynamic programming over their 64 heights, so that table
 * and data together take the fewest bits. Arithmetic is on integers and on doubles without libm, so
 * the same values give the same bytes on every machine.
 *
 * Ownership: the encoded bytes are the caller's; work memory dies with each call.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/model/rans.h"

#define N_Q       (NEAP_RANS_Q_MAX + 1) /* 64 */
#define N_LOG     (8u * NEAP_RANS_Q_MAX + 1)
#define TABLE_MAX 1024u /* bytes: head 4, bitmap 32, 256 knots of at most 19 bits (rice 3) */

/* log2(v) in bits, to about 1e-6; v >= 1. By repeated squaring: the same on every machine. */
static double log2_of(uint64_t v)
{
	int whole = 63 - __builtin_clzll(v);
	uint64_t m = whole <= 31 ? v << (31 - whole) : v >> (whole - 31); /* [2^31, 2^32) */
	double r = whole, step = 0.5;

	for (int i = 0; i < 20; i++, step *= 0.5) {
		m = m * m >> 31;
		if (m >> 32) {
			m >>= 1;
			r += step;
		}
	}
	return r;
}

static unsigned rice_bits(int32_t delta, unsigned k)
{
	uint32_t z = delta < 0 ? 2 * (uint32_t)-delta - 1 : 2 * (uint32_t)delta;

	return (z >> k) + 1 + k;
}

static uint64_t knot_bits(const struct ne_rans_shape *s, unsigned k)
{
	uint32_t n = ne_rans_knots(s);
	uint64_t bits = 6;

	for (uint32_t i = 1; i < n; i++)
		bits += rice_bits(s->knot[i] - s->knot[i - 1], k);
	return bits;
}

static unsigned best_rice(const struct ne_rans_shape *s)
{
	unsigned best = 0;

	for (unsigned k = 1; k < 4; k++)
		if (knot_bits(s, k) < knot_bits(s, best))
			best = k;
	return best;
}

/* Work of the search, too large for the stack. */
struct search {
	uint64_t count[256]; /* by symbol + 128 */
	uint64_t n;
	double gain[256];    /* bits saved per 1/32 octave, by index in the alphabet */
	double price[N_LOG]; /* bits that a weight of 2^(l/32) costs all values */
	/* What all whole intervals of the spacing have in common, by the height at the end and at the
	 * start: the prices, and the bits of the difference in the table. */
	double whole[N_Q][N_Q];
	double cost[2][N_Q];
	uint8_t from[256][N_Q];
};

/*
 * The bits of the data are sum of count * (log2 W - l). The total weight W is the choice of the table;
 * linearised at the W where the most frequent symbol weighs 2^15, a weight costs n * 2^l / (W ln 2).
 */
static void search_prepare(struct search *w, const struct ne_rans_shape *s)
{
	uint64_t top = 1;
	double factor;

	for (uint32_t i = 0; i < 256; i++)
		top = NE_MAX(top, w->count[i]);
	factor = (double)top / 32768.0 / 0.6931471805599453 / 1024.0;
	for (uint32_t l = 0; l < N_LOG; l++)
		w->price[l] = (double)ne_rans_weight(l) * factor;
	for (uint32_t i = 0; i < s->n; i++)
		w->gain[i] = (double)w->count[s->symbol[i]] / 32.0;
}

static double symbol_cost(const struct search *w, const struct ne_rans_shape *s, uint32_t i,
			  uint32_t l)
{
	if (s->has_zero_q && s->symbol[i] == 128)
		return 0.0;
	return w->price[l] - w->gain[i] * (double)l;
}

/* Bits of the symbols from knot @k up to the next one, for the heights @a and @b of the two. */
static double interval_cost(const struct search *w, const struct ne_rans_shape *s, uint32_t k,
			    uint32_t a, uint32_t b)
{
	uint32_t spacing = 1u << s->spacing_log2, unit = 8u >> s->spacing_log2;
	double bits = 0.0;

	for (uint32_t j = 0; j < spacing; j++) {
		uint32_t i = (k << s->spacing_log2) + j;

		if (i >= s->n)
			break;
		bits += symbol_cost(w, s, i, ((spacing - j) * a + j * b) * unit);
	}
	return bits;
}

static unsigned rice_of(const struct ne_rans_shape *s)
{
	return s->spacing_log2 >= 2; /* the usual choice; the best is taken afterwards */
}

static void whole_prepare(struct search *w, const struct ne_rans_shape *s)
{
	const uint32_t spacing = 1u << s->spacing_log2, unit = 8u >> s->spacing_log2;

	for (uint32_t b = 0; b < N_Q; b++)
		for (uint32_t a = 0; a < N_Q; a++) {
			double bits = rice_bits((int32_t)b - (int32_t)a, rice_of(s));

			for (uint32_t j = 0; j < spacing; j++)
				bits += w->price[((spacing - j) * a + j * b) * unit];
			w->whole[b][a] = bits;
		}
}

/* All symbols up to the next knot are there and have their weights from the curve. */
static bool is_whole(const struct ne_rans_shape *s, uint32_t k)
{
	const uint32_t first = k << s->spacing_log2, end = first + (1u << s->spacing_log2);

	if (end > s->n)
		return false;
	for (uint32_t i = first; i < end && s->has_zero_q; i++)
		if (s->symbol[i] == 128)
			return false;
	return true;
}

/* The bits up to knot @k + 1 for each height @a of the one before and one height @b: @ret [N_Q]. */
static void costs_at(const struct search *w, const struct ne_rans_shape *s, uint32_t k, uint32_t b,
		     bool whole, const double *before, double *ret)
{
	if (whole) {
		for (uint32_t a = 0; a < N_Q; a++)
			ret[a] = before[a] + w->whole[b][a];
		return;
	}
	for (uint32_t a = 0; a < N_Q; a++)
		ret[a] = before[a] + rice_bits((int32_t)b - (int32_t)a, rice_of(s)) +
			 interval_cost(w, s, k, a, b);
}

/* Where the first of the least is. In four lanes, so that the compiler takes them at once. */
static uint32_t first_least(const double c[N_Q])
{
	double least[4] = {c[0], c[1], c[2], c[3]};
	uint32_t at = 0;

	for (uint32_t a = 4; a < N_Q; a += 4)
		for (uint32_t i = 0; i < 4; i++)
			least[i] = c[a + i] < least[i] ? c[a + i] : least[i];
	for (uint32_t i = 1; i < 4; i++)
		least[0] = NE_MIN(least[0], least[i]);
	while (at + 1 < N_Q && c[at] != least[0])
		at++;
	return at;
}

static void search_step(struct search *w, const struct ne_rans_shape *s, uint32_t k)
{
	const uint32_t spacing = 1u << s->spacing_log2, unit = 8u >> s->spacing_log2;
	const double *now = w->cost[k & 1u];
	double *next = w->cost[(k + 1) & 1u];
	double gain_a = 0.0, gain_b = 0.0; /* of a whole interval, for each of the knot's steps */
	double before[N_Q], c[N_Q];
	const bool whole = is_whole(s, k);

	if (whole)
		for (uint32_t j = 0; j < spacing; j++) {
			const double gain = w->gain[(k << s->spacing_log2) + j] * (double)unit;

			gain_a += gain * (double)(spacing - j);
			gain_b += gain * (double)j;
		}
	for (uint32_t a = 0; a < N_Q; a++)
		before[a] = now[a] - gain_a * (double)a;
	for (uint32_t b = 0; b < N_Q; b++) {
		uint32_t best;

		costs_at(w, s, k, b, whole, before, c);
		best = first_least(c);
		w->from[k + 1][b] = (uint8_t)best;
		next[b] = c[best] - gain_b * (double)b;
	}
}

/* Sets the knots (and zero's weight) of @s, whose alphabet, spacing and has_zero_q are given. */
static void search_knots(struct search *w, struct ne_rans_shape *s)
{
	uint32_t n = ne_rans_knots(s), q = 0;
	double *last;

	search_prepare(w, s);
	whole_prepare(w, s);
	memset(w->cost[0], 0, sizeof(w->cost[0]));
	for (uint32_t k = 0; k + 1 < n; k++)
		search_step(w, s, k);
	last = w->cost[(n - 1) & 1u];
	if ((n - 1) << s->spacing_log2 == s->n - 1)
		for (uint32_t a = 0; a < N_Q; a++)
			last[a] += symbol_cost(w, s, s->n - 1, 8 * a);
	for (uint32_t a = 1; a < N_Q; a++)
		if (last[a] < last[q])
			q = a;
	for (uint32_t k = n; k-- > 0;) {
		s->knot[k] = (uint8_t)q;
		if (k > 0)
			q = w->from[k][q];
	}
	if (s->has_zero_q) {
		double gain = (double)w->count[128] / 32.0;

		s->zero_q = 0;
		for (uint32_t a = 1; a < N_Q; a++)
			if (w->price[8 * a] - gain * 8.0 * a <
			    w->price[8 * s->zero_q] - gain * 8.0 * s->zero_q)
				s->zero_q = (uint8_t)a;
	}
}

/* Bits of the values under @t, or a negative number where it lacks a symbol. */
static double data_bits(const struct search *w, const struct ne_rans_table *t)
{
	double bits = 0.0;

	for (uint32_t i = 0; i < 256; i++) {
		if (w->count[i] == 0)
			continue;
		if (t->freq[i] == 0)
			return -1.0;
		bits += (double)w->count[i] * (NEAP_RANS_BITS - log2_of(t->freq[i]));
	}
	return bits;
}

static void alphabet_set(const struct search *w, struct ne_rans_shape *s, bool bitmap)
{
	uint32_t first = 0, last = 255;

	while (w->count[first] == 0)
		first++;
	while (w->count[last] == 0)
		last--;
	s->n = 0;
	for (uint32_t i = first; i <= last; i++)
		if (!bitmap || w->count[i] != 0)
			s->symbol[s->n++] = (uint8_t)i;
}

struct choice {
	struct ne_rans_shape shape;
	struct ne_rans_table table;
	bool bitmap;
	double bits; /* of table and values */
};

static void choice_try(struct search *w, struct choice *best, bool bitmap, unsigned spacing_log2,
		       bool zero)
{
	struct choice c = {.bitmap = bitmap};
	uint32_t span;

	alphabet_set(w, &c.shape, bitmap);
	c.shape.spacing_log2 = spacing_log2;
	c.shape.has_zero_q = zero;
	search_knots(w, &c.shape);
	ne_rans_frequencies(&c.shape, &c.table);
	span = (uint32_t)c.shape.symbol[c.shape.n - 1] - c.shape.symbol[0] + 1;
	c.bits = data_bits(w, &c.table) + 24.0 + 8.0 * zero + (bitmap ? span : 0) +
		 (double)knot_bits(&c.shape, best_rice(&c.shape));
	if (best->shape.n == 0 || c.bits < best->bits)
		*best = c;
}

static void choice_search(struct search *w, struct choice *best)
{
	struct ne_rans_shape dense = {0}, packed = {0};

	alphabet_set(w, &dense, false);
	alphabet_set(w, &packed, true);
	for (unsigned spacing = 0; spacing < 4; spacing++)
		for (int zero = 0; zero <= (w->count[128] != 0); zero++) {
			choice_try(w, best, false, spacing, zero);
			if (packed.n < dense.n)
				choice_try(w, best, true, spacing, zero);
		}
}

struct bit_writer {
	uint8_t *data;
	size_t at; /* in bits */
};

static void bits_put(struct bit_writer *b, uint32_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++, b->at++)
		b->data[b->at / 8] |= (uint8_t)((v >> i & 1u) << (b->at % 8));
}

/* @dst is zeroed and large enough; returns bytes. */
static size_t table_write(const struct choice *c, uint8_t *dst)
{
	const struct ne_rans_shape *s = &c->shape;
	uint32_t first = s->symbol[0], last = s->symbol[s->n - 1], n = ne_rans_knots(s), at = 0;
	unsigned rice = best_rice(s);
	struct bit_writer b = {.data = dst};

	bits_put(&b,
		 s->spacing_log2 | rice << 2 | (c->bitmap ? 16u : 0) | (s->has_zero_q ? 32u : 0),
		 8);
	bits_put(&b, first ^ 128u, 8);
	bits_put(&b, last ^ 128u, 8);
	if (s->has_zero_q)
		bits_put(&b, s->zero_q, 8);
	for (uint32_t i = first; c->bitmap && i <= last; i++) {
		bits_put(&b, s->symbol[at] == i, 1);
		at += s->symbol[at] == i;
	}
	b.at = ne_round_up(b.at, 8);
	bits_put(&b, s->knot[0], 6);
	for (uint32_t i = 1; i < n; i++) {
		int32_t d = s->knot[i] - s->knot[i - 1];
		uint32_t z = d < 0 ? 2 * (uint32_t)-d - 1 : 2 * (uint32_t)d;

		for (uint32_t k = 0; k < z >> rice; k++)
			bits_put(&b, 1, 1);
		bits_put(&b, 0, 1);
		bits_put(&b, z & ((1u << rice) - 1), rice);
	}
	return ne_round_up(b.at, 8) / 8;
}

/* From the last value to the first, so that the reader meets them in order. Words are put down from
 * the end of @dst; returns where the stream begins. */
static size_t values_write(const struct ne_rans_table *t, const int8_t *src, size_t n, uint8_t *dst,
			   size_t cap)
{
	uint32_t start[256], sum = 0, x = NEAP_RANS_LOW;
	size_t at = cap;

	for (uint32_t i = 0; i < 256; i++) {
		start[i] = sum;
		sum += t->freq[i];
	}
	for (size_t i = n; i-- > 0;) {
		uint32_t sym = (uint32_t)(src[i] + 128), f = t->freq[sym];

		/* the state must stay below 2^32 after the step */
		if (x >= (uint64_t)f << (32 - NEAP_RANS_BITS)) {
			dst[--at] = (uint8_t)(x >> 8);
			dst[--at] = (uint8_t)x;
			x >>= 16;
		}
		x = (x / f << NEAP_RANS_BITS) + x % f + start[sym];
	}
	for (int shift = 24; shift >= 0; shift -= 8)
		dst[--at] = (uint8_t)(x >> shift);
	return at;
}

int ne_rans_encode(const struct ne_rans_tables *known, const int8_t *src, size_t n, uint8_t **ret,
		   size_t *ret_bytes)
{
	struct choice best = {0};
	uint8_t head[1 + TABLE_MAX] = {0};
	size_t head_bytes = 1, cap = 2 * n + 4, at;
	uint8_t *out;
	struct search *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->n = n;
	for (size_t i = 0; i < n; i++)
		w->count[src[i] + 128]++;
	choice_search(w, &best);
	for (uint32_t i = 0; i < known->n; i++) {
		double bits = data_bits(w, &known->table[i]);

		if (bits >= 0.0 && bits < best.bits) {
			best.bits = bits;
			best.table = known->table[i];
			head[0] = (uint8_t)(i + 1);
		}
	}
	free(w);
	if (head[0] == 0)
		head_bytes += table_write(&best, head + 1);
	out = malloc(head_bytes + cap);
	if (!out)
		return -ENOMEM;
	at = values_write(&best.table, src, n, out + head_bytes, cap);
	memcpy(out, head, head_bytes);
	memmove(out + head_bytes, out + head_bytes + at, cap - at);
	*ret = out;
	*ret_bytes = head_bytes + cap - at;
	return 0;
}

void ne_rans_keep(struct ne_rans_tables *known, const uint8_t *data, size_t bytes)
{
	struct ne_rans_table t;

	if (bytes < 1 || data[0] != 0 || known->n == NEAP_RANS_KEPT)
		return;
	if (ne_rans_table_parse(data + 1, bytes - 1, &t, NULL) >= 0)
		known->table[known->n++] = t;
}
