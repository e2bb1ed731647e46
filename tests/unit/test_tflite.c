/* SPDX-License-Identifier: MIT */
/* The flatbuffer reader and the TFLite importer on small files made here: each operator's answer,
 * and hostile files. */
#include "tests/unit/layer_reference.h"
#include "tests/unit/tflite_builder.h"

#include "tools/neap/import/flatbuffer.h"
#include "tools/neap/import/tflite.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The schema's numbers. */
enum { F32 = 0, F16 = 1, S32 = 2, U8 = 3, S8 = 9, S4 = 17 };
enum {
	ADD = 0,
	AVERAGE_POOL = 1,
	CONCATENATION = 2,
	CONV = 3,
	DEPTHWISE = 4,
	DEQUANTIZE = 6,
	FULLY_CONNECTED = 9,
	LOGISTIC = 14,
	MAX_POOL = 17,
	MUL = 18,
	RELU6 = 21,
	RESHAPE = 22,
	SOFTMAX = 25,
	TANH = 28,
	PAD = 34,
	GATHER = 36,
	DEPTH_TO_SPACE = 5,
	SPACE_TO_DEPTH = 26,
	LOG_SOFTMAX = 50,
	ARG_MAX = 56,
	L2_NORMALIZATION = 11,
	TILE = 69,
	RESIZE_NEAREST = 97,
	MIRROR_PAD = 100,
	REVERSE = 105,
	BATCH_MATMUL = 126,
	BROADCAST_TO = 130,
	TRANSPOSE = 39,
	MEAN = 40,
	SUB = 41,
	DIV = 42,
	SQUEEZE = 43,
	LSTM = 44,
	STRIDED_SLICE = 45,
	SPLIT = 49,
	CAST = 53,
	MAXIMUM = 55,
	PADV2 = 60,
	SLICE = 65,
	SUM = 74,
	RSQRT = 76,
	SHAPE = 77,
	REDUCE_PROD = 81,
	REDUCE_MAX = 82,
	PACK = 83,
	UNPACK = 88,
	SQUARED_DIFFERENCE = 99,
	SPLIT_V = 102,
	QUANTIZE = 114,
	HARD_SWISH = 117,
	CALL_ONCE = 129,
	VAR_HANDLE = 142,
	READ_VARIABLE = 143,
	ASSIGN_VARIABLE = 144,
};
enum { VALID = 1, RELU = 1, FUSED_RELU6 = 3, FUSED_TANH = 4 };

#define REAL(name, ...)                                           \
	{                                                         \
		name, F32, __VA_ARGS__, NULL, 0, 0, NULL, 0, 0, 0 \
	}
#define CONST(name, type, value, ...)                                           \
	{                                                                       \
		name, type, __VA_ARGS__, value, sizeof(value), 0, NULL, 0, 0, 0 \
	}
#define Q8(name, type, s, z, ...)                                  \
	{                                                          \
		name, type, __VA_ARGS__, NULL, 0, 1, NULL, s, z, 0 \
	}

static struct ne_model *import_ok(const struct fbw *b)
{
	struct ne_error err = {""};
	struct ne_model *m;

