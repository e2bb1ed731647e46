/* SPDX-License-Identifier: MIT */
/*
 * UNIDIRECTIONAL_SEQUENCE_LSTM as the engine's LSTM, which computes in f32: quantised weights, values
 * and results are the real numbers that they stand for. State and cell are variables of TFLite: they
 * go on from run to run until the stream's state is reset.
 */
#include "tools/neap/import/tflite_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Inputs by the schema's order, gates input, forget, cell, output. */
enum {
	LSTM_X,
	LSTM_W,               /* 4 of [H,I]; the input gate's is absent where it is 1 - forget */
	LSTM_R = 5,           /* 4 of [H,H] */
	LSTM_PEEPHOLE = 9,    /* input, forget, output: [H] */
	LSTM_BIAS = 12,       /* 4 of [H] */
	LSTM_PROJECTION = 16, /* and its bias */
	LSTM_STATE = 18,      /* variables: state, cell */
	LSTM_CELL = 19,
	LSTM_NORM = 20, /* 4 of layer normalisation */
	LSTM_INPUTS = 24,
};
enum { LSTM_ACT, LSTM_CELL_CLIP, LSTM_PROJECTION_CLIP, LSTM_TIME_MAJOR };

/* Order of the engine's gates, input output forget cell, in the schema's. */
static const uint32_t gate_order[4] = {0, 3, 1, 2};
static const uint32_t peephole_order[3] = {0, 2, 1};

struct lstm {
	const struct tflite_tensor *state, *cell;
	int32_t hidden, in, batch, steps;
	bool coupled; /* input gate = 1 - forget gate */
};

/* Copies the real values of input @i to @to; zeros where it is absent. Negated for the input gate
 * that is 1 - sigmoid(forget) = sigmoid(-forget). */
static int copy_reals(struct tflite *t, const struct tflite_node *n, uint32_t i, size_t want,
		      float sign, float *to)
{
	const struct tflite_tensor *x = tflite_in(t, n, i);
	float *v;

	if (!x)
		return 0;
	if (!x->data || tflite_elements(x) != want)
		return tflite_fail(t, n, EOPNOTSUPP, "input %u must be a constant of %zu values", i,
				   want);
	NE_RETURN_IF(tflite_reals(t, n, x, &v));
	for (size_t k = 0; k < want; k++)
		to[k] = sign * v[k];
	return tflite_const_drop(t, v, want * sizeof(*v));
}

/* Inputs @first and on, one a gate of @each values, as one constant in the engine's order. */
static int join_gates(struct tflite *t, const struct tflite_node *n, const struct lstm *l,
		      uint32_t first, size_t each, const struct ne_shape *shape, uint32_t *ret)
{
	size_t elements = ne_shape_elements(shape);
	float *v;
	int id, r;

	if (!elements)
		return tflite_fail(t, n, E2BIG, "weights over the limit");
	NE_RETURN_IF(tflite_const_alloc(t, n, elements * sizeof(*v), &v));
	for (uint32_t g = 0; g < 4; g++) {
		uint32_t from = gate_order[g];
		bool turned = l->coupled && from == 0;

		r = copy_reals(t, n, first + (turned ? 1 : from), each, turned ? -1 : 1,
			       v + g * each);
		if (r < 0) {
			free(v);
			return r;
		}
	}
	id = tflite_emit_const(t, n, NE_F32, shape, v, (struct ne_quant){0});
	if (id < 0)
		return id;
	*ret = (uint32_t)id;
	return 0;
}

