/* SPDX-License-Identifier: MIT */
/* Writing the neap graph: each node's output gets the shape that the engine infers. */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ne_shape *onnx_shape_of(const struct onnx *o, int tensor)
{
	return &o->g->tensor[tensor].shape;
}

static const char *node_name(const onnx_node *n)
{
	return n->name && n->name[0] ? n->name : n->n_output ? n->output[0] : "";
}

/* Tensors made on the way to an ONNX value are called after it; the graph's outputs get their
 * declared names at the end. */
static void tensor_name(const struct onnx *o, const onnx_node *n, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%.200s~%u", n->n_output ? n->output[0] : "", o->g->n_tensor);
}

static int to_shape(struct onnx *o, const onnx_node *n, uint32_t rank, const int64_t *dim,
		    struct ne_shape *ret)
{
	struct ne_shape s = {.rank = rank};

	if (rank > NE_MAX_RANK)
		return onnx_fail(o, n, EINVAL, "%u dimensions, at most %u", rank, NE_MAX_RANK);
	for (uint32_t i = 0; i < rank; i++) {
		if (dim[i] < 1 || dim[i] > NE_MAX_DIM)
			return onnx_fail(o, n, EINVAL, "dimension %u is %lld", i,
					 (long long)dim[i]);
		s.dim[i] = (int32_t)dim[i];
	}
	if (ne_shape_elements(&s) == 0)
		return onnx_fail(o, n, E2BIG, "a tensor of more than %zu elements",
				 NE_MAX_ELEMENTS);
	*ret = s;
	return 0;
}

/* The type that an operator's output has as a rule. */
static enum ne_dtype usual_type(const struct onnx *o, enum ne_op op, const struct ne_attr *attr,
				const uint32_t *in)
{
	enum ne_dtype x = o->g->tensor[in[0]].dtype;

	switch (op) {
	case NE_OP_UNARY:
		return attr->kind == NE_UNARY_ISNAN || attr->kind == NE_UNARY_ISINF ? NE_BOOL : x;
	case NE_OP_BINARY:
		return attr->kind >= NE_BINARY_EQUAL && attr->kind <= NE_BINARY_GREATER_EQUAL
			       ? NE_BOOL
			       : x;
	case NE_OP_WHERE:
		return o->g->tensor[in[1]].dtype;
	case NE_OP_REDUCE:
		return attr->kind >= NE_REDUCE_ARGMAX ? NE_S64 : x;
	case NE_OP_QUANTISE:
		return NE_S8;
	case NE_OP_DEQUANTISE:
		return NE_F32;
	default:
		return x;
	}
}

static int emit_shaped(struct onnx *o, const onnx_node *n, enum ne_op op,
		       const struct ne_attr *attr, uint32_t n_in, const uint32_t *in,
		       enum ne_dtype dtype, const struct ne_shape *guess)
{
	struct ne_shape shapes[NE_MAX_IO] = {{0}}, out_shape = *guess;
	char name[256];
	uint32_t out;
	int id, node;

	if (n_in > NE_MAX_IO)
		return onnx_fail(o, n, E2BIG, "%u inputs, at most %u", n_in, NE_MAX_IO);
	tensor_name(o, n, name, sizeof(name));
	id = ne_graph_add_tensor(o->g, name, dtype, &out_shape);
	if (id < 0)
		return onnx_fail(o, n, -id, "the output's tensor cannot be added");
	out = (uint32_t)id;
	node = ne_graph_add_node(o->g, op, node_name(n), n_in, in, 1, &out, attr);
	if (node < 0)
		return onnx_fail(o, n, -node, "the node cannot be added");
	for (uint32_t i = 0; i < n_in; i++)
		if (in[i] != NE_NONE)
			shapes[i] = o->g->tensor[in[i]].shape;
	NE_RETURN_IF(ne_shape_infer(o->g, (uint32_t)node, shapes, &out_shape, o->err));
	if (ne_shape_elements(&out_shape) == 0)
		return onnx_fail(o, n, E2BIG, "an output of more than %zu elements",
				 NE_MAX_ELEMENTS);
	o->g->tensor[out].shape = out_shape;
	if (op == NE_OP_RESHAPE || op == NE_OP_TRANSPOSE || op == NE_OP_SLICE)
		o->g->tensor[out].quant = o->g->tensor[in[0]].quant;
	return id;
}

