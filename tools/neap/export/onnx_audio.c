/* SPDX-License-Identifier: MIT */
/*
 * Audio front ends. The power spectrum is what every run time has: a convolution whose weights are
 * the window times cosines and sines, squares, and a matrix of filters that also adds the two squares
 * of a frequency. Where the engine takes an FFT this is more work and the same value.
 */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/mel.h"
#include "engine/op/op.h"

#include <math.h>
#include <string.h>

struct spectrum {
	const struct ne_mel *mel;
	const float *window;  /* [frame] */
	const float *filters; /* [bins][fft / 2 + 1] */
	uint32_t bins;
};

/* Frequencies 0 to fft / 2: cosines of all, then sines of all, [fft + 2][1][frame]. */
static const char *waves(struct exporter *x, const struct spectrum *s)
{
	int64_t frame = s->mel->frame, fft = s->mel->fft, half = fft / 2 + 1;
	const int64_t dim[3] = {2 * half, 1, frame};
	float *w = x_alloc(x, (size_t)(2 * half * frame) * sizeof(*w));

	if (!w)
		return NULL;
	for (int64_t k = 0; k < half; k++)
		for (int64_t i = 0; i < frame; i++) {
			double angle = 2 * M_PI * (double)(k * i % fft) / (double)fft;

			w[k * frame + i] = (float)((double)s->window[i] * cos(angle));
			w[(half + k) * frame + i] = (float)((double)s->window[i] * sin(angle));
		}
	return x_init(x, "waves", NE_F32, 3, dim, w);
}

/* The filters for cosines, then again for sines: [bins][fft + 2][1]. */
static const char *filters(struct exporter *x, const struct spectrum *s)
{
	size_t half = (size_t)s->mel->fft / 2 + 1;
	const int64_t dim[3] = {s->bins, (int64_t)(2 * half), 1};
	float *w = x_alloc(x, s->bins * 2 * half * sizeof(*w));

	if (!w)
		return NULL;
	for (uint32_t b = 0; b < s->bins; b++)
		for (size_t k = 0; k < 2; k++)
			memcpy(w + (2 * b + k) * half, s->filters + b * half, half * sizeof(*w));
	return x_init(x, "filters", NE_F32, 3, dim, w);
}

/* @samples of any shape to the filters' sums, [1,bins,frames]. */
static const char *spectrum(struct exporter *x, const struct spectrum *s, const char *samples)
{
	const int64_t dim[3] = {1, 1, -1};
	const int64_t hop = s->mel->hop;
	const char *v = X_NODE(x, "Reshape", NULL, samples, x_init_ints(x, "shape", 3, dim));

	v = X_NODE(x, "Conv", NULL, v, waves(x, s));
	x_attr_ints(x, "strides", 1, &hop);
	v = X_NODE(x, "Mul", NULL, v, v);
	return X_NODE(x, "Conv", NULL, v, filters(x, s));
}

static const char *frames_first(struct exporter *x, const char *v)
{
	const int64_t perm[3] = {0, 2, 1};

	v = X_NODE(x, "Transpose", NULL, v);
	x_attr_ints(x, "perm", 3, perm);
	return v;
}

int x_spectrum(struct exporter *x)
{
	const struct ne_node *n = x->node;
	struct layout same = layout_same();
	struct spectrum s = {
		.mel = &n->attr.mel,
		.window = ne_node_in(x->g, n, 1)->data,
		.filters = ne_node_in(x->g, n, 2)->data,
		.bins = (uint32_t)ne_shape_last(&x->shape[x->y]),
	};

	return x_result(x, &same, frames_first(x, spectrum(x, &s, x_real(x, n->in[0], &same))));
}

/* [1,bins,frames] times the cosine transform: [1,cepstra,frames]. */
static const char *cepstra(struct exporter *x, const struct ne_mel *m, const char *v)
{
	const int64_t dim[3] = {m->cepstra, m->bins, 1};
	float *w = x_alloc(x, (size_t)m->cepstra * (size_t)m->bins * sizeof(*w));

	if (!w)
		return NULL;
	ne_mel_cosines(m, w);
	return X_NODE(x, "Conv", NULL, v, x_init(x, "cosines", NE_F32, 3, dim, w));
}

int x_logmel(struct exporter *x)
{
	const struct ne_mel *m = &x->node->attr.mel;
	uint32_t in = x->node->in[0], rank = x->shape[x->y].rank;
	size_t bins = (size_t)m->bins, half = (size_t)m->fft / 2 + 1;
	float *window = x_alloc(x, (size_t)m->frame * sizeof(*window));
	float *filter = x_alloc(x, bins * half * sizeof(*filter));
	struct spectrum s = {m, window, filter, (uint32_t)m->bins};
	struct layout same = layout_same();
	int64_t dim[NE_MAX_RANK];
	const char *v;

	if (x->failed)
		return x->failed;
	ne_mel_window((uint32_t)m->frame, window);
	ne_mel_filters(m, filter);
	v = x_stored(x, in, &same);
	if (x->g->tensor[in].dtype == NE_S16) /* as fractions of 32768 */
		v = X_NODE(x, "Mul", NULL, x_cast(x, v, NE_F32), x_init_float(x, "unit", 0x1p-15f));
	v = X_NODE(x, "Add", NULL, spectrum(x, &s, v), x_init_float(x, "floor", m->floor));
	v = X_NODE(x, "Log", NULL, v);
	if (m->cepstra > 0)
		v = cepstra(x, m, v);
	for (uint32_t i = 0; i < rank; i++)
		dim[i] = x->shape[x->y].dim[i];
	v = X_NODE(x, "Reshape", NULL, frames_first(x, v), x_init_ints(x, "shape", rank, dim));
	return x_result(x, &same, v);
}
