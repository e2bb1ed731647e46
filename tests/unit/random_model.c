/* SPDX-License-Identifier: MIT */
/* Random nested networks; see random_model.h. */
#include "tests/unit/random_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct maker {
	struct rng *r;
	const struct random_options *o;
	struct ne_model *m;
	struct ne_graph *g;
	enum ne_dtype type;
	struct ne_quant *quant; /* [n_tensor] at the first width */
	uint32_t n_quant;
	uint32_t norm_output[256]; /* tensor that each norm scales */
	uint32_t n_norm;
	bool slides;     /* axis 1 is time: long, and mostly left as it is */
	uint32_t padded; /* then: one in so many windows is padded along it */
	char name[32];
};

static void must(bool ok)
{
	if (!ok) {
		fprintf(stderr, "random_model: building failed\n");
		abort();
	}
}

static struct ne_quant random_quant(struct maker *k, double scale)
{
	return (struct ne_quant){(float)(scale * (1 + 0.3 * rng_unit(k->r))),
				 rng_between(k->r, -20, 20)};
}

static const struct ne_shape *shape_of(const struct maker *k, uint32_t t)
{
	return &k->g->tensor[t].shape;
}

static uint32_t add_tensor(struct maker *k, enum ne_dtype type, struct ne_shape s, uint32_t group,
			   struct ne_quant q)
{
	int id;

	snprintf(k->name, sizeof(k->name), "t%u", k->g->n_tensor);
	id = ne_graph_add_tensor(k->g, k->name, type, &s);
	must(id >= 0);
	k->g->tensor[id].group = group;
	k->quant = realloc(k->quant, ((size_t)id + 1) * sizeof(*k->quant));
	for (; k->n_quant <= (uint32_t)id; k->n_quant++)
		k->quant[k->n_quant] = (struct ne_quant){0};
	k->quant[id] = type == NE_S8 || type == NE_U8 ? q : (struct ne_quant){0};
	return (uint32_t)id;
}

static uint32_t add_const(struct maker *k, enum ne_dtype type, struct ne_shape s, double size)
{
	size_t n = ne_shape_elements(&s);
	void *data = calloc(n, ne_dtype_size(type));
	int id;

	for (size_t i = 0; i < n; i++) {
		if (type == NE_F32)
			((float *)data)[i] = (float)(rng_unit(k->r) * size);
		else if (type == NE_S8)
			((int8_t *)data)[i] = (int8_t)rng_between(k->r, -127, 127);
		else
			((int32_t *)data)[i] = rng_between(k->r, -2000, 2000);
	}
	snprintf(k->name, sizeof(k->name), "c%u", k->g->n_tensor);
	id = ne_graph_add_const(k->g, k->name, type, &s, data);
	must(id >= 0);
	return (uint32_t)id;
}

static void add_scales(struct maker *k, uint32_t t, uint32_t n)
{
	struct ne_tensor *v = &k->g->tensor[t];

	v->scale = calloc(n, sizeof(*v->scale));
	v->n_scale = n;
	for (uint32_t i = 0; i < n; i++)
		v->scale[i] = (float)(0.01 * (1.2 + rng_unit(k->r)));
}

static struct ne_attr plain_attr(void)
{
	return (struct ne_attr){.window = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, .groups = 1};
}

static void add_node(struct maker *k, enum ne_op op, uint32_t n, const uint32_t *in, uint32_t out,
		     const struct ne_attr *a)
{
	snprintf(k->name, sizeof(k->name), "n%u_%s", k->g->n_node, ne_op_name(op));
	must(ne_graph_add_node(k->g, op, k->name, n, in, 1, &out, a) >= 0);
}

/* Shape that the last node to be added would give, by the engine's own rule. */
static uint32_t add_inferred(struct maker *k, enum ne_op op, uint32_t n, const uint32_t *in,
			     uint32_t group, struct ne_quant q, const struct ne_attr *a)
{
	struct ne_shape s[8] = {0}, y;
	struct ne_error err;
	uint32_t out = add_tensor(k, k->type, (struct ne_shape){.rank = 1, .dim = {1}}, 0, q);

	for (uint32_t i = 0; i < n; i++)
		if (in[i] != NE_NONE)
			s[i] = *shape_of(k, in[i]);
	add_node(k, op, n, in, out, a);
	if (ne_shape_infer(k->g, k->g->n_node - 1, s, &y, &err) < 0) {
		fprintf(stderr, "random_model: %s\n", err.text);
		abort();
	}
	k->g->tensor[out].shape = y;
	k->g->tensor[out].group = group;
	return out;
}

