// SPDX-License-Identifier: MIT
/*
 * Writing .neap files: the same model gives the same bytes. Before the first byte the model is held
 * to everything that the reader checks, so that what was written can be read. The bytes returned
 * belong to the caller.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/container_sections.h"

static int name_check(const char *s, size_t max, const char *what, uint32_t id,
		      struct ne_error *err)
{
	size_t n = s ? strlen(s) : 0;

	if (n > max)
		return ne_fail(err, EINVAL, "%s %u: %zu bytes, the limit is %zu", what, id, n, max);
	if (!ne_utf8_valid(s, n))
		return ne_fail(err, EINVAL, "%s %u: not UTF-8 text", what, id);
	return 0;
}

static int notes_check(const struct ne_model *m, struct ne_error *err)
{
	for (uint32_t i = 0; i < m->n_note; i++) {
		const char *key = m->note[i].key;

		if (!ne_note_key_valid(key))
			return ne_fail(err, EINVAL, "note \"%s\": key is not lower_snake_case",
				       key);
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(m->note[k].key, key) == 0)
				return ne_fail(err, EINVAL, "note %s stands twice", key);
		NE_RETURN_IF(name_check(m->note[i].value, NEAP_MAX_VALUE, "note", i, err));
	}
	return 0;
}

static int level_check(const struct ne_level *l, uint32_t id, struct ne_error *err)
{
	if (l->depth > UINT8_MAX || l->width > UINT8_MAX || l->flags & ~(uint32_t)NE_LEVEL_PARETO)
		return ne_fail(err, EINVAL, "level %u: depth, width or flags out of range", id);
	if (!isfinite(l->accuracy) || l->accuracy > 1.0f || !isfinite(l->control_accuracy) ||
	    l->control_accuracy > 1.0f || !isfinite(l->f32_accuracy) || l->f32_accuracy > 1.0f)
		return ne_fail(err, EINVAL, "level %u: an accuracy that is no share of one", id);
	if (!isfinite(l->latency_us) || l->latency_us < 0.0f || !isfinite(l->energy_uj) ||
	    l->energy_uj < 0.0f)
		return ne_fail(err, EINVAL, "level %u: a negative or infinite cost", id);
	return 0;
}

static int norms_check(const struct ne_model *m, struct ne_error *err)
{
	for (uint32_t i = 0; i < m->n_width; i++)
		for (uint32_t k = 0; k < m->n_norm; k++)
			for (uint32_t c = 0; c < m->width[i].norm[k].n; c++)
				if (!isfinite(m->width[i].norm[k].scale[c]) ||
				    !isfinite(m->width[i].norm[k].bias[c]))
					return ne_fail(err, EINVAL,
						       "width %u, norm %u, channel %u: not finite",
						       i, k, c);
	return 0;
}

static int quants_check(const struct ne_model *m, struct ne_error *err)
{
	for (uint32_t i = 0; i < m->n_width; i++)
		for (uint32_t t = 0; t < m->graph.n_tensor; t++) {
			float scale = m->width[i].quant[t].scale;

			if (scale != 0.0f && !(isfinite(scale) && scale >= FLT_MIN))
				return ne_fail(
					err, EINVAL,
					"width %u, tensor %u: scale is not positive and normal", i,
					t);
		}
	return 0;
}

static int attrs_check(const struct ne_graph *g, struct ne_error *err)
{
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_attr *a = &g->node[i].attr;

		if (!isfinite(a->value) || !isfinite(a->mel.lo_hz) || !isfinite(a->mel.hi_hz) ||
		    !isfinite(a->mel.floor))
			return ne_fail(err, EINVAL, "node %u: an attribute is not finite", i);
	}
	return 0;
}

static int write_check(const struct ne_model *m, struct ne_error *err)
{
	const struct ne_graph *g = &m->graph;

	NE_RETURN_IF(ne_model_check(m, err));
	if (m->n_label > NE_MAX_LABELS || m->n_note > NE_MAX_NOTES)
		return ne_fail(err, EINVAL, "too many labels or notes");
	if (!(m->confidence >= 0.0f && m->confidence <= 1.0f))
		return ne_fail(err, EINVAL, "confidence is not between 0 and 1");
	for (uint32_t i = 0; i < g->n_tensor; i++)
		NE_RETURN_IF(name_check(g->tensor[i].name, NEAP_MAX_NAME, "tensor", i, err));
	for (uint32_t i = 0; i < g->n_node; i++)
		NE_RETURN_IF(name_check(g->node[i].name, NEAP_MAX_NAME, "node", i, err));
	for (uint32_t i = 0; i < m->n_label; i++)
		NE_RETURN_IF(name_check(m->label[i], NEAP_MAX_NAME, "label", i, err));
	for (uint32_t i = 0; i < m->n_level; i++)
		NE_RETURN_IF(level_check(&m->level[i], i, err));
	NE_RETURN_IF(attrs_check(g, err));
	NE_RETURN_IF(norms_check(m, err));
	NE_RETURN_IF(quants_check(m, err));
	return notes_check(m, err);
}

/* The table is written at the end, when the sections' places are known. */
struct table {
	uint32_t n;
	struct neap_file_section section[NEAP_MAX_SECTIONS];
};

