/* SPDX-License-Identifier: MIT */
/*
 * Following a sliding window through a graph.
 *
 * A tensor slides where row i of one run is row i - fresh of the next. An operator keeps that up if
 * it does the same to every row, or to every window of rows with a stride that divides the step, and
 * neither mixes rows otherwise nor tells the window's ends apart (padding). A reader of windows needs
 * old rows: its last output starts length_y * stride rows (and what the window begins later by)
 * before the end, so length_x - begin - length_y * stride of what it reads is older than the fresh
 * rows.
 *
 * Padding along time (a negative begin) makes the first and the last rows of a window unlike those
 * that slide between them. How many these ends are follows from layer to layer; they are computed anew,
 * and where nothing slides between them everything is. Operators that are not listed here do not slide: that is always right, only slower.
 */
#include "engine/model/stream_internal.h"
#include "engine/op/op.h"

#define PADDED  "pads along time, and no rows slide between the ends that this reaches"
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
	enum ne_way way;
	int32_t begin, stride, span;
};

static struct verdict no(const char *why)
{
	return (struct verdict){.why = why};
}

static struct verdict same(struct ne_track x)
{
	x.kept = 0;
	return (struct verdict){.y = x, .way = ne_track_has_ends(&x) ? NE_PARTS : NE_FRESH};
}

static int64_t divide_up(int64_t a, int64_t b)
{
	return a <= 0 ? 0 : (a + b - 1) / b;
}

/* Do the first and last rows leave so many that slide that three parts pay, and can they be computed
 * by themselves? */
static bool fits(const struct verdict *v, const struct ne_track *x, int64_t lo, int64_t hi)
{
	/* rows that the first and the last output rows read */
	int64_t first = (lo - 1) * v->stride + v->begin + v->span;
	int64_t last = x->length - ((v->y.length - hi) * v->stride + v->begin);

	if ((lo || hi) && 4 * (lo + hi + v->y.fresh) > 3 * (int64_t)v->y.length)
		return false;
	return (!lo || (first >= 1 && first <= x->length)) &&
	       (!hi || (last >= 1 && last <= x->length));
}

/* A window of @span rows (dilation included) every @stride rows from row @begin on, < 0: padding. */
static struct verdict windowed(struct ne_track x, uint32_t axis, int32_t begin, int32_t stride,
			       int32_t span, int32_t length)
{
	struct verdict v = {
		.y = {.motion = NE_SLIDES, .axis = axis, .length = length},
		.begin = begin,
		.stride = stride,
		.span = span,
	};
	/* all below 2^24 * 2^24: they follow from shapes that were checked */
	int64_t room = (int64_t)x.length - x.hi - span - begin, lo, hi;

	if (x.fresh % stride)
		return no(STRIDE);
	v.y.fresh = x.fresh / stride;
	if (v.y.fresh > length)
		return no(FEWER);
	lo = divide_up((int64_t)x.lo - begin, stride);
	hi = NE_MAX(0, length - 1 - (room < 0 ? -1 : room / stride));
	if (!lo && !hi && !ne_track_has_ends(&x)) {
		v.before = (int32_t)((int64_t)x.length - begin - (int64_t)length * stride);
		return v;
	}
	if (!fits(&v, &x, lo, hi))
		return no(PADDED);
	v.way = NE_PARTS;
	v.y.lo = (int32_t)lo;
	v.y.hi = (int32_t)hi;
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
	return windowed(x, x.axis, rows ? -w->pad_top : -w->pad_left, rows ? w->sh : w->sw,
			rows ? (w->kh - 1) * w->dh + 1 : (w->kw - 1) * w->dw + 1, y->dim[x.axis]);
}

/* Log-mel and spectrum: frames of a signal along axis 1. */
static struct verdict follow_frames(const struct ne_node *n, struct ne_track x,
				    const struct ne_shape *y)
{
	return x.axis == 1 ? windowed(x, 1, 0, n->attr.mel.hop, n->attr.mel.frame, y->dim[1])
			   : no(MIXES);
}

static struct verdict follow_slice(const struct ne_node *n, struct ne_track x)
{
	const struct ne_slice *s = &n->attr.slice;

	if (s->step[x.axis] < 1)
		return no("runs backwards along time");
	return windowed(x, x.axis, s->begin[x.axis], s->step[x.axis], 1, s->size[x.axis]);
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
	int32_t before = n->attr.pad[x.axis], behind = n->attr.pad[rank + x.axis];

	if (!before && !behind)
		return same(x);
	x.kept = 0;
	x.length += before + behind;
	x.lo += before;
	x.hi += behind;
	if (x.lo + x.hi + x.fresh >= x.length)
		return no(PADDED);
	return (struct verdict){.y = x, .way = NE_COPY};
}

/* Every input but constants slides alike; @joined: an axis along which they are joined, or -1. */
static struct verdict follow_together(const struct follower *f, const struct ne_node *n,
				      int32_t joined)
{
	uint32_t rank = ne_node_out(f->g, n)->shape.rank;
	struct ne_track all = {0};
	int32_t lo = 0, hi = 0;

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
		lo = NE_MAX(lo, x->lo);
		hi = NE_MAX(hi, x->hi);
		all = *x;
		all.axis = axis;
	}
	if ((int32_t)all.axis == joined)
		return no("joins rows of the window with others");
	if (ne_node_out(f->g, n)->shape.dim[all.axis] != all.length)
		return no(UNLIKE); /* one row, broadcast */
	all.lo = lo;
	all.hi = hi;
	if (ne_track_has_ends(&all) && lo + hi + all.fresh >= all.length)
		return no(PADDED);
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
	if (x->motion == NE_SLIDES && !ne_track_has_ends(x))
		x->kept = NE_MAX(x->kept, before);
}

/* All that slides among @n's inputs is needed whole. (What has ends can be had whole in any case.) */
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
	ret->way = v.way;
	ret->before = v.before;
	ret->begin = v.begin;
	ret->stride = v.stride;
	ret->span = v.span;
	for (uint32_t k = 0; k < n->n_out; k++)
		f->t[n->out[k]] =
			ret->slides ? v.y
				    : (struct ne_track){.motion = fixed ? NE_FIXED : NE_WHOLE};
	if (!ret->slides || ret->way != NE_FRESH)
		keep_whole(f, n);
	for (uint32_t k = 0; ret->slides && ret->way == NE_FRESH && k < n->n_in; k++)
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
