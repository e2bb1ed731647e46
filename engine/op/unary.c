/* SPDX-License-Identifier: MIT */
/*
 * Functions of one value: relu, relu6, hard-swish, sigmoid, tanh; batch norm where it was not
 * folded; quantise and dequantise. In s8 each is a table of 256 entries worked out in double.
 */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>

NE_OP_CHECK(unary)
{
	NE_RETURN_IF(ne_check_f32_or_s8(g, n, err));
	return ne_check_same_group(g, n, err);
}

static double value_of(enum ne_op op, double x)
{
	switch (op) {
	case NE_OP_RELU:
		return x > 0 ? x : 0;
	case NE_OP_RELU6:
		return NE_CLAMP(x, 0, 6);
	case NE_OP_HARDSWISH:
		return x * NE_CLAMP(x / 6 + 0.5, 0, 1);
	case NE_OP_SIGMOID:
		return 1 / (1 + exp(-x));
	case NE_OP_TANH:
		return tanh(x);
	default: /* quantise: the value itself */
		return x;
	}
}

struct unary_args {
	struct ne_ref x, y;
	float lo, hi;
	void (*clamp)(float *y, const float *x, size_t n, float lo, float hi);
	void (*plain)(float *y, const float *x, size_t n);
};

static void run_unary(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct unary_args *c = s->args;
	const float *x = (const float *)ne_at(f, c->x) + first;
	float *y = (float *)ne_at(f, c->y) + first;

	if (c->clamp)
		c->clamp(y, x, n, c->lo, c->hi);
	else
		c->plain(y, x, n);
}

static void sigmoid_f32(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = 1.0f / (1.0f + expf(-x[i]));
}

static void tanh_f32(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = tanhf(x[i]);
}

/* s8 or u8 to s8 or u8 by a table of @n->op. */
static int lower_table(struct ne_lower *lw, const struct ne_node *n)
{
	struct ne_quant qx = ne_lower_quant(lw, n->in[0]), qy = ne_lower_quant(lw, lw->y);
	bool is_unsigned = lw->g->tensor[n->in[0]].dtype == NE_U8;
	int flip = lw->g->tensor[lw->y].dtype == NE_U8 ? -128 : 0;
	int8_t table[256];

	qy.zero += flip;
	for (int i = 0; i < 256; i++) {
		int q = is_unsigned ? i : (int8_t)(uint8_t)i;

		table[i] =
			(int8_t)(ne_quantise_real(value_of(n->op, (q - qx.zero) * (double)qx.scale),
						  qy, INT8_MIN, INT8_MAX) ^
				 flip);
	}
	return ne_lower_lut(lw, lw->ref[n->in[0]], lw->ref[lw->y],
			    ne_shape_elements(&lw->shape[lw->y]), table, lw->y);
}

NE_OP_LOWER(unary)
{
	struct unary_args c = {.x = lw->ref[n->in[0]], .y = lw->ref[lw->y]};
	size_t elements = ne_shape_elements(&lw->shape[lw->y]);

	if (lw->g->tensor[n->in[0]].dtype == NE_S8)
		return lower_table(lw, n);
	switch (n->op) {
	case NE_OP_RELU:
	case NE_OP_RELU6:
		c.clamp = lw->k->clamp_f32;
		ne_act_limits_f32(n->op == NE_OP_RELU ? NE_ACT_RELU : NE_ACT_RELU6, &c.lo, &c.hi);
		break;
	case NE_OP_HARDSWISH:
		c.plain = lw->k->hardswish_f32;
		break;
	case NE_OP_SIGMOID:
		c.plain = sigmoid_f32;
		break;
	default:
		c.plain = tanh_f32;
	}
	return ne_lower_step(lw, run_unary, &c, sizeof(c), elements, 4096, elements * 4, lw->y);
}

/* ---- batch norm that nothing folded: f32 only, as a depthwise convolution of one tap ---- */

NE_OP_CHECK(batchnorm)
{
	int32_t c = ne_shape_last(&ne_node_in(g, n, 0)->shape);

	NE_RETURN_IF(ne_check_same_group(g, n, err));
	if (ne_node_in(g, n, 0)->dtype != NE_F32 || ne_node_out(g, n)->dtype != NE_F32)
		return ne_node_fail(err, EINVAL, n, "batch norm is f32 only: fold it to quantise");
	if (!(n->attr.value >= 0) || !isfinite(n->attr.value))
		return ne_node_fail(err, EINVAL, n, "epsilon must be a number >= 0");
	for (uint32_t k = 1; k < 5; k++) {
		const struct ne_tensor *t = ne_node_in(g, n, k);

		if (!t->data || t->dtype != NE_F32 || ne_shape_elements(&t->shape) != (size_t)c)
			return ne_node_fail(err, EINVAL, n,
					    "input %u must be a constant of %d f32 values", k, c);
	}
	return 0;
}

struct norm_args {
	struct ne_dw_f32 a;
	struct ne_ref x, y;
	void (*fn)(const struct ne_dw_f32 *a);
};

static void run_norm(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct norm_args *c = s->args;
	struct ne_dw_f32 a = c->a;

	a.x = ne_at(f, c->x);
	a.y = (float *)ne_at(f, c->y) + first * a.y_stride;
	a.ind += first;
	a.n_pix = n;
	c->fn(&a);
}

