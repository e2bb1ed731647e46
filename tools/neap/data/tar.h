/* SPDX-License-Identifier: MIT */
/*
 * The regular files in a tar archive held in memory: ustar, pax (path, size) and GNU long names.
 * Members are views into the archive's bytes.
 */
#ifndef NEAP_TOOL_TAR_H
#define NEAP_TOOL_TAR_H

#include "engine/base.h"

#define TAR_MAX_MEMBERS ((size_t)1 << 20)
#define TAR_MAX_NAME    4096u

struct tar_member {
	char *name;       /* without a leading "./" */
	const void *data; /* into the archive */
	size_t bytes;
};

struct tar {
	struct tar_member *member; /* by name */
	size_t n;
};

/* @data must outlive @ret. @path serves error texts. */
int tar_open(const char *path, const void *data, size_t bytes, struct tar *ret,
	     struct ne_error *err);
void tar_close(struct tar *t);

/* The member, or NULL. Of members with the same name the last counts, as when unpacking. */
const struct tar_member *tar_find(const struct tar *t, const char *name);

#endif
