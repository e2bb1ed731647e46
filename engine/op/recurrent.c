/* SPDX-License-Identifier: MIT */
/*
 * LSTM, GRU and plain recurrence, f32. Inputs: x [T,B,I], W [D,G*H,I], R [D,G*H,H], and optional
 * biases [D,2*G*H], lengths s32 [B], first state [D,B,H], for LSTM first cell [D,B,H] and peepholes
 * [D,3*H]; D directions, G gates. Outputs: y [T,D,B,H], last state [D,B,H], for LSTM last cell.
 */
#include "engine/op/recurrent.h"

#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>

#define CHUNK_BYTES (64u << 10) /* of products with the input, to stay in L2 */

enum { IN_X, IN_W, IN_R, IN_BIAS, IN_LENGTHS, IN_H, IN_C, IN_PEEPHOLE };

static int32_t gates_of(enum ne_op op)
{
	return op == NE_OP_LSTM ? 4 : op == NE_OP_GRU ? 3 : 1;
}

static int32_t directions_of(const struct ne_node *n)
{
	return n->attr.recurrent.direction == NE_BOTH_WAYS ? 2 : 1;
}

static int check_shape(const struct ne_node *n, uint32_t k, const struct ne_shape *s, uint32_t rank,
		       int64_t a, int64_t b, int64_t c, struct ne_error *err)
{
	const int64_t want[3] = {a, b, c};

	if (s->rank != rank)
		return ne_node_fail(err, EINVAL, n, "input %u is of rank %u, not %u", k, s->rank,
				    rank);
	for (uint32_t i = 0; i < rank; i++)
		if (s->dim[i] != want[i])
			return ne_node_fail(err, EINVAL, n, "input %u: axis %u is %d, not %lld", k,
					    i, s->dim[i], (long long)want[i]);
	return 0;
}

NE_OP_INFER(recurrent)
{
	int64_t d = directions_of(n), gates = gates_of(n->op), h, t, b;

	(void)g;
	if (in[IN_X].rank != 3 || in[IN_R].rank != 3)
		return ne_node_fail(err, EINVAL, n, "x and R must be of rank 3");
	t = in[IN_X].dim[0];
	b = in[IN_X].dim[1];
	h = in[IN_R].dim[2];
	NE_RETURN_IF(check_shape(n, IN_W, &in[IN_W], 3, d, gates * h, in[IN_X].dim[2], err));
	NE_RETURN_IF(check_shape(n, IN_R, &in[IN_R], 3, d, gates * h, h, err));
	for (uint32_t k = IN_BIAS; k < n->n_in; k++) {
		int r = 0;

		if (n->in[k] == NE_NONE)
			continue;
		if (k == IN_BIAS)
			r = check_shape(n, k, &in[k], 2, d, 2 * gates * h, 0, err);
		else if (k == IN_LENGTHS)
			r = check_shape(n, k, &in[k], 1, b, 0, 0, err);
		else if (k == IN_PEEPHOLE)
			r = check_shape(n, k, &in[k], 2, d, 3 * h, 0, err);
		else
			r = check_shape(n, k, &in[k], 3, d, b, h, err);
		NE_RETURN_IF(r);
	}
	for (uint32_t k = 0; k < n->n_out; k++)
		ret[k] = (struct ne_shape){.rank = 3, .dim = {(int32_t)d, (int32_t)b, (int32_t)h}};
	ret[0] = (struct ne_shape){.rank = 4,
				   .dim = {(int32_t)t, (int32_t)d, (int32_t)b, (int32_t)h}};
	return 0;
}

NE_OP_CHECK(recurrent)
{
	const struct ne_recurrent *a = &n->attr.recurrent;
	uint32_t outputs = n->op == NE_OP_LSTM ? 3 : 2;

	if (n->n_out != outputs)
		return ne_node_fail(err, EINVAL, n, "%u outputs, not %u", n->n_out, outputs);
	for (uint32_t k = 0; k < n->n_in; k++) {
		const struct ne_tensor *t = ne_node_in(g, n, k);

		if (t && t->dtype != (k == IN_LENGTHS ? NE_S32 : NE_F32))
			return ne_node_fail(err, EINVAL, n, "input %u is of type %s", k,
					    ne_dtype_name(t->dtype));
	}
	for (uint32_t k = 0; k < n->n_out; k++)
		if (g->tensor[n->out[k]].dtype != NE_F32)
			return ne_node_fail(err, EINVAL, n, "output %u is not f32", k);
	if (a->direction < NE_FORWARD || a->direction > NE_BOTH_WAYS)
		return ne_node_fail(err, EINVAL, n, "no direction %d", a->direction);
	if (!(a->clip >= 0) || !(n->attr.value >= 0))
		return ne_node_fail(err, EINVAL, n, "clip is not a number >= 0");
	for (uint32_t i = 0; i < 6; i++)
		if (a->act[i].kind < 0 || a->act[i].kind >= NE_GATE_COUNT ||
		    !isfinite(a->act[i].a) || !isfinite(a->act[i].b))
			return ne_node_fail(err, EINVAL, n, "activation %u is not known", i);
	return ne_check_uncut(g, n, err);
}

NE_OP_MACS(recurrent)
{
	uint64_t rows = (uint64_t)x->dim[0] * (uint64_t)x->dim[1];

	(void)n;
	return rows * (uint64_t)w->dim[0] * (uint64_t)w->dim[1] *
	       ((uint64_t)x->dim[2] + (uint64_t)ne_shape_last(y));
}

/* ---- building ---- */

/* Rows [@first, @first + @oc) of matrix @d of constant @tensor, packed; equal tables are shared by
 * all levels. */