NE_OP_LOWER(batchnorm)
{
	const struct ne_shape *ys = &lw->shape[lw->y];
	uint32_t c = (uint32_t)ne_shape_last(ys);
	size_t rows = ne_shape_elements(ys) / c;
	struct norm_args s = {.fn = lw->k->dw_f32, .x = lw->ref[n->in[0]], .y = lw->ref[lw->y]};
	float *v = calloc(3 * (size_t)c, sizeof(*v)); /* scale, bias, ones */
	const float *p[5];
	int r;

	if (!v)
		return ne_lower_no_memory(lw, n);
	for (uint32_t k = 1; k < 5; k++)
		p[k] = lw->g->tensor[n->in[k]].data;
	for (uint32_t i = 0; i < c; i++) {
		double scale = (double)p[1][i] / sqrt((double)p[4][i] + (double)n->attr.value);

		v[i] = (float)scale;
		v[c + i] = (float)((double)p[2][i] - (double)p[3][i] * scale);
		v[2 * (size_t)c + i] = 1.0f;
	}
	s.a = (struct ne_dw_f32){.taps = 1, .c = c, .w_tap_stride = c, .y_stride = c};
	s.a.scale = ne_lower_table(lw, v, c * sizeof(*v));
	s.a.bias = ne_lower_table(lw, v + c, c * sizeof(*v));
	s.a.w = s.a.pad = ne_lower_table(lw, v + 2 * (size_t)c, c * sizeof(*v));
	free(v);
	if (!s.a.scale || !s.a.bias || !s.a.w)
		return ne_lower_no_memory(lw, n);
	ne_act_limits_f32(lw->act, &s.a.lo, &s.a.hi);
	r = ne_lower_rows(lw, n, rows, c, &s.a.ind);
	if (r < 0)
		return r;
	return ne_lower_step(lw, run_norm, &s, sizeof(s), rows, 16, rows * c, lw->y);
}

/* ---- between types ---- */

NE_OP_CHECK(quantise)
{
	enum ne_dtype x = ne_node_in(g, n, 0)->dtype;

	enum ne_dtype y = ne_node_out(g, n)->dtype;

	if ((x != NE_F32 && x != NE_U8 && x != NE_S8) || (y != NE_S8 && y != NE_U8))
		return ne_node_fail(err, EINVAL, n, "types %s to %s; f32, u8 or s8 to s8 or u8",
				    ne_dtype_name(x), ne_dtype_name(y));
	return ne_check_same_group(g, n, err);
}

NE_OP_CHECK(dequantise)
{
	enum ne_dtype x = ne_node_in(g, n, 0)->dtype;

	if ((x != NE_S16 && x != NE_U8 && x != NE_S8) || ne_node_out(g, n)->dtype != NE_F32)
		return ne_node_fail(err, EINVAL, n, "types %s to %s; u8, s8 or s16 to f32",
				    ne_dtype_name(x), ne_dtype_name(ne_node_out(g, n)->dtype));
	return ne_check_same_group(g, n, err);
}

struct quant_args {
	struct ne_ref x, y;
	float scale;
	int32_t zero;
	enum ne_dtype type; /* of the integers */
	void (*quantise)(int8_t *y, const float *x, size_t n, float scale, int32_t zp, int32_t lo,
			 int32_t hi);
	void (*dequantise)(float *y, const int8_t *x, size_t n, float scale, int32_t zp);
};

static void run_quantise(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			 uint32_t n)
{
	const struct quant_args *c = s->args;
	int8_t *y = (int8_t *)ne_at(f, c->y) + first;
	int32_t less = c->type == NE_U8 ? 128 : 0;

	c->quantise(y, (const float *)ne_at(f, c->x) + first, n, c->scale, c->zero - less, INT8_MIN,
		    INT8_MAX);
	for (uint32_t i = 0; less && i < n; i++)
		y[i] = (int8_t)(y[i] ^ -128);
}

static void run_dequantise(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			   uint32_t n)
{
	const struct quant_args *c = s->args;
	float *y = (float *)ne_at(f, c->y) + first;

	if (c->type == NE_S8) {
		c->dequantise(y, (const int8_t *)ne_at(f, c->x) + first, n, c->scale, c->zero);
	} else if (c->type == NE_U8) {
		const uint8_t *x = (const uint8_t *)ne_at(f, c->x) + first;

		for (uint32_t i = 0; i < n; i++)
			y[i] = (float)(x[i] - c->zero) * c->scale;
	} else {
		const int16_t *x = (const int16_t *)ne_at(f, c->x) + first;

		for (uint32_t i = 0; i < n; i++)
			y[i] = (float)(x[i] - c->zero) * c->scale;
	}
}

NE_OP_LOWER(quantise)
{
	struct ne_quant q = ne_lower_quant(lw, lw->y);
	struct quant_args c = {.x = lw->ref[n->in[0]],
			       .y = lw->ref[lw->y],
			       .scale = q.scale,
			       .zero = q.zero,
			       .type = lw->g->tensor[lw->y].dtype,
			       .quantise = lw->k->quantise_s8};
	size_t elements = ne_shape_elements(&lw->shape[lw->y]);
	enum ne_dtype type = lw->g->tensor[n->in[0]].dtype;

	if (type != NE_F32)
		return lower_table(lw, n);
	return ne_lower_step(lw, run_quantise, &c, sizeof(c), elements, 4096, elements * 4, lw->y);
}

NE_OP_LOWER(dequantise)
{
	struct ne_quant q = ne_lower_quant(lw, n->in[0]);
	struct quant_args c = {.x = lw->ref[n->in[0]],
			       .y = lw->ref[lw->y],
			       .scale = q.scale,
			       .zero = q.zero,
			       .type = lw->g->tensor[n->in[0]].dtype,
			       .dequantise = lw->k->dequantise_s8};
	size_t elements = ne_shape_elements(&lw->shape[lw->y]);

	return ne_lower_step(lw, run_dequantise, &c, sizeof(c), elements, 4096, elements * 4,
			     lw->y);
}
