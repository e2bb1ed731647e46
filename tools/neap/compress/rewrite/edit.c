/* SPDX-License-Identifier: MIT */
#include "tools/neap/compress/rewrite/edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail_memory(struct edit *e)
{
	return ne_fail(e->err, ENOMEM, "rewrite: no memory");
}

static int reserve(struct edit *e, uint32_t n)
{
	uint32_t cap = n + n / 2 + 64, *p;

	if (n <= e->cap)
		return 0;
	p = realloc(e->producer, cap * sizeof(*p));
	if (!p)
		return fail_memory(e);
	e->producer = p;
	p = realloc(e->uses, cap * sizeof(*p));
	if (!p)
		return fail_memory(e);
	e->uses = p;
	for (uint32_t i = e->cap; i < cap; i++) {
		e->producer[i] = NE_NONE;
		e->uses[i] = 0;
	}
	e->cap = cap;
	return 0;
}

int edit_init(struct edit *e, struct ne_graph *g, struct ne_error *err)
{
	*e = (struct edit){.g = g, .err = err};
	NE_RETURN_IF(reserve(e, g->n_tensor + 1));
	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];

		for (uint32_t k = 0; k < n->n_in; k++)
			if (n->in[k] != NE_NONE)
				e->uses[n->in[k]]++;
		for (uint32_t k = 0; k < n->n_out; k++)
			if (n->out[k] != NE_NONE)
				e->producer[n->out[k]] = i;
	}
	for (uint32_t x = 0; x < g->n_exit; x++)
		for (uint32_t k = 0; k < g->exit[x].n_out; k++)
			e->uses[g->exit[x].out[k]]++;
	for (uint32_t i = 0; i < g->n_state; i++)
		e->uses[g->state[i].out]++;
	return 0;
}

void edit_done(struct edit *e)
{
	free(e->producer);
	free(e->uses);
	e->producer = e->uses = NULL;
}

uint32_t edit_writer(const struct edit *e, uint32_t t, enum ne_op op)
{
	uint32_t n = t == NE_NONE ? NE_NONE : e->producer[t];

	return n != NE_NONE && e->g->node[n].op == op ? n : NE_NONE;
}

bool edit_is_const(const struct edit *e, uint32_t t)
{
	return t != NE_NONE && e->g->tensor[t].data;
}

bool edit_is_exit(const struct edit *e, uint32_t t)
{
	for (uint32_t x = 0; x < e->g->n_exit; x++)
		for (uint32_t k = 0; k < e->g->exit[x].n_out; k++)
			if (e->g->exit[x].out[k] == t)
				return true;
	return false;
}

bool edit_is_input(const struct edit *e, uint32_t t)
{
	for (uint32_t i = 0; i < e->g->n_in; i++)
		if (e->g->in[i] == t)
			return true;
	return false;
}

/* Names stay readable: NAME, NAME~2, NAME~3, ... */
static void derive_name(const struct edit *e, uint32_t t, char *buf, size_t bytes)
{
	const char *name = e->g->tensor[t].name ? e->g->tensor[t].name : "";
	int base = (int)strcspn(name, "~");

	snprintf(buf, bytes, "%.*s~%u", NE_MIN(base, 200), name, e->g->n_tensor);
}

int edit_add_tensor(struct edit *e, uint32_t named_after, const struct ne_shape *shape)
{
	struct ne_shape copy = *shape; /* may point into the array that grows */
	char name[256];
	int id;

	derive_name(e, named_after, name, sizeof(name));
	NE_RETURN_IF(reserve(e, e->g->n_tensor + 1));
	id = ne_graph_add_tensor(e->g, name, e->g->tensor[named_after].dtype, &copy);
	if (id < 0)
		return ne_fail(e->err, -id, "rewrite: tensor %s cannot be added", name);
	e->g->tensor[id].quant = e->g->tensor[named_after].quant;
	e->producer[id] = NE_NONE;
	e->uses[id] = 0;
	return id;
}

