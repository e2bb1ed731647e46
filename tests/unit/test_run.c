/* SPDX-License-Identifier: MIT */
/*
 * Running models: random nested networks of every operator against the plain evaluator, level by
 * level; a level against the same shape built alone; exits, hooks, the observer, odd pointers.
 * NEAP_SEED repeats one seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/run/context.h"
#include "engine/run/run.h"
#include "tests/unit/cut_model.h"
#include "tests/unit/random_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUTS 2
#define CLASSES 5

/* A model made ready, its input, and one context. */
struct rig {
	struct ne_model *m;
	struct ne_program *p;
	struct ne_context *c;
	void *input;
	double *values;
	float out[OUTPUTS][CLASSES];
};

static struct ne_program *program_of(const struct ne_model *m, const char *cpu)
{
	struct ne_program_options opt = {cpu};
	struct ne_program *p = NULL;
	struct ne_error err = {""};

	if (ne_program_new(m, &opt, &p, &err) < 0)
		fail_msg("program: %s", err.text);
	return p;
}

static void rig_init(struct rig *g, struct rng *r, const struct random_options *o, const char *cpu)
{
	memset(g, 0, sizeof(*g));
	g->m = random_model(r, o);
	g->p = program_of(g->m, cpu);
	assert_int_equal(ne_context_new(g->p, 1, &g->c), 0);
	random_input(r, &g->m->graph.tensor[g->m->graph.in[0]], &g->input, &g->values);
}

static void rig_done(struct rig *g)
{
	ne_context_free(g->c);
	ne_program_free(g->p);
	ne_model_free(g->m);
	free(g->input);
	free(g->values);
}

/* Runs a level over an arena full of garbage. */
static struct ne_result rig_run(struct rig *g, uint32_t level, const struct ne_hooks *hooks)
{
	const void *in[] = {g->input};
	void *out[] = {g->out[0], g->out[1]};
	struct ne_result res;

	memset(g->c->arena, 0xd5, g->c->arena_bytes);
	memset(g->c->frame.scratch, 0xd5, g->c->scratch_bytes);
	memset(g->out, 0xff, sizeof(g->out));
	assert_int_equal(ne_run(g->p, g->c, level, in, out, hooks, &res), 0);
	return res;
}

/* What the observer saw, beside the reference's values. */
struct comparison {
	const struct ne_model *m;
	uint32_t width;
	double **want;
	double worst;
	uint32_t seen, wrong;
	char what[160];
};

static const char *producer_of(const struct ne_model *m, uint32_t tensor)
{
	for (uint32_t i = 0; i < m->graph.n_node; i++)
		if (m->graph.node[i].out[0] == tensor)
			return ne_op_name(m->graph.node[i].op);
	return "input";
}

static void compare(void *user, uint32_t tensor, const void *data, size_t n)
{
	struct comparison *c = user;
	const struct ne_tensor *t = &c->m->graph.tensor[tensor];
	struct ne_shape s = reference_shape(c->m, c->width, tensor);
	double size = 1;

	c->seen++;
	assert_int_equal(n, ne_shape_elements(&s));
	for (size_t i = 0; i < n; i++)
		size = fmax(size, fabs(c->want[tensor][i]));
	for (size_t i = 0; i < n; i++) {
		double got = t->dtype == NE_F32  ? (double)((const float *)data)[i]
			     : t->dtype == NE_U8 ? ((const uint8_t *)data)[i]
						 : ((const int8_t *)data)[i];
		double difference = fabs(got - c->want[tensor][i]);
		double bound = t->dtype == NE_F32 ? 1e-4 * size : 0;

		if (!(difference <= bound) && !c->wrong++)
			snprintf(c->what, sizeof(c->what),
				 "tensor %s (%s) [%zu of %zu]: %g, not %g", t->name,
				 producer_of(c->m, tensor), i, n, got, c->want[tensor][i]);
	}
}

