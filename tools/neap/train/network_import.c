// SPDX-License-Identifier: MIT
/*
 * An imported network made trainable: the recipe's input in place of the imported one, a batch norm
 * behind every convolution (the widths need statistics of their own), channel groups by what must
 * be cut together, and channels of each group by falling importance.
 */
#include "tools/neap/train/network.h"
#include "tools/neap/train/network_index.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct import {
	const struct recipe *r;
	const struct ne_graph *src;
	struct network *n;
	uint32_t *to;     /* [src n_tensor]: its tensor in the new graph, or NE_NONE */
	uint32_t *parent; /* [dst n_tensor]: union-find of tensors cut together */
	bool *fixed;      /* [dst n_tensor], at the root: never cut */
	struct ne_error *err;
};

/* ---- the graph ---- */

static int copy_const(struct import *im, uint32_t t)
{
	const struct ne_tensor *s = &im->src->tensor[t];
	void *data;
	int id;

	if (im->to[t] != NE_NONE)
		return 0;
	if (!s->data)
		return ne_fail(im->err, EINVAL, "tensor %s is used before it is made", s->name);
	data = malloc(s->bytes);
	if (!data)
		return -ENOMEM;
	memcpy(data, s->data, s->bytes);
	id = ne_graph_add_const(&im->n->graph, s->name, s->dtype, &s->shape, data);
	NE_RETURN_IF(id);
	im->to[t] = (uint32_t)id;
	return 0;
}

static int add_output(struct import *im, const char *name, const struct ne_shape *shape)
{
	return ne_graph_add_tensor(&im->n->graph, name, NE_F32, shape);
}

static int add_vector(struct import *im, const char *layer, const char *what, int32_t n,
		      float value, const float *from)
{
	struct ne_shape s = {.rank = 1, .dim = {n}};
	float *data = malloc((size_t)n * sizeof(*data));
	char name[160];

	if (!data)
		return -ENOMEM;
	for (int32_t i = 0; i < n; i++)
		data[i] = from ? from[i] : value;
	snprintf(name, sizeof(name), "%.120s.%s", layer, what);
	return ne_graph_add_const(&im->n->graph, name, NE_F32, &s, data);
}

/* conv without bias, then batch norm with the bias as its beta, then the activation. */
static int add_conv(struct import *im, const struct ne_node *node)
{
	struct ne_graph *g = &im->n->graph;
	const struct ne_tensor *out = &im->src->tensor[node->out[0]];
	int32_t c = out->shape.dim[out->shape.rank - 1];
	const float *bias =
		node->n_in > 2 && node->in[2] != NE_NONE ? im->src->tensor[node->in[2]].data : NULL;
	struct ne_attr attr = node->attr, norm = {.value = 1e-5f};
	uint32_t in[5], y[3] = {0};
	char name[160];
	int id;

	attr.act = NE_ACT_NONE;
	for (int i = 0; i < (node->attr.act == NE_ACT_NONE ? 2 : 3); i++) {
		snprintf(name, sizeof(name), "%.120s.%s", node->name,
			 i == 0   ? "conv"
			 : i == 1 ? "norm"
				  : "act");
		id = add_output(im, name, &out->shape);
		NE_RETURN_IF(id);
		y[i] = (uint32_t)id;
	}
	NE_RETURN_IF(copy_const(im, node->in[1]));
	in[0] = im->to[node->in[0]];
	in[1] = im->to[node->in[1]];
	NE_RETURN_IF(ne_graph_add_node(g, node->op, node->name, 2, in, 1, &y[0], &attr));
	in[0] = y[0];
	for (uint32_t i = 1; i < 5; i++) {
		static const char *const what[] = {"", "gamma", "beta", "mean", "var"};

		id = add_vector(im, node->name, what[i], c, i == 1 || i == 4 ? 1.0f : 0.0f,
				i == 2 ? bias : NULL);
		NE_RETURN_IF(id);
		in[i] = (uint32_t)id;
	}
	NE_RETURN_IF(ne_graph_add_node(g, NE_OP_BATCHNORM, g->tensor[y[1]].name, 5, in, 1, &y[1],
				       &norm));
	im->to[node->out[0]] = y[1];
	if (node->attr.act == NE_ACT_NONE)
		return 0;
	im->to[node->out[0]] = y[2];
	return ne_graph_add_node(g, node->attr.act == NE_ACT_RELU ? NE_OP_RELU : NE_OP_RELU6,
				 g->tensor[y[2]].name, 1, &y[1], 1, &y[2], &(struct ne_attr){0});
}

