/* SPDX-License-Identifier: MIT */
/*
 * Building the streaming graph. A tensor of the full graph that slides gets up to three forms: its
 * fresh rows, the buffer (kept rows, then fresh ones) and what of the buffer a reader needs; any
 * other has one. Tensors in both graphs are told apart by "old" and "new" ids; origin[new] is old.
 */
#include "engine/model/stream_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct builder {
	const struct ne_graph *old;
	struct ne_graph *g;
	const struct ne_track *track;
	const struct ne_node_track *node;
	uint32_t *form;   /* [old n_tensor] new id of the fresh rows, or of the only form */
	uint32_t *buffer; /* [old n_tensor] new id; the fresh rows where none are kept */
	struct ne_stream_graph *out;
	uint32_t capacity; /* of origin */
	struct ne_error *err;
};

static int no_memory(struct builder *b)
{
	return ne_fail(b->err, ENOMEM, "out of memory building the streaming graph");
}

static int new_tensor(struct builder *b, uint32_t old, const struct ne_shape *shape,
		      const char *suffix)
{
	const struct ne_tensor *t = &b->old->tensor[old];
	char name[256];
	int id;

	if (b->g->n_tensor == b->capacity) {
		uint32_t more = 2 * b->capacity + 64;
		uint32_t *p = realloc(b->out->origin, more * sizeof(*p));

		if (!p)
			return no_memory(b);
		b->out->origin = p;
		b->capacity = more;
	}
	snprintf(name, sizeof(name), "%.200s%s", t->name ? t->name : "", suffix);
	id = ne_graph_add_tensor(b->g, *suffix ? name : t->name, t->dtype, shape);
	if (id < 0)
		return ne_fail(b->err, -id, "tensor '%.80s' cannot be added", name);
	b->g->tensor[id].group = t->group;
	b->out->origin[id] = old;
	return id;
}

static int new_node(struct builder *b, enum ne_op op, uint32_t n_in, const uint32_t *in,
		    uint32_t out, const struct ne_attr *attr)
{
	int r = ne_graph_add_node(b->g, op, b->g->tensor[out].name, n_in, in, 1, &out, attr);

	return r < 0 ? ne_fail(b->err, -r, "node '%.80s' cannot be added", b->g->tensor[out].name)
		     : 0;
}

static struct ne_shape with_rows(const struct builder *b, uint32_t old, int32_t rows)
{
	struct ne_shape s = b->old->tensor[old].shape;

	s.dim[b->track[old].axis] = rows;
	return s;
}

/* @rows rows from @begin on of @from, a form of @old. */
static int new_slice(struct builder *b, uint32_t old, uint32_t from, int32_t begin, int32_t rows,
		     const char *suffix)
{
	struct ne_shape s = with_rows(b, old, rows);
	struct ne_attr a = {.groups = 1};
	int id = new_tensor(b, old, &s, suffix);

	if (id < 0)
		return id;
	for (uint32_t i = 0; i < s.rank; i++) {
		a.slice.size[i] = s.dim[i];
		a.slice.step[i] = 1;
	}
	a.slice.begin[b->track[old].axis] = begin;
	NE_RETURN_IF(new_node(b, NE_OP_SLICE, 1, &from, (uint32_t)id, &a));
	return id;
}

/* The kept rows as a state, the buffer, and the rows kept for the next run. */
static int keep_rows(struct builder *b, uint32_t old)
{
	const struct ne_track *x = &b->track[old];
	struct ne_shape kept = with_rows(b, old, x->kept);
	struct ne_shape all = with_rows(b, old, x->kept + x->fresh);
	struct ne_attr a = {.groups = 1, .axis = (int32_t)x->axis};
	int state = new_tensor(b, old, &kept, ".kept");
	int buffer = new_tensor(b, old, &all, ".window"), next, r;

	if (state < 0 || buffer < 0)
		return NE_MIN(state, buffer);
	NE_RETURN_IF(new_node(b, NE_OP_CONCAT, 2, (uint32_t[]){(uint32_t)state, b->form[old]},
			      (uint32_t)buffer, &a));
	next = new_slice(b, old, (uint32_t)buffer, x->fresh, x->kept, ".next");
	if (next < 0)
		return next;
	r = ne_graph_add_state(b->g, (uint32_t)state, (uint32_t)next, NE_NONE);
	if (r < 0)
		return ne_fail(b->err, -r, "'%.80s' cannot be kept: too many states, or no memory",
			       b->old->tensor[old].name);
	b->buffer[old] = (uint32_t)buffer;
	return 0;
}

/* @new holds the fresh rows of @old, or all of it where it does not slide. */
static int set_form(struct builder *b, uint32_t old, uint32_t new)
{
	b->form[old] = b->buffer[old] = new;
	return b->track[old].motion == NE_SLIDES && b->track[old].kept > 0 ? keep_rows(b, old) : 0;
}

/* The fresh rows of @old and @before older ones. */
static int rows_of(struct builder *b, uint32_t old, int32_t before)
{
	const struct ne_track *x = &b->track[old];

	if (before == x->kept)
		return (int)b->buffer[old];
	if (before == 0)
		return (int)b->form[old];
	return new_slice(b, old, b->buffer[old], x->kept - before, x->fresh + before, ".rows");
}

static int whole_of(struct builder *b, uint32_t old)
{
	const struct ne_track *x = &b->track[old];

	return x->motion == NE_SLIDES ? rows_of(b, old, x->length - x->fresh) : (int)b->form[old];
}

