/* SPDX-License-Identifier: MIT */
/* Shape inference: the operator's rule, and the limits that every result keeps. */
#include "engine/model/graph.h"
#include "engine/op/op.h"

int ne_shape_infer(const struct ne_graph *g, uint32_t n, const struct ne_shape *in,
		   struct ne_shape *ret, struct ne_error *err)
{
	const struct ne_op_info *op;
	const struct ne_node *node;
	struct ne_shape s = {0};

	if (n >= g->n_node)
		return ne_fail(err, EINVAL, "no node %u", n);
	node = &g->node[n];
	op = ne_op_info(node->op);
	if (!op || node->n_in < op->min_in || node->n_in > op->max_in || !node->n_out)
		return ne_node_fail(err, EINVAL, node, "unknown operator or wrong arity");
	for (uint32_t k = 0; k < node->n_in; k++)
		if (node->in[k] != NE_NONE && !ne_shape_elements(&in[k]))
			return ne_node_fail(err, EINVAL, node, "input %u has no valid shape", k);
	NE_RETURN_IF(op->infer(g, node, in, &s, err));
	if (!ne_shape_elements(&s))
		return ne_node_fail(err, EINVAL, node,
				    "the output is over the limit of %zu elements",
				    NE_MAX_ELEMENTS);
	*ret = s;
	return 0;
}
