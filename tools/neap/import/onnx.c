/* SPDX-License-Identifier: MIT */
/*
 * Reads an ONNX model: inputs, initialisers, nodes in their order (ONNX demands a topological one),
 * outputs; then the rewrites. The protobuf tree lives only during the call.
 */
#include "tools/neap/import/onnx_internal.h"

#include "tools/neap/compress/rewrite/rewrite.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* From 7 on broadcasting is NumPy's. 22 and 23 only added types to the operators read here. */
#define OPSET_MIN 7
#define OPSET_MAX 23

/* ---- initialisers ---- */

static int add_initialiser(struct onnx *o, const Onnx__TensorProto *t)
{
	struct onnx_const *c;

	if (!t->name || !t->name[0])
		return ne_fail(o->err, EBADMSG, "ONNX model: an initialiser without a name");
	NE_RETURN_IF(onnx_const_decode(o, t, t->name, &c));
	return onnx_value_add(o, t->name, c, -1);
}

/* ---- nodes ---- */

static int check_node(struct onnx *o, const onnx_node *n)
{
	bool flow = strcmp(n->op_type, "If") == 0 || strcmp(n->op_type, "Loop") == 0 ||
		    strcmp(n->op_type, "Scan") == 0;

	for (size_t i = 0; !flow && i < n->n_attribute; i++)
		if (n->attribute[i]->g || n->attribute[i]->n_graphs)
			return onnx_fail(o, n, EOPNOTSUPP,
					 "an operator that holds a graph; If, Loop and Scan are "
					 "supported");
	if (++o->n_done > NE_MAX_NODES)
		return onnx_fail(o, n, E2BIG, "more than %u nodes with those of loops",
				 NE_MAX_NODES);
	if (n->domain && n->domain[0] && strcmp(n->domain, "ai.onnx") != 0 && !onnx_is_contrib(n))
		return onnx_fail(o, n, EOPNOTSUPP, "an operator of the domain '%.60s'", n->domain);
	for (size_t i = 0; i < n->n_input; i++)
		if (n->input[i] && n->input[i][0] && !onnx_value_find(o, n->input[i]))
			return onnx_fail(o, n, EINVAL,
					 "input '%.60s' is not defined before it (or is an output "
					 "that is not supported)",
					 n->input[i]);
	return 0;
}

static bool all_constant(const struct onnx *o, const onnx_node *n)
{
	for (size_t i = 0; i < n->n_input; i++) {
		const struct onnx_value *v = onnx_in(o, n, i);

		if (v && !v->constant)
			return false;
	}
	return onnx_in(o, n, 0) != NULL;
}

int onnx_add_node(struct onnx *o, const onnx_node *n)
{
	const struct onnx_op *op;

	if (!n->op_type)
		return ne_fail(o->err, EBADMSG, "ONNX model: a node without an operator");
	op = onnx_op_find(n->op_type);
	if (!op)
		return onnx_fail(o, n, EOPNOTSUPP, "this operator is not supported");
	NE_RETURN_IF(check_node(o, n));
	if (op->fold && all_constant(o, n))
		return op->fold(o, n);
	if (!op->import)
		return onnx_fail(o, n, EOPNOTSUPP,
				 "only of constants, as in the working out of "
				 "shapes");
	return op->import(o, n);
}

/* ---- outputs ---- */

/* An output needs a tensor of its own that a node writes: a copy where two names share one. */
static int output_copy(struct onnx *o, const char *name, uint32_t t, const uint32_t *done,
		       uint32_t n_done)
{
	struct ne_shape shape = o->g->tensor[t].shape; /* the array grows below */
	struct ne_attr attr = {.groups = 1};
	bool copy = false;
	int id;

	for (uint32_t i = 0; i < o->g->n_in; i++)
		copy |= o->g->in[i] == t;
	for (uint32_t i = 0; i < n_done; i++)
		copy |= done[i] == t;
	if (!copy)
		return (int)t;
	id = ne_graph_add_tensor(o->g, name, o->g->tensor[t].dtype, &shape);
	if (id < 0)
		return ne_fail(o->err, -id, "output '%.80s' cannot be added", name);
	o->g->tensor[id].quant = o->g->tensor[t].quant;
	if (ne_graph_add_node(o->g, NE_OP_RESHAPE, name, 1, &t, 1, &(uint32_t){(uint32_t)id},
			      &attr) < 0)
		return ne_fail(o->err, ENOMEM, "output '%.80s': no memory", name);
	return id;
}

/* The tensor of an output; a constant becomes one. */
static int output_tensor(struct onnx *o, char *name, const uint32_t *done, uint32_t n_done)
{
	onnx_node as_node = {.op_type = (char[]){"output"},
			     .n_input = 1,
			     .input = &name,
			     .n_output = 1,
			     .output = &name};
	int t = onnx_in_tensor(o, &as_node, 0);

	return t < 0 ? t : output_copy(o, name, (uint32_t)t, done, n_done);
}

static int add_outputs(struct onnx *o, const Onnx__GraphProto *g)
{
	uint32_t out[NE_MAX_IO];

	if (g->n_output == 0 || g->n_output > NE_MAX_IO)
		return ne_fail(o->err, EINVAL, "%zu outputs; 1 to %u are supported", g->n_output,
			       NE_MAX_IO);
	for (uint32_t i = 0; i < g->n_output; i++) {
		char *name = g->output[i]->name, *copy;
		int id;

		if (!name || !onnx_value_find(o, name))
			return ne_fail(o->err, EINVAL, "output '%.80s' is written by no node",
				       name ? name : "");
		id = output_tensor(o, name, out, i);
		if (id < 0)
			return id;
		copy = strdup(name);
		if (!copy)
			return ne_fail(o->err, ENOMEM, "output '%.80s': no memory", name);
		free(o->g->tensor[id].name);
		o->g->tensor[id].name = copy;
		out[i] = (uint32_t)id;
	}
	return ne_graph_add_exit(o->g, (uint32_t)g->n_output, out) < 0
		       ? ne_fail(o->err, ENOMEM, "outputs: no memory")
		       : 0;
}

