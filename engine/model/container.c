// SPDX-License-Identifier: MIT
/*
 * Reading .neap files. Order of checks: header and section table (magic, version, length, checksum),
 * layout (no gap, no overlap, no duplicate, zero padding), each section's checksum, each section's
 * contents, then the model as a whole. Memory is charged against a budget before it is taken, so a
 * small file cannot ask for much. The model read is the caller's; the bytes are only borrowed.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>

#include "engine/model/container_sections.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read in place: little-endian");
_Static_assert(sizeof(struct neap_file_header) == 64, "layout of the header");
_Static_assert(sizeof(struct neap_file_section) == 32, "layout of the section table");
_Static_assert(sizeof(struct neap_file_level) == 32, "layout of a level");
_Static_assert(sizeof(struct neap_file_levels) == 8, "layout of the levels section");
_Static_assert(sizeof(struct neap_file_signature) == 104, "layout of the signature");

const char *ne_section_name(uint32_t type)
{
	static const char *const name[] = {
		[NEAP_SECTION_GRAPH] = "graph",   [NEAP_SECTION_TENSORS] = "tensors",
		[NEAP_SECTION_LEVELS] = "levels", [NEAP_SECTION_CALIBRATION] = "calibration",
		[NEAP_SECTION_LABELS] = "labels", [NEAP_SECTION_NOTES] = "notes",
		[NEAP_SECTION_STATES] = "states", [NEAP_SECTION_SIGNATURE] = "signature"};

	return type < NE_ARRAY_SIZE(name) && name[type] ? name[type] : "unknown";
}

uint64_t ne_container_checksum(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}

uint64_t ne_container_head_checksum(const void *data, uint32_t n)
{
	uint8_t head[sizeof(struct neap_file_header) +
		     NEAP_MAX_SECTIONS * sizeof(struct neap_file_section)];
	size_t bytes = sizeof(struct neap_file_header) + n * sizeof(struct neap_file_section);

	memcpy(head, data, bytes);
	memset(head + offsetof(struct neap_file_header, checksum), 0, sizeof(uint64_t));
	return XXH3_64bits(head, bytes);
}

static int header_read(const void *data, size_t bytes, struct neap_file_header *h,
		       struct ne_error *err)
{
	static const uint8_t zero[sizeof(h->reserved)];

	if (bytes < sizeof(*h) || memcmp(data, NEAP_FILE_MAGIC, sizeof(h->magic)) != 0)
		return ne_fail(err, EBADMSG, "header: not a .neap file");
	memcpy(h, data, sizeof(*h));
	if (h->version != NEAP_FILE_VERSION)
		return ne_fail(err, h->version == 0 ? EBADMSG : EPROTONOSUPPORT,
			       "header: version %u, this program reads version %u", h->version,
			       NEAP_FILE_VERSION);
	if (h->bytes != bytes)
		return ne_fail(err, EBADMSG, "header: the file has %zu bytes and should have %llu",
			       bytes, (unsigned long long)h->bytes);
	if (h->n_section == 0 || h->n_section > NEAP_MAX_SECTIONS ||
	    h->n_section * sizeof(struct neap_file_section) > bytes - sizeof(*h))
		return ne_fail(err, EBADMSG, "header: %u sections", h->n_section);
	if (ne_container_head_checksum(data, h->n_section) != h->checksum)
		return ne_fail(err, EBADMSG, "header: checksum does not match");
	if (memcmp(h->reserved, zero, sizeof(zero)) != 0)
		return ne_fail(err, EBADMSG, "header: reserved bytes are not zero");
	return 0;
}

/* Section @i must begin where the one before ended, rounded up: no gap, no overlap. */
static int section_place(const uint8_t *data, size_t bytes, const struct neap_file_section *s,
			 size_t *end, struct ne_error *err)
{
	const char *name = ne_section_name(s->type);
	size_t begin = ne_round_up(*end, NEAP_FILE_ALIGN);

	if (s->flags & ~NEAP_SECTION_OPTIONAL)
		return ne_fail(err, EBADMSG, "section %s: flags 0x%x", name, s->flags);
	if (s->offset % NEAP_FILE_ALIGN)
		return ne_fail(err, EBADMSG, "section %s: offset %llu is no multiple of %u", name,
			       (unsigned long long)s->offset, NEAP_FILE_ALIGN);
	if (s->offset != begin)
		return ne_fail(err, EBADMSG, "section %s: offset %llu %s, %zu expected", name,
			       (unsigned long long)s->offset,
			       s->offset < begin ? "overlaps what is before" : "leaves a gap",
			       begin);
	if (begin > bytes || s->bytes == 0 || s->bytes > bytes - begin)
		return ne_fail(err, EBADMSG, "section %s: %llu bytes at %zu in a file of %zu", name,
			       (unsigned long long)s->bytes, begin, bytes);
	for (size_t i = *end; i < begin; i++)
		if (data[i] != 0)
			return ne_fail(err, EBADMSG, "section %s: padding before it is not zero",
				       name);
	*end = begin + (size_t)s->bytes;
	return 0;
}

