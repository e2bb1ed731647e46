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

const struct check_test check_sums_s8 = {"sums_s8", offsetof(struct ne_kernels, sums_s8),
					 run_sums_s8, bench_sums_s8, 2000};
