/* SPDX-License-Identifier: MIT */
/* The plain evaluator; see reference.h. */
#include "tests/unit/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t rng_next(struct rng *r)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return (uint32_t)((r->s * 0x2545f4914f6cdd1dull) >> 32);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return rng_next(r) % n;
}

int rng_between(struct rng *r, int lo, int hi)
{
	return lo + (int)rng_below(r, (uint32_t)(hi - lo + 1));
}

double rng_unit(struct rng *r)
{
	return rng_next(r) / 2147483648.0 - 1.0;
}

struct evaluation {
	const struct ne_model *m;
	const struct ne_graph *g;
	uint32_t width;
	double **v;
};

struct ne_shape reference_shape(const struct ne_model *m, uint32_t width, uint32_t tensor)
{
	const struct ne_tensor *t = &m->graph.tensor[tensor];
	struct ne_shape s = t->shape;

	if (t->group)
		s.dim[s.rank - 1] = m->width[width].active[t->group];
	return s;
}

static struct ne_quant quant_of(const struct evaluation *e, uint32_t t)
{
	return e->m->width[e->width].quant[t];
}

static double constant_at(const struct ne_tensor *t, size_t i)
{
	switch (t->dtype) {
	case NE_F32:
		return (double)((const float *)t->data)[i];
	case NE_S8:
		return ((const int8_t *)t->data)[i];
	case NE_S32:
		return ((const int32_t *)t->data)[i];
	default:
		abort();
	}
}

static double clamp(double v, double lo, double hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static double activate(int act, double v)
{
	return act == NE_ACT_RELU ? fmax(v, 0) : act == NE_ACT_RELU6 ? clamp(v, 0, 6) : v;
}

/* Limits of an activation in s8. */
static void limits(int act, struct ne_quant q, double *lo, double *hi)
{
	*lo = act == NE_ACT_NONE ? -128 : q.zero;
	*hi = act == NE_ACT_RELU6 ? clamp(rint(6.0 / (double)q.scale) + q.zero, -128, 127) : 127;
}

static double requantise(float v, int act, struct ne_quant q)
{
	double lo, hi;

	limits(act, q, &lo, &hi);
	return clamp((double)rintf(v) + q.zero, lo, hi);
}

static double to_s8(double real, struct ne_quant q)
{
	return clamp((double)rintf((float)real / q.scale) + q.zero, -128, 127);
}

struct image {
	int h, w, c;
};

static struct image image_of(struct ne_shape s)
{
	if (s.rank == 3)
		return (struct image){1, s.dim[1], s.dim[2]};
	return (struct image){s.dim[1], s.dim[2], s.dim[3]};
}

/* One output channel's value from its sum of products. */
static double finish(const struct evaluation *e, const struct ne_node *n, uint32_t y, int oc,
		     double sum)
{
	const struct ne_tensor *w = &e->g->tensor[n->in[1]];
	const struct ne_tensor *b =
		n->n_in > 2 && n->in[2] != NE_NONE ? &e->g->tensor[n->in[2]] : NULL;
	const struct ne_norm *norm =
		n->attr.norm ? &e->m->width[e->width].norm[n->attr.norm - 1] : NULL;
	double scale, bias, unit;
	struct ne_quant qx, qy;
	float sw, f;

	if (w->dtype == NE_F32) {
		if (norm)
			sum = sum * (double)norm->scale[oc] + (double)norm->bias[oc];
		else if (b)
			sum += constant_at(b, (size_t)oc);
		return activate(n->attr.act, sum);
	}
	qx = quant_of(e, n->in[0]);
	qy = quant_of(e, y);
	sw = w->scale[w->n_scale == 1 ? 0 : oc];
	unit = (double)qx.scale * (double)sw;
	scale = norm ? unit * (double)norm->scale[oc] : unit;
	bias = norm ? (double)norm->bias[oc]
	       : b  ? constant_at(b, (size_t)oc) * (b->dtype == NE_S32 ? unit : 1)
		    : 0;
	sum += rint(bias / scale);
	f = norm ? (float)(scale / (double)qy.scale) : qx.scale * sw / qy.scale;
	return requantise((float)sum * f, n->attr.act, qy);
}

static void run_conv(struct evaluation *e, const struct ne_node *n)
{
	struct image x = image_of(reference_shape(e->m, e->width, n->in[0]));
	struct image y = image_of(reference_shape(e->m, e->width, n->out[0]));
	const struct ne_tensor *w = &e->g->tensor[n->in[1]];
	const struct ne_window *win = &n->attr.window;
	int groups = n->attr.groups, ic = x.c / groups, oc = y.c / groups, full = w->shape.dim[3];
	double zx = w->dtype == NE_S8 ? quant_of(e, n->in[0]).zero : 0, *out = e->v[n->out[0]];

	for (int oy = 0; oy < y.h; oy++)
		for (int ox = 0; ox < y.w; ox++)
			for (int o = 0; o < y.c; o++) {
				double sum = 0;

				for (int ky = 0; ky < win->kh; ky++)
					for (int kx = 0; kx < win->kw; kx++) {
						int iy = oy * win->sh - win->pad_top + ky * win->dh;
						int ix =
							ox * win->sw - win->pad_left + kx * win->dw;
						size_t at = (size_t)((o * win->kh + ky) * win->kw +
								     kx) *
							    (size_t)full;

						if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w)
							continue;
						for (int i = 0; i < ic; i++)
							sum += (e->v[n->in[0]]
								    [(iy * x.w + ix) * x.c +
								     o / oc * ic + i] -
								zx) *
							       constant_at(w, at + (size_t)i);
					}
				*out++ = finish(e, n, n->out[0], o, sum);
			}
}

