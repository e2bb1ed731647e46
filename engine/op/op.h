/* SPDX-License-Identifier: MIT */
/*
 * The operators: one table line each, one file a family. An operator brings its arity, what it
 * checks, its shape rule, its multiply-accumulates, and how it becomes steps of a plan.
 *
 * check() sees a graph whose ids, arity and shapes are in range (graph_check.c looked first).
 * lower() sees a model that passed ne_model_check() and the shapes of one level; everything it
 * makes belongs to the program.
 */
#ifndef NE_OP_H
#define NE_OP_H

#include "engine/model/model.h"

struct ne_lower;
struct ne_kernels;

struct ne_op_info {
	const char *name;
	uint32_t min_in, max_in; /* inputs past min_in are optional (NE_NONE) */
	int (*check)(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err);
	int (*infer)(const struct ne_graph *g, const struct ne_node *n, const struct ne_shape *in,
		     struct ne_shape *ret, struct ne_error *err);
	/* multiply-accumulates from the shapes of input 0, of input 1 at full width, of the output */
	uint64_t (*macs)(const struct ne_node *n, const struct ne_shape *x,
			 const struct ne_shape *w, const struct ne_shape *y);
	int (*lower)(struct ne_lower *lw, const struct ne_node *n);
	/* attr.act is honoured, and a sole relu or relu6 that follows can be fused */
	bool fuses_act;
	/* 8-bit values without a scale are integers to it; others must have one */
	bool takes_integers;
	uint32_t max_out; /* 0 = 1; infer() fills as many shapes as the node has outputs */
};

/* NULL for an unknown operator. */
const struct ne_op_info *ne_op_info(enum ne_op op);

/* ne_fail() with the node's name and operator before the reason. */
int ne_node_fail(struct ne_error *err, int code, const struct ne_node *n, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- what several operators check ---- */

/* Input @i's tensor, or NULL where it is absent. */
static inline const struct ne_tensor *ne_node_in(const struct ne_graph *g, const struct ne_node *n,
						 uint32_t i)
{
	return i < n->n_in && n->in[i] != NE_NONE ? &g->tensor[n->in[i]] : NULL;
}

static inline const struct ne_tensor *ne_node_out(const struct ne_graph *g, const struct ne_node *n)
{
	return &g->tensor[n->out[0]];
}

static inline int32_t ne_shape_last(const struct ne_shape *s)
{
	return s->rank ? s->dim[s->rank - 1] : 1;
}

bool ne_shape_equal(const struct ne_shape *a, const struct ne_shape *b);

/* Input and output of the same channel group. */
int ne_check_same_group(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err);
/* No input and no output in a channel group. */
int ne_check_uncut(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err);
/* x and y both f32, or both s8. */
int ne_check_f32_or_s8(const struct ne_graph *g, const struct ne_node *n, struct ne_error *err);
/* Window attributes in their ranges. */
int ne_check_window(const struct ne_node *n, struct ne_error *err);
/* Weights, bias and norm that conv, dwconv and dense share; @oc output channels. */
int ne_weights_check(const struct ne_graph *g, const struct ne_node *n, int32_t oc,
		     struct ne_error *err);
int ne_check_act(const struct ne_node *n, struct ne_error *err);

/* [1,H,W,C] or [1,T,C] (H = 1) as height, width, channels. */
struct ne_image {
	int32_t h, w, c;
};
int ne_image_of(const struct ne_node *n, const struct ne_shape *s, struct ne_image *ret,
		struct ne_error *err);
/* Rows and columns that the window gives on @x; -EINVAL where it does not fit. */
int ne_window_output(const struct ne_node *n, const struct ne_image *x, int32_t *ret_h,
		     int32_t *ret_w, struct ne_error *err);

/* Shape rule of the operators whose output is shaped as input 0. */
int ne_infer_same(const struct ne_graph *g, const struct ne_node *n, const struct ne_shape *in,
		  struct ne_shape *ret, struct ne_error *err);

/* Whether the convolution @n can do an addition of its result at this level (lw->add). */
bool ne_conv_takes_add(const struct ne_lower *lw, const struct ne_node *n);
/* Whether conv_winograd_s8 is the best for convolution @n, s8, of so many output pixels and channels. */
bool ne_winograd_suits(const struct ne_kernels *k, const struct ne_node *n, uint32_t pixels,
		       uint32_t oc, uint32_t ic);

/* ---- the table's entries, by file ---- */

#define NE_OP_CHECK(name)                                                        \
	int ne_##name##_check(const struct ne_graph *g, const struct ne_node *n, \
			      struct ne_error *err)
