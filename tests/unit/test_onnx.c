/* SPDX-License-Identifier: MIT */
/* The ONNX importer on models written here: what it refuses and why, and forms of operators that
 * other people's tests do not show. */
#include "tests/unit/onnx_writer.h"

#include <math.h>

/* ---- what is refused ---- */

static void operators_are_refused_by_name(void **state)
{
	struct writer w;

	(void)state;
	begin(&w, 13, 3, (int64_t[]){1, 4, 8});
	node(&w, "NonMaxSuppression", "x", "y")->name = (char *)"my_boxes";
	refused(&w, EOPNOTSUPP, "my_boxes", "NonMaxSuppression");
}

static void graphs_in_other_operators_are_refused(void **state)
{
	Onnx__GraphProto body;
	struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 4});
	onnx__graph_proto__init(&body);
	node(&w, "Relu", "x", "y")->name = (char *)"my_relu";
	attr(&w, "body")->g = &body;
	refused(&w, EOPNOTSUPP, "my_relu", "graph");
}

static void other_domains_are_refused(void **state)
{
	struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Relu", "x", "y")->domain = (char *)"com.example";
	refused(&w, EOPNOTSUPP, "com.example", "Relu");
}

static void opsets_out_of_range_are_refused(void **state)
{
	struct writer w;

	(void)state;
	begin(&w, 6, 2, (int64_t[]){1, 4});
	node(&w, "Relu", "x", "y");
	refused(&w, EOPNOTSUPP, "operator set 6", "7");
	w.opset.version = 99;
	refused(&w, EOPNOTSUPP, "operator set 99", "7");
}

static void open_shapes_must_be_given(void **state)
{
	struct onnx_options *opt = calloc(1, sizeof(*opt));
	struct ne_error err = {""};
	struct ne_model *m;
	struct writer w;

	(void)state;
	assert_non_null(opt);
	begin(&w, 13, 4, (int64_t[]){0, 3, 0, 8}); /* the batch alone may stay open */
	node(&w, "Relu", "x", "y");
	refused(&w, EINVAL, "dimension 2", "--shape x=");
	opt->n_shape = 1;
	assert_int_equal(onnx_parse_shape("x=1x3x5x8", &opt->shape[0], &err), 0);
	assert_int_equal(import_with(&w, opt, &m, &err), 0);
	assert_int_equal(m->graph.tensor[m->graph.in[0]].shape.dim[2], 5);
	ne_model_free(m);
	assert_int_equal(onnx_parse_shape("z=1x3x5x8", &opt->shape[0], &err), 0);
	w.dim[2].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
	w.dim[2].dim_value = 5;
	assert_int_equal(import_with(&w, opt, &m, &err), -EINVAL);
	assert_non_null(strstr(err.text, "'z'"));
	free(opt);
}

static void shapes_are_parsed_strictly(void **state)
{
	static const char *const bad[] = {"x",         "=1x2",   "x=",
					  "x=1x",      "x=1x0",  "x=1x-2",
					  "x=1xx2",    "x=1x2y", "x=1x1x1x1x1x1x1",
					  "x=99999999"};
	struct onnx_shape s;
	struct ne_error err;

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(bad); i++)
		assert_int_equal(onnx_parse_shape(bad[i], &s, &err), -EINVAL);
	assert_int_equal(onnx_parse_shape("a=b=1x2", &s, &err), 0);
	assert_string_equal(s.name, "a=b");
}

static void bad_initialisers_are_refused(void **state)
{
	float v[4] = {1, 2, 3, 4};
	Onnx__StringStringEntryProto entry, *list[1] = {&entry};
	Onnx__TensorProto *t;
	struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Add", "x k", "y");
	t = init(&w, "k", 1, (int64_t[]){5});
	t->n_float_data = 4;
	t->float_data = v;
	refused(&w, EBADMSG, "'k'", "disagree");
	t->dims = (int64_t[]){-4};
	refused(&w, EBADMSG, "'k'", "disagree");
	/* 2^20 * 2^20 * 2^24 elements wrap to nothing in 64 bits */
	t->n_dims = 3;
	t->dims = (int64_t[]){1 << 20, 1 << 20, 1 << 24};
	refused(&w, EBADMSG, "'k'", "disagree");
	t->n_dims = 9;
	t->dims = (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 4};
	refused(&w, EINVAL, "'k'", "9 dimensions");
	t->n_dims = 1;
	t->dims = (int64_t[]){4};
	t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__STRING;
	refused(&w, EOPNOTSUPP, "'k'", "type 8");
	t->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
	onnx__string_string_entry_proto__init(&entry);
	entry.key = (char *)"location";
	entry.value = (char *)"/etc/passwd";
	t->external_data = list;
	t->n_external_data = 1;
	refused(&w, EOPNOTSUPP, "'k'", "outside");
}

