/* SPDX-License-Identifier: MIT */
/* The table of operators, and the checks and shape rules that several of them share. */
#include "engine/op/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct ne_op_info ops[NE_OP_COUNT] = {
	[NE_OP_CONV] = {"conv", 2, 3, ne_conv_check, ne_conv_infer, ne_conv_macs, ne_conv_lower,
			true},
	[NE_OP_DWCONV] = {"dwconv", 2, 3, ne_dwconv_check, ne_dwconv_infer, ne_dwconv_macs,
			  ne_dwconv_lower, true},
	[NE_OP_DENSE] = {"dense", 2, 3, ne_dense_check, ne_dense_infer, ne_dense_macs,
			 ne_dense_lower, true},
	[NE_OP_MAXPOOL] = {"maxpool", 1, 1, ne_pool_check, ne_pool_infer, NULL, ne_pool_lower,
			   true},
	[NE_OP_AVGPOOL] = {"avgpool", 1, 1, ne_pool_check, ne_pool_infer, NULL, ne_pool_lower,
			   true},
	[NE_OP_GLOBALPOOL] = {"globalpool", 1, 1, ne_globalpool_check, ne_globalpool_infer, NULL,
			      ne_pool_lower, true},
	[NE_OP_ADD] = {"add", 2, 2, ne_binary_check, ne_binary_infer, NULL, ne_binary_lower, true},
	[NE_OP_MUL] = {"mul", 2, 2, ne_binary_check, ne_binary_infer, NULL, ne_binary_lower, true},
	[NE_OP_CONCAT] = {"concat", 1, NE_MAX_IO, ne_concat_check, ne_concat_infer, NULL,
			  ne_concat_lower, .takes_integers = true},
	[NE_OP_RELU] = {"relu", 1, 1, ne_unary_check, ne_infer_same, NULL, ne_unary_lower, false},
	[NE_OP_RELU6] = {"relu6", 1, 1, ne_unary_check, ne_infer_same, NULL, ne_unary_lower, false},
	[NE_OP_HARDSWISH] = {"hardswish", 1, 1, ne_unary_check, ne_infer_same, NULL, ne_unary_lower,
			     false},
	[NE_OP_SIGMOID] = {"sigmoid", 1, 1, ne_unary_check, ne_infer_same, NULL, ne_unary_lower,
			   false},
	[NE_OP_TANH] = {"tanh", 1, 1, ne_unary_check, ne_infer_same, NULL, ne_unary_lower, false},
	[NE_OP_SOFTMAX] = {"softmax", 1, 1, ne_softmax_check, ne_infer_same, NULL, ne_softmax_lower,
			   false},
	[NE_OP_BATCHNORM] = {"batchnorm", 5, 5, ne_batchnorm_check, ne_infer_same, NULL,
			     ne_batchnorm_lower, false},
	[NE_OP_RESHAPE] = {"reshape", 1, 1, ne_reshape_check, ne_reshape_infer, NULL,
			   ne_reshape_lower, .takes_integers = true},
	[NE_OP_PAD] = {"pad", 1, 1, ne_pad_check, ne_pad_infer, NULL, ne_pad_lower, false},
	[NE_OP_QUANTISE] = {"quantise", 1, 1, ne_quantise_check, ne_infer_same, NULL,
			    ne_quantise_lower, false},
	[NE_OP_DEQUANTISE] = {"dequantise", 1, 1, ne_dequantise_check, ne_infer_same, NULL,
			      ne_dequantise_lower, false},
	[NE_OP_TRANSPOSE] = {"transpose", 1, 1, ne_transpose_check, ne_transpose_infer, NULL,
			     ne_transpose_lower, .takes_integers = true},
	[NE_OP_UNARY] = {"unary", 1, 1, ne_function_check, ne_infer_same, NULL, ne_function_lower,
			 .takes_integers = true},
	[NE_OP_BINARY] = {"binary", 2, 2, ne_arith_check, ne_binary_infer, NULL, ne_arith_lower,
			  .takes_integers = true},
	[NE_OP_WHERE] = {"where", 3, 3, ne_where_check, ne_where_infer, NULL, ne_where_lower,
			 .takes_integers = true},
	[NE_OP_REDUCE] = {"reduce", 1, 1, ne_reduce_check, ne_reduce_infer, NULL, ne_reduce_lower,
			  .takes_integers = true},
	[NE_OP_CAST] = {"cast", 1, 1, ne_cast_check, ne_infer_same, NULL, ne_cast_lower,
			.takes_integers = true},
	[NE_OP_SLICE] = {"slice", 1, 1, ne_slice_check, ne_slice_infer, NULL, ne_slice_lower,
			 .takes_integers = true},
	[NE_OP_PICK] = {"pick", 1, 1 + NE_MAX_RANK, ne_pick_check, ne_pick_infer, NULL,
			ne_pick_lower, .takes_integers = true},
	[NE_OP_GATHER] = {"gather", 2, 2, ne_gather_check, ne_gather_infer, NULL, ne_gather_lower,
			  .takes_integers = true},
	[NE_OP_GATHER_ELEMENTS] = {"gather-elements", 2, 2, ne_gather_elements_check,
				   ne_gather_elements_infer, NULL, ne_gather_elements_lower,
				   .takes_integers = true},
	[NE_OP_GATHER_ND] = {"gather-nd", 2, 2, ne_gather_nd_check, ne_gather_nd_infer, NULL,
			     ne_gather_nd_lower, .takes_integers = true},
	[NE_OP_SCATTER_ELEMENTS] = {"scatter-elements", 3, 3, ne_scatter_elements_check,
				    ne_scatter_elements_infer, NULL, ne_scatter_elements_lower,
				    .takes_integers = true},
	[NE_OP_SCATTER_ND] = {"scatter-nd", 3, 3, ne_scatter_nd_check, ne_scatter_nd_infer, NULL,
			      ne_scatter_nd_lower, .takes_integers = true},
	[NE_OP_MATMUL] = {"matmul", 2, 2, ne_matmul_check, ne_matmul_infer, ne_matmul_macs,
			  ne_matmul_lower},
	[NE_OP_CUMSUM] = {"cumsum", 1, 1, ne_cumsum_check, ne_cumsum_infer, NULL, ne_cumsum_lower},
	[NE_OP_TOPK] = {"topk", 1, 1, ne_topk_check, ne_topk_infer, NULL, ne_topk_lower,
			.takes_integers = true, .max_out = 2},
	[NE_OP_LSTM] = {"lstm", 3, 8, ne_recurrent_check, ne_recurrent_infer, ne_recurrent_macs,
			ne_recurrent_lower, .max_out = 3},
	[NE_OP_GRU] = {"gru", 3, 6, ne_recurrent_check, ne_recurrent_infer, ne_recurrent_macs,
		       ne_recurrent_lower, .max_out = 2},
	[NE_OP_RNN] = {"rnn", 3, 6, ne_recurrent_check, ne_recurrent_infer, ne_recurrent_macs,
		       ne_recurrent_lower, .max_out = 2},
	[NE_OP_SPECTRUM] = {"spectrum", 3, 3, ne_spectrum_check, ne_spectrum_infer, NULL,
			    ne_spectrum_lower, false},
	[NE_OP_RESIZE] = {"resize", 1, 1, ne_resize_check, ne_resize_infer, NULL, ne_resize_lower,
			  false},
	[NE_OP_LOGMEL] = {"logmel", 1, 1, ne_logmel_check, ne_logmel_infer, NULL, ne_logmel_lower,
			  false},
};

