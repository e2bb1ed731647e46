/* SPDX-License-Identifier: MIT */
/* Writing one level: what its exit needs, in order, then the outputs. */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"

#include <stdlib.h>
#include <string.h>

#define OPSET 13 /* the first whose QDQ form has a scale per channel */

/* ---- what the level is ---- */

static void level_shapes(struct exporter *x)
{
	for (uint32_t t = 0; t < x->g->n_tensor; t++) {
		const struct ne_tensor *v = &x->g->tensor[t];

		x->shape[t] = v->shape;
		if (v->group && v->shape.rank)
			x->shape[t].dim[v->shape.rank - 1] = x->width->active[v->group];
	}
}

/* Constants beside a cut tensor are cut with it. */
static void cut_constants(struct exporter *x)
{
	for (uint32_t i = 0; i < x->g->n_node; i++) {
		const struct ne_node *n = &x->g->node[i];
		uint32_t group = x->g->tensor[n->out[0]].group;
		int32_t full = ne_shape_last(&x->g->tensor[n->out[0]].shape);

		if ((n->op != NE_OP_ADD && n->op != NE_OP_MUL && n->op != NE_OP_BATCHNORM) ||
		    !group)
			continue;
		for (uint32_t k = 0; k < n->n_in; k++) {
			struct ne_shape *s = &x->shape[n->in[k]];

			if (x->g->tensor[n->in[k]].data && s->rank && s->dim[s->rank - 1] == full &&
			    full > 1)
				s->dim[s->rank - 1] = x->width->active[group];
		}
	}
}

static int mark_needed(struct exporter *x, uint32_t exit)
{
	const struct ne_graph *g = x->g;
	const struct ne_exit *e = &g->exit[exit];

	x->read = x_alloc(x, g->n_tensor);
	if (!x->read || ne_graph_needs(g, exit, x->read) < 0)
		return x_fail(x, ENOMEM, "out of memory");
	for (uint32_t k = 0; k < e->n_out; k++)
		x->users[e->out[k]]++;
	for (uint32_t k = 0; k < g->n_state; k++)
		x->users[g->state[k].out]++;
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_out; k++)
			x->needed[i] |= x->read[g->node[i].out[k]];
	/* all nodes count: what the engine fuses depends on the graph, not on the level */
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_in; k++)
			if (g->node[i].in[k] != NE_NONE) {
				x->users[g->node[i].in[k]]++;
				x->user[g->node[i].in[k]] = i;
			}
	return 0;
}

static int init(struct exporter *x)
{
	const struct ne_graph *g = x->g;

	x->value = x_alloc(x, g->n_tensor * sizeof(*x->value));
	x->shape = x_alloc(x, g->n_tensor * sizeof(*x->shape));
	x->users = x_alloc(x, g->n_tensor * sizeof(*x->users));
	x->user = x_alloc(x, g->n_tensor * sizeof(*x->user));
	x->needed = x_alloc(x, g->n_node);
	if (!x->value || !x->shape || !x->users || !x->user || !x->needed)
		return x->failed;
	for (uint32_t t = 0; t < g->n_tensor; t++) {
		x->value[t].reshaped = NE_NONE;
		x->user[t] = NE_NONE;
	}
	level_shapes(x);
	cut_constants(x);
	return 0;
}

/* ---- inputs ---- */

static bool element_wise(enum ne_op op)
{
	return op == NE_OP_QUANTISE || op == NE_OP_DEQUANTISE || op == NE_OP_RELU ||
	       op == NE_OP_RELU6 || op == NE_OP_HARDSWISH || op == NE_OP_SIGMOID ||
	       op == NE_OP_TANH;
}

/* Whether the first operator that cares reads @t as an image. */
static bool read_as_image(const struct exporter *x, uint32_t t)
{
	while (x->user[t] != NE_NONE) {
		const struct ne_node *n = &x->g->node[x->user[t]];

		switch (n->op) {
		case NE_OP_CONV:
		case NE_OP_DWCONV:
		case NE_OP_MAXPOOL:
		case NE_OP_AVGPOOL:
		case NE_OP_GLOBALPOOL:
		case NE_OP_BATCHNORM:
			return n->in[0] == t;
		default:
			if (!element_wise(n->op))
				return false;
			t = n->out[0];
		}
	}
	return false;
}

static int add_inputs(struct exporter *x)
{
	for (uint32_t i = 0; i < x->g->n_in; i++) {
		uint32_t t = x->g->in[i], rank = x->shape[t].rank;
		const char *name = x->g->tensor[t].name;
		struct layout l = layout_same();

		if (x->opt->channels_first && rank == 4 && read_as_image(x, t))
			l = layout_channels_first(rank);
		NE_RETURN_IF(x_declare(x, name, x_dtype(x, t), &x->shape[t], &l, false));
		x_add_form(x, t, &l, name);
	}
	return 0;
}

