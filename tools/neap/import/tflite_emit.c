/* SPDX-License-Identifier: MIT */
/* Writing the neap graph: each node's output gets the shape that the engine infers. */
#include "tools/neap/import/tflite_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tflite_real(const struct tflite *t, int id)
{
	return t->g->tensor[id].dtype == NE_F32;
}

const struct ne_shape *tflite_shape_of(const struct tflite *t, int id)
{
	return &t->g->tensor[id].shape;
}

/* What is made on the way is called by the node and a number; tflite_set_out() names the results. */
static void tensor_name(const struct tflite *t, const struct tflite_node *n, char *buf,
			size_t bytes)
{
	snprintf(buf, bytes, "%u~%u", n->index, t->g->n_tensor);
}

struct output {
	enum ne_dtype type;
	struct ne_quant q;
	struct ne_shape guess;
};

#define OUTPUTS_MAX 2

/* @n_out outputs, described by @y; their tensors go to @out. */
static int emit_outputs(struct tflite *t, const struct tflite_node *n, enum ne_op op,
			const struct ne_attr *attr, uint32_t n_in, const uint32_t *in,
			uint32_t n_out, const struct output *y, uint32_t *out)
{
	struct ne_shape shapes[NE_MAX_IO] = {{0}}, shape[OUTPUTS_MAX];
	char name[64];
	int id, node;

	if (n_in > NE_MAX_IO)
		return tflite_fail(t, n, E2BIG, "%u inputs, at most %u", n_in, NE_MAX_IO);
	for (uint32_t k = 0; k < n_out; k++) {
		shape[k] = y[k].guess;
		tensor_name(t, n, name, sizeof(name));
		id = ne_graph_add_tensor(t->g, name, y[k].type, &shape[k]);
		if (id < 0)
			return tflite_fail(t, n, -id, "the output's tensor cannot be added");
		out[k] = (uint32_t)id;
	}
	snprintf(name, sizeof(name), "%u %s", n->index, n->op);
	node = ne_graph_add_node(t->g, op, name, n_in, in, n_out, out, attr);
	if (node < 0)
		return tflite_fail(t, n, -node, "the node cannot be added");
	for (uint32_t i = 0; i < n_in; i++)
		if (in[i] != NE_NONE)
			shapes[i] = t->g->tensor[in[i]].shape;
	NE_RETURN_IF(ne_shape_infer_all(t->g, (uint32_t)node, shapes, shape, t->err));
	for (uint32_t k = 0; k < n_out; k++) {
		if (!ne_shape_elements(&shape[k]))
			return tflite_fail(t, n, E2BIG, "an output of more than %zu elements",
					   NE_MAX_ELEMENTS);
		t->g->tensor[out[k]].shape = shape[k];
		t->g->tensor[out[k]].quant = y[k].q;
	}
	return 0;
}

static int emit_typed(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		      const struct ne_attr *attr, uint32_t n_in, const uint32_t *in,
		      const struct output *y)
{
	uint32_t out;

	NE_RETURN_IF(emit_outputs(t, n, op, attr, n_in, in, 1, y, &out));
	return (int)out;
}

int tflite_emit_two(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		    const struct ne_attr *attr, uint32_t n_in, const uint32_t *in,
		    enum ne_dtype second, int ret[2])
{
	const struct ne_tensor *x = &t->g->tensor[in[0]];
	const struct output y[2] = {{x->dtype, x->quant, x->shape}, {second, {0, 0}, x->shape}};
	uint32_t out[2];

	NE_RETURN_IF(emit_outputs(t, n, op, attr, n_in, in, 2, y, out));
	ret[0] = (int)out[0];
	ret[1] = (int)out[1];
	return 0;
}

int tflite_emit(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		const struct ne_attr *attr, uint32_t n_in, const uint32_t *in, struct ne_quant q)
{
	struct output y = {q.scale > 0 ? NE_S8 : NE_F32, q, *tflite_shape_of(t, (int)in[0])};

	return emit_typed(t, n, op, attr, n_in, in, &y);
}

