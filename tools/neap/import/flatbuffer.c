/* SPDX-License-Identifier: MIT */
/* Reading flatbuffers: every distance, size and count is checked before it is used. */
#include "tools/neap/import/flatbuffer.h"

#include <string.h>

#define VTABLE_HEAD 4u /* u16 bytes of the vtable, u16 bytes of the table */
#define TABLE_HEAD  4u /* s32 distance back to the vtable */

static void broken(struct fb *fb, size_t at, const char *reason)
{
	if (fb->reason)
		return;
	fb->reason = reason;
	fb->at = at;
}

int fb_failed(const struct fb *fb, struct ne_error *err)
{
	if (!fb->reason)
		return 0;
	return ne_fail(err, EBADMSG, "damaged at byte %zu: %s", fb->at, fb->reason);
}

/* Little-endian integers of any alignment; the caller knows that they are inside. */
static uint64_t read_at(const struct fb *fb, size_t at, uint32_t bytes)
{
	uint64_t v = 0;

	for (uint32_t i = 0; i < bytes; i++)
		v |= (uint64_t)fb->data[at + i] << 8 * i;
	return v;
}

static bool inside(const struct fb *fb, size_t at, size_t bytes)
{
	return at <= fb->bytes && bytes <= fb->bytes - at;
}

/* ---- tables ---- */

static struct fb_table no_table(struct fb *fb)
{
	return (struct fb_table){.fb = fb};
}

static struct fb_table table_at(struct fb *fb, size_t at)
{
	struct fb_table t = {.fb = fb, .at = at};
	int64_t vtable;
	uint32_t vtable_bytes;

	if (!inside(fb, at, TABLE_HEAD)) {
		broken(fb, at, "a table lies outside of the file");
		return no_table(fb);
	}
	vtable = (int64_t)at - (int32_t)(uint32_t)read_at(fb, at, 4);
	if (vtable < 0 || !inside(fb, (size_t)vtable, VTABLE_HEAD)) {
		broken(fb, at, "a table's layout (vtable) lies outside of the file");
		return no_table(fb);
	}
	t.vtable = (size_t)vtable;
	vtable_bytes = (uint32_t)read_at(fb, t.vtable, 2);
	t.bytes = (size_t)read_at(fb, t.vtable + 2, 2);
	if (vtable_bytes < VTABLE_HEAD || vtable_bytes % 2 || !inside(fb, t.vtable, vtable_bytes)) {
		broken(fb, t.vtable, "a table's layout (vtable) has a bad size");
		return no_table(fb);
	}
	if (t.bytes < TABLE_HEAD || !inside(fb, at, t.bytes)) {
		broken(fb, at, "a table has a bad size");
		return no_table(fb);
	}
	t.n_field = (vtable_bytes - VTABLE_HEAD) / 2;
	return t;
}

int fb_open(struct fb *fb, const void *data, size_t bytes, const char *identifier,
	    struct fb_table *ret, struct ne_error *err)
{
	*fb = (struct fb){.data = data, .bytes = bytes};
	if (bytes < 8 || memcmp(fb->data + 4, identifier, 4) != 0)
		return ne_fail(err, EBADMSG, "no file of the kind '%.4s'", identifier);
	*ret = table_at(fb, (size_t)read_at(fb, 0, 4));
	return fb_failed(fb, err);
}

/* Place of field @i of @bytes bytes, or 0 where it is absent (no field stands at 0). */
static size_t field(const struct fb_table *t, uint32_t i, uint32_t bytes)
{
	uint32_t offset;

	if (!t->bytes || i >= t->n_field)
		return 0;
	offset = (uint32_t)read_at(t->fb, t->vtable + VTABLE_HEAD + 2 * (size_t)i, 2);
	if (!offset)
		return 0;
	if (offset < TABLE_HEAD || offset > t->bytes || bytes > t->bytes - offset) {
		broken(t->fb, t->at, "a field lies outside of its table");
		return 0;
	}
	return t->at + offset;
}

bool fb_bool(const struct fb_table *t, uint32_t i)
{
	return fb_u8(t, i, 0) != 0;
}

