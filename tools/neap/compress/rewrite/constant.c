/* SPDX-License-Identifier: MIT */
/* Computes now what depends on constants alone: reshapes, transposes, sums, products. */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/permute.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float unary(enum ne_op op, float x)
{
	switch (op) {
	case NE_OP_RELU:
		return fmaxf(x, 0.0f);
	case NE_OP_RELU6:
		return fminf(fmaxf(x, 0.0f), 6.0f);
	case NE_OP_HARDSWISH:
		return x * fminf(fmaxf(x / 6.0f + 0.5f, 0.0f), 1.0f);
	case NE_OP_SIGMOID:
		return 1.0f / (1.0f + expf(-x));
	default:
		return tanhf(x);
	}
}

/* Element of a right-aligned, broadcast operand for the element at @at of the output. */
static size_t broadcast_index(const struct ne_shape *in, const struct ne_shape *out,
			      const int32_t *at)
{
	size_t index = 0;

	for (uint32_t i = 0; i < in->rank; i++) {
		int32_t a = at[i + out->rank - in->rank];

		index = index * (size_t)in->dim[i] + (size_t)(in->dim[i] == 1 ? 0 : a);
	}
	return index;
}

static void binary(const struct ne_graph *g, const struct ne_node *n, float *y)
{
	const struct ne_tensor *a = &g->tensor[n->in[0]], *b = &g->tensor[n->in[1]];
	const struct ne_shape *out = &g->tensor[n->out[0]].shape;
	size_t total = ne_shape_elements(out);
	int32_t at[NE_MAX_RANK] = {0};

	for (size_t k = 0; k < total; k++) {
		float u = ((const float *)a->data)[broadcast_index(&a->shape, out, at)];
		float v = ((const float *)b->data)[broadcast_index(&b->shape, out, at)];
		float r = n->op == NE_OP_ADD ? u + v : u * v;

		if (n->attr.act == NE_ACT_RELU)
			r = unary(NE_OP_RELU, r);
		else if (n->attr.act == NE_ACT_RELU6)
			r = unary(NE_OP_RELU6, r);
		y[k] = r;
		for (uint32_t i = out->rank; i-- > 0;) {
			if (++at[i] < out->dim[i])
				break;
			at[i] = 0;
		}
	}
}

static bool computable(const struct edit *e, const struct ne_node *n)
{
	uint32_t n_in = 1;

	switch (n->op) {
	case NE_OP_ADD:
	case NE_OP_MUL:
		n_in = 2;
		break;
	case NE_OP_RESHAPE:
	case NE_OP_TRANSPOSE:
	case NE_OP_RELU:
	case NE_OP_RELU6:
	case NE_OP_HARDSWISH:
	case NE_OP_SIGMOID:
	case NE_OP_TANH:
		break;
	default:
		return false;
	}
	if (n->n_in != n_in || n->n_out != 1 || e->uses[n->out[0]] == 0)
		return false;
	for (uint32_t k = 0; k < n_in; k++)
		if (!edit_is_const(e, n->in[k]) || e->g->tensor[n->in[k]].dtype != NE_F32)
			return false;
	return true;
}

static int compute(const struct ne_graph *g, const struct ne_node *n, float *y)
{
	const struct ne_tensor *x = &g->tensor[n->in[0]];
	size_t total = ne_shape_elements(&g->tensor[n->out[0]].shape);
	uint32_t *index;

	switch (n->op) {
	case NE_OP_ADD:
	case NE_OP_MUL:
		binary(g, n, y);
		return 0;
	case NE_OP_RESHAPE:
		memcpy(y, x->data, total * sizeof(*y));
		return 0;
	case NE_OP_TRANSPOSE:
		index = permute_index(&x->shape, n->attr.perm);
		if (!index)
			return -ENOMEM;
		for (size_t i = 0; i < total; i++)
			y[i] = ((const float *)x->data)[index[i]];
		free(index);
		return 0;
	default:
		for (size_t i = 0; i < total; i++)
			y[i] = unary(n->op, ((const float *)x->data)[i]);
		return 0;
	}
}

int rewrite_constant(struct edit *e)
{
	struct ne_graph *g = e->g;
	int changes = 0;

	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];
		struct ne_shape shape;
		float *y;
		int id;

		if (!computable(e, n) || edit_is_exit(e, n->out[0]))
			continue;
		shape = g->tensor[n->out[0]].shape;
		y = ne_alloc_aligned(ne_shape_elements(&shape) * sizeof(*y));
		if (!y || compute(g, n, y) < 0) {
			free(y);
			return ne_fail(e->err, ENOMEM, "rewrite: no memory");
		}
		id = edit_add_const(e, n->out[0], &shape, y);
		if (id < 0)
			return id;
		changes += edit_replace(e, n->out[0], (uint32_t)id);
	}
	return changes;
}
