/* SPDX-License-Identifier: MIT */
/*
 * What the files of the ONNX exporter share.
 *
 * Everything that is made lives in blocks of struct exporter and dies with it; what a protobuf
 * message points to is either such a block or the model's own data. Functions that make something
 * return NULL without memory; struct exporter keeps the reason, so that one check at the end of a
 * node is enough.
 */
#ifndef NEAP_ONNX_EXPORT_INTERNAL_H
#define NEAP_ONNX_EXPORT_INTERNAL_H

#include "tools/neap/export/onnx_export.h"

#include "onnx.pb-c.h"

/* How a value's axes lie in ONNX: its axis i is the engine's axis perm[i]. */
struct layout {
	int32_t perm[NE_MAX_RANK];
};

/* A value in one layout. */
struct form {
	struct layout layout;
	const char *name;
};

#define FORMS_MAX 4

/* What a tensor of the graph is in ONNX. */
struct value {
	uint32_t n_form;
	struct form form[FORMS_MAX];
	uint32_t reshaped; /* the tensor that it is a reshape of, not written out yet, or NE_NONE */
};

struct block;

struct exporter {
	const struct ne_model *m;
	const struct ne_graph *g;
	const struct ne_width *width;
	const struct onnx_export_options *opt;
	struct ne_error *err;
	int failed; /* 0, or the first negative errno */

	struct value *value;    /* [n_tensor] */
	struct ne_shape *shape; /* [n_tensor] at the level */
	uint32_t *users, *user; /* [n_tensor] how many read it, the last one */
	uint8_t *needed;        /* [n_node] */
	uint8_t *read;          /* [n_tensor] what the exit needs, now or in later runs */
	uint32_t n_name;        /* names made so far */

	/* The operator set: 13, and where a node is in a later one alone all is written again in that. */
	int opset, opset_wanted;

	/* of the node at hand: the tensor that it writes, and its activation */
	const struct ne_node *node;
	uint32_t y;
	int32_t act;

	struct block *blocks;
	Onnx__GraphProto graph;
	size_t cap_node, cap_init;
	const char **next; /* [n_state] the output that holds what the next run takes, or NULL */
	Onnx__StringStringEntryProto **note;
	size_t n_note, cap_note;
};

