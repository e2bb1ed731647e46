/* SPDX-License-Identifier: MIT */
/*
 * Convolution and depthwise convolution along lines, f32, against windows taken one by one from
 * the image; bounds as in check_conv.c. Prefixes of what was packed, rows in pieces.
 */
#include "tests/kernels/check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct shape {
	struct ne_lines_f32 im;
	uint32_t ic, oc, packed_ic, packed_oc; /* depthwise: ic channels of a row of packed_ic */
	size_t y_stride;
	uint32_t first, n; /* output rows */
	char text[200];
};

static int32_t outputs(int32_t in, int32_t k, int32_t d, int32_t stride, int32_t pad)
{
	return (in + pad - (k - 1) * d - 1) / stride + 1;
}

static void describe(struct shape *s)
{
	const struct ne_lines_f32 *im = &s->im;

	snprintf(s->text, sizeof(s->text),
		 "%dx%d ic %u of %u oc %u of %u kernel %dx%d/%d,%d dilation %d,%d pad %d,%d "
		 "output %dx%d rows %u+%u",
		 im->h, im->w, s->ic, s->packed_ic, s->oc, s->packed_oc, im->kh, im->kw, im->sh,
		 im->sw, im->dh, im->dw, im->top, im->left, im->oh, im->ow, s->first, s->n);
}

static void draw_shape(struct check *c, struct shape *s, bool depthwise)
{
	static const int32_t kernels[] = {1, 1, 3, 3, 3, 2, 5, 4};
	struct ne_lines_f32 *im = &s->im;

	*s = (struct shape){.n = 0};
	im->kh = kernels[check_range(c, 0, 7)];
	im->kw = check_one_in(c, 3) ? kernels[check_range(c, 0, 7)] : im->kh;
	im->dh = check_one_in(c, 5) ? 2 : 1;
	im->dw = check_one_in(c, 5) ? 2 : 1;
	im->sh = (int32_t)check_range(c, 1, 3);
	im->sw = check_one_in(c, 3) ? (int32_t)check_range(c, 1, 3) : im->sh;
	im->top = (int32_t)check_range(c, 0, (uint32_t)((im->kh - 1) * im->dh));
	im->left = (int32_t)check_range(c, 0, (uint32_t)((im->kw - 1) * im->dw));
	im->h = NE_MAX(1, (im->kh - 1) * im->dh + 1 - im->top + (int32_t)check_range(c, 0, 20));
	im->w = NE_MAX(1, (im->kw - 1) * im->dw + 1 - im->left + (int32_t)check_range(c, 0, 30));
	/* with padding behind by chance */
	im->oh = NE_MAX(1, outputs(im->h, im->kh, im->dh, im->sh,
				   im->top + (int32_t)check_range(c, 0, (uint32_t)im->kh - 1)));
	im->ow = NE_MAX(1, outputs(im->w, im->kw, im->dw, im->sw,
				   im->left + (int32_t)check_range(c, 0, (uint32_t)im->kw - 1)));
	s->ic = check_count(c, depthwise ? 70 : 40);
	if (depthwise && check_one_in(c, 3)) /* half a vector: two pixels at once */
		s->ic = check_one_in(c, 2) ? 8 : 4;
	s->oc = depthwise ? s->ic : check_count(c, 100);
	if (!depthwise && check_one_in(c, 4)) /* half a vector: two inputs at once */
		s->oc = check_one_in(c, 2) ? 8 : check_range(c, 1, 7);
	s->packed_ic = s->ic + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	s->packed_oc = s->oc + (check_one_in(c, 2) ? 0 : check_range(c, 1, 40));
	s->y_stride = s->oc + (check_one_in(c, 2) ? 0 : check_range(c, 1, 20));
	s->first = check_one_in(c, 2) ? 0 : check_range(c, 0, (uint32_t)im->oh - 1);
	s->n = check_range(c, 1, (uint32_t)im->oh - s->first);
	describe(s);
}

