/* SPDX-License-Identifier: MIT */
/* The flatbuffer reader, and TFLite files that are refused, damaged or hostile. */
#include "tests/unit/tflite_ops.h"

#include "tools/neap/import/flatbuffer.h"
#include "tools/neap/import/tflite.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what is refused ---- */

static void refuse(const struct tb_tensor *t, int n, const struct tb_op *op, int code,
		   const char *text)
{
	struct tb_subgraph s = {n, 1, 1, 1, t, op, {0}, {n - 1}};
	struct fbw b = tb_build(&s, 1);

	import_fails(&b, code, text);
	fbw_free(&b);
}

static void test_refusals(void **state)
{
	static const float big[4] = {1, 2, 3, NAN};
	static const struct tb_tensor two[] = {REAL("in", 2, {1, 4}), REAL("out", 2, {1, 4})};
	static const struct tb_tensor wrong[] = {REAL("in", 2, {1, 4}), REAL("out", 2, {1, 5})};
	static const struct tb_tensor plain[] = {{"in", S8, 2, {1, 4}, NULL, 0, 0, NULL, 0, 0, 0},
						 REAL("out", 2, {1, 4})};
	static const struct tb_tensor nan[] = {
		REAL("in", 2, {1, 4}), CONST("k", F32, big, 2, {1, 4}), REAL("out", 2, {1, 4})};
	static const struct tb_tensor shape[] = {
		REAL("in", 2, {1, 4}), CONST("k", F32, big, 2, {1, 3}), REAL("out", 2, {1, 4})};
	static const struct tb_tensor zero[] = {Q8("in", S8, 0, 0, 2, {1, 4}),
						REAL("out", 2, {1, 4})};
	static const struct tb_tensor far[] = {Q8("in", S8, 1, 128, 2, {1, 4}),
					       REAL("out", 2, {1, 4})};
	static const struct tb_tensor open[] = {REAL("in", 2, {-1, 4}), REAL("out", 2, {1, 4})};
	struct tb_op op = {RELU6, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}};
	struct tb_op add = {ADD, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}};

	(void)state;
	refuse(wrong, 2, &op, EINVAL,
	       "node 0 (RELU6): output 'out' is declared with another shape");
	refuse(plain, 2, &op, EOPNOTSUPP, "input 'in'");
	refuse(zero, 2, &op, EINVAL, "'in': scale 0");
	refuse(far, 2, &op, EINVAL, "zero point 128");
	refuse(open, 2, &op, EOPNOTSUPP, "shape is open");
	refuse(nan, 3, &add, EINVAL, "value 3 is not a number");
	refuse(shape, 3, &add, EINVAL, "16 bytes do not fit");
	add.in[1] = 77;
	refuse(nan, 3, &add, EBADMSG, "no tensor 77");
	add.in[1] = 2;
	refuse(nan, 3, &add, EINVAL, "'out' is read before");
	op.code = 24; /* RNN */
	refuse(two, 2, &op, EOPNOTSUPP, "operator 24");
	op.code = 2000000;
	refuse(two, 2, &op, EOPNOTSUPP, "operator 2000000");
	op = (struct tb_op){CONV, 2, 1, {0, 0}, {1}, 0, {{0, 0, 0, NULL}}};
	refuse(two, 2, &op, EINVAL, "weights must be of rank 4");
}

/* ---- hostile files ---- */

/* Refused with a reason, or a model that the engine takes; never a crash. */
static void try_bytes(const uint8_t *data, size_t bytes)
{
	struct ne_error err = {""};
	uint8_t *exact =
		malloc(bytes ? bytes : 1); /* so that a sanitizer sees a read past the end */
	struct ne_model *m;

	assert_non_null(exact);
	memcpy(exact, data, bytes);
	if (tflite_import(exact, bytes, &m, &err) < 0) {
		assert_true(err.text[0] != 0);
	} else {
		assert_int_equal(ne_model_check(m, NULL), 0);
		ne_model_free(m);
	}
	free(exact);
}

static void test_truncated(void **state)
{
	struct fbw b[2] = {tb_sample(), tb_sample_u8()};

	(void)state;
	for (int i = 0; i < 2; i++) {
		for (size_t n = 0; n < b[i].n; n++)
			try_bytes(b[i].data, n);
		fbw_free(&b[i]);
	}
}

static void test_damaged(void **state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct fbw b[2] = {tb_sample(), tb_sample_u8()};

	(void)state;
	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < b[i].n; at++) {
			uint8_t was = b[i].data[at];

			for (size_t k = 0; k < sizeof(values); k++) {
				b[i].data[at] = values[k];
				try_bytes(b[i].data, b[i].n);
			}
			b[i].data[at] = was ^ 0x10;
			try_bytes(b[i].data, b[i].n);
			b[i].data[at] = was;
		}
		/* four bytes at a time: counts and distances of any size */
		for (size_t at = 0; at + 4 <= b[i].n; at += 4) {
			static const uint32_t large[] = {UINT32_MAX, INT32_MAX, 0x80000000u, 0,
							 0x40000000u};
			uint32_t was;

			memcpy(&was, b[i].data + at, 4);
			for (size_t k = 0; k < NE_ARRAY_SIZE(large); k++) {
				memcpy(b[i].data + at, &large[k], 4);
				try_bytes(b[i].data, b[i].n);
			}
			memcpy(b[i].data + at, &was, 4);
		}
		fbw_free(&b[i]);
	}
}

