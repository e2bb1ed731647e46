/* SPDX-License-Identifier: MIT */
/* TFLite operators on f32, each against its definition. */
#include "tests/unit/tflite_ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Padding "same" of an even image with stride 2 adds nothing before, one after. */
static void test_conv_same(void **state)
{
	static const float ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, bias[1] = {0.5f};
	static const struct tb_tensor t[] = {
		REAL("in", 4, {1, 4, 4, 1}),
		CONST("w", F32, ones, 4, {1, 3, 3, 1}),
		CONST("b", F32, bias, 1, {1}),
		REAL("out", 4, {1, 2, 2, 1}),
	};
	static const struct tb_op op = {
		CONV, 3, 1, {0, 1, 2}, {3}, 2, {{1, 4, 2, NULL}, {2, 4, 2, NULL}}};
	static const float want[4] = {45.5f, 39.5f, 66.5f, 50.5f};
	float out[4];

	(void)state;
	run_one(t, TB_SIZE(t), &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, want, 4);
}

/* Two outputs for each input channel, one after another. */
static void test_depthwise_multiplier(void **state)
{
	static const float w[8] = {1, 2, 3, 4, 10, 20, 30, 40};
	static const struct tb_tensor t[] = {
		REAL("in", 4, {1, 1, 4, 2}),
		CONST("w", F32, w, 4, {1, 1, 2, 4}),
		REAL("out", 4, {1, 1, 3, 4}),
	};
	static const struct tb_op op = {
		DEPTHWISE,
		2,
		1,
		{0, 1},
		{2},
		4,
		{{0, 1, VALID, NULL}, {1, 4, 1, NULL}, {2, 4, 1, NULL}, {3, 4, 2, NULL}}};
	/* y[x][2c + k] = in[x][c] * w[0][2c + k] + in[x + 1][c] * w[1][2c + k] */
	static const float want[12] = {20, 40, 93, 124, 42, 84, 159, 212, 64, 128, 225, 300};
	float out[12];

	(void)state;
	run_one(t, TB_SIZE(t), &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, want, 12);
}