static size_t x_elements(const struct shape *s)
{
	return (size_t)s->im.h * (size_t)s->im.w * s->ic;
}

static size_t y_elements(const struct shape *s)
{
	return ((size_t)s->im.oh * (size_t)s->im.ow - 1) * s->y_stride + s->oc;
}

/* The input of tap (ky, kx) of the window at (oy, ox), or NULL in the padding. */
static const float *input_at(const struct shape *s, const float *x, int32_t oy, int32_t ox,
			     int32_t ky, int32_t kx)
{
	const struct ne_lines_f32 *im = &s->im;
	const int32_t y = oy * im->sh - im->top + ky * im->dh;
	const int32_t xx = ox * im->sw - im->left + kx * im->dw;

	if (y < 0 || y >= im->h || xx < 0 || xx >= im->w)
		return NULL;
	return x + ((size_t)y * (size_t)im->w + (size_t)xx) * s->ic;
}

/* Adds up a window's products for output channel @o. @w: [oc][taps][ic], or depthwise [taps][c]. */
static void window(const struct shape *s, const float *x, const float *w, bool depthwise,
		   int32_t oy, int32_t ox, uint32_t o, double *ret_sum, double *ret_size)
{
	const int32_t taps = s->im.kh * s->im.kw;

	*ret_sum = *ret_size = 0;
	for (int32_t t = 0; t < taps; t++) {
		const float *in = input_at(s, x, oy, ox, t / s->im.kw, t % s->im.kw);
		const float *wt =
			depthwise ? w + (size_t)t * s->packed_ic + o
				  : w + ((size_t)o * (size_t)taps + (size_t)t) * s->packed_ic;

		for (uint32_t i = 0; in && i < (depthwise ? 1 : s->ic); i++) {
			const double v = (double)in[depthwise ? o : i] * (double)wt[i];

			*ret_sum += v;
			*ret_size += fabs(v);
		}
	}
}

/* What either kernel takes besides the weights. */
struct common {
	float *x, *scale, *bias, *y, *want, *w;
	float slope, lo, hi;
	double *bound;
};

static void draw_common(struct check *c, const struct shape *s, size_t padded_oc, size_t n_w,
			struct common *v)
{
	const bool clamped = check_one_in(c, 2);

	v->x = check_input(c, x_elements(s) * 4, 4);
	v->scale = check_one_in(c, 2) ? NULL : check_input(c, padded_oc * 4, 64);
	v->bias = check_input(c, padded_oc * 4, 64);
	v->lo = clamped ? 0.0f : -INFINITY;
	v->hi = clamped ? 6.0f : INFINITY;
	v->slope = check_one_in(c, 3) ? 0.2f : 0.0f;
	v->w = malloc(n_w * 4);
	v->bound = malloc(s->oc * sizeof(*v->bound));
	if (!v->w || !v->bound)
		abort();
	check_fill_f32(c, v->x, x_elements(s), 4.0f);
	if (v->scale)
		check_fill_f32(c, v->scale, padded_oc, 2.0f);
	check_fill_f32(c, v->bias, padded_oc, 8.0f);
	check_fill_f32(c, v->w, n_w, 1.0f);
	check_output(c, y_elements(s) * 4, 4, &v->y, &v->want);
}

