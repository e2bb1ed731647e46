// SPDX-License-Identifier: MIT
/*
 * Damaged and hostile .neap files. Whatever happens to the bytes, the file is refused with a reason;
 * where the damage is made to look whole by true checksums, it is refused or read, and what is read
 * can be made a program. Under the sanitizers this shows that nothing else happens either.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <neap/model.h>

#include "engine/run/run.h"
#include "tests/unit/container_models.h"
#include "tools/neap/data/data.h"

/* Tight, so that a flipped bit cannot ask for seconds of work. */
static const struct ne_limits tight = {
	.file_bytes = 1 << 20,
	.tensor_bytes = 4 << 20,
	.macs = 20000000,
	.nodes = 1000,
};

/* The file of @m, which is freed. */
static uint8_t *file_of(struct ne_model *m, size_t *ret_bytes)
{
	struct ne_error err;
	void *data;

	if (ne_container_serialise(m, NE_PACK_RANS | NE_PACK_F16, &data, ret_bytes, &err) < 0)
		fail_msg("%s", err.text);
	ne_model_free(m);
	return data;
}

static uint8_t *small_file(size_t *ret_bytes)
{
	return file_of(test_model_small(), ret_bytes);
}

/* Refused with a reason, and nothing returned. */
static void refused(const void *data, size_t bytes, size_t at)
{
	struct ne_model *m = NULL;
	struct ne_error err = {""};
	int e = ne_container_parse(data, bytes, NULL, &m, &err);

	if (e >= 0 || m || !err.text[0])
		fail_msg("damage at byte %zu: %d, \"%s\"", at, e, err.text);
	if (e != -EBADMSG && e != -EPROTONOSUPPORT)
		fail_msg("damage at byte %zu: %d, \"%s\"", at, e, err.text);
}

/* Safe: refused with a reason, or read and then fit to be a program (or refused there). */
static bool survives(const void *data, size_t bytes)
{
	struct ne_program *p = NULL;
	struct ne_model *m = NULL;
	struct ne_error err = {""};
	int e = ne_container_parse(data, bytes, &tight, &m, &err);

	if (e < 0) {
		assert_true(err.text[0] != 0);
		assert_null(m);
		return false;
	}
	e = ne_program_new(m, NULL, &p, &err);
	if (e < 0)
		assert_null(p);
	else
		ne_program_free(p);
	ne_model_free(m);
	return true;
}

static void damage_truncate(uint8_t *data, size_t bytes)
{
	for (size_t n = 0; n < bytes; n += 64) {
		uint8_t *copy = malloc(n ? n : 1); /* its end is the end of the memory */

		assert_non_null(copy);
		memcpy(copy, data, n);
		refused(copy, n, n);
		/* a header that tells the new length gets further */
		if (n >= sizeof(struct neap_file_header)) {
			uint64_t length = n;

			memcpy(copy + offsetof(struct neap_file_header, bytes), &length, 8);
			test_container_fix(copy, n);
			refused(copy, n, n);
		}
		free(copy);
	}
}

static void damage_flip(uint8_t *data, size_t bytes, size_t step)
{
	for (size_t i = 0; i < bytes; i += step) {
		data[i] ^= (uint8_t)(1u << i % 8);
		refused(data, bytes, i);
		data[i] ^= (uint8_t)(1u << i % 8);
	}
}

static void damage_behind_checksums(uint8_t *data, size_t bytes, size_t step)
{
	uint8_t *copy = malloc(bytes);
	size_t read = 0, n = 0;

	assert_non_null(copy);
	for (size_t i = 0; i < bytes; i += step) {
		static const uint8_t change[] = {0x01, 0x80, 0xff};

		for (size_t k = 0; k < NE_ARRAY_SIZE(change); k++, n++) {
			memcpy(copy, data, bytes);
			copy[i] ^= change[k];
			test_container_fix(copy, bytes);
			read += survives(copy, bytes);
		}
	}
	free(copy);
	/* names, weights and measurements may change unseen; structure may not */
	assert_in_range(read, 1, n - 1);
}

