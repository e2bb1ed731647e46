/* SPDX-License-Identifier: MIT */
/* The command line and the configuration file: what wins, and that nothing wrong is taken. */
#include "daemon/config.h"
#include "daemon/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char file[64];

#define LOAD(c, action, err, ...)                                                                \
	config_load((int)NE_ARRAY_SIZE(((const char *[]){"neapd", __VA_ARGS__})),                \
		    (char **)(uintptr_t)(const char *[]){"neapd", __VA_ARGS__, NULL}, c, action, \
		    err)

static void write_file(const char *text)
{
	FILE *f;
	int fd;

	strcpy(file, "/tmp/neap-config-XXXXXX");
	fd = mkstemp(file);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int remove_file(void **state)
{
	(void)state;
	if (file[0])
		unlink(file);
	file[0] = 0;
	return 0;
}

static void strict_buffers_is_yes_or_no(void **state)
{
	struct config c = {0};
	struct ne_error err;

	(void)state;
	assert_int_equal(config_set(&c, "neapd", "strict_buffers", "yes", &err), 0);
	assert_true(c.strict_buffers);
	assert_int_equal(config_set(&c, "neapd", "strict_buffers", "maybe", &err), -EINVAL);
	assert_non_null(strstr(err.text, "maybe"));
	assert_true(c.strict_buffers);
	assert_int_equal(config_set(&c, "neapd", "strict_buffers", "no", &err), 0);
	assert_false(c.strict_buffers);
}

static void defaults(void **state)
{
	enum config_action action;
	struct config c;

	(void)state;
	assert_int_equal(LOAD(&c, &action, NULL, "--runtime-dir", "/tmp/x"), 0);
	assert_int_equal(action, CONFIG_RUN);
	assert_string_equal(c.socket, "/tmp/x/neapd.sock");
	assert_int_equal(c.n_model_dir, 2);
	assert_string_equal(c.model_dir[0], NEAP_MODEL_DIR);
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	assert_true(c.workers >= 1);
	assert_true(c.active_power_mw > 0);
	config_done(&c);
}

static void file_is_read(void **state)
{
	enum config_action action;
	struct ne_error err = {""};
	struct config c;

	(void)state;
	write_file("; a comment\n[neapd]\nsocket = /tmp/a.sock\nmodels = /m1\nmodels = /m2\n"
		   "workers = 3\nlog_level = debug\nactive_power_mw = 900\n"
		   "[limits]\nfile_bytes = 1000\nmacs = 5\nnodes = 7\ntensor_bytes = 9\n");
	if (LOAD(&c, &action, &err, "--config", file) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(c.socket, "/tmp/a.sock");
	assert_int_equal(c.n_model_dir, 2);
	assert_string_equal(c.model_dir[1], "/m2");
	assert_int_equal(c.workers, 3);
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.active_power_mw, 900);
	assert_int_equal(c.limits.file_bytes, 1000);
	assert_int_equal(c.limits.macs, 5);
	assert_int_equal(c.limits.nodes, 7);
	assert_int_equal(c.limits.tensor_bytes, 9);
	config_done(&c);
}

static void command_line_wins(void **state)
{
	enum config_action action;
	struct config c;

	(void)state;
	write_file("[neapd]\nsocket = /tmp/a.sock\nmodels = /m1\nmodels = /m2\nworkers = 3\n");
	assert_int_equal(LOAD(&c, &action, NULL, "--models", "/cli", "--config", file, "--workers",
			      "5", "--socket=/tmp/b.sock"),
			 0);
	assert_string_equal(c.socket, "/tmp/b.sock");
	assert_int_equal(c.n_model_dir, 1);
	assert_string_equal(c.model_dir[0], "/cli");
	assert_int_equal(c.workers, 5);
	config_done(&c);
}

static void help_and_version(void **state)
{
	enum config_action action;
	struct config c;

	(void)state;
	assert_int_equal(LOAD(&c, &action, NULL, "--help", "--nonsense"), 0);
	assert_int_equal(action, CONFIG_HELP);
	assert_int_equal(LOAD(&c, &action, NULL, "--version"), 0);
	assert_int_equal(action, CONFIG_VERSION);
	assert_non_null(strstr(config_usage, "--sysroot"));
}

static void args_refused(const char *a, const char *b, const char *word)
{
	enum config_action action;
	struct ne_error err = {""};
	struct config c;

	assert_true((b ? LOAD(&c, &action, &err, a, b) : LOAD(&c, &action, &err, a)) < 0);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not tell of '%s'", err.text, word);
}

static void wrong_arguments(void **state)
{
	char longest[300];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = 0;
	args_refused("--nonsense", NULL, "--nonsense");
	args_refused("--workers", NULL, "--workers");
	args_refused("--workers", "0", "workers");
	args_refused("--workers", "65", "workers");
	args_refused("--workers", "two", "two");
	args_refused("--workers", "-1", "-1");
	args_refused("--workers", "99999999999999999999", "workers");
	args_refused("--log-level", "loud", "loud");
	args_refused("--config", "/nowhere/neapd.conf", "/nowhere");
	args_refused("--socket", longest, "socket");
	args_refused("--socket", "", "path");
	args_refused("stray", NULL, "stray");
}

static void file_refused(const char *text, const char *word)
{
	enum config_action action;
	struct ne_error err = {""};
	struct config c;
	int r;

	write_file(text);
	r = LOAD(&c, &action, &err, "--config", file);
	unlink(file);
	file[0] = 0;
	assert_true(r < 0);
	if (!strstr(err.text, word))
		fail_msg("'%s' does not tell of '%s'", err.text, word);
}

static void wrong_files(void **state)
{
	(void)state;
	file_refused("[neapd]\nscoket = /tmp/a\n", "scoket");
	file_refused("[neapd]\nscoket = /tmp/a\n", ":2:");
	file_refused("[daemon]\nsocket = /tmp/a\n", "[daemon]");
	file_refused("socket = /tmp/a\n", "section");
	file_refused("[neapd]\nworkers = many\n", "many");
	file_refused("[neapd]\nactive_power_mw = 0\n", "active_power_mw");
	file_refused("[limits]\nbytes = 1\n", "bytes");
	file_refused("[limits]\nnodes = 99999999\n", "nodes");
	file_refused("[neapd]\nthis is no line\n", ":2:");
}

static void reloaded(void **state)
{
	enum config_action action;
	struct ne_error err = {""};
	struct config c;
	FILE *f;

	(void)state;
	write_file("[neapd]\nlog_level = error\nworkers = 3\n");
	assert_int_equal(LOAD(&c, &action, NULL, "--config", file), 0);
	f = fopen(file, "w");
	assert_non_null(f);
	fputs("[neapd]\nlog_level = debug\nworkers = 4\nactive_power_mw = 77\n[limits]\nmacs = 6\n",
	      f);
	fclose(f);
	assert_int_equal(config_reload(&c, &err), 0);
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.active_power_mw, 77);
	assert_int_equal(c.limits.macs, 6);
	assert_int_equal(c.workers, 3); /* needs a restart */
	f = fopen(file, "w");
	assert_non_null(f);
	fputs("[neapd]\nlog_level = loud\n", f);
	fclose(f);
	assert_int_equal(config_reload(&c, &err), -EINVAL);
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	config_done(&c);
	/* The command line's word stands. */
	assert_int_equal(LOAD(&c, &action, NULL, "--log-level", "warning", "--config", "/dev/null"),
			 0);
	assert_int_equal(config_reload(&c, &err), 0);
	assert_int_equal(c.log_level, LOG_LEVEL_WARN);
	config_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strict_buffers_is_yes_or_no),
		cmocka_unit_test(defaults),
		cmocka_unit_test_teardown(file_is_read, remove_file),
		cmocka_unit_test_teardown(command_line_wins, remove_file),
		cmocka_unit_test(help_and_version),
		cmocka_unit_test(wrong_arguments),
		cmocka_unit_test_teardown(wrong_files, remove_file),
		cmocka_unit_test_teardown(reloaded, remove_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