static uint32_t new_group(struct maker *k)
{
	int max = k->o->max_channels ? k->o->max_channels : 40;
	int g = ne_graph_add_group(k->g, rng_below(k->r, 3) ? 8 * rng_between(k->r, 1, max / 8)
							    : rng_between(k->r, 4, 8));

	must(g > 0);
	return (uint32_t)g;
}

/* Bias or norm as third input; returns the number of inputs. */
static uint32_t add_bias(struct maker *k, struct ne_attr *a, uint32_t *in, int32_t oc, bool norm)
{
	struct ne_shape s = {.rank = 1, .dim = {oc}};

	if (norm && k->n_norm < 256) {
		a->norm = ++k->n_norm;
		return 2;
	}
	if (!rng_below(k->r, 4))
		return 2;
	if (k->type == NE_S8 && rng_below(k->r, 2))
		in[2] = add_const(k, NE_S32, s, 1);
	else
		in[2] = add_const(k, NE_F32, s, 1);
	return 3;
}

/* An output scale such that the values of a sum of @terms products spread over the s8 range. */
static struct ne_quant sum_quant(struct maker *k, uint32_t x, int terms)
{
	return random_quant(k, (double)k->quant[x].scale * 0.012 * 73 * sqrt(terms));
}

static void random_window(struct maker *k, uint32_t x, struct ne_window *w)
{
	const struct ne_shape *s = shape_of(k, x);
	int h = s->rank == 4 ? s->dim[1] : 1, width = s->dim[s->rank - 2];

	w->kh = h == 1 ? 1 : rng_between(k->r, 1, NE_MIN(h, 3));
	w->kw = rng_between(k->r, 1, NE_MIN(width, 4));
	w->sh = rng_between(k->r, 1, h > 8 ? 2 : 1);
	w->sw = rng_between(k->r, 1, width > 8 ? 2 : 1);
	w->dh = h >= 5 && w->kh > 1 ? rng_between(k->r, 1, 2) : 1;
	w->dw = width >= 7 && w->kw > 1 ? rng_between(k->r, 1, 2) : 1;
	w->pad_top = rng_between(k->r, 0, w->kh / 2);
	w->pad_bottom = rng_between(k->r, 0, w->kh / 2);
	w->pad_left = rng_between(k->r, 0, w->kw / 2);
	w->pad_right = rng_between(k->r, 0, w->kw / 2);
	if (k->padded > 1 && s->rank == 4)
		w->pad_top = w->pad_bottom = rng_below(k->r, k->padded) == 0 ? w->kh / 2 : 0;
	if (k->padded > 1 && s->rank == 3)
		w->pad_left = w->pad_right = rng_below(k->r, k->padded) == 0 ? w->kw / 2 : 0;
}

static uint32_t add_conv(struct maker *k, uint32_t x, bool pointwise, uint32_t group)
{
	int32_t c = ne_shape_elements(shape_of(k, x))
			    ? shape_of(k, x)->dim[shape_of(k, x)->rank - 1]
			    : 0;
	struct ne_attr a = plain_attr();
	int32_t oc = group ? k->g->group_channels[group] : rng_between(k->r, 1, 20);
	struct ne_shape ws;
	uint32_t in[3] = {x}, n, y;

	if (!pointwise)
		random_window(k, x, &a.window);
	if (!k->g->tensor[x].group && !group && c % 2 == 0 && !rng_below(k->r, 3)) {
		a.groups = rng_below(k->r, 2) ? 2 : c;
		oc = a.groups * rng_between(k->r, 1, 3);
	}
	ws = (struct ne_shape){.rank = 4, .dim = {oc, a.window.kh, a.window.kw, c / a.groups}};
	in[1] = add_const(k, k->type, ws,
			  1 / sqrt(a.window.kh * a.window.kw * (double)c / a.groups));
	if (k->type == NE_S8)
		add_scales(k, in[1], rng_below(k->r, 3) ? (uint32_t)oc : 1);
	a.act = rng_between(k->r, 0, 2);
	n = add_bias(k, &a, in, oc, rng_below(k->r, 2));
	y = add_inferred(k, NE_OP_CONV, n, in, group,
			 sum_quant(k, x, a.window.kh * a.window.kw * c / a.groups), &a);
	if (a.norm)
		k->norm_output[a.norm - 1] = y;
	return y;
}