static int pack(struct ne_lower *lw, const struct ne_node *n, struct ne_product *p, uint32_t rows,
		const float *w)
{
	size_t elements = ne_pack_conv_f32_elements(lw->k, p->oc, 1, p->ic);
	size_t padded = ne_round_up(p->oc, lw->k->conv_f32_nr);
	float *packed = ne_alloc_aligned((elements + padded) * sizeof(*packed)), *ones;
	float zero = 0;

	if (!packed)
		return ne_lower_no_memory(lw, n);
	ne_pack_conv_f32(lw->k, packed, w, p->oc, 1, p->ic, &p->a.w_tap_stride,
			 &p->a.w_block_stride);
	p->a.w = ne_lower_table(lw, packed, elements * sizeof(*packed));
	ones = packed + elements;
	for (size_t i = 0; i < padded; i++)
		ones[i] = 0;
	p->a.bias = ne_lower_table(lw, ones, padded * sizeof(*ones));
	for (size_t i = 0; i < padded; i++)
		ones[i] = 1;
	p->a.scale = ne_lower_table(lw, ones, padded * sizeof(*ones));
	free(packed);
	p->a.pad = ne_lower_table(lw, &zero, sizeof(zero)); /* never read: no padding */
	if (!p->a.w || !p->a.bias || !p->a.scale || !p->a.pad)
		return ne_lower_no_memory(lw, n);
	NE_RETURN_IF(ne_lower_rows(lw, n, rows, p->ic, &p->a.ind));
	p->a.taps = 1;
	p->a.ic = p->ic;
	p->a.oc = p->oc;
	p->a.lo = -INFINITY;
	p->a.hi = INFINITY;
	p->fn = lw->k->conv_f32;
	return 0;
}

static int lower_product(struct ne_lower *lw, const struct ne_node *n, struct ne_product *p,
			 uint32_t input, size_t at, uint32_t rows)
{
	const struct ne_tensor *t = &lw->g->tensor[n->in[input]];

	p->at = at;
	if (t->data)
		return pack(lw, n, p, rows, (const float *)t->data + at);
	p->w = lw->ref[n->in[input]];
	return 0;
}

static int lower_products(struct ne_lower *lw, const struct ne_node *n, struct ne_recurrent_args *c)
{
	size_t wide = (size_t)c->gates * c->hidden;
	uint32_t gated = c->op == NE_OP_GRU ? 2 * c->hidden : (uint32_t)wide;

	for (uint32_t d = 0; d < c->directions; d++) {
		c->input[d] = (struct ne_product){.ic = c->in, .oc = (uint32_t)wide};
		c->state[d] = (struct ne_product){.ic = c->hidden, .oc = gated};
		c->candidate[d] = (struct ne_product){.ic = c->hidden, .oc = c->hidden};
		NE_RETURN_IF(lower_product(lw, n, &c->input[d], IN_W, d * wide * c->in,
					   c->chunk * c->batch));
		NE_RETURN_IF(
			lower_product(lw, n, &c->state[d], IN_R, d * wide * c->hidden, c->batch));
		if (c->op == NE_OP_GRU)
			NE_RETURN_IF(lower_product(lw, n, &c->candidate[d], IN_R,
						   (d * wide + gated) * c->hidden, c->batch));
	}
	return 0;
}

static bool optional(const struct ne_lower *lw, const struct ne_node *n, uint32_t k,
		     struct ne_ref *ret)
{
	if (k >= n->n_in || n->in[k] == NE_NONE)
		return false;
	*ret = lw->ref[n->in[k]];
	return true;
}

NE_OP_LOWER(recurrent)
{
	const struct ne_shape *x = &lw->shape[n->in[IN_X]];
	struct ne_recurrent_args c = {
		.op = n->op,
		.attr = n->attr.recurrent,
		.cell_clip = n->op == NE_OP_LSTM ? n->attr.value : 0,
		.steps = (uint32_t)x->dim[0],
		.batch = (uint32_t)x->dim[1],
		.in = (uint32_t)x->dim[2],
		.hidden = (uint32_t)lw->shape[n->in[IN_R]].dim[2],
		.gates = (uint32_t)gates_of(n->op),
		.directions = (uint32_t)directions_of(n),
		.x = lw->ref[n->in[IN_X]],
		.y = lw->ref[lw->y],
		.yh = lw->ref[n->out[1]],
	};
	size_t row = (size_t)c.batch * c.gates * c.hidden * sizeof(float);

	if (n->op == NE_OP_LSTM)
		c.yc = lw->ref[n->out[2]];
	c.chunk = (uint32_t)NE_CLAMP(CHUNK_BYTES / row, 1, c.steps);
	c.has_bias = optional(lw, n, IN_BIAS, &c.bias);
	c.has_lengths = optional(lw, n, IN_LENGTHS, &c.lengths);
	c.has_h = optional(lw, n, IN_H, &c.h0);
	c.has_c = optional(lw, n, IN_C, &c.c0);
	c.has_peephole = optional(lw, n, IN_PEEPHOLE, &c.peephole);
	if (ne_recurrent_scratch(&c) > NE_MAX_ARENA_BYTES / sizeof(float))
		return ne_node_fail(lw->err, E2BIG, n,
				    "a batch of %u rows of %u values is too large", c.batch,
				    c.hidden);
	NE_RETURN_IF(lower_products(lw, n, &c));
	ne_lower_scratch(lw, ne_recurrent_scratch(&c) * sizeof(float));
	return ne_lower_step(lw, ne_recurrent_run, &c, sizeof(c), c.directions, 1,
			     ne_recurrent_macs(n, x, &lw->shape[n->in[IN_W]], &lw->shape[lw->y]),
			     lw->y);
}
