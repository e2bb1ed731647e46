// SPDX-License-Identifier: MIT
/*
 * Builds and runs tapes. A tape owns its operations and offsets; it refers to the network, which
 * must outlive it. Values, gradients and packed weights of a run lie in the state's arena.
 */
#include "tools/neap/train/tape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tape_op {
	enum ne_op op;
	int act;               /* applied to the output */
	uint32_t x, b, y;      /* tensors: input, second input of add, output */
	uint32_t weight, bias; /* parameters; NE_NONE = none. Batch norm: gamma, beta */
	size_t stat;           /* batch norm: offset of its statistics */
	size_t packed;         /* arena offset of the weights cut to this width */
	size_t n_packed;
	bool cut; /* the weights are a slice: they are packed first */
	bool count_pad;
	bool adds_x, adds_b; /* the gradient of that input has been set by a later operation */
	bool stops;          /* x is the feed: it needs no gradient */
	float epsilon;
	struct op_window d; /* d.n is set when run */
	size_t elements;    /* of y, one sample */
	int32_t rows, c;    /* of y, one sample: elements = rows * c */
	int32_t oc_full, ic_full;
};

struct tape {
	const struct network *net;
	uint32_t n_op, batch;
	struct tape_op *op;
	size_t *value, *grad; /* [n_tensor] arena offsets; NETWORK_NONE = not on this tape */
	size_t arena, work;
};

static const struct ne_graph *graph_of(const struct tape *t)
{
	return &t->net->graph;
}

static size_t reserve(struct tape *t, size_t floats)
{
	size_t at = t->arena;

	t->arena += ne_round_up(floats, NE_ALIGN / sizeof(float));
	return at;
}

/* ---- building ---- */

static void mark_needed(const struct ne_graph *g, const uint32_t *producer, uint32_t tensor,
			bool *needed)
{
	uint32_t n = producer[tensor];

	if (n == NE_NONE || needed[n])
		return;
	needed[n] = true;
	for (uint32_t i = 0; i < g->node[n].n_in; i++)
		if (g->node[n].in[i] != NE_NONE)
			mark_needed(g, producer, g->node[n].in[i], needed);
}

static uint32_t consumers(const struct ne_graph *g, const bool *needed, uint32_t tensor,
			  uint32_t *last)
{
	uint32_t count = 0;

	for (uint32_t n = 0; n < g->n_node; n++) {
		for (uint32_t i = 0; needed[n] && i < g->node[n].n_in; i++) {
			if (g->node[n].in[i] == tensor) {
				count++;
				*last = n;
			}
		}
	}
	return count;
}

static int act_of(enum ne_op op)
{
	return op == NE_OP_RELU ? NE_ACT_RELU : op == NE_OP_RELU6 ? NE_ACT_RELU6 : NE_ACT_NONE;
}

/* An activation that is the only reader of @o's output becomes part of @o. */
static void fuse_activation(const struct ne_graph *g, bool *needed, struct tape_op *o)
{
	uint32_t next = 0;

	if (o->act != NE_ACT_NONE || consumers(g, needed, o->y, &next) != 1)
		return;
	if (act_of(g->node[next].op) == NE_ACT_NONE)
		return;
	o->act = act_of(g->node[next].op);
	o->y = g->node[next].out[0];
	needed[next] = false;
}

static void set_window(const struct tape *t, const int32_t *active, const struct ne_node *n,
		       struct tape_op *o)
{
	const struct ne_shape *in = &graph_of(t)->tensor[o->x].shape;
	const struct ne_shape *out = &graph_of(t)->tensor[n->out[0]].shape;
	const struct ne_window *w = &n->attr.window;

	if (in->rank != 4)
		return;
	o->d = (struct op_window){.n = (int32_t)t->batch,
				  .ih = in->dim[1],
				  .iw = in->dim[2],
				  .ic = network_channels(t->net, active, o->x),
				  .oh = out->rank == 4 ? out->dim[1] : 1,
				  .ow = out->rank == 4 ? out->dim[2] : 1,
				  .oc = network_channels(t->net, active, n->out[0]),
				  .kh = w->kh,
				  .kw = w->kw,
				  .sh = w->sh,
				  .sw = w->sw,
				  .pad_top = w->pad_top,
				  .pad_left = w->pad_left};
}

static int set_weights(struct tape *t, const int32_t *active, const struct ne_node *n,
		       struct tape_op *o, struct ne_error *err)
{
	const struct ne_shape *w = &graph_of(t)->tensor[n->in[1]].shape;
	int32_t ic = network_channels(t->net, active, o->x);

