/* SPDX-License-Identifier: MIT */
/* The table of ONNX operators: one line each, sorted by name. */
#include "tools/neap/import/onnx_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct onnx_op ops[] = {
	{"Abs", onnx_eval, onnx_function},
	{"Acos", onnx_eval, onnx_function},
	{"Acosh", onnx_eval, onnx_function},
	{"Add", onnx_eval, onnx_add},
	{"And", onnx_eval, onnx_binary},
	{"ArgMax", onnx_eval, onnx_arg},
	{"ArgMin", onnx_eval, onnx_arg},
	{"Asin", onnx_eval, onnx_function},
	{"Asinh", onnx_eval, onnx_function},
	{"Atan", onnx_eval, onnx_function},
	{"Atanh", onnx_eval, onnx_function},
	{"AveragePool", onnx_eval, onnx_average_pool},
	{"BatchNormalization", onnx_eval, onnx_batch_normalization},
	{"BitShift", onnx_eval, onnx_bit_shift},
	{"BitwiseAnd", onnx_eval, onnx_binary},
	{"BitwiseNot", onnx_eval, onnx_function},
	{"BitwiseOr", onnx_eval, onnx_binary},
	{"BitwiseXor", onnx_eval, onnx_binary},
	{"Cast", onnx_fold_cast, onnx_cast},
	{"CastLike", onnx_eval, onnx_cast_like},
	{"Ceil", onnx_eval, onnx_function},
	{"Celu", onnx_eval, onnx_function},
	{"CenterCropPad", onnx_eval, onnx_center_crop_pad},
	{"Clip", onnx_eval, onnx_clip},
	{"Concat", onnx_fold_concat, onnx_concat},
	{"Constant", NULL, onnx_constant},
	{"ConstantOfShape", onnx_fold_constant_of_shape, NULL},
	{"Conv", onnx_eval, onnx_conv},
	{"ConvInteger", NULL, onnx_integer_product},
	{"ConvTranspose", onnx_eval, onnx_conv_transpose},
	{"Cos", onnx_eval, onnx_function},
	{"Cosh", onnx_eval, onnx_function},
	{"CumSum", onnx_eval, onnx_cum_sum},
	{"DepthToSpace", onnx_eval, onnx_depth_to_space},
	{"DequantizeLinear", NULL, onnx_dequantize_linear},
	{"Div", onnx_eval, onnx_div},
	{"Dropout", NULL, onnx_dropout},
	{"DynamicQuantizeLinear", onnx_eval, onnx_dynamic_quantize_linear},
	{"Elu", onnx_eval, onnx_function},
	{"Equal", onnx_eval, onnx_binary},
	{"Erf", onnx_eval, onnx_function},
	{"Exp", onnx_eval, onnx_function},
	{"Expand", onnx_eval, onnx_expand},
	{"EyeLike", NULL, onnx_eye_like},
	{"Flatten", NULL, onnx_flatten},
	{"Floor", onnx_eval, onnx_function},
	{"GRU", onnx_eval, onnx_recurrent},
	{"Gather", onnx_fold_gather, onnx_gather},
	{"GatherElements", onnx_eval, onnx_gather_elements},
	{"GatherND", onnx_eval, onnx_gather_nd},
	{"Gelu", onnx_eval, onnx_gelu},
	{"Gemm", onnx_eval, onnx_gemm},
	{"GlobalAveragePool", onnx_eval, onnx_global_average_pool},
	{"GlobalLpPool", onnx_eval, onnx_global_lp_pool},
	{"GlobalMaxPool", onnx_eval, onnx_global_max_pool},
	{"Greater", onnx_eval, onnx_binary},
	{"GreaterOrEqual", onnx_eval, onnx_binary},
	{"GroupNormalization", onnx_eval, onnx_group_normalization},
	{"HardSigmoid", onnx_eval, onnx_hard_sigmoid},
	{"HardSwish", onnx_eval, onnx_hard_swish},
	{"Hardmax", onnx_eval, onnx_hardmax},
	{"Identity", NULL, onnx_identity},
	{"If", NULL, onnx_if},
	{"InstanceNormalization", onnx_eval, onnx_instance_normalization},
	{"IsInf", onnx_eval, onnx_is_inf},
	{"IsNaN", onnx_eval, onnx_function},
	{"LRN", onnx_eval, onnx_lrn},
	{"LSTM", onnx_eval, onnx_recurrent},
	{"LayerNormalization", onnx_eval, onnx_layer_normalization},
	{"LeakyRelu", onnx_eval, onnx_function},
	{"Less", onnx_eval, onnx_binary},
	{"LessOrEqual", onnx_eval, onnx_binary},
	{"Log", onnx_eval, onnx_function},
	{"LogSoftmax", onnx_eval, onnx_log_softmax},
	{"Loop", NULL, onnx_loop},
	{"LpNormalization", onnx_eval, onnx_lp_normalization},
	{"LpPool", onnx_eval, onnx_lp_pool},
	{"MatMul", onnx_eval, onnx_mat_mul},
	{"MatMulInteger", NULL, onnx_integer_product},
	{"Max", onnx_eval, onnx_binary},
	{"MaxPool", onnx_eval, onnx_max_pool},
	{"Mean", onnx_eval, onnx_mean},
	{"MeanVarianceNormalization", onnx_eval, onnx_mean_variance_normalization},
	{"Min", onnx_eval, onnx_binary},
	{"Mish", onnx_eval, onnx_function},
	{"Mod", onnx_eval, onnx_mod},
	{"Mul", onnx_eval, onnx_mul},
	{"Neg", onnx_eval, onnx_function},
	{"Not", onnx_eval, onnx_function},
	{"OneHot", onnx_eval, onnx_one_hot},
	{"Or", onnx_eval, onnx_binary},
	{"PRelu", onnx_eval, onnx_prelu},
	{"Pad", onnx_eval, onnx_pad},
	{"Pow", onnx_eval, onnx_pow},
	{"QGemm", NULL, onnx_qlinear},
	{"QLinearAdd", NULL, onnx_qlinear},
	{"QLinearAveragePool", NULL, onnx_qlinear},
	{"QLinearConcat", NULL, onnx_qlinear},
	{"QLinearConv", NULL, onnx_qlinear},
	{"QLinearGlobalAveragePool", NULL, onnx_qlinear},
	{"QLinearLeakyRelu", NULL, onnx_qlinear},
	{"QLinearMatMul", NULL, onnx_qlinear},
	{"QLinearMul", NULL, onnx_qlinear},
	{"QLinearReduceMean", NULL, onnx_qlinear},
	{"QLinearSigmoid", NULL, onnx_qlinear},
	{"QLinearSoftmax", NULL, onnx_qlinear},
	{"QLinearWhere", NULL, onnx_qlinear},
	{"QuantizeLinear", NULL, onnx_quantize_linear},
	{"RMSNormalization", onnx_eval, onnx_rms_normalization},
	{"RNN", onnx_eval, onnx_recurrent},
	{"Range", onnx_fold_range, NULL},
	{"Reciprocal", onnx_eval, onnx_function},
	{"ReduceL1", onnx_eval, onnx_reduce},
	{"ReduceL2", onnx_eval, onnx_reduce},
	{"ReduceLogSum", onnx_eval, onnx_reduce},
	{"ReduceLogSumExp", onnx_eval, onnx_reduce},
	{"ReduceMax", onnx_eval, onnx_reduce},
	{"ReduceMean", onnx_eval, onnx_reduce_mean},
	{"ReduceMin", onnx_eval, onnx_reduce},
	{"ReduceProd", onnx_eval, onnx_reduce},
	{"ReduceSum", onnx_eval, onnx_reduce},
	{"ReduceSumSquare", onnx_eval, onnx_reduce},
	{"Relu", onnx_eval, onnx_relu},
	{"Reshape", NULL, onnx_reshape},
	{"Resize", onnx_eval, onnx_resize},
	{"Round", onnx_eval, onnx_function},
	{"Scan", NULL, onnx_scan},
	{"Scatter", onnx_eval, onnx_scatter_elements},
	{"ScatterElements", onnx_eval, onnx_scatter_elements},
	{"ScatterND", onnx_eval, onnx_scatter_nd},
	{"Selu", onnx_eval, onnx_function},
	{"Shape", NULL, onnx_shape},
	{"Shrink", onnx_eval, onnx_function},
	{"Sigmoid", onnx_eval, onnx_sigmoid},
	{"Sign", onnx_eval, onnx_function},
	{"Sin", onnx_eval, onnx_function},
	{"Sinh", onnx_eval, onnx_function},
	{"Size", NULL, onnx_size},
	{"Slice", onnx_fold_slice, onnx_slice},
	{"Softmax", onnx_eval, onnx_softmax},
	{"Softplus", onnx_eval, onnx_function},
	{"Softsign", onnx_eval, onnx_function},
	{"SpaceToDepth", onnx_eval, onnx_space_to_depth},
	{"Split", onnx_eval, onnx_split},
	{"Sqrt", onnx_eval, onnx_function},
	{"Squeeze", NULL, onnx_squeeze},
	{"Sub", onnx_eval, onnx_sub},
	{"Sum", onnx_eval, onnx_sum},
	{"Swish", onnx_eval, onnx_function},
	{"Tan", onnx_eval, onnx_function},
	{"Tanh", onnx_eval, onnx_tanh},
	{"ThresholdedRelu", onnx_eval, onnx_function},
	{"Tile", onnx_eval, onnx_tile},
	{"TopK", onnx_eval, onnx_top_k},
	{"Transpose", onnx_eval, onnx_transpose},
	{"Trilu", onnx_eval, onnx_trilu},
	{"Unsqueeze", NULL, onnx_unsqueeze},
	{"Upsample", onnx_eval, onnx_resize},
	{"Where", onnx_eval, onnx_where},
	{"Xor", onnx_eval, onnx_binary},
};

bool onnx_is_contrib(const onnx_node *n)
{
	static const char *const names[] = {
		"DequantizeLinear",
		"QGemm",
		"QLinearAdd",
		"QLinearAveragePool",
		"QLinearConcat",
		"QLinearConv",
		"QLinearGlobalAveragePool",
		"QLinearLeakyRelu",
		"QLinearMul",
		"QLinearReduceMean",
		"QLinearSigmoid",
		"QLinearSoftmax",
		"QLinearWhere",
		"QuantizeLinear",
	};

	if (strcmp(n->domain, "com.microsoft") != 0)
		return false;
	for (size_t i = 0; i < NE_ARRAY_SIZE(names); i++)
		if (strcmp(names[i], n->op_type) == 0)
			return true;
	return false;
}

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
