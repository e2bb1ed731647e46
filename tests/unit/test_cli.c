// SPDX-License-Identifier: MIT
/* The program neap as people run it: words, exit codes, JSON, files written or not. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

#include "engine/model/container.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_model.h"
#include "tools/neap/data/npy.h"

static char program[512]; /* bin/neap beside this test's tests/unit/ */
static char out[65536], err_text[16384];

static void slurp(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
}

/* Runs "neap ARGS" in the scratch folder and returns its exit code; texts in out and err_text. */
static int neap(const char *args)
{
	char command[2048];
	int status;

	snprintf(command, sizeof(command), "cd %s && %s %s >stdout.txt 2>stderr.txt </dev/null",
		 scratch_folder(), program, args);
	status = system(command);
	assert_true(WIFEXITED(status));
	slurp(scratch_path("stdout.txt"), out, sizeof(out));
	slurp(scratch_path("stderr.txt"), err_text, sizeof(err_text));
	return WEXITSTATUS(status);
}

static void expect(const char *args, int code, const char *in_out, const char *in_err)
{
	int got = neap(args);

	if (got != code)
		fail_msg("neap %s: exit code %d, expected %d: %s", args, got, code, err_text);
	if (in_out && !strstr(out, in_out))
		fail_msg("neap %s: '%s' is not in: %s", args, in_out, out);
	if (in_err && !strstr(err_text, in_err))
		fail_msg("neap %s: '%s' is not in: %s", args, in_err, err_text);
}

static cJSON *expect_json(const char *args)
{
	cJSON *json;

	expect(args, 0, NULL, NULL);
	json = cJSON_Parse(out);
	if (!json)
		fail_msg("neap %s: no JSON: %s", args, out);
	return json;
}

static double number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsNumber(v))
		fail_msg("'%s' is no number", key);
	return v->valuedouble;
}

static int make_files(void **state)
{
	const size_t dim[2] = {3, TINY_CLASSES};
	const float x[3 * TINY_CLASSES] = {9, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0};
	const int32_t y[3] = {0, 2, 1};
	struct ne_model *m = tiny_model();
	struct ne_error err = {""};
	int rc;

	(void)state;
	m->level[0].accuracy = 0.75f;
	m->level[1].accuracy = 0.85f;
	m->level[0].latency_us = 10;
	m->level[1].latency_us = 20;
	rc = ne_container_save(scratch_path("tiny.neap"), m, 0, &err);
	if (!rc)
		rc = npy_save(scratch_path("x.npy"), NE_F32, 2, dim, x, &err);
	if (!rc)
		rc = npy_save(scratch_path("one.npy"), NE_F32, 1, dim + 1, x, &err);
	if (!rc)
		rc = npy_save(scratch_path("y.npy"), NE_S32, 1, dim, y, &err);
	if (!rc)
		rc = npy_save(scratch_path("bytes.npy"), NE_U8, 2, dim, x, &err);
	if (rc < 0)
		print_error("%s\n", err.text);
	ne_model_free(m);
	scratch_write("junk.neap", "junk", 4);
	return rc;
}

static void test_usage(void **state)
{
	static const struct {
		const char *args;
		int code;
		const char *in_out, *in_err;
	} cases[] = {
		{"", 2, NULL, "Commands:"},
		{"help", 0, "inspect", NULL},
		{"--help", 0, "Exit codes", NULL},
		{"--version", 0, "neap ", NULL},
		{"help eval", 0, "--data SPEC", NULL},
		{"evl", 2, NULL, "did you mean 'eval'?"},
		{"insp", 2, NULL, "did you mean 'inspect'?"},
		{"xyzzy", 2, NULL, "unknown command 'xyzzy'\nTry"},
		{"help xyzzy", 2, NULL, "unknown command"},
		{"--nonsense", 2, NULL, "unknown option '--nonsense'"},
		{"eval", 2, NULL, "MODEL is missing"},
		{"eval tiny.neap", 2, NULL, "--data SPEC is missing"},
		{"eval tiny.neap --data", 2, NULL, "--data needs SPEC"},
		{"eval tiny.neap --dta x", 2, NULL, "did you mean '--data'?"},
		{"eval tiny.neap more --data x", 2, NULL, "unexpected word 'more'"},
		{"eval tiny.neap --json=1 -d x", 2, NULL, "--json takes no value"},
		{"bench tiny.neap --runs 0", 2, NULL, "from 1 to"},
		{"bench tiny.neap --threads=many", 2, NULL, "--threads 'many'"},
		{"plot tiny.neap", 2, NULL, "--output F.svg is missing"},
		{"plot tiny.neap -o a.svg --x time", 2, NULL, "latency or macs"},
		{"bench --help", 0, "NEAP_CPU", NULL},
		{"run -h", 0, "[NAME=]X.npy", NULL},
		{"inspect --help", 0, "--json", NULL},
		{"plot --help", 0, "--title", NULL},
	};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++)
		expect(cases[i].args, cases[i].code, cases[i].in_out, cases[i].in_err);
}

