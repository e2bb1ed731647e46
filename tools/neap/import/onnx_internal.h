/* SPDX-License-Identifier: MIT */
/*
 * What the files of the ONNX importer share.
 *
 * A value is a name in the ONNX graph: a constant on the host (initialisers, shapes), or a tensor
 * of the neap graph, or both once a constant is read by a node that computes. Values and constants
 * belong to struct onnx and die with it; tensors belong to the graph.
 */
#ifndef NEAP_ONNX_INTERNAL_H
#define NEAP_ONNX_INTERNAL_H

#include "tools/neap/import/onnx.h"

#include "onnx.pb-c.h"

typedef Onnx__NodeProto onnx_node;

/* A constant on the host. Unlike a graph's tensor it may be empty or a scalar of rank 0. */
struct onnx_const {
	enum ne_dtype dtype; /* any but NE_F16 */
	uint32_t rank;
	int64_t dim[NE_MAX_RANK];
	size_t n; /* elements */
	void *data;
};

/* What a dequantised constant was made of; q NULL: it was none. All belong to other values. */
struct onnx_quantised {
	const struct onnx_const *q, *scale, *zero; /* zero: NULL = 0 */
	int axis;                                  /* of the scales, where there are several */
};

struct onnx_value {
	char *name;
	uint32_t scope;              /* of the name: 0 = the graph's */
	struct onnx_const *constant; /* or NULL */
	int64_t tensor;              /* id, or -1 */
	bool shifted;                /* unsigned bytes that are kept as s8, 128 less */
	int64_t bytes;               /* of a shifted value: its unsigned bytes, 0 = not made yet */
	struct onnx_quantised of;
};

/* The names of a body of control flow; it lives on the stack of who imports the body. */
struct onnx_scope {
	uint32_t id;
	struct onnx_scope *outer;
};

struct onnx {
	struct ne_graph *g;
	const struct onnx_options *opt;
	struct ne_error *err;
	const Onnx__GraphProto *proto; /* being read */
	int64_t opset;
	struct onnx_scope *scope; /* NULL: the graph's */
	uint32_t n_scope, n_done; /* scopes made; nodes imported */
	struct onnx_value *value; /* [n_value], found by name through slot */
	uint32_t n_value, cap_value;
	uint32_t *slot; /* [n_slot] 1 + index of a value, 0 = free; n_slot a power of two */
	uint32_t n_slot;
};

#define ONNX_MAX_VALUES (2 * NE_MAX_NODES)

struct onnx_op {
	const char *name;
	/* For constant inputs alone; NULL: none, import() is called. */
	int (*fold)(struct onnx *o, const onnx_node *n);
	int (*import)(struct onnx *o, const onnx_node *n); /* or NULL: only of constants */
};

const struct onnx_op *onnx_op_find(const char *name);

/* One of com.microsoft's operators that are read too. */
bool onnx_is_contrib(const onnx_node *n);

/* ---- onnx_wire.c: before protobuf-c, which recurses and allocates as the bytes say ---- */

int onnx_wire_check(const void *data, size_t bytes, struct ne_error *err);

/* ---- onnx_value.c ---- */

void onnx_values_done(struct onnx *o);
struct onnx_value *onnx_value_find(const struct onnx *o, const char *name);
/* Names added are the scope's, until it is left; names are looked up from it outwards. */
void onnx_scope_enter(struct onnx *o, struct onnx_scope *s);
void onnx_scope_leave(struct onnx *o);
/* A new value; -EEXIST where the name is taken. @c is taken over, even on failure. */
int onnx_value_add(struct onnx *o, const char *name, struct onnx_const *c, int64_t tensor);

struct onnx_const *onnx_const_new(enum ne_dtype dtype, uint32_t rank, const int64_t *dim);
void onnx_const_free(struct onnx_const *c);
/* A copy with another shape of as many elements. */
struct onnx_const *onnx_const_reshape(const struct onnx_const *c, uint32_t rank,
				      const int64_t *dim);
