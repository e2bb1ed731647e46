// SPDX-License-Identifier: MIT
/*
 * From a recipe's blocks to a graph. The builder adds nodes behind a cursor; the first failure is
 * kept and makes every later call do nothing, so that block builders read straight through.
 */
#include "tools/neap/train/network.h"
#include "tools/neap/train/network_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NORM_EPSILON 1e-5f

struct builder {
	struct network *n;
	struct ne_error *err;
	int code;
	unsigned count; /* of layers, for names */
};

static int keep(struct builder *b, int rc)
{
	if (b->code == 0 && rc < 0)
		b->code = rc;
	return rc;
}

static struct ne_tensor *tensor(struct builder *b, uint32_t id)
{
	return &b->n->graph.tensor[id];
}

static uint32_t new_group(struct builder *b, int32_t channels)
{
	int g = b->code < 0 ? b->code : keep(b, ne_graph_add_group(&b->n->graph, channels));

	return g < 0 ? NE_NO_GROUP : (uint32_t)g;
}

/* A parameter, all @value. */
static uint32_t constant(struct builder *b, const char *name, uint32_t rank, const int32_t *dim,
			 float value)
{
	struct ne_shape s = {.rank = rank};
	size_t count;
	float *data;
	int id;

	if (b->code < 0)
		return 0;
	memcpy(s.dim, dim, rank * sizeof(*dim));
	count = ne_shape_elements(&s);
	data = count ? malloc(count * sizeof(*data)) : NULL;
	if (!data) {
		b->code = ne_fail(b->err, count ? ENOMEM : E2BIG, "layer %s: weights too large",
				  name);
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		data[i] = value;
	id = keep(b, ne_graph_add_const(&b->n->graph, name, NE_F32, &s, data));
	return id < 0 ? 0 : (uint32_t)id;
}

static uint32_t vector(struct builder *b, const char *layer, const char *what, int32_t n,
		       float value)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", layer, what);
	return constant(b, name, 1, &n, value);
}

/* A node with one output of the inferred shape; returns that tensor. */
static uint32_t node(struct builder *b, enum ne_op op, const char *name, uint32_t n_in,
		     const uint32_t *in, const struct ne_attr *attr, uint32_t group)
{
	struct ne_graph *g = &b->n->graph;
	struct ne_shape shapes[8], s = {.rank = 1, .dim = {1}};
	uint32_t out;
	int id, at;

	if (b->code < 0)
		return 0;
	id = keep(b, ne_graph_add_tensor(g, name, NE_F32, &s));
	if (id < 0)
		return 0;
	out = (uint32_t)id;
	at = keep(b, ne_graph_add_node(g, op, name, n_in, in, 1, &out, attr));
	if (at < 0)
		return 0;
	for (uint32_t i = 0; i < n_in; i++)
		shapes[i] = g->tensor[in[i]].shape;
	if (keep(b, ne_shape_infer(g, (uint32_t)at, shapes, &s, b->err)) < 0)
		return 0;
	g->tensor[out].shape = s;
	g->tensor[out].group = group;
	return out;
}

static void layer_name(struct builder *b, const char *kind, char name[32])
{
	snprintf(name, 32, "%s%u", kind, ++b->count);
}

/* Output as large as the input over the stride, the odd padding at the end. */
static void same_padding(int32_t in, int32_t k, int32_t stride, int32_t *begin, int32_t *end)
{
	int32_t out = (in + stride - 1) / stride, total = (out - 1) * stride + k - in;

	total = NE_MAX(total, 0);
	*begin = total / 2;
	*end = total - total / 2;
}

static struct ne_attr window(struct builder *b, uint32_t x, const int32_t k[2], const int32_t s[2],
			     bool valid)
{
	const struct ne_shape *in = &tensor(b, x)->shape;
	struct ne_attr a = {.groups = 1};
	struct ne_window *w = &a.window;

	w->kh = k[0];
	w->kw = k[1];
	w->sh = s[0];
	w->sw = s[1];
	w->dh = w->dw = 1;
	if (!valid && in->rank == 4) {
		same_padding(in->dim[1], k[0], s[0], &w->pad_top, &w->pad_bottom);
		same_padding(in->dim[2], k[1], s[1], &w->pad_left, &w->pad_right);
	}
	return a;
}

static uint32_t batch_norm(struct builder *b, const char *layer, uint32_t x, bool relu)
{
	uint32_t group = tensor(b, x)->group, in[5] = {x};
	int32_t c = tensor(b, x)->shape.dim[3];
	struct ne_attr a = {.value = NORM_EPSILON};
	char name[64];

	in[1] = vector(b, layer, "gamma", c, 1.0f);
	in[2] = vector(b, layer, "beta", c, 0.0f);
	in[3] = vector(b, layer, "mean", c, 0.0f);
	in[4] = vector(b, layer, "var", c, 1.0f);
	snprintf(name, sizeof(name), "%s.norm", layer);
	x = node(b, NE_OP_BATCHNORM, name, 5, in, &a, group);
	if (!relu)
		return x;
	snprintf(name, sizeof(name), "%s.relu", layer);
	return node(b, NE_OP_RELU, name, 1, &x, &(struct ne_attr){0}, group);
}

