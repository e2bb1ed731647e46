/* SPDX-License-Identifier: MIT */
/*
 * ONNX's own backend node tests, from the reference data: each model is imported and run on its
 * inputs, or refused with a reason; no answer may be wrong. onnx_nodes.list tells which is which.
 * What passes is exported and read back, and gives the same answers then.
 */
#include "tests/unit/run_graph.h"
#include "tests/unit/scratch.h"

#include "engine/run/run.h"
#include "tools/neap/data/data.h"
#include "tools/neap/export/onnx_export.h"
#include "tools/neap/import/onnx_internal.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of the 365, as they are. */
#define PASS_AT_LEAST 250

enum verdict { PASSED, REFUSED, WRONG };

static struct onnx_const *read_tensor(const char *dir, const char *kind, unsigned i)
{
	struct ne_error err = {""};
	struct onnx o = {.err = &err};
	struct onnx_const *c = NULL;
	Onnx__TensorProto *t;
	char path[4608];
	size_t bytes;
	void *data;

	snprintf(path, sizeof(path), "%s/test_data_set_0/%s_%u.pb", dir, kind, i);
	if (data_read_file(path, 64 << 20, &data, &bytes, &err) < 0)
		return NULL;
	t = onnx__tensor_proto__unpack(NULL, bytes, data);
	if (t && onnx_const_decode(&o, t, path, &c) < 0)
		c = NULL;
	if (t)
		onnx__tensor_proto__free_unpacked(t, NULL);
	free(data);
	return c;
}

static enum verdict compare_f32(const float *want, const float *got, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float w = want[i];

		if (isnan(w) && isnan(got[i]))
			continue;
		if (isinf(w) ? !(got[i] >= w && got[i] <= w)
			     : !(fabsf(got[i] - w) <= 1e-6f + 1e-3f * fabsf(w)))
			return WRONG;
	}
	return PASSED;
}

/* Type, shape and values: reals nearly, integers and truth values exactly. */
static enum verdict compare(const struct onnx_const *want, const struct ne_io *io, const void *got)
{
	if (want->dtype != io->dtype || want->rank != io->shape.rank)
		return WRONG;
	for (uint32_t i = 0; i < want->rank; i++)
		if (want->dim[i] != io->shape.dim[i])
			return WRONG;
	if (want->dtype == NE_F32)
		return compare_f32(want->data, got, want->n);
	return memcmp(want->data, got, io->bytes) == 0 ? PASSED : WRONG;
}

struct node_run {
	struct ne_program *p;
	struct ne_context *c;
	struct onnx_const *in[NE_MAX_IO];
	void *out[NE_MAX_IO];
};

static enum verdict run_and_compare(const char *dir, struct node_run *r)
{
	const void *in[NE_MAX_IO] = {NULL};
	enum verdict v = PASSED;
	struct ne_result result;

	for (uint32_t i = 0; i < ne_program_inputs(r->p); i++) {
		const struct ne_io *io = ne_program_input(r->p, i);

		r->in[i] = read_tensor(dir, "input", i);
		/* Names order them, but a scalar of the test may be an input that we refuse. */
		if (!r->in[i] || r->in[i]->dtype != io->dtype ||
		    r->in[i]->n != ne_shape_elements(&io->shape))
			return WRONG;
		in[i] = r->in[i]->data;
	}
	for (uint32_t i = 0; i < ne_program_outputs(r->p); i++)
		r->out[i] = malloc(ne_program_output(r->p, i)->bytes);
	if (ne_run(r->p, r->c, 0, in, r->out, NULL, &result) < 0)
		return WRONG;
	for (uint32_t i = 0; i < ne_program_outputs(r->p) && v == PASSED; i++) {
		struct onnx_const *want = read_tensor(dir, "output", i);

		v = want ? compare(want, ne_program_output(r->p, i), r->out[i]) : WRONG;
		onnx_const_free(want);
	}
	return v;
}

static enum verdict try_model(const char *dir, const struct ne_model *m, struct ne_error *err)
{
	struct node_run r = {.p = NULL};
	enum verdict v = WRONG;

