// SPDX-License-Identifier: MIT
/*
 * Memory that runs out: each allocation of a parse, a serialisation, a save fails in turn; the call
 * says so, returns nothing, and leaks nothing. The linker routes malloc and its kin through here
 * (tests.mk), and what is live is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/container_models.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static long countdown = -1; /* allocations until the one that fails; negative: none does */
static long live;

static bool fails(void)
{
	return countdown >= 0 && countdown-- == 0;
}

void *__wrap_malloc(size_t n)
{
	void *p = fails() ? NULL : __real_malloc(n);

	live += p != NULL;
	return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *p = fails() ? NULL : __real_calloc(n, size);

	live += p != NULL;
	return p;
}

void *__wrap_realloc(void *p, size_t n)
{
	void *q = fails() ? NULL : __real_realloc(p, n);

	live += !p && q;
	return q;
}

void __wrap_free(void *p)
{
	live -= p != NULL;
	__real_free(p);
}

static void *file_make(size_t *ret_bytes)
{
	struct ne_model *m = test_model_small();
	void *data;

	assert_int_equal(ne_container_serialise(m, NE_PACK_RANS, &data, ret_bytes, NULL), 0);
	ne_model_free(m);
	return data;
}

static void test_parse(void **state)
{
	size_t bytes;
	void *data = file_make(&bytes);
	struct ne_error err;
	long n = 0;

	(void)state;
	for (;; n++) {
		struct ne_model *m = NULL;
		long before = live;
		int e;

		err.text[0] = 0;
		countdown = n;
		e = ne_container_parse(data, bytes, NULL, &m, &err);
		if (countdown >= 0) { /* no allocation was left to fail */
			countdown = -1;
			assert_int_equal(e, 0);
			ne_model_free(m);
			assert_int_equal(live, before);
			break;
		}
		if (e == -ENOMEM) {
			assert_null(m);
			assert_true(err.text[0] != 0);
		} else { /* the count of MACs gives way, and then the model is whole */
			assert_int_equal(e, 0);
			ne_model_free(m);
		}
		assert_int_equal(live, before);
	}
	assert_true(n > 100);
	free(data);
}

static void test_serialise(void **state)
{
	struct ne_model *m = test_model_small();
	long n = 0;

	(void)state;
	for (;; n++) {
		long before = live;
		void *data = NULL;
		size_t bytes = 0;
		int e;

		countdown = n;
		e = ne_container_serialise(m, NE_PACK_RANS | NE_PACK_F16, &data, &bytes, NULL);
		if (countdown >= 0) {
			countdown = -1;
			assert_int_equal(e, 0);
			free(data);
			break;
		}
		assert_int_equal(e, -ENOMEM);
		assert_null(data);
		assert_int_equal(live, before);
	}
	assert_true(n > 10);
	ne_model_free(m);
}

static void test_sign(void **state)
{
	uint8_t key[32] = {0};
	size_t bytes, room_bytes;
	void *data = file_make(&bytes), *room = NULL;
	struct ne_signature s = {.message = NULL};

	(void)state;
	countdown = 0;
	assert_int_equal(ne_container_add_signature(data, bytes, key, &room, &room_bytes, NULL),
			 -ENOMEM);
	assert_null(room);
	countdown = -1;
	assert_int_equal(ne_container_add_signature(data, bytes, key, &room, &room_bytes, NULL), 0);
	countdown = 0;
	assert_int_equal(ne_container_signature(room, room_bytes, &s, NULL), -ENOMEM);
	assert_null(s.message);
	countdown = -1;
	free(room);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_serialise),
		cmocka_unit_test(test_sign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
