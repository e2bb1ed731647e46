/* SPDX-License-Identifier: MIT */
/*
 * Packed weights that levels have of their own: which there are, that levels of one prefix share
 * them, that they stay within the budget (plan.h), and that answers are those of the shape alone
 * with and without them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/plan/plan.h"
#include "tests/unit/cut_model.h"
#include "tests/unit/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE    6 /* of the image: enough for winograd */
#define OUTPUTS 8

/* What a model is made of: 3x3 convolutions of 4 to c[0], c[0] to c[1] and c[1] to OUTPUTS. The last
 * one gives SIDE * SIDE pixels, or 1 where its stride is SIDE. */
struct nest {
	enum ne_dtype type;
	int32_t most; /* magnitude of an s8 weight; quads (AVX2) take small ones */
	int32_t c[2];
	uint32_t n_width;
	int32_t active[4][2];
	int32_t stride;
};

static uint32_t activation(struct ne_graph *g, enum ne_dtype type, int32_t side, int32_t c)
{
	const struct ne_shape s = {.rank = 4, .dim = {1, side, side, c}};
	const uint32_t t = (uint32_t)ne_graph_add_tensor(g, "t", type, &s);

	if (type == NE_S8)
		g->tensor[t].quant = (struct ne_quant){0.05f, 3};
	return t;
}

static uint32_t weights(struct ne_graph *g, struct rng *r, const struct nest *o, int32_t oc,
			int32_t ic)
{
	const enum ne_dtype type = o->type;

	const struct ne_shape s = {.rank = 4, .dim = {oc, 3, 3, ic}};
	const size_t n = ne_shape_elements(&s);
	int8_t *data = ne_alloc_aligned(n * ne_dtype_size(type));
	uint32_t t;

	assert_non_null(data);
	for (size_t i = 0; i < n; i++)
		if (type == NE_S8)
			data[i] = (int8_t)rng_between(r, -o->most, o->most);
		else
			((float *)(void *)data)[i] = (float)rng_unit(r) / sqrtf((float)ic * 3);
	t = (uint32_t)ne_graph_add_const(g, "w", type, &s, data);
	if (type == NE_S8) {
		g->tensor[t].scale = malloc(sizeof(float));
		g->tensor[t].scale[0] = 0.01f / sqrtf((float)ic);
		g->tensor[t].n_scale = 1;
	}
	return t;
}

static uint32_t conv(struct ne_graph *g, struct rng *r, const struct nest *o, uint32_t x,
		     int32_t oc, int32_t s)
{
	const struct ne_attr a = {.groups = 1, .window = {3, 3, s, s, 1, 1, 1, 1, 1, 1}};
	const uint32_t w = weights(g, r, o, oc, g->tensor[x].shape.dim[3]);
	const uint32_t y = activation(g, o->type, (SIDE - 1) / s + 1, oc), in[2] = {x, w};

	assert_true(ne_graph_add_node(g, NE_OP_CONV, "conv", 2, in, 1, &y, &a) >= 0);
	return y;
}

static void add_widths(struct ne_model *m, const struct nest *o)
{
	m->n_width = o->n_width;
	m->width = calloc(o->n_width, sizeof(*m->width));
	for (uint32_t w = 0; w < o->n_width; w++) {
		struct ne_width *v = &m->width[w];

		v->active = calloc(m->graph.n_group + 1u, sizeof(*v->active));
		v->quant = calloc(m->graph.n_tensor + 1u, sizeof(*v->quant));
		v->norm = calloc(1, sizeof(*v->norm));
		memcpy(v->active + 1, o->active[w], sizeof(o->active[w]));
		for (uint32_t t = 0; t < m->graph.n_tensor; t++)
			v->quant[t] = m->graph.tensor[t].quant;
	}
}

static struct ne_model *model_of(const struct nest *o)
{
	struct ne_model *m = ne_model_new();
	struct ne_error err = {""};
	struct ne_graph *g = &m->graph;
	struct rng r = {5};
	uint32_t t = activation(g, o->type, SIDE, 4);