/* -@code with the node at hand before the reason; remembered in @x. */
int x_fail(struct exporter *x, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- onnx_proto.c: messages ---- */

void *x_alloc(struct exporter *x, size_t bytes); /* zeroed */
void x_free_blocks(struct exporter *x);
/* A name that no other value has, made from @base and @suffix. */
const char *x_name(struct exporter *x, const char *base, const char *suffix);

/* Appends a node that writes a value of a new name, or of @out; returns the value's name. */
const char *x_node(struct exporter *x, const char *op, const char *out, uint32_t n_in,
		   const char *const *in);
/* The same with @n_out values, each of a new name where it is NULL. An input "" is left out. */
int x_node_outputs(struct exporter *x, const char *op, uint32_t n_out, const char **out,
		   uint32_t n_in, const char *const *in);
#define X_NODE(x, op, out, ...)                                                    \
	x_node(x, op, out, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
	       (const char *[]){__VA_ARGS__})
/* Attributes of the last node. */
void x_attr_int(struct exporter *x, const char *name, int64_t v);
void x_attr_float(struct exporter *x, const char *name, float v);
void x_attr_ints(struct exporter *x, const char *name, uint32_t n, const int64_t *v);
void x_attr_floats(struct exporter *x, const char *name, uint32_t n, const float *v);
void x_attr_type(struct exporter *x, const char *name, enum ne_dtype t);
/* The texts must live as long as @x. */
void x_attr_text(struct exporter *x, const char *name, const char *v);
void x_attr_texts(struct exporter *x, const char *name, uint32_t n, const char *const *v);
/* An initialiser; @data is copied. */
const char *x_init(struct exporter *x, const char *base, enum ne_dtype type, uint32_t rank,
		   const int64_t *dim, const void *data);
const char *x_init_float(struct exporter *x, const char *base, float v);
const char *x_init_ints(struct exporter *x, const char *base, uint32_t n, const int64_t *v);
int x_declare(struct exporter *x, const char *name, enum ne_dtype type, const struct ne_shape *s,
	      const struct layout *l, bool output);
/* Whether operators of @opset can be written; where not, all is written again in that set. */
bool x_needs_opset(struct exporter *x, int opset);
/* An entry of the model's metadata; both live as long as @x. */
int x_note(struct exporter *x, const char *key, const char *value);
/* All of it as the bytes of a file. */
int x_pack(struct exporter *x, const char *name, void **ret, size_t *ret_bytes);

/* ---- onnx_form.c: values and their layouts ---- */

struct layout layout_same(void);
/* The channels, the last axis of rank 3 or 4, behind the batch. */
struct layout layout_channels_first(uint32_t rank);
bool layout_equal(const struct layout *a, const struct layout *b, uint32_t rank);

/* Quantisation of a tensor as ONNX has it: s8 values are u8 there. scale 0: not quantised. */
struct ne_quant x_quant(const struct exporter *x, uint32_t t);
enum ne_dtype x_dtype(const struct exporter *x, uint32_t t); /* in ONNX */
bool x_is_s8(const struct exporter *x, uint32_t t);          /* quantised */
/* f32, or integers that stand for real values; others are integers or truth values. */
bool x_is_real(const struct exporter *x, uint32_t t);

/* The stored value of @t (u8 where it is s8) in a layout. */
const char *x_stored(struct exporter *x, uint32_t t, const struct layout *l);
/* The real value: dequantised where it is stored in integers. Each reader gets its own node. */
const char *x_real(struct exporter *x, uint32_t t, const struct layout *l);
/* The real value, or of what is not real the stored one. */
const char *x_value(struct exporter *x, uint32_t t, const struct layout *l);
/* @v as @type. */
const char *x_cast(struct exporter *x, const char *v, enum ne_dtype type);
/* The type that integers of @type are computed in: run times have arithmetic of 32 and 64 bits alone.
 * A result that is cast back wraps around as the engine's does. */
enum ne_dtype x_wide_type(enum ne_dtype type);
/* x_value() in its wide type. */
const char *x_wide(struct exporter *x, uint32_t t, const struct layout *l);
/* A layout that @t has without more nodes. */
struct layout x_layout_of(struct exporter *x, uint32_t t);
void x_add_form(struct exporter *x, uint32_t t, const struct layout *l, const char *name);
/* @name, a stored value of @t's type and range, with a new shape. */
const char *x_reshape(struct exporter *x, uint32_t t, const char *name, uint32_t rank,
		      const int64_t *dim);
const char *x_quantise(struct exporter *x, const char *real, struct ne_quant q, enum ne_dtype type,
		       const char *out);
const char *x_dequantise(struct exporter *x, const char *stored, struct ne_quant q,
			 enum ne_dtype type);

/* ---- onnx_weights.c ---- */

/* Weights and bias of the conv, dwconv or dense node at hand, cut to the level. */
struct x_weights {
	const char *w, *b; /* b: NULL without one */
};
/* @columns: for a dense layer, where each of its inputs is in the engine's order, or NULL. */
int x_weights(struct exporter *x, const uint32_t *columns, struct x_weights *ret);

/* ---- onnx_family.c: operators that are element by element, of real values ---- */

int x_unary_family(struct exporter *x);
int x_binary_family(struct exporter *x);
int x_where(struct exporter *x);
int x_convert(struct exporter *x); /* cast */

/* ---- onnx_places.c: operators that move elements ---- */

int x_slice(struct exporter *x);
int x_pick(struct exporter *x);
int x_resize(struct exporter *x);
int x_gather(struct exporter *x);
int x_scatter(struct exporter *x);

/* ---- onnx_along.c: along axes ---- */

int x_reduce(struct exporter *x);
int x_cumsum(struct exporter *x);
int x_topk(struct exporter *x);
int x_matmul(struct exporter *x);

/* ---- onnx_recurrent.c ---- */

int x_recurrent(struct exporter *x);

/* ---- onnx_audio.c ---- */

int x_logmel(struct exporter *x);
int x_spectrum(struct exporter *x);

/* ---- onnx_state.c: values kept from run to run are inputs and outputs ---- */

int x_state_inputs(struct exporter *x);
int x_state_outputs(struct exporter *x);

/* ---- onnx_export.c ---- */

/* Declares output @name with the value of @t. */
int x_output(struct exporter *x, uint32_t t, const char *name);

/* ---- onnx_ops.c ---- */

/* The layout that all inputs of the node at hand can have, and that spares the most nodes. */
struct layout x_common_layout(struct exporter *x);
/* Where @axis of the engine is in @l. */
int64_t x_axis_in(const struct layout *l, int32_t axis);
/* The node's output from its real value: activation, then quantising where it is quantised. An
 * output that is not real is as it is. */
int x_result(struct exporter *x, const struct layout *l, const char *real);

/* Writes the node at hand. */
int x_operator(struct exporter *x);

#endif