	o->weight = n->in[1];
	o->bias = n->n_in > 2 ? n->in[2] : NE_NONE;
	o->oc_full = w->dim[0];
	o->ic_full = w->dim[w->rank - 1];
	if (n->attr.norm)
		return ne_fail(err, EINVAL, "node %s: its batch norm is folded, cannot train it",
			       n->name);
	if (n->op == NE_OP_CONV &&
	    (n->attr.groups > 1 || n->attr.window.dh != 1 || n->attr.window.dw != 1))
		return ne_fail(err, EINVAL,
			       "node %s: no gradient for grouped or dilated convolutions", n->name);
	if (n->op == NE_OP_DENSE) {
		o->d.ic = ic;
		return 0;
	}
	o->n_packed = (size_t)o->d.kh * (size_t)o->d.kw * (size_t)ic *
		      (n->op == NE_OP_CONV ? (size_t)o->d.oc : 1);
	o->cut = ic != o->ic_full || (n->op == NE_OP_CONV && o->d.oc != o->oc_full);
	/* Gradients come in this form too. */
	o->packed = reserve(t, 2 * ne_round_up(o->n_packed, NE_ALIGN / sizeof(float)));
	if (n->op == NE_OP_CONV)
		t->work = NE_MAX(t->work, op_conv_work(&o->d));
	return 0;
}

static int set_op(struct tape *t, const int32_t *active, uint32_t node, struct tape_op *o,
		  struct ne_error *err)
{
	const struct ne_node *n = &graph_of(t)->node[node];

	*o = (struct tape_op){.op = n->op,
			      .act = n->attr.act,
			      .x = n->in[0],
			      .b = NE_NONE,
			      .y = n->out[0],
			      .weight = NE_NONE,
			      .bias = NE_NONE,
			      .count_pad = n->attr.count_include_pad != 0,
			      .epsilon = n->attr.value};
	o->elements = network_elements(t->net, active, o->y);
	o->c = network_channels(t->net, active, o->y);
	o->rows = (int32_t)(o->elements / (size_t)o->c);
	o->stops = o->x == t->net->feed;
	set_window(t, active, n, o);
	switch (n->op) {
	case NE_OP_CONV:
	case NE_OP_DWCONV:
	case NE_OP_DENSE:
		return set_weights(t, active, n, o, err);
	case NE_OP_BATCHNORM:
		o->weight = n->in[1];
		o->bias = n->in[2];
		o->stat = t->net->stat_of[node];
		t->work = NE_MAX(t->work, (size_t)o->c * 3);
		return 0;
	case NE_OP_ADD:
		o->b = n->in[1];
		if (network_elements(t->net, active, o->x) != o->elements ||
		    network_elements(t->net, active, o->b) != o->elements)
			return ne_fail(err, EINVAL, "node %s: no gradient for a broadcast sum",
				       n->name);
		return 0;
	case NE_OP_RELU:
	case NE_OP_RELU6:
		o->act = act_of(n->op);
		return 0;
	case NE_OP_MAXPOOL:
	case NE_OP_AVGPOOL:
	case NE_OP_GLOBALPOOL:
	case NE_OP_RESHAPE:
		return 0;
	default:
		return ne_fail(err, EINVAL, "node %s: the trainer has no gradient for %s", n->name,
			       ne_op_name(n->op));
	}
}

/* Walks back and notes whose gradient is set first: later ones add. */
static void plan_gradients(struct tape *t)
{
	bool *set = calloc(graph_of(t)->n_tensor, sizeof(*set));

	if (!set) {
		t->n_op = 0;
		return;
	}
	for (uint32_t i = t->n_op; i-- > 0;) {
		struct tape_op *o = &t->op[i];

		o->adds_x = set[o->x];
		set[o->x] = true;
		if (o->b != NE_NONE) {
			o->adds_b = set[o->b];
			set[o->b] = true;
		}
	}
	free(set);
}

static void place_values(struct tape *t, const int32_t *active)
{
	uint32_t n_tensor = graph_of(t)->n_tensor;

	for (uint32_t i = 0; i < n_tensor; i++)
		t->value[i] = t->grad[i] = NETWORK_NONE;
	for (uint32_t i = 0; i < t->n_op; i++) {
		size_t floats = network_elements(t->net, active, t->op[i].y) * t->batch;

		t->value[t->op[i].y] = reserve(t, floats);
		t->grad[t->op[i].y] = reserve(t, floats);
	}
}