static uint32_t add_dwconv(struct maker *k, uint32_t x)
{
	const struct ne_tensor *t = &k->g->tensor[x];
	int32_t c = t->shape.dim[t->shape.rank - 1];
	uint32_t group = t->group, in[3] = {x}, n, y;
	struct ne_attr a = plain_attr();

	random_window(k, x, &a.window);
	in[1] = add_const(k, k->type,
			  (struct ne_shape){.rank = 3, .dim = {a.window.kh, a.window.kw, c}}, 1);
	if (k->type == NE_S8)
		add_scales(k, in[1], rng_below(k->r, 3) ? (uint32_t)c : 1);
	a.act = rng_between(k->r, 0, 2);
	n = add_bias(k, &a, in, c, rng_below(k->r, 2));
	y = add_inferred(k, NE_OP_DWCONV, n, in, group, sum_quant(k, x, a.window.kh * a.window.kw),
			 &a);
	if (a.norm)
		k->norm_output[a.norm - 1] = y;
	return y;
}

static uint32_t add_pool(struct maker *k, uint32_t x)
{
	struct ne_attr a = plain_attr();

	random_window(k, x, &a.window);
	/* a window of even dilated taps could lie in the padding altogether */
	a.window.dh = a.window.dw = 1;
	a.count_include_pad = rng_between(k->r, 0, 1);
	a.act = rng_between(k->r, 0, 2);
	return add_inferred(
		k, rng_below(k->r, 2) ? NE_OP_MAXPOOL : NE_OP_AVGPOOL, 1, &x, k->g->tensor[x].group,
		rng_below(k->r, 2) ? k->quant[x] : random_quant(k, (double)k->quant[x].scale), &a);
}

static uint32_t add_unary(struct maker *k, uint32_t x)
{
	static const enum ne_op ops[] = {NE_OP_RELU, NE_OP_RELU6, NE_OP_HARDSWISH, NE_OP_SIGMOID,
					 NE_OP_TANH};
	struct ne_attr a = plain_attr();

	return add_inferred(k, ops[rng_below(k->r, 5)], 1, &x, k->g->tensor[x].group,
			    random_quant(k, 0.02), &a);
}

/* x + conv(x), x * sigmoid-like gate, or a constant per channel. */
static uint32_t add_binary(struct maker *k, uint32_t x)
{
	struct ne_attr a = plain_attr();
	const struct ne_shape xs = *shape_of(k, x);
	uint32_t group = k->g->tensor[x].group, in[2] = {x, x};
	enum ne_op op = rng_below(k->r, 2) ? NE_OP_ADD : NE_OP_MUL;

	switch (rng_below(k->r, 4)) {
	case 0:
		in[1] = add_unary(k, x);
		break;
	case 1: /* per channel */
		in[1] = add_inferred(k, NE_OP_GLOBALPOOL, 1, &x, group,
				     random_quant(k, (double)k->quant[x].scale), &a);
		break;
	case 2:
		if (k->type == NE_F32) {
			in[1] = add_const(
				k, NE_F32,
				(struct ne_shape){.rank = 1, .dim = {xs.dim[xs.rank - 1]}}, 1);
			break;
		} /* fall through */
	default:  /* per place: one channel */
		if (group) {
			in[1] = add_conv(k, x, true, group);
		} else {
			in[1] = add_unary(k, x);
		}
	}
	if (rng_below(k->r, 2)) {
		uint32_t t = in[0];

		in[0] = in[1];
		in[1] = t;
	}
	a.act = rng_between(k->r, 0, 2);
	return add_inferred(
		k, op, 2, in, group,
		random_quant(k, op == NE_OP_ADD ? (double)k->quant[x].scale * 1.5 : 0.03), &a);
}

