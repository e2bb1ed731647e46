/* SPDX-License-Identifier: MIT */
#include "tests/unit/run_graph.h"

#include "engine/run/run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uint32_t random_state = 1;

static float random_in(float lo, float hi)
{
	random_state = random_state * 1664525u + 1013904223u;
	return lo + (hi - lo) * (float)(random_state >> 8) / 16777216.0f;
}

struct ne_shape shape_of(uint32_t rank, const int32_t *dim)
{
	struct ne_shape s = {.rank = rank};

	memcpy(s.dim, dim, rank * sizeof(*dim));
	return s;
}

uint32_t b_input(struct ne_graph *g, struct ne_shape s)
{
	int id = ne_graph_add_tensor(g, "in", NE_F32, &s);

	assert_true(id >= 0);
	assert_true(ne_graph_add_input(g, (uint32_t)id) >= 0);
	return (uint32_t)id;
}

uint32_t b_const(struct ne_graph *g, struct ne_shape s, float lo, float hi)
{
	size_t n = ne_shape_elements(&s);
	float *data = ne_alloc_aligned(n * sizeof(*data));
	char name[32];
	int id;

	assert_non_null(data);
	for (size_t i = 0; i < n; i++)
		data[i] = random_in(lo, hi);
	snprintf(name, sizeof(name), "c%u", g->n_tensor);
	id = ne_graph_add_const(g, name, NE_F32, &s, data);
	assert_true(id >= 0);
	return (uint32_t)id;
}

static uint32_t add_shaped(struct ne_graph *g, enum ne_op op, const struct ne_attr *attr,
			   uint32_t n_in, const uint32_t *in, const struct ne_shape *guess)
{
	struct ne_shape shapes[NE_MAX_IO] = {{0}}, out_shape = *guess;
	static const struct ne_attr plain = {.groups = 1};
	struct ne_error err = {""};
	char name[32];
	uint32_t out;
	int id, node;

	snprintf(name, sizeof(name), "t%u", g->n_tensor);
	id = ne_graph_add_tensor(g, name, NE_F32, &out_shape);
	assert_true(id >= 0);
	out = (uint32_t)id;
	node = ne_graph_add_node(g, op, name, n_in, in, 1, &out, attr ? attr : &plain);
	assert_true(node >= 0);
	for (uint32_t i = 0; i < n_in; i++)
		if (in[i] != NE_NONE)
			shapes[i] = g->tensor[in[i]].shape;
	if (ne_shape_infer(g, (uint32_t)node, shapes, &out_shape, &err) < 0)
		fail_msg("%s", err.text);
	g->tensor[out].shape = out_shape;
	return out;
}

uint32_t b_node(struct ne_graph *g, enum ne_op op, const struct ne_attr *attr, uint32_t n_in,
		const uint32_t *in)
{
	return add_shaped(g, op, attr, n_in, in, &g->tensor[in[0]].shape);
}

uint32_t b_conv(struct ne_graph *g, uint32_t x, int32_t oc, int32_t k, int32_t stride, int32_t pad)
{
	int32_t ic = g->tensor[x].shape.dim[3];
	struct ne_attr attr = {
		.groups = 1,
		.window = {k, k, stride, stride, 1, 1, pad, pad, pad, pad},
	};
	uint32_t w = b_const(g, SHAPE(oc, k, k, ic), -0.5f, 0.5f);
	uint32_t b = b_const(g, SHAPE(oc), -0.5f, 0.5f);

	return B_NODE(g, NE_OP_CONV, &attr, x, w, b);
}

uint32_t b_dense(struct ne_graph *g, uint32_t x, int32_t o)
{
	const struct ne_shape *s = &g->tensor[x].shape;
	int32_t i = s->dim[s->rank - 1];
	uint32_t w = b_const(g, SHAPE(o, i), -0.3f, 0.3f), b = b_const(g, SHAPE(o), -0.5f, 0.5f);

	return B_NODE(g, NE_OP_DENSE, NULL, x, w, b);
}

uint32_t b_reshape(struct ne_graph *g, uint32_t x, struct ne_shape s)
{
	return add_shaped(g, NE_OP_RESHAPE, NULL, 1, &x, &s);
}

