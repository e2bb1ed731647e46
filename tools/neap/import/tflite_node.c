/* SPDX-License-Identifier: MIT */
/* Reading a node: inputs, outputs, errors that name it. */
#include "tools/neap/import/tflite_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tflite_fail(struct tflite *t, const struct tflite_node *n, int code, const char *fmt, ...)
{
	char text[sizeof(t->err->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ne_fail(t->err, code, "node %u (%.40s): %s", n->index, n->op, text);
}

static struct tflite_tensor *tensor_of(const struct tflite *t, const struct fb_vector *v,
				       uint32_t i)
{
	int32_t index = i < v->n ? fb_vector_s32(v, i) : -1;

	return index >= 0 && (uint32_t)index < t->n_tensor ? &t->tensor[index] : NULL;
}

struct tflite_tensor *tflite_in(const struct tflite *t, const struct tflite_node *n, uint32_t i)
{
	return tensor_of(t, &n->in, i);
}

struct tflite_tensor *tflite_out(const struct tflite *t, const struct tflite_node *n, uint32_t i)
{
	return tensor_of(t, &n->out, i);
}

/* ---- reading ---- */

/* Fields of the schema's tables, in their order. */
enum { CODE_OLD, CODE_CUSTOM, CODE_VERSION, CODE_BUILTIN };
enum {
	OPERATOR_CODE,
	OPERATOR_INPUTS,
	OPERATOR_OUTPUTS,
	OPERATOR_OPTIONS = 4,
	OPERATOR_INTERMEDIATES = 8
};

#define SELECT_V2 123
#define CUSTOM    32 /* BuiltinOperator: known by its name alone */

/* The operator's number: newer files use a field of 32 bits, old ones one of 8. Its name, or the
 * number where it is not known, goes to the node. */
static int read_code(struct tflite *t, uint32_t index, struct tflite_node *n, int32_t *ret)
{
	const struct tflite_op *op;
	struct fb_table c;
	char custom[40];

	if (index >= t->code.n)
		return ne_fail(t->err, EBADMSG, "node %u: no operator code %u in the file",
			       n->index, index);
	c = fb_vector_table(&t->code, index);
	*ret = NE_MAX((int32_t)fb_s8(&c, CODE_OLD, 0), fb_s32(&c, CODE_BUILTIN, 0));
	fb_string(&c, CODE_CUSTOM, custom, sizeof(custom));
	op = tflite_op_find(*ret);
	if (*ret == CUSTOM)
		snprintf(n->op, sizeof(n->op), "'%s'", custom);
	else if (op)
		snprintf(n->op, sizeof(n->op), "%s", op->name);
	else
		snprintf(n->op, sizeof(n->op), "%d", *ret);
	return fb_failed(&t->fb, t->err);
}

/* Tensors that a node names are there; -1 is an optional one that is not. */
static int check_indices(struct tflite *t, const struct tflite_node *n, const struct fb_vector *v,
			 int32_t lowest)
{
	for (uint32_t i = 0; i < v->n; i++) {
		int32_t index = fb_vector_s32(v, i);

		if (index < lowest || index >= (int32_t)t->n_tensor)
			return tflite_fail(t, n, EBADMSG, "no tensor %d", index);
	}
	return 0;
}

int tflite_node_read(struct tflite *t, const struct fb_table *from, uint32_t index,
		     struct tflite_node *ret, int32_t *ret_code)
{
	*ret = (struct tflite_node){
		.index = index,
		.in = fb_vector(from, OPERATOR_INPUTS, 4),
		.out = fb_vector(from, OPERATOR_OUTPUTS, 4),
		.intermediate = fb_vector(from, OPERATOR_INTERMEDIATES, 4),
		.opt = fb_table(from, OPERATOR_OPTIONS),
	};
	*ret_code = -1;
	NE_RETURN_IF(read_code(t, fb_u32(from, OPERATOR_CODE, 0), ret, ret_code));
	ret->version_two = *ret_code == SELECT_V2;
	NE_RETURN_IF(check_indices(t, ret, &ret->in, -1));
	return check_indices(t, ret, &ret->out, 0);
}

/* ---- inputs ---- */

/* A constant read as values: f32, or s8 where it has one scale. */
static int constant(struct tflite *t, const struct tflite_node *n, struct tflite_tensor *x)
{
	struct ne_shape shape = tflite_shape(x);
	struct ne_quant q = tflite_quant(x);
	size_t elements = tflite_elements(x);
	uint8_t *s8;
	float *real;

	if (!shape.rank)
		shape = (struct ne_shape){.rank = 1, .dim = {1}};
	if (x->type == TFLITE_F32 || x->type == TFLITE_F16 || tflite_is_s16(x) ||
	    ((x->type == TFLITE_S8 || x->type == TFLITE_U8) && x->scale.n > 1)) {
		NE_RETURN_IF(tflite_reals(t, n, x, &real));
		return tflite_emit_const(t, n, NE_F32, &shape, real, (struct ne_quant){0});
	}
	if (!(q.scale > 0))
		return tflite_fail(
			t, n, EOPNOTSUPP,
			"constant '%.60s' holds plain integers; real or quantised values "
			"are supported here",
			x->name);
	NE_RETURN_IF(tflite_const_alloc(t, n, elements, &s8));
	for (size_t i = 0; i < elements; i++)
		s8[i] = x->type == TFLITE_U8 ? x->data[i] ^ 0x80 : x->data[i];
	return tflite_emit_const(t, n, NE_S8, &shape, s8, q);
}

int tflite_in_id(struct tflite *t, const struct tflite_node *n, uint32_t i)
{
	struct tflite_tensor *x = tflite_in(t, n, i);
	int id;

	if (!x)
		return tflite_fail(t, n, EINVAL, "input %u is missing", i);
	if (x->id >= 0)
		return (int)x->id;
	if (x->folded >= 0)
		return (int)x->folded;
	if (!x->data)
		return tflite_fail(t, n, EINVAL,
				   "input '%.80s' is read before anything supported writes it",
				   x->name);
	id = constant(t, n, x);
	if (id >= 0)
		x->folded = id;
	return id;
}

bool tflite_plain(const struct tflite *t, int id)
{
	return t->g->tensor[id].dtype != NE_F32 && !(t->g->tensor[id].quant.scale > 0);
}

int tflite_in_any(struct tflite *t, const struct tflite_node *n, uint32_t i)
{
	struct tflite_tensor *x = tflite_in(t, n, i);
	enum ne_dtype type = x ? tflite_plain_type(x->type) : (enum ne_dtype)0;
	struct ne_shape shape;
	void *v;
	int id;

	if (!x || x->id >= 0 || x->folded >= 0 || !x->data || !type)
		return tflite_in_id(t, n, i);
	shape = tflite_shape(x);
	NE_RETURN_IF(tflite_const_alloc(t, n, x->bytes, &v));
	memcpy(v, x->data, x->bytes);
	for (size_t k = 0; type == NE_BOOL && k < x->bytes; k++)
		((uint8_t *)v)[k] = x->data[k] != 0;
	id = tflite_emit_const(t, n, type, &shape, v, (struct ne_quant){0});
	if (id >= 0)
		x->folded = id;
	return id;
}

int tflite_in_real(struct tflite *t, const struct tflite_node *n, uint32_t i)
{
	return tflite_emit_real(t, n, tflite_in_id(t, n, i));
}

int tflite_in_ints(struct tflite *t, const struct tflite_node *n, uint32_t i, int64_t *ret,
		   uint32_t max)
{
	const struct tflite_tensor *x = tflite_in(t, n, i);
	size_t elements;

	if (!x)
		return 0;
	elements = tflite_elements(x);
	if (!x->data || (x->type != TFLITE_S32 && x->type != TFLITE_S64))
		return tflite_fail(t, n, EOPNOTSUPP, "'%.80s' must be a constant of integers",
				   x->name);
	if (elements > max)
		return tflite_fail(t, n, EINVAL, "'%.80s' has %zu values, at most %u fit", x->name,
				   elements, max);
	for (size_t k = 0; k < elements; k++)
		ret[k] = tflite_int(x, k);
	return (int)elements;
}

int tflite_axis(struct tflite *t, const struct tflite_node *n, int64_t axis, uint32_t rank)
{
	int64_t a = axis < 0 ? axis + (int64_t)rank : axis;

	if (a < 0 || a >= (int64_t)rank)
		return tflite_fail(t, n, EINVAL, "axis %lld of a tensor of rank %u",
				   (long long)axis, rank);
	return (int)a;
}

/* ---- outputs ---- */

static bool same_shape(const struct ne_shape *a, const struct ne_shape *b)
{
	return a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof(a->dim[0]));
}

/* Real values of an int16 tensor: rounded to its scale. */
static int on_grid(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *y,
		   int id)
{
	id = tflite_emit_s16(t, n, tflite_emit_real(t, n, id), tflite_quant_s16(y));
	return tflite_emit_real(t, n, id);
}

/* To the type and quantisation that the file declares. */
static int as_declared(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *y,
		       int id)
{
	struct ne_quant q = tflite_quant(y), had = t->g->tensor[id].quant;

	if (t->g->tensor[id].dtype == NE_S64 && (y->type == TFLITE_S64 || y->type == TFLITE_S32)) {
		struct ne_attr attr = {.groups = 1};
		uint32_t in = (uint32_t)id;

		return y->type == TFLITE_S64
			       ? id
			       : tflite_emit_as(t, n, NE_OP_CAST, &attr, 1, &in, NE_S32);
	}
	if (y->type == TFLITE_F32)
		return tflite_emit_real(t, n, id);
	if (tflite_is_s16(y))
		return on_grid(t, n, y, id);
	if (t->g->tensor[id].dtype == tflite_plain_type(y->type) && !(had.scale > 0))
		return id;
	if (y->type != TFLITE_S8 && y->type != TFLITE_U8)
		return tflite_fail(
			t, n, EOPNOTSUPP,
			"output '%.60s' is of type %d; float32, and int8, uint8 and int16 "
			"with one scale, are supported here",
			y->name, (int)y->type);
	if (!(q.scale > 0))
		return tflite_fail(t, n, EOPNOTSUPP, "output '%.60s' has no scale, or several",
				   y->name);
	if (!memcmp(&q, &had, sizeof(q)))
		return id;
	return tflite_emit_quantised(t, n, id, NE_S8, q);
}

/* Results are called by their node: TFLite's names, lists of what was fused, run to hundreds of
 * bytes. Inputs, outputs and variables keep the file's. */
static int name_result(struct tflite *t, const struct tflite_node *n, uint32_t i, int id)
{
	char text[80], *name;

	if (!strchr(t->g->tensor[id].name, '~'))
		return 0;
	snprintf(text, sizeof(text), i ? "%u %s %u" : "%u %s", n->index, n->op, i);
	name = strdup(text);
	if (!name)
		return tflite_fail(t, n, ENOMEM, "no memory");
	free(t->g->tensor[id].name);
	t->g->tensor[id].name = name;
	return 0;
}

int tflite_set_out(struct tflite *t, const struct tflite_node *n, uint32_t i, int id)
{
	struct tflite_tensor *y = tflite_out(t, n, i);
	struct ne_shape declared, made;

	if (id < 0)
		return id;
	if (!y)
		return tflite_fail(t, n, EINVAL, "output %u is missing", i);
	if (y->id >= 0 || y->data)
		return tflite_fail(t, n, EINVAL, "output '%.80s' is written twice", y->name);
	id = as_declared(t, n, y, id);
	if (id < 0)
		return id;
	declared = tflite_shape(y);
	made = *tflite_shape_of(t, id);
	if (y->block[0])
		made = tflite_shape_in_blocks(&made, y->block);
	if (y->shaped && !same_shape(&declared, &made))
		return tflite_fail(t, n, EINVAL,
				   "output '%.80s' is declared with another shape than its inputs "
				   "give",
				   y->name);
	y->id = id;
	return name_result(t, n, i, id);
}

int tflite_activate(struct tflite *t, const struct tflite_node *n, int x, int act)
{
	struct ne_attr clip = {.groups = 1, .kind = NE_UNARY_CLIP, .value = -1, .value2 = 1};
	struct ne_quant q;
	uint32_t in = (uint32_t)x;

	if (x < 0 || act == TFLITE_ACT_NONE)
		return x;
	q = t->g->tensor[x].quant;
	switch (act) {
	case TFLITE_ACT_RELU:
		return tflite_emit_unary(t, n, NE_OP_RELU, x, q);
	case TFLITE_ACT_RELU6:
		return tflite_emit_unary(t, n, NE_OP_RELU6, x, q);
	case TFLITE_ACT_TANH:
		return tflite_emit_unary(t, n, NE_OP_TANH, x, q);
	case TFLITE_ACT_RELU_N1_TO_1:
		return tflite_emit(t, n, NE_OP_UNARY, &clip, 1, &in, q);
	default:
		return tflite_fail(t, n, EOPNOTSUPP, "fused activation %d", act);
	}
}

int tflite_fuse_act(struct ne_attr *attr, int act)
{
	if (act != TFLITE_ACT_RELU && act != TFLITE_ACT_RELU6)
		return act;
	attr->act = act == TFLITE_ACT_RELU ? NE_ACT_RELU : NE_ACT_RELU6;
	return TFLITE_ACT_NONE;
}

int tflite_result_quant(struct tflite *t, const struct tflite_node *n, int x, struct ne_quant *ret)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);

	if (!y)
		return tflite_fail(t, n, EINVAL, "output 0 is missing");
	*ret = (struct ne_quant){0};
	if (tflite_real(t, x))
		return 0;
	*ret = tflite_quant(y);
	return ret->scale > 0
		       ? 0
		       : tflite_fail(t, n, EOPNOTSUPP,
				     "output '%.60s' of quantised inputs has no scale", y->name);
}

int tflite_set_out_act(struct tflite *t, const struct tflite_node *n, enum ne_op op,
		       struct ne_attr *attr, uint32_t n_in, const uint32_t *in, int act)
{
	struct ne_quant q;
	int id;

	NE_RETURN_IF(tflite_result_quant(t, n, (int)in[0], &q));
	act = tflite_fuse_act(attr, act);
	id = tflite_emit(t, n, op, attr, n_in, in, q);
	return tflite_set_out(t, n, 0, tflite_activate(t, n, id, act));
}
