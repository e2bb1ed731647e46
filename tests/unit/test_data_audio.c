// SPDX-License-Identifier: MIT
/* CSV tables, tar archives and audio clips made on the spot: right, odd, damaged and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/unit/scratch.h"
#include "tools/neap/data/csv.h"
#include "tools/neap/data/data.h"
#include "tools/neap/data/tar.h"

static void assert_says(const struct ne_error *err, const char *word)
{
	if (!strstr(err->text, word))
		fail_msg("'%s' does not say '%s'", err->text, word);
}

/* ---- csv ---- */

static void test_csv(void **state)
{
	static const char text[] = "\xef\xbb\xbf"
				   "file,class,\"speaker, name\"\r\n"
				   "a.wav,\"say \"\"yes\"\"\",\r\n"
				   "\r\n"
				   "\"two\nlines\",b,c";
	struct ne_error err = {""};
	struct csv c;

	(void)state;
	assert_int_equal(csv_parse("t.csv", text, sizeof(text) - 1, &c, &err), 0);
	assert_int_equal(c.rows, 2);
	assert_int_equal(csv_column(&c, "file"), 0);
	assert_int_equal(csv_column(&c, "speaker, name"), 2);
	assert_int_equal(csv_column(&c, "absent"), -ENOENT);
	assert_string_equal(csv_field(&c, 0, 1), "say \"yes\"");
	assert_string_equal(csv_field(&c, 0, 2), "");
	assert_string_equal(csv_field(&c, 1, 0), "two\nlines");
	assert_string_equal(csv_field(&c, 1, 2), "c");
	assert_int_equal(c.line[1], 2);
	assert_int_equal(c.line[2], 4);
	csv_done(&c);
}

static void test_csv_refused(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *word;
	} cases[] = {
		{"", 0, "empty"},
		{"a,b\nc", 5, "line 2: 1 fields, the header has 2"},
		{"a,b\nc,d,e\n", 10, "line 2: 3 fields"},
		{"a,b\n\"c,d\n", 9, "line 2: a quote is never closed"},
		{"a,\"", 3, "never closed"},
		{"a,\"b\"c\n", 7, "line 1: text after"},
		{"a,b\rc\n", 6, "carriage return"},
		{"a,b\n\0,d\n", 8, "NUL"},
	};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		struct ne_error err = {""};
		struct csv c;

		assert_int_equal(csv_parse("t.csv", cases[i].text, cases[i].n, &c, &err), -EBADMSG);
		assert_says(&err, cases[i].word);
	}
}

static void test_csv_many_columns(void **state)
{
	char text[2 * CSV_MAX_COLUMNS + 8];
	struct ne_error err = {""};
	struct csv c;

	(void)state;
	memset(text, ',', sizeof(text));
	assert_int_equal(csv_parse("t.csv", text, sizeof(text), &c, &err), -EBADMSG);
	assert_says(&err, "columns");
}

/* ---- tar ---- */

