/* SPDX-License-Identifier: MIT */
/*
 * The audio front end: samples to log-mel frames or MFCC, in f32.
 *
 * Per frame: Hann window (periodic), zeros up to the FFT's length, power spectrum |X|^2 without a
 * factor, triangles that are linear in hertz between points equally spaced on the HTK mel scale
 * (2595 log10(1 + f / 700)), log(x + floor), and for MFCC an orthonormal DCT-II. s16 samples count
 * as fractions of 32768. A real FFT of N points is a complex one of N/2 over the even and odd
 * samples, then untangled.
 */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FFT  8192 /* twice what the kernel transforms */
#define MAX_BINS 1024

NE_OP_CHECK(logmel)
{
	const struct ne_tensor *x = ne_node_in(g, n, 0), *y = ne_node_out(g, n);
	const struct ne_mel *m = &n->attr.mel;

	if ((x->dtype != NE_S16 && x->dtype != NE_F32) || y->dtype != NE_F32)
		return ne_node_fail(err, EINVAL, n, "types %s to %s; s16 or f32 to f32",
				    ne_dtype_name(x->dtype), ne_dtype_name(y->dtype));
	if (x->group || y->group)
		return ne_node_fail(err, EINVAL, n, "cannot be in a channel group");
	if (m->fft < 4 || m->fft > MAX_FFT || (m->fft & (m->fft - 1)))
		return ne_node_fail(err, EINVAL, n, "FFT of %d points; a power of two, 4 to %d",
				    m->fft, MAX_FFT);
	if (m->frame < 2 || m->frame > m->fft || m->hop < 1 || m->bins < 1 || m->bins > MAX_BINS ||
	    m->cepstra < 0 || m->cepstra > m->bins || m->rate_hz < 1)
		return ne_node_fail(err, EINVAL, n,
				    "frame %d, hop %d, %d bins, %d cepstra, %d Hz: out of range",
				    m->frame, m->hop, m->bins, m->cepstra, m->rate_hz);
	if (!(m->lo_hz >= 0) || !(m->hi_hz > m->lo_hz) || !(m->hi_hz <= (float)m->rate_hz / 2) ||
	    !(m->floor > 0) || !isfinite(m->floor))
		return ne_node_fail(err, EINVAL, n,
				    "needs 0 <= lo_hz < hi_hz <= half the rate, and a floor > 0");
	return 0;
}

NE_OP_INFER(logmel)
{
	const struct ne_mel *m = &n->attr.mel;

	(void)g;
	if (in[0].rank != 2 || in[0].dim[0] != 1 || m->frame < 1 || m->hop < 1 ||
	    in[0].dim[1] < m->frame)
		return ne_node_fail(err, EINVAL, n,
				    "input must be [1,samples], at least one frame of %d",
				    m->frame);
	*ret = (struct ne_shape){.rank = 4,
				 .dim = {1, (in[0].dim[1] - m->frame) / m->hop + 1,
					 m->cepstra > 0 ? m->cepstra : m->bins, 1}};
	return 0;
}

struct triangle {
	uint32_t first, n; /* bins of the spectrum */
	uint32_t at;       /* in the weights */
};

struct mel_args {
	struct ne_ref x, y;
	struct ne_mel mel;
	bool s16;
	const float *window;
	const float *twiddle, *untangle; /* of the half FFT; cos, -sin of 2 pi k / N, k <= N/4 */
	const struct triangle *triangle; /* [bins] */
	const float *weight;
	const float *dct; /* [cepstra][bins] */
	void (*fft)(float *data, uint32_t n, const float *twiddle);
};

static void window_frame(const struct mel_args *c, const void *x, size_t at, float *buf)
{
	int32_t frame = c->mel.frame;

	if (c->s16) {
		const int16_t *v = (const int16_t *)x + at;

		for (int32_t i = 0; i < frame; i++)
			buf[i] = (float)v[i] * (1.0f / 32768.0f) * c->window[i];
	} else {
		const float *v = (const float *)x + at;

		for (int32_t i = 0; i < frame; i++)
			buf[i] = v[i] * c->window[i];
	}
	memset(buf + frame, 0, (size_t)(c->mel.fft - frame) * sizeof(*buf));
}

