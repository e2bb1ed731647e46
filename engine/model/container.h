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

/* Opens, maps, parses and unmaps @path. The file may be replaced at any time by rename. */
int ne_container_load(const char *path, const struct ne_limits *limits,
		      struct ne_model **ret_model, struct ne_error *err);

enum ne_pack_flags {
	NE_PACK_RANS = 1 << 0, /* entropy-code s8 tensors where that is smaller */
	NE_PACK_F16 = 1 << 1,  /* store norms and f32 weights as f16 (lossy) */
};

/* Serialises into one allocation, freed with free(). */
int ne_container_serialise(const struct ne_model *m, unsigned flags, void **ret_data,
			   size_t *ret_bytes, struct ne_error *err);

/* Writes @path by a temporary file in the same folder, fsync and rename: never half a file. */
int ne_container_save(const char *path, const struct ne_model *m, unsigned flags,
		      struct ne_error *err);

#endif
