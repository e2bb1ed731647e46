/* SPDX-License-Identifier: MIT */
/*
 * oneDNN as Debian has it: a library of kernels, not of graphs. Convolutions, dense layers and
 * average pools run one after another in the layouts that it prefers, with its reorders where those
 * differ. Everything else (additions, softmax, quantising) is left out, to its advantage, so its
 * results are not compared.
 */
#include "tests/bench/peers/peers.h"

#include "engine/op/op.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 512
#define ARGS_MAX  4

struct step {
	dnnl_primitive_t primitive;
	int n_arg;
	dnnl_exec_arg_t arg[ARGS_MAX];
};

struct state {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	const struct ne_model *m;
	struct step step[STEPS_MAX];
	uint32_t n_step, n_memory;
	dnnl_memory_t memory[4 * STEPS_MAX];
	dnnl_memory_t *of; /* [n_tensor] where a tensor is */
	struct ne_error *err;
};

static const char *version(void)
{
	static char text[32];
	const dnnl_version_t *v = dnnl_version();

	snprintf(text, sizeof(text), "%d.%d.%d", v->major, v->minor, v->patch);
	return text;
}

#define TRY(call)                                                                                  \
	do {                                                                                       \
		dnnl_status_t status_ = (call);                                                    \
		if (status_ != dnnl_success)                                                       \
			return ne_fail(s->err, EIO, "oneDNN: %s: status %d", #call, (int)status_); \
	} while (0)

static int new_memory(struct state *s, const dnnl_memory_desc_t *md, dnnl_memory_t *ret)
{
	if (s->n_memory == NE_ARRAY_SIZE(s->memory))
		return ne_fail(s->err, E2BIG, "oneDNN: too many memories");
	TRY(dnnl_memory_create(ret, md, s->engine, DNNL_MEMORY_ALLOCATE));
	s->memory[s->n_memory++] = *ret;
	return 0;
}

static int add_step(struct state *s, dnnl_primitive_desc_t pd, int n, const dnnl_exec_arg_t *arg)
{
	struct step *p = &s->step[s->n_step];

	if (s->n_step == STEPS_MAX)
		return ne_fail(s->err, E2BIG, "oneDNN: too many steps");
	TRY(dnnl_primitive_create(&p->primitive, pd));
	TRY(dnnl_primitive_desc_destroy(pd));
	p->n_arg = n;
	memcpy(p->arg, arg, (size_t)n * sizeof(*arg));
	s->n_step++;
	return 0;
}

/* *m in the layout @md: a reorder where it has another; run @now or with the others. */
static int reorder(struct state *s, dnnl_memory_t *m, const dnnl_memory_desc_t *md, bool now)
{
	const dnnl_memory_desc_t *had;
	dnnl_primitive_desc_t pd;
	dnnl_exec_arg_t arg[2];
	dnnl_memory_t to;

	TRY(dnnl_memory_get_memory_desc(*m, &had));
	if (dnnl_memory_desc_equal(had, md))
		return 0;
	NE_RETURN_IF(new_memory(s, md, &to));
	TRY(dnnl_reorder_primitive_desc_create(&pd, had, s->engine, md, s->engine, NULL));
	arg[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, *m};
	arg[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, to};
	*m = to;
	NE_RETURN_IF(add_step(s, pd, 2, arg));
	if (now) {
		struct step *p = &s->step[--s->n_step];

		TRY(dnnl_primitive_execute(p->primitive, s->stream, 2, p->arg));
		TRY(dnnl_stream_wait(s->stream));
		TRY(dnnl_primitive_destroy(p->primitive));
	}
	return 0;
}

static int constant(struct state *s, const void *data, size_t bytes, const dnnl_memory_desc_t *from,
		    const dnnl_memory_desc_t *to, dnnl_memory_t *ret)
{
	void *at;

	NE_RETURN_IF(new_memory(s, from, ret));
	TRY(dnnl_memory_get_data_handle(*ret, &at));
	memcpy(at, data, NE_MIN(bytes, dnnl_memory_desc_get_size(from)));
	return reorder(s, ret, to, true);
}

/* ---- shapes ---- */

/* s8 is u8 here, which its kernels prefer. */
static dnnl_data_type_t type_of(const struct state *s, uint32_t t)
{
	return s->m->graph.tensor[t].dtype == NE_F32 ? dnnl_f32 : dnnl_u8;
}

static dnnl_data_type_t weights_type(const struct state *s, const struct ne_node *n)
{
	return ne_node_in(&s->m->graph, n, 1)->dtype == NE_F32 ? dnnl_f32 : dnnl_s8;
}

/* [1,H,W,C] as N, C, H, W; [1,C] as N, C. */
static int activation(struct state *s, uint32_t t, bool any, dnnl_memory_desc_t *ret)
{
	const struct ne_shape *v = &s->m->graph.tensor[t].shape;
	dnnl_dims_t dims = {1, ne_shape_last(v)};

	if (v->rank == 4) {
		dims[2] = v->dim[1];
		dims[3] = v->dim[2];
	}
	if (v->rank != 4 && v->rank != 2)
		return ne_fail(s->err, EOPNOTSUPP, "oneDNN: rank %u", v->rank);
	TRY(dnnl_memory_desc_init_by_tag(ret, (int)v->rank, dims, type_of(s, t),
					 any            ? dnnl_format_tag_any
					 : v->rank == 4 ? dnnl_nhwc
							: dnnl_nc));
	return 0;
}

/* Scales, zero points and the activation of the node. */
static int attributes(struct state *s, const struct ne_node *n, uint32_t y, int32_t act,
		      dnnl_primitive_attr_t *ret)
{
	const struct ne_tensor *w = ne_node_in(&s->m->graph, n, 1);
	struct ne_quant qx = s->m->width[0].quant[n->in[0]], qy = s->m->width[0].quant[y];
	const int32_t zx = qx.zero + 128, zy = qy.zero + 128;
	dnnl_post_ops_t ops;

	TRY(dnnl_primitive_attr_create(ret));
	if (type_of(s, y) == dnnl_u8 && w) {
		float *scale = calloc(w->n_scale, sizeof(*scale));

		for (uint32_t i = 0; scale && i < w->n_scale; i++)
			scale[i] = qx.scale * w->scale[i] / qy.scale;
		TRY(dnnl_primitive_attr_set_output_scales(*ret, w->n_scale, w->n_scale > 1 ? 2 : 0,
							  scale));
		free(scale);
		if (n->op == NE_OP_DENSE) /* has none: what is left is folded into the bias */
			return 0;
		TRY(dnnl_primitive_attr_set_zero_points(*ret, DNNL_ARG_SRC, 1, 0, &zx));
		TRY(dnnl_primitive_attr_set_zero_points(*ret, DNNL_ARG_DST, 1, 0, &zy));
		return 0;
	}
	if (!act)
		return 0;
	TRY(dnnl_post_ops_create(&ops));
	TRY(dnnl_post_ops_append_eltwise(
		ops, 1.0f, act == NE_ACT_RELU ? dnnl_eltwise_relu : dnnl_eltwise_bounded_relu,
		act == NE_ACT_RELU ? 0.0f : 6.0f, 0.0f));
	TRY(dnnl_primitive_attr_set_post_ops(*ret, ops));
	TRY(dnnl_post_ops_destroy(ops));
	return 0;
}

/* ---- nodes ---- */

/* Weights, bias and the step of a convolution or dense layer whose primitive is known. */
static int weighted(struct state *s, const struct ne_node *n, uint32_t y, dnnl_primitive_desc_t pd,
		    const dnnl_memory_desc_t *plain_w)
{
	const struct ne_tensor *w = ne_node_in(&s->m->graph, n, 1);
	const struct ne_tensor *b = ne_node_in(&s->m->graph, n, 2);
	const dnnl_memory_desc_t *bias_md =
		dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1);
	size_t oc = (size_t)bias_md->dims[0];
	float sx = s->m->width[0].quant[n->in[0]].scale;
	int32_t *bias = calloc(oc, sizeof(*bias));
	dnnl_memory_t wm, bm, ym;
	int r;

	if (!bias)
		return ne_fail(s->err, ENOMEM, "out of memory");
	for (size_t i = 0; b && i < oc; i++) {
		if (w->dtype == NE_F32 || b->dtype == NE_S32)
			bias[i] = ((const int32_t *)b->data)[i];
		else
			bias[i] = (int32_t)(((const float *)b->data)[i] /
					    (sx * w->scale[w->n_scale == 1 ? 0 : i]));
	}
	r = constant(s, bias, oc * sizeof(*bias), bias_md, bias_md, &bm);
	free(bias);
	NE_RETURN_IF(r);
	NE_RETURN_IF(constant(s, w->data, w->bytes, plain_w,
			      dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), &wm));
	NE_RETURN_IF(reorder(s, &s->of[n->in[0]],
			     dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0), false));
	NE_RETURN_IF(new_memory(s, dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), &ym));
	s->of[y] = ym;
	return add_step(s, pd, 4,
			(dnnl_exec_arg_t[]){{DNNL_ARG_SRC, s->of[n->in[0]]},
					    {DNNL_ARG_WEIGHTS, wm},
					    {DNNL_ARG_BIAS, bm},
					    {DNNL_ARG_DST, ym}});
}

