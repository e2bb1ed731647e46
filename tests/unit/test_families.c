/* SPDX-License-Identifier: MIT */
/*
 * The general operators, one node at a time: random shapes, types and attributes against their
 * definitions written out element by element, after a way through a container; and what their
 * checks refuse. NEAP_SEED repeats one seed.
 */
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

static struct ne_shape random_shape(struct rng *r, uint32_t least, uint32_t most)
{
	struct ne_shape s = {.rank = (uint32_t)rng_between(r, (int)least, (int)most)};

	for (uint32_t i = 0; i < s.rank; i++)
		s.dim[i] = rng_below(r, 4) ? rng_between(r, 1, 5) : rng_between(r, 1, 40);
	while (ne_shape_elements(&s) > 4000)
		s.dim[rng_below(r, s.rank)] = 1;
	return s;
}

static double at(const void *data, enum ne_dtype t, size_t i)
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

static void set(void *data, enum ne_dtype t, size_t i, double v)
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
static void *random_values(struct rng *r, enum ne_dtype t, size_t n)
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

static void begin(struct node_case *c)
{
	memset(c, 0, sizeof(*c));
	c->m = ne_model_new();
	c->attr.groups = 1;
	assert_non_null(c->m);
}

/* @data is taken over. */
static void add_input(struct node_case *c, enum ne_dtype t, const struct ne_shape *s, void *data)
{
	int id = ne_graph_add_tensor(&c->m->graph, "x", t, s);

	assert_true(id >= 0 && ne_graph_add_input(&c->m->graph, (uint32_t)id) >= 0);
	c->shape[c->n_in] = *s;
	c->in[c->n_in++] = (uint32_t)id;
	c->data[c->n_data++] = data;
}

static void *add_random(struct node_case *c, struct rng *r, enum ne_dtype t,
			const struct ne_shape *s)
{
	void *data = random_values(r, t, ne_shape_elements(s));

	add_input(c, t, s, data);
	return data;
}

static void add_const_s32(struct node_case *c, int32_t n, int32_t *data)
{
	struct ne_shape s = {.rank = 1, .dim = {n}};
	int id = ne_graph_add_const(&c->m->graph, "at", NE_S32, &s, data);

	assert_true(id >= 0);
	c->in[c->n_in++] = (uint32_t)id;
}

