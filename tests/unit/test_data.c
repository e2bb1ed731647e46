// SPDX-License-Identifier: MIT
/* Files in and out, SPECs, idx: right, damaged, truncated and hostile. */
#include "tools/neap/data/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#ifdef HAVE_LZMA
#include <lzma.h>
#endif
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#include "tests/unit/scratch.h"

#define PLAIN_BYTES 5000u

static uint8_t plain[PLAIN_BYTES]; /* some text-like bytes that compress, but not to nothing */

static int make_plain(void **state)
{
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < PLAIN_BYTES; i++) {
		x = x * 1664525 + 1013904223;
		plain[i] = (uint8_t)("neap tide moves least"[x >> 28]);
	}
	return 0;
}

static int read_all(const char *path, size_t limit, struct bytes *ret, struct ne_error *err)
{
	void *data;
	size_t n;
	int rc = data_read_file(path, limit, &data, &n, err);

	if (!rc) {
		ret->data = data;
		ret->n = n;
	}
	return rc;
}

static void assert_reads_plain(const char *path, size_t times)
{
	struct ne_error err = {""};
	struct bytes b = {NULL, 0};

	assert_int_equal(read_all(path, DATA_FILE_LIMIT, &b, &err), 0);
	assert_int_equal(b.n, times * PLAIN_BYTES);
	for (size_t i = 0; i < times; i++)
		assert_memory_equal(b.data + i * PLAIN_BYTES, plain, PLAIN_BYTES);
	bytes_free(&b);
}

static void assert_refused(const char *path, size_t limit, int code, const char *word)
{
	struct ne_error err = {""};
	struct bytes b = {NULL, 0};

	assert_int_equal(read_all(path, limit, &b, &err), -code);
	assert_non_null(strstr(err.text, word));
	assert_non_null(strstr(err.text, path));
}

static void test_plain_file(void **state)
{
	const char *path = scratch_write("plain", plain, PLAIN_BYTES);

	(void)state;
	assert_reads_plain(path, 1);
	assert_refused(path, PLAIN_BYTES - 1, EFBIG, "limit");
	assert_refused(path, 0, EFBIG, "limit");
	assert_refused(scratch_path("absent"), DATA_FILE_LIMIT, ENOENT, "No such file");
	assert_refused(scratch_folder(), DATA_FILE_LIMIT, EISDIR, "directory");
}

static void test_limit_is_inclusive(void **state)
{
	const char *path = scratch_write("plain", plain, PLAIN_BYTES);
	struct ne_error err = {""};
	struct bytes b = {NULL, 0};

	(void)state;
	assert_int_equal(read_all(path, PLAIN_BYTES, &b, &err), 0);
	bytes_free(&b);
}

#ifdef HAVE_ZLIB
static void gzip(struct bytes *to, const void *data, size_t n)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)n};
	uLong bound;
	uint8_t *out;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, 0), Z_OK);
	bound = deflateBound(&z, (uLong)n);
	out = malloc(bound);
	assert_non_null(out);
	z.next_out = out;
	z.avail_out = (uInt)bound;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	bytes_add(to, out, z.total_out);
	deflateEnd(&z);
	free(out);
}

static void test_gzip(void **state)
{
	struct bytes b = {NULL, 0};
	size_t one;

	(void)state;
	gzip(&b, plain, PLAIN_BYTES);
	one = b.n;
	assert_reads_plain(scratch_write("a.gz", b.data, b.n), 1);
	for (size_t n = 0; n < one; n += n < 40 ? 1 : 37)
		assert_refused(scratch_write("cut.gz", b.data, n), DATA_FILE_LIMIT, EBADMSG,
			       "gzip");
	gzip(&b, plain, PLAIN_BYTES); /* gzip files may be put one after another */
	assert_reads_plain(scratch_write("two.gz", b.data, b.n), 2);
	b.data[one / 2] ^= 0x40;
	assert_refused(scratch_write("bad.gz", b.data, b.n), DATA_FILE_LIMIT, EBADMSG, "gzip");
	assert_refused(scratch_write("plain.gz", plain, PLAIN_BYTES), DATA_FILE_LIMIT, EBADMSG,
		       "gzip");
	bytes_free(&b);
}

/* A few kilobytes that unpack to 16 MiB. */
static void test_gzip_bomb(void **state)
{
	struct bytes b = {NULL, 0};
	size_t n = (size_t)16 << 20;
	void *zero = calloc(1, n);

	(void)state;
	assert_non_null(zero);
	gzip(&b, zero, n);
	assert_true(b.n < 64 << 10);
	assert_refused(scratch_write("bomb.gz", b.data, b.n), (size_t)1 << 20, EFBIG, "limit");
	free(zero);
	bytes_free(&b);
}
#endif

