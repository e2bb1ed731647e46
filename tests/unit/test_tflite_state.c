/* SPDX-License-Identifier: MIT */
/* What TFLite models work out at import, and what they keep from run to run: shapes, variables,
 * LSTMs, several inputs and outputs. */
#include "tests/unit/tflite_ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static float sigmoid(float x)
{
	return 1 / (1 + expf(-x));
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
	run_subgraph(&s, (const void *[]){tflite_ramp}, out, sizeof(out));
	assert_reals(out, tflite_ramp, 16);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape_arithmetic),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_lstm),
		cmocka_unit_test(test_several_outputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