static uint32_t add_pad(struct maker *k, uint32_t x)
{
	struct ne_attr a = plain_attr();
	uint32_t rank = shape_of(k, x)->rank;

	for (uint32_t i = 1; i < rank; i++) {
		if ((i == 1 && k->slides && k->padded > 1) ||
		    (i == 1 && rank == 4 && shape_of(k, x)->dim[1] == 1) ||
		    (i + 1 == rank && k->g->tensor[x].group))
			continue;
		a.pad[i] = rng_between(k->r, 0, 1);
		a.pad[rank + i] = rng_between(k->r, 0, 1);
	}
	a.value = (float)rng_unit(k->r);
	return add_inferred(
		k, NE_OP_PAD, 1, &x, k->g->tensor[x].group,
		rng_below(k->r, 2) ? k->quant[x] : random_quant(k, (double)k->quant[x].scale), &a);
}

static uint32_t add_transpose(struct maker *k, uint32_t x)
{
	struct ne_attr a = plain_attr();
	uint32_t rank = shape_of(k, x)->rank;

	for (uint32_t i = 0; i < rank; i++)
		a.perm[i] = (int32_t)i;
	if (rank == 4) { /* H and W change places; or all three where nothing is cut */
		a.perm[1] = 2;
		a.perm[2] = 1;
		if (!k->g->tensor[x].group && rng_below(k->r, 2)) {
			a.perm[2] = 3;
			a.perm[3] = 1;
		}
	}
	return add_inferred(k, NE_OP_TRANSPOSE, 1, &x, k->g->tensor[x].group, k->quant[x], &a);
}

/* Two uncut branches joined along channels, or a tensor with itself along the rows. */
static uint32_t add_concat(struct maker *k, uint32_t x)
{
	struct ne_attr a = plain_attr();
	uint32_t rank = shape_of(k, x)->rank, in[3] = {x, x, x};

	a.axis = (int32_t)rank - 2;
	if (rng_below(k->r, 2)) {
		a.axis = (int32_t)rank - 1;
		in[0] = add_conv(k, x, true, 0);
		in[1] = add_conv(k, x, true, 0);
		in[2] = in[0];
		return add_inferred(k, NE_OP_CONCAT, 3, in, 0, k->quant[in[0]], &a);
	}
	in[1] = add_unary(k, x);
	return add_inferred(k, NE_OP_CONCAT, 2, in, k->g->tensor[x].group,
			    random_quant(k, (double)k->quant[x].scale), &a);
}

static uint32_t add_batchnorm(struct maker *k, uint32_t x)
{
	struct ne_attr a = plain_attr();
	struct ne_shape s = {.rank = 1, .dim = {shape_of(k, x)->dim[shape_of(k, x)->rank - 1]}};
	uint32_t in[5] = {x};

	for (int i = 1; i < 5; i++)
		in[i] = add_const(k, NE_F32, s, 1);
	for (int32_t i = 0; i < s.dim[0]; i++) {
		float *v = (float *)k->g->tensor[in[4]].data + i;

		*v = fabsf(*v) + 0.2f;
	}
	a.value = 1e-5f;
	return add_inferred(k, NE_OP_BATCHNORM, 5, in, k->g->tensor[x].group, (struct ne_quant){0},
			    &a);
}

/* y = x + what act(y) was in the run before: a state in x's channel group, or a shift register. */
static uint32_t add_memory(struct maker *k, uint32_t x)
{
	uint32_t group = k->g->tensor[x].group, in[2], y, z, initial = NE_NONE;
	struct ne_attr a = plain_attr();
	struct ne_quant q = random_quant(k, (double)k->quant[x].scale);
	struct ne_shape s = *shape_of(k, x);

	in[0] = x;
	in[1] = add_tensor(k, k->type, s, group, q);
	y = add_inferred(k, NE_OP_ADD, 2, in, group,
			 random_quant(k, (double)k->quant[x].scale * 1.5), &a);
	z = add_inferred(k, rng_below(k->r, 2) ? NE_OP_TANH : NE_OP_RELU6, 1, &y, group, q, &a);
	if (!group && rng_below(k->r, 2))
		initial = add_const(k, k->type, s, 1);
	if (rng_below(k->r, 3) == 0) { /* z of two runs ago */
		uint32_t between = add_tensor(k, k->type, s, group, q);

		must(ne_graph_add_state(k->g, in[1], between, initial) >= 0);
		must(ne_graph_add_state(k->g, between, z, NE_NONE) >= 0);
	} else {
		must(ne_graph_add_state(k->g, in[1], z, initial) >= 0);
	}
	return rng_below(k->r, 2) ? y : z;
}

