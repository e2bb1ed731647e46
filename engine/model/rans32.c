// SPDX-License-Identifier: MIT
/*
 * The interleaved form of entropy-coded s8 tensors: 32 states in turn, or 4 for small ones, so that a
 * CPU works on many values at once. Written with the table that the plain form found, whose frequencies it makes
 * coarser: then symbol, frequency and place of a slot fit into 32 bits, and one look into one table
 * is all that a value takes. Bounds are as strict as those of the plain form (rans.c). Tables and
 * values belong to the caller.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/kernels/table.h"
#include "engine/model/rans.h"

_Static_assert(NE_RANS32 == NEAP_RANS32_STATES && NE_RANS32_LOW == NEAP_RANS_LOW,
	       "the kernel's format is the file's");

#define STATE_BYTES(lanes) (4 * (size_t)(lanes))

/* Frequencies that sum to 2^@bits; returns the largest. */
static uint32_t coarser(const struct ne_rans_table *t, unsigned bits, uint16_t freq[256])
{
	uint32_t n = 0, largest = 0, sum = 0;

	for (uint32_t i = 0; i < 256; i++) {
		n += t->freq[i] != 0;
		if (t->freq[i] > t->freq[largest])
			largest = i;
	}
	for (uint32_t i = 0; i < 256; i++) {
		freq[i] = 0;
		if (t->freq[i]) /* 14 bits times 13 bits: no overflow */
			freq[i] = (uint16_t)(1 + (t->freq[i] - 1u) * ((1u << bits) - n) /
							 (NEAP_RANS_SUM - n));
		sum += freq[i];
	}
	freq[largest] = (uint16_t)(freq[largest] + (1u << bits) - sum);
	return freq[largest];
}

unsigned ne_rans32_frequencies(const struct ne_rans_table *t, uint16_t freq[256])
{
	if (coarser(t, NEAP_RANS32_BITS, freq) <= NEAP_RANS32_FREQ_MAX)
		return NEAP_RANS32_BITS;
	coarser(t, NEAP_RANS32_BITS_MIN, freq);
	return NEAP_RANS32_BITS_MIN;
}

static void slots_fill(uint32_t *slot, const uint16_t freq[256])
{
	for (uint32_t i = 0; i < 256; i++) {
		const uint32_t entry = (i ^ 128u) | (freq[i] - 1u) << 8;

		for (uint32_t k = 0; k < freq[i]; k++)
			*slot++ = entry | k << 20;
	}
}

/* After the table: the number of states, the states, the words. */
static int states_read(struct ne_rans32 *a, uint32_t *ret_lanes, const uint8_t *data, size_t bytes,
		       struct ne_error *err)
{
	const uint32_t lanes = bytes ? data[0] : 0;

	if (lanes != NEAP_RANS32_STATES && lanes != NEAP_RANS32_STATES_FEW)
		return ne_fail(err, EBADMSG, "rANS stream: %u states", lanes);
	data++;
	bytes--;
	if (bytes < STATE_BYTES(lanes) || (bytes - STATE_BYTES(lanes)) % 2)
		return ne_fail(err, EBADMSG, "rANS stream: cut short");
	memcpy(a->state, data, STATE_BYTES(lanes));
	for (uint32_t i = 0; i < lanes; i++)
		if (a->state[i] < NEAP_RANS_LOW)
			return ne_fail(err, EBADMSG, "rANS stream: first state %u out of range", i);
	a->word = data + STATE_BYTES(lanes);
	a->words = (bytes - STATE_BYTES(lanes)) / 2;
	*ret_lanes = lanes;
	return 0;
}

/* The next value of @state; @next: the word that it takes where it is low. Returns whether it does. */
static inline uint32_t value_decode(const uint32_t *slot, uint32_t bits, uint32_t *state,
				    uint32_t next, int8_t *y)
{
	const uint32_t s = slot[*state & ((1u << bits) - 1)], rest = *state >> bits;
	const uint32_t x = (s >> 8 & 0xfffu) * rest + rest + (s >> 20), low = x < NEAP_RANS_LOW;

	*state = x << (low * 16) | (next & (0u - low));
	*y = (int8_t)s;
	return low;
}

/* Rounds of few states, which stay in registers; as the kernel does those of many. */
static void rounds_few(struct ne_rans32 *a)
{
	enum { LANES = NEAP_RANS32_STATES_FEW };
	const uint32_t *slot = a->slot, bits = a->bits;
	const uint8_t *word = a->word, *end = word + 2 * a->words;
	int8_t *y = a->y, *stop = y + a->n;
	uint32_t state[LANES];

	memcpy(state, a->state, sizeof(state));
	for (; stop - y >= LANES && end - word >= 2 * LANES; y += LANES)
		for (uint32_t i = 0; i < LANES; i++) {
			uint16_t next;

			memcpy(&next, word, sizeof(next));
			word += 2 * value_decode(slot, bits, &state[i], next, y + i);
		}
	memcpy(a->state, state, sizeof(state));
	a->word = word;
	a->words = (size_t)(end - word) / 2;
	a->y = y;
	a->n = (size_t)(stop - y);
}

