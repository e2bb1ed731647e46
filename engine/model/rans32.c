// SPDX-License-Identifier: MIT
/*
 * The interleaved form of entropy-coded s8 tensors: 32 states in turn, so that a CPU works on many
 * values at once. Written with the table that the plain form found, whose frequencies it makes
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

#define STATE_BYTES (4 * NEAP_RANS32_STATES)

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

static int states_read(struct ne_rans32 *a, const uint8_t *data, size_t bytes, struct ne_error *err)
{
	if (bytes < STATE_BYTES || (bytes - STATE_BYTES) % 2)
		return ne_fail(err, EBADMSG, "rANS stream: cut short");
	for (uint32_t i = 0; i < NE_RANS32; i++) {
		memcpy(&a->state[i], data + (size_t)4 * i, 4);
		if (a->state[i] < NEAP_RANS_LOW)
			return ne_fail(err, EBADMSG, "rANS stream: first state %u out of range", i);
	}
	a->word = data + STATE_BYTES;
	a->words = (bytes - STATE_BYTES) / 2;
	return 0;
}

/* What no whole round was left for: values or words. */
static int rest_decode(struct ne_rans32 *a, size_t n, struct ne_error *err)
{
	for (uint32_t i = 0; a->n; i = (i + 1) % NE_RANS32, a->n--) {
		const uint32_t s = a->slot[a->state[i] & ((1u << a->bits) - 1)];
		uint32_t x = ((s >> 8 & 0xfffu) + 1) * (a->state[i] >> a->bits) + (s >> 20);
		uint16_t word;

		*a->y++ = (int8_t)s;
		if (x < NEAP_RANS_LOW) {
			if (!a->words)
				return ne_fail(err, EBADMSG,
					       "rANS stream: ends at value %zu of %zu", n - a->n,
					       n);
			memcpy(&word, a->word, 2);
			x = x << 16 | word;
			a->word += 2;
			a->words--;
		}
		a->state[i] = x;
	}
	return 0;
}

static int values_decode(struct ne_rans32 *a, void (*rounds)(struct ne_rans32 *), size_t n,
			 struct ne_error *err)
{
	rounds(a);
	NE_RETURN_IF(rest_decode(a, n, err));
	for (uint32_t i = 0; i < NE_RANS32; i++)
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
	uint32_t *slot;
	size_t at = 0;
	int r;

	NE_RETURN_IF(ne_rans_table_take(known, data, bytes, &t, &at, err));
	a.bits = ne_rans32_frequencies(&t, freq);
	NE_RETURN_IF(states_read(&a, data + at, bytes - at, err));
	slot = malloc(sizeof(*slot) << a.bits);
	if (!slot)
		return ne_fail(err, ENOMEM, "no memory for rANS slots");
	slots_fill(slot, freq);
	a.slot = slot;
	r = values_decode(&a, rounds, n, err);
	free(slot);
	return r;
}

/* From the last value to the first; words are put down from the end of @dst. Returns where the states
 * begin. */
static size_t values_encode(const uint16_t freq[256], unsigned bits, const int8_t *src, size_t n,
			    uint8_t *dst, size_t cap)
{
	uint32_t start[256], sum = 0, state[NE_RANS32];
	size_t at = cap;

	for (uint32_t i = 0; i < 256; i++) {
		start[i] = sum;
		sum += freq[i];
	}
	for (uint32_t i = 0; i < NE_RANS32; i++)
		state[i] = NEAP_RANS_LOW;
	for (size_t i = n; i-- > 0;) {
		const uint32_t sym = (uint32_t)(src[i] + 128), f = freq[sym];
		uint32_t x = state[i % NE_RANS32];

		/* the state must stay below 2^32 after the step */
		if (x >= (uint64_t)f << (32 - bits)) {
			at -= 2;
			memcpy(dst + at, &(uint16_t){(uint16_t)x}, 2);
			x >>= 16;
		}
		state[i % NE_RANS32] = (x / f << bits) + x % f + start[sym];
	}
	at -= STATE_BYTES;
	memcpy(dst + at, state, STATE_BYTES);
	return at;
}

int ne_rans32_encode(const struct ne_rans_tables *known, const uint8_t *coded, size_t coded_bytes,
		     const int8_t *src, size_t n, uint8_t **ret, size_t *ret_bytes)
{
	const size_t cap = 2 * n + STATE_BYTES;
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
	at = values_encode(freq, bits, src, n, out + head, cap);
	memmove(out + head, out + head + at, cap - at);
	*ret = out;
	*ret_bytes = head + cap - at;
	return 0;
}
