/* SPDX-License-Identifier: MIT */
/*
 * The power spectrum of windowed frames through a bank of filters: y[f][b] = sum over k of
 * filter[b][k] * |DFT of window * frame f|^2 [k]. Networks bring it as two convolutions with cosines
 * and sines, squares and a matrix product; by the FFT it takes a hundredth of the work, and the
 * window's weights instead of megabytes. The kernel mel_f32 does eight frames at once.
 */
#include "engine/op/mel.h"
#include "engine/op/op.h"

#include <stdlib.h>
#include <string.h>

NE_OP_CHECK(spectrum)
{
	const struct ne_tensor *x = ne_node_in(g, n, 0), *w = ne_node_in(g, n, 1);
	const struct ne_tensor *f = ne_node_in(g, n, 2), *y = ne_node_out(g, n);
	const struct ne_mel *m = &n->attr.mel;

	if (x->dtype != NE_F32 || y->dtype != NE_F32 || x->group || y->group)
		return ne_node_fail(err, EINVAL, n, "takes and gives f32 outside channel groups");
	if (m->fft < 4 || m->fft > NE_MAX_FFT || (m->fft & (m->fft - 1)) || m->frame < 2 ||
	    m->frame > m->fft || m->hop < 1)
		return ne_node_fail(err, EINVAL, n,
				    "frame %d, hop %d, FFT of %d points; a power of two, 4 to %d",
				    m->frame, m->hop, m->fft, NE_MAX_FFT);
	if (!w->data || w->dtype != NE_F32 || w->shape.rank != 1 || w->shape.dim[0] != m->frame)
		return ne_node_fail(err, EINVAL, n, "the window must be a constant of %d values",
				    m->frame);
	if (!f->data || f->dtype != NE_F32 || f->shape.rank != 2 ||
	    f->shape.dim[1] != m->fft / 2 + 1)
		return ne_node_fail(err, EINVAL, n, "the filters must be a constant [bins,%d]",
				    m->fft / 2 + 1);
	return 0;
}

NE_OP_INFER(spectrum)
{
	const struct ne_mel *m = &n->attr.mel;
	const struct ne_shape *x = &in[0];

	(void)g;
	if ((x->rank != 2 && !(x->rank == 3 && x->dim[2] == 1)) || x->dim[0] != 1 || m->hop < 1 ||
	    m->frame < 1 || x->dim[1] < m->frame || in[2].rank != 2)
		return ne_node_fail(err, EINVAL, n,
				    "input must be [1,samples] or [1,samples,1], at least one "
				    "frame of %d",
				    m->frame);
	*ret = (struct ne_shape){
		.rank = 3,
		.dim = {1, (x->dim[1] - m->frame) / m->hop + 1, in[2].dim[0]},
	};
	return 0;
}

struct spectrum_args {
	struct ne_ref x, y;
	struct ne_mel_f32 mel; /* but for x, frames, work and y */
	void (*run)(const struct ne_mel_f32 *a);
};

/* Units are frames. */
static void run_spectrum(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			 uint32_t n)
{
	const struct spectrum_args *c = s->args;
	struct ne_mel_f32 a = c->mel;
	const float *x = ne_at(f, c->x);

	a.work = f->scratch;
	a.y = a.work + ((size_t)a.n / 2 + 1) * 2 * NE_MEL_LANES;
	for (uint32_t end = first + n; first < end; first += a.frames) {
		float *y = (float *)ne_at(f, c->y) + (size_t)first * a.bins;

		a.x = x + (size_t)first * a.hop;
		a.frames = NE_MIN(end - first, NE_MEL_LANES);
		c->run(&a);
		for (uint32_t l = 0; l < a.frames; l++)
			for (uint32_t b = 0; b < a.bins; b++)
				*y++ = a.y[(size_t)b * NE_MEL_LANES + l];
	}
}

/* Each filter from its first weight that is not zero to its last. */
static int lower_filters(struct ne_lower *lw, const struct ne_tensor *f, struct ne_mel_f32 *ret)
{
	uint32_t bins = (uint32_t)f->shape.dim[0], n = (uint32_t)f->shape.dim[1], total = 0;
	struct ne_mel_triangle *t = calloc(bins, sizeof(*t));
	float *weight = calloc((size_t)bins * n, sizeof(*weight));

	if (t && weight) {
		for (uint32_t b = 0; b < bins; b++) {
			const float *w = (const float *)f->data + (size_t)b * n;
			uint32_t last = n, first = 0;

			while (last && !(w[last - 1] < 0 || w[last - 1] > 0))
				last--;
			while (first < last && !(w[first] < 0 || w[first] > 0))
				first++;
			t[b] = (struct ne_mel_triangle){first, last - first, total};
			memcpy(weight + total, w + first, (last - first) * sizeof(*w));
			total += last - first;
		}
		ret->bins = bins;
		ret->triangle = ne_lower_table(lw, t, bins * sizeof(*t));
		ret->weight = ne_lower_table(lw, weight, NE_MAX(total, 1u) * sizeof(*weight));
	}
	free(t);
	free(weight);
	return ret->triangle && ret->weight ? 0 : -ENOMEM;
}

NE_OP_LOWER(spectrum)
{
	const struct ne_tensor *w = &lw->g->tensor[n->in[1]];
	uint32_t fft = (uint32_t)n->attr.mel.fft, frames = (uint32_t)lw->shape[lw->y].dim[1];
	struct spectrum_args c = {
		.x = lw->ref[n->in[0]],
		.y = lw->ref[lw->y],
		.mel = {.hop = (uint32_t)n->attr.mel.hop,
			.frame = (uint32_t)n->attr.mel.frame,
			.n = fft,
			.window = ne_lower_table(lw, w->data, w->bytes),
			.twiddle = ne_lower_twiddle(lw, fft / 2, fft / 4),
			.untangle = ne_lower_twiddle(lw, fft, fft / 4 + 1)},
		.run = lw->k->mel_f32,
	};

	if (!c.mel.window || !c.mel.twiddle || !c.mel.untangle ||
	    lower_filters(lw, &lw->g->tensor[n->in[2]], &c.mel) < 0)
		return ne_lower_no_memory(lw, n);
	ne_lower_scratch(lw,
			 (((size_t)fft / 2 + 1) * 2 + c.mel.bins) * NE_MEL_LANES * sizeof(float));
	return ne_lower_step(lw, run_spectrum, &c, sizeof(c), frames, NE_MEL_LANES,
			     (uint64_t)frames * fft * 8, lw->y);
}
