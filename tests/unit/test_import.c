/* SPDX-License-Identifier: MIT */
/* neap import on the reference models: the accuracies and operation counts that their README
 * states, in f32 and quantised. Skipped, with the reason, where the data are absent. */
#include "tests/unit/run_graph.h"
#include "tests/unit/scratch.h"

#include "engine/model/container.h"
#include "tools/neap/data/data.h"
#include "tools/neap/evaluate.h"
#include "tools/neap/import/import.h"
#include "tools/neap/import/onnx.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS_MAX 24

/* Skips the test where @file of the reference data is absent; its path otherwise. */
static const char *need(const char *file)
{
	static char kept[8][4096];
	static unsigned next;
	const char *path = data_path(file);

	if (!path) {
		print_message("skipped: no reference data: %s (NEAP_DATA)\n", file);
		skip();
	}
	next = (next + 1) % 8;
	snprintf(kept[next], sizeof(kept[next]), "%s", path);
	return kept[next];
}

/* Runs the command with standard output and error sent away, or into @err_text. */
static int run_import(const char *const *args, char *err_text, size_t bytes)
{
	const char *log = scratch_path("import.log");
	int out = dup(1), err = dup(2), to, argc = 0, r;
	char *argv[ARGS_MAX + 1] = {NULL};
	ssize_t n;

	argv[argc++] = (char *)(uintptr_t) "import";
	for (; *args && argc < ARGS_MAX; args++)
		argv[argc++] = (char *)(uintptr_t)*args;
	fflush(stdout);
	fflush(stderr);
	to = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(to >= 0 && out >= 0 && err >= 0);
	dup2(to, 1);
	dup2(to, 2);
	r = cmd_import(argc, argv);
	fflush(stdout);
	fflush(stderr);
	dup2(out, 1);
	dup2(err, 2);
	if (err_text) {
		n = pread(to, err_text, bytes - 1, 0);
		err_text[n > 0 ? n : 0] = 0;
	}
	close(to);
	close(out);
	close(err);
	return r;
}
#define IMPORT(...) run_import((const char *const[]){__VA_ARGS__, NULL}, NULL, 0)

static struct ne_model *load(const char *path)
{
	struct ne_error err = {""};
	struct ne_model *m;

	if (ne_container_load(path, NULL, &m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

static float accuracy_of(const char *path, const char *spec)
{
	struct ne_model *m = load(path);
	struct ne_error err = {""};
	struct data_set d;
	float accuracy;

	assert_int_equal(m->n_level, 1);
	if (data_open(spec, &d, &err) < 0 || evaluate_levels(m, &d, 0, 0, 0, &accuracy, &err) < 0)
		fail_msg("%s", err.text);
	data_close(&d);
	ne_model_free(m);
	return accuracy;
}

static const char *mnist(const char *part)
{
	static char spec[2][8300];
	char *s = spec[part[0] == 't' && part[1] == 'r'];
	char images[128], labels[128];

	snprintf(images, sizeof(images), "mnist/%s-images-idx3-ubyte.xz", part);
	snprintf(labels, sizeof(labels), "mnist/%s-labels-idx1-ubyte.xz", part);
	snprintf(s, sizeof(spec[0]), "idx:%s,%s", need(images), need(labels));
	return s;
}

/* @expected in hundredths of a percent, as published. */
static void reproduces(const char *file, long expected)
{
	const char *test = mnist("t10k"), *train = mnist("train"), *in = need(file);
	const char *f32 = scratch_path("f32.neap"), *s8 = scratch_path("s8.neap");
	float a;

	assert_int_equal(IMPORT(in, "-o", f32, "--input-scale", "0.00390625"), 0);
	a = accuracy_of(f32, test);
	assert_int_equal(lrintf(a * 10000), expected);
	assert_int_equal(IMPORT(in, "-o", s8, "--input-scale", "0.00390625", "--quantize",
				"--calib", train, "--samples", "256"),
			 0);
	a = accuracy_of(s8, test);
	if (labs(lrintf(a * 10000) - expected) > 50)
		fail_msg("quantised: %.4f, in f32 %ld", (double)a, expected);
}

static void lenet300100_original(void **state)
{
	(void)state;
	reproduces("models/lenet300100_original.onnx", 9772);
}

static void lenet300100_sparse(void **state)
{
	(void)state;
	reproduces("models/lenet300100_sparse.onnx", 9801);
}

static void lenet5_original(void **state)
{
	(void)state;
	reproduces("models/lenet5_original.onnx", 9909);
}

static uint32_t count(const struct ne_graph *g, enum ne_op op)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n_node; i++)
		n += g->node[i].op == op;
	return n;
}

/* Imports, runs twice on the same random input: finite and the same. */
static struct ne_model *imports_and_runs(const char *file, uint64_t macs)
{
	const char *out = scratch_path("model.neap");
	struct ne_model *m;
	size_t n, k;
	float *a, *b;