static uint32_t conv(struct builder *b, uint32_t x, const struct recipe_block *k, uint32_t group,
		     bool relu)
{
	struct ne_attr a = window(b, x, k->kernel, k->stride, k->valid);
	int32_t dim[4] = {k->channels, k->kernel[0], k->kernel[1], tensor(b, x)->shape.dim[3]};
	uint32_t in[2] = {x};
	char name[32], w[64];

	layer_name(b, "conv", name);
	snprintf(w, sizeof(w), "%s.weight", name);
	in[1] = constant(b, w, 4, dim, 0.0f);
	x = node(b, NE_OP_CONV, name, 2, in, &a, group);
	return b->code < 0 ? 0 : batch_norm(b, name, x, relu);
}

static uint32_t depthwise(struct builder *b, uint32_t x, const struct recipe_block *k)
{
	struct ne_attr a = window(b, x, k->kernel, k->stride, k->valid);
	int32_t dim[3] = {k->kernel[0], k->kernel[1], tensor(b, x)->shape.dim[3]};
	uint32_t in[2] = {x}, group = tensor(b, x)->group;
	char name[32], w[64];

	a.groups = dim[2];
	layer_name(b, "dwconv", name);
	snprintf(w, sizeof(w), "%s.weight", name);
	in[1] = constant(b, w, 3, dim, 0.0f);
	x = node(b, NE_OP_DWCONV, name, 2, in, &a, group);
	return b->code < 0 ? 0 : batch_norm(b, name, x, true);
}

static uint32_t separable(struct builder *b, uint32_t x, const struct recipe_block *k)
{
	struct recipe_block point = {.channels = k->channels, .kernel = {1, 1}, .stride = {1, 1}};

	x = depthwise(b, x, k);
	return b->code < 0 ? 0 : conv(b, x, &point, new_group(b, k->channels), true);
}

static uint32_t residual(struct builder *b, uint32_t x, const struct recipe_block *k)
{
	const struct ne_tensor *t = tensor(b, x);
	bool project = k->stride[0] != 1 || k->stride[1] != 1 || t->shape.dim[3] != k->channels ||
		       t->group == NE_NO_GROUP;
	uint32_t group = project ? new_group(b, k->channels) : t->group, in[2];
	struct recipe_block second = *k, shortcut = *k;
	struct ne_attr add = {.act = NE_ACT_RELU};
	char name[32];

	second.stride[0] = second.stride[1] = 1;
	shortcut.kernel[0] = shortcut.kernel[1] = 1;
	in[0] = conv(b, x, k, new_group(b, k->channels), true);
	if (b->code == 0)
		in[0] = conv(b, in[0], &second, group, false);
	in[1] = x;
	if (project && b->code == 0)
		in[1] = conv(b, x, &shortcut, group, false);
	layer_name(b, "add", name);
	return node(b, NE_OP_ADD, name, 2, in, &add, group);
}

static uint32_t max_pool(struct builder *b, uint32_t x, const struct recipe_block *k)
{
	struct ne_attr a = window(b, x, k->kernel, k->stride, k->valid);
	char name[32];

	layer_name(b, "maxpool", name);
	return node(b, NE_OP_MAXPOOL, name, 1, &x, &a, tensor(b, x)->group);
}

/* Averages @x over windows of equal size so that at most @grid x @grid cells are left. */
static uint32_t pool_to_grid(struct builder *b, uint32_t x, int32_t grid)
{
	const struct ne_shape *in = &tensor(b, x)->shape;
	struct ne_attr a = {.groups = 1};
	int32_t gh = NE_MIN(grid, in->dim[1]), gw = NE_MIN(grid, in->dim[2]);
	char name[32];

	a.window.sh = in->dim[1] / gh;
	a.window.sw = in->dim[2] / gw;
	a.window.kh = in->dim[1] - (gh - 1) * a.window.sh;
	a.window.kw = in->dim[2] - (gw - 1) * a.window.sw;
	a.window.dh = a.window.dw = 1;
	layer_name(b, "headpool", name);
	return node(b, NE_OP_AVGPOOL, name, 1, &x, &a, tensor(b, x)->group);
}

/* A dense layer over a grid of cells is a convolution as large as the grid: its input channels can
 * then be cut at any width, which a flattened tensor's could not. */
static uint32_t head_conv(struct builder *b, uint32_t x, int32_t n_class)
{
	const struct ne_shape *in = &tensor(b, x)->shape;
	int32_t dim[4] = {n_class, in->dim[1], in->dim[2], in->dim[3]};
	int32_t one[2] = {1, 1};
	struct ne_attr a = window(b, x, &dim[1], one, true);
	uint32_t i[3] = {x};
	char name[32], w[64];

	layer_name(b, "head", name);
	snprintf(w, sizeof(w), "%s.weight", name);
	i[1] = constant(b, w, 4, dim, 0.0f);
	i[2] = vector(b, name, "bias", n_class, 0.0f);
	return node(b, NE_OP_CONV, name, 3, i, &a, NE_NO_GROUP);
}

