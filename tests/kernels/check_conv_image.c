/* SPDX-License-Identifier: MIT */
/*
 * Convolution over whole rows of an image, s8, bit for bit: against windows taken one by one from
 * the image. Prefixes of what was packed, rows in pieces, chunks of any size.
 */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
	struct ne_image_rows im;
	int32_t kh, kw, dh, dw;
	uint32_t ic, oc, packed_ic, packed_oc;
	size_t y_stride;
	bool row_packed; /* a row's taps as channels of one */
	char text[200];
};

static int32_t outputs(int32_t in, int32_t k, int32_t d, int32_t stride, int32_t pad)
{
	return (in + pad - (k - 1) * d - 1) / stride + 1;
}

/* Derived fields, as lowering works them out. */
static void finish_shape(const struct check *c, struct shape *s)
{
	s->im.rows = (s->kh - 1) * s->dh + 1;
	s->im.columns = (s->im.ow - 1) * s->im.sw + (s->kw - 1) * s->dw + 1;
	s->im.pixel = s->row_packed ? s->ic : (uint32_t)ne_round_up(s->ic, c->k->conv_s8_kr);
	snprintf(s->text, sizeof(s->text),
		 "%dx%d ic %u of %u oc %u of %u kernel %dx%d/%d,%d dilation %d,%d pad %d,%d "
		 "output %dx%d chunk %u%s",
		 s->im.h, s->im.w, s->ic, s->packed_ic, s->oc, s->packed_oc, s->kh, s->kw, s->im.sh,
		 s->im.sw, s->dh, s->dw, s->im.top, s->im.left, s->im.oh, s->im.ow, s->im.chunk,
		 s->row_packed ? " rows packed" : "");
}

static void draw_shape(struct check *c, struct shape *s)
{
	static const int32_t kernels[] = {1, 1, 3, 3, 3, 2, 5, 4};
	struct ne_image_rows *im = &s->im;

	memset(s, 0, sizeof(*s));
	s->kh = kernels[check_range(c, 0, 7)];
	s->kw = check_one_in(c, 3) ? kernels[check_range(c, 0, 7)] : s->kh;
	s->dh = check_one_in(c, 5) ? 2 : 1;
	s->dw = check_one_in(c, 5) ? 2 : 1;
	im->sh = (int32_t)check_range(c, 1, 3);
	im->sw = check_one_in(c, 3) ? (int32_t)check_range(c, 1, 3) : im->sh;
	im->top = (int32_t)check_range(c, 0, (uint32_t)s->kh - 1);
	im->left = (int32_t)check_range(c, 0, (uint32_t)s->kw - 1);
	im->h = (s->kh - 1) * s->dh + 1 - im->top + (int32_t)check_range(c, 0, 9);
	im->w = (s->kw - 1) * s->dw + 1 - im->left + (int32_t)check_range(c, 0, 30);
	im->h = NE_MAX(im->h, 1);
	im->w = NE_MAX(im->w, 1);
	/* with padding behind by chance */
	im->oh = outputs(im->h, s->kh, s->dh, im->sh,
			 im->top + (check_one_in(c, 2) ? s->kh - 1 : 0));
	im->ow = outputs(im->w, s->kw, s->dw, im->sw,
			 im->left + (check_one_in(c, 2) ? s->kw - 1 : 0));
	s->ic = check_count(c, 70);
	s->oc = check_count(c, 90);
	s->packed_ic = s->ic + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	s->packed_oc = s->oc + (check_one_in(c, 2) ? 0 : check_range(c, 1, 40));
	if (s->dw == 1 && check_one_in(c, 3)) {
		s->row_packed = true;
		s->ic = s->packed_ic = check_range(c, 1, 8);
	}
	if (check_one_in(c, 4)) { /* one pixel after the other */
		s->kh = s->kw = im->sh = im->sw = 1;
		im->top = im->left = 0;
		im->h = im->oh = 1;
		im->w = im->ow = (int32_t)check_range(c, 1, 90);
	}
	s->y_stride = s->oc + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	im->chunk = check_range(c, 1, ne_image_flat(im) ? 60 : 4);
	finish_shape(c, s);
}

