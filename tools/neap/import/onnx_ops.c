/* SPDX-License-Identifier: MIT */
/* The table of ONNX operators: one line each, sorted by name. */
#include "tools/neap/import/onnx_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct onnx_op ops[] = {
	{"Add", onnx_fold_arithmetic, onnx_add},
	{"AveragePool", NULL, onnx_average_pool},
	{"BatchNormalization", NULL, onnx_batch_normalization},
	{"Cast", onnx_fold_cast, onnx_cast},
	{"Clip", NULL, onnx_clip},
	{"Concat", onnx_fold_concat, onnx_concat},
	{"Constant", NULL, onnx_constant},
	{"ConstantOfShape", onnx_fold_constant_of_shape, NULL},
	{"Conv", NULL, onnx_conv},
	{"DequantizeLinear", NULL, onnx_dequantize_linear},
	{"Div", onnx_fold_arithmetic, onnx_div},
	{"Dropout", NULL, onnx_identity},
	{"Flatten", NULL, onnx_flatten},
	{"Gather", onnx_fold_gather, NULL},
	{"Gemm", NULL, onnx_gemm},
	{"GlobalAveragePool", NULL, onnx_global_average_pool},
	{"GlobalMaxPool", NULL, onnx_global_max_pool},
	{"HardSigmoid", NULL, onnx_hard_sigmoid},
	{"HardSwish", NULL, onnx_hard_swish},
	{"Identity", NULL, onnx_identity},
	{"MatMul", NULL, onnx_mat_mul},
	{"MaxPool", NULL, onnx_max_pool},
	{"Mul", onnx_fold_arithmetic, onnx_mul},
	{"Pad", NULL, onnx_pad},
	{"QuantizeLinear", NULL, onnx_quantize_linear},
	{"ReduceMean", NULL, onnx_reduce_mean},
	{"Relu", NULL, onnx_relu},
	{"Reshape", NULL, onnx_reshape},
	{"Shape", NULL, onnx_shape},
	{"Sigmoid", NULL, onnx_sigmoid},
	{"Size", NULL, onnx_size},
	{"Slice", onnx_fold_slice, NULL},
	{"Softmax", NULL, onnx_softmax},
	{"Squeeze", NULL, onnx_squeeze},
	{"Sub", onnx_fold_arithmetic, onnx_sub},
	{"Sum", NULL, onnx_sum},
	{"Tanh", NULL, onnx_tanh},
	{"Transpose", NULL, onnx_transpose},
	{"Unsqueeze", NULL, onnx_unsqueeze},
};

const struct onnx_op *onnx_op_find(const char *name)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(ops); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

char *onnx_operators(void)
{
	size_t bytes = 1;
	char *text;

	for (size_t i = 0; i < NE_ARRAY_SIZE(ops); i++)
		bytes += strlen(ops[i].name) + 1;
	text = calloc(bytes, 1);
	for (size_t i = 0; text && i < NE_ARRAY_SIZE(ops); i++) {
		strcat(text, ops[i].name);
		if (i + 1 < NE_ARRAY_SIZE(ops))
			strcat(text, " ");
	}
	return text;
}
