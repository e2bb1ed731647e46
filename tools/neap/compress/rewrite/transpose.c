/* SPDX-License-Identifier: MIT */
/*
 * Joins transposes that follow each other and moves a transpose behind nodes that work in any
 * layout (element-wise, concat, pad, softmax, reductions, slices), towards the outputs, where it meets its inverse.
 * Importers of NCHW models wrap each convolution and pool in a pair; this removes nearly all.
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/permute.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <stdlib.h>
#include <string.h>

static int join(struct edit *e, uint32_t node, uint32_t before)
{
	struct ne_node *second = &e->g->node[node];
	const struct ne_node *first = &e->g->node[before];
	uint32_t rank = e->g->tensor[first->in[0]].shape.rank;
	int32_t perm[NE_MAX_RANK];

	for (uint32_t i = 0; i < rank; i++)
		perm[i] = first->attr.perm[second->attr.perm[i]];
	memcpy(second->attr.perm, perm, rank * sizeof(perm[0]));
	edit_set_input(e, node, 0, first->in[0]);
	return 1;
}

/* ---- inputs of a node seen through the transpose ---- */

/* A constant right-aligned to @rank and laid out so that @perm of it is the original. */
static int permuted_const(struct edit *e, uint32_t t, uint32_t rank, const int32_t *inverse)
{
	const struct ne_tensor *k = &e->g->tensor[t];
	struct ne_shape wide = {.rank = rank}, out;
	size_t total = ne_shape_elements(&k->shape);
	uint32_t *index;
	float *data;

	for (uint32_t i = 0; i < rank; i++)
		wide.dim[i] = i + k->shape.rank < rank ? 1 : k->shape.dim[i + k->shape.rank - rank];
	index = permute_index(&wide, inverse);
	data = ne_alloc_aligned(total * sizeof(*data));
	if (!index || !data) {
		free(index);
		free(data);
		return ne_fail(e->err, ENOMEM, "rewrite: no memory");
	}
	for (size_t i = 0; i < total; i++)
		data[i] = ((const float *)k->data)[index[i]];
	free(index);
	permute_shape(&wide, inverse, &out);
	return edit_add_const(e, t, &out, data);
}

static int reshaped(struct edit *e, uint32_t t, const int32_t *inverse)
{
	struct ne_attr attr = {.groups = 1};
	struct ne_shape out;
	int id;

	permute_shape(&e->g->tensor[t].shape, inverse, &out);
	id = edit_add_tensor(e, t, &out);
	if (id < 0)
		return id;
	NE_RETURN_IF(edit_add_node(e, NE_OP_RESHAPE, t, (uint32_t)id, &attr));
	return id;
}

/* How an input can be had in the layout before the transpose. */
enum view { VIEW_NONE, VIEW_THROUGH, VIEW_CONST, VIEW_SCALAR, VIEW_FREE };

static enum view view_of(const struct edit *e, uint32_t t, uint32_t rank, const int32_t *perm,
			 bool broadcast)
{
	const struct ne_tensor *k = &e->g->tensor[t];
	uint32_t w = edit_writer(e, t, NE_OP_TRANSPOSE);
	int32_t inverse[NE_MAX_RANK];

	if (k->shape.rank == rank && w != NE_NONE &&
	    memcmp(e->g->node[w].attr.perm, perm, rank * sizeof(perm[0])) == 0)
		return VIEW_THROUGH;
	if (broadcast && ne_shape_elements(&k->shape) == 1 && k->shape.rank <= rank)
		return VIEW_SCALAR;
	if (k->data)
		return k->dtype == NE_F32 && k->shape.rank <= rank &&
				       (broadcast || k->shape.rank == rank)
			       ? VIEW_CONST
			       : VIEW_NONE;
	permute_inverse(perm, rank, inverse);
	if (k->shape.rank == rank && permute_is_free(&k->shape, inverse))
		return VIEW_FREE;
	return VIEW_NONE;
}

static int see_through(struct edit *e, uint32_t node, uint32_t k, uint32_t rank,
		       const int32_t *perm, bool broadcast)
{
	uint32_t t = e->g->node[node].in[k];
	int32_t inverse[NE_MAX_RANK];
	int id = (int)t;

	permute_inverse(perm, rank, inverse);
	switch (view_of(e, t, rank, perm, broadcast)) {
	case VIEW_NONE:
		return ne_fail(e->err, EINVAL, "rewrite: node %s: transposes differ",
			       e->g->node[node].name);
	case VIEW_SCALAR:
		return 0;
	case VIEW_THROUGH:
		id = (int)e->g->node[e->producer[t]].in[0];
		break;
	case VIEW_CONST:
		id = permuted_const(e, t, rank, inverse);
		break;
	case VIEW_FREE:
		id = reshaped(e, t, inverse);
		break;
	}
	if (id < 0)
		return id;
	edit_set_input(e, node, k, (uint32_t)id);
	return 0;
}

/* ---- nodes that a transpose can move behind ---- */

/* Operands broadcast from the right. */
static bool broadcasts(enum ne_op op)
{
	return op == NE_OP_ADD || op == NE_OP_MUL || op == NE_OP_BINARY || op == NE_OP_WHERE;
}

