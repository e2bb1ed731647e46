/* SPDX-License-Identifier: MIT */
/* The table of TFLite operators: one line each, sorted by name. */
#include "tools/neap/import/tflite_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct tflite_op ops[] = {
	{0, "ADD", tflite_add},
	{1, "AVERAGE_POOL_2D", tflite_average_pool_2d},
	{2, "CONCATENATION", tflite_concatenation},
	{3, "CONV_2D", tflite_conv_2d},
	{4, "DEPTHWISE_CONV_2D", tflite_depthwise_conv_2d},
	{6, "DEQUANTIZE", tflite_dequantize},
	{70, "EXPAND_DIMS", tflite_reshape},
	{9, "FULLY_CONNECTED", tflite_fully_connected},
	{117, "HARD_SWISH", tflite_hard_swish},
	{14, "LOGISTIC", tflite_logistic},
	{17, "MAX_POOL_2D", tflite_max_pool_2d},
	{40, "MEAN", tflite_mean},
	{18, "MUL", tflite_mul},
	{34, "PAD", tflite_pad},
	{60, "PADV2", tflite_pad},
	{114, "QUANTIZE", tflite_quantize},
	{19, "RELU", tflite_relu},
	{21, "RELU6", tflite_relu6},
	{22, "RESHAPE", tflite_reshape},
	{25, "SOFTMAX", tflite_softmax},
	{43, "SQUEEZE", tflite_reshape},
	{28, "TANH", tflite_tanh},
	{39, "TRANSPOSE", tflite_transpose},
};

const struct tflite_op *tflite_op_find(int32_t code)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(ops); i++)
		if (ops[i].code == code)
			return &ops[i];
	return NULL;
}

char *tflite_operators(void)
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
