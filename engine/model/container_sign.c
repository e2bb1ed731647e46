// SPDX-License-Identifier: MIT
/*
 * Where a signature stands in a file, and which bytes it covers. The engine holds no cryptography:
 * the tools sign and verify with what this file hands them. All bytes returned belong to the caller.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/model/container_sections.h"

#define DOMAIN_BYTES (sizeof(NEAP_SIGNATURE_DOMAIN) - 1)

static const struct neap_file_section *find(const struct ne_container_layout *l)
{
	const struct neap_file_section *last = &l->section[l->n - 1];

	return last->type == NEAP_SECTION_SIGNATURE ? last : NULL;
}

/* @l was read from @data without an error. */
static int message_make(const uint8_t *data, const struct ne_container_layout *l, uint8_t **ret,
			size_t *ret_bytes)
{
	size_t bytes = (size_t)find(l)->offset;
	size_t entry =
		sizeof(struct neap_file_header) + (l->n - 1) * sizeof(struct neap_file_section);
	uint8_t *m = malloc(DOMAIN_BYTES + bytes);

	if (!m)
		return -ENOMEM;
	memcpy(m, NEAP_SIGNATURE_DOMAIN, DOMAIN_BYTES);
	memcpy(m + DOMAIN_BYTES, data, bytes);
	memset(m + DOMAIN_BYTES + offsetof(struct neap_file_header, checksum), 0, 8);
	memset(m + DOMAIN_BYTES + entry + offsetof(struct neap_file_section, checksum), 0, 8);
	*ret = m;
	*ret_bytes = DOMAIN_BYTES + bytes;
	return 0;
}

int ne_container_signature(const void *data, size_t bytes, struct ne_signature *ret,
			   struct ne_error *err)
{
	struct ne_container_layout l;
	struct neap_file_signature f;

	NE_RETURN_IF(ne_container_layout_read(data, bytes, &l, err));
	if (!find(&l))
		return ne_fail(err, ENOENT, "the file is not signed");
	if (find(&l)->bytes != sizeof(f))
		return ne_fail(err, EBADMSG, "section signature: %llu bytes",
			       (unsigned long long)find(&l)->bytes);
	memcpy(&f, (const uint8_t *)data + find(&l)->offset, sizeof(f));
	if (f.algorithm != NEAP_SIGNATURE_ED25519)
		return ne_fail(err, EPROTONOSUPPORT, "section signature: algorithm %u",
			       f.algorithm);
	if (f.reserved != 0)
		return ne_fail(err, EBADMSG, "section signature: reserved bytes are not zero");
	if (message_make(data, &l, &ret->message, &ret->message_bytes) < 0)
		return ne_fail(err, ENOMEM, "no memory for the signed bytes");
	memcpy(ret->public_key, f.public_key, sizeof(ret->public_key));
	memcpy(ret->signature, f.signature, sizeof(ret->signature));
	return 0;
}

/* Writes header, table and checksums of @l over the start of @data. */
static void head_write(uint8_t *data, size_t bytes, struct ne_container_layout *l)
{
	struct neap_file_section *last = &l->section[l->n - 1];
	struct neap_file_header h;

	last->checksum = ne_container_checksum(data + last->offset, (size_t)last->bytes);
	memcpy(&h, data, sizeof(h));
	h.n_section = l->n;
	h.bytes = bytes;
	h.checksum = 0;
	memcpy(data, &h, sizeof(h));
	memcpy(data + sizeof(h), l->section, l->n * sizeof(l->section[0]));
	h.checksum = ne_container_head_checksum(data, l->n);
	memcpy(data, &h, sizeof(h));
}

int ne_container_add_signature(const void *data, size_t bytes, const uint8_t public_key[32],
			       void **ret, size_t *ret_bytes, struct ne_error *err)
{
	struct neap_file_signature f = {.algorithm = NEAP_SIGNATURE_ED25519};
	struct ne_container_layout l, n = {0};
	size_t end = sizeof(struct neap_file_header);
	uint8_t *out;

	NE_RETURN_IF(ne_container_layout_read(data, bytes, &l, err));
	for (uint32_t i = 0; i < l.n; i++) /* an old signature is replaced */
		if (l.section[i].type != NEAP_SECTION_SIGNATURE)
			n.section[n.n++] = l.section[i];
	if (n.n == NEAP_MAX_SECTIONS)
		return ne_fail(err, E2BIG, "no room for one more section");
	n.section[n.n++] =
		(struct neap_file_section){.type = NEAP_SECTION_SIGNATURE, .bytes = sizeof(f)};
	end += n.n * sizeof(n.section[0]);
	/* the table grows by one entry, each section by up to 63 bytes of padding */
	out = calloc(1, bytes + (n.n + 1) * (NEAP_FILE_ALIGN + sizeof(n.section[0])) + sizeof(f));
	if (!out)
		return ne_fail(err, ENOMEM, "no memory for a file of %zu bytes", bytes);
	memcpy(out, data, sizeof(struct neap_file_header));
	for (uint32_t i = 0; i < n.n; i++) {
		uint64_t from = n.section[i].offset;

		n.section[i].offset = ne_round_up(end, NEAP_FILE_ALIGN);
		end = (size_t)(n.section[i].offset + n.section[i].bytes);
		if (i + 1 < n.n)
			memcpy(out + n.section[i].offset, (const uint8_t *)data + from,
			       (size_t)n.section[i].bytes);
	}
	memcpy(f.public_key, public_key, sizeof(f.public_key));
	memcpy(out + n.section[n.n - 1].offset, &f, sizeof(f));
	head_write(out, end, &n);
	*ret = out;
	*ret_bytes = end;
	return 0;
}

int ne_container_set_signature(void *data, size_t bytes, const uint8_t signature[64],
			       struct ne_error *err)
{
	struct ne_container_layout l;
	uint8_t *p = data;

	NE_RETURN_IF(ne_container_layout_read(data, bytes, &l, err));
	if (!find(&l) || find(&l)->bytes != sizeof(struct neap_file_signature))
		return ne_fail(err, EINVAL, "the file has no place for a signature");
	memcpy(p + find(&l)->offset + offsetof(struct neap_file_signature, signature), signature,
	       64);
	head_write(data, bytes, &l);
	return 0;
}
