/* SPDX-License-Identifier: MIT */
/*
 * One node of a general operator, made and run in a few lines on random inputs, after a way through
 * a container. Included by tests alone. NEAP_SEED repeats one seed.
 */
#ifndef TEST_NODE_CASE_H
#define TEST_NODE_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/model/container.h"
#include "engine/run/run.h"
#include "tests/unit/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 400

/* ---- one node ---- */

struct node_case {
	struct ne_model *m;
	struct ne_attr attr;
	uint32_t n_in, in[1 + NE_MAX_RANK], n_out, out[2];
	struct ne_shape shape[1 + NE_MAX_RANK]; /* of inputs */
	void *data[1 + NE_MAX_RANK];            /* of graph inputs, in order */
	uint32_t n_data;
	void *y[2];
};

static inline struct ne_shape random_shape(struct rng *r, uint32_t least, uint32_t most)
{
	struct ne_shape s = {.rank = (uint32_t)rng_between(r, (int)least, (int)most)};

	for (uint32_t i = 0; i < s.rank; i++)
		s.dim[i] = rng_below(r, 4) ? rng_between(r, 1, 5) : rng_between(r, 1, 40);
	while (ne_shape_elements(&s) > 4000)
		s.dim[rng_below(r, s.rank)] = 1;
	return s;
}

static inline double at(const void *data, enum ne_dtype t, size_t i)
{
	switch (t) {
	case NE_F32:
		return (double)((const float *)data)[i];
	case NE_S8:
		return ((const int8_t *)data)[i];
	case NE_U8:
	case NE_BOOL:
		return ((const uint8_t *)data)[i];
	case NE_S16:
		return ((const int16_t *)data)[i];
	case NE_S32:
		return ((const int32_t *)data)[i];
	default:
		return (double)((const int64_t *)data)[i];
	}
}

static inline void set(void *data, enum ne_dtype t, size_t i, double v)
{
	switch (t) {
	case NE_F32:
		((float *)data)[i] = (float)v;
		break;
	case NE_S8:
		((int8_t *)data)[i] = (int8_t)v;
		break;
	case NE_U8:
	case NE_BOOL:
		((uint8_t *)data)[i] = (uint8_t)v;
		break;
	case NE_S16:
		((int16_t *)data)[i] = (int16_t)v;
		break;
	case NE_S32:
		((int32_t *)data)[i] = (int32_t)v;
		break;
	default:
		((int64_t *)data)[i] = (int64_t)v;
	}
}

/* Values that sums and products of a few keep in every type's range. */
static inline void *random_values(struct rng *r, enum ne_dtype t, size_t n)
{
	void *data = calloc(n, ne_dtype_size(t));

	for (size_t i = 0; i < n; i++)
		set(data, t, i,
		    t == NE_F32    ? rng_unit(r) * 3
		    : t == NE_BOOL ? (int)rng_below(r, 2)
		    : t == NE_U8   ? rng_between(r, 0, 9)
				   : rng_between(r, -6, 6));
	return data;
}

static inline void begin(struct node_case *c)
{
	memset(c, 0, sizeof(*c));
	c->m = ne_model_new();
	c->attr.groups = 1;
	assert_non_null(c->m);
}

/* @data is taken over. */
static inline void add_input(struct node_case *c, enum ne_dtype t, const struct ne_shape *s,
			     void *data)
{
	int id = ne_graph_add_tensor(&c->m->graph, "x", t, s);

	assert_true(id >= 0 && ne_graph_add_input(&c->m->graph, (uint32_t)id) >= 0);
	c->shape[c->n_in] = *s;
	c->in[c->n_in++] = (uint32_t)id;
	c->data[c->n_data++] = data;
}

static inline void *add_random(struct node_case *c, struct rng *r, enum ne_dtype t,
			       const struct ne_shape *s)
{
	void *data = random_values(r, t, ne_shape_elements(s));

	add_input(c, t, s, data);
	return data;
}

static inline void add_const_s32(struct node_case *c, int32_t n, int32_t *data)
{
	struct ne_shape s = {.rank = 1, .dim = {n}};
	int id = ne_graph_add_const(&c->m->graph, "at", NE_S32, &s, data);

	assert_true(id >= 0);
	c->in[c->n_in++] = (uint32_t)id;
}

/* Adds the node with outputs of these types; 0 or the reason that it is refused for. */
static inline int finish(struct node_case *c, enum ne_op op, uint32_t n_out, const enum ne_dtype *t,
			 struct ne_error *err)
{
	struct ne_graph *g = &c->m->graph;
	struct ne_shape y[2] = {{0}}, one = {.rank = 0};
	struct ne_shape in[1 + NE_MAX_RANK] = {{0}};

