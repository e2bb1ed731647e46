/* SPDX-License-Identifier: MIT */
/*
 * Control flow whose course is known while importing: If with a constant condition is the branch
 * that it takes; Loop and Scan with a constant number of rounds are their bodies written out. A
 * body sees the names around it; its own names live in a scope of their own, one for each round.
 */
#include "tools/neap/import/onnx_internal.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 4096

static const Onnx__GraphProto *body_of(const onnx_node *n, const char *name)
{
	const Onnx__AttributeProto *a = onnx_attr(n, name);

	return a ? a->g : NULL;
}

/* The same value under the name @name in the scope at hand. */
static int alias(struct onnx *o, const char *name, const struct onnx_value *of)
{
	struct onnx_value v = *of; /* the table may move */
	struct onnx_const *c = NULL;
	struct onnx_value *made;

	if (v.constant) {
		c = onnx_const_reshape(v.constant, v.constant->rank, v.constant->dim);
		if (!c)
			return ne_fail(o->err, ENOMEM, "ONNX model: no memory");
	}
	NE_RETURN_IF(onnx_value_add(o, name, c, v.tensor));
	made = onnx_value_find(o, name);
	made->shifted = v.shifted;
	made->bytes = v.bytes;
	made->of = v.of;
	return 0;
}

static int add_const(struct onnx *o, const char *name, enum ne_dtype dtype, double v)
{
	struct onnx_const *c = onnx_const_new(dtype, 0, NULL);

	if (!c)
		return ne_fail(o->err, ENOMEM, "ONNX model: no memory");
	onnx_const_set(c, 0, v);
	return onnx_value_add(o, name, c, -1);
}

/* Output @i of the body, found inside of its scope. */
static int result_of(struct onnx *o, const onnx_node *n, const Onnx__GraphProto *g, size_t i,
		     struct onnx_value *ret)
{
	const char *name = g->output[i]->name ? g->output[i]->name : "";
	const struct onnx_value *v = onnx_value_find(o, name);

	if (!v)
		return onnx_fail(o, n, EINVAL, "its body's output '%.60s' is written by no node",
				 name);
	*ret = *v;
	return 0;
}

static int constant_bool(struct onnx *o, const onnx_node *n, const struct onnx_value *v, bool *ret)
{
	if (!v->constant || v->constant->n != 1)
		return onnx_fail(o, n, EOPNOTSUPP,
				 "its condition '%.60s' is computed; if it hangs on an input, fix "
				 "that with --set NAME=VALUE",
				 v->name);
	*ret = onnx_const_int(v->constant, 0) != 0;
	return 0;
}

int onnx_if(struct onnx *o, const onnx_node *n)
{
	const struct onnx_value *condition = onnx_in(o, n, 0);
	struct onnx_value out[NE_MAX_IO];
	const Onnx__GraphProto *g;
	struct onnx_scope scope;
	bool yes = false;
	int r;

	if (!condition)
		return onnx_fail(o, n, EINVAL, "input 0 is missing");
	NE_RETURN_IF(constant_bool(o, n, condition, &yes));
	g = body_of(n, yes ? "then_branch" : "else_branch");
	if (!g || g->n_output != n->n_output || n->n_output > NE_MAX_IO)
		return onnx_fail(o, n, EINVAL, "the branch has not as many outputs as the node");
	onnx_scope_enter(o, &scope);
	r = onnx_add_body(o, g);
	for (size_t i = 0; r >= 0 && i < n->n_output; i++)
		r = result_of(o, n, g, i, &out[i]);
	onnx_scope_leave(o);
	for (size_t i = 0; r >= 0 && i < n->n_output; i++)
		if (n->output[i][0])
			r = alias(o, n->output[i], &out[i]);
	return r;
}

/* ---- rounds ---- */

/* What a scan output is made of, one tensor a round. */
struct collected {
	uint32_t n, room, *tensor;
};