static uint32_t add_trunk_op(struct maker *k, uint32_t x)
{
	const struct ne_shape *s = shape_of(k, x);
	bool large = ne_shape_elements(s) > 6000;

	switch (rng_below(k->r, 12)) {
	case 0:
	case 1:
	case 2:
		return add_conv(k, x, false, rng_below(k->r, 4) ? new_group(k) : 0);
	case 3:
	case 4:
		return add_dwconv(k, x);
	case 5:
		return add_pool(k, x);
	case 6:
		return add_unary(k, x);
	case 7:
		return add_binary(k, x);
	case 8:
		return large ? add_pool(k, x) : add_pad(k, x);
	case 9:
		return s->rank == 4 && !(k->slides && rng_below(k->r, 3)) ? add_transpose(k, x)
									  : add_unary(k, x);
	case 10:
		return large ? add_pool(k, x) : add_concat(k, x);
	default:
		return k->type == NE_F32 ? add_batchnorm(k, x) : add_conv(k, x, true, new_group(k));
	}
}

/* Global pool, reshape, dense, dequantise, softmax: 5 classes. */
static void add_exit(struct maker *k, uint32_t x)
{
	struct ne_attr a = plain_attr();
	uint32_t group = k->g->tensor[x].group, in[3], y, n;
	int32_t c = shape_of(k, x)->dim[shape_of(k, x)->rank - 1];
	struct ne_shape s = {.rank = 2, .dim = {1, 5}};

	y = add_inferred(k, NE_OP_GLOBALPOOL, 1, &x, group,
			 random_quant(k, (double)k->quant[x].scale * 0.7), &a);
	if (rng_below(k->r, 2)) { /* [1,C] to [1,1,1,C] and on with that */
		uint32_t z = add_tensor(
			k, k->type, (struct ne_shape){.rank = 4, .dim = {1, 1, 1, c}}, group,
			rng_below(k->r, 2) ? k->quant[y]
					   : random_quant(k, (double)k->quant[y].scale));

		add_node(k, NE_OP_RESHAPE, 1, &y, z, &a);
		y = z;
		s = (struct ne_shape){.rank = 4, .dim = {1, 1, 1, 5}};
	}
	in[0] = y;
	in[1] = add_const(k, k->type, (struct ne_shape){.rank = 2, .dim = {5, c}}, 1);
	if (k->type == NE_S8)
		add_scales(k, in[1], 5);
	n = add_bias(k, &a, in, 5, false);
	y = add_inferred(k, NE_OP_DENSE, n, in, 0, sum_quant(k, y, c), &a);
	if (k->type == NE_S8) {
		uint32_t z = add_tensor(k, NE_F32, s, 0, (struct ne_quant){0});

		add_node(k, NE_OP_DEQUANTISE, 1, &y, z, &a);
		y = z;
	}
	if (s.rank == 4) {
		uint32_t z = add_tensor(k, NE_F32, (struct ne_shape){.rank = 2, .dim = {1, 5}}, 0,
					(struct ne_quant){0});

		add_node(k, NE_OP_RESHAPE, 1, &y, z, &a);
		y = z;
	}
	a.axis = 1;
	n = add_tensor(k, NE_F32, (struct ne_shape){.rank = 2, .dim = {1, 5}}, 0,
		       (struct ne_quant){0});
	add_node(k, NE_OP_SOFTMAX, 1, &y, n, &a);
	must(ne_graph_add_exit(k->g, 2, (uint32_t[]){n, y}) >= 0);
}

static void fill_width(struct maker *k, uint32_t w)
{
	struct ne_width *width = &k->m->width[w];
	const struct ne_graph *g = k->g;

	width->active = calloc(g->n_group + 1u, sizeof(*width->active));
	width->quant = calloc(g->n_tensor + 1u, sizeof(*width->quant));
	width->norm = calloc(k->n_norm + 1u, sizeof(*width->norm));
	for (uint32_t i = 1; i <= g->n_group; i++) {
		int32_t full = g->group_channels[i];

		width->active[i] = !w         ? full
				   : full > 8 ? 8 * rng_between(k->r, 1, full / 8)
					      : rng_between(k->r, 4, full);
	}
	for (uint32_t t = 0; t < g->n_tensor; t++) {
		width->quant[t] = k->quant[t];
		/* ranges differ from width to width, but for the graph's inputs */
		if (w && t != g->in[0] && k->quant[t].scale > 0)
			width->quant[t].scale *= (float)(1 + 0.1 * rng_unit(k->r));
	}
	/* from the last, so that a shift register has one range */
	for (uint32_t i = g->n_state; i-- > 0;)
		width->quant[g->state[i].in] = width->quant[g->state[i].out];
	for (uint32_t i = 0; i < k->n_norm; i++) {
		uint32_t n = (uint32_t)ne_model_channels(k->m, w, k->norm_output[i]);

		width->norm[i] =
			(struct ne_norm){n, calloc(n, sizeof(float)), calloc(n, sizeof(float))};
		for (uint32_t c = 0; c < n; c++) {
			width->norm[i].scale[c] = (float)(1 + 0.5 * rng_unit(k->r));
			width->norm[i].bias[c] = (float)rng_unit(k->r);
		}
	}
}