static int add_const(struct edit *e, uint32_t named_after, enum ne_dtype dtype,
		     const struct ne_shape *shape, void *data)
{
	struct ne_shape copy = *shape;
	char name[256];
	int id;

	derive_name(e, named_after, name, sizeof(name));
	id = reserve(e, e->g->n_tensor + 1);
	if (id < 0) {
		free(data);
		return id;
	}
	id = ne_graph_add_const(e->g, name, dtype, &copy, data);
	if (id < 0)
		return ne_fail(e->err, -id, "rewrite: constant %s cannot be added", name);
	e->producer[id] = NE_NONE;
	e->uses[id] = 0;
	return id;
}

int edit_add_const(struct edit *e, uint32_t named_after, const struct ne_shape *shape, float *data)
{
	return add_const(e, named_after, NE_F32, shape, data);
}

int edit_copy_const(struct edit *e, uint32_t t, void *data)
{
	const struct ne_tensor *from = &e->g->tensor[t];
	uint32_t n_scale = from->n_scale;
	struct ne_tensor *to;
	int id = add_const(e, t, from->dtype, &from->shape, data);

	if (id < 0)
		return id;
	from = &e->g->tensor[t];
	to = &e->g->tensor[id];
	to->quant = from->quant;
	if (!n_scale)
		return id;
	to->scale = malloc(n_scale * sizeof(*to->scale));
	if (!to->scale)
		return fail_memory(e);
	memcpy(to->scale, from->scale, n_scale * sizeof(*to->scale));
	to->n_scale = n_scale;
	return id;
}

int edit_add_node(struct edit *e, enum ne_op op, uint32_t in, uint32_t out,
		  const struct ne_attr *attr)
{
	struct ne_attr copy = *attr;
	int id;

	id = ne_graph_add_node(e->g, op, e->g->tensor[out].name, 1, &in, 1, &out, &copy);
	if (id < 0)
		return ne_fail(e->err, -id, "rewrite: node %s cannot be added",
			       e->g->tensor[out].name);
	e->uses[in]++;
	e->producer[out] = (uint32_t)id;
	return id;
}

void edit_set_input(struct edit *e, uint32_t node, uint32_t k, uint32_t t)
{
	uint32_t *in = &e->g->node[node].in[k];

	if (*in != NE_NONE)
		e->uses[*in]--;
	*in = t;
	if (t != NE_NONE)
		e->uses[t]++;
}

void edit_set_output(struct edit *e, uint32_t node, uint32_t t)
{
	uint32_t *out = &e->g->node[node].out[0];

	if (e->producer[*out] == node)
		e->producer[*out] = NE_NONE;
	*out = t;
	e->producer[t] = node;
}

int edit_put_input(struct edit *e, uint32_t node, uint32_t k, uint32_t t)
{
	struct ne_node *n = &e->g->node[node];

	if (k == n->n_in) {
		uint32_t *in = realloc(n->in, (k + 1) * sizeof(*in));

		if (!in)
			return fail_memory(e);
		n->in = in;
		n->in[k] = NE_NONE;
		n->n_in = k + 1;
	}
	edit_set_input(e, node, k, t);
	return 0;
}

bool edit_replace(struct edit *e, uint32_t from, uint32_t to)
{
	struct ne_graph *g = e->g;

	if (edit_is_exit(e, from)) {
		char *name = g->tensor[from].name;

		if (edit_is_exit(e, to) || edit_is_input(e, to) || edit_is_const(e, to))
			return false;
		g->tensor[from].name = g->tensor[to].name;
		g->tensor[to].name = name;
	}
	for (uint32_t i = 0; i < g->n_node; i++)
		for (uint32_t k = 0; k < g->node[i].n_in; k++)
			if (g->node[i].in[k] == from)
				edit_set_input(e, i, k, to);
	for (uint32_t x = 0; x < g->n_exit; x++)
		for (uint32_t k = 0; k < g->exit[x].n_out; k++)
			if (g->exit[x].out[k] == from) {
				g->exit[x].out[k] = to;
				e->uses[from]--;
				e->uses[to]++;
			}
	for (uint32_t i = 0; i < g->n_state; i++)
		if (g->state[i].out == from) {
			g->state[i].out = to;
			e->uses[from]--;
			e->uses[to]++;
		}
	return true;
}