static int collect(struct tape *t, const int32_t *active, bool *needed, struct ne_error *err)
{
	const struct ne_graph *g = graph_of(t);
	bool before_feed = t->net->feed != g->in[0];

	for (uint32_t n = 0; n < g->n_node; n++) {
		if (!needed[n])
			continue;
		if (before_feed && g->node[n].out[0] == t->net->feed)
			continue;
		NE_RETURN_IF(set_op(t, active, n, &t->op[t->n_op], err));
		if (g->node[n].op != NE_OP_RELU && g->node[n].op != NE_OP_RELU6)
			fuse_activation(g, needed, &t->op[t->n_op]);
		t->n_op++;
	}
	plan_gradients(t);
	if (!t->n_op)
		return -ENOMEM;
	place_values(t, active);
	return 0;
}

static int build(struct tape *t, const int32_t *active, uint32_t exits, struct ne_error *err)
{
	const struct ne_graph *g = graph_of(t);
	uint32_t *producer = malloc(g->n_tensor * sizeof(*producer));
	bool *needed = calloc(g->n_node, sizeof(*needed));
	int rc = -ENOMEM;

	t->op = calloc(g->n_node, sizeof(*t->op));
	t->value = malloc(g->n_tensor * sizeof(*t->value));
	t->grad = malloc(g->n_tensor * sizeof(*t->grad));
	if (!producer || !needed || !t->op || !t->value || !t->grad)
		goto out;
	memset(producer, 0xff, g->n_tensor * sizeof(*producer));
	for (uint32_t n = 0; n < g->n_node; n++)
		for (uint32_t i = 0; i < g->node[n].n_out; i++)
			producer[g->node[n].out[i]] = n;
	producer[t->net->feed] = NE_NONE;
	for (uint32_t e = 0; e < t->net->n_exit; e++)
		if (exits >> e & 1)
			mark_needed(g, producer, t->net->logits[e], needed);
	rc = collect(t, active, needed, err);
out:
	free(producer);
	free(needed);
	return rc;
}

