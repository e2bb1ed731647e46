/* SPDX-License-Identifier: MIT */
/*
 * Following a sliding window through a graph.
 *
 * A tensor slides where row i of one run is row i - fresh of the next. An operator keeps that up if
 * it does the same to every row, or to every window of rows with a stride that divides the step, and
 * neither mixes rows otherwise nor tells the window's ends apart (padding). A reader of windows needs
 * old rows: its last output starts length_y * stride rows (and what the window begins later by)
 * before the end, so length_x - begin - length_y * stride of what it reads is older than the fresh
 * rows. Operators that are not listed here do not slide: that is always right, only slower.
 */
#include "engine/model/stream_internal.h"
#include "engine/op/op.h"

#define PADDED  "pads along time, so that the ends of the window differ from its middle"
#define MIXES   "mixes all rows of the window"
#define STRIDE  "the step is not a multiple of its stride"
#define FEWER   "gives fewer rows than are new in a step"
#define UNLIKE  "its inputs do not move alike"
#define UNKNOWN "is not known to treat all rows alike"

struct follower {
	const struct ne_graph *g;
	struct ne_track *t;
};

/* How a node moves, worked out by its rule: the output's track, or why not. */
struct verdict {
	struct ne_track y;
	int32_t before;
	const char *why;
};

static struct verdict no(const char *why)
{
	return (struct verdict){.why = why};
}

static struct verdict same(struct ne_track x)
{
	x.kept = 0;
	return (struct verdict){.y = x};
}

/* A window of @span rows (dilation included) every @stride rows from row @begin on. */
static struct verdict windowed(struct ne_track x, uint32_t axis, int32_t begin, int32_t stride,
			       int32_t length)
{
	struct verdict v = {.y = {.motion = NE_SLIDES, .axis = axis, .length = length}};

	if (x.fresh % stride)
		return no(STRIDE);
	v.y.fresh = x.fresh / stride;
	if (v.y.fresh > length)
		return no(FEWER);
	/* both below 2^24 * 2^24: lengths follow from shapes that were checked */
	v.before = (int32_t)((int64_t)x.length - begin - (int64_t)length * stride);
	return v;
}

/* ---- rules ---- */

/* Convolutions and pools: H and W of [1,H,W,C], or T of [1,T,C], may be time. */
static struct verdict follow_window(const struct ne_node *n, struct ne_track x, uint32_t rank,
				    const struct ne_shape *y)
{
	const struct ne_window *w = &n->attr.window;
	bool rows = rank == 4 && x.axis == 1;

	if (!rows && x.axis != rank - 2)
		return no(MIXES);
	if (rows ? w->pad_top || w->pad_bottom : w->pad_left || w->pad_right)
		return no(PADDED);
	return windowed(x, x.axis, 0, rows ? w->sh : w->sw, y->dim[x.axis]);
}

/* Log-mel and spectrum: frames of a signal along axis 1. */
static struct verdict follow_frames(const struct ne_node *n, struct ne_track x,
				    const struct ne_shape *y)
{
	return x.axis == 1 ? windowed(x, 1, 0, n->attr.mel.hop, y->dim[1]) : no(MIXES);
}

static struct verdict follow_slice(const struct ne_node *n, struct ne_track x)
{
	const struct ne_slice *s = &n->attr.slice;

	if (s->step[x.axis] < 1)
		return no("runs backwards along time");
	return windowed(x, x.axis, s->begin[x.axis], s->step[x.axis], s->size[x.axis]);
}

/* The axis of time stays where the same number of elements is before and behind it. */
static struct verdict follow_reshape(struct ne_track x, const struct ne_shape *from,
				     const struct ne_shape *to)
{
	size_t before = 1, at = 1;

	for (uint32_t i = 0; i < x.axis; i++)
		before *= (size_t)from->dim[i];
	for (uint32_t i = 0; i < to->rank && at <= before; at *= (size_t)to->dim[i++])
		if (at == before && to->dim[i] == x.length) {
			x.axis = i;
			return same(x);
		}
	return no("joins time with another axis, or divides it");
}

