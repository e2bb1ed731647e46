// SPDX-License-Identifier: MIT
/*
 * Folds batch norms into per-width scale and bias of the convolution before them. The model is the
 * caller's; nothing of the network is kept.
 */
#include "tools/neap/train/assemble.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int width_stats_new(const struct network *n, struct width_stats *ret)
{
	struct width_stats s = {0};

	for (uint32_t w = 0; w < n->n_width; w++) {
		s.mean[w] = calloc(n->n_stat + 1, sizeof(float));
		s.var[w] = calloc(n->n_stat + 1, sizeof(float));
		if (!s.mean[w] || !s.var[w]) {
			width_stats_done(&s);
			return -ENOMEM;
		}
	}
	*ret = s;
	return 0;
}

void width_stats_done(struct width_stats *s)
{
	for (uint32_t w = 0; w < RECIPE_MAX_WIDTHS; w++) {
		free(s->mean[w]);
		free(s->var[w]);
	}
	memset(s, 0, sizeof(*s));
}

static void store_weights(const struct network *n, const float *theta, struct ne_graph *g)
{
	for (uint32_t i = 0; i < g->n_tensor; i++)
		if (n->theta_of[i] != NETWORK_NONE)
			memcpy(g->tensor[i].data, theta + n->theta_of[i], g->tensor[i].bytes);
}

/* The only reader of @tensor, or NULL. */
static struct ne_node *only_reader(struct ne_graph *g, uint32_t tensor)
{
	struct ne_node *found = NULL;

	for (uint32_t i = 0; i < g->n_node; i++) {
		for (uint32_t k = 0; k < g->node[i].n_in; k++) {
			if (g->node[i].in[k] != tensor)
				continue;
			if (found)
				return NULL;
			found = &g->node[i];
		}
	}
	return found;
}

static struct ne_node *producer_of(struct ne_graph *g, uint32_t tensor)
{
	for (uint32_t i = 0; i < g->n_node; i++)
		if (g->node[i].out[0] == tensor)
			return &g->node[i];
	return NULL;
}

/* @next's result becomes @first's; @next is left with a result that nobody reads, and with an input
 * that does not depend on it, so that compacting drops it. */
static void absorb(struct ne_node *first, struct ne_node *next)
{
	uint32_t unused = first->out[0];

	first->out[0] = next->out[0];
	next->out[0] = unused;
	next->in[0] = first->in[0];
}

static int fold_norm(struct ne_graph *g, struct ne_node *norm, uint32_t number,
		     struct ne_error *err)
{
	struct ne_node *conv = producer_of(g, norm->in[0]), *act;

	if (!conv || (conv->op != NE_OP_CONV && conv->op != NE_OP_DWCONV) || conv->n_in > 2 ||
	    conv->attr.act != NE_ACT_NONE || only_reader(g, conv->out[0]) != norm)
		return ne_fail(
			err, EINVAL,
			"node %s: a batch norm can only be folded into a convolution without "
			"bias before it",
			norm->name);
	conv->attr.norm = number;
	absorb(conv, norm);
	act = only_reader(g, conv->out[0]);
	if (act && (act->op == NE_OP_RELU || act->op == NE_OP_RELU6)) {
		conv->attr.act = act->op == NE_OP_RELU ? NE_ACT_RELU : NE_ACT_RELU6;
		absorb(conv, act);
	}
	return 0;
}

static int set_norm(const struct network *n, const float *theta, const struct width_stats *stats,
		    uint32_t width, uint32_t node, struct ne_norm *ret)
{
	const struct ne_node *bn = &n->graph.node[node];
	const float *gamma = theta + n->theta_of[bn->in[1]], *beta = theta + n->theta_of[bn->in[2]];
	const float *mean = stats->mean[width] + n->stat_of[node];
	const float *var = stats->var[width] + n->stat_of[node];
	uint32_t c = (uint32_t)network_channels(n, n->active[width], bn->in[0]);

	ret->n = c;
	ret->scale = malloc(c * sizeof(float));
	ret->bias = malloc(c * sizeof(float));
	if (!ret->scale || !ret->bias)
		return -ENOMEM;
	for (uint32_t i = 0; i < c; i++) {
		ret->scale[i] = gamma[i] / sqrtf(var[i] + bn->attr.value);
		ret->bias[i] = beta[i] - mean[i] * ret->scale[i];
	}
	return 0;
}

