/* SPDX-License-Identifier: MIT */
/*
 * Builds the s8 graph: decides for each node whether it runs in s8, and puts quantise and
 * dequantise nodes where the two kinds meet.
 *
 * A tensor of the f32 graph gets up to two forms in the s8 graph: its own type ("real") and s8.
 * The form that its producer writes comes first, the other when somebody reads it. What a graph keeps
 * from run to run it keeps in its own type: rounding it would add up.
 */
#include "tools/neap/compress/quantise/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
	const struct ne_graph *src;
	struct placed *out;
	bool *node_s8;       /* [n_node] runs in s8 */
	bool *need_s8;       /* [n_tensor] is read in s8 */
	bool *native_s8;     /* [n_tensor] is written in s8 */
	bool *is_exit;       /* [n_tensor] */
	uint32_t *real, *s8; /* [n_tensor] ids of the forms, or NE_NONE */
	struct ne_error *err;
};

static bool is_const(const struct ne_graph *g, uint32_t t)
{
	return g->tensor[t].data != NULL;
}

/* ---- which nodes run in s8 ---- */

static bool node_fits(const struct ne_graph *g, const struct ne_node *n, const struct s8_op *op)
{
	if (n->n_out != 1 || g->tensor[n->out[0]].dtype != NE_F32)
		return false;
	for (uint32_t i = 0; i < n->n_in; i++) {
		if (n->in[i] == NE_NONE)
			continue;
		if (g->tensor[n->in[i]].dtype != NE_F32)
			return false;
		if ((op->weights && i > 0) != is_const(g, n->in[i]))
			return false;
	}
	return true;
}

static void need_inputs(struct place *p, const struct ne_node *n)
{
	for (uint32_t i = 0; i < n->n_in; i++)
		if (n->in[i] != NE_NONE && !is_const(p->src, n->in[i]))
			p->need_s8[n->in[i]] = true;
}

static bool inputs_native(const struct place *p, const struct ne_node *n)
{
	for (uint32_t i = 0; i < n->n_in; i++)
		if (n->in[i] != NE_NONE && !p->native_s8[n->in[i]])
			return false;
	return true;
}

static void decide(struct place *p)
{
	const struct ne_graph *g = p->src;

	for (uint32_t i = g->n_node; i-- > 0;) {
		const struct ne_node *n = &g->node[i];
		const struct s8_op *op = s8_op_find(n->op);

		if (!op || !node_fits(g, n, op))
			continue;
		p->node_s8[i] = op->class == S8_COMPUTE || p->need_s8[n->out[0]];
		if (p->node_s8[i])
			need_inputs(p, n);
	}
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];
		const struct s8_op *op = s8_op_find(n->op);

		if (op && op->class == S8_MOVE && node_fits(g, n, op) && inputs_native(p, n))
			p->node_s8[i] = true;
		if (p->node_s8[i])
			p->native_s8[n->out[0]] = true;
	}
}

/* ---- tensors ---- */

static int fail_memory(struct place *p)
{
	return ne_fail(p->err, ENOMEM, "quantise: no memory for the graph");
}

static int add_tensor(struct place *p, uint32_t t, enum ne_dtype dtype, const char *suffix)
{
	const struct ne_tensor *src = &p->src->tensor[t];
	char name[512];
	int id;

	snprintf(name, sizeof(name), "%s%s", src->name ? src->name : "", suffix);
	id = ne_graph_add_tensor(&p->out->graph, name, dtype, &src->shape);
	if (id < 0)
		return ne_fail(p->err, -id, "quantise: tensor %s cannot be added", name);
	p->out->graph.tensor[id].group = src->group;
	p->out->origin[id] = t;
	return id;
}

static int add_unary(struct place *p, enum ne_op op, uint32_t t, uint32_t in, uint32_t out)
{
	const struct ne_tensor *src = &p->src->tensor[t];
	struct ne_attr attr = {.groups = 1};
	char name[512];
	int r;

	snprintf(name, sizeof(name), "%s.%s", src->name ? src->name : "", ne_op_name(op));
	r = ne_graph_add_node(&p->out->graph, op, name, 1, &in, 1, &out, &attr);
	return r < 0 ? ne_fail(p->err, -r, "quantise: node %s cannot be added", name) : 0;
}

static int copy_const(struct place *p, uint32_t t)
{
	const struct ne_tensor *src = &p->src->tensor[t];
	void *data = ne_alloc_aligned(src->bytes);
	int id;

	if (!data)
		return fail_memory(p);
	memcpy(data, src->data, src->bytes);
	id = ne_graph_add_const(&p->out->graph, src->name, src->dtype, &src->shape, data);
	if (id < 0)
		return ne_fail(p->err, -id, "quantise: constant %s cannot be added", src->name);
	p->out->graph.tensor[id].group = src->group;
	p->out->origin[id] = t;
	p->real[t] = (uint32_t)id;
	return id;
}