static struct ne_model *make_model(struct rng *r, const struct random_options *o, uint32_t states,
				   bool slides)
{
	struct maker k = {.r = r,
			  .o = o,
			  .m = ne_model_new(),
			  .type = o->s8 ? NE_S8 : NE_F32,
			  .slides = slides};
	bool bytes = o->s8 && rng_below(r, 2);
	struct ne_shape s = {
		.rank = 4,
		.dim = {1, rng_between(r, 5, 14), rng_between(r, 5, 14), rng_between(r, 1, 6)}};
	struct ne_error err = {""};
	uint32_t x;

	if (!rng_below(r, 4)) /* a sequence */
		s = (struct ne_shape){.rank = 3, .dim = {1, s.dim[1] * s.dim[2], s.dim[3]}};
	if (slides) {
		k.padded = rng_below(r, 2) ? 20 : 1;
		s.dim[1] = k.padded == 1 ? rng_between(r, 60, 120) : rng_between(r, 16, 60);
	}
	must(k.m);
	k.g = &k.m->graph;
	x = add_tensor(&k, bytes ? NE_U8 : k.type, s, 0,
		       bytes ? (struct ne_quant){0.02f, 128} : random_quant(&k, 0.02));
	must(ne_graph_add_input(k.g, x) >= 0);
	if (bytes)
		x = add_inferred(&k, NE_OP_QUANTISE, 1, &x, 0, random_quant(&k, 0.02),
				 &(struct ne_attr){.groups = 1});
	for (uint32_t e = 0; e < o->exits; e++) {
		for (uint32_t i = 0; i < o->blocks; i++)
			x = k.g->n_state < states ? add_memory(&k, add_trunk_op(&k, x))
						  : add_trunk_op(&k, x);
		add_exit(&k, x);
	}
	k.m->n_norm = k.n_norm;
	k.m->width = calloc(o->widths, sizeof(*k.m->width));
	k.m->n_width = o->widths;
	for (uint32_t w = 0; w < o->widths; w++)
		fill_width(&k, w);
	free(k.quant);
	if (ne_model_add_default_levels(k.m, &err) < 0 || ne_model_check(k.m, &err) < 0) {
		fprintf(stderr, "random_model: %s\n", err.text);
		abort();
	}
	return k.m;
}

struct ne_model *random_model(struct rng *r, const struct random_options *o)
{
	return make_model(r, o, 0, false);
}

struct ne_model *random_stateful_model(struct rng *r, const struct random_options *o,
				       uint32_t states)
{
	return make_model(r, o, states, false);
}

struct ne_model *random_sliding_model(struct rng *r, const struct random_options *o)
{
	return make_model(r, o, 0, true);
}

void random_input(struct rng *r, const struct ne_tensor *t, void **ret_bytes, double **ret_values)
{
	size_t n = ne_shape_elements(&t->shape), size = ne_dtype_size(t->dtype);
	char *b = malloc(n * size);
	double *v = malloc(n * sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		int q = rng_between(r, -128, 127);
		float f = (float)rng_unit(r);

		if (t->dtype == NE_F32) {
			memcpy(b + i * size, &f, size);
			v[i] = (double)f;
		} else if (t->dtype == NE_U8) {
			((uint8_t *)b)[i] = (uint8_t)(q + 128);
			v[i] = q + 128;
		} else {
			((int8_t *)b)[i] = (int8_t)q;
			v[i] = q;
		}
	}
	*ret_bytes = b;
	*ret_values = v;
}
