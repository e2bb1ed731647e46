/* SPDX-License-Identifier: MIT */
/*
 * Forward and backward of each operator on a batch, f32, NHWC and dense: the arithmetic of the
 * trainer. Nothing here allocates or keeps state; callers own every buffer.
 *
 * Backward functions take @beta: 0 sets the gradient of the input, 1 adds to it.
 */
#ifndef NEAP_TRAIN_OPS_H
#define NEAP_TRAIN_OPS_H

#include "engine/base.h"

/* Loops that the compiler vectorises, in a version for each instruction set and chosen when the
 * program starts. Sanitizers and ifunc resolvers do not go together. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TRAIN_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TRAIN_CLONES
#endif

/* A convolution or pool on @n images, dilation 1. Weights are [oc][kh][kw][ic]; pools and depthwise
 * have ic == oc. */
struct op_window {
	int32_t n, ih, iw, ic, oh, ow, oc;
	int32_t kh, kw, sh, sw, pad_top, pad_left;
};

/* Floats of scratch that op_conv_* need for @d. */
size_t op_conv_work(const struct op_window *d);
void op_conv_forward(const struct op_window *d, const float *x, const float *w, float *y,
		     float *work);
/* @dw is set, not added to. @dx may be NULL. */
void op_conv_backward(const struct op_window *d, const float *x, const float *w, const float *dy,
		      float *dx, float beta, float *dw, float *work);

/* Depthwise; weights [kh][kw][c]. @dw is set. */
void op_dwconv_forward(const struct op_window *d, const float *x, const float *w, float *y);
void op_dwconv_backward(const struct op_window *d, const float *x, const float *w, const float *dy,
			float *dx, float beta, float *dw);

/* y [n][o] = x [n][i] * w [o][ldw]^T + bias (NULL = none): a slice of a wider weight in place. */
void op_dense_forward(int32_t n, int32_t i, int32_t o, int32_t ldw, const float *x, const float *w,
		      const float *bias, float *y);
/* @dw (ldw apart) and @dbias are added to. */
void op_dense_backward(int32_t n, int32_t i, int32_t o, int32_t ldw, const float *x, const float *w,
		       const float *dy, float *dx, float beta, float *dw, float *dbias);

void op_bias_forward(size_t rows, int32_t c, const float *bias, float *y);
void op_bias_backward(size_t rows, int32_t c, const float *dy, float *dbias); /* adds */

/* enum ne_act in place, and the gradient through it, in place, from the activated @y. */
void op_act_forward(int act, size_t count, float *y);
void op_act_backward(int act, size_t count, const float *y, float *dy);

/* Batch norm over @rows, then the activation @act. Training: statistics of the batch itself, kept
 * in @mean and @var (biased) and @inv = 1 / sqrt(var + eps). */
void op_norm_stats(size_t rows, int32_t c, const float *x, float eps, float *mean, float *var,
		   float *inv);
void op_norm_apply(size_t rows, int32_t c, const float *x, const float *gamma, const float *beta,
		   const float *mean, const float *inv, int act, float *y);
/* @dy is overwritten; @dgamma and @dbeta are added to; @sums: 3 * c floats of scratch. */
void op_norm_backward(size_t rows, int32_t c, const float *x, const float *gamma, const float *mean,
		      const float *inv, int act, const float *y, float *dy, float *dx, float beta,
		      float *dgamma, float *dbeta, float *sums);

void op_add_forward(size_t count, const float *a, const float *b, int act, float *y);
void op_accumulate(size_t count, const float *x, float beta, float *y); /* y = beta * y + x */

void op_globalpool_forward(int32_t n, int32_t hw, int32_t c, const float *x, float *y);
void op_globalpool_backward(int32_t n, int32_t hw, int32_t c, const float *dy, float *dx,
			    float beta);
void op_pool_forward(const struct op_window *d, bool max, bool count_pad, const float *x, float *y);
void op_pool_backward(const struct op_window *d, bool max, bool count_pad, const float *x,
		      const float *dy, float *dx, float beta);

/*
 * Mean over @n of the cross-entropy of softmax(logits / temperature) to @target (rows sum to 1)
 * and its gradient, scaled by @weight and temperature^2 / n, into @dlogits. With soft targets this is
 * the Kullback-Leibler divergence up to the target's own entropy. Returns the mean loss.
 */
float op_cross_entropy(int32_t n, int32_t c, const float *logits, const float *target,
		       float temperature, float weight, float *dlogits);
void op_softmax(int32_t n, int32_t c, const float *logits, float temperature, float *p);

#endif
