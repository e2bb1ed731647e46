/* SPDX-License-Identifier: MIT */
/* If, Loop and Scan whose course is known while importing. */
#include "tests/unit/onnx_writer.h"

/* A body of control flow, from parts of a writer of its own. */
static Onnx__GraphProto *body_of(struct writer *w, size_t n_in, Onnx__ValueInfoProto *in,
				 Onnx__ValueInfoProto **in_list, const char *const *in_names,
				 size_t n_out, Onnx__ValueInfoProto *out,
				 Onnx__ValueInfoProto **out_list, const char *const *out_names)
{
	for (size_t i = 0; i < n_in; i++) {
		onnx__value_info_proto__init(&in[i]);
		in[i].name = (char *)(uintptr_t)in_names[i];
		in_list[i] = &in[i];
	}
	for (size_t i = 0; i < n_out; i++) {
		onnx__value_info_proto__init(&out[i]);
		out[i].name = (char *)(uintptr_t)out_names[i];
		out_list[i] = &out[i];
	}
	w->graph.n_input = n_in;
	w->graph.input = in_list;
	w->graph.n_output = n_out;
	w->graph.output = out_list;
	return &w->graph;
}

struct body {
	struct writer w;
	Onnx__ValueInfoProto in[4], out[4], *in_list[4], *out_list[4];
};

static void body_begin(struct body *b)
{
	begin(&b->w, 13, 1, (int64_t[]){1});
}

static Onnx__GraphProto *body_end(struct body *b, size_t n_in, const char *const *in, size_t n_out,
				  const char *const *out)
{
	return body_of(&b->w, n_in, b->in, b->in_list, in, n_out, b->out, b->out_list, out);
}

/* then: y = relu(x); else: y = -x. The condition: @flag == 1, of a constant. */
static void write_if(struct writer *w, struct body *yes, struct body *no, int64_t *flag)
{
	static const char *const name[] = {"r"};
	static int64_t one[] = {1};

	begin(w, 13, 2, (int64_t[]){1, 3});
	init_ints(w, "flag", 1, flag);
	init_ints(w, "one", 1, one);
	body_begin(yes);
	node(&yes->w, "Relu", "x", "r");
	body_begin(no);
	node(&no->w, "Neg", "x", "r");
	node(w, "Equal", "flag one", "c");
	node(w, "If", "c", "y")->name = (char *)"my_if";
	attr(w, "then_branch")->g = body_end(yes, 0, NULL, 1, name);
	attr(w, "else_branch")->g = body_end(no, 0, NULL, 1, name);
}

static void if_takes_its_branch(void **state)
{
	static const float x[] = {-1, 2, -3}, yes[] = {0, 2, 0}, no[] = {1, -2, 3};
	struct body branch[2];
	struct writer w;
	int64_t flag = 1;

	(void)state;
	write_if(&w, &branch[0], &branch[1], &flag);
	expect(&w, x, yes, 3);
	flag = 2;
	write_if(&w, &branch[0], &branch[1], &flag);
	expect(&w, x, no, 3);
}

static void computed_conditions_are_refused_with_advice(void **state)
{
	struct body branch[2];
	struct writer w;
	int64_t flag = 1;

	(void)state;
	write_if(&w, &branch[0], &branch[1], &flag);
	w.names[0][0] = (char *)"x"; /* Equal(x, one) */
	w.init[1].data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
	w.init[1].n_int64_data = 0;
	w.init[1].n_float_data = 1;
	w.init[1].float_data = (float[]){1};
	refused(&w, EOPNOTSUPP, "my_if", "--set");
}

/* v = x; three times: v = v + i, s = v * 2. Outputs: v, or all s. */
static void write_loop(struct writer *w, struct body *b, int64_t *rounds, bool scanned)
{
	static const char *const in[] = {"i", "c", "v"}, *const out[] = {"c", "v2", "s"};
	static float two[] = {2};

	begin(w, 13, 2, (int64_t[]){1, 2});
	init_ints(w, "n", 1, rounds);
	body_begin(b);
	init_floats(&b->w, "two", 1, two);
	node(&b->w, "Cast", "i", "f");
	attr_int(&b->w, "to", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
	node(&b->w, "Add", "v f", "v2");
	node(&b->w, "Mul", "v2 two", "s");
	node(w, "Loop", "n - x", scanned ? "last" : "y")->name = (char *)"my_loop";
	attr(w, "body")->g = body_end(b, 3, in, 3, out);
	w->node[0].n_output = 2;
	w->names[0][3] = (char *)(uintptr_t)(scanned ? "last" : "y");
	w->names[0][4] = (char *)(uintptr_t)(scanned ? "y" : "all");
	w->node[0].output = &w->names[0][3];
}

static void loop_is_written_out(void **state)
{
	static const float x[] = {1, -1}, last[] = {4, 2}, all[] = {2, -2, 4, 0, 8, 4};
	int64_t rounds = 3;
	struct body b;
	struct writer w;

	(void)state;
	write_loop(&w, &b, &rounds, false);
	expect(&w, x, last, 2);
	write_loop(&w, &b, &rounds, true);
	expect(&w, x, all, 6);
	rounds = 0;
	write_loop(&w, &b, &rounds, true);
	refused(&w, EOPNOTSUPP, "my_loop", "empty");
	rounds = INT64_MAX;
	write_loop(&w, &b, &rounds, false);
	refused(&w, E2BIG, "my_loop", "rounds");
}

/* A running sum along axis 0 of x [4,2], forwards or backwards. */
static void write_scan(struct writer *w, struct body *b, int64_t *backward)
{
	static const char *const in[] = {"s", "e"}, *const out[] = {"t", "u"};
	static float zero[] = {0, 0};

	begin(w, 13, 2, (int64_t[]){4, 2});
	init_floats(w, "zero", 2, zero);
	body_begin(b);
	node(&b->w, "Add", "s e", "t");
	node(&b->w, "Identity", "t", "u");
	node(w, "Scan", "zero x", "y")->name = (char *)"my_scan";
	attr(w, "body")->g = body_end(b, 2, in, 2, out);
	attr_int(w, "num_scan_inputs", 1);
	if (*backward)
		attr_ints(w, "scan_input_directions", 1, backward);
	w->node[0].n_output = 2;
	w->names[0][3] = (char *)"last";
	w->names[0][4] = (char *)"y";
	w->node[0].output = &w->names[0][3];
}

static void scan_is_written_out(void **state)
{
	static const float x[] = {1, 10, 2, 20, 3, 30, 4, 40};
	static const float sums[] = {1, 10, 3, 30, 6, 60, 10, 100};
	static const float back[] = {4, 40, 7, 70, 9, 90, 10, 100};
	int64_t backward = 0;
	struct writer w;
	struct body b;

	(void)state;
	write_scan(&w, &b, &backward);
	expect(&w, x, sums, 8);
	backward = 1;
	write_scan(&w, &b, &backward);
	expect(&w, x, back, 8);
	b.w.graph.n_input = 1;
	refused(&w, EINVAL, "my_scan", "match");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(if_takes_its_branch),
		cmocka_unit_test(computed_conditions_are_refused_with_advice),
		cmocka_unit_test(loop_is_written_out),
		cmocka_unit_test(scan_is_written_out),
	};

	return cmocka_run_group_tests_name("onnx-flow", tests, NULL, NULL);
}