int64_t onnx_const_int(const struct onnx_const *c, size_t i);
double onnx_const_real(const struct onnx_const *c, size_t i);
void onnx_const_set(struct onnx_const *c, size_t i, double v);
/* Decodes a TensorProto; @what names it in errors. */
int onnx_const_decode(struct onnx *o, const Onnx__TensorProto *t, const char *what,
		      struct onnx_const **ret);

/* ---- onnx_node.c: reading a node ---- */

/* -@code with "node 'NAME' (OP): " before the reason. */
int onnx_fail(struct onnx *o, const onnx_node *n, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

const Onnx__AttributeProto *onnx_attr(const onnx_node *n, const char *name);
int64_t onnx_attr_int(const onnx_node *n, const char *name, int64_t absent);
float onnx_attr_float(const onnx_node *n, const char *name, float absent);
/* Copies up to @max; returns how many there are, 0 where it is absent. */
size_t onnx_attr_ints(const onnx_node *n, const char *name, int64_t *ret, size_t max);
bool onnx_attr_is(const onnx_node *n, const char *name, const char *text);

/* Input @i, or NULL where it is left out. */
struct onnx_value *onnx_in(const struct onnx *o, const onnx_node *n, size_t i);
/* The same as a constant, or NULL where it is left out or computed. */
const struct onnx_const *onnx_in_const(const struct onnx *o, const onnx_node *n, size_t i);
/* As a tensor of the graph: its id, or a negative errno. Constants become tensors of their type. */
int onnx_in_tensor(struct onnx *o, const onnx_node *n, size_t i);
/* Integers from an attribute, or (newer opsets) from constant input @i: their number (0 where both
 * are absent), or a negative errno. */
int onnx_ints(struct onnx *o, const onnx_node *n, const char *attr, size_t i, int64_t *ret,
	      size_t max);
/* @axis of a tensor of @rank, negative ones counted from the end; -EINVAL out of range. */
int onnx_axis(struct onnx *o, const onnx_node *n, int64_t axis, uint32_t rank);

/* One axis of a slice: element i of the result is element first + i * step. */
struct onnx_cut {
	int64_t first, count, step;
};
/* NumPy's rule for start:end:step of an axis. */
struct onnx_cut onnx_cut_of(int64_t length, int64_t start, int64_t end, int64_t step);
/* The cut of each axis of a tensor @dim [@rank] that the node's starts, ends, axes, steps say. */
int onnx_cuts(struct onnx *o, const onnx_node *n, uint32_t rank, const int64_t *dim,
	      struct onnx_cut *ret);

/* Output 0 of the node. */
int onnx_out_tensor(struct onnx *o, const onnx_node *n, int tensor);
int onnx_out_const(struct onnx *o, const onnx_node *n, struct onnx_const *c);
/* Output @i; one that the node leaves out is no error. */
int onnx_out_tensor_at(struct onnx *o, const onnx_node *n, size_t i, int tensor);
int onnx_out_const_at(struct onnx *o, const onnx_node *n, size_t i, struct onnx_const *c);
bool onnx_has_output(const onnx_node *n, size_t i);
/* The shape that the model declares for output @i, where all of it is known. */
bool onnx_declared(const struct onnx *o, const onnx_node *n, size_t i, struct ne_shape *ret);

/* ---- onnx.c: types ---- */

/* ONNX's number of a type as ours; -EOPNOTSUPP where there is none. */
int onnx_dtype(int64_t type, enum ne_dtype *ret);
const char *onnx_type_name(int64_t type);

/* ---- onnx_emit.c: writing the graph. Each returns the id of the output tensor ---- */

const struct ne_shape *onnx_shape_of(const struct onnx *o, int tensor);
int onnx_emit(struct onnx *o, const onnx_node *n, enum ne_op op, const struct ne_attr *attr,
	      uint32_t n_in, const uint32_t *in);
/* With another type of output than the operator's usual one (that of its first value). */
int onnx_emit_as(struct onnx *o, const onnx_node *n, enum ne_op op, const struct ne_attr *attr,
		 uint32_t n_in, const uint32_t *in, enum ne_dtype dtype);
/* Several outputs, of the type of input 0; @out gets their ids. */
int onnx_emit_outputs(struct onnx *o, const onnx_node *n, enum ne_op op, const struct ne_attr *attr,
		      uint32_t n_in, const uint32_t *in, uint32_t n_out, uint32_t *out);
/* Members of families. */
int onnx_emit_function(struct onnx *o, const onnx_node *n, enum ne_unary kind, int x, float a,
		       float b);
int onnx_emit_binary(struct onnx *o, const onnx_node *n, enum ne_binary kind, int a, int b);
int onnx_emit_reduce(struct onnx *o, const onnx_node *n, enum ne_reduce kind, int x, uint32_t axes);
/* The same where sums and products of floats have fast forms: those. */
int onnx_emit_arithmetic(struct onnx *o, const onnx_node *n, enum ne_binary kind, int a, int b);
/* Without the axes of @mask, each of length 1. */
int onnx_drop_axes(struct onnx *o, const onnx_node *n, int x, uint32_t mask);
/* All inputs of the node, added up. */
int onnx_emit_sum(struct onnx *o, const onnx_node *n);
int onnx_emit_cast(struct onnx *o, const onnx_node *n, int x, enum ne_dtype to);
int onnx_emit_unary(struct onnx *o, const onnx_node *n, enum ne_op op, int x);
/* Once the graph is read: general operators that read quantised values get them as integers. */
int onnx_raw_integers(struct onnx *o);
int onnx_emit_reshape(struct onnx *o, const onnx_node *n, int x, uint32_t rank, const int64_t *dim);
int onnx_emit_transpose(struct onnx *o, const onnx_node *n, int x, const int32_t *perm);
/* Channels of rank 3 or more from axis 1 to the end, and back. */
int onnx_emit_channels_last(struct onnx *o, const onnx_node *n, int x);
int onnx_emit_channels_first(struct onnx *o, const onnx_node *n, int x);
/* A constant tensor with the value and type of @c. */
int onnx_emit_value(struct onnx *o, const onnx_node *n, const struct onnx_const *c);
/* One value of tensor @like's type. */
int onnx_emit_number(struct onnx *o, const onnx_node *n, int like, double v);
/* A constant f32 tensor; @data is taken over. */
int onnx_emit_const(struct onnx *o, const onnx_node *n, uint32_t rank, const int64_t *dim,
		    float *data);
int onnx_emit_const_as(struct onnx *o, const onnx_node *n, enum ne_dtype dtype, uint32_t rank,
		       const int64_t *dim, void *data);
/* As onnx_emit_unary(), with an output of another type and quantisation. */
int onnx_emit_typed(struct onnx *o, const onnx_node *n, enum ne_op op, int x, enum ne_dtype dtype,
		    struct ne_quant quant);
int onnx_emit_scalar(struct onnx *o, const onnx_node *n, enum ne_op op, int x, float v);

/* ---- onnx.c ---- */

/* onnx_inputs.c: an input of the graph, or the constant that the user made of it; that options name
 * inputs that there are. */
int onnx_add_input(struct onnx *o, const Onnx__ValueInfoProto *v);
int onnx_check_options(const struct onnx *o);
/* Imports a node, or computes it now where it is of constants alone. */
int onnx_add_node(struct onnx *o, const onnx_node *n);
/* Initialisers and nodes of a graph, or of a body of control flow. */
int onnx_add_body(struct onnx *o, const Onnx__GraphProto *g);

/* ---- onnx_quant.c: 8-bit constants and activations ---- */

/* Where input @i of the node was dequantised and its scales lie along @axis (of output channels):
 * the f32 constant @tensor made of it becomes s8 (or u8) with these scales, or an s32 bias. 1 if so; 0 and
 * nothing done if not; or a negative errno. */
int onnx_quantised_weights(struct onnx *o, const onnx_node *n, size_t i, int axis, int tensor);
int onnx_quantised_bias(struct onnx *o, const onnx_node *n, size_t i, int tensor);
/* The real values of a dequantised 8-bit constant by a node of the graph: a tensor's id; 0 where it
 * has no such form. */
int onnx_quantised_const(struct onnx *o, const onnx_node *n, struct onnx_value *v);
/* onnx_quant_any.c: the same as onnx_dequantize_linear() and onnx_quantize_linear() in arithmetic,
 * for any parameters. */
int onnx_dequantise_any(struct onnx *o, const onnx_node *n);
int onnx_quantise_any(struct onnx *o, const onnx_node *n, enum ne_dtype dtype);
/* Integers of input @i as f32 values: a tensor's id. */
int onnx_integers(struct onnx *o, const onnx_node *n, size_t i);
/* The unsigned bytes of a shifted value. */
int onnx_plain_bytes(struct onnx *o, const onnx_node *n, struct onnx_value *v);
/* ---- onnx_move.c ---- */

/* @count elements of one axis from @first on. */
int onnx_emit_slice(struct onnx *o, const onnx_node *n, int x, uint32_t axis, int64_t first,
		    int64_t count);
/* Positions per axis for NE_OP_PICK; an axis without any stays. */
struct onnx_pick {
	int32_t *at[NE_MAX_RANK];
	int64_t count[NE_MAX_RANK];
	float value; /* where a position is -1 */
};
/* Room for @count positions of an axis, to be filled; NULL without memory or out of range. */
int32_t *onnx_pick_axis(struct onnx_pick *p, uint32_t axis, int64_t count);
void onnx_pick_done(struct onnx_pick *p);
/* The positions are taken over, even on failure. */
int onnx_emit_pick(struct onnx *o, const onnx_node *n, int x, struct onnx_pick *p);
/* Each axis repeated to @dim [rank]: element i is element i modulo the axis' length. */
int onnx_emit_repeat(struct onnx *o, const onnx_node *n, int x, const int64_t *dim);

/* ---- onnx_window.c, onnx_pool.c, onnx_conv.c ---- */

/* Windows over the spatial axes of a tensor in NC.. layout. */
struct onnx_axes {
	uint32_t spatial; /* 1 to 3 */
	int64_t in[3], out[3], k[3], s[3], d[3], before[3], after[3];
	int64_t declared_after[3]; /* before rounding up added to it */
	bool grew;                 /* it did */
};
/* @kernel: sizes that the weights give, or NULL: the attribute alone. */
int onnx_read_axes(struct onnx *o, const onnx_node *n, int x, const int64_t *kernel,
		   struct onnx_axes *a);
/* Without padding that the size of the output asks for, and without that size. */
int onnx_read_transposed_axes(struct onnx *o, const onnx_node *n, int x, const int64_t *kernel,
			      struct onnx_axes *a);

/* An axis seen as @count windows of @k elements: it becomes two axes. */
struct onnx_window {
	uint32_t axis;
	int64_t count, k, stride, dilation, before;
	float value; /* outside of the tensor */
};
int onnx_emit_windows(struct onnx *o, const onnx_node *n, int x, const struct onnx_window *w);
int onnx_general_max_pool(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a);
int onnx_general_average_pool(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a);
/* Where the largest of each window of @x is, in all of it. */
int onnx_max_pool_places(struct onnx *o, const onnx_node *n, int x, const struct onnx_axes *a);
/* Weights @w [OC, C / groups, taps..] that may be computed, any batch; and the node's bias. */
int onnx_general_conv(struct onnx *o, const onnx_node *n, int x, int w, const struct onnx_axes *a,
		      int64_t groups);

/* ---- onnx_norm.c, onnx_index.c ---- */

int onnx_general_batch_normalization(struct onnx *o, const onnx_node *n, int x);
int onnx_gather_computed(struct onnx *o, const onnx_node *n, int axis);

/* ---- onnx_eval.c ---- */

/* Any operator of constants alone: imported into a graph of its own, which runs at once. */
int onnx_eval(struct onnx *o, const onnx_node *n);

/* ---- operators, by file ---- */

#define ONNX_OP(name) int onnx_##name(struct onnx *o, const onnx_node *n)
/* onnx_window.c */
ONNX_OP(conv);
ONNX_OP(max_pool);
ONNX_OP(average_pool);
ONNX_OP(global_average_pool);
ONNX_OP(global_max_pool);
/* onnx_dense.c */
ONNX_OP(gemm);
ONNX_OP(mat_mul);
ONNX_OP(batch_normalization);
/* onnx_element.c */
ONNX_OP(add);
ONNX_OP(sub);
ONNX_OP(mul);
ONNX_OP(div);
ONNX_OP(sum);
ONNX_OP(relu);
ONNX_OP(sigmoid);
ONNX_OP(tanh);
ONNX_OP(hard_sigmoid);
ONNX_OP(hard_swish);
ONNX_OP(softmax);
ONNX_OP(concat);
/* onnx_math.c */
ONNX_OP(function);
ONNX_OP(is_inf);
ONNX_OP(gelu);
ONNX_OP(cast);
ONNX_OP(cast_like);
ONNX_OP(binary);
ONNX_OP(pow);
ONNX_OP(mod);
ONNX_OP(bit_shift);
ONNX_OP(prelu);
ONNX_OP(where);
ONNX_OP(mean);
ONNX_OP(clip);
/* onnx_reduce.c */
ONNX_OP(reduce);
ONNX_OP(reduce_mean);
ONNX_OP(arg);
ONNX_OP(log_softmax);
ONNX_OP(hardmax);
/* onnx_move.c */
ONNX_OP(slice);
ONNX_OP(split);
ONNX_OP(expand);
ONNX_OP(tile);
ONNX_OP(gather);
/* onnx_norm.c */
ONNX_OP(layer_normalization);
ONNX_OP(rms_normalization);
ONNX_OP(instance_normalization);
ONNX_OP(group_normalization);
ONNX_OP(lrn);
ONNX_OP(mean_variance_normalization);
ONNX_OP(lp_normalization);
/* onnx_pool.c, onnx_conv.c, onnx_resize.c */
ONNX_OP(lp_pool);
ONNX_OP(global_lp_pool);
ONNX_OP(conv_transpose);
ONNX_OP(resize);
/* onnx_index.c */
ONNX_OP(gather_elements);
ONNX_OP(gather_nd);
ONNX_OP(scatter_elements);
ONNX_OP(scatter_nd);
ONNX_OP(cum_sum);
ONNX_OP(top_k);
ONNX_OP(one_hot);
ONNX_OP(trilu);
/* onnx_pad.c */
ONNX_OP(pad);
ONNX_OP(center_crop_pad);
ONNX_OP(depth_to_space);
ONNX_OP(space_to_depth);
/* onnx_layout.c */
ONNX_OP(flatten);
ONNX_OP(reshape);
ONNX_OP(squeeze);
ONNX_OP(unsqueeze);
ONNX_OP(identity);
ONNX_OP(transpose);
ONNX_OP(dropout);
ONNX_OP(shape);
ONNX_OP(size);
ONNX_OP(constant);
/* onnx_quant.c */
ONNX_OP(quantize_linear);
/* onnx_quant_any.c */
ONNX_OP(dynamic_quantize_linear);
/* onnx_qlinear.c */
ONNX_OP(qlinear);
ONNX_OP(integer_product);
ONNX_OP(dequantize_linear);
/* onnx_recurrent.c */
ONNX_OP(recurrent);
/* onnx_flow.c */
ONNX_OP(if);
ONNX_OP(loop);
ONNX_OP(scan);
/* onnx_fold.c */
ONNX_OP(fold_cast);
ONNX_OP(fold_concat);
ONNX_OP(fold_gather);
ONNX_OP(fold_slice);
ONNX_OP(fold_constant_of_shape);
ONNX_OP(fold_range);
ONNX_OP(eye_like);

#endif
