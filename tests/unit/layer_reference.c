/* SPDX-License-Identifier: MIT */
#include "tests/unit/layer_reference.h"

#include "engine/op/op.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- TFLite's fixed-point arithmetic ---- */

struct fixed {
	int32_t mult;
	int shift; /* left where positive */
};

/* @real as mult * 2^(shift - 31), mult of 31 bits. */
static struct fixed fixed_of(double real)
{
	struct fixed f = {0, 0};
	int64_t q;

	if (real == 0)
		return f;
	q = (int64_t)llround(frexp(real, &f.shift) * 2147483648.0);
	if (q == (int64_t)1 << 31) {
		q /= 2;
		f.shift++;
	}
	if (f.shift < -31) {
		f.shift = 0;
		q = 0;
	}
	f.mult = (int32_t)q;
	return f;
}

static int32_t saturate(int64_t v)
{
	return (int32_t)NE_CLAMP(v, INT32_MIN, INT32_MAX);
}

/* The high half of twice the product, rounded half away from zero. */
static int32_t doubling_high(int32_t a, int32_t b)
{
	int64_t p = (int64_t)a * b;

	return saturate((p + (p >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30))) /
			((int64_t)1 << 31));
}

/* v / 2^shift, rounded half away from zero. */
static int32_t shift_right(int32_t v, int shift)
{
	int32_t mask, rest, threshold;

	if (!shift)
		return v;
	mask = (int32_t)(((int64_t)1 << shift) - 1);
	rest = v & mask;
	threshold = (mask >> 1) + (v < 0);
	return (v >> shift) + (rest > threshold);
}

static int32_t times(int32_t v, struct fixed f)
{
	int left = NE_MAX(f.shift, 0), right = NE_MAX(-f.shift, 0);

	return shift_right(doubling_high((int32_t)((uint32_t)v << left), f.mult), right);
}

/* v * 2^exponent, saturating. */
static int32_t scale_up(int32_t v, int exponent)
{
	return exponent < 0 ? shift_right(v, -exponent)
			    : saturate((int64_t)v * ((int64_t)1 << exponent));
}

/* exp(v / 2^26) for v <= 0, in 31 bits after the point: a polynomial around -1/8 on (-1/4, 0], then a
 * factor exp(-2^k) for each bit of the rest. */
static int32_t exp_fixed(int32_t v)
{
	static const int bits = 26; /* after the point */
	int32_t quarter = 1 << (bits - 2), rest = (v & (quarter - 1)) - quarter, x, x2, sum, y;
	int32_t remainder = rest - v;

	x = saturate((int64_t)rest * 32 + ((int64_t)1 << 28)); /* + 1/8, 31 bits */
	x2 = doubling_high(x, x);
	sum = doubling_high(
		saturate((int64_t)shift_right(doubling_high(x2, x2), 2) + doubling_high(x2, x)),
		(int32_t)llround(2147483648.0 / 3));
	sum = shift_right(saturate((int64_t)sum + x2), 1);
	y = (int32_t)llround(exp(-0.125) * 2147483648.0);
	y = saturate((int64_t)y + doubling_high(y, saturate((int64_t)x + sum)));
	for (int k = -2; k <= 4; k++)
		if (remainder & 1 << (bits + k))
			y = doubling_high(y, (int32_t)llround(exp(-ldexp(1, k)) * 2147483648.0));
	return v == 0 ? INT32_MAX : y;
}

/* 1 / (1 + v) for v in [0,1), 31 bits: Newton's method from 48/17 - 32/17 * half. */
static int32_t one_over_one_plus(int32_t v)
{
	int32_t half = (int32_t)(((int64_t)v + INT32_MAX + 1) / 2), x;

	x = saturate((int64_t)llround(48.0 / 17 * 536870912.0) +
		     doubling_high(half, (int32_t)llround(-32.0 / 17 * 536870912.0)));
	for (int i = 0; i < 3; i++) { /* 29 bits after the point */
		int32_t product = doubling_high(half, x);
		int32_t error = saturate(((int64_t)1 << 29) - product);

		x = saturate((int64_t)x + scale_up(doubling_high(x, error), 2));
	}
	return scale_up(x, 1);
}