	if (tflite_import(b->data, b->n, &m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

static void import_fails(const struct fbw *b, int code, const char *text)
{
	struct ne_error err = {""};
	struct ne_model *m;
	int r = tflite_import(b->data, b->n, &m, &err);

	if (r != -code || !strstr(err.text, text))
		fail_msg("%d, '%s'; wanted %d, '%s'", r, err.text, -code, text);
}

/* Runs the model of @s once; its output 0 goes to @out, which has @bytes. */
static void run(const struct tb_subgraph *s, const void *const *in, void *out, size_t bytes)
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

static void assert_reals(const float *got, const float *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(got[i] - want[i]) <= 1e-5f * (1 + fabsf(want[i]))))
			fail_msg("value %zu is %g, not %g", i, (double)got[i], (double)want[i]);
}

/* One operator whose tensors are @t; tensor 0 is the input, the last the output. */
static void run_one(const struct tb_tensor *t, int n, const struct tb_op *op, const void *in,
		    void *out, size_t bytes)
{
	struct tb_subgraph s = {n, 1, 1, 1, t, op, {0}, {n - 1}};

	run(&s, &in, out, bytes);
}

/* ---- operators on f32 ---- */

static const float ramp[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

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
	run_one(t, TB_SIZE(t), &op, ramp, out, sizeof(out));
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
	run_one(t, TB_SIZE(t), &op, ramp, out, sizeof(out));
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
	run_one(t8, TB_SIZE(t8), &op, ramp, out, sizeof(out));
	assert_reals(out, real, 2);
	run_one(t4, TB_SIZE(t4), &op, ramp, out, sizeof(out));
	assert_reals(out, real, 2);
	run(&s16, (const void *[]){ramp}, out, sizeof(out));
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
	run_one(t, 2, &op, ramp, out, sizeof(out));
	assert_reals(out, average, 4);
	op.code = MAX_POOL;
	run_one(t, 2, &op, ramp, out, sizeof(out));
	assert_reals(out, most, 4);
	run_one(mean, 3, &mean_op, ramp, out, 8);
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
	run_one(t, 3, &op, ramp, out, sizeof(out));
	assert_reals(out, sum, 4);
	op.code = MUL;
	op.option[0].value = RELU;
	run_one(t, 3, &op, ramp, out, sizeof(out));
	assert_reals(out, product, 4);
	op.option[0].value = FUSED_TANH;
	for (int i = 0; i < 4; i++)
		tanhs[i] = tanhf((i % 2 ? 3.0f : -1.0f) * (float)i);
	run_one(t, 3, &op, ramp, out, sizeof(out));
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
	run_one(padded, 4, &pad, ramp, out, sizeof(out));
	assert_reals(out, want_pad, 9);
	run_one(turned, 3, &turn, ramp, out, 32);
	assert_reals(out, want_turn, 8);
	run(&s, (const void *[]){ramp}, out, 32);
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
	run_one(strided, 5, &strided_op, ramp, out, 8);
	assert_reals(out, want_strided, 2);
	run_one(sliced, 4, &slice_op, ramp, out, 24);
	assert_reals(out, want_slice, 6);
	run_one(gathered, 3, &gather_op, ramp, out, 32);
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
	run(&s, (const void *[]){ramp}, out, sizeof(out));
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
		run_one(t, 3, &op, ramp, out, sizeof(out));
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

		run_one(t, 3, &op, ramp, out, sizeof(out));
		assert_reals(out, cases[i].want, 4);
	}
	run_one(one, 2, &rsqrt, squares, out, sizeof(out));
	assert_reals(out, roots, 4);
}

/* A shape that the file works out: [1, 16 / 4, 4] from SHAPE, STRIDED_SLICE, REDUCE_PROD and PACK. */
static void test_shape_arithmetic(void **state)
{
	static const int32_t zero[1] = {0}, one[1] = {1}, two[1] = {2}, four[1] = {4};
	static const struct tb_tensor t[] = {
		REAL("in", 3, {1, 2, 8}),
		{"shape", S32, 1, {3}, NULL, 0, 0, NULL, 0, 0, 0},
		CONST("zero", S32, zero, 1, {1}),
		CONST("one", S32, one, 1, {1}),
		{"batch", S32, 0, {0}, NULL, 0, 0, NULL, 0, 0, 0},
		{"product", S32, 0, {0}, NULL, 0, 0, NULL, 0, 0, 0},
		CONST("two", S32, two, 0, {0}),
		{"left", S32, 0, {0}, NULL, 0, 0, NULL, 0, 0, 0},
		CONST("four", S32, four, 0, {0}),
		{"to", S32, 1, {3}, NULL, 0, 0, NULL, 0, 0, 0},
		REAL("out", 3, {1, 14, 4}),
	};
	static const struct tb_op op[] = {
		{SHAPE, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}},
		{STRIDED_SLICE, 4, 1, {1, 2, 3, 3}, {4}, 1, {{4, 4, 1, NULL}}},
		{REDUCE_PROD, 2, 1, {1, 2}, {5}, 0, {{0, 0, 0, NULL}}},
		{SUB, 2, 1, {5, 6}, {7}, 0, {{0, 0, 0, NULL}}},
		{PACK, 3, 1, {4, 7, 8}, {9}, 0, {{0, 0, 0, NULL}}},
		{RESHAPE, 2, 1, {0, 9}, {10}, 0, {{0, 0, 0, NULL}}},
	};
	struct tb_subgraph s = {TB_SIZE(t), TB_SIZE(op), 1, 1, t, op, {0}, {10}};
	struct tb_tensor fits[TB_SIZE(t)];
	struct fbw b;
	float out[16];

	(void)state;
	b = tb_build(&s, 1);
	import_fails(&b, EINVAL, "16 elements cannot become 56");
	fbw_free(&b);
	memcpy(fits, t, sizeof(fits));
	fits[10].dim[1] = 4;
	s.tensor = fits;
	run(&s, (const void *[]){ramp}, out, sizeof(out));
	assert_reals(out, ramp, 16);
}

