// SPDX-License-Identifier: MIT
/* Reads headers by POSIX.1-2001 (ustar and pax) and GNU's long names ('L'). */
#include "tools/neap/data/tar.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 512u

/* Offsets of the ustar header's fields, and their lengths. */
#define NAME_AT    0
#define NAME_LEN   100u
#define SIZE_AT    124
#define SIZE_LEN   12u
#define SUM_AT     148
#define SUM_LEN    8u
#define TYPE_AT    156
#define MAGIC_AT   257
#define PREFIX_AT  345
#define PREFIX_LEN 155u

struct reader {
	const char *path;
	const uint8_t *data;
	size_t bytes, at;
	struct ne_error *err;
	struct tar tar;
	size_t size; /* allocated members */
	/* From extension headers, for the next member. */
	char *long_name;
	bool have_size;
	uint64_t pax_size;
};

static int bad(const struct reader *r, const char *what)
{
	return ne_fail(r->err, EBADMSG, "%s: tar: %s at byte %zu", r->path, what, r->at);
}

/* Octal with spaces or NULs around it, or GNU's base-256 (first bit set). */
static bool parse_number(const uint8_t *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (p[0] & 0x80) {
		if (p[0] != 0x80) /* negative, or beyond 64 bits */
			return false;
		for (i = 1; i < n; i++) {
			if (v >> 56)
				return false;
			v = v << 8 | p[i];
		}
		*ret = v;
		return true;
	}
	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v >> 61)
			return false;
		v = v << 3 | (uint64_t)(p[i] - '0');
	}
	for (; i < n; i++)
		if (p[i] != ' ' && p[i])
			return false;
	*ret = v;
	return true;
}

static bool sum_agrees(const uint8_t *h)
{
	uint64_t want, sum = 0;

	if (!parse_number(h + SUM_AT, SUM_LEN, &want))
		return false;
	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= SUM_AT && i < SUM_AT + SUM_LEN ? ' ' : h[i];
	return sum == want;
}

static bool all_zero(const uint8_t *h)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (h[i])
			return false;
	return true;
}

static char *member_name(const struct reader *r, const uint8_t *h)
{
	const char *name = (const char *)h + NAME_AT, *prefix = (const char *)h + PREFIX_AT;
	size_t n = strnlen(name, NAME_LEN), p = 0;
	char *s;

	if (r->long_name)
		return strdup(r->long_name);
	if (!memcmp(h + MAGIC_AT, "ustar", 6)) /* with its NUL: not GNU's "ustar " */
		p = strnlen(prefix, PREFIX_LEN);
	s = malloc(p + n + 2);
	if (!s)
		return NULL;
	memcpy(s, prefix, p);
	if (p)
		s[p++] = '/';
	memcpy(s + p, name, n);
	s[p + n] = '\0';
	return s;
}

static const char *plain_name(const char *name)
{
	while (name[0] == '.' && name[1] == '/')
		name += 2;
	return name;
}

static int add_member(struct reader *r, const uint8_t *h, const uint8_t *data, size_t bytes)
{
	char *name;

	if (r->tar.n == TAR_MAX_MEMBERS)
		return ne_fail(r->err, EFBIG, "%s: tar: more than %zu files", r->path,
			       TAR_MAX_MEMBERS);
	if (r->tar.n == r->size) {
		size_t bigger = r->size ? 2 * r->size : 256;
		struct tar_member *m = reallocarray(r->tar.member, bigger, sizeof(*m));

		if (!m)
			return ne_fail(r->err, ENOMEM, "%s: out of memory", r->path);
		r->tar.member = m;
		r->size = bigger;
	}
	name = member_name(r, h);
	if (!name)
		return ne_fail(r->err, ENOMEM, "%s: out of memory", r->path);
	memmove(name, plain_name(name), strlen(plain_name(name)) + 1);
	r->tar.member[r->tar.n++] = (struct tar_member){name, data, bytes};
	return 0;
}

static int set_long_name(struct reader *r, const char *name, size_t n)
{
	n = strnlen(name, n);
	if (n > TAR_MAX_NAME)
		return bad(r, "a file name is too long");
	free(r->long_name);
	r->long_name = strndup(name, n);
	return r->long_name ? 0 : ne_fail(r->err, ENOMEM, "%s: out of memory", r->path);
}

