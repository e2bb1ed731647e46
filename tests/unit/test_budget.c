/* SPDX-License-Identifier: MIT */
/* The budget files: defaults, checks, changes from outside, nothing lost. */
#include "daemon/budget.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];
static char warned[512];
static unsigned warnings;

static void note_warning(void *user, const char *text)
{
	(void)user;
	snprintf(warned, sizeof(warned), "%s", text);
	warnings++;
}

static void write_text(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void read_text(const char *name, char *ret, size_t bytes)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(ret, (int)bytes, f));
	fclose(f);
}

static int setup(void **state)
{
	struct budget_store *s;

	snprintf(dir, sizeof(dir), "/tmp/neap-budget-XXXXXX");
	assert_non_null(mkdtemp(dir));
	warnings = 0;
	assert_int_equal(budget_open(dir, BUDGET_FILES, note_warning, NULL, &s, NULL), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	budget_close(*state);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void defaults_are_written(void **state)
{
	char text[32];

	assert_int_equal(budget_get(*state)->reserve_permille, 100);
	assert_int_equal(budget_get(*state)->latency_us, 0);
	read_text("reserve_permille", text, sizeof(text));
	assert_string_equal(text, "100\n");
	assert_int_equal(warnings, 0);
}

static void set_checks_name_number_and_range(void **state)
{
	struct ne_error err;
	char text[32];

	assert_int_equal(budget_set(*state, "latency_us", "5000", &err), 0);
	assert_int_equal(budget_get(*state)->latency_us, 5000);
	read_text("latency_us", text, sizeof(text));
	assert_string_equal(text, "5000\n");
	assert_int_equal(budget_set(*state, "latency", "5000", &err), -ENOENT);
	assert_non_null(strstr(err.text, "latency"));
	assert_int_equal(budget_set(*state, "latency_us", "", &err), -EINVAL);
	assert_int_equal(budget_set(*state, "latency_us", "-1", &err), -EINVAL);
	assert_int_equal(budget_set(*state, "latency_us", "5ms", &err), -EINVAL);
	assert_int_equal(budget_set(*state, "latency_us", "0x10", &err), -EINVAL);
	assert_int_equal(budget_set(*state, "reserve_permille", "1001", &err), -ERANGE);
	assert_non_null(strstr(err.text, "1000"));
	assert_int_equal(budget_set(*state, "latency_us", "99999999999999999999999", &err),
			 -ERANGE);
	assert_int_equal(budget_get(*state)->latency_us, 5000);
}

static void a_change_from_outside_is_seen(void **state)
{
	struct pollfd p = {.fd = budget_fd(*state), .events = POLLIN};

	budget_refresh(*state);
	assert_int_equal(poll(&p, 1, 0), 0);
	write_text("depth_max", "2\n");
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(budget_refresh(*state), 1);
	assert_int_equal(budget_get(*state)->depth_max, 2);
	budget_refresh(*state);
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void bad_content_is_refused_and_written_back(void **state)
{
	static const char *const bad[] = {
		"", "\n", "two", "3 4", "17", "111111111111111111111111111111111111111111"};
	char text[32];

	write_text("depth_max", "3\n");
	budget_refresh(*state);
	for (size_t i = 0; i < NE_ARRAY_SIZE(bad); i++) {
		unsigned before = warnings;

		write_text("depth_max", bad[i]);
		assert_int_equal(budget_refresh(*state), 0);
		assert_int_equal(warnings, before + 1);
		assert_non_null(strstr(warned, "depth_max"));
		assert_int_equal(budget_get(*state)->depth_max, 3);
		read_text("depth_max", text, sizeof(text));
		assert_string_equal(text, "3\n");
	}
}

static void a_removed_file_comes_back(void **state)
{
	char path[128], text[32];

	budget_set(*state, "cpu_permille", "300", NULL);
	snprintf(path, sizeof(path), "%s/cpu_permille", dir);
	unlink(path);
	budget_refresh(*state);
	read_text("cpu_permille", text, sizeof(text));
	assert_string_equal(text, "300\n");
}

/* Neither a link out of the directory nor a FIFO makes the daemon read elsewhere or wait. */
static void links_and_fifos_are_not_followed(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/latency_us", dir);
	unlink(path);
	assert_int_equal(symlink("/proc/self/stat", path), 0);
	budget_refresh(*state);
	assert_int_equal(budget_get(*state)->latency_us, 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	budget_refresh(*state);
	assert_int_equal(budget_get(*state)->latency_us, 0);
}

static void values_survive_a_restart(void **state)
{
	struct budget_store *again;

	assert_int_equal(budget_set(*state, "autonomy_min", "90", NULL), 0);
	assert_int_equal(budget_open(dir, BUDGET_FILES, note_warning, NULL, &again, NULL), 0);
	assert_int_equal(budget_get(again)->autonomy_min, 90);
	budget_close(again);
}

static void entries_list_every_budget_once(void **state)
{
	struct budget_entry e;
	unsigned n = 0;

	while (budget_entry(*state, n, &e) == 0) {
		assert_non_null(e.name);
		assert_true(e.value >= e.min && e.value <= e.max);
		n++;
	}
	assert_int_equal(n, 8);
}

/* ---- the module's files; here plain ones in a fake tree ---- */

static void fill_sysfs(void)
{
	struct budget_entry e;
	struct budget_store *s;

	/* The names are those of the other kind; the values are made different from the defaults. */
	assert_int_equal(budget_open(dir, BUDGET_FILES, NULL, NULL, &s, NULL), 0);
	for (unsigned i = 0; budget_entry(s, i, &e) == 0; i++)
		write_text(e.name, "7\n");
	budget_close(s);
}

static void sysfs_is_read_and_written_in_place(void **state)
{
	struct budget_store *s;
	struct ne_error err;
	struct stat before, after;
	char path[128], text[32];

	(void)state;
	fill_sysfs();
	snprintf(path, sizeof(path), "%s/latency_us", dir);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(budget_open(dir, BUDGET_SYSFS, note_warning, NULL, &s, NULL), 0);
	assert_string_equal(budget_kind(s), "sysfs");
	assert_string_equal(budget_dir(s), dir);
	assert_int_equal(budget_get(s)->latency_us, 7);
	assert_int_equal(budget_get(s)->reserve_permille, 7);
	assert_int_equal(budget_set(s, "latency_us", "12345", &err), 0);
	read_text("latency_us", text, sizeof(text));
	assert_string_equal(text, "12345\n");
	/* No file takes another's place: in sysfs nobody can make one. */
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(budget_set(s, "latency_us", "60000001", &err), -ERANGE);
	assert_int_equal(warnings, 0);
	budget_close(s);
}

static void sysfs_changes_are_seen_and_never_mended(void **state)
{
	struct budget_store *s;
	struct pollfd p;
	char text[32];

	(void)state;
	fill_sysfs();
	assert_int_equal(budget_open(dir, BUDGET_SYSFS, note_warning, NULL, &s, NULL), 0);
	p = (struct pollfd){.fd = budget_fd(s), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 0);
	write_text("depth_max", "3\n");
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(budget_refresh(s), 1);
	assert_int_equal(budget_get(s)->depth_max, 3);
	write_text("depth_max", "many\n");
	assert_int_equal(budget_refresh(s), 0);
	assert_int_equal(budget_get(s)->depth_max, 3);
	assert_int_equal(warnings, 1);
	read_text("depth_max", text, sizeof(text));
	assert_string_equal(text, "many\n");
	budget_close(s);
}

static void sysfs_that_lacks_a_file_is_refused(void **state)
{
	struct budget_store *s;
	struct ne_error err;
	char path[128];

	(void)state;
	fill_sysfs();
	snprintf(path, sizeof(path), "%s/autonomy_min", dir);
	unlink(path);
	assert_int_equal(budget_open(dir, BUDGET_SYSFS, NULL, NULL, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "autonomy_min"));
	assert_int_equal(access(path, F_OK), -1);
}

static void sysfs_that_is_not_there_is_not_made(void **state)
{
	struct budget_store *s;
	struct ne_error err;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/absent", dir);
	assert_int_equal(budget_open(path, BUDGET_SYSFS, NULL, NULL, &s, &err), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_directory_that_cannot_be_made_is_an_error(void **state)
{
	struct budget_store *s;
	struct ne_error err;

	(void)state;
	assert_int_equal(budget_open("/nonexistent/budget", BUDGET_FILES, NULL, NULL, &s, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/budget"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(defaults_are_written),
		TEST(set_checks_name_number_and_range),
		TEST(a_change_from_outside_is_seen),
		TEST(bad_content_is_refused_and_written_back),
		TEST(a_removed_file_comes_back),
		TEST(links_and_fifos_are_not_followed),
		TEST(values_survive_a_restart),
		TEST(entries_list_every_budget_once),
		TEST(sysfs_is_read_and_written_in_place),
		TEST(sysfs_changes_are_seen_and_never_mended),
		TEST(sysfs_that_lacks_a_file_is_refused),
		TEST(sysfs_that_is_not_there_is_not_made),
		cmocka_unit_test(a_directory_that_cannot_be_made_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