/* y = x + v; v = y: a running sum that begins with what CALL_ONCE set, and with nought where it does
 * not. */
static void test_variables(void **state)
{
	static const float first[2] = {100, -100};
	static const struct tb_tensor t[] = {
		REAL("in", 2, {1, 2}),
		{"handle", 13, 0, {0}, NULL, 0, 0, NULL, 0, 0, 0},
		REAL("was", 2, {1, 2}),
		REAL("out", 2, {1, 2}),
	};
	static const struct tb_tensor once_t[] = {
		{"handle", 13, 0, {0}, NULL, 0, 0, NULL, 0, 0, 0},
		CONST("first", F32, first, 2, {1, 2}),
	};
	static const struct tb_op op[] = {
		{CALL_ONCE, 0, 0, {0}, {0}, 1, {{0, 4, 1, NULL}}},
		{VAR_HANDLE, 0, 1, {0}, {1}, 1, {{1, 0, 0, "v"}}},
		{READ_VARIABLE, 1, 1, {1}, {2}, 0, {{0, 0, 0, NULL}}},
		{ADD, 2, 1, {0, 2}, {3}, 0, {{0, 0, 0, NULL}}},
		{ASSIGN_VARIABLE, 2, 0, {1, 3}, {0}, 0, {{0, 0, 0, NULL}}},
	};
	static const struct tb_op once[] = {
		{VAR_HANDLE, 0, 1, {0}, {0}, 1, {{1, 0, 0, "v"}}},
		{ASSIGN_VARIABLE, 2, 0, {0, 1}, {0}, 0, {{0, 0, 0, NULL}}},
	};
	struct tb_subgraph s[2] = {
		{TB_SIZE(t), TB_SIZE(op), 1, 1, t, op, {0}, {3}},
		{TB_SIZE(once_t), TB_SIZE(once), 0, 0, once_t, once, {0}, {0}},
	};

	(void)state;
	for (int with = 0; with < 2; with++) {
		struct fbw b;
		struct ne_program *p;
		struct ne_context *c;
		struct ne_model *m;
		float out[2], want[2] = {with ? 100 : 0, with ? -100 : 0};

		if (!with) { /* no CALL_ONCE */
			s[0].op = op + 1;
			s[0].n_op = TB_SIZE(op) - 1;
		} else {
			s[0].op = op;
			s[0].n_op = TB_SIZE(op);
		}
		b = tb_build(s, 2);
		m = import_ok(&b);
		assert_int_equal(ne_program_new(m, NULL, &p, NULL), 0);
		assert_int_equal(ne_context_new(p, 1, &c), 0);
		assert_int_equal(ne_program_states(p), 1);
		for (int i = 1; i < 4; i++) {
			float in[2] = {(float)i, 10 * (float)i};

			want[0] += in[0];
			want[1] += in[1];
			assert_int_equal(
				ne_run(p, c, 0, (const void *[]){in}, (void *[]){out}, NULL, NULL),
				0);
			assert_reals(out, want, 2);
		}
		ne_context_free(c);
		ne_program_free(p);
		ne_model_free(m);
		fbw_free(&b);
	}
	s[0].op = op + 2; /* no handle */
	s[0].n_op = TB_SIZE(op) - 2;
	{
		struct fbw b = tb_build(s, 2);

		import_fails(&b, EINVAL, "no variable that VAR_HANDLE made");
		fbw_free(&b);
	}
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
		run_one(t, has ? 3 : 2, &op, ramp, out, n * 4);
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

/* One step of an LSTM of two cells, from the definition; gates input, forget, cell, output. */
struct lstm_weights {
	float w[4][2 * 3], r[4][2 * 2], b[4][2];
};

static void lstm_step(const struct lstm_weights *l, const float *x, float *h, float *c, float clip)
{
	float gate[4][2], next[2];

	for (int g = 0; g < 4; g++)
		for (int k = 0; k < 2; k++) {
			float v = l->b[g][k];

			for (int i = 0; i < 3; i++)
				v += l->w[g][k * 3 + i] * x[i];
			for (int i = 0; i < 2; i++)
				v += l->r[g][k * 2 + i] * h[i];
			gate[g][k] = g == 2 ? tanhf(v) : sigmoid(v);
		}
	for (int k = 0; k < 2; k++) {
		c[k] = gate[1][k] * c[k] + gate[0][k] * gate[2][k];
		c[k] = fminf(fmaxf(c[k], -clip), clip);
		next[k] = gate[3][k] * tanhf(c[k]);
	}
	memcpy(h, next, sizeof(next));
}

/* Time first or batch first; the input gate may be one less the forget gate; the cell is clipped;
 * state and cell go on in the next run. */
static void check_lstm(bool time_major, bool coupled)
{
	struct lstm_weights l;
	float x[4 * 3], h[2] = {0}, c[2] = {0}, want[4 * 2], out[4 * 2], clip = 0.6f;
	uint32_t bits;
	const struct tb_tensor t[] = {
		{"in",
		 F32,
		 3,
		 {time_major ? 4 : 1, time_major ? 1 : 4, 3},
		 NULL,
		 0,
		 0,
		 NULL,
		 0,
		 0,
		 0},
		CONST("wi", F32, l.w[0], 2, {2, 3}),
		CONST("wf", F32, l.w[1], 2, {2, 3}),
		CONST("wc", F32, l.w[2], 2, {2, 3}),
		CONST("wo", F32, l.w[3], 2, {2, 3}),
		CONST("ri", F32, l.r[0], 2, {2, 2}),
		CONST("rf", F32, l.r[1], 2, {2, 2}),
		CONST("rc", F32, l.r[2], 2, {2, 2}),
		CONST("ro", F32, l.r[3], 2, {2, 2}),
		CONST("bi", F32, l.b[0], 1, {2}),
		CONST("bf", F32, l.b[1], 1, {2}),
		CONST("bc", F32, l.b[2], 1, {2}),
		CONST("bo", F32, l.b[3], 1, {2}),
		REAL("h", 2, {1, 2}),
		REAL("c", 2, {1, 2}),
		{"out",
		 F32,
		 3,
		 {time_major ? 4 : 1, time_major ? 1 : 4, 2},
		 NULL,
		 0,
		 0,
		 NULL,
		 0,
		 0,
		 0},
	};
	struct tb_op op = {LSTM,
			   20,
			   1,
			   {0,
			    coupled ? -1 : 1,
			    2,
			    3,
			    4,
			    coupled ? -1 : 5,
			    6,
			    7,
			    8,
			    -1,
			    -1,
			    -1,
			    coupled ? -1 : 9,
			    10,
			    11,
			    12,
			    -1,
			    -1,
			    13,
			    14},
			   {15},
			   3,
			   {{0, 1, 4, NULL}, {1, 4, 0, NULL}, {3, 1, time_major, NULL}}};
	const struct tb_subgraph s = {TB_SIZE(t), 1, 1, 1, t, &op, {0}, {15}};
	struct ne_context *ctx;
	struct ne_program *p;
	struct ne_model *m;
	struct fbw b;

	for (int g = 0; g < 4; g++)
		for (int i = 0; i < 6; i++) {
			l.w[g][i] = sinf((float)(7 * g + i)) * 0.8f;
			if (i < 4)
				l.r[g][i] = cosf((float)(3 * g + 5 * i));
			if (i < 2)
				l.b[g][i] = 0.3f * (float)(g - i);
		}
	for (int i = 0; i < 12; i++)
		x[i] = sinf(1.7f * (float)i);
	memcpy(&bits, &clip, 4);
	op.option[1].value = (int32_t)bits;
	b = tb_build(&s, 1);
	m = import_ok(&b);
	assert_int_equal(ne_program_new(m, NULL, &p, NULL), 0);
	assert_int_equal(ne_context_new(p, 1, &ctx), 0);
	if (coupled) /* i = 1 - sigmoid(f) = sigmoid(-f) */
		for (int i = 0; i < 6; i++) {
			l.w[0][i] = -l.w[1][i];
			if (i < 4)
				l.r[0][i] = -l.r[1][i];
			if (i < 2)
				l.b[0][i] = -l.b[1][i];
		}
	for (int run_no = 0; run_no < 2; run_no++) {
		for (int step = 0; step < 4; step++) {
			lstm_step(&l, x + 3 * step, h, c, clip);
			memcpy(want + 2 * step, h, sizeof(h));
		}
		assert_int_equal(
			ne_run(p, ctx, 0, (const void *[]){x}, (void *[]){out}, NULL, NULL), 0);
		assert_reals(out, want, 8);
	}
	ne_context_free(ctx);
	ne_program_free(p);
	ne_model_free(m);
	fbw_free(&b);
}

static void test_lstm(void **state)
{
	(void)state;
	check_lstm(false, false);
	check_lstm(true, false);
	check_lstm(false, true);
}

/* ---- quantised ---- */

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
	run(&s, (const void *[]){in}, out, sizeof(out));
	assert_memory_equal(out, want, 4);
}