static void make_tar(struct bytes *b)
{
	static const char pax[] = "26 path=from/a pax header\n";
	char long_name[300];

	memset(long_name, 'n', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	tar_add(b, "folder", '5', NULL, 0);
	tar_add(b, "./folder/a", '0', "first", 5);
	tar_add(b, "empty", '0', NULL, 0);
	tar_add(b, "folder/a", '0', "second", 6);
	tar_add(b, "ignored", 'x', pax, sizeof(pax) - 1);
	tar_add(b, "short", '0', "pax", 3);
	tar_add(b, "././@LongLink", 'L', long_name, sizeof(long_name));
	tar_add(b, "cut", '0', "long", 4);
	tar_add(b, "plain", '0', "plain", 5);
	bytes_add_zero(b, 1024);
}

static void assert_member(const struct tar *t, const char *name, const char *want)
{
	const struct tar_member *m = tar_find(t, name);

	assert_non_null(m);
	assert_int_equal(m->bytes, strlen(want));
	assert_memory_equal(m->data, want, m->bytes);
}

static void test_tar(void **state)
{
	struct bytes b = {NULL, 0};
	struct ne_error err = {""};
	char name[300];
	struct tar t;

	(void)state;
	make_tar(&b);
	assert_int_equal(tar_open("t.tar", b.data, b.n, &t, &err), 0);
	assert_int_equal(t.n, 6);
	assert_member(&t, "folder/a", "second");
	assert_member(&t, "./folder/a", "second");
	assert_member(&t, "empty", "");
	assert_member(&t, "from/a pax header", "pax");
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_member(&t, name, "long");
	assert_member(&t, "plain", "plain");
	assert_null(tar_find(&t, "short"));
	assert_null(tar_find(&t, "folder"));
	assert_null(tar_find(&t, ""));
	tar_close(&t);
	bytes_free(&b);
}

/* Cut anywhere: refused, or the members before the cut. Memory of exactly that size, for ASan. */
static void test_tar_truncated(void **state)
{
	struct bytes b = {NULL, 0};
	unsigned refused = 0;

	(void)state;
	make_tar(&b);
	for (size_t n = 0; n < b.n; n += 16) {
		uint8_t *copy = malloc(n + !n);
		struct ne_error err = {""};
		struct tar t;

		assert_non_null(copy);
		memcpy(copy, b.data, n);
		if (tar_open("t.tar", copy, n, &t, &err) < 0) {
			assert_says(&err, "t.tar: tar:");
			refused++;
		} else {
			tar_close(&t);
		}
		free(copy);
	}
	assert_true(refused > b.n / 32);
	bytes_free(&b);
}

static void test_tar_hostile_sizes(void **state)
{
	static const char size[][13] = {
		"777777777777",
		"99999999999\0",
		"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"00000001001\0", /* 513 bytes, one block is there */
	};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(size); i++) {
		struct bytes b = {NULL, 0};
		struct ne_error err = {""};
		struct tar t;

		tar_add(&b, "a", '0', "x", 1);
		memcpy(b.data + 124, size[i], 12);
		tar_sum(b.data);
		assert_int_equal(tar_open("t.tar", b.data, b.n, &t, &err), -EBADMSG);
		bytes_free(&b);
	}
}

static void test_tar_hostile_pax(void **state)
{
	static const char *const record[] = {"99 path=a\n",
					     "3 path=a\n",
					     "path=a\n",
					     "10 pathaaa\n",
					     "999999999999 path=a\n",
					     "11 size=9x\n",
					     "33 size=99999999999999999999999\n",
					     "24 GNU.sparse.major=1\n"
					     "  ",
					     "4 =\n",
					     "0 path=a\n"};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(record); i++) {
		struct bytes b = {NULL, 0};
		struct ne_error err = {""};
		struct tar t;

		tar_add(&b, "p", 'x', record[i], strlen(record[i]));
		tar_add(&b, "a", '0', "x", 1);
		if (tar_open("t.tar", b.data, b.n, &t, &err) == 0) {
			assert_string_equal(record[i], "4 =\n"); /* an empty key is only odd */
			tar_close(&t);
		}
		bytes_free(&b);
	}
}

static void test_tar_checksum(void **state)
{
	struct bytes b = {NULL, 0};
	struct ne_error err = {""};
	struct tar t;

	(void)state;
	make_tar(&b);
	b.data[512 + 5] ^= 1;
	assert_int_equal(tar_open("t.tar", b.data, b.n, &t, &err), -EBADMSG);
	assert_says(&err, "checksum");
	bytes_free(&b);
}

/* ---- audio ---- */