static int form_real(struct place *p, uint32_t t)
{
	int id;

	if (p->real[t] != NE_NONE)
		return (int)p->real[t];
	if (is_const(p->src, t))
		return copy_const(p, t);
	if (p->s8[t] == NE_NONE)
		return ne_fail(p->err, EINVAL, "quantise: tensor %s is read before it is written",
			       p->src->tensor[t].name);
	id = add_tensor(p, t, p->src->tensor[t].dtype, p->is_exit[t] ? "" : ".f32");
	if (id < 0)
		return id;
	NE_RETURN_IF(add_unary(p, NE_OP_DEQUANTISE, t, p->s8[t], (uint32_t)id));
	p->real[t] = (uint32_t)id;
	return id;
}

static int form_s8(struct place *p, uint32_t t)
{
	int id;

	if (p->s8[t] != NE_NONE)
		return (int)p->s8[t];
	if (p->real[t] == NE_NONE)
		return ne_fail(p->err, EINVAL, "quantise: tensor %s is read before it is written",
			       p->src->tensor[t].name);
	id = add_tensor(p, t, NE_S8, ".s8");
	if (id < 0)
		return id;
	NE_RETURN_IF(add_unary(p, NE_OP_QUANTISE, t, p->real[t], (uint32_t)id));
	p->s8[t] = (uint32_t)id;
	return id;
}

static int form_weights(struct place *p, uint32_t t, bool last_axis)
{
	const struct ne_tensor *src = &p->src->tensor[t];
	struct ne_tensor *w;
	int8_t *data;
	float *scale;
	uint32_t n_scale;
	int id;

	if (p->s8[t] != NE_NONE)
		return (int)p->s8[t];
	id = weights_quantise(src, last_axis, &data, &scale, &n_scale);
	if (id < 0)
		return ne_fail(p->err, -id, "quantise: weights %s cannot be quantised", src->name);
	id = ne_graph_add_const(&p->out->graph, src->name, NE_S8, &src->shape, data);
	if (id < 0) {
		free(scale);
		return ne_fail(p->err, -id, "quantise: weights %s cannot be added", src->name);
	}
	w = &p->out->graph.tensor[id];
	w->scale = scale;
	w->n_scale = n_scale;
	w->group = src->group;
	p->out->origin[id] = t;
	p->s8[t] = (uint32_t)id;
	return id;
}

/* ---- tensors that share a scale ---- */

static uint32_t find_root(uint32_t *root, uint32_t t)
{
	while (root[t] != t)
		t = root[t] = root[root[t]];
	return t;
}

static void share_quant(struct place *p, const struct ne_node *n)
{
	uint32_t *root = p->out->root;

	for (uint32_t i = 0; i < n->n_in; i++)
		root[find_root(root, n->in[i])] = find_root(root, n->out[0]);
}

/* ---- nodes ---- */

static int place_outputs(struct place *p, const struct ne_node *n, bool s8, uint32_t *out)
{
	for (uint32_t i = 0; i < n->n_out; i++) {
		uint32_t t = n->out[i];
		int id;

		if (s8)
			id = add_tensor(p, t, NE_S8, p->is_exit[t] ? ".s8" : "");
		else
			id = add_tensor(p, t, p->src->tensor[t].dtype, "");
		if (id < 0)
			return id;
		(s8 ? p->s8 : p->real)[t] = out[i] = (uint32_t)id;
	}
	return 0;
}

static int place_node(struct place *p, uint32_t i)
{
	const struct ne_node *n = &p->src->node[i];
	const struct s8_op *op = s8_op_find(n->op);
	uint32_t in[NE_MAX_IO], out[NE_MAX_IO];
	bool s8 = p->node_s8[i];
	int r;

	if (n->n_in > NE_MAX_IO || n->n_out > NE_MAX_IO)
		return ne_fail(p->err, EINVAL, "quantise: node %s has too many inputs", n->name);
	for (uint32_t k = 0; k < n->n_in; k++) {
		int id;

		in[k] = NE_NONE;
		if (n->in[k] == NE_NONE)
			continue;
		if (s8 && op->weights && k == 1)
			id = form_weights(p, n->in[k], n->op == NE_OP_DWCONV);
		else if (s8 && !(op->weights && k > 1))
			id = form_s8(p, n->in[k]);
		else
			id = form_real(p, n->in[k]);
		if (id < 0)
			return id;
		in[k] = (uint32_t)id;
	}
	NE_RETURN_IF(place_outputs(p, n, s8, out));
	if (s8 && op->same_quant)
		share_quant(p, n);
	r = ne_graph_add_node(&p->out->graph, n->op, n->name, n->n_in, in, n->n_out, out, &n->attr);
	return r < 0 ? ne_fail(p->err, -r, "quantise: node %s cannot be added", n->name) : 0;
}

/* A dequantise node of u8 or s8 values that are read in s8: one look-up table does it. */
static bool is_shift(const struct place *p, const struct ne_node *n)
{
	enum ne_dtype x;

	if (n->op != NE_OP_DEQUANTISE || n->n_in != 1 || n->n_out != 1 || n->in[0] == NE_NONE)
		return false;
	x = p->src->tensor[n->in[0]].dtype;
	return (x == NE_U8 || x == NE_S8) && p->need_s8[n->out[0]];
}

