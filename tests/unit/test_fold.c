/* SPDX-License-Identifier: MIT */
/* Each rewrite finds what it is for, and the outputs stay what they were. */
#include "tests/unit/run_graph.h"

#include "tools/neap/compress/rewrite/rewrite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int32_t to_nhwc[] = {0, 2, 3, 1}, to_nchw[] = {0, 3, 1, 2};

static uint32_t count(const struct ne_graph *g, enum ne_op op)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n_node; i++)
		n += g->node[i].op == op;
	return n;
}

/* Rewrites a copy (by @name, or by the whole table) and compares outputs; the copy is returned. */
static struct ne_graph rewritten(const struct ne_graph *g, const char *name)
{
	struct ne_model *before = model_of_graph(g), *after;
	struct ne_error err = {""};
	struct ne_graph copy;
	size_t n, m;
	float *a, *b;
	int r;

	ne_graph_init(&copy);
	assert_int_equal(ne_graph_copy(&copy, g), 0);
	r = name ? rewrite_graph_with(&copy, name, &err) : rewrite_graph(&copy, &err);
	if (r < 0)
		fail_msg("%s", err.text);
	after = model_of_graph(&copy);
	a = run_random(before, 7, &n);
	b = run_random(after, 7, &m);
	assert_int_equal(n, m);
	assert_close(a, b, n, 1e-5f);
	assert_string_equal(before->graph.tensor[before->graph.exit[0].out[0]].name,
			    after->graph.tensor[after->graph.exit[0].out[0]].name);
	free(a);
	free(b);
	ne_model_free(before);
	ne_model_free(after);
	return copy;
}