/* The kernel's argument; weights at full size in *ret_w, freed by the caller. */
static void draw_conv(struct check *c, struct shape *s, struct ne_conv_image_s8 *a, int8_t **ret_w)
{
	const struct ne_kernels *k = c->k;
	const uint32_t taps = (uint32_t)(s->kh * s->kw);
	const uint32_t p_taps = s->row_packed ? (uint32_t)s->kh : taps;
	const uint32_t p_ic = s->packed_ic * (taps / p_taps);
	const bool joined = s->row_packed ||
			    (s->dw == 1 && s->im.pixel == ne_round_up(s->packed_ic, k->conv_s8_kr));
	const uint32_t columns = joined ? 1 : (uint32_t)s->kw;
	const size_t n_x = (size_t)s->im.h * (size_t)s->im.w * s->ic;
	const size_t ocr = ne_round_up(s->oc, k->conv_s8_nr),
		     n_w = (size_t)s->packed_oc * taps * s->packed_ic;
	int8_t *x = check_input(c, n_x, 1), *packed, *w = malloc(n_w);
	int32_t *offset = check_input(c, (size_t)s->kh * columns * 4, 4);
	int32_t *bias = check_input(c, ocr * 4, 64);
	float *mult = check_input(c, ocr * 4, 64);
	const bool far = check_one_in(c, 6);
	bool above_min;
	const size_t scratch = ne_image_scratch(&s->im, ne_image_flat(&s->im), k->conv_image_elem);
	size_t tap_stride;

	if (!w)
		abort();
	check_fill_s8(c, w, n_w);
	above_min = check_one_in(c, 2);
	for (size_t i = 0; above_min && i < n_w; i++)
		w[i] = NE_MAX(w[i], -INT8_MAX);
	check_fill_s8(c, x, n_x);
	packed = check_input(c, ne_pack_conv_s8_bytes(k, s->packed_oc, p_taps, p_ic), 64);
	*a = (struct ne_conv_image_s8){.x = x,
				       .ic = s->ic,
				       .oc = s->oc,
				       .run_offset = offset,
				       .w = packed,
				       .w_above_min = above_min,
				       .bias = bias,
				       .mult = mult,
				       .y_stride = s->y_stride};
	ne_pack_conv_s8(k, packed, w, s->packed_oc, p_taps, p_ic, &tap_stride, &a->w_block_stride);
	s->im.zero = (int8_t)check_random(c);
	a->im = s->im;
	a->scratch = check_input(c, ne_round_up(scratch, 64), 64);
	memset(a->scratch, 0x5a, ne_round_up(scratch, 64));
	for (int32_t y = 0; y < s->kh; y++)
		for (uint32_t i = 0; i < columns; i++)
			offset[(uint32_t)y * columns + i] =
				(int32_t)((uint32_t)(y * s->dh * s->im.columns +
						     (int32_t)i * s->dw) *
					  s->im.pixel);
	a->n_run = (uint32_t)s->kh * columns;
	a->run_steps =
		((joined ? (uint32_t)s->kw : 1) * s->im.pixel + k->conv_s8_kr - 1) / k->conv_s8_kr;
	a->w_run_stride = joined && !s->row_packed ? tap_stride * (size_t)s->kw : tap_stride;
	for (size_t i = 0; i < ocr; i++)
		bias[i] = far ? (int32_t)check_random(c)
			      : (int32_t)check_range(c, 0, 200000) - 100000;
	check_draw_mult(c, mult, ocr, 5000 * sqrt((double)taps * s->ic));
	for (size_t i = 0; i < s->oc; i++)
		a->wide |= !(fabs((double)mult[i]) < 0.5);
	a->way = check_range(c, 0, NE_MAX(k->conv_image_ways, 1u) - 1);
	check_draw_output(c, &a->zp, &a->lo, &a->hi);
	*ret_w = w;
}