/* One pax record, "LENGTH KEY=VALUE\n", the length counting all of it. */
static int pax_record(struct reader *r, const char *key, size_t key_n, const char *value,
		      size_t value_n)
{
	if (key_n == 4 && !memcmp(key, "path", 4))
		return set_long_name(r, value, value_n);
	if (key_n == 4 && !memcmp(key, "size", 4)) {
		uint64_t v = 0;

		for (size_t i = 0; i < value_n; i++) {
			if (value[i] < '0' || value[i] > '9' || v > (UINT64_MAX - 9) / 10)
				return bad(r, "a pax size is no number");
			v = v * 10 + (uint64_t)(value[i] - '0');
		}
		r->pax_size = v;
		r->have_size = true;
	}
	if (key_n > 10 && !memcmp(key, "GNU.sparse", 10))
		return bad(r, "a sparse file (unsupported: pack it without --sparse)");
	return 0;
}

static int pax_header(struct reader *r, const char *p, size_t n)
{
	while (n) {
		const char *space, *equals;
		size_t length = 0, digits = 0;

		for (; digits < n && p[digits] >= '0' && p[digits] <= '9' && digits < 9; digits++)
			length = length * 10 + (size_t)(p[digits] - '0');
		if (!digits || digits == n || p[digits] != ' ' || length > n ||
		    length < digits + 3 || p[length - 1] != '\n')
			return bad(r, "a damaged pax record");
		space = p + digits;
		equals = memchr(space + 1, '=', length - digits - 2);
		if (!equals)
			return bad(r, "a damaged pax record");
		NE_RETURN_IF(pax_record(r, space + 1, (size_t)(equals - space - 1), equals + 1,
					(size_t)(p + length - 1 - (equals + 1))));
		p += length;
		n -= length;
	}
	return 0;
}

/* Takes the header at r->at and goes behind its data. */
static int read_member(struct reader *r)
{
	const uint8_t *h = r->data + r->at, *data = h + BLOCK;
	size_t left = r->bytes - r->at - BLOCK;
	char type = (char)h[TYPE_AT];
	uint64_t size;
	int rc = 0;

	if (!sum_agrees(h))
		return bad(r, "no header (checksum)");
	if (!parse_number(h + SIZE_AT, SIZE_LEN, &size))
		return bad(r, "a file's size is no number");
	if (r->have_size && type != 'x' && type != 'L')
		size = r->pax_size;
	if (type == '1' || type == '2' || type == '5' || type == '3' || type == '4' || type == '6')
		size = 0; /* links, folders, devices have no data */
	if (size > left)
		return bad(r, "truncated: the file that starts here goes beyond the end");
	switch (type) {
	case '0':
	case '\0':
	case '7':
		rc = add_member(r, h, data, (size_t)size);
		break;
	case 'x':
		rc = pax_header(r, (const char *)data, (size_t)size);
		break;
	case 'L':
		rc = set_long_name(r, (const char *)data, (size_t)size);
		break;
	case 'S':
		rc = bad(r, "a sparse file (unsupported: pack it without --sparse)");
		break;
	default:
		break; /* folders, links, global headers: nothing to read */
	}
	if (type != 'x' && type != 'L' && type != 'g' && type != 'K') {
		free(r->long_name);
		r->long_name = NULL;
		r->have_size = false;
	}
	/* The last block may be short in archives that were cut after it; the data is all there. */
	r->at += BLOCK + NE_MIN(ne_round_up((size_t)size, BLOCK), left);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	const struct tar_member *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	/* Among equal names the order of the archive, which the addresses keep. */
	return c ? c : (x->data > y->data) - (x->data < y->data);
}

int tar_open(const char *path, const void *data, size_t bytes, struct tar *ret,
	     struct ne_error *err)
{
	struct reader r = {.path = path, .data = data, .bytes = bytes, .err = err};
	int rc = 0;

	while (!rc && r.at < bytes) {
		if (bytes - r.at < BLOCK)
			rc = bad(&r, "truncated header");
		else if (all_zero(r.data + r.at))
			break;
		else
			rc = read_member(&r);
	}
	if (!rc && !r.tar.n)
		rc = ne_fail(err, EBADMSG, "%s: tar: no files in it", path);
	free(r.long_name);
	if (rc < 0) {
		tar_close(&r.tar);
		return rc;
	}
	qsort(r.tar.member, r.tar.n, sizeof(*r.tar.member), by_name);
	*ret = r.tar;
	return 0;
}

void tar_close(struct tar *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->member[i].name);
	free(t->member);
	memset(t, 0, sizeof(*t));
}

const struct tar_member *tar_find(const struct tar *t, const char *name)
{
	size_t lo = 0, hi = t->n;

	name = plain_name(name);
	while (lo < hi) { /* the first member with a greater name */
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(t->member[mid].name, name) > 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (!lo || strcmp(t->member[lo - 1].name, name))
		return NULL;
	return &t->member[lo - 1];
}
