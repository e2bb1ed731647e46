/* SPDX-License-Identifier: MIT */
/* The table of TFLite operators: one line each, sorted by name. */
#include "tools/neap/import/tflite_internal.h"
#include "tools/neap/import/operators.h"

static const struct tflite_op ops[] = {
	{101, "ABS", tflite_abs, NULL},
	{0, "ADD", tflite_add, tflite_fold_arithmetic},
	{106, "ADD_N", tflite_add_n, NULL},
	{56, "ARG_MAX", tflite_arg_max, NULL},
	{79, "ARG_MIN", tflite_arg_min, NULL},
	{144, "ASSIGN_VARIABLE", tflite_assign_variable, NULL},
	{1, "AVERAGE_POOL_2D", tflite_average_pool_2d, NULL},
	{126, "BATCH_MATMUL", tflite_batch_matmul, NULL},
	{130, "BROADCAST_TO", tflite_broadcast_to, NULL},
	{129, "CALL_ONCE", tflite_call_once, NULL},
	{53, "CAST", tflite_cast, tflite_fold_same},
	{104, "CEIL", tflite_ceil, NULL},
	{2, "CONCATENATION", tflite_concatenation, tflite_fold_join},
	{3, "CONV_2D", tflite_conv_2d, NULL},
	{108, "COS", tflite_cos, NULL},
	{128, "CUMSUM", tflite_cumsum, NULL},
	{4, "DEPTHWISE_CONV_2D", tflite_depthwise_conv_2d, NULL},
	{5, "DEPTH_TO_SPACE", tflite_depth_to_space, NULL},
	{6, "DEQUANTIZE", tflite_dequantize, NULL},
	{42, "DIV", tflite_div, NULL},
	{111, "ELU", tflite_elu, NULL},
	{71, "EQUAL", tflite_equal, NULL},
	{47, "EXP", tflite_exp, NULL},
	{70, "EXPAND_DIMS", tflite_reshape, tflite_fold_same},
	{8, "FLOOR", tflite_floor, NULL},
	{90, "FLOOR_DIV", tflite_floor_div, NULL},
	{95, "FLOOR_MOD", tflite_floor_mod, NULL},
	{9, "FULLY_CONNECTED", tflite_fully_connected, NULL},
	{36, "GATHER", tflite_gather, tflite_fold_gather},
	{107, "GATHER_ND", tflite_gather_nd, NULL},
	{150, "GELU", tflite_gelu, NULL},
	{61, "GREATER", tflite_greater, NULL},
	{62, "GREATER_EQUAL", tflite_greater_equal, NULL},
	{117, "HARD_SWISH", tflite_hard_swish, NULL},
	{11, "L2_NORMALIZATION", tflite_l2_normalization, NULL},
	{98, "LEAKY_RELU", tflite_leaky_relu, NULL},
	{58, "LESS", tflite_less, NULL},
	{63, "LESS_EQUAL", tflite_less_equal, NULL},
	{73, "LOG", tflite_log, NULL},
	{86, "LOGICAL_AND", tflite_logical_and, NULL},
	{87, "LOGICAL_NOT", tflite_logical_not, NULL},
	{84, "LOGICAL_OR", tflite_logical_or, NULL},
	{14, "LOGISTIC", tflite_logistic, NULL},
	{50, "LOG_SOFTMAX", tflite_log_softmax, NULL},
	{55, "MAXIMUM", tflite_maximum, NULL},
	{17, "MAX_POOL_2D", tflite_max_pool_2d, NULL},
	{40, "MEAN", tflite_mean, NULL},
	{57, "MINIMUM", tflite_minimum, NULL},
	{100, "MIRROR_PAD", tflite_mirror_pad, NULL},
	{18, "MUL", tflite_mul, tflite_fold_arithmetic},
	{59, "NEG", tflite_neg, NULL},
	{72, "NOT_EQUAL", tflite_not_equal, NULL},
	{83, "PACK", tflite_pack, tflite_fold_join},
	{34, "PAD", tflite_pad, NULL},
	{60, "PADV2", tflite_pad, NULL},
	{78, "POW", tflite_pow, NULL},
	{54, "PRELU", tflite_prelu, NULL},
	{114, "QUANTIZE", tflite_quantize, NULL},
	{143, "READ_VARIABLE", tflite_read_variable, NULL},
	{82, "REDUCE_MAX", tflite_reduce_max, NULL},
	{89, "REDUCE_MIN", tflite_reduce_min, NULL},
	{81, "REDUCE_PROD", tflite_reduce_prod, tflite_fold_product},
	{19, "RELU", tflite_relu, NULL},
	{21, "RELU6", tflite_relu6, NULL},
	{152, "RELU_0_TO_1", tflite_relu_0_to_1, NULL},
	{20, "RELU_N1_TO_1", tflite_relu_n1_to_1, NULL},
	{22, "RESHAPE", tflite_reshape, tflite_fold_same},
	{23, "RESIZE_BILINEAR", tflite_resize_bilinear, NULL},
	{97, "RESIZE_NEAREST_NEIGHBOR", tflite_resize_nearest_neighbor, NULL},
	{105, "REVERSE_V2", tflite_reverse_v2, NULL},
	{116, "ROUND", tflite_round, NULL},
	{76, "RSQRT", tflite_rsqrt, NULL},
	{64, "SELECT", tflite_select, NULL},
	{123, "SELECT_V2", tflite_select, NULL},
	{77, "SHAPE", tflite_shape_op, NULL},
	{158, "SIGN", tflite_sign, NULL},
	{66, "SIN", tflite_sin, NULL},
	{65, "SLICE", tflite_slice, NULL},
	{25, "SOFTMAX", tflite_softmax, NULL},
	{26, "SPACE_TO_DEPTH", tflite_space_to_depth, NULL},
	{49, "SPLIT", tflite_split, NULL},
	{102, "SPLIT_V", tflite_split_v, NULL},
	{75, "SQRT", tflite_sqrt, NULL},
	{92, "SQUARE", tflite_square, NULL},
	{99, "SQUARED_DIFFERENCE", tflite_squared_difference, NULL},
	{43, "SQUEEZE", tflite_reshape, tflite_fold_same},
	{45, "STRIDED_SLICE", tflite_strided_slice, tflite_fold_strided_slice},
	{41, "SUB", tflite_sub, tflite_fold_arithmetic},
	{74, "SUM", tflite_sum, NULL},
	{27, "SVDF", tflite_svdf, NULL},
	{28, "TANH", tflite_tanh, NULL},
	{69, "TILE", tflite_tile, NULL},
	{48, "TOPK_V2", tflite_topk_v2, NULL},
	{39, "TRANSPOSE", tflite_transpose, NULL},
	{67, "TRANSPOSE_CONV", tflite_transpose_conv, NULL},
	{44, "UNIDIRECTIONAL_SEQUENCE_LSTM", tflite_unidirectional_sequence_lstm, NULL},
	{88, "UNPACK", tflite_unpack, NULL},
	{142, "VAR_HANDLE", tflite_var_handle, NULL},
};

const struct tflite_op *tflite_op_find(int32_t code)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(ops); i++)
		if (ops[i].code == code)
			return &ops[i];
	return NULL;
}

static const char *name_of(size_t i)
{
	return ops[i].name;
}

char *tflite_operators(void)
{
	return operators_join(NE_ARRAY_SIZE(ops), name_of);
}
