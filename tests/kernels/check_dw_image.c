/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution over whole rows of an image, s8, bit for bit: against windows taken one by
 * one from the image. Any prefix of the channels, rows in pieces, chunks of any size.
 */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
	struct ne_image_rows im;
	int32_t kh, kw, dh, dw;
	uint32_t c, packed_c, planes;
	bool pair;
	char text[200];
};

static int32_t outputs(int32_t in, int32_t k, int32_t d, int32_t stride, int32_t pad)
{
	return (in + pad - (k - 1) * d - 1) / stride + 1;
}

/* Derived fields, as lowering works them out. */
static void finish_shape(const struct check *c, struct shape *s)
{
	s->pair = c->k->dw_image_taps > 1 && s->im.sh == 1 && s->dh == 1 && s->im.oh > 1;
	s->planes = ne_dw_image_pixels(c->k, s->c) > 1 ? (uint32_t)s->im.sw : 1;
	s->im.rows = (s->kh - 1) * s->dh + 1;
	s->im.columns = (s->im.ow - 1) * s->im.sw + (s->kw - 1) * s->dw + 1;
	s->im.columns = (int32_t)ne_round_up((size_t)s->im.columns, s->planes);
	s->im.pixel = s->c;
	s->im.chunk = (uint32_t)ne_round_up(s->im.chunk, s->pair ? 2 : 1);
	snprintf(s->text, sizeof(s->text),
		 "%dx%d c %u of %u kernel %dx%d/%d,%d dilation %d,%d pad %d,%d output %dx%d "
		 "chunk %u planes %u",
		 s->im.h, s->im.w, s->c, s->packed_c, s->kh, s->kw, s->im.sh, s->im.sw, s->dh,
		 s->dw, s->im.top, s->im.left, s->im.oh, s->im.ow, s->im.chunk, s->planes);
}

static void draw_shape(struct check *c, struct shape *s)
{
	static const int32_t kernels[] = {1, 3, 3, 3, 3, 2, 5, 7};
	static const uint32_t channels[] = {8, 16, 24, 32, 64, 96};
	struct ne_image_rows *im = &s->im;

	memset(s, 0, sizeof(*s));
	s->kh = kernels[check_range(c, 0, 7)];
	s->kw = check_one_in(c, 3) ? kernels[check_range(c, 0, 7)] : s->kh;
	s->dh = check_one_in(c, 6) ? 2 : 1;
	s->dw = check_one_in(c, 6) ? 2 : 1;
	im->sh = (int32_t)check_range(c, 1, check_one_in(c, 4) ? 3 : 2);
	im->sw = check_one_in(c, 3) ? (int32_t)check_range(c, 1, 3) : im->sh;
	im->top = (int32_t)check_range(c, 0, (uint32_t)s->kh - 1);
	im->left = (int32_t)check_range(c, 0, (uint32_t)s->kw - 1);
	im->h = (s->kh - 1) * s->dh + 1 - im->top + (int32_t)check_range(c, 0, 9);
	im->w = (s->kw - 1) * s->dw + 1 - im->left + (int32_t)check_range(c, 0, 30);
	im->h = NE_MAX(im->h, 1);
	im->w = NE_MAX(im->w, 1);
	im->oh = outputs(im->h, s->kh, s->dh, im->sh,
			 im->top + (check_one_in(c, 2) ? s->kh - 1 : 0));
	im->ow = outputs(im->w, s->kw, s->dw, im->sw,
			 im->left + (check_one_in(c, 2) ? s->kw - 1 : 0));
	s->c = check_one_in(c, 2) ? channels[check_range(c, 0, 5)] : check_count(c, 140);
	s->packed_c = s->c + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	im->chunk = check_range(c, 1, 5);
	finish_shape(c, s);
}