/* Adds the node with outputs of these types; 0 or the reason that it is refused for. */
static int finish(struct node_case *c, enum ne_op op, uint32_t n_out, const enum ne_dtype *t,
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
static void run(struct node_case *c, enum ne_op op, uint32_t n_out, const enum ne_dtype *t)
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

static void done(struct node_case *c)
{
	for (uint32_t i = 0; i < c->n_data; i++)
		free(c->data[i]);
	free(c->y[0]);
	free(c->y[1]);
	ne_model_free(c->m);
}

/* Coordinates of element @i of @s, and back with 1 standing for any. */
static void coordinates(const struct ne_shape *s, size_t i, int32_t *ret)
{
	for (uint32_t d = s->rank; d-- > 0; i /= (size_t)s->dim[d])
		ret[d] = (int32_t)(i % (size_t)s->dim[d]);
}

static size_t element(const struct ne_shape *s, const int32_t *c)
{
	size_t i = 0;

	for (uint32_t d = 0; d < s->rank; d++)
		i = i * (size_t)s->dim[d] + (size_t)(s->dim[d] == 1 ? 0 : c[d]);
	return i;
}

static size_t broadcast_element(const struct ne_shape *s, const struct ne_shape *y, size_t i)
{
	int32_t c[NE_MAX_RANK];

	coordinates(y, i, c);
	return element(s, c + (y->rank - s->rank));
}

static uint64_t first_seed(uint64_t *n)
{
	const char *s = getenv("NEAP_SEED");

	*n = s ? 1 : ROUNDS;
	return s ? strtoull(s, NULL, 0) : 1;
}

#define EACH_SEED(r)                                  \
	uint64_t count_, seed_ = first_seed(&count_); \
	(void)state;                                  \
	for (struct rng r = {seed_ * 2654435761u + 7}; count_--; r.s = ++seed_ * 2654435761u + 7)

static void expect(uint64_t seed, const char *what, int kind, size_t i, double got, double want)
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

/* ---- binary and where ---- */

/* One operand's shape: some axes 1, some leading ones left out. */
static struct ne_shape operand(struct rng *r, const struct ne_shape *y)
{
	uint32_t drop = y->rank && !rng_below(r, 3) ? rng_below(r, y->rank + 1) : 0;
	struct ne_shape s = {.rank = y->rank - drop};

	for (uint32_t i = 0; i < s.rank; i++)
		s.dim[i] = rng_below(r, 4) ? y->dim[i + drop] : 1;
	return s;
}

static double wrapped(enum ne_dtype t, double v)
{
	int64_t i = (int64_t)v;

	return t == NE_U8 ? (uint8_t)i : t == NE_S8 ? (int8_t)i : t == NE_S16 ? (int16_t)i : v;
}

static double binary_of(int32_t kind, enum ne_dtype t, double a, double b)
{
	bool real = t == NE_F32;

	switch (kind) {
	case NE_BINARY_ADD:
		return wrapped(t, a + b);
	case NE_BINARY_SUB:
		return wrapped(t, a - b);
	case NE_BINARY_MUL:
		return wrapped(t, a * b);
	case NE_BINARY_DIV:
		return real ? a / b : b != 0 ? trunc(a / b) : 0;
	case NE_BINARY_MOD:
		return real ? a - floor(a / b) * b : b != 0 ? a - floor(a / b) * b : 0;
	case NE_BINARY_FMOD:
		return real || b != 0 ? fmod(a, b) : 0;
	case NE_BINARY_MIN:
		return fmin(a, b);
	case NE_BINARY_MAX:
		return fmax(a, b);
	case NE_BINARY_EQUAL:
		return a == b;
	case NE_BINARY_LESS:
		return a < b;
	case NE_BINARY_LESS_EQUAL:
		return a <= b;
	case NE_BINARY_GREATER:
		return a > b;
	case NE_BINARY_GREATER_EQUAL:
		return a >= b;
	case NE_BINARY_AND:
		return a != 0 && b != 0;
	case NE_BINARY_OR:
		return a != 0 || b != 0;
	case NE_BINARY_XOR:
		return (a != 0) != (b != 0);
	case NE_BINARY_BITAND:
		return wrapped(t, (double)((int64_t)a & (int64_t)b));
	case NE_BINARY_BITOR:
		return wrapped(t, (double)((int64_t)a | (int64_t)b));
	case NE_BINARY_BITXOR:
		return wrapped(t, (double)((int64_t)a ^ (int64_t)b));
	default:
		return a < 0 ? wrapped(t, a * b) : a;
	}
}

static void binaries_follow_their_definition(void **state)
{
	EACH_SEED(r)
	{
		/* powers and shifts have a test of their own */
		static const int32_t kinds[] = {1,  2,  3,  4,  5,  6,  8,  9,  10, 11,
						12, 13, 14, 15, 16, 17, 18, 19, 20, 23};
		struct ne_shape y = random_shape(&r, 0, 5),
				s[2] = {operand(&r, &y), operand(&r, &y)};
		int32_t kind = RANDOM_OF(&r, kinds);
		enum ne_dtype t = RANDOM_OF(&r, numbers), out;
		bool compares = kind >= NE_BINARY_EQUAL && kind <= NE_BINARY_GREATER_EQUAL;
		struct node_case c;
		const void *v[2];

		if (kind >= NE_BINARY_AND && kind <= NE_BINARY_XOR)
			t = NE_BOOL;
		if (kind >= NE_BINARY_BITAND && kind <= NE_BINARY_BITXOR && t == NE_F32)
			t = NE_S32;
		out = compares ? NE_BOOL : t;
		begin(&c);
		c.attr.kind = kind;
		for (int k = 0; k < 2; k++)
			v[k] = add_random(&c, &r, t, &s[k]);
		run(&c, NE_OP_BINARY, 1, &out);
		for (size_t i = 0; i < ne_shape_elements(shape_of_output(&c, 0)); i++)
			expect(seed_, "binary", kind, i, at(c.y[0], out, i),
			       binary_of(kind, t,
					 at(v[0], t,
					    broadcast_element(&s[0], shape_of_output(&c, 0), i)),
					 at(v[1], t,
					    broadcast_element(&s[1], shape_of_output(&c, 0), i))));
		done(&c);
	}
}

static void powers_and_shifts(void **state)
{
	static const int8_t a[] = {2, -3, 1, -1, 0, -128}, b[] = {5, 3, -4, -3, 0, 7};
	static const int8_t left[] = {64, -24, 0, 0, 0, 0}, right[] = {0, 31, 0, 0, 0, 1};
	static const int8_t power[] = {32, -27, 1, -1, 1, 0};
	static const struct {
		int32_t kind;
		const int8_t *want;
	} cases[] = {{NE_BINARY_SHIFT_LEFT, left},
		     {NE_BINARY_SHIFT_RIGHT, right},
		     {NE_BINARY_POW, power}};
	struct ne_shape s = {.rank = 1, .dim = {6}};

	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(cases); k++) {
		struct node_case c;
		const enum ne_dtype t = NE_S8;

		begin(&c);
		c.attr.kind = cases[k].kind;
		memcpy(add_random(&c, &(struct rng){1}, t, &s), a, sizeof(a));
		memcpy(add_random(&c, &(struct rng){1}, t, &s), b, sizeof(b));
		run(&c, NE_OP_BINARY, 1, &t);
		assert_memory_equal(c.y[0], cases[k].want, sizeof(a));
		done(&c);
	}
}