static void test_failures(void **state)
{
	static const struct {
		const char *args, *in_err;
	} cases[] = {
		{"inspect absent.neap", "absent.neap: No such file"},
		{"inspect junk.neap", "junk.neap"},
		{"inspect .", "directory"},
		{"bench junk.neap", "junk.neap"},
		{"bench tiny.neap --level 2", "0 to 1"},
		{"bench tiny.neap --level auto", "level 'auto'"},
		{"eval tiny.neap --data npy:x.npy,absent.npy", "absent.npy"},
		{"eval tiny.neap --data what", "expected one of"},
		{"eval tiny.neap --data npy:bytes.npy,x.npy", "expected integers"},
		{"run tiny.neap", "no --input for the model's input 'x'"},
		{"run tiny.neap -i x.npy -i x.npy", "the model has 1 input: x"},
		{"run tiny.neap -i z=x.npy", "no such input; the model has x"},
		{"run tiny.neap -i x=", "no file after the name"},
		{"run tiny.neap -i bytes.npy", "holds u8; input 'x' takes f32"},
		{"run tiny.neap -i y.npy", "holds s32"},
		{"run tiny.neap -i x.npy -o no/such/y.npy", "no/such/y.npy"},
		{"run tiny.neap -i x.npy --level 9", "auto or a number from 0 to 1"},
		{"plot tiny.neap -o no/such/a.svg", "no/such/a.svg"},
		{"export tiny.neap -o no/such/a.onnx", "no/such/a.onnx"},
		{"export tiny.neap -o a.onnx --level 9", "auto or a number from 0 to 1"},
		{"export none.neap -o a.onnx", "none.neap"},
	};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		expect(cases[i].args, 1, NULL, cases[i].in_err);
		assert_memory_equal(err_text, "neap ", 5);
	}
}

static void test_bad_cpu(void **state)
{
	(void)state;
	setenv("NEAP_CPU", "z80", 1);
	expect("bench tiny.neap --runs 5", 1, NULL, "NEAP_CPU=z80");
	setenv("NEAP_CPU", "c", 1);
	expect("bench tiny.neap --runs 5", 0, "kernels: c", NULL);
	unsetenv("NEAP_CPU");
}

static void test_export(void **state)
{
	(void)state;
	expect("export tiny.neap --level 0 -o tiny.onnx", 0, "tiny.onnx: level 0 of tiny.neap",
	       NULL);
	expect("import tiny.onnx -o again.neap", 0, "again.neap", NULL);
	expect("run again.neap -i x.npy", 0, NULL, NULL);
	expect("export tiny.neap", 2, NULL, "--output");
}

static void check_rows(cJSON *rows, int n)
{
	static const char *const keys[] = {"level",  "depth",  "width", "macs",
					   "p50_us", "p99_us", "runs",  "arena_bytes"};

	assert_true(cJSON_IsArray(rows));
	assert_int_equal(cJSON_GetArraySize(rows), n);
	for (int i = 0; i < n; i++) {
		const cJSON *o = cJSON_GetArrayItem(rows, i);

		for (size_t k = 0; k < NE_ARRAY_SIZE(keys); k++)
			assert_true(number(o, keys[k]) >= 0);
		assert_true(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(o, "kernel")));
		assert_true(number(o, "p99_us") >= number(o, "p50_us"));
		assert_true(number(o, "width") == 1);
	}
}

static void test_eval(void **state)
{
	cJSON *rows = expect_json("eval tiny.neap --data npy:x.npy,y.npy --json");

	(void)state;
	check_rows(rows, 2);
	/* Exit 0 gets samples 0 and 1 right, exit 1 only sample 2. */
	for (int i = 0; i < 2; i++) {
		const cJSON *o = cJSON_GetArrayItem(rows, i);
		double want = number(o, "depth") == 0 ? 2.0 / 3 : 1.0 / 3;

		assert_true(number(o, "accuracy") > want - 1e-5);
		assert_true(number(o, "accuracy") < want + 1e-5);
		assert_true(number(o, "runs") == 3);
	}
	cJSON_Delete(rows);
	rows = expect_json("eval tiny.neap --data npy:x.npy,y.npy --json --level 0 --limit 2 -t 1");
	check_rows(rows, 1);
	assert_true(number(cJSON_GetArrayItem(rows, 0), "accuracy") == 1);
	cJSON_Delete(rows);
	expect("eval tiny.neap --data npy:x.npy,y.npy", 0, "66.67 %", NULL);
}