static void broken_graphs_are_refused(void **state)
{
	struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Relu", "nowhere", "y");
	refused(&w, EINVAL, "nowhere", "Relu");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Relu", "y", "y"); /* a cycle */
	refused(&w, EINVAL, "'y'", "not defined");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Relu", "x", "y");
	node(&w, "Relu", "x", "y");
	refused(&w, EEXIST, "'y'", "twice");

	begin(&w, 13, 2, (int64_t[]){2, 3});
	node(&w, "Shape", "x", "s");
	node(&w, "Reshape", "- s", "y");
	refused(&w, EINVAL, "Reshape", "input 0 is missing");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Relu", "x", "z");
	refused(&w, EINVAL, "'y'", "written by no node");
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Reshape", "x s", "y");
	init_ints(&w, "s", 2, (int64_t[]){3, -1});
	refused(&w, EINVAL, "Reshape", "divide");
	begin(&w, 13, 4, (int64_t[]){1, 1, 4, 4});
	node(&w, "MaxPool", "x", "y");
	attr_ints(&w, "kernel_shape", 2, (int64_t[]){9, 9});
	refused(&w, EINVAL, "window of 9", "axis 0");
}

/* Every truncation and a flip of every byte: an answer or a reason, never a crash. */
static void damaged_bytes_never_crash(void **state)
{
	float v[4] = {1, 2, 3, 4};
	struct ne_error err;
	struct ne_model *m;
	struct writer w;
	uint8_t *data;
	size_t bytes;

	(void)state;
	begin(&w, 13, 4, (int64_t[]){1, 1, 4, 4});
	node(&w, "MaxPool", "x", "p");
	attr_ints(&w, "kernel_shape", 2, (int64_t[]){2, 2});
	node(&w, "Reshape", "p s", "f");
	node(&w, "Add", "f k", "y");
	init_ints(&w, "s", 2, (int64_t[]){1, -1});
	init_floats(&w, "k", 1, v);
	data = bytes_of(&w, &bytes);
	for (size_t n = 0; n < bytes; n++) {
		m = NULL;
		err.text[0] = 0;
		if (onnx_import(data, n, NULL, &m, &err) == 0)
			ne_model_free(m);
		else
			assert_true(err.text[0] != 0);
	}
	for (size_t i = 0; i < bytes; i++) {
		for (int bit = 0; bit < 8; bit++) {
			data[i] ^= (uint8_t)(1 << bit);
			if (onnx_import(data, bytes, NULL, &m, &err) == 0)
				ne_model_free(m);
			data[i] ^= (uint8_t)(1 << bit);
		}
	}
	free(data);
}

/* graph in attribute in node in graph in ...: each level costs a few bytes and, unpacked by
 * recursion, a stack frame. */
static void deep_nesting_is_refused(void **state)
{
	enum { LEVELS = 20000, ROOM = LEVELS * 16 };
	uint8_t *data = malloc(ROOM), *at;
	struct ne_error err = {""};
	struct ne_model *m;
	size_t len = 0;

	(void)state;
	assert_non_null(data);
	at = data + ROOM;
	for (int i = 0; i < LEVELS; i++) {
		static const uint8_t field[3] = {0x0a, 0x2a, 0x32}; /* node, attribute, g */
		uint8_t head[8];
		size_t n = 0, v = len;

		head[n++] = i + 1 == LEVELS ? 0x3a : field[(LEVELS - 2 - i) % 3]; /* graph */
		do {
			head[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
			v >>= 7;
		} while (v);
		at -= n;
		memcpy(at, head, n);
		len += n;
	}
	assert_int_equal(onnx_import(at, len, NULL, &m, &err), -E2BIG);
	assert_non_null(strstr(err.text, "nested"));
	free(data);
}

/* ---- forms of operators ---- */

static void softmax_changed_in_opset_13(void **state)
{
	float x[4] = {0, logf(3), 0, logf(3)};
	struct writer w;

	(void)state;
	begin(&w, 13, 3, (int64_t[]){1, 2, 2});
	node(&w, "Softmax", "x", "y"); /* over the last axis */
	expect(&w, x, (float[]){0.25f, 0.75f, 0.25f, 0.75f}, 4);
	w.opset.version = 11; /* over all axes from 1 on */
	expect(&w, x, (float[]){0.125f, 0.375f, 0.125f, 0.375f}, 4);
}

static void clip_takes_any_limits(void **state)
{
	float x[4] = {-3, 0.5f, 4, 9}, lo = -1, hi = 5;
	struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Clip", "x lo hi", "y");
	init_floats(&w, "lo", 1, &lo);
	init_floats(&w, "hi", 1, &hi);
	expect(&w, x, (float[]){-1, 0.5f, 4, 5}, 4);
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Clip", "x - hi", "y");
	init_floats(&w, "hi", 1, &hi);
	expect(&w, x, (float[]){-3, 0.5f, 4, 5}, 4);
}

static void hardswish_written_out_is_one_node(void **state)
{
	float x[4] = {-4, -1, 1, 4}, three = 3, zero = 0, six = 6;
	struct ne_error err = {""};
	struct ne_model *m;
	struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 4});
	node(&w, "Add", "x three", "a");
	node(&w, "Clip", "a zero six", "b");
	node(&w, "Mul", "x b", "c");
	node(&w, "Div", "c six", "y");
	init_floats(&w, "three", 1, &three);
	init_floats(&w, "zero", 1, &zero);
	init_floats(&w, "six", 1, &six);
	expect(&w, x, (float[]){0, -1.0f / 3, 2.0f / 3, 4}, 4);
	assert_int_equal(import_with(&w, NULL, &m, &err), 0);
	assert_int_equal(m->graph.n_node, 1);
	assert_int_equal(m->graph.node[0].op, NE_OP_HARDSWISH);
	ne_model_free(m);
}