#ifdef HAVE_SNDFILE
static void clip(struct bytes *tar, const char *name, int rate, int channels, size_t frames)
{
	int16_t *sample = malloc(frames * (size_t)channels * 2 + 1);
	struct bytes wav = {NULL, 0};

	assert_non_null(sample);
	for (size_t i = 0; i < frames; i++)
		for (int c = 0; c < channels; c++)
			sample[i * (size_t)channels + (size_t)c] =
				(int16_t)((int)(i % 1000) + (c ? 100 : 0));
	wav_add(&wav, rate, channels, sample, frames);
	tar_add(tar, name, '0', wav.data, wav.n);
	free(sample);
	bytes_free(&wav);
}

static int open_audio(const struct bytes *tar, const char *csv, const char *option,
		      struct data_set *d, struct ne_error *err)
{
	char spec[600];

	snprintf(spec, sizeof(spec), "audio:%s,%s%s", scratch_write("c.tar", tar->data, tar->n),
		 scratch_write("c.csv", csv, strlen(csv)), option);
	return data_open(spec, d, err);
}

static void test_audio(void **state)
{
	static const char csv[] = "speaker,file,class\n"
				  "ann,w/long.wav,yes\n"
				  "bob,w/short.wav,unknown\n"
				  "ann,w/stereo.wav,no\n"
				  "-,w/short.wav,silence\n";
	struct bytes tar = {NULL, 0};
	struct ne_error err = {""};
	struct data_set d;
	const int16_t *x;

	(void)state;
	clip(&tar, "w/long.wav", 16000, 1, 20000);
	clip(&tar, "w/short.wav", 16000, 1, 700);
	clip(&tar, "w/stereo.wav", 16000, 2, 16000);
	assert_int_equal(open_audio(&tar, csv, "", &d, &err), 0);
	assert_int_equal(d.n, 4);
	assert_int_equal(d.dtype, NE_S16);
	assert_int_equal(d.sample.rank, 1);
	assert_int_equal(d.sample.dim[0], 16000);
	assert_int_equal(d.n_class, 4);
	assert_string_equal(d.class_name[0], "no");
	assert_string_equal(d.class_name[1], "yes");
	assert_string_equal(d.class_name[2], "silence");
	assert_string_equal(d.class_name[3], "unknown");
	assert_int_equal(d.y[0], 1);
	assert_int_equal(d.n_speaker, 2);
	assert_int_equal(d.speaker[0], d.speaker[2]);
	assert_int_equal(d.speaker[3], -1);
	x = data_sample(&d, 0);
	assert_int_equal(x[15999], 999);
	x = data_sample(&d, 1);
	assert_int_equal(x[699], 699);
	assert_int_equal(x[700], 0);
	assert_int_equal(x[15999], 0);
	x = data_sample(&d, 2);
	assert_int_equal(x[7], 57); /* (7 + 107) / 2 */
	data_close(&d);
	bytes_free(&tar);
}

static void assert_audio_refused(const char *name, int rate, const char *csv, int code,
				 const char *word)
{
	struct bytes tar = {NULL, 0};
	struct ne_error err = {""};
	struct data_set d;

	clip(&tar, name, rate, 1, 100);
	tar_add(&tar, "text.wav", '0', "no sound at all", 15);
	assert_int_equal(open_audio(&tar, csv, "", &d, &err), -code);
	assert_says(&err, word);
	bytes_free(&tar);
}

static void test_audio_refused(void **state)
{
	(void)state;
	assert_audio_refused("a.wav", 8000, "file,class\na.wav,x\n", EINVAL, "8000 Hz");
	assert_audio_refused("a.wav", 16000, "file,class\nb.wav,x\n", ENOENT, "b.wav: not in");
	assert_audio_refused("a.wav", 16000, "file,class\na.wav,x\ntext.wav,x\n", EBADMSG,
			     "line 3");
	assert_audio_refused("a.wav", 16000, "name,class\na.wav,x\n", EINVAL, "no column 'file'");
	assert_audio_refused("a.wav", 16000, "file,kind\na.wav,x\n", EINVAL, "no column 'class'");
	assert_audio_refused("a.wav", 16000, "file,class\na.wav,\n", EINVAL, "empty class");
	assert_audio_refused("a.wav", 16000, "file,class\n", EINVAL, "no rows");
}