static void section_begin(struct ne_writer *w, struct table *t, enum neap_section_type type)
{
	ne_wr_align(w, NEAP_FILE_ALIGN);
	t->section[t->n] = (struct neap_file_section){.type = type, .offset = w->bytes};
}

static void section_end(struct ne_writer *w, struct table *t)
{
	struct neap_file_section *s = &t->section[t->n++];

	s->bytes = w->bytes - s->offset;
	if (!w->failed)
		s->checksum = ne_container_checksum(w->data + s->offset, (size_t)s->bytes);
}

static bool has_constants(const struct ne_model *m)
{
	for (uint32_t i = 0; i < m->graph.n_tensor; i++)
		if (m->graph.tensor[i].data)
			return true;
	return false;
}

static uint32_t sections_count(const struct ne_model *m)
{
	return 3u + has_constants(m) + (m->n_label != 0) + (m->n_note != 0) +
	       (m->graph.n_state != 0);
}

static int sections_write(struct ne_writer *w, struct table *t, const struct ne_model *m,
			  unsigned flags, struct ne_error *err)
{
	section_begin(w, t, NEAP_SECTION_GRAPH);
	ne_section_graph_write(w, &m->graph);
	section_end(w, t);
	if (has_constants(m)) {
		section_begin(w, t, NEAP_SECTION_TENSORS);
		NE_RETURN_IF(ne_section_tensors_write(w, &m->graph, flags, err));
		section_end(w, t);
	}
	section_begin(w, t, NEAP_SECTION_LEVELS);
	ne_section_levels_write(w, m);
	section_end(w, t);
	section_begin(w, t, NEAP_SECTION_CALIBRATION);
	if (ne_section_calibration_write(w, m, flags) < 0)
		return ne_fail(err, ENOMEM, "no memory");
	section_end(w, t);
	if (m->n_label) {
		section_begin(w, t, NEAP_SECTION_LABELS);
		ne_section_labels_write(w, m);
		section_end(w, t);
	}
	if (m->n_note) {
		section_begin(w, t, NEAP_SECTION_NOTES);
		ne_section_notes_write(w, m);
		section_end(w, t);
	}
	if (m->graph.n_state) {
		section_begin(w, t, NEAP_SECTION_STATES);
		ne_section_states_write(w, &m->graph);
		section_end(w, t);
	}
	return 0;
}

int ne_container_serialise(const struct ne_model *m, unsigned flags, void **ret_data,
			   size_t *ret_bytes, struct ne_error *err)
{
	struct neap_file_header h = {.version = NEAP_FILE_VERSION};
	struct ne_writer w = {0};
	struct table t = {0};
	size_t head_bytes;
	int e;

	if (flags & ~(unsigned)(NE_PACK_RANS | NE_PACK_F16 | NE_PACK_F16_EXACT))
		return ne_fail(err, EINVAL, "pack flags 0x%x", flags);
	NE_RETURN_IF(write_check(m, err));
	head_bytes = sizeof(h) + sections_count(m) * sizeof(t.section[0]);
	for (size_t i = 0; i < head_bytes; i++)
		ne_wr_u8(&w, 0);
	e = sections_write(&w, &t, m, flags, err);
	if (e == 0 && w.failed)
		e = ne_fail(err, ENOMEM, "no memory for a file of %zu bytes", w.bytes);
	if (e < 0) {
		free(w.data);
		return e;
	}
	memcpy(h.magic, NEAP_FILE_MAGIC, sizeof(h.magic));
	h.n_section = t.n;
	h.bytes = w.bytes;
	memcpy(w.data, &h, sizeof(h));
	memcpy(w.data + sizeof(h), t.section, t.n * sizeof(t.section[0]));
	h.checksum = ne_container_head_checksum(w.data, t.n);
	memcpy(w.data, &h, sizeof(h));
	*ret_data = w.data;
	*ret_bytes = w.bytes;
	return 0;
}
