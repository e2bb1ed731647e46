/* SPDX-License-Identifier: MIT */
/*
 * ONNX models to neap graphs. Opsets 7 to 23 of the default domain; the operators are those of the
 * table in onnx_ops.c. Declared inputs and outputs keep ONNX's names, shapes and layout (NCHW);
 * inside, activations are NHWC. A symbolic batch is 1. A model in QDQ form becomes an s8 model with
 * the same scales; 8-bit inputs and outputs keep their type.
 */
#ifndef NEAP_TOOL_ONNX_H
#define NEAP_TOOL_ONNX_H

#include "engine/model/model.h"

#define ONNX_MAX_SHAPES 64u

/* The shape of a graph input, where the file leaves it open or to override it. */
struct onnx_shape {
	char name[256];
	struct ne_shape shape;
};

/* An input that becomes a constant, all its elements of one value. */
struct onnx_fixed {
	char name[256];
	double value;
};

struct onnx_options {
	uint32_t n_shape, n_value;
	struct onnx_shape shape[ONNX_MAX_SHAPES];
	struct onnx_fixed value[ONNX_MAX_SHAPES];
	bool plain; /* leave the graph as imported: no rewrites (for tests) */
};

/* Reads "NAME=1x3x224x224". -EINVAL with the reason. */
int onnx_parse_shape(const char *text, struct onnx_shape *ret, struct ne_error *err);

/* Reads "NAME=16000". -EINVAL with the reason. */
int onnx_parse_value(const char *text, struct onnx_fixed *ret, struct ne_error *err);

/*
 * Makes a model with one full-width level from the bytes of an .onnx file. @opt may be NULL.
 * -EBADMSG: no ONNX model, or a damaged one; -EOPNOTSUPP: an operator or a form of it that is not
 * supported, with the node's name and operator; -E2BIG: over a limit; -EINVAL: shapes that do not
 * fit, or that must be given.
 */
int onnx_import(const void *data, size_t bytes, const struct onnx_options *opt,
		struct ne_model **ret, struct ne_error *err);

/* Names of the operators, sorted, separated by spaces; freed with free(). */
char *onnx_operators(void);

#endif