int tflite_emit_as(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		   const struct ne_attr *attr, uint32_t n_in, const uint32_t *in,
		   enum ne_dtype type)
{
	struct output y = {.type = type, .guess = *tflite_shape_of(t, (int)in[0])};

	return emit_typed(t, n, op, attr, n_in, in, &y);
}

int tflite_emit_like(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		     const struct ne_attr *attr, uint32_t n_in, const uint32_t *in)
{
	const struct ne_tensor *x = &t->g->tensor[in[0]];
	struct output y = {x->dtype, x->quant, x->shape};

	return emit_typed(t, n, op, attr, n_in, in, &y);
}

int tflite_emit_unary(struct tflite *t, const struct tflite_node *n, enum ne_op op, int x,
		      struct ne_quant q)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x;

	return x < 0 ? x : tflite_emit(t, n, op, &attr, 1, &in, q);
}

int tflite_emit_reshape(struct tflite *t, const struct tflite_node *n, int x,
			const struct ne_shape *shape)
{
	struct ne_attr attr = {.groups = 1};
	struct output y = {.guess = *shape};
	uint32_t in = (uint32_t)x;

	if (x < 0)
		return x;
	y.type = t->g->tensor[x].dtype;
	y.q = t->g->tensor[x].quant;
	return emit_typed(t, n, NE_OP_RESHAPE, &attr, 1, &in, &y);
}

int tflite_emit_s16(struct tflite *t, const struct tflite_node *n, int x, struct ne_quant q)
{
	struct ne_attr attr = {.groups = 1};
	struct output y = {.type = NE_S16, .q = q};
	uint32_t in = (uint32_t)x;

	if (x < 0)
		return x;
	y.guess = *tflite_shape_of(t, x);
	return emit_typed(t, n, NE_OP_CAST, &attr, 1, &in, &y);
}

int tflite_emit_real(struct tflite *t, const struct tflite_node *n, int x)
{
	if (x < 0 || tflite_real(t, x))
		return x;
	return tflite_emit_unary(t, n, NE_OP_DEQUANTISE, x, (struct ne_quant){0});
}

int tflite_emit_quantised(struct tflite *t, const struct tflite_node *n, int x, enum ne_dtype type,
			  struct ne_quant q)
{
	struct ne_attr attr = {.groups = 1};
	struct output y = {.type = type, .q = q};
	uint32_t in = (uint32_t)x;

	if (x < 0)
		return x;
	y.guess = *tflite_shape_of(t, x);
	return emit_typed(t, n, NE_OP_QUANTISE, &attr, 1, &in, &y);
}

/* ---- constants ---- */

int tflite_const_alloc(struct tflite *t, const struct tflite_node *n, size_t bytes, void *ret)
{
	void *p;

	if (bytes > t->const_limit - t->const_bytes)
		return tflite_fail(t, n, E2BIG,
				   "the constants take more than %zu bytes, far more than the file",
				   t->const_limit);
	p = ne_alloc_aligned(bytes);
	if (!p)
		return tflite_fail(t, n, ENOMEM, "no memory");
	t->const_bytes += bytes;
	memcpy(ret, &p, sizeof(p));
	return 0;
}

int tflite_const_drop(struct tflite *t, void *p, size_t bytes)
{
	free(p);
	t->const_bytes -= bytes;
	return 0;
}

int tflite_emit_const(struct tflite *t, const struct tflite_node *n, enum ne_dtype type,
		      const struct ne_shape *shape, void *data, struct ne_quant q)
{
	char name[64];
	int id;

	tensor_name(t, n, name, sizeof(name));
	id = ne_graph_add_const(t->g, name, type, shape, data);
	if (id < 0)
		return tflite_fail(t, n, -id, "a constant cannot be added");
	t->g->tensor[id].quant = q;
	return id;
}