#define NE_OP_INFER(name)                                                        \
	int ne_##name##_infer(const struct ne_graph *g, const struct ne_node *n, \
			      const struct ne_shape *in, struct ne_shape *ret,   \
			      struct ne_error *err)
#define NE_OP_MACS(name)                                                             \
	uint64_t ne_##name##_macs(const struct ne_node *n, const struct ne_shape *x, \
				  const struct ne_shape *w, const struct ne_shape *y)
#define NE_OP_LOWER(name) int ne_##name##_lower(struct ne_lower *lw, const struct ne_node *n)

NE_OP_CHECK(conv);
NE_OP_INFER(conv);
NE_OP_MACS(conv);
NE_OP_LOWER(conv);
NE_OP_CHECK(dense);
NE_OP_INFER(dense);
NE_OP_MACS(dense);
NE_OP_LOWER(dense);
NE_OP_CHECK(dwconv);
NE_OP_INFER(dwconv);
NE_OP_MACS(dwconv);
NE_OP_LOWER(dwconv);
NE_OP_CHECK(pool);
NE_OP_INFER(pool);
NE_OP_LOWER(pool);
NE_OP_CHECK(globalpool);
NE_OP_INFER(globalpool);
NE_OP_CHECK(binary);
NE_OP_INFER(binary);
NE_OP_LOWER(binary);
NE_OP_CHECK(concat);
NE_OP_INFER(concat);
NE_OP_LOWER(concat);
NE_OP_CHECK(unary);
NE_OP_LOWER(unary);
NE_OP_CHECK(softmax);
NE_OP_LOWER(softmax);
NE_OP_CHECK(batchnorm);
NE_OP_LOWER(batchnorm);
NE_OP_CHECK(reshape);
NE_OP_INFER(reshape);
NE_OP_LOWER(reshape);
NE_OP_CHECK(pad);
NE_OP_INFER(pad);
NE_OP_LOWER(pad);
NE_OP_CHECK(quantise);
NE_OP_LOWER(quantise);
NE_OP_CHECK(dequantise);
NE_OP_LOWER(dequantise);
NE_OP_CHECK(transpose);
NE_OP_INFER(transpose);
NE_OP_LOWER(transpose);
NE_OP_CHECK(function);
NE_OP_LOWER(function);
NE_OP_CHECK(arith);
NE_OP_LOWER(arith);
NE_OP_CHECK(where);
NE_OP_INFER(where);
NE_OP_LOWER(where);
NE_OP_CHECK(reduce);
NE_OP_INFER(reduce);
NE_OP_LOWER(reduce);
NE_OP_CHECK(cast);
NE_OP_LOWER(cast);
NE_OP_CHECK(slice);
NE_OP_INFER(slice);
NE_OP_LOWER(slice);
NE_OP_CHECK(pick);
NE_OP_INFER(pick);
NE_OP_LOWER(pick);
NE_OP_CHECK(gather);
NE_OP_INFER(gather);
NE_OP_LOWER(gather);
NE_OP_CHECK(gather_elements);
NE_OP_INFER(gather_elements);
NE_OP_LOWER(gather_elements);
NE_OP_CHECK(gather_nd);
NE_OP_INFER(gather_nd);
NE_OP_LOWER(gather_nd);
NE_OP_CHECK(scatter_elements);
NE_OP_INFER(scatter_elements);
NE_OP_LOWER(scatter_elements);
NE_OP_CHECK(scatter_nd);
NE_OP_INFER(scatter_nd);
NE_OP_LOWER(scatter_nd);
NE_OP_CHECK(matmul);
NE_OP_INFER(matmul);
NE_OP_MACS(matmul);
NE_OP_LOWER(matmul);
NE_OP_CHECK(cumsum);
NE_OP_INFER(cumsum);
NE_OP_LOWER(cumsum);
NE_OP_CHECK(topk);
NE_OP_INFER(topk);
NE_OP_LOWER(topk);
NE_OP_CHECK(recurrent);
NE_OP_INFER(recurrent);
NE_OP_MACS(recurrent);
NE_OP_LOWER(recurrent);
NE_OP_CHECK(spectrum);
NE_OP_INFER(spectrum);
NE_OP_LOWER(spectrum);
NE_OP_CHECK(resize);
NE_OP_INFER(resize);
NE_OP_LOWER(resize);
NE_OP_CHECK(logmel);
NE_OP_INFER(logmel);
NE_OP_LOWER(logmel);

#endif
