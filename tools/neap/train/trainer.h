/* SPDX-License-Identifier: MIT */
/*
 * Training of one network at several widths and exits at once (nested), or of one width and exit
 * alone (a control). The state between two steps is struct trainer_state, no more: everything
 * random is drawn from the seed and the step's number, so a training that goes on from a copy of
 * the state gives the same bits.
 */
#ifndef NEAP_TRAIN_TRAINER_H
#define NEAP_TRAIN_TRAINER_H

#include "tools/neap/train/pool.h"
#include "tools/neap/train/sampler.h"
#include "tools/neap/train/tape.h"

/* What is trained: width settings (falling; the first teaches the others) and exits. */
struct trainer_scope {
	uint32_t n_width;
	uint32_t width[RECIPE_MAX_WIDTHS]; /* index into network.active */
	uint32_t exits;                    /* bit mask */
};

struct trainer_state {
	uint64_t step;
	float *theta, *velocity, *average; /* [n_theta] each */
};

struct trainer_loss {
	double loss;     /* of the labels, deepest exit of the largest width */
	double accuracy; /* there, on the augmented training batch */
};

struct trainer;

int trainer_new(const struct recipe *r, const struct network *n, struct sampler *s, struct pool *p,
		const struct trainer_scope *scope, uint32_t epochs, bool fresh,
		struct trainer **ret, struct ne_error *err);
void trainer_free(struct trainer *t);

uint64_t trainer_steps(const struct trainer *t); /* in all */
uint64_t trainer_steps_per_epoch(const struct trainer *t);
struct trainer_state *trainer_state(struct trainer *t);
/* One update. */
void trainer_step(struct trainer *t, struct trainer_loss *ret);
/* The weights to use: the running average where the recipe asks for one. */
const float *trainer_weights(const struct trainer *t);

/* Batch norm statistics of one width over @samples training samples, not augmented:
 * mean, var [n_stat]. @k indexes the scope's widths. */
void trainer_recalibrate(struct trainer *t, uint32_t k, size_t samples, float *mean, float *var);
/* Share of right answers at each exit of a width on chosen samples of @s. */
void trainer_accuracy(struct trainer *t, uint32_t k, const float *mean, const float *var,
		      struct sampler *s, const uint32_t *index, size_t count,
		      float ret[NE_MAX_EXITS]);

#endif