static int bias_desc(struct state *s, uint32_t x, int64_t oc, dnnl_memory_desc_t *ret)
{
	const dnnl_dims_t dims = {oc};

	TRY(dnnl_memory_desc_init_by_tag(ret, 1, dims,
					 type_of(s, x) == dnnl_f32 ? dnnl_f32 : dnnl_s32, dnnl_x));
	return 0;
}

static int conv(struct state *s, const struct ne_node *n, uint32_t y, int32_t act)
{
	const struct ne_shape *ws = &ne_node_in(&s->m->graph, n, 1)->shape;
	const struct ne_window *w = &n->attr.window;
	bool dw = n->op == NE_OP_DWCONV;
	int64_t g = dw ? ws->dim[2] : n->attr.groups, oc = dw ? g : ws->dim[0];
	dnnl_dims_t grouped = {g, oc / g, dw ? 1 : ws->dim[3], w->kh, w->kw};
	dnnl_dims_t strides = {w->sh, w->sw}, dilates = {w->dh - 1, w->dw - 1};
	dnnl_dims_t before = {w->pad_top, w->pad_left}, after = {w->pad_bottom, w->pad_right};
	dnnl_dims_t one = {oc, ws->dim[3], w->kh, w->kw};
	const int64_t *dims = g > 1 ? grouped : one;
	int rank = g > 1 ? 5 : 4;
	dnnl_memory_desc_t src, wei, bia, dst, plain;
	dnnl_convolution_desc_t cd;
	dnnl_primitive_attr_t attr;
	dnnl_primitive_desc_t pd;

	NE_RETURN_IF(activation(s, n->in[0], true, &src));
	NE_RETURN_IF(activation(s, y, true, &dst));
	NE_RETURN_IF(bias_desc(s, n->in[0], oc, &bia));
	NE_RETURN_IF(attributes(s, n, y, act, &attr));
	TRY(dnnl_memory_desc_init_by_tag(&wei, rank, dims, weights_type(s, n),
					 dnnl_format_tag_any));
	TRY(dnnl_memory_desc_init_by_tag(&plain, rank, dims, weights_type(s, n),
					 dw      ? dnnl_hwigo
					 : g > 1 ? dnnl_gohwi
						 : dnnl_ohwi));
	TRY(dnnl_dilated_convolution_forward_desc_init(&cd, dnnl_forward_inference,
						       dnnl_convolution_direct, &src, &wei, &bia,
						       &dst, strides, dilates, before, after));
	TRY(dnnl_primitive_desc_create(&pd, &cd, attr, s->engine, NULL));
	TRY(dnnl_primitive_attr_destroy(attr));
	return weighted(s, n, y, pd, &plain);
}

