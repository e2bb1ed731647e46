// SPDX-License-Identifier: MIT
/* MNIST and the Speech Commands clips of NEAP_DATA. Skipped where they are absent. */
#include "tools/neap/data/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"
#include "tools/neap/data/csv.h"

static const char *images, *labels, *tar, *csv;

static void test_mnist(void **state)
{
	/* Digits of the test set (LeCun et al.). */
	static const size_t want[10] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
	size_t count[10] = {0};
	struct ne_error err = {""};
	struct data_set d;
	char spec[1200];

	(void)state;
	snprintf(spec, sizeof(spec), "idx:%s,%s", images, labels);
	assert_int_equal(data_open(spec, &d, &err), 0);
	assert_int_equal(d.n, 10000);
	assert_int_equal(d.n_class, 10);
	for (size_t i = 0; i < d.n; i++)
		count[d.y[i]]++;
	assert_memory_equal(count, want, sizeof(want));
	data_close(&d);
}

static void open_speech(const char *option, struct data_set *d)
{
	struct ne_error err = {""};
	char spec[1200];

	snprintf(spec, sizeof(spec), "audio:%s,%s%s", tar, csv, option);
	if (data_open(spec, d, &err) < 0)
		fail_msg("%s", err.text);
}

/* MLPerf Tiny's order of the twelve classes, which the CSV's fourth column holds as a number:
 * tst_000965_Silence_10.bin. */
static void test_speech(void **state)
{
	static const char *const want[12] = {"down",  "go",   "left", "no",  "off",     "on",
					     "right", "stop", "up",   "yes", "silence", "unknown"};
	struct ne_error err = {""};
	size_t count[12] = {0}, bytes, numbered = 0;
	struct data_set d;
	struct csv table;
	void *text;

	(void)state;
	open_speech("", &d);
	assert_int_equal(d.n, 3063);
	assert_int_equal(d.n_class, 12);
	assert_int_equal(d.n_speaker, 465); /* and "-", for silence */
	for (unsigned c = 0; c < 12; c++)
		assert_string_equal(d.class_name[c], want[c]);
	for (size_t i = 0; i < d.n; i++)
		count[d.y[i]]++;
	for (unsigned c = 0; c < 12; c++)
		assert_in_range(count[c], 226, 338);
	assert_int_equal(data_read_file(csv, DATA_FILE_LIMIT, &text, &bytes, &err), 0);
	assert_int_equal(csv_parse(csv, text, bytes, &table, &err), 0);
	assert_int_equal(table.rows, d.n);
	for (size_t i = 0; i < table.rows; i++) {
		const char *last = strrchr(csv_field(&table, i, 3), '_');

		if (!last)
			continue;
		assert_int_equal(atoi(last + 1), d.y[i]);
		numbered++;
	}
	assert_in_range(numbered, 580, 590);
	csv_done(&table);
	free(text);
	data_close(&d);
}

/* No speaker, by name, is on both sides; together they are the whole. */
static void test_speech_split(void **state)
{
	struct data_set train, test;

	(void)state;
	open_speech(",split=train", &train);
	open_speech(",split=test", &test);
	assert_int_equal(train.n + test.n, 3063);
	assert_int_equal(train.n_speaker + test.n_speaker, 465);
	assert_in_range(test.n, 3063 / 7, 3063 / 4);
	assert_int_equal(train.n_class, 12);
	assert_int_equal(test.n_class, 12);
	data_close(&train);
	data_close(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mnist),
		cmocka_unit_test(test_speech),
		cmocka_unit_test(test_speech_split),
	};

	images = shared_data("mnist/t10k-images-idx3-ubyte.xz");
	labels = shared_data("mnist/t10k-labels-idx1-ubyte.xz");
	tar = shared_data("speech-commands/dev.tar");
	csv = shared_data("speech-commands/dev.csv");
	if (!images || !labels || !tar || !csv)
		return 77;
#if !defined(HAVE_LZMA) || !defined(HAVE_SNDFILE)
	puts("skipped: built without liblzma or libsndfile");
	return 77;
#else
	return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