static int collect(struct onnx *o, const onnx_node *n, struct collected *c,
		   const struct onnx_value *v, int axis)
{
	char *name = v->name, op[] = "scan output";
	onnx_node as_node = {
		.op_type = op, .n_input = 1, .input = &name, .n_output = 1, .output = &name};
	struct ne_shape s;
	int64_t dim[NE_MAX_RANK];
	int t;

	if (c->n == c->room) {
		uint32_t room = c->room ? 2 * c->room : 16;
		uint32_t *p = realloc(c->tensor, room * sizeof(*p));

		if (!p)
			return onnx_fail(o, n, ENOMEM, "no memory");
		c->tensor = p;
		c->room = room;
	}
	t = onnx_in_tensor(o, &as_node, 0);
	if (t < 0)
		return t;
	s = *onnx_shape_of(o, t);
	if (v->constant)
		s.rank = v->constant->rank;
	if (axis < 0)
		axis += (int)s.rank + 1;
	if (s.rank == NE_MAX_RANK || axis < 0 || axis > (int)s.rank)
		return onnx_fail(o, n, EINVAL, "a scan output of rank %u along axis %d", s.rank,
				 axis);
	for (uint32_t i = 0; i <= s.rank; i++)
		dim[i] = (int)i < axis ? s.dim[i] : (int)i == axis ? 1 : s.dim[i - 1];
	t = onnx_emit_reshape(o, n, t, s.rank + 1, dim);
	if (t < 0)
		return t;
	c->tensor[c->n++] = (uint32_t)t;
	return axis;
}

/* Joins what the rounds gave, as many at a time as a node takes. */
static int joined(struct onnx *o, const onnx_node *n, struct collected *c, int axis, bool backwards)
{
	struct ne_attr attr = {.groups = 1, .axis = axis};

	if (!c->n)
		return onnx_fail(o, n, EOPNOTSUPP, "no round, so an empty output");
	for (uint32_t i = 0; backwards && i < c->n / 2; i++) {
		uint32_t t = c->tensor[i];

		c->tensor[i] = c->tensor[c->n - 1 - i];
		c->tensor[c->n - 1 - i] = t;
	}
	while (c->n > 1) {
		uint32_t made = 0;

		for (uint32_t i = 0; i < c->n; i += NE_MAX_IO) {
			int t = onnx_emit(o, n, NE_OP_CONCAT, &attr, NE_MIN(c->n - i, NE_MAX_IO),
					  &c->tensor[i]);

			if (t < 0)
				return t;
			c->tensor[made++] = (uint32_t)t;
		}
		c->n = made;
	}
	return (int)c->tensor[0];
}

/* A loop being written out. */
struct rounds {
	const Onnx__GraphProto *g;
	size_t n_state, n_scan;
	struct onnx_value state[NE_MAX_IO];
	struct collected scan[NE_MAX_IO];
	int axis[NE_MAX_IO];      /* of the scan outputs */
	bool backward[NE_MAX_IO]; /* they are prepended */
};

static void rounds_done(struct rounds *l)
{
	for (size_t i = 0; i < NE_MAX_IO; i++)
		free(l->scan[i].tensor);
}

static int finish(struct onnx *o, const onnx_node *n, struct rounds *l)
{
	for (size_t i = 0; i < n->n_output; i++) {
		int t;

		if (!n->output[i][0])
			continue;
		if (i < l->n_state) {
			NE_RETURN_IF(alias(o, n->output[i], &l->state[i]));
			continue;
		}
		t = joined(o, n, &l->scan[i - l->n_state], l->axis[i - l->n_state],
			   l->backward[i - l->n_state]);
		if (t < 0)
			return t;
		NE_RETURN_IF(onnx_value_add(o, n->output[i], NULL, t));
	}
	return 0;
}

/* The body's results from output @first on: states, then what is collected. */
static int take_results(struct onnx *o, const onnx_node *n, struct rounds *l, size_t first)
{
	for (size_t i = 0; i < l->n_state; i++)
		NE_RETURN_IF(result_of(o, n, l->g, first + i, &l->state[i]));
	for (size_t i = 0; i < l->n_scan; i++) {
		struct onnx_value v;
		int axis;

		NE_RETURN_IF(result_of(o, n, l->g, first + l->n_state + i, &v));
		axis = collect(o, n, &l->scan[i], &v, l->axis[i]);
		if (axis < 0)
			return axis;
		l->axis[i] = axis;
	}
	return 0;
}