/* Each way in which a place can be bad, and the reason that it gives. */
static void test_reader(void **state)
{
	struct ne_error err;
	struct fb_table root, child;
	struct fb_vector v;
	struct fbw b;
	struct fb fb;
	size_t table, ref, first;
	char text[8];

	(void)state;
	table = fbw_begin(&b, "TFL3", 6);
	fbw_u8(&b, table, 0, 200);
	fbw_f32(&b, table, 1, 2.5f);
	fbw_string(&b, table, 2, "a long name");
	first = fbw_vector(&b, table, 3, (int32_t[]){-5, 6}, 2, 4);
	ref = fbw_table(&b, table, 4, 1);
	fbw_u32(&b, ref, 0, 77);

	/* what is there, and what is not */
	assert_int_equal(fb_open(&fb, b.data, b.n, "TFL3", &root, &err), 0);
	assert_int_equal(fb_u8(&root, 0, 1), 200);
	assert_int_equal(fb_s8(&root, 0, 1), -56);
	assert_true(fb_f32(&root, 1, 0) == 2.5f);
	fb_string(&root, 2, text, sizeof(text));
	assert_string_equal(text, "a long ");
	v = fb_vector(&root, 3, 4);
	assert_int_equal(v.n, 2);
	assert_int_equal(fb_vector_s32(&v, 0), -5);
	child = fb_table(&root, 4);
	assert_int_equal(fb_u32(&child, 0, 1), 77);
	assert_int_equal(fb_u32(&root, 5, 9), 9);    /* absent */
	assert_int_equal(fb_u32(&root, 6000, 9), 9); /* a newer schema's */
	child = fb_table(&root, 5);
	assert_int_equal(child.bytes, 0);
	assert_int_equal(fb_u32(&child, 0, 3), 3);
	assert_int_equal(fb_vector(&root, 5, 8).n, 0);
	assert_int_equal(fb_failed(&fb, &err), 0);

	/* a vector of more elements than the file has bytes */
	memcpy(b.data + first - 4, &(uint32_t){0x3fffffff}, 4);
	assert_int_equal(fb_vector(&root, 3, 8).n, 0);
	assert_int_equal(fb_failed(&fb, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "a vector is longer than the file"));
	memcpy(b.data + first - 4, &(uint32_t){2}, 4);

	/* a reference to itself, which would be a cycle, and one past the end */
	for (uint32_t bad = 0; bad <= 1; bad++) {
		assert_int_equal(fb_open(&fb, b.data, b.n, "TFL3", &root, &err), 0);
		memcpy(b.data + table + 8 + 8 * 4, &(uint32_t){bad ? UINT32_MAX : 0}, 4);
		assert_int_equal(fb_table(&root, 4).bytes, 0);
		assert_int_equal(fb_failed(&fb, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "a reference leads outside of the file"));
	}

	/* a vtable before the file, and one of an odd size */
	memcpy(b.data + table, &(int32_t){INT32_MAX}, 4);
	assert_int_equal(fb_open(&fb, b.data, b.n, "TFL3", &root, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "layout (vtable) lies outside"));
	assert_int_equal(fb_open(&fb, b.data, b.n, "ABCD", &root, &err), -EBADMSG);
	assert_int_equal(fb_open(&fb, b.data, 7, "TFL3", &root, &err), -EBADMSG);
	fbw_free(&b);
}

/* Constants that are used again and again cannot grow past what a file of that size may hold. */
static void test_amplification(void **state)
{
	enum { USES = 2000, VALUES = 4096 };
	static struct tb_tensor t[USES + 2];
	static struct tb_op op[USES];
	static uint8_t half[2 * VALUES];
	const struct tb_tensor weights = {"w", F16,  2, {1, VALUES}, half, sizeof(half),
					  0,   NULL, 0, 0,           0};
	struct tb_subgraph s = {USES + 2, USES, 1, 1, t, op, {0}, {USES + 1}};
	struct fbw b;

	(void)state;
	t[0] = (struct tb_tensor)REAL("in", 2, {1, VALUES});
	t[1] = weights;
	for (int i = 0; i < USES; i++) { /* float16 to f32, as often as the file likes */
		t[i + 2] = (struct tb_tensor)REAL("y", 2, {1, VALUES});
		op[i] = (struct tb_op){DEQUANTIZE, 1, 1, {1}, {i + 2}, 0, {{0, 0, 0, NULL}}};
	}
	b = tb_build(&s, 1);
	import_fails(&b, E2BIG, "far more than the file");
	fbw_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),      cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged),       cmocka_unit_test(test_reader),
		cmocka_unit_test(test_amplification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
