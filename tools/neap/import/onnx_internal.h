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
	enum ne_dtype dtype; /* NE_F32, NE_S64, NE_S32, NE_S8, NE_U8 or NE_BOOL */
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
	struct onnx_const *constant; /* or NULL */
	int64_t tensor;              /* id, or -1 */
	bool shifted;                /* unsigned bytes that are kept as s8, 128 less */
	int64_t bytes;               /* of a shifted value: its unsigned bytes, 0 = not made yet */
	struct onnx_quantised of;
};

struct onnx {
	struct ne_graph *g;
	const struct onnx_options *opt;
	struct ne_error *err;
	int64_t opset;
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

/* ---- onnx_wire.c: before protobuf-c, which recurses and allocates as the bytes say ---- */

int onnx_wire_check(const void *data, size_t bytes, struct ne_error *err);

/* ---- onnx_value.c ---- */

void onnx_values_done(struct onnx *o);
struct onnx_value *onnx_value_find(const struct onnx *o, const char *name);
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
/* As a tensor of the graph: its id, or a negative errno. Constants become f32 tensors. */
int onnx_in_tensor(struct onnx *o, const onnx_node *n, size_t i);
/* Integers from an attribute, or (newer opsets) from constant input @i: their number (0 where both
 * are absent), or a negative errno. */
int onnx_ints(struct onnx *o, const onnx_node *n, const char *attr, size_t i, int64_t *ret,
	      size_t max);
/* @axis of a tensor of @rank, negative ones counted from the end; -EINVAL out of range. */
int onnx_axis(struct onnx *o, const onnx_node *n, int64_t axis, uint32_t rank);

/* Output 0 of the node. */
int onnx_out_tensor(struct onnx *o, const onnx_node *n, int tensor);
int onnx_out_const(struct onnx *o, const onnx_node *n, struct onnx_const *c);

/* ---- onnx_emit.c: writing the graph. Each returns the id of the output tensor ---- */

const struct ne_shape *onnx_shape_of(const struct onnx *o, int tensor);
int onnx_emit(struct onnx *o, const onnx_node *n, enum ne_op op, const struct ne_attr *attr,
	      uint32_t n_in, const uint32_t *in);
int onnx_emit_unary(struct onnx *o, const onnx_node *n, enum ne_op op, int x);
int onnx_emit_reshape(struct onnx *o, const onnx_node *n, int x, uint32_t rank, const int64_t *dim);
int onnx_emit_transpose(struct onnx *o, const onnx_node *n, int x, const int32_t *perm);
/* Channels of rank 3 or more from axis 1 to the end, and back. */
int onnx_emit_channels_last(struct onnx *o, const onnx_node *n, int x);
int onnx_emit_channels_first(struct onnx *o, const onnx_node *n, int x);
/* A constant f32 tensor; @data is taken over. */
int onnx_emit_const(struct onnx *o, const onnx_node *n, uint32_t rank, const int64_t *dim,
		    float *data);
int onnx_emit_const_as(struct onnx *o, const onnx_node *n, enum ne_dtype dtype, uint32_t rank,
		       const int64_t *dim, void *data);
/* As onnx_emit_unary(), with an output of another type and quantisation. */
int onnx_emit_typed(struct onnx *o, const onnx_node *n, enum ne_op op, int x, enum ne_dtype dtype,
		    struct ne_quant quant);
int onnx_emit_scalar(struct onnx *o, const onnx_node *n, enum ne_op op, int x, float v);

/* ---- onnx_quant.c: 8-bit constants and activations ---- */

/* Where input @i of the node was dequantised and its scales lie along @axis (of output channels):
 * the f32 constant @tensor made of it becomes s8 with these scales, or an s32 bias. 1 if so; 0 and
 * nothing done if not; or a negative errno. */
int onnx_quantised_weights(struct onnx *o, const onnx_node *n, size_t i, int axis, int tensor);
int onnx_quantised_bias(struct onnx *o, const onnx_node *n, size_t i, int tensor);
/* The real values of a dequantised 8-bit constant by a node of the graph: a tensor's id; 0 where it
 * has no such form. */
int onnx_quantised_const(struct onnx *o, const onnx_node *n, struct onnx_value *v);
/* The unsigned bytes of a shifted value. */
int onnx_plain_bytes(struct onnx *o, const onnx_node *n, struct onnx_value *v);

/* ---- operators, by file ---- */

#define ONNX_OP(name) int onnx_##name(struct onnx *o, const onnx_node *n)
/* onnx_window.c */
ONNX_OP(conv);
ONNX_OP(max_pool);
ONNX_OP(average_pool);
ONNX_OP(global_average_pool);
ONNX_OP(global_max_pool);
ONNX_OP(reduce_mean);
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
ONNX_OP(clip);
ONNX_OP(sigmoid);
ONNX_OP(tanh);
ONNX_OP(hard_sigmoid);
ONNX_OP(hard_swish);
ONNX_OP(softmax);
ONNX_OP(concat);
/* onnx_layout.c */
ONNX_OP(flatten);
ONNX_OP(reshape);
ONNX_OP(squeeze);
ONNX_OP(unsqueeze);
ONNX_OP(identity);
ONNX_OP(transpose);
ONNX_OP(pad);
ONNX_OP(shape);
ONNX_OP(size);
ONNX_OP(constant);
/* onnx_quant.c */
ONNX_OP(cast);
ONNX_OP(quantize_linear);
ONNX_OP(dequantize_linear);
/* onnx_fold.c */
ONNX_OP(fold_arithmetic);
ONNX_OP(fold_cast);
ONNX_OP(fold_concat);
ONNX_OP(fold_gather);
ONNX_OP(fold_slice);
ONNX_OP(fold_constant_of_shape);

#endif
