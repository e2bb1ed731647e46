/* SPDX-License-Identifier: MIT */
/*
 * Models in QDQ form: f32 operators between a dequantise and a quantise node become s8 operators
 * with the model's own scales. Dequantise nodes sink towards the outputs and quantise nodes rise
 * towards the inputs through whatever only moves values, so that they meet the operators that
 * compute; where nothing can be fused the f32 operator stays.
 *
 * An importer hands over convolutions and dense nodes with s8 weights (and an s32 bias) beside an
 * f32 input; those that find no pair get f32 weights, as a last resort.
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <stdlib.h>
#include <string.h>

static const struct ne_tensor *tensor_of(const struct edit *e, uint32_t t)
{
	return &e->g->tensor[t];
}

static bool same_quant(struct ne_quant a, struct ne_quant b)
{
	return !(a.scale < b.scale) && !(a.scale > b.scale) && a.zero == b.zero;
}

/* The s8 tensor that @t is the real values of, or NE_NONE. */
static uint32_t dequantised(const struct edit *e, uint32_t t)
{
	uint32_t w = edit_writer(e, t, NE_OP_DEQUANTISE), x;

	if (w == NE_NONE)
		return NE_NONE;
	x = e->g->node[w].in[0];
	return tensor_of(e, x)->dtype == NE_S8 && tensor_of(e, x)->quant.scale > 0 ? x : NE_NONE;
}

/* The only reader of @t, a quantise node to s8; else NE_NONE. */
static uint32_t quantiser(const struct edit *e, uint32_t t)
{
	if (e->uses[t] != 1 || edit_is_exit(e, t))
		return NE_NONE;
	for (uint32_t i = 0; i < e->g->n_node; i++) {
		const struct ne_node *n = &e->g->node[i];

		if (n->op == NE_OP_QUANTISE && n->in[0] == t)
			return tensor_of(e, n->out[0])->dtype == NE_S8 ? i : NE_NONE;
	}
	return NE_NONE;
}

/* A tensor beside @t, of the type and quantisation of @like. */
static int typed_tensor(struct edit *e, uint32_t t, uint32_t like)
{
	struct ne_shape shape = tensor_of(e, t)->shape;
	int id = edit_add_tensor(e, t, &shape);

	if (id < 0)
		return id;
	e->g->tensor[id].dtype = tensor_of(e, like)->dtype;
	e->g->tensor[id].quant = tensor_of(e, like)->quant;
	return id;
}

/* @node writes what quantise node @q wrote; @q writes what nobody reads, and is dropped. */
static int take_output(struct edit *e, uint32_t node, uint32_t q)
{
	uint32_t y = e->g->node[q].out[0];
	int unread = typed_tensor(e, y, y);

	if (unread < 0)
		return unread;
	edit_set_output(e, q, (uint32_t)unread);
	edit_set_output(e, node, y);
	return 1;
}

/* ---- pairs of conversions ---- */

/* An integer written as another one exactly: only the zero point's offset differs. */
static bool is_shift(const struct edit *e, const struct ne_node *n)
{
	const struct ne_tensor *x = tensor_of(e, n->in[0]), *y = tensor_of(e, n->out[0]);
	int32_t offset = (x->dtype == NE_S8) - (y->dtype == NE_S8);

	if ((x->dtype != NE_S8 && x->dtype != NE_U8) || (y->dtype != NE_S8 && y->dtype != NE_U8))
		return false;
	return same_quant((struct ne_quant){x->quant.scale, x->quant.zero + 128 * offset},
			  y->quant);
}

static int twin_of(const struct edit *e, uint32_t node)
{
	const struct ne_node *n = &e->g->node[node];

	for (uint32_t i = 0; i < node; i++)
		if (e->g->node[i].op == NE_OP_QUANTISE && e->g->node[i].in[0] == n->in[0] &&
		    edit_same_values(e, e->g->node[i].out[0], n->out[0]))
			return (int)i;
	return -1;
}

static int join(struct edit *e, uint32_t node)
{
	struct ne_graph *g = e->g;
	uint32_t y = g->node[node].out[0], w = e->producer[g->node[node].in[0]];
	int twin;

	/* quantise takes no s16 itself */
	if (w != NE_NONE && tensor_of(e, g->node[w].in[0])->dtype != NE_S16 &&
	    (g->node[w].op == NE_OP_DEQUANTISE ||
	     (g->node[w].op == NE_OP_QUANTISE && is_shift(e, &g->node[w])))) {
		edit_set_input(e, node, 0, g->node[w].in[0]);
		return 1;
	}
	if (edit_same_values(e, g->node[node].in[0], y))
		return edit_replace(e, y, g->node[node].in[0]);
	twin = twin_of(e, node);
	return twin >= 0 ? edit_replace(e, y, g->node[twin].out[0]) : 0;
}

