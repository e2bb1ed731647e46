/* SPDX-License-Identifier: MIT */
/*
 * The audio front end: samples to log-mel frames or MFCC, in f32.
 *
 * Per frame: Hann window (periodic), zeros up to the FFT's length, power spectrum |X|^2 without a
 * factor, triangles that are linear in hertz between points equally spaced on the HTK mel scale
 * (2595 log10(1 + f / 700)), log(x + floor), and for MFCC an orthonormal DCT-II. s16 samples count
 * as fractions of 32768. The kernel mel_f32 does eight frames at once, up to the triangles' sums.
 */
#include "engine/op/mel.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
	if (m->fft < 4 || m->fft > NE_MAX_FFT || (m->fft & (m->fft - 1)))
		return ne_node_fail(err, EINVAL, n, "FFT of %d points; a power of two, 4 to %d",
				    m->fft, NE_MAX_FFT);
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

struct mel_args {
	struct ne_ref x, y;
	struct ne_mel_f32 mel; /* but for x, frames, work and y */
	int32_t cepstra;
	float floor;
	const float *dct; /* [cepstra][bins] */
	void (*run)(const struct ne_mel_f32 *a);
};

/* The logarithms of one frame's sums, or their cosine transform. */
static void finish_frame(const struct mel_args *c, const float *sum, float *log, float *y)
{
	uint32_t bins = c->mel.bins;
	float *out = c->cepstra ? log : y;

	for (uint32_t b = 0; b < bins; b++)
		out[b] = logf(sum[(size_t)b * NE_MEL_LANES] + c->floor);
	for (int32_t k = 0; k < c->cepstra; k++) {
		const float *d = c->dct + (size_t)k * bins;
		float v = 0;

		for (uint32_t b = 0; b < bins; b++)
			v += d[b] * log[b];
		y[k] = v;
	}
}

