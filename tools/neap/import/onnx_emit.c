/* SPDX-License-Identifier: MIT */
/* Writing the neap graph: each node's output gets the shape that the engine infers. */
#include "tools/neap/import/onnx_internal.h"

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

static int emit_shaped(struct onnx *o, const onnx_node *n, enum ne_op op,
		       const struct ne_attr *attr, uint32_t n_in, const uint32_t *in,
		       const struct ne_shape *guess)
{
	struct ne_shape shapes[NE_MAX_IO] = {{0}}, out_shape = *guess;
	char name[256];
	uint32_t out;
	int id, node;

	if (n_in > NE_MAX_IO)
		return onnx_fail(o, n, E2BIG, "%u inputs, at most %u", n_in, NE_MAX_IO);
	tensor_name(o, n, name, sizeof(name));
	id = ne_graph_add_tensor(o->g, name, NE_F32, &out_shape);
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
	return id;
}

int onnx_emit(struct onnx *o, const onnx_node *n, enum ne_op op, const struct ne_attr *attr,
	      uint32_t n_in, const uint32_t *in)
{
	return emit_shaped(o, n, op, attr, n_in, in, onnx_shape_of(o, (int)in[0]));
}

int onnx_emit_unary(struct onnx *o, const onnx_node *n, enum ne_op op, int x)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x;

	return x < 0 ? x : onnx_emit(o, n, op, &attr, 1, &in);
}

int onnx_emit_reshape(struct onnx *o, const onnx_node *n, int x, uint32_t rank, const int64_t *dim)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x;
	struct ne_shape shape;

	if (x < 0)
		return x;
	NE_RETURN_IF(to_shape(o, n, rank, dim, &shape));
	return emit_shaped(o, n, NE_OP_RESHAPE, &attr, 1, &in, &shape);
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

int onnx_emit_const(struct onnx *o, const onnx_node *n, uint32_t rank, const int64_t *dim,
		    float *data)
{
	return onnx_emit_const_as(o, n, NE_F32, rank, dim, data);
}

int onnx_emit_const_as(struct onnx *o, const onnx_node *n, enum ne_dtype dtype, uint32_t rank,
		       const int64_t *dim, void *data)
{
	static const int64_t one = 1;
	struct ne_shape shape;
	char name[256];
	int id = to_shape(o, n, rank ? rank : 1, rank ? dim : &one, &shape);

	if (id < 0) {
		free(data);
		return id;
	}
	tensor_name(o, n, name, sizeof(name));
	id = ne_graph_add_const(o->g, name, dtype, &shape, data);
	return id < 0 ? onnx_fail(o, n, -id, "a constant cannot be added") : id;
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
