// SPDX-License-Identifier: MIT
/*
 * The sections levels, calibration, labels and notes. What is read belongs to the model.
 *
 * Calibration holds, per width setting, what cannot be shared: active channels, activation ranges of
 * the tensors that have any, folded batch norms. With ten settings this is the second largest part
 * of a small file, so ids are listed once and norms may be f16.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/container_sections.h"

static bool measure_valid(float v, float top)
{
	return isfinite(v) && v <= top;
}

static int level_read(struct ne_reader *r, struct ne_model *m, uint32_t id)
{
	struct ne_level *l = &m->level[id];
	struct neap_file_level f;
	const uint8_t *p = NULL;

	NE_RETURN_IF(ne_rd_bytes(r, sizeof(f), &p, "level"));
	memcpy(&f, p, sizeof(f));
	if (f.flags & ~NE_LEVEL_PARETO)
		return ne_rd_fail(r, EBADMSG, "level %u: flags 0x%04x", id, f.flags);
	if (!measure_valid(f.accuracy, 1.0f) || !measure_valid(f.control_accuracy, 1.0f) ||
	    !measure_valid(f.f32_accuracy, 1.0f))
		return ne_rd_fail(r, EBADMSG, "level %u: an accuracy that is no share of one", id);
	if (!measure_valid(f.latency_us, FLT_MAX) || f.latency_us < 0.0f ||
	    !measure_valid(f.energy_uj, FLT_MAX) || f.energy_uj < 0.0f)
		return ne_rd_fail(r, EBADMSG, "level %u: a negative or infinite cost", id);
	*l = (struct ne_level){
		.depth = f.depth,
		.width = f.width,
		.flags = f.flags,
		.macs = f.macs,
		.accuracy = f.accuracy,
		.latency_us = f.latency_us,
		.energy_uj = f.energy_uj,
		.control_accuracy = f.control_accuracy,
		.f32_accuracy = f.f32_accuracy,
	};
	return 0;
}

int ne_section_levels_read(struct ne_reader *r, struct ne_model *m)
{
	struct neap_file_levels head;
	const uint8_t *p = NULL;

	NE_RETURN_IF(ne_rd_bytes(r, sizeof(head), &p, "head"));
	memcpy(&head, p, sizeof(head));
	if (!(head.confidence >= 0.0f && head.confidence <= 1.0f))
		return ne_rd_fail(r, EBADMSG, "confidence is not between 0 and 1");
	if (head.n_level == 0 || head.n_level > NE_MAX_LEVELS)
		return ne_rd_fail(r, EBADMSG, "%u levels", head.n_level);
	NE_RETURN_IF(ne_rd_alloc(r, head.n_level, sizeof(*m->level), &m->level, "levels"));
	m->n_level = head.n_level;
	m->confidence = head.confidence;
	for (uint32_t i = 0; i < m->n_level; i++)
		NE_RETURN_IF(level_read(r, m, i));
	return ne_rd_end(r);
}

void ne_section_levels_write(struct ne_writer *w, const struct ne_model *m)
{
	struct neap_file_levels head = {.n_level = m->n_level, .confidence = m->confidence};

	ne_wr_bytes(w, &head, sizeof(head));
	for (uint32_t i = 0; i < m->n_level; i++) {
		const struct ne_level *l = &m->level[i];
		struct neap_file_level f = {
			.macs = l->macs,
			.accuracy = l->accuracy,
			.latency_us = l->latency_us,
			.energy_uj = l->energy_uj,
			.control_accuracy = l->control_accuracy,
			.f32_accuracy = l->f32_accuracy,
			.depth = (uint8_t)l->depth,
			.width = (uint8_t)l->width,
			.flags = (uint16_t)l->flags,
		};

		ne_wr_bytes(w, &f, sizeof(f));
	}
}

static int active_read(struct ne_reader *r, const struct ne_graph *g, struct ne_width *w)
{
	uint32_t c;

	NE_RETURN_IF(ne_rd_alloc(r, (size_t)g->n_group + 1, sizeof(*w->active), &w->active,
				 "active channels"));
	for (uint32_t i = 1; i <= g->n_group; i++) {
		NE_RETURN_IF(ne_rd_u32(r, NE_MAX_DIM, &c, "active channels"));
		if (c == 0 || (int32_t)c > g->group_channels[i])
			return ne_rd_fail(r, EBADMSG, "%u of %d channels of group %u active", c,
					  g->group_channels[i], i);
		w->active[i] = (int32_t)c;
	}
	return 0;
}

static int quants_read(struct ne_reader *r, const struct ne_graph *g, const uint32_t *ids,
		       uint32_t n, struct ne_width *w)
{
	NE_RETURN_IF(ne_rd_alloc(r, g->n_tensor, sizeof(*w->quant), &w->quant, "quantisation"));
	for (uint32_t i = 0; i < n; i++) {
		struct ne_quant *q = &w->quant[ids[i]];

		NE_RETURN_IF(ne_rd_f32(r, &q->scale, "scale"));
		if (q->scale != 0.0f && !(q->scale >= FLT_MIN))
			return ne_rd_fail(r, EBADMSG,
					  "scale of tensor %u is not positive and normal", ids[i]);
		NE_RETURN_IF(ne_rd_s32(r, &q->zero, "zero point"));
	}
	return 0;
}

static int floats_read(struct ne_reader *r, float *v, uint32_t n, const char *what)
{
	const uint8_t *p = NULL;
	uint8_t encoding;

	NE_RETURN_IF(ne_rd_u8(r, &encoding, what));
	if (encoding == NEAP_ENC_F32) {
		for (uint32_t i = 0; i < n; i++)
			NE_RETURN_IF(ne_rd_f32(r, &v[i], what));
		return 0;
	}
	if (encoding != NEAP_ENC_F16)
		return ne_rd_fail(r, EBADMSG, "%s: encoding %u", what, encoding);
	for (uint32_t i = 0; i < n; i++) {
		NE_RETURN_IF(ne_rd_bytes(r, 2, &p, what));
		v[i] = ne_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
		if (!isfinite(v[i]))
			return ne_rd_fail(r, EBADMSG, "%s: not a finite number", what);
	}
	return 0;
}

static int norms_read(struct ne_reader *r, uint32_t n, struct ne_width *w)
{
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*w->norm), &w->norm, "norms"));
	for (uint32_t i = 0; i < n; i++) {
		struct ne_norm *norm = &w->norm[i];
		uint32_t channels;

		NE_RETURN_IF(ne_rd_count(r, NE_MAX_DIM, 4, &channels, "channels of a norm"));
		NE_RETURN_IF(ne_rd_alloc(r, channels, sizeof(float), &norm->scale, "norm"));
		NE_RETURN_IF(ne_rd_alloc(r, channels, sizeof(float), &norm->bias, "norm"));
		norm->n = channels;
		NE_RETURN_IF(floats_read(r, norm->scale, channels, "scale of a norm"));
		NE_RETURN_IF(floats_read(r, norm->bias, channels, "bias of a norm"));
	}
	return 0;
}

/* The tensors that have a range at any width, ascending; each id is stored as the step from the one
 * before (the first from -1), so that it cannot stand still. */