static void run_dense(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape xs = reference_shape(e->m, e->width, n->in[0]);
	struct ne_shape ys = reference_shape(e->m, e->width, n->out[0]);
	const struct ne_tensor *w = &e->g->tensor[n->in[1]];
	int ic = xs.dim[xs.rank - 1], oc = ys.dim[ys.rank - 1];
	size_t rows = ne_shape_elements(&xs) / (size_t)ic;
	double zx = w->dtype == NE_S8 ? quant_of(e, n->in[0]).zero : 0, *out = e->v[n->out[0]];

	for (size_t r = 0; r < rows; r++)
		for (int o = 0; o < oc; o++) {
			double sum = 0;

			for (int i = 0; i < ic; i++)
				sum += (e->v[n->in[0]][r * (size_t)ic + (size_t)i] - zx) *
				       constant_at(w,
						   (size_t)o * (size_t)w->shape.dim[1] + (size_t)i);
			*out++ = finish(e, n, n->out[0], o, sum);
		}
}

static void run_dwconv(struct evaluation *e, const struct ne_node *n)
{
	struct image x = image_of(reference_shape(e->m, e->width, n->in[0]));
	struct image y = image_of(reference_shape(e->m, e->width, n->out[0]));
	const struct ne_tensor *w = &e->g->tensor[n->in[1]];
	const struct ne_window *win = &n->attr.window;
	double zx = w->dtype == NE_S8 ? quant_of(e, n->in[0]).zero : 0, *out = e->v[n->out[0]];

	for (int oy = 0; oy < y.h; oy++)
		for (int ox = 0; ox < y.w; ox++)
			for (int c = 0; c < y.c; c++) {
				double sum = 0;

				for (int ky = 0; ky < win->kh; ky++)
					for (int kx = 0; kx < win->kw; kx++) {
						int iy = oy * win->sh - win->pad_top + ky * win->dh;
						int ix =
							ox * win->sw - win->pad_left + kx * win->dw;

						if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w)
							continue;
						sum += (e->v[n->in[0]][(iy * x.w + ix) * x.c + c] -
							zx) *
						       constant_at(w,
								   (size_t)(ky * win->kw + kx) *
										   (size_t)w->shape
											   .dim[2] +
									   (size_t)c);
					}
				*out++ = finish(e, n, n->out[0], c, sum);
			}
}

