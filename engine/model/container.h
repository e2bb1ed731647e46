/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing .neap files; the layout is in include/neap/model.h and docs/container.md.
 */
#ifndef NE_CONTAINER_H
#define NE_CONTAINER_H

#include "engine/model/model.h"

/* What a file may ask for; 0 in a field means the default. A file over a limit is -E2BIG. */
struct ne_limits {
	size_t file_bytes;   /* default 256 MiB */
	size_t tensor_bytes; /* all constants decoded, default 512 MiB */
	uint64_t macs;       /* of the largest level, default 1e11 */
	uint32_t nodes;      /* default NE_MAX_NODES */
};

/* Parses @bytes at @data (nothing of it is kept). Errors: -EBADMSG damaged, with the section and
 * the reason; -EPROTONOSUPPORT newer version or unknown encoding; -E2BIG over a limit; -ENOMEM. */
int ne_container_parse(const void *data, size_t bytes, const struct ne_limits *limits,
		       struct ne_model **ret_model, struct ne_error *err);

/* Reads and parses @path. The file may be replaced, rewritten or truncated at any time: what is parsed
 * is a copy. The error starts with the path. Besides the above: open(2)'s errors. */
int ne_container_load(const char *path, const struct ne_limits *limits, struct ne_model **ret_model,
		      struct ne_error *err);

enum ne_pack_flags {
	NE_PACK_RANS = 1 << 0,      /* entropy-code s8 tensors where that is smaller */
	NE_PACK_F16 = 1 << 1,       /* store norms and f32 weights as f16 (lossy) */
	NE_PACK_F16_EXACT = 1 << 2, /* those arrays of them that lose nothing by it */
};

/* Serialises into one allocation, freed with free(). */
int ne_container_serialise(const struct ne_model *m, unsigned flags, void **ret_data,
			   size_t *ret_bytes, struct ne_error *err);

/* Writes @path by a temporary file in the same folder, fsync and rename: never half a file. */
int ne_container_save(const char *path, const struct ne_model *m, unsigned flags,
		      struct ne_error *err);

/* Writes any bytes in that way. */
int ne_container_write_file(const char *path, const void *data, size_t bytes, struct ne_error *err);

/* Signatures. The engine finds them and what they cover; checking them is the caller's. */
struct ne_signature {
	uint8_t public_key[32], signature[64]; /* Ed25519 */
	uint8_t *message;                      /* what was signed; freed with free() */
	size_t message_bytes;
};
/* -ENOENT where the file is not signed; else errors as ne_container_parse(). */
int ne_container_signature(const void *data, size_t bytes, struct ne_signature *ret,
			   struct ne_error *err);
/* A copy of a file with room for the signature of @public_key, freed with free(); one that is there
 * is dropped. Sign ne_container_signature().message, then set the signature in place. */
int ne_container_add_signature(const void *data, size_t bytes, const uint8_t public_key[32],
			       void **ret, size_t *ret_bytes, struct ne_error *err);
int ne_container_set_signature(void *data, size_t bytes, const uint8_t signature[64],
			       struct ne_error *err);

#endif
