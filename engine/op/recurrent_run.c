/* SPDX-License-Identifier: MIT */
/*
 * Running LSTM, GRU and plain recurrence, as ONNX defines them. Gates lie in its order: i o f c;
 * z r h. A batch's rows are worked on together, time steps one after the other; the products with
 * the input, which do not depend on each other, are made for a chunk of steps at once.
 */
#include "engine/op/recurrent.h"

#include <math.h>
#include <string.h>

/* ---- activations ---- */

static float gate_value(const struct ne_gate *g, float x)
{
	switch (g->kind) {
	case NE_GATE_RELU:
		return x > 0 ? x : 0;
	case NE_GATE_AFFINE:
		return g->a * x + g->b;
	case NE_GATE_LEAKY_RELU:
		return x < 0 ? g->a * x : x;
	case NE_GATE_THRESHOLDED_RELU:
		return x > g->a ? x : 0;
	case NE_GATE_SCALED_TANH:
		return g->a * tanhf(g->b * x);
	case NE_GATE_HARD_SIGMOID:
		return NE_CLAMP(g->a * x + g->b, 0.0f, 1.0f);
	case NE_GATE_ELU:
		return x < 0 ? g->a * expm1f(x) : x;
	case NE_GATE_SOFTSIGN:
		return x / (1 + fabsf(x));
	case NE_GATE_SOFTPLUS:
		return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
	default:
		return x;
	}
}

static void activate(const struct ne_gate *g, float clip, float *v, size_t n)
{
	for (size_t i = 0; clip > 0 && i < n; i++)
		v[i] = NE_CLAMP(v[i], -clip, clip);
	switch (g->kind) {
	case NE_GATE_SIGMOID:
		for (size_t i = 0; i < n; i++)
			v[i] = 1.0f / (1.0f + expf(-v[i]));
		break;
	case NE_GATE_TANH:
		for (size_t i = 0; i < n; i++)
			v[i] = tanhf(v[i]);
		break;
	default:
		for (size_t i = 0; i < n; i++)
			v[i] = gate_value(g, v[i]);
	}
}

/* ---- products ---- */

static void multiply(const struct ne_product *p, const struct ne_frame *f, const float *x,
		     uint32_t rows, float *y, size_t y_stride)
{
	const float *w;

	if (p->fn) {
		struct ne_conv_f32 a = p->a;

		a.x = x;
		a.n_pix = rows;
		a.y = y;
		a.y_stride = y_stride;
		p->fn(&a);
		return;
	}
	w = (const float *)ne_at(f, p->w) + p->at;
	for (uint32_t r = 0; r < rows; r++)
		for (uint32_t o = 0; o < p->oc; o++) {
			float sum = 0;

			for (uint32_t i = 0; i < p->ic; i++)
				sum += w[(size_t)o * p->ic + i] * x[(size_t)r * p->ic + i];
			y[r * y_stride + o] = sum;
		}
}

/* ---- one direction ---- */

struct run {
	const struct ne_recurrent_args *c;
	const struct ne_frame *f;
	uint32_t d; /* direction */
	const float *bias, *peephole;
	const int32_t *lengths;
	float *h, *cell, *gate, *reset, *input; /* scratch */
};

size_t ne_recurrent_scratch(const struct ne_recurrent_args *c)
{
	size_t rows = c->batch, wide = (size_t)c->gates * c->hidden;

	return rows * (3 * (size_t)c->hidden + wide) + c->chunk * rows * wide;
}

/* gate += the input's part and both biases, for rows from gate @first on. */
static void add_up(const struct run *r, const float *x, uint32_t first, uint32_t n)
{
	size_t hidden = r->c->hidden, wide = r->c->gates * hidden;

	for (uint32_t b = 0; b < r->c->batch; b++) {
		float *v = r->gate + b * wide;

		for (size_t j = first * hidden; j < (first + n) * hidden; j++) {
			v[j] += x[b * wide + j];
			if (r->bias)
				v[j] += r->bias[j] + r->bias[wide + j];
		}
	}
}

