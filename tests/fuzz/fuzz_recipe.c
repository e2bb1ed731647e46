// SPDX-License-Identifier: MIT
/* Any text as a training recipe. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/neap/train/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct ne_error err = {""};
	struct recipe r;

	FUZZ_ASSERT(text);
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	if (recipe_parse("fuzz.ini", text, &r, &err) < 0)
		FUZZ_ASSERT(err.text[0]);
	else
		recipe_done(&r);
	free(text);
	return 0;
}

/* The recipes of the shipped models, where the fuzzer runs in the source tree. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const path[] = {"models/fashion.ini", "models/kws.ini"};
	static char text[1 << 16];

	(void)argc;
	(void)argv;
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(path[i], "rb");

		if (!f)
			continue;
		fuzz_seed_write(i ? "kws" : "fashion", text, fread(text, 1, sizeof(text), f));
		fclose(f);
	}
	return 0;
}