/* What no whole round was left for: values or words. */
static int rest_decode(struct ne_rans32 *a, uint32_t lanes, size_t n, struct ne_error *err)
{
	for (uint32_t i = 0; a->n; i = (i + 1) % lanes, a->n--) {
		uint16_t next = 0;

		if (a->words)
			memcpy(&next, a->word, 2);
		if (!value_decode(a->slot, a->bits, &a->state[i], next, a->y++))
			continue;
		if (!a->words)
			return ne_fail(err, EBADMSG, "rANS stream: ends at value %zu of %zu",
				       n - a->n, n);
		a->word += 2;
		a->words--;
	}
	return 0;
}

static int values_decode(struct ne_rans32 *a, uint32_t lanes, void (*rounds)(struct ne_rans32 *),
			 size_t n, struct ne_error *err)
{
	if (lanes == NEAP_RANS32_STATES)
		rounds(a);
	else
		rounds_few(a);
	NE_RETURN_IF(rest_decode(a, lanes, n, err));
	for (uint32_t i = 0; i < lanes; i++)
		if (a->words || a->state[i] != NEAP_RANS_LOW)
			return ne_fail(err, EBADMSG,
				       "rANS stream: does not end where its values do");
	return 0;
}

int ne_rans32_decode(struct ne_rans_tables *known, void (*rounds)(struct ne_rans32 *),
		     const uint8_t *data, size_t bytes, int8_t *dst, size_t n, struct ne_error *err)
{
	struct ne_rans32 a = {.y = dst, .n = n};
	struct ne_rans_table t;
	uint16_t freq[256];
	uint32_t *slot, lanes = 0;
	size_t at = 0;
	int r;

	NE_RETURN_IF(ne_rans_table_take(known, data, bytes, &t, &at, err));
	a.bits = ne_rans32_frequencies(&t, freq);
	NE_RETURN_IF(states_read(&a, &lanes, data + at, bytes - at, err));
	slot = malloc(sizeof(*slot) << a.bits);
	if (!slot)
		return ne_fail(err, ENOMEM, "no memory for rANS slots");
	slots_fill(slot, freq);
	a.slot = slot;
	r = values_decode(&a, lanes, rounds, n, err);
	free(slot);
	return r;
}

/* From the last value to the first; words are put down from the end of @dst. Returns where the number
 * of states stands. */
static size_t values_encode(const uint16_t freq[256], unsigned bits, uint32_t lanes,
			    const int8_t *src, size_t n, uint8_t *dst, size_t cap)
{
	uint32_t start[256], sum = 0, state[NE_RANS32];
	size_t at = cap;

	for (uint32_t i = 0; i < 256; i++) {
		start[i] = sum;
		sum += freq[i];
	}
	for (uint32_t i = 0; i < lanes; i++)
		state[i] = NEAP_RANS_LOW;
	for (size_t i = n; i-- > 0;) {
		const uint32_t sym = (uint32_t)(src[i] + 128), f = freq[sym];
		uint32_t x = state[i % lanes];

		/* the state must stay below 2^32 after the step */
		if (x >= (uint64_t)f << (32 - bits)) {
			at -= 2;
			memcpy(dst + at, &(uint16_t){(uint16_t)x}, 2);
			x >>= 16;
		}
		state[i % lanes] = (x / f << bits) + x % f + start[sym];
	}
	at -= STATE_BYTES(lanes);
	memcpy(dst + at, state, STATE_BYTES(lanes));
	dst[--at] = (uint8_t)lanes;
	return at;
}

int ne_rans32_encode(const struct ne_rans_tables *known, uint32_t lanes, const uint8_t *coded,
		     size_t coded_bytes, const int8_t *src, size_t n, uint8_t **ret,
		     size_t *ret_bytes)
{
	const size_t cap = 2 * n + STATE_BYTES(lanes) + 1;
	struct ne_rans_table t;
	uint16_t freq[256];
	unsigned bits;
	size_t head = 1, at;
	uint8_t *out;

	if (coded[0] == 0) {
		long used = ne_rans_table_parse(coded + 1, coded_bytes - 1, &t, NULL);

		if (used < 0)
			return (int)used;
		head += (size_t)used;
	} else {
		t = known->table[coded[0] - 1];
	}
	bits = ne_rans32_frequencies(&t, freq);
	out = malloc(head + cap);
	if (!out)
		return -ENOMEM;
	memcpy(out, coded, head);
	at = values_encode(freq, bits, lanes, src, n, out + head, cap);
	memmove(out + head, out + head + at, cap - at);
	*ret = out;
	*ret_bytes = head + cap - at;
	return 0;
}
