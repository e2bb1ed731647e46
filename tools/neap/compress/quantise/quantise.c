/* SPDX-License-Identifier: MIT */
/*
 * Puts the s8 model together: the graph from place.c, scales from the ranges that observe.c saw,
 * and what carries over from the f32 model (widths, norms, levels, labels, notes).
 */
#include "tools/neap/compress/quantise/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- what carries over ---- */

static void *copy_bytes(const void *src, size_t bytes)
{
	void *p = malloc(bytes ? bytes : 1);

	if (p && bytes)
		memcpy(p, src, bytes);
	return p;
}

static int copy_width(struct ne_width *dst, const struct ne_width *src, const struct ne_model *m,
		      uint32_t n_tensor)
{
	dst->active =
		src->active ? copy_bytes(src->active, (m->graph.n_group + 1) * sizeof(*src->active))
			    : calloc(m->graph.n_group + 1, sizeof(*dst->active));
	dst->quant = calloc(n_tensor, sizeof(*dst->quant));
	dst->norm = calloc(m->n_norm + 1, sizeof(*dst->norm));
	if (!dst->active || !dst->quant || !dst->norm)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_norm; i++) {
		const struct ne_norm *s = &src->norm[i];

		dst->norm[i].scale = copy_bytes(s->scale, s->n * sizeof(float));
		dst->norm[i].bias = copy_bytes(s->bias, s->n * sizeof(float));
		if (!dst->norm[i].scale || !dst->norm[i].bias)
			return -ENOMEM;
		dst->norm[i].n = s->n;
	}
	return 0;
}

static int copy_widths(struct ne_model *dst, const struct ne_model *src)
{
	dst->width = calloc(src->n_width, sizeof(*dst->width));
	if (!dst->width)
		return -ENOMEM;
	dst->n_norm = src->n_norm;
	for (uint32_t w = 0; w < src->n_width; w++) {
		dst->n_width = w + 1; /* so that a failure half-way is freed */
		NE_RETURN_IF(copy_width(&dst->width[w], &src->width[w], src, dst->graph.n_tensor));
	}
	return 0;
}

/* Accuracies were the f32 model's: the s8 model's are yet to be measured. */
static int copy_levels(struct ne_model *dst, const struct ne_model *src)
{
	dst->level = copy_bytes(src->level, src->n_level * sizeof(*src->level));
	if (!dst->level)
		return -ENOMEM;
	dst->n_level = src->n_level;
	for (uint32_t i = 0; i < dst->n_level; i++) {
		struct ne_level *l = &dst->level[i];

		if (l->accuracy >= 0)
			l->f32_accuracy = l->accuracy;
		l->accuracy = -1;
		l->latency_us = 0;
		l->energy_uj = 0;
	}
	return 0;
}

static int copy_texts(struct ne_model *dst, const struct ne_model *src)
{
	dst->confidence = src->confidence;
	if (src->n_label) {
		dst->label = calloc(src->n_label, sizeof(*dst->label));
		if (!dst->label)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < src->n_label; i++) {
		dst->label[i] = strdup(src->label[i]);
		if (!dst->label[i])
			return -ENOMEM;
		dst->n_label = i + 1;
	}
	for (uint32_t i = 0; i < src->n_note; i++)
		NE_RETURN_IF(ne_model_set_note(dst, src->note[i].key, src->note[i].value));
	return 0;
}

/* ---- ranges to scales ---- */

/* Ranges that the operator fixes, and those that the u8 input's own scale gives. */
static void known_ranges(const struct ne_model *f32, const struct placed *placed, uint32_t width,
			 struct range *range)
{
	const struct ne_graph *g = &f32->graph;

	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct s8_op *op = s8_op_find(g->node[i].op);

		if (op && op->lo < op->hi)
			range[g->node[i].out[0]] =
				(struct range){.lo = op->lo, .hi = op->hi, .seen = true};
	}
	for (uint32_t t = 0; t < g->n_tensor; t++) {
		uint32_t x = placed->shifted[t];
		struct ne_quant q;
		int32_t least;

		if (x == NE_NONE)
			continue;
		q = f32->width[width].quant[x];
		least = g->tensor[x].dtype == NE_U8 ? 0 : -128;
		range[t] = (struct range){
			.lo = (float)(least - q.zero) * q.scale,
			.hi = (float)(least + 255 - q.zero) * q.scale,
			.seen = true,
		};
	}
}

/* A tensor that the engine fused away is not seen; what its reader writes stands in: the reader is
 * an activation that clips, so the scale of its output keeps all that matters. */
