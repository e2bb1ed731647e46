/* SPDX-License-Identifier: MIT */
/* A model's life, its notes, and what its width settings make of the graph. A model owns all that
 * it points to; ne_model_free() frees it. */
#include "engine/model/model.h"
#include "engine/op/op.h"

#include <stdlib.h>
#include <string.h>

struct ne_model *ne_model_new(void)
{
	struct ne_model *m = calloc(1, sizeof(*m));

	if (m)
		ne_graph_init(&m->graph);
	return m;
}

static void width_done(struct ne_width *w, uint32_t n_norm)
{
	for (uint32_t i = 0; w->norm && i < n_norm; i++) {
		free(w->norm[i].scale);
		free(w->norm[i].bias);
	}
	free(w->norm);
	free(w->active);
	free(w->quant);
}

void ne_model_free(struct ne_model *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; m->width && i < m->n_width; i++)
		width_done(&m->width[i], m->n_norm);
	for (uint32_t i = 0; m->label && i < m->n_label; i++)
		free(m->label[i]);
	for (uint32_t i = 0; m->note && i < m->n_note; i++) {
		free(m->note[i].key);
		free(m->note[i].value);
	}
	free(m->width);
	free(m->level);
	free(m->label);
	free(m->note);
	ne_graph_done(&m->graph);
	free(m);
}

int ne_model_set_note(struct ne_model *m, const char *key, const char *value)
{
	struct ne_note *p;
	char *k, *v;

	if (!key || !*key || !value)
		return -EINVAL;
	for (uint32_t i = 0; i < m->n_note; i++)
		if (!strcmp(m->note[i].key, key)) {
			v = strdup(value);
			if (!v)
				return -ENOMEM;
			free(m->note[i].value);
			m->note[i].value = v;
			return 0;
		}
	if (m->n_note >= NE_MAX_NOTES)
		return -E2BIG;
	p = realloc(m->note, (m->n_note + 1u) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	m->note = p;
	k = strdup(key);
	v = strdup(value);
	if (!k || !v) {
		free(k);
		free(v);
		return -ENOMEM;
	}
	m->note[m->n_note++] = (struct ne_note){k, v};
	return 0;
}

const char *ne_model_get_note(const struct ne_model *m, const char *key)
{
	for (uint32_t i = 0; i < m->n_note; i++)
		if (!strcmp(m->note[i].key, key))
			return m->note[i].value;
	return NULL;
}

int32_t ne_model_channels(const struct ne_model *m, uint32_t width, uint32_t tensor)
{
	const struct ne_tensor *t = &m->graph.tensor[tensor];

	return t->group ? m->width[width].active[t->group] : ne_shape_last(&t->shape);
}

/* Bytes fit 64 bits: a shape has at most 2^28 elements, a kernel as many taps. */
uint64_t ne_model_node_macs(const struct ne_model *m, const struct ne_node *n, uint32_t width)
{
	const struct ne_op_info *op = ne_op_info(n->op);
	struct ne_shape x, y;

	if (!op->macs)
		return 0;
	x = m->graph.tensor[n->in[0]].shape;
	y = m->graph.tensor[n->out[0]].shape;
	if (x.rank)
		x.dim[x.rank - 1] = ne_model_channels(m, width, n->in[0]);
	if (y.rank)
		y.dim[y.rank - 1] = ne_model_channels(m, width, n->out[0]);
	return op->macs(n, &x, &m->graph.tensor[n->in[1]].shape, &y);
}

uint64_t ne_model_macs(const struct ne_model *m, uint32_t depth, uint32_t width)
{
	const struct ne_graph *g = &m->graph;
	uint8_t *needed;
	uint64_t sum = 0;

	if (depth >= g->n_exit || width >= m->n_width)
		return 0;
	needed = calloc(g->n_tensor + 1u, 1);
	if (!needed)
		return UINT64_MAX;
	if (ne_graph_needs(g, depth, needed) < 0) {
		free(needed);
		return UINT64_MAX;
	}
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];
		bool runs = false;
		uint64_t macs;

		for (uint32_t k = 0; k < n->n_out; k++)
			runs = runs || needed[n->out[k]];
		if (!runs)
			continue;
		macs = ne_model_node_macs(m, n, width);
		sum = sum > UINT64_MAX - macs ? UINT64_MAX : sum + macs;
	}
	free(needed);
	return NE_MIN(sum, UINT64_MAX - 1);
}

static int add_full_width(struct ne_model *m)
{
	const struct ne_graph *g = &m->graph;
	struct ne_width *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->active = calloc(g->n_group + 1u, sizeof(*w->active));
	w->quant = calloc(g->n_tensor + 1u, sizeof(*w->quant));
	w->norm = calloc(m->n_norm + 1u, sizeof(*w->norm));
	if (!w->active || !w->quant || !w->norm) {
		width_done(w, 0);
		free(w);
		return -ENOMEM;
	}
	for (uint32_t i = 1; i <= g->n_group; i++)
		w->active[i] = g->group_channels[i];
	for (uint32_t i = 0; i < g->n_tensor; i++)
		w->quant[i] = g->tensor[i].quant;
	m->width = w;
	m->n_width = 1;
	return 0;
}

/* Nothing is measured: every level counts as on the front, in order of its MACs. */
static void insert_level(struct ne_model *m, uint32_t depth, uint32_t width)
{
	uint64_t macs = ne_model_macs(m, depth, width);
	uint32_t at = m->n_level++;

	for (; at && m->level[at - 1].macs > macs; at--)
		m->level[at] = m->level[at - 1];
	m->level[at] = (struct ne_level){
		.depth = depth,
		.width = width,
		.flags = NE_LEVEL_PARETO,
		.macs = macs,
		.accuracy = -1,
		.control_accuracy = -1,
		.f32_accuracy = -1,
	};
}

int ne_model_add_default_levels(struct ne_model *m, struct ne_error *err)
{
	const struct ne_graph *g = &m->graph;

	if (m->n_level)
		return 0;
	if (!g->n_exit || g->n_exit > NE_MAX_EXITS)
		return ne_fail(err, EINVAL, "the graph has %u exits, so no level can be made",
			       g->n_exit);
	if (!m->n_width && add_full_width(m) < 0)
		return ne_fail(err, ENOMEM, "out of memory");
	if (m->n_width > NE_MAX_LEVELS / g->n_exit)
		return ne_fail(err, E2BIG, "%u widths and %u exits make more than %u levels",
			       m->n_width, g->n_exit, NE_MAX_LEVELS);
	m->level = calloc(m->n_width * g->n_exit, sizeof(*m->level));
	if (!m->level)
		return ne_fail(err, ENOMEM, "out of memory");
	for (uint32_t w = 0; w < m->n_width; w++)
		for (uint32_t d = 0; d < g->n_exit; d++)
			insert_level(m, d, w);
	return 0;
}