	assert_int_equal(IMPORT(need(file), "-o", out), 0);
	m = load(out);
	assert_int_equal(m->level[0].macs, macs);
	a = run_random(m, 3, &n);
	b = run_random(m, 3, &k);
	assert_int_equal(n, k);
	for (size_t i = 0; i < n; i++)
		assert_true(isfinite(a[i]));
	assert_memory_equal(a, b, n * sizeof(*a));
	free(a);
	free(b);
	return m;
}

/* The plain graph, as imported, and the rewritten one give the same. */
static void rewrites_keep(const char *file)
{
	struct onnx_options *plain = calloc(1, sizeof(*plain));
	struct ne_error err = {""};
	struct ne_model *m[2];
	size_t bytes, n[2];
	float *y[2];
	void *data;

	assert_non_null(plain);
	plain->plain = true;
	if (data_read_file(need(file), 256 << 20, &data, &bytes, &err) < 0 ||
	    onnx_import(data, bytes, NULL, &m[0], &err) < 0 ||
	    onnx_import(data, bytes, plain, &m[1], &err) < 0)
		fail_msg("%s", err.text);
	for (int i = 0; i < 2; i++)
		y[i] = run_random(m[i], 5, &n[i]);
	assert_true(m[0]->graph.n_node < m[1]->graph.n_node);
	assert_int_equal(n[0], n[1]);
	assert_close(y[1], y[0], n[0], 1e-4f);
	for (int i = 0; i < 2; i++) {
		free(y[i]);
		ne_model_free(m[i]);
	}
	free(data);
	free(plain);
}

static void resnet20(void **state)
{
	struct ne_model *m;

	(void)state;
	m = imports_and_runs("models/resnet20_dense.onnx", 40813184);
	assert_int_equal(count(&m->graph, NE_OP_CONV), 21);
	assert_int_equal(count(&m->graph, NE_OP_BATCHNORM), 0);
	assert_int_equal(count(&m->graph, NE_OP_RELU), 0);
	assert_int_equal(count(&m->graph, NE_OP_TRANSPOSE), 1); /* at the input */
	ne_model_free(m);
	ne_model_free(imports_and_runs("models/resnet20_channel_pruned.onnx", 30786176));
	rewrites_keep("models/resnet20_dense.onnx");
}

static void squeezenet(void **state)
{
	struct ne_model *m;

	(void)state;
	m = imports_and_runs("models/squeezenet_v1.0_deep_compression.onnx.xz", 861339936);
	assert_int_equal(count(&m->graph, NE_OP_CONCAT), 8);
	assert_int_equal(count(&m->graph, NE_OP_TRANSPOSE), 1);
	ne_model_free(m);
	rewrites_keep("models/squeezenet_v1.0_deep_compression.onnx.xz");
}

static void mlperf_tiny(void **state)
{
	(void)state;
	ne_model_free(imports_and_runs("models/onnx/kws_fp32.onnx", 2656768));
	ne_model_free(imports_and_runs("models/onnx/resnet8_fp32.onnx", 12501632));
	ne_model_free(imports_and_runs("models/onnx/vww_fp32.onnx", 7489664));
	ne_model_free(imports_and_runs("models/onnx/ad_fp32.onnx", 264192));
	rewrites_keep("models/onnx/vww_fp32.onnx");
}

/* Every tensor of the QDQ form becomes an integer; what is left of its quantise nodes turns the
 * unsigned bytes of input and output into the engine's signed ones. */
static void quantised_models_import_as_integers(void **state)
{
	static const char *const names[] = {"models/onnx/kws_int8.onnx",
					    "models/onnx/resnet8_int8.onnx",
					    "models/onnx/vww_int8.onnx", "models/onnx/ad_int8.onnx",
					    "models/onnx/mbv2_int8.onnx"};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(names); i++) {
		const char *out = scratch_path("qdq.neap");
		struct ne_model *m;

		assert_int_equal(IMPORT(need(names[i]), "-o", out), 0);
		m = load(out);
		assert_int_equal(count(&m->graph, NE_OP_QUANTISE), 2);
		assert_int_equal(count(&m->graph, NE_OP_DEQUANTISE), 0);
		for (uint32_t t = 0; t < m->graph.n_tensor; t++)
			assert_int_not_equal(m->graph.tensor[t].dtype, NE_F32);
		assert_int_equal(m->graph.tensor[m->graph.in[0]].dtype, NE_U8);
		assert_int_equal(m->graph.tensor[m->graph.exit[0].out[0]].dtype, NE_U8);
		ne_model_free(m);
	}
}