static void test_small_truncated(void **state)
{
	size_t bytes;
	uint8_t *data = small_file(&bytes);

	(void)state;
	assert_true(survives(data, bytes));
	damage_truncate(data, bytes);
	free(data);
}

static void test_small_flipped(void **state)
{
	size_t bytes;
	uint8_t *data = small_file(&bytes);

	(void)state;
	damage_flip(data, bytes, 1);
	free(data);
}

static void test_small_behind_checksums(void **state)
{
	size_t bytes;
	uint8_t *data = file_of(test_model_stateful(), &bytes);

	(void)state;
	damage_behind_checksums(data, bytes, 7);
	for (size_t i = 0; i < 4; i++) { /* every byte of what gives the file its structure */
		static const uint32_t type[] = {NEAP_SECTION_GRAPH, NEAP_SECTION_LEVELS,
						NEAP_SECTION_CALIBRATION, NEAP_SECTION_STATES};
		const struct neap_file_section *s = test_container_section(data, type[i]);
		uint8_t *copy = malloc(bytes);

		assert_non_null(copy);
		for (size_t at = 0; at < s->bytes; at++) {
			memcpy(copy, data, bytes);
			copy[s->offset + at] ^= 0x03;
			test_container_fix(copy, bytes);
			survives(copy, bytes);
		}
		free(copy);
	}
	free(data);
}

/* Random bytes written over random places, several at once. */
static void test_small_scribbled(void **state)
{
	struct test_random r = {23};
	size_t bytes;
	uint8_t *data = small_file(&bytes), *copy = malloc(bytes);

	(void)state;
	assert_non_null(copy);
	for (int round = 0; round < 2000; round++) {
		memcpy(copy, data, bytes);
		for (uint32_t k = test_random_below(&r, 4) + 1; k > 0; k--) {
			size_t at = 64 + test_random_below(&r, (uint32_t)bytes - 64);
			size_t n = NE_MIN(bytes - at, 1 + test_random_below(&r, 8));

			for (size_t i = 0; i < n; i++)
				copy[at + i] = (uint8_t)test_random_next(&r);
		}
		test_container_fix(copy, bytes);
		survives(copy, bytes);
	}
	free(copy);
	free(data);
}

/* The models that are shipped, each byte position sampled. */
static void test_shipped(void **state)
{
	DIR *d = opendir("models");
	size_t n = 0;

	(void)state;
	for (struct dirent *e; d && (e = readdir(d));) {
		const char *dot = strrchr(e->d_name, '.');
		char path[512];
		size_t bytes;
		void *data;

		if (!dot || strcmp(dot, ".neap") != 0)
			continue;
		snprintf(path, sizeof(path), "models/%.255s", e->d_name);
		assert_int_equal(data_read_file(path, 1 << 28, &data, &bytes, NULL), 0);
		damage_truncate(data, bytes);
		damage_flip(data, bytes, 1 + bytes / 4000);
		damage_behind_checksums(data, bytes, 1 + bytes / 300);
		free(data);
		n++;
	}
	if (d)
		closedir(d);
	if (n == 0) {
		print_message("models/ holds no .neap file: only the test's own were damaged\n");
		skip();
	}
}

/* ---- deliberate lies, each with the answer that it must get ---- */

