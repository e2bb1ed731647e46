/* SPDX-License-Identifier: MIT */
/* What runs while a model is loaded, bit for bit. */
#include "tests/kernels/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool run_sums_s8(struct check *c)
{
	const uint32_t n = check_one_in(c, 4) ? check_range(c, 0, 3000) : check_count(c, 200);
	struct ne_sums got = {(int64_t)(int32_t)check_random(c), check_range(c, 0, 1000),
			      (int32_t)check_range(c, 0, 255) - 128};
	struct ne_sums want = got;
	int8_t *x = check_input(c, n, 1);

	check_fill_s8(c, x, n);
	if (n && check_one_in(c, 3)) { /* one end, once */
		for (uint32_t i = 0; i < n; i++)
			x[i] = (int8_t)NE_MAX(x[i], -127);
		if (check_one_in(c, 2))
			x[check_range(c, 0, n - 1)] = -128;
	}
	for (uint32_t i = 0; i < n; i++) {
		want.sum += x[i];
		want.magnitude += abs(x[i]);
		want.least = NE_MIN(want.least, x[i]);
	}
	c->k->sums_s8(&got, x, n);
	if (got.sum == want.sum && got.magnitude == want.magnitude && got.least == want.least)
		return true;
	snprintf(c->why, sizeof(c->why), "n %u: %lld, %lld, %d, not %lld, %lld, %d", n,
		 (long long)got.sum, (long long)got.magnitude, got.least, (long long)want.sum,
		 (long long)want.magnitude, want.least);
	return false;
}

#define BENCH_SUMS 1152 /* weights of an output channel: 3x3x128 */

struct sums_job {
	const struct ne_kernels *k;
	const int8_t *x;
};

static void time_sums_s8(const void *arg)
{
	const struct sums_job *j = arg;
	struct ne_sums s = {0};

	j->k->sums_s8(&s, j->x, BENCH_SUMS);
}

static void bench_sums_s8(struct check *c)
{
	int8_t *x = check_input(c, BENCH_SUMS, 64);
	const struct sums_job job = {c->k, x};

	check_fill_s8(c, x, BENCH_SUMS);
	check_time(c, "1152 weights", BENCH_SUMS, "B", time_sums_s8, &job);
}

/* Random frequencies of random symbols, as slots. Returns bits. */
static uint32_t draw_slots(struct check *c, uint32_t *slot)
{
	const uint32_t bits = check_range(c, 12, 13), slots = 1u << bits;
	uint32_t at = 0, symbol = check_range(c, 0, 255);

	while (at < slots) {
		uint32_t f =
			check_one_in(c, 4) ? check_range(c, 1, 1 << 12) : check_range(c, 1, 200);

		f = NE_MIN(f, slots - at);
		for (uint32_t k = 0; k < f; k++)
			slot[at++] = (symbol & 255u) | (f - 1) << 8 | k << 20;
		symbol += check_range(c, 1, 9);
	}
	return bits;
}

/* As docs/container.md words it, value by value; the places that it moves to go to @a. */
static void decode_slowly(struct ne_rans32 *a)
{
	while (a->n >= 32 && a->words >= 32) {
		for (uint32_t i = 0; i < 32; i++) {
			const uint32_t s = a->slot[a->state[i] % (1u << a->bits)];
			uint64_t x =
				((s >> 8) % 4096 + 1ull) * (a->state[i] >> a->bits) + (s >> 20);

			*a->y++ = (int8_t)s;
			if (x < 65536) {
				x = x << 16 | a->word[0] | (uint32_t)a->word[1] << 8;
				a->word += 2;
				a->words--;
			}
			a->state[i] = (uint32_t)x;
		}
		a->n -= 32;
	}
}

static bool run_rans32(struct check *c)
{
	const uint32_t n = check_range(c, 0, 900), words = check_range(c, 0, 700);
	uint32_t *slot = check_input(c, 4u << 13, 4);
	uint8_t *word = check_input(c, words * 2ul, 1);
	struct ne_rans32 got = {.slot = slot, .word = word, .words = words, .n = n}, want;
	int8_t *y, *y_want;
	char text[60];

	got.bits = draw_slots(c, slot);
	for (uint32_t i = 0; i < words * 2; i++)
		word[i] = (uint8_t)check_random(c);
	for (uint32_t i = 0; i < 32; i++)
		got.state[i] = (uint32_t)NE_MAX(check_random(c) >> 32, 65536u);
	check_output(c, n, 1, &y, &y_want);
	want = got;
	got.y = y;
	want.y = y_want;
	decode_slowly(&want);
	c->k->rans32(&got);
	snprintf(text, sizeof(text), "n %u, words %u, bits %u", n, words, got.bits);
	if (got.word != want.word || got.words != want.words || got.n != want.n ||
	    got.y - y != want.y - y_want || memcmp(got.state, want.state, sizeof(got.state))) {
		snprintf(c->why, sizeof(c->why), "%s: other states, or another place", text);
		return false;
	}
	return check_same(c, 1, 32, text);
}

#define BENCH_VALUES 8192

struct rans32_job {
	const struct ne_kernels *k;
	struct ne_rans32 a;
};

static void time_rans32(const void *arg)
{
	const struct rans32_job *j = arg;
	struct ne_rans32 a = j->a;

	j->k->rans32(&a);
}

static void bench_rans32(struct check *c)
{
	struct rans32_job job = {c->k, {.bits = 13, .words = BENCH_VALUES, .n = BENCH_VALUES}};
	uint8_t *word = check_input(c, BENCH_VALUES * 2, 64);
	uint32_t *slot = check_input(c, 4u << 13, 64);

	for (uint32_t i = 0; i < BENCH_VALUES * 2; i++)
		word[i] = (uint8_t)check_random(c);
	for (uint32_t i = 0; i < 1u << 13; i++) /* 128 symbols alike: 7 bits a value */
		slot[i] = i / 64 | 63u << 8 | (i % 64) << 20;
	for (uint32_t i = 0; i < 32; i++)
		job.a.state[i] = (uint32_t)NE_MAX(check_random(c) >> 32, 65536u);
	job.a.slot = slot;
	job.a.word = word;
	job.a.y = check_input(c, BENCH_VALUES, 64);
	check_time(c, "8192 values", BENCH_VALUES, "B", time_rans32, &job);
}

const struct check_test check_rans32 = {"rans32", offsetof(struct ne_kernels, rans32), run_rans32,
					bench_rans32, 1000};
const struct check_test check_sums_s8 = {"sums_s8", offsetof(struct ne_kernels, sums_s8),
					 run_sums_s8, bench_sums_s8, 2000};
