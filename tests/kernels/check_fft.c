/* SPDX-License-Identifier: MIT */
/*
 * The FFT against the transform's definition in f64, each part within
 * 4 * log2(n) * FLT_EPSILON * sqrt(n) * R, where R is the root of the sum of squares of the input.
 */
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST 4096u

static void fill_twiddle(float *t, uint32_t n)
{
	for (uint32_t k = 0; k < n / 2; k++) {
		t[2 * k] = (float)cos(2 * M_PI * k / n);
		t[2 * k + 1] = (float)-sin(2 * M_PI * k / n);
	}
}

/* The definition, for one bin: sum of x[i] * exp(-2 pi sqrt(-1) * i * k / n). */
static void bin(const float *x, uint32_t n, uint32_t k, double *re, double *im)
{
	*re = *im = 0;
	for (uint32_t i = 0; i < n; i++) {
		const double angle = -2 * M_PI * (double)((uint64_t)i * k % n) / n;

		*re += (double)x[2 * i] * cos(angle) - (double)x[2 * i + 1] * sin(angle);
		*im += (double)x[2 * i] * sin(angle) + (double)x[2 * i + 1] * cos(angle);
	}
}

/* Every bin of a short transform, some of a long one, and Parseval's sum over all of them. */
static bool compare(struct check *c, const float *x, const float *y, uint32_t n)
{
	const uint32_t step = n > 128 ? n / 32 - 1 : 1;
	double energy = 0, got = 0, bound;

	for (uint32_t i = 0; i < 2 * n; i++) {
		energy += (double)x[i] * (double)x[i];
		got += (double)y[i] * (double)y[i] / n;
	}
	bound = 4 * log2(n) * (double)FLT_EPSILON * sqrt(energy);
	for (uint32_t k = 0; k < n; k += step) {
		double re, im;

		bin(x, n, k, &re, &im);
		if (fabs(re - (double)y[2 * k]) <= bound * sqrt(n) &&
		    fabs(im - (double)y[2 * k + 1]) <= bound * sqrt(n))
			continue;
		snprintf(c->why, sizeof(c->why), "n %u: bin %u is %g, %g, not %g, %g", n, k,
			 (double)y[2 * k], (double)y[2 * k + 1], re, im);
		return false;
	}
	if (fabs(sqrt(got) - sqrt(energy)) <= bound)
		return true;
	snprintf(c->why, sizeof(c->why), "n %u: energy %g became %g", n, energy, got);
	return false;
}

static bool run_fft_f32(struct check *c)
{
	const uint32_t n = 1u << check_range(c, 1, check_one_in(c, 4) ? 12 : 9);
	float *twiddle = check_input(c, n * 4ul, 4), *x = check_input(c, n * 8ul, 4), *y, *want;

	fill_twiddle(twiddle, n);
	check_fill_f32(c, x, 2ul * n, 1.0f);
	check_output(c, n * 8ul, 4, &y, &want);
	memcpy(y, x, n * 8ul);
	c->k->fft_f32(y, n, twiddle);
	if (!compare(c, x, y, n))
		return false;
	memcpy(want, y, n * 8ul); /* what is left to compare is the memory around */
	return check_same(c, 4, 2ul * n, "around the data");
}

struct job {
	const struct ne_kernels *k;
	float *data, *twiddle;
	uint32_t n;
};

static void call(const void *arg)
{
	const struct job *j = arg;

	j->k->fft_f32(j->data, j->n, j->twiddle);
}

static void bench_fft_f32(struct check *c)
{
	static const uint32_t sizes[] = {256, 512, 1024};

	for (size_t i = 0; i < NE_ARRAY_SIZE(sizes); i++) {
		struct job j = {.k = c->k, .n = sizes[i]};
		char label[32];

		check_reset();
		j.data = check_input(c, j.n * 8ul, 64);
		j.twiddle = check_input(c, j.n * 4ul, 64);
		fill_twiddle(j.twiddle, j.n);
		memset(j.data, 0, j.n * 8ul); /* zeros stay zeros, however often it runs */
		snprintf(label, sizeof(label), "%u points", j.n);
		check_time(c, label, 5.0 * j.n * log2(j.n), "FLOP", call, &j);
	}
}

const struct check_test check_fft_f32 = {
	"fft_f32", offsetof(struct ne_kernels, fft_f32), run_fft_f32, bench_fft_f32, 60,
};