static int place_shift(struct place *p, const struct ne_node *n)
{
	uint32_t t = n->out[0];
	int x = form_real(p, n->in[0]), y;

	if (x < 0)
		return x;
	y = add_tensor(p, t, NE_S8, p->is_exit[t] ? ".s8" : "");
	if (y < 0)
		return y;
	p->s8[t] = (uint32_t)y;
	p->out->shifted[t] = n->in[0];
	return add_unary(p, NE_OP_QUANTISE, t, (uint32_t)x, (uint32_t)y);
}

/* The next and first values of the states, whose inputs are there. */
static int place_states(struct place *p)
{
	const struct ne_graph *g = p->src;

	for (uint32_t i = 0; i < g->n_state; i++) {
		const struct ne_graph_state *s = &g->state[i];
		int out = form_real(p, s->out), initial = -1;

		if (out < 0)
			return out;
		if (s->initial != NE_NONE) {
			initial = form_real(p, s->initial);
			if (initial < 0)
				return initial;
		}
		if (ne_graph_add_state(&p->out->graph, p->real[s->in], (uint32_t)out,
				       (uint32_t)initial) < 0)
			return fail_memory(p);
	}
	return 0;
}

static int place_all(struct place *p)
{
	const struct ne_graph *g = p->src;
	uint32_t ids[NE_MAX_IO];
	int r;

	for (uint32_t i = 1; i <= g->n_group; i++)
		if (ne_graph_add_group(&p->out->graph, g->group_channels[i]) < 0)
			return fail_memory(p);
	for (uint32_t i = 0; i < g->n_in; i++) {
		r = add_tensor(p, g->in[i], g->tensor[g->in[i]].dtype, "");
		if (r < 0)
			return r;
		p->real[g->in[i]] = (uint32_t)r;
		if (ne_graph_add_input(&p->out->graph, (uint32_t)r) < 0)
			return fail_memory(p);
	}
	for (uint32_t i = 0; i < g->n_state; i++) {
		r = add_tensor(p, g->state[i].in, g->tensor[g->state[i].in].dtype, "");
		if (r < 0)
			return r;
		p->real[g->state[i].in] = (uint32_t)r;
	}
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];

		r = is_shift(p, n) ? place_shift(p, n) : place_node(p, i);
		if (r < 0)
			return r;
	}
	for (uint32_t e = 0; e < g->n_exit; e++) {
		for (uint32_t k = 0; k < g->exit[e].n_out; k++) {
			r = form_real(p, g->exit[e].out[k]);
			if (r < 0)
				return r;
			ids[k] = (uint32_t)r;
		}
		if (ne_graph_add_exit(&p->out->graph, g->exit[e].n_out, ids) < 0)
			return fail_memory(p);
	}
	return place_states(p);
}

static int place_init(struct place *p)
{
	size_t n = p->src->n_tensor;

	p->node_s8 = calloc(p->src->n_node + 1, sizeof(bool));
	p->need_s8 = calloc(n + 1, sizeof(bool));
	p->native_s8 = calloc(n + 1, sizeof(bool));
	p->is_exit = calloc(n + 1, sizeof(bool));
	p->real = malloc((n + 1) * sizeof(uint32_t));
	p->s8 = malloc((n + 1) * sizeof(uint32_t));
	p->out->root = malloc((n + 1) * sizeof(uint32_t));
	p->out->shifted = malloc((n + 1) * sizeof(uint32_t));
	p->out->origin = calloc(2 * n + 1, sizeof(uint32_t)); /* two forms a tensor */
	if (!p->node_s8 || !p->need_s8 || !p->native_s8 || !p->is_exit || !p->real || !p->s8 ||
	    !p->out->root || !p->out->shifted || !p->out->origin)
		return fail_memory(p);
	for (uint32_t t = 0; t < n; t++) {
		p->real[t] = p->s8[t] = p->out->shifted[t] = NE_NONE;
		p->out->root[t] = t;
	}
	for (uint32_t e = 0; e < p->src->n_exit; e++)
		for (uint32_t k = 0; k < p->src->exit[e].n_out; k++)
			p->is_exit[p->src->exit[e].out[k]] = true;
	return 0;
}

static void place_done(struct place *p)
{
	free(p->node_s8);
	free(p->need_s8);
	free(p->native_s8);
	free(p->is_exit);
	free(p->real);
	free(p->s8);
}

int place_graph(const struct ne_graph *f32, struct placed *ret, struct ne_error *err)
{
	struct place p = {.src = f32, .out = ret, .err = err};
	int r;

	*ret = (struct placed){.origin = NULL};
	ne_graph_init(&ret->graph);
	r = place_init(&p);
	if (r >= 0) {
		decide(&p);
		r = place_all(&p);
	}
	if (r >= 0)
		for (uint32_t t = 0; t < f32->n_tensor; t++)
			ret->root[t] = find_root(ret->root, t);
	place_done(&p);
	if (r < 0)
		placed_done(ret);
	return r;
}

void placed_done(struct placed *p)
{
	ne_graph_done(&p->graph);
	free(p->origin);
	free(p->root);
	free(p->shifted);
	*p = (struct placed){.origin = NULL};
	ne_graph_init(&p->graph);
}
