/* SPDX-License-Identifier: MIT */
/*
 * Building the streaming graph. A tensor of the full graph that slides gets up to three forms: its
 * fresh rows, the buffer (kept rows, then fresh ones) and what of the buffer a reader needs; any
 * other has one. One with ends gets its first, fresh and last rows, and, where somebody wants other
 * rows of it, the whole: these and the rows kept between. Tensors in both graphs are told apart by "old" and "new" ids; origin[new] is old.
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
	/* [old n_tensor] of what has ends: first and last rows, all rows; NE_NONE: not there (yet) */
	uint32_t *first, *last, *whole;
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

/* All rows of @old, which has ends: the rows between them are kept. */
static int join_parts(struct builder *b, uint32_t old)
{
	const struct ne_track *x = &b->track[old];
	int32_t rows = x->length - x->lo - x->hi - x->fresh;
	struct ne_shape kept = with_rows(b, old, rows);
	struct ne_attr a = {.groups = 1, .axis = (int32_t)x->axis};
	int state = new_tensor(b, old, &kept, ".kept"), whole, next, r;
	uint32_t in[4], n = 0;

	if (state < 0)
		return state;
	whole = new_tensor(b, old, &b->old->tensor[old].shape, ".whole");
	if (whole < 0)
		return whole;
	if (x->lo)
		in[n++] = b->first[old];
	in[n++] = (uint32_t)state;
	in[n++] = b->form[old];
	if (x->hi)
		in[n++] = b->last[old];
	NE_RETURN_IF(new_node(b, NE_OP_CONCAT, n, in, (uint32_t)whole, &a));
	next = new_slice(b, old, (uint32_t)whole, x->lo + x->fresh, rows, ".next");
	if (next < 0)
		return next;
	r = ne_graph_add_state(b->g, (uint32_t)state, (uint32_t)next, NE_NONE);
	if (r < 0)
		return ne_fail(b->err, -r, "'%.80s' cannot be kept: too many states, or no memory",
			       b->old->tensor[old].name);
	b->whole[old] = (uint32_t)whole;
	return whole;
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

	if (ne_track_has_ends(x))
		return b->whole[old] == NE_NONE ? join_parts(b, old) : (int)b->whole[old];
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

/* ---- nodes in parts ---- */

/* Output rows of a part, and the rows of inputs that it reads. */
struct part {
	const char *suffix;
	int32_t begin, rows;
	bool first, last; /* with the padding before or behind */
};

/* Rows of input @old for part @p of a node whose output is as @y says. */
static int part_input(struct builder *b, uint32_t old, const struct ne_node_track *v,
		      const struct ne_track *y, const struct part *p)
{
	const struct ne_track *x = &b->track[old];
	int64_t begin = p->begin, end = begin + p->rows;
	int whole;

	if (x->motion == NE_FIXED)
		return (int)b->form[old];
	if (v->span) {
		end = (end - 1) * v->stride + v->begin + v->span;
		begin = begin * v->stride + v->begin;
		begin = p->first ? 0 : begin;
		end = p->last ? x->length : end;
	} else if (x->lo == y->lo && x->hi == y->hi && b->form[old] != NE_NONE) {
		return (int)(p->first ? b->first[old] : p->last ? b->last[old] : b->form[old]);
	}
	whole = whole_of(b, old);
	if (whole < 0)
		return whole;
	return new_slice(b, old, (uint32_t)whole, (int32_t)begin, (int32_t)(end - begin), ".rows");
}

/* Padding along time at the window's own ends alone; slices begin with what they are given. */
static struct ne_attr part_attr(const struct builder *b, const struct ne_node *n,
				const struct part *p)
{
	uint32_t axis = b->track[n->out[0]].axis;
	bool rows = b->old->tensor[n->in[0]].shape.rank == 4 && axis == 1;
	struct ne_attr a = n->attr;

	if (n->op == NE_OP_SLICE) {
		a.slice.begin[axis] = 0;
		a.slice.size[axis] = p->rows;
	} else if (rows) {
		a.window.pad_top = p->first ? a.window.pad_top : 0;
		a.window.pad_bottom = p->last ? a.window.pad_bottom : 0;
	} else {
		a.window.pad_left = p->first ? a.window.pad_left : 0;
		a.window.pad_right = p->last ? a.window.pad_right : 0;
	}
	return a;
}

static int build_part(struct builder *b, uint32_t i, const struct part *p)
{
	const struct ne_node *n = &b->old->node[i];
	const struct ne_track *y = &b->track[n->out[0]];
	const struct ne_node_track *v = &b->node[i];
	struct ne_attr attr = v->span ? part_attr(b, n, p) : n->attr;
	struct ne_shape s = with_rows(b, n->out[0], p->rows);
	uint32_t in[NE_MAX_IO], out;
	int id;

	for (uint32_t k = 0; k < n->n_in; k++) {
		in[k] = NE_NONE;
		if (n->in[k] == NE_NONE)
			continue;
		id = part_input(b, n->in[k], v, y, p);
		if (id < 0)
			return id;
		in[k] = (uint32_t)id;
	}
	id = new_tensor(b, n->out[0], &s, p->suffix);
	if (id < 0)
		return id;
	out = (uint32_t)id;
	id = ne_graph_add_node(b->g, n->op, n->name, n->n_in, in, 1, &out, &attr);
	if (id < 0)
		return ne_fail(b->err, -id, "node '%.80s' cannot be added", n->name);
	return (int)out;
}

static int build_parts(struct builder *b, uint32_t i)
{
	uint32_t t = b->old->node[i].out[0];
	const struct ne_track *y = &b->track[t];
	const struct part part[] = {
		{".first", 0, y->lo, .first = true},
		{".last", y->length - y->hi, y->hi, .last = true},
		{"", y->length - y->hi - y->fresh, y->fresh, .last = false},
	};
	uint32_t *to[] = {b->first, b->last, b->form};

	for (size_t k = 0; k < NE_ARRAY_SIZE(part); k++) {
		int id;

		if (!part[k].rows)
			continue;
		id = build_part(b, i, &part[k]);
		if (id < 0)
			return id;
		to[k][t] = (uint32_t)id;
	}
	return set_form(b, t, b->form[t]);
}

/* All rows: the parts are taken from these where somebody wants them. */
static int build_copy(struct builder *b, uint32_t i)
{
	const struct ne_node *n = &b->old->node[i];
	int x = whole_of(b, n->in[0]), y;

	if (x < 0)
		return x;
	y = new_tensor(b, n->out[0], &b->old->tensor[n->out[0]].shape, "");
	if (y < 0)
		return y;
	NE_RETURN_IF(new_node(b, n->op, 1, (uint32_t[]){(uint32_t)x}, (uint32_t)y, &n->attr));
	b->whole[n->out[0]] = (uint32_t)y;
	return 0;
}

static int build_node(struct builder *b, uint32_t i)
{
	const struct ne_node *n = &b->old->node[i];
	const struct ne_node_track *v = &b->node[i];
	struct ne_attr attr = attr_of(b, n, v->slides);
	uint32_t in[NE_MAX_IO], out[NE_MAX_IO];
	int id;

	if (v->slides && v->way != NE_FRESH)
		return v->way == NE_PARTS ? build_parts(b, i) : build_copy(b, i);
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
	size_t n = old->n_tensor + 1u;
	int r = -ENOMEM;

	*ret = (struct ne_stream_graph){.origin = NULL};
	ne_graph_init(&ret->graph);
	b.g = &ret->graph;
	b.form = malloc(5 * n * sizeof(*b.form));
	if (b.form) {
		for (size_t i = 0; i < 5 * n; i++)
			b.form[i] = NE_NONE;
		b.buffer = b.form + n;
		b.first = b.form + 2 * n;
		b.last = b.form + 3 * n;
		b.whole = b.form + 4 * n;
		r = build(&b, whole);
	} else {
		no_memory(&b);
	}
	free(b.form);
	if (r < 0) {
		ne_graph_done(&ret->graph);
		free(ret->origin);
		ret->origin = NULL;
	}
	return r;
}