static void where_takes_one_or_the_other(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape y = random_shape(&r, 0, 5);
		struct ne_shape s[3] = {operand(&r, &y), operand(&r, &y), operand(&r, &y)};
		enum ne_dtype t = RANDOM_OF(&r, all_types);
		struct node_case c;
		const void *v[3];

		begin(&c);
		for (int k = 0; k < 3; k++)
			v[k] = add_random(&c, &r, k ? t : NE_BOOL, &s[k]);
		run(&c, NE_OP_WHERE, 1, &t);
		for (size_t i = 0; i < ne_shape_elements(shape_of_output(&c, 0)); i++) {
			const struct ne_shape *ys = shape_of_output(&c, 0);
			int k = at(v[0], NE_BOOL, broadcast_element(&s[0], ys, i)) != 0 ? 1 : 2;

			expect(seed_, "where", 0, i, at(c.y[0], t, i),
			       at(v[k], t, broadcast_element(&s[k], ys, i)));
		}
		done(&c);
	}
}

/* ---- unary and cast ---- */

static double unary_of(int32_t kind, double x, double a, double b)
{
	switch (kind) {
	case NE_UNARY_ABS:
		return fabs(x);
	case NE_UNARY_NEG:
		return -x;
	case NE_UNARY_SIGN:
		return (x > 0) - (x < 0);
	case NE_UNARY_FLOOR:
		return floor(x);
	case NE_UNARY_CEIL:
		return ceil(x);
	case NE_UNARY_ROUND:
		return rint(x);
	case NE_UNARY_SQRT:
		return sqrt(x);
	case NE_UNARY_RECIPROCAL:
		return 1 / x;
	case NE_UNARY_EXP:
		return exp(x);
	case NE_UNARY_LOG:
		return log(x);
	case NE_UNARY_ERF:
		return erf(x);
	case NE_UNARY_SIN:
		return sin(x);
	case NE_UNARY_COS:
		return cos(x);
	case NE_UNARY_TAN:
		return tan(x);
	case NE_UNARY_ASIN:
		return asin(x);
	case NE_UNARY_ACOS:
		return acos(x);
	case NE_UNARY_ATAN:
		return atan(x);
	case NE_UNARY_SINH:
		return sinh(x);
	case NE_UNARY_COSH:
		return cosh(x);
	case NE_UNARY_ASINH:
		return asinh(x);
	case NE_UNARY_ACOSH:
		return acosh(x);
	case NE_UNARY_ATANH:
		return atanh(x);
	case NE_UNARY_ELU:
		return x < 0 ? a * (exp(x) - 1) : x;
	case NE_UNARY_CELU:
		return x < 0 ? a * (exp(x / a) - 1) : x;
	case NE_UNARY_SELU:
		return b * (x < 0 ? a * (exp(x) - 1) : x);
	case NE_UNARY_LEAKYRELU:
		return x < 0 ? a * x : x;
	case NE_UNARY_THRESHOLD:
		return x > a ? x : 0;
	case NE_UNARY_SOFTPLUS:
		return log(1 + exp(x));
	case NE_UNARY_SOFTSIGN:
		return x / (1 + fabs(x));
	case NE_UNARY_GELU:
		return x / 2 * (1 + erf(x / sqrt(2)));
	case NE_UNARY_GELU_TANH:
		return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
	case NE_UNARY_MISH:
		return x * tanh(log(1 + exp(x)));
	case NE_UNARY_HARDSIGMOID:
		return fmax(0, fmin(1, a * x + b));
	case NE_UNARY_CLIP:
		return fmin(fmax(x, a), b);
	case NE_UNARY_SHRINK:
		return x < -b ? x + a : x > b ? x - a : 0;
	default:
		return x / (1 + exp(-a * x));
	}
}

static void functions_follow_their_definition(void **state)
{
	EACH_SEED(r)
	{
		int32_t kind = rng_between(&r, 1, NE_UNARY_COUNT - 1);
		struct ne_shape s = random_shape(&r, 0, 5);
		const enum ne_dtype t = NE_F32;
		struct node_case c;
		const float *x;

		if (kind >= NE_UNARY_NOT && kind <= NE_UNARY_ISINF)
			continue;
		begin(&c);
		c.attr.kind = kind;
		c.attr.value = (float)(0.1 + fabs(rng_unit(&r)));
		c.attr.value2 = (float)(1.2 + fabs(rng_unit(&r)));
		x = add_random(&c, &r, t, &s);
		run(&c, NE_OP_UNARY, 1, &t);
		for (size_t i = 0; i < ne_shape_elements(&s); i++)
			/* near a pole the float's own rounding decides */
			if (!(kind == NE_UNARY_TAN && fabs(cos((double)x[i])) < 0.01) &&
			    !(kind == NE_UNARY_RECIPROCAL && fabsf(x[i]) < 0.001f))
				expect(seed_, "unary", kind, i, at(c.y[0], t, i),
				       unary_of(kind, (double)x[i], (double)c.attr.value,
						(double)c.attr.value2));
		done(&c);
	}
}