/* A sum that follows, of outputs that are dense then. */
static void draw_add(struct check *c, struct shape *s, struct ne_conv_image_s8 *a)
{
	const size_t n = (size_t)s->im.oh * (size_t)s->im.ow * s->oc;
	int8_t *other = check_input(c, n, 1);
	int32_t zp;

	check_fill_s8(c, other, n);
	s->y_stride = a->y_stride = s->oc;
	a->add.fa = (float)check_range(c, 0, 4000) / 2000;
	a->add.fb = (float)check_range(c, 0, 4000) / 2000;
	if (check_one_in(c, 20)) { /* beyond what converts to integers; not a number */
		a->add.fa *= check_one_in(c, 2) ? 1e30f : INFINITY;
		a->wide = true;
	}
	check_draw_output(c, &zp, &a->add.lo, &a->add.hi);
	a->add.fc = (float)(zp + 128) - 128 * a->add.fa - 128 * a->add.fb;
	if (check_one_in(c, 2))
		a->add.a = other;
	else
		a->add.b = other;
}

/* What the sum gives for output @i, where the convolution gives @q. */
static int8_t added(const struct ne_add_s8 *v, size_t i, int8_t q)
{
	const int32_t a = v->a ? v->a[i] : q, b = v->b ? v->b[i] : q;

	const float r = fmaf((float)(a + 128), v->fa, fmaf((float)(b + 128), v->fb, v->fc));

	return isnan(r) ? (int8_t)v->lo : check_requantise(r, -128, v->lo, v->hi);
}

/* Sum of a window, wrapping as the kernels' do. */
static uint32_t window(const struct ne_conv_image_s8 *a, const struct shape *s, int32_t shift,
		       const int8_t *w, int32_t oy, int32_t ox, uint32_t o)
{
	uint32_t sum = (uint32_t)a->bias[o];

	for (int32_t ky = 0; ky < s->kh; ky++)
		for (int32_t kx = 0; kx < s->kw; kx++) {
			const int32_t y = oy * s->im.sh - s->im.top + ky * s->dh;
			const int32_t x = ox * s->im.sw - s->im.left + kx * s->dw;
			const bool in = y >= 0 && y < s->im.h && x >= 0 && x < s->im.w;
			const int8_t *wt =
				w + (((size_t)o * (size_t)s->kh + (size_t)ky) * (size_t)s->kw +
				     (size_t)kx) *
					    s->packed_ic;

			for (uint32_t i = 0; i < s->ic; i++) {
				const int8_t v =
					in ? a->x[((size_t)y * (size_t)s->im.w + (size_t)x) *
							  s->ic +
						  i]
					   : s->im.zero;

				sum += (uint32_t)((v + shift) * wt[i]);
			}
		}
	return sum;
}

static void in_pieces(struct check *c, struct ne_conv_image_s8 *a)
{
	const uint32_t all = (uint32_t)(ne_image_flat(&a->im) ? a->im.ow : a->im.oh);

	for (a->first = 0; a->first < all; a->first += a->n) {
		a->n = check_one_in(c, 2) ? all - a->first : check_range(c, 1, all - a->first);
		c->k->conv_image_s8(a);
	}
}

static void draw_want(struct check *c, const struct shape *s, struct ne_conv_image_s8 *a,
		      int32_t shift, const int8_t *w)
{
	const size_t n_y = ((size_t)s->im.oh * (size_t)s->im.ow - 1) * s->y_stride + s->oc;
	int8_t *want;

	check_output(c, n_y, 1, &a->y, &want);
	for (int32_t oy = 0; oy < s->im.oh; oy++)
		for (int32_t ox = 0; ox < s->im.ow; ox++)
			for (uint32_t o = 0; o < s->oc; o++) {
				const float v = (float)(int32_t)window(a, s, shift, w, oy, ox, o);
				const int8_t q =
					check_requantise(v * a->mult[o], a->zp, a->lo, a->hi);
				const size_t at =
					((size_t)oy * (size_t)s->im.ow + (size_t)ox) * s->y_stride +
					o;

				want[at] = ne_adds_s8(&a->add) ? added(&a->add, at, q) : q;
			}
}

static bool run(struct check *c)
{
	struct ne_conv_image_s8 a;
	struct shape s;
	int8_t *w;

	draw_shape(c, &s);
	draw_conv(c, &s, &a, &w);
	if (check_one_in(c, 3))
		draw_add(c, &s, &a);
	draw_want(c, &s, &a, c->k->conv_s8_shift, w);
	in_pieces(c, &a);
	free(w);
	return check_same(c, 1, s.y_stride, s.text);
}

