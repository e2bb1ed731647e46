/* SPDX-License-Identifier: MIT */
/*
 * Comma-separated tables with a header line (RFC 4180: quoted fields, doubled quotes, CRLF or LF).
 */
#ifndef NEAP_TOOL_CSV_H
#define NEAP_TOOL_CSV_H

#include "engine/base.h"

#define CSV_MAX_COLUMNS 64u
#define CSV_MAX_ROWS    ((size_t)1 << 24)

struct csv {
	uint32_t columns;
	size_t rows;  /* without the header */
	char **field; /* [rows + 1][columns], pointing into text; row 0 is the header */
	size_t *line; /* [rows + 1]: line of the file, for messages */
	char *text;   /* owned */
};

/* Parses @text (@bytes long, not necessarily terminated; copied). @path serves error texts. */
int csv_parse(const char *path, const char *text, size_t bytes, struct csv *ret,
	      struct ne_error *err);
void csv_done(struct csv *c);

/* Index of the column named @name, or -ENOENT. */
int csv_column(const struct csv *c, const char *name);

/* Field of data row @row (from 0). */
static inline const char *csv_field(const struct csv *c, size_t row, uint32_t column)
{
	return c->field[(row + 1) * c->columns + column];
}

#endif