/* ---- nodes that move or choose values ---- */

static bool moves(const struct ne_node *n)
{
	switch (n->op) {
	case NE_OP_RESHAPE:
	case NE_OP_TRANSPOSE:
	case NE_OP_CONCAT:
	case NE_OP_PAD:
	case NE_OP_MAXPOOL:
	case NE_OP_RELU:
	case NE_OP_SLICE:
		return true;
	default:
		return false;
	}
}

static bool zero_pad(const struct ne_node *n)
{
	return n->op != NE_OP_PAD || !(n->attr.value < 0 || n->attr.value > 0);
}

/* f(dequantise(x)) = dequantise(f(x)) */
static int sink(struct edit *e, uint32_t node)
{
	struct ne_graph *g = e->g;
	struct ne_attr attr = {.groups = 1};
	uint32_t y = g->node[node].out[0], first = dequantised(e, g->node[node].in[0]);
	int id;

	if (first == NE_NONE || !zero_pad(&g->node[node]) || g->node[node].attr.act == NE_ACT_RELU6)
		return 0;
	for (uint32_t k = 1; k < g->node[node].n_in; k++) {
		uint32_t x = dequantised(e, g->node[node].in[k]);

		if (x == NE_NONE || !edit_same_values(e, x, first))
			return 0;
	}
	for (uint32_t k = 0; k < g->node[node].n_in; k++)
		edit_set_input(e, node, k, dequantised(e, g->node[node].in[k]));
	id = typed_tensor(e, y, first);
	if (id < 0)
		return id;
	edit_set_output(e, node, (uint32_t)id);
	id = edit_add_node(e, NE_OP_DEQUANTISE, (uint32_t)id, y, &attr);
	return id < 0 ? id : 1;
}

/* quantise(f(x)) = f(quantise(x)), also of what clips. */
static int rise(struct edit *e, uint32_t node)
{
	struct ne_graph *g = e->g;
	struct ne_attr attr = {.groups = 1};
	uint32_t q = quantiser(e, g->node[node].out[0]);

	if (q == NE_NONE)
		return 0;
	for (uint32_t k = 0; k < g->node[node].n_in; k++)
		if (edit_is_const(e, g->node[node].in[k]) ||
		    tensor_of(e, g->node[node].in[k])->dtype != NE_F32)
			return 0;
	for (uint32_t k = 0; k < g->node[node].n_in; k++) {
		uint32_t x = g->node[node].in[k];
		int id = typed_tensor(e, x, g->node[q].out[0]);

		if (id < 0)
			return id;
		NE_RETURN_IF(edit_add_node(e, NE_OP_QUANTISE, x, (uint32_t)id, &attr));
		edit_set_input(e, node, k, (uint32_t)id);
	}
	return take_output(e, node, q);
}

/* ---- nodes that compute ---- */

/* In s8 with scales, or in u8 with a zero point that s8 has no room for. */
static bool s8_weights(const struct edit *e, const struct ne_node *n)
{
	const struct ne_tensor *w;

	if (!edit_has_weights(n->op) || !edit_is_const(e, n->in[1]))
		return false;
	w = tensor_of(e, n->in[1]);
	return (w->dtype == NE_S8 && w->n_scale > 0) || (w->dtype == NE_U8 && w->quant.scale > 0);
}

/* How many inputs are activations; 0 where it has no s8 form. */
static uint32_t activations(const struct edit *e, const struct ne_node *n)
{
	switch (n->op) {
	case NE_OP_CONV:
	case NE_OP_DWCONV:
	case NE_OP_DENSE:
		return s8_weights(e, n) && !n->attr.norm ? 1 : 0;
	case NE_OP_ADD:
	case NE_OP_MUL:
		return 2;
	case NE_OP_CONCAT:
		return n->n_in;
	case NE_OP_AVGPOOL:
	case NE_OP_GLOBALPOOL:
	case NE_OP_SOFTMAX:
	case NE_OP_SIGMOID:
	case NE_OP_TANH:
	case NE_OP_HARDSWISH:
	case NE_OP_RELU6:
		return 1;
	case NE_OP_UNARY: /* a table of 256 entries */
		return 1;
	default:
		return 0;
	}
}

