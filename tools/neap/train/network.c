// SPDX-License-Identifier: MIT
/*
 * Parameters, widths and first values of a network. A network owns its graph and arrays;
 * network_done() frees them.
 */
#include "tools/neap/train/network.h"
#include "tools/neap/train/network_index.h"
#include "tools/neap/train/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int32_t network_cut(int32_t channels, float fraction)
{
	int32_t c = (int32_t)lrintf((float)channels * fraction);

	if (channels <= 8)
		return NE_CLAMP(c, 1, channels);
	c = (int32_t)floorf((float)channels * fraction / 8.0f + 0.5f) * 8;
	if (fraction >= 1.0f || c > channels)
		return channels;
	return NE_MAX(c, 8);
}

int32_t network_channels(const struct network *n, const int32_t *active, uint32_t tensor)
{
	const struct ne_tensor *t = &n->graph.tensor[tensor];

	return t->group == NE_NO_GROUP ? t->shape.dim[t->shape.rank - 1] : active[t->group];
}

size_t network_elements(const struct network *n, const int32_t *active, uint32_t tensor)
{
	const struct ne_shape *s = &n->graph.tensor[tensor].shape;
	size_t count = (size_t)network_channels(n, active, tensor);

	for (uint32_t i = 0; i + 1 < s->rank; i++)
		count *= (size_t)s->dim[i];
	return count;
}

/* Inputs of a node that are trained: weights, biases, gamma and beta. */
static uint32_t trained_inputs(const struct ne_node *n)
{
	switch (n->op) {
	case NE_OP_CONV:
	case NE_OP_DWCONV:
	case NE_OP_DENSE:
	case NE_OP_BATCHNORM:
		return NE_MIN(n->n_in, 3u);
	default:
		return 0;
	}
}

static int index_parameters(struct network *n, struct ne_error *err)
{
	const struct ne_graph *g = &n->graph;

	n->theta_of = malloc(g->n_tensor * sizeof(*n->theta_of));
	n->stat_of = malloc(g->n_node * sizeof(*n->stat_of));
	if (!n->theta_of || !n->stat_of)
		return ne_fail(err, ENOMEM, "network: out of memory");
	for (uint32_t i = 0; i < g->n_tensor; i++)
		n->theta_of[i] = NETWORK_NONE;
	n->n_theta = n->n_stat = 0;
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *node = &g->node[i];

		n->stat_of[i] = NETWORK_NONE;
		if (node->op == NE_OP_BATCHNORM) {
			n->stat_of[i] = n->n_stat;
			n->n_stat += ne_shape_elements(&g->tensor[node->in[1]].shape);
		}
		for (uint32_t k = 1; k < trained_inputs(node); k++) {
			uint32_t t = node->in[k];

			if (t == NE_NONE || n->theta_of[t] != NETWORK_NONE)
				continue;
			if (!g->tensor[t].data || g->tensor[t].dtype != NE_F32)
				return ne_fail(
					err, EINVAL,
					"node %s: its weights are no f32 constant, cannot train it",
					node->name);
			n->theta_of[t] = n->n_theta;
			n->n_theta += ne_shape_elements(&g->tensor[t].shape);
		}
	}
	return 0;
}

static int index_widths(struct network *n, const struct recipe *r, struct ne_error *err)
{
	n->n_width = r->n_width;
	for (uint32_t w = 0; w < r->n_width; w++) {
		n->active[w] = calloc(n->graph.n_group + 1, sizeof(**n->active));
		if (!n->active[w])
			return ne_fail(err, ENOMEM, "network: out of memory");
		for (uint32_t g = 1; g <= n->graph.n_group; g++)
			n->active[w][g] = network_cut(n->graph.group_channels[g], r->width[w]);
		if (w && !memcmp(n->active[w], n->active[w - 1],
				 (n->graph.n_group + 1) * sizeof(**n->active)))
			return ne_fail(
				err, EINVAL,
				"%s: [widths] %g and %g give the same channels (multiples of 8); "
				"leave one out",
				r->path, (double)r->width[w - 1], (double)r->width[w]);
	}
	return 0;
}

int network_index(struct network *n, const struct recipe *r, struct ne_error *err)
{
	NE_RETURN_IF(index_parameters(n, err));
	return index_widths(n, r, err);
}

bool network_decays(const struct network *n, uint32_t tensor)
{
	return n->graph.tensor[tensor].shape.rank > 1;
}

static void init_weights(struct rng *rng, const struct ne_tensor *t, size_t fan_in, float *theta)
{
	size_t count = ne_shape_elements(&t->shape);
	float sigma = sqrtf(2.0f / (float)fan_in);

	for (size_t i = 0; i < count; i++)
		theta[i] = sigma * rng_normal(rng);
}

static size_t fan_in(const struct network *n, const int32_t *active, const struct ne_node *node)
{
	const struct ne_shape *w = &n->graph.tensor[node->in[1]].shape;
	size_t c = (size_t)network_channels(n, active, node->in[0]);

	if (node->op == NE_OP_DENSE)
		return c;
	if (node->op == NE_OP_DWCONV)
		return (size_t)w->dim[0] * (size_t)w->dim[1];
	return (size_t)w->dim[1] * (size_t)w->dim[2] * c;
}

void network_init_theta(const struct network *n, const int32_t *active, uint32_t seed, bool fresh,
			float *theta)
{
	const struct ne_graph *g = &n->graph;
	struct rng rng = rng_make(seed, RNG_INIT, 0);

	for (uint32_t i = 0; i < g->n_tensor; i++)
		if (n->theta_of[i] != NETWORK_NONE)
			memcpy(theta + n->theta_of[i], g->tensor[i].data,
			       ne_shape_elements(&g->tensor[i].shape) * sizeof(*theta));
	if (!fresh)
		return;
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *node = &g->node[i];

		if (node->op == NE_OP_CONV || node->op == NE_OP_DWCONV || node->op == NE_OP_DENSE)
			init_weights(&rng, &g->tensor[node->in[1]], fan_in(n, active, node),
				     theta + n->theta_of[node->in[1]]);
	}
}

void network_done(struct network *n)
{
	ne_graph_done(&n->graph);
	for (uint32_t w = 0; w < RECIPE_MAX_WIDTHS; w++)
		free(n->active[w]);
	free(n->theta_of);
	free(n->stat_of);
	memset(n, 0, sizeof(*n));
}
