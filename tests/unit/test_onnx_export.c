/* SPDX-License-Identifier: MIT */
/* The ONNX exporter: what is written is read back by the importer and gives the same answers. */
#include "tests/unit/random_model.h"
#include "tests/unit/run_graph.h"
#include "tests/unit/tflite_builder.h"

#include "engine/model/container.h"
#include "engine/run/run.h"
#include "tools/neap/export/onnx_export.h"
#include "tools/neap/import/onnx.h"
#include "tools/neap/import/tflite.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODELS 60

static struct ne_model *exported(const struct ne_model *m, uint32_t level, bool channels_first)
{
	struct onnx_export_options opt = {.level = level, .channels_first = channels_first};
	struct ne_error err = {""};
	struct ne_model *back = NULL;
	size_t bytes;
	void *data;

	if (onnx_export(m, &opt, &data, &bytes, &err) < 0)
		fail_msg("level %u: export: %s", level, err.text);
	if (onnx_import(data, bytes, NULL, &back, &err) < 0)
		fail_msg("level %u: import: %s", level, err.text);
	free(data);
	return back;
}

/* Output 0 as floats, freed with free(). */
static float *answer(const struct ne_model *m, uint32_t level, const void *in, size_t *ret_n)
{
	struct ne_error err = {""};
	struct ne_program *p;
	struct ne_context *c;
	void *out[NE_MAX_IO];

	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	for (uint32_t i = 0; i < ne_program_outputs(p); i++) {
		out[i] = malloc(ne_program_output(p, i)->bytes);
		assert_non_null(out[i]);
	}
	assert_int_equal(ne_program_output(p, 0)->dtype, NE_F32);
	assert_int_equal(ne_run(p, c, level, &in, out, NULL, NULL), 0);
	*ret_n = ne_program_output(p, 0)->bytes / sizeof(float);
	for (uint32_t i = 1; i < ne_program_outputs(p); i++)
		free(out[i]);
	ne_context_free(c);
	ne_program_free(p);
	return out[0];
}

static void assert_same_answer(const struct ne_model *m, const struct ne_model *back,
			       uint32_t level, const void *in, const void *in_back, float tolerance)
{
	size_t n, n_back;
	float *a = answer(m, level, in, &n), *b = answer(back, 0, in_back, &n_back), most = 1e-6f;

	assert_int_equal(n, n_back);
	for (size_t i = 0; i < n; i++)
		most = fmaxf(most, fabsf(a[i]));
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(a[i] - b[i]) <= tolerance * most))
			fail_msg("level %u, output %zu: %g, read back %g", level, i, (double)a[i],
				 (double)b[i]);
	free(a);
	free(b);
}

static void test_every_level(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MODELS; i++) {
		struct rng r = {.s = 1000 + i};
		struct random_options o = {
			.blocks = 2 + i % 7, .exits = 1 + i % 3, .widths = 1 + i % 3};
		struct ne_model *m = random_model(&r, &o);
		double *values;
		void *in;

		random_input(&r, &m->graph.tensor[m->graph.in[0]], &in, &values);
		for (uint32_t level = 0; level < m->n_level; level++) {
			struct ne_model *back = exported(m, level, false);

			assert_same_answer(m, back, level, in, in, 1e-4f);
			ne_model_free(back);
		}
		free(values);
		free(in);
		ne_model_free(m);
	}
}

/* An image input declared channels first takes the same values in that order. */
static void test_channels_first(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		struct rng r = {.s = 2000 + i};
		struct random_options o = {.blocks = 3, .exits = 1, .widths = 2};
		struct ne_model *m = random_model(&r, &o), *back;
		const struct ne_shape *s = &m->graph.tensor[m->graph.in[0]].shape, *t;
		float *turned;
		double *values;
		void *in;

		random_input(&r, &m->graph.tensor[m->graph.in[0]], &in, &values);
		back = exported(m, 0, true);
		t = &back->graph.tensor[back->graph.in[0]].shape;
		turned = malloc(ne_shape_elements(s) * sizeof(*turned));
		assert_non_null(turned);
		memcpy(turned, in, ne_shape_elements(s) * sizeof(*turned));
		if (s->rank == 4 && memcmp(s->dim, t->dim, sizeof(s->dim)) != 0) {
			size_t pixels = (size_t)s->dim[1] * (size_t)s->dim[2];
			size_t c = (size_t)s->dim[3];

			assert_int_equal(t->dim[1], s->dim[3]);
			for (size_t p = 0; p < pixels; p++)
				for (size_t k = 0; k < c; k++)
					turned[k * pixels + p] = ((float *)in)[p * c + k];
		}
		assert_same_answer(m, back, 0, in, turned, 1e-4f);
		free(turned);
		free(values);
		free(in);
		ne_model_free(back);
		ne_model_free(m);
	}
}

