/* SPDX-License-Identifier: MIT */
/*
 * The network of a quantised model on real values: f32 weights and activations, for networks of
 * which there is but the quantised file. What the ranges of 8 bits clamp, a relu or relu6 clamps.
 * Channels of the input are last. Accuracy is not what this is for.
 */
#include "tests/bench/peers/measure.h"

#include "engine/model/container.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>

/* All that read @from read @to instead. */
static void replace(struct ne_graph *g, uint32_t from, uint32_t to)
{
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_in; k++)
			if (g->node[i].in[k] == from)
				g->node[i].in[k] = to;
	for (uint32_t k = 0; k < g->exit[0].n_out; k++)
		if (g->exit[0].out[k] == from)
			g->exit[0].out[k] = to;
}

/* Takes @data, the values of constant @t, over. */
static void make_real(struct ne_tensor *t, float *data)
{
	free(t->data);
	free(t->scale);
	t->scale = NULL;
	t->n_scale = 0;
	t->data = data;
	t->bytes = ne_shape_elements(&t->shape) * sizeof(*data);
	t->dtype = NE_F32;
}

/* The weights and the bias of @n, of values scaled by @sx. */
static int real_weights(struct ne_graph *g, const struct ne_node *n, float sx, struct ne_error *err)
{
	struct ne_tensor *w = &g->tensor[n->in[1]], *b = NULL;
	const size_t elements = ne_shape_elements(&w->shape);
	const size_t oc = (size_t)(n->op == NE_OP_DWCONV ? w->shape.dim[2] : w->shape.dim[0]);
	float *wf = malloc(elements * sizeof(*wf)), *bf = malloc(oc * sizeof(*bf));

	if (n->n_in > 2 && n->in[2] != NE_NONE)
		b = &g->tensor[n->in[2]];
	if (!wf || !bf || w->dtype != NE_S8 || n->attr.norm || (b && b->dtype != NE_S32)) {
		free(wf);
		free(bf);
		return ne_node_fail(err, EINVAL, n,
				    "only s8 weights beside a s32 bias become real");
	}
	for (size_t i = 0; i < elements; i++) {
		const size_t c = n->op == NE_OP_DWCONV ? i % oc : i / (elements / oc);

		wf[i] = (float)((const int8_t *)w->data)[i] * w->scale[w->n_scale == 1 ? 0 : c];
	}
	for (size_t c = 0; b && c < oc; c++)
		bf[c] = (float)((const int32_t *)b->data)[c] * sx *
			w->scale[w->n_scale == 1 ? 0 : c];
	make_real(w, wf);
	if (b)
		make_real(b, bf);
	else
		free(bf);
	return 0;
}

/* The activation that 8 bits of quantisation @q are. */
static int32_t activation(struct ne_quant q)
{
	if (q.zero != INT8_MIN)
		return NE_ACT_NONE;
	return fabsf(255.0f * q.scale - 6.0f) < 0.06f ? NE_ACT_RELU6 : NE_ACT_RELU;
}

static int real_graph(struct ne_graph *g, const struct ne_quant *quant, struct ne_error *err)
{
	for (uint32_t i = 0; i < g->n_node; i++) {
		struct ne_node *n = &g->node[i];

		if (n->op == NE_OP_QUANTISE || n->op == NE_OP_DEQUANTISE) {
			replace(g, n->out[0], n->in[0]);
		} else if (n->op == NE_OP_TRANSPOSE && n->in[0] == g->in[0]) {
			g->tensor[n->in[0]].shape = g->tensor[n->out[0]].shape;
			replace(g, n->out[0], n->in[0]);
		} else if (n->op == NE_OP_CONV || n->op == NE_OP_DWCONV || n->op == NE_OP_DENSE) {
			n->attr.act = activation(quant[n->out[0]]);
			NE_RETURN_IF(real_weights(g, n, quant[n->in[0]].scale, err));
		}
	}
	for (uint32_t t = 0; t < g->n_tensor; t++)
		if (!g->tensor[t].data)
			g->tensor[t].dtype = NE_F32;
	return ne_graph_compact(g, err);
}

int write_real(const char *from, const char *to, struct ne_error *err)
{
	struct ne_model *m = NULL, *real = ne_model_new();
	int r = ne_container_load(from, NULL, &m, err);

	if (r == 0 && (!real || ne_graph_copy(&real->graph, &m->graph) < 0))
		r = ne_fail(err, ENOMEM, "out of memory");
	if (r == 0)
		r = real_graph(&real->graph, m->width[0].quant, err);
	if (r == 0)
		r = ne_model_add_default_levels(real, err);
	if (r == 0)
		r = ne_container_save(to, real, 0, err);
	ne_model_free(m);
	ne_model_free(real);
	return r;
}
