/* SPDX-License-Identifier: MIT */
/* What only the file knows and the model in memory no longer does: sections and encodings. */
#ifndef NEAP_TOOL_INSPECT_FILE_H
#define NEAP_TOOL_INSPECT_FILE_H

#include <neap/model.h>

#include "engine/model/model.h"

struct file_section {
	char name[24];
	uint64_t bytes;
	bool optional;
};

struct file_layout {
	uint64_t bytes;
	uint32_t n_section;
	struct file_section section[NEAP_MAX_SECTIONS];
	bool is_signed;
	/* [n_tensor] of the graph; 0 where the tensor is no constant. */
	uint8_t *encoding;
	uint64_t *stored_bytes;
};

/* @data is a file that ne_container_parse() made @m from. */
int file_layout_read(const void *data, size_t bytes, const struct ne_model *m,
		     struct file_layout *ret, struct ne_error *err);
void file_layout_done(struct file_layout *f);

const char *file_encoding_name(unsigned encoding);

#endif
