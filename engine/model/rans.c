// SPDX-License-Identifier: MIT
/*
 * Reading entropy-coded s8 tensors: the table, then the values. Every byte is hostile: reads are
 * bounded by the payload, and a stream is accepted only if it ends exactly where and in the state
 * that an encoder leaves. The tables belong to the caller.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/model/rans.h"

/* round(2^(j / 32) * 2^10) */
static const uint16_t exp2_32[32] = {
	1024, 1046, 1069, 1093, 1117, 1141, 1166, 1192, 1218, 1244, 1272,
	1300, 1328, 1357, 1387, 1417, 1448, 1480, 1512, 1545, 1579, 1614,
	1649, 1685, 1722, 1760, 1798, 1838, 1878, 1919, 1961, 2004,
};

uint32_t ne_rans_weight(uint32_t l)
{
	return (uint32_t)exp2_32[l & 31u] << (l >> 5);
}

uint32_t ne_rans_knots(const struct ne_rans_shape *s)
{
	uint32_t spacing = 1u << s->spacing_log2;

	return (s->n - 1 + spacing - 1) / spacing + 1;
}

uint32_t ne_rans_log_weight(const struct ne_rans_shape *s, uint32_t i)
{
	uint32_t spacing = 1u << s->spacing_log2;
	uint32_t k = i >> s->spacing_log2, j = i & (spacing - 1);
	/* a quarter of an octave is 8/32: exact for every spacing up to 8 */
	uint32_t unit = 8u >> s->spacing_log2;

	if (j == 0)
		return 8u * s->knot[k];
	return ((spacing - j) * s->knot[k] + j * s->knot[k + 1]) * unit;
}

void ne_rans_frequencies(const struct ne_rans_shape *s, struct ne_rans_table *ret)
{
	uint64_t w[256], sum = 0;
	uint32_t total = 0, largest = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t l = ne_rans_log_weight(s, i);

		if (s->has_zero_q && s->symbol[i] == 128)
			l = 8u * s->zero_q;
		w[i] = ne_rans_weight(l);
		sum += w[i];
		if (w[i] > w[largest])
			largest = i;
	}
	memset(ret, 0, sizeof(*ret));
	for (uint32_t i = 0; i < s->n; i++) { /* one each first: every symbol stays codable */
		uint32_t f = 1 + (uint32_t)(w[i] * (NEAP_RANS_SUM - s->n) / sum);

		ret->freq[s->symbol[i]] = (uint16_t)f;
		total += f;
	}
	ret->freq[s->symbol[largest]] =
		(uint16_t)(ret->freq[s->symbol[largest]] + NEAP_RANS_SUM - total);
}

/* Bits from the lowest of each byte up; reading beyond the end sets `over`. */
struct bits {
	const uint8_t *data;
	size_t at, end; /* in bits */
	bool over;
};

/* @n: 0 to 8. */
static uint32_t bits_take(struct bits *b, unsigned n)
{
	const size_t byte = b->at / 8;
	uint32_t v;

	if (n > b->end - b->at) {
		b->at = b->end;
		b->over = true;
		return 0;
	}
	if (n == 0)
		return 0;
	v = b->data[byte];
	if (b->at % 8 + n > 8) /* then the next byte is there */
		v |= (uint32_t)b->data[byte + 1] << 8;
	v = v >> b->at % 8 & ((1u << n) - 1);
	b->at += n;
	return v;
}

static int knots_parse(struct bits *b, unsigned rice, struct ne_rans_shape *s, struct ne_error *err)
{
	uint32_t n = ne_rans_knots(s);
	int32_t q = (int32_t)bits_take(b, 6);

	s->knot[0] = (uint8_t)q;
	for (uint32_t i = 1; i < n; i++) {
		uint32_t z = 0;

		while (bits_take(b, 1))
			if (++z > 2 * NEAP_RANS_Q_MAX)
				return ne_fail(err, EBADMSG, "rANS table: knot %u out of range", i);
		z = z << rice | bits_take(b, rice);
		q += z & 1u ? -(int32_t)(z / 2) - 1 : (int32_t)(z / 2);
		if (q < 0 || q > (int32_t)NEAP_RANS_Q_MAX)
			return ne_fail(err, EBADMSG, "rANS table: knot %u out of range", i);
		s->knot[i] = (uint8_t)q;
	}
	while (b->at % 8)
		if (bits_take(b, 1))
			return ne_fail(err, EBADMSG, "rANS table: padding bits are set");
	if (b->over)
		return ne_fail(err, EBADMSG, "rANS table: cut short");
	return 0;
}

long ne_rans_table_parse(const uint8_t *data, size_t bytes, struct ne_rans_table *ret,
			 struct ne_error *err)
{
	struct ne_rans_shape s = {0};
	struct bits b = {.data = data, .end = bytes * 8};
	uint8_t head;
	uint32_t first, last;
	bool has_zero = false;

