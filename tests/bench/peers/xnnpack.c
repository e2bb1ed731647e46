/* SPDX-License-Identifier: MIT */
/*
 * XNNPACK as Debian has it: the model's graph rebuilt with its subgraph interface, which like neap
 * has channels last. What this version has no s8 form of at the end of a model (softmax, widening
 * to f32) is left out there, to its advantage.
 */
#include "tests/bench/peers/peers.h"

#include "engine/op/op.h"

#include <xnnpack.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct owned {
	struct owned *next;
	_Alignas(64) char data[];
};

struct state {
	xnn_subgraph_t graph;
	xnn_runtime_t runtime;
	pthreadpool_t pool;
	struct owned *owned;
	const struct ne_model *m;
	uint32_t *id; /* [n_tensor] */
	void *in, *out;
	struct ne_error *err;
};

static const char *version(void)
{
	return XNNPACK_PACKAGE;
}

static void *own(struct state *s, size_t bytes)
{
	struct owned *o = aligned_alloc(64, ne_round_up(sizeof(*o) + bytes + XNN_EXTRA_BYTES, 64));

	if (!o)
		return NULL;
	memset(o, 0, sizeof(*o) + bytes + XNN_EXTRA_BYTES);
	o->next = s->owned;
	s->owned = o;
	return o->data;
}

static int fail(struct state *s, const struct ne_node *n, enum xnn_status status)
{
	return ne_node_fail(s->err, EOPNOTSUPP, n, "XNNPACK: status %d", (int)status);
}

static void dims_of(const struct ne_shape *s, size_t *dims)
{
	for (uint32_t i = 0; i < s->rank; i++)
		dims[i] = (size_t)s->dim[i];
}

/* ---- values ---- */

static int define_value(struct state *s, uint32_t t, uint32_t external, uint32_t flags)
{
	const struct ne_tensor *v = &s->m->graph.tensor[t];
	struct ne_quant q = s->m->width[0].quant[t];
	size_t dims[NE_MAX_RANK];
	enum xnn_status r;

	dims_of(&v->shape, dims);
	if (v->dtype == NE_F32)
		r = xnn_define_tensor_value(s->graph, xnn_datatype_fp32, v->shape.rank, dims, NULL,
					    external, flags, &s->id[t]);
	else
		r = xnn_define_quantized_tensor_value(
			s->graph, xnn_datatype_qint8, v->dtype == NE_U8 ? q.zero - 128 : q.zero,
			q.scale, v->shape.rank, dims, NULL, external, flags, &s->id[t]);
	return r == xnn_status_success ? 0 : ne_fail(s->err, EIO, "XNNPACK: value, status %d", r);
}

/* Weights: channels are @channel_dim; and the bias, 0 where the model has none. */
static int define_weights(struct state *s, const struct ne_node *n, uint32_t rank,
			  const size_t *dims, size_t channel_dim, uint32_t *ret_w, uint32_t *ret_b)
{
	const struct ne_tensor *w = ne_node_in(&s->m->graph, n, 1);
	const struct ne_tensor *b = ne_node_in(&s->m->graph, n, 2);
	size_t oc = dims[channel_dim];
	float *scale = own(s, oc * sizeof(*scale));
	int32_t *bias = own(s, oc * sizeof(*bias));
	float sx = s->m->width[0].quant[n->in[0]].scale;
	enum xnn_status r;

	if (!scale || !bias || n->attr.norm)
		return fail(s, n, xnn_status_unsupported_parameter);
	if (w->dtype == NE_F32) {
		r = xnn_define_tensor_value(s->graph, xnn_datatype_fp32, rank, dims, w->data,
					    XNN_INVALID_VALUE_ID, 0, ret_w);
		if (r == xnn_status_success)
			r = xnn_define_tensor_value(s->graph, xnn_datatype_fp32, 1, &oc,
						    b ? b->data : (void *)bias,
						    XNN_INVALID_VALUE_ID, 0, ret_b);
		return r == xnn_status_success ? 0 : fail(s, n, r);
	}
	for (size_t i = 0; i < oc; i++) {
		float sw = w->scale[w->n_scale == 1 ? 0 : i];

		scale[i] = sx * sw;
		if (b)
			bias[i] = b->dtype == NE_S32
					  ? ((const int32_t *)b->data)[i]
					  : (int32_t)rintf(((const float *)b->data)[i] / scale[i]);
	}
	if (w->n_scale == 1) {
		r = xnn_define_quantized_tensor_value(s->graph, xnn_datatype_qint8, 0, w->scale[0],
						      rank, dims, w->data, XNN_INVALID_VALUE_ID, 0,
						      ret_w);
		if (r == xnn_status_success)
			r = xnn_define_quantized_tensor_value(s->graph, xnn_datatype_qint32, 0,
							      scale[0], 1, &oc, bias,
							      XNN_INVALID_VALUE_ID, 0, ret_b);
	} else {
		r = xnn_define_channelwise_quantized_tensor_value(
			s->graph, xnn_datatype_qcint8, w->scale, rank, channel_dim, dims, w->data,
			XNN_INVALID_VALUE_ID, 0, ret_w);
		if (r == xnn_status_success)
			r = xnn_define_channelwise_quantized_tensor_value(
				s->graph, xnn_datatype_qcint32, scale, 1, 0, &oc, bias,
				XNN_INVALID_VALUE_ID, 0, ret_b);
	}
	return r == xnn_status_success ? 0 : fail(s, n, r);
}

