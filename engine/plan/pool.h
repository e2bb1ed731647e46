/* SPDX-License-Identifier: MIT */
/* Memory of a program: allocated while it is built, freed all at once. */
#ifndef NE_POOL_H
#define NE_POOL_H

#include "engine/base.h"

struct ne_pool_chunk;
struct ne_pool_entry;

struct ne_pool {
	struct ne_pool_chunk *chunk; /* newest first */
	struct ne_pool_entry **bucket;
	size_t bytes; /* given out */
};

#define NE_MAX_POOL_BYTES ((size_t)2 << 30)

int ne_pool_init(struct ne_pool *p);
void ne_pool_done(struct ne_pool *p);

/* Zeroed, aligned to NE_ALIGN; NULL without memory or over the limit. */
void *ne_pool_alloc(struct ne_pool *p, size_t bytes);

/* The same, not zeroed: for what writes all of it. */
void *ne_pool_alloc_unset(struct ne_pool *p, size_t bytes);

/* What only building takes goes; memory given out stays. */
void ne_pool_seal(struct ne_pool *p);

/* A copy of @data; callers with equal bytes get the same copy. NULL also in a sealed pool. */
const void *ne_pool_intern(struct ne_pool *p, const void *data, size_t bytes);

#endif