/* Compares what the kernel wrote with the model, row by row. */
static bool compare(struct check *c, const struct shape *s, const struct common *v, bool depthwise)
{
	const uint32_t end = s->first + s->n;
	bool ok = true;

	for (uint32_t oy = s->first; ok && oy < end; oy++)
		for (int32_t ox = 0; ok && ox < s->im.ow; ox++) {
			const size_t p = oy * (size_t)s->im.ow + (size_t)ox;
			const double k = (double)s->im.kh * s->im.kw * (depthwise ? 1 : s->ic);

			for (uint32_t o = 0; o < s->oc; o++) {
				double sum, size, scale, y;

				window(s, v->x, v->w, depthwise, (int32_t)oy, ox, o, &sum, &size);
				scale = v->scale ? (double)v->scale[o] : 1;
				y = scale * sum + (double)v->bias[o];
				if (!depthwise && v->slope > 0 && y < 0)
					y *= (double)v->slope;
				v->bound[o] = (16 + sqrt(k)) * (double)FLT_EPSILON *
					      (fabs(scale) * size + fabs((double)v->bias[o]));
				v->want[p * s->y_stride + o] =
					(float)NE_CLAMP(y, (double)v->lo, (double)v->hi);
			}
			ok = check_near(c, v->y + p * s->y_stride, v->want + p * s->y_stride,
					v->bound, s->oc, s->text);
		}
	free(v->w);
	free(v->bound);
	return ok && check_same(c, 4, s->y_stride, s->text);
}

/* ---- convolution ---- */

static void draw_conv(struct check *c, const struct shape *s, struct common *v,
		      struct ne_conv_lines_f32 *a)
{
	const uint32_t taps = (uint32_t)(s->im.kh * s->im.kw);
	const size_t n_packed = ne_pack_conv_f32_elements(c->k, s->packed_oc, taps, s->packed_ic);
	float *packed = check_input(c, n_packed * 4, 64);

	draw_common(c, s, ne_round_up(s->oc, c->k->conv_f32_nr),
		    (size_t)s->packed_oc * taps * s->packed_ic, v);
	*a = (struct ne_conv_lines_f32){
		.x = v->x,
		.im = s->im,
		.first = s->first,
		.n = s->n,
		.ic = s->ic,
		.oc = s->oc,
		.w = packed,
		.scale = v->scale,
		.bias = v->bias,
		.slope = v->slope,
		.lo = v->lo,
		.hi = v->hi,
		.y = v->y,
		.y_stride = s->y_stride,
	};
	ne_pack_conv_f32(c->k, packed, v->w, s->packed_oc, taps, s->packed_ic, &a->w_tap_stride,
			 &a->w_block_stride);
}

static bool run_conv(struct check *c)
{
	struct ne_conv_lines_f32 a;
	struct common v;
	struct shape s;

	draw_shape(c, &s, false);
	draw_conv(c, &s, &v, &a);
	c->k->conv_lines_f32(&a);
	return compare(c, &s, &v, false);
}

/* ---- depthwise ---- */

static void draw_dw(struct check *c, const struct shape *s, struct common *v,
		    struct ne_dw_lines_f32 *a)
{
	const size_t n_w = ((size_t)(s->im.kh * s->im.kw) - 1) * s->packed_ic + s->ic;
	float *w = check_input(c, n_w * 4, 4);

	draw_common(c, s, s->oc, n_w, v);
	for (size_t i = 0; i < n_w; i++)
		w[i] = v->w[i];
	*a = (struct ne_dw_lines_f32){
		.x = v->x,
		.im = s->im,
		.first = s->first,
		.n = s->n,
		.c = s->ic,
		.w = w,
		.w_tap_stride = s->packed_ic,
		.scale = v->scale,
		.bias = v->bias,
		.lo = v->lo,
		.hi = v->hi,
		.y = v->y,
		.y_stride = s->y_stride,
	};
}

static bool run_dw(struct check *c)
{
	struct ne_dw_lines_f32 a;
	struct common v;
	struct shape s;

	draw_shape(c, &s, true);
	draw_dw(c, &s, &v, &a);
	c->k->dw_lines_f32(&a);
	return compare(c, &s, &v, true);
}

/* ---- times ---- */

/* Layers of small networks: image, kernel, stride, padding before and behind, channels. */
struct layer {
	const char *label;
	int32_t h, w, kh, kw, s, pad, behind;
	uint32_t ic, oc;
};

