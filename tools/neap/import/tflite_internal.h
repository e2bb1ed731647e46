/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the TFLite importer share. The importer reads the main subgraph's tensors into
 * an array, then turns the operators, which stand in execution order, into nodes one after another.
 *
 * Ownership: struct tflite owns its arrays; what its tensors point to lies in the file's bytes, or
 * in `own` where it was worked out here. The graph belongs to the model being made.
 */
#ifndef NEAP_TOOL_TFLITE_INTERNAL_H
#define NEAP_TOOL_TFLITE_INTERNAL_H

#include "engine/model/model.h"
#include "tools/neap/import/flatbuffer.h"
#include "tools/neap/import/tflite.h"

#define TFLITE_NAME_MAX 256u

/* TensorType of the schema. */
enum tflite_type {
	TFLITE_F32 = 0,
	TFLITE_F16 = 1,
	TFLITE_S32 = 2,
	TFLITE_U8 = 3,
	TFLITE_S64 = 4,
	TFLITE_BOOL = 6,
	TFLITE_S16 = 7,
	TFLITE_S8 = 9,
	TFLITE_RESOURCE = 13,
	TFLITE_S4 = 17,
};

/* ActivationFunctionType of the schema. */
enum tflite_act {
	TFLITE_ACT_NONE = 0,
	TFLITE_ACT_RELU = 1,
	TFLITE_ACT_RELU_N1_TO_1 = 2,
	TFLITE_ACT_RELU6 = 3,
	TFLITE_ACT_TANH = 4,
};

struct tflite_tensor {
	char name[TFLITE_NAME_MAX];
	enum tflite_type type;
	uint32_t rank;
	int32_t dim[NE_MAX_RANK];
	bool shaped;         /* rank and dimensions are within the engine's limits */
	const uint8_t *data; /* constants, else NULL */
	size_t bytes;
	void *own; /* data that was worked out here */
	struct fb_vector scale, zero;
	int32_t axis; /* of the scales */
	bool variable;
	/* Not 0: in the file it is a batch of block[0] * block[1] images, each of the pixels that are so
	 * many rows and columns apart; `id` is the image as a whole. */
	int32_t block[2];
	uint32_t resource; /* 1 + the variable that this handle stands for, 0 = none */
	int64_t id;        /* graph tensor that holds its values, -1 = none (yet) */
	int64_t folded;    /* graph constant made of it, -1 = none (yet) */
};

/* A resource variable; graph tensors, -1 = none yet. */
struct tflite_variable {
	char container[TFLITE_NAME_MAX], name[TFLITE_NAME_MAX];
	int64_t in;      /* what the run before left */
	int64_t now;     /* its value after the operators so far */
	int64_t initial; /* a constant; 0 = zeros */
};

/* Operators that the importer itself asks for, of the schema's BuiltinOperator. */
enum { TFLITE_VAR_HANDLE = 142, TFLITE_ASSIGN_VARIABLE = 144 };

struct tflite {
	struct fb fb;
	struct fb_vector code, buffer, subgraph;
	uint32_t n_tensor;
	struct tflite_tensor *tensor;
	uint32_t n_variable;
	struct tflite_variable *variable;
	struct ne_graph *g;
	size_t const_bytes, const_limit; /* of the constants made so far */
	struct ne_error *err;
};

struct tflite_node {
	uint32_t index;   /* in the subgraph, for errors */
	char op[48];      /* name of the operator, for errors */
	bool version_two; /* SELECT_V2, which broadcasts its condition */
	struct fb_vector in, out, intermediate;
	struct fb_table opt; /* builtin options */
};

struct tflite_op {
	int32_t code; /* BuiltinOperator of the schema */
	const char *name;
	int (*import)(struct tflite *t, const struct tflite_node *n);
	/* where the inputs and output 0 are plain integers: shapes being worked out; or NULL */
	int (*fold)(struct tflite *t, const struct tflite_node *n);
	bool of_blocks; /* input 0 may be an image in blocks */
};

const struct tflite_op *tflite_op_find(int32_t code);

