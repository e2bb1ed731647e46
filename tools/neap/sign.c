// SPDX-License-Identifier: MIT
/*
 * neap keygen, sign, verify.
 *
 * A key is a text file of one line: "neap-ed25519-secret " or "neap-ed25519-public " and 32 bytes in
 * hexadecimal (the seed, or the public key). Secrets are wiped from memory after use. Bytes read or
 * made are freed by the command that asked for them.
 */
#include "tools/neap/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model/container.h"
#include "tools/neap/command.h"
#include "tools/neap/data/data.h"
#include "tools/neap/options.h"

#ifdef HAVE_SODIUM
#include <sodium.h>

#define SECRET_WORD "neap-ed25519-secret "
#define PUBLIC_WORD "neap-ed25519-public "
#define KEY_LIMIT   256u                /* bytes of a key file */
#define FILE_LIMIT  ((size_t)256 << 20) /* the container's own default */

/* Creates @path, which must not exist: a key is never overwritten. */
static int key_write(const char *path, const char *word, const uint8_t key[32], mode_t mode,
		     struct ne_error *err)
{
	char text[128], hex[65];
	int n, fd, e = 0;

	sodium_bin2hex(hex, sizeof(hex), key, 32);
	n = snprintf(text, sizeof(text), "%s%s\n", word, hex);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0) {
		e = ne_fail(err, errno, "%s: %s", path,
			    errno == EEXIST ? "exists; a key is never overwritten"
					    : strerror(errno));
	} else {
		if (write(fd, text, (size_t)n) != n || fsync(fd) < 0)
			e = ne_fail(err, errno ? errno : EIO, "%s: cannot write", path);
		close(fd);
		if (e < 0)
			unlink(path);
	}
	sodium_memzero(text, sizeof(text));
	sodium_memzero(hex, sizeof(hex));
	return e;
}

/* Reads a key of either kind; *ret_secret tells which. */
static int key_read(const char *path, uint8_t ret[32], bool *ret_secret, struct ne_error *err)
{
	const size_t word_bytes = sizeof(SECRET_WORD) - 1;
	char text[KEY_LIMIT + 1];
	const char *end;
	size_t n, bytes = 0;
	FILE *f = fopen(path, "re");
	int e = 0;

	if (!f)
		return ne_fail(err, errno, "%s: %s", path, strerror(errno));
	n = fread(text, 1, KEY_LIMIT, f);
	fclose(f);
	text[n] = 0;
	*ret_secret = strncmp(text, SECRET_WORD, word_bytes) == 0;
	if (!*ret_secret && strncmp(text, PUBLIC_WORD, word_bytes) != 0)
		e = ne_fail(err, EINVAL, "%s: no key; neap keygen makes one", path);
	else if (sodium_hex2bin(ret, 32, text + word_bytes, strlen(text + word_bytes), NULL, &bytes,
				&end) != 0 ||
		 bytes != 32 || strspn(end, " \r\n") != strlen(end))
		e = ne_fail(err, EINVAL, "%s: the key is damaged: 64 hexadecimal digits expected",
			    path);
	sodium_memzero(text, sizeof(text));
	return e;
}

static int keygen(const char *path, struct ne_error *err)
{
	uint8_t seed[crypto_sign_SEEDBYTES], public[crypto_sign_PUBLICKEYBYTES];
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	char *public_path;
	int e;

	if (asprintf(&public_path, "%s.pub", path) < 0)
		return ne_fail(err, ENOMEM, "no memory");
	randombytes_buf(seed, sizeof(seed));
	crypto_sign_seed_keypair(public, secret, seed);
	e = key_write(path, SECRET_WORD, seed, 0600, err);
	if (e == 0) {
		e = key_write(public_path, PUBLIC_WORD, public, 0666, err);
		if (e < 0)
			unlink(path);
	}
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(secret, sizeof(secret));
	if (e == 0)
		printf("%s: secret key, keep it to yourself\n%s: public key, for those who "
		       "verify\n",
		       path, public_path);
	free(public_path);
	return e;
}

/* The signed copy of a file; *ret is the caller's. */
static int sign_bytes(const void *data, size_t bytes, const uint8_t seed[32], void **ret,
		      size_t *ret_bytes, struct ne_error *err)
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	uint8_t sig[crypto_sign_BYTES];
	struct ne_signature s = {.message = NULL};
	struct ne_model *m = NULL;
	void *out = NULL;
	int e;

	/* nobody vouches for a file that cannot be read */
	NE_RETURN_IF(ne_container_parse(data, bytes, NULL, &m, err));
	ne_model_free(m);
	crypto_sign_seed_keypair(public, secret, seed);
	e = ne_container_add_signature(data, bytes, public, &out, ret_bytes, err);
	if (e == 0)
		e = ne_container_signature(out, *ret_bytes, &s, err);
	if (e == 0) {
		crypto_sign_detached(sig, NULL, s.message, s.message_bytes, secret);
		e = ne_container_set_signature(out, *ret_bytes, sig, err);
	}
	sodium_memzero(secret, sizeof(secret));
	free(s.message);
	if (e < 0) {
		free(out);
		return e;
	}
	*ret = out;
	return 0;
}