static int quant_ids_read(struct ne_reader *r, uint32_t n_tensor, uint32_t *ids, uint32_t n)
{
	uint32_t next = 0, step;

	for (uint32_t i = 0; i < n; i++) {
		NE_RETURN_IF(ne_rd_u32(r, NE_MAX_TENSORS, &step, "step to a quantised tensor"));
		if (step == 0 || step > n_tensor - next)
			return ne_rd_fail(r, EBADMSG, "quantised tensor out of range");
		ids[i] = next + step - 1;
		next += step;
	}
	return 0;
}

int ne_section_calibration_read(struct ne_reader *r, struct ne_model *m)
{
	uint32_t n_width, n_quant, *ids;
	int e;

	NE_RETURN_IF(ne_rd_count(r, NE_MAX_WIDTHS, 1, &n_width, "number of widths"));
	NE_RETURN_IF(ne_rd_count(r, NE_MAX_NORMS, 4, &m->n_norm, "number of norms"));
	NE_RETURN_IF(ne_rd_count(r, m->graph.n_tensor, 1, &n_quant, "number of quantised tensors"));
	if (n_width == 0)
		return ne_rd_fail(r, EBADMSG, "no width settings");
	NE_RETURN_IF(ne_rd_alloc(r, n_width, sizeof(*m->width), &m->width, "widths"));
	m->n_width = n_width;
	NE_RETURN_IF(ne_rd_alloc(r, n_quant, sizeof(*ids), &ids, "quantised tensors"));
	e = quant_ids_read(r, m->graph.n_tensor, ids, n_quant);
	for (uint32_t i = 0; i < n_width && e == 0; i++) {
		e = active_read(r, &m->graph, &m->width[i]);
		if (e == 0)
			e = quants_read(r, &m->graph, ids, n_quant, &m->width[i]);
		if (e == 0)
			e = norms_read(r, m->n_norm, &m->width[i]);
	}
	free(ids);
	return e < 0 ? e : ne_rd_end(r);
}