/* 8-bit values with a scale are real ones; without it abs, neg and sign take the integers. */
static void eight_bits_are_real_where_they_have_a_scale(void **state)
{
	struct ne_shape s = {.rank = 2, .dim = {1, 256}};
	const struct ne_quant qx = {0.05f, 3}, qy = {0.03f, -20};

	(void)state;
	for (int scaled = 0; scaled < 2; scaled++) {
		const enum ne_dtype t = NE_S8;
		struct node_case c;
		int8_t *x;

		begin(&c);
		c.attr.kind = scaled ? NE_UNARY_ELU : NE_UNARY_NEG;
		c.attr.value = 1;
		x = add_random(&c, &(struct rng){1}, t, &s);
		for (int i = 0; i < 256; i++)
			x[i] = (int8_t)(i - 128);
		if (scaled)
			c.m->graph.tensor[c.in[0]].quant = qx;
		assert_int_equal(finish(&c, NE_OP_UNARY, 1, &t, NULL), 0);
		if (scaled)
			c.m->width[0].quant[c.out[0]] = qy;
		{
			struct ne_program *p;
			struct ne_context *ctx;
			struct ne_error err = {""};
			int8_t y[256];

			if (ne_program_new(c.m, NULL, &p, &err) < 0)
				fail_msg("%s", err.text);
			assert_int_equal(ne_context_new(p, 1, &ctx), 0);
			assert_int_equal(
				ne_run(p, ctx, 0, (const void *[]){x}, (void *[]){y}, NULL, NULL),
				0);
			for (int i = 0; i < 256; i++) {
				double real = (x[i] - qx.zero) * (double)qx.scale;
				double want = scaled ? rint(unary_of(NE_UNARY_ELU, real, 1, 0) /
							    (double)qy.scale) +
							       qy.zero
						     : (int8_t)-x[i];

				assert_true(fabs(y[i] - fmax(-128, fmin(127, want))) <= scaled);
			}
			ne_context_free(ctx);
			ne_program_free(p);
		}
		done(&c);
	}
}

static void casts_truncate_and_clamp(void **state)
{
	static const float x[] = {1.9f, -1.9f, 300, -300, NAN, INFINITY, 0, 3e9f};
	static const struct {
		enum ne_dtype t;
		double want[8];
	} cases[] = {
		{NE_U8, {1, 0, 255, 0, 0, 255, 0, 255}},
		{NE_S8, {1, -1, 127, -128, 0, 127, 0, 127}},
		{NE_S32, {1, -1, 300, -300, 0, INT32_MAX, 0, INT32_MAX}},
		{NE_BOOL, {1, 1, 1, 1, 1, 1, 0, 1}},
	};
	struct ne_shape s = {.rank = 1, .dim = {8}};

	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(cases); k++) {
		struct node_case c;

		begin(&c);
		memcpy(add_random(&c, &(struct rng){1}, NE_F32, &s), x, sizeof(x));
		run(&c, NE_OP_CAST, 1, &cases[k].t);
		for (size_t i = 0; i < 8; i++)
			assert_true(at(c.y[0], cases[k].t, i) == cases[k].want[i]);
		done(&c);
	}
}

/* ---- reductions ---- */

static double reduce_of(int32_t kind, const double *v, size_t n)
{
	double sum = 0, product = 1, magnitude = 0, squares = 0, most = v[0], least = v[0], e = 0;

	for (size_t i = 0; i < n; i++) {
		sum += v[i];
		product *= v[i];
		magnitude += fabs(v[i]);
		squares += v[i] * v[i];
		most = fmax(most, v[i]);
		least = fmin(least, v[i]);
		e += exp(v[i]);
	}
	switch (kind) {
	case NE_REDUCE_SUM:
		return sum;
	case NE_REDUCE_MEAN:
		return sum / (double)n;
	case NE_REDUCE_MAX:
		return most;
	case NE_REDUCE_MIN:
		return least;
	case NE_REDUCE_PROD:
		return product;
	case NE_REDUCE_L1:
		return magnitude;
	case NE_REDUCE_L2:
		return sqrt(squares);
	case NE_REDUCE_SUM_SQUARE:
		return squares;
	case NE_REDUCE_LOG_SUM:
		return log(sum);
	case NE_REDUCE_LOG_SUM_EXP:
		return log(e);
	default:
		break;
	}
	for (size_t k = 0; k < n; k++) {
		bool last = kind == NE_REDUCE_ARGMAX_LAST || kind == NE_REDUCE_ARGMIN_LAST;
		size_t i = last ? n - 1 - k : k;

		if (v[i] ==
		    (kind == NE_REDUCE_ARGMAX || kind == NE_REDUCE_ARGMAX_LAST ? most : least))
			return (double)i;
	}
	return -1;
}

static void reductions_follow_their_definition(void **state)
{
	double *v = malloc(4096 * sizeof(*v));

	EACH_SEED(r)
	{
		int32_t kind = rng_between(&r, 1, NE_REDUCE_COUNT - 1);
		struct ne_shape s = random_shape(&r, 1, 5), y;
		static const enum ne_dtype types[] = {NE_F32, NE_S32, NE_S64};
		enum ne_dtype t = RANDOM_OF(&r, types), out;
		bool places = kind >= NE_REDUCE_ARGMAX;
		struct node_case c;
		const void *x;

		if (!places && kind != NE_REDUCE_MAX && kind != NE_REDUCE_MIN &&
		    kind != NE_REDUCE_SUM && kind != NE_REDUCE_L1)
			t = NE_F32; /* means and roots of integers are truncated */
		out = places ? NE_S64 : t;
		begin(&c);
		c.attr.kind = kind;
		c.attr.axes = places ? 1u << rng_below(&r, s.rank) : rng_below(&r, 1u << s.rank);
		x = add_random(&c, &r, t, &s);
		run(&c, NE_OP_REDUCE, 1, &out);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			size_t n = 0;

			for (size_t e = 0; e < ne_shape_elements(&s); e++) {
				int32_t at_e[NE_MAX_RANK];

				coordinates(&s, e, at_e);
				if (element(&y, at_e) == i)
					v[n++] = at(x, t, e);
			}
			expect(seed_, "reduce", kind, i, at(c.y[0], out, i), reduce_of(kind, v, n));
		}
		done(&c);
	}
	free(v);
}

