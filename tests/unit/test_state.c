/* SPDX-License-Identifier: MIT */
/*
 * Values kept from run to run: random networks with states, run after run against the plain
 * evaluator; streams that take turns in one context; reset; what a stream may not do; files.
 * NEAP_SEED repeats one seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/model/container.h"
#include "engine/run/context.h"
#include "tests/unit/random_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUTS 2
#define CLASSES 5
#define RUNS    4

struct rig {
	struct ne_model *m;
	struct ne_program *p;
	struct ne_context *c;
	void *input[RUNS];
	double *values[RUNS];
	float out[OUTPUTS][CLASSES];
};

static struct ne_program *program_of(const struct ne_model *m)
{
	struct ne_program *p = NULL;
	struct ne_error err = {""};

	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("program: %s", err.text);
	return p;
}

static void rig_init(struct rig *g, uint64_t seed, bool s8, uint32_t exits, uint32_t widths)
{
	struct rng r = {seed * 2654435761u + 17};
	struct random_options o = {s8, 3, exits, widths, 0};

	memset(g, 0, sizeof(*g));
	g->m = random_stateful_model(&r, &o, 1 + rng_below(&r, 3));
	g->p = program_of(g->m);
	assert_int_equal(ne_context_new(g->p, 1 + (uint32_t)(seed % 2), &g->c), 0);
	for (int i = 0; i < RUNS; i++)
		random_input(&r, &g->m->graph.tensor[g->m->graph.in[0]], &g->input[i],
			     &g->values[i]);
}

static void rig_done(struct rig *g)
{
	ne_context_free(g->c);
	ne_program_free(g->p);
	ne_model_free(g->m);
	for (int i = 0; i < RUNS; i++) {
		free(g->input[i]);
		free(g->values[i]);
	}
}

/* One run on input @i, over an arena full of garbage. */
static int try_run(struct rig *g, uint32_t level, int i, const struct ne_hooks *hooks)
{
	const void *in[] = {g->input[i]};
	void *out[] = {g->out[0], g->out[1]};

	memset(g->c->arena, 0xd5, g->c->arena_bytes);
	memset(g->c->frame.scratch, 0xd5, g->c->scratch_bytes);
	return ne_run(g->p, g->c, level, in, out, hooks, NULL);
}

static void run(struct rig *g, uint32_t level, int i)
{
	assert_int_equal(try_run(g, level, i, NULL), 0);
}

static void check_against_reference(uint64_t seed, bool s8)
{
	struct rig g;

	rig_init(&g, seed, s8, 1 + (uint32_t)(seed % 3), 2);
	assert_true(ne_program_states(g.p) > 0);
	assert_true(ne_program_state_bytes(g.p) > 0);
	for (uint32_t l = 0; l < ne_program_levels(g.p); l++) {
		const struct ne_level *level = &g.m->level[l];
		double **before = NULL;

		ne_context_reset(g.c);
		for (int i = 0; i < RUNS; i++) {
			double **now = reference_next(g.m, level->width,
						      (const double *[]){g.values[i]}, before);

			if (before)
				reference_free(g.m, before);
			before = now;
			run(&g, l, i);
			for (uint32_t k = 0; k < OUTPUTS; k++)
				for (int c = 0; c < CLASSES; c++) {
					double want = now[g.m->graph.exit[level->depth].out[k]][c];
					double got = (double)g.out[k][c];

					if (!(fabs(got - want) <= 1e-4 * fmax(1, fabs(want))))
						fail_msg("seed %llu %s level %u run %d: %g, not %g",
							 (unsigned long long)seed,
							 s8 ? "s8" : "f32", l, i, got, want);
				}
		}
		reference_free(g.m, before);
	}
	rig_done(&g);
}

static void test_reference(void **state)
{
	bool s8 = *(const bool *)*state;
	const char *s = getenv("NEAP_SEED");
	uint64_t first = s ? strtoull(s, NULL, 0) : 1, n = s ? 1 : 60;

	for (uint64_t i = first; i < first + n; i++)
		check_against_reference(i, s8);
}

/* Two streams in one context, turn by turn, answer as each would alone. */
static void test_streams(void **state)
{
	static float alone[RUNS][OUTPUTS][CLASSES];

	(void)state;
	for (uint64_t i = 1; i <= 20; i++) {
		struct ne_state *a, *b;
		struct rig g;

		rig_init(&g, i, i % 3 == 0, 1, 1);
		for (int k = 0; k < RUNS; k++) {
			run(&g, 0, k);
			memcpy(alone[k], g.out, sizeof(g.out));
		}
		assert_int_equal(ne_state_new(g.p, &a), 0);
		assert_int_equal(ne_state_new(g.p, &b), 0);
		for (int k = 0; k < RUNS; k++) {
			ne_context_set_state(g.c, a);
			run(&g, 0, k);
			assert_memory_equal(g.out, alone[k], sizeof(g.out));
			if (k == 1) /* b starts later, and again */
				ne_state_reset(b);
			ne_context_set_state(g.c, b);
			run(&g, 0, k ? k - 1 : 0);
			if (k)
				assert_memory_equal(g.out, alone[k - 1], sizeof(g.out));
		}
		ne_context_set_state(g.c, NULL);
		ne_context_reset(g.c);
		run(&g, 0, 0);
		assert_memory_equal(g.out, alone[0], sizeof(g.out));
		ne_context_drop_state(g.c);
		assert_null(ne_context_state(g.c));
		assert_int_equal(try_run(&g, 0, 0, NULL), -EINVAL);
		ne_state_reset(a);
		ne_context_set_state(g.c, a);
		run(&g, 0, 0);
		assert_memory_equal(g.out, alone[0], sizeof(g.out));
		ne_state_free(a);
		ne_state_free(b);
		rig_done(&g);
	}
}

