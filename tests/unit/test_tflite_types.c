/* SPDX-License-Identifier: MIT */
/*
 * TFLite's int16 activations, against the rule that TFLite documents for them, worked out here in plain
 * C; integers, compares and choices; dilation by blocks; positions and weights that are computed; odd
 * slices.
 */
#include "tests/unit/tflite_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { S64 = 4, BOOLEAN = 6 };
enum {
	BATCH_TO_SPACE = 37,
	SPACE_TO_BATCH = 38,
	TOPK = 48,
	GREATER = 61,
	NOT_EQUAL = 72,
	FLOOR_DIV = 90,
	SELECT_V2 = 123,
	CUMSUM = 128,
};

/* ---- dilation by blocks ---- */

/* A depthwise convolution of 3x3 with dilation 2, padded by 2 on each side, as files write it. */
static void test_blocks(void **state)
{
	static const float w[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
	static const int32_t block[2] = {2, 2}, pads[4] = {2, 3, 2, 2}, crops[4] = {0, 1, 0, 0};
	static const struct tb_tensor t[] = {
		REAL("in", 4, {1, 5, 6, 1}),           CONST("block", S32, block, 1, {2}),
		CONST("pads", S32, pads, 2, {2, 2}),   REAL("cut", 4, {4, 5, 5, 1}),
		CONST("w", F32, w, 4, {1, 3, 3, 1}),   REAL("conv", 4, {4, 3, 3, 1}),
		CONST("crops", S32, crops, 2, {2, 2}), REAL("out", 4, {1, 5, 6, 1}),
	};
	static const struct tb_op op[] = {
		{SPACE_TO_BATCH, 3, 1, {0, 1, 2}, {3}, 0, {{0, 0, 0, NULL}}},
		{DEPTHWISE,
		 2,
		 1,
		 {3, 4},
		 {5},
		 4,
		 {{0, 1, VALID, NULL}, {1, 4, 1, NULL}, {2, 4, 1, NULL}, {3, 4, 1, NULL}}},
		{BATCH_TO_SPACE, 3, 1, {5, 1, 6}, {7}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_subgraph s = {TB_SIZE(t), 3, 1, 1, t, op, {0}, {7}};
	static const struct tb_subgraph open_end = {TB_SIZE(t), 2, 1, 1, t, op, {0}, {5}};
	struct fbw b = tb_build(&open_end, 1);
	float in[30], want[30] = {0}, out[30];

	(void)state;
	for (int i = 0; i < 30; i++)
		in[i] = (float)(i * 7 % 11) - 5;
	for (int i = 0; i < 30; i++)
		for (int k = 0; k < 9; k++) {
			int y = i / 6 + 2 * (k / 3 - 1), x = i % 6 + 2 * (k % 3 - 1);

			if (y >= 0 && y < 5 && x >= 0 && x < 6)
				want[i] += in[6 * y + x] * w[k];
		}
	run_subgraph(&s, (const void *[]){in}, out, sizeof(out));
	assert_reals(out, want, 30);
	import_fails(&b, EOPNOTSUPP, "an image in blocks");
	fbw_free(&b);
}

/* ---- int16 activations ---- */

/* A convolution with int8 weights and an int64 bias, then a dense layer: within 1 of the rule. */
static void test_s16(void **state)
{
	enum { H = 5, W = 4, IC = 3, OC = 4, OUT = 6 };
	static const float scales[OC] = {0.01f, 0.02f, 0.005f, 0.01f};
	const float sx = 0.001f, sm = 0.002f, sv = 0.01f, sy = 0.01f;
	float bias_scale[OC], dense_scale[1] = {sm * sv};
	int16_t x[H * W * IC], y[OUT];
	int8_t w[OC * IC], v[OUT * H * W * OC];
	int64_t b[OC] = {1000, -70000, 5, 123456}, d[OUT] = {9, -9, 1000, 0, 5, -100000};
	double middle[H * W * OC];
	const struct tb_tensor t[] = {
		Q8("in", S16, sx, 0, 4, {1, H, W, IC}),
		{"w", S8, 4, {OC, 1, 1, IC}, w, sizeof(w), OC, scales, 0, 0, 0},
		{"b", S64, 1, {OC}, b, sizeof(b), OC, bias_scale, 0, 0, 0},
		Q8("middle", S16, sm, 0, 4, {1, H, W, OC}),
		{"v", S8, 2, {OUT, H * W * OC}, v, sizeof(v), 1, NULL, sv, 0, 0},
		{"d", S64, 1, {OUT}, d, sizeof(d), 1, dense_scale, 0, 0, 0},
		Q8("out", S16, sy, 0, 2, {1, OUT}),
	};
	const struct tb_op op[] = {
		{CONV,
		 3,
		 1,
		 {0, 1, 2},
		 {3},
		 3,
		 {{1, 4, 1, NULL}, {2, 4, 1, NULL}, {3, 1, RELU, NULL}}},
		{FULLY_CONNECTED, 3, 1, {3, 4, 5}, {6}, 0, {{0, 0, 0, NULL}}},
	};
	const struct tb_subgraph s = {TB_SIZE(t), TB_SIZE(op), 1, 1, t, op, {0}, {6}};
	uint32_t seed = 9;

	(void)state;
	for (int o = 0; o < OC; o++)
		bias_scale[o] = sx * scales[o];
	for (int i = 0; i < H * W * IC; i++)
		x[i] = (int16_t)tflite_draw(&seed);
	for (size_t i = 0; i < sizeof(w); i++)
		w[i] = (int8_t)tflite_draw(&seed);
	for (size_t i = 0; i < sizeof(v); i++)
		v[i] = (int8_t)tflite_draw(&seed);
	run_subgraph(&s, (const void *[]){x}, y, sizeof(y));
	for (int i = 0; i < H * W * OC; i++) {
		int64_t acc = b[i % OC];

		for (int k = 0; k < IC; k++)
			acc += x[i / OC * IC + k] * w[i % OC * IC + k];
		acc = tflite_multiply(acc, (double)sx * (double)scales[i % OC] / (double)sm);
		middle[i] = (double)NE_CLAMP(acc, 0, INT16_MAX);
	}
	for (int o = 0; o < OUT; o++) {
		double acc = (double)d[o];
		int64_t want;

		for (int i = 0; i < H * W * OC; i++)
			acc += middle[i] * v[o * H * W * OC + i];
		want = tflite_multiply((int64_t)acc, (double)sm * (double)sv / (double)sy);
		assert_true(llabs(NE_CLAMP(want, INT16_MIN, INT16_MAX) - y[o]) <= 1);
	}
}

/* A float input that is rounded to int16, a product, and a float output. */
static void test_s16_between(void **state)
{
	static const struct tb_tensor t[] = {
		REAL("in", 2, {1, 4}),
		Q8("x", S16, 0.25f, 0, 2, {1, 4}),
		Q8("square", S16, 0.5f, 0, 2, {1, 4}),
		REAL("out", 2, {1, 4}),
	};
	static const struct tb_op op[] = {
		{QUANTIZE, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}},
		{MUL, 2, 1, {1, 1}, {2}, 0, {{0, 0, 0, NULL}}},
		{DEQUANTIZE, 1, 1, {2}, {3}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_subgraph s = {TB_SIZE(t), TB_SIZE(op), 1, 1, t, op, {0}, {3}};
	/* 1.3 is 1.25, its square 1.5625 is 1.5; 1e6 is 32767 / 4, its square 32767 / 2 */
	static const float in[4] = {1.3f, -2, 0.1f, 1e6f}, want[4] = {1.5f, 4, 0, 16383.5f};
	float out[4];

	(void)state;
	run_subgraph(&s, (const void *[]){in}, out, sizeof(out));
	assert_reals(out, want, 4);
}

/* ---- choices, integers, slices ---- */

static void test_choices(void **state)
{
	static const float half[1] = {2.5f};
	static const struct tb_tensor t[] = {
		REAL("in", 2, {1, 4}),
		CONST("half", F32, half, 1, {1}),
		{"more", BOOLEAN, 2, {1, 4}, NULL, 0, 0, NULL, 0, 0, 0},
		REAL("out", 2, {1, 4}),
	};
	static const struct tb_op op[] = {
		{GREATER, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}},
		{SELECT_V2, 3, 1, {2, 0, 1}, {3}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_subgraph s = {TB_SIZE(t), 2, 1, 1, t, op, {0}, {3}};
	static const float in[4] = {1, 3, 2.5f, 7}, want[4] = {2.5f, 3, 2.5f, 7};
	float out[4];

	(void)state;
	run_subgraph(&s, (const void *[]){in}, out, sizeof(out));
	assert_reals(out, want, 4);
}

/* int32 inputs: floor(a / b), not equal, and back to float32. */
static void test_integers(void **state)
{
	static const int32_t three[1] = {3}, in[4] = {-7, 6, 8, -9};
	static const struct tb_tensor t[] = {
		{"in", S32, 2, {1, 4}, NULL, 0, 0, NULL, 0, 0, 0},
		CONST("three", S32, three, 1, {1}),
		{"quotient", S32, 2, {1, 4}, NULL, 0, 0, NULL, 0, 0, 0},
		{"differs", BOOLEAN, 2, {1, 4}, NULL, 0, 0, NULL, 0, 0, 0},
		REAL("out", 2, {1, 4}),
	};
	static const struct tb_op op[] = {
		{FLOOR_DIV, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}},
		{NOT_EQUAL, 2, 1, {2, 1}, {3}, 0, {{0, 0, 0, NULL}}},
		{CAST, 1, 1, {3}, {4}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_subgraph quotients = {3, 1, 1, 1, t, op, {0}, {2}};
	static const struct tb_subgraph all = {5, 3, 1, 1, t, op, {0}, {4}};
	static const int32_t want[4] = {-3, 2, 2, -3};
	static const float ones[4] = {1, 1, 1, 1};
	int32_t q[4];
	float out[4];

	(void)state;
	run_subgraph(&quotients, (const void *[]){in}, q, sizeof(q));
	assert_memory_equal(q, want, sizeof(q));
	run_subgraph(&all, (const void *[]){in}, out, sizeof(out));
	assert_reals(out, ones, 4);
}

/* Positions that are computed: the place of the largest, and what stands there. */
static void test_computed_positions(void **state)
{
	static const int32_t axis[1] = {1}, two[1] = {2};
	static const float table[4] = {10, 20, 30, 40}, in[4] = {5, 9, 2, 7};
	static const struct tb_tensor t[] = {
		REAL("in", 2, {1, 4}),
		CONST("axis", S32, axis, 1, {1}),
		{"place", S32, 1, {1}, NULL, 0, 0, NULL, 0, 0, 0},
		CONST("table", F32, table, 1, {4}),
		REAL("out", 1, {1}),
		CONST("two", S32, two, 1, {1}),
		REAL("most", 2, {1, 2}),
		{"places", S32, 2, {1, 2}, NULL, 0, 0, NULL, 0, 0, 0},
		REAL("sums", 2, {1, 2}),
	};
	static const struct tb_op op[] = {
		{ARG_MAX, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}},
		{GATHER, 2, 1, {3, 2}, {4}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_op first[] = {
		{TOPK, 2, 2, {0, 5}, {6, 7}, 0, {{0, 0, 0, NULL}}},
		{CUMSUM, 2, 1, {6, 1}, {8}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_subgraph s = {5, 2, 1, 1, t, op, {0}, {4}};
	static const struct tb_subgraph k = {9, 2, 1, 1, t, first, {0}, {8}};
	float out[1], sums[2];

	(void)state;
	run_subgraph(&s, (const void *[]){in}, out, sizeof(out));
	assert_reals(out, (const float[]){20}, 1);
	run_subgraph(&k, (const void *[]){in}, sums, sizeof(sums));
	assert_reals(sums, (const float[]){9, 16}, 2);
}

/* x[..., newaxis, 1:3]: an ellipsis for the axes in front, an axis that the input has not. */
static void test_ellipsis(void **state)
{
	static const int32_t begin[3] = {0, 0, 1}, end[3] = {0, 0, 3}, step[3] = {1, 1, 1};
	static const struct tb_tensor t[] = {
		REAL("in", 3, {2, 2, 4}),       CONST("begin", S32, begin, 1, {3}),
		CONST("end", S32, end, 1, {3}), CONST("step", S32, step, 1, {3}),
		REAL("out", 4, {2, 2, 1, 2}),
	};
	static const struct tb_op op = {
		STRIDED_SLICE, 4, 1, {0, 1, 2, 3}, {4}, 2, {{2, 4, 1, NULL}, {3, 4, 2, NULL}}};
	static const struct tb_subgraph s = {5, 1, 1, 1, t, &op, {0}, {4}};
	static const float want[8] = {1, 2, 5, 6, 9, 10, 13, 14};
	float out[8];

	(void)state;
	run_subgraph(&s, (const void *[]){tflite_ramp}, out, sizeof(out));
	assert_reals(out, want, 8);
}

/* Weights that are an input. */
static void test_computed_weights(void **state)
{
	static const struct tb_tensor t[] = {
		REAL("in", 2, {1, 3}),
		REAL("w", 2, {2, 3}),
		REAL("out", 2, {1, 2}),
	};
	static const struct tb_op op = {FULLY_CONNECTED,     3, 1, {0, 1, -1}, {2}, 1,
					{{0, 1, RELU, NULL}}};
	static const struct tb_subgraph s = {3, 1, 2, 1, t, &op, {0, 1}, {2}};
	static const float x[3] = {1, 2, 3}, w[6] = {1, 0, -1, 0.5f, 0.5f, 1};
	float out[2];

	(void)state;
	run_subgraph(&s, (const void *[]){x, w}, out, sizeof(out));
	assert_reals(out, (const float[]){0, 4.5f}, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),      cmocka_unit_test(test_s16),
		cmocka_unit_test(test_s16_between), cmocka_unit_test(test_choices),
		cmocka_unit_test(test_integers),    cmocka_unit_test(test_computed_positions),
		cmocka_unit_test(test_ellipsis),    cmocka_unit_test(test_computed_weights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