/* |X[k]|^2, k = 0..N/2, of the N real values that @buf held before its half-length FFT. */
static void power_spectrum(const struct mel_args *c, const float *buf, float *power)
{
	uint32_t half = (uint32_t)c->mel.fft / 2;

	power[0] = (buf[0] + buf[1]) * (buf[0] + buf[1]);
	power[half] = (buf[0] - buf[1]) * (buf[0] - buf[1]);
	for (uint32_t k = 1; k <= half / 2; k++) {
		const float *p = buf + 2 * (size_t)k, *q = buf + 2 * (size_t)(half - k);
		float wr = c->untangle[2 * k], wi = c->untangle[2 * k + 1];
		float er = 0.5f * (p[0] + q[0]), ei = 0.5f * (p[1] - q[1]); /* even samples' */
		float or = 0.5f * (p[1] + q[1]), oi = 0.5f * (q[0] - p[0]); /* odd samples' */
		float tr = wr * or -wi * oi, ti = wr * oi + wi * or ;

		power[k] = (er + tr) * (er + tr) + (ei + ti) * (ei + ti);
		power[half - k] = (er - tr) * (er - tr) + (ei - ti) * (ei - ti);
	}
}

/* Units are frames. */
static void run_logmel(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		       uint32_t n)
{
	const struct mel_args *c = s->args;
	const struct ne_mel *m = &c->mel;
	size_t outputs = (size_t)(m->cepstra ? m->cepstra : m->bins);
	float *buf = f->scratch, *power = buf + m->fft, *mel = power + m->fft / 2 + 1;
	float *y = (float *)ne_at(f, c->y) + first * outputs;

	for (uint32_t u = first; u < first + n; u++, y += outputs) {
		window_frame(c, ne_at(f, c->x), (size_t)u * (uint32_t)m->hop, buf);
		c->fft(buf, (uint32_t)m->fft / 2, c->twiddle);
		power_spectrum(c, buf, power);
		for (int32_t b = 0; b < m->bins; b++) {
			const struct triangle *t = &c->triangle[b];
			const float *w = c->weight + t->at, *p = power + t->first;
			float sum = 0;

			for (uint32_t i = 0; i < t->n; i++)
				sum += w[i] * p[i];
			mel[b] = logf(sum + m->floor);
		}
		if (!m->cepstra) {
			memcpy(y, mel, outputs * sizeof(*y));
			continue;
		}
		for (int32_t k = 0; k < m->cepstra; k++) {
			const float *d = c->dct + (size_t)k * (uint32_t)m->bins;
			float sum = 0;

			for (int32_t b = 0; b < m->bins; b++)
				sum += d[b] * mel[b];
			y[k] = sum;
		}
	}
}

/* ---- tables ---- */

static double to_mel(double hz)
{
	return 2595 * log10(1 + hz / 700);
}

static double to_hz(double mel)
{
	return 700 * (pow(10, mel / 2595) - 1);
}

/* The triangles' weights, and where each starts; @weight has room for bins * (N/2 + 1). */
static uint32_t make_triangles(const struct ne_mel *m, struct triangle *t, float *weight)
{
	double lo = to_mel((double)m->lo_hz), hi = to_mel((double)m->hi_hz);
	double step = (hi - lo) / (m->bins + 1), hz = (double)m->rate_hz / m->fft;
	uint32_t at = 0;

	for (int32_t b = 0; b < m->bins; b++) {
		double left = to_hz(lo + b * step), top = to_hz(lo + (b + 1) * step);
		double right = to_hz(lo + (b + 2) * step);

		t[b] = (struct triangle){.at = at};
		for (int32_t k = 0; k <= m->fft / 2; k++) {
			double f = k * hz;
			double v = NE_MIN((f - left) / (top - left), (right - f) / (right - top));

			if (!(v > 0))
				continue;
			if (!t[b].n)
				t[b].first = (uint32_t)k;
			t[b].n++;
			weight[at++] = (float)v;
		}
	}
	return at;
}