int ne_container_layout_read(const void *data, size_t bytes, struct ne_container_layout *ret,
			     struct ne_error *err)
{
	struct neap_file_header h;
	size_t end;

	NE_RETURN_IF(header_read(data, bytes, &h, err));
	ret->n = h.n_section;
	end = sizeof(h) + ret->n * sizeof(ret->section[0]);
	memcpy(ret->section, (const uint8_t *)data + sizeof(h), end - sizeof(h));
	for (uint32_t i = 0; i < ret->n; i++) {
		const struct neap_file_section *s = &ret->section[i];

		if (i > 0 && s->type == s[-1].type)
			return ne_fail(err, EBADMSG, "section %s (%u) stands twice",
				       ne_section_name(s->type), s->type);
		if (i > 0 && s->type < s[-1].type)
			return ne_fail(err, EBADMSG, "section %s (%u) is out of order",
				       ne_section_name(s->type), s->type);
		NE_RETURN_IF(section_place(data, bytes, s, &end, err));
		if (ne_container_checksum((const uint8_t *)data + s->offset, (size_t)s->bytes) !=
		    s->checksum)
			return ne_fail(err, EBADMSG, "section %s: checksum does not match",
				       ne_section_name(s->type));
	}
	if (end != bytes)
		return ne_fail(err, EBADMSG, "%zu bytes after the last section", bytes - end);
	return 0;
}

/* Everything that one parse needs besides the model. */
struct parse {
	const uint8_t *data;
	struct ne_container_layout layout;
	struct ne_limits limits;
	size_t budget;
	uint8_t *is_const;
	uint32_t n_const;
	struct ne_error *err;
};

/* Finds a section; -ENOENT where it is absent. */
static int section_open(struct parse *p, enum neap_section_type type, struct ne_reader *ret)
{
	for (uint32_t i = 0; i < p->layout.n; i++) {
		const struct neap_file_section *s = &p->layout.section[i];

		if (s->type != (uint32_t)type)
			continue;
		*ret = (struct ne_reader){
			.data = p->data + s->offset,
			.bytes = (size_t)s->bytes,
			.section = ne_section_name(s->type),
			.budget = &p->budget,
			.err = p->err,
		};
		return 0;
	}
	return -ENOENT;
}

static int section_require(struct parse *p, enum neap_section_type type, struct ne_reader *ret)
{
	if (section_open(p, type, ret) < 0)
		return ne_fail(p->err, EBADMSG, "section %s is missing", ne_section_name(type));
	return 0;
}

static int unknown_check(const struct parse *p)
{
	for (uint32_t i = 0; i < p->layout.n; i++) {
		const struct neap_file_section *s = &p->layout.section[i];
		bool known = (s->type >= NEAP_SECTION_GRAPH && s->type <= NEAP_SECTION_STATES) ||
			     s->type == NEAP_SECTION_SIGNATURE;

		if (known && s->flags)
			return ne_fail(p->err, EBADMSG, "section %s: flags 0x%x",
				       ne_section_name(s->type), s->flags);
		if (!known && !(s->flags & NEAP_SECTION_OPTIONAL))
			return ne_fail(p->err, EPROTONOSUPPORT,
				       "section of type %u is not known to this version", s->type);
		if (s->type == NEAP_SECTION_SIGNATURE &&
		    s->bytes != sizeof(struct neap_file_signature))
			return ne_fail(p->err, EBADMSG, "section signature: %llu bytes",
				       (unsigned long long)s->bytes);
	}
	return 0;
}

