// SPDX-License-Identifier: MIT
/* Signing and verifying model files, as a person does it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/container_models.h"
#include "tools/neap/sign.h"

#ifdef HAVE_SODIUM

static char folder[] = "/tmp/neap-sign-XXXXXX";
static char key[64], public_key[64], model[64], copy[64];

static int run(int (*command)(int, char **), char *a, char *b, char *c, char *d, char *e)
{
	char *argv[] = {"x", a, b, c, d, e, NULL};
	int argc = 1;

	while (argv[argc])
		argc++;
	return command(argc, argv);
}

static void flip(const char *path, long at)
{
	FILE *f = fopen(path, "r+b");
	int byte;

	assert_non_null(f);
	assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
	byte = fgetc(f);
	assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
	fputc(byte ^ 1, f);
	fclose(f);
}

/* The change comes with true checksums: only the signature can tell. */
static void flip_and_fix(const char *path, size_t at)
{
	static uint8_t file[1 << 16];
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(file, 1, sizeof(file), f);
	fclose(f);
	assert_true(at < n && n < sizeof(file));
	file[at] ^= 1;
	test_container_fix(file, n);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(file, 1, n, f), n);
	fclose(f);
}

static void test_keys(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(run(cmd_keygen, "-o", key, NULL, NULL, NULL), 0);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 077, 0); /* nobody else reads it */
	assert_int_equal(stat(public_key, &st), 0);
	assert_int_equal(run(cmd_keygen, "-o", key, NULL, NULL, NULL), 1); /* not again */
	assert_int_equal(run(cmd_keygen, NULL, NULL, NULL, NULL, NULL), 2);
}

static void test_sign_and_verify(void **state)
{
	struct ne_model *m = test_model_small(), *back;

	(void)state;
	assert_int_equal(ne_container_save(model, m, NE_PACK_RANS, NULL), 0);
	assert_int_equal(run(cmd_verify, model, "--key", public_key, NULL, NULL), 1);
	assert_int_equal(run(cmd_sign, model, "--key", public_key, NULL, NULL), 1);
	assert_int_equal(run(cmd_sign, model, "--key", key, "-o", copy), 0);
	assert_int_equal(run(cmd_verify, model, "--key", public_key, NULL, NULL), 1);
	assert_int_equal(run(cmd_verify, copy, "--key", public_key, NULL, NULL), 0);
	assert_int_equal(run(cmd_sign, model, "--key", key, NULL, NULL), 0); /* in place */
	assert_int_equal(run(cmd_verify, model, "--key", public_key, NULL, NULL), 0);
	assert_int_equal(run(cmd_verify, model, "--key", key, NULL, NULL), 0);
	assert_int_equal(ne_container_load(model, NULL, &back, NULL), 0);
	test_models_equal(m, back, false);
	ne_model_free(back);
	ne_model_free(m);
	unlink(copy);
}

static void test_tampering(void **state)
{
	char other[80], other_public[88];

	(void)state;
	flip_and_fix(model, 400); /* the graph */
	assert_int_equal(run(cmd_verify, model, "--key", public_key, NULL, NULL), 1);
	flip_and_fix(model, 400);
	assert_int_equal(run(cmd_verify, model, "--key", public_key, NULL, NULL), 0);
	flip(model, -1); /* the signature, without and then with a true checksum */
	assert_int_equal(run(cmd_verify, model, "--key", public_key, NULL, NULL), 1);
	flip_and_fix(model, 400);
	flip_and_fix(model, 400);
	assert_int_equal(run(cmd_verify, model, "--key", public_key, NULL, NULL), 1);
	flip(model, -1);
	flip_and_fix(model, 400);
	flip_and_fix(model, 400);
	assert_int_equal(run(cmd_verify, model, "--key", public_key, NULL, NULL), 0);
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(other_public, sizeof(other_public), "%s/other.pub", folder);
	assert_int_equal(run(cmd_keygen, "-o", other, NULL, NULL, NULL), 0);
	assert_int_equal(run(cmd_verify, model, "--key", other_public, NULL, NULL), 1);
	unlink(other);
	unlink(other_public);
}

static void test_bad_arguments(void **state)
{
	(void)state;
	assert_int_equal(run(cmd_sign, model, NULL, NULL, NULL, NULL), 2);
	assert_int_equal(run(cmd_verify, NULL, NULL, NULL, NULL, NULL), 2);
	assert_int_equal(run(cmd_sign, model, "--key", "/nonexistent", NULL, NULL), 1);
	assert_int_equal(run(cmd_sign, "/nonexistent", "--key", key, NULL, NULL), 1);
	assert_int_equal(run(cmd_sign, key, "--key", key, NULL, NULL), 1);     /* no model */
	assert_int_equal(run(cmd_sign, model, "--key", model, NULL, NULL), 1); /* no key */
	flip(key, 30);
	flip(key, 31);
	assert_int_equal(run(cmd_verify, model, "--key", key, NULL, NULL), 1);
}

static int folder_make(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(key, sizeof(key), "%s/key", folder);
	snprintf(public_key, sizeof(public_key), "%s/key.pub", folder);
	snprintf(model, sizeof(model), "%s/m.neap", folder);
	snprintf(copy, sizeof(copy), "%s/copy.neap", folder);
	return 0;
}

static int folder_remove(void **state)
{
	(void)state;
	unlink(key);
	unlink(public_key);
	unlink(model);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_sign_and_verify),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_bad_arguments),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}

#else

int main(void)
{
	puts("built without libsodium: no signatures to test");
	return 77;
}

#endif
