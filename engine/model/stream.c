/* SPDX-License-Identifier: MIT */
/* Streaming: the options against the model, the new graph, and the rest of the model around it. */
#include "engine/model/stream.h"
#include "engine/model/stream_build.h"
#include "engine/op/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- options ---- */

/* The sliding input's track. */
static int take_options(const struct ne_model *m, const struct ne_stream_options *o,
			struct ne_track *ret, struct ne_error *err)
{
	const struct ne_graph *g = &m->graph;
	const struct ne_tensor *t;
	int32_t axis = o->axis;

	if (g->n_state)
		return ne_fail(err, EINVAL,
			       "the model keeps values from run to run already (%u of them)",
			       g->n_state);
	if (o->input >= g->n_in)
		return ne_fail(err, EINVAL, "there is no input %u; the model has %u", o->input,
			       g->n_in);
	t = &g->tensor[g->in[o->input]];
	for (uint32_t i = 1; !axis && i < t->shape.rank; i++)
		axis = t->shape.dim[i] > 1 ? (int32_t)i : 0;
	if (axis < 1 || (uint32_t)axis >= t->shape.rank)
		return ne_fail(
			err, EINVAL,
			"input '%.80s' has no axis %d that could slide: after the batch it has "
			"axes 1 to %d",
			t->name, axis, (int)t->shape.rank - 1);
	if (o->step < 1 || o->step >= t->shape.dim[axis])
		return ne_fail(err, EINVAL,
			       "a step of %d along axis %d of input '%.80s': 1 to %d are possible, "
			       "less than its %d rows",
			       o->step, axis, t->name, t->shape.dim[axis] - 1, t->shape.dim[axis]);
	*ret = (struct ne_track){
		.motion = NE_SLIDES,
		.axis = (uint32_t)axis,
		.length = t->shape.dim[axis],
		.fresh = o->step,
	};
	return 0;
}

/* ---- the model around the graph ---- */

static int copy_norms(struct ne_width *to, const struct ne_width *from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct ne_norm *x = &from->norm[i];
		struct ne_norm *y = &to->norm[i];

		y->scale = calloc(x->n + 1u, sizeof(*y->scale));
		y->bias = calloc(x->n + 1u, sizeof(*y->bias));
		if (!y->scale || !y->bias)
			return -ENOMEM;
		y->n = x->n;
		if (x->n) {
			memcpy(y->scale, x->scale, x->n * sizeof(*y->scale));
			memcpy(y->bias, x->bias, x->n * sizeof(*y->bias));
		}
	}
	return 0;
}

static int copy_widths(struct ne_model *s, const struct ne_model *m, const uint32_t *origin)
{
	const struct ne_graph *g = &s->graph;

	s->width = calloc(m->n_width, sizeof(*s->width));
	if (!s->width)
		return -ENOMEM;
	s->n_width = m->n_width;
	s->n_norm = m->n_norm;
	for (uint32_t w = 0; w < m->n_width; w++) {
		struct ne_width *v = &s->width[w];

		v->active = calloc(g->n_group + 1u, sizeof(*v->active));
		v->quant = calloc(g->n_tensor + 1u, sizeof(*v->quant));
		v->norm = calloc(s->n_norm + 1u, sizeof(*v->norm));
		if (!v->active || !v->quant || !v->norm)
			return -ENOMEM;
		for (uint32_t i = 1; i <= g->n_group; i++)
			v->active[i] = m->width[w].active[i];
		for (uint32_t t = 0; t < g->n_tensor; t++)
			v->quant[t] = m->width[w].quant[origin[t]];
		NE_RETURN_IF(copy_norms(v, &m->width[w], m->n_norm));
	}
	return 0;
}

/* Answers are the full model's, costs are not: levels are put in order by them again. */
static int copy_levels(struct ne_model *s, const struct ne_model *m)
{
	s->level = calloc(m->n_level, sizeof(*s->level));
	if (!s->level)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_level; i++) {
		struct ne_level l = m->level[i];
		uint32_t at = i;

		l.macs = ne_model_macs(s, l.depth, l.width);
		l.latency_us = l.energy_uj = 0;
		for (; at && l.flags & NE_LEVEL_PARETO && s->level[at - 1].macs > l.macs; at--)
			s->level[at] = s->level[at - 1];
		s->level[at] = l;
	}
	s->n_level = m->n_level;
	s->confidence = m->confidence;
	return 0;
}

