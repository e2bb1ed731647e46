/* SPDX-License-Identifier: MIT */
/* Addition and multiplication of two tensors, the fast forms of the binary family: in f32 and s8,
 * with a fused activation, the smaller operand broadcast. A value for a whole run is spread over a
 * row of scratch.
 */
#include "engine/plan/plan.h"
#include "engine/op/broadcast.h"
#include "engine/op/op.h"

#include <math.h>
#include <string.h>

NE_OP_INFER(binary)
{
	uint32_t axis = 0;

	(void)g;
	if (ne_broadcast_shape(in, 2, ret, &axis) < 0)
		return ne_node_fail(err, EINVAL, n, "axis %u: dimensions are neither equal nor 1",
				    axis);
	return 0;
}

NE_OP_CHECK(binary)
{
	const struct ne_tensor *y = ne_node_out(g, n);

	for (uint32_t k = 0; k < 2; k++) {
		const struct ne_tensor *t = ne_node_in(g, n, k);
		bool whole = t->shape.rank && ne_shape_last(&t->shape) == ne_shape_last(&y->shape);
		uint32_t want = whole ? y->group : NE_NO_GROUP;

		if (t->dtype != y->dtype || (t->dtype != NE_F32 && t->dtype != NE_S8))
			return ne_node_fail(err, EINVAL, n,
					    "types must be f32 or s8, all the same");
		/* a constant is cut by its reader, whatever it says itself */
		if (t->group != want && !(t->data && t->group == NE_NO_GROUP))
			return ne_node_fail(err, EINVAL, n,
					    "input %u is in channel group %u, the output in %u", k,
					    t->group, y->group);
	}
	return 0;
}

struct binary_args {
	struct ne_ref in[2], y;
	struct ne_broadcast b;
	bool mul;
	float lo, hi; /* f32 */
	void (*f32)(float *y, const float *a, const float *b, size_t n, float lo, float hi);
	void (*add_s8)(const struct ne_add_s8 *a);
	struct ne_add_s8 s8; /* for mul: fa is the scale, fb and fc unused */
	int32_t za, zb, zp;
};

/* y = clamp(rne(float((a - za) * (b - zb)) * f) + zp): the s8 rule of this operator. */
static void mul_s8(const struct ne_add_s8 *p, int32_t za, int32_t zb, int32_t zp)
{
	float lo = (float)(p->lo - zp), hi = (float)(p->hi - zp);

	for (size_t i = 0; i < p->n; i++) {
		float v = (float)((p->a[i] - za) * (p->b[i] - zb)) * p->fa;

		v = NE_CLAMP(v, lo, hi);
		/* |v| < 512: adding and taking off 1.5 * 2^23 rounds half to even */
		v = (v + 12582912.0f) - 12582912.0f;
		p->y[i] = (int8_t)((int32_t)v + zp);
	}
}

static void call(const struct binary_args *c, void *y, const void *a, const void *b, size_t n)
{
	struct ne_add_s8 p;

	if (c->f32) {
		c->f32(y, a, b, n, c->lo, c->hi);
		return;
	}
	p = c->s8;
	p.a = a;
	p.b = b;
	p.y = y;
	p.n = n;
	if (c->mul)
		mul_s8(&p, c->za, c->zb, c->zp);
	else
		c->add_s8(&p);
}

/* Same shapes: units are elements. */
static void run_flat(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct binary_args *c = s->args;
	size_t at = (size_t)first * (c->f32 ? sizeof(float) : 1);

	call(c, (char *)ne_at(f, c->y) + at, (const char *)ne_at(f, c->in[0]) + at,
	     (const char *)ne_at(f, c->in[1]) + at, n);
}

static void spread(void *row, const void *value, size_t n, size_t elem)
{
	if (elem == 1) {
		memset(row, *(const uint8_t *)value, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		((float *)row)[i] = *(const float *)value;
}

/* Broadcast: units are outer iterations. */
static void run_outer(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct binary_args *c = s->args;
	size_t elem = c->f32 ? sizeof(float) : 1, run = c->b.inner * elem;
	char *y = (char *)ne_at(f, c->y) + first * run;

	for (uint32_t i = first; i < first + n; i++, y += run) {
		const void *p[2];

		for (int k = 0; k < 2; k++) {
			size_t at = ne_broadcast_at(&c->b, (uint32_t)k, i);

			p[k] = (const char *)ne_at(f, c->in[k]) + at * elem;
			if (c->b.in[k].spread) {
				char *row =
					(char *)f->scratch + (size_t)k * ne_round_up(run, NE_ALIGN);

				spread(row, p[k], c->b.inner, elem);
				p[k] = row;
			}
		}
		call(c, y, p[0], p[1], c->b.inner);
	}
}

/* f32 at each step, and one of the products fused: as ONNX Runtime works them out. */
void ne_lower_add_s8(const struct ne_lower *lw, const struct ne_node *n, uint32_t y, int32_t act,
		     struct ne_add_s8 *ret)
{
	struct ne_quant qa = ne_lower_quant(lw, n->in[0]), qb = ne_lower_quant(lw, n->in[1]);
	struct ne_quant qy = ne_lower_quant(lw, y);
	float za = (float)(qa.zero + 128), zb = (float)(qb.zero + 128);

	ne_act_limits_s8(act, qy, &ret->lo, &ret->hi);
	ret->fa = qa.scale / qy.scale;
	ret->fb = qb.scale / qy.scale;
	ret->fc = (float)(qy.zero + 128) - fmaf(ret->fa, za, ret->fb * zb);
}

static void mul_s8_args(const struct ne_lower *lw, const struct ne_node *n, struct binary_args *c)
{
	struct ne_quant qa = ne_lower_quant(lw, n->in[0]), qb = ne_lower_quant(lw, n->in[1]);
	struct ne_quant qy = ne_lower_quant(lw, lw->y);

	c->za = qa.zero;
	c->zb = qb.zero;
	c->zp = qy.zero;
	ne_act_limits_s8(lw->act, qy, &c->s8.lo, &c->s8.hi);
	c->s8.fa = qa.scale * qb.scale / qy.scale;
}

NE_OP_LOWER(binary)
{
	const struct ne_shape *ys = &lw->shape[lw->y];
	bool f32 = lw->g->tensor[n->in[0]].dtype == NE_F32, mul = n->op == NE_OP_MUL;
	struct binary_args c = {.mul = mul, .add_s8 = lw->k->add_s8, .y = lw->ref[lw->y]};
	size_t elements = ne_shape_elements(ys), elem = f32 ? sizeof(float) : 1;

	for (int k = 0; k < 2; k++)
		c.in[k] = lw->ref[n->in[k]];
	ne_broadcast_plan(lw, n->in, 2, ys, &c.b);
	if (f32) {
		c.f32 = mul ? lw->k->mul_f32 : lw->k->add_f32;
		ne_act_limits_f32(lw->act, &c.lo, &c.hi);
	} else if (mul) {
		mul_s8_args(lw, n, &c);
	} else {
		ne_lower_add_s8(lw, n, lw->y, lw->act, &c.s8);
	}
	if (c.b.inner == elements && !c.b.in[0].spread && !c.b.in[1].spread)
		return ne_lower_step(lw, run_flat, &c, sizeof(c), elements, 4096, elements * elem,
				     lw->y);
	ne_lower_scratch(lw, 2 * ne_round_up(c.b.inner * elem, NE_ALIGN));
	return ne_lower_step(lw, run_outer, &c, sizeof(c), elements / c.b.inner, 16,
			     elements * elem, lw->y);
}