int onnx_emit_outputs(struct onnx *o, const onnx_node *n, enum ne_op op, const struct ne_attr *attr,
		      uint32_t n_in, const uint32_t *in, uint32_t n_out, uint32_t *out)
{
	struct ne_shape shapes[NE_MAX_IO] = {{0}}, out_shapes[NE_MAX_IO];
	struct ne_shape guess = {.rank = 1, .dim = {1}};
	char name[256];
	int r;

	if (n_in > NE_MAX_IO || n_out > NE_MAX_IO)
		return onnx_fail(o, n, E2BIG, "%u inputs and %u outputs, at most %u", n_in, n_out,
				 NE_MAX_IO);
	for (uint32_t i = 0; i < n_in; i++)
		if (in[i] != NE_NONE)
			shapes[i] = o->g->tensor[in[i]].shape;
	for (uint32_t i = 0; i < n_out; i++) {
		tensor_name(o, n, name, sizeof(name));
		r = ne_graph_add_tensor(o->g, name, o->g->tensor[in[0]].dtype, &guess);
		if (r < 0)
			return onnx_fail(o, n, -r, "an output's tensor cannot be added");
		out[i] = (uint32_t)r;
	}
	r = ne_graph_add_node(o->g, op, node_name(n), n_in, in, n_out, out, attr);
	if (r < 0)
		return onnx_fail(o, n, -r, "the node cannot be added");
	NE_RETURN_IF(ne_shape_infer_all(o->g, (uint32_t)r, shapes, out_shapes, o->err));
	for (uint32_t i = 0; i < n_out; i++)
		o->g->tensor[out[i]].shape = out_shapes[i];
	return 0;
}

int onnx_emit(struct onnx *o, const onnx_node *n, enum ne_op op, const struct ne_attr *attr,
	      uint32_t n_in, const uint32_t *in)
{
	return onnx_emit_as(o, n, op, attr, n_in, in, usual_type(o, op, attr, in));
}

int onnx_emit_as(struct onnx *o, const onnx_node *n, enum ne_op op, const struct ne_attr *attr,
		 uint32_t n_in, const uint32_t *in, enum ne_dtype dtype)
{
	return emit_shaped(o, n, op, attr, n_in, in, dtype, onnx_shape_of(o, (int)in[0]));
}

int onnx_emit_function(struct onnx *o, const onnx_node *n, enum ne_unary kind, int x, float a,
		       float b)
{
	struct ne_attr attr = {.groups = 1, .kind = kind, .value = a, .value2 = b};
	uint32_t in = (uint32_t)x;

	if (!isfinite(a) || !isfinite(b))
		return onnx_fail(o, n, EINVAL, "a parameter is not a finite number");
	return x < 0 ? x : onnx_emit(o, n, NE_OP_UNARY, &attr, 1, &in);
}

int onnx_emit_binary(struct onnx *o, const onnx_node *n, enum ne_binary kind, int a, int b)
{
	struct ne_attr attr = {.groups = 1, .kind = kind};
	uint32_t in[2] = {(uint32_t)a, (uint32_t)b};

	if (a < 0)
		return a;
	return b < 0 ? b : onnx_emit(o, n, NE_OP_BINARY, &attr, 2, in);
}

int onnx_emit_reduce(struct onnx *o, const onnx_node *n, enum ne_reduce kind, int x, uint32_t axes)
{
	struct ne_attr attr = {.groups = 1, .kind = kind, .axes = axes};
	uint32_t in = (uint32_t)x;

	return x < 0 ? x : onnx_emit(o, n, NE_OP_REDUCE, &attr, 1, &in);
}

int onnx_emit_cast(struct onnx *o, const onnx_node *n, int x, enum ne_dtype to)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x;

	if (x < 0 || o->g->tensor[x].dtype == to)
		return x;
	return onnx_emit_as(o, n, NE_OP_CAST, &attr, 1, &in, to);
}

int onnx_emit_unary(struct onnx *o, const onnx_node *n, enum ne_op op, int x)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x;

	return x < 0 ? x : onnx_emit(o, n, op, &attr, 1, &in);
}

/* Operators that take quantised values for the real ones that they stand for. To ONNX they are the
 * integers that are stored. */
static bool sees_real_values(enum ne_op op)
{
	return op >= NE_OP_UNARY && op <= NE_OP_TOPK && op != NE_OP_SLICE;
}

int onnx_raw_integers(struct onnx *o)
{
	uint32_t n_node = o->g->n_node;
	struct ne_attr attr = {.groups = 1};

	for (uint32_t i = 0; i < n_node; i++) {
		if (!sees_real_values(o->g->node[i].op))
			continue;
		for (uint32_t k = 0; k < o->g->node[i].n_in; k++) {
			uint32_t t = o->g->node[i].in[k];
			struct ne_shape shape;
			int id;

			if (t == NE_NONE || !(o->g->tensor[t].quant.scale > 0) ||
			    o->g->tensor[t].dtype == NE_F32)
				continue;
			shape = o->g->tensor[t].shape;
			id = ne_graph_add_tensor(o->g, "integers", o->g->tensor[t].dtype, &shape);
			if (id < 0 || ne_graph_add_node(o->g, NE_OP_RESHAPE, "integers", 1, &t, 1,
							&(uint32_t){(uint32_t)id}, &attr) < 0)
				return ne_fail(o->err, ENOMEM, "no memory for integers");
			o->g->node[i].in[k] = (uint32_t)id;
		}
	}
	return 0;
}