static enum ne_exit_choice never_asked(void *user, uint32_t depth)
{
	(void)depth;
	++*(int *)user;
	return NE_EXIT_STOP;
}

/* A stream keeps to its width and never gets deeper; what is refused changes nothing. */
static void test_stale(void **state)
{
	int asked = 0;
	struct ne_hooks hooks = {.user = &asked, .pass = never_asked};

	(void)state;
	for (uint64_t i = 1; i <= 20; i++) {
		uint32_t deep = 0, shallow = 0, narrow = 0;
		float want[OUTPUTS][CLASSES];
		struct ne_state *other;
		struct rig g, h;

		rig_init(&g, i, i % 2, 2, 2);
		for (uint32_t l = 0; l < ne_program_levels(g.p); l++) {
			const struct ne_level *v = ne_program_level(g.p, l);

			if (v->width == 0 && v->depth == 1)
				deep = l;
			else if (v->width == 0)
				shallow = l;
			else if (v->depth == 1)
				narrow = l;
		}
		run(&g, deep, 0);
		run(&g, deep, 1);
		memcpy(want, g.out, sizeof(want));
		ne_context_reset(g.c);
		assert_int_equal(try_run(&g, deep, 0, &hooks), 0);
		assert_int_equal(asked, 0);
		assert_int_equal(try_run(&g, narrow, 1, NULL), -ESTALE);
		assert_int_equal(try_run(&g, 99, 1, NULL), -EINVAL);
		run(&g, deep, 1);
		assert_memory_equal(g.out, want, sizeof(want));
		run(&g, shallow, 2);
		/* the deeper exit has states of its own where the first exit needs fewer */
		assert_int_equal(try_run(&g, deep, 3, NULL),
				 g.p->plan[shallow].n_carry < g.p->plan[deep].n_carry ? -ESTALE
										      : 0);
		ne_context_reset(g.c);
		run(&g, narrow, 0);
		/* a state of another program */
		rig_init(&h, i + 1000, i % 2, 1, 1);
		assert_int_equal(ne_state_new(h.p, &other), 0);
		ne_context_set_state(g.c, other);
		if (h.p->n_state != g.p->n_state || h.p->state_bytes != g.p->state_bytes)
			assert_int_equal(try_run(&g, deep, 0, NULL), -EINVAL);
		ne_state_free(other);
		rig_done(&h);
		rig_done(&g);
	}
}

/* A file keeps the states; a graph that breaks their rules is refused. */
static void test_file(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 20; i++) {
		float want[OUTPUTS][CLASSES];
		struct ne_model *m;
		struct ne_error err = {""};
		struct rig g;
		size_t bytes;
		void *data;

		rig_init(&g, i, i % 2, 1, 1);
		run(&g, 0, 0);
		run(&g, 0, 1);
		memcpy(want, g.out, sizeof(want));
		assert_int_equal(ne_container_serialise(g.m, 0, &data, &bytes, &err), 0);
		if (ne_container_parse(data, bytes, NULL, &m, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(m->graph.n_state, g.m->graph.n_state);
		ne_context_free(g.c);
		ne_program_free(g.p);
		g.p = program_of(m);
		assert_int_equal(ne_context_new(g.p, 1, &g.c), 0);
		run(&g, 0, 0);
		run(&g, 0, 1);
		assert_memory_equal(g.out, want, sizeof(want));
		free(data);
		ne_model_free(m);
		rig_done(&g);
	}
}

static void refused(struct ne_model *m, const char *why)
{
	struct ne_error err = {""};

	assert_int_equal(ne_model_check(m, &err), -EINVAL);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_checks(void **state)
{
	struct ne_graph_state good, *s;
	struct ne_graph *g;
	struct ne_quant *q;
	struct rig r;

	(void)state;
	rig_init(&r, 3, true, 1, 1);
	g = &r.m->graph;
	s = &g->state[g->n_state - 1];
	good = *s;
	s->in = g->n_tensor;
	refused(r.m, "no tensor");
	s->in = g->in[0];
	refused(r.m, "graph input");
	*s = good;
	s->out = g->n_tensor + 5;
	refused(r.m, "never produced");
	s->out = g->exit[0].out[0];
	refused(r.m, "differs in type, shape");
	*s = good;
	s->initial = s->out;
	refused(r.m, "no constant");
	*s = good;
	q = &r.m->width[0].quant[good.in];
	q->scale *= 2;
	refused(r.m, "differ in quantisation");
	q->scale /= 2;
	g->node[g->n_node - 1].out[0] = good.in;
	refused(r.m, "two producers");
	rig_done(&r);
}

int main(void)
{
	static bool f32 = false, s8 = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_reference, &f32),
		cmocka_unit_test_prestate(test_reference, &s8),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
