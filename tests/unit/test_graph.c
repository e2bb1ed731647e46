/* SPDX-License-Identifier: MIT */
/* Graphs: builders, copying, compaction, and the refusal of what hostile files may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/model/graph.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t tensor(struct ne_graph *g, const char *name, struct ne_shape s)
{
	int id = ne_graph_add_tensor(g, name, NE_F32, &s);

	assert_true(id >= 0);
	return (uint32_t)id;
}

static uint32_t constant(struct ne_graph *g, struct ne_shape s)
{
	int id = ne_graph_add_const(g, "w", NE_F32, &s,
				    calloc(ne_shape_elements(&s), sizeof(float)));

	assert_true(id >= 0);
	return (uint32_t)id;
}

static struct ne_attr window(int k)
{
	return (struct ne_attr){.window = {k, k, 1, 1, 1, 1, 0, 0, 0, 0}, .groups = 1};
}

#define IMAGE(h, w, c) ((struct ne_shape){.rank = 4, .dim = {1, h, w, c}})

/* x -> conv (group) -> dwconv -> add with itself -> conv -> y */
struct sample {
	struct ne_graph g;
	uint32_t x, a, b, c, y;
	uint32_t group;
};

static void sample_init(struct sample *s)
{
	struct ne_graph *g = &s->g;
	struct ne_attr k3 = window(3), k1 = window(1);

	ne_graph_init(g);
	s->x = tensor(g, "x", IMAGE(8, 8, 3));
	s->group = (uint32_t)ne_graph_add_group(g, 16);
	s->a = tensor(g, "a", IMAGE(6, 6, 16));
	s->b = tensor(g, "b", IMAGE(4, 4, 16));
	s->c = tensor(g, "c", IMAGE(4, 4, 16));
	s->y = tensor(g, "y", IMAGE(4, 4, 2));
	g->tensor[s->a].group = g->tensor[s->b].group = g->tensor[s->c].group = s->group;
	assert_int_equal(ne_graph_add_input(g, s->x), 0);
	ne_graph_add_node(g, NE_OP_CONV, "first", 2,
			  (uint32_t[]){s->x, constant(g, IMAGE(3, 3, 3))}, 1, &s->a, &k3);
	g->tensor[g->node[0].in[1]].shape.dim[0] = 16;
	g->tensor[g->node[0].in[1]].bytes *= 16;
	free(g->tensor[g->node[0].in[1]].data);
	g->tensor[g->node[0].in[1]].data = calloc(1, g->tensor[g->node[0].in[1]].bytes);
	ne_graph_add_node(
		g, NE_OP_DWCONV, "second", 2,
		(uint32_t[]){s->a, constant(g, (struct ne_shape){.rank = 3, .dim = {3, 3, 16}})}, 1,
		&s->b, &k3);
	ne_graph_add_node(g, NE_OP_ADD, "third", 2, (uint32_t[]){s->b, s->b}, 1, &s->c, NULL);
	ne_graph_add_node(
		g, NE_OP_CONV, "last", 2,
		(uint32_t[]){s->c, constant(g, (struct ne_shape){.rank = 4, .dim = {2, 1, 1, 16}})},
		1, &s->y, &k1);
	assert_int_equal(ne_graph_add_exit(g, 1, &s->y), 0);
}

static void test_good(void **state)
{
	struct sample s;
	struct ne_error err = {""};
	struct ne_graph copy;

	(void)state;
	sample_init(&s);
	assert_int_equal(ne_graph_check(&s.g, &err), 0);
	assert_int_equal(ne_graph_copy(&copy, &s.g), 0);
	assert_int_equal(ne_graph_check(&copy, &err), 0);
	assert_ptr_not_equal(copy.tensor[4].name, s.g.tensor[4].name);
	ne_graph_done(&s.g);
	assert_int_equal(ne_graph_check(&copy, &err), 0);
	assert_string_equal(copy.node[2].name, "third");
	ne_graph_done(&copy);
}

