// SPDX-License-Identifier: MIT
/* npy files: what NumPy writes, what this tool writes, and what nobody should. */
#include "tools/neap/data/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"

/* The file of @header, padded as NumPy does, and @n bytes of values. */
static void npy_file(struct bytes *b, int version, const char *header, const void *values, size_t n)
{
	size_t length = strlen(header) + 1, start = version == 1 ? 10 : 12;
	uint8_t h[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)version, 0};

	length = (start + length + 63) / 64 * 64 - start;
	h[8] = (uint8_t)length;
	h[9] = (uint8_t)(length >> 8);
	bytes_add(b, h, start);
	bytes_add(b, header, strlen(header));
	for (size_t i = strlen(header); i + 1 < length; i++)
		bytes_add(b, " ", 1);
	bytes_add(b, "\n", 1);
	bytes_add(b, values, n);
}

static int parse(int version, const char *header, const void *values, size_t n, struct npy *a,
		 struct ne_error *err)
{
	struct bytes b = {NULL, 0};
	int rc;

	npy_file(&b, version, header, values, n);
	rc = npy_parse("a.npy", b.data, b.n, a, err);
	if (rc < 0)
		bytes_free(&b);
	return rc;
}

static void test_versions(void **state)
{
	const float v[6] = {0, 1, 2, 3, 4, 5};

	(void)state;
	for (int version = 1; version <= 3; version++) {
		struct ne_error err = {""};
		struct npy a;

		assert_int_equal(
			parse(version,
			      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", v,
			      sizeof(v), &a, &err),
			0);
		assert_int_equal(npy_dtype(&a), NE_F32);
		assert_int_equal(a.rank, 2);
		assert_int_equal(a.dim[0], 2);
		assert_int_equal(a.dim[1], 3);
		assert_int_equal(a.elements, 6);
		assert_memory_equal(a.data, v, sizeof(v));
		npy_done(&a);
	}
}

static void test_headers_accepted(void **state)
{
	static const struct {
		const char *header;
		uint32_t rank;
		size_t bytes;
	} cases[] = {
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 0, 1},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", 1, 3},
		{"{'descr': '|u1', 'fortran_order': True, 'shape': (3,), }", 1, 3},
		{"{\"shape\": (3L, 1), \"descr\": \"|i1\", \"fortran_order\": False}", 2, 3},
		{"{'descr':'<i8','fortran_order':False,'shape':(1,)}", 1, 8},
		{"{'descr': '|b1', 'fortran_order': False, 'shape': (0, 5), }", 2, 0},
	};
	uint8_t values[8] = {0};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		struct ne_error err = {""};
		struct npy a;

		assert_int_equal(parse(1, cases[i].header, values, cases[i].bytes, &a, &err), 0);
		assert_int_equal(a.rank, cases[i].rank);
		npy_done(&a);
	}
}

static void test_headers_refused(void **state)
{
	static const struct {
		const char *header;
		int code;
		const char *word;
	} cases[] = {
		{"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", EINVAL,
		 "ascontiguousarray"},
		{"{'descr': '>f4', 'fortran_order': False, 'shape': (4,), }", EINVAL, "big-endian"},
		{"{'descr': '|O', 'fortran_order': False, 'shape': (4,), }", EINVAL, "'|O'"},
		{"{'descr': '<c8', 'fortran_order': False, 'shape': (4,), }", EINVAL, "'<c8'"},
		{"{'descr': '<f3', 'fortran_order': False, 'shape': (4,), }", EINVAL, "'<f3'"},
		{"{'descr': '', 'fortran_order': False, 'shape': (4,), }", EINVAL, "type ''"},
		{"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }", EINVAL,
		 "structured"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }", EBADMSG, "truncated"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", EBADMSG,
		 "4 bytes after"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
		 EBADMSG, "claims"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
		 EBADMSG, "overflows"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }", EBADMSG, "number"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,4), }", EINVAL,
		 "dimensions"},
		{"{'descr': '<f4', 'fortran_order': False, 'shape': (4", EBADMSG, "not closed"},
		{"{'descr': '<f4', 'fortran_order': False, }", EBADMSG, "missing"},
		{"{'descr': '<f4', 'fortran_order': 0, 'shape': (4,), }", EBADMSG, "neither"},
		{"{'descr': '<f4', 'extra': 1, 'shape': (4,), }", EBADMSG, "unknown key"},
		{"{'descr': '<f4", EBADMSG, "unterminated"},
		{"{'a very very very very very long key': 1}", EBADMSG, "too long"},
		{"[]", EBADMSG, "no dictionary"},
		{"", EBADMSG, "no dictionary"},
	};
	const float values[4] = {0};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		struct ne_error err = {""};
		struct npy a;

		assert_int_equal(parse(1, cases[i].header, values, sizeof(values), &a, &err),
				 -cases[i].code);
		if (!strstr(err.text, cases[i].word))
			fail_msg("'%s' does not say '%s'", err.text, cases[i].word);
	}
}