/* ---- nodes ---- */

struct limits {
	float lo, hi;
};

static int conv(struct state *s, const struct ne_node *n, uint32_t y, struct limits l)
{
	const struct ne_window *w = &n->attr.window;
	const struct ne_shape *ws = &ne_node_in(&s->m->graph, n, 1)->shape;
	size_t dims[4] = {1}, groups = (size_t)n->attr.groups;
	bool dw = n->op == NE_OP_DWCONV;
	uint32_t wid, bid;
	enum xnn_status r;

	for (uint32_t i = 0; i < ws->rank; i++)
		dims[i + dw] = (size_t)ws->dim[i];
	NE_RETURN_IF(define_weights(s, n, 4, dims, dw ? 3 : 0, &wid, &bid));
	if (dw)
		r = xnn_define_depthwise_convolution_2d(
			s->graph, (uint32_t)w->pad_top, (uint32_t)w->pad_right,
			(uint32_t)w->pad_bottom, (uint32_t)w->pad_left, (uint32_t)w->kh,
			(uint32_t)w->kw, (uint32_t)w->sh, (uint32_t)w->sw, (uint32_t)w->dh,
			(uint32_t)w->dw, 1, dims[3], l.lo, l.hi, s->id[n->in[0]], wid, bid,
			s->id[y], 0);
	else
		r = xnn_define_convolution_2d(
			s->graph, (uint32_t)w->pad_top, (uint32_t)w->pad_right,
			(uint32_t)w->pad_bottom, (uint32_t)w->pad_left, (uint32_t)w->kh,
			(uint32_t)w->kw, (uint32_t)w->sh, (uint32_t)w->sw, (uint32_t)w->dh,
			(uint32_t)w->dw, (uint32_t)groups, dims[3], dims[0] / groups, l.lo, l.hi,
			s->id[n->in[0]], wid, bid, s->id[y], 0);
	return r == xnn_status_success ? 0 : fail(s, n, r);
}

static int dense(struct state *s, const struct ne_node *n, uint32_t y, struct limits l)
{
	size_t dims[NE_MAX_RANK];
	uint32_t wid, bid;
	enum xnn_status r;

	dims_of(&ne_node_in(&s->m->graph, n, 1)->shape, dims);
	NE_RETURN_IF(define_weights(s, n, 2, dims, 0, &wid, &bid));
	r = xnn_define_fully_connected(s->graph, l.lo, l.hi, s->id[n->in[0]], wid, bid, s->id[y],
				       0);
	return r == xnn_status_success ? 0 : fail(s, n, r);
}

