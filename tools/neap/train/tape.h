/* SPDX-License-Identifier: MIT */
/*
 * Autograd over a network at one width setting: the list of operations that chosen exits need, run
 * forward on a batch and then backward.
 *
 *   tape        immutable once built; any number of threads may run it at the same time
 *   tape_state  one thread's memory: values, gradients, scratch, batch norm statistics
 *
 * A state serves every tape of a network, one after another.
 */
#ifndef NEAP_TRAIN_TAPE_H
#define NEAP_TRAIN_TAPE_H

#include "tools/neap/train/network.h"
#include "tools/neap/train/ops.h"

struct tape;

struct tape_state {
	float *arena, *work;     /* aligned; as large as the largest tape needs */
	float *mean, *var, *inv; /* [n_stat] */
};

/* @exits: bit e = exit e is wanted. @batch: most samples at once. */
int tape_new(const struct network *n, const int32_t *active, uint32_t exits, uint32_t batch,
	     struct tape **ret, struct ne_error *err);
void tape_free(struct tape *t);
/* Floats of arena and scratch that @t needs. */
void tape_needs(const struct tape *t, size_t *arena, size_t *work);
/* Multiply-accumulates of one sample forward. */
uint64_t tape_macs(const struct tape *t);

int tape_state_new(const struct network *n, struct tape *const *tapes, uint32_t n_tape,
		   struct tape_state *ret);
void tape_state_done(struct tape_state *s);

enum tape_mode {
	TAPE_TRAIN, /* batch norm by the batch's own statistics, left in the state */
	TAPE_EVAL,  /* by s->mean and s->var */
};

/* Runs @count <= batch samples of @x (the feed tensor's values). */
void tape_forward(const struct tape *t, struct tape_state *s, enum tape_mode mode,
		  const float *theta, const float *x, uint32_t count);
/* A forward that leaves the function as it was without batch norms: each norm's gamma and beta take
 * up the scale and mean that this batch shows, on top of the beta that was there. */
void tape_adopt_norms(const struct tape *t, struct tape_state *s, float *theta, const float *x,
		      uint32_t count);
/* Logits of an exit after forward, [count][n_class], and where their gradient goes. */
const float *tape_logits(const struct tape *t, const struct tape_state *s, uint32_t exit);
float *tape_logit_gradient(const struct tape *t, struct tape_state *s, uint32_t exit);
/* After a forward in TAPE_TRAIN with all logit gradients set: adds to @grad [n_theta]. */
void tape_backward(const struct tape *t, struct tape_state *s, const float *theta, const float *x,
		   uint32_t count, float *grad);

#endif
