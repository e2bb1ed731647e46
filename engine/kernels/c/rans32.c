/* SPDX-License-Identifier: MIT */
/* Values of interleaved rANS, C: no branch depends on a value, for the coder makes them random. */
#include "engine/kernels/kernels.h"

void ne_rans32_c(struct ne_rans32 *a)
{
	const uint32_t *slot = a->slot, bits = a->bits, mask = (1u << bits) - 1;
	const uint8_t *word = a->word, *end = word + 2 * a->words;
	uint32_t state[NE_RANS32];
	int8_t *y = a->y, *stop = y + a->n;

	memcpy(state, a->state, sizeof(state));
	while (stop - y >= (ptrdiff_t)NE_RANS32 && end - word >= 2 * (ptrdiff_t)NE_RANS32) {
		for (uint32_t i = 0; i < NE_RANS32; i++) {
			const uint32_t s = slot[state[i] & mask], rest = state[i] >> bits;
			const uint32_t x = (s >> 8 & 0xfffu) * rest + rest + (s >> 20);
			const uint32_t low = x < NE_RANS32_LOW;
			uint16_t next;

			memcpy(&next, word, sizeof(next));
			state[i] = x << (low * 16) | (next & (0u - low));
			y[i] = (int8_t)s;
			word += 2 * low;
		}
		y += NE_RANS32;
	}
	memcpy(a->state, state, sizeof(state));
	a->word = word;
	a->words = (size_t)(end - word) / 2;
	a->y = y;
	a->n = (size_t)(stop - y);
}