static void draw_offsets(const struct check *c, const struct shape *s, const struct ne_dw_shape *d,
			 int32_t *offset)
{
	const int32_t planes = (int32_t)s->planes, plane = s->im.columns / planes;

	ne_dw_image_taps(c->k, offset, d);
	for (uint32_t i = 0; i < ne_dw_image_groups(c->k, d) * c->k->dw_image_taps; i++) {
		const int32_t tap = NE_MAX(offset[i], 0);
		const int32_t row = tap / s->kw * s->dh, column = tap % s->kw * s->dw;

		offset[i] = (row * s->im.columns + column % planes * plane + column / planes) *
			    (int32_t)s->c;
	}
}

/* The kernel's argument; plain weights, biases and factors behind the pointers. */
struct plain {
	int8_t *w; /* freed by the caller */
	int32_t *bias;
	float *mult;
};

static void draw_dw(struct check *c, struct shape *s, struct ne_dw_image_s8 *a, struct plain *ret)
{
	const struct ne_kernels *k = c->k;
	const struct ne_dw_shape d = {(uint32_t)s->kh, (uint32_t)s->kw, s->c, s->pair};
	const uint32_t taps = (uint32_t)(s->kh * s->kw), groups = ne_dw_image_groups(k, &d);
	const size_t n_x = (size_t)s->im.h * (size_t)s->im.w * s->c, n_w = taps * s->packed_c;
	const size_t sums = (size_t)ne_dw_image_blocks(k, s->c) * k->dw_image_lanes * 4;
	int8_t *x = check_input(c, n_x, 1), *w = malloc(n_w);
	int32_t *offset = check_input(c, (size_t)groups * k->dw_image_taps * 4, 4);
	void *packed = check_input(c, ne_pack_dw_image_bytes(k, &d), 64);
	int32_t *bias = check_input(c, s->c * 4ul, 4);
	float *mult = check_input(c, s->c * 4ul, 4);
	void *packed_bias = check_input(c, sums, 64), *packed_mult = check_input(c, sums, 64);
	const bool far = check_one_in(c, 6);
	size_t scratch;

	if (!w)
		abort();
	check_fill_s8(c, x, n_x);
	check_fill_s8(c, w, n_w);
	for (uint32_t i = 0; i < s->c; i++)
		bias[i] =
			far ? (int32_t)check_random(c) : (int32_t)check_range(c, 0, 20000) - 10000;
	check_draw_mult(c, mult, s->c, 5000 * sqrt(taps));
	s->im.zero = (int8_t)check_random(c);
	*a = (struct ne_dw_image_s8){.x = x, .im = s->im, .planes = s->planes, .c = s->c};
	for (uint32_t i = 0; i < s->c; i++)
		a->wide |= !(fabs((double)mult[i]) < 0.5);
	ne_pack_dw_image(k, packed, w, s->packed_c, &d);
	ne_pack_dw_channels(k, packed_bias, bias, s->c);
	ne_pack_dw_channels(k, packed_mult, mult, s->c);
	draw_offsets(c, s, &d, offset);
	a->pixels = ne_dw_image_pixels(k, s->c);
	a->pair = s->pair;
	a->n_group = groups;
	a->offset = offset;
	a->w = packed;
	a->bias = packed_bias;
	a->mult = packed_mult;
	scratch = ne_round_up(ne_image_scratch(&s->im, false, k->dw_image_elem), 64);
	a->scratch = check_input(c, scratch, 64);
	memset(a->scratch, 0x5a, scratch);
	check_draw_output(c, &a->zp, &a->lo, &a->hi);
	*ret = (struct plain){w, bias, mult};
}

/* Sum of a window, wrapping as the kernels' do. */
static uint32_t window(const struct ne_dw_image_s8 *a, const struct shape *s, int32_t shift,
		       const struct plain *p, int32_t oy, int32_t ox, uint32_t i)
{
	uint32_t sum = (uint32_t)p->bias[i];

	for (int32_t ky = 0; ky < s->kh; ky++)
		for (int32_t kx = 0; kx < s->kw; kx++) {
			const int32_t y = oy * s->im.sh - s->im.top + ky * s->dh;
			const int32_t x = ox * s->im.sw - s->im.left + kx * s->dw;
			const bool in = y >= 0 && y < s->im.h && x >= 0 && x < s->im.w;
			const size_t at = ((size_t)y * (size_t)s->im.w + (size_t)x) * s->c + i;
			const int32_t v = in ? a->x[at] : s->im.zero;

			sum += (uint32_t)((v + shift) *
					  p->w[(size_t)(ky * s->kw + kx) * s->packed_c + i]);
		}
	return sum;
}

