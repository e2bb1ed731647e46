// SPDX-License-Identifier: MIT
#include "tests/unit/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATHS 8

static char folder[64];

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_folder(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_folder(void)
{
	if (!folder[0]) {
		strcpy(folder, "/tmp/neap-test-XXXXXX");
		must(mkdtemp(folder) != NULL, "mkdtemp");
		atexit(remove_folder);
	}
	return folder;
}

const char *scratch_path(const char *name)
{
	static char path[PATHS][256];
	static unsigned next;
	char *p = path[next++ % PATHS];

	snprintf(p, sizeof(path[0]), "%s/%s", scratch_folder(), name);
	return p;
}

const char *scratch_write(const char *name, const void *data, size_t bytes)
{
	const char *path = scratch_path(name);
	FILE *f = fopen(path, "wb");

	must(f != NULL, path);
	must(!bytes || fwrite(data, 1, bytes, f) == bytes, path);
	must(!fclose(f), path);
	return path;
}

void bytes_add(struct bytes *b, const void *data, size_t n)
{
	b->data = realloc(b->data, b->n + n + 1);
	must(b->data != NULL, "realloc");
	if (n && data)
		memcpy(b->data + b->n, data, n);
	else
		memset(b->data + b->n, 0, n);
	b->n += n;
}

void bytes_add_zero(struct bytes *b, size_t n)
{
	bytes_add(b, NULL, n);
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

void tar_sum(uint8_t *h)
{
	unsigned sum = 0;
	char text[8];

	memset(h + 148, ' ', 8);
	for (unsigned i = 0; i < 512; i++)
		sum += h[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(h + 148, text, 7);
}

void tar_add(struct bytes *b, const char *name, char type, const void *data, size_t n)
{
	uint8_t h[512] = {0};

	memcpy(h, name, strnlen(name, 100));
	memcpy(h + 100, "0000644", 8);
	snprintf((char *)h + 124, 12, "%011zo", n);
	h[156] = (uint8_t)type;
	memcpy(h + 257, "ustar\00000", 8);
	tar_sum(h);
	bytes_add(b, h, sizeof(h));
	bytes_add(b, data, n);
	bytes_add_zero(b, (512 - n % 512) % 512);
}

static void add_le(struct bytes *b, uint32_t v, unsigned n)
{
	uint8_t p[4];

	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
	bytes_add(b, p, n);
}

void wav_add(struct bytes *b, int rate, int channels, const int16_t *sample, size_t frames)
{
	uint32_t data = (uint32_t)(frames * (size_t)channels * 2);

	bytes_add(b, "RIFF", 4);
	add_le(b, 36 + data, 4);
	bytes_add(b, "WAVEfmt ", 8);
	add_le(b, 16, 4);
	add_le(b, 1, 2); /* PCM */
	add_le(b, (uint32_t)channels, 2);
	add_le(b, (uint32_t)rate, 4);
	add_le(b, (uint32_t)(rate * channels * 2), 4);
	add_le(b, (uint32_t)channels * 2, 2);
	add_le(b, 16, 2);
	bytes_add(b, "data", 4);
	add_le(b, data, 4);
	bytes_add(b, sample, data);
}

const char *shared_data(const char *name)
{
	const char *root = getenv("NEAP_DATA");
	static char path[PATHS][512];
	static unsigned next;
	char *p = path[next++ % PATHS];

	snprintf(p, sizeof(path[0]), "%s/%s", root && *root ? root : "../shared/data", name);
	if (!access(p, R_OK))
		return p;
	printf("skipped: %s is absent (set NEAP_DATA to the folder of test data)\n", p);
	return NULL;
}