	if (ne_program_new(m, NULL, &r.p, err) == 0 && ne_context_new(r.p, 1, &r.c) == 0)
		v = run_and_compare(dir, &r);
	for (int i = 0; i < (int)NE_MAX_IO; i++) {
		onnx_const_free(r.in[i]);
		free(r.out[i]);
	}
	ne_context_free(r.c);
	ne_program_free(r.p);
	return v;
}

static unsigned n_exported;

static enum verdict try_exported(const char *dir, const struct ne_model *m)
{
	struct onnx_export_options opt = {.level = 0};
	struct ne_error err = {""};
	enum verdict v = PASSED;
	struct ne_model *back;
	size_t bytes;
	void *data;

	if (onnx_export(m, &opt, &data, &bytes, &err) < 0) {
		print_message("%s: export: %s\n", dir, err.text);
		return WRONG;
	}
	if (onnx_import(data, bytes, NULL, &back, &err) == 0) {
		v = try_model(dir, back, &err);
		ne_model_free(back);
		n_exported++;
	} else {
		v = WRONG;
	}
	if (v != PASSED)
		print_message("%s: exported and read back: %s\n", dir,
			      err.text[0] ? err.text : "other answers");
	free(data);
	return v;
}

static enum verdict try_bytes(const char *dir, const void *data, size_t bytes, struct ne_error *err)
{
	struct ne_model *m;
	enum verdict v;

	if (onnx_import(data, bytes, NULL, &m, err) < 0)
		return REFUSED;
	v = try_model(dir, m, err);
	if (v == PASSED)
		v = try_exported(dir, m);
	ne_model_free(m);
	return v;
}

/* Many tests give weights as inputs. Real models have them as initialisers: all inputs but the
 * first move there, with the values of the test. False where there is no such input. */
static bool inputs_to_initialisers(const char *dir, Onnx__GraphProto *g)
{
	size_t n = g->n_input > 1 ? g->n_input - 1 : 0, had = g->n_initializer;
	Onnx__TensorProto **list;

	if (n == 0)
		return false;
	list = realloc(g->initializer, (had + n) * sizeof(*list));
	assert_non_null(list);
	g->initializer = list;
	for (size_t i = 0; i < n; i++) {
		struct ne_error err = {""};
		char path[4608];
		size_t bytes;
		void *data;

		snprintf(path, sizeof(path), "%s/test_data_set_0/input_%zu.pb", dir, i + 1);
		if (data_read_file(path, 64 << 20, &data, &bytes, &err) < 0)
			return false;
		list[had + i] = onnx__tensor_proto__unpack(NULL, bytes, data);
		free(data);
		if (!list[had + i])
			return false;
		free(list[had + i]->name);
		list[had + i]->name = strdup(g->input[i + 1]->name);
		g->n_initializer++;
	}
	return true;
}

static enum verdict try_constant(const char *dir, const void *data, size_t bytes,
				 struct ne_error *err)
{
	Onnx__ModelProto *p = onnx__model_proto__unpack(NULL, bytes, data);
	enum verdict v = REFUSED;

	assert_non_null(p);
	if (inputs_to_initialisers(dir, p->graph)) {
		size_t size = onnx__model_proto__get_packed_size(p);
		uint8_t *packed = malloc(size);

		assert_non_null(packed);
		onnx__model_proto__pack(p, packed);
		v = try_bytes(dir, packed, size, err);
		free(packed);
	}
	onnx__model_proto__free_unpacked(p, NULL);
	return v;
}

/* What the list says of a test: "pass", "refused: REASON", or "constant inputs: REASON" where it is
 * refused as it is and passes with its inputs but the first as initialisers. */
static enum verdict try_node(const char *dir, char *line, size_t size)
{
	struct ne_error err = {""}, other = {""};
	enum verdict v, with_constants = REFUSED;
	char path[4608];
	size_t bytes;
	void *data;

	snprintf(path, sizeof(path), "%s/model.onnx", dir);
	if (data_read_file(path, 64 << 20, &data, &bytes, &err) < 0)
		return WRONG;
	v = try_bytes(dir, data, bytes, &err);
	/* expected data that wrap around where the standard says saturate: not with constants */
	if (v == REFUSED && !(strstr(dir, "qlinearmatmul") && strstr(dir, "_int8_")))
		with_constants = try_constant(dir, data, bytes, &other);
	free(data);
	if (v == PASSED)
		snprintf(line, size, "pass");
	else
		snprintf(line, size, "%s: %s",
			 with_constants == PASSED ? "constant inputs" : "refused", err.text);
	return with_constants == WRONG ? WRONG : v;
}

