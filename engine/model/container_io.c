// SPDX-License-Identifier: MIT
/* The container's byte cursors. A reader borrows its bytes; a writer's data belongs to its owner. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model/container_io.h"

int ne_rd_fail(const struct ne_reader *r, int code, const char *fmt, ...)
{
	char text[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ne_fail(r->err, code, "section %s, byte %zu: %s", r->section, r->at, text);
}

int ne_rd_bytes(struct ne_reader *r, size_t n, const uint8_t **ret, const char *what)
{
	if (n > r->bytes - r->at)
		return ne_rd_fail(r, EBADMSG, "%s: %zu bytes wanted, %zu left", what, n,
				  r->bytes - r->at);
	*ret = r->data + r->at;
	r->at += n;
	return 0;
}

int ne_rd_u8(struct ne_reader *r, uint8_t *ret, const char *what)
{
	const uint8_t *p = NULL;

	NE_RETURN_IF(ne_rd_bytes(r, 1, &p, what));
	*ret = *p;
	return 0;
}

int ne_rd_u64(struct ne_reader *r, uint64_t max, uint64_t *ret, const char *what)
{
	uint64_t v = 0;
	uint8_t b = 0;

	for (unsigned shift = 0;; shift += 7) {
		NE_RETURN_IF(ne_rd_u8(r, &b, what));
		if (shift == 63 && b > 1)
			return ne_rd_fail(r, EBADMSG, "%s: number over 64 bits", what);
		v |= (uint64_t)(b & 127u) << shift;
		if (b & 128u)
			continue;
		if (b == 0 && shift > 0)
			return ne_rd_fail(r, EBADMSG, "%s: number not in its shortest form", what);
		break;
	}
	if (v > max)
		return ne_rd_fail(r, EBADMSG, "%s: %llu is over %llu", what, (unsigned long long)v,
				  (unsigned long long)max);
	*ret = v;
	return 0;
}

int ne_rd_u32(struct ne_reader *r, uint32_t max, uint32_t *ret, const char *what)
{
	uint64_t v = 0;

	NE_RETURN_IF(ne_rd_u64(r, max, &v, what));
	*ret = (uint32_t)v;
	return 0;
}

int ne_rd_s32(struct ne_reader *r, int32_t *ret, const char *what)
{
	uint32_t z = 0;

	NE_RETURN_IF(ne_rd_u32(r, UINT32_MAX, &z, what));
	*ret = (int32_t)(z >> 1 ^ (0u - (z & 1u)));
	return 0;
}

int ne_rd_f32(struct ne_reader *r, float *ret, const char *what)
{
	const uint8_t *p = NULL;
	float v;

	NE_RETURN_IF(ne_rd_bytes(r, 4, &p, what));
	memcpy(&v, p, 4);
	if (!isfinite(v))
		return ne_rd_fail(r, EBADMSG, "%s: not a finite number", what);
	*ret = v;
	return 0;
}

int ne_rd_count(struct ne_reader *r, uint32_t max, size_t each, uint32_t *ret, const char *what)
{
	uint32_t n;

	NE_RETURN_IF(ne_rd_u32(r, max, &n, what));
	if (n > (r->bytes - r->at) / each)
		return ne_rd_fail(r, EBADMSG, "%s: %u do not fit into the %zu bytes left", what, n,
				  r->bytes - r->at);
	*ret = n;
	return 0;
}

int ne_rd_alloc(struct ne_reader *r, size_t n, size_t size, void *ret, const char *what)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > *r->budget)
		return ne_rd_fail(r, E2BIG, "%s: more memory than the limit allows", what);
	p = calloc(n ? n : 1, size);
	if (!p)
		return ne_rd_fail(r, ENOMEM, "%s: no memory for %zu bytes", what, bytes);
	*r->budget -= bytes;
	memcpy(ret, &p, sizeof(p));
	return 0;
}

int ne_rd_alloc_filled(struct ne_reader *r, size_t bytes, size_t sure, void *ret, const char *what)
{
	void *p;

	if (bytes > *r->budget)
		return ne_rd_fail(r, E2BIG, "%s: more memory than the limit allows", what);
	p = malloc(bytes ? bytes : 1);
	if (!p)
		return ne_rd_fail(r, ENOMEM, "%s: no memory for %zu bytes", what, bytes);
	ne_pages_expect(p, NE_MIN(bytes, sure));
	*r->budget -= bytes;
	memcpy(ret, &p, sizeof(p));
	return 0;
}

int ne_rd_string(struct ne_reader *r, uint32_t max, char **ret, const char *what)
{
	const uint8_t *p = NULL;
	uint32_t n = 0;
	char *s = NULL;

	NE_RETURN_IF(ne_rd_count(r, max, 1, &n, what));
	NE_RETURN_IF(ne_rd_bytes(r, n, &p, what));
	if (!ne_utf8_valid((const char *)p, n))
		return ne_rd_fail(r, EBADMSG, "%s: not UTF-8 text", what);
	NE_RETURN_IF(ne_rd_alloc(r, (size_t)n + 1, 1, &s, what));
	memcpy(s, p, n);
	*ret = s;
	return 0;
}

int ne_rd_align(struct ne_reader *r, size_t to)
{
	size_t n = ne_round_up(r->at, to) - r->at;
	const uint8_t *p = NULL;

	NE_RETURN_IF(ne_rd_bytes(r, n, &p, "padding"));
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return ne_rd_fail(r, EBADMSG, "padding is not zero");
	return 0;
}

int ne_rd_end(const struct ne_reader *r)
{
	if (r->at != r->bytes)
		return ne_rd_fail(r, EBADMSG, "%zu bytes too many", r->bytes - r->at);
	return 0;
}

bool ne_utf8_valid(const char *s, size_t bytes)
{
	static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
	const uint8_t *p = (const uint8_t *)s;

	for (size_t i = 0; i < bytes;) {
		uint32_t c = p[i++];
		unsigned more = 0;

		if (c == 0)
			return false;
		if (c >= 0x80) {
			if (c < 0xc2 || c > 0xf4)
				return false;
			more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
			c &= 0x3fu >> more;
		}
		if (more > bytes - i)
			return false;
		for (unsigned k = 0; k < more; k++, i++) {
			if ((p[i] & 0xc0u) != 0x80u)
				return false;
			c = c << 6 | (p[i] & 0x3fu);
		}
		if (more && (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)))
			return false;
	}
	return true;
}

void ne_wr_bytes(struct ne_writer *w, const void *p, size_t n)
{
	if (w->failed || n == 0)
		return;
	if (n > w->cap - w->bytes) {
		size_t cap = NE_MAX(w->cap + w->cap / 2, w->bytes + n + 256);
		uint8_t *data = realloc(w->data, cap);

		if (!data) {
			w->failed = true;
			return;
		}
		w->data = data;
		w->cap = cap;
	}
	memcpy(w->data + w->bytes, p, n);
	w->bytes += n;
}

void ne_wr_u8(struct ne_writer *w, uint8_t v)
{
	ne_wr_bytes(w, &v, 1);
}

void ne_wr_uv(struct ne_writer *w, uint64_t v)
{
	for (; v >= 128; v >>= 7)
		ne_wr_u8(w, (uint8_t)(v | 128u));
	ne_wr_u8(w, (uint8_t)v);
}

void ne_wr_sv(struct ne_writer *w, int32_t v)
{
	ne_wr_uv(w, (uint32_t)v << 1 ^ (v < 0 ? UINT32_MAX : 0));
}

void ne_wr_f32(struct ne_writer *w, float v)
{
	ne_wr_bytes(w, &v, 4);
}

void ne_wr_string(struct ne_writer *w, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	ne_wr_uv(w, n);
	ne_wr_bytes(w, s, n);
}

void ne_wr_align(struct ne_writer *w, size_t to)
{
	static const uint8_t zero[NEAP_FILE_ALIGN];

	ne_wr_bytes(w, zero, ne_round_up(w->bytes, to) - w->bytes);
}

void ne_wr_patch(struct ne_writer *w, size_t at, const void *p, size_t n)
{
	if (!w->failed)
		memcpy(w->data + at, p, n);
}