uint32_t b_transpose(struct ne_graph *g, uint32_t x, const int32_t *perm)
{
	struct ne_attr attr = {.groups = 1};

	memcpy(attr.perm, perm, g->tensor[x].shape.rank * sizeof(*perm));
	return B_NODE(g, NE_OP_TRANSPOSE, &attr, x);
}

uint32_t b_batchnorm(struct ne_graph *g, uint32_t x)
{
	const struct ne_shape *s = &g->tensor[x].shape;
	struct ne_attr attr = {.groups = 1, .value = 1e-3f};
	int32_t c = s->dim[s->rank - 1];
	uint32_t gamma = b_const(g, SHAPE(c), 0.5f, 1.5f), beta = b_const(g, SHAPE(c), -1, 1);
	uint32_t mean = b_const(g, SHAPE(c), -1, 1), var = b_const(g, SHAPE(c), 0.2f, 2);

	return B_NODE(g, NE_OP_BATCHNORM, &attr, x, gamma, beta, mean, var);
}

void b_exit(struct ne_graph *g, uint32_t t)
{
	assert_true(ne_graph_add_exit(g, 1, &t) >= 0);
}

struct ne_model *model_of_graph(const struct ne_graph *g)
{
	struct ne_error err = {""};
	struct ne_model *m = ne_model_new();

	assert_non_null(m);
	assert_int_equal(ne_graph_copy(&m->graph, g), 0);
	if (ne_graph_compact(&m->graph, &err) < 0 || ne_model_add_default_levels(m, &err) < 0 ||
	    ne_model_check(m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

static float *run_model(const struct ne_model *m, void **in, size_t *ret_n)
{
	struct ne_error err = {""};
	struct ne_program *p;
	struct ne_context *c;
	struct ne_result result;
	void *out[NE_MAX_IO] = {NULL};

	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	for (uint32_t i = 0; i < ne_program_outputs(p); i++) {
		out[i] = malloc(ne_program_output(p, i)->bytes);
		assert_non_null(out[i]);
	}
	assert_int_equal(ne_program_output(p, 0)->dtype, NE_F32);
	assert_int_equal(
		ne_run(p, c, ne_program_levels(p) - 1, (const void *const *)in, out, NULL, &result),
		0);
	*ret_n = ne_program_output(p, 0)->bytes / sizeof(float);
	for (uint32_t i = 1; i < ne_program_outputs(p); i++)
		free(out[i]);
	ne_context_free(c);
	ne_program_free(p);
	return out[0];
}

float *run_random(const struct ne_model *m, unsigned seed, size_t *ret_n)
{
	void *in[NE_MAX_IO] = {NULL};
	float *out;

	random_state = seed;
	for (uint32_t i = 0; i < m->graph.n_in; i++) {
		size_t n = ne_shape_elements(&m->graph.tensor[m->graph.in[i]].shape);
		float *v = malloc(n * sizeof(*v));

		assert_non_null(v);
		for (size_t k = 0; k < n; k++)
			v[k] = random_in(-2, 2);
		in[i] = v;
	}
	out = run_model(m, in, ret_n);
	for (uint32_t i = 0; i < m->graph.n_in; i++)
		free(in[i]);
	return out;
}

float *run_on(const struct ne_model *m, const void *in, size_t *ret_n)
{
	size_t bytes = ne_shape_elements(&m->graph.tensor[m->graph.in[0]].shape) *
		       ne_dtype_size(m->graph.tensor[m->graph.in[0]].dtype);
	void *copy = malloc(bytes);
	float *out;

	assert_non_null(copy);
	memcpy(copy, in, bytes);
	out = run_model(m, &copy, ret_n);
	free(copy);
	return out;
}

void assert_close(const float *a, const float *b, size_t n, float tolerance)
{
	float max = 0;

	for (size_t i = 0; i < n; i++)
		max = fmaxf(max, fabsf(a[i]));
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(a[i] - b[i]) <= tolerance * fmaxf(max, 1e-6f)))
			fail_msg("element %zu of %zu: %g and %g, largest %g", i, n, (double)a[i],
				 (double)b[i], (double)max);
}

const char *data_path(const char *file)
{
	const char *root = getenv("NEAP_DATA");
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", root ? root : "../shared/data", file);
	return access(path, R_OK) == 0 ? path : NULL;
}