static int dense(struct state *s, const struct ne_node *n, uint32_t y, int32_t act)
{
	const struct ne_shape *ws = &ne_node_in(&s->m->graph, n, 1)->shape;
	dnnl_dims_t dims = {ws->dim[0], ws->dim[1]};
	dnnl_memory_desc_t src, wei, bia, dst, plain;
	dnnl_inner_product_desc_t d;
	dnnl_primitive_attr_t attr;
	dnnl_primitive_desc_t pd;

	NE_RETURN_IF(activation(s, n->in[0], true, &src));
	NE_RETURN_IF(activation(s, y, true, &dst));
	NE_RETURN_IF(bias_desc(s, n->in[0], dims[0], &bia));
	NE_RETURN_IF(attributes(s, n, y, act, &attr));
	TRY(dnnl_memory_desc_init_by_tag(&wei, 2, dims, weights_type(s, n), dnnl_format_tag_any));
	TRY(dnnl_memory_desc_init_by_tag(&plain, 2, dims, weights_type(s, n), dnnl_oi));
	TRY(dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &src, &wei, &bia,
						 &dst));
	TRY(dnnl_primitive_desc_create(&pd, &d, attr, s->engine, NULL));
	TRY(dnnl_primitive_attr_destroy(attr));
	return weighted(s, n, y, pd, &plain);
}