/* Each damage makes the check fail, with a reason that names what it says. */
static void damage(struct sample *s, int which)
{
	struct ne_graph *g = &s->g;

	switch (which) {
	case 0:
		g->node[1].in[0] = 12345;
		break;
	case 1: /* two producers */
		g->node[2].out[0] = s->b;
		break;
	case 2: { /* order */
		struct ne_node n = g->node[0];

		g->node[0] = g->node[1];
		g->node[1] = n;
		break;
	}
	case 3: /* a cycle */
		g->node[1].in[0] = s->c;
		break;
	case 4:
		g->node[0].op = (enum ne_op)99;
		break;
	case 5:
		g->node[0].n_in = 1;
		break;
	case 6:
		g->tensor[s->c].shape.dim[1] = 5;
		break;
	case 7:
		g->tensor[s->c].shape.dim[2] = -4;
		break;
	case 8:
		g->tensor[s->x].shape.rank = 7;
		break;
	case 9:
		g->tensor[s->x].shape = IMAGE(1 << 20, 1 << 20, 3);
		break;
	case 10: /* group of one side only */
		g->tensor[s->b].group = NE_NO_GROUP;
		break;
	case 11:
		g->tensor[s->a].group = 7;
		break;
	case 12:
		g->group_channels[1] = 24;
		break;
	case 13:
		g->node[0].attr.window.sh = 0;
		break;
	case 14:
		g->node[0].attr.window.pad_left = -1;
		break;
	case 15:
		g->node[0].attr.groups = 0;
		break;
	case 16:
		g->tensor[g->node[0].in[1]].bytes -= 4;
		break;
	case 17:
		g->exit[0].out[0] = 500;
		break;
	case 18: /* outputs are never cut */
		g->exit[0].out[0] = s->c;
		break;
	case 19:
		g->in[0] = s->a;
		break;
	case 20:
		g->tensor[s->y].dtype = NE_S8;
		break;
	case 21:
		g->node[0].attr.act = 9;
		break;
	case 22:
		g->node[0].attr.window.dh = 1 << 24;
		break;
	case 23:
		g->tensor[s->x].dtype = (enum ne_dtype)77;
		break;
	case 24:
		g->node[3].n_out = 0;
		break;
	default: /* weights that nothing made */
		free(g->tensor[g->node[3].in[1]].data);
		g->tensor[g->node[3].in[1]].data = NULL;
	}
}

static void test_damaged(void **state)
{
	(void)state;
	for (int i = 0; i <= 25; i++) {
		struct sample s;
		struct ne_error err = {""};
		int r;

		sample_init(&s);
		damage(&s, i);
		r = ne_graph_check(&s.g, &err);
		if (r != -EINVAL && r != -E2BIG)
			fail_msg("damage %d: %d", i, r);
		assert_true(strlen(err.text) > 10);
		assert_true(ne_graph_check(&s.g, NULL) < 0);
		if (i == 5)
			s.g.node[0].n_in = 2;
		ne_graph_done(&s.g);
	}
}

/* Any field set to any of these: never a bad access (run under the sanitizers). */
static void test_scribbled(void **state)
{
	static const int32_t values[] = {0, -1, 1, 2, 7, 1 << 24, INT32_MAX, INT32_MIN};
	int refused = 0;

	(void)state;
	for (uint32_t n = 0; n < 4; n++)
		for (size_t f = 0; f < sizeof(struct ne_attr) / 4; f++)
			for (size_t v = 0; v < NE_ARRAY_SIZE(values); v++) {
				struct sample s;
				struct ne_error err;

				sample_init(&s);
				memcpy((char *)&s.g.node[n].attr + 4 * f, &values[v], 4);
				refused += ne_graph_check(&s.g, &err) < 0;
				ne_graph_done(&s.g);
			}
	assert_true(refused > 100);
}