static int join_peepholes(struct tflite *t, const struct tflite_node *n, const struct lstm *l,
			  uint32_t *ret)
{
	struct ne_shape shape = {2, {1, 3 * l->hidden}};
	size_t each = (size_t)l->hidden;
	float *v;
	int id, r;

	*ret = NE_NONE;
	if (!tflite_in(t, n, LSTM_PEEPHOLE + 1))
		return 0;
	if (l->coupled)
		return tflite_fail(t, n, EOPNOTSUPP, "peepholes with coupled gates");
	NE_RETURN_IF(tflite_const_alloc(t, n, 3 * each * sizeof(*v), &v));
	for (uint32_t g = 0; g < 3; g++) {
		r = copy_reals(t, n, LSTM_PEEPHOLE + peephole_order[g], each, 1, v + g * each);
		if (r < 0) {
			free(v);
			return r;
		}
	}
	id = tflite_emit_const(t, n, NE_F32, &shape, v, (struct ne_quant){0});
	if (id < 0)
		return id;
	*ret = (uint32_t)id;
	return 0;
}

static int check_form(struct tflite *t, const struct tflite_node *n)
{
	static const uint32_t refused[] = {LSTM_PROJECTION, LSTM_PROJECTION + 1, LSTM_NORM,
					   LSTM_NORM + 1,   LSTM_NORM + 2,       LSTM_NORM + 3};

	for (size_t i = 0; i < NE_ARRAY_SIZE(refused); i++)
		if (tflite_in(t, n, refused[i]))
			return tflite_fail(t, n, EOPNOTSUPP, "a projection or layer normalisation");
	if (fb_s8(&n->opt, LSTM_ACT, 0) != TFLITE_ACT_TANH)
		return tflite_fail(t, n, EOPNOTSUPP, "activation %d; TANH is supported",
				   fb_s8(&n->opt, LSTM_ACT, 0));
	return 0;
}

static int read_sizes(struct tflite *t, const struct tflite_node *n, const struct ne_shape *x,
		      bool time_major, struct lstm *l)
{
	const struct tflite_tensor *w = tflite_in(t, n, LSTM_W + 1);

	l->state = tflite_in(t, n, LSTM_STATE);
	l->cell = tflite_in(t, n, LSTM_CELL);
	l->coupled = !tflite_in(t, n, LSTM_W);
	if (x->rank != 3 || !w || !w->shaped || w->rank != 2 || w->dim[1] != x->dim[2])
		return tflite_fail(t, n, EINVAL, "the input or its weights do not fit");
	l->steps = x->dim[time_major ? 0 : 1];
	l->batch = x->dim[time_major ? 1 : 0];
	l->in = x->dim[2];
	l->hidden = w->dim[0];
	if (!l->state || !l->cell || !l->state->shaped || !l->cell->shaped ||
	    tflite_elements(l->state) != (size_t)l->batch * (size_t)l->hidden ||
	    tflite_elements(l->cell) != tflite_elements(l->state))
		return tflite_fail(t, n, EINVAL, "state and cell must be [%d,%d]", l->batch,
				   l->hidden);
	return 0;
}

/* The cell is kept within what the file says, and within what its int16 can hold. */
static float cell_clip(const struct tflite_node *n, const struct lstm *l)
{
	float clip = fb_f32(&n->opt, LSTM_CELL_CLIP, 0), range;

	if (!(clip > 0) || !isfinite(clip))
		clip = 0;
	if (l->cell->type == TFLITE_S16 && l->cell->scale.n == 1) {
		range = 32767 * fb_vector_f32(&l->cell->scale, 0);
		clip = clip > 0 ? NE_MIN(clip, range) : range;
	}
	return clip;
}

static int add_tensor(struct tflite *t, const struct tflite_node *n, const char *name,
		      const struct ne_shape *shape, uint32_t *ret)
{
	int id = ne_graph_add_tensor(t->g, name, NE_F32, shape);

	if (id < 0)
		return tflite_fail(t, n, -id, "a tensor cannot be added");
	*ret = (uint32_t)id;
	return 0;
}