const struct ne_op_info *ne_op_info(enum ne_op op)
{
	return (unsigned)op < NE_OP_COUNT && ops[op].name ? &ops[op] : NULL;
}

int ne_node_fail(struct ne_error *err, int code, const struct ne_node *n, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ne_fail(err, code, "node '%.80s' (%s): %s", n->name ? n->name : "",
		       ne_op_name(n->op), text);
}

bool ne_shape_equal(const struct ne_shape *a, const struct ne_shape *b)
{
	return a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof(a->dim[0]));
}

int ne_check_same_group(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err)
{
	uint32_t x = ne_node_in(g, n, 0)->group, y = ne_node_out(g, n)->group;

	if (x != y)
		return ne_node_fail(err, EINVAL, n, "input is in channel group %u, output in %u", x,
				    y);
	return 0;
}

int ne_check_uncut(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err)
{
	for (uint32_t k = 0; k < n->n_in; k++)
		if (n->in[k] != NE_NONE && g->tensor[n->in[k]].group)
			return ne_node_fail(err, EINVAL, n,
					    "input %u is in a channel group: this operator takes "
					    "whole tensors",
					    k);
	for (uint32_t k = 0; k < n->n_out; k++)
		if (g->tensor[n->out[k]].group)
			return ne_node_fail(err, EINVAL, n, "output %u is in a channel group", k);
	return 0;
}

