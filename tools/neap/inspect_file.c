// SPDX-License-Identifier: MIT
/* Walks the section table and the records of the tensors section (docs/container.md). */
#include "tools/neap/inspect_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/container_sections.h"

const char *file_encoding_name(unsigned encoding)
{
	switch (encoding) {
	case NEAP_ENC_F32:
		return "f32";
	case NEAP_ENC_F16:
		return "f16";
	case NEAP_ENC_S8:
		return "s8";
	case NEAP_ENC_S8_RANS:
		return "s8 rANS";
	case NEAP_ENC_S8_RANS32:
		return "s8 rANS, interleaved";
	case NEAP_ENC_S16:
		return "s16";
	case NEAP_ENC_S32:
		return "s32";
	case NEAP_ENC_S64:
		return "s64";
	case NEAP_ENC_U8:
		return "u8";
	case NEAP_ENC_BOOL:
		return "bool";
	default:
		return "unknown";
	}
}

/* Skips a record: encoding, scales, payload. What is stored counts scales and payload. */
static int skip_record(struct ne_reader *r, uint8_t *ret_encoding, uint64_t *ret_bytes)
{
	const uint8_t *skipped;
	uint32_t scales;
	uint64_t bytes;

	NE_RETURN_IF(ne_rd_u8(r, ret_encoding, "encoding"));
	NE_RETURN_IF(ne_rd_count(r, NE_MAX_DIM, 4, &scales, "number of scales"));
	NE_RETURN_IF(ne_rd_bytes(r, 4 * (size_t)scales, &skipped, "scales"));
	NE_RETURN_IF(ne_rd_u64(r, SIZE_MAX, &bytes, "bytes of a payload"));
	NE_RETURN_IF(ne_rd_align(r, bytes >= NEAP_PAYLOAD_ALIGN_FROM ? NEAP_FILE_ALIGN : 4));
	NE_RETURN_IF(ne_rd_bytes(r, (size_t)bytes, &skipped, "payload"));
	*ret_bytes = 4 * (uint64_t)scales + bytes;
	return 0;
}

static int read_encodings(const uint8_t *data, const struct neap_file_section *s,
			  const struct ne_model *m, struct file_layout *f, struct ne_error *err)
{
	struct ne_reader r = {
		.data = data + s->offset,
		.bytes = (size_t)s->bytes,
		.section = ne_section_name(s->type),
		.err = err,
	};

	for (uint32_t i = 0; i < m->graph.n_tensor; i++)
		if (m->graph.tensor[i].data)
			NE_RETURN_IF(skip_record(&r, &f->encoding[i], &f->stored_bytes[i]));
	return 0;
}

int file_layout_read(const void *data, size_t bytes, const struct ne_model *m,
		     struct file_layout *ret, struct ne_error *err)
{
	struct ne_container_layout layout;
	struct file_layout f = {.bytes = bytes};
	int rc = 0;

	NE_RETURN_IF(ne_container_layout_read(data, bytes, &layout, err));
	f.encoding = calloc(m->graph.n_tensor + 1u, sizeof(*f.encoding));
	f.stored_bytes = calloc(m->graph.n_tensor + 1u, sizeof(*f.stored_bytes));
	if (!f.encoding || !f.stored_bytes)
		rc = ne_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; !rc && i < layout.n; i++) {
		const struct neap_file_section *s = &layout.section[i];
		struct file_section *to = &f.section[f.n_section++];

		snprintf(to->name, sizeof(to->name), "%s", ne_section_name(s->type));
		to->bytes = s->bytes;
		to->optional = s->flags & NEAP_SECTION_OPTIONAL;
		f.is_signed = f.is_signed || s->type == NEAP_SECTION_SIGNATURE;
		if (s->type == NEAP_SECTION_TENSORS)
			rc = read_encodings(data, s, m, &f, err);
	}
	if (rc < 0) {
		file_layout_done(&f);
		return rc;
	}
	*ret = f;
	return 0;
}

void file_layout_done(struct file_layout *f)
{
	free(f->encoding);
	free(f->stored_bytes);
	memset(f, 0, sizeof(*f));
}