/* ne_fail() with the node's number and operator before the reason. */
int tflite_fail(struct tflite *t, const struct tflite_node *n, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- tflite_tensor.c ---- */

/* Frees what tflite_tensors_read() made. */
void tflite_tensors_free(struct tflite *t);
int tflite_tensors_read(struct tflite *t, const struct fb_table *subgraph);
int tflite_tensor_decode(struct tflite *t, const struct fb_table *from, struct tflite_tensor *ret);
size_t tflite_type_bytes(enum tflite_type type);
size_t tflite_elements(const struct tflite_tensor *x);
struct ne_shape tflite_shape(const struct tflite_tensor *x);
/* Its s8 quantisation (uint8 less 128); scale 0 where it has none. */
struct ne_quant tflite_quant(const struct tflite_tensor *x);
/* The engine's type of integers and truth values that stand for themselves; 0 where they do not. */
enum ne_dtype tflite_plain_type(enum tflite_type type);
/* int16 with one scale: real values in f32 here, rounded to the scale's grid where they are written. */
bool tflite_is_s16(const struct tflite_tensor *x);
struct ne_quant tflite_quant_s16(const struct tflite_tensor *x);
/* Value @i of an integer constant. */
int64_t tflite_int(const struct tflite_tensor *x, size_t i);
/* The constant's real values, freed with free(). */
int tflite_reals(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *x,
		 float **ret);

/* ---- tflite_node.c: what a node reads and writes ---- */

/* Reads the operator; its tensors are in range. */
int tflite_node_read(struct tflite *t, const struct fb_table *from, uint32_t index,
		     struct tflite_node *ret, int32_t *ret_code);
/* Input or output @i, or NULL where it is absent. */
struct tflite_tensor *tflite_in(const struct tflite *t, const struct tflite_node *n, uint32_t i);
struct tflite_tensor *tflite_out(const struct tflite *t, const struct tflite_node *n, uint32_t i);
/* Graph tensor of input @i: values or a constant, f32 or s8; negative errno. */
int tflite_in_id(struct tflite *t, const struct tflite_node *n, uint32_t i);
/* The same where a constant of plain integers or truth values will do too. */
int tflite_in_any(struct tflite *t, const struct tflite_node *n, uint32_t i);
/* Whether it stands for itself: integers or truth values. */
bool tflite_plain(const struct tflite *t, int id);
/* tflite_in_id() as f32, dequantised where it is s8. */
int tflite_in_real(struct tflite *t, const struct tflite_node *n, uint32_t i);
/* Integers of constant input @i: their number (0 where it is absent), or a negative errno. */
int tflite_in_ints(struct tflite *t, const struct tflite_node *n, uint32_t i, int64_t *ret,
		   uint32_t max);
/* @axis of a tensor of @rank, negative ones counted from the end; -EINVAL out of range. */
int tflite_axis(struct tflite *t, const struct tflite_node *n, int64_t axis, uint32_t rank);
/* Output @i is graph tensor @id (which may be a negative errno): its shape must be the declared one.
 * An f32 value is quantised where the file says that the output is. */
int tflite_set_out(struct tflite *t, const struct tflite_node *n, uint32_t i, int id);
/* The same where the file may add or drop axes of 1. */
int tflite_set_reshaped(struct tflite *t, const struct tflite_node *n, uint32_t i, int id);
/* @act (enum tflite_act) of @x as a node of its own; @x where there is none. */
int tflite_activate(struct tflite *t, const struct tflite_node *n, int x, int act);
/* Fuses @act into @attr where the engine can; what is left of it. */
int tflite_fuse_act(struct ne_attr *attr, int act);
/* Quantisation of output 0 where @x, an input, is quantised; scale 0 where it is f32. */
int tflite_result_quant(struct tflite *t, const struct tflite_node *n, int x, struct ne_quant *ret);
/* tflite_set_out() for @op with activation @act (enum tflite_act) after it: fused or a node of its own.
 * The output is quantised as output 0 of the node. */
int tflite_set_out_act(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		       struct ne_attr *attr, uint32_t n_in, const uint32_t *in, int act);

/* ---- tflite_emit.c: writing the graph. Each returns the id of the output tensor ---- */

bool tflite_real(const struct tflite *t, int id); /* f32, not s8 */
const struct ne_shape *tflite_shape_of(const struct tflite *t, int id);
/* @q: quantisation of the output, whose type follows: s8, or f32 where its scale is 0. */
int tflite_emit(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		const struct ne_attr *attr, uint32_t n_in, const uint32_t *in, struct ne_quant q);
/* The same for an output of a type of integers that stand for themselves. */
int tflite_emit_as(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		   const struct ne_attr *attr, uint32_t n_in, const uint32_t *in,
		   enum ne_dtype type);
/* An output of the type and quantisation of input 0. */
int tflite_emit_like(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		     const struct ne_attr *attr, uint32_t n_in, const uint32_t *in);
/* Two outputs: the first as input 0 is, the second of type @second. */
int tflite_emit_two(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		    const struct ne_attr *attr, uint32_t n_in, const uint32_t *in,
		    enum ne_dtype second, int ret[2]);
int tflite_emit_unary(struct tflite *t, const struct tflite_node *n, enum ne_op op, int x,
		      struct ne_quant q);
int tflite_emit_reshape(struct tflite *t, const struct tflite_node *n, int x,
			const struct ne_shape *shape);
/* A constant; @data is taken over, also on failure. */
int tflite_emit_const(struct tflite *t, const struct tflite_node *n, enum ne_dtype type,
		      const struct ne_shape *shape, void *data, struct ne_quant q);
/* f32 @x rounded to int16 of scale and zero point @q; an s16 tensor. */
int tflite_emit_s16(struct tflite *t, const struct tflite_node *n, int x, struct ne_quant q);
/* To f32 where it is quantised. */
int tflite_emit_real(struct tflite *t, const struct tflite_node *n, int x);
/* From f32 or s8 @x to @type, NE_S8 or NE_U8, of quantisation @q. */
int tflite_emit_quantised(struct tflite *t, const struct tflite_node *n, int x, enum ne_dtype type,
			  struct ne_quant q);
/* Memory for a constant of @bytes, which count against the limit. */
int tflite_const_alloc(struct tflite *t, const struct tflite_node *n, size_t bytes, void *ret);
/* Frees a constant that was only looked at; 0. */
int tflite_const_drop(struct tflite *t, void *p, size_t bytes);

/* ---- tflite_dense.c, tflite_window.c ---- */

/* Padding of the schema. */
enum { TFLITE_SAME = 0, TFLITE_VALID = 1 };

/* Padding "same": the output has ceil(size / stride) positions, what is missing goes around the
 * input, the odd one after it. -EINVAL where it is over the limits. */
int tflite_same_padding(int64_t size, int64_t k, int64_t d, int64_t stride, int32_t *ret_before,
			int32_t *ret_after);

/* Where input 0 is in blocks, the window's steps between them: dilation and padding of @w; strides and
 * dilations of its own are refused. */
int tflite_window_of_blocks(struct tflite *t, const struct tflite_node *n, struct ne_window *w);
/* The shape of a whole image in blocks as the file declares it. */
struct ne_shape tflite_shape_in_blocks(const struct ne_shape *image, const int32_t block[2]);

#define TFLITE_NO_PLACE SIZE_MAX

/* Weights in another order than the file's. */
struct tflite_places {
	const size_t *
		from; /* of each element the file's, or TFLITE_NO_PLACE for a zero; NULL: as it is */
	uint32_t times; /* how often the file's scales come one after another */
};

/* Input 1 as the weights of a node whose input is @x: f32 (dequantised where they are quantised and
 * @x is not), s8, or u8 where they have a zero point. @shape: as the engine wants them, NULL = as
 * they are; @p: how they come there, NULL = the values in the file's order. */
int tflite_weights(struct tflite *t, const struct tflite_node *n, int x,
		   const struct ne_shape *shape, const struct tflite_places *p, uint32_t *ret);
/* Input @i as its bias, @times over; NE_NONE where there is none. */
int tflite_bias(struct tflite *t, const struct tflite_node *n, uint32_t i, int x, uint32_t times,
		uint32_t *ret);

/* ---- tflite_slice.c, tflite_state.c ---- */

struct tflite_strided {
	int64_t begin[NE_MAX_RANK], end[NE_MAX_RANK], step[NE_MAX_RANK];
	uint32_t begin_mask, end_mask, shrink_mask;
};

/* What a STRIDED_SLICE takes of a tensor of @rank and @dim. */
int tflite_read_strided(struct tflite *t, const struct tflite_node *n, uint32_t rank,
			const int32_t *dim, struct ne_slice *ret);
int tflite_add_states(struct tflite *t);

/* ---- operators, by file ---- */

#define TFLITE_OP(name) int tflite_##name(struct tflite *t, const struct tflite_node *n)
/* tflite_window.c */
TFLITE_OP(conv_2d);
TFLITE_OP(depthwise_conv_2d);
TFLITE_OP(average_pool_2d);
TFLITE_OP(max_pool_2d);
/* tflite_transpose_conv.c */
TFLITE_OP(transpose_conv);
/* tflite_reduce.c */
TFLITE_OP(mean);
TFLITE_OP(sum);
TFLITE_OP(reduce_max);
TFLITE_OP(reduce_min);
TFLITE_OP(reduce_prod);
TFLITE_OP(arg_max);
TFLITE_OP(arg_min);
TFLITE_OP(log_softmax);
TFLITE_OP(l2_normalization);
/* tflite_dense.c */
TFLITE_OP(fully_connected);
TFLITE_OP(batch_matmul);
/* tflite_element.c */
TFLITE_OP(add);
TFLITE_OP(sub);
TFLITE_OP(add_n);
TFLITE_OP(mul);
TFLITE_OP(div);
TFLITE_OP(maximum);
TFLITE_OP(minimum);
TFLITE_OP(pow);
TFLITE_OP(squared_difference);
TFLITE_OP(floor_div);
TFLITE_OP(floor_mod);
TFLITE_OP(prelu);
TFLITE_OP(relu_n1_to_1);
TFLITE_OP(relu_0_to_1);
TFLITE_OP(leaky_relu);
TFLITE_OP(elu);
TFLITE_OP(gelu);
TFLITE_OP(abs);
TFLITE_OP(sign);
TFLITE_OP(neg);
TFLITE_OP(exp);
TFLITE_OP(log);
TFLITE_OP(sqrt);
TFLITE_OP(rsqrt);
TFLITE_OP(square);
TFLITE_OP(sin);
TFLITE_OP(cos);
TFLITE_OP(floor);
TFLITE_OP(ceil);
TFLITE_OP(round);
TFLITE_OP(relu);
TFLITE_OP(relu6);
TFLITE_OP(hard_swish);
TFLITE_OP(logistic);
TFLITE_OP(tanh);
TFLITE_OP(softmax);
TFLITE_OP(quantize);
TFLITE_OP(dequantize);
/* tflite_layout.c */
TFLITE_OP(concatenation);
TFLITE_OP(reshape);
TFLITE_OP(pad);
TFLITE_OP(transpose);
TFLITE_OP(depth_to_space);
TFLITE_OP(space_to_depth);
/* tflite_slice.c */
TFLITE_OP(strided_slice);
TFLITE_OP(slice);
TFLITE_OP(split);
TFLITE_OP(split_v);
TFLITE_OP(pack);
TFLITE_OP(unpack);
/* tflite_pick.c */
TFLITE_OP(gather);
TFLITE_OP(tile);
TFLITE_OP(broadcast_to);
TFLITE_OP(reverse_v2);
TFLITE_OP(mirror_pad);
TFLITE_OP(resize_nearest_neighbor);
TFLITE_OP(resize_bilinear);
/* tflite_state.c */
TFLITE_OP(var_handle);
TFLITE_OP(read_variable);
TFLITE_OP(assign_variable);
TFLITE_OP(call_once);
/* tflite_blocks.c */
TFLITE_OP(space_to_batch_nd);
TFLITE_OP(batch_to_space_nd);
/* tflite_svdf.c */
TFLITE_OP(svdf);
/* tflite_choose.c */
TFLITE_OP(cast);
TFLITE_OP(equal);
TFLITE_OP(not_equal);
TFLITE_OP(greater);
TFLITE_OP(greater_equal);
TFLITE_OP(less);
TFLITE_OP(less_equal);
TFLITE_OP(logical_and);
TFLITE_OP(logical_or);
TFLITE_OP(logical_not);
TFLITE_OP(select);
TFLITE_OP(topk_v2);
TFLITE_OP(cumsum);
TFLITE_OP(gather_nd);
/* GATHER by positions that are not constants. */
int tflite_gather_computed(struct tflite *t, const struct tflite_node *n, int axis);
/* tflite_lstm.c */
TFLITE_OP(unidirectional_sequence_lstm);
/* tflite_fold.c */
TFLITE_OP(shape_op);
TFLITE_OP(fold_arithmetic);
TFLITE_OP(fold_same);
TFLITE_OP(fold_join);
TFLITE_OP(fold_strided_slice);
TFLITE_OP(fold_gather);
TFLITE_OP(fold_product);

#endif