static void run_pool(struct evaluation *e, const struct ne_node *n)
{
	struct image x = image_of(reference_shape(e->m, e->width, n->in[0])), y;
	struct ne_window win = n->attr.window;
	bool s8 = e->g->tensor[n->in[0]].dtype == NE_S8, max = n->op == NE_OP_MAXPOOL;
	struct ne_quant qx = quant_of(e, n->in[0]), qy = quant_of(e, n->out[0]);
	double *out = e->v[n->out[0]], lo, hi;

	if (n->op == NE_OP_GLOBALPOOL) {
		win = (struct ne_window){x.h, x.w, 1, 1, 1, 1, 0, 0, 0, 0};
		y = (struct image){1, 1, x.c};
	} else {
		y = image_of(reference_shape(e->m, e->width, n->out[0]));
	}
	for (int oy = 0; oy < y.h; oy++)
		for (int ox = 0; ox < y.w; ox++)
			for (int c = 0; c < y.c; c++) {
				double top = -INFINITY, sum = 0;
				int count = 0;

				for (int k = 0; k < win.kh * win.kw; k++) {
					int iy = oy * win.sh - win.pad_top + k / win.kw * win.dh;
					int ix = ox * win.sw - win.pad_left + k % win.kw * win.dw;
					double v;

					if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w)
						continue;
					v = e->v[n->in[0]][(iy * x.w + ix) * x.c + c];
					top = fmax(top, v);
					sum += s8 ? v - qx.zero : v;
					count++;
				}
				if (n->op == NE_OP_AVGPOOL && n->attr.count_include_pad)
					count = win.kh * win.kw;
				if (max && s8) {
					limits(n->attr.act, qx, &lo, &hi);
					top = clamp(top, lo, hi);
					*out++ = to_s8((top - qx.zero) * (double)qx.scale, qy);
				} else if (max) {
					*out++ = activate(n->attr.act, top);
				} else if (s8) {
					float f = qx.scale / (qy.scale * (float)count);

					f *= (float)sum;
					limits(n->attr.act, qy, &lo, &hi);
					*out++ = n->op == NE_OP_AVGPOOL
							 ? clamp((double)rintf(f + (float)(qy.zero +
											   128)) -
									 128,
								 lo, hi)
							 : requantise(f, n->attr.act, qy);
				} else {
					*out++ = activate(n->attr.act, sum / count);
				}
			}
}

/* Where element @i of @y's index lies in an operand of shape @s (aligned right, 1 = broadcast). */
static size_t broadcast_at(size_t i, const struct ne_shape *y, const struct ne_shape *s)
{
	size_t at = 0, stride = 1;

	for (uint32_t d = 0; d < s->rank; d++) {
		uint32_t ya = y->rank - 1 - d, sa = s->rank - 1 - d;
		size_t index = i % (size_t)y->dim[ya];

		i /= (size_t)y->dim[ya];
		if (s->dim[sa] > 1)
			at += index * stride;
		stride *= (size_t)s->dim[sa];
	}
	return at;
}

static void run_binary(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape ys = reference_shape(e->m, e->width, n->out[0]), s[2];
	bool s8 = e->g->tensor[n->out[0]].dtype == NE_S8, mul = n->op == NE_OP_MUL;
	struct ne_quant q[2], qy = quant_of(e, n->out[0]);

	for (int k = 0; k < 2; k++) {
		/* constants are stored at full width */
		s[k] = e->g->tensor[n->in[k]].data ? e->g->tensor[n->in[k]].shape
						   : reference_shape(e->m, e->width, n->in[k]);
		q[k] = quant_of(e, n->in[k]);
	}
	for (size_t i = 0; i < ne_shape_elements(&ys); i++) {
		double p[2], v;

		for (int k = 0; k < 2; k++) {
			const struct ne_tensor *t = &e->g->tensor[n->in[k]];
			size_t at = broadcast_at(i, &ys, &s[k]);

			p[k] = t->data ? constant_at(t, at) : e->v[n->in[k]][at];
		}
		if (!s8) {
			v = activate(n->attr.act, mul ? p[0] * p[1] : p[0] + p[1]);
		} else if (mul) {
			float f = q[0].scale * q[1].scale / qy.scale;

			v = requantise((float)((p[0] - q[0].zero) * (p[1] - q[1].zero)) * f,
				       n->attr.act, qy);
		} else {
			/* in unsigned bytes: see struct ne_add_s8 */
			float fa = q[0].scale / qy.scale, fb = q[1].scale / qy.scale;
			float za = (float)(q[0].zero + 128), zb = (float)(q[1].zero + 128);
			float fc = (float)(qy.zero + 128) - fmaf(fa, za, fb * zb);
			float sum = fmaf((float)p[0] + 128, fa, fmaf((float)p[1] + 128, fb, fc));
			double lo, hi;

			limits(n->attr.act, qy, &lo, &hi);
			v = clamp((double)rintf(sum) - 128, lo, hi);
		}
		e->v[n->out[0]][i] = v;
	}
}