static void in_pieces(struct check *c, struct ne_dw_image_s8 *a)
{
	const uint32_t all = (uint32_t)a->im.oh;

	for (a->first = 0; a->first < all; a->first += a->n) {
		a->n = check_one_in(c, 2) ? all - a->first : check_range(c, 1, all - a->first);
		c->k->dw_image_s8(a);
	}
}

static void draw_want(struct check *c, const struct shape *s, struct ne_dw_image_s8 *a,
		      int32_t shift, const struct plain *p)
{
	int8_t *want;

	check_output(c, (size_t)s->im.oh * (size_t)s->im.ow * s->c, 1, &a->y, &want);
	for (int32_t oy = 0; oy < s->im.oh; oy++)
		for (int32_t ox = 0; ox < s->im.ow; ox++)
			for (uint32_t i = 0; i < s->c; i++)
				*want++ = check_requantise(
					(float)(int32_t)window(a, s, shift, p, oy, ox, i) *
						p->mult[i],
					a->zp, a->lo, a->hi);
}

static bool run(struct check *c)
{
	struct ne_dw_image_s8 a;
	struct plain p;
	struct shape s;

	draw_shape(c, &s);
	draw_dw(c, &s, &a, &p);
	draw_want(c, &s, &a, c->k->dw_image_shift, &p);
	in_pieces(c, &a);
	free(p.w);
	return check_same(c, 1, s.c, s.text);
}

static const struct {
	const char *label;
	int32_t h, w, stride;
	uint32_t c;
} layers[] = {
	{"3x3 64, 25x5", 25, 5, 1, 64},         {"3x3 8, 48x48", 48, 48, 1, 8},
	{"3x3/2 16, 48x48", 48, 48, 2, 16},     {"3x3 32, 24x24", 24, 24, 1, 32},
	{"3x3 128, 6x6", 6, 6, 1, 128},         {"3x3 96, 56x56", 56, 56, 1, 96},
	{"3x3/2 96, 112x112", 112, 112, 2, 96},
};

struct job {
	const struct ne_kernels *k;
	struct ne_dw_image_s8 a;
};

static void call(const void *arg)
{
	const struct job *job = arg;

	job->k->dw_image_s8(&job->a);
}

/* Layer @i as whole models run it; the weights are the caller's to free. */
static struct shape draw_layer(struct check *c, size_t i, struct ne_dw_image_s8 *a, struct plain *p)
{
	const int32_t stride = layers[i].stride;
	struct shape s = {
		.im = {.h = layers[i].h,
		       .w = layers[i].w,
		       .sh = stride,
		       .sw = stride,
		       .top = 1,
		       .left = 1,
		       .oh = (layers[i].h + stride - 1) / stride,
		       .ow = (layers[i].w + stride - 1) / stride,
		       .chunk = layers[i].w > 50 ? 2 : 12},
		.kh = 3,
		.kw = 3,
		.dh = 1,
		.dw = 1,
		.c = layers[i].c,
		.packed_c = layers[i].c,
	};
	int8_t *want;

	check_reset();
	finish_shape(c, &s);
	draw_dw(c, &s, a, p);
	a->wide = false;
	a->n = (uint32_t)s.im.oh;
	check_output(c, (size_t)s.im.oh * (size_t)s.im.ow * s.c, 1, &a->y, &want);
	return s;
}

static void bench(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		struct job job = {.k = c->k};
		struct plain p;
		struct shape s;

		s = draw_layer(c, i, &job.a, &p);
		check_time(c, layers[i].label, 9.0 * s.im.oh * s.im.ow * s.c, "MAC", call, &job);
		free(p.w);
	}
}

const struct check_test check_dw_image_s8 = {
	"dw_image_s8", offsetof(struct ne_kernels, dw_image_s8), run, bench, 400,
};

/* ---- 3x3 by pairs of rows ---- */