static bool runs(const struct run *r, uint32_t b, uint32_t t)
{
	return !r->lengths || (int64_t)t < r->lengths[b];
}

static void lstm_row(const struct run *r, uint32_t b)
{
	const struct ne_recurrent *at = &r->c->attr;
	const struct ne_gate *act = &at->act[3 * r->d];
	size_t n = r->c->hidden;
	float *i = r->gate + 4 * n * b, *o = i + n, *fg = i + 2 * n, *g = i + 3 * n;
	float *cell = r->cell + n * b, *h = r->h + n * b;
	const float *p = r->peephole;

	for (size_t j = 0; p && j < n; j++) {
		i[j] += p[j] * cell[j];
		fg[j] += p[2 * n + j] * cell[j];
	}
	activate(&act[0], at->clip, i, n);
	if (at->input_forget)
		for (size_t j = 0; j < n; j++)
			fg[j] = 1 - i[j];
	else
		activate(&act[0], at->clip, fg, n);
	activate(&act[1], at->clip, g, n);
	for (size_t j = 0; j < n; j++) {
		cell[j] = fg[j] * cell[j] + i[j] * g[j];
		if (r->c->cell_clip > 0)
			cell[j] = NE_CLAMP(cell[j], -r->c->cell_clip, r->c->cell_clip);
		h[j] = cell[j];
		if (p)
			o[j] += p[n + j] * cell[j];
	}
	activate(&act[0], at->clip, o, n);
	activate(&act[2], at->clip, h, n);
	for (size_t j = 0; j < n; j++)
		h[j] *= o[j];
}

static void lstm_step(const struct run *r, const float *x, uint32_t t)
{
	multiply(&r->c->state[r->d], r->f, r->h, r->c->batch, r->gate, 4 * (size_t)r->c->hidden);
	add_up(r, x, 0, 4);
	for (uint32_t b = 0; b < r->c->batch; b++)
		if (runs(r, b, t))
			lstm_row(r, b);
}

/* The new value's part of the state is multiplied by the reset gate before (as the paper has it)
 * or after its product (linear_before_reset). */
static void gru_candidate(const struct run *r, const float *x)
{
	size_t n = r->c->hidden, wide = 3 * n;
	bool after = r->c->attr.linear_before_reset != 0;

	for (uint32_t b = 0; b < r->c->batch; b++) {
		const float *reset = r->gate + b * wide + n, *h = r->h + b * n;

		for (size_t j = 0; j < n; j++)
			r->reset[b * n + j] = after ? h[j] : h[j] * reset[j];
	}
	multiply(&r->c->candidate[r->d], r->f, r->reset, r->c->batch, r->gate + 2 * n, wide);
	if (!after) {
		add_up(r, x, 2, 1);
		return;
	}
	for (uint32_t b = 0; b < r->c->batch; b++) {
		float *v = r->gate + b * wide;

		for (size_t j = 2 * n; j < wide; j++) {
			float s = v[j] + (r->bias ? r->bias[wide + j] : 0);

			v[j] = x[b * wide + j] + (r->bias ? r->bias[j] : 0) + v[j - n] * s;
		}
	}
}

static void gru_step(const struct run *r, const float *x, uint32_t t)
{
	const struct ne_recurrent *at = &r->c->attr;
	const struct ne_gate *act = &at->act[3 * r->d];
	size_t n = r->c->hidden, wide = 3 * n;

	multiply(&r->c->state[r->d], r->f, r->h, r->c->batch, r->gate, wide);
	add_up(r, x, 0, 2);
	for (uint32_t b = 0; b < r->c->batch; b++)
		activate(&act[0], at->clip, r->gate + b * wide, 2 * n);
	gru_candidate(r, x);
	for (uint32_t b = 0; b < r->c->batch; b++) {
		float *z = r->gate + b * wide, *v = z + 2 * n, *h = r->h + b * n;

		activate(&act[1], at->clip, v, n);
		for (size_t j = 0; runs(r, b, t) && j < n; j++)
			h[j] = (1 - z[j]) * v[j] + z[j] * h[j];
	}
}

