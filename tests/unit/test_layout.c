/* SPDX-License-Identifier: MIT */
/*
 * Layout: random graphs of general operators with transposes strewn among them give the same values
 * before the rewrites, where each node works on the layout that it was written for, and after them,
 * where the transposes have moved and the axes with them. NEAP_SEED repeats one seed.
 */
#include "tests/unit/reference.h"
#include "tests/unit/run_graph.h"

#include "tools/neap/compress/rewrite/rewrite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS   500
#define LENGTH   9    /* nodes strewn in a graph */
#define ELEMENTS 3000 /* beyond which nothing grows */

static const struct ne_attr plain = {
	.window = {.kh = 1, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1},
	.groups = 1,
};

static const struct ne_shape *shape_at(const struct ne_graph *g, uint32_t t)
{
	return &g->tensor[t].shape;
}

static uint32_t transposed(struct rng *r, struct ne_graph *g, uint32_t x)
{
	int32_t perm[NE_MAX_RANK] = {0, 1, 2, 3, 4, 5};

	for (uint32_t i = shape_at(g, x)->rank; i-- > 1;) {
		uint32_t k = rng_below(r, i + 1);
		int32_t t = perm[i];

		perm[i] = perm[k];
		perm[k] = t;
	}
	return b_transpose(g, x, perm);
}

/* A constant that broadcasts against @x: some axes 1, some leading ones left out. */
static uint32_t operand(struct rng *r, struct ne_graph *g, uint32_t x)
{
	struct ne_shape s = *shape_at(g, x), k = {0};
	uint32_t drop = rng_below(r, s.rank + 1);

	for (uint32_t i = drop; i < s.rank; i++)
		k.dim[k.rank++] = rng_below(r, 2) ? s.dim[i] : 1;
	return b_const(g, k, -2, 2);
}

static uint32_t binary(struct ne_graph *g, int32_t kind, uint32_t a, uint32_t b)
{
	struct ne_attr attr = plain;

	attr.kind = kind;
	return B_NODE(g, NE_OP_BINARY, &attr, a, b);
}

static uint32_t reduced(struct rng *r, struct ne_graph *g, uint32_t x)
{
	static const int32_t kinds[] = {NE_REDUCE_SUM, NE_REDUCE_MEAN, NE_REDUCE_MAX, NE_REDUCE_MIN,
					NE_REDUCE_L1};
	struct ne_attr attr = plain;

	attr.kind = kinds[rng_below(r, NE_ARRAY_SIZE(kinds))];
	attr.axes = 1 + rng_below(r, (1u << shape_at(g, x)->rank) - 1);
	return B_NODE(g, NE_OP_REDUCE, &attr, x);
}

static uint32_t sliced(struct rng *r, struct ne_graph *g, uint32_t x)
{
	struct ne_attr attr = plain;

	for (uint32_t i = 0; i < shape_at(g, x)->rank; i++) {
		int32_t length = shape_at(g, x)->dim[i],
			n = rng_between(r, (length + 1) / 2, length);

		attr.slice.begin[i] = rng_between(r, 0, length - n);
		attr.slice.size[i] = n;
		attr.slice.step[i] = 1;
		if (rng_below(r, 2)) {
			attr.slice.begin[i] += n - 1;
			attr.slice.step[i] = -1;
		}
	}
	return B_NODE(g, NE_OP_SLICE, &attr, x);
}

static uint32_t picked(struct rng *r, struct ne_graph *g, uint32_t x)
{
	uint32_t in[1 + NE_MAX_RANK] = {x}, rank = shape_at(g, x)->rank;
	struct ne_attr attr = plain;

	attr.value = 0.5f;
	for (uint32_t i = 0; i < rank; i++) {
		int32_t n = rng_between(r, 1, 5), *at;
		struct ne_shape s = {.rank = 1, .dim = {n}};
		int id;

		in[1 + i] = NE_NONE;
		if (rng_below(r, 2))
			continue;
		at = malloc((size_t)n * sizeof(*at));
		for (int32_t k = 0; k < n; k++)
			at[k] = rng_between(r, -1, shape_at(g, x)->dim[i] - 1);
		id = ne_graph_add_const(g, "at", NE_S32, &s, at);
		assert_true(id >= 0);
		in[1 + i] = (uint32_t)id;
	}
	return b_node(g, NE_OP_PICK, &attr, 1 + rank, in);
}

static uint32_t padded(struct rng *r, struct ne_graph *g, uint32_t x)
{
	uint32_t rank = shape_at(g, x)->rank;
	struct ne_attr attr = plain;

	attr.value = -1;
	for (uint32_t i = 0; i < 2 * rank; i++)
		attr.pad[i] = rng_between(r, 0, 1);
	return B_NODE(g, NE_OP_PAD, &attr, x);
}