static void floats_write(struct ne_writer *w, const float *v, uint32_t n, unsigned flags)
{
	bool half = ne_packs_as_f16(v, n, flags);

	ne_wr_u8(w, half ? NEAP_ENC_F16 : NEAP_ENC_F32);
	for (uint32_t i = 0; i < n; i++) {
		uint16_t h = ne_f32_to_f16(v[i]);

		if (half)
			ne_wr_bytes(w, &h, 2);
		else
			ne_wr_f32(w, v[i]);
	}
}

static bool quantised_anywhere(const struct ne_model *m, uint32_t tensor)
{
	for (uint32_t i = 0; i < m->n_width; i++)
		if (m->width[i].quant[tensor].scale != 0.0f)
			return true;
	return false;
}

int ne_section_calibration_write(struct ne_writer *w, const struct ne_model *m, unsigned flags)
{
	uint32_t n = 0, next = 0;
	uint32_t *ids = malloc(((size_t)m->graph.n_tensor + 1) * sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->graph.n_tensor; i++)
		if (quantised_anywhere(m, i))
			ids[n++] = i;
	ne_wr_uv(w, m->n_width);
	ne_wr_uv(w, m->n_norm);
	ne_wr_uv(w, n);
	for (uint32_t i = 0; i < n; i++) {
		ne_wr_uv(w, ids[i] + 1 - next);
		next = ids[i] + 1;
	}
	for (uint32_t i = 0; i < m->n_width; i++) {
		const struct ne_width *s = &m->width[i];

		for (uint32_t g = 1; g <= m->graph.n_group; g++)
			ne_wr_uv(w, (uint32_t)s->active[g]);
		for (uint32_t k = 0; k < n; k++) {
			ne_wr_f32(w, s->quant[ids[k]].scale);
			ne_wr_sv(w, s->quant[ids[k]].zero);
		}
		for (uint32_t k = 0; k < m->n_norm; k++) {
			ne_wr_uv(w, s->norm[k].n);
			floats_write(w, s->norm[k].scale, s->norm[k].n, flags);
			floats_write(w, s->norm[k].bias, s->norm[k].n, flags);
		}
	}
	free(ids);
	return 0;
}

int ne_section_labels_read(struct ne_reader *r, struct ne_model *m)
{
	uint32_t n;

	NE_RETURN_IF(ne_rd_count(r, NE_MAX_LABELS, 1, &n, "number of labels"));
	if (n == 0)
		return ne_rd_fail(r, EBADMSG, "no labels: the section should be absent");
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*m->label), &m->label, "labels"));
	m->n_label = n;
	for (uint32_t i = 0; i < n; i++)
		NE_RETURN_IF(ne_rd_string(r, NEAP_MAX_NAME, &m->label[i], "label"));
	return ne_rd_end(r);
}

void ne_section_labels_write(struct ne_writer *w, const struct ne_model *m)
{
	ne_wr_uv(w, m->n_label);
	for (uint32_t i = 0; i < m->n_label; i++)
		ne_wr_string(w, m->label[i]);
}

bool ne_note_key_valid(const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < n; i++)
		if (!(key[i] >= 'a' && key[i] <= 'z') && !(key[i] >= '0' && key[i] <= '9') &&
		    key[i] != '_')
			return false;
	return n >= 1 && n <= NEAP_MAX_KEY;
}

int ne_section_notes_read(struct ne_reader *r, struct ne_model *m)
{
	uint32_t n;

	NE_RETURN_IF(ne_rd_count(r, NE_MAX_NOTES, 2, &n, "number of notes"));
	if (n == 0)
		return ne_rd_fail(r, EBADMSG, "no notes: the section should be absent");
	NE_RETURN_IF(ne_rd_alloc(r, n, sizeof(*m->note), &m->note, "notes"));
	m->n_note = n;
	for (uint32_t i = 0; i < n; i++) {
		NE_RETURN_IF(ne_rd_string(r, NEAP_MAX_KEY, &m->note[i].key, "key of a note"));
		if (!ne_note_key_valid(m->note[i].key))
			return ne_rd_fail(r, EBADMSG, "key of note %u is not lower_snake_case", i);
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(m->note[k].key, m->note[i].key) == 0)
				return ne_rd_fail(r, EBADMSG, "note %s stands twice",
						  m->note[i].key);
		NE_RETURN_IF(ne_rd_string(r, NEAP_MAX_VALUE, &m->note[i].value, "note"));
	}
	return ne_rd_end(r);
}

void ne_section_notes_write(struct ne_writer *w, const struct ne_model *m)
{
	ne_wr_uv(w, m->n_note);
	for (uint32_t i = 0; i < m->n_note; i++) {
		ne_wr_string(w, m->note[i].key);
		ne_wr_string(w, m->note[i].value);
	}
}