static void borrow_ranges(const struct ne_graph *g, struct range *range)
{
	for (uint32_t i = g->n_node; i-- > 0;) {
		const struct ne_node *n = &g->node[i];

		if (n->n_out != 1 || !range[n->out[0]].seen)
			continue;
		for (uint32_t k = 0; k < n->n_in; k++)
			if (n->in[k] != NE_NONE && !range[n->in[k]].seen)
				range[n->in[k]] = range[n->out[0]];
	}
}

static void share_ranges(const struct placed *placed, uint32_t n_tensor, const bool *has_s8,
			 struct range *range)
{
	for (uint32_t t = 0; t < n_tensor; t++) {
		uint32_t root = placed->root[t];

		if (root != t && has_s8[t])
			range[root] = range_union(range[root], range[t]);
	}
	for (uint32_t t = 0; t < n_tensor; t++)
		range[t] = range[placed->root[t]];
}

/* The s8 form of a u8 or s8 tensor with the same step needs no rounding at all: exact. */
static struct ne_quant prefer_exact(struct ne_quant q, struct ne_quant x, enum ne_dtype dtype)
{
	int32_t zero = dtype == NE_U8 ? x.zero - 128 : x.zero;
	float ratio = q.scale / x.scale;

	if (ratio > 0.9999f && ratio < 1.0001f && zero == q.zero)
		return (struct ne_quant){.scale = x.scale, .zero = zero};
	return q;
}

static int set_quant(struct ne_model *dst, const struct ne_model *f32, const struct placed *placed,
		     uint32_t width, const struct range *range, struct ne_error *err)
{
	struct ne_quant *quant = dst->width[width].quant;

	for (uint32_t i = 0; i < dst->graph.n_tensor; i++) {
		const struct ne_tensor *t = &dst->graph.tensor[i];
		uint32_t origin = placed->origin[i], x = placed->shifted[origin];

		if (t->data)
			continue;
		if (t->dtype != NE_S8 || f32->graph.tensor[origin].dtype == NE_S8) {
			quant[i] = f32->width[width].quant[origin];
			continue;
		}
		if (!range[origin].seen)
			return ne_fail(err, ENODATA,
				       "quantise: tensor %s took no value in calibration", t->name);
		quant[i] = range_quant(range[origin]);
		if (x != NE_NONE)
			quant[i] = prefer_exact(quant[i], f32->width[width].quant[x],
						f32->graph.tensor[x].dtype);
	}
	return 0;
}

static int calibrate(struct ne_model *dst, const struct ne_model *f32, const struct placed *placed,
		     struct range *range, struct ne_error *err)
{
	uint32_t n = f32->graph.n_tensor;
	bool *has_s8 = calloc(n + 1, sizeof(*has_s8));
	int r = 0;

	if (!has_s8)
		return ne_fail(err, ENOMEM, "quantise: no memory");
	for (uint32_t i = 0; i < dst->graph.n_tensor; i++)
		if (dst->graph.tensor[i].dtype == NE_S8)
			has_s8[placed->origin[i]] = true;
	for (uint32_t w = 0; w < f32->n_width && r >= 0; w++) {
		struct range *of_width = range + (size_t)w * n;

		known_ranges(f32, placed, w, of_width);
		borrow_ranges(&f32->graph, of_width);
		share_ranges(placed, n, has_s8, of_width);
		r = set_quant(dst, f32, placed, w, of_width, err);
	}
	free(has_s8);
	return r;
}

int quantise_model(const struct ne_model *f32, const struct data_set *calib,
		   const struct quantise_options *opt, struct ne_model **ret, struct ne_error *err)
{
	struct placed placed = {.origin = NULL};
	struct ne_model *m = NULL;
	struct range *range;
	int r;

	range = calloc((size_t)f32->n_width * f32->graph.n_tensor + 1, sizeof(*range));
	if (!range)
		return ne_fail(err, ENOMEM, "quantise: no memory for ranges");
	r = ranges_observe(f32, calib, opt, range, err);
	if (r < 0)
		goto out;
	r = place_graph(&f32->graph, &placed, err);
	if (r < 0)
		goto out;
	m = ne_model_new();
	if (!m) {
		r = ne_fail(err, ENOMEM, "quantise: no memory for the model");
		goto out;
	}
	m->graph = placed.graph; /* taken over */
	ne_graph_init(&placed.graph);
	r = copy_widths(m, f32);
	if (r >= 0)
		r = copy_levels(m, f32);
	if (r >= 0)
		r = copy_texts(m, f32);
	if (r < 0) {
		ne_fail(err, -r, "quantise: no memory for the model");
		goto out;
	}
	r = calibrate(m, f32, &placed, range, err);
	if (r >= 0)
		r = ne_model_check(m, err);
out:
	placed_done(&placed);
	free(range);
	if (r < 0) {
		ne_model_free(m);
		return r;
	}
	*ret = m;
	return 0;
}
