/* SPDX-License-Identifier: MIT */
/* Which operators have an s8 form. An operator that is not here runs in f32. */
#include "tools/neap/compress/quantise/internal.h"

static const struct s8_op ops[] = {
	{.op = NE_OP_CONV, .class = S8_COMPUTE, .weights = true},
	{.op = NE_OP_DWCONV, .class = S8_COMPUTE, .weights = true},
	{.op = NE_OP_DENSE, .class = S8_COMPUTE, .weights = true},
	{.op = NE_OP_AVGPOOL, .class = S8_COMPUTE},
	{.op = NE_OP_GLOBALPOOL, .class = S8_COMPUTE},
	{.op = NE_OP_ADD, .class = S8_COMPUTE},
	{.op = NE_OP_MUL, .class = S8_COMPUTE},
	{.op = NE_OP_MAXPOOL, .class = S8_MOVE, .same_quant = true},
	{.op = NE_OP_CONCAT, .class = S8_MOVE, .same_quant = true},
	{.op = NE_OP_RESHAPE, .class = S8_MOVE, .same_quant = true},
	{.op = NE_OP_TRANSPOSE, .class = S8_MOVE, .same_quant = true},
	{.op = NE_OP_PAD, .class = S8_MOVE, .same_quant = true},
	/* A table look-up whatever the scales are: its own range keeps all 256 values in use. */
	{.op = NE_OP_RELU, .class = S8_MOVE},
	{.op = NE_OP_RELU6, .class = S8_MOVE},
	{.op = NE_OP_HARDSWISH, .class = S8_MOVE},
	/* Scales 1/256 and 1/128, as TensorFlow Lite's quantisation specification fixes them. */
	{.op = NE_OP_SIGMOID, .class = S8_GATE, .lo = 0.0f, .hi = 255.0f / 256.0f},
	{.op = NE_OP_TANH, .class = S8_GATE, .lo = -1.0f, .hi = 127.0f / 128.0f},
};

const struct s8_op *s8_op_find(enum ne_op op)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(ops); i++)
		if (ops[i].op == op)
			return &ops[i];
	return NULL;
}
