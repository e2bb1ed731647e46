/* SPDX-License-Identifier: MIT */
/*
 * TFLite models (schema version 3) to neap graphs: f32, int8 and uint8. What was quantised keeps its
 * integers: int8 activations are the engine's s8 as they are, uint8 ones are s8 less 128, weights
 * with a zero point of their own become the engine's u8 weights. Inputs and outputs keep the file's
 * names, shapes, types and quantisation. The operators are those of the table in tflite_ops.c.
 */
#ifndef NEAP_TOOL_TFLITE_H
#define NEAP_TOOL_TFLITE_H

#include "engine/model/model.h"

/* The file identifier of TFLite stands at byte 4. */
bool tflite_is(const void *data, size_t bytes);

/*
 * Makes a model with one full-width level from the bytes of a .tflite file.
 * -EBADMSG: no TFLite model, or a damaged one; -EOPNOTSUPP: an operator or a form of it that is not
 * supported, with the node's number and operator; -E2BIG: over a limit; -EINVAL: shapes or types
 * that do not fit.
 */
int tflite_import(const void *data, size_t bytes, struct ne_model **ret, struct ne_error *err);

/* Names of the operators, sorted, separated by spaces; freed with free(). */
char *tflite_operators(void);

#endif
