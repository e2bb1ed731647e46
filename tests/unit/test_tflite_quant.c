/* SPDX-License-Identifier: MIT */
/* TFLite operators on int8 and uint8. */
#include "tests/unit/layer_reference.h"
#include "tests/unit/tflite_ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Types, scales and zero points of inputs and outputs stay the file's. */
static void test_quantised_io(void **state)
{
	struct fbw b[2] = {tb_sample(), tb_sample_u8()};
	static const struct {
		enum ne_dtype type;
		int32_t in_zero, out_zero;
	} want[2] = {{NE_S8, 3, -128}, {NE_U8, 130, 50}};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ne_model *m = import_ok(&b[i]);
		struct ne_program *p;

		assert_int_equal(ne_program_new(m, NULL, &p, NULL), 0);
		assert_int_equal(ne_program_input(p, 0)->dtype, want[i].type);
		assert_int_equal(ne_program_output(p, 0)->dtype, want[i].type);
		assert_string_equal(ne_program_input(p, 0)->name, "in");
		assert_string_equal(ne_program_output(p, 0)->name, "out");
		assert_true(ne_program_input(p, 0)->quant.scale == 0.5f);
		assert_int_equal(ne_program_input(p, 0)->quant.zero, want[i].in_zero);
		assert_int_equal(ne_program_output(p, 0)->quant.zero, want[i].out_zero);
		ne_program_free(p);
		ne_model_free(m);
		fbw_free(&b[i]);
	}
}

static uint32_t draw(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

static void check_by_layers(const struct tb_subgraph *s, const void *in)
{
	struct fbw b = tb_build(s, 1);
	struct ne_model *m = import_ok(&b);
	struct layer_check c = {0};
	int8_t out[4096];

	layer_check_run(m, &in, (void *[]){out}, &c);
	assert_true(c.values > 0);
	assert_int_equal(c.ort_differ, 0);
	assert_true(c.tflite_worst <= 1);
	ne_model_free(m);
	fbw_free(&b);
}

/* Every zero point, with weights at both ends of the range: up to three s8 parts. */
static void test_u8_weights(void **state)
{
	uint8_t w[5 * 3 * 3 * 4], dw[3 * 3 * 5], wide[2 * 2 * 10], in[6 * 6 * 4];
	static const int zeros[] = {0, 1, 110, 127, 128, 129, 200, 255};
	uint32_t seed = 7;

	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(zeros); k++) {
		const struct tb_tensor t[] = {
			Q8("in", U8, 0.05f, 120, 4, {1, 6, 6, 4}),
			{"w", U8, 4, {5, 3, 3, 4}, w, sizeof(w), 1, NULL, 0.01f, zeros[k], 0},
			Q8("conv", U8, 0.5f, 128, 4, {1, 6, 6, 5}),
			{"dw", U8, 4, {1, 3, 3, 5}, dw, sizeof(dw), 1, NULL, 0.02f, zeros[k], 0},
			Q8("depthwise", U8, 0.9f, 100, 4, {1, 3, 3, 5}),
			{"wide",
			 U8,
			 4,
			 {1, 2, 2, 10},
			 wide,
			 sizeof(wide),
			 1,
			 NULL,
			 0.02f,
			 zeros[k],
			 0},
			Q8("out", U8, 1.5f, 90, 4, {1, 3, 3, 10}),
		};
		const struct tb_op op[] = {
			{CONV, 2, 1, {0, 1}, {2}, 2, {{1, 4, 1, NULL}, {2, 4, 1, NULL}}},
			{DEPTHWISE, 2, 1, {2, 3}, {4}, 2, {{1, 4, 2, NULL}, {2, 4, 2, NULL}}},
			{DEPTHWISE,
			 2,
			 1,
			 {4, 5},
			 {6},
			 3,
			 {{1, 4, 1, NULL}, {2, 4, 1, NULL}, {3, 4, 2, NULL}}},
		};
		const struct tb_subgraph s = {TB_SIZE(t), TB_SIZE(op), 1, 1, t, op, {0}, {6}};

		for (size_t i = 0; i < sizeof(w); i++)
			w[i] = i % 7 ? (uint8_t)draw(&seed) : (i % 2 ? 255 : 0);
		for (size_t i = 0; i < sizeof(dw); i++)
			dw[i] = i % 5 ? (uint8_t)draw(&seed) : (i % 2 ? 255 : 0);
		for (size_t i = 0; i < sizeof(wide); i++)
			wide[i] = (uint8_t)draw(&seed);
		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)draw(&seed);
		check_by_layers(&s, in);
	}
}

