/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. Seeds are made, not stored: a target run with NEAP_FUZZ_SEEDS=DIR
 * writes its own there before it starts. */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Says what was broken and where, and dies, which the fuzzer reports with the input. */
#define FUZZ_ASSERT(what)                                                                  \
	do {                                                                               \
		if (!(what)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                           \
		}                                                                          \
	} while (0)

static inline void fuzz_seed_write(const char *name, const void *data, size_t bytes)
{
	const char *folder = getenv("NEAP_FUZZ_SEEDS");
	char path[512];
	FILE *f;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "wb");
	FUZZ_ASSERT(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

#endif