	ne_graph_add_input(g, t);
	for (int i = 0; i < 2; i++) {
		t = conv(g, &r, o, t, o->c[i], 1);
		g->tensor[t].group = (uint32_t)ne_graph_add_group(g, o->c[i]);
	}
	t = conv(g, &r, o, t, OUTPUTS, o->stride);
	ne_graph_add_exit(g, 1, &t);
	add_widths(m, o);
	if (ne_model_add_default_levels(m, &err) < 0 || ne_model_check(m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

/* @cpu: at most these kernels; NULL: the best that there are. */
static struct ne_program *program_of(const struct ne_model *m, const char *cpu)
{
	const struct ne_program_options opt = {.cpu = cpu};
	struct ne_program *p = NULL;
	struct ne_error err = {""};

	if (ne_program_new(m, &opt, &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

/* What is chosen for @m; freed with done(). */
static struct ne_lower choice_of(const struct ne_model *m, const struct ne_kernels *k,
				 struct ne_error *err)
{
	struct ne_lower lw = {.m = m, .g = &m->graph, .k = k, .err = err};

	lw.packed = calloc(m->graph.n_node, sizeof(*lw.packed));
	assert_int_equal(ne_own_choose(&lw), 0);
	return lw;
}

static void done(struct ne_lower *lw)
{
	free(lw->own);
	free(lw->packed);
}

/* ---- answers ---- */

static void run(const struct ne_model *m, uint32_t level, const char *cpu, const void *in,
		void *out)
{
	struct ne_program *p = program_of(m, cpu);
	struct ne_context *c;

	assert_int_equal(ne_context_new(p, 1, &c), 0);
	assert_int_equal(ne_run(p, c, level, &in, &out, NULL, NULL), 0);
	ne_context_free(c);
	ne_program_free(p);
}

static void compare_levels(const struct nest *o, const char *cpu)
{
	static union {
		int8_t s8[SIDE * SIDE * OUTPUTS];
		float f32[SIDE * SIDE * OUTPUTS];
	} x, a, b;
	struct ne_model *m = model_of(o);
	struct rng r = {7};

	for (int i = 0; i < SIDE * SIDE * 4; i++)
		if (o->type == NE_S8)
			x.s8[i] = (int8_t)rng_between(&r, -128, 127);
		else
			x.f32[i] = (float)rng_unit(&r);
	for (uint32_t l = 0; l < m->n_level; l++) {
		struct ne_model *alone = cut_model(m, l);

		run(m, l, cpu, &x, &a);
		run(alone, 0, cpu, &x, &b);
		for (int i = 0; i < SIDE * SIDE * OUTPUTS; i++)
			if (o->type == NE_S8 ? a.s8[i] != b.s8[i]
					     : !(fabsf(a.f32[i] - b.f32[i]) <= 1e-5f))
				fail_msg("level %u, output %d", l, i);
		ne_model_free(alone);
	}
	ne_model_free(m);
}

/* Copies for every cut (small), for some (medium: those that fit) and for none of the middle layer's
 * (large). */
static void test_answers(void **state)
{
	static const struct nest small = {NE_S8, 127, {40, 24}, 3, {{40, 24}, {24, 16}, {8, 8}}, 1};
	static const struct nest medium = {
		NE_S8, 127, {288, 288}, 3, {{288, 288}, {200, 200}, {72, 72}}, 1};
	static const struct nest large = {NE_S8, 127, {304, 304}, 2, {{304, 304}, {296, 296}}, 1};
	/* winograd on all of the middle layer's widths but one */
	static const struct nest whole = {
		NE_S8, 127, {64, 64}, 4, {{64, 64}, {48, 40}, {24, 32}, {16, 16}}, 1};
	static const struct nest *const all[] = {&small, &medium, &large, &whole};
	static const char *const cpu[] = {NULL, "avx2", "c"};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(all) * NE_ARRAY_SIZE(cpu); i++) {
		struct nest o = *all[i / NE_ARRAY_SIZE(cpu)];
		const char *set = cpu[i % NE_ARRAY_SIZE(cpu)];

		compare_levels(&o, set);
		o.most = 25;
		compare_levels(&o, set);
		o.type = NE_F32;
		compare_levels(&o, set);
	}
}

/* ---- the choice ---- */

static const struct ne_own *own_of(const struct ne_lower *lw, uint32_t node, uint32_t ic)
{
	return ne_own_of(lw, &lw->g->node[node], ic);
}

/* A copy for each prefix of a layer's input that is not all of it, with as many outputs as any level
 * has there; none where the input is not cut. */
static void test_prefixes(void **state)
{
	static const struct nest o = {
		NE_S8, 127, {40, 24}, 4, {{40, 24}, {24, 24}, {24, 8}, {16, 8}}, 1};
	struct ne_model *m = model_of(&o);
	struct ne_kernels k;
	struct ne_error err = {""};
	struct ne_lower lw;

	(void)state;
	ne_kernels_init(&k, 0);
	lw = choice_of(m, &k, &err);
	assert_int_equal(lw.n_own, 3);
	assert_int_equal(own_of(&lw, 1, 24)->oc, 24);
	assert_int_equal(own_of(&lw, 1, 16)->oc, 8);
	assert_int_equal(own_of(&lw, 2, 8)->oc, OUTPUTS);
	assert_null(own_of(&lw, 0, 4));
	assert_null(own_of(&lw, 1, 40));
	assert_null(own_of(&lw, 2, 24));
	for (uint32_t i = 0; i < lw.n_own; i++)
		assert_int_equal(lw.own[i].bytes,
				 ne_pack_conv_s8_bytes(&k, lw.own[i].oc, 9, lw.own[i].ic));
	done(&lw);
	ne_model_free(m);
}

/* Fewer inputs first, and the smaller ones of them, as many as fit. */
static void test_fitting(void **state)
{
	static const struct nest o = {
		NE_S8, 127, {288, 288}, 4, {{288, 288}, {200, 200}, {136, 136}, {72, 72}}, 1};
	struct ne_model *m = model_of(&o);
	struct ne_kernels k;
	struct ne_error err = {""};
	struct ne_lower lw;
	size_t sum = 0;

	(void)state;
	ne_kernels_init(&k, 0);
	lw = choice_of(m, &k, &err);
	for (uint32_t i = 0; i < lw.n_own; i++)
		sum += lw.own[i].bytes;
	assert_true(sum <= NE_OWN_BYTES);
	assert_true(sum + ne_pack_conv_s8_bytes(&k, 200, 9, 200) > NE_OWN_BYTES);
	for (uint32_t ic = 72; ic <= 200; ic += 64)
		assert_non_null(own_of(&lw, 2, ic));
	assert_non_null(own_of(&lw, 1, 72));
	assert_non_null(own_of(&lw, 1, 136));
	assert_null(own_of(&lw, 1, 200));
	assert_true(lw.packed[1].no_quads); /* levels use prefixes of the shared weights */
	assert_false(lw.packed[2].no_quads);
	assert_int_equal(sum + lw.own_left, NE_OWN_BYTES);
	done(&lw);
	ne_model_free(m);
}

/* Many pixels go before few: the last layer's copy would be the smaller one, but has one pixel. */
static void test_worth(void **state)
{
	static const struct nest o = {NE_S8, 127, {240, 240}, 2, {{240, 240}, {168, 168}}, SIDE};
	struct ne_model *m = model_of(&o);
	struct ne_kernels k;
	struct ne_error err = {""};
	struct ne_lower lw;

	(void)state;
	ne_kernels_init(&k, 0);
	lw = choice_of(m, &k, &err);
	assert_int_equal(lw.n_own, 1);
	assert_non_null(own_of(&lw, 1, 168));
	done(&lw);
	ne_model_free(m);
}

/* ---- what they take ---- */

/* Bytes that the levels of @o take beyond the first one's, which is the full width. */
static size_t growth(const struct nest *o, size_t *ret_full)
{
	struct nest one = *o;
	struct ne_model *m = model_of(o), *full;
	struct ne_program *p = program_of(m, NULL), *q;
	size_t bytes;

	one.n_width = 1;
	full = model_of(&one);
	q = program_of(full, NULL);
	*ret_full = ne_program_packed_bytes(q);
	bytes = ne_program_packed_bytes(p) - *ret_full;
	ne_program_free(p);
	ne_program_free(q);
	ne_model_free(m);
	ne_model_free(full);
	return bytes;
}

/* Steps and tables of a level: three steps, scales and biases. */
#define OF_LEVEL ((size_t)16 << 10)

/* A large model grows by an eighth at most, whatever its levels wish for. */
static void test_large(void **state)
{
	static const struct nest o = {
		NE_S8, 127, {1024, 640}, 4, {{1024, 640}, {512, 320}, {256, 160}, {128, 80}}, 1};
	size_t full, more = growth(&o, &full);

	(void)state;
	assert_true(full >= 9 * 1024 * 640);
	assert_true(8 * (more - 3 * OF_LEVEL) <= full);
	assert_true(more > NE_OWN_BYTES); /* the eighth is used */
}

/* A small one by no more than the absolute bound. */
static void test_small(void **state)
{
	static const struct nest o = {
		NE_S8, 127, {200, 200}, 4, {{200, 200}, {184, 184}, {168, 168}, {152, 152}}, 1};
	size_t full, more = growth(&o, &full);

	(void)state;
	assert_true(full < 8 * NE_OWN_BYTES);
	assert_true(more <= NE_OWN_BYTES + 3 * OF_LEVEL);
}

/* Levels of equal prefixes share what they have of their own. */
static void test_shared(void **state)
{
	static const struct nest two = {NE_S8, 127, {128, 128}, 2, {{128, 128}, {72, 72}}, 1};
	static const struct nest three = {
		NE_S8, 127, {128, 128}, 3, {{128, 128}, {72, 72}, {72, 72}}, 1};
	size_t full, once = growth(&two, &full), again = growth(&three, &full);

	(void)state;
	assert_true(once > 9 * 72 * 72);
	assert_true(again - once < 9 * 72 * 72 / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_fitting), cmocka_unit_test(test_worth),
		cmocka_unit_test(test_large),   cmocka_unit_test(test_small),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