static void unsupported_models_name_the_node(void **state)
{
	/* opset 13; y = NoSuchOperator(x), called "odd"; x is float [1] */
	static const char model[] =
		"\x3a\x33\x0a\x1b\x0a\x01\x78\x12\x01\x79\x1a\x03\x6f\x64\x64\x22\x0e\x4e"
		"\x6f\x53\x75\x63\x68\x4f\x70\x65\x72\x61\x74\x6f\x72\x5a\x0f\x0a\x01\x78"
		"\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\x62\x03\x0a\x01\x79\x42"
		"\x02\x10\x0d";
	const char *in, *out = scratch_path("no.neap");
	char text[4096];

	(void)state;
	in = scratch_write("odd.onnx", model, sizeof(model) - 1);
	assert_int_equal(run_import((const char *const[]){in, "-o", out, NULL}, text, sizeof(text)),
			 1);
	assert_true(access(out, F_OK) != 0);
	assert_non_null(strstr(text, "'odd'"));
	assert_non_null(strstr(text, "(NoSuchOperator)"));
	assert_non_null(strstr(text, "operators supported: Abs"));
}

/* ---- the command line; needs a model, which the importer's own output cannot be ---- */

static void notes_and_labels_are_kept(void **state)
{
	const char *in = need("models/lenet300100_original.onnx"), *out = scratch_path("n.neap");
	const char *labels = scratch_write("labels.txt", "zero\r\none\ntwo", 13);
	struct ne_model *m;

	(void)state;
	assert_int_equal(IMPORT(in, "-o", out, "--input-scale", "0.00390625", "--input-offset",
				"-0.5", "--labels", labels),
			 0);
	m = load(out);
	assert_string_equal(ne_model_get_note(m, "source_file"), "lenet300100_original.onnx");
	assert_string_equal(ne_model_get_note(m, "input_scale"), "0.00390625");
	assert_string_equal(ne_model_get_note(m, "input_offset"), "-0.5");
	assert_int_equal(strlen(ne_model_get_note(m, "source_xxh3_128")), 32);
	assert_null(strchr(ne_model_get_note(m, "import_options"), '/'));
	assert_int_equal(m->n_label, 3);
	assert_string_equal(m->label[0], "zero");
	assert_string_equal(m->label[2], "two");
	ne_model_free(m);
}

static void wrong_arguments_are_told(void **state)
{
	static const struct {
		const char *args[6];
		int code;
		const char *word;
	} cases[] = {
		{{"x.onnx"}, 2, "-o OUT.neap"},
		{{"-o", "y.neap"}, 2, "which file"},
		{{"a", "b", "-o", "y.neap"}, 2, "one file"},
		{{"x.onnx", "-o", "y.neap", "--quantize"}, 2, "--calib"},
		{{"x.onnx", "-o", "y.neap", "--calib", "idx:a,b"}, 2, "--quantize"},
		{{"x.onnx", "-o", "y.neap", "--samples", "0"}, 2, "--samples"},
		{{"x.onnx", "-o", "y.neap", "--input-scale", "1/256"}, 2, "1/256"},
		{{"x.onnx", "-o", "y.neap", "--shape", "x=1x"}, 2, "NAME=1x3"},
		{{"/nonexistent/x.onnx", "-o", "y.neap"}, 1, "/nonexistent/x.onnx"},
		{{"/dev/null", "-o", "y.neap"}, 1, "/dev/null"},
		{{"--help"}, 0, "usage"},
	};
	char text[4096];

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		int r = run_import(cases[i].args, text, sizeof(text));

		if (r != cases[i].code || !strstr(text, cases[i].word))
			fail_msg("case %zu: %d, '%s'", i, r, text);
	}
	assert_true(access("y.neap", F_OK) != 0);
}

int main(void)
{
	const struct CMUnitTest line[] = {
		cmocka_unit_test(wrong_arguments_are_told),
	};
	const struct CMUnitTest models[] = {
		cmocka_unit_test(lenet300100_original),
		cmocka_unit_test(lenet300100_sparse),
		cmocka_unit_test(lenet5_original),
		cmocka_unit_test(resnet20),
		cmocka_unit_test(squeezenet),
		cmocka_unit_test(mlperf_tiny),
		cmocka_unit_test(quantised_models_import_as_integers),
		cmocka_unit_test(unsupported_models_name_the_node),
		cmocka_unit_test(notes_and_labels_are_kept),
	};

	if (cmocka_run_group_tests_name("import: command line", line, NULL, NULL))
		return 1;
	if (!shared_data("models"))
		return 77;
	return cmocka_run_group_tests_name("import: models", models, NULL, NULL);
}
