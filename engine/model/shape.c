/* SPDX-License-Identifier: MIT */
/* Shape inference: the operator's rule, and the limits that every result keeps. */
#include "engine/model/graph.h"
#include "engine/op/op.h"

#include <string.h>

int ne_shape_infer_all(const struct ne_graph *g, uint32_t n, const struct ne_shape *in,
		       struct ne_shape *ret, struct ne_error *err)
{
	const struct ne_op_info *op;
	const struct ne_node *node;
	struct ne_shape s[NE_MAX_IO] = {{0}};

	if (n >= g->n_node)
		return ne_fail(err, EINVAL, "no node %u", n);
	node = &g->node[n];
	op = ne_op_info(node->op);
	if (!op || node->n_in < op->min_in || node->n_in > op->max_in || !node->n_out ||
	    node->n_out > NE_MAX(op->max_out, 1u))
		return ne_node_fail(err, EINVAL, node, "unknown operator or wrong arity");
	for (uint32_t k = 0; k < node->n_in; k++)
		if (node->in[k] != NE_NONE && !ne_shape_elements(&in[k]))
			return ne_node_fail(err, EINVAL, node, "input %u has no valid shape", k);
	NE_RETURN_IF(op->infer(g, node, in, s, err));
	for (uint32_t k = 0; k < node->n_out; k++)
		if (!ne_shape_elements(&s[k]))
			return ne_node_fail(err, EINVAL, node,
					    "the output is over the limit of %zu elements",
					    NE_MAX_ELEMENTS);
	memcpy(ret, s, node->n_out * sizeof(*ret));
	return 0;
}

int ne_shape_infer(const struct ne_graph *g, uint32_t n, const struct ne_shape *in,
		   struct ne_shape *ret, struct ne_error *err)
{
	struct ne_shape s[NE_MAX_IO];

	NE_RETURN_IF(ne_shape_infer_all(g, n, in, s, err));
	*ret = s[0];
	return 0;
}