static uint32_t head_dense(struct builder *b, uint32_t x, int32_t n_class)
{
	int32_t dim[2] = {n_class, tensor(b, x)->shape.dim[3]};
	uint32_t i[3];
	char name[32], w[64];

	layer_name(b, "head", name);
	snprintf(w, sizeof(w), "%s.pool", name);
	i[0] = node(b, NE_OP_GLOBALPOOL, w, 1, &x, &(struct ne_attr){0}, tensor(b, x)->group);
	snprintf(w, sizeof(w), "%s.weight", name);
	i[1] = constant(b, w, 2, dim, 0.0f);
	i[2] = vector(b, name, "bias", n_class, 0.0f);
	return node(b, NE_OP_DENSE, name, 3, i, &(struct ne_attr){0}, NE_NO_GROUP);
}

static void exit_head(struct builder *b, uint32_t x, int32_t grid)
{
	struct network *n = b->n;
	struct ne_shape flat = {.rank = 2, .dim = {1, (int32_t)n->n_class}};
	char name[32];
	int out;

	if (grid > 1) {
		x = pool_to_grid(b, x, grid);
		if (b->code == 0)
			x = head_conv(b, x, (int32_t)n->n_class);
		if (b->code < 0)
			return;
		snprintf(name, sizeof(name), "logits%u", n->n_exit);
		out = keep(b, ne_graph_add_tensor(&n->graph, name, NE_F32, &flat));
		if (out < 0)
			return;
		if (keep(b, ne_graph_add_node(&n->graph, NE_OP_RESHAPE, name, 1, &x, 1,
					      &(uint32_t){(uint32_t)out}, &(struct ne_attr){0})) <
		    0)
			return;
		x = (uint32_t)out;
	} else {
		x = head_dense(b, x, (int32_t)n->n_class);
	}
	n->logits[n->n_exit] = x;
	snprintf(name, sizeof(name), "exit%u", n->n_exit);
	x = node(b, NE_OP_SOFTMAX, name, 1, &x, &(struct ne_attr){.axis = 1}, NE_NO_GROUP);
	if (b->code == 0 && keep(b, ne_graph_add_exit(&n->graph, 1, &x)) >= 0)
		n->n_exit++;
}

/* The input and what turns it into the f32 [1,H,W,C] that the blocks take. */
static uint32_t front_end(struct builder *b, const struct recipe *r)
{
	struct ne_graph *g = &b->n->graph;
	struct ne_attr a = {.mel = r->net.mel};
	int id = keep(b, ne_graph_add_tensor(g, "input", r->net.type, &r->net.input));
	uint32_t x;

	if (id < 0 || keep(b, ne_graph_add_input(g, (uint32_t)id)) < 0)
		return 0;
	x = (uint32_t)id;
	if (r->net.has_mel)
		return node(b, NE_OP_LOGMEL, "features", 1, &x, &a, NE_NO_GROUP);
	if (r->net.type == NE_F32)
		return x;
	b->n->normalise = r->net.normalise;
	return node(b, NE_OP_DEQUANTISE, "normalise", 1, &x, &(struct ne_attr){0}, NE_NO_GROUP);
}

static uint32_t add_block(struct builder *b, uint32_t x, const struct recipe_block *k)
{
	switch (k->kind) {
	case BLOCK_CONV:
		return conv(b, x, k, new_group(b, k->channels), true);
	case BLOCK_RESIDUAL:
		return residual(b, x, k);
	case BLOCK_SEPARABLE:
		return separable(b, x, k);
	case BLOCK_MAXPOOL:
		return max_pool(b, x, k);
	case BLOCK_EXIT:
		exit_head(b, x, k->grid);
		return x;
	}
	return x;
}

int network_build(const struct recipe *r, uint32_t n_class, struct network *ret,
		  struct ne_error *err)
{
	struct network n = {.n_class = n_class};
	struct builder b = {.n = &n, .err = err};
	uint32_t x;

	ne_graph_init(&n.graph);
	x = n.feed = front_end(&b, r);
	for (uint32_t i = 0; i < r->net.n_block && b.code == 0; i++) {
		x = add_block(&b, x, &r->net.block[i]);
		if (b.code < 0 && err && !err->text[0])
			ne_fail(err, -b.code, "%s: [network] block %u does not fit", r->path,
				i + 1);
	}
	if (b.code == 0)
		keep(&b, ne_graph_check(&n.graph, err));
	if (b.code == 0)
		keep(&b, network_index(&n, r, err));
	if (b.code < 0) {
		network_done(&n);
		return b.code;
	}
	*ret = n;
	return 0;
}
