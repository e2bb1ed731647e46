/* SPDX-License-Identifier: MIT */
/*
 * The program's memory: chunks filled from their start, and a hash table that lets equal tables of
 * different steps and levels share one copy while it is built.
 */
#include "engine/plan/pool.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)64 << 10)
#define BUCKETS     1024u

struct ne_pool_chunk {
	struct ne_pool_chunk *next;
	char *data;
	size_t used, bytes;
};

struct ne_pool_entry {
	struct ne_pool_entry *next;
	const void *data;
	size_t bytes;
	uint64_t hash;
};

int ne_pool_init(struct ne_pool *p)
{
	*p = (struct ne_pool){.bucket = calloc(BUCKETS, sizeof(*p->bucket))};
	return p->bucket ? 0 : -ENOMEM;
}

void ne_pool_done(struct ne_pool *p)
{
	while (p->chunk) {
		struct ne_pool_chunk *c = p->chunk;

		p->chunk = c->next;
		free(c->data);
		free(c);
	}
	ne_pool_seal(p);
	*p = (struct ne_pool){0};
}

void ne_pool_seal(struct ne_pool *p)
{
	for (uint32_t i = 0; p->bucket && i < BUCKETS; i++)
		while (p->bucket[i]) {
			struct ne_pool_entry *e = p->bucket[i];

			p->bucket[i] = e->next;
			free(e);
		}
	free(p->bucket);
	p->bucket = NULL;
}

/* A chunk of at least @bytes; large blocks have one of their own, which need not be zeroed. */
static struct ne_pool_chunk *chunk_new(size_t bytes, bool zeroed)
{
	struct ne_pool_chunk *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->bytes = NE_MAX(bytes, CHUNK_BYTES);
	c->data = zeroed || bytes < CHUNK_BYTES ? ne_alloc_aligned(c->bytes)
						: aligned_alloc(NE_ALIGN, c->bytes);
	if (!c->data) {
		free(c);
		return NULL;
	}
	if (!zeroed)
		ne_pages_expect(c->data, bytes);
	return c;
}

static void *alloc(struct ne_pool *p, size_t bytes, bool zeroed)
{
	struct ne_pool_chunk *c = p->chunk;
	void *r;

	if (bytes > NE_MAX_POOL_BYTES - NE_ALIGN)
		return NULL;
	bytes = ne_round_up(bytes ? bytes : 1, NE_ALIGN);
	if (p->bytes > NE_MAX_POOL_BYTES - bytes)
		return NULL;
	if (!c || c->bytes - c->used < bytes) {
		c = chunk_new(bytes, zeroed);
		if (!c)
			return NULL;
		if (p->chunk && bytes >= CHUNK_BYTES) { /* keep filling the chunk at hand */
			c->next = p->chunk->next;
			p->chunk->next = c;
		} else {
			c->next = p->chunk;
			p->chunk = c;
		}
	}
	r = c->data + c->used;
	c->used += bytes;
	p->bytes += bytes;
	return r;
}

void *ne_pool_alloc(struct ne_pool *p, size_t bytes)
{
	return alloc(p, bytes, true);
}

void *ne_pool_alloc_unset(struct ne_pool *p, size_t bytes)
{
	return alloc(p, bytes, false);
}

/* FNV-1a by words; only spreads entries over buckets, equality is by content. */
static uint64_t hash_of(const void *data, size_t bytes)
{
	const unsigned char *b = data;
	uint64_t h = 0xcbf29ce484222325u, v;
	size_t i = 0;

	for (; i + 8 <= bytes; i += 8) {
		memcpy(&v, b + i, 8);
		h = (h ^ v) * 0x100000001b3u;
		h ^= h >> 29;
	}
	for (; i < bytes; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	return h ^ h >> 32;
}

const void *ne_pool_intern(struct ne_pool *p, const void *data, size_t bytes)
{
	uint64_t h = hash_of(data, bytes);
	struct ne_pool_entry **bucket, *e;
	void *copy;

	if (!p->bucket)
		return NULL;
	bucket = &p->bucket[h % BUCKETS];
	for (e = *bucket; e; e = e->next)
		if (e->hash == h && e->bytes == bytes && !memcmp(e->data, data, bytes))
			return e->data;
	copy = ne_pool_alloc(p, bytes);
	e = copy ? malloc(sizeof(*e)) : NULL;
	if (!e)
		return NULL;
	memcpy(copy, data, bytes);
	*e = (struct ne_pool_entry){*bucket, copy, bytes, h};
	*bucket = e;
	return copy;
}