/* The mean over the whole image. */
static int pool(struct state *s, const struct ne_node *n, uint32_t y)
{
	const struct ne_shape *xs = &s->m->graph.tensor[n->in[0]].shape;
	const struct ne_shape *ys = &s->m->graph.tensor[y].shape;
	dnnl_dims_t k = {xs->dim[1], xs->dim[2]}, strides = {1, 1}, none = {0, 0};
	dnnl_dims_t dims = {1, ne_shape_last(ys), 1, 1};
	const dnnl_memory_desc_t *src;
	dnnl_memory_desc_t dst, flat;
	dnnl_pooling_desc_t d;
	dnnl_primitive_desc_t pd;
	dnnl_memory_t to, view;
	void *at;

	TRY(dnnl_memory_get_memory_desc(s->of[n->in[0]], &src));
	TRY(dnnl_memory_desc_init_by_tag(&dst, 4, dims, type_of(s, y), dnnl_nhwc));
	TRY(dnnl_pooling_forward_desc_init(&d, dnnl_forward_inference,
					   dnnl_pooling_avg_exclude_padding, src, &dst, strides, k,
					   none, none));
	TRY(dnnl_primitive_desc_create(&pd, &d, NULL, s->engine, NULL));
	NE_RETURN_IF(new_memory(s, &dst, &to));
	s->of[y] = to;
	NE_RETURN_IF(
		add_step(s, pd, 2,
			 (dnnl_exec_arg_t[]){{DNNL_ARG_SRC, s->of[n->in[0]]}, {DNNL_ARG_DST, to}}));
	if (ys->rank != 2)
		return 0;
	/* [1,C,1,1] seen as [1,C] */
	TRY(dnnl_memory_desc_init_by_tag(&flat, 2, dims, type_of(s, y), dnnl_nc));
	TRY(dnnl_memory_get_data_handle(to, &at));
	TRY(dnnl_memory_create(&view, &flat, s->engine, at));
	s->memory[s->n_memory++] = view;
	s->of[y] = view;
	return 0;
}

/* ---- the model ---- */