/* Every prefix and every single changed byte: refused or read, never a bad access. */
static void test_truncated_and_damaged(void **state)
{
	const uint8_t values[6] = {1, 2, 3, 4, 5, 6};
	struct bytes b = {NULL, 0};
	struct ne_error err;
	struct npy a;

	(void)state;
	npy_file(&b, 1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }", values, 6);
	for (size_t n = 0; n < b.n; n++) {
		uint8_t *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, b.data, n);
		assert_true(npy_parse("a.npy", copy, n, &a, &err) < 0);
		free(copy);
	}
	for (size_t i = 0; i < b.n * 255; i++) {
		uint8_t *copy = malloc(b.n);

		assert_non_null(copy);
		memcpy(copy, b.data, b.n);
		copy[i / 255] ^= (uint8_t)(i % 255 + 1);
		if (npy_parse("a.npy", copy, b.n, &a, &err) < 0)
			free(copy);
		else
			npy_done(&a);
	}
	bytes_free(&b);
}

static void test_save_and_load(void **state)
{
	const size_t dim[3] = {2, 1, 3};
	const int16_t v[6] = {-3, 2, -1, 0, 32767, -32768};
	const char *path = scratch_path("s.npy");
	struct ne_error err = {""};
	struct npy a;

	(void)state;
	for (uint32_t rank = 0; rank <= 3; rank++) {
		size_t n = 1;

		for (uint32_t i = 0; i < rank; i++)
			n *= dim[i];
		assert_int_equal(npy_save(path, NE_S16, rank, dim, v, &err), 0);
		assert_int_equal(npy_load(path, &a, &err), 0);
		assert_int_equal(npy_dtype(&a), NE_S16);
		assert_int_equal(a.rank, rank);
		assert_int_equal(a.elements, n);
		assert_memory_equal(a.data, v, 2 * n);
		assert_int_equal((size_t)((char *)a.data - (char *)a.file) % 64, 0);
		assert_int_equal(npy_integer(&a, 0), -3);
		npy_done(&a);
	}
	assert_int_equal(npy_save(path, (enum ne_dtype)99, 1, dim, v, &err), -EINVAL);
}

static void test_integers(void **state)
{
	const uint64_t big[2] = {UINT64_MAX, 7};
	const int32_t neg[2] = {-5, INT32_MAX};
	struct ne_error err = {""};
	struct npy a;

	(void)state;
	assert_int_equal(parse(1, "{'descr': '<u8', 'fortran_order': False, 'shape': (2,), }", big,
			       sizeof(big), &a, &err),
			 0);
	assert_true(npy_integer(&a, 0) == INT64_MAX);
	assert_true(npy_integer(&a, 1) == 7);
	npy_done(&a);
	assert_int_equal(parse(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", neg,
			       sizeof(neg), &a, &err),
			 0);
	assert_true(npy_integer(&a, 0) == -5);
	assert_true(npy_integer(&a, 1) == INT32_MAX);
	npy_done(&a);
}

/* ---- as a data set ---- */

static int open_set(struct data_set *d, struct ne_error *err)
{
	char spec[600];

	snprintf(spec, sizeof(spec), "npy:%s,%s", scratch_path("x.npy"), scratch_path("y.npy"));
	return data_open(spec, d, err);
}

static void save(const char *name, enum ne_dtype type, uint32_t rank, const size_t *dim,
		 const void *values)
{
	struct ne_error err = {""};

	assert_int_equal(npy_save(scratch_path(name), type, rank, dim, values, &err), 0);
}

static void assert_set_refused(const char *word)
{
	struct ne_error err = {""};
	struct data_set d;

	assert_int_equal(open_set(&d, &err), -EINVAL);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not say '%s'", err.text, word);
}

static void test_data_set(void **state)
{
	const size_t dim[2] = {3, 2};
	const float x[6] = {0, 1, 2, 3, 4, 5};
	const int64_t y[3] = {4, 0, 2};
	struct ne_error err = {""};
	struct data_set d;

	(void)state;
	save("x.npy", NE_F32, 2, dim, x);
	save("y.npy", NE_S64, 1, dim, y);
	assert_int_equal(open_set(&d, &err), 0);
	assert_int_equal(d.n, 3);
	assert_int_equal(d.n_class, 5);
	assert_int_equal(d.y[2], 2);
	assert_int_equal(d.sample.rank, 1);
	assert_int_equal(d.sample.dim[0], 2);
	assert_memory_equal(data_sample(&d, 1), x + 2, 8);
	data_close(&d);
}

static void test_data_set_refused(void **state)
{
	const size_t dim[2] = {3, 2}, none[2] = {0, 2};
	const float x[6] = {0};
	const int64_t negative[3] = {4, -1, 2}, huge[3] = {4, 1 << 20, 2};
	const int64_t y[3] = {0, 1, 0};

	(void)state;
	save("x.npy", NE_F32, 2, dim, x);
	save("y.npy", NE_S64, 1, dim, negative);
	assert_set_refused("label 1 is -1");
	save("y.npy", NE_S64, 1, dim, huge);
	assert_set_refused("label 1 is 1048576");
	save("y.npy", NE_F32, 1, dim, x);
	assert_set_refused("expected integers");
	save("y.npy", NE_S64, 1, dim + 1, y);
	assert_set_refused("2 labels for 3 samples");
	save("y.npy", NE_S64, 1, dim, y);
	save("x.npy", NE_S32, 2, dim, x);
	assert_set_refused("values are s32");
	save("x.npy", NE_F32, 2, none, x);
	assert_set_refused("no samples");
	save("x.npy", NE_F32, 0, none, x);
	assert_set_refused("single value");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_headers_accepted),
		cmocka_unit_test(test_headers_refused),
		cmocka_unit_test(test_truncated_and_damaged),
		cmocka_unit_test(test_save_and_load),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_data_set),
		cmocka_unit_test(test_data_set_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
