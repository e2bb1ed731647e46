/* SPDX-License-Identifier: MIT */
/* The table of TFLite operators: one line each, sorted by name. */
#include "tools/neap/import/tflite_internal.h"
#include "tools/neap/import/operators.h"

static const struct tflite_op ops[] = {
	{101, "ABS", tflite_abs, NULL, false},
	{0, "ADD", tflite_add, tflite_fold_arithmetic, false},
	{106, "ADD_N", tflite_add_n, NULL, false},
	{56, "ARG_MAX", tflite_arg_max, NULL, false},
	{79, "ARG_MIN", tflite_arg_min, NULL, false},
	{144, "ASSIGN_VARIABLE", tflite_assign_variable, NULL, false},
	{1, "AVERAGE_POOL_2D", tflite_average_pool_2d, NULL, false},
	{126, "BATCH_MATMUL", tflite_batch_matmul, NULL, false},
	{37, "BATCH_TO_SPACE_ND", tflite_batch_to_space_nd, NULL, true},
	{130, "BROADCAST_TO", tflite_broadcast_to, NULL, false},
	{129, "CALL_ONCE", tflite_call_once, NULL, false},
	{53, "CAST", tflite_cast, tflite_fold_same, false},
	{104, "CEIL", tflite_ceil, NULL, false},
	{2, "CONCATENATION", tflite_concatenation, tflite_fold_join, false},
	{3, "CONV_2D", tflite_conv_2d, NULL, true},
	{108, "COS", tflite_cos, NULL, false},
	{128, "CUMSUM", tflite_cumsum, NULL, false},
	{4, "DEPTHWISE_CONV_2D", tflite_depthwise_conv_2d, NULL, true},
	{5, "DEPTH_TO_SPACE", tflite_depth_to_space, NULL, false},
	{6, "DEQUANTIZE", tflite_dequantize, NULL, false},
	{42, "DIV", tflite_div, NULL, false},
	{111, "ELU", tflite_elu, NULL, false},
	{71, "EQUAL", tflite_equal, NULL, false},
	{47, "EXP", tflite_exp, NULL, false},
	{70, "EXPAND_DIMS", tflite_reshape, tflite_fold_same, false},
	{8, "FLOOR", tflite_floor, NULL, false},
	{90, "FLOOR_DIV", tflite_floor_div, NULL, false},
	{95, "FLOOR_MOD", tflite_floor_mod, NULL, false},
	{9, "FULLY_CONNECTED", tflite_fully_connected, NULL, false},
	{36, "GATHER", tflite_gather, tflite_fold_gather, false},
	{107, "GATHER_ND", tflite_gather_nd, NULL, false},
	{150, "GELU", tflite_gelu, NULL, false},
	{61, "GREATER", tflite_greater, NULL, false},
	{62, "GREATER_EQUAL", tflite_greater_equal, NULL, false},
	{117, "HARD_SWISH", tflite_hard_swish, NULL, false},
	{11, "L2_NORMALIZATION", tflite_l2_normalization, NULL, false},
	{98, "LEAKY_RELU", tflite_leaky_relu, NULL, false},
	{58, "LESS", tflite_less, NULL, false},
	{63, "LESS_EQUAL", tflite_less_equal, NULL, false},
	{73, "LOG", tflite_log, NULL, false},
	{86, "LOGICAL_AND", tflite_logical_and, NULL, false},
	{87, "LOGICAL_NOT", tflite_logical_not, NULL, false},
	{84, "LOGICAL_OR", tflite_logical_or, NULL, false},
	{14, "LOGISTIC", tflite_logistic, NULL, false},
	{50, "LOG_SOFTMAX", tflite_log_softmax, NULL, false},
	{55, "MAXIMUM", tflite_maximum, NULL, false},
	{17, "MAX_POOL_2D", tflite_max_pool_2d, NULL, false},
	{40, "MEAN", tflite_mean, NULL, false},
	{57, "MINIMUM", tflite_minimum, NULL, false},
	{100, "MIRROR_PAD", tflite_mirror_pad, NULL, false},
	{18, "MUL", tflite_mul, tflite_fold_arithmetic, false},
	{59, "NEG", tflite_neg, NULL, false},
	{72, "NOT_EQUAL", tflite_not_equal, NULL, false},
	{83, "PACK", tflite_pack, tflite_fold_join, false},
	{34, "PAD", tflite_pad, NULL, false},
	{60, "PADV2", tflite_pad, NULL, false},
	{78, "POW", tflite_pow, NULL, false},
	{54, "PRELU", tflite_prelu, NULL, false},
	{114, "QUANTIZE", tflite_quantize, NULL, false},
	{143, "READ_VARIABLE", tflite_read_variable, NULL, false},
	{82, "REDUCE_MAX", tflite_reduce_max, NULL, false},
	{89, "REDUCE_MIN", tflite_reduce_min, NULL, false},
	{81, "REDUCE_PROD", tflite_reduce_prod, tflite_fold_product, false},
	{19, "RELU", tflite_relu, NULL, false},
	{21, "RELU6", tflite_relu6, NULL, false},
	{152, "RELU_0_TO_1", tflite_relu_0_to_1, NULL, false},
	{20, "RELU_N1_TO_1", tflite_relu_n1_to_1, NULL, false},
	{22, "RESHAPE", tflite_reshape, tflite_fold_same, false},
	{23, "RESIZE_BILINEAR", tflite_resize_bilinear, NULL, false},
	{97, "RESIZE_NEAREST_NEIGHBOR", tflite_resize_nearest_neighbor, NULL, false},
	{105, "REVERSE_V2", tflite_reverse_v2, NULL, false},
	{116, "ROUND", tflite_round, NULL, false},
	{76, "RSQRT", tflite_rsqrt, NULL, false},
	{64, "SELECT", tflite_select, NULL, false},
	{123, "SELECT_V2", tflite_select, NULL, false},
	{77, "SHAPE", tflite_shape_op, NULL, false},
	{158, "SIGN", tflite_sign, NULL, false},
	{66, "SIN", tflite_sin, NULL, false},
	{65, "SLICE", tflite_slice, NULL, false},
	{25, "SOFTMAX", tflite_softmax, NULL, false},
	{38, "SPACE_TO_BATCH_ND", tflite_space_to_batch_nd, NULL, false},
	{26, "SPACE_TO_DEPTH", tflite_space_to_depth, NULL, false},
	{49, "SPLIT", tflite_split, NULL, false},
	{102, "SPLIT_V", tflite_split_v, NULL, false},
	{75, "SQRT", tflite_sqrt, NULL, false},
	{92, "SQUARE", tflite_square, NULL, false},
	{99, "SQUARED_DIFFERENCE", tflite_squared_difference, NULL, false},
	{43, "SQUEEZE", tflite_reshape, tflite_fold_same, false},
	{45, "STRIDED_SLICE", tflite_strided_slice, tflite_fold_strided_slice, false},
	{41, "SUB", tflite_sub, tflite_fold_arithmetic, false},
	{74, "SUM", tflite_sum, NULL, false},
	{27, "SVDF", tflite_svdf, NULL, false},
	{28, "TANH", tflite_tanh, NULL, false},
	{69, "TILE", tflite_tile, NULL, false},
	{48, "TOPK_V2", tflite_topk_v2, NULL, false},
	{39, "TRANSPOSE", tflite_transpose, NULL, false},
	{67, "TRANSPOSE_CONV", tflite_transpose_conv, NULL, false},
	{44, "UNIDIRECTIONAL_SEQUENCE_LSTM", tflite_unidirectional_sequence_lstm, NULL, false},
	{88, "UNPACK", tflite_unpack, NULL, false},
	{142, "VAR_HANDLE", tflite_var_handle, NULL, false},
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