static struct verdict follow_transpose(const struct ne_node *n, struct ne_track x, uint32_t rank)
{
	for (uint32_t i = 0; i < rank; i++)
		if (n->attr.perm[i] == (int32_t)x.axis) {
			x.axis = i;
			return same(x);
		}
	return no(UNKNOWN);
}

static struct verdict follow_pad(const struct ne_node *n, struct ne_track x, uint32_t rank)
{
	return n->attr.pad[x.axis] || n->attr.pad[rank + x.axis] ? no(PADDED) : same(x);
}

/* Every input but constants slides alike; @joined: an axis along which they are joined, or -1. */
static struct verdict follow_together(const struct follower *f, const struct ne_node *n,
				      int32_t joined)
{
	uint32_t rank = ne_node_out(f->g, n)->shape.rank;
	struct ne_track all = {0};

	for (uint32_t k = 0; k < n->n_in; k++) {
		const struct ne_track *x = &f->t[n->in[k]];
		uint32_t axis = x->axis + rank - f->g->tensor[n->in[k]].shape.rank;

		if (x->motion == NE_FIXED)
			continue;
		if (x->motion == NE_WHOLE)
			return no(UNLIKE);
		if (all.motion == NE_SLIDES &&
		    (all.axis != axis || all.length != x->length || all.fresh != x->fresh))
			return no(UNLIKE);
		all = *x;
		all.axis = axis;
	}
	if ((int32_t)all.axis == joined)
		return no("joins rows of the window with others");
	if (ne_node_out(f->g, n)->shape.dim[all.axis] != all.length)
		return no(UNLIKE); /* one row, broadcast */
	/* a constant must be the same for all rows */
	for (uint32_t k = 0; k < n->n_in; k++) {
		const struct ne_shape *s = &f->g->tensor[n->in[k]].shape;
		uint32_t missing = rank - s->rank;

		if (f->t[n->in[k]].motion == NE_FIXED &&
		    (joined >= 0 || (all.axis >= missing && s->dim[all.axis - missing] != 1)))
			return no("a constant differs from row to row");
	}
	return same(all);
}

/* The other inputs are constants that go with channels, and time is no channel axis. */
static struct verdict follow_rows(const struct follower *f, const struct ne_node *n,
				  struct ne_track x, uint32_t rank)
{
	for (uint32_t k = 1; k < n->n_in; k++)
		if (n->in[k] != NE_NONE && f->t[n->in[k]].motion != NE_FIXED)
			return no(UNLIKE);
	return x.axis + 1 == rank ? no(MIXES) : same(x);
}

/* x, then a vector of positions for each axis. */
static struct verdict follow_pick(const struct follower *f, const struct ne_node *n,
				  struct ne_track x)
{
	for (uint32_t k = 1; k < n->n_in; k++)
		if (n->in[k] != NE_NONE && (f->t[n->in[k]].motion != NE_FIXED || k - 1 == x.axis))
			return no("picks rows of the window");
	return same(x);
}

static struct verdict follow_node(const struct follower *f, const struct ne_node *n)
{
	const struct ne_shape *y = &ne_node_out(f->g, n)->shape;
	const struct ne_tensor *first = ne_node_in(f->g, n, 0);
	struct ne_track x = {0};
	uint32_t rank = 0;

