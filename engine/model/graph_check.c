/* SPDX-License-Identifier: MIT */
/*
 * Checking a graph that anybody may have made. What passes here is what the rest of the engine
 * relies on; each operator's own rules are in engine/op.
 */
#include "engine/model/graph.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>

static int check_tensor(const struct ne_graph *g, uint32_t id, struct ne_error *err)
{
	const struct ne_tensor *t = &g->tensor[id];
	const char *name = t->name ? t->name : "";
	size_t elements = ne_shape_elements(&t->shape), size = ne_dtype_size(t->dtype);

	if (!size)
		return ne_fail(err, EINVAL, "tensor '%.80s': unknown type %d", name, (int)t->dtype);
	if (!elements)
		return ne_fail(err, EINVAL,
			       "tensor '%.80s': rank, a dimension or the number of elements is "
			       "over the limit",
			       name);
	if (t->data && t->bytes != elements * size)
		return ne_fail(err, EINVAL, "tensor '%.80s': %zu bytes of data, shape says %zu",
			       name, t->bytes, elements * size);
	if (t->group > g->n_group)
		return ne_fail(err, EINVAL, "tensor '%.80s': no channel group %u", name, t->group);
	if (t->group && (!t->shape.rank || ne_shape_last(&t->shape) != g->group_channels[t->group]))
		return ne_fail(err, EINVAL,
			       "tensor '%.80s': last axis is not the %d channels of its group %u",
			       name, g->group_channels[t->group], t->group);
	if (t->n_scale && !t->scale)
		return ne_fail(err, EINVAL, "tensor '%.80s': scales are missing", name);
	if (t->n_scale > NE_MAX_DIM)
		return ne_fail(err, EINVAL, "tensor '%.80s': too many scales", name);
	for (uint32_t i = 0; i < t->n_scale; i++)
		if (!isfinite(t->scale[i]) || t->scale[i] < 0)
			return ne_fail(err, EINVAL, "tensor '%.80s': scale %u is not a number >= 0",
				       name, i);
	return 0;
}

static int check_counts(const struct ne_graph *g, struct ne_error *err)
{
	if (g->n_tensor > NE_MAX_TENSORS || g->n_node > NE_MAX_NODES || g->n_in > NE_MAX_IO ||
	    g->n_exit > NE_MAX_EXITS || g->n_group > NE_MAX_GROUPS || g->n_state > NE_MAX_STATES)
		return ne_fail(err, E2BIG,
			       "%u tensors, %u nodes, %u inputs, %u exits, %u channel groups, %u "
			       "states: the limits are %u, %u, %u, %u, %u, %u",
			       g->n_tensor, g->n_node, g->n_in, g->n_exit, g->n_group, g->n_state,
			       NE_MAX_TENSORS, NE_MAX_NODES, NE_MAX_IO, NE_MAX_EXITS, NE_MAX_GROUPS,
			       NE_MAX_STATES);
	if (!g->n_exit)
		return ne_fail(err, EINVAL, "the graph has no exit: nothing to compute");
	if ((g->n_tensor && !g->tensor) || (g->n_node && !g->node) || (g->n_in && !g->in) ||
	    !g->exit || (g->n_group && !g->group_channels) || (g->n_state && !g->state))
		return ne_fail(err, EINVAL, "an array of the graph is missing");
	for (uint32_t i = 1; i <= g->n_group; i++)
		if (g->group_channels[i] < 1 || g->group_channels[i] > NE_MAX_DIM)
			return ne_fail(err, EINVAL, "channel group %u: %d channels", i,
				       g->group_channels[i]);
	return 0;
}

static int check_inputs(const struct ne_graph *g, uint8_t *ready, struct ne_error *err)
{
	for (uint32_t t = 0; t < g->n_tensor; t++)
		ready[t] = g->tensor[t].data != NULL;
	for (uint32_t i = 0; i < g->n_in; i++) {
		uint32_t t = g->in[i];

		if (t >= g->n_tensor)
			return ne_fail(err, EINVAL, "graph input %u: no tensor %u", i, t);
		if (ready[t])
			return ne_fail(err, EINVAL, "graph input %u ('%.80s') is %s", i,
				       g->tensor[t].name,
				       g->tensor[t].data ? "a constant" : "given twice");
		if (g->tensor[t].group)
			return ne_fail(err, EINVAL,
				       "graph input %u ('%.80s') is in a channel group: inputs are "
				       "never cut",
				       i, g->tensor[t].name);
		ready[t] = 1;
	}
	return 0;
}