/* A file of a graph section given byte by byte, and levels and calibration that would fit it. */
static void graph_refused(const char *why, int code, const uint8_t *graph, size_t bytes)
{
	static const uint8_t calibration[] = {1, 0, 0};
	struct neap_file_levels levels = {.n_level = 1};
	struct neap_file_level level = {.flags = NE_LEVEL_PARETO};
	struct neap_file_header h = {.version = 1, .n_section = 3};
	struct neap_file_section s[3] = {
		{.type = NEAP_SECTION_GRAPH, .offset = 192, .bytes = bytes},
		{.type = NEAP_SECTION_LEVELS, .bytes = sizeof(levels) + sizeof(level)},
		{.type = NEAP_SECTION_CALIBRATION, .bytes = sizeof(calibration)},
	};
	uint8_t file[1024] = {0};
	struct ne_model *m = NULL;
	struct ne_error err = {""};
	int e;

	s[1].offset = ne_round_up(192 + bytes, 64);
	s[2].offset = s[1].offset + 64;
	h.bytes = s[2].offset + s[2].bytes;
	assert_true(h.bytes <= sizeof(file));
	memcpy(h.magic, NEAP_FILE_MAGIC, 8);
	memcpy(file, &h, sizeof(h));
	memcpy(file + sizeof(h), s, sizeof(s));
	memcpy(file + 192, graph, bytes);
	memcpy(file + s[1].offset, &levels, sizeof(levels));
	memcpy(file + s[1].offset + sizeof(levels), &level, sizeof(level));
	memcpy(file + s[2].offset, calibration, sizeof(calibration));
	test_container_fix(file, (size_t)h.bytes);
	e = ne_container_parse(file, (size_t)h.bytes, NULL, &m, &err);
	if (e != -code || !strstr(err.text, why))
		fail_msg("-%d \"%s\" expected, got %d \"%s\"", code, why, e, err.text);
	assert_null(m);
}

#define GRAPH(why, code, ...)                                    \
	graph_refused(why, code, (const uint8_t[]){__VA_ARGS__}, \
		      sizeof((const uint8_t[]){__VA_ARGS__}))
#define T(c)    1, c, 1, 0, 2, 1, 1, 0 /* tensor of one letter: f32 [1,1] */
#define N(i, o) 1, 'n', 9, 1, (i) + 1, 1, o, 3, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 2 /* relu */