/* Another shape of the same values, as the first kernel that reads it takes them. */
static int reshape(struct state *s, uint32_t x, uint32_t y)
{
	dnnl_memory_desc_t plain, md;
	dnnl_memory_t view;
	void *at;

	NE_RETURN_IF(activation(s, x, false, &plain));
	NE_RETURN_IF(reorder(s, &s->of[x], &plain, false));
	NE_RETURN_IF(activation(s, y, false, &md));
	TRY(dnnl_memory_get_data_handle(s->of[x], &at));
	TRY(dnnl_memory_create(&view, &md, s->engine, at));
	s->memory[s->n_memory++] = view;
	s->of[y] = view;
	return 0;
}

static int build(struct state *s)
{
	const struct ne_graph *g = &s->m->graph;
	const uint32_t in = peer_input(g);
	dnnl_memory_desc_t md;

	NE_RETURN_IF(activation(s, in, false, &md));
	NE_RETURN_IF(new_memory(s, &md, &s->of[in]));
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i], *relu = peer_relu_after(g, i);
		uint32_t y = relu ? relu->out[0] : n->out[0];
		int32_t act = !relu                    ? n->attr.act
			      : relu->op == NE_OP_RELU ? NE_ACT_RELU
						       : NE_ACT_RELU6;

		if (n->op == NE_OP_TRANSPOSE && y == in)
			continue;
		switch (n->op) {
		case NE_OP_CONV:
		case NE_OP_DWCONV:
			NE_RETURN_IF(conv(s, n, y, act));
			break;
		case NE_OP_DENSE:
			NE_RETURN_IF(dense(s, n, y, act));
			break;
		case NE_OP_AVGPOOL:
		case NE_OP_GLOBALPOOL:
			NE_RETURN_IF(pool(s, n, y));
			break;
		case NE_OP_RESHAPE:
			NE_RETURN_IF(reshape(s, n->in[0], y));
			break;
		case NE_OP_ADD:
		case NE_OP_QUANTISE:
		case NE_OP_DEQUANTISE:
		case NE_OP_SOFTMAX:
		case NE_OP_RELU:
		case NE_OP_RELU6:
			if (!s->of[y])
				s->of[y] = s->of[n->in[0]];
			break;
		default:
			return ne_node_fail(s->err, EOPNOTSUPP, n, "oneDNN: not in this benchmark");
		}
	}
	return 0;
}

static void close_run(struct peer_run *r)
{
	struct state *s = r->state;

	for (uint32_t i = 0; i < s->n_step; i++)
		dnnl_primitive_destroy(s->step[i].primitive);
	for (uint32_t i = 0; i < s->n_memory; i++)
		dnnl_memory_destroy(s->memory[i]);
	dnnl_stream_destroy(s->stream);
	dnnl_engine_destroy(s->engine);
	free(s->of);
	free(s);
}

static int start(struct state *s)
{
	if (!s->of)
		return ne_fail(s->err, ENOMEM, "out of memory");
	TRY(dnnl_engine_create(&s->engine, dnnl_cpu, 0));
	TRY(dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags));
	return build(s);
}

static int open_case(const struct peer_case *c, const char *cpu, unsigned threads, const void *in,
		     struct peer_run *ret, struct ne_error *err)
{
	struct state *s = calloc(1, sizeof(*s));
	int r;

	(void)cpu;
	(void)in;
	if (!s)
		return ne_fail(err, ENOMEM, "out of memory");
	omp_set_num_threads((int)threads);
	ret->state = s;
	s->err = err;
	s->m = c->model;
	s->of = calloc(c->model->graph.n_tensor, sizeof(dnnl_memory_t));
	r = start(s);
	s->err = NULL;
	if (r < 0)
		close_run(ret);
	return r;
}

static void run(struct peer_run *r)
{
	struct state *s = r->state;

	for (uint32_t i = 0; i < s->n_step; i++)
		if (dnnl_primitive_execute(s->step[i].primitive, s->stream, s->step[i].n_arg,
					   s->step[i].arg) != dnnl_success)
			abort();
	dnnl_stream_wait(s->stream);
}

const struct peer peer_onednn = {"oneDNN (kernels alone)", version, open_case, run, close_run};
