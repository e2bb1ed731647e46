/* SPDX-License-Identifier: MIT */
/*
 * Several threads in one run, several runs of one program at a time: s8 answers bit for bit those of
 * one thread, f32 within the bound of its kernels.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/run/context.h"
#include "tests/unit/random_model.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES 5

/* A network with steps large enough to be shared: 48x48x16, 3x3 convolutions of 32 channels. */
static struct ne_model *large_model(struct rng *r, bool s8)
{
	struct ne_model *m = ne_model_new();
	struct ne_graph *g = &m->graph;
	enum ne_dtype type = s8 ? NE_S8 : NE_F32;
	struct ne_shape s = {.rank = 4, .dim = {1, 48, 48, 16}};
	struct ne_attr a = {.window = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, .groups = 1, .act = 1};
	struct ne_error err = {""};
	int x = ne_graph_add_tensor(g, "x", type, &s);

	assert_true(ne_graph_add_input(g, (uint32_t)x) >= 0);
	for (int i = 0; i < 5; i++) {
		enum ne_op op = i == 1 ? NE_OP_DWCONV : i == 3 ? NE_OP_ADD : NE_OP_CONV;
		int32_t ic = s.dim[3], oc = op == NE_OP_CONV ? 32 : ic;
		struct ne_shape ws = {.rank = 4, .dim = {oc, 3, 3, ic}};
		uint32_t in[2] = {(uint32_t)x, (uint32_t)x};
		int y;

		if (op == NE_OP_DWCONV)
			ws = (struct ne_shape){.rank = 3, .dim = {3, 3, oc}};
		if (op != NE_OP_ADD) {
			size_t n = ne_shape_elements(&ws), size = ne_dtype_size(type);
			char *w = malloc(n * size);

			for (size_t k = 0; k < n; k++) {
				float f = (float)(0.1 * rng_unit(r));

				if (s8)
					w[k] = (char)rng_between(r, -127, 127);
				else
					memcpy(w + k * size, &f, size);
			}
			in[1] = (uint32_t)ne_graph_add_const(g, "w", type, &ws, w);
			if (s8) {
				g->tensor[in[1]].scale = calloc(1, sizeof(float));
				g->tensor[in[1]].scale[0] = 0.002f;
				g->tensor[in[1]].n_scale = 1;
			}
		}
		s.dim[3] = oc;
		y = ne_graph_add_tensor(g, "y", type, &s);
		assert_true(ne_graph_add_node(g, op, "n", 2, in, 1, (uint32_t[]){(uint32_t)y},
					      &a) >= 0);
		x = y;
	}
	assert_true(ne_graph_add_exit(g, 1, (uint32_t[]){(uint32_t)x}) >= 0);
	assert_int_equal(ne_model_add_default_levels(m, &err), 0);
	for (uint32_t t = 0; s8 && t < g->n_tensor; t++)
		m->width[0].quant[t] = (struct ne_quant){0.05f, (int32_t)t - 5};
	return m;
}