	for (uint32_t k = 0; k < c->n_in; k++)
		if (c->in[k] != NE_NONE)
			in[k] = g->tensor[c->in[k]].shape;
	c->n_out = n_out;
	for (uint32_t k = 0; k < n_out; k++) {
		int id = ne_graph_add_tensor(g, "y", t[k], &one);

		assert_true(id >= 0);
		c->out[k] = (uint32_t)id;
	}
	assert_true(ne_graph_add_node(g, op, "n", c->n_in, c->in, n_out, c->out, &c->attr) >= 0);
	NE_RETURN_IF(ne_shape_infer_all(g, 0, in, y, err));
	for (uint32_t k = 0; k < n_out; k++)
		g->tensor[c->out[k]].shape = y[k];
	assert_true(ne_graph_add_exit(g, n_out, c->out) >= 0);
	NE_RETURN_IF(ne_model_add_default_levels(c->m, err));
	return ne_model_check(c->m, err);
}

static const struct ne_shape *shape_of_output(const struct node_case *c, uint32_t k)
{
	return &c->m->graph.tensor[c->out[k]].shape;
}

/* Through a file, then run; c->y has the outputs. */
static inline void run(struct node_case *c, enum ne_op op, uint32_t n_out, const enum ne_dtype *t)
{
	const void *in[1 + NE_MAX_RANK];
	struct ne_error err = {""};
	struct ne_context *ctx;
	struct ne_program *p;
	struct ne_model *copy;
	size_t bytes;
	void *file;

	if (finish(c, op, n_out, t, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_container_serialise(c->m, 0, &file, &bytes, &err), 0);
	if (ne_container_parse(file, bytes, NULL, &copy, &err) < 0)
		fail_msg("%s", err.text);
	free(file);
	if (ne_program_new(copy, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(p, 1, &ctx), 0);
	for (uint32_t i = 0; i < c->n_data; i++)
		in[i] = c->data[i];
	for (uint32_t k = 0; k < n_out; k++)
		c->y[k] = malloc(ne_program_output(p, k)->bytes);
	assert_int_equal(ne_run(p, ctx, 0, in, c->y, NULL, NULL), 0);
	ne_context_free(ctx);
	ne_program_free(p);
	ne_model_free(copy);
}

static inline void done(struct node_case *c)
{
	for (uint32_t i = 0; i < c->n_data; i++)
		free(c->data[i]);
	free(c->y[0]);
	free(c->y[1]);
	ne_model_free(c->m);
}

/* Coordinates of element @i of @s, and back with 1 standing for any. */
static inline void coordinates(const struct ne_shape *s, size_t i, int32_t *ret)
{
	for (uint32_t d = s->rank; d-- > 0; i /= (size_t)s->dim[d])
		ret[d] = (int32_t)(i % (size_t)s->dim[d]);
}

static inline size_t element(const struct ne_shape *s, const int32_t *c)
{
	size_t i = 0;

	for (uint32_t d = 0; d < s->rank; d++)
		i = i * (size_t)s->dim[d] + (size_t)(s->dim[d] == 1 ? 0 : c[d]);
	return i;
}

static inline size_t broadcast_element(const struct ne_shape *s, const struct ne_shape *y, size_t i)
{
	int32_t c[NE_MAX_RANK];

	coordinates(y, i, c);
	return element(s, c + (y->rank - s->rank));
}

static inline uint64_t first_seed(uint64_t *n)
{
	const char *s = getenv("NEAP_SEED");

	*n = s ? 1 : ROUNDS;
	return s ? strtoull(s, NULL, 0) : 1;
}

#define EACH_SEED(r)                                  \
	uint64_t count_, seed_ = first_seed(&count_); \
	(void)state;                                  \
	for (struct rng r = {seed_ * 2654435761u + 7}; count_--; r.s = ++seed_ * 2654435761u + 7)

static inline void expect(uint64_t seed, const char *what, int kind, size_t i, double got,
			  double want)
{
	if (isnan(want) && isnan(got))
		return;
	if (!(fabs(got - want) <= 1e-4 * fmax(1, fabs(want))) && !(got >= want && got <= want))
		fail_msg("seed %llu, %s %d, element %zu: %g, not %g", (unsigned long long)seed,
			 what, kind, i, got, want);
}

static const enum ne_dtype numbers[] = {NE_F32, NE_S8, NE_U8, NE_S16, NE_S32, NE_S64};
static const enum ne_dtype all_types[] = {NE_F32, NE_S8, NE_U8, NE_S16, NE_S32, NE_S64, NE_BOOL};

#define RANDOM_OF(r, list) ((list)[rng_below(r, NE_ARRAY_SIZE(list))])

/* One operand's shape: some axes 1, some leading ones left out. */
static inline struct ne_shape operand(struct rng *r, const struct ne_shape *y)
{
	uint32_t drop = y->rank && !rng_below(r, 3) ? rng_below(r, y->rank + 1) : 0;
	struct ne_shape s = {.rank = y->rank - drop};

	for (uint32_t i = 0; i < s.rank; i++)
		s.dim[i] = rng_below(r, 4) ? y->dim[i + drop] : 1;
	return s;
}

#endif