static const float *make_twiddle(struct ne_lower *lw, uint32_t n, uint32_t count)
{
	float *v = malloc(2 * (size_t)count * sizeof(*v));
	const float *r;

	if (!v)
		return NULL;
	for (uint32_t k = 0; k < count; k++) {
		v[2 * (size_t)k] = (float)cos(2 * M_PI * k / n);
		v[2 * (size_t)k + 1] = (float)-sin(2 * M_PI * k / n);
	}
	r = ne_lower_table(lw, v, 2 * (size_t)count * sizeof(*v));
	free(v);
	return r;
}

static const float *make_window(struct ne_lower *lw, uint32_t frame)
{
	float *v = malloc(frame * sizeof(*v));
	const float *r;

	if (!v)
		return NULL;
	for (uint32_t i = 0; i < frame; i++)
		v[i] = (float)(0.5 - 0.5 * cos(2 * M_PI * i / frame));
	r = ne_lower_table(lw, v, frame * sizeof(*v));
	free(v);
	return r;
}

static const float *make_dct(struct ne_lower *lw, const struct ne_mel *m)
{
	size_t n = (size_t)m->cepstra * (size_t)m->bins;
	float *v = malloc((n + 1) * sizeof(*v));
	const float *r;

	if (!v)
		return NULL;
	for (int32_t k = 0; k < m->cepstra; k++)
		for (int32_t b = 0; b < m->bins; b++)
			v[(size_t)k * (size_t)m->bins + (size_t)b] =
				(float)(sqrt((k ? 2.0 : 1.0) / m->bins) *
					cos(M_PI * k * (2 * b + 1) / (2.0 * m->bins)));
	r = ne_lower_table(lw, v, (n + 1) * sizeof(*v) - sizeof(*v));
	free(v);
	return r;
}

static int make_filters(struct ne_lower *lw, struct mel_args *c)
{
	size_t bins = (size_t)c->mel.bins, spectrum = (size_t)c->mel.fft / 2 + 1;
	struct triangle *t = calloc(bins, sizeof(*t));
	float *weight = malloc(bins * spectrum * sizeof(*weight));

	if (t && weight) {
		uint32_t n = make_triangles(&c->mel, t, weight);

		c->triangle = ne_lower_table(lw, t, bins * sizeof(*t));
		c->weight = ne_lower_table(lw, weight, n * sizeof(*weight));
	}
	free(t);
	free(weight);
	return c->triangle && c->weight ? 0 : -ENOMEM;
}

NE_OP_LOWER(logmel)
{
	const struct ne_mel *m = &n->attr.mel;
	uint32_t half = (uint32_t)m->fft / 2, frames = (uint32_t)lw->shape[lw->y].dim[1];
	struct mel_args c = {
		.x = lw->ref[n->in[0]],
		.y = lw->ref[lw->y],
		.mel = *m,
		.s16 = lw->g->tensor[n->in[0]].dtype == NE_S16,
		.window = make_window(lw, (uint32_t)m->frame),
		.twiddle = make_twiddle(lw, half, half / 2),
		.untangle = make_twiddle(lw, (uint32_t)m->fft, half / 2 + 1),
		.dct = make_dct(lw, m),
		.fft = lw->k->fft_f32,
	};

	if (!c.window || !c.twiddle || !c.untangle || !c.dct || make_filters(lw, &c) < 0)
		return ne_lower_no_memory(lw, n);
	ne_lower_scratch(lw, ((size_t)m->fft + half + 1 + (size_t)m->bins) * sizeof(float));
	return ne_lower_step(lw, run_logmel, &c, sizeof(c), frames, 1,
			     (uint64_t)frames * ((uint64_t)m->fft * 24), lw->y);
}
