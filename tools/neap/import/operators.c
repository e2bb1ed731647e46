/* SPDX-License-Identifier: MIT */
/* The operators that an importer takes, as one text. */
#include "tools/neap/import/operators.h"

#include <stdlib.h>
#include <string.h>

char *operators_join(size_t n, const char *(*name)(size_t i))
{
	size_t bytes = 1;
	char *text;

	for (size_t i = 0; i < n; i++)
		bytes += strlen(name(i)) + 1;
	text = calloc(bytes, 1);
	for (size_t i = 0; text && i < n; i++) {
		strcat(text, name(i));
		if (i + 1 < n)
			strcat(text, " ");
	}
	return text;
}