static void batchnorm_folds_into_conv_and_dense(void **state)
{
	struct ne_graph g, r;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 6, 5, 3));
	x = b_batchnorm(&g, b_conv(&g, x, 7, 3, 1, 1));
	x = B_NODE(&g, NE_OP_GLOBALPOOL, NULL, x);
	x = b_batchnorm(&g, b_dense(&g, x, 4));
	b_exit(&g, x);
	r = rewritten(&g, "batchnorm");
	assert_int_equal(count(&r, NE_OP_BATCHNORM), 0);
	assert_int_equal(r.n_node, 3);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void batchnorm_alone_becomes_depthwise(void **state)
{
	struct ne_graph g, r;
	uint32_t x, y;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 4, 4, 6));
	x = b_batchnorm(&g, x);
	y = b_conv(&g, x, 6, 3, 1, 1);
	x = B_NODE(&g, NE_OP_ADD, NULL, b_batchnorm(&g, y), y);     /* y has two readers */
	x = b_batchnorm(&g, B_NODE(&g, NE_OP_GLOBALPOOL, NULL, x)); /* rank 2 */
	b_exit(&g, x);
	r = rewritten(&g, "batchnorm-alone");
	assert_int_equal(count(&r, NE_OP_BATCHNORM), 0);
	assert_int_equal(count(&r, NE_OP_DWCONV), 3);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void affine_constants_fold(void **state)
{
	struct ne_graph g, r;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_conv(&g, b_input(&g, SHAPE(1, 5, 5, 2)), 4, 3, 1, 0);
	x = B_NODE(&g, NE_OP_MUL, NULL, x, b_const(&g, SHAPE(1, 1, 1, 4), 0.5f, 2));
	x = B_NODE(&g, NE_OP_ADD, NULL, b_const(&g, SHAPE(4), -1, 1), x);
	x = B_NODE(&g, NE_OP_MUL, NULL, x, b_const(&g, SHAPE(1), 2, 3));
	b_exit(&g, x);
	r = rewritten(&g, "affine");
	assert_int_equal(r.n_node, 1);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void affine_along_height_stays(void **state)
{
	struct ne_graph g, r;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_conv(&g, b_input(&g, SHAPE(1, 4, 4, 2)), 4, 1, 1, 0);
	x = B_NODE(&g, NE_OP_MUL, NULL, x, b_const(&g, SHAPE(1, 4, 1, 1), 0.5f, 2));
	b_exit(&g, x);
	r = rewritten(&g, "affine");
	assert_int_equal(r.n_node, 2);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void activations_fuse(void **state)
{
	struct ne_graph g, r;
	uint32_t x, y;

	(void)state;
	ne_graph_init(&g);
	x = b_conv(&g, b_input(&g, SHAPE(1, 5, 5, 2)), 4, 3, 1, 1);
	x = B_NODE(&g, NE_OP_RELU, NULL, x);
	y = b_conv(&g, x, 4, 3, 1, 1);
	x = B_NODE(&g, NE_OP_RELU6, NULL, B_NODE(&g, NE_OP_ADD, NULL, x, y));
	y = b_conv(&g, x, 4, 1, 1, 0);
	x = B_NODE(&g, NE_OP_ADD, NULL, y, B_NODE(&g, NE_OP_RELU, NULL, y)); /* y read twice */
	b_exit(&g, x);
	r = rewritten(&g, "activation");
	assert_int_equal(count(&r, NE_OP_RELU), 1);
	assert_int_equal(count(&r, NE_OP_RELU6), 0);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

/* A transpose pair between convolution and batch norm must go first, or the norm stays behind. */
static void batchnorm_waits_for_transposes(void **state)
{
	struct ne_graph g, r;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_conv(&g, b_input(&g, SHAPE(1, 4, 4, 3)), 5, 3, 1, 1);
	x = b_transpose(&g, b_transpose(&g, x, to_nchw), to_nhwc);
	b_exit(&g, B_NODE(&g, NE_OP_RELU, NULL, b_batchnorm(&g, x)));
	r = rewritten(&g, NULL);
	assert_int_equal(r.n_node, 1);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

/* As an importer of NCHW writes a residual block, a concat, a pad, a softmax over channels. */
static void transposes_cancel(void **state)
{
	struct ne_attr concat = {.groups = 1, .axis = 1}, softmax = {.groups = 1, .axis = 1};
	struct ne_attr pad = {.groups = 1, .pad = {0, 0, 1, 2, 0, 0, 1, 0}};
	struct ne_graph g, r;
	uint32_t x, y;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 3, 6, 7));
	x = b_conv(&g, b_transpose(&g, x, to_nhwc), 5, 3, 1, 1);
	x = B_NODE(&g, NE_OP_RELU, NULL, b_transpose(&g, x, to_nchw));
	y = b_conv(&g, b_transpose(&g, x, to_nhwc), 5, 3, 1, 1);
	y = B_NODE(&g, NE_OP_ADD, NULL, b_transpose(&g, y, to_nchw), x);
	y = B_NODE(&g, NE_OP_MUL, NULL, y, b_const(&g, SHAPE(5, 1, 1), 0.5f, 2));
	y = B_NODE(&g, NE_OP_CONCAT, &concat, x, y);
	y = B_NODE(&g, NE_OP_PAD, &pad, y);
	y = b_conv(&g, b_transpose(&g, y, to_nhwc), 4, 3, 2, 0);
	y = B_NODE(&g, NE_OP_SOFTMAX, &softmax, b_transpose(&g, y, to_nchw));
	b_exit(&g, y);
	r = rewritten(&g, NULL);
	/* One at the declared input, one at the declared output: both are NCHW. */
	assert_int_equal(count(&r, NE_OP_TRANSPOSE), 2);
	assert_int_equal(count(&r, NE_OP_PAD), 0);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void one_channel_needs_no_transpose(void **state)
{
	struct ne_graph g, r;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 1, 8, 8));
	x = b_conv(&g, b_transpose(&g, x, to_nhwc), 4, 3, 1, 0);
	x = b_transpose(&g, x, to_nchw);
	x = B_NODE(&g, NE_OP_RELU, NULL, b_reshape(&g, x, SHAPE(1, 4 * 6 * 6)));
	x = b_dense(&g, x, 5);
	b_exit(&g, x);
	r = rewritten(&g, NULL);
	assert_int_equal(count(&r, NE_OP_TRANSPOSE), 0);
	assert_int_equal(count(&r, NE_OP_RELU), 0);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void squeeze_and_excite_broadcast(void **state)
{
	struct ne_graph g, r;
	uint32_t x, s;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 3, 4, 4));
	x = b_transpose(&g, b_conv(&g, b_transpose(&g, x, to_nhwc), 6, 3, 1, 1), to_nchw);
	s = B_NODE(&g, NE_OP_GLOBALPOOL, NULL, b_transpose(&g, x, to_nhwc));
	s = B_NODE(&g, NE_OP_SIGMOID, NULL, b_reshape(&g, s, SHAPE(1, 6, 1, 1)));
	x = B_NODE(&g, NE_OP_MUL, NULL, x, s);
	x = B_NODE(&g, NE_OP_GLOBALPOOL, NULL, b_transpose(&g, x, to_nhwc));
	b_exit(&g, x);
	r = rewritten(&g, NULL);
	assert_int_equal(count(&r, NE_OP_TRANSPOSE), 1);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void dense_takes_flattened_nchw(void **state)
{
	struct ne_graph g, r;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_conv(&g, b_input(&g, SHAPE(1, 5, 4, 2)), 3, 3, 1, 1);
	x = b_reshape(&g, b_transpose(&g, x, to_nchw), SHAPE(1, 60));
	b_exit(&g, b_dense(&g, x, 7));
	r = rewritten(&g, "flatten");
	assert_int_equal(count(&r, NE_OP_TRANSPOSE), 0);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static uint32_t scalar(struct ne_graph *g, float v)
{
	return b_const(g, SHAPE(1), v, v);
}

static void hardswish_is_found(void **state)
{
	struct ne_graph g, r;
	uint32_t x, y;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 3, 3, 4));
	y = B_NODE(&g, NE_OP_RELU6, NULL, B_NODE(&g, NE_OP_ADD, NULL, x, scalar(&g, 3)));
	x = B_NODE(&g, NE_OP_MUL, NULL, x, B_NODE(&g, NE_OP_MUL, NULL, y, scalar(&g, 1.0f / 6)));
	x = b_conv(&g, x, 4, 1, 1, 0);
	y = B_NODE(&g, NE_OP_RELU6, NULL, B_NODE(&g, NE_OP_ADD, NULL, scalar(&g, 3), x));
	x = B_NODE(&g, NE_OP_MUL, NULL, B_NODE(&g, NE_OP_MUL, NULL, y, x), scalar(&g, 1.0f / 6));
	b_exit(&g, x);
	r = rewritten(&g, "hardswish");
	assert_int_equal(count(&r, NE_OP_HARDSWISH), 2);
	assert_int_equal(r.n_node, 3);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void another_gate_is_no_hardswish(void **state)
{
	struct ne_graph g, r;
	uint32_t x, y;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 3, 3, 4));
	y = B_NODE(&g, NE_OP_RELU6, NULL, B_NODE(&g, NE_OP_ADD, NULL, x, scalar(&g, 2)));
	x = B_NODE(&g, NE_OP_MUL, NULL, x, B_NODE(&g, NE_OP_MUL, NULL, y, scalar(&g, 1.0f / 6)));
	b_exit(&g, x);
	r = rewritten(&g, "hardswish");
	assert_int_equal(count(&r, NE_OP_HARDSWISH), 0);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void constants_are_computed(void **state)
{
	struct ne_graph g, r;
	uint32_t x, k;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 4, 3));
	k = b_transpose(&g, b_const(&g, SHAPE(3, 4), -1, 1), (const int32_t[]){1, 0});
	k = B_NODE(&g, NE_OP_MUL, NULL, k, b_const(&g, SHAPE(4, 1), -1, 1));
	k = B_NODE(&g, NE_OP_TANH, NULL, b_reshape(&g, k, SHAPE(1, 4, 3)));
	b_exit(&g, B_NODE(&g, NE_OP_ADD, NULL, x, k));
	r = rewritten(&g, "constant");
	assert_int_equal(r.n_node, 1);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void identities_go(void **state)
{
	struct ne_attr concat = {.groups = 1, .axis = 3};
	struct ne_graph g, r;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 4, 4, 3));
	x = b_reshape(&g, x, SHAPE(1, 4, 4, 3));
	x = b_transpose(&g, b_conv(&g, x, 2, 3, 1, 0), (const int32_t[]){0, 1, 2, 3});
	x = b_reshape(&g, b_reshape(&g, x, SHAPE(1, 8)), SHAPE(1, 2, 2, 2));
	x = B_NODE(&g, NE_OP_CONCAT, &concat, x);
	b_exit(&g, x);
	r = rewritten(&g, NULL);
	assert_int_equal(r.n_node, 1);
	ne_graph_done(&g);
	ne_graph_done(&r);
}