static const struct {
	const char *label;
	int32_t h, w, k, stride;
	uint32_t ic, oc;
	bool row_packed, adds;
} layers[] = {
	{"3x3/2 3>8, 96x96", 96, 96, 3, 2, 3, 8, true, false},
	{"3x3 3>16, 32x32", 32, 32, 3, 1, 3, 16, true, false},
	{"3x3 16>16, 32x32", 32, 32, 3, 1, 16, 16, false, false},
	{"3x3 16>16 + y, 32x32", 32, 32, 3, 1, 16, 16, false, true},
	{"3x3 32>32, 16x16", 16, 16, 3, 1, 32, 32, false, false},
	{"3x3 64>64, 8x8", 8, 8, 3, 1, 64, 64, false, false},
	{"1x1 64>64, 125 px", 1, 125, 1, 1, 64, 64, false, false},
	{"1x1 8>16, 2304 px", 1, 2304, 1, 1, 8, 16, false, false},
	{"1x1 128>128, 36 px", 1, 36, 1, 1, 128, 128, false, false},
	{"1x1 256>256, 9 px", 1, 9, 1, 1, 256, 256, false, false},
	{"1x1 96>24, 3136 px", 1, 3136, 1, 1, 96, 24, false, false},
	{"1x1 96>24 + y, 3136 px", 1, 3136, 1, 1, 96, 24, false, true},
	{"1x1 24>144, 3136 px", 1, 3136, 1, 1, 24, 144, false, false},
};

struct job {
	const struct ne_kernels *k;
	struct ne_conv_image_s8 a;
};

static void call(const void *arg)
{
	const struct job *job = arg;

	job->k->conv_image_s8(&job->a);
}

/* Layer @i as whole models run it; the weights are the caller's to free. */
static struct shape draw_layer(struct check *c, size_t i, struct ne_conv_image_s8 *a,
			       int8_t **ret_w)
{
	const int32_t pad = layers[i].k / 2, stride = layers[i].stride;
	struct shape s = {
		.im = {.h = layers[i].h,
		       .w = layers[i].w,
		       .sh = stride,
		       .sw = stride,
		       .top = pad,
		       .left = pad,
		       .oh = (layers[i].h + stride - 1) / stride,
		       .ow = (layers[i].w + stride - 1) / stride},
		.kh = layers[i].k,
		.kw = layers[i].k,
		.dh = 1,
		.dw = 1,
		.ic = layers[i].ic,
		.oc = layers[i].oc,
		.packed_ic = layers[i].ic,
		.packed_oc = layers[i].oc,
		.y_stride = layers[i].oc,
		.row_packed = layers[i].row_packed,
	};
	int8_t *want;

	check_reset();
	s.im.chunk = ne_image_flat(&s.im) ? 192 : 4;
	finish_shape(c, &s);
	if (s.im.h == 1)
		s.im.chunk = 192;
	draw_conv(c, &s, a, ret_w);
	if (layers[i].adds)
		draw_add(c, &s, a);
	a->wide = false;
	a->way = 0;
	a->n = (uint32_t)(ne_image_flat(&s.im) ? s.im.ow : s.im.oh);
	check_output(c, (size_t)s.im.oh * (size_t)s.im.ow * s.oc, 1, &a->y, &want);
	return s;
}

static double macs_of(const struct shape *s)
{
	return (double)(s->im.oh * s->im.ow) * s->kh * s->kw * s->ic * s->oc;
}

static void bench(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		struct job job = {.k = c->k};
		struct shape s;
		int8_t *w;

		s = draw_layer(c, i, &job.a, &w);
		check_time(c, layers[i].label, macs_of(&s), "MAC", call, &job);
		free(w);
	}
}

/* ---- by quads ---- */

