/* SPDX-License-Identifier: MIT */
/* Checking a model: its graph, then widths, norms, quantisation and levels against the graph. */
#include "engine/model/model.h"
#include "engine/op/op.h"

#include <math.h>

static int check_counts(const struct ne_model *m, struct ne_error *err)
{
	if (m->n_width > NE_MAX_WIDTHS || m->n_norm > NE_MAX_NORMS || m->n_level > NE_MAX_LEVELS ||
	    m->n_label > NE_MAX_LABELS || m->n_note > NE_MAX_NOTES)
		return ne_fail(
			err, E2BIG,
			"%u widths, %u norms, %u levels, %u labels, %u notes: the limits are "
			"%u, %u, %u, %u, %u",
			m->n_width, m->n_norm, m->n_level, m->n_label, m->n_note, NE_MAX_WIDTHS,
			NE_MAX_NORMS, NE_MAX_LEVELS, NE_MAX_LABELS, NE_MAX_NOTES);
	if (!m->n_width || !m->n_level || !m->width || !m->level)
		return ne_fail(err, EINVAL, "the model has no width setting or no level");
	if (!(m->confidence >= 0 && m->confidence <= 1))
		return ne_fail(err, EINVAL, "the confidence threshold is not between 0 and 1");
	return 0;
}

static int check_active(const struct ne_model *m, uint32_t w, struct ne_error *err)
{
	const struct ne_graph *g = &m->graph;

	for (uint32_t i = 1; i <= g->n_group; i++) {
		int32_t a = m->width[w].active[i], full = g->group_channels[i];

		if (a < 1 || a > full)
			return ne_fail(err, EINVAL, "width %u: %d of %d channels in group %u", w, a,
				       full, i);
		if (full > 8 && a % 8 && a != full)
			return ne_fail(err, EINVAL,
				       "width %u: %d channels in group %u; must be a multiple of 8",
				       w, a, i);
	}
	return 0;
}

/* The range of a quantised activation, as its type allows. */
static int check_quant(const struct ne_model *m, uint32_t w, uint32_t id, struct ne_error *err)
{
	const struct ne_tensor *t = &m->graph.tensor[id];
	const struct ne_quant *q = &m->width[w].quant[id];
	int32_t lo = t->dtype == NE_U8 ? 0 : t->dtype == NE_S16 ? INT16_MIN : INT8_MIN;
	int32_t hi = t->dtype == NE_U8 ? UINT8_MAX : t->dtype == NE_S16 ? INT16_MAX : INT8_MAX;

	if (!isfinite(q->scale) || q->scale < 0)
		return ne_fail(err, EINVAL, "width %u: tensor '%.80s': scale is not a number >= 0",
			       w, t->name);
	if (q->scale > 0 && (q->zero < lo || q->zero > hi))
		return ne_fail(err, EINVAL,
			       "width %u: tensor '%.80s': zero point %d is outside of %s", w,
			       t->name, q->zero, ne_dtype_name(t->dtype));
	return 0;
}

static bool quantised(const struct ne_model *m, uint32_t w, uint32_t id)
{
	const struct ne_tensor *t = &m->graph.tensor[id];

	return m->width[w].quant[id].scale > 0 ||
	       (t->data && t->dtype == NE_S8 && t->n_scale == 1 && t->scale[0] > 0);
}

/* u8 weights have a scale and a zero point; they are packed once, so the same at every width. */
static int check_u8_weights(const struct ne_model *m, uint32_t w, const struct ne_node *n,
			    struct ne_error *err)
{
	const struct ne_quant *q = &m->width[w].quant[n->in[1]];
	const struct ne_quant *first = &m->width[0].quant[n->in[1]];

	if (!(q->scale > 0))
		return ne_node_fail(err, EINVAL, n, "width %u: u8 weights have no scale", w);
	if (q->zero != first->zero)
		return ne_node_fail(err, EINVAL, n,
				    "width %u: u8 weights have zero point %d, and %d at width 0", w,
				    q->zero, first->zero);
	return 0;
}

/* Every s8 tensor that stands for real values, and what is dequantised, has a scale. */
static int check_node(const struct ne_model *m, uint32_t w, const struct ne_node *n,
		      struct ne_error *err)
{
	const struct ne_graph *g = &m->graph;
	bool weights = n->op == NE_OP_CONV || n->op == NE_OP_DWCONV || n->op == NE_OP_DENSE;
	uint32_t n_in = weights ? 1 : n->n_in;
	bool integers = ne_op_info(n->op)->takes_integers;