/* A window of 4 that moves by 1: samples of a npy file are one stream. */
static void test_stream(void **state)
{
	const size_t dim[2] = {6, 1};
	const float x[6] = {0, 0, 0, 9, 0, 0};
	struct ne_error err;

	(void)state;
	assert_int_equal(npy_save(scratch_path("rows.npy"), NE_F32, 2, dim, x, &err), 0);
	expect("stream tiny.neap -o s.neap", 2, NULL, "add --step N");
	expect("stream tiny.neap --step 1", 2, NULL, "--output");
	expect("stream tiny.neap --step 0 -o s.neap", 2, NULL, "from 1 to");
	expect("stream absent.neap --step 1 -o s.neap", 1, NULL, "absent.neap");
	expect("stream junk.neap --step 1 -o s.neap", 1, NULL, "junk.neap");
	expect("stream tiny.neap --step 4 -o s.neap", 1, NULL, "1 to 3 are possible");
	expect("stream tiny.neap --step 1 --axis 2 -o s.neap", 1, NULL, "no axis 2");
	expect("stream tiny.neap --step 1 -i z -o s.neap", 1, NULL, "no input 'z'");
	expect("stream tiny.neap --step 1 -o no/such/s.neap", 1, NULL, "no/such/s.neap");
	expect("stream tiny.neap --step 1 --verbose -o s.neap", 0, "1 of 4 rows along axis 1",
	       "mixes");
	expect("stream s.neap --step 1 -o t.neap", 1, NULL, "keeps values from run to run already");
	expect("inspect s.neap", 0, "kept from run to run: 2 values, 24 bytes", NULL);
	/* the fourth row is the last of the fourth window, then the last but one, ... */
	expect("run s.neap -i rows.npy --level 0", 0, "sample 3: largest of", NULL);
	expect("run s.neap -i rows.npy --level 0", 0, "at 3 (d)", NULL);
	expect("run s.neap -i rows.npy --level 0", 0, "at 2 (c)", NULL);
	expect("run s.neap -i rows.npy --level 0", 0, "at 1 (b)", NULL);
	expect("bench s.neap --runs 20", 0, "kernels", NULL);
	/* what is kept becomes inputs and outputs */
	expect("export s.neap -o s.onnx", 0, "s.onnx: level", NULL);
	expect("import s.onnx -o fed.neap", 0, NULL, NULL);
	expect("inspect fed.neap", 0, "state_", NULL);
}

static void test_bench(void **state)
{
	cJSON *rows = expect_json("bench tiny.neap --runs 100 --json");

	(void)state;
	check_rows(rows, 2);
	assert_true(number(cJSON_GetArrayItem(rows, 0), "runs") == 100);
	cJSON_Delete(rows);
	rows = expect_json("bench tiny.neap --layers --level 1 --runs 5 --json");
	assert_true(cJSON_GetArraySize(rows) >= 1);
	assert_true(number(cJSON_GetArrayItem(rows, 0), "p50_us") >= 0);
	cJSON_Delete(rows);
	expect("bench tiny.neap --layers --runs 5", 0, "MAC/ns", NULL);
	expect("bench tiny.neap --layers --level 2", 1, NULL, "0 to 1");
}

static void assert_output(const char *name, uint32_t rank, const float *want, size_t n)
{
	struct ne_error err = {""};
	struct npy a;

	assert_int_equal(npy_load(scratch_path(name), &a, &err), 0);
	assert_int_equal(a.rank, rank);
	assert_int_equal(a.elements, n);
	assert_memory_equal(a.data, want, n * sizeof(*want));
	npy_done(&a);
}

static void test_run(void **state)
{
	const float x[12] = {9, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0};
	const float reversed[12] = {0, 0, 0, 9, 0, 9, 0, 0, 0, 9, 0, 0};

	(void)state;
	expect("run tiny.neap --input x.npy --output y0.npy --level 0", 0, "3 samples", NULL);
	assert_output("y0.npy", 2, x, 12);
	expect("run tiny.neap --input x=x.npy --output=y1.npy --level auto", 0, "level 1", NULL);
	assert_output("y1.npy", 2, reversed, 12);
	assert_non_null(strstr(out, "(d)"));
	expect("run tiny.neap -i one.npy -o reversed=one0.npy -l0", 0, "1 sample\n", NULL);
	assert_output("one0.npy", 2, x, 4);
}