/* Inputs that are laid out as the output is; those of a pick after the first are one per axis. */
static uint32_t laid_out_inputs(const struct ne_node *n)
{
	return n->op == NE_OP_PICK ? 1 : n->n_in;
}

static bool works_in_any_layout(enum ne_op op)
{
	return edit_is_unary(op) || broadcasts(op) || op == NE_OP_CONCAT || op == NE_OP_PAD ||
	       op == NE_OP_SOFTMAX || op == NE_OP_REDUCE || op == NE_OP_SLICE || op == NE_OP_PICK;
}

static bool movable(const struct edit *e, const struct ne_node *n, uint32_t *ret_transpose)
{
	uint32_t first = NE_NONE, rank;

	/* dequantise nodes come the other way: see quantised.c */
	if (n->op == NE_OP_DEQUANTISE)
		return false;
	if (!works_in_any_layout(n->op) || n->n_out != 1 || e->uses[n->out[0]] == 0)
		return false;
	for (uint32_t k = 0; k < laid_out_inputs(n) && first == NE_NONE; k++)
		first = edit_writer(e, n->in[k], NE_OP_TRANSPOSE);
	if (first == NE_NONE)
		return false;
	rank = e->g->tensor[e->g->node[first].in[0]].shape.rank;
	if (e->g->tensor[n->out[0]].shape.rank != rank)
		return false;
	for (uint32_t k = 0; k < laid_out_inputs(n); k++)
		if (view_of(e, n->in[k], rank, e->g->node[first].attr.perm, broadcasts(n->op)) ==
		    VIEW_NONE)
			return false;
	*ret_transpose = first;
	return true;
}

static void permute_each(int32_t *v, uint32_t rank, const int32_t *perm)
{
	int32_t was[NE_MAX_RANK];

	memcpy(was, v, sizeof(was));
	for (uint32_t i = 0; i < rank; i++)
		v[perm[i]] = was[i];
}

/* The node's axes as they are before the transpose: its axis i was axis perm[i]. */
static int permute_axes(struct edit *e, uint32_t node, uint32_t rank, const int32_t *perm)
{
	struct ne_node *n = &e->g->node[node];
	uint32_t axes = 0, in[1 + NE_MAX_RANK];

	switch (n->op) {
	case NE_OP_CONCAT:
	case NE_OP_SOFTMAX:
		n->attr.axis = perm[n->attr.axis];
		return 0;
	case NE_OP_REDUCE:
		for (uint32_t i = 0; i < rank; i++)
			axes |= (n->attr.axes >> i & 1) << perm[i];
		n->attr.axes = axes;
		return 0;
	case NE_OP_SLICE:
		permute_each(n->attr.slice.begin, rank, perm);
		permute_each(n->attr.slice.size, rank, perm);
		permute_each(n->attr.slice.step, rank, perm);
		return 0;
	case NE_OP_PAD: { /* begins, then, at once behind them, ends */
		int32_t end[NE_MAX_RANK];

		memcpy(end, n->attr.pad + rank, rank * sizeof(*end));
		permute_each(n->attr.pad, rank, perm);
		permute_each(end, rank, perm);
		memcpy(n->attr.pad + rank, end, rank * sizeof(*end));
		return 0;
	}
	case NE_OP_PICK:
		for (uint32_t i = 0; i < rank; i++)
			in[perm[i]] = i + 1 < n->n_in ? n->in[i + 1] : NE_NONE;
		for (uint32_t i = 0; i < rank; i++)
			NE_RETURN_IF(edit_put_input(e, node, i + 1, in[i]));
		return 0;
	default:
		return 0;
	}
}

static int move_behind(struct edit *e, uint32_t node, uint32_t transpose)
{
	struct ne_graph *g = e->g;
	struct ne_attr attr = g->node[transpose].attr;
	uint32_t y = g->node[node].out[0], rank = g->tensor[y].shape.rank;
	int32_t inverse[NE_MAX_RANK];
	struct ne_shape shape;
	int id;

	for (uint32_t k = 0; k < laid_out_inputs(&g->node[node]); k++)
		NE_RETURN_IF(
			see_through(e, node, k, rank, attr.perm, broadcasts(g->node[node].op)));
	permute_inverse(attr.perm, rank, inverse);
	permute_shape(&g->tensor[y].shape, inverse, &shape);
	id = edit_add_tensor(e, y, &shape);
	if (id < 0)
		return id;
	NE_RETURN_IF(permute_axes(e, node, rank, attr.perm));
	edit_set_output(e, node, (uint32_t)id);
	id = edit_add_node(e, NE_OP_TRANSPOSE, (uint32_t)id, y, &attr);
	return id < 0 ? id : 1;
}

int rewrite_transpose(struct edit *e)
{
	struct ne_graph *g = e->g;
	uint32_t n_node = g->n_node;
	int changes = 0;

	for (uint32_t i = 0; i < n_node; i++) {
		uint32_t w;
		int r = 0;

		if (g->node[i].op == NE_OP_TRANSPOSE) {
			w = edit_writer(e, g->node[i].in[0], NE_OP_TRANSPOSE);
			if (w != NE_NONE && e->uses[g->node[i].out[0]] > 0)
				r = join(e, i, w);
		} else if (movable(e, &g->node[i], &w)) {
			r = move_behind(e, i, w);
		}
		if (r < 0)
			return r;
		changes += r;
	}
	return changes;
}