static int copy_const(struct builder *b, uint32_t old)
{
	const struct ne_tensor *t = &b->old->tensor[old];
	int id = new_tensor(b, old, &t->shape, "");
	struct ne_tensor *copy;

	if (id < 0)
		return id;
	copy = &b->g->tensor[id];
	copy->data = malloc(t->bytes ? t->bytes : 1);
	copy->scale = calloc(t->n_scale + 1u, sizeof(*copy->scale));
	if (!copy->data || !copy->scale)
		return no_memory(b);
	memcpy(copy->data, t->data, t->bytes);
	copy->bytes = t->bytes;
	if (t->n_scale)
		memcpy(copy->scale, t->scale, t->n_scale * sizeof(*t->scale));
	copy->n_scale = t->n_scale;
	return set_form(b, old, (uint32_t)id);
}

/* A node that slides takes windows that begin with what it reads first. */
static struct ne_attr attr_of(const struct builder *b, const struct ne_node *n, bool slides)
{
	struct ne_attr a = n->attr;

	if (slides && n->op == NE_OP_SLICE) {
		a.slice.begin[b->track[n->in[0]].axis] = 0;
		a.slice.size[b->track[n->in[0]].axis] = b->track[n->out[0]].fresh;
	}
	return a;
}

static int build_node(struct builder *b, uint32_t i)
{
	const struct ne_node *n = &b->old->node[i];
	const struct ne_node_track *v = &b->node[i];
	struct ne_attr attr = attr_of(b, n, v->slides);
	uint32_t in[NE_MAX_IO], out[NE_MAX_IO];
	int id;

	for (uint32_t k = 0; k < n->n_in; k++) {
		in[k] = NE_NONE;
		if (n->in[k] == NE_NONE)
			continue;
		id = v->slides && b->track[n->in[k]].motion == NE_SLIDES
			     ? rows_of(b, n->in[k], v->before)
			     : whole_of(b, n->in[k]);
		if (id < 0)
			return id;
		in[k] = (uint32_t)id;
	}
	for (uint32_t k = 0; k < n->n_out; k++) {
		struct ne_shape s = b->old->tensor[n->out[k]].shape;

		if (v->slides)
			s = with_rows(b, n->out[k], b->track[n->out[k]].fresh);
		id = new_tensor(b, n->out[k], &s, "");
		if (id < 0)
			return id;
		out[k] = (uint32_t)id;
	}
	id = ne_graph_add_node(b->g, n->op, n->name, n->n_in, in, n->n_out, out, &attr);
	if (id < 0)
		return ne_fail(b->err, -id, "node '%.80s' cannot be added", n->name);
	for (uint32_t k = 0; k < n->n_out; k++)
		NE_RETURN_IF(set_form(b, n->out[k], out[k]));
	return 0;
}

static int build_inputs(struct builder *b)
{
	for (uint32_t i = 0; i < b->old->n_in; i++) {
		uint32_t t = b->old->in[i];
		struct ne_shape s = b->old->tensor[t].shape;
		int id;

		if (b->track[t].motion == NE_SLIDES)
			s = with_rows(b, t, b->track[t].fresh);
		id = new_tensor(b, t, &s, "");
		if (id < 0)
			return id;
		if (ne_graph_add_input(b->g, (uint32_t)id) < 0)
			return no_memory(b);
		NE_RETURN_IF(set_form(b, t, (uint32_t)id));
	}
	return 0;
}

static int build_exits(struct builder *b, bool whole)
{
	for (uint32_t e = 0; e < b->old->n_exit; e++) {
		const struct ne_exit *x = &b->old->exit[e];
		uint32_t ids[NE_MAX_IO];

		for (uint32_t k = 0; k < x->n_out; k++) {
			int id = whole ? whole_of(b, x->out[k]) : (int)b->form[x->out[k]];

			if (id < 0)
				return id;
			ids[k] = (uint32_t)id;
		}
		if (ne_graph_add_exit(b->g, x->n_out, ids) < 0)
			return no_memory(b);
	}
	return 0;
}

static int build(struct builder *b, bool whole)
{
	const struct ne_graph *old = b->old;

	for (uint32_t i = 1; i <= old->n_group; i++)
		if (ne_graph_add_group(b->g, old->group_channels[i]) < 0)
			return no_memory(b);
	NE_RETURN_IF(build_inputs(b));
	for (uint32_t t = 0; t < old->n_tensor; t++)
		if (old->tensor[t].data)
			NE_RETURN_IF(copy_const(b, t));
	for (uint32_t i = 0; i < old->n_node; i++)
		NE_RETURN_IF(build_node(b, i));
	return build_exits(b, whole);
}

int ne_stream_build(const struct ne_graph *old, const struct ne_track *track,
		    const struct ne_node_track *node, bool whole, struct ne_stream_graph *ret,
		    struct ne_error *err)
{
	struct builder b = {.old = old, .track = track, .node = node, .out = ret, .err = err};
	int r = -ENOMEM;

	*ret = (struct ne_stream_graph){.origin = NULL};
	ne_graph_init(&ret->graph);
	b.g = &ret->graph;
	b.form = malloc((old->n_tensor + 1u) * sizeof(*b.form));
	b.buffer = malloc((old->n_tensor + 1u) * sizeof(*b.buffer));
	if (b.form && b.buffer)
		r = build(&b, whole);
	else
		no_memory(&b);
	free(b.form);
	free(b.buffer);
	if (r < 0) {
		ne_graph_done(&ret->graph);
		free(ret->origin);
		ret->origin = NULL;
	}
	return r;
}