/* Does a node read from a 4-dimensional tensor a convolution that training may cut? */
static bool wants_norm(const struct import *im, const struct ne_node *n)
{
	return (n->op == NE_OP_CONV || n->op == NE_OP_DWCONV) && !n->attr.norm &&
	       im->src->tensor[n->out[0]].shape.rank == 4;
}

static int add_node(struct import *im, const struct ne_node *node)
{
	uint32_t in[8], y;
	int id;

	if (node->n_in > NE_ARRAY_SIZE(in) || node->n_out != 1)
		return ne_fail(im->err, EINVAL, "node %s: too many inputs to train", node->name);
	if (wants_norm(im, node))
		return add_conv(im, node);
	for (uint32_t i = 0; i < node->n_in; i++) {
		in[i] = NE_NONE;
		if (node->in[i] == NE_NONE)
			continue;
		NE_RETURN_IF(copy_const(im, node->in[i]));
		in[i] = im->to[node->in[i]];
	}
	id = add_output(im, im->src->tensor[node->out[0]].name,
			&im->src->tensor[node->out[0]].shape);
	NE_RETURN_IF(id);
	y = (uint32_t)id;
	im->to[node->out[0]] = y;
	return ne_graph_add_node(&im->n->graph, node->op, node->name, node->n_in, in, 1, &y,
				 &node->attr);
}

/* The recipe's input and its normalisation stand for the imported input, and for the layout change
 * behind it where there is one. Returns the first node that is still to be copied. */
static int add_input(struct import *im)
{
	struct ne_graph *g = &im->n->graph;
	const struct ne_graph *s = im->src;
	const struct ne_shape *want = &im->r->net.input;
	uint32_t input = s->in[0], x;
	int id;

	id = ne_graph_add_tensor(g, "input", im->r->net.type, want);
	NE_RETURN_IF(id);
	x = (uint32_t)id;
	NE_RETURN_IF(ne_graph_add_input(g, x));
	if (im->r->net.type != NE_F32) {
		uint32_t y;

		id = add_output(im, "normalise", want);
		NE_RETURN_IF(id);
		y = (uint32_t)id;
		NE_RETURN_IF(ne_graph_add_node(g, NE_OP_DEQUANTISE, "normalise", 1, &x, 1, &y,
					       &(struct ne_attr){0}));
		im->n->normalise = im->r->net.normalise;
		x = y;
	}
	im->n->feed = x;
	for (uint32_t i = 0; i < s->n_node; i++) {
		const struct ne_node *n = &s->node[i];
		bool layout = n->op == NE_OP_TRANSPOSE || n->op == NE_OP_RESHAPE;

		if (n->in[0] == input && layout &&
		    !memcmp(&s->tensor[n->out[0]].shape, want, sizeof(*want)))
			im->to[n->out[0]] = x;
	}
	if (!memcmp(&s->tensor[input].shape, want, sizeof(*want)))
		im->to[input] = x;
	return 0;
}

static int copy_graph(struct import *im)
{
	const struct ne_graph *s = im->src;
	struct network *n = im->n;
	uint32_t last;

	if (s->n_in != 1 || s->n_exit != 1 || s->exit[0].n_out != 1)
		return ne_fail(im->err, EINVAL,
			       "%s: training takes networks of one input and one output",
			       im->r->net.import);
	if (s->n_state)
		return ne_fail(im->err, EINVAL,
			       "%s: it keeps values from run to run, which training does not",
			       im->r->net.import);
	NE_RETURN_IF(add_input(im));
	for (uint32_t i = 0; i < s->n_node; i++) {
		const struct ne_node *node = &s->node[i];

		if (im->to[node->out[0]] != NE_NONE)
			continue; /* the input's layout */
		if (im->to[node->in[0]] == NE_NONE && !s->tensor[node->in[0]].data)
			return ne_fail(
				im->err, EINVAL,
				"%s: node %s reads the input in a form that [network] input does "
				"not have",
				im->r->net.import, node->name);
		NE_RETURN_IF(add_node(im, node));
	}
	last = im->to[s->exit[0].out[0]];
	n->n_exit = 1;
	n->logits[0] = last;
	for (uint32_t i = 0; i < n->graph.n_node; i++)
		if (n->graph.node[i].out[0] == last && n->graph.node[i].op == NE_OP_SOFTMAX) {
			n->logits[0] = n->graph.node[i].in[0];
			return ne_graph_add_exit(&n->graph, 1, &last);
		}
	return ne_graph_add_exit(&n->graph, 1, &last);
}