static void softmax_tflite(const int8_t *x, int8_t *y, size_t n, struct ne_quant qx)
{
	struct fixed f = fixed_of(NE_MIN((double)qx.scale * (1 << 26), 2147483647.0));
	int32_t radius = (int32_t)floor(31.0 * (1 << 26) / (double)((int64_t)1 << f.shift));
	int32_t top = INT8_MIN, sum = 0, shifted, over;

	for (size_t i = 0; i < n; i++)
		top = NE_MAX(top, x[i]);
	for (size_t i = 0; i < n; i++)
		if (x[i] - top >= -radius)
			sum = saturate((int64_t)sum +
				       shift_right(exp_fixed(times(x[i] - top, f)), 12));
	over = 12 - __builtin_clz((unsigned)sum); /* bits above one: 19 after the point */
	shifted = one_over_one_plus(
		(int32_t)(((uint32_t)sum << __builtin_clz((unsigned)sum)) - ((uint32_t)1 << 31)));
	for (size_t i = 0; i < n; i++) {
		int32_t e = x[i] - top < -radius ? 0 : exp_fixed(times(x[i] - top, f));
		int32_t v = x[i] - top < -radius
				    ? 0
				    : shift_right(doubling_high(shifted, e), over + 31 - 8);

		y[i] = (int8_t)NE_CLAMP(v - 128, INT8_MIN, INT8_MAX);
	}
}

/* ---- a layer ---- */

struct run {
	const struct ne_model *m;
	const struct ne_graph *g;
	void **value; /* by tensor: what the engine gave it; owned */
	struct layer_check *c;
};

static struct ne_quant quant_of(const struct run *r, uint32_t t)
{
	return r->m->width[0].quant[t];
}

static const int8_t *s8_of(const struct run *r, uint32_t t)
{
	const void *v = r->g->tensor[t].data ? r->g->tensor[t].data : r->value[t];

	assert_non_null(v);
	return v;
}

static void limits(const struct ne_node *n, struct ne_quant q, int32_t *lo, int32_t *hi)
{
	*lo = n->attr.act == NE_ACT_NONE ? INT8_MIN : q.zero;
	*hi = n->attr.act == NE_ACT_RELU6
		      ? (int32_t)NE_MIN(127.0, q.zero + rint(6.0 / (double)q.scale))
		      : INT8_MAX;
}

/* One value: the engine's byte against what the two rules say. */
static void judge(struct run *r, const struct ne_node *n, size_t at, int32_t ort, int32_t tflite)
{
	struct ne_quant q = quant_of(r, n->out[0]);
	int got = s8_of(r, n->out[0])[at], d;
	int32_t lo, hi;

	limits(n, q, &lo, &hi);
	r->c->values++;
	d = abs(got - NE_CLAMP(ort, lo, hi));
	r->c->ort_differ += d != 0;
	r->c->ort_worst = NE_MAX(r->c->ort_worst, d);
	d = abs(got - NE_CLAMP(tflite, lo, hi));
	r->c->tflite_differ += d != 0;
	r->c->tflite_worst = NE_MAX(r->c->tflite_worst, d);
}

static int32_t round_ort(float v)
{
	return (int32_t)rintf(NE_CLAMP(v, -1000.0f, 1000.0f));
}

/* An accumulator of output channel @oc. */
static void judge_sum(struct run *r, const struct ne_node *n, size_t at, uint32_t oc, int32_t sum)
{
	const struct ne_tensor *w = &r->g->tensor[n->in[1]];
	struct ne_quant qx = quant_of(r, n->in[0]), qy = quant_of(r, n->out[0]);
	float sw = w->dtype == NE_U8 ? quant_of(r, n->in[1]).scale
				     : w->scale[w->n_scale == 1 ? 0 : oc];
	float ort = (float)sum * (qx.scale * sw / qy.scale);
	struct fixed f = fixed_of((double)qx.scale * (double)sw / (double)qy.scale);

	judge(r, n, at, round_ort(ort) + qy.zero, times(sum, f) + qy.zero);
}

