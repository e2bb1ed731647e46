/* SPDX-License-Identifier: MIT */
/* Quantised forms of ONNX: which become s8 operators, and that none changes the answers. */
#include "tests/unit/onnx_writer.h"

#include "engine/run/run.h"

#include <math.h>

static uint32_t count(const struct ne_model *m, enum ne_op op)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->graph.n_node; i++)
		n += m->graph.node[i].op == op;
	return n;
}

static uint32_t count_type(const struct ne_model *m, enum ne_dtype type)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->graph.n_tensor; i++)
		n += m->graph.tensor[i].dtype == type;
	return n;
}

static void init_bytes(struct writer *w, const char *name, int type, size_t rank, int64_t *dim,
		       const void *data, size_t n)
{
	Onnx__TensorProto *t = init(w, name, rank, dim);

	t->data_type = type;
	t->has_raw_data = 1;
	t->raw_data.data = (uint8_t *)(uintptr_t)data;
	t->raw_data.len = n;
}

#define INIT_SCALAR(w, name, type, v) init_bytes(w, name, type, 0, NULL, &(v), sizeof(v))

enum {
	U8 = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
	S8 = ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
	S16 = ONNX__TENSOR_PROTO__DATA_TYPE__INT16,
	S32 = ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
	FLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
};

static struct ne_model *imported(const struct writer *w)
{
	struct ne_error err = {""};
	struct ne_model *m = NULL;