/* ---- slices and picks ---- */

static void slices_take_what_they_name(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape s = random_shape(&r, 0, 6), y;
		enum ne_dtype t = RANDOM_OF(&r, all_types);
		size_t size = ne_dtype_size(t);
		struct node_case c;
		const char *x;

		begin(&c);
		for (uint32_t i = 0; i < s.rank; i++) {
			int32_t step = rng_between(&r, 1, 3), n;
			int32_t first = rng_between(&r, 0, s.dim[i] - 1);

			n = rng_between(&r, 1, (s.dim[i] - 1 - first) / step + 1);
			c.attr.slice.begin[i] = first;
			c.attr.slice.size[i] = n;
			c.attr.slice.step[i] = step;
			if (rng_below(&r, 2)) { /* the same backwards */
				c.attr.slice.begin[i] = first + (n - 1) * step;
				c.attr.slice.step[i] = -step;
			}
		}
		x = add_random(&c, &r, t, &s);
		run(&c, NE_OP_SLICE, 1, &t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			int32_t p[NE_MAX_RANK];

			coordinates(&y, i, p);
			for (uint32_t d = 0; d < s.rank; d++)
				p[d] = c.attr.slice.begin[d] + p[d] * c.attr.slice.step[d];
			assert_memory_equal((char *)c.y[0] + i * size, x + element(&s, p) * size,
					    size);
		}
		done(&c);
	}
}

static void picks_take_what_they_list(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape s = random_shape(&r, 1, 5), y;
		enum ne_dtype t = RANDOM_OF(&r, numbers);
		const int32_t *list[NE_MAX_RANK] = {NULL};
		struct node_case c;
		const void *x;

		begin(&c);
		c.attr.value = 7;
		x = add_random(&c, &r, t, &s);
		for (uint32_t d = 0; d < s.rank; d++) {
			int32_t n = rng_between(&r, 1, 8), *v, run_of = rng_between(&r, 1, 3);

			if (!rng_below(&r, 3)) {
				c.in[c.n_in++] = NE_NONE;
				continue;
			}
			v = malloc((size_t)n * sizeof(*v));
			for (int32_t k = 0; k < n; k++)
				v[k] = k % run_of && v[k - 1] + 1 < s.dim[d]
					       ? v[k - 1] + 1
					       : rng_between(&r, -1, s.dim[d] - 1);
			list[d] = v;
			add_const_s32(&c, n, v);
		}
		run(&c, NE_OP_PICK, 1, &t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			int32_t p[NE_MAX_RANK];
			bool open = false;

			coordinates(&y, i, p);
			for (uint32_t d = 0; d < s.rank; d++) {
				p[d] = list[d] ? list[d][p[d]] : p[d];
				open = open || p[d] < 0;
			}
			expect(seed_, "pick", 0, i, at(c.y[0], t, i),
			       open ? 7 : at(x, t, element(&s, p)));
		}
		done(&c);
	}
}

/* ---- indices ---- */

/* Where an index leads: negative from the end, else clamped. */
static int32_t led_to(double v, int32_t length)
{
	v += v < 0 ? length : 0;
	return (int32_t)fmax(0, fmin(v, length - 1));
}

static void *add_indices(struct node_case *c, struct rng *r, enum ne_dtype t,
			 const struct ne_shape *s)
{
	void *data = calloc(ne_shape_elements(s), ne_dtype_size(t));

	for (size_t i = 0; i < ne_shape_elements(s); i++)
		set(data, t, i,
		    rng_below(r, 9) ? rng_between(r, -5, 5) : rng_between(r, -99999, 99999));
	add_input(c, t, s, data);
	return data;
}

static void gathers_lead_where_indices_say(void **state)
{
	EACH_SEED(r)
	{
		bool elements = rng_below(&r, 2);
		struct ne_shape s = random_shape(&r, 1, 4), is = random_shape(&r, 0, 2), y;
		enum ne_dtype t = RANDOM_OF(&r, all_types), it = rng_below(&r, 2) ? NE_S32 : NE_S64;
		uint32_t axis = rng_below(&r, s.rank);
		struct node_case c;
		const void *x, *index;

		if (elements) {
			is = s;
			is.dim[axis] = rng_between(&r, 1, 6);
		}
		begin(&c);
		c.attr.axis = (int32_t)axis;
		x = add_random(&c, &r, t, &s);
		index = add_indices(&c, &r, it, &is);
		run(&c, elements ? NE_OP_GATHER_ELEMENTS : NE_OP_GATHER, 1, &t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			int32_t p[NE_MAX_RANK], q[NE_MAX_RANK];

			coordinates(&y, i, p);
			for (uint32_t d = 0; d < s.rank; d++)
				q[d] = elements || d < axis ? p[d] : p[d + is.rank - (d > axis)];
			if (elements)
				q[axis] = led_to(at(index, it, i), s.dim[axis]);
			else
				q[axis] =
					led_to(at(index, it, element(&is, p + axis)), s.dim[axis]);
			if (!elements)
				for (uint32_t d = axis + 1; d < s.rank; d++)
					q[d] = p[d - 1 + is.rank];
			expect(seed_, "gather", elements, i, at(c.y[0], t, i),
			       at(x, t, element(&s, q)));
		}
		done(&c);
	}
}