static int32_t weight(const struct run *r, const struct ne_node *n, size_t at)
{
	const struct ne_tensor *w = &r->g->tensor[n->in[1]];

	if (w->dtype == NE_U8)
		return ((const uint8_t *)w->data)[at] - quant_of(r, n->in[1]).zero;
	return ((const int8_t *)w->data)[at];
}

static int32_t bias(const struct run *r, const struct ne_node *n, uint32_t oc)
{
	return n->n_in > 2 && n->in[2] != NE_NONE
		       ? ((const int32_t *)r->g->tensor[n->in[2]].data)[oc]
		       : 0;
}

static void check_dense(struct run *r, const struct ne_node *n)
{
	const struct ne_shape *ws = &r->g->tensor[n->in[1]].shape;
	uint32_t oc = (uint32_t)ws->dim[0], ic = (uint32_t)ws->dim[1];
	size_t rows = ne_shape_elements(&r->g->tensor[n->in[0]].shape) / ic;
	const int8_t *x = s8_of(r, n->in[0]);
	int32_t zx = quant_of(r, n->in[0]).zero;

	for (size_t p = 0; p < rows; p++)
		for (uint32_t o = 0; o < oc; o++) {
			int32_t sum = bias(r, n, o);

			for (uint32_t i = 0; i < ic; i++)
				sum += (x[p * ic + i] - zx) * weight(r, n, (size_t)o * ic + i);
			judge_sum(r, n, p * oc + o, o, sum);
		}
}

/* Calls @tap with the offset of each input pixel of the window at (@oy, @ox), and its tap. */
struct tap_sum {
	struct run *r;
	const struct ne_node *n;
	const int8_t *x;
	uint32_t c; /* first channel of the input */
	uint32_t o, ic;
	int32_t zx, sum;
	int32_t count;
};

static void add_tap(struct tap_sum *s, size_t pixel, uint32_t tap, uint32_t taps)
{
	const int8_t *x = s->x + pixel + s->c;

	s->count++;
	switch (s->n->op) {
	case NE_OP_CONV:
		for (uint32_t i = 0; i < s->ic; i++)
			s->sum += (x[i] - s->zx) *
				  weight(s->r, s->n, ((size_t)s->o * taps + tap) * s->ic + i);
		break;
	case NE_OP_DWCONV:
		s->sum += (*x - s->zx) *
			  weight(s->r, s->n,
				 (size_t)tap * (size_t)s->r->g->tensor[s->n->in[1]].shape.dim[2] +
					 s->o);
		break;
	default:
		s->sum += *x;
	}
}

static void window_sum(struct tap_sum *s, int32_t oy, int32_t ox)
{
	const struct ne_window *w = &s->n->attr.window;
	const struct ne_shape *xs = &s->r->g->tensor[s->n->in[0]].shape;

	for (int32_t ky = 0; ky < w->kh; ky++)
		for (int32_t kx = 0; kx < w->kw; kx++) {
			int32_t y = oy * w->sh - w->pad_top + ky * w->dh;
			int32_t x = ox * w->sw - w->pad_left + kx * w->dw;

			if (y < 0 || y >= xs->dim[1] || x < 0 || x >= xs->dim[2])
				continue;
			add_tap(s,
				((size_t)y * (size_t)xs->dim[2] + (size_t)x) * (size_t)xs->dim[3],
				(uint32_t)(ky * w->kw + kx), (uint32_t)(w->kh * w->kw));
		}
}