/* Unpacks the archive into the scratch folder; false where it or tar is absent. */
static bool unpack(void)
{
	const char *archive = data_path("onnx-nodes/dev.tar.xz");
	char command[8400];

	if (!archive)
		return false;
	snprintf(command, sizeof(command), "tar -xJf '%s' -C '%s'", archive, scratch_folder());
	return system(command) == 0;
}

/* ---- the list ---- */

#define LIST       "tests/unit/onnx_nodes.list"
#define TESTS_MAX  2000
#define LINE_BYTES 512

struct list {
	char *line[TESTS_MAX]; /* "NAME\tVERDICT" */
	size_t n;
};

static void list_add(struct list *l, const char *name, const char *verdict)
{
	assert_true(l->n < TESTS_MAX);
	assert_true(asprintf(&l->line[l->n++], "%s\t%s", name, verdict) > 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_done(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->line[i]);
}

static void list_read(struct list *l)
{
	char line[LINE_BYTES];
	FILE *f = fopen(LIST, "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#') {
			assert_true(l->n < TESTS_MAX);
			l->line[l->n++] = strdup(line);
		}
	}
	fclose(f);
}

/* Lines that only one of the two has, both sorted; true where there is none. */
static bool lists_agree(const struct list *want, const struct list *got)
{
	size_t i = 0, k = 0;
	bool agree = true;

	while (i < want->n || k < got->n) {
		int order = i == want->n  ? 1
			    : k == got->n ? -1
					  : strcmp(want->line[i], got->line[k]);

		if (order == 0) {
			i++;
			k++;
			continue;
		}
		agree = false;
		if (order < 0)
			print_message("listed: %s\n", want->line[i++]);
		else
			print_message("is now: %s\n", got->line[k++]);
	}
	return agree;
}

/*
 * Both ways: a listed pass that fails, and a listed refusal that now passes or has another reason.
 * NEAP_LIST=FILE writes what is found, to be looked at and put in the list's place.
 */
static void verdicts_are_listed(void **state)
{
	struct list want = {.n = 0}, got = {.n = 0};
	const char *out = getenv("NEAP_LIST");
	unsigned count[3] = {0};
	struct dirent *e;
	DIR *d;

	(void)state;
	if (!unpack()) {
		print_message("skipped: no reference data (NEAP_DATA) or no tar\n");
		skip();
	}
	d = opendir(scratch_folder());
	assert_non_null(d);
	while ((e = readdir(d))) {
		char dir[4400], line[LINE_BYTES] = "";
		enum verdict v;

		if (strncmp(e->d_name, "test_", 5) != 0)
			continue;
		snprintf(dir, sizeof(dir), "%s/%s", scratch_folder(), e->d_name);
		v = try_node(dir, line, sizeof(line) - 200);
		count[v]++;
		if (v == WRONG)
			print_message("wrong: %s %s\n", e->d_name, line);
		list_add(&got, e->d_name, line);
	}
	closedir(d);
	qsort(got.line, got.n, sizeof(got.line[0]), by_name);
	if (out) {
		FILE *f = fopen(out, "w");

		assert_non_null(f);
		for (size_t i = 0; i < got.n; i++)
			fprintf(f, "%s\n", got.line[i]);
		assert_int_equal(fclose(f), 0);
	}
	list_read(&want);
	qsort(want.line, want.n, sizeof(want.line[0]), by_name);
	print_message("%u passed, %u refused, %u wrong\n", count[PASSED], count[REFUSED],
		      count[WRONG]);
	assert_int_equal(count[WRONG], 0);
	assert_true(lists_agree(&want, &got));
	assert_true(count[PASSED] >= PASS_AT_LEAST);
	print_message("%u exported and read back\n", n_exported);
	assert_true(n_exported >= PASS_AT_LEAST);
	list_done(&want);
	list_done(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_are_listed),
	};

	if (!shared_data("onnx-nodes"))
		return 77;
	return cmocka_run_group_tests_name("onnx nodes", tests, NULL, NULL);
}