/* An image is flattened; int8, int4 and float16 weights of a model in f32 are real weights. */
static void test_fully_connected(void **state)
{
	static const int8_t w8[8] = {2, -4, 6, 8, 0, 10, -2, 4};
	static const uint8_t w4[4] = {0xe1, 0x43, 0x50, 0x2f}; /* 1 -2 3 4, 0 5 -1 2 */
	static const uint16_t w16[8] = {0x3c00, 0xc000, 0x4200, 0x4400, 0, 0x4500, 0xbc00, 0x4000};
	static const float halves[2] = {0.5f, 0.5f};
	static const struct tb_tensor t8[] = {
		REAL("in", 4, {1, 2, 2, 1}),
		{"w", S8, 2, {2, 4}, w8, sizeof(w8), 2, halves, 0, 0, 0},
		REAL("out", 2, {1, 2}),
	};
	static const struct tb_tensor t4[] = {
		REAL("in", 4, {1, 2, 2, 1}),
		{"w", S4, 2, {2, 4}, w4, sizeof(w4), 1, NULL, 1, 0, 0},
		REAL("out", 2, {1, 2}),
	};
	static const struct tb_tensor t16[] = {
		REAL("in", 4, {1, 2, 2, 1}),
		CONST("w16", F16, w16, 2, {2, 4}),
		REAL("w", 2, {2, 4}),
		REAL("out", 2, {1, 2}),
	};
	static const struct tb_op op = {FULLY_CONNECTED,  3, 1, {0, 1, -1}, {2}, 0,
					{{0, 0, 0, NULL}}};
	static const struct tb_op ops16[] = {
		{DEQUANTIZE, 1, 1, {1}, {2}, 0, {{0, 0, 0, NULL}}},
		{FULLY_CONNECTED, 2, 1, {0, 2}, {3}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_subgraph s16 = {TB_SIZE(t16), 2, 1, 1, t16, ops16, {0}, {3}};
	float out[2], real[2];

	(void)state;
	/* in 0 1 2 3: -2 + 6 + 12 = 16, 5 - 2 + 6 = 9 */
	real[0] = 16;
	real[1] = 9;
	run_one(t8, TB_SIZE(t8), &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, real, 2);
	run_one(t4, TB_SIZE(t4), &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, real, 2);
	run_subgraph(&s16, (const void *[]){tflite_ramp}, out, sizeof(out));
	assert_reals(out, real, 2);
}

static void test_pools(void **state)
{
	static const int32_t axes[2] = {1, -2};
	static const struct tb_tensor t[] = {REAL("in", 4, {1, 4, 4, 1}),
					     REAL("out", 4, {1, 2, 2, 1})};
	static const struct tb_tensor mean[] = {REAL("in", 4, {1, 2, 4, 2}),
						CONST("axes", S32, axes, 1, {2}),
						REAL("out", 2, {1, 2})};
	static const struct tb_option window[] = {{1, 4, 2, NULL}, {2, 4, 2, NULL}};
	struct tb_op op = {AVERAGE_POOL,
			   1,
			   1,
			   {0},
			   {1},
			   4,
			   {window[0], window[1], {3, 4, 3, NULL}, {4, 4, 3, NULL}}};
	static const struct tb_op mean_op = {MEAN, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}};
	static const float average[4] = {5, 6.5f, 11, 12.5f}, most[4] = {10, 11, 14, 15};
	static const float means[2] = {7, 8};
	float out[4];

	(void)state;
	run_one(t, 2, &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, average, 4);
	op.code = MAX_POOL;
	run_one(t, 2, &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, most, 4);
	run_one(mean, 3, &mean_op, tflite_ramp, out, 8);
	assert_reals(out, means, 2);
}

static void test_binary(void **state)
{
	static const float row[2] = {-1, 3};
	static const struct tb_tensor t[] = {REAL("in", 3, {1, 2, 2}),
					     CONST("row", F32, row, 1, {2}),
					     REAL("out", 3, {1, 2, 2})};
	struct tb_op op = {ADD, 2, 1, {0, 1}, {2}, 1, {{0, 1, FUSED_RELU6, NULL}}};
	static const float sum[4] = {0, 4, 1, 6}, product[4] = {0, 3, 0, 9};
	float tanhs[4], out[4];

	(void)state;
	run_one(t, 3, &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, sum, 4);
	op.code = MUL;
	op.option[0].value = RELU;
	run_one(t, 3, &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, product, 4);
	op.option[0].value = FUSED_TANH;
	for (int i = 0; i < 4; i++)
		tanhs[i] = tanhf((i % 2 ? 3.0f : -1.0f) * (float)i);
	run_one(t, 3, &op, tflite_ramp, out, sizeof(out));
	assert_reals(out, tanhs, 4);
}

static float sigmoid(float x)
{
	return 1 / (1 + expf(-x));
}

static float hard_swish(float x)
{
	return x * fminf(fmaxf(x / 6 + 0.5f, 0), 1);
}

static float clip6(float x)
{
	return fminf(fmaxf(x, 0), 6);
}

static void test_unary(void **state)
{
	static const struct tb_tensor t[] = {REAL("in", 2, {1, 4}), REAL("out", 2, {1, 4})};
	static const float in[4] = {-2, -0.5f, 1, 7};
	static const struct {
		int code;
		float (*f)(float);
	} cases[] = {{LOGISTIC, sigmoid}, {TANH, tanhf}, {HARD_SWISH, hard_swish}, {RELU6, clip6}};
	float out[4], want[4], sum = 0;
	struct tb_op op = {0, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}};

	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(cases); k++) {
		op.code = cases[k].code;
		for (int i = 0; i < 4; i++)
			want[i] = cases[k].f(in[i]);
		run_one(t, 2, &op, in, out, sizeof(out));
		assert_reals(out, want, 4);
	}
	op = (struct tb_op){SOFTMAX, 1, 1, {0}, {1}, 1, {{0, 4, 0x3f000000, NULL}}}; /* beta 0.5 */
	for (int i = 0; i < 4; i++)
		sum += want[i] = expf(in[i] / 2);
	for (int i = 0; i < 4; i++)
		want[i] /= sum;
	run_one(t, 2, &op, in, out, sizeof(out));
	assert_reals(out, want, 4);
}

