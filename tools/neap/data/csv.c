// SPDX-License-Identifier: MIT
/* Fields are unquoted in place: the text only shrinks, so no field needs memory of its own. */
#include "tools/neap/data/csv.h"

#include <stdlib.h>
#include <string.h>

struct reader {
	const char *path;
	char *p, *end; /* *end is a NUL that is no part of the text */
	size_t line;
	struct ne_error *err;
};

static int quoted_field(struct reader *r, char **ret)
{
	size_t first = r->line;
	char *from, *to;

	from = to = ++r->p;
	for (;;) {
		if (r->p == r->end)
			return ne_fail(r->err, EBADMSG, "%s: line %zu: a quote is never closed",
				       r->path, first);
		if (*r->p == '"') {
			if (r->p[1] != '"')
				break;
			r->p++;
		}
		if (*r->p == '\n')
			r->line++;
		*to++ = *r->p++;
	}
	r->p++; /* the closing quote; *to is at or before it */
	*to = '\0';
	*ret = from;
	return 0;
}

/* One field; @ret_last tells that a line ended with it. */
static int next_field(struct reader *r, char **ret, bool *ret_last)
{
	char *stop;

	if (*r->p == '"') {
		NE_RETURN_IF(quoted_field(r, ret));
	} else {
		*ret = r->p;
		r->p += strcspn(r->p, ",\r\n");
	}
	stop = r->p;
	if (r->p < r->end && *r->p == ',') {
		*ret_last = false;
		r->p++;
	} else {
		if (r->p < r->end && *r->p == '\r')
			r->p++;
		if (r->p < r->end && *r->p != '\n')
			return ne_fail(r->err, EBADMSG,
				       "%s: line %zu: text after a closing quote, or a stray "
				       "carriage return",
				       r->path, r->line);
		if (r->p < r->end)
			r->p++;
		*ret_last = true;
		r->line++;
	}
	*stop = '\0';
	return 0;
}

static int read_row(struct reader *r, char **field, uint32_t *ret_n)
{
	bool last = false;

	*ret_n = 0;
	while (!last) {
		if (*ret_n == CSV_MAX_COLUMNS)
			return ne_fail(r->err, EBADMSG, "%s: line %zu: more than %u columns",
				       r->path, r->line, CSV_MAX_COLUMNS);
		NE_RETURN_IF(next_field(r, &field[*ret_n], &last));
		++*ret_n;
	}
	return 0;
}

static int append_row(struct csv *c, size_t *size, size_t line, char **field, struct reader *r)
{
	if (c->rows == CSV_MAX_ROWS)
		return ne_fail(r->err, EFBIG, "%s: more than %zu rows", r->path, CSV_MAX_ROWS);
	if (c->rows == *size) {
		size_t bigger = *size ? *size * 2 : 64;
		char **f;
		size_t *l;

		f = reallocarray(c->field, bigger * c->columns, sizeof(*f));
		if (!f)
			return ne_fail(r->err, ENOMEM, "%s: out of memory", r->path);
		c->field = f;
		l = reallocarray(c->line, bigger, sizeof(*l));
		if (!l)
			return ne_fail(r->err, ENOMEM, "%s: out of memory", r->path);
		c->line = l;
		*size = bigger;
	}
	memcpy(c->field + c->rows * c->columns, field, c->columns * sizeof(*field));
	c->line[c->rows++] = line;
	return 0;
}

static int read_rows(struct csv *c, struct reader *r)
{
	char *field[CSV_MAX_COLUMNS];
	size_t size = 0, line;
	uint32_t n;

	while (r->p < r->end) {
		line = r->line;
		NE_RETURN_IF(read_row(r, field, &n));
		if (n == 1 && !*field[0])
			continue; /* an empty line */
		if (!c->columns)
			c->columns = n;
		if (n != c->columns)
			return ne_fail(r->err, EBADMSG,
				       "%s: line %zu: %u fields, the header has %u", r->path, line,
				       n, c->columns);
		NE_RETURN_IF(append_row(c, &size, line, field, r));
	}
	if (!c->rows)
		return ne_fail(r->err, EBADMSG, "%s: empty, expected a header line", r->path);
	c->rows--; /* the header */
	return 0;
}

int csv_parse(const char *path, const char *text, size_t bytes, struct csv *ret,
	      struct ne_error *err)
{
	struct csv c = {.rows = 0};
	struct reader r = {.path = path, .line = 1, .err = err};
	int rc;

	if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* UTF-8 byte order mark */
		text += 3;
		bytes -= 3;
	}
	if (memchr(text, '\0', bytes))
		return ne_fail(err, EBADMSG, "%s: not a text file (a NUL byte)", path);
	c.text = malloc(bytes + 1);
	if (!c.text)
		return ne_fail(err, ENOMEM, "%s: out of memory", path);
	memcpy(c.text, text, bytes);
	c.text[bytes] = '\0';
	r.p = c.text;
	r.end = c.text + bytes;
	rc = read_rows(&c, &r);
	if (rc < 0) {
		csv_done(&c);
		return rc;
	}
	*ret = c;
	return 0;
}

void csv_done(struct csv *c)
{
	if (!c)
		return;
	free(c->field);
	free(c->line);
	free(c->text);
	memset(c, 0, sizeof(*c));
}

int csv_column(const struct csv *c, const char *name)
{
	for (uint32_t i = 0; i < c->columns; i++)
		if (!strcmp(c->field[i], name))
			return (int)i;
	return -ENOENT;
}