/* Every length of a damaged header: an error or a clip, under the sanitizers. */
static void test_audio_truncated(void **state)
{
	struct bytes tar = {NULL, 0};

	(void)state;
	clip(&tar, "a.wav", 16000, 1, 100);
	for (size_t n = 0; n < 44; n++) {
		struct bytes cut = {NULL, 0};
		struct ne_error err = {""};
		struct data_set d;

		tar_add(&cut, "a.wav", '0', tar.data + 512, n);
		assert_true(open_audio(&cut, "file,class\na.wav,x\n", "", &d, &err) < 0);
		assert_says(&err, "a.wav");
		bytes_free(&cut);
	}
	bytes_free(&tar);
}

static void test_audio_split(void **state)
{
	struct bytes tar = {NULL, 0};
	struct ne_error err = {""};
	struct data_set train, test, all;
	char csv[8192] = "file,class,speaker\n";

	(void)state;
	clip(&tar, "a.wav", 16000, 1, 100);
	for (int i = 0; i < 200; i++) {
		char row[64];

		snprintf(row, sizeof(row), "a.wav,c%d,speaker%d\n", i % 2, i / 2);
		strcat(csv, row);
	}
	assert_int_equal(open_audio(&tar, csv, "", &all, &err), 0);
	assert_int_equal(open_audio(&tar, csv, ",split=train", &train, &err), 0);
	assert_int_equal(open_audio(&tar, csv, ",split=test", &test, &err), 0);
	assert_int_equal(all.n_speaker, 100);
	assert_int_equal(train.n + test.n, all.n);
	assert_int_equal(train.n_speaker + test.n_speaker, 100);
	assert_in_range(test.n_speaker, 10, 32);
	assert_int_equal(train.n_class, 2);
	assert_int_equal(test.n_class, 2);
	data_close(&all);
	data_close(&train);
	data_close(&test);
	assert_int_equal(open_audio(&tar, "file,class\na.wav,x\n", ",split=test", &all, &err),
			 -EINVAL);
	assert_says(&err, "speaker");
	bytes_free(&tar);
}

static void test_audio_folder(void **state)
{
	static const char csv[] = "file,class\nfolder/a.wav,x\n";
	static const char evil[] = "file,class\nfolder/../../a.wav,x\n";
	struct bytes wav = {NULL, 0};
	struct ne_error err = {""};
	const int16_t sample[3] = {5, -6, 7};
	char spec[600];
	struct data_set d;

	(void)state;
	mkdir(scratch_path("folder"), 0700);
	wav_add(&wav, 16000, 1, sample, 3);
	scratch_write("folder/a.wav", wav.data, wav.n);
	snprintf(spec, sizeof(spec), "audio:%s,%s", scratch_folder(),
		 scratch_write("f.csv", csv, sizeof(csv) - 1));
	assert_int_equal(data_open(spec, &d, &err), 0);
	assert_memory_equal(d.x, sample, sizeof(sample));
	assert_null(d.speaker);
	data_close(&d);
	scratch_write("f.csv", evil, sizeof(evil) - 1);
	assert_int_equal(data_open(spec, &d, &err), -EINVAL);
	assert_says(&err, "leads out of the folder");
	bytes_free(&wav);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_csv_refused),
		cmocka_unit_test(test_csv_many_columns),
		cmocka_unit_test(test_tar),
		cmocka_unit_test(test_tar_truncated),
		cmocka_unit_test(test_tar_hostile_sizes),
		cmocka_unit_test(test_tar_hostile_pax),
		cmocka_unit_test(test_tar_checksum),
#ifdef HAVE_SNDFILE
		cmocka_unit_test(test_audio),
		cmocka_unit_test(test_audio_refused),
		cmocka_unit_test(test_audio_truncated),
		cmocka_unit_test(test_audio_split),
		cmocka_unit_test(test_audio_folder),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