static double unary(enum ne_op op, double x)
{
	switch (op) {
	case NE_OP_RELU:
		return fmax(x, 0);
	case NE_OP_RELU6:
		return clamp(x, 0, 6);
	case NE_OP_HARDSWISH:
		return x * clamp(x + 3, 0, 6) / 6;
	case NE_OP_SIGMOID:
		return 1 / (1 + exp(-x));
	case NE_OP_TANH:
		return tanh(x);
	default:
		return x;
	}
}

static void run_unary(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape s = reference_shape(e->m, e->width, n->out[0]);
	enum ne_dtype tx = e->g->tensor[n->in[0]].dtype, ty = e->g->tensor[n->out[0]].dtype;
	struct ne_quant qx = quant_of(e, n->in[0]), qy = quant_of(e, n->out[0]);

	for (size_t i = 0; i < ne_shape_elements(&s); i++) {
		double v = e->v[n->in[0]][i];

		if (tx != NE_F32)
			v = (v - qx.zero) * (double)qx.scale;
		v = unary(n->op, v);
		if (ty == NE_S8)
			v = to_s8(v, qy);
		e->v[n->out[0]][i] = v;
	}
}

static void run_batchnorm(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape s = reference_shape(e->m, e->width, n->out[0]);
	size_t c = (size_t)s.dim[s.rank - 1];
	const struct ne_tensor *t = e->g->tensor;

	for (size_t i = 0; i < ne_shape_elements(&s); i++) {
		size_t k = i % c;

		e->v[n->out[0]][i] =
			(e->v[n->in[0]][i] - constant_at(&t[n->in[3]], k)) /
				sqrt(constant_at(&t[n->in[4]], k) + (double)n->attr.value) *
				constant_at(&t[n->in[1]], k) +
			constant_at(&t[n->in[2]], k);
	}
}

static void run_softmax(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape s = reference_shape(e->m, e->width, n->out[0]);
	struct ne_quant qx = quant_of(e, n->in[0]), qy = quant_of(e, n->out[0]);
	bool s8_in = e->g->tensor[n->in[0]].dtype == NE_S8;
	bool s8_out = e->g->tensor[n->out[0]].dtype == NE_S8;
	size_t len = (size_t)s.dim[n->attr.axis], inner = 1;

	for (uint32_t i = (uint32_t)n->attr.axis + 1; i < s.rank; i++)
		inner *= (size_t)s.dim[i];
	for (size_t r = 0; r < ne_shape_elements(&s) / len; r++) {
		size_t at = r / inner * len * inner + r % inner;
		double top = -INFINITY, sum = 0, v;

		for (size_t i = 0; i < len; i++) {
			v = e->v[n->in[0]][at + i * inner];
			v = s8_in ? (v - qx.zero) * (double)qx.scale : v;
			e->v[n->out[0]][at + i * inner] = v;
			top = fmax(top, v);
		}
		for (size_t i = 0; i < len; i++)
			sum += exp(e->v[n->out[0]][at + i * inner] - top);
		for (size_t i = 0; i < len; i++) {
			v = exp(e->v[n->out[0]][at + i * inner] - top) / sum;
			e->v[n->out[0]][at + i * inner] = s8_out ? to_s8(v, qy) : v;
		}
	}
}

static double rescale(const struct evaluation *e, const struct ne_node *n, uint32_t in, double v)
{
	struct ne_quant qx = quant_of(e, in), qy = quant_of(e, n->out[0]);

	if (e->g->tensor[n->out[0]].dtype != NE_S8 || (qx.scale == qy.scale && qx.zero == qy.zero))
		return v;
	return to_s8((v - qx.zero) * (double)qx.scale, qy);
}