	head = (uint8_t)bits_take(&b, 8);
	first = bits_take(&b, 8) ^ 128u;
	last = bits_take(&b, 8) ^ 128u;
	s.spacing_log2 = head & 3u;
	s.has_zero_q = head & 32u;
	if (s.has_zero_q)
		s.zero_q = (uint8_t)bits_take(&b, 8);
	if (b.over)
		return ne_fail(err, EBADMSG, "rANS table: cut short");
	if (head & 0xc0u || s.zero_q > NEAP_RANS_Q_MAX)
		return ne_fail(err, EBADMSG, "rANS table: head out of range");
	if (first > last)
		return ne_fail(err, EBADMSG, "rANS table: first symbol after the last");
	for (uint32_t i = first; i <= last; i++) {
		bool present = head & 16u ? bits_take(&b, 1) : true;

		if (present)
			s.symbol[s.n++] = (uint8_t)i;
		if (!present && (i == first || i == last))
			return ne_fail(err, EBADMSG, "rANS table: first or last symbol absent");
		has_zero |= present && i == 128;
	}
	while (b.at % 8)
		if (bits_take(&b, 1))
			return ne_fail(err, EBADMSG, "rANS table: padding bits are set");
	if (s.has_zero_q && !has_zero)
		return ne_fail(err, EBADMSG, "rANS table: a weight for zero, which is absent");
	NE_RETURN_IF(knots_parse(&b, head >> 2 & 3u, &s, err));
	ne_rans_frequencies(&s, ret);
	return (long)(b.at / 8);
}

/* For each of the 2^14 slots its symbol, and where each symbol's slots begin. */
struct slots {
	uint8_t symbol[NEAP_RANS_SUM];
	uint16_t start[256];
};

static void slots_fill(struct slots *s, const struct ne_rans_table *t)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < 256; i++) {
		s->start[i] = (uint16_t)at;
		memset(s->symbol + at, (int)i, t->freq[i]);
		at += t->freq[i];
	}
}

static int decode_values(const struct slots *s, const struct ne_rans_table *t, const uint8_t *data,
			 size_t bytes, int8_t *dst, size_t n, struct ne_error *err)
{
	size_t at = 4;
	uint32_t x;

	if (bytes < 4)
		return ne_fail(err, EBADMSG, "rANS stream: cut short");
	x = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
	    (uint32_t)data[3] << 24;
	if (x < NEAP_RANS_LOW)
		return ne_fail(err, EBADMSG, "rANS stream: first state out of range");
	for (size_t i = 0; i < n; i++) {
		uint32_t slot = x & (NEAP_RANS_SUM - 1);
		uint8_t sym = s->symbol[slot];

		dst[i] = (int8_t)((int)sym - 128);
		/* freq <= 2^14 and x >> 14 < 2^18: no overflow */
		x = t->freq[sym] * (x >> NEAP_RANS_BITS) + slot - s->start[sym];
		if (x < NEAP_RANS_LOW) {
			if (bytes - at < 2)
				return ne_fail(err, EBADMSG,
					       "rANS stream: ends at value %zu of %zu", i, n);
			x = x << 16 | (uint32_t)data[at] | (uint32_t)data[at + 1] << 8;
			at += 2;
		}
	}
	if (at != bytes || x != NEAP_RANS_LOW)
		return ne_fail(err, EBADMSG, "rANS stream: does not end where its values do");
	return 0;
}

int ne_rans_table_take(struct ne_rans_tables *known, const uint8_t *data, size_t bytes,
		       struct ne_rans_table *ret, size_t *ret_bytes, struct ne_error *err)
{
	long used = 0;

	if (bytes < 1)
		return ne_fail(err, EBADMSG, "rANS stream: empty");
	if (data[0] > known->n)
		return ne_fail(err, EBADMSG, "rANS stream: table %u of %u", data[0], known->n);
	if (data[0]) {
		*ret = known->table[data[0] - 1];
	} else {
		used = ne_rans_table_parse(data + 1, bytes - 1, ret, err);
		if (used < 0)
			return (int)used;
		if (known->n < NEAP_RANS_KEPT)
			known->table[known->n++] = *ret;
	}
	*ret_bytes = 1 + (size_t)used;
	return 0;
}

int ne_rans_decode(struct ne_rans_tables *known, const uint8_t *data, size_t bytes, int8_t *dst,
		   size_t n, struct ne_error *err)
{
	struct ne_rans_table t;
	struct slots *slots;
	size_t at = 0;
	int r;

	NE_RETURN_IF(ne_rans_table_take(known, data, bytes, &t, &at, err));
	slots = malloc(sizeof(*slots));
	if (!slots)
		return ne_fail(err, ENOMEM, "no memory for rANS slots");
	slots_fill(slots, &t);
	r = decode_values(slots, &t, data + at, bytes - at, dst, n, err);
	free(slots);
	return r;
}
