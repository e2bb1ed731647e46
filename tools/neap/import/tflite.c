/* SPDX-License-Identifier: MIT */
/*
 * Reads a TFLite model: the main subgraph's tensors, its inputs, its operators in the order in which
 * they stand (which is that of execution), its outputs.
 */
#include "tools/neap/import/tflite_internal.h"

#include "tools/neap/compress/rewrite/rewrite.h"

#include <stdlib.h>
#include <string.h>

#define IDENTIFIER "TFL3"

/* What the constants may take beyond the file's own size: float16, int8 and int4 weights of a model
 * that computes in f32 grow by up to 8. */
#define CONST_GROWTH 9u
#define CONST_ROOM   ((size_t)1 << 20)

/* Fields of the schema's tables, in their order. */
enum { MODEL_VERSION, MODEL_CODES, MODEL_SUBGRAPHS, MODEL_DESCRIPTION, MODEL_BUFFERS };
enum { SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS };

bool tflite_is(const void *data, size_t bytes)
{
	return bytes >= 8 && !memcmp((const char *)data + 4, IDENTIFIER, 4);
}

/* ---- inputs ---- */

static int add_input(struct tflite *t, struct tflite_tensor *x)
{
	/* errors on the way to an input name it as its own node would be */
	struct tflite_node n = {.op = "input"};
	struct ne_shape shape = tflite_shape(x);
	struct ne_quant q = tflite_quant(x), raw = q;
	enum ne_dtype type = tflite_plain_type(x->type);
	int id;

	if (!type)
		type = x->type == TFLITE_F32   ? NE_F32
		       : x->type == TFLITE_U8  ? NE_U8
		       : x->type == TFLITE_S16 ? NE_S16
					       : NE_S8;
	if (tflite_is_s16(x))
		q = raw = tflite_quant_s16(x);

	if (x->id >= 0 || x->data)
		return ne_fail(t->err, EINVAL, "input '%.80s' is %s", x->name,
			       x->data ? "a constant" : "given twice");
	if (type != NE_F32 && !tflite_plain_type(x->type) && !(q.scale > 0))
		return ne_fail(
			t->err, EOPNOTSUPP,
			"input '%.80s' is of type %d; float32, int32, int64, bool, and int8, "
			"uint8 and int16 with one scale, are supported",
			x->name, (int)x->type);
	if (!x->shaped)
		return ne_fail(t->err, EOPNOTSUPP,
			       "input '%.80s': its shape is open, or over the limits", x->name);
	if (type == NE_U8)
		raw.zero += 128;
	id = ne_graph_add_tensor(t->g, x->name, type, &shape);
	if (id < 0 || ne_graph_add_input(t->g, (uint32_t)id) < 0)
		return ne_fail(t->err, id < 0 ? -id : E2BIG, "input '%.80s' cannot be added",
			       x->name);
	t->g->tensor[id].quant = raw;
	if (type == NE_U8)
		id = tflite_emit_quantised(t, &n, id, NE_S8, q);
	else if (type == NE_S16)
		id = tflite_emit_real(t, &n, id);
	x->id = id;
	return id < 0 ? id : 0;
}

static int add_inputs(struct tflite *t, const struct fb_table *subgraph)
{
	struct fb_vector v = fb_vector(subgraph, SUBGRAPH_INPUTS, 4);

	NE_RETURN_IF(fb_failed(&t->fb, t->err));
	if (v.n > NE_MAX_IO)
		return ne_fail(t->err, E2BIG, "%u inputs, at most %u", v.n, NE_MAX_IO);
	for (uint32_t i = 0; i < v.n; i++) {
		int32_t index = fb_vector_s32(&v, i);

		if (index < 0 || (uint32_t)index >= t->n_tensor)
			return ne_fail(t->err, EBADMSG, "input %u: no tensor %d", i, index);
		NE_RETURN_IF(add_input(t, &t->tensor[index]));
	}
	return 0;
}

/* ---- operators ---- */

/* Shapes being worked out: all inputs that are there, and output 0, are plain integers. */
static bool is_of_integers(const struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);

	if (!y || (y->type != TFLITE_S32 && y->type != TFLITE_S64))
		return false;
	for (uint32_t i = 0; i < n->in.n; i++) {
		const struct tflite_tensor *x = tflite_in(t, n, i);

		if (x && !(x->data && (x->type == TFLITE_S32 || x->type == TFLITE_S64)))
			return false;
	}
	return true;
}

static int add_node(struct tflite *t, const struct fb_table *from, uint32_t index)
{
	const struct tflite_op *op;
	struct tflite_node n;
	int32_t code;

	NE_RETURN_IF(tflite_node_read(t, from, index, &n, &code));
	op = tflite_op_find(code);
	if (!op)
		return ne_fail(t->err, EOPNOTSUPP, "node %u: the operator %s is not supported",
			       index, n.op);
	for (uint32_t i = 0; i < n.in.n; i++)
		if (tflite_in(t, &n, i) && tflite_in(t, &n, i)->block[0] && (i || !op->of_blocks))
			return tflite_fail(t, &n, EOPNOTSUPP,
					   "an image in blocks; convolutions alone take it");
	if (op->fold && is_of_integers(t, &n))
		NE_RETURN_IF(op->fold(t, &n));
	else if (op->import)
		NE_RETURN_IF(op->import(t, &n));
	else
		return tflite_fail(t, &n, EOPNOTSUPP, "only of constants of integers");
	return fb_failed(&t->fb, t->err);
}

