/* SPDX-License-Identifier: MIT */
#include "tests/unit/tiny_data.h"

#include "tests/unit/run_graph.h"
#include "tools/neap/data/csv.h"
#include "tools/neap/data/data.h"
#include "tools/neap/data/tar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TILE    96u /* of the sheet of persons */
#define COLUMNS 25u
#define TILES   500u

const char *tiny_need(const char *file)
{
	static char kept[8][4096];
	static unsigned next;
	const char *path = data_path(file);

	if (!path) {
		print_message("skipped: no reference data: %s (NEAP_DATA)\n", file);
		skip();
	}
	next = (next + 1) % 8;
	snprintf(kept[next], sizeof(kept[next]), "%s", path);
	return kept[next];
}

/* ---- pictures ---- */

struct picture {
	uint32_t w, h;
	uint8_t *rgb;
};

static uint32_t pnm_number(FILE *f)
{
	unsigned v = 0;

	assert_int_equal(fscanf(f, " %u", &v), 1);
	return v;
}

/* What @command writes as a PPM of 8 bits. Skips where @program is not there. */
static struct picture read_pnm(const char *program, const char *command)
{
	struct picture p;
	char test[128];
	size_t bytes;
	FILE *f;

	snprintf(test, sizeof(test), "command -v %s >/dev/null", program);
	if (system(test) != 0) {
		print_message("skipped: no %s, which reads the picture\n", program);
		skip();
	}
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fgetc(f), 'P');
	assert_int_equal(fgetc(f), '6');
	p.w = pnm_number(f);
	p.h = pnm_number(f);
	assert_int_equal(pnm_number(f), 255);
	fgetc(f);
	bytes = 3 * (size_t)p.w * p.h;
	p.rgb = malloc(bytes);
	assert_non_null(p.rgb);
	assert_int_equal(fread(p.rgb, 1, bytes, f), bytes);
	assert_int_equal(pclose(f), 0);
	return p;
}

static uint8_t area_mean(const struct picture *p, uint32_t size, uint32_t x, uint32_t y, uint32_t c)
{
	uint32_t y0 = y * p->h / size, y1 = (y + 1) * p->h / size;
	uint32_t x0 = x * p->w / size, x1 = (x + 1) * p->w / size, sum = 0, n;

	for (uint32_t i = y0; i < y1; i++)
		for (uint32_t k = x0; k < x1; k++)
			sum += p->rgb[3 * ((size_t)i * p->w + k) + c];
	n = (y1 - y0) * (x1 - x0);
	return (uint8_t)((sum + n / 2) / n);
}

uint8_t *tiny_picture(const char *file, uint32_t size)
{
	char command[4200];
	struct picture p;
	uint8_t *out = malloc(3 * (size_t)size * size), *v = out;

	snprintf(command, sizeof(command), "pngtopnm '%s'", tiny_need(file));
	p = read_pnm("pngtopnm", command);
	assert_non_null(out);
	assert_true(p.w >= size && p.h >= size);
	for (uint32_t y = 0; y < size; y++)
		for (uint32_t x = 0; x < size; x++)
			for (uint32_t c = 0; c < 3; c++)
				*v++ = area_mean(&p, size, x, y, c);
	free(p.rgb);
	return out;
}

/* ---- sets ---- */

static void *read_file(const char *path, size_t *ret_bytes)
{
	struct ne_error err = {""};
	void *data;

	if (data_read_file(path, (size_t)1 << 28, &data, ret_bytes, &err) < 0)
		fail_msg("%s", err.text);
	return data;
}

/* Labels: columns are the file, the number of classes, the class. The first line is data too. */
static struct csv read_labels(const char *text, size_t bytes)
{
	struct ne_error err = {""};
	struct csv c;

	if (csv_parse("y_labels.csv", text, bytes, &c, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(c.columns >= 3);
	return c;
}

static void make_room(struct tiny_set *s, size_t n, size_t sample, size_t size, void *values)
{
	void *p = calloc(n * sample, size);

	s->n = n;
	s->sample = sample;
	s->y = calloc(n, sizeof(*s->y));
	assert_non_null(p);
	assert_non_null(s->y);
	memcpy(values, &p, sizeof(p));
}

static void read_persons(struct tiny_set *s)
{
	char command[4200];
	struct picture p;
	struct csv c;
	size_t bytes;
	char *text;

	snprintf(command, sizeof(command), "dwebp -quiet '%s' -ppm -o -",
		 tiny_need("mlperf-tiny/vww01_500_tiles.webp"));
	text = read_file(tiny_need("mlperf-tiny/vww01_500_y_labels.csv"), &bytes);
	p = read_pnm("dwebp", command);
	assert_int_equal(p.w, COLUMNS * TILE);
	assert_int_equal(p.h, TILES / COLUMNS * TILE);
	c = read_labels(text, bytes);
	assert_int_equal(c.rows + 1, TILES);
	make_room(s, TILES, 3 * TILE * TILE, 1, &s->u8);
	for (uint32_t i = 0; i < TILES; i++) {
		for (uint32_t y = 0; y < TILE; y++)
			memcpy(s->u8 + ((size_t)i * TILE + y) * 3 * TILE,
			       p.rgb + (((size_t)(i / COLUMNS) * TILE + y) * p.w +
					i % COLUMNS * TILE) *
					       3,
			       3 * (size_t)TILE);
		s->y[i] = atoi(c.field[i * c.columns + 2]);
	}
	csv_done(&c);
	free(p.rgb);
	free(text);
}

static void read_archive(const char *name, size_t sample, size_t size, struct tiny_set *s,
			 void *values)
{
	const struct tar_member *labels;
	struct ne_error err = {""};
	char path[512];
	uint8_t *to;
	struct tar t;
	struct csv c;
	size_t bytes;
	void *data;

	snprintf(path, sizeof(path), "mlperf-tiny/%s.tar.xz", name);
	data = read_file(tiny_need(path), &bytes);
	if (tar_open(path, data, bytes, &t, &err) < 0)
		fail_msg("%s", err.text);
	snprintf(path, sizeof(path), "%s/y_labels.csv", name);
	labels = tar_find(&t, path);
	assert_non_null(labels);
	c = read_labels(labels->data, labels->bytes);
	make_room(s, c.rows + 1, sample, size, values);
	memcpy(&to, values, sizeof(to));
	for (size_t i = 0; i < s->n; i++) {
		const struct tar_member *m;

		snprintf(path, sizeof(path), "%s/%s", name, c.field[i * c.columns]);
		m = tar_find(&t, path);
		if (!m || m->bytes != sample * size)
			fail_msg("%s: absent, or not of %zu bytes", path, sample * size);
		memcpy(to + i * sample * size, m->data, m->bytes);
		s->y[i] = atoi(c.field[i * c.columns + 2]);
	}
	csv_done(&c);
	tar_close(&t);
	free(data);
}

void tiny_set_read(enum tiny_kind kind, struct tiny_set *ret)
{
	*ret = (struct tiny_set){0};
	switch (kind) {
	case TINY_KEYWORDS:
		read_archive("kws01", 49 * 10, 1, ret, &ret->s8);
		break;
	case TINY_IMAGES:
		read_archive("ic01", 32 * 32 * 3, 1, ret, &ret->u8);
		break;
	case TINY_PERSONS:
		read_persons(ret);
		break;
	case TINY_SOUNDS:
		read_archive("ad01", 200 * 128, sizeof(float), ret, &ret->f32);
		break;
	}
}

void tiny_set_done(struct tiny_set *s)
{
	free(s->u8);
	free(s->s8);
	free(s->f32);
	free(s->y);
	*s = (struct tiny_set){0};
}