static int sign(const char *model, const char *key, const char *out, struct ne_error *err)
{
	void *data = NULL, *result = NULL;
	size_t bytes = 0, result_bytes = 0;
	uint8_t seed[32];
	struct ne_error why;
	bool secret;
	int e;

	NE_RETURN_IF(key_read(key, seed, &secret, err));
	if (!secret)
		return ne_fail(err, EINVAL, "%s: a public key; signing takes the secret one", key);
	e = data_read_file(model, FILE_LIMIT, &data, &bytes, err);
	if (e == 0) {
		e = sign_bytes(data, bytes, seed, &result, &result_bytes, &why);
		if (e < 0)
			ne_fail(err, -e, "%s: %s", model, why.text);
	}
	sodium_memzero(seed, sizeof(seed));
	if (e == 0)
		e = ne_container_write_file(out ? out : model, result, result_bytes, err);
	free(data);
	free(result);
	return e;
}

static int verify(const char *model, const char *key, struct ne_error *err)
{
	uint8_t trusted[32], secret_key[crypto_sign_SECRETKEYBYTES];
	struct ne_signature s = {.message = NULL};
	struct ne_error why;
	void *data = NULL;
	size_t bytes = 0;
	bool secret;
	int e;

	NE_RETURN_IF(key_read(key, trusted, &secret, err));
	if (secret) { /* the secret key knows its public one */
		uint8_t seed[32];

		memcpy(seed, trusted, sizeof(seed));
		crypto_sign_seed_keypair(trusted, secret_key, seed);
		sodium_memzero(seed, sizeof(seed));
		sodium_memzero(secret_key, sizeof(secret_key));
	}
	NE_RETURN_IF(data_read_file(model, FILE_LIMIT, &data, &bytes, err));
	e = ne_container_signature(data, bytes, &s, &why);
	if (e < 0)
		ne_fail(err, -e, "%s: %s", model, why.text);
	else if (memcmp(s.public_key, trusted, sizeof(trusted)) != 0)
		e = ne_fail(err, EKEYREJECTED, "%s: signed by another key than %s", model, key);
	else if (crypto_sign_verify_detached(s.signature, s.message, s.message_bytes, trusted) != 0)
		e = ne_fail(err, EKEYREJECTED, "%s: the signature does not fit the file", model);
	free(s.message);
	free(data);
	return e;
}

static bool sodium_ready(const char *command, int *ret_exit)
{
	if (sodium_init() >= 0)
		return true;
	*ret_exit = command_fail(command, "libsodium finds no source of random numbers");
	return false;
}

#else

static int unavailable(struct ne_error *err)
{
	return ne_fail(err, EOPNOTSUPP,
		       "this build has no signatures; install libsodium-dev and build again");
}

static int keygen(const char *path, struct ne_error *err)
{
	(void)path;
	return unavailable(err);
}

static int sign(const char *model, const char *key, const char *out, struct ne_error *err)
{
	(void)model;
	(void)key;
	(void)out;
	return unavailable(err);
}

static int verify(const char *model, const char *key, struct ne_error *err)
{
	(void)model;
	(void)key;
	return unavailable(err);
}

static bool sodium_ready(const char *command, int *ret_exit)
{
	(void)command;
	(void)ret_exit;
	return true;
}

#endif

int cmd_keygen(int argc, char **argv)
{
	const char *path = NULL;
	const struct option_spec option[] = {
		OPT_REQUIRED("output", 'o', &path, "FILE",
			     "The secret key; FILE.pub gets the public one."),
	};
	const struct command_options c = {
		.command = "keygen",
		.about = "Makes a pair of Ed25519 keys. Nothing is overwritten.",
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};
	struct ne_error err;
	int code;

	if (!options_parse(&c, argc, argv, &code) || !sodium_ready("keygen", &code))
		return code;
	return keygen(path, &err) < 0 ? command_fail("keygen", "%s", err.text) : COMMAND_OK;
}

int cmd_sign(int argc, char **argv)
{
	const char *model = NULL, *key = NULL, *out = NULL;
	const struct option_spec option[] = {
		OPT_REQUIRED("key", 'k', &key, "FILE", "Secret key, made by neap keygen."),
		OPT_STRING("output", 'o', &out, "FILE", "Write there instead of replacing MODEL."),
	};
	const struct command_options c = {
		.command = "sign",
		.about = "Signs a model file; a signature that is there is replaced.",
		.word_name = "MODEL",
		.word = &model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};
	struct ne_error err;
	int code;

	if (!options_parse(&c, argc, argv, &code) || !sodium_ready("sign", &code))
		return code;
	if (sign(model, key, out, &err) < 0)
		return command_fail("sign", "%s", err.text);
	printf("%s: signed\n", out ? out : model);
	return COMMAND_OK;
}

int cmd_verify(int argc, char **argv)
{
	const char *model = NULL, *key = NULL;
	const struct option_spec option[] = {
		OPT_REQUIRED("key", 'k', &key, "FILE", "Public key of the signer that is trusted."),
	};
	const struct command_options c = {
		.command = "verify",
		.about = "Tells whether a model file is whole and signed by the key: exit code 0 "
			 "if it "
			 "is, else 1.",
		.word_name = "MODEL",
		.word = &model,
		.n_word = 1,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};
	struct ne_error err;
	int code;

	if (!options_parse(&c, argc, argv, &code) || !sodium_ready("verify", &code))
		return code;
	if (verify(model, key, &err) < 0)
		return command_fail("verify", "%s", err.text);
	printf("%s: whole, and signed by %s\n", model, key);
	return COMMAND_OK;
}