static struct ne_program *program_of(const struct ne_model *m)
{
	struct ne_program *p = NULL;
	struct ne_error err = {""};

	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

static void assert_same(const void *a, const void *b, size_t bytes, bool s8)
{
	const float *x = a, *y = b;

	if (s8) {
		assert_memory_equal(a, b, bytes);
		return;
	}
	for (size_t i = 0; i < bytes / sizeof(float); i++)
		assert_true(fabsf(x[i] - y[i]) <= 1e-5f * fmaxf(1, fabsf(x[i])));
}

static void test_crew(void **state)
{
	bool s8 = *(const bool *)*state;
	struct rng r = {4711};
	struct ne_model *m = large_model(&r, s8);
	struct ne_program *p = program_of(m);
	size_t bytes = ne_program_output(p, 0)->bytes;
	char *want = malloc(bytes), *got = malloc(bytes);
	double *values;
	void *input;

	random_input(&r, &m->graph.tensor[m->graph.in[0]], &input, &values);
	for (uint32_t threads = 1; threads <= 5; threads++) {
		struct ne_context *c;

		assert_int_equal(ne_context_new(p, threads, &c), 0);
		for (int i = 0; i < (threads == 1 ? 1 : 12); i++) {
			char *out = threads == 1 ? want : got;

			memset(out, 0xaa, bytes);
			assert_int_equal(ne_run(p, c, 0, (const void *[]){input}, (void *[]){out},
						NULL, NULL),
					 0);
			if (threads > 1)
				assert_same(want, got, bytes, s8);
		}
		ne_context_free(c);
	}
	free(want);
	free(got);
	free(input);
	free(values);
	ne_program_free(p);
	ne_model_free(m);
}

/* Every kind of step shared out, also small ones: random models with the threshold passed. */
static void test_pieces(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 20; i++) {
		struct rng r = {i * 31337};
		struct random_options o = {i % 2, 3, 2, 2, 0};
		struct ne_model *m = random_model(&r, &o);
		struct ne_program *p = program_of(m);
		float out[2][2][CLASSES];
		struct ne_context *c[2];
		double *values;
		void *input;

		random_input(&r, &m->graph.tensor[m->graph.in[0]], &input, &values);
		for (uint32_t l = 0; l < ne_program_levels(p); l++) {
			struct ne_plan *plan = &p->plan[l];

			for (int k = 0; k < 2; k++) {
				assert_int_equal(ne_context_new(p, k ? 3 : 1, &c[k]), 0);
				/* pretend that every step is worth sharing, in the finest pieces */
				for (uint32_t s = 0; k && s < plan->n_step; s++) {
					plan->step[s].cost = UINT64_MAX;
					plan->step[s].grain = 1;
				}
				assert_int_equal(ne_run(p, c[k], l, (const void *[]){input},
							(void *[]){out[k][0], out[k][1]}, NULL,
							NULL),
						 0);
			}
			assert_same(out[0], out[1], sizeof(out[0]), o.s8);
			ne_context_free(c[0]);
			ne_context_free(c[1]);
		}
		free(input);
		free(values);
		ne_program_free(p);
		ne_model_free(m);
	}
}

struct runner {
	const struct ne_program *p;
	const void *input;
	float want[2][CLASSES];
	int wrong;
};

static void *run_many(void *arg)
{
	struct runner *r = arg;
	struct ne_context *c;

	if (ne_context_new(r->p, 2, &c) < 0)
		return NULL;
	for (int i = 0; i < 50; i++) {
		float out[2][CLASSES];

		ne_run(r->p, c, 0, (const void *[]){r->input}, (void *[]){out[0], out[1]}, NULL,
		       NULL);
		r->wrong += memcmp(out, r->want, sizeof(out)) != 0;
	}
	ne_context_free(c);
	return NULL;
}

/* One program, three threads with a context each. */
static void test_shared_program(void **state)
{
	struct rng r = {99};
	struct random_options o = {true, 4, 1, 1, 0};
	struct ne_model *m = random_model(&r, &o);
	struct ne_program *p = program_of(m);
	struct runner run[3] = {0};
	pthread_t thread[3];
	struct ne_context *c;
	double *values;
	void *input;

	(void)state;
	random_input(&r, &m->graph.tensor[m->graph.in[0]], &input, &values);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	for (int i = 0; i < 3; i++) {
		run[i].p = p;
		run[i].input = input;
		ne_run(p, c, 0, (const void *[]){input}, (void *[]){run[i].want[0], run[i].want[1]},
		       NULL, NULL);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, run_many, &run[i]), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(run[i].wrong, 0);
	}
	ne_context_free(c);
	free(input);
	free(values);
	ne_program_free(p);
	ne_model_free(m);
}

static void test_limits(void **state)
{
	struct rng r = {3};
	struct random_options o = {false, 1, 1, 1, 0};
	struct ne_model *m = random_model(&r, &o);
	struct ne_program *p = program_of(m);
	struct ne_context *c = NULL;

	(void)state;
	assert_int_equal(ne_context_new(p, 0, &c), -EINVAL);
	assert_int_equal(ne_context_new(p, 1000, &c), -EINVAL);
	assert_null(c);
	ne_context_free(NULL);
	ne_program_free(p);
	ne_model_free(m);
}

int main(void)
{
	static bool f32 = false, s8 = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_crew, &f32),
		cmocka_unit_test_prestate(test_crew, &s8),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_shared_program),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
