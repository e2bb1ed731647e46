// SPDX-License-Identifier: MIT
#include "tests/unit/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int must(int rc, const char *what)
{
	if (rc >= 0)
		return rc;
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	abort();
}

static uint32_t add(struct ne_graph *g, const char *name, const struct ne_shape *shape)
{
	return (uint32_t)must(ne_graph_add_tensor(g, name, NE_F32, shape), name);
}

/* y[o] = x[reverse ? 3 - o : o] */
static uint32_t add_head(struct ne_graph *g, uint32_t x, const char *name, bool reverse)
{
	const struct ne_shape row = {.rank = 2, .dim = {1, TINY_CLASSES}};
	const struct ne_shape square = {.rank = 2, .dim = {TINY_CLASSES, TINY_CLASSES}};
	float *w = calloc(TINY_CLASSES * TINY_CLASSES, sizeof(*w));
	struct ne_attr attr = {.act = NE_ACT_NONE};
	uint32_t in[3] = {x, 0, NE_NONE}, out;
	char wname[32];

	for (int o = 0; w && o < TINY_CLASSES; o++)
		w[o * TINY_CLASSES + (reverse ? TINY_CLASSES - 1 - o : o)] = 1;
	snprintf(wname, sizeof(wname), "%s weights", name);
	in[1] = (uint32_t)must(ne_graph_add_const(g, wname, NE_F32, &square, w), wname);
	out = add(g, name, &row);
	must(ne_graph_add_node(g, NE_OP_DENSE, name, 3, in, 1, &out, &attr), name);
	return out;
}

static void finish(struct ne_model *m)
{
	struct ne_error err = {""};

	if (ne_graph_compact(&m->graph, &err) < 0 || ne_model_add_default_levels(m, &err) < 0 ||
	    ne_model_check(m, &err) < 0) {
		fprintf(stderr, "tiny model: %s\n", err.text);
		abort();
	}
}

struct ne_model *tiny_model(void)
{
	const struct ne_shape row = {.rank = 2, .dim = {1, TINY_CLASSES}};
	struct ne_model *m = ne_model_new();
	struct ne_attr attr = {.act = NE_ACT_NONE};
	uint32_t x, trunk, y;

	if (!m)
		abort();
	x = add(&m->graph, "x", &row);
	must(ne_graph_add_input(&m->graph, x), "input");
	y = add_head(&m->graph, x, "y", false);
	must(ne_graph_add_exit(&m->graph, 1, &y), "exit");
	trunk = add(&m->graph, "trunk", &row);
	must(ne_graph_add_node(&m->graph, NE_OP_RELU, "trunk", 1, &x, 1, &trunk, &attr), "trunk");
	y = add_head(&m->graph, trunk, "reversed", true);
	must(ne_graph_add_exit(&m->graph, 1, &y), "exit");
	m->label = calloc(TINY_CLASSES, sizeof(*m->label));
	m->n_label = TINY_CLASSES;
	for (int i = 0; m->label && i < TINY_CLASSES; i++)
		m->label[i] = strndup(&"abcd"[i], 1);
	must(ne_model_set_note(m, "name", "tiny"), "note");
	finish(m);
	for (uint32_t l = 0; l < m->n_level; l++)
		m->level[l].flags |= NE_LEVEL_PARETO;
	return m;
}

struct ne_model *tiny_input(enum ne_dtype dtype, const struct ne_shape *shape,
			    struct ne_quant quant)
{
	struct ne_model *m = ne_model_new();
	struct ne_attr attr = {.act = NE_ACT_NONE};
	enum ne_op op = dtype == NE_F32 ? NE_OP_RELU : NE_OP_DEQUANTISE;
	uint32_t x, y;

	if (!m)
		abort();
	x = (uint32_t)must(ne_graph_add_tensor(&m->graph, "x", dtype, shape), "x");
	must(ne_graph_add_input(&m->graph, x), "input");
	y = add(&m->graph, "y", shape);
	must(ne_graph_add_node(&m->graph, op, "only", 1, &x, 1, &y, &attr), "node");
	must(ne_graph_add_exit(&m->graph, 1, &y), "exit");
	must(ne_model_add_default_levels(m, NULL), "levels");
	for (uint32_t w = 0; w < m->n_width; w++)
		m->width[w].quant[x] = quant;
	return m;
}