static void test_layout(void **state)
{
	static const int32_t pads[6] = {0, 0, 1, 0, 0, 1}, perm[3] = {0, 2, 1};
	static const float nine[1] = {9};
	static const struct tb_tensor padded[] = {
		REAL("in", 3, {1, 2, 2}), CONST("pads", S32, pads, 2, {3, 2}),
		CONST("v", F32, nine, 0, {0}), REAL("out", 3, {1, 3, 3})};
	static const struct tb_tensor turned[] = {REAL("in", 3, {1, 2, 4}),
						  CONST("perm", S32, perm, 1, {3}),
						  REAL("out", 3, {1, 4, 2})};
	static const struct tb_tensor joined[] = {REAL("in", 3, {1, 2, 2}), REAL("flat", 2, {2, 2}),
						  REAL("out", 2, {2, 4})};
	static const struct tb_op pad = {PADV2, 3, 1, {0, 1, 2}, {3}, 0, {{0, 0, 0, NULL}}};
	static const struct tb_op turn = {TRANSPOSE, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}};
	static const struct tb_op join[] = {
		{SQUEEZE, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}},
		{CONCATENATION, 2, 1, {1, 1}, {2}, 1, {{0, 4, -1, NULL}}},
	};
	static const struct tb_subgraph s = {3, 2, 1, 1, joined, join, {0}, {2}};
	static const float want_pad[9] = {9, 9, 9, 0, 1, 9, 2, 3, 9};
	static const float want_turn[8] = {0, 4, 1, 5, 2, 6, 3, 7};
	static const float want_join[8] = {0, 1, 0, 1, 2, 3, 2, 3};
	float out[9];

	(void)state;
	run_one(padded, 4, &pad, tflite_ramp, out, sizeof(out));
	assert_reals(out, want_pad, 9);
	run_one(turned, 3, &turn, tflite_ramp, out, 32);
	assert_reals(out, want_turn, 8);
	run_subgraph(&s, (const void *[]){tflite_ramp}, out, 32);
	assert_reals(out, want_join, 8);
}

/* Python's slices: from the end, backwards, an axis taken away. */
static void test_slices(void **state)
{
	static const int32_t begin[3] = {0, -1, 1}, end[3] = {1, 0, -4}, stride[3] = {1, -2, 1};
	static const int32_t from[2] = {1, 1}, size[2] = {2, -1}, list[2] = {3, 0};
	static const struct tb_tensor strided[] = {
		REAL("in", 3, {1, 4, 4}),       CONST("begin", S32, begin, 1, {3}),
		CONST("end", S32, end, 1, {3}), CONST("stride", S32, stride, 1, {3}),
		REAL("out", 2, {1, 2}),
	};
	static const struct tb_tensor sliced[] = {
		REAL("in", 2, {4, 4}), CONST("begin", S32, from, 1, {2}),
		CONST("size", S32, size, 1, {2}), REAL("out", 2, {2, 3})};
	static const struct tb_tensor gathered[] = {
		REAL("in", 2, {4, 4}), CONST("list", S32, list, 1, {2}), REAL("out", 2, {4, 2})};
	static const struct tb_op strided_op = {
		STRIDED_SLICE, 4, 1, {0, 1, 2, 3}, {4}, 2, {{1, 4, 2, NULL}, {4, 4, 4, NULL}}};
	static const struct tb_op slice_op = {SLICE, 3, 1, {0, 1, 2}, {3}, 0, {{0, 0, 0, NULL}}};
	static const struct tb_op gather_op = {GATHER, 2, 1, {0, 1}, {2}, 1, {{0, 4, 1, NULL}}};
	static const float want_strided[2] = {13, 5}; /* in[0, 3::-2, 1] */
	static const float want_slice[6] = {5, 6, 7, 9, 10, 11};
	static const float want_gather[8] = {3, 0, 7, 4, 11, 8, 15, 12};
	float out[8];

	(void)state;
	run_one(strided, 5, &strided_op, tflite_ramp, out, 8);
	assert_reals(out, want_strided, 2);
	run_one(sliced, 4, &slice_op, tflite_ramp, out, 24);
	assert_reals(out, want_slice, 6);
	run_one(gathered, 3, &gather_op, tflite_ramp, out, 32);
	assert_reals(out, want_gather, 8);
}

/* Cut into parts and put together again in another order. */
static void test_splits(void **state)
{
	static const int32_t axis[1] = {-1}, sizes[2] = {1, -1};
	static const struct tb_tensor t[] = {
		REAL("in", 2, {2, 4}),
		CONST("axis", S32, axis, 0, {0}),
		REAL("left", 2, {2, 2}),
		REAL("right", 2, {2, 2}),
		CONST("sizes", S32, sizes, 1, {2}),
		REAL("one", 2, {2, 1}),
		REAL("three", 2, {2, 3}),
		REAL("row0", 1, {2}),
		REAL("row1", 1, {2}),
		REAL("packed", 2, {2, 2}),
		REAL("out", 2, {2, 6}),
	};
	static const struct tb_op op[] = {
		{SPLIT, 2, 2, {1, 0}, {2, 3}, 1, {{0, 4, 2, NULL}}},
		{SPLIT_V, 3, 2, {0, 4, 1}, {5, 6}, 1, {{0, 4, 2, NULL}}},
		{UNPACK, 1, 2, {3}, {7, 8}, 2, {{0, 4, 2, NULL}, {1, 4, 0, NULL}}},
		{PACK, 2, 1, {8, 7}, {9}, 2, {{0, 4, 2, NULL}, {1, 4, 1, NULL}}},
		{CONCATENATION, 3, 1, {9, 5, 6}, {10}, 1, {{0, 4, 1, NULL}}},
	};
	static const struct tb_subgraph s = {TB_SIZE(t), TB_SIZE(op), 1, 1, t, op, {0}, {10}};
	static const float want[12] = {6, 2, 0, 1, 2, 3, 7, 3, 4, 5, 6, 7};
	float out[12];

	(void)state;
	run_subgraph(&s, (const void *[]){tflite_ramp}, out, sizeof(out));
	assert_reals(out, want, 12);
}

