/* SPDX-License-Identifier: MIT */
/*
 * Folds batch norm, y = gamma * (x - mean) / sqrt(var + eps) + beta, into the weights and bias of
 * the convolution or dense node before it. One that stands alone becomes a 1x1 depthwise
 * convolution.
 */
#include "tools/neap/compress/rewrite/edit.h"
#include "tools/neap/compress/rewrite/rewrites.h"

#include <math.h>
#include <stdlib.h>

/* scale and shift of the norm, in one allocation: scale[c], shift[c]. */
static float *affine_of(const struct edit *e, const struct ne_node *n, uint32_t c)
{
	const float *p[4];
	float *s = malloc(2 * (size_t)c * sizeof(*s));

	if (!s)
		return NULL;
	for (uint32_t k = 0; k < 4; k++)
		p[k] = e->g->tensor[n->in[k + 1]].data;
	for (uint32_t i = 0; i < c; i++) {
		double scale = (double)p[0][i] / sqrt((double)p[3][i] + (double)n->attr.value);

		s[i] = (float)scale;
		s[c + i] = (float)((double)p[1][i] - (double)p[2][i] * scale);
	}
	return s;
}

static int reshape_to(struct edit *e, uint32_t from, uint32_t to)
{
	struct ne_attr attr = {.groups = 1};

	return edit_add_node(e, NE_OP_RESHAPE, from, to, &attr);
}

/* x [.., C] seen as [1, 1, pixels, C], filtered 1x1 depthwise. */
static int stand_alone(struct edit *e, uint32_t node, uint32_t c, const float *s)
{
	struct ne_graph *g = e->g;
	uint32_t x = g->node[node].in[0], y = g->node[node].out[0];
	int32_t pixels = (int32_t)(ne_shape_elements(&g->tensor[x].shape) / c);
	struct ne_shape flat = {.rank = 4, .dim = {1, 1, pixels, (int32_t)c}};
	struct ne_shape wshape = {.rank = 3, .dim = {1, 1, (int32_t)c}};
	struct ne_shape bshape = {.rank = 1, .dim = {(int32_t)c}};
	float *data = ne_alloc_aligned(c * sizeof(float));
	struct ne_node *n;
	int w, b, r;

	if (!data)
		return -ENOMEM;
	for (uint32_t i = 0; i < c; i++)
		data[i] = s[i];
	w = edit_add_const(e, y, &wshape, data);
	if (w < 0)
		return w;
	data = ne_alloc_aligned(c * sizeof(float));
	if (!data)
		return -ENOMEM;
	for (uint32_t i = 0; i < c; i++)
		data[i] = s[c + i];
	b = edit_add_const(e, y, &bshape, data);
	if (b < 0)
		return b;
	if (g->tensor[x].shape.rank != 4 || g->tensor[x].shape.dim[0] != 1) {
		int fx = edit_add_tensor(e, x, &flat), fy;

		if (fx < 0)
			return fx;
		fy = edit_add_tensor(e, y, &flat);
		if (fy < 0)
			return fy;
		edit_set_output(e, node, (uint32_t)fy);
		r = reshape_to(e, x, (uint32_t)fx);
		if (r < 0)
			return r;
		r = reshape_to(e, (uint32_t)fy, y);
		if (r < 0)
			return r;
		edit_set_input(e, node, 0, (uint32_t)fx);
	}
	for (uint32_t k = 3; k < 5; k++)
		edit_set_input(e, node, k, NE_NONE);
	edit_set_input(e, node, 1, (uint32_t)w);
	edit_set_input(e, node, 2, (uint32_t)b);
	n = &g->node[node];
	n->n_in = 3;
	n->op = NE_OP_DWCONV;
	n->attr = (struct ne_attr){
		.groups = 1,
		.window = {.kh = 1, .kw = 1, .sh = 1, .sw = 1, .dh = 1, .dw = 1},
	};
	return 0;
}

static bool constants_fit(const struct edit *e, const struct ne_node *n, uint32_t *ret_c)
{
	const struct ne_shape *x = &e->g->tensor[n->in[0]].shape;
	uint32_t c = x->rank ? (uint32_t)x->dim[x->rank - 1] : 0;

	for (uint32_t k = 1; k < 5; k++) {
		const struct ne_tensor *t;

		if (!edit_is_const(e, n->in[k]))
			return false;
		t = &e->g->tensor[n->in[k]];
		if (t->dtype != NE_F32 || ne_shape_elements(&t->shape) != c)
			return false;
	}
	*ret_c = c;
	return c > 0;
}

static uint32_t foldable_writer(const struct edit *e, uint32_t t, uint32_t c)
{
	uint32_t w = e->producer[t];
	const struct ne_node *n;
	const struct ne_shape *shape;

	if (w == NE_NONE || e->uses[t] != 1)
		return NE_NONE;
	n = &e->g->node[w];
	if (!edit_has_weights(n->op) || n->attr.act || n->attr.norm ||
	    !edit_is_const(e, n->in[1]) || e->g->tensor[n->in[1]].dtype != NE_F32)
		return NE_NONE;
	if (n->n_in > 2 && n->in[2] != NE_NONE && !edit_is_const(e, n->in[2]))
		return NE_NONE;
	shape = &e->g->tensor[n->in[1]].shape;
	if ((uint32_t)shape->dim[n->op == NE_OP_DWCONV ? shape->rank - 1 : 0] != c)
		return NE_NONE;
	return w;
}

static int fold_before(struct edit *e, uint32_t node, uint32_t writer, const float *s, uint32_t c)
{
	uint32_t x = e->g->node[node].in[0], y = e->g->node[node].out[0];

	NE_RETURN_IF(edit_scale_weights(e, writer, s, s + c));
	if (!edit_replace(e, y, x))
		return ne_fail(e->err, EINVAL, "rewrite: batch norm %s cannot be taken out",
			       e->g->node[node].name);
	return 0;
}

static int apply(struct edit *e, bool alone)
{
	struct ne_graph *g = e->g;
	uint32_t n_node = g->n_node;
	int changes = 0;

	for (uint32_t i = 0; i < n_node; i++) {
		uint32_t c, w;
		float *s;
		int r;

		if (g->node[i].op != NE_OP_BATCHNORM || g->node[i].n_in != 5 ||
		    !constants_fit(e, &g->node[i], &c))
			continue;
		w = foldable_writer(e, g->node[i].in[0], c);
		if ((w == NE_NONE) != alone)
			continue;
		s = affine_of(e, &g->node[i], c);
		if (!s)
			return ne_fail(e->err, ENOMEM, "rewrite: no memory");
		r = alone ? stand_alone(e, i, c, s) : fold_before(e, i, w, s, c);
		free(s);
		if (r < 0)
			return r;
		changes++;
	}
	return changes;
}

int rewrite_batchnorm(struct edit *e)
{
	return apply(e, false);
}

int rewrite_batchnorm_alone(struct edit *e)
{
	return apply(e, true);
}