/* The states' inputs: activations that no node will write. */
static int check_states_in(const struct ne_graph *g, uint8_t *ready, struct ne_error *err)
{
	for (uint32_t i = 0; i < g->n_state; i++) {
		uint32_t t = g->state[i].in;

		if (t >= g->n_tensor)
			return ne_fail(err, EINVAL, "state %u: no tensor %u", i, t);
		if (ready[t])
			return ne_fail(err, EINVAL,
				       "state %u ('%.80s') is a constant, a graph input or a state "
				       "twice",
				       i, g->tensor[t].name);
		ready[t] = 1;
	}
	return 0;
}

static bool same_form(const struct ne_tensor *a, const struct ne_tensor *b)
{
	return a->dtype == b->dtype && ne_shape_equal(&a->shape, &b->shape);
}

static int check_states_out(const struct ne_graph *g, const uint8_t *ready, struct ne_error *err)
{
	for (uint32_t i = 0; i < g->n_state; i++) {
		const struct ne_graph_state *s = &g->state[i];
		const struct ne_tensor *in = &g->tensor[s->in], *out, *initial;

		if (s->out >= g->n_tensor || !ready[s->out])
			return ne_fail(err, EINVAL,
				       "state %u ('%.80s'): its next value (tensor %u) is never "
				       "produced",
				       i, in->name, s->out);
		out = &g->tensor[s->out];
		if (!same_form(in, out) || in->group != out->group)
			return ne_fail(err, EINVAL,
				       "state %u ('%.80s') differs in type, shape or channel group "
				       "from its next value '%.80s'",
				       i, in->name, out->name);
		if (s->initial == NE_NONE)
			continue;
		initial = s->initial < g->n_tensor ? &g->tensor[s->initial] : NULL;
		if (!initial || !initial->data || !same_form(in, initial))
			return ne_fail(err, EINVAL,
				       "state %u ('%.80s'): its first value (tensor %u) is no "
				       "constant of its type and shape",
				       i, in->name, s->initial);
		if (in->group)
			return ne_fail(err, EINVAL,
				       "state %u ('%.80s') is in a channel group, so it starts "
				       "from zero: no first value may be given",
				       i, in->name);
	}
	return 0;
}

/* Ids, arity, order, single producer: @ready tells the tensors that have a value so far. */
static int check_wiring(const struct ne_graph *g, const struct ne_node *n, uint8_t *ready,
			struct ne_error *err)
{
	const struct ne_op_info *op = ne_op_info(n->op);

	if (!op)
		return ne_node_fail(err, EINVAL, n, "operator %d is not known", (int)n->op);
	if (n->n_in < op->min_in || n->n_in > op->max_in || !n->n_out ||
	    n->n_out > NE_MAX(op->max_out, 1u) || !n->in || !n->out)
		return ne_node_fail(
			err, EINVAL, n, "%u inputs and %u outputs; takes %u to %u and at most %u",
			n->n_in, n->n_out, op->min_in, op->max_in, NE_MAX(op->max_out, 1u));
	for (uint32_t k = 0; k < n->n_in; k++) {
		if (n->in[k] == NE_NONE && k >= op->min_in && n->op != NE_OP_CONCAT)
			continue;
		if (n->in[k] >= g->n_tensor)
			return ne_node_fail(err, EINVAL, n, "input %u: no tensor %u", k, n->in[k]);
		/* a cut constant would keep its full rows: only add and mul walk it by its strides */
		if (g->tensor[n->in[k]].data && g->tensor[n->in[k]].group && n->op != NE_OP_ADD &&
		    n->op != NE_OP_MUL && (k == 0 || n->op == NE_OP_CONCAT))
			return ne_node_fail(err, EINVAL, n,
					    "constant '%.60s' is in a channel group",
					    g->tensor[n->in[k]].name);
		if (!ready[n->in[k]])
			return ne_node_fail(
				err, EINVAL, n,
				"input '%.60s' has no value yet: out of order, a cycle, "
				"or never produced",
				g->tensor[n->in[k]].name);
	}
	for (uint32_t k = 0; k < n->n_out; k++) {
		if (n->out[k] >= g->n_tensor)
			return ne_node_fail(err, EINVAL, n, "no tensor %u", n->out[k]);
		if (ready[n->out[k]])
			return ne_node_fail(err, EINVAL, n,
					    "output '%.60s' is an input, a constant or a state, or "
					    "has two producers",
					    g->tensor[n->out[k]].name);
		ready[n->out[k]] = 1;
	}
	return 0;
}