/* Rounding up adds a window at the end, which sees fewer values. */
static void pools_round_up(void **state)
{
	float x[5] = {1, 2, 3, 4, 6};
	struct writer w;

	(void)state;
	begin(&w, 13, 4, (int64_t[]){1, 1, 1, 5});
	node(&w, "MaxPool", "x", "y");
	attr_ints(&w, "kernel_shape", 2, (int64_t[]){1, 2});
	attr_ints(&w, "strides", 2, (int64_t[]){1, 2});
	expect(&w, x, (float[]){2, 4}, 2);
	attr_int(&w, "ceil_mode", 1);
	expect(&w, x, (float[]){2, 4, 6}, 3);
	w.node[0].op_type = (char *)"AveragePool";
	expect(&w, x, (float[]){1.5f, 3.5f, 6}, 3);
}

/* Shape -> Gather -> Concat -> Reshape, as exporters write a flatten. */
static void shape_chains_fold(void **state)
{
	float x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
	struct ne_error err = {""};
	struct ne_model *m;
	struct writer w;

	(void)state;
	begin(&w, 13, 3, (int64_t[]){0, 3, 4});
	node(&w, "Shape", "x", "s");
	node(&w, "Gather", "s first", "n");
	node(&w, "Concat", "n rest", "t");
	attr_int(&w, "axis", 0);
	node(&w, "Reshape", "x t", "r");
	node(&w, "Relu", "r", "y");
	init_ints(&w, "first", 1, (int64_t[]){0});
	init_ints(&w, "rest", 1, (int64_t[]){-1});
	expect(&w, x, x, 12);
	assert_int_equal(import_with(&w, NULL, &m, &err), 0);
	assert_int_equal(m->graph.tensor[m->graph.exit[0].out[0]].shape.rank, 2);
	ne_model_free(m);
}

/* A graph whose output is its input still has a node to write it. */
static void identity_of_the_input_is_a_copy(void **state)
{
	float x[3] = {1, -2, 3};
	struct writer w;

	(void)state;
	begin(&w, 13, 2, (int64_t[]){1, 3});
	node(&w, "Identity", "x", "y");
	expect(&w, x, x, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operators_are_refused_by_name),
		cmocka_unit_test(graphs_in_other_operators_are_refused),
		cmocka_unit_test(other_domains_are_refused),
		cmocka_unit_test(opsets_out_of_range_are_refused),
		cmocka_unit_test(open_shapes_must_be_given),
		cmocka_unit_test(shapes_are_parsed_strictly),
		cmocka_unit_test(bad_initialisers_are_refused),
		cmocka_unit_test(broken_graphs_are_refused),
		cmocka_unit_test(damaged_bytes_never_crash),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(softmax_changed_in_opset_13),
		cmocka_unit_test(clip_takes_any_limits),
		cmocka_unit_test(hardswish_written_out_is_one_node),
		cmocka_unit_test(pools_round_up),
		cmocka_unit_test(shape_chains_fold),
		cmocka_unit_test(identity_of_the_input_is_a_copy),
	};

	return cmocka_run_group_tests_name("onnx", tests, NULL, NULL);
}