static void run_concat(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape ys = reference_shape(e->m, e->width, n->out[0]);
	size_t outer = 1, inner = 1, at = 0;

	for (uint32_t i = 0; i < ys.rank; i++) {
		if ((int)i < n->attr.axis)
			outer *= (size_t)ys.dim[i];
		if ((int)i > n->attr.axis)
			inner *= (size_t)ys.dim[i];
	}
	for (size_t o = 0; o < outer; o++)
		for (uint32_t k = 0; k < n->n_in; k++) {
			struct ne_shape xs = reference_shape(e->m, e->width, n->in[k]);
			size_t run = (size_t)xs.dim[n->attr.axis] * inner;

			for (size_t i = 0; i < run; i++)
				e->v[n->out[0]][at++] =
					rescale(e, n, n->in[k], e->v[n->in[k]][o * run + i]);
		}
}

static void run_pad(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape xs = reference_shape(e->m, e->width, n->in[0]);
	struct ne_shape ys = reference_shape(e->m, e->width, n->out[0]);
	bool s8 = e->g->tensor[n->out[0]].dtype == NE_S8;

	for (size_t i = 0; i < ne_shape_elements(&ys); i++) {
		size_t rest = i, at = 0, stride = 1;
		bool inside = true;
		double v;

		for (uint32_t d = ys.rank; d-- > 0;) {
			int index = (int)(rest % (size_t)ys.dim[d]) - n->attr.pad[d];

			rest /= (size_t)ys.dim[d];
			inside = inside && index >= 0 && index < xs.dim[d];
			at += (size_t)(inside ? index : 0) * stride;
			stride *= (size_t)xs.dim[d];
		}
		v = inside ? e->v[n->in[0]][at]
		    : s8   ? to_s8((double)n->attr.value, quant_of(e, n->in[0]))
			   : (double)n->attr.value;
		e->v[n->out[0]][i] = rescale(e, n, n->in[0], v);
	}
}

static void run_transpose(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape xs = reference_shape(e->m, e->width, n->in[0]);
	struct ne_shape ys = reference_shape(e->m, e->width, n->out[0]);

	for (size_t i = 0; i < ne_shape_elements(&ys); i++) {
		size_t rest = i, index[NE_MAX_RANK] = {0}, at = 0;

		for (uint32_t d = ys.rank; d-- > 0; rest /= (size_t)ys.dim[d])
			index[n->attr.perm[d]] = rest % (size_t)ys.dim[d];
		for (uint32_t d = 0; d < xs.rank; d++)
			at = at * (size_t)xs.dim[d] + index[d];
		e->v[n->out[0]][i] = rescale(e, n, n->in[0], e->v[n->in[0]][at]);
	}
}

static void run_reshape(struct evaluation *e, const struct ne_node *n)
{
	struct ne_shape ys = reference_shape(e->m, e->width, n->out[0]);

	for (size_t i = 0; i < ne_shape_elements(&ys); i++)
		e->v[n->out[0]][i] = rescale(e, n, n->in[0], e->v[n->in[0]][i]);
}

static void run_node(struct evaluation *e, const struct ne_node *n)
{
	switch (n->op) {
	case NE_OP_CONV:
		run_conv(e, n);
		break;
	case NE_OP_DWCONV:
		run_dwconv(e, n);
		break;
	case NE_OP_DENSE:
		run_dense(e, n);
		break;
	case NE_OP_MAXPOOL:
	case NE_OP_AVGPOOL:
	case NE_OP_GLOBALPOOL:
		run_pool(e, n);
		break;
	case NE_OP_ADD:
	case NE_OP_MUL:
		run_binary(e, n);
		break;
	case NE_OP_CONCAT:
		run_concat(e, n);
		break;
	case NE_OP_SOFTMAX:
		run_softmax(e, n);
		break;
	case NE_OP_BATCHNORM:
		run_batchnorm(e, n);
		break;
	case NE_OP_PAD:
		run_pad(e, n);
		break;
	case NE_OP_TRANSPOSE:
		run_transpose(e, n);
		break;
	case NE_OP_RESHAPE:
		run_reshape(e, n);
		break;
	default:
		run_unary(e, n);
	}
}

