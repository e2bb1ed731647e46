// SPDX-License-Identifier: MIT
/* Tables for people: columns as wide as their widest cell. */
#include "tools/neapctl/ctl.h"

#include <langinfo.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 16
#define CELL_BYTES  96

struct table {
	unsigned columns, cells, capacity;
	bool right[MAX_COLUMNS];
	char (*cell)[CELL_BYTES]; /* row after row, the titles first */
};

/* Printed characters: bytes that do not continue a UTF-8 character. */
static int width_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static char *next_cell(struct table *t)
{
	if (t->cells == t->capacity) {
		unsigned capacity = t->capacity ? 2 * t->capacity : 64;
		void *cell = realloc(t->cell, (size_t)capacity * CELL_BYTES);

		if (!cell)
			abort(); /* a few kilobytes for a table on a terminal */
		t->cell = cell;
		t->capacity = capacity;
	}
	return t->cell[t->cells++];
}

struct table *table_new(const char *titles)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	while (t->columns < MAX_COLUMNS) {
		size_t n = strcspn(titles, "|");

		if (*titles == '>') {
			t->right[t->columns] = true;
			titles++;
			n--;
		}
		t->columns++;
		snprintf(next_cell(t), CELL_BYTES, "%.*s", (int)n, titles);
		titles += n;
		if (!*titles++)
			break;
	}
	return t;
}

void table_row(struct table *t)
{
	/* A row that was left short is filled up. */
	while (t->cells % t->columns)
		*next_cell(t) = 0;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	char *c = next_cell(t);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c, CELL_BYTES, fmt, ap);
	va_end(ap);
	for (; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

void table_number(struct table *t, double v, int decimals, const char *unit)
{
	if (isfinite(v))
		table_cell(t, "%.*f%s", decimals, v, unit);
	else
		table_cell(t, "-");
}

void table_print(struct table *t, FILE *to)
{
	int width[MAX_COLUMNS] = {0};

	table_row(t);
	for (unsigned i = 0; i < t->cells; i++) {
		int w = width_of(t->cell[i]);

		if (w > width[i % t->columns])
			width[i % t->columns] = w;
	}
	for (unsigned i = 0; i < t->cells; i++) {
		unsigned col = i % t->columns;
		int pad = width[col] - width_of(t->cell[i]);
		bool last = col == t->columns - 1;

		if (t->right[col])
			fprintf(to, "%*s%s", pad, "", t->cell[i]);
		else
			fprintf(to, "%s%*s", t->cell[i], last ? 0 : pad, "");
		fputs(last ? "\n" : "  ", to);
	}
	free(t->cell);
	free(t);
}

void table_text(const char *text, FILE *to)
{
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, to);
}

const char *table_bar(double share, unsigned width)
{
	static char bar[3 * 64 + 1];
	bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	unsigned full;
	char *p = bar;

	if (!(share > 0))
		share = 0;
	if (share > 1)
		share = 1;
	if (width > 64)
		width = 64;
	full = (unsigned)lround(share * width);
	if (!full && share > 0)
		full = 1;
	for (unsigned i = 0; i < full; i++)
		p += sprintf(p, "%s", utf8 ? "\xe2\x96\x88" : "#");
	*p = 0;
	return bar;
}
