/* SPDX-License-Identifier: MIT */
/*
 * Weights to s8. Each channel tries the scale of its largest magnitude and smaller ones that clip
 * a few weights, and keeps the one of least squared error.
 */
#include "tools/neap/compress/quantise/internal.h"

#include <math.h>
#include <stdlib.h>

/* Scales tried below max-abs: 1, 0.98, ... down to 0.5; lower ones never won on real networks'
 * weights, whose tails are short of 2:1. */
#define SHRINK_STEPS 25
#define SHRINK_STEP  0.02f

struct channel {
	const float *w;
	size_t n, stride; /* elements */
};

static int32_t to_s8(float v, float inv)
{
	float q = rintf(v * inv);

	return (int32_t)NE_CLAMP(q, -127.0f, 127.0f);
}

static double squared_error(const struct channel *c, float scale)
{
	float inv = 1.0f / scale;
	double sum = 0;

	for (size_t i = 0; i < c->n; i++) {
		float v = c->w[i * c->stride];
		double d = (double)v - (double)to_s8(v, inv) * (double)scale;

		sum += d * d;
	}
	return sum;
}

static float best_scale(const struct channel *c)
{
	float max = 0, best;
	double least;

	for (size_t i = 0; i < c->n; i++) {
		float v = fabsf(c->w[i * c->stride]);

		if (v > max)
			max = v;
	}
	if (!(max > 1e-30f)) /* all zero, or so small that 1/scale would overflow */
		return 1.0f;
	best = max / 127.0f;
	least = squared_error(c, best);
	for (int s = 1; s <= SHRINK_STEPS; s++) {
		float scale = max * (1.0f - SHRINK_STEP * (float)s) / 127.0f;
		double e = squared_error(c, scale);

		if (e < least) {
			least = e;
			best = scale;
		}
	}
	return best;
}

int weights_quantise(const struct ne_tensor *w, bool last_axis, int8_t **ret_data,
		     float **ret_scale, uint32_t *ret_n)
{
	size_t total = ne_shape_elements(&w->shape), n, per;
	const float *src = w->data;
	int8_t *data;
	float *scale;

	if (!total || w->shape.rank == 0 || w->dtype != NE_F32 || !src)
		return -EINVAL;
	n = (size_t)w->shape.dim[last_axis ? w->shape.rank - 1 : 0];
	per = total / n;
	data = malloc(total);
	scale = malloc(n * sizeof(*scale));
	if (!data || !scale) {
		free(data);
		free(scale);
		return -ENOMEM;
	}
	for (size_t c = 0; c < n; c++) {
		size_t first = last_axis ? c : c * per, stride = last_axis ? n : 1;
		struct channel ch = {.w = src + first, .n = per, .stride = stride};
		float inv;

		scale[c] = best_scale(&ch);
		inv = 1.0f / scale[c];
		for (size_t i = 0; i < per; i++)
			data[first + i * stride] = (int8_t)to_s8(ch.w[i * stride], inv);
	}
	*ret_data = data;
	*ret_scale = scale;
	*ret_n = (uint32_t)n;
	return 0;
}