int onnx_emit_reshape(struct onnx *o, const onnx_node *n, int x, uint32_t rank, const int64_t *dim)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x;
	struct ne_shape shape;

	if (x < 0)
		return x;
	NE_RETURN_IF(to_shape(o, n, rank, dim, &shape));
	return emit_shaped(o, n, NE_OP_RESHAPE, &attr, 1, &in, o->g->tensor[x].dtype, &shape);
}

int onnx_emit_transpose(struct onnx *o, const onnx_node *n, int x, const int32_t *perm)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x;

	if (x < 0)
		return x;
	memcpy(attr.perm, perm, onnx_shape_of(o, x)->rank * sizeof(perm[0]));
	return onnx_emit(o, n, NE_OP_TRANSPOSE, &attr, 1, &in);
}

int onnx_emit_channels_last(struct onnx *o, const onnx_node *n, int x)
{
	int32_t perm[NE_MAX_RANK] = {0};
	uint32_t rank;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	if (rank < 3)
		return x;
	for (uint32_t i = 1; i < rank - 1; i++)
		perm[i] = (int32_t)i + 1;
	perm[rank - 1] = 1;
	return onnx_emit_transpose(o, n, x, perm);
}

int onnx_emit_channels_first(struct onnx *o, const onnx_node *n, int x)
{
	int32_t perm[NE_MAX_RANK] = {0};
	uint32_t rank;

	if (x < 0)
		return x;
	rank = onnx_shape_of(o, x)->rank;
	if (rank < 3)
		return x;
	perm[1] = (int32_t)rank - 1;
	for (uint32_t i = 2; i < rank; i++)
		perm[i] = (int32_t)i - 1;
	return onnx_emit_transpose(o, n, x, perm);
}

int onnx_emit_typed(struct onnx *o, const onnx_node *n, enum ne_op op, int x, enum ne_dtype dtype,
		    struct ne_quant quant)
{
	int y = onnx_emit_unary(o, n, op, x);

	if (y < 0)
		return y;
	o->g->tensor[y].dtype = dtype;
	o->g->tensor[y].quant = quant;
	return y;
}

int onnx_emit_const_as(struct onnx *o, const onnx_node *n, enum ne_dtype dtype, uint32_t rank,
		       const int64_t *dim, void *data)
{
	struct ne_shape shape;
	char name[256];
	int id = to_shape(o, n, rank, dim, &shape);

	if (id < 0) {
		free(data);
		return id;
	}
	tensor_name(o, n, name, sizeof(name));
	id = ne_graph_add_const(o->g, name, dtype, &shape, data);
	return id < 0 ? onnx_fail(o, n, -id, "a constant cannot be added") : id;
}

int onnx_emit_const(struct onnx *o, const onnx_node *n, uint32_t rank, const int64_t *dim,
		    float *data)
{
	return onnx_emit_const_as(o, n, NE_F32, rank, dim, data);
}

int onnx_emit_value(struct onnx *o, const onnx_node *n, const struct onnx_const *c)
{
	size_t bytes = c->n * ne_dtype_size(c->dtype);
	void *data = ne_alloc_aligned(bytes);

	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	memcpy(data, c->data, bytes);
	return onnx_emit_const_as(o, n, c->dtype, c->rank, c->dim, data);
}

int onnx_emit_number(struct onnx *o, const onnx_node *n, int like, double v)
{
	struct onnx_const *c;
	int id;

	if (like < 0)
		return like;
	c = onnx_const_new(o->g->tensor[like].dtype, 0, NULL);
	if (!c)
		return onnx_fail(o, n, ENOMEM, "no memory");
	onnx_const_set(c, 0, v);
	id = onnx_emit_value(o, n, c);
	onnx_const_free(c);
	return id;
}

int onnx_emit_scalar(struct onnx *o, const onnx_node *n, enum ne_op op, int x, float v)
{
	struct ne_attr attr = {.groups = 1};
	float *data;
	uint32_t in[2];
	int k;

	if (x < 0)
		return x;
	data = ne_alloc_aligned(sizeof(*data));
	if (!data)
		return onnx_fail(o, n, ENOMEM, "no memory");
	*data = v;
	k = onnx_emit_const(o, n, 0, NULL, data);
	if (k < 0)
		return k;
	in[0] = (uint32_t)x;
	in[1] = (uint32_t)k;
	return onnx_emit(o, n, op, &attr, 2, in);
}