/* int8 weights may have a zero point of their own too. */
static void test_s8_weights_with_zero(void **state)
{
	static const int8_t w[2 * 4] = {-128, 127, 5, 0, 127, -128, 30, -30};
	static const struct tb_tensor t[] = {
		Q8("in", S8, 0.1f, -5, 2, {1, 4}),
		{"w", S8, 2, {2, 4}, w, sizeof(w), 1, NULL, 0.02f, 30, 0},
		Q8("out", S8, 0.5f, 3, 2, {1, 2}),
	};
	static const struct tb_op op = {FULLY_CONNECTED, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}};
	static const struct tb_subgraph s = {3, 1, 1, 1, t, &op, {0}, {2}};

	(void)state;
	check_by_layers(&s, (const int8_t[]){-128, 127, 9, -77});
}

/* From f32 to int8 and uint8 and from one to another. */
static void test_quantise(void **state)
{
	static const struct tb_tensor t[] = {
		REAL("in", 2, {1, 4}),
		Q8("s8", S8, 0.5f, -10, 2, {1, 4}),
		Q8("u8", U8, 0.25f, 100, 2, {1, 4}),
	};
	static const struct tb_op op[] = {
		{QUANTIZE, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}},
		{QUANTIZE, 1, 1, {1}, {2}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_subgraph s = {3, 2, 1, 1, t, op, {0}, {2}};
	static const float in[4] = {0, -3.2f, 38, 1000};
	/* -10 -16 66 127, then (q + 10) * 2 + 100 */
	static const uint8_t want[4] = {100, 88, 252, 255};
	uint8_t out[4];

	(void)state;
	run_subgraph(&s, (const void *[]){in}, out, sizeof(out));
	assert_memory_equal(out, want, 4);
}

/* ---- int8 operators against real numbers: within 1 of the exact value, rounded ---- */

struct int8_case {
	int code, act; /* act: -1 = the operator has no activation */
	bool second;
	double (*f)(double a, double b);
};

static double r_add6(double a, double b)
{
	return fmin(fmax(a + b, 0), 6);
}

static double r_sub(double a, double b)
{
	return a - b;
}

static double r_mul(double a, double b)
{
	return a * b;
}

static double r_max(double a, double b)
{
	return fmax(a, b);
}

static double r_logistic(double a, double b)
{
	(void)b;
	return 1 / (1 + exp(-a));
}

static double r_tanh(double a, double b)
{
	(void)b;
	return tanh(a);
}

static double r_hard_swish(double a, double b)
{
	(void)b;
	return a * fmin(fmax(a / 6 + 0.5, 0), 1);
}

static double r_same(double a, double b)
{
	(void)b;
	return a;
}

static void test_int8_elements(void **state)
{
	static const struct int8_case cases[] = {
		{ADD, FUSED_RELU6, true, r_add6},
		{SUB, 0, true, r_sub},
		{MUL, 0, true, r_mul},
		{MAXIMUM, -1, true, r_max},
		{LOGISTIC, -1, false, r_logistic},
		{TANH, -1, false, r_tanh},
		{HARD_SWISH, -1, false, r_hard_swish},
		{QUANTIZE, -1, false, r_same},
	};
	static const struct tb_tensor t[] = {
		Q8("a", S8, 0.04f, 10, 2, {1, 256}),
		Q8("b", S8, 0.03f, -20, 2, {1, 256}),
		Q8("out", S8, 0.05f, -60, 2, {1, 256}),
	};
	int8_t a[256], b[256], out[256];

	(void)state;
	for (int i = 0; i < 256; i++) {
		a[i] = (int8_t)(i - 128);
		b[i] = (int8_t)(i * 37 % 256 - 128);
	}
	for (size_t k = 0; k < NE_ARRAY_SIZE(cases); k++) {
		const struct tb_op op = {
			cases[k].code,     cases[k].second ? 2 : 1,     1, {0, 1}, {2},
			cases[k].act >= 0, {{0, 1, cases[k].act, NULL}}};
		const struct tb_subgraph s = {3, 1, 2, 1, t, &op, {0, 1}, {2}};

		run_subgraph(&s, (const void *[]){a, b}, out, sizeof(out));
		for (int i = 0; i < 256; i++) {
			double real = cases[k].f((a[i] - 10) * (double)0.04f,
						 (b[i] + 20) * (double)0.03f);
			int want = (int)fmin(fmax(rint(real / (double)0.05f) - 60, -128), 127);

			if (abs(out[i] - want) > 1)
				fail_msg("operator %d of %d and %d gives %d, not %d", cases[k].code,
					 a[i], b[i], out[i], want);
		}
	}
}

/* Joined from two quantisations into a third; padded with real zero; the largest and the mean. */
static void test_int8_layout(void **state)
{
	static const int32_t pads[8] = {0, 0, 1, 0, 0, 1, 0, 0}, axes[2] = {1, 2};
	static const struct tb_tensor t[] = {
		Q8("a", S8, 0.5f, 10, 4, {1, 2, 2, 1}),
		Q8("b", S8, 0.25f, -20, 4, {1, 2, 2, 1}),
		Q8("joined", S8, 0.5f, 0, 4, {1, 2, 2, 2}),
		CONST("pads", S32, pads, 2, {4, 2}),
		Q8("padded", S8, 0.5f, 0, 4, {1, 3, 3, 2}),
		Q8("largest", S8, 0.5f, 0, 4, {1, 2, 2, 2}),
		CONST("axes", S32, axes, 1, {2}),
		Q8("out", S8, 0.25f, 3, 2, {1, 2}),
	};
	static const struct tb_op op[] = {
		{CONCATENATION, 2, 1, {0, 1}, {2}, 1, {{0, 4, 3, NULL}}},
		{PAD, 2, 1, {2, 3}, {4}, 0, {{0, 0, 0, NULL}}},
		{MAX_POOL,
		 1,
		 1,
		 {4},
		 {5},
		 5,
		 {{0, 1, VALID, NULL},
		  {1, 4, 1, NULL},
		  {2, 4, 1, NULL},
		  {3, 4, 2, NULL},
		  {4, 4, 2, NULL}}},
		{MEAN, 2, 1, {5, 6}, {7}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_subgraph s = {TB_SIZE(t), TB_SIZE(op), 2, 1, t, op, {0, 1}, {7}};
	/* real: a -5 -1 3 7; b 1 2 -4 8; of the padded images
	 *	0 0 0       0 0 0
	 *	-5 -1 0     1 2 0
	 *	3 7 0       -4 8 0
	 * the largest of four: 0 0 7 7 and 2 2 8 8 */
	static const int8_t a[4] = {0, 8, 16, 24}, b[4] = {-16, -12, -36, 12};
	int8_t out[2];

	(void)state;
	run_subgraph(&s, (const void *[]){a, b}, out, sizeof(out));
	assert_int_equal(out[0], 3.5 / 0.25 + 3);
	assert_int_equal(out[1], 5 / 0.25 + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantised_io),         cmocka_unit_test(test_u8_weights),
		cmocka_unit_test(test_s8_weights_with_zero), cmocka_unit_test(test_quantise),
		cmocka_unit_test(test_int8_elements),        cmocka_unit_test(test_int8_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
