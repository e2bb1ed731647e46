/* SPDX-License-Identifier: MIT */
/*
 * Functions of one and of two values, choices, casts, reductions: random shapes, types and
 * attributes against their definitions written out element by element; and what the general
 * operators' checks refuse.
 */
#include "tests/unit/node_case.h"

/* ---- binary and where ---- */

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
		cmocka_unit_test(bad_attributes_are_refused),
	};

	return cmocka_run_group_tests_name("families of operators", tests, NULL, NULL);
}
