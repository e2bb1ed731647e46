/* SPDX-License-Identifier: MIT */
#include "tests/unit/real_model.h"

#include "tests/unit/run_graph.h"
#include "tools/neap/data/data.h"
#include "tools/neap/import/onnx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *read_or_skip(const char *file, size_t *ret_bytes)
{
	const char *path = data_path(file);
	struct ne_error err = {""};
	void *data = NULL;

	if (!path) {
		print_message("skipped: no reference data: %s (NEAP_DATA)\n", file);
		skip();
	}
	if (data_read_file(path, (size_t)64 << 20, &data, ret_bytes, &err) < 0)
		fail_msg("%s", err.text);
	return data;
}

void real_open(struct real_model *r, const char *file, const char *const *shapes,
	       const char *const *values)
{
	struct onnx_options *opt = calloc(1, sizeof(*opt));
	struct ne_error err = {""};
	struct ne_model *m = NULL;
	size_t bytes;
	void *data = read_or_skip(file, &bytes);

	assert_non_null(opt);
	for (; shapes && *shapes; shapes++)
		assert_int_equal(onnx_parse_shape(*shapes, &opt->shape[opt->n_shape++], &err), 0);
	for (; values && *values; values++)
		assert_int_equal(onnx_parse_value(*values, &opt->value[opt->n_value++], &err), 0);
	if (onnx_import(data, bytes, opt, &m, &err) < 0 ||
	    ne_program_new(m, NULL, &r->p, &err) < 0 || ne_context_new(r->p, 1, &r->c) < 0)
		fail_msg("%s: %s", file, err.text);
	ne_model_free(m);
	free(data);
	free(opt);
}

void real_run(struct real_model *r, const void *const *in, void *const *out)
{
	assert_int_equal(ne_run(r->p, r->c, 0, in, out, NULL, NULL), 0);
}

void real_close(struct real_model *r)
{
	ne_context_free(r->c);
	ne_program_free(r->p);
	*r = (struct real_model){NULL, NULL};
}

static uint32_t u32_at(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

float *real_recording(const char *file, size_t *ret_n)
{
	size_t bytes, at = 12, n;
	uint8_t *data = read_or_skip(file, &bytes);
	float *v;

	assert_true(bytes > 44 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WAVE", 4) == 0);
	while (at + 8 <= bytes && memcmp(data + at, "data", 4) != 0) {
		if (memcmp(data + at, "fmt ", 4) == 0) /* one channel, 16 kHz */
			assert_true(data[at + 10] == 1 && u32_at(data + at + 12) == 16000);
		at += 8 + u32_at(data + at + 4) + u32_at(data + at + 4) % 2;
	}
	assert_true(at + 8 <= bytes);
	n = NE_MIN((size_t)u32_at(data + at + 4), bytes - at - 8) / 2;
	v = calloc(n, sizeof(*v));
	assert_non_null(v);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = data + at + 8 + 2 * i;

		v[i] = (float)(int16_t)(uint16_t)(p[0] | p[1] << 8);
	}
	free(data);
	*ret_n = n;
	return v;
}
