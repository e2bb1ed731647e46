/* SPDX-License-Identifier: MIT */
/* An imported network, made trainable, computes what it did; its channels are sorted and grouped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef HAVE_OPENBLAS
#include "engine/run/run.h"
#include "tools/neap/train/random.h"
#include "tools/neap/train/tape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE    6
#define CLASSES 4
#define BATCH   5u

static const char recipe_text[] = "[data]\ntrain = a\ntest = b\n"
				  "[network]\ninput = f32 6x6x3\nimport = none.onnx\n"
				  "[widths]\nfractions = 1 0.5\n";

static struct rng rng;

static uint32_t add_const(struct ne_graph *g, const char *name, uint32_t rank, const int32_t *dim)
{
	struct ne_shape s = {.rank = rank};
	size_t n;
	float *v;
	int id;

	memcpy(s.dim, dim, rank * sizeof(*dim));
	n = ne_shape_elements(&s);
	v = malloc(n * sizeof(*v));
	for (size_t i = 0; i < n; i++)
		v[i] = rng_between(&rng, -0.5f, 0.5f);
	id = ne_graph_add_const(g, name, NE_F32, &s, v);
	assert_true(id >= 0);
	return (uint32_t)id;
}

static uint32_t add_tensor(struct ne_graph *g, const char *name, uint32_t rank, const int32_t *dim)
{
	struct ne_shape s = {.rank = rank};
	int id;

	memcpy(s.dim, dim, rank * sizeof(*dim));
	id = ne_graph_add_tensor(g, name, NE_F32, &s);
	assert_true(id >= 0);
	return (uint32_t)id;
}

static uint32_t add_conv(struct ne_graph *g, const char *name, uint32_t x, int32_t ic, int act)
{
	struct ne_attr a = {.groups = 1, .act = act};
	uint32_t in[3] = {x}, y;

	a.window = (struct ne_window){3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
	in[1] = add_const(g, "w", 4, (int32_t[]){16, 3, 3, ic});
	in[2] = add_const(g, "b", 1, (int32_t[]){16});
	y = add_tensor(g, name, 4, (int32_t[]){1, SIDE, SIDE, 16});
	assert_true(ne_graph_add_node(g, NE_OP_CONV, name, 3, in, 1, &y, &a) >= 0);
	return y;
}

/* relu(conv(c) + c), c = relu(conv(x)), then pool, dense, softmax: as an importer leaves it. */
static struct ne_model *make_model(void)
{
	struct ne_model *m = ne_model_new();
	struct ne_graph *g = &m->graph;
	struct ne_attr none = {0}, relu = {.act = NE_ACT_RELU}, axis = {.axis = 1};
	uint32_t x = add_tensor(g, "x", 4, (int32_t[]){1, SIDE, SIDE, 3}), in[3], y;
	struct ne_error err = {{0}};