static void test_reductions(void **state)
{
	static const int32_t axes[1] = {-1};
	static const struct tb_tensor t[] = {
		REAL("in", 3, {1, 2, 4}), CONST("axes", S32, axes, 1, {1}), REAL("out", 2, {1, 2})};
	static const struct {
		int code;
		float want[2];
	} cases[] = {{MEAN, {1.5f, 5.5f}},
		     {SUM, {6, 22}},
		     {REDUCE_MAX, {3, 7}},
		     {REDUCE_PROD, {0, 840}}};
	struct tb_op op = {0, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}};
	float out[2];

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		op.code = cases[i].code;
		run_one(t, 3, &op, tflite_ramp, out, sizeof(out));
		assert_reals(out, cases[i].want, 2);
	}
}

static void test_families(void **state)
{
	static const float two[1] = {2};
	static const struct tb_tensor t[] = {REAL("in", 2, {1, 4}), CONST("two", F32, two, 1, {1}),
					     REAL("out", 2, {1, 4})};
	static const struct tb_tensor one[] = {REAL("in", 2, {1, 4}), REAL("out", 2, {1, 4})};
	static const struct {
		int code, act;
		float want[4];
	} cases[] = {
		{SUB, 0, {-2, -1, 0, 1}},
		{SUB, RELU, {0, 0, 0, 1}},
		{DIV, 0, {0, 0.5f, 1, 1.5f}},
		{MAXIMUM, 0, {2, 2, 2, 3}},
		{SQUARED_DIFFERENCE, 0, {4, 1, 0, 1}},
		{SUB, 2, {-1, -1, 0, 1}},
	};
	static const struct tb_op rsqrt = {RSQRT, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}};
	static const float squares[4] = {1, 4, 0.25f, 16}, roots[4] = {1, 0.5f, 2, 0.25f};
	float out[4];

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		struct tb_op op = {
			cases[i].code, 2, 1, {0, 1}, {2}, 1, {{0, 1, cases[i].act, NULL}}};

		run_one(t, 3, &op, tflite_ramp, out, sizeof(out));
		assert_reals(out, cases[i].want, 4);
	}
	run_one(one, 2, &rsqrt, squares, out, sizeof(out));
	assert_reals(out, roots, 4);
}

