/* SPDX-License-Identifier: MIT */
/*
 * The mel spectrum against its definition in f64, and bit for bit against the C version.
 *
 * Of a transform of n values whose squares sum to R^2 each part X[k] is taken to be within
 * e = 4 * log2(n) * FLT_EPSILON * sqrt(n) * R, so |X|^2 within 2 |X| e + e^2, and a filter's sum
 * within the weighted sum of those and its own rounding.
 */
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_BINS 24u
#define WIDEST    12u /* triangle */

static void fill_factors(float *t, uint32_t m, uint32_t count)
{
	for (uint32_t k = 0; k < count; k++) {
		t[2 * k] = (float)cos(2 * M_PI * k / m);
		t[2 * k + 1] = (float)-sin(2 * M_PI * k / m);
	}
}

/* All but work and y. */
static void draw(struct check *c, struct ne_mel_f32 *a)
{
	struct ne_mel_triangle *t;
	float *window, *twiddle, *untangle, *weight;
	size_t samples;
	uint32_t at = 0;

	a->n = 1u << check_range(c, 2, check_one_in(c, 4) ? 13 : 9);
	a->frame = check_range(c, 1, a->n);
	a->hop = check_range(c, 1, 2 * a->frame);
	a->frames = check_range(c, 1, NE_MEL_LANES);
	a->s16 = check_one_in(c, 2);
	a->bins = check_range(c, 1, MOST_BINS);
	samples = (size_t)(a->frames - 1) * a->hop + a->frame;
	if (a->s16) {
		int16_t *x = check_input(c, samples * sizeof(*x), sizeof(*x));

		for (size_t i = 0; i < samples; i++)
			x[i] = (int16_t)check_random(c);
		a->x = x;
	} else {
		float *x = check_input(c, samples * sizeof(*x), sizeof(*x));

		check_fill_f32(c, x, samples, 1.0f);
		a->x = x;
	}
	window = check_input(c, a->frame * sizeof(float), 4);
	check_fill_f32(c, window, a->frame, 1.0f);
	twiddle = check_input(c, a->n / 2 * sizeof(float), 4);
	fill_factors(twiddle, a->n / 2, a->n / 4);
	untangle = check_input(c, (a->n / 2 + 2) * sizeof(float), 4);
	fill_factors(untangle, a->n, a->n / 4 + 1);
	t = check_input(c, a->bins * sizeof(*t), 4);
	for (uint32_t b = 0; b < a->bins; b++) {
		t[b].n = check_range(c, 0, NE_MIN(WIDEST, a->n / 2 + 1));
		t[b].first = check_range(c, 0, a->n / 2 + 1 - t[b].n);
		t[b].at = at;
		at += t[b].n;
	}
	weight = check_input(c, (at + 1) * sizeof(float), 4);
	check_fill_f32(c, weight, at, 1.0f);
	a->window = window;
	a->twiddle = twiddle;
	a->untangle = untangle;
	a->triangle = t;
	a->weight = weight;
}

static double sample(const struct ne_mel_f32 *a, uint32_t frame, uint32_t i)
{
	const size_t at = (size_t)frame * a->hop + i;
	const double x =
		a->s16 ? ((const int16_t *)a->x)[at] / 32768.0 : (double)((const float *)a->x)[at];

	return x * (double)a->window[i];
}

/* |X[k]|^2 of one frame, and the root of the sum of squares of what was transformed. */
static double power(const struct ne_mel_f32 *a, uint32_t frame, uint32_t k, double *ret_root)
{
	double re = 0, im = 0, squares = 0;

	for (uint32_t i = 0; i < a->frame; i++) {
		const double v = sample(a, frame, i);
		const double angle = -2 * M_PI * (double)((uint64_t)i * k % a->n) / a->n;

		re += v * cos(angle);
		im += v * sin(angle);
		squares += v * v;
	}
	*ret_root = sqrt(squares);
	return re * re + im * im;
}