static uint32_t chosen(struct rng *r, struct ne_graph *g, uint32_t x)
{
	uint32_t less = binary(g, NE_BINARY_LESS, x, operand(r, g, x));
	struct ne_attr attr = plain;

	g->tensor[less].dtype = NE_BOOL;
	return B_NODE(g, NE_OP_WHERE, &attr, less, x, operand(r, g, x));
}

static uint32_t strewn(struct rng *r, struct ne_graph *g, uint32_t x)
{
	struct ne_attr attr = plain;
	uint32_t y;

	switch (rng_below(r, 12)) {
	case 0:
		attr.kind = rng_below(r, 2) ? NE_UNARY_LEAKYRELU : NE_UNARY_ABS;
		attr.value = 0.2f;
		return B_NODE(g, NE_OP_UNARY, &attr, x);
	case 1:
		return binary(g, rng_below(r, 2) ? NE_BINARY_MAX : NE_BINARY_SUB, x,
			      operand(r, g, x));
	case 2:
		return binary(g, NE_BINARY_SUB, operand(r, g, x), x);
	case 3: /* what a normalisation does */
		return binary(g, NE_BINARY_SUB, x, reduced(r, g, x));
	case 4:
		return reduced(r, g, x);
	case 5:
		return sliced(r, g, x);
	case 6:
		return ne_shape_elements(shape_at(g, x)) < ELEMENTS / 8 ? picked(r, g, x)
									: sliced(r, g, x);
	case 7:
		return ne_shape_elements(shape_at(g, x)) < ELEMENTS / 8 ? padded(r, g, x)
									: sliced(r, g, x);
	case 8:
		return chosen(r, g, x);
	case 9:
		attr.axis = (int32_t)rng_below(r, shape_at(g, x)->rank);
		return B_NODE(g, NE_OP_SOFTMAX, &attr, x);
	case 10:
		attr.axis = (int32_t)rng_below(r, shape_at(g, x)->rank);
		y = binary(g, NE_BINARY_MUL, x, operand(r, g, x));
		return ne_shape_elements(shape_at(g, x)) < ELEMENTS
			       ? B_NODE(g, NE_OP_CONCAT, &attr, x, y)
			       : y;
	default:
		attr.window.kw = 1;
		return shape_at(g, x)->dim[0] == 1 ? b_conv(g, x, rng_between(r, 1, 4), 1, 1, 0)
						   : B_NODE(g, NE_OP_ADD, &attr, x, x);
	}
}

static uint32_t count(const struct ne_graph *g, enum ne_op op)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n_node; i++)
		n += g->node[i].op == op;
	return n;
}

static void rewrites_keep_the_values(void **state)
{
	const char *s = getenv("NEAP_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : 1, rounds = s ? 1 : ROUNDS;
	uint32_t before = 0, after = 0;

	(void)state;
	for (; rounds--; seed++) {
		struct rng r = {seed * 2654435761u + 3};
		struct ne_error err = {""};
		struct ne_model *a, *b;
		struct ne_graph g;
		size_t n_a, n_b;
		float *y_a, *y_b;
		uint32_t x;

		ne_graph_init(&g);
		x = b_input(&g, SHAPE(1, rng_between(&r, 2, 5), rng_between(&r, 2, 5),
				      rng_between(&r, 1, 4)));
		for (int i = 0; i < LENGTH; i++) {
			x = rng_below(&r, 2) ? transposed(&r, &g, x) : x;
			x = strewn(&r, &g, x);
		}
		b_exit(&g, transposed(&r, &g, x));
		a = model_of_graph(&g);
		before += count(&g, NE_OP_TRANSPOSE);
		if (rewrite_graph(&g, &err) < 0)
			fail_msg("seed %llu: %s", (unsigned long long)seed, err.text);
		after += count(&g, NE_OP_TRANSPOSE);
		b = model_of_graph(&g);
		y_a = run_random(a, (unsigned)seed, &n_a);
		y_b = run_random(b, (unsigned)seed, &n_b);
		assert_int_equal(n_a, n_b);
		for (size_t i = 0; i < n_a; i++)
			if (!(y_a[i] - y_b[i] < 1e-3f && y_b[i] - y_a[i] < 1e-3f))
				fail_msg("seed %llu: value %zu is %g, was %g",
					 (unsigned long long)seed, i, (double)y_b[i],
					 (double)y_a[i]);
		free(y_a);
		free(y_b);
		ne_model_free(a);
		ne_model_free(b);
		ne_graph_done(&g);
	}
	print_message("%u transposes before, %u after\n", before, after);
	assert_true(s || after * 2 < before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewrites_keep_the_values),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
