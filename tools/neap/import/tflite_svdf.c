/* SPDX-License-Identifier: MIT */
/*
 * SVDF: a layer that is a filter over features and then one over time, of a stream. Every run each
 * filter's feature is worked out and pushed into a row of the last ones, which is the state; the rows
 * are summed up by the weights over time, `rank` filters to an output.
 *
 * The state is [1,steps,1,filters], so that the filter over time is a depthwise convolution. In int8
 * the feature is an int16 of the state's scale, which f32 holds exactly; the rest is worked out in
 * real values, rounded once where the file has an int8 result.
 */
#include "tools/neap/import/tflite_internal.h"

#include <stdlib.h>

enum { SVDF_X, SVDF_FEATURE, SVDF_TIME, SVDF_BIAS, SVDF_STATE };
enum { SVDF_RANK, SVDF_ACT };

struct svdf {
	const struct tflite_tensor *feature, *time, *state;
	int32_t inputs, filters, steps, rank;
};

static int read_sizes(struct tflite *t, const struct tflite_node *n, int x, struct svdf *s)
{
	const struct ne_shape *shape = tflite_shape_of(t, x);

	s->feature = tflite_in(t, n, SVDF_FEATURE);
	s->time = tflite_in(t, n, SVDF_TIME);
	s->state = tflite_in(t, n, SVDF_STATE);
	s->rank = fb_s32(&n->opt, SVDF_RANK, 0);
	if (!s->feature || !s->time || !s->state || !s->feature->shaped || !s->time->shaped ||
	    !s->feature->data || !s->time->data || s->feature->rank != 2 || s->time->rank != 2 ||
	    s->feature->dim[0] != s->time->dim[0])
		return tflite_fail(t, n, EINVAL,
				   "weights of features and of time must be constants of rank 2");
	s->filters = s->feature->dim[0];
	s->inputs = s->feature->dim[1];
	s->steps = s->time->dim[1];
	if (ne_shape_elements(shape) != (size_t)s->inputs || shape->rank < 2)
		return tflite_fail(t, n, EOPNOTSUPP, "an input other than [1,%d]", s->inputs);
	if (s->rank < 1 || s->filters % s->rank)
		return tflite_fail(t, n, EINVAL, "rank %d of %d filters", s->rank, s->filters);
	return 0;
}

/* Real values of constant @x of shape @shape; @steps > 0: turned from [filters,steps]. */
static int constant(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *x,
		    const struct ne_shape *shape, size_t steps, uint32_t *ret)
{
	size_t elements = ne_shape_elements(shape);
	float *real, *v;
	int id, r;

	NE_RETURN_IF(tflite_reals(t, n, x, &real));
	v = real;
	if (steps) {
		r = tflite_const_alloc(t, n, elements * sizeof(*v), &v);
		for (size_t i = 0; r >= 0 && i < elements; i++)
			v[i % steps * (elements / steps) + i / steps] = real[i];
		tflite_const_drop(t, real, elements * sizeof(*real));
		NE_RETURN_IF(r);
	}
	id = tflite_emit_const(t, n, NE_F32, shape, v, (struct ne_quant){0});
	*ret = (uint32_t)id;
	return id < 0 ? id : 0;
}

/* The feature of each filter, [1,1,1,filters]; rounded where the state is int16. */
static int features(struct tflite *t, const struct tflite_node *n, const struct svdf *s, int x)
{
	const struct ne_shape rows = {2, {1, s->inputs}}, row = {4, {1, 1, 1, s->filters}};
	const struct ne_shape w = {2, {s->filters, s->inputs}};
	struct ne_attr attr = {.groups = 1};
	uint32_t in[2];

	x = tflite_emit_reshape(t, n, x, &rows);
	if (x < 0)
		return x;
	in[0] = (uint32_t)x;
	NE_RETURN_IF(constant(t, n, s->feature, &w, 0, &in[1]));
	x = tflite_emit(t, n, NE_OP_DENSE, &attr, 2, in, (struct ne_quant){0});
	if (x >= 0 && tflite_is_s16(s->state))
		x = tflite_emit_real(t, n, tflite_emit_s16(t, n, x, tflite_quant_s16(s->state)));
	return tflite_emit_reshape(t, n, x, &row);
}

