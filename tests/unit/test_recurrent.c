/* SPDX-License-Identifier: MIT */
/* LSTM, GRU and plain recurrence of random shapes and forms against ONNX's formulas in double. */
#include "engine/run/run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CASES 300

static uint32_t seed;

static uint32_t draw(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static float real(void)
{
	return (float)draw(2001) / 1000.0f - 1.0f;
}

/* One of the node's inputs: a constant of the graph or one of the run's inputs. */
struct operand {
	bool there;
	size_t n;
	float *v;
};

enum { X, W, R, BIAS, LENGTHS, H0, C0, PEEPHOLE, OPERANDS };

struct test_case {
	enum ne_op op;
	int32_t t, b, in, h, g, d;
	struct ne_attr attr;
	struct operand operand[OPERANDS];
	int32_t length[8];
};

static double gate(struct ne_gate g, double clip, double x)
{
	if (clip > 0)
		x = fmin(fmax(x, -clip), clip);
	switch (g.kind) {
	case NE_GATE_SIGMOID:
		return 1 / (1 + exp(-x));
	case NE_GATE_TANH:
		return tanh(x);
	case NE_GATE_RELU:
		return fmax(x, 0);
	case NE_GATE_AFFINE:
		return (double)g.a * x + (double)g.b;
	case NE_GATE_LEAKY_RELU:
		return x < 0 ? (double)g.a * x : x;
	case NE_GATE_THRESHOLDED_RELU:
		return x > (double)g.a ? x : 0;
	case NE_GATE_SCALED_TANH:
		return (double)g.a * tanh((double)g.b * x);
	case NE_GATE_HARD_SIGMOID:
		return fmin(fmax((double)g.a * x + (double)g.b, 0), 1);
	case NE_GATE_ELU:
		return x < 0 ? (double)g.a * (exp(x) - 1) : x;
	case NE_GATE_SOFTSIGN:
		return x / (1 + fabs(x));
	case NE_GATE_SOFTPLUS:
		return log(1 + exp(x));
	default:
		return x;
	}
}

/* W x (of gate @k, unit @j) plus its bias; the same of R and a state. */
static double product(const struct test_case *c, int which, int d, int k, int j, const double *v)
{
	int n = which == W ? c->in : c->h, row = (d * c->g + k) * c->h + j;
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += (double)c->operand[which].v[(size_t)row * (size_t)n + (size_t)i] * v[i];
	if (c->operand[BIAS].there)
		sum += (double)c->operand[BIAS]
			       .v[(d * 2 + (which == R)) * c->g * c->h + k * c->h + j];
	return sum;
}

/* One step of one row: @h and @cell change. */
static void step(const struct test_case *c, int d, const double *x, double *h, double *cell)
{
	const struct ne_recurrent *r = &c->attr.recurrent;
	const struct ne_gate *act = &r->act[3 * d];
	const float *p = c->operand[PEEPHOLE].there ? c->operand[PEEPHOLE].v + d * 3 * c->h : NULL;
	double v[4][16], old[16], cut[16], clip = (double)r->clip;

	memcpy(old, h, sizeof(old));
	for (int k = 0; k < c->g; k++)
		for (int j = 0; j < c->h; j++)
			v[k][j] = product(c, W, d, k, j, x) + product(c, R, d, k, j, old);
	for (int j = 0; j < c->h && c->op == NE_OP_GRU; j++)
		cut[j] = old[j] * gate(act[0], clip, v[1][j]);
	for (int j = 0; j < c->h; j++) {
		if (c->op == NE_OP_RNN) {
			h[j] = gate(act[0], clip, v[0][j]);
		} else if (c->op == NE_OP_GRU) {
			double z = gate(act[0], clip, v[0][j]), reset = gate(act[0], clip, v[1][j]);
			double s = r->linear_before_reset ? reset * product(c, R, d, 2, j, old)
							  : product(c, R, d, 2, j, cut);
			double n = gate(act[1], clip, product(c, W, d, 2, j, x) + s);

			h[j] = (1 - z) * n + z * old[j];
		} else {
			double was = cell[j], i, f, o;

			i = gate(act[0], clip, v[0][j] + (p ? (double)p[j] * was : 0));
			f = gate(act[0], clip, v[2][j] + (p ? (double)p[2 * c->h + j] * was : 0));
			if (r->input_forget)
				f = 1 - i;
			cell[j] = f * was + i * gate(act[1], clip, v[3][j]);
			o = gate(act[0], clip, v[1][j] + (p ? (double)p[c->h + j] * cell[j] : 0));
			h[j] = o * gate(act[2], clip, cell[j]);
		}
	}
}

static void expected(const struct test_case *c, double *y, double *last, double *cells)
{
	for (int d = 0; d < c->d; d++)
		for (int b = 0; b < c->b; b++) {
			bool back = d == 1 || c->attr.recurrent.direction == NE_BACKWARD;
			int row = d * c->b + b, n = c->t;
			double h[16] = {0}, cell[16] = {0}, x[16];

			if (c->operand[LENGTHS].there)
				n = NE_MIN(c->length[b], c->t);
			for (int j = 0; j < c->h; j++) {
				if (c->operand[H0].there)
					h[j] = (double)c->operand[H0].v[row * c->h + j];
				if (c->operand[C0].there)
					cell[j] = (double)c->operand[C0].v[row * c->h + j];
			}
			for (int s = 0; s < n; s++) {
				int t = back ? n - 1 - s : s;

				for (int i = 0; i < c->in; i++)
					x[i] = (double)c->operand[X].v[(t * c->b + b) * c->in + i];
				step(c, d, x, h, cell);
				for (int j = 0; j < c->h; j++)
					y[((t * c->d + d) * c->b + b) * c->h + j] = h[j];
			}
			memcpy(last + row * c->h, h, (size_t)c->h * sizeof(*h));
			memcpy(cells + row * c->h, cell, (size_t)c->h * sizeof(*h));
		}
}

/* ---- random cases ---- */

static void draw_attr(struct test_case *c)
{
	struct ne_recurrent *r = &c->attr.recurrent;

	c->attr.groups = 1;
	r->direction = (int32_t)draw(3);
	r->linear_before_reset = (int32_t)draw(2);
	r->input_forget = draw(4) == 0;
	r->clip = draw(3) ? 0 : 0.5f;
	for (int i = 0; i < 6; i++)
		r->act[i] = (struct ne_gate){(int32_t)(draw(2) ? draw(NE_GATE_COUNT) : 1 + draw(2)),
					     real(), real()};
}

static void draw_operand(struct test_case *c, int k, bool there, int32_t n)
{
	struct operand *o = &c->operand[k];

	o->there = there;
	o->n = (size_t)n;
	o->v = calloc(o->n, sizeof(*o->v));
	assert_non_null(o->v);
	/* small states' weights, so that the activations without a bound do not run away */
	for (size_t i = 0; i < o->n; i++)
		o->v[i] = k == R ? 0.2f * real() : real();
}

static void case_done(struct test_case *c)
{
	for (int k = 0; k < OPERANDS; k++)
		free(c->operand[k].v);
	memset(c, 0, sizeof(*c));
}

/* Freed by case_done(). */
static void draw_case(struct test_case *c)
{
	static const enum ne_op ops[] = {NE_OP_LSTM, NE_OP_GRU, NE_OP_RNN};
	bool lstm;

	memset(c, 0, sizeof(*c));
	c->op = ops[draw(3)];
	lstm = c->op == NE_OP_LSTM;
	draw_attr(c);
	c->t = 1 + (int32_t)draw(6);
	c->b = 1 + (int32_t)draw(3);
	c->in = 1 + (int32_t)draw(9);
	c->h = 1 + (int32_t)draw(9);
	c->g = lstm ? 4 : c->op == NE_OP_GRU ? 3 : 1;
	c->d = c->attr.recurrent.direction == NE_BOTH_WAYS ? 2 : 1;
	draw_operand(c, X, true, c->t * c->b * c->in);
	draw_operand(c, W, true, c->d * c->g * c->h * c->in);
	draw_operand(c, R, true, c->d * c->g * c->h * c->h);
	draw_operand(c, BIAS, draw(3) > 0, c->d * 2 * c->g * c->h);
	draw_operand(c, LENGTHS, draw(3) == 0, c->b);
	draw_operand(c, H0, draw(2), c->d * c->b * c->h);
	draw_operand(c, C0, lstm && draw(2), c->d * c->b * c->h);
	draw_operand(c, PEEPHOLE, lstm && draw(2), c->d * 3 * c->h);
	for (int32_t b = 0; b < c->b; b++)
		c->length[b] = (int32_t)draw((uint32_t)c->t + 3); /* some past the end */
}

static struct ne_shape shape_of_operand(const struct test_case *c, int k)
{
	const struct ne_shape s[OPERANDS] = {
		[X] = {3, {c->t, c->b, c->in}},
		[W] = {3, {c->d, c->g * c->h, c->in}},
		[R] = {3, {c->d, c->g * c->h, c->h}},
		[BIAS] = {2, {c->d, 2 * c->g * c->h}},
		[LENGTHS] = {1, {c->b}},
		[H0] = {3, {c->d, c->b, c->h}},
		[C0] = {3, {c->d, c->b, c->h}},
		[PEEPHOLE] = {2, {c->d, 3 * c->h}},
	};

	return s[k];
}

/* The graph, and where the run's inputs are. Some operands are constants. */
static struct ne_model *model_of(const struct test_case *c, const void **in)
{
	struct ne_model *m = ne_model_new();
	struct ne_graph *g = &m->graph;
	struct ne_shape y = {4, {c->t, c->d, c->b, c->h}}, s = {3, {c->d, c->b, c->h}};
	uint32_t id[OPERANDS], out[3], n_out = c->op == NE_OP_LSTM ? 3 : 2;
	struct ne_error err = {""};

	for (int k = 0; k < OPERANDS; k++) {
		struct ne_shape shape = shape_of_operand(c, k);
		enum ne_dtype type = k == LENGTHS ? NE_S32 : NE_F32;
		const void *data = k == LENGTHS ? (const void *)c->length : c->operand[k].v;

		id[k] = NE_NONE;
		if (!c->operand[k].there)
			continue;
		if (k != X && draw(2)) {
			void *copy = ne_alloc_aligned(c->operand[k].n * 4);

			memcpy(copy, data, c->operand[k].n * 4);
			id[k] = (uint32_t)ne_graph_add_const(g, "k", type, &shape, copy);
			continue;
		}
		id[k] = (uint32_t)ne_graph_add_tensor(g, "i", type, &shape);
		in[g->n_in] = data;
		assert_true(ne_graph_add_input(g, id[k]) >= 0);
	}
	for (uint32_t k = 0; k < n_out; k++)
		out[k] = (uint32_t)ne_graph_add_tensor(g, "o", NE_F32, k ? &s : &y);
	assert_true(ne_graph_add_node(g, c->op, "n", c->op == NE_OP_LSTM ? 8 : 6, id, n_out, out,
				      &c->attr) >= 0);
	assert_true(ne_graph_add_exit(g, n_out, out) >= 0);
	if (ne_model_add_default_levels(m, &err) < 0 || ne_model_check(m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

static void compare(const float *got, const double *want, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (!(fabs((double)got[i] - want[i]) < 2e-5 * fmax(1, fabs(want[i]))))
			fail_msg("case %u: element %zu is %g, not %g", number, i, (double)got[i],
				 want[i]);
}

static void run_case(uint32_t number)
{
	const void *in[OPERANDS];
	struct test_case c;
	struct ne_program *p;
	struct ne_context *ctx;
	struct ne_error err = {""};
	struct ne_model *m;
	size_t ny, ns;
	float *out[3];
	double *want[3];

	draw_case(&c);
	m = model_of(&c, in);
	ny = (size_t)(c.t * c.d * c.b * c.h);
	ns = (size_t)(c.d * c.b * c.h);
	for (int k = 0; k < 3; k++) {
		out[k] = calloc(ny + ns, sizeof(float));
		want[k] = calloc(ny + ns, sizeof(double));
	}
	expected(&c, want[0], want[1], want[2]);
	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(p, 1 + number % 2, &ctx), 0);
	assert_int_equal(ne_run(p, ctx, 0, in, (void *const *)out, NULL, NULL), 0);
	compare(out[0], want[0], ny, number);
	compare(out[1], want[1], ns, number);
	if (c.op == NE_OP_LSTM)
		compare(out[2], want[2], ns, number);
	ne_context_free(ctx);
	ne_program_free(p);
	ne_model_free(m);
	for (int k = 0; k < 3; k++) {
		free(out[k]);
		free(want[k]);
	}
	case_done(&c);
}

static void every_form_follows_the_formulas(void **state)
{
	(void)state;
	seed = 1;
	for (uint32_t i = 0; i < CASES; i++)
		run_case(i);
}

/* What a file could say that is wrong is refused, with the input or attribute in the reason. */
static void wrong_shapes_are_refused(void **state)
{
	struct ne_error err = {""};
	const void *in[OPERANDS];
	struct test_case c = {0};
	struct ne_model *m;

	(void)state;
	seed = 3;
	do {
		case_done(&c);
		draw_case(&c);
	} while (c.op != NE_OP_LSTM || !c.operand[BIAS].there || !c.operand[LENGTHS].there);
	m = model_of(&c, in);
	for (uint32_t k = 0; k < 5; k++) {
		struct ne_shape *s = &m->graph.tensor[m->graph.node[0].in[k]].shape;
		struct ne_shape had = *s;

		s->rank++;
		s->dim[s->rank - 1] = 1;
		assert_int_equal(ne_graph_check(&m->graph, &err), -EINVAL);
		*s = had;
	}
	m->graph.node[0].attr.recurrent.direction = 3;
	assert_int_equal(ne_graph_check(&m->graph, &err), -EINVAL);
	assert_non_null(strstr(err.text, "direction"));
	m->graph.node[0].attr.recurrent.direction = c.attr.recurrent.direction;
	m->graph.node[0].attr.recurrent.clip = -1;
	assert_int_equal(ne_graph_check(&m->graph, &err), -EINVAL);
	m->graph.node[0].attr.recurrent.clip = 0;
	m->graph.node[0].attr.recurrent.act[5].kind = NE_GATE_COUNT;
	assert_int_equal(ne_graph_check(&m->graph, &err), -EINVAL);
	m->graph.node[0].attr.recurrent.act[5].kind = NE_GATE_RELU;
	m->graph.node[0].n_out = 2;
	assert_int_equal(ne_graph_check(&m->graph, &err), -EINVAL);
	m->graph.node[0].n_out = 3;
	ne_model_free(m);
	case_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_follows_the_formulas),
		cmocka_unit_test(wrong_shapes_are_refused),
	};

	return cmocka_run_group_tests_name("recurrent", tests, NULL, NULL);
}
