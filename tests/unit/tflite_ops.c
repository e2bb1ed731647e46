/* SPDX-License-Identifier: MIT */
#include "tests/unit/tflite_ops.h"

#include "tools/neap/import/tflite.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const float tflite_ramp[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

struct ne_model *import_ok(const struct fbw *b)
{
	struct ne_error err = {""};
	struct ne_model *m;

	if (tflite_import(b->data, b->n, &m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

void import_fails(const struct fbw *b, int code, const char *text)
{
	struct ne_error err = {""};
	struct ne_model *m;
	int r = tflite_import(b->data, b->n, &m, &err);

	if (r != -code || !strstr(err.text, text))
		fail_msg("%d, '%s'; wanted %d, '%s'", r, err.text, -code, text);
}

void run_subgraph(const struct tb_subgraph *s, const void *const *in, void *out, size_t bytes)
{
	struct fbw b = tb_build(s, 1);
	struct ne_error err = {""};
	struct ne_model *m = import_ok(&b);
	struct ne_context *c;
	struct ne_program *p;

	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	assert_int_equal(ne_program_output(p, 0)->bytes, bytes);
	assert_int_equal(ne_run(p, c, 0, in, &out, NULL, NULL), 0);
	ne_context_free(c);
	ne_program_free(p);
	ne_model_free(m);
	fbw_free(&b);
}

void assert_reals(const float *got, const float *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(got[i] - want[i]) <= 1e-5f * (1 + fabsf(want[i]))))
			fail_msg("value %zu is %g, not %g", i, (double)got[i], (double)want[i]);
}

void run_one(const struct tb_tensor *t, int n, const struct tb_op *op, const void *in, void *out,
	     size_t bytes)
{
	struct tb_subgraph s = {n, 1, 1, 1, t, op, {0}, {n - 1}};

	run_subgraph(&s, &in, out, bytes);
}

uint32_t tflite_draw(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

int32_t tflite_multiply(int64_t acc, double scale)
{
	int shift;
	double fraction = frexp(scale, &shift);
	int64_t m = llround(fraction * 2147483648.0);
	int64_t product = acc * m, right = 31 - (int64_t)shift;

	return (int32_t)((product + ((int64_t)1 << (right - 1))) >> right);
}