	for (uint32_t k = 0; k < n_in; k++) {
		const struct ne_tensor *t = ne_node_in(g, n, k);
		bool wants = t && (t->dtype == NE_S8 || n->op == NE_OP_DEQUANTISE ||
				   (n->op == NE_OP_QUANTISE && t->dtype == NE_U8));

		if (wants && !integers && !quantised(m, w, n->in[k]))
			return ne_node_fail(err, EINVAL, n,
					    "width %u: input '%.60s' has no quantisation scale", w,
					    t->name);
	}
	if (weights && ne_node_in(g, n, 1)->dtype == NE_U8)
		NE_RETURN_IF(check_u8_weights(m, w, n, err));
	if (ne_node_out(g, n)->dtype == NE_S8 && !integers && !quantised(m, w, n->out[0]))
		return ne_node_fail(err, EINVAL, n,
				    "width %u: output '%.60s' has no quantisation scale", w,
				    ne_node_out(g, n)->name);
	if (n->attr.norm) {
		const struct ne_norm *norm;
		int32_t c = ne_model_channels(m, w, n->out[0]);

		if (!weights || n->attr.norm > m->n_norm)
			return ne_node_fail(err, EINVAL, n, "no norm %u for it", n->attr.norm);
		norm = &m->width[w].norm[n->attr.norm - 1];
		if (norm->n != (uint32_t)c)
			return ne_node_fail(err, EINVAL, n,
					    "width %u: norm of %u channels for %d active", w,
					    norm->n, c);
	}
	return 0;
}

/* What a state holds means the same in both runs. */
static int check_states(const struct ne_model *m, uint32_t w, struct ne_error *err)
{
	for (uint32_t i = 0; i < m->graph.n_state; i++) {
		const struct ne_graph_state *s = &m->graph.state[i];
		const struct ne_quant *in = &m->width[w].quant[s->in];
		const struct ne_quant *out = &m->width[w].quant[s->out];

		if (in->scale != out->scale || (in->scale > 0 && in->zero != out->zero))
			return ne_fail(err, EINVAL,
				       "width %u: state %u ('%.80s') and its next value differ in "
				       "quantisation",
				       w, i, m->graph.tensor[s->in].name);
	}
	return 0;
}

static int check_norms(const struct ne_model *m, uint32_t w, struct ne_error *err)
{
	for (uint32_t i = 0; i < m->n_norm; i++) {
		const struct ne_norm *n = &m->width[w].norm[i];

		if (n->n > NE_MAX_DIM || (n->n && (!n->scale || !n->bias)))
			return ne_fail(err, EINVAL, "width %u: norm %u is incomplete", w, i);
		for (uint32_t k = 0; k < n->n; k++)
			if (!isfinite(n->scale[k]) || !isfinite(n->bias[k]))
				return ne_fail(err, EINVAL,
					       "width %u: norm %u: channel %u is not a number", w,
					       i, k);
	}
	return 0;
}

static int check_width(const struct ne_model *m, uint32_t w, struct ne_error *err)
{
	const struct ne_width *s = &m->width[w];

	if (!s->active || !s->quant || (m->n_norm && !s->norm))
		return ne_fail(err, EINVAL, "width %u is incomplete", w);
	NE_RETURN_IF(check_active(m, w, err));
	for (uint32_t t = 0; t < m->graph.n_tensor; t++)
		NE_RETURN_IF(check_quant(m, w, t, err));
	for (uint32_t i = 0; i < m->graph.n_node; i++)
		NE_RETURN_IF(check_node(m, w, &m->graph.node[i], err));
	NE_RETURN_IF(check_states(m, w, err));
	return check_norms(m, w, err); /* after the counts are known to be right */
}

static int check_levels(const struct ne_model *m, struct ne_error *err)
{
	bool front_over = false;
	uint64_t macs = 0;

	for (uint32_t i = 0; i < m->n_level; i++) {
		const struct ne_level *l = &m->level[i];

		if (l->depth >= m->graph.n_exit || l->width >= m->n_width)
			return ne_fail(err, EINVAL, "level %u: no exit %u or no width %u", i,
				       l->depth, l->width);
		if (!isfinite(l->accuracy) || !isfinite(l->latency_us) || !isfinite(l->energy_uj) ||
		    !isfinite(l->control_accuracy) || !isfinite(l->f32_accuracy) ||
		    l->latency_us < 0 || l->energy_uj < 0)
			return ne_fail(err, EINVAL,
				       "level %u: a figure is not a number or negative", i);
		if (!(l->flags & NE_LEVEL_PARETO)) {
			front_over = true;
			continue;
		}
		if (front_over || l->macs < macs)
			return ne_fail(err, EINVAL,
				       "level %u: levels on the front come first, by rising MACs",
				       i);
		macs = l->macs;
	}
	return 0;
}

static int check_texts(const struct ne_model *m, struct ne_error *err)
{
	if ((m->n_label && !m->label) || (m->n_note && !m->note))
		return ne_fail(err, EINVAL, "labels or notes are missing");
	for (uint32_t i = 0; i < m->n_label; i++)
		if (!m->label[i])
			return ne_fail(err, EINVAL, "label %u is missing", i);
	for (uint32_t i = 0; i < m->n_note; i++)
		if (!m->note[i].key || !m->note[i].value)
			return ne_fail(err, EINVAL, "note %u is missing", i);
	return 0;
}

int ne_model_check(const struct ne_model *m, struct ne_error *err)
{
	NE_RETURN_IF(ne_graph_check(&m->graph, err));
	NE_RETURN_IF(check_counts(m, err));
	for (uint32_t w = 0; w < m->n_width; w++)
		NE_RETURN_IF(check_width(m, w, err));
	NE_RETURN_IF(check_levels(m, err));
	return check_texts(m, err);
}