static void test_graph_lies(void **state)
{
	(void)state;
	GRAPH("too many", EBADMSG, 0, 2, T('x'), T('y'), 1, N(0, 1), 1, 0, 1, 1, 1, 0);
	GRAPH("do not fit into the 0 bytes left", EBADMSG, 0, 2, T('x'), T('y'), 1, N(0, 1), 1, 0,
	      1, 1);
	/* counts */
	GRAPH("number of tensors", EBADMSG, 0, 0xff, 0xff, 3);
	GRAPH("is over 65536", EBADMSG, 0, 0xff, 0xff, 0xff, 0xff, 0x0f);
	GRAPH("over 64 bits", EBADMSG, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2);
	GRAPH("shortest form", EBADMSG, 0x80, 0, 0);
	GRAPH("number of groups", EBADMSG, 0x80, 0x20, 0);
	GRAPH("has no channels", EBADMSG, 1, 0, 0);
	GRAPH("number of nodes", EBADMSG, 0, 1, T('x'), 0x80, 0x80, 1);
	GRAPH("number of exits", EBADMSG, 0, 2, T('x'), T('y'), 1, N(0, 1), 1, 0, 17, 1, 1);
	GRAPH("number of tensor ids: 65 is over 64", EBADMSG, 0, 2, T('x'), T('y'), 1, 1, 'n', 9,
	      65, 0);
	/* ids */
	GRAPH("tensor id 9 of 2", EBADMSG, 0, 2, T('x'), T('y'), 1, N(9, 1), 1, 0, 1, 1, 1);
	GRAPH("tensor id 2 of 2", EBADMSG, 0, 2, T('x'), T('y'), 1, N(0, 2), 1, 0, 1, 1, 1);
	GRAPH("tensor id 5 of 2", EBADMSG, 0, 2, T('x'), T('y'), 1, N(0, 1), 1, 5, 1, 1, 1);
	GRAPH("tensor id 7 of 2", EBADMSG, 0, 2, T('x'), T('y'), 1, N(0, 1), 1, 0, 1, 1, 7);
	GRAPH("group of a tensor", EBADMSG, 0, 1, 1, 'x', 1, 0, 2, 1, 1, 1);
	/* names, types, shapes */
	GRAPH("UTF-8", EBADMSG, 0, 1, 2, 0xc0, 0x80, 1, 0, 2, 1, 1, 0);
	GRAPH("UTF-8", EBADMSG, 0, 1, 3, 0xed, 0xa0, 0x80, 1, 0, 2, 1, 1, 0);
	GRAPH("UTF-8", EBADMSG, 0, 1, 1, 0, 1, 0, 2, 1, 1, 0);
	GRAPH("name of a tensor", EBADMSG, 0, 1, 0xff, 0x0f, 'x', 1, 0, 2, 1, 1, 0);
	GRAPH("type 9", EBADMSG, 0, 1, 1, 'x', 9, 0, 2, 1, 1, 0);
	GRAPH("type 2", EBADMSG, 0, 1, 1, 'x', 2, 0, 2, 1, 1, 0);
	GRAPH("flags 0x02", EBADMSG, 0, 1, 1, 'x', 1, 2, 2, 1, 1, 0);
	GRAPH("rank: 7", EBADMSG, 0, 1, 1, 'x', 1, 0, 7, 1, 1, 1, 1, 1, 1, 1, 0);
	GRAPH("shape with a zero", EBADMSG, 0, 1, 1, 'x', 1, 0, 2, 1, 0, 0);
	GRAPH("too many elements", EBADMSG, 0, 1, 1, 'x', 1, 0, 2, 0x80, 0x80, 0x80, 8, 0x80, 0x80,
	      0x80, 8, 0);
	GRAPH("dimension", EBADMSG, 0, 1, 1, 'x', 1, 0, 1, 0xff, 0xff, 0xff, 0xff, 7, 0);
	/* operators, attributes */
	GRAPH("operator 0", EBADMSG, 0, 2, T('x'), T('y'), 1, 1, 'n', 0, 1, 1, 1, 1, 0);
	GRAPH("unknown operator 200", EPROTONOSUPPORT, 0, 2, T('x'), T('y'), 1, 1, 'n', 200, 1, 1,
	      1, 1, 0);
	GRAPH("attributes", EBADMSG, 0, 2, T('x'), T('y'), 1, 1, 'n', 9, 1, 1, 1, 1, 0x80, 0x80,
	      0x80, 0x40);
	GRAPH("value: not a finite", EBADMSG, 0, 2, T('x'), T('y'), 1, 1, 'n', 9, 1, 1, 1, 1, 0x80,
	      1, 0, 0, 0xc0, 0x7f);
	GRAPH("section tensors is missing", EBADMSG, 0, 2, 1, 'x', 1, 1, 2, 1, 1, 0, T('y'), 1,
	      N(0, 1), 0, 1, 1, 1);
	/* cycles: a node that feeds itself; two that feed each other; the wrong order */
	GRAPH("cycle", EBADMSG, 0, 2, T('x'), T('y'), 1, N(1, 1), 1, 0, 1, 1, 1);
	GRAPH("cycle", EBADMSG, 0, 3, T('x'), T('y'), T('z'), 2, N(2, 1), N(1, 2), 1, 0, 1, 1, 2);
	GRAPH("two producers", EBADMSG, 0, 2, T('x'), T('y'), 2, N(0, 1), N(0, 1), 1, 0, 1, 1, 1);
	GRAPH("never produced", EBADMSG, 0, 3, T('x'), T('y'), T('z'), 1, N(0, 1), 1, 0, 1, 1, 2);
	GRAPH("no exit", EBADMSG, 0, 2, T('x'), T('y'), 1, N(0, 1), 1, 0, 0);
	/* the output's shape is not what the node gives */
	GRAPH("another shape", EBADMSG, 0, 2, T('x'), 1, 'y', 1, 0, 2, 1, 2, 0, 1, N(0, 1), 1, 0, 1,
	      1, 1);
}

/* @change is made to a sound file, whose checksums are made true afterwards. */
static void file_refused(const char *why, int code, void (*change)(uint8_t *data))
{
	size_t bytes;
	/* states are the last section, where there are any */
	bool states = strstr(why, "state") || strstr(why, "first value");
	uint8_t *data = file_of(states ? test_model_stateful() : test_model_small(), &bytes);
	struct ne_model *m = NULL;
	struct ne_error err = {""};
	int e;

	change(data);
	test_container_fix(data, bytes);
	e = ne_container_parse(data, bytes, NULL, &m, &err);
	if (e != -code || !strstr(err.text, why))
		fail_msg("-%d \"%s\" expected, got %d \"%s\"", code, why, e, err.text);
	assert_null(m);
	free(data);
}