/* Scattered elements, put or added; tuples of indices gather and scatter whole rows. */
static void scatters_write_where_indices_say(void **state)
{
	EACH_SEED(r)
	{
		bool add = rng_below(&r, 2);
		struct ne_shape s = random_shape(&r, 1, 4), is;
		enum ne_dtype t = add ? NE_S32 : RANDOM_OF(&r, numbers);
		uint32_t axis = rng_below(&r, s.rank);
		size_t n = ne_shape_elements(&s);
		double *want = malloc(n * sizeof(*want));
		struct node_case c;
		const void *x, *index, *update;

		is = s;
		is.dim[axis] = rng_between(&r, 1, 6);
		begin(&c);
		c.attr.axis = (int32_t)axis;
		c.attr.kind = add;
		x = add_random(&c, &r, t, &s);
		index = add_indices(&c, &r, NE_S64, &is);
		update = add_random(&c, &r, t, &is);
		run(&c, NE_OP_SCATTER_ELEMENTS, 1, &t);
		for (size_t i = 0; i < n; i++)
			want[i] = at(x, t, i);
		for (size_t i = 0; i < ne_shape_elements(&is); i++) {
			int32_t p[NE_MAX_RANK];
			size_t e;

			coordinates(&is, i, p);
			p[axis] = led_to(at(index, NE_S64, i), s.dim[axis]);
			e = element(&s, p);
			want[e] = (add ? want[e] : 0) + at(update, t, i);
		}
		for (size_t i = 0; i < n; i++)
			expect(seed_, "scatter", add, i, at(c.y[0], t, i), want[i]);
		free(want);
		done(&c);
	}
}

static void tuples_name_rows(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape s = random_shape(&r, 2, 4), is = {.rank = 2}, us;
		const enum ne_dtype t = NE_S16;
		int32_t depth = rng_between(&r, 1, (int)s.rank), n = rng_between(&r, 1, 4);
		bool scatter = rng_below(&r, 2);
		size_t row = 1, total = ne_shape_elements(&s);
		struct node_case c;
		const int16_t *x, *update = NULL;
		const int64_t *index;
		int16_t *want;

		is.dim[0] = n;
		is.dim[1] = depth;
		us = (struct ne_shape){.rank = s.rank - (uint32_t)depth + 1, .dim = {n}};
		for (uint32_t d = (uint32_t)depth; d < s.rank; d++) {
			us.dim[1 + d - (uint32_t)depth] = s.dim[d];
			row *= (size_t)s.dim[d];
		}
		begin(&c);
		x = add_random(&c, &r, t, &s);
		index = add_indices(&c, &r, NE_S64, &is);
		if (scatter)
			update = add_random(&c, &r, t, &us);
		run(&c, scatter ? NE_OP_SCATTER_ND : NE_OP_GATHER_ND, 1, &t);
		want = malloc(NE_MAX(total, (size_t)n * row) * sizeof(*want));
		memcpy(want, x, total * sizeof(*want));
		for (int32_t k = 0; k < n; k++) {
			size_t e = 0;

			for (int32_t d = 0; d < depth; d++)
				e = e * (size_t)s.dim[d] +
				    (size_t)led_to((double)index[k * depth + d], s.dim[d]);
			if (scatter)
				memcpy(want + e * row, update + (size_t)k * row,
				       row * sizeof(*want));
			else
				memcpy(want + (size_t)k * row, x + e * row, row * sizeof(*want));
		}
		assert_memory_equal(c.y[0], want,
				    (scatter ? total : (size_t)n * row) * sizeof(*want));
		free(want);
		done(&c);
	}
}

/* ---- products, sums along, the first k ---- */