static int add_nodes(struct tflite *t, const struct fb_table *subgraph)
{
	struct fb_vector v = fb_vector(subgraph, SUBGRAPH_OPERATORS, 4);

	NE_RETURN_IF(fb_failed(&t->fb, t->err));
	if (v.n > NE_MAX_NODES)
		return ne_fail(t->err, E2BIG, "%u operators, at most %u", v.n, NE_MAX_NODES);
	for (uint32_t i = 0; i < v.n; i++) {
		struct fb_table from = fb_vector_table(&v, i);

		NE_RETURN_IF(add_node(t, &from, i));
	}
	return 0;
}

/* ---- outputs ---- */

static bool needs_copy(const struct tflite *t, uint32_t id, const uint32_t *done, uint32_t n_done)
{
	bool copy = t->g->tensor[id].data != NULL;

	for (uint32_t i = 0; i < t->g->n_in; i++)
		copy |= t->g->in[i] == id;
	for (uint32_t i = 0; i < n_done; i++)
		copy |= done[i] == id;
	return copy;
}

/* Graph tensor of an output: one of its own, of the type that the file says. */
static int add_output(struct tflite *t, const struct tflite_tensor *x, const uint32_t *done,
		      uint32_t n_done)
{
	struct tflite_node n = {.op = "output"};
	int id = (int)x->id;
	char *name;

	if (x->id < 0 || x->block[0])
		return ne_fail(t->err, EOPNOTSUPP, "output '%.80s' is %s", x->name,
			       x->block[0] ? "an image in blocks"
			       : x->data   ? "a constant"
					   : "written by no node");
	if (x->type == TFLITE_U8) {
		struct ne_quant q = t->g->tensor[id].quant;

		q.zero += 128;
		id = tflite_emit_quantised(t, &n, id, NE_U8, q);
	} else if (tflite_is_s16(x)) {
		id = tflite_emit_s16(t, &n, id, tflite_quant_s16(x));
	} else if (needs_copy(t, (uint32_t)id, done, n_done)) {
		struct ne_shape shape = *tflite_shape_of(t, id);

		id = tflite_emit_reshape(t, &n, id, &shape);
	}
	if (id < 0)
		return id;
	name = strdup(x->name);
	if (!name)
		return ne_fail(t->err, ENOMEM, "output '%.80s': no memory", x->name);
	free(t->g->tensor[id].name);
	t->g->tensor[id].name = name;
	return id;
}

static int add_outputs(struct tflite *t, const struct fb_table *subgraph)
{
	struct fb_vector v = fb_vector(subgraph, SUBGRAPH_OUTPUTS, 4);
	uint32_t out[NE_MAX_IO];

	NE_RETURN_IF(fb_failed(&t->fb, t->err));
	if (!v.n || v.n > NE_MAX_IO)
		return ne_fail(t->err, EINVAL, "%u outputs; 1 to %u are supported", v.n, NE_MAX_IO);
	for (uint32_t i = 0; i < v.n; i++) {
		int32_t index = fb_vector_s32(&v, i);
		int id;

		if (index < 0 || (uint32_t)index >= t->n_tensor)
			return ne_fail(t->err, EBADMSG, "output %u: no tensor %d", i, index);
		id = add_output(t, &t->tensor[index], out, i);
		if (id < 0)
			return id;
		out[i] = (uint32_t)id;
	}
	return ne_graph_add_exit(t->g, v.n, out) < 0 ? ne_fail(t->err, ENOMEM, "outputs: no memory")
						     : 0;
}

/* ---- the model ---- */

static int read_model(struct tflite *t, const struct fb_table *model)
{
	uint32_t version = fb_u32(model, MODEL_VERSION, 0);
	struct fb_table main;

	t->code = fb_vector(model, MODEL_CODES, 4);
	t->subgraph = fb_vector(model, MODEL_SUBGRAPHS, 4);
	t->buffer = fb_vector(model, MODEL_BUFFERS, 4);
	NE_RETURN_IF(fb_failed(&t->fb, t->err));
	if (version != 3)
		return ne_fail(t->err, EOPNOTSUPP, "schema version %u; 3 is supported", version);
	if (!t->subgraph.n)
		return ne_fail(t->err, EBADMSG, "the model holds no subgraph");
	main = fb_vector_table(&t->subgraph, 0);
	NE_RETURN_IF(tflite_tensors_read(t, &main));
	NE_RETURN_IF(add_inputs(t, &main));
	NE_RETURN_IF(add_nodes(t, &main));
	NE_RETURN_IF(tflite_add_states(t));
	return add_outputs(t, &main);
}

static int finish(struct tflite *t, struct ne_model *m)
{
	NE_RETURN_IF(rewrite_graph(t->g, t->err));
	NE_RETURN_IF(ne_model_add_default_levels(m, t->err));
	return ne_model_check(m, t->err);
}

int tflite_import(const void *data, size_t bytes, struct ne_model **ret, struct ne_error *err)
{
	struct ne_error text = {""};
	struct tflite t = {.err = &text, .const_limit = CONST_GROWTH * bytes + CONST_ROOM};
	struct fb_table model;
	struct ne_model *m;
	int r;

	r = fb_open(&t.fb, data, bytes, IDENTIFIER, &model, &text);
	if (r < 0)
		return ne_fail(err, -r, "TFLite model: %s", text.text);
	m = ne_model_new();
	if (!m)
		return ne_fail(err, ENOMEM, "TFLite model: no memory");
	t.g = &m->graph;
	r = read_model(&t, &model);
	if (r >= 0)
		r = finish(&t, m);
	tflite_tensors_free(&t);
	free(t.variable);
	if (r < 0) {
		ne_model_free(m);
		return ne_fail(err, -r, "TFLite model: %s", text.text);
	}
	*ret = m;
	return 0;
}