#define LIE(name, ...)                                                     \
	static void name(uint8_t *data)                                    \
	{                                                                  \
		struct neap_file_header *h = (void *)data;                 \
		struct neap_file_section *s = (void *)(data + sizeof(*h)); \
		(void)h;                                                   \
		(void)s;                                                   \
		__VA_ARGS__;                                               \
	}

LIE(lie_magic, data[4] = 'Q')
LIE(lie_version, h->version = 2)
LIE(lie_version_0, h->version = 0)
LIE(lie_no_sections, h->n_section = 0)
LIE(lie_many_sections, h->n_section = UINT32_MAX)
LIE(lie_length, h->bytes++)
LIE(lie_reserved, h->reserved[31] = 1)
LIE(lie_twice, s[1].type = s[0].type)
LIE(lie_order, s[0].type = NEAP_SECTION_LEVELS; s[2].type = NEAP_SECTION_GRAPH)
LIE(lie_misaligned, s[1].offset += 4)
LIE(lie_overlap, s[2].offset = s[1].offset)
LIE(lie_gap, s[1].offset += 64)
LIE(lie_beyond, s[1].bytes = (uint64_t)1 << 40)
LIE(lie_wraps, s[1].bytes = UINT64_MAX - 63)
LIE(lie_empty, s[1].bytes = 0)
LIE(lie_flags, s[0].flags = 2)
LIE(lie_optional, s[0].flags = NEAP_SECTION_OPTIONAL)
LIE(lie_padding, data[s[0].offset + s[0].bytes] = 1)
LIE(lie_unknown, s[5].type = 77)
LIE(lie_no_graph, s[0].type = 0; s[0].flags = NEAP_SECTION_OPTIONAL)
LIE(lie_trailing, s[5].bytes--)
LIE(lie_encoding, data[s[1].offset] = NEAP_ENC_S4)
LIE(lie_encoding_0, data[s[1].offset] = 0)
LIE(lie_encoding_type, data[s[1].offset] = NEAP_ENC_S32)
LIE(lie_scale, memcpy(data + s[1].offset + 2, "\x01\0\0\0", 4))
LIE(lie_scale_nan, memcpy(data + s[1].offset + 2, "\0\0\xc0\x7f", 4))
LIE(lie_scale_negative, data[s[1].offset + 5] |= 0x80)
LIE(lie_confidence, memcpy(data + s[2].offset + 4, "\0\0\0\x40", 4))
LIE(lie_levels, data[s[2].offset] = 200)
LIE(lie_level_flags, data[s[2].offset + 8 + 31] = 1)
LIE(lie_accuracy, memcpy(data + s[2].offset + 16, "\0\0\x80\x7f", 4))
LIE(lie_depth, data[s[2].offset + 8 + 28] = 9)
LIE(lie_width, data[s[2].offset + 8 + 29] = 9)
LIE(lie_no_width, data[s[3].offset] = 0)
LIE(lie_widths, data[s[3].offset] = 65)
LIE(lie_quants, data[s[3].offset + 2] = 127)
LIE(lie_quant_step, data[s[3].offset + 3] = 0)
LIE(lie_quant_far, data[s[3].offset + 3] = 127)
LIE(lie_labels, data[s[4].offset] = 0)
LIE(lie_notes, data[s[5].offset] = 0)
LIE(lie_key, data[s[5].offset + 2] = 'T')
LIE(lie_no_states, data[s[6].offset] = 0)
LIE(lie_states, data[s[6].offset] = 9)
LIE(lie_state_in, data[s[6].offset + 1] = 120)
LIE(lie_state_out, data[s[6].offset + 2] = 120)
LIE(lie_state_constant, data[s[6].offset + 1] = 2)
LIE(lie_state_other, data[s[6].offset + 2] = 0)
LIE(lie_state_first, data[s[6].offset + 6] = 120)
LIE(lie_state_first_other, data[s[6].offset + 6] = 1)
LIE(lie_states_rest, data[s[6].offset] = 1)

