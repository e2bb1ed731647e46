/* SPDX-License-Identifier: MIT */
/*
 * What the layers of a quantised model should give, in plain C, by the two rules that people know:
 * ONNX Runtime's (a product in f32, rounded to the nearest even) and that of TFLite's reference
 * kernels (a saturating rounding doubling high multiply by a quantised multiplier, and a rounding
 * shift). Each layer is worked out from the values that the engine itself gave to its inputs, so
 * that one layer's rounding does not count for another's.
 */
#ifndef NEAP_TEST_LAYER_REFERENCE_H
#define NEAP_TEST_LAYER_REFERENCE_H

#include "engine/run/run.h"

struct layer_check {
	uint64_t values;             /* compared */
	uint64_t ort_differ;         /* not the byte of ONNX Runtime's rule */
	uint64_t tflite_differ;      /* not the byte of TFLite's rule */
	int ort_worst, tflite_worst; /* largest difference */
	int softmax_worst;           /* softmax apart: from the exact value */
	int softmax_tflite_worst;    /* and from TFLite's integer softmax */
};

/* Runs @m once on @in and adds the comparison of all its s8 layers to @c. The outputs go to @out. */
void layer_check_run(const struct ne_model *m, const void *const *in, void *const *out,
		     struct layer_check *c);

#endif
