// SPDX-License-Identifier: MIT
/* Augmentation of images, audio and features. Owns nothing. */
#include "tools/neap/train/augment.h"
#include "engine/base.h"

#include <math.h>
#include <string.h>

static void flip_and_shift(int32_t h, int32_t w, int32_t c, bool flip, int32_t dy, int32_t dx,
			   float fill, const float *src, float *dst)
{
	for (int32_t y = 0; y < h; y++) {
		for (int32_t x = 0; x < w; x++, dst += c) {
			int32_t sy = y + dy, sx = x + dx;
			bool inside = sy >= 0 && sy < h && sx >= 0 && sx < w;

			sx = flip ? w - 1 - sx : sx;
			for (int32_t i = 0; i < c; i++)
				dst[i] = inside ? src[(sy * w + sx) * c + i] : fill;
		}
	}
}

static void erase(struct rng *rng, int32_t side, int32_t h, int32_t w, int32_t c, float *image)
{
	/* The centre is anywhere, so that squares at the edge are cut (DeVries and Taylor 2017). */
	int32_t cy = (int32_t)rng_below(rng, (uint32_t)h),
		cx = (int32_t)rng_below(rng, (uint32_t)w);
	int32_t y0 = NE_MAX(cy - side / 2, 0), y1 = NE_MIN(cy - side / 2 + side, h);
	int32_t x0 = NE_MAX(cx - side / 2, 0), x1 = NE_MIN(cx - side / 2 + side, w);

	for (int32_t y = y0; y < y1; y++)
		memset(image + (y * w + x0) * c, 0, (size_t)(x1 - x0) * (size_t)c * sizeof(*image));
}

void augment_image(const struct recipe_augment *a, struct rng *rng, int32_t h, int32_t w, int32_t c,
		   float fill, float *image, float *work)
{
	bool flip = a->flip && rng_below(rng, 2);
	uint32_t span = 2 * (uint32_t)a->shift + 1;
	int32_t dy = (int32_t)rng_below(rng, span) - a->shift;
	int32_t dx = (int32_t)rng_below(rng, span) - a->shift;

	if (flip || dy || dx) {
		memcpy(work, image, (size_t)h * (size_t)w * (size_t)c * sizeof(*work));
		flip_and_shift(h, w, c, flip, dy, dx, fill, work, image);
	}
	if (a->erase && rng_uniform(rng) < a->erase_p)
		erase(rng, a->erase, h, w, c, image);
}

static float decibels(float db)
{
	return powf(10.0f, db / 20.0f);
}

/* Noise from white to brown: a one-pole low pass with a random pole, its level kept. */
struct hiss {
	float level, pole, state;
};

static float next_hiss(struct hiss *h, struct rng *rng)
{
	float in = rng_between(rng, -1.0f, 1.0f) * sqrtf(1.0f - h->pole * h->pole);

	h->state = h->pole * h->state + in;
	return h->level * h->state;
}

void augment_audio(const struct recipe_augment *a, struct rng *rng, int32_t rate_hz, size_t n,
		   const int16_t *src, const int16_t *noise, int16_t *dst)
{
	float shift = rng_between(rng, -a->time_shift_ms, a->time_shift_ms) * (float)rate_hz / 1e3f;
	float gain = decibels(rng_between(rng, -a->gain_db, a->gain_db));
	float speed = rng_between(rng, 1.0f - a->speed, 1.0f + a->speed);
	bool noisy = rng_uniform(rng) < a->noise_p;
	float mix = noisy && noise ? rng_uniform(rng) : 0.0f;
	struct hiss hiss = {noisy ? decibels(a->noise_db) * 32768.0f * rng_uniform(rng) : 0.0f,
			    rng_uniform(rng) * 0.95f, 0.0f};
	/* Speed changes about the middle of the clip. */
	float at = (float)n * 0.5f * (1.0f - speed) + shift;
	size_t from = n ? rng_below(rng, (uint32_t)n) : 0;

	for (size_t i = 0; i < n; i++, at += speed) {
		float v = 0.0f;

		if (at >= 0.0f && at + 1.0f < (float)n) {
			size_t k = (size_t)(int32_t)at;
			float part = at - (float)(int32_t)k;

			v = ((float)src[k] * (1.0f - part) + (float)src[k + 1] * part) * gain;
		}
		if (mix > 0.0f)
			v += mix * (float)noise[(from + i) % n];
		if (noisy)
			v += next_hiss(&hiss, rng);
		dst[i] = (int16_t)lrintf(NE_CLAMP(v, -32768.0f, 32767.0f));
	}
}

static float mean_of(size_t n, const float *x)
{
	double sum = 0.0;

	for (size_t i = 0; i < n; i++)
		sum += (double)x[i];
	return (float)(sum / (double)n);
}

void augment_features(const struct recipe_augment *a, struct rng *rng, int32_t frames, int32_t bins,
		      float *x)
{
	int32_t most_t = NE_MIN(a->mask_frames, frames), most_f = NE_MIN(a->mask_bins, bins);
	int32_t t = (int32_t)rng_below(rng, (uint32_t)most_t + 1);
	int32_t f = (int32_t)rng_below(rng, (uint32_t)most_f + 1);
	int32_t t0 = (int32_t)rng_below(rng, (uint32_t)(frames - t) + 1);
	int32_t f0 = (int32_t)rng_below(rng, (uint32_t)(bins - f) + 1);
	float fill;

	if (!most_t && !most_f)
		return;
	fill = mean_of((size_t)frames * (size_t)bins, x);
	for (int32_t i = 0; i < frames; i++)
		for (int32_t k = 0; k < bins; k++)
			if ((i >= t0 && i < t0 + t) || (k >= f0 && k < f0 + f))
				x[i * bins + k] = fill;
}