/* Several of each; an output may be given twice, or be an input. */
static void test_several_outputs(void **state)
{
	static const struct tb_tensor t[] = {REAL("a", 2, {1, 2}), REAL("b", 2, {1, 2}),
					     REAL("sum", 2, {1, 2})};
	static const struct tb_op op = {ADD, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}};
	static const struct tb_subgraph s = {3, 1, 2, 3, t, &op, {0, 1}, {2, 1, 2}};
	static const float a[2] = {1, 2}, b[2] = {10, 20}, sum[2] = {11, 22};
	struct fbw file = tb_build(&s, 1);
	struct ne_model *m = import_ok(&file);
	float out[3][2];
	struct ne_program *p;
	struct ne_context *c;

	(void)state;
	assert_int_equal(ne_program_new(m, NULL, &p, NULL), 0);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	assert_int_equal(ne_program_inputs(p), 2);
	assert_int_equal(ne_program_outputs(p), 3);
	assert_string_equal(ne_program_input(p, 1)->name, "b");
	assert_int_equal(ne_run(p, c, 0, (const void *[]){a, b}, (void *[]){out[0], out[1], out[2]},
				NULL, NULL),
			 0);
	assert_reals(out[0], sum, 2);
	assert_reals(out[1], b, 2);
	assert_reals(out[2], sum, 2);
	ne_context_free(c);
	ne_program_free(p);
	ne_model_free(m);
	fbw_free(&file);
}