/* @pixel: channels at a time, 0 for all. */
static struct ne_dw_square_s8 square_of(struct check *c, const struct shape *s,
					const struct ne_dw_image_s8 *a, const struct plain *p,
					uint32_t pixel)
{
	const size_t padded = ne_round_up(s->c, 8);
	int16_t *w = check_input(c, ne_pack_dw_square_bytes(s->c, s->im.sh), 64);
	int32_t *bias = check_input(c, padded * 4, 64);
	float *mult = check_input(c, padded * 4, 64);
	struct ne_dw_square_s8 q = {
		.x = a->x,
		.im = a->im,
		.c = s->c,
		.w = w,
		.bias = bias,
		.mult = mult,
		.wide = a->wide,
		.zp = a->zp,
		.lo = a->lo,
		.hi = a->hi,
		.y = a->y,
	};
	size_t scratch;

	q.im.columns = (s->im.ow - 1) * s->im.sw + 3;
	q.im.chunk = (uint32_t)ne_round_up(s->im.chunk, s->im.sh == 1 ? 2 : 1);
	q.im.pixel = pixel && pixel < s->c ? pixel : s->c;
	scratch = ne_round_up(ne_dw_square_scratch(&q.im), 64);
	q.scratch = check_input(c, scratch, 64);
	memset(q.scratch, 0x5a, scratch);
	ne_pack_dw_square(w, p->w, s->packed_c, s->c, s->im.sh);
	for (size_t i = 0; i < padded; i++) {
		bias[i] = i < s->c ? p->bias[i] : 0;
		mult[i] = i < s->c ? p->mult[i] : 0;
	}
	return q;
}

static bool run_square(struct check *c)
{
	struct ne_dw_image_s8 a;
	struct ne_dw_square_s8 q;
	struct plain p;
	struct shape s;

	do
		draw_shape(c, &s);
	while (s.im.sh > 2);
	s.kh = s.kw = 3;
	s.dh = s.dw = 1;
	s.im.top = (int32_t)check_range(c, 0, 2);
	s.im.left = (int32_t)check_range(c, 0, 2);
	s.im.h = NE_MAX(s.im.h, 3 - s.im.top);
	s.im.w = NE_MAX(s.im.w, 3 - s.im.left);
	s.im.oh = outputs(s.im.h, 3, 1, s.im.sh, s.im.top + (check_one_in(c, 2) ? 2 : 0));
	s.im.ow = outputs(s.im.w, 3, 1, s.im.sw, s.im.left + (check_one_in(c, 2) ? 2 : 0));
	finish_shape(c, &s);
	draw_dw(c, &s, &a, &p);
	draw_want(c, &s, &a, 0, &p);
	q = square_of(c, &s, &a, &p, check_one_in(c, 2) ? 0 : 8 * check_range(c, 1, 5));
	for (q.first = 0; q.first < (uint32_t)q.im.oh; q.first += q.n) {
		const uint32_t left = (uint32_t)q.im.oh - q.first;

		q.n = check_one_in(c, 2) ? left : check_range(c, 1, left);
		c->k->dw_square_s8(&q);
	}
	free(p.w);
	return check_same(c, 1, s.c, s.text);
}

struct square_job {
	const struct ne_kernels *k;
	struct ne_dw_square_s8 a;
};

static void call_square(const void *arg)
{
	const struct square_job *job = arg;

	job->k->dw_square_s8(&job->a);
}

static void bench_square(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(layers); i++) {
		struct square_job job = {.k = c->k};
		struct ne_dw_image_s8 a;
		struct plain p;
		struct shape s;

		s = draw_layer(c, i, &a, &p);
		job.a = square_of(c, &s, &a, &p, layers[i].w > 50 ? 32 : 0);
		job.a.n = a.n;
		check_time(c, layers[i].label, 9.0 * s.im.oh * s.im.ow * s.c, "MAC", call_square,
			   &job);
		free(p.w);
	}
}

const struct check_test check_dw_square_s8 = {
	"dw_square_s8", offsetof(struct ne_kernels, dw_square_s8), run_square, bench_square, 400,
};