/* The shipped model: s8, nested, with norms. What the importer makes of QDQ form may round at other
 * places than the model did, so a step of a few hundredths is allowed. */
static void test_shipped_model(void **state)
{
	struct ne_error err = {""};
	struct rng r = {.s = 7};
	struct ne_model *m;

	(void)state;
	if (ne_container_load("models/fashion.neap", NULL, &m, &err) < 0)
		fail_msg("%s", err.text);
	for (uint32_t level = 0; level < m->n_level; level++) {
		struct ne_model *back = exported(m, level, false);
		double *values;
		void *in;

		random_input(&r, &m->graph.tensor[m->graph.in[0]], &in, &values);
		assert_same_answer(m, back, level, in, in, 0.12f);
		free(values);
		free(in);
		ne_model_free(back);
	}
	ne_model_free(m);
}

/* Every s8 operator is written, at every level, and what is written is a model. */
static void test_integers(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MODELS; i++) {
		struct rng r = {.s = 3000 + i};
		struct random_options o = {
			.s8 = true, .blocks = 2 + i % 7, .exits = 2, .widths = 1 + i % 3};
		struct ne_model *m = random_model(&r, &o);

		for (uint32_t level = 0; level < m->n_level; level++)
			ne_model_free(exported(m, level, false));
		ne_model_free(m);
	}
}

static void run_bytes(const struct ne_model *m, const void *in, void *out, size_t bytes)
{
	struct ne_program *p;
	struct ne_context *c;

	assert_int_equal(ne_program_new(m, NULL, &p, NULL), 0);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	assert_int_equal(ne_program_output(p, 0)->bytes, bytes);
	assert_int_equal(ne_run(p, c, 0, &in, &out, NULL, NULL), 0);
	ne_context_free(c);
	ne_program_free(p);
}

/* u8 weights keep their zero point. What is read back computes in f32, so that a tie in the first
 * layer may fall on the other side: less than two steps of the second. */
static void test_u8_weights(void **state)
{
	struct fbw b = tb_sample_u8();
	struct ne_model *m, *back;
	struct ne_error err = {""};
	struct rng r = {.s = 77};

	(void)state;
	if (tflite_import(b.data, b.n, &m, &err) < 0)
		fail_msg("%s", err.text);
	back = exported(m, 0, false);
	for (int k = 0; k < 50; k++) {
		uint8_t in[12], a[16], c[16];

		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)rng_below(&r, 256);
		run_bytes(m, in, a, sizeof(a));
		run_bytes(back, in, c, sizeof(c));
		for (size_t i = 0; i < sizeof(a); i++)
			assert_true(abs(a[i] - c[i]) <= 2);
	}
	ne_model_free(back);
	ne_model_free(m);
	fbw_free(&b);
}

/* Interpolation as ONNX's Resize, in its three ways to place pixels. */
static void test_resize(void **state)
{
	(void)state;
	for (int32_t form = 0; form < 3; form++) {
		struct ne_attr attr = {.groups = 1, .kind = form};
		float in[4 * 3 * 2], *a, *b;
		struct ne_model *m, *back;
		struct ne_graph g;
		size_t n, n_back;

		attr.slice.size[1] = 7;
		attr.slice.size[2] = 5;
		ne_graph_init(&g);
		b_exit(&g, B_NODE(&g, NE_OP_RESIZE, &attr, b_input(&g, SHAPE(1, 4, 3, 2))));
		m = model_of_graph(&g);
		back = exported(m, 0, false);
		for (size_t k = 0; k < NE_ARRAY_SIZE(in); k++)
			in[k] = (float)((int)(k * 7 % 13) - 6) * 0.2f;
		a = run_on(m, in, &n);
		b = run_on(back, in, &n_back);
		assert_int_equal(n, n_back);
		assert_close(a, b, n, 1e-5f);
		free(a);
		free(b);
		ne_model_free(back);
		ne_model_free(m);
		ne_graph_done(&g);
	}
}