/* ---- what is refused ---- */

static void refuse(const struct tb_tensor *t, int n, const struct tb_op *op, int code,
		   const char *text)
{
	struct tb_subgraph s = {n, 1, 1, 1, t, op, {0}, {n - 1}};
	struct fbw b = tb_build(&s, 1);

	import_fails(&b, code, text);
	fbw_free(&b);
}

static void test_refusals(void **state)
{
	static const float big[4] = {1, 2, 3, NAN};
	static const struct tb_tensor two[] = {REAL("in", 2, {1, 4}), REAL("out", 2, {1, 4})};
	static const struct tb_tensor wrong[] = {REAL("in", 2, {1, 4}), REAL("out", 2, {1, 5})};
	static const struct tb_tensor plain[] = {{"in", S8, 2, {1, 4}, NULL, 0, 0, NULL, 0, 0, 0},
						 REAL("out", 2, {1, 4})};
	static const struct tb_tensor nan[] = {
		REAL("in", 2, {1, 4}), CONST("k", F32, big, 2, {1, 4}), REAL("out", 2, {1, 4})};
	static const struct tb_tensor shape[] = {
		REAL("in", 2, {1, 4}), CONST("k", F32, big, 2, {1, 3}), REAL("out", 2, {1, 4})};
	static const struct tb_tensor zero[] = {Q8("in", S8, 0, 0, 2, {1, 4}),
						REAL("out", 2, {1, 4})};
	static const struct tb_tensor far[] = {Q8("in", S8, 1, 128, 2, {1, 4}),
					       REAL("out", 2, {1, 4})};
	static const struct tb_tensor open[] = {REAL("in", 2, {-1, 4}), REAL("out", 2, {1, 4})};
	struct tb_op op = {RELU6, 1, 1, {0}, {1}, 0, {{0, 0, 0, NULL}}};
	struct tb_op add = {ADD, 2, 1, {0, 1}, {2}, 0, {{0, 0, 0, NULL}}};

	(void)state;
	refuse(wrong, 2, &op, EINVAL,
	       "node 0 (RELU6): output 'out' is declared with another shape");
	refuse(plain, 2, &op, EOPNOTSUPP, "input 'in'");
	refuse(zero, 2, &op, EINVAL, "'in': scale 0");
	refuse(far, 2, &op, EINVAL, "zero point 128");
	refuse(open, 2, &op, EOPNOTSUPP, "shape is open");
	refuse(nan, 3, &add, EINVAL, "value 3 is not a number");
	refuse(shape, 3, &add, EINVAL, "16 bytes do not fit");
	add.in[1] = 77;
	refuse(nan, 3, &add, EBADMSG, "no tensor 77");
	add.in[1] = 2;
	refuse(nan, 3, &add, EINVAL, "'out' is read before");
	op.code = 24; /* RNN */
	refuse(two, 2, &op, EOPNOTSUPP, "operator 24");
	op.code = 2000000;
	refuse(two, 2, &op, EOPNOTSUPP, "operator 2000000");
	op = (struct tb_op){CONV, 2, 1, {0, 0}, {1}, 0, {{0, 0, 0, NULL}}};
	refuse(two, 2, &op, EINVAL, "weights must be of rank 4");
}