	if (import_with(w, NULL, &m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

/* Output 0 of @m on @x, whatever its type; freed with free(). */
static void *run_bytes(const struct ne_model *m, const void *x, size_t *ret_bytes)
{
	struct ne_program *p;
	struct ne_context *c;
	struct ne_error err = {""};
	void *y;

	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	*ret_bytes = ne_program_output(p, 0)->bytes;
	y = malloc(*ret_bytes);
	assert_non_null(y);
	assert_int_equal(ne_run(p, c, 0, &x, &y, NULL, NULL), 0);
	ne_context_free(c);
	ne_program_free(p);
	return y;
}

/* ---- a convolution, in two forms ---- */

static const float sx = 0.02f, sy = 0.11f, sw[3] = {0.01f, 0.02f, 0.005f};
static const uint8_t zx = 100, zy = 13;
static const int8_t zw[3];
static int8_t weights[3 * 2 * 3 * 3];
static const int32_t bias[3] = {100, -2000, 40000};
static float sb[3];
static int64_t dim3[] = {3}, dim_w[] = {3, 2, 3, 3};

static void conv_constants(struct writer *w)
{
	for (size_t i = 0; i < sizeof(weights); i++)
		weights[i] = (int8_t)(i * 89 % 251 - 125);
	for (int i = 0; i < 3; i++)
		sb[i] = sx * sw[i];
	begin(w, 13, 4, (int64_t[]){1, 2, 5, 6});
	w->tensor.elem_type = U8;
	INIT_SCALAR(w, "sx", FLOAT, sx);
	INIT_SCALAR(w, "zx", U8, zx);
	INIT_SCALAR(w, "sy", FLOAT, sy);
	INIT_SCALAR(w, "zy", U8, zy);
	init_bytes(w, "sw", FLOAT, 1, dim3, sw, sizeof(sw));
	init_bytes(w, "zw", S8, 1, dim3, zw, sizeof(zw));
	init_bytes(w, "w", S8, 4, dim_w, weights, sizeof(weights));
	init_bytes(w, "b", S32, 1, dim3, bias, sizeof(bias));
	init_bytes(w, "sb", FLOAT, 1, dim3, sb, sizeof(sb));
}

/* In u8 with a zero point that leaves values without room in s8. */
static bool unsigned_weights;
static uint8_t weights_u8[3 * 2 * 3 * 3];
static const uint8_t zw_u8 = 100;

static int weight_at(int i)
{
	return unsigned_weights ? weights_u8[i] - zw_u8 : weights[i];
}

static void write_qdq(struct writer *w, const char *between)
{
	conv_constants(w);
	node(w, "DequantizeLinear", "x sx zx", "xd");
	node(w, "DequantizeLinear", "w sw zw", "wd");
	attr_int(w, "axis", 0);
	node(w, "DequantizeLinear", "b sb", "bd");
	attr_int(w, "axis", 0);
	node(w, "Conv", "xd wd bd", "c");
	node(w, between, "c", "r");
	node(w, "QuantizeLinear", "r sy zy", "y");
}

/* What the formulas say, in double with one rounding to f32 where ONNX Runtime has it. */
static uint8_t expected_conv(const uint8_t *x, int o, int oy, int ox, bool relu)
{
	int32_t sum = bias[o];
	float v, lo = relu ? (float)zy : 0;

	for (int c = 0; c < 2; c++)
		for (int k = 0; k < 9; k++)
			sum += (x[(c * 5 + oy + k / 3) * 6 + ox + k % 3] - zx) *
			       weight_at((o * 2 + c) * 9 + k);
	v = rintf((float)sum * (sx * (unsigned_weights ? sw[0] : sw[o]) / sy)) + (float)zy;
	return (uint8_t)fminf(fmaxf(v, lo), 255);
}

static void expect_conv(const struct ne_model *m, bool relu)
{
	uint8_t x[2 * 5 * 6], *y;
	size_t n;

	for (size_t i = 0; i < sizeof(x); i++)
		x[i] = (uint8_t)(i * 37 + 11);
	y = run_bytes(m, x, &n);
	assert_int_equal(n, 3 * 3 * 4);
	for (int o = 0; o < 3; o++)
		for (int i = 0; i < 12; i++)
			assert_int_equal(y[o * 12 + i], expected_conv(x, o, i / 4, i % 4, relu));
	free(y);
}

static void qdq_convolution_is_one_s8_operator(void **state)
{
	static const char *const between[] = {"Identity", "Relu"};
	struct ne_model *m;
	struct writer w;

	(void)state;
	for (int i = 0; i < 2; i++) {
		write_qdq(&w, between[i]);
		m = imported(&w);
		assert_int_equal(count(m, NE_OP_CONV), 1);
		assert_int_equal(count(m, NE_OP_RELU), 0);
		assert_int_equal(count_type(m, NE_F32), 0);
		expect_conv(m, i == 1);
		ne_model_free(m);
	}
}

static void unsigned_weights_keep_their_zero_point(void **state)
{
	static float step;
	struct ne_model *m;
	struct writer w;

	(void)state;
	for (size_t i = 0; i < sizeof(weights_u8); i++)
		weights_u8[i] = (uint8_t)(i * 89 % 256);
	write_qdq(&w, "Identity");
	step = sx * sw[0];
	INIT_SCALAR(&w, "sw1", FLOAT, sw[0]);
	INIT_SCALAR(&w, "zw1", U8, zw_u8);
	INIT_SCALAR(&w, "sb1", FLOAT, step);
	init_bytes(&w, "w1", U8, 4, dim_w, weights_u8, sizeof(weights_u8));
	w.node[1].input = (char *[]){"w1", "sw1", "zw1"};
	w.node[2].input = (char *[]){"b", "sb1"};
	m = imported(&w);
	assert_int_equal(count(m, NE_OP_CONV), 1);
	assert_int_equal(count_type(m, NE_F32), 0);
	/* the weights, the input, the output before and after its transpose */
	assert_int_equal(count_type(m, NE_U8), 4);
	unsigned_weights = true;
	expect_conv(m, false);
	unsigned_weights = false;
	ne_model_free(m);
	/* without a zero point it is 0, and s8 still has no room */
	write_qdq(&w, "Identity");
	INIT_SCALAR(&w, "sw1", FLOAT, sw[0]);
	init_bytes(&w, "w1", U8, 4, dim_w, weights_u8, sizeof(weights_u8));
	w.node[1].input = (char *[]){"w1", "sw1"};
	w.node[1].n_input = 2;
	m = imported(&w);
	assert_int_equal(count_type(m, NE_F32), 0);
	ne_model_free(m);
}

static void qlinear_convolution_is_the_same(void **state)
{
	struct ne_model *m;
	struct writer w;

	(void)state;
	conv_constants(&w);
	node(&w, "QLinearConv", "x sx zx w sw", "y");
	/* more inputs than a line of the writer holds */
	w.node[0].n_input = 9;
	w.node[0].input = (char *[]){"x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"};
	m = imported(&w);
	assert_int_equal(count(m, NE_OP_CONV), 1);
	assert_int_equal(count_type(m, NE_F32), 0);
	expect_conv(m, false);
	ne_model_free(m);
}

/* Where no quantise node follows, the layer works on real values. */
static void half_a_pair_stays_real(void **state)
{
	struct ne_model *m;
	struct writer w;
	uint8_t x[60];
	float *y;
	size_t n;

	(void)state;
	write_qdq(&w, "Identity");
	w.graph.n_node = 4;
	w.names[3][5] = (char *)"y";
	m = imported(&w);
	assert_int_equal(count(m, NE_OP_DEQUANTISE), 1);
	assert_int_equal(count_type(m, NE_S32), 0);
	for (size_t i = 0; i < sizeof(x); i++)
		x[i] = (uint8_t)(i * 37 + 11);
	y = run_bytes(m, x, &n);
	assert_int_equal(n, 36 * sizeof(float));
	for (int i = 0; i < 36; i++) {
		double q = expected_conv(x, i / 12, i % 12 / 4, i % 4, false);

		if (q > 0 && q < 255)
			assert_true(fabs((double)y[i] / (double)sy + zy - q) < 0.501);
	}
	free(y);
	ne_model_free(m);
}

/* Weights that the graph itself quantises, as after training for it, and signed activations. */
static void weights_quantised_in_the_graph_are_folded(void **state)
{
	static float real[6] = {0.1f, -0.2f, 0.3f, 1.27f, -1.28f, 0};
	static const float s = 0.01f, one = 0.5f;
	static const int8_t zero;
	static int64_t dim[] = {2, 3};
	static const float x[] = {1, -2, 3}, want[] = {1.5f, 4};
	struct ne_model *m;
	struct writer w;
	float *y;
	size_t n;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 3});
	INIT_SCALAR(&w, "s", FLOAT, s);
	INIT_SCALAR(&w, "one", FLOAT, one);
	INIT_SCALAR(&w, "z", S8, zero);
	init_bytes(&w, "w", FLOAT, 2, dim, real, sizeof(real));
	node(&w, "QuantizeLinear", "x one z", "xq");
	node(&w, "DequantizeLinear", "xq one z", "xd");
	node(&w, "QuantizeLinear", "w s z", "wq");
	node(&w, "DequantizeLinear", "wq s z", "wd");
	node(&w, "Gemm", "xd wd", "g");
	attr_int(&w, "transB", 1);
	node(&w, "QuantizeLinear", "g one z", "gq");
	node(&w, "DequantizeLinear", "gq one z", "y");
	m = imported(&w);
	assert_int_equal(count(m, NE_OP_DENSE), 1);
	assert_int_equal(count(m, NE_OP_QUANTISE), 1);
	assert_int_equal(m->graph.tensor[m->graph.node[1].in[1]].dtype, NE_S8);
	y = run_bytes(m, x, &n);
	assert_close(want, y, 2, 1e-6f); /* 1.4 and 3.83 on a grid of halves */
	free(y);
	ne_model_free(m);
}

/* 300 products of the largest magnitudes: more than f32 holds exactly. */
static void sums_of_integers_are_exact(void **state)
{
	static uint8_t x[300], wt[300 * 2];
	static const uint8_t za = 255, zb;
	static int64_t dim[] = {300, 2};
	int64_t want[2] = {0, 0};
	struct ne_model *m;
	struct writer w;
	int32_t *y;
	size_t n;

	(void)state;
	for (int i = 0; i < 300; i++) {
		x[i] = (uint8_t)(i % 7 ? 0 : i);
		wt[2 * i] = 255;
		wt[2 * i + 1] = (uint8_t)(254 + i % 2);
		want[0] += (x[i] - 255) * 255;
		want[1] += (x[i] - 255) * wt[2 * i + 1];
	}
	assert_true(-want[0] > 1 << 24 && want[1] % 2 != 0);
	begin(&w, 13, 2, (int64_t[]){1, 300});
	w.tensor.elem_type = U8;
	INIT_SCALAR(&w, "za", U8, za);
	INIT_SCALAR(&w, "zb", U8, zb);
	init_bytes(&w, "w", U8, 2, dim, wt, sizeof(wt));
	node(&w, "MatMulInteger", "x w za zb", "y");
	m = imported(&w);
	y = run_bytes(m, x, &n);
	assert_int_equal(n, 2 * sizeof(*y));
	assert_int_equal(y[0], want[0]);
	assert_int_equal(y[1], want[1]);
	free(y);
	ne_model_free(m);
}

/* 16 bits have no node of their own: arithmetic does it. */
static void sixteen_bits_and_axes_are_written_out(void **state)
{
	static const float x[] = {1, -2, 300, 7}, scales[] = {0.5f, 0.01f};
	static const int16_t zeros[] = {3, -4}, want[] = {5, -1, 29996, 696};
	static int64_t dim[] = {2};
	struct ne_model *m;
	struct writer w;
	int16_t *y;
	size_t n;

	(void)state;
	begin(&w, 21, 2, (int64_t[]){2, 2});
	init_bytes(&w, "s", FLOAT, 1, dim, scales, sizeof(scales));
	init_bytes(&w, "z", S16, 1, dim, zeros, sizeof(zeros));
	node(&w, "QuantizeLinear", "x s z", "y");
	attr_int(&w, "axis", 0);
	m = imported(&w);
	y = run_bytes(m, x, &n);
	assert_int_equal(n, sizeof(want));
	assert_memory_equal(y, want, sizeof(want));
	free(y);
	ne_model_free(m);
}

static void wrong_parameters_are_refused(void **state)
{
	static const float negative = -1, fine = 1;
	static const uint8_t zero;
	static int64_t dim[] = {2};
	static const float two[] = {1, 2};
	struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 4});
	INIT_SCALAR(&w, "s", FLOAT, negative);
	INIT_SCALAR(&w, "z", U8, zero);
	node(&w, "QuantizeLinear", "x s z", "y");
	refused(&w, EINVAL, "QuantizeLinear", "above zero");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	init_bytes(&w, "s", FLOAT, 1, dim, two, sizeof(two));
	node(&w, "QuantizeLinear", "x s", "y");
	refused(&w, EINVAL, "QuantizeLinear", "2 scales");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	INIT_SCALAR(&w, "s", FLOAT, fine);
	INIT_SCALAR(&w, "z", S32, fine);
	node(&w, "QuantizeLinear", "x s z", "y");
	refused(&w, EOPNOTSUPP, "QuantizeLinear", "s32");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qdq_convolution_is_one_s8_operator),
		cmocka_unit_test(unsigned_weights_keep_their_zero_point),
		cmocka_unit_test(qlinear_convolution_is_the_same),
		cmocka_unit_test(half_a_pair_stays_real),
		cmocka_unit_test(weights_quantised_in_the_graph_are_folded),
		cmocka_unit_test(sums_of_integers_are_exact),
		cmocka_unit_test(sixteen_bits_and_axes_are_written_out),
		cmocka_unit_test(wrong_parameters_are_refused),
	};

	return cmocka_run_group_tests_name("onnx-quant", tests, NULL, NULL);
}
