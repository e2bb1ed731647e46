/* SPDX-License-Identifier: MIT */
/*
 * A power spectrum made of convolutions: two convolutions of one signal whose weights are a window
 * times cosines and a window times sines, squared, added, and multiplied by a matrix of filters,
 * with any transposes and reshapes in between. It becomes one operator that uses the FFT.
 *
 * What lies in between is checked by walking a table of positions through it: the matrix product
 * must see frame by frame, in each the spectrum in its order.
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LAYOUTS_MAX 16
/* Of the window's largest value: f32 cosines are at most half a unit of 2^-24 off, those of some
 * trainers a few. */
#define TOLERANCE 2e-6

/* Reshapes and transposes in front of a tensor, the nearest first. */
struct path {
	uint32_t node[LAYOUTS_MAX], n;
};

/* The tensor behind the layout operators that write @t. */
static uint32_t behind(const struct edit *e, uint32_t t, struct path *ret)
{
	ret->n = 0;
	while (ret->n < LAYOUTS_MAX) {
		uint32_t i = edit_writer(e, t, NE_OP_RESHAPE);

		if (i == NE_NONE)
			i = edit_writer(e, t, NE_OP_TRANSPOSE);
		if (i == NE_NONE)
			break;
		ret->node[ret->n++] = i;
		t = e->g->node[i].in[0];
	}
	return t;
}

/* Moves @at, the position in the source of each element, as a transpose to @y from @x does. */
static void transpose(const struct ne_shape *x, const int32_t *perm, const uint32_t *at,
		      uint32_t *ret)
{
	size_t stride[NE_MAX_RANK], s = 1, total = ne_shape_elements(x);
	int32_t place[NE_MAX_RANK] = {0};

	for (uint32_t i = x->rank; i-- > 0; s *= (size_t)x->dim[i])
		stride[i] = s;
	for (size_t k = 0; k < total; k++) {
		size_t from = 0;

		for (uint32_t i = 0; i < x->rank; i++)
			from += (size_t)place[i] * stride[perm[i]];
		ret[k] = at[from];
		for (uint32_t i = x->rank; i-- > 0;) {
			if (++place[i] < x->dim[perm[i]])
				break;
			place[i] = 0;
		}
	}
}

/* @at through the operators of @p, from its far end; @at and @spare change places. */
static void walk(const struct edit *e, const struct path *p, uint32_t **at, uint32_t **spare)
{
	for (uint32_t k = p->n; k-- > 0;) {
		const struct ne_node *n = &e->g->node[p->node[k]];
		uint32_t *t = *at;

		if (n->op == NE_OP_RESHAPE)
			continue;
		transpose(&e->g->tensor[n->in[0]].shape, n->attr.perm, *at, *spare);
		*at = *spare;
		*spare = t;
	}
}

/* Does the element at every place of the end of both paths come from the same place? 0, 1; < 0: no
 * memory. */
static int in_order(struct edit *e, const struct path *near, const struct path *far, size_t n)
{
	uint32_t *memory = malloc(2 * n * sizeof(*memory)), *at = memory, *spare;
	int ok = 1;

	if (!memory)
		return ne_fail(e->err, ENOMEM, "rewrite: no memory");
	spare = memory + n;
	for (size_t i = 0; i < n; i++)
		at[i] = (uint32_t)i;
	walk(e, far, &at, &spare);
	walk(e, near, &at, &spare);
	for (size_t i = 0; i < n; i++)
		ok = ok && at[i] == i;
	free(memory);
	return ok;
}

/* A convolution without padding, bias or activation of a signal of one channel. */
static bool is_frames(const struct edit *e, uint32_t node)
{
	const struct ne_node *n = &e->g->node[node];
	const struct ne_window *w = &n->attr.window;
	const struct ne_shape *x = &e->g->tensor[n->in[0]].shape;
	int32_t frame = w->kw;

	return x->rank == 3 && x->dim[2] == 1 && n->attr.groups == 1 && !n->attr.act &&
	       !n->attr.norm && (n->n_in == 2 || n->in[2] == NE_NONE) && w->dw == 1 &&
	       !w->pad_left && !w->pad_right && !w->pad_top && !w->pad_bottom &&
	       edit_is_const(e, n->in[1]) && e->g->tensor[n->in[1]].dtype == NE_F32 && frame >= 4 &&
	       frame <= 8192 && !(frame & (frame - 1)) &&
	       e->g->tensor[n->in[1]].shape.dim[0] == frame / 2 + 1;
}

/* window[i] times the cosine or sine of frequency k; the angle is reduced before it loses digits. */
static double wave(const float *window, int32_t frame, bool sine, int32_t k, int32_t i)
{
	double angle = 2 * M_PI * (double)((int64_t)k * i % frame) / frame;

	return (double)window[i] * (sine ? sin(angle) : cos(angle));
}

/* weights[k][i] = window[i] * cos (or, of either sign, sin) of 2 pi k i / frame? */
static bool is_wave(const float *weights, const float *window, int32_t frame, bool sine)
{
	double size = 0, alike = 0;

	for (int32_t i = 0; i < frame; i++) {
		size = fmax(size, fabs((double)window[i]));
		alike += (double)weights[frame + i] * wave(window, frame, sine, 1, i);
	}
	for (int32_t k = 0; k <= frame / 2; k++)
		for (int32_t i = 0; i < frame; i++) {
			double want = wave(window, frame, sine, k, i);
			double got = (double)weights[(size_t)k * (size_t)frame + (size_t)i];

			if (sine && alike < 0)
				want = -want;
			if (!(fabs(got - want) <= TOLERANCE * size))
				return false;
		}
	return size > 0;
}

/* What was found. */
struct spectrum {
	const struct ne_node *cosine, *sine;
	struct path near, far[2];
};