static const struct layer conv_layers[] = {
	{"1x1 64>64, 125 px", 1, 125, 1, 1, 1, 0, 0, 64, 64},
	{"1x1 8>16, 2304 px", 1, 2304, 1, 1, 1, 0, 0, 8, 16},
	{"1x1 128>128, 36 px", 1, 36, 1, 1, 1, 0, 0, 128, 128},
	{"3x3/2 3>8, 96x96", 96, 96, 3, 3, 2, 0, 1, 3, 8},
	{"3x3 3>16, 32x32", 32, 32, 3, 3, 1, 1, 1, 3, 16},
	{"3x3 16>16, 32x32", 32, 32, 3, 3, 1, 1, 1, 16, 16},
	{"3x3 32>32, 16x16", 16, 16, 3, 3, 1, 1, 1, 32, 32},
	{"3x3/2 32>64, 16x16", 16, 16, 3, 3, 2, 0, 1, 32, 64},
	{"3x3 64>64, 8x8", 8, 8, 3, 3, 1, 1, 1, 64, 64},
};

static const struct layer dw_layers[] = {
	{"3x3 25x5, c 64", 25, 5, 3, 3, 1, 1, 1, 64, 64},
	{"3x3 48x48, c 8", 48, 48, 3, 3, 1, 1, 1, 8, 8},
	{"3x3/2 48x48, c 16", 48, 48, 3, 3, 2, 0, 1, 16, 16},
	{"3x3 24x24, c 32", 24, 24, 3, 3, 1, 1, 1, 32, 32},
	{"3x3 6x6, c 128", 6, 6, 3, 3, 1, 1, 1, 128, 128},
	{"3x3 3x3, c 256", 3, 3, 3, 3, 1, 1, 1, 256, 256},
};

static struct shape layer_shape(const struct layer *l)
{
	struct shape s = {
		.im = {l->h, l->w, 0, 0, l->kh, l->kw, l->s, l->s, 1, 1, l->pad, l->pad},
		.ic = l->ic,
		.oc = l->oc,
		.packed_ic = l->ic,
		.packed_oc = l->oc,
		.y_stride = l->oc,
	};

	s.im.oh = outputs(l->h, l->kh, 1, l->s, l->pad + l->behind);
	s.im.ow = outputs(l->w, l->kw, 1, l->s, l->pad + l->behind);
	if (l->kh == 1)
		s.im.oh = l->h;
	s.n = (uint32_t)s.im.oh;
	return s;
}

struct job {
	const struct ne_kernels *k;
	struct ne_conv_lines_f32 conv;
	struct ne_dw_lines_f32 dw;
};

static void call_conv(const void *arg)
{
	const struct job *job = arg;

	job->k->conv_lines_f32(&job->conv);
}

static void call_dw(const void *arg)
{
	const struct job *job = arg;

	job->k->dw_lines_f32(&job->dw);
}

static double macs(const struct shape *s, bool depthwise)
{
	return (double)s->im.oh * s->im.ow * s->im.kh * s->im.kw * s->oc * (depthwise ? 1 : s->ic);
}

static void bench_conv(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(conv_layers); i++) {
		const struct shape s = layer_shape(&conv_layers[i]);
		struct job job = {.k = c->k};
		struct common v;

		check_reset();
		draw_conv(c, &s, &v, &job.conv);
		check_time(c, conv_layers[i].label, macs(&s, false), "MAC", call_conv, &job);
		free(v.w);
		free(v.bound);
	}
}

static void bench_dw(struct check *c)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(dw_layers); i++) {
		const struct shape s = layer_shape(&dw_layers[i]);
		struct job job = {.k = c->k};
		struct common v;

		check_reset();
		draw_dw(c, &s, &v, &job.dw);
		check_time(c, dw_layers[i].label, macs(&s, true), "MAC", call_dw, &job);
		free(v.w);
		free(v.bound);
	}
}

const struct check_test check_conv_lines_f32 = {
	"conv_lines_f32", offsetof(struct ne_kernels, conv_lines_f32), run_conv, bench_conv, 300,
};
const struct check_test check_dw_lines_f32 = {
	"dw_lines_f32", offsetof(struct ne_kernels, dw_lines_f32), run_dw, bench_dw, 900,
};