static void test_inspect(void **state)
{
	cJSON *o = expect_json("inspect tiny.neap --json"), *tensors, *t;
	unsigned consts = 0;

	(void)state;
	assert_true(number(o, "file_bytes") > 100);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "levels")), 2);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "exits")), 2);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "nodes")), 3);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "labels")), 4);
	assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(o, "sections")) >= 4);
	assert_string_equal(
		cJSON_GetObjectItem(cJSON_GetObjectItem(o, "notes"), "name")->valuestring, "tiny");
	tensors = cJSON_GetObjectItem(o, "tensors");
	cJSON_ArrayForEach(t, tensors)
	{
		if (!cJSON_IsTrue(cJSON_GetObjectItem(t, "constant")))
			continue;
		consts++;
		assert_true(number(t, "bytes") == 64);
		assert_true(number(t, "stored_bytes") == 64);
		assert_string_equal(cJSON_GetObjectItem(t, "encoding")->valuestring, "f32");
	}
	assert_int_equal(consts, 2);
	cJSON_Delete(o);
	expect("inspect tiny.neap --all", 0, "labels: a, b, c, d", NULL);
	assert_non_null(strstr(out, "stored as f32"));
	assert_non_null(strstr(out, "85.00%"));
}

static void test_plot(void **state)
{
	static char svg[65536];

	(void)state;
	expect("plot tiny.neap -o front.svg --title 'a < b'", 0, NULL, NULL);
	slurp(scratch_path("front.svg"), svg, sizeof(svg));
	assert_non_null(strstr(svg, "a &lt; b"));
	assert_non_null(strstr(svg, "accuracy 85.00 %, 20.0 us"));
	assert_null(strstr(svg, "hollow\" cx"));
	expect("plot tiny.neap -o front.svg --x macs", 0, NULL, NULL);
	slurp(scratch_path("front.svg"), svg, sizeof(svg));
	assert_non_null(strstr(svg, "tiny: accuracy against MACs"));
	expect("plot tiny.neap -o - --bench --data npy:x.npy,y.npy", 0, NULL, NULL);
	slurp(scratch_path("-"), svg, sizeof(svg));
	assert_non_null(strstr(svg, "accuracy 66.67 %"));
}

static void test_full_disk(void **state)
{
	char command[1200];
	int status;

	(void)state;
	if (access("/dev/full", W_OK) < 0)
		skip();
	snprintf(command, sizeof(command), "%s inspect %s >/dev/full 2>/dev/null", program,
		 scratch_path("tiny.neap"));
	status = system(command);
	assert_int_equal(WEXITSTATUS(status), 1);
}

/* Ctrl-C in the middle of a bench that would take minutes: what is done until then is printed. */
static void test_interrupted(void **state)
{
	static char words[] = "runs";
	cJSON *rows;
	int status;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int fd = open(scratch_path("stdout.txt"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
		int fe = open(scratch_path("stderr.txt"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(fd, STDOUT_FILENO);
		dup2(fe, STDERR_FILENO);
		execl(program, program, "bench", scratch_path("tiny.neap"), "--runs", "900000000",
		      "--json", NULL);
		_exit(99);
	}
	nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	slurp(scratch_path("stdout.txt"), out, sizeof(out));
	slurp(scratch_path("stderr.txt"), err_text, sizeof(err_text));
	assert_non_null(strstr(err_text, "interrupted"));
	rows = cJSON_Parse(out);
	check_rows(rows, 2);
	assert_true(number(cJSON_GetArrayItem(rows, 0), words) > 0);
	assert_true(number(cJSON_GetArrayItem(rows, 0), words) < 9e8);
	cJSON_Delete(rows);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),     cmocka_unit_test(test_failures),
		cmocka_unit_test(test_bad_cpu),   cmocka_unit_test(test_eval),
		cmocka_unit_test(test_export),    cmocka_unit_test(test_bench),
		cmocka_unit_test(test_stream),    cmocka_unit_test(test_run),
		cmocka_unit_test(test_inspect),   cmocka_unit_test(test_plot),
		cmocka_unit_test(test_full_disk), cmocka_unit_test(test_interrupted),
	};
	char *self = realpath("/proc/self/exe", NULL);

	(void)argc;
	(void)argv;
	for (int i = 0; self && i < 3; i++) { /* DIR/tests/unit/test_cli */
		char *slash = strrchr(self, '/');

		if (slash)
			*slash = '\0';
	}
	snprintf(program, sizeof(program), "%s/bin/neap", self ? self : ".");
	free(self);
	if (access(program, X_OK) < 0) {
		fprintf(stderr, "%s is not built\n", program);
		return 1;
	}
	return cmocka_run_group_tests(tests, make_files, NULL);
}