/* The same layer: weights packed at full width of the inputs, scratch of bytes. */
static struct ne_conv_quads_s8 quads_of(struct check *c, const struct shape *s,
					const struct ne_conv_image_s8 *a, const int8_t *w)
{
	const uint32_t columns = s->dw == 1 ? 1 : (uint32_t)s->kw, runs = (uint32_t)s->kh * columns;
	const uint32_t blocks = (uint32_t)ne_round_up(s->packed_oc, 8) / 8;
	int32_t *run = check_input(c, runs * 4, 4), *offset;
	const struct ne_quads_shape shape = {s->packed_oc, runs, (uint32_t)s->kw / columns * s->ic,
					     run};
	uint32_t twos;
	const uint32_t n = ne_count_quads(&shape, w, &twos);
	uint32_t *quad = check_input(c, (2 * blocks + 1) * 4, 4);
	int8_t *packed = check_input(c, (size_t)n * NE_QUAD_BYTES, 64);
	size_t scratch;
	struct ne_conv_quads_s8 q = {
		.x = a->x,
		.im = a->im,
		.ic = a->ic,
		.oc = a->oc,
		.quad = quad,
		.w = packed,
		.bias = a->bias,
		.mult = a->mult,
		.wide = a->wide,
		.zp = a->zp,
		.lo = a->lo,
		.hi = a->hi,
		.y = a->y,
		.y_stride = a->y_stride,
		.add = a->add,
	};

	q.im.pixel = s->ic;
	scratch = ne_round_up(ne_image_scratch(&q.im, ne_image_flat(&q.im), 1), 64);
	q.scratch = check_input(c, scratch, 64);
	memset(q.scratch, 0x5a, scratch);
	for (uint32_t i = 0; i < runs; i++)
		run[i] = ((int32_t)(i / columns) * s->dh * s->im.columns +
			  (int32_t)(i % columns) * s->dw) *
			 (int32_t)s->ic;
	q.offset = offset = check_input(c, n * 4, 4);
	ne_pack_quads(&shape, w, quad, offset, packed);
	return q;
}

/* Weights that are large, so that few pairs are safe, or small, so that all are. */
static void draw_small(struct check *c, int8_t *w, size_t n)
{
	const int32_t most = (int32_t)check_range(c, 1, 127);

	for (size_t i = 0; i < n; i++)
		w[i] = (int8_t)(w[i] % most);
}

static bool run_quads(struct check *c)
{
	struct ne_conv_image_s8 a;
	struct ne_conv_quads_s8 q;
	struct shape s;
	uint32_t all;
	int8_t *w;

	draw_shape(c, &s);
	s.packed_ic = s.ic;
	draw_conv(c, &s, &a, &w);
	if (!check_one_in(c, 3))
		draw_small(c, w, (size_t)s.packed_oc * (uint32_t)(s.kh * s.kw) * s.ic);
	if (check_one_in(c, 3))
		draw_add(c, &s, &a);
	draw_want(c, &s, &a, 128, w);
	q = quads_of(c, &s, &a, w);
	all = (uint32_t)(ne_image_flat(&q.im) ? q.im.ow : q.im.oh);
	for (q.first = 0; q.first < all; q.first += q.n) {
		q.n = check_one_in(c, 2) ? all - q.first : check_range(c, 1, all - q.first);
		c->k->conv_quads_s8(&q);
	}
	free(w);
	return check_same(c, 1, s.y_stride, s.text);
}

struct quads_job {
	const struct ne_kernels *k;
	struct ne_conv_quads_s8 a;
};

static void call_quads(const void *arg)
{
	const struct quads_job *job = arg;

	job->k->conv_quads_s8(&job->a);
}

/* Weights whose pairs are all safe. */
static void bench_quads(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		struct quads_job job = {.k = c->k};
		struct ne_conv_image_s8 a;
		struct shape s;
		int8_t *w;

		s = draw_layer(c, i, &a, &w);
		for (size_t j = 0; j < (size_t)(s.kh * s.kw) * s.ic * s.oc; j++)
			w[j] /= 2;
		job.a = quads_of(c, &s, &a, w);
		job.a.n = a.n;
		check_time(c, layers[i].label, macs_of(&s), "MAC", call_quads, &job);
		free(w);
	}
}

/* ---- by Winograd's algorithm ---- */