/* Units are frames. */
static void run_logmel(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
		       uint32_t n)
{
	const struct mel_args *c = s->args;
	struct ne_mel_f32 a = c->mel;
	size_t outputs = c->cepstra ? (size_t)c->cepstra : a.bins;
	const char *x = ne_at(f, c->x);
	float *log;

	a.work = f->scratch;
	a.y = a.work + ((size_t)a.n / 2 + 1) * 2 * NE_MEL_LANES;
	log = a.y + (size_t)a.bins * NE_MEL_LANES;
	for (uint32_t end = first + n; first < end; first += a.frames) {
		a.x = x + (size_t)first * a.hop * (a.s16 ? sizeof(int16_t) : sizeof(float));
		a.frames = NE_MIN(end - first, NE_MEL_LANES);
		c->run(&a);
		for (uint32_t l = 0; l < a.frames; l++)
			finish_frame(c, a.y + l, log,
				     (float *)ne_at(f, c->y) + (first + l) * outputs);
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

void ne_mel_filters(const struct ne_mel *m, float *ret)
{
	double lo = to_mel((double)m->lo_hz), hi = to_mel((double)m->hi_hz);
	double step = (hi - lo) / (m->bins + 1), hz = (double)m->rate_hz / m->fft;

	for (int32_t b = 0; b < m->bins; b++) {
		double left = to_hz(lo + b * step), top = to_hz(lo + (b + 1) * step);
		double right = to_hz(lo + (b + 2) * step);

		for (int32_t k = 0; k <= m->fft / 2; k++) {
			double f = k * hz;
			double v = NE_MIN((f - left) / (top - left), (right - f) / (right - top));

			*ret++ = v > 0 ? (float)v : 0;
		}
	}
}

/* The triangles one after another in @weight, and where each starts; @weight holds all of them,
 * [bins][spectrum]. */
static uint32_t make_triangles(const struct ne_mel *m, struct ne_mel_triangle *t, float *weight)
{
	uint32_t at = 0, spectrum = (uint32_t)m->fft / 2 + 1;

	ne_mel_filters(m, weight);
	for (uint32_t b = 0; b < (uint32_t)m->bins; b++) {
		t[b] = (struct ne_mel_triangle){.at = at};
		for (uint32_t k = 0; k < spectrum; k++) {
			float v = weight[(size_t)b * spectrum + k];

			if (!(v > 0))
				continue;
			if (!t[b].n)
				t[b].first = k;
			t[b].n++;
			weight[at++] = v;
		}
	}
	return at;
}

const float *ne_lower_twiddle(struct ne_lower *lw, uint32_t n, uint32_t count)
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

void ne_mel_window(uint32_t frame, float *ret)
{
	for (uint32_t i = 0; i < frame; i++)
		ret[i] = (float)(0.5 - 0.5 * cos(2 * M_PI * i / frame));
}

static const float *make_window(struct ne_lower *lw, uint32_t frame)
{
	float *v = malloc(frame * sizeof(*v));
	const float *r;

	if (!v)
		return NULL;
	ne_mel_window(frame, v);
	r = ne_lower_table(lw, v, frame * sizeof(*v));
	free(v);
	return r;
}

void ne_mel_cosines(const struct ne_mel *m, float *ret)
{
	for (int32_t k = 0; k < m->cepstra; k++)
		for (int32_t b = 0; b < m->bins; b++)
			*ret++ = (float)(sqrt((k ? 2.0 : 1.0) / m->bins) *
					 cos(M_PI * k * (2 * b + 1) / (2.0 * m->bins)));
}

static const float *make_dct(struct ne_lower *lw, const struct ne_mel *m)
{
	size_t n = (size_t)m->cepstra * (size_t)m->bins;
	float *v = malloc((n + 1) * sizeof(*v));
	const float *r;

	if (!v)
		return NULL;
	ne_mel_cosines(m, v);
	r = ne_lower_table(lw, v, (n + 1) * sizeof(*v) - sizeof(*v));
	free(v);
	return r;
}

static int make_filters(struct ne_lower *lw, const struct ne_mel *m, struct ne_mel_f32 *ret)
{
	size_t bins = (size_t)m->bins, spectrum = (size_t)m->fft / 2 + 1;
	struct ne_mel_triangle *t = calloc(bins, sizeof(*t));
	float *weight = malloc(bins * spectrum * sizeof(*weight));

	if (t && weight) {
		uint32_t n = make_triangles(m, t, weight);

		ret->triangle = ne_lower_table(lw, t, bins * sizeof(*t));
		ret->weight = ne_lower_table(lw, weight, n * sizeof(*weight));
	}
	free(t);
	free(weight);
	return ret->triangle && ret->weight ? 0 : -ENOMEM;
}

NE_OP_LOWER(logmel)
{
	const struct ne_mel *m = &n->attr.mel;
	uint32_t fft = (uint32_t)m->fft, frames = (uint32_t)lw->shape[lw->y].dim[1];
	struct mel_args c = {
		.x = lw->ref[n->in[0]],
		.y = lw->ref[lw->y],
		.mel = {.s16 = lw->g->tensor[n->in[0]].dtype == NE_S16,
			.hop = (uint32_t)m->hop,
			.frame = (uint32_t)m->frame,
			.n = fft,
			.window = make_window(lw, (uint32_t)m->frame),
			.twiddle = ne_lower_twiddle(lw, fft / 2, fft / 4),
			.untangle = ne_lower_twiddle(lw, fft, fft / 4 + 1),
			.bins = (uint32_t)m->bins},
		.cepstra = m->cepstra,
		.floor = m->floor,
		.dct = make_dct(lw, m),
		.run = lw->k->mel_f32,
	};

	if (!c.mel.window || !c.mel.twiddle || !c.mel.untangle || !c.dct ||
	    make_filters(lw, m, &c.mel) < 0)
		return ne_lower_no_memory(lw, n);
	ne_lower_scratch(lw, (((size_t)fft / 2 + 1) * 2 * NE_MEL_LANES +
			      (size_t)m->bins * (NE_MEL_LANES + 1)) *
				     sizeof(float));
	return ne_lower_step(lw, run_logmel, &c, sizeof(c), frames, NE_MEL_LANES,
			     (uint64_t)frames * ((uint64_t)m->fft * 8), lw->y);
}
