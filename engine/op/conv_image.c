/* SPDX-License-Identifier: MIT */
/* Convolutions over whole rows of an image, s8 (conv_image_s8 of kernels/table.h). */
#include "engine/op/conv.h"

#include <math.h>
#include <stdlib.h>

#define INPUT_BYTES  16384u /* of input rows at a time, at most */
#define CHUNK_BYTES  24576u /* of input and output, but no fewer pixels than */
#define LEAST_PIXELS 96u
#define MOST_SCRATCH (1u << 20) /* rows longer than that go to the kernel with indirection */

struct image_args {
	struct ne_conv_image_s8 a;
	struct ne_ref x, y;
	struct ne_conv_sum sum;
	void (*fn)(const struct ne_conv_image_s8 *a);
};

static void run_image(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct image_args *c = s->args;
	struct ne_conv_image_s8 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = ne_at(f, c->y);
	ne_conv_bind_sum(&c->sum, f, &a.add);
	a.scratch = f->scratch;
	a.first = first;
	a.n = n;
	c->fn(&a);
}

struct ne_image_rows ne_conv_rows(const struct ne_conv *c, uint32_t pixel)
{
	const struct ne_window *w = &c->n->attr.window;
	struct ne_image_rows im = {
		.h = c->x.h,
		.w = c->x.w,
		.oh = c->oh,
		.ow = c->ow,
		.sh = w->sh,
		.sw = w->sw,
		.top = w->pad_top,
		.left = w->pad_left,
		.rows = (w->kh - 1) * w->dh + 1,
		.columns = (c->ow - 1) * w->sw + (w->kw - 1) * w->dw + 1,
		.pixel = pixel,
		.chunk = 1,
	};

	if (c->taps == 1 && w->sw == 1 && w->sh == 1 && im.columns == im.w && im.oh == im.h) {
		im.w = im.ow = im.columns = im.h * im.w; /* all rows are one */
		im.h = im.oh = 1;
	}
	return im;
}

static struct ne_image_rows rows_of(const struct ne_lower *lw, const struct ne_conv *c,
				    uint32_t channels)
{
	const bool joined = c->packed_taps != c->taps;

	return ne_conv_rows(c,
			    joined ? channels : (uint32_t)ne_round_up(channels, lw->k->conv_s8_kr));
}

/*
 * Input and output of a chunk stay in the first cache together: every block of output channels goes
 * over both. But weights are read anew for every chunk, so it is not made small without need.
 */
void ne_conv_choose_chunk(struct ne_image_rows *im, size_t elem, uint32_t oc)
{
	const size_t row = (size_t)im->columns * im->pixel * elem;

	if (ne_image_flat(im)) {
		const uint32_t pixel = im->pixel * (uint32_t)elem;
		const uint32_t both = NE_MAX(CHUNK_BYTES / (pixel + oc), LEAST_PIXELS);
		const uint32_t pixels = NE_MIN(both, NE_MAX(INPUT_BYTES / pixel, 48u));

		im->chunk = NE_MIN((uint32_t)im->ow, pixels / 48 * 48);
		return;
	}
	while (im->chunk < (uint32_t)im->oh) {
		const size_t rows = (size_t)im->chunk * (size_t)im->sh + (size_t)im->rows;
		const size_t out = (size_t)(im->chunk + 1) * (size_t)im->ow * oc;

		if (rows * row > INPUT_BYTES || (rows * row + out > CHUNK_BYTES &&
						 im->chunk * (uint32_t)im->ow >= LEAST_PIXELS))
			break;
		im->chunk++;
	}
}

bool ne_conv_as_image(const struct ne_lower *lw, struct ne_conv *c)
{
	const struct ne_tensor *x = &lw->g->tensor[c->n->in[0]];
	const struct ne_tensor *w = &lw->g->tensor[c->n->in[1]];
	const struct ne_window *win = &c->n->attr.window;
	const uint32_t full = (uint32_t)ne_shape_last(&w->shape);
	struct ne_image_rows im;

	if (!lw->k->conv_image_s8 || c->groups > 1 || !c->n_pix)
		return false;
	/* Few channels that no level cuts: a row of the window is one run, so that less is padded. */
	if (!x->group && win->kw > 1 && win->dw == 1 && full % lw->k->conv_s8_kr)
		c->packed_taps = (uint32_t)win->kh;
	im = rows_of(lw, c, full); /* of full width, so that all levels are packed alike */
	if (ne_image_flat(&im) || (int64_t)im.columns * im.pixel * im.rows <= MOST_SCRATCH)
		return true;
	c->packed_taps = c->taps;
	return false;
}

/* Where the runs of a list start. */
static int lower_listed_runs(struct ne_lower *lw, const struct ne_conv *c,
			     struct ne_conv_image_s8 *a)
{
	const struct ne_window *w = &c->n->attr.window;
	const uint32_t pixel = a->im.pixel, kr = lw->k->conv_s8_kr, row = (uint32_t)w->kw * c->ic;
	int32_t *offset = calloc(c->runs->n, sizeof(*offset));

