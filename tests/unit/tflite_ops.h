/* SPDX-License-Identifier: MIT */
/* For tests of TFLite's operators: their numbers, tensors in a line each, one run of a model. */
#ifndef NEAP_TEST_TFLITE_OPS_H
#define NEAP_TEST_TFLITE_OPS_H

#include "engine/run/run.h"
#include "tests/unit/tflite_builder.h"

/* The schema's numbers. */
enum { F32 = 0, F16 = 1, S32 = 2, U8 = 3, S16 = 7, S8 = 9, S4 = 17 };
enum {
	ADD = 0,
	AVERAGE_POOL = 1,
	CONCATENATION = 2,
	CONV = 3,
	DEPTHWISE = 4,
	DEQUANTIZE = 6,
	FULLY_CONNECTED = 9,
	LOGISTIC = 14,
	MAX_POOL = 17,
	MUL = 18,
	RELU6 = 21,
	RESHAPE = 22,
	SOFTMAX = 25,
	TANH = 28,
	PAD = 34,
	GATHER = 36,
	DEPTH_TO_SPACE = 5,
	SPACE_TO_DEPTH = 26,
	LOG_SOFTMAX = 50,
	ARG_MAX = 56,
	L2_NORMALIZATION = 11,
	TILE = 69,
	RESIZE_NEAREST = 97,
	MIRROR_PAD = 100,
	REVERSE = 105,
	BATCH_MATMUL = 126,
	BROADCAST_TO = 130,
	TRANSPOSE = 39,
	MEAN = 40,
	SUB = 41,
	DIV = 42,
	SQUEEZE = 43,
	LSTM = 44,
	STRIDED_SLICE = 45,
	SPLIT = 49,
	CAST = 53,
	MAXIMUM = 55,
	PADV2 = 60,
	SLICE = 65,
	SUM = 74,
	RSQRT = 76,
	SHAPE = 77,
	REDUCE_PROD = 81,
	REDUCE_MAX = 82,
	PACK = 83,
	UNPACK = 88,
	SQUARED_DIFFERENCE = 99,
	SPLIT_V = 102,
	QUANTIZE = 114,
	HARD_SWISH = 117,
	CALL_ONCE = 129,
	VAR_HANDLE = 142,
	READ_VARIABLE = 143,
	ASSIGN_VARIABLE = 144,
};
enum { VALID = 1, RELU = 1, FUSED_RELU6 = 3, FUSED_TANH = 4 };

#define REAL(name, ...)                                           \
	{                                                         \
		name, F32, __VA_ARGS__, NULL, 0, 0, NULL, 0, 0, 0 \
	}
#define CONST(name, type, value, ...)                                           \
	{                                                                       \
		name, type, __VA_ARGS__, value, sizeof(value), 0, NULL, 0, 0, 0 \
	}
#define Q8(name, type, s, z, ...)                                  \
	{                                                          \
		name, type, __VA_ARGS__, NULL, 0, 1, NULL, s, z, 0 \
	}

extern const float tflite_ramp[16]; /* 0 to 15 */

/* Imports, or fails the test; must be refused with this code and these words. */
struct ne_model *import_ok(const struct fbw *b);
void import_fails(const struct fbw *b, int code, const char *text);
/* Runs the model of @s once; its output 0 goes to @out, which has @bytes. */
void run_subgraph(const struct tb_subgraph *s, const void *const *in, void *out, size_t bytes);
/* One operator whose tensors are @t; tensor 0 is the input, the last the output. */
void run_one(const struct tb_tensor *t, int n, const struct tb_op *op, const void *in, void *out,
	     size_t bytes);
void assert_reals(const float *got, const float *want, size_t n);

/* Sixteen bits of the same sequence for the same @seed. */
uint32_t tflite_draw(uint32_t *seed);

/* TFLite's requantisation: a multiplier of 31 bits in [1/2, 1), a rounding doubling high multiply and a
 * rounding shift. */
int32_t tflite_multiply(int64_t acc, double scale);

#endif
