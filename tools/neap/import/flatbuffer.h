/* SPDX-License-Identifier: MIT */
/*
 * Reading flatbuffers that anybody may have made. Nothing is copied or allocated: a table or a
 * vector is a place in the caller's bytes, which must outlive it.
 *
 * A table or vector that is absent is empty: its fields have their defaults, its length is 0. So is
 * one whose place is bad, and then the buffer keeps the first reason: read on as if all were well,
 * and ask fb_failed() before anything is made of what was read.
 *
 * No cycle can be read. References to tables, vectors and strings are unsigned distances forward
 * from where they stand, at least 4 bytes, so whatever is reached from a place lies after it; the
 * one distance that may point back leads to a vtable, which holds no references. Each walk here
 * follows the schema, so its depth is the schema's.
 */
#ifndef NEAP_TOOL_FLATBUFFER_H
#define NEAP_TOOL_FLATBUFFER_H

#include "engine/base.h"

struct fb {
	const uint8_t *data;
	size_t bytes;
	const char *reason; /* NULL: nothing bad so far */
	size_t at;          /* where */
};

struct fb_table {
	struct fb *fb;
	size_t at, bytes; /* of the inline part; bytes 0 = absent */
	size_t vtable;
	uint32_t n_field;
};

struct fb_vector {
	struct fb *fb;
	size_t at; /* of element 0 */
	uint32_t n;
};

/* Elements of one vector, at most. */
#define FB_MAX_ELEMENTS ((uint32_t)1 << 30)

/* The root table of @bytes at @data, whose file identifier must be @identifier (4 characters). */
int fb_open(struct fb *fb, const void *data, size_t bytes, const char *identifier,
	    struct fb_table *ret, struct ne_error *err);

/* 0, or -EBADMSG with what was bad and where. */
int fb_failed(const struct fb *fb, struct ne_error *err);

/* Scalars: field @i of the table in the schema's order, @absent where it is not stored. */
bool fb_bool(const struct fb_table *t, uint32_t i);
int8_t fb_s8(const struct fb_table *t, uint32_t i, int8_t absent);
uint8_t fb_u8(const struct fb_table *t, uint32_t i, uint8_t absent);
int32_t fb_s32(const struct fb_table *t, uint32_t i, int32_t absent);
uint32_t fb_u32(const struct fb_table *t, uint32_t i, uint32_t absent);
uint64_t fb_u64(const struct fb_table *t, uint32_t i, uint64_t absent);
float fb_f32(const struct fb_table *t, uint32_t i, float absent);

/* References. A union is a u8 field (its kind) and after it a table. */
struct fb_table fb_table(const struct fb_table *t, uint32_t i);
/* A vector of @element bytes each (4 for references). */
struct fb_vector fb_vector(const struct fb_table *t, uint32_t i, uint32_t element);
/* A string: at most @size - 1 bytes of it, up to a zero byte; "" where it is absent. */
void fb_string(const struct fb_table *t, uint32_t i, char *buf, size_t size);

/* Elements. @i < v->n. */
struct fb_table fb_vector_table(const struct fb_vector *v, uint32_t i);
int32_t fb_vector_s32(const struct fb_vector *v, uint32_t i);
int64_t fb_vector_s64(const struct fb_vector *v, uint32_t i);
float fb_vector_f32(const struct fb_vector *v, uint32_t i);
/* Bytes of element 0: any alignment. NULL for an empty vector. */
const uint8_t *fb_vector_bytes(const struct fb_vector *v);

#endif
