/* SPDX-License-Identifier: MIT */
/*
 * What every part of the engine shares: error reports, bounds helpers.
 *
 * Functions return 0 or a negative errno. Where a reason is worth reading they also take a
 * struct ne_error, which may be NULL; its text is set only on failure. The engine never prints.
 */
#ifndef NE_BASE_H
#define NE_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NE_ALIGN    64u /* bytes: a cache line, and an AVX-512 register */
#define NE_MAX_RANK 6u

struct ne_error {
	char text[256];
};

/* Formats the reason into @err (if not NULL) and returns -@code. @code is a positive errno. */
int ne_fail(struct ne_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define NE_ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define NE_MIN(a, b)        ((a) < (b) ? (a) : (b))
#define NE_MAX(a, b)        ((a) > (b) ? (a) : (b))
#define NE_CLAMP(v, lo, hi) NE_MIN(NE_MAX(v, lo), hi)

#define NE_RETURN_IF(expr)              \
	do {                            \
		int ret_if_ = (expr);   \
		if (ret_if_ < 0)        \
			return ret_if_; \
	} while (0)

static inline size_t ne_round_up(size_t v, size_t to)
{
	return (v + to - 1) / to * to;
}

/*
 * The pages of large blocks. A process's first touch of a page takes about a microsecond, more than
 * what is done with the page; asked for at once pages take less than half of that. And an allocator
 * keeps what is freed: a model that was loaded would stay resident beside its program.
 */
/* All of the block will be written: a hint. */
void ne_pages_expect(void *p, size_t bytes);
/* free(), and whole pages of the block go back to the system at once. @p may be NULL. */
void ne_free_pages(void *p);

/* Zeroed memory aligned to NE_ALIGN, its size rounded up to it; freed with free(). */
void *ne_alloc_aligned(size_t bytes);

#endif
