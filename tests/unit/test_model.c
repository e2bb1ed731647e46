/* SPDX-License-Identifier: MIT */
/* Models: notes, default levels, work counted, and what the check refuses beyond the graph. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/run/run.h"
#include "tests/unit/random_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_notes(void **state)
{
	struct ne_model *m = ne_model_new();

	(void)state;
	assert_null(ne_model_get_note(m, "licence"));
	assert_int_equal(ne_model_set_note(m, "licence", "MIT"), 0);
	assert_int_equal(ne_model_set_note(m, "data_set", "mnist"), 0);
	assert_int_equal(ne_model_set_note(m, "licence", "CC0"), 0);
	assert_string_equal(ne_model_get_note(m, "licence"), "CC0");
	assert_int_equal(m->n_note, 2);
	assert_int_equal(ne_model_set_note(m, "", "x"), -EINVAL);
	ne_model_free(m);
	ne_model_free(NULL);
}

static struct ne_model *nested(uint64_t seed)
{
	struct rng r = {seed};
	struct random_options o = {true, 4, 3, 3, 0};

	return random_model(&r, &o);
}

static void test_levels(void **state)
{
	struct ne_model *m = nested(12);
	uint64_t macs = 0;

	(void)state;
	assert_int_equal(m->n_level, 9);
	for (uint32_t i = 0; i < m->n_level; i++) {
		const struct ne_level *l = &m->level[i];

		assert_true(l->macs >= macs);
		assert_true(l->macs == ne_model_macs(m, l->depth, l->width));
		macs = l->macs;
	}
	assert_true(ne_model_macs(m, 2, 0) >= ne_model_macs(m, 2, 1));
	assert_int_equal(ne_model_macs(m, 9, 0), 0);
	ne_model_free(m);
}

/* One convolution of known size: 16 outputs of 3x3 over 3 channels at 10x10. */
static void test_macs(void **state)
{
	struct ne_model *m = ne_model_new();
	struct ne_graph *g = &m->graph;
	struct ne_shape xs = {.rank = 4, .dim = {1, 12, 12, 3}};
	struct ne_shape ys = {.rank = 4, .dim = {1, 10, 10, 16}};
	struct ne_shape ws = {.rank = 4, .dim = {16, 3, 3, 3}};
	struct ne_attr a = {.window = {3, 3, 1, 1, 1, 1, 0, 0, 0, 0}, .groups = 1};
	struct ne_error err;
	uint32_t in[2], y;

	(void)state;
	in[0] = (uint32_t)ne_graph_add_tensor(g, "x", NE_F32, &xs);
	in[1] = (uint32_t)ne_graph_add_const(g, "w", NE_F32, &ws, calloc(432, 4));
	y = (uint32_t)ne_graph_add_tensor(g, "y", NE_F32, &ys);
	ne_graph_add_input(g, in[0]);
	ne_graph_add_node(g, NE_OP_CONV, "c", 2, in, 1, &y, &a);
	ne_graph_add_exit(g, 1, &y);
	assert_int_equal(ne_model_add_default_levels(m, &err), 0);
	assert_int_equal(ne_model_check(m, &err), 0);
	assert_int_equal(m->n_level, 1);
	assert_int_equal(m->level[0].macs, 100 * 16 * 27);
	assert_int_equal(ne_model_channels(m, 0, y), 16);
	ne_model_free(m);
}

static void damage(struct ne_model *m, int which)
{
	struct ne_width *w = &m->width[1];

	switch (which) {
	case 0:
		w->active[1] = 0;
		break;
	case 1:
		w->active[1] = m->graph.group_channels[1] + 8;
		break;
	case 2:
		w->active[1] = -8;
		break;
	case 3:
		for (uint32_t i = 0; i < m->graph.n_node; i++)
			w->quant[m->graph.node[i].out[0]].scale = 0;
		break;
	case 4:
		w->quant[m->graph.in[0]].scale = NAN;
		break;
	case 5:
		w->quant[m->graph.node[0].out[0]].zero = 300;
		break;
	case 6:
		w->norm[0].n++;
		break;
	case 7:
		w->norm[0].scale[0] = INFINITY;
		break;
	case 8:
		m->level[0].depth = 3;
		break;
	case 9:
		m->level[0].width = 3;
		break;
	case 10:
		m->level[0].macs = UINT64_MAX;
		break;
	case 11:
		m->level[0].flags = 0;
		break;
	case 12:
		m->level[1].accuracy = NAN;
		break;
	case 13:
		m->confidence = 2;
		break;
	case 14:
		m->n_level = 0;
		break;
	case 15:
		m->n_norm = 0;
		break;
	default:
		m->n_width = 2;
	}
}

static void test_damaged(void **state)
{
	(void)state;
	for (int i = 0; i <= 16; i++) {
		struct ne_model *m = nested(12);
		struct ne_error err = {""};
		struct ne_program *p = NULL;
		uint32_t norms = m->n_norm, widths = m->n_width;

		assert_true(m->n_norm > 0 && m->graph.n_group > 0);
		damage(m, i);
		if (ne_model_check(m, &err) != -EINVAL)
			fail_msg("damage %d passed", i);
		assert_true(strlen(err.text) > 10);
		/* nothing that fails the check becomes a program */
		assert_true(ne_program_new(m, NULL, &p, NULL) < 0);
		assert_null(p);
		if (i == 6)
			m->width[1].norm[0].n--;
		m->n_norm = norms;
		m->n_width = widths;
		ne_model_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_macs),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