/* int16, transposed convolutions, SVDF: all of it is ONNX. */
static void test_audio(void **state)
{
	struct fbw b = tb_sample_audio();
	struct ne_model *m, *back;
	struct ne_error err = {""};

	(void)state;
	if (tflite_import(b.data, b.n, &m, &err) < 0)
		fail_msg("%s", err.text);
	back = exported(m, 0, false);
	assert_int_equal(back->graph.n_in, 2);
	assert_int_equal(back->graph.exit[0].n_out, 2);
	ne_model_free(back);
	ne_model_free(m);
	fbw_free(&b);
}

/* Element-wise operators behind a convolution, whose channels ONNX has first. */
static void test_families(void **state)
{
	static const struct {
		enum ne_op op;
		int32_t kind;
		float value, value2;
	} cases[] = {
		{NE_OP_UNARY, NE_UNARY_ABS, 0, 0},          {NE_OP_UNARY, NE_UNARY_EXP, 0, 0},
		{NE_OP_UNARY, NE_UNARY_LEAKYRELU, 0.1f, 0}, {NE_OP_UNARY, NE_UNARY_ELU, 1, 0},
		{NE_OP_UNARY, NE_UNARY_CLIP, -1, 2},        {NE_OP_UNARY, NE_UNARY_SWISH, 1, 0},
		{NE_OP_UNARY, NE_UNARY_MISH, 0, 0},         {NE_OP_UNARY, NE_UNARY_GELU, 0, 0},
		{NE_OP_BINARY, NE_BINARY_SUB, 0, 0},        {NE_OP_BINARY, NE_BINARY_MAX, 0, 0},
		{NE_OP_BINARY, NE_BINARY_PRELU, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		struct ne_attr attr = {
			.groups = 1,
			.kind = cases[i].kind,
			.value = cases[i].value,
			.value2 = cases[i].value2,
		};
		struct ne_model *m, *back;
		float in[6 * 5 * 3], *a, *b;
		struct ne_graph g;
		size_t n, n_back;
		uint32_t t;

		ne_graph_init(&g);
		t = b_conv(&g, b_input(&g, SHAPE(1, 6, 5, 3)), 4, 3, 1, 1);
		if (cases[i].op == NE_OP_BINARY)
			t = B_NODE(&g, cases[i].op, &attr, t, b_const(&g, SHAPE(4), 0.1f, 1));
		else
			t = B_NODE(&g, cases[i].op, &attr, t);
		b_exit(&g, t);
		m = model_of_graph(&g);
		back = exported(m, 0, false);
		for (size_t k = 0; k < NE_ARRAY_SIZE(in); k++)
			in[k] = (float)((int)(k * 7 % 13) - 6) * 0.2f;
		a = run_on(m, in, &n);
		b = run_on(back, in, &n_back);
		assert_int_equal(n, n_back);
		assert_close(a, b, n, 1e-5f);
		free(a);
		free(b);
		ne_model_free(back);
		ne_model_free(m);
		ne_graph_done(&g);
	}
}

/* The audio front end: an FFT here, a convolution with waves there. */
static void test_logmel(void **state)
{
	struct ne_error err = {""};
	struct rng r = {.s = 11};
	struct ne_model *m;
	const struct ne_tensor *in;
	int16_t *samples;
	size_t n;

	(void)state;
	if (ne_container_load("models/kws.neap", NULL, &m, &err) < 0)
		fail_msg("%s", err.text);
	in = &m->graph.tensor[m->graph.in[0]];
	assert_int_equal(in->dtype, NE_S16);
	n = ne_shape_elements(&in->shape);
	samples = malloc(n * sizeof(*samples));
	assert_non_null(samples);
	for (size_t i = 0; i < n; i++)
		samples[i] = (int16_t)(rng_between(&r, -3000, 3000) +
				       9000 * sin((double)(i * i) * 1e-5));
	for (uint32_t level = 0; level < m->n_level; level += m->n_level - 1) {
		struct ne_model *back = exported(m, level, false);

		assert_same_answer(m, back, level, samples, samples, 0.12f);
		ne_model_free(back);
	}
	free(samples);
	ne_model_free(m);
}

/* A running sum, and the value two runs ago: a state that is another state's input. */
static struct ne_model *running_sum(void)
{
	const struct ne_shape s = SHAPE(1, 3);
	float *first = malloc(3 * sizeof(*first));
	struct ne_model *m;
	struct ne_graph g;
	uint32_t x, y, sum, before, initial;

	assert_non_null(first);
	for (int i = 0; i < 3; i++)
		first[i] = (float)i + 0.5f;
	ne_graph_init(&g);
	x = b_input(&g, s);
	sum = (uint32_t)ne_graph_add_tensor(&g, "sum", NE_F32, &s);
	before = (uint32_t)ne_graph_add_tensor(&g, "before", NE_F32, &s);
	initial = (uint32_t)ne_graph_add_const(&g, "first", NE_F32, &s, first);
	y = B_NODE(&g, NE_OP_ADD, NULL, x, sum);
	b_exit(&g, B_NODE(&g, NE_OP_ADD, NULL, y, before));
	assert_true(ne_graph_add_state(&g, sum, y, initial) >= 0);
	assert_true(ne_graph_add_state(&g, before, sum, NE_NONE) >= 0);
	m = model_of_graph(&g);
	ne_graph_done(&g);
	return m;
}

static uint32_t input_called(const struct ne_program *p, const char *name)
{
	for (uint32_t i = 0; i < ne_program_inputs(p); i++)
		if (!strcmp(ne_program_input(p, i)->name, name))
			return i;
	fail_msg("no input %s", name);
	return 0;
}

static uint32_t output_called(const struct ne_program *p, const char *name)
{
	for (uint32_t i = 0; i < ne_program_outputs(p); i++)
		if (!strcmp(ne_program_output(p, i)->name, name))
			return i;
	fail_msg("no output %s", name);
	return 0;
}

/* States are inputs and outputs; fed back they give what the model gives run by run. */
static void test_states(void **state)
{
	struct ne_model *m = running_sum(), *back = exported(m, 0, false);
	float in[3], want[3], a[3], sum[3] = {0.5f, 1.5f, 2.5f}, before[3] = {0}, next[2][3];
	const void *own_in[1] = {in}, *fed_in[3];
	void *own_out[1] = {want}, *fed_out[3];
	struct ne_program *p, *q;
	struct ne_context *c, *d;

	(void)state;
	assert_int_equal(ne_program_new(m, NULL, &p, NULL), 0);
	assert_int_equal(ne_program_new(back, NULL, &q, NULL), 0);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	assert_int_equal(ne_context_new(q, 1, &d), 0);
	assert_int_equal(ne_program_inputs(q), 3);
	assert_int_equal(ne_program_outputs(q), 3);
	fed_in[input_called(q, ne_program_input(p, 0)->name)] = in;
	fed_in[input_called(q, "state_sum")] = sum;
	fed_in[input_called(q, "state_before")] = before;
	fed_out[output_called(q, ne_program_output(p, 0)->name)] = a;
	fed_out[output_called(q, "state_sum_next")] = next[0];
	fed_out[output_called(q, "state_before_next")] = next[1];
	for (int run = 0; run < 6; run++) {
		for (int i = 0; i < 3; i++)
			in[i] = (float)(run * 3 + i) * 0.25f;
		assert_int_equal(ne_run(p, c, 0, own_in, own_out, NULL, NULL), 0);
		assert_int_equal(ne_run(q, d, 0, fed_in, fed_out, NULL, NULL), 0);
		assert_memory_equal(a, want, sizeof(a));
		memcpy(sum, next[0], sizeof(sum));
		memcpy(before, next[1], sizeof(before));
	}
	ne_context_free(c);
	ne_context_free(d);
	ne_program_free(p);
	ne_program_free(q);
	ne_model_free(m);
	ne_model_free(back);
}

/* An LSTM of 24 steps whose cell is kept within @limit; the output is the last cell. */
static struct ne_model *limited_lstm(float limit)
{
	struct ne_attr attr = {
		.groups = 1,
		.value = limit,
		.recurrent.act = {{.kind = NE_GATE_SIGMOID},
				  {.kind = NE_GATE_TANH},
				  {.kind = NE_GATE_TANH}},
	};
	const struct ne_shape ys = SHAPE(24, 1, 1, 4), hs = SHAPE(1, 1, 4);
	uint32_t in[4], out[3];
	struct ne_model *m;
	struct ne_graph g;

	ne_graph_init(&g);
	in[0] = b_input(&g, SHAPE(24, 1, 5));
	in[1] = b_const(&g, SHAPE(1, 16, 5), -1, 4);
	in[2] = b_const(&g, SHAPE(1, 16, 4), -1, 4);
	in[3] = b_const(&g, SHAPE(1, 32), 0, 4); /* the cell grows */
	for (int k = 0; k < 3; k++)
		out[k] = (uint32_t)ne_graph_add_tensor(&g, k ? "last" : "y", NE_F32, k ? &hs : &ys);
	assert_true(ne_graph_add_node(&g, NE_OP_LSTM, "lstm", 4, in, 3, out, &attr) >= 0);
	b_exit(&g, out[2]);
	m = model_of_graph(&g);
	ne_graph_done(&g);
	return m;
}

static void test_limited_cell(void **state)
{
	struct ne_model *m = limited_lstm(7.9f), *back = exported(m, 0, false);
	float in[24 * 5], *cell, most = 0;
	size_t n;

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(in); i++)
		in[i] = (float)(i * 5 % 11) * 0.3f;
	assert_same_answer(m, back, 0, in, in, 1e-6f);
	cell = run_on(m, in, &n);
	for (size_t i = 0; i < n; i++)
		most = fmaxf(most, cell[i]);
	assert_true(most >= 7.9f); /* the limit is met */
	free(cell);
	ne_model_free(m);
	ne_model_free(back);
}