static void test_compact(void **state)
{
	struct sample s;
	struct ne_error err = {""};
	struct ne_node n;
	uint32_t tensors, unused;
	struct ne_attr plain = window(1);

	(void)state;
	sample_init(&s);
	tensors = s.g.n_tensor;
	/* a node that no exit needs, a tensor that nothing uses, and the order turned round */
	unused = tensor(&s.g, "unused", IMAGE(4, 4, 16));
	s.g.tensor[unused].group = s.group;
	ne_graph_add_node(&s.g, NE_OP_RELU, "idle", 1, &s.c, 1, &unused, &plain);
	tensor(&s.g, "lost", IMAGE(1, 1, 1));
	n = s.g.node[0];
	s.g.node[0] = s.g.node[3];
	s.g.node[3] = n;
	n = s.g.node[1];
	s.g.node[1] = s.g.node[2];
	s.g.node[2] = n;
	assert_true(ne_graph_check(&s.g, &err) < 0);
	assert_int_equal(ne_graph_compact(&s.g, &err), 0);
	assert_int_equal(ne_graph_check(&s.g, &err), 0);
	assert_int_equal(s.g.n_node, 4);
	assert_int_equal(s.g.n_tensor, tensors);
	assert_string_equal(s.g.node[0].name, "first");
	assert_string_equal(s.g.node[3].name, "last");
	/* a cycle is refused and nothing changes */
	s.g.node[1].in[0] = s.g.node[2].out[0];
	assert_int_equal(ne_graph_compact(&s.g, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cycle"));
	assert_int_equal(s.g.n_node, 4);
	ne_graph_done(&s.g);
}

static void test_builders(void **state)
{
	struct ne_graph g;
	struct ne_shape none = {.rank = 1, .dim = {0}}, one = {.rank = 1, .dim = {1}};
	uint32_t bad = 9, t;

	(void)state;
	ne_graph_init(&g);
	assert_int_equal(ne_graph_add_tensor(&g, "t", NE_F32, &none), -EINVAL);
	assert_int_equal(ne_graph_add_tensor(&g, "t", (enum ne_dtype)0, &one), -EINVAL);
	assert_int_equal(ne_graph_add_const(&g, "t", NE_F32, &none, malloc(4)), -EINVAL);
	assert_int_equal(ne_graph_add_input(&g, 0), -EINVAL);
	t = tensor(&g, NULL, one);
	assert_string_equal(g.tensor[t].name, "");
	assert_int_equal(ne_graph_add_node(&g, NE_OP_RELU, "n", 1, &bad, 1, &t, NULL), -EINVAL);
	assert_int_equal(ne_graph_add_node(&g, (enum ne_op)0, "n", 1, &t, 1, &t, NULL), -EINVAL);
	assert_int_equal(ne_graph_add_exit(&g, 1, &bad), -EINVAL);
	assert_int_equal(ne_graph_add_exit(&g, 0, NULL), -EINVAL);
	assert_int_equal(ne_graph_add_group(&g, 0), -EINVAL);
	for (uint32_t i = 0; i < NE_MAX_EXITS; i++)
		assert_int_equal(ne_graph_add_exit(&g, 1, &t), i);
	assert_int_equal(ne_graph_add_exit(&g, 1, &t), -E2BIG);
	assert_int_equal(ne_graph_add_group(&g, 8), 1);
	assert_int_equal(ne_graph_add_group(&g, 16), 2);
	assert_int_equal(g.group_channels[2], 16);
	ne_graph_done(&g);
	assert_int_equal(g.n_tensor, 0);
}

static void test_names(void **state)
{
	(void)state;
	for (int i = 1; i <= NE_OP_LOGMEL; i++)
		assert_string_not_equal(ne_op_name((enum ne_op)i), "unknown");
	/* the numbers have gaps; no two operators have one name */
	for (int i = 1; i < NE_OP_COUNT; i++)
		for (int k = 1; k < i && ne_op_info((enum ne_op)i); k++)
			assert_string_not_equal(ne_op_name((enum ne_op)i),
						ne_op_name((enum ne_op)k));
	assert_string_equal(ne_op_name((enum ne_op)NE_OP_COUNT), "unknown");
	assert_string_equal(ne_dtype_name(NE_S16), "s16");
	assert_int_equal(ne_dtype_size(NE_S64), 8);
	assert_int_equal(ne_dtype_size((enum ne_dtype) - 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_scribbled), cmocka_unit_test(test_compact),
		cmocka_unit_test(test_builders),  cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