int tape_new(const struct network *n, const int32_t *active, uint32_t exits, uint32_t batch,
	     struct tape **ret, struct ne_error *err)
{
	struct tape *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	t->net = n;
	t->batch = batch;
	rc = build(t, active, exits, err);
	if (rc < 0) {
		tape_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

void tape_free(struct tape *t)
{
	if (!t)
		return;
	free(t->op);
	free(t->value);
	free(t->grad);
	free(t);
}

void tape_needs(const struct tape *t, size_t *arena, size_t *work)
{
	*arena = t->arena;
	*work = t->work;
}

uint64_t tape_macs(const struct tape *t)
{
	uint64_t macs = 0;

	for (uint32_t i = 0; i < t->n_op; i++) {
		const struct tape_op *o = &t->op[i];
		uint64_t taps = (uint64_t)o->d.kh * (uint64_t)o->d.kw;

		if (o->op == NE_OP_CONV)
			macs += o->elements * taps * (uint64_t)o->d.ic;
		else if (o->op == NE_OP_DWCONV)
			macs += o->elements * taps;
		else if (o->op == NE_OP_DENSE)
			macs += o->elements * (uint64_t)o->d.ic;
	}
	return macs;
}

int tape_state_new(const struct network *n, struct tape *const *tapes, uint32_t n_tape,
		   struct tape_state *ret)
{
	struct tape_state s = {0};
	size_t arena = 0, work = 0;

	for (uint32_t i = 0; i < n_tape; i++) {
		arena = NE_MAX(arena, tapes[i]->arena);
		work = NE_MAX(work, tapes[i]->work);
	}
	s.arena = ne_alloc_aligned((arena + 1) * sizeof(float));
	s.work = ne_alloc_aligned((work + 1) * sizeof(float));
	s.mean = calloc(n->n_stat + 1, sizeof(float));
	s.var = calloc(n->n_stat + 1, sizeof(float));
	s.inv = calloc(n->n_stat + 1, sizeof(float));
	if (!s.arena || !s.work || !s.mean || !s.var || !s.inv) {
		tape_state_done(&s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void tape_state_done(struct tape_state *s)
{
	free(s->arena);
	free(s->work);
	free(s->mean);
	free(s->var);
	free(s->inv);
	memset(s, 0, sizeof(*s));
}

/* ---- running ---- */

/* Copies the slice of a full weight that this width uses: [oc][taps][ic]. A few KB a pass, so that
 * the matrix products over millions of values see dense rows. */
static const float *pack_weights(const struct tape_op *o, const float *w, float *dst)
{
	size_t taps = (size_t)o->d.kh * (size_t)o->d.kw, ic = (size_t)o->d.ic;
	size_t rows = o->op == NE_OP_CONV ? (size_t)o->d.oc * taps : taps;

	if (!o->cut)
		return w;
	for (size_t r = 0; r < rows; r++)
		memcpy(dst + r * ic, w + r * (size_t)o->ic_full, ic * sizeof(*dst));
	return dst;
}

static void unpack_gradient(const struct tape_op *o, const float *dw, float *grad)
{
	size_t taps = (size_t)o->d.kh * (size_t)o->d.kw, ic = (size_t)o->d.ic;
	size_t rows = o->op == NE_OP_CONV ? (size_t)o->d.oc * taps : taps;

	for (size_t r = 0; r < rows; r++)
		for (size_t i = 0; i < ic; i++)
			grad[r * (size_t)o->ic_full + i] += dw[r * ic + i];
}

struct run {
	const struct tape *t;
	struct tape_state *s;
	const float *theta, *x;
	uint32_t count;
};

static float *at(const struct run *r, const size_t *where, uint32_t tensor)
{
	return r->s->arena + where[tensor];
}

static const float *input_value(const struct run *r, uint32_t tensor)
{
	return tensor == r->t->net->feed ? r->x : at(r, r->t->value, tensor);
}

static const float *parameter(const struct run *r, uint32_t tensor)
{
	return tensor == NE_NONE ? NULL : r->theta + r->t->net->theta_of[tensor];
}

static void forward_norm(const struct run *r, const struct tape_op *o, enum tape_mode mode,
			 const float *x, float *y)
{
	size_t rows = (size_t)o->rows * r->count;
	struct tape_state *s = r->s;

	if (mode == TAPE_TRAIN)
		op_norm_stats(rows, o->c, x, o->epsilon, s->mean + o->stat, s->var + o->stat,
			      s->inv + o->stat);
	else
		for (int32_t i = 0; i < o->c; i++)
			s->inv[o->stat + (size_t)i] =
				1.0f / sqrtf(s->var[o->stat + (size_t)i] + o->epsilon);
	op_norm_apply(rows, o->c, x, parameter(r, o->weight), parameter(r, o->bias),
		      s->mean + o->stat, s->inv + o->stat, o->act, y);
}

static void forward_op(const struct run *r, const struct tape_op *o, enum tape_mode mode)
{
	const float *x = input_value(r, o->x), *w = parameter(r, o->weight);
	float *y = at(r, r->t->value, o->y), *packed = r->s->arena + o->packed;
	size_t count = o->elements * r->count;
	struct op_window d = o->d;
	int32_t n = (int32_t)r->count;

	d.n = n;
	switch (o->op) {
	case NE_OP_CONV:
		op_conv_forward(&d, x, pack_weights(o, w, packed), y, r->s->work);
		if (o->bias != NE_NONE)
			op_bias_forward(count / (size_t)o->c, o->c, parameter(r, o->bias), y);
		break;
	case NE_OP_DWCONV:
		op_dwconv_forward(&d, x, pack_weights(o, w, packed), y);
		if (o->bias != NE_NONE)
			op_bias_forward(count / (size_t)o->c, o->c, parameter(r, o->bias), y);
		break;
	case NE_OP_DENSE:
		op_dense_forward(n * o->rows, o->d.ic, o->c, o->ic_full, x, w,
				 parameter(r, o->bias), y);
		break;
	case NE_OP_BATCHNORM:
		forward_norm(r, o, mode, x, y);
		return;
	case NE_OP_ADD:
		op_add_forward(count, x, input_value(r, o->b), o->act, y);
		return;
	case NE_OP_GLOBALPOOL:
		op_globalpool_forward(n, d.ih * d.iw, o->c, x, y);
		break;
	case NE_OP_MAXPOOL:
	case NE_OP_AVGPOOL:
		op_pool_forward(&d, o->op == NE_OP_MAXPOOL, o->count_pad, x, y);
		break;
	default: /* reshape, activations */
		memcpy(y, x, count * sizeof(*y));
	}
	op_act_forward(o->act, count, y);
}

void tape_forward(const struct tape *t, struct tape_state *s, enum tape_mode mode,
		  const float *theta, const float *x, uint32_t count)
{
	struct run r = {t, s, theta, x, count};

	for (uint32_t i = 0; i < t->n_op; i++)
		forward_op(&r, &t->op[i], mode);
}

static void adopt_norm(const struct run *r, const struct tape_op *o, float *theta)
{
	float *gamma = theta + r->t->net->theta_of[o->weight];
	float *beta = theta + r->t->net->theta_of[o->bias];
	struct tape_state *s = r->s;

	op_norm_stats((size_t)o->rows * r->count, o->c, input_value(r, o->x), o->epsilon,
		      s->mean + o->stat, s->var + o->stat, s->inv + o->stat);
	for (int32_t i = 0; i < o->c; i++) {
		gamma[i] = 1.0f / s->inv[o->stat + (size_t)i];
		beta[i] += s->mean[o->stat + (size_t)i];
	}
}

void tape_adopt_norms(const struct tape *t, struct tape_state *s, float *theta, const float *x,
		      uint32_t count)
{
	struct run r = {t, s, theta, x, count};

	for (uint32_t i = 0; i < t->n_op; i++) {
		if (t->op[i].op == NE_OP_BATCHNORM)
			adopt_norm(&r, &t->op[i], theta);
		forward_op(&r, &t->op[i], TAPE_TRAIN);
	}
}

const float *tape_logits(const struct tape *t, const struct tape_state *s, uint32_t exit)
{
	return s->arena + t->value[t->net->logits[exit]];
}

float *tape_logit_gradient(const struct tape *t, struct tape_state *s, uint32_t exit)
{
	return s->arena + t->grad[t->net->logits[exit]];
}

static void backward_weights(const struct run *r, const struct tape_op *o, const float *x,
			     const float *dy, float *dx, float beta, float *grad)
{
	size_t count = o->elements * r->count;
	float *packed = r->s->arena + o->packed;
	float *dw = packed + ne_round_up(o->n_packed, NE_ALIGN / sizeof(float));
	const float *w = parameter(r, o->weight);
	float *dbias = o->bias == NE_NONE ? NULL : grad + r->t->net->theta_of[o->bias];
	struct op_window d = o->d;

	grad += r->t->net->theta_of[o->weight];
	d.n = (int32_t)r->count;
	if (o->op == NE_OP_DENSE) {
		op_dense_backward(d.n * o->rows, o->d.ic, o->c, o->ic_full, x, w, dy, dx, beta,
				  grad, dbias);
		return;
	}
	if (o->cut)
		w = packed;
	if (o->op == NE_OP_CONV)
		op_conv_backward(&d, x, w, dy, dx, beta, dw, r->s->work);
	else
		op_dwconv_backward(&d, x, w, dy, dx, beta, dw);
	unpack_gradient(o, dw, grad);
	if (dbias)
		op_bias_backward(count / (size_t)o->c, o->c, dy, dbias);
}

static void backward_op(const struct run *r, const struct tape_op *o, float *grad)
{
	const float *x = input_value(r, o->x), *y = at(r, r->t->value, o->y);
	float *dy = at(r, r->t->grad, o->y);
	float *dx = o->stops ? NULL : at(r, r->t->grad, o->x);
	float beta = o->adds_x ? 1.0f : 0.0f;
	size_t count = o->elements * r->count;
	struct op_window d = o->d;
	struct tape_state *s = r->s;

	d.n = (int32_t)r->count;
	if (o->op != NE_OP_BATCHNORM)
		op_act_backward(o->act, count, y, dy);
	switch (o->op) {
	case NE_OP_CONV:
	case NE_OP_DWCONV:
	case NE_OP_DENSE:
		backward_weights(r, o, x, dy, dx, beta, grad);
		return;
	case NE_OP_BATCHNORM:
		op_norm_backward((size_t)o->rows * r->count, o->c, x, parameter(r, o->weight),
				 s->mean + o->stat, s->inv + o->stat, o->act, y, dy, dx, beta,
				 grad + r->t->net->theta_of[o->weight],
				 grad + r->t->net->theta_of[o->bias], s->work);
		return;
	case NE_OP_ADD:
		if (o->b != r->t->net->feed)
			op_accumulate(count, dy, o->adds_b ? 1.0f : 0.0f, at(r, r->t->grad, o->b));
		break;
	default:
		break;
	}
	if (!dx)
		return;
	if (o->op == NE_OP_GLOBALPOOL)
		op_globalpool_backward(d.n, d.ih * d.iw, o->c, dy, dx, beta);
	else if (o->op == NE_OP_MAXPOOL || o->op == NE_OP_AVGPOOL)
		op_pool_backward(&d, o->op == NE_OP_MAXPOOL, o->count_pad, x, dy, dx, beta);
	else
		op_accumulate(count, dy, beta, dx);
}

void tape_backward(const struct tape *t, struct tape_state *s, const float *theta, const float *x,
		   uint32_t count, float *grad)
{
	struct run r = {t, s, theta, x, count};

	for (uint32_t i = t->n_op; i-- > 0;)
		backward_op(&r, &t->op[i], grad);
}
