/* SPDX-License-Identifier: MIT */
/*
 * The run path allocates nothing, maps nothing and opens nothing: this program brings its own
 * malloc family and its own mmap and open, which count. Every level of random models is run, and
 * levels are changed between runs, by one thread and by a crew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/run/run.h"
#include "tests/unit/random_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <stdio.h>

int main(void)
{
	puts("SKIP: a sanitizer brings an allocator of its own");
	return 77;
}

#else

static _Atomic unsigned calls;

/* A bump allocator with sizes before the blocks; memory of this short program is never reused. */
static _Alignas(64) char heap[256u << 20];
static _Atomic size_t heap_used = 64;

static void *take(size_t align, size_t bytes)
{
	size_t need = bytes + align + 16, at = atomic_fetch_add(&heap_used, (need + 15) / 16 * 16);
	uintptr_t p;

	atomic_fetch_add(&calls, 1);
	if (need < bytes || at + need > sizeof(heap))
		return NULL;
	p = ((uintptr_t)heap + at + 16 + align - 1) / align * align;
	memcpy((void *)(p - sizeof(size_t)), &bytes, sizeof(bytes));
	return (void *)p;
}

void *malloc(size_t bytes)
{
	return take(16, bytes);
}

void *calloc(size_t n, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : take(16, bytes); /* heap is zero */
}

void *realloc(void *old, size_t bytes)
{
	void *p = take(16, bytes);
	size_t had = 0;

	if (old)
		memcpy(&had, (char *)old - sizeof(size_t), sizeof(had));
	if (p && old)
		memcpy(p, old, had < bytes ? had : bytes);
	return p;
}

void *aligned_alloc(size_t align, size_t bytes)
{
	return take(align < 16 ? 16 : align, bytes);
}

void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes)
{
	return aligned_alloc(align, bytes);
}

int posix_memalign(void **ret, size_t align, size_t bytes)
{
	*ret = aligned_alloc(align, bytes);
	return *ret ? 0 : ENOMEM;
}

void free(void *p)
{
	if (p)
		atomic_fetch_add(&calls, 1);
}

void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	atomic_fetch_add(&calls, 1);
	return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	atomic_fetch_add(&calls, 1);
	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static enum ne_exit_choice look(void *user, uint32_t depth)
{
	(void)user;
	(void)depth;
	return NE_EXIT_LOOK;
}

static bool go_on(void *user, uint32_t depth, float top)
{
	(void)user;
	(void)depth;
	(void)top;
	return false;
}

/* The counters count: a test that cannot fail would prove nothing. */
static void test_counting(void **state)
{
	unsigned before = atomic_load(&calls);
	void *p = malloc(10);
	int fd;

	(void)state;
	assert_non_null(p);
	assert_int_equal(atomic_load(&calls), before + 1);
	free(p);
	p = ne_alloc_aligned(100);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % NE_ALIGN, 0);
	assert_int_equal(atomic_load(&calls), before + 3);
	free(p);
	fd = open("/dev/null", O_RDONLY, 0);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(atomic_load(&calls), before + 5);
}

static void test_no_calls(void **state)
{
	const uint32_t threads = *(const uint32_t *)*state;

	for (uint64_t i = 1; i <= 12; i++) {
		struct rng r = {i * 55555};
		struct random_options o = {i % 2, 3, 3, 3, 0};
		struct ne_model *m = random_stateful_model(&r, &o, i % 3);
		struct ne_hooks hooks = {NULL, look, go_on};
		struct ne_program *p = NULL;
		struct ne_context *c = NULL;
		struct ne_error err = {""};
		unsigned before;
		float out[2][5];
		void *input;

		if (ne_program_new(m, NULL, &p, &err) < 0)
			fail_msg("%s", err.text);
		ne_model_free(m); /* nothing of it is kept */
		assert_int_equal(ne_context_new(p, threads, &c), 0);
		input = calloc(1, ne_program_input(p, 0)->bytes);
		before = atomic_load(&calls);
		for (uint32_t turn = 0; turn < 40; turn++) {
			struct ne_result res;
			uint32_t l = turn * 7 % ne_program_levels(p);

			if (turn % 3 == 0)
				ne_context_reset(c);

			ne_run(p, c, l, (const void *[]){input}, (void *[]){out[0], out[1]},
			       turn % 2 ? &hooks : NULL, &res);
		}
		assert_int_equal(atomic_load(&calls), before);
		free(input);
		ne_context_free(c);
		ne_program_free(p);
	}
}

int main(void)
{
	static uint32_t one = 1, three = 3;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counting),
		cmocka_unit_test_prestate(test_no_calls, &one),
		cmocka_unit_test_prestate(test_no_calls, &three),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
