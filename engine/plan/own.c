/* SPDX-License-Identifier: MIT */
/*
 * Which levels have weights of their own (struct ne_own). Only the choice is made here, by what
 * copies would take; they are packed when the first level that uses one is built (op/conv_pack.c).
 * The list belongs to the caller.
 */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <stdlib.h>

static bool packs(const struct ne_graph *g, const struct ne_node *n)
{
	return (n->op == NE_OP_CONV || n->op == NE_OP_DENSE) &&
	       g->tensor[n->in[1]].dtype != NE_U8; /* those are packed for each width anyway */
}

/* The first exit that needs each node, or NE_NONE: @ret [n_node]. */
static int first_exits(const struct ne_graph *g, uint32_t *ret)
{
	uint8_t *needed = malloc(g->n_tensor + 1u);
	int r = needed ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < g->n_node; i++)
		ret[i] = NE_NONE;
	for (uint32_t e = g->n_exit; e-- && r == 0;) {
		r = ne_graph_needs(g, e, needed);
		for (uint32_t i = 0; i < g->n_node && r == 0; i++)
			for (uint32_t k = 0; k < g->node[i].n_out; k++)
				if (needed[g->node[i].out[k]])
					ret[i] = e;
	}
	free(needed);
	return r;
}

static size_t packed_bytes(const struct ne_kernels *k, const struct ne_tensor *w, uint32_t oc,
			   uint32_t taps, uint32_t ic)
{
	return w->dtype == NE_S8 ? ne_pack_conv_s8_bytes(k, oc, taps, ic)
				 : ne_pack_conv_f32_elements(k, oc, taps, ic) * sizeof(float);
}

/* A growing list. */
struct list {
	struct ne_own *own;
	uint32_t n, capacity;
};

/* The copy of @node for @ic channels among those from @first, which are the node's; or a new one. */
static struct ne_own *entry_of(struct list *l, uint32_t first, uint32_t node, uint32_t ic)
{
	for (uint32_t i = first; i < l->n; i++)
		if (l->own[i].ic == ic)
			return &l->own[i];
	if (l->n == l->capacity) {
		const uint32_t more = l->capacity ? 2 * l->capacity : 32;
		struct ne_own *p = realloc(l->own, more * sizeof(*p));

		if (!p)
			return NULL;
		l->own = p;
		l->capacity = more;
	}
	l->own[l->n] = (struct ne_own){.node = node, .ic = ic};
	return &l->own[l->n++];
}

/* What the levels would like to have of the node, which its exit @first_exit needs first. */
static int wishes_of_node(const struct ne_lower *lw, uint32_t node, uint32_t first_exit,
			  struct list *l)
{
	const struct ne_node *n = &lw->g->node[node];
	const struct ne_tensor *w = &lw->g->tensor[n->in[1]];
	const struct ne_shape *y = &ne_node_out(lw->g, n)->shape;
	const uint32_t taps = (uint32_t)(n->attr.window.kh * n->attr.window.kw), from = l->n;
	const uint32_t pixels = (uint32_t)(ne_shape_elements(y) / (size_t)ne_shape_last(y));
	const uint32_t full = (uint32_t)ne_shape_last(&w->shape);
	/* of full width, which levels then use prefixes of */
	const bool winograd = w->dtype == NE_S8 &&
			      ne_winograd_suits(lw->k, n, pixels, (uint32_t)w->shape.dim[0], full);

	for (uint32_t i = 0; i < lw->m->n_level; i++) {
		const struct ne_level *level = &lw->m->level[i];
		uint32_t ic = (uint32_t)ne_model_channels(lw->m, level->width, n->in[0]);
		uint32_t oc = (uint32_t)ne_model_channels(lw->m, level->width, n->out[0]);
		struct ne_own *own;

		if (first_exit > level->depth || ic == full)
			continue;
		if (winograd && ic % 16 == 0) {
			lw->packed[node].no_quads = true;
			continue;
		}
		own = entry_of(l, from, node, ic);
		if (!own)
			return -ENOMEM;
		own->pixels = pixels;
		own->oc = NE_MAX(own->oc, oc);
		own->bytes = packed_bytes(lw->k, w, own->oc, taps, ic);
	}
	return 0;
}

static int wishes(const struct ne_lower *lw, const uint32_t *first_exit, struct list *l)
{
	const struct ne_graph *g = lw->g;

	for (uint32_t i = 0; i < g->n_node; i++) {
		const struct ne_node *n = &g->node[i];
		const bool s8 = g->tensor[n->in[0]].dtype == NE_S8;

		if (n->op != NE_OP_CONV || !packs(g, n) || !g->tensor[n->in[0]].group)
			continue;
		if ((n->attr.window.kh * n->attr.window.kw > 1 || (s8 && lw->k->conv_quads_s8)) &&
		    first_exit[i] != NE_NONE)
			NE_RETURN_IF(wishes_of_node(lw, i, first_exit[i], l));
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct ne_own *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return (x->ic > y->ic) - (x->ic < y->ic);
}

/* Pixels for each input channel, the most first; then the smaller one. */
static int by_worth(const void *a, const void *b)
{
	const struct ne_own *x = a, *y = b;
	const uint64_t of_x = (uint64_t)x->pixels * y->ic, of_y = (uint64_t)y->pixels * x->ic;

	if (of_x != of_y)
		return of_x > of_y ? -1 : 1;
	return x->bytes == y->bytes ? by_place(a, b) : x->bytes < y->bytes ? -1 : 1;
}

/* How many bytes of copies the model may have. */
static size_t budget_of(const struct ne_lower *lw)
{
	size_t all = 0;

	for (uint32_t i = 0; i < lw->g->n_node; i++)
		if (packs(lw->g, &lw->g->node[i]))
			all += lw->g->tensor[lw->g->node[i].in[1]].bytes;
	return NE_MAX(NE_OWN_BYTES, all / NE_OWN_SHARE);
}

int ne_own_choose(struct ne_lower *lw)
{
	uint32_t *first_exit = calloc(lw->g->n_node + 1u, sizeof(*first_exit)), n = 0;
	size_t left = budget_of(lw);
	struct list l = {0};
	int r = first_exit ? first_exits(lw->g, first_exit) : -ENOMEM;

	if (r == 0)
		r = wishes(lw, first_exit, &l);
	free(first_exit);
	if (r < 0) {
		free(l.own);
		return ne_fail(lw->err, ENOMEM, "out of memory building the program");
	}
	if (l.n)
		qsort(l.own, l.n, sizeof(*l.own), by_worth);
	for (uint32_t i = 0; i < l.n; i++)
		if (l.own[i].bytes <= left) {
			left -= l.own[i].bytes;
			l.own[n++] = l.own[i];
		} else {
			lw->packed[l.own[i].node].no_quads = true;
			lw->packed[l.own[i].node].no_winograd = true;
		}
	if (n)
		qsort(l.own, n, sizeof(*l.own), by_place);
	lw->own = l.own;
	lw->n_own = n;
	lw->own_left = left;
	return 0;
}

struct ne_own *ne_own_of(const struct ne_lower *lw, const struct ne_node *n, uint32_t ic)
{
	const struct ne_own key = {.node = (uint32_t)(n - lw->g->node), .ic = ic};

	return lw->n_own ? bsearch(&key, lw->own, lw->n_own, sizeof(key), by_place) : NULL;
}