static int check_node(const struct ne_graph *g, uint32_t i, struct ne_error *err)
{
	const struct ne_node *n = &g->node[i];
	const struct ne_op_info *op = ne_op_info(n->op);
	struct ne_shape in[NE_MAX_IO] = {0}, got[NE_MAX_IO];

	for (uint32_t k = 0; k < n->n_in; k++)
		if (n->in[k] != NE_NONE)
			in[k] = g->tensor[n->in[k]].shape;
	NE_RETURN_IF(ne_check_act(n, err));
	if (n->attr.norm > 32768u) /* NE_MAX_NORMS; the model checks the rest */
		return ne_node_fail(err, EINVAL, n, "norm %u is over the limit", n->attr.norm);
	NE_RETURN_IF(op->check(g, n, err));
	NE_RETURN_IF(ne_shape_infer_all(g, i, in, got, err));
	for (uint32_t k = 0; k < n->n_out; k++)
		if (!ne_shape_equal(&got[k], &g->tensor[n->out[k]].shape))
			return ne_node_fail(err, EINVAL, n,
					    "output '%.60s' is declared with another shape than "
					    "its inputs give",
					    g->tensor[n->out[k]].name);
	return 0;
}

static int check_exits(const struct ne_graph *g, const uint8_t *ready, struct ne_error *err)
{
	for (uint32_t e = 0; e < g->n_exit; e++) {
		const struct ne_exit *x = &g->exit[e];

		if (!x->n_out || x->n_out > NE_MAX_IO || !x->out || x->n_out != g->exit[0].n_out)
			return ne_fail(err, EINVAL, "exit %u: %u outputs, exit 0 has %u", e,
				       x->n_out, g->exit[0].n_out);
		for (uint32_t k = 0; k < x->n_out; k++) {
			const struct ne_tensor *t, *first;

			if (x->out[k] >= g->n_tensor || !ready[x->out[k]])
				return ne_fail(err, EINVAL,
					       "exit %u: output %u (tensor %u) is never produced",
					       e, k, x->out[k]);
			t = &g->tensor[x->out[k]];
			first = &g->tensor[g->exit[0].out[k]];
			if (t->group)
				return ne_fail(err, EINVAL,
					       "exit %u: output '%.80s' is in a channel group: "
					       "outputs are never cut",
					       e, t->name);
			if (t->dtype != first->dtype || !ne_shape_equal(&t->shape, &first->shape))
				return ne_fail(err, EINVAL,
					       "exit %u: output '%.80s' differs in type or shape "
					       "from exit 0's",
					       e, t->name);
		}
	}
	return 0;
}

int ne_graph_check(const struct ne_graph *g, struct ne_error *err)
{
	uint8_t *ready;
	int r;

	NE_RETURN_IF(check_counts(g, err));
	for (uint32_t t = 0; t < g->n_tensor; t++)
		NE_RETURN_IF(check_tensor(g, t, err));
	ready = calloc(g->n_tensor + 1u, 1);
	if (!ready)
		return ne_fail(err, ENOMEM, "out of memory checking the graph");
	r = check_inputs(g, ready, err);
	if (r == 0)
		r = check_states_in(g, ready, err);
	for (uint32_t i = 0; i < g->n_node && r == 0; i++) {
		r = check_wiring(g, &g->node[i], ready, err);
		if (r == 0)
			r = check_node(g, i, err);
	}
	if (r == 0)
		r = check_states_out(g, ready, err);
	if (r == 0)
		r = check_exits(g, ready, err);
	free(ready);
	return r;
}
