// SPDX-License-Identifier: MIT
/* The real Fashion-MNIST of Debian's dataset-fashion-mnist. Skipped where it is not installed. */
#include "tools/neap/data/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void check(const char *spec, size_t n)
{
	size_t count[10] = {0};
	struct ne_error err = {""};
	struct data_set d;
	double sum = 0;

	assert_int_equal(data_open(spec, &d, &err), 0);
	assert_int_equal(d.n, n);
	assert_int_equal(d.sample_bytes, 28 * 28);
	assert_int_equal(d.sample.rank, 3);
	assert_int_equal(d.n_class, 10);
	assert_string_equal(d.class_name[0], "T-shirt/top");
	assert_string_equal(d.class_name[9], "Ankle boot");
	for (size_t i = 0; i < d.n; i++)
		count[d.y[i]]++;
	for (unsigned c = 0; c < 10; c++)
		assert_int_equal(count[c], n / 10);
	for (size_t i = 0; i < d.n * d.sample_bytes; i++)
		sum += ((const uint8_t *)d.x)[i];
	/* The mean of the pixels is a known property of the set: 0.286 of full scale. */
	assert_true(sum / (double)(d.n * d.sample_bytes) / 255 > 0.284);
	assert_true(sum / (double)(d.n * d.sample_bytes) / 255 < 0.289);
	data_close(&d);
}

static void test_train(void **state)
{
	(void)state;
	check("fashion-mnist:train", 60000);
}

static void test_test(void **state)
{
	(void)state;
	check("fashion-mnist:test", 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_train),
		cmocka_unit_test(test_test),
	};

	if (access("/usr/share/datasets/fashion-mnist", R_OK) < 0) {
		puts("skipped: the Debian package dataset-fashion-mnist is not installed");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