static int loop_round(struct onnx *o, const onnx_node *n, struct rounds *l, int64_t round,
		      bool *again)
{
	struct onnx_scope scope;
	struct onnx_value go_on;
	int r;

	onnx_scope_enter(o, &scope);
	r = add_const(o, l->g->input[0]->name, NE_S64, (double)round);
	if (r >= 0)
		r = add_const(o, l->g->input[1]->name, NE_BOOL, 1);
	for (size_t i = 0; r >= 0 && i < l->n_state; i++)
		r = alias(o, l->g->input[2 + i]->name, &l->state[i]);
	if (r >= 0)
		r = onnx_add_body(o, l->g);
	if (r >= 0)
		r = result_of(o, n, l->g, 0, &go_on);
	if (r >= 0)
		r = constant_bool(o, n, &go_on, again);
	if (r >= 0)
		r = take_results(o, n, l, 1);
	onnx_scope_leave(o);
	return r;
}

static int check_names(struct onnx *o, const onnx_node *n, const Onnx__GraphProto *g)
{
	for (size_t i = 0; i < g->n_input; i++)
		if (!g->input[i]->name || !g->input[i]->name[0])
			return onnx_fail(o, n, EBADMSG, "an input of its body without a name");
	return 0;
}

static int run_loop(struct onnx *o, const onnx_node *n, struct rounds *l)
{
	const struct onnx_value *limit = onnx_in(o, n, 0), *condition = onnx_in(o, n, 1);
	int64_t most = INT64_MAX;
	bool again = true;

	if (limit) {
		if (!limit->constant || limit->constant->n != 1)
			return onnx_fail(o, n, EOPNOTSUPP,
					 "its number of rounds '%.60s' is computed; if it hangs on "
					 "an input, fix that with --set NAME=VALUE",
					 limit->name);
		most = onnx_const_int(limit->constant, 0);
	}
	if (condition)
		NE_RETURN_IF(constant_bool(o, n, condition, &again));
	for (int64_t i = 0; again && i < most; i++) {
		if (i == ROUNDS_MAX)
			return onnx_fail(o, n, E2BIG, "more than %d rounds", ROUNDS_MAX);
		NE_RETURN_IF(loop_round(o, n, l, i, &again));
	}
	return finish(o, n, l);
}

int onnx_loop(struct onnx *o, const onnx_node *n)
{
	struct rounds l = {.g = body_of(n, "body")};
	int r;

	l.n_state = n->n_input > 2 ? n->n_input - 2 : 0;
	if (!l.g || l.n_state > NE_MAX_IO || l.g->n_input != 2 + l.n_state ||
	    l.g->n_output < 1 + l.n_state || l.g->n_output - 1 > NE_MAX_IO ||
	    n->n_output != l.g->n_output - 1)
		return onnx_fail(o, n, EINVAL, "inputs and outputs of node and body do not match");
	l.n_scan = n->n_output - l.n_state;
	NE_RETURN_IF(check_names(o, n, l.g));
	for (size_t i = 0; i < l.n_state; i++) {
		const struct onnx_value *v = onnx_in(o, n, 2 + i);

		if (!v)
			return onnx_fail(o, n, EINVAL, "input %zu is missing", 2 + i);
		l.state[i] = *v;
	}
	r = run_loop(o, n, &l);
	rounds_done(&l);
	return r;
}

/* ---- scan ---- */

struct scan_input {
	int tensor, axis;
	int64_t length;
	bool backward;
};

static int list_at(const onnx_node *n, const char *name, size_t i)
{
	int64_t v[NE_MAX_IO] = {0};
	size_t count = onnx_attr_ints(n, name, v, NE_MAX_IO);

	return i < count && i < NE_MAX_IO ? (int)NE_CLAMP(v[i], -64, 64) : 0;
}

static int scan_input(struct onnx *o, const onnx_node *n, size_t k, size_t i,
		      struct scan_input *ret)
{
	int t = onnx_in_tensor(o, n, k);

	if (t < 0)
		return t;
	ret->tensor = t;
	ret->axis = onnx_axis(o, n, list_at(n, "scan_input_axes", i), onnx_shape_of(o, t)->rank);
	if (ret->axis < 0)
		return ret->axis;
	ret->backward = list_at(n, "scan_input_directions", i) == 1;
	ret->length = onnx_shape_of(o, t)->dim[ret->axis];
	return 0;
}