static struct ne_conv_winograd_s8 winograd_of(struct check *c, const struct shape *s,
					      const struct ne_conv_image_s8 *a, const int8_t *w)
{
	int16_t *packed = check_input(c, ne_pack_winograd_bytes(s->packed_oc, s->packed_ic), 64);
	struct ne_conv_winograd_s8 g = {
		.x = a->x,
		.im = a->im,
		.ic = a->ic,
		.oc = a->oc,
		.w = packed,
		.w_point = (size_t)s->packed_ic * 16,
		.bias = a->bias,
		.mult = a->mult,
		.wide = a->wide,
		.zp = a->zp,
		.lo = a->lo,
		.hi = a->hi,
		.y = a->y,
		.y_stride = a->y_stride,
		.add = a->add,
	};
	size_t scratch;

	g.im.pixel = s->ic;
	scratch = ne_round_up(ne_winograd_scratch(&g.im), 64);
	g.scratch = check_input(c, scratch, 64);
	memset(g.scratch, 0x5a, scratch);
	ne_pack_winograd(packed, w, s->packed_oc, s->packed_ic);
	return g;
}

static bool run_winograd(struct check *c)
{
	struct ne_conv_winograd_s8 g;
	struct ne_conv_image_s8 a;
	struct shape s;
	uint32_t all;
	int8_t *w;

	draw_shape(c, &s);
	s.kh = s.kw = 3;
	s.dh = s.dw = s.im.sh = s.im.sw = 1;
	s.row_packed = false;
	s.im.top = (int32_t)check_range(c, 0, 2);
	s.im.left = (int32_t)check_range(c, 0, 2);
	s.im.h = NE_MAX(s.im.h, 3 - s.im.top);
	s.im.w = NE_MAX(s.im.w, 3 - s.im.left);
	s.im.oh = outputs(s.im.h, 3, 1, 1, s.im.top + (check_one_in(c, 2) ? 2 : 0));
	s.im.ow = outputs(s.im.w, 3, 1, 1, s.im.left + (check_one_in(c, 2) ? 2 : 0));
	s.packed_ic = 16 * check_range(c, 1, 6);
	s.ic = 16 * check_range(c, 1, s.packed_ic / 16);
	finish_shape(c, &s);
	draw_conv(c, &s, &a, &w);
	if (check_one_in(c, 3))
		draw_add(c, &s, &a);
	draw_want(c, &s, &a, 0, w);
	g = winograd_of(c, &s, &a, w);
	all = ((uint32_t)s.im.oh + 1) / 2;
	for (g.first = 0; g.first < all; g.first += g.n) {
		g.n = check_one_in(c, 2) ? all - g.first : check_range(c, 1, all - g.first);
		c->k->conv_winograd_s8(&g);
	}
	free(w);
	return check_same(c, 1, s.y_stride, s.text);
}

struct winograd_job {
	const struct ne_kernels *k;
	struct ne_conv_winograd_s8 a;
};

static void call_winograd(const void *arg)
{
	const struct winograd_job *job = arg;

	job->k->conv_winograd_s8(&job->a);
}

static void bench_winograd(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		struct winograd_job job = {.k = c->k};
		struct ne_conv_image_s8 a;
		struct shape s;
		int8_t *w;

		if (layers[i].k != 3 || layers[i].stride != 1 || layers[i].ic % 16)
			continue;
		s = draw_layer(c, i, &a, &w);
		job.a = winograd_of(c, &s, &a, w);
		job.a.n = ((uint32_t)s.im.oh + 1) / 2;

		check_time(c, layers[i].label, macs_of(&s), "MAC", call_winograd, &job);
		free(w);
	}
}

const struct check_test check_conv_image_s8 = {
	"conv_image_s8", offsetof(struct ne_kernels, conv_image_s8), run, bench, 400,
};

const struct check_test check_conv_quads_s8 = {
	"conv_quads_s8", offsetof(struct ne_kernels, conv_quads_s8), run_quads, bench_quads, 400,
};

const struct check_test check_conv_winograd_s8 = {
	"conv_winograd_s8",
	offsetof(struct ne_kernels, conv_winograd_s8),
	run_winograd,
	bench_winograd,
	400,
};