/* ---- the model ---- */

static int find_opset(struct onnx *o, const Onnx__ModelProto *p)
{
	for (size_t i = 0; i < p->n_opset_import; i++) {
		const Onnx__OperatorSetIdProto *s = p->opset_import[i];

		if (!s->domain || !s->domain[0] || strcmp(s->domain, "ai.onnx") == 0)
			o->opset = s->version;
	}
	if (o->opset < OPSET_MIN || o->opset > OPSET_MAX)
		return ne_fail(o->err, EOPNOTSUPP, "ONNX operator set %lld; %d to %d are supported",
			       (long long)o->opset, OPSET_MIN, OPSET_MAX);
	return 0;
}

int onnx_add_body(struct onnx *o, const Onnx__GraphProto *g)
{
	if (g->n_sparse_initializer)
		return ne_fail(o->err, EOPNOTSUPP, "sparse initialisers; store them dense");
	for (size_t i = 0; i < g->n_initializer; i++)
		NE_RETURN_IF(add_initialiser(o, g->initializer[i]));
	for (size_t i = 0; i < g->n_node; i++)
		NE_RETURN_IF(onnx_add_node(o, g->node[i]));
	return 0;
}

static int read_graph(struct onnx *o, const Onnx__ModelProto *p)
{
	const Onnx__GraphProto *g = p->graph;

	if (!g)
		return ne_fail(o->err, EBADMSG, "not an ONNX model: it holds no graph");
	o->proto = g;
	NE_RETURN_IF(find_opset(o, p));
	if (g->n_sparse_initializer)
		return ne_fail(o->err, EOPNOTSUPP, "sparse initialisers; store them dense");
	if (p->n_functions)
		return ne_fail(o->err, EOPNOTSUPP, "functions in the model; inline them");
	if (g->n_node > NE_MAX_NODES)
		return ne_fail(o->err, E2BIG, "%zu nodes, at most %u", g->n_node, NE_MAX_NODES);
	for (size_t i = 0; i < g->n_initializer; i++)
		NE_RETURN_IF(add_initialiser(o, g->initializer[i]));
	for (size_t i = 0; i < g->n_input; i++)
		NE_RETURN_IF(onnx_add_input(o, g->input[i]));
	NE_RETURN_IF(onnx_check_options(o));
	for (size_t i = 0; i < g->n_node; i++)
		NE_RETURN_IF(onnx_add_node(o, g->node[i]));
	return add_outputs(o, g);
}

/* A bias in s32 counts in steps of its node's scales; its own only mattered while it might have
 * become f32. */
static void drop_bias_scales(struct ne_graph *g)
{
	for (uint32_t i = 0; i < g->n_tensor; i++) {
		struct ne_tensor *t = &g->tensor[i];

		if (t->dtype != NE_S32)
			continue;
		free(t->scale);
		t->scale = NULL;
		t->n_scale = 0;
	}
}

/* A file holds numbers alone. */
static int check_constants(const struct onnx *o, const struct ne_graph *g)
{
	for (uint32_t t = 0; t < g->n_tensor; t++) {
		const float *v = g->tensor[t].data;

		if (!v || g->tensor[t].dtype != NE_F32)
			continue;
		for (size_t i = 0; i < ne_shape_elements(&g->tensor[t].shape); i++)
			if (!isfinite(v[i]))
				return ne_fail(
					o->err, EOPNOTSUPP,
					"constant '%.80s': value %zu is %g; infinities and NaN "
					"cannot be stored",
					g->tensor[t].name, i, (double)v[i]);
	}
	return 0;
}

/* Inputs that lost all readers are dropped by nobody: the caller still feeds them. */
static int finish(struct onnx *o, struct ne_model *m)
{
	NE_RETURN_IF(onnx_raw_integers(o));
	if (o->opt && o->opt->plain)
		NE_RETURN_IF(ne_graph_compact(&m->graph, o->err));
	else
		NE_RETURN_IF(rewrite_graph(&m->graph, o->err));
	NE_RETURN_IF(check_constants(o, &m->graph));
	drop_bias_scales(&m->graph);
	NE_RETURN_IF(ne_model_add_default_levels(m, o->err));
	return ne_model_check(m, o->err);
}

int onnx_import(const void *data, size_t bytes, const struct onnx_options *opt,
		struct ne_model **ret, struct ne_error *err)
{
	struct ne_error text = {""};
	struct onnx o = {.opt = opt, .err = &text};
	Onnx__ModelProto *proto = NULL;
	struct ne_model *m = NULL;
	int r;

	r = onnx_wire_check(data, bytes, &text);
	if (r < 0)
		goto out;
	proto = onnx__model_proto__unpack(NULL, bytes, data);
	m = ne_model_new();
	if (!proto || !m) {
		r = proto ? ne_fail(&text, ENOMEM, "ONNX model: no memory")
			  : ne_fail(&text, EBADMSG, "not an ONNX model: protobuf cannot read it");
		goto out;
	}
	o.g = &m->graph;
	r = read_graph(&o, proto);
	if (r >= 0)
		r = finish(&o, m);
out:
	onnx_values_done(&o);
	if (proto)
		onnx__model_proto__free_unpacked(proto, NULL);
	if (r < 0) {
		ne_model_free(m);
		return ne_fail(err, -r, "%s", text.text);
	}
	*ret = m;
	return 0;
}