/* ---- hostile files ---- */

/* Refused with a reason, or a model that the engine takes; never a crash. */
static void try_bytes(const uint8_t *data, size_t bytes)
{
	struct ne_error err = {""};
	uint8_t *exact =
		malloc(bytes ? bytes : 1); /* so that a sanitizer sees a read past the end */
	struct ne_model *m;

	assert_non_null(exact);
	memcpy(exact, data, bytes);
	if (tflite_import(exact, bytes, &m, &err) < 0) {
		assert_true(err.text[0] != 0);
	} else {
		assert_int_equal(ne_model_check(m, NULL), 0);
		ne_model_free(m);
	}
	free(exact);
}

static void test_truncated(void **state)
{
	struct fbw b[2] = {tb_sample(), tb_sample_u8()};

	(void)state;
	for (int i = 0; i < 2; i++) {
		for (size_t n = 0; n < b[i].n; n++)
			try_bytes(b[i].data, n);
		fbw_free(&b[i]);
	}
}

static void test_damaged(void **state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct fbw b[2] = {tb_sample(), tb_sample_u8()};

	(void)state;
	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < b[i].n; at++) {
			uint8_t was = b[i].data[at];

			for (size_t k = 0; k < sizeof(values); k++) {
				b[i].data[at] = values[k];
				try_bytes(b[i].data, b[i].n);
			}
			b[i].data[at] = was ^ 0x10;
			try_bytes(b[i].data, b[i].n);
			b[i].data[at] = was;
		}
		/* four bytes at a time: counts and distances of any size */
		for (size_t at = 0; at + 4 <= b[i].n; at += 4) {
			static const uint32_t large[] = {UINT32_MAX, INT32_MAX, 0x80000000u, 0,
							 0x40000000u};
			uint32_t was;

			memcpy(&was, b[i].data + at, 4);
			for (size_t k = 0; k < NE_ARRAY_SIZE(large); k++) {
				memcpy(b[i].data + at, &large[k], 4);
				try_bytes(b[i].data, b[i].n);
			}
			memcpy(b[i].data + at, &was, 4);
		}
		fbw_free(&b[i]);
	}
}