/*
 * The engine fuses a relu or relu6 into what it alone reads, rounding once: the same is done here.
 * Returns the relu, or NULL.
 */
static const struct ne_node *fused_relu(const struct ne_graph *g, const struct ne_node *n)
{
	const struct ne_node *found = NULL;
	uint32_t users = 0;
	bool fuses = n->op == NE_OP_CONV || n->op == NE_OP_DWCONV || n->op == NE_OP_DENSE ||
		     n->op == NE_OP_MAXPOOL || n->op == NE_OP_AVGPOOL ||
		     n->op == NE_OP_GLOBALPOOL || n->op == NE_OP_ADD || n->op == NE_OP_MUL;

	if (!fuses || n->attr.act != NE_ACT_NONE)
		return NULL;
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_in; k++)
			if (g->node[i].in[k] == n->out[0]) {
				users++;
				found = &g->node[i];
			}
	for (uint32_t e = 0; e < g->n_exit; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++)
			users += g->exit[e].out[k] == n->out[0];
	for (uint32_t i = 0; i < g->n_state; i++)
		users += g->state[i].out == n->out[0];
	if (users != 1 || (found->op != NE_OP_RELU && found->op != NE_OP_RELU6))
		return NULL;
	return found;
}

/* Nodes in order; a relu that was fused already has its values. */
static void run_nodes(struct evaluation *e)
{
	bool *done = calloc(e->g->n_node + 1u, sizeof(*done));

	for (uint32_t i = 0; i < e->g->n_node; i++) {
		const struct ne_node *n = &e->g->node[i], *relu = fused_relu(e->g, n);
		struct ne_node both = *n;

		if (done[i])
			continue;
		if (relu) {
			both.out = relu->out;
			both.attr.act = relu->op == NE_OP_RELU ? NE_ACT_RELU : NE_ACT_RELU6;
			done[relu - e->g->node] = true;
		}
		run_node(e, &both);
	}
	free(done);
}

/* What a state holds: what its next value was in the run before, else the first value. */
static void set_state(struct evaluation *e, const struct ne_graph_state *s, double *const *before)
{
	struct ne_shape shape = reference_shape(e->m, e->width, s->in);
	size_t n = ne_shape_elements(&shape);

	for (size_t i = 0; i < n; i++) {
		const struct ne_tensor *t =
			s->initial == NE_NONE ? NULL : &e->g->tensor[s->initial];

		if (before)
			e->v[s->in][i] = before[s->out][i];
		else if (!t)
			e->v[s->in][i] = e->m->width[e->width].quant[s->in].zero;
		else
			e->v[s->in][i] = t->dtype == NE_F32 ? (double)((const float *)t->data)[i]
							    : ((const int8_t *)t->data)[i];
	}
}

double **reference_run(const struct ne_model *m, uint32_t width, const double *const *in)
{
	return reference_next(m, width, in, NULL);
}

double **reference_next(const struct ne_model *m, uint32_t width, const double *const *in,
			double *const *before)
{
	struct evaluation e = {m, &m->graph, width, NULL};

	e.v = calloc(m->graph.n_tensor + 1u, sizeof(*e.v));
	for (uint32_t t = 0; t < m->graph.n_tensor; t++) {
		struct ne_shape s = reference_shape(m, width, t);

		e.v[t] = calloc(ne_shape_elements(&s), sizeof(double));
	}
	for (uint32_t i = 0; i < m->graph.n_in; i++)
		memcpy(e.v[m->graph.in[i]], in[i],
		       ne_shape_elements(&m->graph.tensor[m->graph.in[i]].shape) * sizeof(double));
	for (uint32_t i = 0; i < m->graph.n_state; i++)
		set_state(&e, &m->graph.state[i], before);
	run_nodes(&e);
	return e.v;
}

void reference_free(const struct ne_model *m, double **values)
{
	for (uint32_t t = 0; t < m->graph.n_tensor; t++)
		free(values[t]);
	free(values);
}