static void test_file_lies(void **state)
{
	(void)state;
	file_refused("not a .neap file", EBADMSG, lie_magic);
	file_refused("version 2", EPROTONOSUPPORT, lie_version);
	file_refused("version 0", EBADMSG, lie_version_0);
	file_refused("0 sections", EBADMSG, lie_no_sections);
	file_refused("sections", EBADMSG, lie_many_sections);
	file_refused("should have", EBADMSG, lie_length);
	file_refused("reserved", EBADMSG, lie_reserved);
	file_refused("stands twice", EBADMSG, lie_twice);
	file_refused("out of order", EBADMSG, lie_order);
	file_refused("no multiple of 64", EBADMSG, lie_misaligned);
	file_refused("overlaps", EBADMSG, lie_overlap);
	file_refused("leaves a gap", EBADMSG, lie_gap);
	file_refused("in a file of", EBADMSG, lie_beyond);
	file_refused("in a file of", EBADMSG, lie_wraps);
	file_refused("0 bytes at", EBADMSG, lie_empty);
	file_refused("flags 0x2", EBADMSG, lie_flags);
	file_refused("flags 0x1", EBADMSG, lie_optional);
	file_refused("padding", EBADMSG, lie_padding);
	file_refused("type 77", EPROTONOSUPPORT, lie_unknown);
	file_refused("graph is missing", EBADMSG, lie_no_graph);
	file_refused("after the last section", EBADMSG, lie_trailing);
	file_refused("encoding 16", EPROTONOSUPPORT, lie_encoding);
	file_refused("encoding 0", EBADMSG, lie_encoding_0);
	file_refused("cannot hold s8", EBADMSG, lie_encoding_type);
	file_refused("negative or denormal", EBADMSG, lie_scale);
	file_refused("not a finite number", EBADMSG, lie_scale_nan);
	file_refused("negative or denormal", EBADMSG, lie_scale_negative);
	file_refused("confidence", EBADMSG, lie_confidence);
	file_refused("levels", EBADMSG, lie_levels);
	file_refused("flags", EBADMSG, lie_level_flags);
	file_refused("accuracy", EBADMSG, lie_accuracy);
	file_refused("no exit 9", EBADMSG, lie_depth);
	file_refused("no width 9", EBADMSG, lie_width);
	file_refused("no width settings", EBADMSG, lie_no_width);
	file_refused("65 is over 64", EBADMSG, lie_widths);
	file_refused("number of quantised", EBADMSG, lie_quants);
	file_refused("out of range", EBADMSG, lie_quant_step);
	file_refused("out of range", EBADMSG, lie_quant_far);
	file_refused("no labels", EBADMSG, lie_labels);
	file_refused("no notes", EBADMSG, lie_notes);
	file_refused("lower_snake_case", EBADMSG, lie_key);
	file_refused("states, byte 1: no states", EBADMSG, lie_no_states);
	file_refused("number of states", EBADMSG, lie_states);
	file_refused("states, byte 2: tensor id 120", EBADMSG, lie_state_in);
	file_refused("states, byte 3: tensor id 120", EBADMSG, lie_state_out);
	file_refused("state 0 ('conv.w') is a constant", EBADMSG, lie_state_constant);
	file_refused("state 0 ('before') differs", EBADMSG, lie_state_other);
	file_refused("states, byte 7: tensor id 119", EBADMSG, lie_state_first);
	file_refused("its first value (tensor 0)", EBADMSG, lie_state_first_other);
	file_refused("states, byte 4: ", EBADMSG, lie_states_rest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_truncated),
		cmocka_unit_test(test_small_flipped),
		cmocka_unit_test(test_small_behind_checksums),
		cmocka_unit_test(test_small_scribbled),
		cmocka_unit_test(test_graph_lies),
		cmocka_unit_test(test_file_lies),
		cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