/* ---- channel groups ---- */

static uint32_t root_of(struct import *im, uint32_t t)
{
	while (im->parent[t] != t)
		t = im->parent[t] = im->parent[im->parent[t]];
	return t;
}

static void join(struct import *im, uint32_t a, uint32_t b)
{
	uint32_t x = root_of(im, a), y = root_of(im, b);

	im->parent[y] = x;
	im->fixed[x] = im->fixed[x] || im->fixed[y];
}

static void fix(struct import *im, uint32_t t)
{
	im->fixed[root_of(im, t)] = true;
}

static void join_by_node(struct import *im, const struct ne_node *n)
{
	switch (n->op) {
	case NE_OP_CONV:
	case NE_OP_DENSE:
		return; /* its output is cut by itself */
	case NE_OP_DWCONV:
	case NE_OP_BATCHNORM:
	case NE_OP_RELU:
	case NE_OP_RELU6:
	case NE_OP_MAXPOOL:
	case NE_OP_AVGPOOL:
	case NE_OP_GLOBALPOOL:
		join(im, n->in[0], n->out[0]);
		return;
	case NE_OP_ADD:
		join(im, n->in[0], n->out[0]);
		join(im, n->in[1], n->out[0]);
		return;
	default: /* channels move: nothing there is cut */
		for (uint32_t i = 0; i < n->n_in; i++)
			if (n->in[i] != NE_NONE)
				fix(im, n->in[i]);
		fix(im, n->out[0]);
	}
}

static int find_groups(struct import *im)
{
	struct ne_graph *g = &im->n->graph;
	uint32_t *group = calloc(g->n_tensor, sizeof(*group));
	int rc = 0;

	im->parent = malloc(g->n_tensor * sizeof(*im->parent));
	im->fixed = calloc(g->n_tensor, sizeof(*im->fixed));
	if (!group || !im->parent || !im->fixed) {
		free(group);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < g->n_tensor; i++)
		im->parent[i] = i;
	fix(im, im->n->feed);
	fix(im, g->in[0]);
	fix(im, im->n->logits[0]);
	fix(im, g->exit[0].out[0]);
	for (uint32_t i = 0; i < g->n_node; i++)
		join_by_node(im, &g->node[i]);
	for (uint32_t i = 0; i < g->n_tensor && rc >= 0; i++) {
		const struct ne_shape *s = &g->tensor[i].shape;
		uint32_t root = root_of(im, i);

		if (g->tensor[i].data || im->fixed[root] || s->dim[s->rank - 1] <= 8)
			continue;
		if (!group[root]) {
			rc = ne_graph_add_group(g, s->dim[s->rank - 1]);
			group[root] = rc < 0 ? 0 : (uint32_t)rc;
		}
		g->tensor[i].group = group[root];
	}
	free(group);
	return rc < 0 ? rc : 0;
}

/* ---- importance ---- */

/* Adds the L1 norm of each output channel's weights: what the group's producers write. */
static void add_importance(const struct ne_graph *g, const struct ne_node *n, double *sum)
{
	const struct ne_tensor *w = &g->tensor[n->in[1]];
	const float *v = w->data;
	size_t oc = (size_t)w->shape.dim[0], per = ne_shape_elements(&w->shape) / oc;

	for (size_t o = 0; o < oc; o++)
		for (size_t i = 0; i < per; i++)
			sum[o] += fabs((double)v[o * per + i]);
}

