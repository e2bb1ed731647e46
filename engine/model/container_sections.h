/* SPDX-License-Identifier: MIT */
/*
 * What is in the sections: for each a reader that fills a model, and a writer. Readers may leave a
 * model half filled when they fail; ne_model_free() copes with that.
 */
#ifndef NE_CONTAINER_SECTIONS_H
#define NE_CONTAINER_SECTIONS_H

#include "engine/model/container.h"
#include "engine/model/container_io.h"
#include "engine/model/f16.h"

/* Whether the flags (enum ne_pack_flags) want these values in f16. */
static inline bool ne_packs_as_f16(const float *v, size_t n, unsigned flags)
{
	return (flags & NE_PACK_F16 && ne_f16_fits(v, n)) ||
	       (flags & NE_PACK_F16_EXACT && ne_f16_exact(v, n));
}

/* Leaves data of constants NULL and their number in *ret_consts; sets is_const[tensor]. */
int ne_section_graph_read(struct ne_reader *r, const struct ne_limits *limits, struct ne_graph *g,
			  uint8_t **ret_is_const, uint32_t *ret_consts);
void ne_section_graph_write(struct ne_writer *w, const struct ne_graph *g);

int ne_section_states_read(struct ne_reader *r, struct ne_graph *g);
void ne_section_states_write(struct ne_writer *w, const struct ne_graph *g);

int ne_section_tensors_read(struct ne_reader *r, struct ne_graph *g, const uint8_t *is_const);
int ne_section_tensors_write(struct ne_writer *w, const struct ne_graph *g, unsigned flags,
			     struct ne_error *err);

int ne_section_levels_read(struct ne_reader *r, struct ne_model *m);
void ne_section_levels_write(struct ne_writer *w, const struct ne_model *m);

int ne_section_calibration_read(struct ne_reader *r, struct ne_model *m);
int ne_section_calibration_write(struct ne_writer *w, const struct ne_model *m, unsigned flags);

int ne_section_labels_read(struct ne_reader *r, struct ne_model *m);
void ne_section_labels_write(struct ne_writer *w, const struct ne_model *m);

int ne_section_notes_read(struct ne_reader *r, struct ne_model *m);
void ne_section_notes_write(struct ne_writer *w, const struct ne_model *m);

/* Whether @key may name a note: 1 to NEAP_MAX_KEY of a-z 0-9 _. */
bool ne_note_key_valid(const char *key);

/* The layout of a file, checked: magic, version, table, checksums. */
struct ne_container_layout {
	uint32_t n;
	struct neap_file_section section[NEAP_MAX_SECTIONS];
};
int ne_container_layout_read(const void *data, size_t bytes, struct ne_container_layout *ret,
			     struct ne_error *err);
/* Checksum of the header and table of a file whose table has @n entries. */
uint64_t ne_container_head_checksum(const void *data, uint32_t n);
uint64_t ne_container_checksum(const void *data, size_t bytes);
const char *ne_section_name(uint32_t type);

#endif