static int fuse(struct edit *e, uint32_t node)
{
	struct ne_graph *g = e->g;
	uint32_t n_in = activations(e, &g->node[node]), q;

	if (!n_in)
		return 0;
	for (uint32_t k = 0; k < n_in; k++)
		if (dequantised(e, g->node[node].in[k]) == NE_NONE)
			return 0;
	q = quantiser(e, g->node[node].out[0]);
	if (q == NE_NONE)
		return 0;
	for (uint32_t k = 0; k < n_in; k++)
		edit_set_input(e, node, k, dequantised(e, g->node[node].in[k]));
	return take_output(e, node, q);
}

int rewrite_quantised(struct edit *e)
{
	uint32_t n_node = e->g->n_node;
	int changes = 0;

	for (uint32_t i = 0; i < n_node; i++) {
		const struct ne_node *n = &e->g->node[i];
		int r = 0;

		if (n->n_out != 1 || n->n_in < 1 || e->uses[n->out[0]] == 0)
			continue;
		if (n->op == NE_OP_QUANTISE) {
			r = join(e, i);
		} else if (tensor_of(e, n->out[0])->dtype == NE_F32) {
			if (moves(n))
				r = sink(e, i);
			if (r == 0 && (moves(n) || n->op == NE_OP_RELU6))
				r = rise(e, i);
			if (r == 0)
				r = fuse(e, i);
		}
		if (r < 0)
			return r;
		changes += r;
	}
	return changes;
}

/* ---- what found no pair ---- */

/* Real values of a constant: one scale, one per index of dim 0, or one per index of the last. */
static int real_const(struct edit *e, uint32_t t, bool last_axis)
{
	const struct ne_tensor *k = tensor_of(e, t);
	size_t total = ne_shape_elements(&k->shape), n = k->n_scale ? k->n_scale : 1;
	struct ne_shape shape = k->shape;
	float *data = ne_alloc_aligned(total * sizeof(*data));
	int32_t zero = k->n_scale ? 0 : k->quant.zero;

	if (!data)
		return ne_fail(e->err, ENOMEM, "rewrite: no memory");
	for (size_t i = 0; i < total; i++) {
		int64_t v = k->dtype == NE_S32  ? ((const int32_t *)k->data)[i]
			    : k->dtype == NE_U8 ? ((const uint8_t *)k->data)[i]
						: ((const int8_t *)k->data)[i];
		size_t c = last_axis ? i % n : i / (total / n);

		data[i] = (float)(v - zero) * (k->n_scale ? k->scale[c] : k->quant.scale);
	}
	return edit_add_const(e, t, &shape, data);
}

static int real_weights(struct edit *e, uint32_t node)
{
	bool last_axis = e->g->node[node].op == NE_OP_DWCONV;
	int id = real_const(e, e->g->node[node].in[1], last_axis);

	if (id < 0)
		return id;
	edit_set_input(e, node, 1, (uint32_t)id);
	if (e->g->node[node].n_in > 2 && e->g->node[node].in[2] != NE_NONE &&
	    tensor_of(e, e->g->node[node].in[2])->dtype == NE_S32) {
		id = real_const(e, e->g->node[node].in[2], last_axis);
		if (id < 0)
			return id;
		edit_set_input(e, node, 2, (uint32_t)id);
	}
	return 1;
}

int rewrite_unquantised(struct edit *e)
{
	struct ne_graph *g = e->g;
	int changes = 0;

	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];
		int r = 0;

		if (n->n_out != 1 || n->n_in < 1 || e->uses[n->out[0]] == 0)
			continue;
		if (s8_weights(e, n) && tensor_of(e, n->in[0])->dtype == NE_F32) {
			r = real_weights(e, i);
		} else if (n->op == NE_OP_DEQUANTISE && edit_is_const(e, n->in[0]) &&
			   tensor_of(e, n->in[0])->dtype == NE_S8 && !edit_is_exit(e, n->out[0])) {
			r = real_const(e, n->in[0], false);
			if (r >= 0)
				r = edit_replace(e, n->out[0], (uint32_t)r);
		}
		if (r < 0)
			return r;
		changes += r;
	}
	return changes;
}