static void judge_mean(struct run *r, const struct ne_node *n, size_t at, int32_t sum,
		       int32_t count)
{
	struct ne_quant qx = quant_of(r, n->in[0]), qy = quant_of(r, n->out[0]);
	float ort = (float)(sum - count * qx.zero) * (qx.scale / (qy.scale * (float)count));
	int32_t tflite = sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;

	/* TFLite's average keeps its input's quantisation */
	assert_true(qx.scale == qy.scale && qx.zero == qy.zero);
	/* ONNX Runtime adds the zero point of u8 values before it rounds */
	judge(r, n, at, round_ort(ort + (float)(qy.zero + 128)) - 128, tflite);
}

static void check_windows(struct run *r, const struct ne_node *n)
{
	const struct ne_shape *ys = &r->g->tensor[n->out[0]].shape;
	uint32_t oc = (uint32_t)ys->dim[3], xc = (uint32_t)r->g->tensor[n->in[0]].shape.dim[3];
	uint32_t per_group = n->op == NE_OP_CONV ? oc / (uint32_t)n->attr.groups : 1;
	size_t at = 0;

	for (int32_t oy = 0; oy < ys->dim[1]; oy++)
		for (int32_t ox = 0; ox < ys->dim[2]; ox++)
			for (uint32_t o = 0; o < oc; o++, at++) {
				struct tap_sum s = {.r = r, .n = n, .o = o};

				s.x = s8_of(r, n->in[0]);
				s.ic = n->op == NE_OP_CONV ? xc / (uint32_t)n->attr.groups : 1;
				s.c = n->op == NE_OP_CONV ? o / per_group * s.ic : o;
				s.zx = quant_of(r, n->in[0]).zero;
				window_sum(&s, oy, ox);
				if (n->op == NE_OP_AVGPOOL)
					judge_mean(r, n, at, s.sum, s.count);
				else
					judge_sum(r, n, at, o,
						  (int32_t)((uint32_t)s.sum +
							    (uint32_t)bias(r, n, o)));
			}
}

/* TFLite: both to one scale with 20 bits of room, then to the output's. ONNX Runtime: u8 values, the
 * constant part and two fused multiply-adds (its AVX2 code; so is the constant part worked out). */
static void check_add(struct run *r, const struct ne_node *n)
{
	struct ne_quant a = quant_of(r, n->in[0]), b = quant_of(r, n->in[1]);
	struct ne_quant y = quant_of(r, n->out[0]);
	const int8_t *va = s8_of(r, n->in[0]), *vb = s8_of(r, n->in[1]);
	double twice = 2 * (double)NE_MAX(a.scale, b.scale);
	struct fixed fa = fixed_of((double)a.scale / twice), fb = fixed_of((double)b.scale / twice);
	struct fixed fy = fixed_of(twice / ((double)(1 << 20) * (double)y.scale));
	float ra = a.scale / y.scale, rb = b.scale / y.scale;
	float fixed_part =
		(float)(y.zero + 128) - fmaf(ra, (float)(a.zero + 128), rb * (float)(b.zero + 128));
	size_t elements = ne_shape_elements(&r->g->tensor[n->out[0]].shape);

	assert_int_equal(ne_shape_elements(&r->g->tensor[n->in[0]].shape), elements);
	assert_int_equal(ne_shape_elements(&r->g->tensor[n->in[1]].shape), elements);
	for (size_t i = 0; i < elements; i++) {
		int32_t sum = times((va[i] - a.zero) * (1 << 20), fa) +
			      times((vb[i] - b.zero) * (1 << 20), fb);
		float ort =
			fmaf((float)(va[i] + 128), ra, fmaf((float)(vb[i] + 128), rb, fixed_part));

		judge(r, n, i, round_ort(ort) - 128, times(sum, fy) + y.zero);
	}
}