int ne_check_f32_or_s8(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err)
{
	enum ne_dtype x = ne_node_in(g, n, 0)->dtype, y = ne_node_out(g, n)->dtype;

	if (x != y || (x != NE_F32 && x != NE_S8))
		return ne_node_fail(err, EINVAL, n, "types %s to %s; f32 or s8 on both sides",
				    ne_dtype_name(x), ne_dtype_name(y));
	return 0;
}

int ne_check_act(const struct ne_node *n, struct ne_error *err)
{
	if (n->attr.act < NE_ACT_NONE || n->attr.act > NE_ACT_RELU6)
		return ne_node_fail(err, EINVAL, n, "unknown activation %d", n->attr.act);
	return 0;
}

int ne_check_window(const struct ne_node *n, struct ne_error *err)
{
	const struct ne_window *w = &n->attr.window;
	const int32_t positive[] = {w->kh, w->kw, w->sh, w->sw, w->dh, w->dw};
	const int32_t pads[] = {w->pad_top, w->pad_left, w->pad_bottom, w->pad_right};

	for (size_t i = 0; i < NE_ARRAY_SIZE(positive); i++)
		if (positive[i] < 1 || positive[i] > NE_MAX_DIM)
			return ne_node_fail(err, EINVAL, n,
					    "kernel %dx%d, stride %dx%d, dilation %dx%d: each must "
					    "be 1 to %d",
					    w->kh, w->kw, w->sh, w->sw, w->dh, w->dw, NE_MAX_DIM);
	for (size_t i = 0; i < NE_ARRAY_SIZE(pads); i++)
		if (pads[i] < 0 || pads[i] > NE_MAX_DIM)
			return ne_node_fail(err, EINVAL, n, "padding %d out of range", pads[i]);
	return 0;
}

int ne_image_of(const struct ne_node *n, const struct ne_shape *s, struct ne_image *ret,
		struct ne_error *err)
{
	if ((s->rank != 4 && s->rank != 3) || s->dim[0] != 1)
		return ne_node_fail(err, EINVAL, n,
				    "input must be [1,H,W,C] or [1,T,C], not of rank %u, batch %d",
				    s->rank, s->rank ? s->dim[0] : 0);
	if (s->rank == 4)
		*ret = (struct ne_image){s->dim[1], s->dim[2], s->dim[3]};
	else
		*ret = (struct ne_image){1, s->dim[1], s->dim[2]};
	return 0;
}

/* Positions of a window of @k taps @d apart along @size elements, or -1 where there is none. */
static int64_t positions(int64_t size, int64_t before, int64_t after, int64_t k, int64_t d,
			 int64_t stride)
{
	int64_t room = size + before + after - ((k - 1) * d + 1);

	return room < 0 ? -1 : room / stride + 1;
}

int ne_window_output(const struct ne_node *n, const struct ne_image *x, int32_t *ret_h,
		     int32_t *ret_w, struct ne_error *err)
{
	const struct ne_window *w = &n->attr.window;
	int64_t h, v;

	NE_RETURN_IF(ne_check_window(n, err));
	h = positions(x->h, w->pad_top, w->pad_bottom, w->kh, w->dh, w->sh);
	v = positions(x->w, w->pad_left, w->pad_right, w->kw, w->dw, w->sw);
	if (h < 1 || v < 1 || h > NE_MAX_DIM || v > NE_MAX_DIM)
		return ne_node_fail(err, EINVAL, n, "a window of %dx%d does not fit %dx%d", w->kh,
				    w->kw, x->h, x->w);
	*ret_h = (int32_t)h;
	*ret_w = (int32_t)v;
	return 0;
}

int ne_infer_same(const struct ne_graph *g, const struct ne_node *n, const struct ne_shape *in,
		  struct ne_shape *ret, struct ne_error *err)
{
	(void)g;
	(void)n;
	(void)err;
	*ret = in[0];
	return 0;
}
