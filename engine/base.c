/* SPDX-License-Identifier: MIT */
#include "engine/base.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* Below this a system call is not worth it. */
#define WORTHWHILE ((size_t)32 << 10)

/* The whole pages in a block; 0 where they are too few. */
static size_t whole_pages(void *p, size_t bytes, char **ret)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t before = (page - (uintptr_t)p % page) % page;

	if (!p || bytes < WORTHWHILE || bytes - before < page)
		return 0;
	*ret = (char *)p + before;
	return (bytes - before) / page * page;
}

void ne_pages_expect(void *p, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE /* Linux 5.14; older ones refuse it */
	const int before = errno;
	char *first;
	const size_t n = whole_pages(p, bytes, &first);

	if (n)
		(void)madvise(first, n, MADV_POPULATE_WRITE);
	errno = before;
#else
	(void)p;
	(void)bytes;
#endif
}

void ne_free_pages(void *p)
{
	const int before = errno;
	char *first;
	/* what the allocator says: a caller's count might be of another block */
	const size_t n = whole_pages(p, malloc_usable_size(p), &first);

	if (n) /* what is freed may read as anything, so also as zeros */
		(void)madvise(first, n, MADV_DONTNEED);
	errno = before;
	free(p);
}

void *ne_alloc_aligned(size_t bytes)
{
	void *p;

	if (bytes > SIZE_MAX - NE_ALIGN)
		return NULL;
	bytes = ne_round_up(bytes ? bytes : 1, NE_ALIGN);
	p = aligned_alloc(NE_ALIGN, bytes);
	if (!p)
		return NULL;
	ne_pages_expect(p, bytes);
	memset(p, 0, bytes);
	return p;
}