static void check_softmax(struct run *r, const struct ne_node *n)
{
	const struct ne_shape *s = &r->g->tensor[n->in[0]].shape;
	size_t n_class = (size_t)s->dim[s->rank - 1];
	struct ne_quant qx = quant_of(r, n->in[0]), qy = quant_of(r, n->out[0]);
	const int8_t *x = s8_of(r, n->in[0]), *y = s8_of(r, n->out[0]);
	int8_t want[4096];
	double sum = 0;

	assert_int_equal(n_class, ne_shape_elements(s));
	assert_true(n_class <= sizeof(want));
	assert_true(qy.scale == 1.0f / 256 && qy.zero == -128);
	softmax_tflite(x, want, n_class, qx);
	for (size_t i = 0; i < n_class; i++)
		sum += exp((double)qx.scale * x[i]);
	for (size_t i = 0; i < n_class; i++) {
		double real = exp((double)qx.scale * x[i]) / sum;
		int exact = (int)NE_MIN(rint(real * 256) - 128, 127.0);

		r->c->softmax_worst = NE_MAX(r->c->softmax_worst, abs(y[i] - exact));
		r->c->softmax_tflite_worst =
			NE_MAX(r->c->softmax_tflite_worst, abs(y[i] - want[i]));
	}
}

static void check_node(struct run *r, const struct ne_node *n)
{
	if (r->g->tensor[n->out[0]].dtype != NE_S8)
		return;
	switch (n->op) {
	case NE_OP_CONV:
	case NE_OP_DWCONV:
	case NE_OP_AVGPOOL:
		check_windows(r, n);
		break;
	case NE_OP_DENSE:
		check_dense(r, n);
		break;
	case NE_OP_ADD:
		check_add(r, n);
		break;
	case NE_OP_SOFTMAX:
		check_softmax(r, n);
		break;
	case NE_OP_RESHAPE: /* the same bytes */
		assert_memory_equal(s8_of(r, n->in[0]), s8_of(r, n->out[0]),
				    ne_shape_elements(&r->g->tensor[n->out[0]].shape));
		break;
	case NE_OP_QUANTISE:
		if (r->g->tensor[n->in[0]].dtype == NE_U8) {
			const uint8_t *x = (const uint8_t *)s8_of(r, n->in[0]);
			size_t elements = ne_shape_elements(&r->g->tensor[n->out[0]].shape);

			for (size_t i = 0; i < elements; i++)
				assert_int_equal(x[i] - 128, s8_of(r, n->out[0])[i]);
		}
		break;
	default:
		fail_msg("no reference of %s", ne_op_name(n->op));
	}
}

/* ---- the engine's values ---- */

/* The first that is seen of a tensor stays; others must be the same. */
static void keep(void *user, uint32_t tensor, const void *data, size_t n)
{
	struct run *r = user;
	size_t bytes = n * ne_dtype_size(r->g->tensor[tensor].dtype);

	if (r->value[tensor]) {
		if (r->g->tensor[tensor].dtype == NE_S8)
			assert_memory_equal(r->value[tensor], data, bytes);
		return;
	}
	r->value[tensor] = malloc(bytes);
	assert_non_null(r->value[tensor]);
	memcpy(r->value[tensor], data, bytes);
}

static void run_once(struct run *r, const char *cpu, const void *const *in, void *const *out)
{
	struct ne_observer o = {.user = r, .tensor = keep};
	const struct ne_program_options opt = {cpu};
	struct ne_error err = {""};
	struct ne_context *ctx;
	struct ne_program *p;

	if (ne_program_new(r->m, &opt, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(p, 1, &ctx), 0);
	ne_context_observe(ctx, &o);
	assert_int_equal(ne_run(p, ctx, 0, in, out, NULL, NULL), 0);
	ne_context_free(ctx);
	ne_program_free(p);
}

void layer_check_run(const struct ne_model *m, const void *const *in, void *const *out,
		     struct layer_check *c)
{
	struct run r = {.m = m, .g = &m->graph, .c = c};

	r.value = calloc(m->graph.n_tensor, sizeof(*r.value));
	assert_non_null(r.value);
	run_once(&r, NULL, in, out);
	run_once(&r, "c", in, out); /* shows what convolutions added up behind them, too */
	for (uint32_t i = 0; i < m->graph.n_node; i++)
		check_node(&r, &m->graph.node[i]);
	for (uint32_t t = 0; t < m->graph.n_tensor; t++)
		free(r.value[t]);
	free(r.value);
}