static void products_of_matrices(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape batch = random_shape(&r, 0, 3),
				s[2] = {operand(&r, &batch), operand(&r, &batch)};
		int32_t m = rng_between(&r, 1, 6), k = rng_between(&r, 1, 6);
		int32_t n = rng_between(&r, 1, 6);
		const enum ne_dtype t = NE_F32;
		struct node_case c;
		struct ne_shape y;
		const float *v[2];

		for (int i = 0; i < 2; i++) {
			s[i].dim[s[i].rank++] = i ? k : m;
			s[i].dim[s[i].rank++] = i ? n : k;
		}
		if (ne_shape_elements(&s[0]) > 20000 || ne_shape_elements(&s[1]) > 20000)
			continue;
		begin(&c);
		for (int i = 0; i < 2; i++)
			v[i] = add_random(&c, &r, t, &s[i]);
		run(&c, NE_OP_MATMUL, 1, &t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			int32_t p[NE_MAX_RANK], q[NE_MAX_RANK];
			double sum = 0;

			for (int32_t e = 0; e < k; e++) {
				coordinates(&y, i, p);
				memcpy(q, p, sizeof(q));
				p[y.rank - 1] = e;
				q[y.rank - 2] = e;
				sum += (double)v[0][element(&s[0], p + (y.rank - s[0].rank))] *
				       (double)v[1][element(&s[1], q + (y.rank - s[1].rank))];
			}
			expect(seed_, "matmul", 0, i, at(c.y[0], t, i), sum);
		}
		done(&c);
	}
}

static void sums_along_an_axis(void **state)
{
	EACH_SEED(r)
	{
		static const enum ne_dtype types[] = {NE_F32, NE_S32, NE_S64};
		struct ne_shape s = random_shape(&r, 1, 4);
		enum ne_dtype t = RANDOM_OF(&r, types);
		uint32_t axis = rng_below(&r, s.rank);
		int32_t form = rng_between(&r, 0, 3);
		struct node_case c;
		const void *x;

		begin(&c);
		c.attr.axis = (int32_t)axis;
		c.attr.kind = form;
		x = add_random(&c, &r, t, &s);
		run(&c, NE_OP_CUMSUM, 1, &t);
		for (size_t i = 0; i < ne_shape_elements(&s); i++) {
			int32_t p[NE_MAX_RANK], here;
			double sum = 0;

			coordinates(&s, i, p);
			here = p[axis];
			for (int32_t k = 0; k < s.dim[axis]; k++) {
				bool before = form & 2 ? k > here : k < here;

				p[axis] = k;
				if (before || (k == here && !(form & 1)))
					sum += at(x, t, element(&s, p));
			}
			expect(seed_, "cumsum", form, i, at(c.y[0], t, i), sum);
		}
		done(&c);
	}
}

/* Value @i of the row stands before value @k: by size, then by place. */
static bool before(double a, size_t i, double b, size_t k, bool most)
{
	return a == b ? i < k : most ? a > b : a < b;
}

static void the_first_k_in_order(void **state)
{
	EACH_SEED(r)
	{
		struct ne_shape s = random_shape(&r, 1, 4), y;
		enum ne_dtype t[2] = {RANDOM_OF(&r, numbers), NE_S64};
		uint32_t axis = rng_below(&r, s.rank);
		bool most = rng_below(&r, 2);
		struct node_case c;
		const void *x;

		begin(&c);
		c.attr.axis = (int32_t)axis;
		c.attr.kind = !most;
		c.attr.slice.size[axis] = rng_between(&r, 1, s.dim[axis]);
		x = add_random(&c, &r, t[0], &s);
		run(&c, NE_OP_TOPK, 2, t);
		y = *shape_of_output(&c, 0);
		for (size_t i = 0; i < ne_shape_elements(&y); i++) {
			size_t place = (size_t)at(c.y[1], NE_S64, i), ahead = 0;
			int32_t p[NE_MAX_RANK], rank_here;

			coordinates(&y, i, p);
			rank_here = p[axis];
			assert_true(place < (size_t)s.dim[axis]);
			p[axis] = (int32_t)place;
			expect(seed_, "topk", !most, i, at(c.y[0], t[0], i),
			       at(x, t[0], element(&s, p)));
			/* as many stand before it as its place in the order says */
			for (int32_t k = 0; k < s.dim[axis]; k++) {
				p[axis] = k;
				ahead += before(at(x, t[0], element(&s, p)), (size_t)k,
						at(c.y[0], t[0], i), place, most);
			}
			assert_int_equal(ahead, rank_here);
		}
		done(&c);
	}
}

/* ---- refusals ---- */