static void groups_and_unknown_names_are_refused(void **state)
{
	struct ne_error err = {""};
	struct ne_graph g;

	(void)state;
	ne_graph_init(&g);
	b_exit(&g, b_conv(&g, b_input(&g, SHAPE(1, 4, 4, 3)), 2, 3, 1, 0));
	assert_int_equal(rewrite_graph_with(&g, "no such", &err), -ENOENT);
	assert_non_null(strstr(err.text, "no such"));
	assert_true(ne_graph_add_group(&g, 8) > 0);
	assert_int_equal(rewrite_graph(&g, &err), -EINVAL);
	ne_graph_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batchnorm_folds_into_conv_and_dense),
		cmocka_unit_test(batchnorm_alone_becomes_depthwise),
		cmocka_unit_test(batchnorm_waits_for_transposes),
		cmocka_unit_test(affine_constants_fold),
		cmocka_unit_test(affine_along_height_stays),
		cmocka_unit_test(activations_fuse),
		cmocka_unit_test(transposes_cancel),
		cmocka_unit_test(one_channel_needs_no_transpose),
		cmocka_unit_test(squeeze_and_excite_broadcast),
		cmocka_unit_test(dense_takes_flattened_nchw),
		cmocka_unit_test(hardswish_is_found),
		cmocka_unit_test(another_gate_is_no_hardswish),
		cmocka_unit_test(constants_are_computed),
		cmocka_unit_test(identities_go),
		cmocka_unit_test(groups_and_unknown_names_are_refused),
	};

	return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
