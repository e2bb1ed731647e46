/* SPDX-License-Identifier: MIT */
/*
 * Cursors over bytes: the reader's checks every step against the section's end, the writer's grows
 * and remembers that memory ran out. Shared by the files container_*.c alone.
 */
#ifndef NE_CONTAINER_IO_H
#define NE_CONTAINER_IO_H

#include <neap/model.h>

#include "engine/base.h"

struct ne_reader {
	const uint8_t *data; /* the section's bytes; byte 0 lies at a multiple of 64 in the file */
	size_t at, bytes;
	const char *section;
	size_t *budget; /* bytes of memory that the file may still ask for */
	struct ne_error *err;
};

/* "section NAME, byte N: reason"; returns -@code. */
int ne_rd_fail(const struct ne_reader *r, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int ne_rd_bytes(struct ne_reader *r, size_t n, const uint8_t **ret, const char *what);
int ne_rd_u8(struct ne_reader *r, uint8_t *ret, const char *what);
/* uv: unsigned LEB128 in its shortest form, at most @max. */
int ne_rd_u32(struct ne_reader *r, uint32_t max, uint32_t *ret, const char *what);
int ne_rd_u64(struct ne_reader *r, uint64_t max, uint64_t *ret, const char *what);
/* sv: a uv zigzagged: 0, -1, 1, -2, ... */
int ne_rd_s32(struct ne_reader *r, int32_t *ret, const char *what);
int ne_rd_f32(struct ne_reader *r, float *ret, const char *what); /* finite */
/* A count of things that take at least @each bytes: no more than the section can still hold. */
int ne_rd_count(struct ne_reader *r, uint32_t max, size_t each, uint32_t *ret, const char *what);
/* A string of at most @max bytes, allocated. */
int ne_rd_string(struct ne_reader *r, uint32_t max, char **ret, const char *what);
/* Zero bytes up to a multiple of @to. */
int ne_rd_align(struct ne_reader *r, size_t to);
int ne_rd_end(const struct ne_reader *r);
/* Memory for @bytes that the file can fill to @sure bytes, not zeroed; else as ne_rd_alloc(). */
int ne_rd_alloc_filled(struct ne_reader *r, size_t bytes, size_t sure, void *ret, const char *what);
/* Zeroed memory for @n things of @size, charged to the budget; freed with free(). */
int ne_rd_alloc(struct ne_reader *r, size_t n, size_t size, void *ret, const char *what);

/* UTF-8 of at most @max bytes without NUL, overlong forms or surrogates. */
bool ne_utf8_valid(const char *s, size_t bytes);

struct ne_writer {
	uint8_t *data;
	size_t bytes, cap;
	bool failed; /* out of memory: data is what it was before */
};

void ne_wr_bytes(struct ne_writer *w, const void *p, size_t n);
void ne_wr_u8(struct ne_writer *w, uint8_t v);
void ne_wr_uv(struct ne_writer *w, uint64_t v);
void ne_wr_sv(struct ne_writer *w, int32_t v);
void ne_wr_f32(struct ne_writer *w, float v);
void ne_wr_string(struct ne_writer *w, const char *s); /* NULL is the empty string */
void ne_wr_align(struct ne_writer *w, size_t to);
/* Overwrites bytes written before: by offset, as the data moves when it grows. */
void ne_wr_patch(struct ne_writer *w, size_t at, const void *p, size_t n);

#endif