/* Reorders axis @axis of a constant: new position i takes what was at order[i]. */
static int permute(struct ne_tensor *t, uint32_t axis, const uint32_t *order)
{
	size_t inner = 1, outer = 1, n = (size_t)t->shape.dim[axis];
	float *data = t->data, *copy = malloc(t->bytes);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, t->bytes);
	for (uint32_t i = 0; i < axis; i++)
		outer *= (size_t)t->shape.dim[i];
	for (uint32_t i = axis + 1; i < t->shape.rank; i++)
		inner *= (size_t)t->shape.dim[i];
	for (size_t o = 0; o < outer; o++)
		for (size_t i = 0; i < n; i++)
			memcpy(data + (o * n + i) * inner, copy + (o * n + order[i]) * inner,
			       inner * sizeof(*data));
	free(copy);
	return 0;
}

static bool is_weighted(const struct ne_node *n)
{
	return n->op == NE_OP_CONV || n->op == NE_OP_DENSE;
}

/* Every constant that has the group's channels on an axis. */
static int permute_group(struct ne_graph *g, uint32_t group, const uint32_t *order)
{
	for (uint32_t i = 0; i < g->n_node; i++) {
		struct ne_node *n = &g->node[i];
		bool in = g->tensor[n->in[0]].group == group;
		bool out = g->tensor[n->out[0]].group == group;
		struct ne_tensor *w =
			n->n_in > 1 && n->in[1] != NE_NONE ? &g->tensor[n->in[1]] : NULL;

		if (is_weighted(n) && in)
			NE_RETURN_IF(permute(w, w->shape.rank - 1, order));
		if (is_weighted(n) && out) {
			NE_RETURN_IF(permute(w, 0, order));
			if (n->n_in > 2 && n->in[2] != NE_NONE)
				NE_RETURN_IF(permute(&g->tensor[n->in[2]], 0, order));
		}
		if (n->op == NE_OP_DWCONV && in)
			NE_RETURN_IF(permute(w, w->shape.rank - 1, order));
		for (uint32_t k = 1; n->op == NE_OP_BATCHNORM && in && k < n->n_in; k++)
			NE_RETURN_IF(permute(&g->tensor[n->in[k]], 0, order));
	}
	return 0;
}

static int sort_group(struct ne_graph *g, uint32_t group)
{
	uint32_t c = (uint32_t)g->group_channels[group], *order = malloc(c * sizeof(*order));
	double *sum = calloc(c, sizeof(*sum));
	int rc = order && sum ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < g->n_node; i++)
		if (is_weighted(&g->node[i]) && g->tensor[g->node[i].out[0]].group == group)
			add_importance(g, &g->node[i], sum);
	for (uint32_t i = 0; rc == 0 && i < c; i++) {
		uint32_t k = i;

		for (; k > 0 && sum[order[k - 1]] < sum[i]; k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	if (rc == 0)
		rc = permute_group(g, group, order);
	free(order);
	free(sum);
	return rc;
}

int network_import(const struct recipe *r, const struct ne_model *m, struct network *ret,
		   struct ne_error *err)
{
	struct network n = {0};
	struct import im = {.r = r, .src = &m->graph, .n = &n, .err = err};
	const struct ne_shape *s;
	int rc = 0;

	if (!r->net.input.rank)
		return ne_fail(err, EINVAL, "%s: [network] import needs input too", r->path);
	ne_graph_init(&n.graph);
	im.to = malloc((m->graph.n_tensor + 1) * sizeof(*im.to));
	if (!im.to)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->graph.n_tensor; i++)
		im.to[i] = NE_NONE;
	rc = copy_graph(&im);
	if (rc >= 0)
		rc = find_groups(&im);
	for (uint32_t i = 1; rc >= 0 && i <= n.graph.n_group; i++)
		rc = sort_group(&n.graph, i);
	if (rc >= 0)
		rc = ne_graph_check(&n.graph, err);
	if (rc >= 0) {
		s = &n.graph.tensor[n.logits[0]].shape;
		n.n_class = (uint32_t)s->dim[s->rank - 1];
		rc = network_index(&n, r, err);
	}
	free(im.to);
	free(im.parent);
	free(im.fixed);
	if (rc < 0) {
		network_done(&n);
		return rc;
	}
	*ret = n;
	return 0;
}