	if (first) {
		x = f->t[n->in[0]];
		rank = first->shape.rank;
	}
	switch (n->op) {
	case NE_OP_ADD:
	case NE_OP_MUL:
	case NE_OP_BINARY:
	case NE_OP_WHERE:
		return follow_together(f, n, -1);
	case NE_OP_CONCAT:
		return follow_together(f, n, n->attr.axis);
	default:
		break;
	}
	if (x.motion != NE_SLIDES)
		return no(UNKNOWN);
	switch (n->op) {
	case NE_OP_RELU:
	case NE_OP_RELU6:
	case NE_OP_HARDSWISH:
	case NE_OP_SIGMOID:
	case NE_OP_TANH:
	case NE_OP_QUANTISE:
	case NE_OP_DEQUANTISE:
	case NE_OP_UNARY:
	case NE_OP_CAST:
		return same(x);
	case NE_OP_CONV:
	case NE_OP_DWCONV:
	case NE_OP_MAXPOOL:
	case NE_OP_AVGPOOL:
		return follow_window(n, x, rank, y);
	case NE_OP_LOGMEL:
	case NE_OP_SPECTRUM:
		return follow_frames(n, x, y);
	case NE_OP_SLICE:
		return follow_slice(n, x);
	case NE_OP_RESHAPE:
		return follow_reshape(x, &first->shape, y);
	case NE_OP_TRANSPOSE:
		return follow_transpose(n, x, rank);
	case NE_OP_PAD:
		return follow_pad(n, x, rank);
	case NE_OP_DENSE:
	case NE_OP_BATCHNORM:
		return follow_rows(f, n, x, rank);
	case NE_OP_SOFTMAX:
		return n->attr.axis == (int32_t)x.axis ? no(MIXES) : same(x);
	case NE_OP_REDUCE:
		return n->attr.axes & 1u << x.axis ? no(MIXES) : same(x);
	case NE_OP_PICK:
		return follow_pick(f, n, x);
	case NE_OP_GLOBALPOOL:
		return no(MIXES);
	default:
		return no(UNKNOWN);
	}
}

/* ---- the walk ---- */

static void keep(struct ne_track *x, int32_t before)
{
	if (x->motion == NE_SLIDES)
		x->kept = NE_MAX(x->kept, before);
}

/* All that slides among @n's inputs is needed whole. */
static void keep_whole(struct follower *f, const struct ne_node *n)
{
	for (uint32_t k = 0; k < n->n_in; k++)
		if (n->in[k] != NE_NONE)
			keep(&f->t[n->in[k]], f->t[n->in[k]].length - f->t[n->in[k]].fresh);
}

static void follow(struct follower *f, const struct ne_node *n, struct ne_node_track *ret)
{
	bool fixed = true, slides = false;
	struct verdict v = {0};

	for (uint32_t k = 0; k < n->n_in; k++) {
		if (n->in[k] == NE_NONE)
			continue;
		fixed = fixed && f->t[n->in[k]].motion == NE_FIXED;
		slides = slides || f->t[n->in[k]].motion == NE_SLIDES;
	}
	if (slides)
		v = n->n_out == 1 ? follow_node(f, n) : no(UNKNOWN);
	ret->slides = slides && !v.why;
	ret->why = v.why;
	ret->before = v.before;
	for (uint32_t k = 0; k < n->n_out; k++)
		f->t[n->out[k]] =
			ret->slides ? v.y
				    : (struct ne_track){.motion = fixed ? NE_FIXED : NE_WHOLE};
	if (!ret->slides)
		keep_whole(f, n);
	for (uint32_t k = 0; ret->slides && k < n->n_in; k++)
		if (n->in[k] != NE_NONE)
			keep(&f->t[n->in[k]], v.before);
}

void ne_stream_follow(const struct ne_graph *g, uint32_t input, struct ne_track first, bool whole,
		      struct ne_track *t, struct ne_node_track *n)
{
	struct follower f = {g, t};

	for (uint32_t i = 0; i < g->n_tensor; i++)
		t[i] = (struct ne_track){.motion = g->tensor[i].data ? NE_FIXED : NE_WHOLE};
	t[g->in[input]] = first;
	for (uint32_t i = 0; i < g->n_node; i++)
		follow(&f, &g->node[i], &n[i]);
	for (uint32_t e = 0; whole && e < g->n_exit; e++)
		for (uint32_t k = 0; k < g->exit[e].n_out; k++) {
			struct ne_track *x = &t[g->exit[e].out[k]];

			keep(x, x->length - x->fresh);
		}
}