static int copy_texts(struct ne_model *s, const struct ne_model *m)
{
	s->label = calloc(m->n_label + 1u, sizeof(*s->label));
	if (!s->label)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_label; i++) {
		s->label[i] = strdup(m->label[i]);
		if (!s->label[i])
			return -ENOMEM;
		s->n_label = i + 1;
	}
	for (uint32_t i = 0; i < m->n_note; i++)
		NE_RETURN_IF(ne_model_set_note(s, m->note[i].key, m->note[i].value));
	return 0;
}

static int add_notes(struct ne_model *s, const char *input, const struct ne_stream_summary *u)
{
	char text[300];

	snprintf(text, sizeof(text), "%.80s: %d of %d rows along axis %d", input, u->step,
		 u->window, u->axis);
	NE_RETURN_IF(ne_model_set_note(s, "stream", text));
	snprintf(text, sizeof(text), "%u", u->fill);
	return ne_model_set_note(s, "stream_fill_runs", text);
}

static int surround(struct ne_model *s, const struct ne_model *m, const uint32_t *origin,
		    const char *input, const struct ne_stream_summary *u)
{
	NE_RETURN_IF(copy_widths(s, m, origin));
	NE_RETURN_IF(copy_levels(s, m));
	NE_RETURN_IF(copy_texts(s, m));
	return add_notes(s, input, u);
}

/* ---- all of it ---- */

static void tell(const struct ne_graph *g, const struct ne_track *t, const struct ne_node_track *n,
		 const struct ne_stream_options *o, struct ne_stream_summary *u)
{
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *v = &g->node[i];

		if (t[v->out[0]].motion == NE_FIXED)
			continue;
		u->nodes++;
		u->sliding += n[i].slides;
		if (n[i].why && o->node)
			o->node(o->user, v->name, ne_op_name(v->op), n[i].why);
	}
}

/*
 * Do outputs give new rows alone at some exits and all rows at others? Their shapes must agree. And
 * where the last rows are unlike those that slide the new ones alone would say little.
 */
static bool want_whole(const struct ne_graph *g, const struct ne_track *t)
{
	for (uint32_t e = 0; e < g->n_exit; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++) {
			const struct ne_track *x = &t[g->exit[0].out[k]];
			const struct ne_track *y = &t[g->exit[e].out[k]];
			bool slides = x->motion == NE_SLIDES;

			if (ne_track_has_ends(y) || slides != (y->motion == NE_SLIDES) ||
			    (slides && (x->axis != y->axis || x->fresh != y->fresh)))
				return true;
		}
	return false;
}

static int make(const struct ne_model *m, const struct ne_stream_options *o, struct ne_track first,
		struct ne_track *t, struct ne_node_track *n, struct ne_model **ret,
		struct ne_stream_summary *u, struct ne_error *err)
{
	const struct ne_graph *g = &m->graph;
	struct ne_stream_graph built;
	struct ne_model *s = ne_model_new();
	bool whole = o->whole;
	int r;

	if (!s)
		return ne_fail(err, ENOMEM, "out of memory");
	ne_stream_follow(g, o->input, first, whole, t, n);
	if (!whole && want_whole(g, t)) {
		whole = true;
		ne_stream_follow(g, o->input, first, whole, t, n);
	}
	r = ne_stream_build(g, t, n, whole, &built, err);
	if (r < 0) {
		ne_model_free(s);
		return r;
	}
	s->graph = built.graph;
	u->states = s->graph.n_state;
	r = surround(s, m, built.origin, g->tensor[g->in[o->input]].name, u);
	free(built.origin);
	if (r < 0)
		ne_fail(err, -r, "out of memory");
	else
		r = ne_model_check(s, err);
	if (r < 0) {
		ne_model_free(s);
		return r;
	}
	tell(g, t, n, o, u);
	*ret = s;
	return 0;
}

int ne_stream_model(const struct ne_model *m, const struct ne_stream_options *o,
		    struct ne_model **ret, struct ne_stream_summary *ret_summary,
		    struct ne_error *err)
{
	struct ne_stream_summary u = {0};
	struct ne_node_track *n;
	struct ne_track first, *t;
	int r;

	NE_RETURN_IF(take_options(m, o, &first, err));
	u.axis = (int32_t)first.axis;
	u.window = first.length;
	u.step = first.fresh;
	u.fill = (uint32_t)((first.length + first.fresh - 1) / first.fresh);
	t = calloc(m->graph.n_tensor + 1u, sizeof(*t));
	n = calloc(m->graph.n_node + 1u, sizeof(*n));
	r = t && n ? make(m, o, first, t, n, ret, &u, err) : ne_fail(err, ENOMEM, "out of memory");
	free(t);
	free(n);
	if (r == 0 && ret_summary)
		*ret_summary = u;
	return r;
}
