/* SPDX-License-Identifier: MIT */
/* One level cut out of a nested model; see cut_model.h. */
#include "tests/unit/cut_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cuts constant @t: first dimension to @first, last to @last (0 = as it is). */
static void cut_const(struct ne_tensor *t, int32_t first, int32_t last)
{
	size_t size = ne_dtype_size(t->dtype), rows, full = (size_t)t->shape.dim[t->shape.rank - 1];
	size_t keep;
	char *to = t->data, *from = t->data;

	if (first && t->shape.rank > 1) {
		t->shape.dim[0] = first;
		if (t->n_scale > 1)
			t->n_scale = (uint32_t)first;
	}
	if (last) {
		t->shape.dim[t->shape.rank - 1] = last;
		if (!first && t->n_scale > 1)
			t->n_scale = (uint32_t)last;
	}
	keep = (size_t)t->shape.dim[t->shape.rank - 1];
	rows = ne_shape_elements(&t->shape) / keep;
	for (size_t i = 0; i < rows; i++, to += keep * size, from += full * size)
		memmove(to, from, keep * size);
	t->bytes = ne_shape_elements(&t->shape) * size;
	t->group = 0;
}

static void cut_node(const struct ne_model *m, uint32_t w, struct ne_graph *g,
		     const struct ne_node *n)
{
	int32_t ic = ne_model_channels(m, w, n->in[0]), oc = ne_model_channels(m, w, n->out[0]);

	switch (n->op) {
	case NE_OP_CONV:
		cut_const(&g->tensor[n->in[1]], oc, n->attr.groups > 1 ? 0 : ic);
		break;
	case NE_OP_DENSE:
		cut_const(&g->tensor[n->in[1]], oc, ic);
		break;
	case NE_OP_DWCONV:
		cut_const(&g->tensor[n->in[1]], 0, oc);
		break;
	default:
		break;
	}
	for (uint32_t k = 0; k < n->n_in; k++) {
		struct ne_tensor *t = n->in[k] == NE_NONE ? NULL : &g->tensor[n->in[k]];

		if (t && t->data && t->shape.rank == 1)
			cut_const(t, 0, oc);
	}
}

/* The exit of the level alone, and activations as wide as they are there. */
static void cut_graph(const struct ne_model *m, const struct ne_level *l, struct ne_graph *g)
{
	const struct ne_width *w = &m->width[l->width];
	struct ne_exit kept = g->exit[l->depth];

	for (uint32_t i = 0; i < g->n_node; i++)
		cut_node(m, l->width, g, &g->node[i]);
	for (uint32_t t = 0; t < g->n_tensor; t++) {
		struct ne_tensor *v = &g->tensor[t];

		v->quant = w->quant[t];
		if (!v->data && v->group)
			v->shape.dim[v->shape.rank - 1] = w->active[v->group];
		v->group = 0;
	}
	g->n_group = 0;
	for (uint32_t e = 0; e < g->n_exit; e++)
		if (e != l->depth)
			free(g->exit[e].out);
	g->exit[0] = kept;
	g->n_exit = 1;
}

static void copy_norms(const struct ne_model *m, uint32_t width, struct ne_model *c)
{
	for (uint32_t i = 0; i < c->n_norm; i++) {
		const struct ne_norm *from = &m->width[width].norm[i];
		struct ne_norm *to = &c->width->norm[i];

		to->n = from->n;
		to->scale = malloc(from->n * sizeof(float));
		to->bias = malloc(from->n * sizeof(float));
		memcpy(to->scale, from->scale, from->n * sizeof(float));
		memcpy(to->bias, from->bias, from->n * sizeof(float));
	}
}

struct ne_model *cut_model(const struct ne_model *m, uint32_t level)
{
	const struct ne_level *l = &m->level[level];
	struct ne_model *c = ne_model_new();
	struct ne_error err = {""};

	if (ne_graph_copy(&c->graph, &m->graph) < 0)
		abort();
	cut_graph(m, l, &c->graph);
	c->n_norm = m->n_norm;
	if (ne_graph_compact(&c->graph, &err) < 0 || ne_model_add_default_levels(c, &err) < 0) {
		fprintf(stderr, "cut_model: %s\n", err.text);
		abort();
	}
	copy_norms(m, l->width, c);
	if (ne_model_check(c, &err) < 0) {
		fprintf(stderr, "cut_model: %s\n", err.text);
		abort();
	}
	return c;
}
