/* SPDX-License-Identifier: MIT */
/* What the files of the quantiser share. */
#ifndef NEAP_QUANTISE_INTERNAL_H
#define NEAP_QUANTISE_INTERNAL_H

#include "tools/neap/compress/quantise/quantise.h"

/* Real values that a tensor took on the calibration samples. */
struct range {
	float lo, hi;
	bool seen;
};

/* ---- ops.c ---- */

enum s8_class {
	S8_NEVER,   /* runs in f32 between a dequantise and a quantise node */
	S8_COMPUTE, /* always in s8 */
	S8_MOVE,    /* moves values: s8 where its input or a reader of its output is s8 */
	S8_GATE,    /* bounded non-linearity: s8 only where the output is read in s8 */
};

struct s8_op {
	enum ne_op op;
	enum s8_class class;
	bool weights;    /* input 1 is a constant in s8 with a scale per output channel */
	bool same_quant; /* inputs and output have one scale and zero point: no rescaling */
	float lo, hi; /* range of the output that follows from the operator; lo == hi: observed */
};

const struct s8_op *s8_op_find(enum ne_op op);

/* ---- weights.c ---- */

/* Symmetric s8 of f32 weights @w, [outer][..] for @last_axis false (a scale per index of dim 0),
 * else a scale per index of the last axis. The results are freed with free(). */
int weights_quantise(const struct ne_tensor *w, bool last_axis, int8_t **ret_data,
		     float **ret_scale, uint32_t *ret_n);

/* ---- observe.c ---- */

/* Runs @f32 on the calibration samples at each width; @ret is [n_width][n_tensor]. */
int ranges_observe(const struct ne_model *f32, const struct data_set *calib,
		   const struct quantise_options *opt, struct range *ret, struct ne_error *err);

/* ---- range.c ---- */

/* The s8 scale and zero point that cover the range, 0 included. */
struct ne_quant range_quant(struct range r);
struct range range_union(struct range a, struct range b);

/* ---- place.c ---- */

/* The s8 graph, and which tensor of the f32 graph each of its tensors holds. */
struct placed {
	struct ne_graph graph;
	uint32_t *origin; /* [graph.n_tensor] id in the f32 graph */
	uint32_t *root;   /* [n_tensor of the f32 graph] tensors of equal root share a scale */
	/* [n_tensor of the f32 graph] the u8 or s8 tensor whose values it merely shifts, or NE_NONE */
	uint32_t *shifted;
};

int place_graph(const struct ne_graph *f32, struct placed *ret, struct ne_error *err);
void placed_done(struct placed *p);

#endif