static void plain_step(const struct run *r, const float *x, uint32_t t)
{
	const struct ne_recurrent *at = &r->c->attr;
	size_t n = r->c->hidden;

	multiply(&r->c->state[r->d], r->f, r->h, r->c->batch, r->gate, n);
	add_up(r, x, 0, 1);
	for (uint32_t b = 0; b < r->c->batch; b++) {
		if (!runs(r, b, t))
			continue;
		activate(&at->act[3 * r->d], at->clip, r->gate + b * n, n);
		memcpy(r->h + b * n, r->gate + b * n, n * sizeof(float));
	}
}

/* Rows of time step @t: the state, or zeros after a sequence's end. */
static void write_step(const struct run *r, uint32_t t)
{
	const struct ne_recurrent_args *c = r->c;
	size_t n = c->hidden;
	float *y = (float *)ne_at(r->f, c->y) + ((size_t)t * c->directions + r->d) * c->batch * n;

	for (uint32_t b = 0; b < c->batch; b++, y += n) {
		if (runs(r, b, t))
			memcpy(y, r->h + b * n, n * sizeof(*y));
		else
			memset(y, 0, n * sizeof(*y));
	}
}

static void initial_state(float *state, const struct run *r, bool given, struct ne_ref ref)
{
	size_t n = (size_t)r->c->batch * r->c->hidden;

	if (given)
		memcpy(state, (const float *)ne_at(r->f, ref) + r->d * n, n * sizeof(*state));
	else
		memset(state, 0, n * sizeof(*state));
}

static void run_direction(const struct run *r)
{
	const struct ne_recurrent_args *c = r->c;
	size_t row = (size_t)c->batch * c->gates * c->hidden, n = (size_t)c->batch * c->hidden;
	bool back = c->attr.direction == NE_BACKWARD || r->d == 1;
	const float *x = ne_at(r->f, c->x);

	initial_state(r->h, r, c->has_h, c->h0);
	initial_state(r->cell, r, c->has_c, c->c0);
	for (uint32_t done = 0, m; done < c->steps; done += m) {
		uint32_t first;

		m = NE_MIN(c->chunk, c->steps - done);
		first = back ? c->steps - done - m : done;
		multiply(&c->input[r->d], r->f, x + (size_t)first * c->batch * c->in, m * c->batch,
			 r->input, (size_t)c->gates * c->hidden);
		for (uint32_t k = 0; k < m; k++) {
			uint32_t i = back ? m - 1 - k : k;

			if (c->op == NE_OP_LSTM)
				lstm_step(r, r->input + i * row, first + i);
			else if (c->op == NE_OP_GRU)
				gru_step(r, r->input + i * row, first + i);
			else
				plain_step(r, r->input + i * row, first + i);
			write_step(r, first + i);
		}
	}
	memcpy((float *)ne_at(r->f, c->yh) + r->d * n, r->h, n * sizeof(float));
	if (c->op == NE_OP_LSTM)
		memcpy((float *)ne_at(r->f, c->yc) + r->d * n, r->cell, n * sizeof(float));
}

void ne_recurrent_run(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct ne_recurrent_args *c = s->args;
	size_t state = (size_t)c->batch * c->hidden, wide = (size_t)c->gates * c->hidden;

	for (uint32_t d = first; d < first + n; d++) {
		struct run r = {.c = c, .f = f, .d = d, .h = f->scratch};

		r.cell = r.h + state;
		r.reset = r.cell + state;
		r.gate = r.reset + state;
		r.input = r.gate + c->batch * wide;
		if (c->has_bias)
			r.bias = (const float *)ne_at(f, c->bias) + d * 2 * wide;
		if (c->has_peephole)
			r.peephole =
				(const float *)ne_at(f, c->peephole) + d * 3 * (size_t)c->hidden;
		if (c->has_lengths)
			r.lengths = ne_at(f, c->lengths);
		run_direction(&r);
	}
}