static void check_against_reference(uint64_t seed, bool s8, const char *cpu)
{
	struct rng r = {seed * 2654435761u + 1};
	struct random_options o = {s8, 3, 1 + rng_below(&r, 3), 3, 0};
	struct rig g;

	rig_init(&g, &r, &o, cpu);
	for (uint32_t l = 0; l < ne_program_levels(g.p); l++) {
		struct comparison c = {.m = g.m, .width = g.m->level[l].width};
		struct ne_observer watch = {.user = &c, .tensor = compare};
		uint32_t depth = g.m->level[l].depth;
		struct ne_result res;

		c.want = reference_run(g.m, c.width, (const double *[]){g.values});
		ne_context_observe(g.c, &watch);
		res = rig_run(&g, l, NULL);
		ne_context_observe(g.c, NULL);
		if (c.wrong)
			fail_msg("seed %llu %s %s level %u: %s", (unsigned long long)seed,
				 s8 ? "s8" : "f32", ne_program_cpu(g.p), l, c.what);
		assert_true(c.seen > 3);
		assert_int_equal(res.depth, depth);
		for (uint32_t k = 0; k < OUTPUTS; k++)
			for (int i = 0; i < CLASSES; i++) {
				double want = c.want[g.m->graph.exit[depth].out[k]][i];

				assert_true(fabs((double)g.out[k][i] - want) <=
					    1e-4 * fmax(1, fabs(want)));
				if (!k)
					assert_true(g.out[0][i] <= res.top);
			}
		assert_true(g.out[0][res.top_index] == res.top);
		reference_free(g.m, c.want);
	}
	rig_done(&g);
}

static const char *const cpus[] = {"c",          "sse41", "avx2", "avxvnni",
				   "avx512vnni", "amx",   "neon", "dotprod"};

static bool have_cpu(const char *name)
{
	int f = ne_cpu_parse(name);

	return f >= 0 && ((unsigned)f & ~ne_cpu_detect()) == 0;
}

static void seeds(uint64_t *first, uint64_t *n, uint64_t usual)
{
	const char *s = getenv("NEAP_SEED");

	*first = s ? strtoull(s, NULL, 0) : 1;
	*n = s ? 1 : usual;
}

static void test_reference(void **state)
{
	bool s8 = *(const bool *)*state;
	uint64_t first, n;

	seeds(&first, &n, 60);
	for (uint64_t i = first; i < first + n; i++)
		for (size_t k = 0; k < NE_ARRAY_SIZE(cpus); k++)
			if (have_cpu(cpus[k]))
				check_against_reference(i, s8, cpus[k]);
}

/* s8 bit for bit; f32 kernels may add in another order where weights have other strides. */
static bool same_answer(const struct rig *a, const struct rig *b, bool s8)
{
	if (s8)
		return !memcmp(a->out, b->out, sizeof(a->out));
	for (int k = 0; k < OUTPUTS; k++)
		for (int i = 0; i < CLASSES; i++)
			if (!(fabsf(a->out[k][i] - b->out[k][i]) <=
			      1e-5f * fmaxf(1, fabsf(a->out[k][i]))))
				return false;
	return true;
}

/* A level costs and answers what the same shape, built alone, does. */
static void test_cut(void **state)
{
	bool s8 = *(const bool *)*state;
	uint64_t first, n;

	seeds(&first, &n, 25);
	for (uint64_t i = first; i < first + n; i++) {
		struct rng r = {i * 0x9e3779b97f4a7c15u};
		struct random_options o = {s8, 3, 2, 3, 0};
		struct rig g;

		rig_init(&g, &r, &o, NULL);
		for (uint32_t l = 0; l < ne_program_levels(g.p); l++) {
			struct ne_model *small = cut_model(g.m, l);
			struct rig alone = {.m = small, .p = program_of(small, NULL)};

			alone.input = g.input;
			assert_int_equal(ne_context_new(alone.p, 1, &alone.c), 0);
			rig_run(&g, l, NULL);
			rig_run(&alone, 0, NULL);
			if (!same_answer(&g, &alone, s8))
				fail_msg("seed %llu level %u differs from its own model",
					 (unsigned long long)i, l);
			assert_true(ne_model_macs(small, 0, 0) == g.m->level[l].macs);
			ne_context_free(alone.c);
			ne_program_free(alone.p);
			ne_model_free(small);
		}
		rig_done(&g);
	}
}

/* ---- exits ---- */

struct script {
	enum ne_exit_choice choice[4];
	bool stop[4];
	uint32_t passed, looked;
	float top[4];
};

static enum ne_exit_choice pass(void *user, uint32_t depth)
{
	struct script *s = user;

	assert_int_equal(depth, s->passed);
	s->passed++;
	return s->choice[depth];
}

static bool seen(void *user, uint32_t depth, float top)
{
	struct script *s = user;

	s->looked++;
	s->top[depth] = top;
	return s->stop[depth];
}

