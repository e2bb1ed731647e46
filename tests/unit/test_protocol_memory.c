/* SPDX-License-Identifier: MIT */
/* The memfd transport: each kind of memory that could be pulled away is refused. */
#include "daemon/transport/transport.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define SIZE_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW)
#define OWNER_SEALS (SIZE_SEALS | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define BYTES       8192

static const struct transport *const t = &transport_memfd;

static int memfd(size_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void buffer_refused(int fd, enum transport_access access, const char *word)
{
	struct transport_map m = {0};
	struct ne_error err = {""};

	assert_int_equal(t->map_buffer(fd, BYTES, access, &m, &err), -EINVAL);
	assert_null(m.addr);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not tell of '%s'", err.text, word);
	close(fd);
}

static void good_buffers(void **state)
{
	int fd = memfd(BYTES, SIZE_SEALS);
	struct transport_map r = {0}, w = {0};

	(void)state;
	assert_int_equal(t->map_buffer(fd, BYTES, TRANSPORT_READ, &r, NULL), 0);
	assert_int_equal(t->map_buffer(fd, BYTES, TRANSPORT_WRITE, &w, NULL), 0);
	memset(w.addr, 0x5a, BYTES);
	assert_memory_equal(r.addr, w.addr, BYTES);
	assert_int_equal(r.bytes, BYTES);
	transport_unmap(&r);
	transport_unmap(&w);
	assert_null(r.addr);
	transport_unmap(&r); /* nothing to do */
	close(fd);
}

static void sealed_input_is_an_input(void **state)
{
	int fd = memfd(BYTES, OWNER_SEALS);
	struct transport_map r = {0};

	(void)state;
	assert_int_equal(t->map_buffer(fd, BYTES, TRANSPORT_READ, &r, NULL), 0);
	transport_unmap(&r);
	buffer_refused(fd, TRANSPORT_WRITE, "sealed against writing");
}

static void bad_buffers(void **state)
{
	int pair[2], fd;
	char path[64];

	(void)state;
	buffer_refused(memfd(BYTES, 0), TRANSPORT_READ, "seals");
	buffer_refused(memfd(BYTES, F_SEAL_GROW), TRANSPORT_READ, "seals");
	buffer_refused(memfd(BYTES, F_SEAL_SHRINK), TRANSPORT_READ, "seals");
	buffer_refused(memfd(BYTES - 1, SIZE_SEALS), TRANSPORT_READ, "bytes");
	buffer_refused(memfd(0, SIZE_SEALS), TRANSPORT_WRITE, "bytes");
	buffer_refused(eventfd(0, 0), TRANSPORT_READ, "not a memory file");
	buffer_refused(open("/dev/zero", O_RDWR), TRANSPORT_READ, "not a memory file");
	assert_int_equal(pipe(pair), 0);
	close(pair[1]);
	buffer_refused(pair[0], TRANSPORT_READ, "not a memory file");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	buffer_refused(pair[0], TRANSPORT_READ, "not a memory file");
	/* A memory file, but its owner handed out a descriptor for reading. */
	fd = memfd(BYTES, SIZE_SEALS);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	buffer_refused(open(path, O_RDONLY), TRANSPORT_WRITE, "read-only");
	close(fd);
}

static void file_on_tmpfs_is_refused(void **state)
{
	char path[] = "/dev/shm/neap-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0) {
		print_message("SKIPPED: no /dev/shm\n");
		skip();
	}
	unlink(path);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	buffer_refused(fd, TRANSPORT_READ, "");
}

static void regions(void **state)
{
	struct transport_map m = {0}, again = {0};
	struct ne_error err = {""};
	int fd = memfd(BYTES, OWNER_SEALS & ~F_SEAL_FUTURE_WRITE), region;

	(void)state;
	/* The client's must be sealed for good. */
	assert_int_equal(t->map_region(fd, BYTES, &m, &err), -EINVAL);
	close(fd);
	fd = memfd(BYTES, OWNER_SEALS & ~F_SEAL_SEAL);
	assert_int_equal(t->map_region(fd, BYTES, &m, &err), -EINVAL);
	close(fd);
	fd = memfd(BYTES, OWNER_SEALS);
	assert_int_equal(t->map_region(fd, BYTES + 1, &m, &err), -EINVAL);
	assert_int_equal(t->map_region(fd, BYTES, &m, &err), 0);
	transport_unmap(&m);
	close(fd);

	/* Ours: we write, whoever gets the descriptor reads. */
	assert_int_equal(t->new_region(BYTES, &m, &region, &err), 0);
	((char *)m.addr)[5] = 'x';
	assert_true(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0) == MAP_FAILED);
	assert_int_equal(ftruncate(region, 0), -1);
	assert_true(write(region, "y", 1) < 0);
	assert_int_equal(t->map_region(region, BYTES, &again, &err), 0);
	assert_int_equal(((char *)again.addr)[5], 'x');
	transport_unmap(&again);
	transport_unmap(&m);
	close(region);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_buffers), cmocka_unit_test(sealed_input_is_an_input),
		cmocka_unit_test(bad_buffers),  cmocka_unit_test(file_on_tmpfs_is_refused),
		cmocka_unit_test(regions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