	if (!offset)
		return ne_lower_no_memory(lw, c->n);
	for (uint32_t i = 0; i < c->runs->n; i++) {
		const uint32_t first = c->runs->at[i] * c->runs->length, x = first % row;
		const size_t y = first / row * (size_t)w->dh * (size_t)a->im.columns;

		offset[i] =
			(int32_t)((y + (size_t)(x / c->ic) * (size_t)w->dw) * pixel + x % c->ic);
	}
	a->n_run = c->runs->n;
	a->run_steps = (c->runs->length + kr - 1) / kr;
	a->w_run_stride = c->packed->tap_stride;
	a->run_offset = ne_lower_table(lw, offset, (size_t)a->n_run * sizeof(*offset));
	free(offset);
	return a->run_offset ? 0 : ne_lower_no_memory(lw, c->n);
}

/* Where the runs of a window start, from its first element, and how many there are. */
static int lower_runs(struct ne_lower *lw, const struct ne_conv *c, struct ne_conv_image_s8 *a)
{
	const struct ne_window *w = &c->n->attr.window;
	const uint32_t kr = lw->k->conv_s8_kr, pixel = a->im.pixel;
	/* whole rows of the window, where no weights of channels that are cut lie between */
	const bool joined =
		c->packed_taps != c->taps ||
		(w->dw == 1 && c->packed->tap_stride == (size_t)pixel * lw->k->conv_s8_nr);
	const uint32_t rows = (uint32_t)w->kh, columns = joined ? 1 : (uint32_t)w->kw;
	const size_t row = (size_t)w->dh * (size_t)a->im.columns * pixel;
	int32_t *offset = calloc((size_t)rows * columns, sizeof(*offset));

	if (!offset)
		return ne_lower_no_memory(lw, c->n);
	for (uint32_t y = 0; y < rows; y++)
		for (uint32_t x = 0; x < columns; x++)
			offset[y * columns + x] =
				(int32_t)(y * row + (size_t)x * (size_t)w->dw * pixel);
	a->n_run = rows * columns;
	a->run_steps = ((joined ? (uint32_t)w->kw : 1) * pixel + kr - 1) / kr;
	a->w_run_stride = c->packed->tap_stride;
	if (joined && c->packed_taps == c->taps)
		a->w_run_stride *= (size_t)w->kw;
	a->run_offset = ne_lower_table(lw, offset, (size_t)a->n_run * sizeof(*offset));
	free(offset);
	return a->run_offset ? 0 : ne_lower_no_memory(lw, c->n);
}

/* x + shift is below 256. */
bool ne_channels_are_wide(uint32_t n, const struct ne_channels_s8 *ch, const int64_t *magnitude)
{
	for (uint32_t i = 0; i < n; i++) {
		const double sum = 256.0 * (double)magnitude[i] + abs(ch->bias[i]);
		const double factor = (double)ch->mult[i];

		if (!(sum * (factor < 0 ? -factor : factor) < 0x1p30))
			return true;
	}
	return false;
}

uint32_t ne_conv_lower_sum(const struct ne_lower *lw, struct ne_add_s8 *add, bool *wide,
			   struct ne_conv_sum *ret)
{
	const struct ne_node *n = lw->add.n;

	*ret = (struct ne_conv_sum){.any = n};
	if (!n)
		return lw->y;
	ret->first = n->in[0] == lw->y;
	ret->other = lw->ref[n->in[ret->first ? 1 : 0]];
	ne_lower_add_s8(lw, n, lw->add.y, lw->add.act, add);
	*wide = *wide ||
		!(255.0 * (fabs((double)add->fa) + fabs((double)add->fb)) + fabs((double)add->fc) <
		  0x1p30);
	return lw->add.y;
}

int ne_conv_lower_image(struct ne_lower *lw, const struct ne_conv *c,
			const struct ne_channels_s8 *ch, const int64_t *magnitude)
{
	struct ne_quant qx = ne_lower_quant(lw, c->n->in[0]), qy = ne_lower_quant(lw, lw->y);
	struct image_args s = {.fn = lw->k->conv_image_s8};
	uint32_t y;
	bool flat;

	s.a = (struct ne_conv_image_s8){
		.im = rows_of(lw, c, c->ic),
		.ic = c->ic,
		.oc = c->oc,
		.w = c->packed->w,
		.w_above_min = c->w_above_min,
		.w_block_stride = c->packed->block_stride,
		.bias = ch->bias,
		.mult = ch->mult,
		.wide = ne_channels_are_wide(c->oc, ch, magnitude),
		.zp = qy.zero,
		.y_stride = c->oc,
	};
	s.a.im.zero = (int8_t)qx.zero;
	ne_conv_choose_chunk(&s.a.im, lw->k->conv_image_elem, c->oc);
	NE_RETURN_IF(c->runs ? lower_listed_runs(lw, c, &s.a) : lower_runs(lw, c, &s.a));
	ne_act_limits_s8(lw->act, qy, &s.a.lo, &s.a.hi);
	s.a.way = ne_tune_conv_image(&lw->tune, lw->k, &s.a);
	s.x = lw->ref[c->n->in[0]];
	y = ne_conv_lower_sum(lw, &s.a.add, &s.a.wide, &s.sum);
	s.y = lw->ref[y];
	flat = ne_image_flat(&s.a.im);
	ne_lower_scratch(lw, ne_image_scratch(&s.a.im, flat, lw->k->conv_image_elem));
	return ne_lower_step(lw, run_image, &s, sizeof(s),
			     flat ? (size_t)s.a.im.ow : (size_t)s.a.im.oh, flat ? 24 : 1,
			     (uint64_t)c->n_pix * c->taps * c->ic * c->oc, y);
}