bool edit_has_weights(enum ne_op op)
{
	return op == NE_OP_CONV || op == NE_OP_DWCONV || op == NE_OP_DENSE;
}

bool edit_is_unary(enum ne_op op)
{
	switch (op) {
	case NE_OP_RELU:
	case NE_OP_RELU6:
	case NE_OP_HARDSWISH:
	case NE_OP_SIGMOID:
	case NE_OP_TANH:
	case NE_OP_QUANTISE:
	case NE_OP_DEQUANTISE:
	case NE_OP_UNARY:
	case NE_OP_CAST:
		return true;
	default:
		return false;
	}
}

bool edit_same_values(const struct edit *e, uint32_t a, uint32_t b)
{
	const struct ne_tensor *s = &e->g->tensor[a], *t = &e->g->tensor[b];

	return s->dtype == t->dtype && !(s->quant.scale < t->quant.scale) &&
	       !(s->quant.scale > t->quant.scale) && s->quant.zero == t->quant.zero;
}

bool edit_same_shape(const struct ne_shape *a, const struct ne_shape *b)
{
	return a->rank == b->rank && memcmp(a->dim, b->dim, a->rank * sizeof(a->dim[0])) == 0;
}

static int new_weights(struct edit *e, uint32_t w, bool last_axis, const float *s)
{
	const struct ne_tensor *t = &e->g->tensor[w];
	size_t total = ne_shape_elements(&t->shape);
	size_t oc = (size_t)t->shape.dim[last_axis ? t->shape.rank - 1 : 0], per = total / oc;
	float *data = ne_alloc_aligned(total * sizeof(*data));

	if (!data)
		return fail_memory(e);
	for (size_t i = 0; i < total; i++)
		data[i] = ((const float *)t->data)[i] * s[last_axis ? i % oc : i / per];
	return edit_add_const(e, w, &t->shape, data);
}

static int new_bias(struct edit *e, uint32_t node, uint32_t oc, const float *s, const float *b)
{
	const struct ne_node *n = &e->g->node[node];
	uint32_t old = n->n_in > 2 ? n->in[2] : NE_NONE;
	struct ne_shape shape = {.rank = 1, .dim = {(int32_t)oc}};
	float *data = ne_alloc_aligned(oc * sizeof(*data));

	if (!data)
		return fail_memory(e);
	for (uint32_t i = 0; i < oc; i++) {
		float v = old == NE_NONE ? 0.0f : ((const float *)e->g->tensor[old].data)[i];

		data[i] = (s ? s[i] * v : v) + (b ? b[i] : 0.0f);
	}
	return edit_add_const(e, n->out[0], &shape, data);
}

int edit_scale_weights(struct edit *e, uint32_t node, const float *s, const float *b)
{
	const struct ne_node *n = &e->g->node[node];
	bool last_axis = n->op == NE_OP_DWCONV;
	const struct ne_shape *shape = &e->g->tensor[n->in[1]].shape;
	uint32_t oc = (uint32_t)shape->dim[last_axis ? shape->rank - 1 : 0];
	int id;

	if (s) {
		id = new_weights(e, n->in[1], last_axis, s);
		if (id < 0)
			return id;
		edit_set_input(e, node, 1, (uint32_t)id);
	}
	id = new_bias(e, node, oc, s, b);
	if (id < 0)
		return id;
	return edit_put_input(e, node, 2, (uint32_t)id);
}