static int set_width(const struct network *n, const float *theta, const struct width_stats *stats,
		     uint32_t w, struct ne_model *m)
{
	struct ne_width *width = &m->width[w];
	uint32_t number = 0;

	width->active = malloc((n->graph.n_group + 1) * sizeof(*width->active));
	width->quant = calloc(m->graph.n_tensor, sizeof(*width->quant));
	width->norm = calloc(m->n_norm + 1, sizeof(*width->norm));
	if (!width->active || !width->quant || !width->norm)
		return -ENOMEM;
	memcpy(width->active, n->active[w], (n->graph.n_group + 1) * sizeof(*width->active));
	if (n->normalise.scale != 0.0f)
		width->quant[m->graph.in[0]] = n->normalise;
	for (uint32_t i = 0; i < n->graph.n_node; i++)
		if (n->stat_of[i] != NETWORK_NONE)
			NE_RETURN_IF(set_norm(n, theta, stats, w, i, &width->norm[number++]));
	return 0;
}

static int by_macs(const void *a, const void *b)
{
	const struct ne_level *x = a, *y = b;

	if (x->macs != y->macs)
		return x->macs < y->macs ? -1 : 1;
	return x->depth != y->depth ? (x->depth < y->depth ? -1 : 1) : 0;
}

static int set_levels(const struct network *n, struct ne_model *m)
{
	m->level = calloc((size_t)n->n_width * n->n_exit, sizeof(*m->level));
	if (!m->level)
		return -ENOMEM;
	for (uint32_t w = 0; w < n->n_width; w++)
		for (uint32_t e = 0; e < n->n_exit; e++)
			m->level[m->n_level++] = (struct ne_level){.depth = e,
								   .width = w,
								   .macs = ne_model_macs(m, e, w),
								   .accuracy = -1.0f,
								   .control_accuracy = -1.0f,
								   .f32_accuracy = -1.0f};
	qsort(m->level, m->n_level, sizeof(*m->level), by_macs);
	return 0;
}

static int fold_all(const struct network *n, struct ne_model *m, struct ne_error *err)
{
	for (uint32_t i = 0; i < n->graph.n_node; i++)
		if (n->stat_of[i] != NETWORK_NONE)
			NE_RETURN_IF(fold_norm(&m->graph, &m->graph.node[i], ++m->n_norm, err));
	return ne_graph_compact(&m->graph, err);
}

int assemble_model(const struct network *n, const float *theta, const struct width_stats *stats,
		   struct ne_model **ret, struct ne_error *err)
{
	struct ne_model *m = ne_model_new();
	int rc = m ? ne_graph_copy(&m->graph, &n->graph) : -ENOMEM;

	if (rc >= 0) {
		store_weights(n, theta, &m->graph);
		rc = fold_all(n, m, err);
	}
	if (rc >= 0) {
		m->width = calloc(n->n_width, sizeof(*m->width));
		rc = m->width ? 0 : -ENOMEM;
	}
	for (uint32_t w = 0; rc >= 0 && w < n->n_width; w++) {
		m->n_width = w + 1;
		rc = set_width(n, theta, stats, w, m);
	}
	if (rc >= 0)
		rc = set_levels(n, m);
	if (rc >= 0)
		rc = ne_model_check(m, err);
	if (rc < 0) {
		ne_model_free(m);
		return rc;
	}
	*ret = m;
	return 0;
}