	assert_true(ne_graph_add_input(g, x) >= 0);
	in[0] = add_conv(g, "one", x, 3, NE_ACT_RELU);
	in[1] = add_conv(g, "two", in[0], 16, NE_ACT_NONE);
	y = add_tensor(g, "sum", 4, (int32_t[]){1, SIDE, SIDE, 16});
	assert_true(ne_graph_add_node(g, NE_OP_ADD, "sum", 2, in, 1, &y, &relu) >= 0);
	in[0] = y;
	y = add_tensor(g, "pool", 2, (int32_t[]){1, 16});
	assert_true(ne_graph_add_node(g, NE_OP_GLOBALPOOL, "pool", 1, in, 1, &y, &none) >= 0);
	in[0] = y;
	in[1] = add_const(g, "dw", 2, (int32_t[]){CLASSES, 16});
	in[2] = add_const(g, "db", 1, (int32_t[]){CLASSES});
	y = add_tensor(g, "logits", 2, (int32_t[]){1, CLASSES});
	assert_true(ne_graph_add_node(g, NE_OP_DENSE, "logits", 3, in, 1, &y, &none) >= 0);
	in[0] = y;
	y = add_tensor(g, "p", 2, (int32_t[]){1, CLASSES});
	assert_true(ne_graph_add_node(g, NE_OP_SOFTMAX, "p", 1, in, 1, &y, &axis) >= 0);
	assert_true(ne_graph_add_exit(g, 1, &y) >= 0);
	if (ne_model_add_default_levels(m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

struct fixture {
	struct recipe r;
	struct ne_model *m;
	struct network n;
	float *theta;
};

static void open_fixture(struct fixture *f)
{
	struct ne_error err = {{0}};

	rng = rng_make(1, RNG_INIT, 77);
	assert_int_equal(recipe_parse("test", recipe_text, &f->r, &err), 0);
	f->m = make_model();
	if (network_import(&f->r, f->m, &f->n, &err) < 0)
		fail_msg("%s", err.text);
	f->theta = malloc(f->n.n_theta * sizeof(float));
	network_init_theta(&f->n, f->n.active[0], 1, false, f->theta);
}

static void close_fixture(struct fixture *f)
{
	free(f->theta);
	network_done(&f->n);
	ne_model_free(f->m);
	recipe_done(&f->r);
}

static void test_same_function(void **state)
{
	struct fixture f;
	struct tape *t;
	struct tape_state s;
	struct ne_program *p;
	struct ne_context *c;
	struct ne_error err = {{0}};
	float x[BATCH * SIDE * SIDE * 3], got[BATCH * CLASSES], want[CLASSES];

	(void)state;
	open_fixture(&f);
	for (size_t i = 0; i < NE_ARRAY_SIZE(x); i++)
		x[i] = rng_between(&rng, -1.0f, 1.0f);
	assert_int_equal(f.n.n_class, CLASSES);
	assert_int_equal(tape_new(&f.n, f.n.active[0], 1, BATCH, &t, &err), 0);
	assert_int_equal(tape_state_new(&f.n, &t, 1, &s), 0);
	tape_adopt_norms(t, &s, f.theta, x, BATCH);
	tape_forward(t, &s, TAPE_TRAIN, f.theta, x, BATCH);
	op_softmax(BATCH, CLASSES, tape_logits(t, &s, 0), 1.0f, got);
	assert_int_equal(ne_program_new(f.m, NULL, &p, &err), 0);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	for (uint32_t i = 0; i < BATCH; i++) {
		const void *in = x + (size_t)i * SIDE * SIDE * 3;
		void *out = want;
		struct ne_result result;

		assert_int_equal(ne_run(p, c, 0, &in, &out, NULL, &result), 0);
		for (uint32_t k = 0; k < CLASSES; k++)
			assert_true(fabsf(want[k] - got[i * CLASSES + k]) < 2e-3f);
	}
	ne_context_free(c);
	ne_program_free(p);
	tape_state_done(&s);
	tape_free(t);
	close_fixture(&f);
}

/* The sum ties both convolutions to one group, whose channels fall in importance. */
static void test_groups_and_order(void **state)
{
	struct fixture f;
	double sum[16] = {0};

	(void)state;
	open_fixture(&f);
	assert_int_equal(f.n.graph.n_group, 1);
	assert_int_equal(f.n.active[1][1], 8);
	for (uint32_t i = 0; i < f.n.graph.n_node; i++) {
		const struct ne_node *n = &f.n.graph.node[i];
		const struct ne_tensor *w = &f.n.graph.tensor[n->in[n->n_in > 1]];
		const float *v = w->data;

		if (n->op != NE_OP_CONV)
			continue;
		for (size_t k = 0; k < ne_shape_elements(&w->shape); k++)
			sum[k / (ne_shape_elements(&w->shape) / 16)] += fabs((double)v[k]);
	}
	assert_true(sum[0] > sum[15]);
	for (int i = 1; i < 16; i++)
		assert_true(sum[i - 1] >= sum[i] - 1e-6);
	close_fixture(&f);
}

static void test_refuses_another_input(void **state)
{
	struct recipe r;
	struct network n;
	struct ne_model *m;
	struct ne_error err = {{0}};

	(void)state;
	rng = rng_make(1, RNG_INIT, 77);
	m = make_model();
	assert_int_equal(recipe_parse("test",
				      "[data]\ntrain = a\ntest = b\n[network]\n"
				      "input = f32 5x6x3\nimport = none.onnx\n",
				      &r, &err),
			 0);
	assert_int_equal(network_import(&r, m, &n, &err), -EINVAL);
	assert_non_null(strstr(err.text, "one"));
	recipe_done(&r);
	ne_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_function),
		cmocka_unit_test(test_groups_and_order),
		cmocka_unit_test(test_refuses_another_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
#include <stdio.h>

int main(void)
{
	puts("skipped: built without OpenBLAS");
	return 77;
}
#endif