static int sections_read(struct parse *p, struct ne_model *m)
{
	struct ne_reader r;
	int e;

	NE_RETURN_IF(section_require(p, NEAP_SECTION_GRAPH, &r));
	NE_RETURN_IF(ne_section_graph_read(&r, &p->limits, &m->graph, &p->is_const, &p->n_const));
	e = section_open(p, NEAP_SECTION_TENSORS, &r);
	if ((e == 0) != (p->n_const != 0))
		return ne_fail(p->err, EBADMSG, "section tensors is %s, the graph has %u constants",
			       e == 0 ? "there" : "missing", p->n_const);
	if (e == 0)
		NE_RETURN_IF(ne_section_tensors_read(&r, &m->graph, p->is_const));
	NE_RETURN_IF(section_require(p, NEAP_SECTION_LEVELS, &r));
	NE_RETURN_IF(ne_section_levels_read(&r, m));
	NE_RETURN_IF(section_require(p, NEAP_SECTION_CALIBRATION, &r));
	NE_RETURN_IF(ne_section_calibration_read(&r, m));
	if (section_open(p, NEAP_SECTION_LABELS, &r) == 0)
		NE_RETURN_IF(ne_section_labels_read(&r, m));
	if (section_open(p, NEAP_SECTION_NOTES, &r) == 0)
		NE_RETURN_IF(ne_section_notes_read(&r, m));
	if (section_open(p, NEAP_SECTION_STATES, &r) == 0)
		NE_RETURN_IF(ne_section_states_read(&r, &m->graph));
	return 0;
}

/* A model that is sound in itself may still be too much work; whoever loads it says how much. */
static int model_check(const struct parse *p, const struct ne_model *m)
{
	struct ne_error why;
	int e = ne_model_check(m, &why);

	if (e < 0)
		return ne_fail(p->err, e == -ENOMEM ? ENOMEM : EBADMSG, "model: %s", why.text);
	for (uint32_t i = 0; i < m->n_level; i++) {
		uint64_t macs = ne_model_macs(m, m->level[i].depth, m->level[i].width);

		if (macs == UINT64_MAX)
			return ne_fail(p->err, ENOMEM, "no memory to count level %u's MACs", i);
		if (macs > p->limits.macs)
			return ne_fail(p->err, E2BIG, "level %u takes %llu MACs, the limit is %llu",
				       i, (unsigned long long)macs,
				       (unsigned long long)p->limits.macs);
	}
	return 0;
}

static struct ne_limits limits_or_default(const struct ne_limits *l)
{
	struct ne_limits d = {
		.file_bytes = (size_t)256 << 20,
		.tensor_bytes = (size_t)512 << 20,
		.macs = 100000000000u,
		.nodes = NE_MAX_NODES,
	};

	if (l && l->file_bytes)
		d.file_bytes = l->file_bytes;
	if (l && l->tensor_bytes)
		d.tensor_bytes = l->tensor_bytes;
	if (l && l->macs)
		d.macs = l->macs;
	if (l && l->nodes)
		d.nodes = l->nodes;
	return d;
}

int ne_container_parse(const void *data, size_t bytes, const struct ne_limits *limits,
		       struct ne_model **ret_model, struct ne_error *err)
{
	struct parse p = {.data = data, .limits = limits_or_default(limits), .err = err};
	struct ne_model *m;
	int e;

	if (bytes > p.limits.file_bytes)
		return ne_fail(err, E2BIG, "file of %zu bytes, the limit is %zu", bytes,
			       p.limits.file_bytes);
	p.budget = p.limits.tensor_bytes;
	NE_RETURN_IF(ne_container_layout_read(data, bytes, &p.layout, err));
	NE_RETURN_IF(unknown_check(&p));
	m = ne_model_new();
	if (!m)
		return ne_fail(err, ENOMEM, "no memory for a model");
	e = sections_read(&p, m);
	if (e == 0)
		e = model_check(&p, m);
	free(p.is_const);
	if (e < 0) {
		ne_model_free(m);
		return e;
	}
	*ret_model = m;
	return 0;
}