/* ---- nodes ---- */

/* The relu that alone reads @node's output and that the engine computes with it, or NE_NONE. */
static uint32_t fused_relu(const struct exporter *x, uint32_t node)
{
	const struct ne_node *n = &x->g->node[node];
	uint32_t r = x->user[n->out[0]];

	if (!ne_op_info(n->op)->fuses_act || n->attr.act != NE_ACT_NONE ||
	    x->users[n->out[0]] != 1 || r == NE_NONE)
		return NE_NONE;
	return x->g->node[r].op == NE_OP_RELU || x->g->node[r].op == NE_OP_RELU6 ? r : NE_NONE;
}

static int add_nodes(struct exporter *x)
{
	for (uint32_t i = 0; i < x->g->n_node; i++) {
		const struct ne_node *n = &x->g->node[i];
		uint32_t relu;

		/* written already, as the activation of the node before */
		if (!x->needed[i] || x->value[n->out[0]].n_form)
			continue;
		x->node = n;
		x->y = n->out[0];
		x->act = n->attr.act;
		relu = fused_relu(x, i);
		if (relu != NE_NONE) {
			x->y = x->g->node[relu].out[0];
			x->act = x->g->node[relu].op == NE_OP_RELU ? NE_ACT_RELU : NE_ACT_RELU6;
		}
		x_operator(x);
		if (x->failed)
			return x->failed;
	}
	x->node = NULL;
	return 0;
}

/* ---- outputs ---- */

/* Gives the value that a node writes the name @to; false where no node of ours writes it, or an
 * output has taken it. */
static bool rename_value(struct exporter *x, const char *from, const char *to)
{
	bool written = false;

	for (size_t i = 0; i < x->graph.n_output; i++)
		if (x->graph.output[i]->name == from)
			return false;
	for (size_t i = 0; i < x->graph.n_node; i++)
		for (size_t k = 0; k < x->graph.node[i]->n_output; k++)
			written |= x->graph.node[i]->output[k] == from;
	for (size_t i = 0; i < x->graph.n_node && written; i++) {
		Onnx__NodeProto *n = x->graph.node[i];

		for (size_t k = 0; k < n->n_input; k++)
			if (n->input[k] == from)
				n->input[k] = (char *)(uintptr_t)to;
		for (size_t k = 0; k < n->n_output; k++)
			if (n->output[k] == from)
				n->output[k] = (char *)(uintptr_t)to;
	}
	return written;
}

int x_output(struct exporter *x, uint32_t t, const char *name)
{
	struct layout same = layout_same();
	const char *value;

	x->y = t;
	value = x_stored(x, t, &same);
	if (value && !rename_value(x, value, name))
		X_NODE(x, "Identity", name, value);
	return x->failed ? x->failed : x_declare(x, name, x_dtype(x, t), &x->shape[t], &same, true);
}

static int add_outputs(struct exporter *x, const struct ne_exit *e)
{
	const struct ne_exit *last = &x->g->exit[x->g->n_exit - 1];

	/* an output is called the same at every level */
	for (uint32_t k = 0; k < e->n_out; k++)
		NE_RETURN_IF(x_output(x, e->out[k], x->g->tensor[last->out[k]].name));
	return 0;
}

static int write_model(struct exporter *x, void **ret, size_t *ret_bytes)
{
	const struct ne_level *level = &x->m->level[x->opt->level];

	x->width = &x->m->width[level->width];
	onnx__graph_proto__init(&x->graph);
	NE_RETURN_IF(init(x));
	NE_RETURN_IF(mark_needed(x, level->depth));
	NE_RETURN_IF(add_inputs(x));
	NE_RETURN_IF(x_state_inputs(x));
	NE_RETURN_IF(add_nodes(x));
	NE_RETURN_IF(add_outputs(x, &x->g->exit[level->depth]));
	NE_RETURN_IF(x_state_outputs(x));
	return x_pack(x, "neap", ret, ret_bytes);
}

int onnx_export(const struct ne_model *m, const struct onnx_export_options *opt, void **ret,
		size_t *ret_bytes, struct ne_error *err)
{
	struct ne_error text = {""};
	int opset = OPSET, r;

	if (opt->level >= m->n_level)
		return ne_fail(err, EINVAL, "no level %u; there are %u", opt->level, m->n_level);
	NE_RETURN_IF(ne_model_check(m, err));
	do {
		struct exporter x = {.m = m,
				     .g = &m->graph,
				     .opt = opt,
				     .err = &text,
				     .opset = opset,
				     .opset_wanted = opset};

		r = write_model(&x, ret, ret_bytes);
		opset = x.opset_wanted;
		x_free_blocks(&x);
	} while (r == -EAGAIN);
	return r < 0 ? ne_fail(err, -r, "%s", text.text) : 0;
}