#ifdef HAVE_LZMA
static void xz(struct bytes *to, const void *data, size_t n)
{
	size_t bound = lzma_stream_buffer_bound(n), at = 0;
	uint8_t *out = malloc(bound);

	assert_non_null(out);
	assert_int_equal(
		lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, data, n, out, &at, bound),
		LZMA_OK);
	bytes_add(to, out, at);
	free(out);
}

static void test_xz(void **state)
{
	struct bytes b = {NULL, 0};
	size_t one;

	(void)state;
	xz(&b, plain, PLAIN_BYTES);
	one = b.n;
	assert_reads_plain(scratch_write("a.xz", b.data, b.n), 1);
	for (size_t n = 0; n < one; n += n < 40 ? 1 : 37)
		assert_refused(scratch_write("cut.xz", b.data, n), DATA_FILE_LIMIT, EBADMSG, "xz");
	xz(&b, plain, PLAIN_BYTES);
	assert_reads_plain(scratch_write("two.xz", b.data, b.n), 2);
	b.data[one / 2] ^= 0x40;
	assert_refused(scratch_write("bad.xz", b.data, b.n), DATA_FILE_LIMIT, EBADMSG, "damaged");
	assert_refused(scratch_write("plain.xz", plain, PLAIN_BYTES), DATA_FILE_LIMIT, EBADMSG,
		       "not in xz format");
	bytes_free(&b);
}
#endif

static void test_write_replaces_at_once(void **state)
{
	const char *path = scratch_write("kept", "old", 3);
	struct ne_error err = {""};
	struct stat before, after;

	(void)state;
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(data_write_file(path, plain, PLAIN_BYTES, &err), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino != after.st_ino);
	assert_reads_plain(path, 1);
}