static bool compare(struct check *c, const struct ne_mel_f32 *a, uint32_t frame, uint32_t b)
{
	const struct ne_mel_triangle *t = &a->triangle[b];
	const double got = (double)a->y[b * NE_MEL_LANES + frame];
	double want = 0, bound = 0, size = 0;

	for (uint32_t i = 0; i < t->n; i++) {
		const double w = (double)a->weight[t->at + i];
		double root, p = power(a, frame, t->first + i, &root);
		const double e = 4 * log2(a->n) * (double)FLT_EPSILON * sqrt(a->n) * root;

		want += w * p;
		size += fabs(w) * p;
		bound += fabs(w) * (2 * sqrt(p) * e + e * e);
	}
	bound += (t->n + 4.0) * (double)FLT_EPSILON * size;
	if (fabs(got - want) <= bound)
		return true;
	snprintf(c->why, sizeof(c->why), "n %u, frame %u of %u, bin %u of %u: %g, not %g within %g",
		 a->n, frame, a->frames, b, a->bins, got, want, bound);
	return false;
}

static bool run_mel_f32(struct check *c)
{
	struct ne_mel_f32 a;
	struct ne_kernels plain;
	float *y, *want;
	size_t n;

	draw(c, &a);
	n = (size_t)a.bins * NE_MEL_LANES;
	a.work = check_input(c, ((size_t)a.n / 2 + 1) * 2 * NE_MEL_LANES * sizeof(float), 4);
	check_output(c, n * sizeof(float), 4, &y, &want);
	ne_kernels_init(&plain, 0);
	a.y = want;
	plain.mel_f32(&a);
	a.y = y;
	c->k->mel_f32(&a);
	for (unsigned i = 0; i < 8; i++)
		if (!compare(c, &a, check_range(c, 0, a.frames - 1), check_range(c, 0, a.bins - 1)))
			return false;
	return check_same(c, sizeof(float), NE_MEL_LANES, "[bin][frame]");
}

struct job {
	const struct ne_kernels *k;
	struct ne_mel_f32 a;
};

static void call(const void *arg)
{
	const struct job *j = arg;

	j->k->mel_f32(&j->a);
}

/* Eight frames of 40 ms at 16 kHz, 40 bins that halve the spectrum between them. */
static void bench_mel_f32(struct check *c)
{
	static const uint32_t sizes[] = {256, 512, 1024};

	for (size_t i = 0; i < NE_ARRAY_SIZE(sizes); i++) {
		uint32_t n = sizes[i], width = n / 40;
		struct ne_mel_triangle *t;
		struct job j = {.k = c->k};
		char label[32];

		check_reset();
		t = check_input(c, 40 * sizeof(*t), 64);
		for (uint32_t b = 0; b < 40; b++)
			t[b] = (struct ne_mel_triangle){.first = b * width / 2, .n = width};
		j.a = (struct ne_mel_f32){
			.x = check_input(c, n * 16ul, 64),
			.s16 = true,
			.frames = NE_MEL_LANES,
			.hop = n / 2,
			.frame = n,
			.n = n,
			.window = check_input(c, n * 4ul, 64),
			.twiddle = check_input(c, n * 4ul, 64),
			.untangle = check_input(c, n * 4ul, 64),
			.bins = 40,
			.triangle = t,
			.weight = check_input(c, width * 4ul, 64),
			.work = check_input(c, (n + 2) * 32ul, 64),
			.y = check_input(c, 40 * 32ul, 64),
		};
		memset((void *)(uintptr_t)j.a.x, 0, n * 16ul);
		memset((void *)(uintptr_t)j.a.window, 0, n * 4ul);
		fill_factors((void *)(uintptr_t)j.a.twiddle, n / 2, n / 4);
		fill_factors((void *)(uintptr_t)j.a.untangle, n, n / 4 + 1);
		memset((void *)(uintptr_t)j.a.weight, 0, width * 4ul);
		snprintf(label, sizeof(label), "%u points, 8 frames", n);
		check_time(c, label, 8 * 2.5 * n * log2(n), "FLOP", call, &j);
	}
}

const struct check_test check_mel_f32 = {
	"mel_f32", offsetof(struct ne_kernels, mel_f32), run_mel_f32, bench_mel_f32, 60,
};
