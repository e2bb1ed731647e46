/* SPDX-License-Identifier: MIT */
/*
 * ONNX's own backend node tests, from the reference data: each model is imported and run on its
 * input, or refused with a reason; no answer may be wrong.
 */
#include "tests/unit/run_graph.h"
#include "tests/unit/scratch.h"

#include "engine/run/run.h"
#include "tools/neap/data/data.h"
#include "tools/neap/import/onnx_internal.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of the 365; raise it when the importer learns operators. */
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

static enum verdict try_bytes(const char *dir, const void *data, size_t bytes, struct ne_error *err)
{
	struct node_run r = {.p = NULL};
	enum verdict v = WRONG;
	struct ne_model *m;

	if (onnx_import(data, bytes, NULL, &m, err) < 0)
		return REFUSED;
	if (ne_program_new(m, NULL, &r.p, err) == 0 && ne_context_new(r.p, 1, &r.c) == 0)
		v = run_and_compare(dir, &r);
	for (int i = 0; i < (int)NE_MAX_IO; i++) {
		onnx_const_free(r.in[i]);
		free(r.out[i]);
	}
	ne_context_free(r.c);
	ne_program_free(r.p);
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

static enum verdict try_node(const char *dir, struct ne_error *err)
{
	enum verdict v;
	char path[4608];
	size_t bytes;
	void *data;

	snprintf(path, sizeof(path), "%s/model.onnx", dir);
	if (data_read_file(path, 64 << 20, &data, &bytes, err) < 0)
		return WRONG;
	v = try_bytes(dir, data, bytes, err);
	/* expected data that wrap around where the standard says saturate: not with constants */
	if (v == REFUSED && !(strstr(dir, "qlinearmatmul") && strstr(dir, "_int8_")))
		v = try_constant(dir, data, bytes, err);
	free(data);
	return v;
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

static void none_is_wrong(void **state)
{
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
		struct ne_error err = {""};
		char dir[4400];
		enum verdict v;

		if (strncmp(e->d_name, "test_", 5) != 0)
			continue;
		snprintf(dir, sizeof(dir), "%s/%s", scratch_folder(), e->d_name);
		v = try_node(dir, &err);
		count[v]++;
		if (v == WRONG)
			print_message("wrong: %s %s\n", e->d_name, err.text);
		if (v == REFUSED && getenv("NEAP_VERBOSE"))
			print_message("refused: %s: %s\n", e->d_name, err.text);
	}
	closedir(d);
	print_message("%u passed, %u refused, %u wrong\n", count[PASSED], count[REFUSED],
		      count[WRONG]);
	assert_int_equal(count[WRONG], 0);
	assert_true(count[PASSED] >= PASS_AT_LEAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_wrong),
	};

	if (!shared_data("onnx-nodes"))
		return 77;
	return cmocka_run_group_tests_name("onnx nodes", tests, NULL, NULL);
}