/* The node and its two states; the id of its result, [T,1,B,H]. */
static int emit_lstm(struct tflite *t, const struct tflite_node *n, const struct lstm *l,
		     uint32_t x)
{
	const struct ne_shape kept = {3, {1, l->batch, l->hidden}};
	const struct ne_shape y = {4, {l->steps, 1, l->batch, l->hidden}};
	const struct ne_shape w = {3, {1, 4 * l->hidden, l->in}};
	const struct ne_shape r = {3, {1, 4 * l->hidden, l->hidden}};
	const struct ne_shape b = {2, {1, 8 * l->hidden}};
	const size_t h = (size_t)l->hidden;
	struct ne_attr attr = {.groups = 1, .value = cell_clip(n, l)};
	uint32_t in[8] = {x, 0, 0, 0, NE_NONE}, out[3];
	char name[TFLITE_NAME_MAX + 8];

	if (l->hidden > NE_MAX_DIM / 8)
		return tflite_fail(t, n, E2BIG, "%d hidden values", l->hidden);
	attr.recurrent.act[0].kind = attr.recurrent.act[3].kind = NE_GATE_SIGMOID;
	for (int i = 1; i < 3; i++)
		attr.recurrent.act[i].kind = attr.recurrent.act[3 + i].kind = NE_GATE_TANH;
	NE_RETURN_IF(join_gates(t, n, l, LSTM_W, h * (size_t)l->in, &w, &in[1]));
	NE_RETURN_IF(join_gates(t, n, l, LSTM_R, h * h, &r, &in[2]));
	NE_RETURN_IF(join_gates(t, n, l, LSTM_BIAS, h, &b, &in[3]));
	NE_RETURN_IF(add_tensor(t, n, l->state->name, &kept, &in[5]));
	NE_RETURN_IF(add_tensor(t, n, l->cell->name, &kept, &in[6]));
	NE_RETURN_IF(join_peepholes(t, n, l, &in[7]));
	snprintf(name, sizeof(name), "%.200s~y", l->state->name);
	NE_RETURN_IF(add_tensor(t, n, name, &y, &out[0]));
	snprintf(name, sizeof(name), "%.200s~next", l->state->name);
	NE_RETURN_IF(add_tensor(t, n, name, &kept, &out[1]));
	snprintf(name, sizeof(name), "%.200s~next", l->cell->name);
	NE_RETURN_IF(add_tensor(t, n, name, &kept, &out[2]));
	if (ne_graph_add_node(t->g, NE_OP_LSTM, name, in[7] == NE_NONE ? 7 : 8, in, 3, out, &attr) <
		    0 ||
	    ne_graph_add_state(t->g, in[5], out[1], NE_NONE) < 0 ||
	    ne_graph_add_state(t->g, in[6], out[2], NE_NONE) < 0)
		return tflite_fail(t, n, ENOMEM, "the node cannot be added");
	return (int)out[0];
}

int tflite_unidirectional_sequence_lstm(struct tflite *t, const struct tflite_node *n)
{
	static const int32_t swap_time[3] = {1, 0, 2};
	bool time_major = fb_bool(&n->opt, LSTM_TIME_MAJOR);
	struct ne_attr turn = {.groups = 1};
	struct ne_shape flat = {.rank = 3};
	struct ne_quant q = {0};
	struct lstm l;
	uint32_t in;
	int id = tflite_in_real(t, n, LSTM_X);

	if (id < 0)
		return id;
	NE_RETURN_IF(check_form(t, n));
	NE_RETURN_IF(read_sizes(t, n, tflite_shape_of(t, id), time_major, &l));
	memcpy(turn.perm, swap_time, sizeof(swap_time));
	if (!time_major) {
		in = (uint32_t)id;
		id = tflite_emit(t, n, NE_OP_TRANSPOSE, &turn, 1, &in, q);
		if (id < 0)
			return id;
	}
	id = emit_lstm(t, n, &l, (uint32_t)id);
	flat.dim[0] = l.steps;
	flat.dim[1] = l.batch;
	flat.dim[2] = l.hidden;
	id = tflite_emit_reshape(t, n, id, &flat);
	if (id >= 0 && !time_major) {
		in = (uint32_t)id;
		id = tflite_emit(t, n, NE_OP_TRANSPOSE, &turn, 1, &in, q);
	}
	return tflite_set_out(t, n, 0, id);
}