/* The convolutions behind the sum of squares that @t holds. */
static bool find_squares(const struct edit *e, uint32_t t, struct spectrum *s)
{
	uint32_t add = edit_writer(e, behind(e, t, &s->near), NE_OP_ADD), conv[2];
	const struct ne_node *n = add == NE_NONE ? NULL : &e->g->node[add];

	if (!n || n->attr.act)
		return false;
	for (int k = 0; k < 2; k++) {
		uint32_t mul = edit_writer(e, n->in[k], NE_OP_MUL);
		const struct ne_node *m = mul == NE_NONE ? NULL : &e->g->node[mul];

		if (!m || m->attr.act || m->in[0] != m->in[1])
			return false;
		conv[k] = edit_writer(e, behind(e, m->in[0], &s->far[k]), NE_OP_CONV);
		if (conv[k] == NE_NONE || !is_frames(e, conv[k]))
			return false;
	}
	s->cosine = &e->g->node[conv[0]];
	s->sine = &e->g->node[conv[1]];
	return edit_same_shape(&e->g->tensor[n->in[0]].shape, &e->g->tensor[n->in[1]].shape);
}

static bool same_signal(const struct edit *e, const struct spectrum *s)
{
	struct path a, b;
	const struct ne_window *w = &s->cosine->attr.window, *v = &s->sine->attr.window;
	/* reshapes of [1,T,1] keep the order; transposes of it do too, all but one axis being 1 */
	uint32_t x = behind(e, s->cosine->in[0], &a), y = behind(e, s->sine->in[0], &b);

	return x == y && w->kw == v->kw && w->sw == v->sw;
}

static bool are_waves(const struct edit *e, struct spectrum *s)
{
	int32_t frame = s->cosine->attr.window.kw;

	for (int turn = 0; turn < 2; turn++) {
		const struct ne_node *n = s->cosine;
		const float *c = e->g->tensor[n->in[1]].data;

		/* cosines begin with the window itself */
		if (is_wave(c, c, frame, false))
			return is_wave(e->g->tensor[s->sine->in[1]].data, c, frame, true);
		s->cosine = s->sine;
		s->sine = n;
	}
	return false;
}

static int copy_values(struct edit *e, uint32_t named_after, uint32_t from, struct ne_shape shape)
{
	size_t bytes = ne_shape_elements(&shape) * sizeof(float);
	float *data = ne_alloc_aligned(bytes);

	if (!data)
		return ne_fail(e->err, ENOMEM, "rewrite: no memory");
	memcpy(data, e->g->tensor[from].data, bytes);
	return edit_add_const(e, named_after, &shape, data);
}

/* The matrix product @dense becomes a reshape of the new operator's output. */
static int replace(struct edit *e, uint32_t dense, const struct spectrum *s)
{
	const struct ne_window *win = &s->cosine->attr.window;
	uint32_t out = e->g->node[dense].out[0], filters = e->g->node[dense].in[1];
	uint32_t weights = s->cosine->in[1], signal = s->cosine->in[0];
	struct ne_shape bank = e->g->tensor[filters].shape, y;
	struct ne_shape window = {.rank = 1, .dim = {win->kw}};
	struct ne_attr a = {.groups = 1, .mel = {.frame = win->kw, .hop = win->sw, .fft = win->kw}};
	int w, f, t, node;

	y = (struct ne_shape){
		.rank = 3, .dim = {1, e->g->tensor[s->cosine->out[0]].shape.dim[1], bank.dim[0]}};
	w = copy_values(e, weights, weights, window);
	f = copy_values(e, filters, filters, bank);
	t = edit_add_tensor(e, out, &y);
	if (w < 0 || f < 0 || t < 0)
		return NE_MIN(NE_MIN(w, f), t);
	node = edit_add_node(e, NE_OP_SPECTRUM, signal, (uint32_t)t, &a);
	if (node < 0)
		return node;
	NE_RETURN_IF(edit_put_input(e, (uint32_t)node, 1, (uint32_t)w));
	NE_RETURN_IF(edit_put_input(e, (uint32_t)node, 2, (uint32_t)f));
	edit_set_input(e, dense, 0, (uint32_t)t);
	for (uint32_t k = 1; k < e->g->node[dense].n_in; k++)
		edit_set_input(e, dense, k, NE_NONE);
	e->g->node[dense].n_in = 1;
	e->g->node[dense].op = NE_OP_RESHAPE;
	e->g->node[dense].attr = (struct ne_attr){.groups = 1};
	return 0;
}

int rewrite_spectrum(struct edit *e)
{
	int changes = 0;

	for (uint32_t i = 0; i < e->g->n_node; i++) {
		const struct ne_node *n = &e->g->node[i];
		struct spectrum s;
		int ok = 1;

		if (n->op != NE_OP_DENSE || n->attr.act || n->attr.norm || !e->uses[n->out[0]] ||
		    (n->n_in > 2 && n->in[2] != NE_NONE) ||
		    e->g->tensor[n->in[1]].dtype != NE_F32 || !find_squares(e, n->in[0], &s))
			continue;
		if (e->g->tensor[n->in[1]].shape.dim[1] !=
			    e->g->tensor[s.cosine->out[0]].shape.dim[2] ||
		    !same_signal(e, &s) || !are_waves(e, &s))
			continue;
		for (int k = 0; k < 2 && ok > 0; k++)
			ok = in_order(e, &s.near, &s.far[k],
				      ne_shape_elements(&e->g->tensor[s.cosine->out[0]].shape));
		if (ok > 0)
			ok = replace(e, i, &s) < 0 ? -ENOMEM : 1;
		if (ok < 0)
			return ok;
		changes += ok;
	}
	return changes;
}