static void refused(struct node_case *c, enum ne_op op, enum ne_dtype out, const char *why)
{
	struct ne_error err = {""};

	if (finish(c, op, 1, &out, &err) != -EINVAL || !strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
	done(c);
}

static void bad_attributes_are_refused(void **state)
{
	struct ne_shape s = {.rank = 2, .dim = {3, 4}}, v = {.rank = 1, .dim = {3}};
	struct rng r = {1};
	struct node_case c;

	(void)state;
#define CASE(op, x_type, out_type, why, ...)    \
	do {                                    \
		begin(&c);                      \
		add_random(&c, &r, x_type, &s); \
		__VA_ARGS__;                    \
		refused(&c, op, out_type, why); \
	} while (0)
	CASE(NE_OP_UNARY, NE_F32, NE_F32, "no function 0", c.attr.kind = 0);
	CASE(NE_OP_UNARY, NE_F32, NE_F32, "no function 41", c.attr.kind = NE_UNARY_COUNT);
	CASE(NE_OP_UNARY, NE_F32, NE_F32, "types f32 to f32", c.attr.kind = NE_UNARY_NOT);
	CASE(NE_OP_UNARY, NE_S64, NE_S64, "types s64 to s64", c.attr.kind = NE_UNARY_EXP);
	CASE(NE_OP_UNARY, NE_F32, NE_F32, "not a number", c.attr.kind = NE_UNARY_ELU,
	     c.attr.value = NAN);
	CASE(NE_OP_BINARY, NE_F32, NE_F32, "no function -1", c.attr.kind = -1,
	     add_random(&c, &r, NE_F32, &s));
	CASE(NE_OP_BINARY, NE_F32, NE_F32, "neither equal nor 1", c.attr.kind = 1,
	     add_random(&c, &r, NE_F32, &v));
	CASE(NE_OP_BINARY, NE_F32, NE_F32, "types f32 and s32", c.attr.kind = 1,
	     add_random(&c, &r, NE_S32, &s));
	CASE(NE_OP_BINARY, NE_S32, NE_S32, "to s32", c.attr.kind = NE_BINARY_LESS,
	     add_random(&c, &r, NE_S32, &s));
	CASE(NE_OP_REDUCE, NE_F32, NE_F32, "axes 0x4", c.attr.kind = 1, c.attr.axes = 4);
	CASE(NE_OP_REDUCE, NE_F32, NE_S64, "one axis", c.attr.kind = NE_REDUCE_ARGMAX,
	     c.attr.axes = 3);
	CASE(NE_OP_REDUCE, NE_F32, NE_F32, "no reduction", c.attr.kind = NE_REDUCE_COUNT);
	CASE(NE_OP_SLICE, NE_F32, NE_F32, "axis 0", c.attr.slice.size[0] = 0);
	CASE(NE_OP_SLICE, NE_F32, NE_F32, "axis 1",
	     c.attr.slice = (struct ne_slice){{0, 1}, {3, 2}, {1, 3}});
	CASE(NE_OP_SLICE, NE_F32, NE_F32, "steps of 0",
	     c.attr.slice = (struct ne_slice){{0, 0}, {1, 1}, {0, 1}});
	CASE(NE_OP_SLICE, NE_F32, NE_F32, "axis 0",
	     c.attr.slice = (struct ne_slice){{0, 0}, {2, 1}, {INT32_MAX, 1}});
	CASE(NE_OP_PICK, NE_F32, NE_F32, "constant s32 vector", add_random(&c, &r, NE_S32, &v));
	CASE(NE_OP_GATHER, NE_F32, NE_F32, "no axis 2", c.attr.axis = 2,
	     add_random(&c, &r, NE_S64, &v));
	CASE(NE_OP_GATHER, NE_F32, NE_F32, "indices of type f32", add_random(&c, &r, NE_F32, &v));
	CASE(NE_OP_GATHER_ELEMENTS, NE_F32, NE_F32, "indices of rank 1",
	     add_random(&c, &r, NE_S64, &v));
	CASE(NE_OP_GATHER_ND, NE_F32, NE_F32, "tuples of 3", add_random(&c, &r, NE_S64, &v));
	CASE(NE_OP_SCATTER_ELEMENTS, NE_F32, NE_F32, "no reduction 5", c.attr.kind = 5,
	     add_random(&c, &r, NE_S64, &s), add_random(&c, &r, NE_F32, &s));
	CASE(NE_OP_MATMUL, NE_F32, NE_F32, "rows of 4 by columns of 3",
	     add_random(&c, &r, NE_F32, &s));
	CASE(NE_OP_CUMSUM, NE_F32, NE_F32, "no form 4", c.attr.kind = 4);
	CASE(NE_OP_TOPK, NE_F32, NE_F32, "first 5 of 4", c.attr.axis = 1, c.attr.slice.size[1] = 5);
	CASE(NE_OP_WHERE, NE_F32, NE_F32, "bool, then all alike", add_random(&c, &r, NE_F32, &s),
	     add_random(&c, &r, NE_F32, &s));
#undef CASE
	begin(&c); /* positions out of range */
	add_random(&c, &r, NE_F32, &s);
	add_const_s32(&c, 1, memcpy(malloc(4), &(int32_t){3}, 4));
	refused(&c, NE_OP_PICK, NE_F32, "position 3 of 3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binaries_follow_their_definition),
		cmocka_unit_test(powers_and_shifts),
		cmocka_unit_test(where_takes_one_or_the_other),
		cmocka_unit_test(functions_follow_their_definition),
		cmocka_unit_test(eight_bits_are_real_where_they_have_a_scale),
		cmocka_unit_test(casts_truncate_and_clamp),
		cmocka_unit_test(reductions_follow_their_definition),
		cmocka_unit_test(slices_take_what_they_name),
		cmocka_unit_test(picks_take_what_they_list),
		cmocka_unit_test(gathers_lead_where_indices_say),
		cmocka_unit_test(scatters_write_where_indices_say),
		cmocka_unit_test(tuples_name_rows),
		cmocka_unit_test(products_of_matrices),
		cmocka_unit_test(sums_along_an_axis),
		cmocka_unit_test(the_first_k_in_order),
		cmocka_unit_test(bad_attributes_are_refused),
	};

	return cmocka_run_group_tests_name("families of operators", tests, NULL, NULL);
}