int8_t fb_s8(const struct fb_table *t, uint32_t i, int8_t absent)
{
	return (int8_t)fb_u8(t, i, (uint8_t)absent);
}

uint8_t fb_u8(const struct fb_table *t, uint32_t i, uint8_t absent)
{
	size_t at = field(t, i, 1);

	return at ? t->fb->data[at] : absent;
}

int32_t fb_s32(const struct fb_table *t, uint32_t i, int32_t absent)
{
	return (int32_t)fb_u32(t, i, (uint32_t)absent);
}

uint32_t fb_u32(const struct fb_table *t, uint32_t i, uint32_t absent)
{
	size_t at = field(t, i, 4);

	return at ? (uint32_t)read_at(t->fb, at, 4) : absent;
}

uint64_t fb_u64(const struct fb_table *t, uint32_t i, uint64_t absent)
{
	size_t at = field(t, i, 8);

	return at ? read_at(t->fb, at, 8) : absent;
}

float fb_f32(const struct fb_table *t, uint32_t i, float absent)
{
	size_t at = field(t, i, 4);
	uint32_t bits;
	float v = absent;

	if (at) {
		bits = (uint32_t)read_at(t->fb, at, 4);
		memcpy(&v, &bits, sizeof(v));
	}
	return v;
}

/* ---- references ---- */

/* What the reference at @at leads to, or 0 with the reason kept. Always forward. */
static size_t follow(struct fb *fb, size_t at)
{
	size_t distance = (size_t)read_at(fb, at, 4);

	if (distance < 4 || distance > fb->bytes - at) {
		broken(fb, at, "a reference leads outside of the file");
		return 0;
	}
	return at + distance;
}

struct fb_table fb_table(const struct fb_table *t, uint32_t i)
{
	size_t at = field(t, i, 4);

	if (at)
		at = follow(t->fb, at);
	return at ? table_at(t->fb, at) : no_table(t->fb);
}

struct fb_vector fb_vector(const struct fb_table *t, uint32_t i, uint32_t element)
{
	struct fb_vector v = {.fb = t->fb};
	size_t at = field(t, i, 4);
	uint64_t n;

	if (at)
		at = follow(t->fb, at);
	if (!at)
		return v;
	if (!inside(t->fb, at, 4)) {
		broken(t->fb, at, "a vector lies outside of the file");
		return v;
	}
	n = read_at(t->fb, at, 4);
	if (n > FB_MAX_ELEMENTS || n > (t->fb->bytes - at - 4) / element) {
		broken(t->fb, at, "a vector is longer than the file");
		return v;
	}
	v.at = at + 4;
	v.n = (uint32_t)n;
	return v;
}

void fb_string(const struct fb_table *t, uint32_t i, char *buf, size_t size)
{
	struct fb_vector v = fb_vector(t, i, 1);
	size_t n = NE_MIN(size - 1, v.n), used = 0;

	while (used < n && t->fb->data[v.at + used])
		used++;
	if (used)
		memcpy(buf, t->fb->data + v.at, used);
	buf[used] = '\0';
}

/* ---- elements ---- */

struct fb_table fb_vector_table(const struct fb_vector *v, uint32_t i)
{
	size_t at = follow(v->fb, v->at + 4 * (size_t)i);

	return at ? table_at(v->fb, at) : no_table(v->fb);
}

int32_t fb_vector_s32(const struct fb_vector *v, uint32_t i)
{
	return (int32_t)(uint32_t)read_at(v->fb, v->at + 4 * (size_t)i, 4);
}

int64_t fb_vector_s64(const struct fb_vector *v, uint32_t i)
{
	return (int64_t)read_at(v->fb, v->at + 8 * (size_t)i, 8);
}

float fb_vector_f32(const struct fb_vector *v, uint32_t i)
{
	uint32_t bits = (uint32_t)read_at(v->fb, v->at + 4 * (size_t)i, 4);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

const uint8_t *fb_vector_bytes(const struct fb_vector *v)
{
	return v->n ? v->fb->data + v->at : NULL;
}