/* Results whose places come from the definition: each is a list of positions in 0..15. */
static void test_positions(void **state)
{
	static const int32_t twice[2] = {1, 2}, last[1] = {-1}, pads[4] = {0, 0, 2, 1},
			     to[2] = {3, 2};
	static const int32_t size[2] = {4, 2};
	static const struct {
		int code, rank, out_rank;
		int32_t dim[4];
		const int32_t *arg;
		int n_arg, arg_rank;
		struct tb_option option;
		int32_t out[4];
		float want[16];
	} c[] = {
		{TILE,
		 2,
		 2,
		 {2, 2},
		 twice,
		 2,
		 1,
		 {0, 0, 0, NULL},
		 {2, 4},
		 {0, 1, 0, 1, 2, 3, 2, 3}},
		{REVERSE, 2, 2, {2, 3}, last, 1, 1, {0, 0, 0, NULL}, {2, 3}, {2, 1, 0, 5, 4, 3}},
		{MIRROR_PAD, 2, 2, {1, 3}, pads, 4, 2, {0, 1, 0, NULL}, {1, 6}, {2, 1, 0, 1, 2, 1}},
		{MIRROR_PAD, 2, 2, {1, 3}, pads, 4, 2, {0, 1, 1, NULL}, {1, 6}, {1, 0, 0, 1, 2, 2}},
		{BROADCAST_TO, 1, 2, {2}, to, 2, 1, {0, 0, 0, NULL}, {3, 2}, {0, 1, 0, 1, 0, 1}},
		{RESIZE_NEAREST,
		 4,
		 4,
		 {1, 2, 1, 1},
		 size,
		 2,
		 1,
		 {0, 0, 0, NULL},
		 {1, 4, 2, 1},
		 {0, 0, 0, 0, 1, 1, 1, 1}},
		{DEPTH_TO_SPACE,
		 4,
		 4,
		 {1, 1, 2, 4},
		 NULL,
		 0,
		 0,
		 {0, 4, 2, NULL},
		 {1, 2, 4, 1},
		 {0, 1, 4, 5, 2, 3, 6, 7}},
		{SPACE_TO_DEPTH,
		 4,
		 4,
		 {1, 2, 4, 1},
		 NULL,
		 0,
		 0,
		 {0, 4, 2, NULL},
		 {1, 1, 2, 4},
		 {0, 1, 4, 5, 2, 3, 6, 7}},
	};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(c); i++) {
		bool has = c[i].arg != NULL;
		struct tb_tensor t[3] = {{.name = "in", .rank = c[i].rank}};
		struct tb_op op = {c[i].code,    has ? 2 : 1,   1,
				   {0, 1},       {has ? 2 : 1}, c[i].option.size != 0,
				   {c[i].option}};
		size_t n = 1;
		float out[16];

		memcpy(t[0].dim, c[i].dim, sizeof(c[i].dim));
		t[1] = (struct tb_tensor){.name = "arg",
					  .type = S32,
					  .rank = c[i].arg_rank,
					  .dim = {c[i].n_arg},
					  .data = c[i].arg,
					  .bytes = 4 * (size_t)c[i].n_arg};
		if (c[i].arg_rank == 2) {
			t[1].dim[0] = c[i].n_arg / 2;
			t[1].dim[1] = 2;
		}
		t[has ? 2 : 1] = (struct tb_tensor){.name = "out", .rank = c[i].out_rank};
		memcpy(t[has ? 2 : 1].dim, c[i].out, sizeof(c[i].out));
		for (int k = 0; k < c[i].out_rank; k++)
			n *= (size_t)c[i].out[k];
		run_one(t, has ? 3 : 2, &op, tflite_ramp, out, n * 4);
		assert_reals(out, c[i].want, n);
	}
}

static void test_classifier_ends(void **state)
{
	static const int32_t axis[1] = {-1};
	static const struct tb_tensor places[] = {REAL("in", 2, {2, 3}),
						  CONST("axis", S32, axis, 0, {0}),
						  {"out", S32, 1, {2}, NULL, 0, 0, NULL, 0, 0, 0}};
	static const struct tb_tensor same[] = {REAL("in", 2, {1, 3}), REAL("out", 2, {1, 3})};
	static const struct tb_tensor gram[] = {REAL("in", 3, {1, 2, 3}),
						REAL("out", 3, {1, 2, 2})};
	static const struct tb_op arg_max = {ARG_MAX, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}};
	static const struct tb_op log_softmax = {LOG_SOFTMAX, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}};
	static const struct tb_op l2 = {L2_NORMALIZATION, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}};
	static const struct tb_op matmul = {BATCH_MATMUL, 2, 1, {0, 0}, {1}, 1, {{1, 1, 1, NULL}}};
	static const float in[6] = {3, 0, -4, 1, 2, 2}, grams[4] = {25, -5, -5, 9};
	static const float unit[3] = {0.6f, 0, -0.8f};
	float out[4], want[3];
	int32_t at[2];

	(void)state;
	run_one(places, 3, &arg_max, in, at, sizeof(at));
	assert_int_equal(at[0], 0);
	assert_int_equal(at[1], 1);
	for (int i = 0; i < 3; i++)
		want[i] = in[i] - logf(expf(3) + 1 + expf(-4));
	run_one(same, 2, &log_softmax, in, out, 12);
	assert_reals(out, want, 3);
	run_one(same, 2, &l2, in, out, 12);
	assert_reals(out, unit, 3);
	run_one(gram, 2, &matmul, in, out, 16);
	assert_reals(out, grams, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv_same),       cmocka_unit_test(test_depthwise_multiplier),
		cmocka_unit_test(test_fully_connected), cmocka_unit_test(test_pools),
		cmocka_unit_test(test_binary),          cmocka_unit_test(test_unary),
		cmocka_unit_test(test_layout),          cmocka_unit_test(test_slices),
		cmocka_unit_test(test_splits),          cmocka_unit_test(test_reductions),
		cmocka_unit_test(test_families),        cmocka_unit_test(test_positions),
		cmocka_unit_test(test_classifier_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