/* The pool gives [1,1,1,C]; neap's globalpool [1,C]. */
static int global_pool(struct state *s, const struct ne_node *n, uint32_t y, struct limits l)
{
	const struct ne_tensor *t = &s->m->graph.tensor[y];
	struct ne_quant q = s->m->width[0].quant[y];
	size_t dims[4] = {1, 1, 1, (size_t)ne_shape_last(&t->shape)}, flat[2] = {1, dims[3]};
	uint32_t id = s->id[y];
	enum xnn_status r = xnn_status_success;

	if (t->shape.rank == 2 && t->dtype == NE_F32)
		r = xnn_define_tensor_value(s->graph, xnn_datatype_fp32, 4, dims, NULL,
					    XNN_INVALID_VALUE_ID, 0, &id);
	else if (t->shape.rank == 2)
		r = xnn_define_quantized_tensor_value(s->graph, xnn_datatype_qint8, q.zero, q.scale,
						      4, dims, NULL, XNN_INVALID_VALUE_ID, 0, &id);
	if (r == xnn_status_success)
		r = xnn_define_global_average_pooling_2d(s->graph, l.lo, l.hi, s->id[n->in[0]], id,
							 0);
	if (r == xnn_status_success && t->shape.rank == 2)
		r = xnn_define_static_reshape(s->graph, 2, flat, id, s->id[y], 0);
	return r == xnn_status_success ? 0 : fail(s, n, r);
}

static int add_node(struct state *s, const struct ne_node *n, uint32_t y, int32_t act)
{
	struct limits l = {act ? 0.0f : -INFINITY, act == NE_ACT_RELU6 ? 6.0f : INFINITY};
	size_t dims[NE_MAX_RANK];
	enum xnn_status r;

	switch (n->op) {
	case NE_OP_CONV:
	case NE_OP_DWCONV:
		return conv(s, n, y, l);
	case NE_OP_DENSE:
		return dense(s, n, y, l);
	case NE_OP_AVGPOOL:
	case NE_OP_GLOBALPOOL:
		return global_pool(s, n, y, l);
	case NE_OP_ADD:
		r = xnn_define_add2(s->graph, l.lo, l.hi, s->id[n->in[0]], s->id[n->in[1]],
				    s->id[y], 0);
		break;
	case NE_OP_SOFTMAX:
		r = xnn_define_softmax(s->graph, s->id[n->in[0]], s->id[y], 0);
		break;
	case NE_OP_RESHAPE:
		dims_of(&s->m->graph.tensor[y].shape, dims);
		r = xnn_define_static_reshape(s->graph, s->m->graph.tensor[y].shape.rank, dims,
					      s->id[n->in[0]], s->id[y], 0);
		break;
	default:
		r = xnn_status_unsupported_parameter;
	}
	return r == xnn_status_success ? 0 : fail(s, n, r);
}

/* ---- the model ---- */

static bool same_quant(const struct state *s, uint32_t a, uint32_t b)
{
	return s->m->width[0].quant[a].scale >= s->m->width[0].quant[b].scale &&
	       s->m->width[0].quant[a].scale <= s->m->width[0].quant[b].scale;
}

/* Nodes that add nothing here: another name for their input. */
static bool is_alias(const struct state *s, const struct ne_node *n)
{
	const struct ne_tensor *x = ne_node_in(&s->m->graph, n, 0);

	if (n->op == NE_OP_QUANTISE)
		return x->dtype != NE_F32 && same_quant(s, n->in[0], n->out[0]);
	return n->op == NE_OP_DEQUANTISE || (n->op == NE_OP_SOFTMAX && x->dtype == NE_S8);
}