/* Each way in which a place can be bad, and the reason that it gives. */
static void test_reader(void **state)
{
	struct ne_error err;
	struct fb_table root, child;
	struct fb_vector v;
	struct fbw b;
	struct fb fb;
	size_t table, ref, first;
	char text[8];

	(void)state;
	table = fbw_begin(&b, "TFL3", 6);
	fbw_u8(&b, table, 0, 200);
	fbw_f32(&b, table, 1, 2.5f);
	fbw_string(&b, table, 2, "a long name");
	first = fbw_vector(&b, table, 3, (int32_t[]){-5, 6}, 2, 4);
	ref = fbw_table(&b, table, 4, 1);
	fbw_u32(&b, ref, 0, 77);

	/* what is there, and what is not */
	assert_int_equal(fb_open(&fb, b.data, b.n, "TFL3", &root, &err), 0);
	assert_int_equal(fb_u8(&root, 0, 1), 200);
	assert_int_equal(fb_s8(&root, 0, 1), -56);
	assert_true(fb_f32(&root, 1, 0) == 2.5f);
	fb_string(&root, 2, text, sizeof(text));
	assert_string_equal(text, "a long ");
	v = fb_vector(&root, 3, 4);
	assert_int_equal(v.n, 2);
	assert_int_equal(fb_vector_s32(&v, 0), -5);
	child = fb_table(&root, 4);
	assert_int_equal(fb_u32(&child, 0, 1), 77);
	assert_int_equal(fb_u32(&root, 5, 9), 9);    /* absent */
	assert_int_equal(fb_u32(&root, 6000, 9), 9); /* a newer schema's */
	child = fb_table(&root, 5);
	assert_int_equal(child.bytes, 0);
	assert_int_equal(fb_u32(&child, 0, 3), 3);
	assert_int_equal(fb_vector(&root, 5, 8).n, 0);
	assert_int_equal(fb_failed(&fb, &err), 0);

	/* a vector of more elements than the file has bytes */
	memcpy(b.data + first - 4, &(uint32_t){0x3fffffff}, 4);
	assert_int_equal(fb_vector(&root, 3, 8).n, 0);
	assert_int_equal(fb_failed(&fb, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "a vector is longer than the file"));
	memcpy(b.data + first - 4, &(uint32_t){2}, 4);

	/* a reference to itself, which would be a cycle, and one past the end */
	for (uint32_t bad = 0; bad <= 1; bad++) {
		assert_int_equal(fb_open(&fb, b.data, b.n, "TFL3", &root, &err), 0);
		memcpy(b.data + table + 8 + 8 * 4, &(uint32_t){bad ? UINT32_MAX : 0}, 4);
		assert_int_equal(fb_table(&root, 4).bytes, 0);
		assert_int_equal(fb_failed(&fb, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "a reference leads outside of the file"));
	}

	/* a vtable before the file, and one of an odd size */
	memcpy(b.data + table, &(int32_t){INT32_MAX}, 4);
	assert_int_equal(fb_open(&fb, b.data, b.n, "TFL3", &root, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "layout (vtable) lies outside"));
	assert_int_equal(fb_open(&fb, b.data, b.n, "ABCD", &root, &err), -EBADMSG);
	assert_int_equal(fb_open(&fb, b.data, 7, "TFL3", &root, &err), -EBADMSG);
	fbw_free(&b);
}

/* Constants that are used again and again cannot grow past what a file of that size may hold. */
static void test_amplification(void **state)
{
	enum { USES = 2000, VALUES = 4096 };
	static struct tb_tensor t[USES + 2];
	static struct tb_op op[USES];
	static uint8_t half[2 * VALUES];
	const struct tb_tensor weights = {"w", F16,  2, {1, VALUES}, half, sizeof(half),
					  0,   NULL, 0, 0,           0};
	struct tb_subgraph s = {USES + 2, USES, 1, 1, t, op, {0}, {USES + 1}};
	struct fbw b;

	(void)state;
	t[0] = (struct tb_tensor)REAL("in", 2, {1, VALUES});
	t[1] = weights;
	for (int i = 0; i < USES; i++) { /* float16 to f32, as often as the file likes */
		t[i + 2] = (struct tb_tensor)REAL("y", 2, {1, VALUES});
		op[i] = (struct tb_op){DEQUANTIZE, 1, 1, {1}, {i + 2}, 0, {{0, 0, 0, NULL}}};
	}
	b = tb_build(&s, 1);
	import_fails(&b, E2BIG, "far more than the file");
	fbw_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv_same),
		cmocka_unit_test(test_depthwise_multiplier),
		cmocka_unit_test(test_fully_connected),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_unary),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_reductions),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_shape_arithmetic),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_classifier_ends),
		cmocka_unit_test(test_lstm),
		cmocka_unit_test(test_quantised_io),
		cmocka_unit_test(test_u8_weights),
		cmocka_unit_test(test_s8_weights_with_zero),
		cmocka_unit_test(test_quantise),
		cmocka_unit_test(test_several_outputs),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_amplification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
