/* SPDX-License-Identifier: MIT */
/* Wake words' audio features, see the header. A frame's spectrum is worked out by its definition:
 * 240 bins of 480 samples take a tenth of a millisecond, and nobody waits for a file of features. */
#include "tools/neap/data/microfrontend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FFT   512 /* points; frames are padded with zeros */
#define LO_HZ 125.0
#define HI_HZ 7500.0
#define BINS  (FFT / 2)

/* Noise estimate: shares of a new frame in even and odd channels; what is left at least. */
#define EVEN_SMOOTHING 0.025
#define ODD_SMOOTHING  0.06
#define LEAST_SIGNAL   0.05

/* Gain: 2^15 * (noise + OFFSET)^-STRENGTH. */
#define OFFSET   80.0
#define STRENGTH 0.95
#define GAIN_MAX 32767.0   /* what its table can hold */
#define GAIN_ONE 2097152.0 /* 2^21: the gain's unit */

#define LOG_SCALE 64.0

struct micro_frontend {
	double window[MICRO_FRAME];
	double cosine[FFT], sine[FFT];
	double noise[MICRO_CHANNELS];
	/* Bin b lies between the centres of channels lower[b] - 1 and lower[b]; share[b] of it goes
	 * to the channel below. */
	int lower[BINS + 1];
	double share[BINS + 1];
	int first, last; /* bins that any channel reads */
};

static double mel(double hz)
{
	return 1127.0 * log1p(hz / 700.0);
}

/* Centres are spread evenly on the mel scale, one more than channels: 0 is below the first. */
static void place_channels(struct micro_frontend *f)
{
	double lo = mel(LO_HZ), step = (mel(HI_HZ) - lo) / (MICRO_CHANNELS + 1);
	double hz = (double)MICRO_RATE_HZ / FFT;

	f->first = (int)(1.5 + LO_HZ / hz);
	f->last = f->first - 1;
	for (int b = f->first; b < BINS; b++) {
		double at = (mel(b * hz) - lo) / step; /* in channels */
		int above = (int)ceil(at);             /* the next centre */

		if (above < 1)
			above = 1;
		if (above > MICRO_CHANNELS + 1)
			break;
		f->lower[b] = above - 1;
		f->share[b] = above - at;
		f->last = b;
	}
}

struct micro_frontend *micro_frontend_new(void)
{
	struct micro_frontend *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	for (int i = 0; i < MICRO_FRAME; i++)
		f->window[i] = 0.5 - 0.5 * cos(2 * M_PI / MICRO_FRAME * (i + 0.5));
	for (int i = 0; i < FFT; i++) {
		f->cosine[i] = cos(2 * M_PI * i / FFT);
		f->sine[i] = sin(2 * M_PI * i / FFT);
	}
	place_channels(f);
	return f;
}

void micro_frontend_free(struct micro_frontend *f)
{
	free(f);
}

void micro_frontend_reset(struct micro_frontend *f)
{
	memset(f->noise, 0, sizeof(f->noise));
}

/* Energy of bin @b, of a transform scaled by 1 / FFT. */
static double energy(const struct micro_frontend *f, const double *x, int b)
{
	double re = 0, im = 0;

	for (int i = 0; i < MICRO_FRAME; i++) {
		re += x[i] * f->cosine[b * i % FFT];
		im -= x[i] * f->sine[b * i % FFT];
	}
	return (re * re + im * im) / ((double)FFT * FFT);
}

/* Magnitudes of the channels, in units of 1/64. */
static void channels(const struct micro_frontend *f, const int16_t *samples, double *v)
{
	double x[MICRO_FRAME], sum[MICRO_CHANNELS + 2] = {0};

	for (int i = 0; i < MICRO_FRAME; i++)
		x[i] = floor(samples[i] * f->window[i]);
	for (int b = f->first; b <= f->last; b++) {
		double e = energy(f, x, b);

		/* sum[c]: of centre c; 0 lies below the first channel and is not used */
		sum[f->lower[b]] += f->share[b] * e;
		sum[f->lower[b] + 1] += (1 - f->share[b]) * e;
	}
	for (int c = 0; c < MICRO_CHANNELS; c++)
		v[c] = floor(64 * sqrt(sum[c + 1]));
}

static double reduce_noise(struct micro_frontend *f, int c, double v)
{
	double smoothing = c % 2 ? ODD_SMOOTHING : EVEN_SMOOTHING, left;

	f->noise[c] = v * smoothing + f->noise[c] * (1 - smoothing);
	left = floor(v - fmin(f->noise[c], v));
	return fmax(left, floor(v * LEAST_SIGNAL));
}

/* Signal over noise, then a square near nought that goes over into a line. */
static double normalise_gain(const struct micro_frontend *f, int c, double v)
{
	double gain = fmin(GAIN_ONE * pow(8 * f->noise[c] + OFFSET, -STRENGTH), GAIN_MAX);
	double ratio = v * gain / 64 / 4096;

	return floor(64 * (ratio < 2 ? ratio * ratio / 4 : ratio - 1));
}

void micro_frontend_frame(struct micro_frontend *f, const int16_t samples[MICRO_FRAME],
			  float ret[MICRO_CHANNELS])
{
	double v[MICRO_CHANNELS];

	channels(f, samples, v);
	for (int c = 0; c < MICRO_CHANNELS; c++) {
		double out = 8 * normalise_gain(f, c, reduce_noise(f, c, v[c]));

		ret[c] = out > 1 ? (float)floor(LOG_SCALE * log(out) + 0.5) : 0;
	}
}
