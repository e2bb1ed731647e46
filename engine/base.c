/* SPDX-License-Identifier: MIT */
#include "engine/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ne_fail(struct ne_error *err, int code, const char *fmt, ...)
{
	if (err) {
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return -code;
}

void *ne_alloc_aligned(size_t bytes)
{
	void *p;

	if (bytes > SIZE_MAX - NE_ALIGN)
		return NULL;
	bytes = ne_round_up(bytes ? bytes : 1, NE_ALIGN);
	p = aligned_alloc(NE_ALIGN, bytes);
	if (p)
		memset(p, 0, bytes);
	return p;
}
