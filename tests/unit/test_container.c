// SPDX-License-Identifier: MIT
/* .neap files: what is written is read back, the bytes are the specified ones, files are replaced
 * whole, limits hold. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <neap/model.h>

#include "tests/unit/container_models.h"

/* bytes and XXH3-64 of test_model_small() packed both ways */
#define GOLDEN "18929 4c8d74cfabc72663"

static void *serialise(const struct ne_model *m, unsigned flags, size_t *ret_bytes)
{
	struct ne_error err;
	void *data;

	if (ne_container_serialise(m, flags, &data, ret_bytes, &err) < 0)
		fail_msg("%s", err.text);
	return data;
}

static struct ne_model *parse(const void *data, size_t bytes)
{
	struct ne_model *m;
	struct ne_error err;

	if (ne_container_parse(data, bytes, NULL, &m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

static void test_round_trip(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct ne_model *m = seed ? test_model_random(seed) : test_model_small();

		for (unsigned flags = 0; flags < (seed < 4 ? 8 : 4); flags++) {
			size_t bytes, again_bytes;
			void *data = serialise(m, flags, &bytes);
			struct ne_model *back = parse(data, bytes);
			void *again = serialise(back, flags, &again_bytes);

			test_models_equal(m, back, flags & NE_PACK_F16);
			/* what was rounded to f16 once is exact from then on */
			assert_int_equal(bytes, again_bytes);
			assert_memory_equal(data, again, bytes);
			free(again);
			if (flags & NE_PACK_F16) {
				again = serialise(
					back, (flags & ~(unsigned)NE_PACK_F16) | NE_PACK_F16_EXACT,
					&again_bytes);
				assert_int_equal(bytes, again_bytes);
				assert_memory_equal(data, again, bytes);
				free(again);
			}
			free(data);
			ne_model_free(back);
		}
		ne_model_free(m);
	}
}

static void test_packing_pays(void **state)
{
	struct ne_model *m = test_model_small();
	size_t raw, rans, half;

	(void)state;
	free(serialise(m, 0, &raw));
	free(serialise(m, NE_PACK_RANS, &rans));
	free(serialise(m, NE_PACK_F16, &half));
	assert_true(rans < raw);
	assert_true(half < raw);
	ne_model_free(m);
}

/* The digest changes when the format or the coder does: then old files must still be read, or the
 * version be raised. */
static void test_golden(void **state)
{
	struct ne_model *m = test_model_small();
	size_t bytes;
	void *data = serialise(m, NE_PACK_RANS | NE_PACK_F16, &bytes);
	char got[64];

	(void)state;
	snprintf(got, sizeof(got), "%zu %016llx", bytes,
		 (unsigned long long)XXH3_64bits(data, bytes));
	assert_string_equal(got, GOLDEN);
	free(data);
	ne_model_free(m);
}

/* test_model_least() as a person writes it with docs/container.md at hand. */
static const uint8_t by_hand[] = {
	/* 0: magic, version, sections */
	0x89, 'N', 'E', 'A', 'P', '\r', '\n', 0x1a, 1, 0, 0, 0, 3, 0, 0, 0,
	/* 16: length 323, checksum (below) */
	0x43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* 32: reserved */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0,
	/* 64: graph, 0 flags, at 192, 43 bytes */
	1, 0, 0, 0, 0, 0, 0, 0, 192, 0, 0, 0, 0, 0, 0, 0, 43, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0,
	/* 96: levels, at 256, 40 bytes... */
	3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0,
	/* 128: calibration, at 320, 3 bytes */
	4, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0,
	/* 160: padding */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0,
	/* 192: no groups; two tensors: name, f32, not constant, rank 2: 1 x 1, group 0 */
	0, 2, 1, 'x', 1, 0, 2, 1, 1, 0, 1, 'y', 1, 0, 2, 1, 1, 0,
	/* 210: one node "n": relu, inputs {0}, outputs {1}, attributes window and groups */
	1, 1, 'n', 9, 1, 1, 1, 1, 3, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 2,
	/* 230: inputs {0}; one exit: {1} */
	1, 0, 1, 1, 1,
	/* 235: padding to 256 */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* 256: one level, confidence 0 */
	1, 0, 0, 0, 0, 0, 0, 0,
	/* 264: 0 MACs, accuracy -1, latency 0, energy 0, control -1, f32 -1, exit 0, width 0, front */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xbf, 0, 0,
	0x80, 0xbf, 0, 0, 1, 0,
	/* 296: padding to 320 */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* 320: one width, no norms, nothing quantised */
	1, 0, 0};

static void test_by_hand(void **state)
{
	struct ne_model *m = test_model_least(), *back;
	uint8_t file[sizeof(by_hand)];
	size_t bytes;
	uint8_t *data = serialise(m, NE_PACK_RANS, &bytes);

	(void)state;
	memcpy(file, by_hand, sizeof(file));
	test_container_fix(file, sizeof(file));
	assert_int_equal(bytes, sizeof(file));
	assert_memory_equal(data, file, bytes);
	back = parse(file, sizeof(file));
	test_models_equal(m, back, false);
	ne_model_free(back);
	ne_model_free(m);
	free(data);
}

static void test_writer_refuses(void **state)
{
	struct ne_model *m = test_model_small();
	struct ne_error err;
	size_t bytes = 77;
	void *data = NULL;
	char *name;

	(void)state;
	assert_int_equal(ne_model_set_note(m, "Not A Key", "x"), 0);
	assert_int_equal(ne_container_serialise(m, 0, &data, &bytes, &err), -EINVAL);
	assert_non_null(strstr(err.text, "lower_snake_case"));
	strcpy(m->note[m->n_note - 1].key, "a_key");
	assert_int_equal(ne_container_serialise(m, 8, &data, &bytes, &err), -EINVAL);
	name = m->label[0];
	m->label[0] = (char[]){(char)0xc0, (char)0x80, 0};
	assert_int_equal(ne_container_serialise(m, 0, &data, &bytes, &err), -EINVAL);
	assert_non_null(strstr(err.text, "UTF-8"));
	m->label[0] = name;
	m->level[0].accuracy = 2.0f;
	assert_int_equal(ne_container_serialise(m, 0, &data, &bytes, &err), -EINVAL);
	m->level[0].accuracy = 0.5f;
	m->width[0].norm[0].bias[0] = (float)(1e300 * 1e10);
	assert_true(ne_container_serialise(m, 0, &data, &bytes, &err) < 0);
	m->width[0].norm[0].bias[0] = 0.0f;
	m->width[1].quant[1].scale = 1e-40f;
	assert_int_equal(ne_container_serialise(m, 0, &data, &bytes, &err), -EINVAL);
	assert_null(data); /* outputs are untouched on failure */
	assert_int_equal(bytes, 77);
	ne_model_free(m);
}

static void limits_refuse(const void *data, size_t bytes, const struct ne_limits *l,
			  const char *what)
{
	struct ne_model *m = NULL;
	struct ne_error err;

	assert_int_equal(ne_container_parse(data, bytes, l, &m, &err), -E2BIG);
	if (!strstr(err.text, what))
		fail_msg("\"%s\" expected, got \"%s\"", what, err.text);
	assert_null(m);
}

static void test_limits(void **state)
{
	struct ne_model *m = test_model_small();
	uint64_t macs = ne_model_macs(m, 1, 1);
	uint32_t nodes = m->graph.n_node;
	size_t bytes;
	void *data = serialise(m, NE_PACK_RANS, &bytes);
	struct ne_model *back = NULL;

	(void)state;
	limits_refuse(data, bytes, &(struct ne_limits){.file_bytes = bytes - 1}, "file");
	limits_refuse(data, bytes, &(struct ne_limits){.tensor_bytes = 2000}, "memory");
	limits_refuse(data, bytes, &(struct ne_limits){.macs = macs - 1}, "MACs");
	limits_refuse(data, bytes, &(struct ne_limits){.nodes = nodes - 1}, "nodes");
	assert_int_equal(
		ne_container_parse(
			data, bytes,
			&(struct ne_limits){.file_bytes = bytes, .macs = macs, .nodes = nodes},
			&back, NULL),
		0);
	ne_model_free(back);
	ne_model_free(m);
	free(data);
}

/* A few hundred bytes that decode to a quarter of a gigabyte are refused before memory is taken. */
static void test_bomb(void **state)
{
	struct ne_model *m = test_model_least(), *back = NULL;
	struct ne_shape shape = {.rank = 2, .dim = {1 << 14, 1 << 14}};
	int8_t *zero = calloc(1, (size_t)1 << 28);
	struct ne_error err;
	size_t bytes;
	void *data;

	(void)state;
	assert_non_null(zero);
	assert_true(ne_graph_add_const(&m->graph, "zero", NE_S8, &shape, zero) >= 0);
	m->width[0].quant = realloc(m->width[0].quant, 3 * sizeof(struct ne_quant));
	assert_non_null(m->width[0].quant);
	m->width[0].quant[2] = (struct ne_quant){0};
	data = serialise(m, NE_PACK_RANS, &bytes);
	ne_model_free(m);
	assert_true(bytes < 1000);
	assert_int_equal(ne_container_parse(data, bytes,
					    &(struct ne_limits){.tensor_bytes = 1 << 20}, &back,
					    &err),
			 -E2BIG);
	assert_non_null(strstr(err.text, "memory"));
	free(data);
}

static char folder[] = "/tmp/neap-container-XXXXXX";

static size_t files_in_folder(void)
{
	DIR *d = opendir(folder);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static void test_files(void **state)
{
	struct ne_model *m = test_model_small(), *other = test_model_least(), *back;
	struct ne_error err;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/model.neap", folder);
	assert_int_equal(ne_container_save(path, m, NE_PACK_RANS, &err), 0);
	assert_int_equal(ne_container_load(path, NULL, &back, &err), 0);
	test_models_equal(m, back, false);
	ne_model_free(back);
	assert_int_equal(ne_container_save(path, other, 0, &err), 0); /* replaces */
	assert_int_equal(ne_container_load(path, NULL, &back, &err), 0);
	test_models_equal(other, back, false);
	ne_model_free(back);
	assert_int_equal(files_in_folder(), 1); /* no temporary file is left */
	assert_int_equal(ne_container_load(path, &(struct ne_limits){.file_bytes = 9}, &back, &err),
			 -E2BIG);
	unlink(path);
	ne_model_free(m);
	ne_model_free(other);
}

static void test_bad_paths(void **state)
{
	struct ne_model *m = test_model_least(), *back = NULL;
	struct ne_error err;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/none.neap", folder);
	assert_int_equal(ne_container_load(path, NULL, &back, &err), -ENOENT);
	assert_non_null(strstr(err.text, "none.neap"));
	assert_int_equal(ne_container_load(folder, NULL, &back, &err), -EINVAL);
	assert_int_equal(mkfifo(path, 0600), 0); /* must not hang */
	assert_int_equal(ne_container_load(path, NULL, &back, &err), -EINVAL);
	unlink(path);
	snprintf(path, sizeof(path), "%s/no/such/model.neap", folder);
	assert_int_equal(ne_container_save(path, m, 0, &err), -ENOENT);
	/* rename over a folder fails: the temporary file must go */
	snprintf(path, sizeof(path), "%s/folder", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(ne_container_save(path, m, 0, &err), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(files_in_folder(), 0);
	assert_null(back);
	ne_model_free(m);
}

static void test_signature_place(void **state)
{
	struct ne_model *m = test_model_small(), *back;
	uint8_t key[32], sig[64];
	struct ne_signature s, t;
	struct ne_error err;
	void *data, *room, *again;
	size_t bytes, room_bytes, again_bytes;

	(void)state;
	memset(key, 0x11, sizeof(key));
	memset(sig, 0x22, sizeof(sig));
	data = serialise(m, NE_PACK_RANS, &bytes);
	assert_int_equal(ne_container_signature(data, bytes, &s, &err), -ENOENT);
	assert_int_equal(ne_container_add_signature(data, bytes, key, &room, &room_bytes, &err), 0);
	assert_int_equal(ne_container_signature(room, room_bytes, &s, &err), 0);
	assert_int_equal(ne_container_set_signature(room, room_bytes, sig, &err), 0);
	back = parse(room, room_bytes);
	test_models_equal(m, back, false);
	assert_int_equal(ne_container_signature(room, room_bytes, &t, &err), 0);
	assert_memory_equal(t.public_key, key, 32);
	assert_memory_equal(t.signature, sig, 64);
	/* what is signed does not depend on the signature, and begins with its purpose */
	assert_int_equal(s.message_bytes, t.message_bytes);
	assert_memory_equal(s.message, t.message, s.message_bytes);
	assert_memory_equal(s.message, "neap signature 1\x89NEAP", 21);
	/* signing what is signed replaces the signature */
	assert_int_equal(
		ne_container_add_signature(room, room_bytes, key, &again, &again_bytes, &err), 0);
	assert_int_equal(ne_container_set_signature(again, again_bytes, sig, &err), 0);
	assert_int_equal(again_bytes, room_bytes);
	assert_memory_equal(again, room, room_bytes);
	free(s.message);
	free(t.message);
	free(data);
	free(room);
	free(again);
	ne_model_free(back);
	ne_model_free(m);
}

static int folder_make(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_packing_pays),
		cmocka_unit_test(test_golden),         cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_writer_refuses), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_bomb),           cmocka_unit_test(test_files),
		cmocka_unit_test(test_bad_paths),      cmocka_unit_test(test_signature_place),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