/* Element @at of a scan input along its axis, without that axis. */
static int element_of(struct onnx *o, const onnx_node *n, const struct scan_input *in, int64_t at)
{
	struct ne_shape s = *onnx_shape_of(o, in->tensor);
	struct ne_attr attr = {.groups = 1};
	uint32_t x = (uint32_t)in->tensor, rank = 0;
	int64_t dim[NE_MAX_RANK] = {1};
	int t;

	for (uint32_t i = 0; i < s.rank; i++) {
		bool along = (int)i == in->axis;

		attr.slice.begin[i] = along ? (int32_t)at : 0;
		attr.slice.size[i] = along ? 1 : s.dim[i];
		attr.slice.step[i] = 1;
		if (!along)
			dim[rank++] = s.dim[i];
	}
	t = onnx_emit(o, n, NE_OP_SLICE, &attr, 1, &x);
	return onnx_emit_reshape(o, n, t, rank ? rank : 1, dim);
}

static int scan_round(struct onnx *o, const onnx_node *n, struct rounds *l,
		      const struct scan_input *in, size_t n_in, int64_t round)
{
	struct onnx_scope scope;
	int r = 0;

	onnx_scope_enter(o, &scope);
	for (size_t i = 0; r >= 0 && i < l->n_state; i++)
		r = alias(o, l->g->input[i]->name, &l->state[i]);
	for (size_t i = 0; r >= 0 && i < n_in; i++) {
		r = element_of(o, n, &in[i], in[i].backward ? in[i].length - 1 - round : round);
		if (r >= 0)
			r = onnx_value_add(o, l->g->input[l->n_state + i]->name, NULL, r);
	}
	if (r >= 0)
		r = onnx_add_body(o, l->g);
	if (r >= 0)
		r = take_results(o, n, l, 0);
	onnx_scope_leave(o);
	return r;
}

static int run_scan(struct onnx *o, const onnx_node *n, struct rounds *l, size_t n_in)
{
	struct scan_input in[NE_MAX_IO] = {{0}};
	int64_t length = 0;

	for (size_t i = 0; i < n_in; i++) {
		NE_RETURN_IF(scan_input(o, n, l->n_state + i, i, &in[i]));
		if (i && in[i].length != length)
			return onnx_fail(o, n, EINVAL, "scan inputs of %lld and %lld elements",
					 (long long)length, (long long)in[i].length);
		length = in[i].length;
	}
	if (length > ROUNDS_MAX)
		return onnx_fail(o, n, E2BIG, "more than %d rounds", ROUNDS_MAX);
	for (int64_t i = 0; i < length; i++)
		NE_RETURN_IF(scan_round(o, n, l, in, n_in, i));
	return finish(o, n, l);
}

int onnx_scan(struct onnx *o, const onnx_node *n)
{
	int64_t n_in = onnx_attr_int(n, "num_scan_inputs", 0);
	struct rounds l = {.g = body_of(n, "body")};
	int r;

	if (o->opset < 9)
		return onnx_fail(o, n, EOPNOTSUPP, "as before operator set 9");
	if (!l.g || n_in < 1 || (size_t)n_in > n->n_input || n->n_input > NE_MAX_IO ||
	    n->n_output > NE_MAX_IO || l.g->n_input != n->n_input || l.g->n_output != n->n_output ||
	    n->n_input - (size_t)n_in > n->n_output)
		return onnx_fail(o, n, EINVAL, "inputs and outputs of node and body do not match");
	l.n_state = n->n_input - (size_t)n_in;
	l.n_scan = n->n_output - l.n_state;
	NE_RETURN_IF(check_names(o, n, l.g));
	for (size_t i = 0; i < l.n_state; i++) {
		const struct onnx_value *v = onnx_in(o, n, i);

		if (!v)
			return onnx_fail(o, n, EINVAL, "input %zu is missing", i);
		l.state[i] = *v;
	}
	for (size_t i = 0; i < l.n_scan; i++) {
		l.axis[i] = list_at(n, "scan_output_axes", i);
		l.backward[i] = list_at(n, "scan_output_directions", i) == 1;
	}
	r = run_scan(o, n, &l, (size_t)n_in);
	rounds_done(&l);
	return r;
}