static void expect_refusal(const struct ne_model *m, uint32_t level, int code, const char *text)
{
	struct onnx_export_options opt = {.level = level};
	struct ne_error err = {""};
	void *data = NULL;
	size_t bytes;

	assert_int_equal(onnx_export(m, &opt, &data, &bytes, &err), code);
	assert_null(data);
	if (!strstr(err.text, text))
		fail_msg("'%s' is not in: %s", text, err.text);
}

/* A shift of signed integers, which ONNX does not have. */
static struct ne_model *signed_shift(void)
{
	struct ne_attr attr = {.groups = 1, .kind = NE_BINARY_SHIFT_LEFT};
	const struct ne_shape s = SHAPE(1, 3);
	struct ne_model *m;
	struct ne_graph g;
	uint32_t in[2], y;

	ne_graph_init(&g);
	for (int k = 0; k < 2; k++) {
		in[k] = (uint32_t)ne_graph_add_tensor(&g, k ? "b" : "a", NE_S32, &s);
		assert_true(ne_graph_add_input(&g, in[k]) >= 0);
	}
	y = (uint32_t)ne_graph_add_tensor(&g, "y", NE_S32, &s);
	assert_true(ne_graph_add_node(&g, NE_OP_BINARY, "n", 2, in, 1, &y, &attr) >= 0);
	b_exit(&g, y);
	m = model_of_graph(&g);
	ne_graph_done(&g);
	return m;
}

static void test_refusals(void **state)
{
	struct ne_model *m = signed_shift();

	(void)state;
	expect_refusal(m, 0, -EOPNOTSUPP, "shifts unsigned integers alone");
	expect_refusal(m, m->n_level, -EINVAL, "no level");
	ne_model_free(m);
	m = limited_lstm(1);
	expect_refusal(m, 0, -EOPNOTSUPP, "kept within 1");
	ne_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_level),   cmocka_unit_test(test_channels_first),
		cmocka_unit_test(test_shipped_model), cmocka_unit_test(test_integers),
		cmocka_unit_test(test_u8_weights),    cmocka_unit_test(test_families),
		cmocka_unit_test(test_resize),        cmocka_unit_test(test_audio),
		cmocka_unit_test(test_logmel),        cmocka_unit_test(test_states),
		cmocka_unit_test(test_limited_cell),  cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