static int build(struct state *s)
{
	const struct ne_graph *g = &s->m->graph;
	uint32_t out = g->exit[0].out[0], last = out;
	size_t bytes = 0;

	/* the tensor that XNNPACK's output stands for */
	for (uint32_t i = g->n_node; i-- > 0;)
		if (g->node[i].out[0] == last && is_alias(s, &g->node[i]))
			last = g->node[i].in[0];
	for (uint32_t t = 0; t < g->n_tensor; t++)
		s->id[t] = XNN_INVALID_VALUE_ID;
	NE_RETURN_IF(define_value(s, peer_input(g), 0, XNN_VALUE_FLAG_EXTERNAL_INPUT));
	NE_RETURN_IF(define_value(s, last, 1, XNN_VALUE_FLAG_EXTERNAL_OUTPUT));
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i], *relu = peer_relu_after(g, i);
		uint32_t y = relu ? relu->out[0] : n->out[0];
		int32_t act = !relu                    ? n->attr.act
			      : relu->op == NE_OP_RELU ? NE_ACT_RELU
						       : NE_ACT_RELU6;

		if (n->op == NE_OP_RELU || n->op == NE_OP_RELU6 ||
		    (n->op == NE_OP_TRANSPOSE && y == peer_input(g)))
			continue;
		if (is_alias(s, n)) {
			s->id[y] = s->id[n->in[0]];
			continue;
		}
		if (s->id[y] == XNN_INVALID_VALUE_ID)
			NE_RETURN_IF(define_value(s, y, XNN_INVALID_VALUE_ID, 0));
		NE_RETURN_IF(add_node(s, n, y, act));
	}
	bytes = ne_shape_elements(&g->tensor[last].shape) * ne_dtype_size(g->tensor[last].dtype);
	s->out = own(s, bytes);
	return s->out ? 0 : ne_fail(s->err, ENOMEM, "out of memory");
}

static void close_run(struct peer_run *r)
{
	struct state *s = r->state;

	xnn_delete_runtime(s->runtime);
	xnn_delete_subgraph(s->graph);
	pthreadpool_destroy(s->pool);
	while (s->owned) {
		struct owned *next = s->owned->next;

		free(s->owned);
		s->owned = next;
	}
	free(s->id);
	free(s);
}

static int start(struct state *s, unsigned threads, const void *in)
{
	const struct ne_tensor *x = &s->m->graph.tensor[s->m->graph.in[0]];
	size_t bytes = ne_shape_elements(&x->shape) * ne_dtype_size(x->dtype);
	struct xnn_external_value value[2];
	enum xnn_status r = xnn_initialize(NULL);

	s->in = own(s, bytes);
	if (!s->in || !s->id)
		return ne_fail(s->err, ENOMEM, "out of memory");
	memcpy(s->in, in, bytes);
	for (size_t i = 0; x->dtype == NE_U8 && i < bytes; i++)
		((uint8_t *)s->in)[i] ^= 0x80;
	if (r == xnn_status_success)
		r = xnn_create_subgraph(2, 0, &s->graph);
	if (r != xnn_status_success)
		return ne_fail(s->err, EIO, "XNNPACK: it does not start, status %d", r);
	NE_RETURN_IF(build(s));
	if (threads > 1)
		s->pool = pthreadpool_create(threads);
	r = xnn_create_runtime_v2(s->graph, s->pool, 0, &s->runtime);
	value[0] = (struct xnn_external_value){0, s->in};
	value[1] = (struct xnn_external_value){1, s->out};
	if (r == xnn_status_success)
		r = xnn_setup_runtime(s->runtime, 2, value);
	return r == xnn_status_success ? 0 : ne_fail(s->err, EIO, "XNNPACK: status %d", (int)r);
}

static int open_case(const struct peer_case *c, const char *cpu, unsigned threads, const void *in,
		     struct peer_run *ret, struct ne_error *err)
{
	struct state *s = calloc(1, sizeof(*s));
	int r;

	(void)cpu;
	if (!s)
		return ne_fail(err, ENOMEM, "out of memory");
	ret->state = s;
	s->err = err;
	s->m = c->model;
	s->id = calloc(c->model->graph.n_tensor, sizeof(*s->id));
	r = start(s, threads, in);
	s->err = NULL;
	if (r < 0) {
		close_run(ret);
		return r;
	}
	ret->out = s->out;
	ret->out_bytes = 0; /* ends where its own operators end */
	return 0;
}

static void run(struct peer_run *r)
{
	struct state *s = r->state;

	if (xnn_invoke_runtime(s->runtime) != xnn_status_success)
		abort();
}

const struct peer peer_xnnpack = {"XNNPACK", version, open_case, run, close_run};