static void test_write_fails_clean(void **state)
{
	const char *folder = scratch_path("taken");
	char temporary[300];
	struct ne_error err = {""};

	(void)state;
	assert_int_equal(data_write_file(scratch_path("no/such/folder"), "x", 1, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no/such/folder"));
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_true(data_write_file(folder, "x", 1, &err) < 0);
	snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", folder, (long)getpid());
	assert_int_equal(access(temporary, F_OK), -1);
	assert_int_equal(data_write_file("/dev/null", "x", 1, &err), 0);
	assert_int_equal(data_write_file("/dev/full", "x", 1, &err), -ENOSPC);
}

/* ---- idx ---- */

static void idx(struct bytes *b, uint8_t type, unsigned rank, const uint32_t *dim,
		const void *value, size_t n)
{
	uint8_t h[4] = {0, 0, type, (uint8_t)rank};

	bytes_add(b, h, 4);
	for (unsigned i = 0; i < rank; i++) {
		uint8_t d[4] = {(uint8_t)(dim[i] >> 24), (uint8_t)(dim[i] >> 16),
				(uint8_t)(dim[i] >> 8), (uint8_t)dim[i]};

		bytes_add(b, d, 4);
	}
	bytes_add(b, value, n);
}

static void idx_file(const char *name, uint8_t type, unsigned rank, const uint32_t *dim, size_t n)
{
	struct bytes b = {NULL, 0};

	assert_true(n <= PLAIN_BYTES);
	idx(&b, type, rank, dim, plain, n);
	scratch_write(name, b.data, b.n);
	bytes_free(&b);
}

static int open_pair(const char *kind, const char *x, const char *y, struct data_set *d,
		     struct ne_error *err)
{
	char spec[600];

	snprintf(spec, sizeof(spec), "%s:%s,%s", kind, scratch_path(x), scratch_path(y));
	return data_open(spec, d, err);
}

static void labels_file(void)
{
	struct bytes b = {NULL, 0};

	idx(&b, 8, 1, (uint32_t[]){3}, "\0\2\1", 3);
	scratch_write("y", b.data, b.n);
	bytes_free(&b);
}

static void test_idx(void **state)
{
	struct ne_error err = {""};
	struct data_set d;

	(void)state;
	labels_file();
	idx_file("x", 8, 3, (uint32_t[]){3, 4, 5}, 60);
	assert_int_equal(open_pair("idx", "x", "y", &d, &err), 0);
	assert_int_equal(d.n, 3);
	assert_int_equal(d.dtype, NE_U8);
	assert_int_equal(d.sample.rank, 3);
	assert_int_equal(d.sample.dim[0], 4);
	assert_int_equal(d.sample.dim[1], 5);
	assert_int_equal(d.sample.dim[2], 1);
	assert_int_equal(d.n_class, 3);
	assert_int_equal(d.y[1], 2);
	assert_null(d.class_name);
	assert_memory_equal(data_sample(&d, 2), plain + 40, 20);
	assert_non_null(strstr(d.name, "idx:"));
	data_close(&d);
}

static void assert_idx_refused(int code, const char *word)
{
	struct ne_error err = {""};
	struct data_set d;

	assert_int_equal(open_pair("idx", "x", "y", &d, &err), -code);
	assert_non_null(strstr(err.text, word));
}

static void test_idx_hostile(void **state)
{
	(void)state;
	labels_file();
	idx_file("x", 8, 3, (uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff}, 60);
	assert_idx_refused(EBADMSG, "claims more");
	idx_file("x", 8, 3, (uint32_t[]){3, 0, 5}, 60);
	assert_idx_refused(EBADMSG, "dimension 1 is 0");
	idx_file("x", 8, 3, (uint32_t[]){3, 4, 5}, 61);
	assert_idx_refused(EBADMSG, "1 bytes after");
	idx_file("x", 8, 3, (uint32_t[]){3, 4, 5}, 59);
	assert_idx_refused(EBADMSG, "claims more");
	idx_file("x", 13, 3, (uint32_t[]){3, 4, 5}, 60);
	assert_idx_refused(EINVAL, "0x0d");
	idx_file("x", 8, 3, (uint32_t[]){2, 4, 5}, 40);
	assert_idx_refused(EINVAL, "3 labels");
	idx_file("x", 8, 1, (uint32_t[]){3}, 3);
	assert_idx_refused(EINVAL, "rank 1");
	scratch_write("x", "\0\0\10\377", 4);
	assert_idx_refused(EBADMSG, "rank 255");
	scratch_write("x", plain, PLAIN_BYTES);
	assert_idx_refused(EBADMSG, "not an idx file");
}

static void test_idx_truncated(void **state)
{
	struct bytes b = {NULL, 0};

	(void)state;
	labels_file();
	idx(&b, 8, 3, (uint32_t[]){3, 4, 5}, plain, 60);
	for (size_t n = 0; n < b.n; n++) {
		scratch_write("x", b.data, n);
		assert_idx_refused(EBADMSG, "");
	}
	bytes_free(&b);
}

/* ---- SPEC ---- */

static void test_spec_errors(void **state)
{
	static const struct {
		const char *spec, *word;
	} cases[] = {
		{"", "expected one of"},
		{"idx", "expected one of"},
		{"jpeg:a,b", "fashion-mnist:train|test"},
		{"idx:one", "idx:IMAGES,LABELS"},
		{"idx:,b", "idx:IMAGES,LABELS"},
		{"npy:a,", "npy:X.npy,Y.npy"},
		{"audio:a", "audio:TAR_OR_DIR,CSV"},
		{"audio:a,b,split=half", "split=half"},
		{"fashion-mnist:validation", "train|test"},
	};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		struct ne_error err = {""};
		struct data_set d;

		assert_int_equal(data_open(cases[i].spec, &d, &err), -EINVAL);
		assert_non_null(strstr(err.text, cases[i].word));
	}
}

static void test_fashion_absent(void **state)
{
	struct ne_error err = {""};
	struct data_set d;

	(void)state;
	setenv("NEAP_FASHION_MNIST", scratch_path("nowhere"), 1);
	assert_int_equal(data_open("fashion-mnist:test", &d, &err), -ENOENT);
	assert_non_null(strstr(err.text, "dataset-fashion-mnist"));
	unsetenv("NEAP_FASHION_MNIST");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_file),
		cmocka_unit_test(test_limit_is_inclusive),
#ifdef HAVE_ZLIB
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_gzip_bomb),
#endif
#ifdef HAVE_LZMA
		cmocka_unit_test(test_xz),
#endif
		cmocka_unit_test(test_write_replaces_at_once),
		cmocka_unit_test(test_write_fails_clean),
		cmocka_unit_test(test_idx),
		cmocka_unit_test(test_idx_hostile),
		cmocka_unit_test(test_idx_truncated),
		cmocka_unit_test(test_spec_errors),
		cmocka_unit_test(test_fashion_absent),
	};

	return cmocka_run_group_tests(tests, make_plain, NULL);
}