/* The last @s->steps features, [1,steps,1,filters], the newest last; the state for the next run. */
static int push(struct tflite *t, const struct tflite_node *n, const struct svdf *s, int newest)
{
	const struct ne_shape kept = {4, {1, s->steps, 1, s->filters}};
	struct ne_attr older = {.groups = 1}, join = {.groups = 1, .axis = 1};
	uint32_t in[2];
	int state, id;

	state = ne_graph_add_tensor(t->g, s->state->name, NE_F32, &kept);
	if (state < 0)
		return tflite_fail(t, n, -state, "its state cannot be added");
	id = newest;
	if (s->steps > 1) {
		for (uint32_t i = 0; i < 4; i++) {
			older.slice.begin[i] = i == 1;
			older.slice.size[i] = kept.dim[i] - (i == 1);
			older.slice.step[i] = 1;
		}
		in[0] = (uint32_t)state;
		id = tflite_emit(t, n, NE_OP_SLICE, &older, 1, in, (struct ne_quant){0});
		if (id < 0)
			return id;
		in[0] = (uint32_t)id;
		in[1] = (uint32_t)newest;
		id = tflite_emit(t, n, NE_OP_CONCAT, &join, 2, in, (struct ne_quant){0});
	}
	if (id >= 0 && ne_graph_add_state(t->g, (uint32_t)state, (uint32_t)id, NE_NONE) < 0)
		return tflite_fail(t, n, ENOMEM, "no memory for its state");
	return id;
}

/* Sums over time, then over the filters of an output, [1,filters / rank]. */
static int sums(struct tflite *t, const struct tflite_node *n, const struct svdf *s, int id)
{
	const struct ne_shape w = {3, {s->steps, 1, s->filters}};
	const struct ne_shape split = {3, {1, s->filters / s->rank, s->rank}};
	const struct ne_shape y = {2, {1, s->filters / s->rank}};
	struct ne_attr time = {
		.groups = 1,
		.window = {.kh = s->steps, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1},
	};
	struct ne_attr over = {.groups = 1, .kind = NE_REDUCE_SUM, .axes = 4};
	uint32_t in[2] = {(uint32_t)id};

	if (id < 0)
		return id;
	NE_RETURN_IF(constant(t, n, s->time, &w, (size_t)s->steps, &in[1]));
	id = tflite_emit(t, n, NE_OP_DWCONV, &time, 2, in, (struct ne_quant){0});
	if (s->rank > 1) {
		id = tflite_emit_reshape(t, n, id, &split);
		if (id < 0)
			return id;
		in[0] = (uint32_t)id;
		id = tflite_emit(t, n, NE_OP_REDUCE, &over, 1, in, (struct ne_quant){0});
	}
	return tflite_emit_reshape(t, n, id, &y);
}

int tflite_svdf(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	const struct tflite_tensor *b = tflite_in(t, n, SVDF_BIAS);
	struct ne_shape shape = {1, {0}};
	struct svdf s = {NULL};
	uint32_t in[2];
	int id = tflite_in_real(t, n, SVDF_X);

	if (id < 0)
		return id;
	NE_RETURN_IF(read_sizes(t, n, id, &s));
	id = features(t, n, &s, id);
	if (id < 0)
		return id;
	id = sums(t, n, &s, push(t, n, &s, id));
	if (id < 0)
		return id;
	if (b) {
		shape.dim[0] = s.filters / s.rank;
		if (!b->data || tflite_elements(b) != (size_t)shape.dim[0])
			return tflite_fail(t, n, EOPNOTSUPP, "the bias must be a constant of %d",
					   shape.dim[0]);
		in[0] = (uint32_t)id;
		NE_RETURN_IF(constant(t, n, b, &shape, 0, &in[1]));
		id = tflite_emit(t, n, NE_OP_ADD, &attr, 2, in, (struct ne_quant){0});
	}
	return tflite_set_out(t, n, 0, tflite_activate(t, n, id, fb_s8(&n->opt, SVDF_ACT, 0)));
}
