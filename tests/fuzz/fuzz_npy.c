// SPDX-License-Identifier: MIT
/* Any bytes as a .npy file: what is accepted has its whole array inside the file. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/neap/data/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *file = malloc(size ? size : 1);
	struct ne_error err = {""};
	struct npy a;

	FUZZ_ASSERT(file);
	if (size)
		memcpy(file, data, size);
	if (npy_parse("fuzz.npy", file, size, &a, &err) < 0) {
		FUZZ_ASSERT(err.text[0]);
		free(file);
		return 0;
	}
	FUZZ_ASSERT(a.rank <= NPY_MAX_RANK && a.bytes == a.elements * a.size);
	FUZZ_ASSERT(a.bytes <= size && (char *)a.data >= (char *)file);
	FUZZ_ASSERT((size_t)((char *)a.data - (char *)file) <= size - a.bytes);
	npy_done(&a);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char text[] = "{'descr': '<i2', 'fortran_order': False, 'shape': (3, 2), }";
	char file[128 + 12];

	(void)argc;
	(void)argv;
	memset(file, ' ', sizeof(file));
	memcpy(file, "\x93NUMPY\1\0\x76\0", 10);
	memcpy(file + 10, text, sizeof(text) - 1);
	file[127] = '\n';
	memset(file + 128, 7, 12);
	fuzz_seed_write("s16", file, sizeof(file));
	return 0;
}