static void test_exits(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 10; i++) {
		struct rng r = {i * 77};
		struct random_options o = {i % 2, 3, 3, 2, 0};
		struct ne_result res;
		float alone[3][OUTPUTS][CLASSES], top[3];
		struct rig g;
		uint32_t deep = 0;
		int at;

		rig_init(&g, &r, &o, NULL);
		for (uint32_t l = 0; l < ne_program_levels(g.p); l++)
			if (g.m->level[l].depth == 2)
				deep = l;
		for (uint32_t d = 0; d < 3; d++) {
			at = ne_program_level_at(g.p, deep, d);
			assert_true(at >= 0);
			assert_int_equal(ne_program_level(g.p, (uint32_t)at)->depth, d);
			res = rig_run(&g, (uint32_t)at, NULL);
			top[d] = res.top;
			memcpy(alone[d], g.out, sizeof(g.out));
		}
		for (uint32_t d = 0; d < 2; d++) {
			/* stopped at exit d: what the level of that depth says */
			struct script s = {.choice = {NE_EXIT_CONTINUE, NE_EXIT_CONTINUE}};
			struct ne_hooks hooks = {&s, pass, seen};

			s.choice[d] = NE_EXIT_STOP;
			res = rig_run(&g, deep, &hooks);
			assert_int_equal(res.depth, d);
			assert_int_equal(s.passed, d + 1);
			assert_int_equal(s.looked, 0);
			assert_memory_equal(g.out, alone[d], sizeof(g.out));
			/* looked at and sure enough */
			s = (struct script){.choice = {NE_EXIT_LOOK, NE_EXIT_LOOK}};
			s.stop[d] = true;
			res = rig_run(&g, deep, &hooks);
			assert_int_equal(res.depth, d);
			assert_int_equal(s.looked, d + 1);
			assert_true(s.top[d] == top[d] && res.top == top[d]);
			assert_memory_equal(g.out, alone[d], sizeof(g.out));
		}
		{ /* looked at both, never sure: the whole network's answer */
			struct script s = {.choice = {NE_EXIT_LOOK, NE_EXIT_LOOK}};
			struct ne_hooks hooks = {&s, pass, seen};

			res = rig_run(&g, deep, &hooks);
			assert_int_equal(res.depth, 2);
			assert_int_equal(s.looked, 2);
			assert_memory_equal(g.out, alone[2], sizeof(g.out));
		}
		rig_done(&g);
	}
}

/* Inputs and outputs at any address; a wrong level or another program's context is refused. */
static void test_pointers(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 6; i++) {
		struct rng r = {i * 991};
		struct random_options o = {i % 2, 2, 1, 1, 0};
		struct ne_result res;
		char *in, out[2][sizeof(float) * CLASSES + 3];
		struct rig g;

		rig_init(&g, &r, &o, NULL);
		rig_run(&g, 0, NULL);
		in = malloc(ne_program_input(g.p, 0)->bytes + 3);
		for (int shift = 1; shift < 4; shift++) {
			const void *ip[] = {in + shift};
			void *op[] = {out[0] + shift, out[1] + shift};

			memcpy(in + shift, g.input, ne_program_input(g.p, 0)->bytes);
			memset(out, 0xee, sizeof(out));
			assert_int_equal(ne_run(g.p, g.c, 0, ip, op, NULL, &res), 0);
			for (int k = 0; k < OUTPUTS; k++) {
				assert_memory_equal(out[k] + shift, g.out[k], sizeof(g.out[k]));
				assert_int_equal((uint8_t)out[k][shift - 1], 0xee);
			}
			assert_int_equal(ne_run(g.p, g.c, 99, ip, op, NULL, &res), -EINVAL);
		}
		free(in);
		rig_done(&g);
	}
}

static void test_describe(void **state)
{
	struct rng r = {5};
	struct random_options o = {true, 2, 2, 2, 0};
	struct rig g;

	(void)state;
	rig_init(&g, &r, &o, "c");
	assert_string_equal(ne_program_cpu(g.p), "c");
	assert_int_equal(ne_program_inputs(g.p), 1);
	assert_int_equal(ne_program_outputs(g.p), 2);
	assert_int_equal(ne_program_output(g.p, 0)->bytes, CLASSES * sizeof(float));
	assert_null(ne_program_input(g.p, 1));
	assert_null(ne_program_level(g.p, ne_program_levels(g.p)));
	assert_int_equal(ne_program_level_at(g.p, 0, 9), -ENOENT);
	assert_true(ne_program_packed_bytes(g.p) > 0);
	assert_true(ne_program_arena_bytes(g.p, 0) > 0);
	rig_done(&g);
}

int main(void)
{
	static bool f32 = false, s8 = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_reference, &f32),
		cmocka_unit_test_prestate(test_reference, &s8),
		cmocka_unit_test_prestate(test_cut, &f32),
		cmocka_unit_test_prestate(test_cut, &s8),
		cmocka_unit_test(test_exits),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
