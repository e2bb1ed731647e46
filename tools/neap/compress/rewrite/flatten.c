/* SPDX-License-Identifier: MIT */
/*
 * A dense node that reads a flattened transpose reads the flattened original instead, its weights'
 * columns permuted: what remains of NCHW in front of a classifier goes away.
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/permute.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <stdlib.h>
#include <string.h>

/* Column k of the weights multiplied element k of the transpose, which is index[k] of @x. */
static int permuted_weights(struct edit *e, uint32_t w, const struct ne_shape *x,
			    const int32_t *perm)
{
	const struct ne_tensor *t = &e->g->tensor[w];
	size_t rows = (size_t)t->shape.dim[0], cols = (size_t)t->shape.dim[1];
	size_t size = ne_dtype_size(t->dtype);
	uint32_t *index = permute_index(x, perm);
	char *data = ne_alloc_aligned(rows * cols * size);

	if (!index || !data) {
		free(index);
		free(data);
		return ne_fail(e->err, ENOMEM, "rewrite: no memory");
	}
	for (size_t r = 0; r < rows; r++)
		for (size_t k = 0; k < cols; k++)
			memcpy(data + (r * cols + index[k]) * size,
			       (const char *)t->data + (r * cols + k) * size, size);
	free(index);
	return edit_copy_const(e, w, data);
}

static int flatten(struct edit *e, uint32_t dense)
{
	struct ne_graph *g = e->g;
	const struct ne_node *n = &g->node[dense];
	struct ne_attr attr = {.groups = 1};
	uint32_t reshape = edit_writer(e, n->in[0], NE_OP_RESHAPE), transpose, x;
	const struct ne_tensor *w = &g->tensor[n->in[1]];
	struct ne_shape flat = g->tensor[n->in[0]].shape;
	int id, weights;

	if (reshape == NE_NONE || !w->data || w->shape.rank != 2)
		return 0;
	transpose = edit_writer(e, g->node[reshape].in[0], NE_OP_TRANSPOSE);
	if (transpose == NE_NONE)
		return 0;
	x = g->node[transpose].in[0];
	/* The whole tensor in one row: otherwise the transpose also moves rows. */
	if (ne_shape_elements(&g->tensor[x].shape) != (size_t)w->shape.dim[1])
		return 0;
	weights = permuted_weights(e, n->in[1], &g->tensor[x].shape, g->node[transpose].attr.perm);
	if (weights < 0)
		return weights;
	id = edit_add_tensor(e, g->node[reshape].out[0], &flat);
	if (id < 0)
		return id;
	edit_set_input(e, dense, 0, (uint32_t)id);
	edit_set_input(e, dense, 1, (uint32_t)weights);
	id = edit_add_node(e, NE_OP_RESHAPE, x, (uint32_t)id, &attr);
	return id < 0 ? id : 1;
}

int rewrite_flatten(struct edit *e)
{
	uint32_t n_node = e->g->n_node;
	int changes = 0;

	for (uint32_t i = 0; i < n_node; i++) {
		int r = e->g->node[i].op == NE_OP_DENSE ? flatten(e, i) : 0;

		if (r < 0)
			return r;
		changes += r;
	}
	return changes;
}
