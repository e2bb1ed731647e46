/* SPDX-License-Identifier: MIT */
/*
 * One function a family of operators. Each asks for its inputs as real values in the layout that
 * suits it, writes its node, and hands the real result to finish(), which applies the activation
 * and quantises where the engine has integers.
 */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <math.h>
#include <string.h>

/* ---- results ---- */

static const char *activate(struct exporter *x, int32_t act, const char *v)
{
	if (act == NE_ACT_RELU)
		return X_NODE(x, "Relu", NULL, v);
	if (act == NE_ACT_RELU6)
		return X_NODE(x, "Clip", NULL, v, x_init_float(x, "low", 0),
			      x_init_float(x, "high", 6));
	return v;
}

/* Whether clamping to the 8-bit range already clamps as the activation does. */
static bool range_activates(const struct exporter *x)
{
	int32_t lo, hi;

	ne_act_limits_s8(x->act, x->width->quant[x->y], &lo, &hi);
	return lo == INT8_MIN && hi == INT8_MAX;
}

/* The stored value of the node's output from its real one. An activation that the range does not
 * do comes after quantising, so that what is before it keeps its integer form everywhere. */
static const char *finish(struct exporter *x, const char *real)
{
	struct ne_quant q = x_quant(x, x->y);
	enum ne_dtype type = x_dtype(x, x->y);

	if (!x_is_real(x, x->y) || type == NE_F32)
		return activate(x, x->act, real);
	real = x_quantise(x, real, q, type, NULL);
	if (x->act == NE_ACT_NONE || range_activates(x))
		return real;
	return x_quantise(x, activate(x, x->act, x_dequantise(x, real, q, NE_U8)), q, NE_U8, NULL);
}

int x_result(struct exporter *x, const struct layout *l, const char *real)
{
	x_add_form(x, x->y, l, finish(x, real));
	return x->failed;
}

/* ---- windows ---- */

static void window_attrs(struct exporter *x, bool dilations)
{
	const struct ne_window *w = &x->node->attr.window;
	bool image = x->shape[x->node->in[0]].rank == 4;
	uint32_t from = image ? 0 : 1, n = 2 - from;
	int64_t k[2] = {w->kh, w->kw}, s[2] = {w->sh, w->sw}, d[2] = {w->dh, w->dw};
	int64_t pads[4] = {w->pad_top, w->pad_left, w->pad_bottom, w->pad_right};
	int64_t row_pads[2] = {w->pad_left, w->pad_right};

	x_attr_ints(x, "kernel_shape", n, k + from);
	x_attr_ints(x, "strides", n, s + from);
	x_attr_ints(x, "pads", 2 * n, image ? pads : row_pads);
	if (dilations)
		x_attr_ints(x, "dilations", n, d + from);
}

static int conv(struct exporter *x)
{
	uint32_t in = x->node->in[0];
	struct layout l = layout_channels_first(x->shape[in].rank);
	const char *v = x_real(x, in, &l), *args[3];
	struct x_weights w;

	NE_RETURN_IF(x_weights(x, NULL, &w));
	args[0] = v;
	args[1] = w.w;
	args[2] = w.b;
	v = x_node(x, "Conv", NULL, w.b ? 3 : 2, args);
	x_attr_int(x, "group",
		   x->node->op == NE_OP_DWCONV ? ne_shape_last(&x->shape[in])
					       : x->node->attr.groups);
	window_attrs(x, true);
	return x_result(x, &l, v);
}

/* Whether the window is the whole image, so that GlobalAveragePool says the same. */
static bool pools_all(const struct exporter *x)
{
	const struct ne_window *w = &x->node->attr.window;
	const struct ne_shape *s = &x->shape[x->node->in[0]];

	return s->rank == 4 && w->kh == s->dim[1] && w->kw == s->dim[2] && w->dh == 1 &&
	       w->dw == 1 && !w->pad_top && !w->pad_left && !w->pad_bottom && !w->pad_right;
}

static int pool(struct exporter *x)
{
	const struct ne_node *n = x->node;
	struct layout l = layout_channels_first(x->shape[n->in[0]].rank);
	const char *v = x_real(x, n->in[0], &l);
	bool dilated = false;

	if (n->op == NE_OP_AVGPOOL && pools_all(x))
		return x_result(x, &l, X_NODE(x, "GlobalAveragePool", NULL, v));
	dilated = n->op == NE_OP_AVGPOOL && (n->attr.window.dh > 1 || n->attr.window.dw > 1);
	if (dilated && !x_needs_opset(x, 19)) /* of an average */
		return x->failed;
	v = X_NODE(x, n->op == NE_OP_MAXPOOL ? "MaxPool" : "AveragePool", NULL, v);
	window_attrs(x, n->op == NE_OP_MAXPOOL || dilated);
	if (n->op == NE_OP_AVGPOOL && n->attr.count_include_pad)
		x_attr_int(x, "count_include_pad", 1);
	return x_result(x, &l, v);
}

/* ONNX keeps the axes of length 1, the engine drops them. */
static int globalpool(struct exporter *x)
{
	uint32_t in = x->node->in[0];
	struct layout l = layout_channels_first(x->shape[in].rank), same = layout_same();
	const char *v = X_NODE(x, "GlobalAveragePool", NULL, x_real(x, in, &l));
	int64_t dim[2] = {1, ne_shape_last(&x->shape[x->y])};

	x_add_form(x, x->y, &same, x_reshape(x, x->y, finish(x, v), 2, dim));
	return x->failed;
}

/* ---- dense ---- */

/*
 * The input as rows. Where it is a flattened image that ONNX has channels first, it is flattened
 * in that order and the weights' columns are put in it too: no transpose at run time.
 */
static const char *dense_input(struct exporter *x, uint32_t in, int64_t rows, int64_t length,
			       const uint32_t **ret_columns)
{
	struct value *v = &x->value[in];
	const int64_t dim[2] = {rows, length};
	struct layout same = layout_same(), from;
	const struct ne_shape *s;
	uint32_t *columns;

	*ret_columns = NULL;
	if (v->reshaped == NE_NONE || rows != 1 || x->users[in] != 1) {
		const char *name = x_stored(x, in, &same);

		return x->shape[in].rank == 2 ? name : x_reshape(x, in, name, 2, dim);
	}
	from = x_layout_of(x, v->reshaped);
	s = &x->shape[v->reshaped];
	columns = x_alloc(x, (size_t)length * sizeof(*columns));
	if (!columns)
		return NULL;
	for (uint32_t i = 0; i < (uint32_t)length; i++) {
		uint32_t index[NE_MAX_RANK] = {0}, rest = i, at = 0;

		for (uint32_t d = s->rank; d-- > 0; rest /= (uint32_t)s->dim[from.perm[d]])
			index[from.perm[d]] = rest % (uint32_t)s->dim[from.perm[d]];
		for (uint32_t d = 0; d < s->rank; d++)
			at = at * (uint32_t)s->dim[d] + index[d];
		columns[i] = at;
	}
	*ret_columns = columns;
	return x_reshape(x, in, x_stored(x, v->reshaped, &from), 2, dim);
}

static int dense(struct exporter *x)
{
	const struct ne_shape *ys = &x->shape[x->y];
	uint32_t in = x->node->in[0];
	int64_t length = ne_shape_last(&x->shape[in]);
	int64_t rows = (int64_t)ne_shape_elements(&x->shape[in]) / length, dim[NE_MAX_RANK];
	struct layout same = layout_same();
	const uint32_t *columns;
	const char *v = dense_input(x, in, rows, length, &columns), *args[3];
	struct x_weights w;

	if (x->failed)
		return x->failed;
	NE_RETURN_IF(x_weights(x, columns, &w));
	args[0] = x_is_s8(x, in) ? x_dequantise(x, v, x_quant(x, in), NE_U8) : v;
	args[1] = w.w;
	args[2] = w.b;
	v = x_node(x, "Gemm", NULL, w.b ? 3 : 2, args);
	x_attr_int(x, "transB", 1);
	v = finish(x, v);
	for (uint32_t i = 0; i < ys->rank; i++)
		dim[i] = ys->dim[i];
	x_add_form(x, x->y, &same, ys->rank == 2 ? v : x_reshape(x, x->y, v, ys->rank, dim));
	return x->failed;
}

/* ---- element by element ---- */

/* An operand of an operator whose result is in @l; of lower rank only in the engine's order. */
static const char *operand(struct exporter *x, uint32_t t, uint32_t rank, const struct layout *l)
{
	struct layout same = layout_same();

	return x_real(x, t, x->shape[t].rank == rank ? l : &same);
}

/* ONNX aligns shapes from the right as the engine does, so in the engine's order any rank will do;
 * in another, only where all operands have the result's rank. */
struct layout x_common_layout(struct exporter *x)
{
	const struct ne_node *n = x->node;
	uint32_t rank = x->shape[x->y].rank;

	for (uint32_t k = 0; k < n->n_in; k++)
		if (x->shape[n->in[k]].rank != rank)
			return layout_same();
	for (uint32_t k = 0; k < n->n_in; k++)
		if (!x->g->tensor[n->in[k]].data)
			return x_layout_of(x, n->in[k]);
	return layout_same();
}

static int binary(struct exporter *x)
{
	const struct ne_node *n = x->node;
	uint32_t rank = x->shape[x->y].rank;
	struct layout l = x_common_layout(x);

	return x_result(x, &l,
			X_NODE(x, n->op == NE_OP_ADD ? "Add" : "Mul", NULL,
			       operand(x, n->in[0], rank, &l), operand(x, n->in[1], rank, &l)));
}

/* Where @axis of the engine is in @l. */
int64_t x_axis_in(const struct layout *l, int32_t axis)
{
	int64_t i = 0;

	while (l->perm[i] != axis)
		i++;
	return i;
}

static int concat(struct exporter *x)
{
	const struct ne_node *n = x->node;
	struct layout l = x_common_layout(x);
	const char *in[NE_MAX_IO], *v;

	for (uint32_t k = 0; k < n->n_in; k++)
		in[k] = x_value(x, n->in[k], &l);
	v = x_node(x, "Concat", NULL, n->n_in, in);
	x_attr_int(x, "axis", x_axis_in(&l, n->attr.axis));
	return x_result(x, &l, v);
}

static int unary(struct exporter *x)
{
	struct layout l = x_layout_of(x, x->node->in[0]);
	const char *v = x_real(x, x->node->in[0], &l), *gate;

	switch (x->node->op) {
	case NE_OP_RELU:
		return x_result(x, &l, X_NODE(x, "Relu", NULL, v));
	case NE_OP_RELU6:
		return x_result(x, &l, activate(x, NE_ACT_RELU6, v));
	case NE_OP_SIGMOID:
		return x_result(x, &l, X_NODE(x, "Sigmoid", NULL, v));
	case NE_OP_TANH:
		return x_result(x, &l, X_NODE(x, "Tanh", NULL, v));
	default: /* HardSwish itself came with opset 14 */
		gate = X_NODE(x, "HardSigmoid", NULL, v);
		x_attr_float(x, "alpha", 1.0f / 6.0f);
		x_attr_float(x, "beta", 0.5f);
		return x_result(x, &l, X_NODE(x, "Mul", NULL, v, gate));
	}
}

static int softmax(struct exporter *x)
{
	struct layout l = x_layout_of(x, x->node->in[0]);
	const char *v = X_NODE(x, "Softmax", NULL, x_real(x, x->node->in[0], &l));

	x_attr_int(x, "axis", x_axis_in(&l, x->node->attr.axis));
	return x_result(x, &l, v);
}

static int batchnorm(struct exporter *x)
{
	const struct ne_node *n = x->node;
	struct layout l = layout_channels_first(x->shape[n->in[0]].rank), same = layout_same();
	const char *in[5] = {x_real(x, n->in[0], &l)}, *v;

	for (uint32_t k = 1; k < 5; k++)
		in[k] = x_real(x, n->in[k], &same);
	v = x_node(x, "BatchNormalization", NULL, 5, in);
	x_attr_float(x, "epsilon", n->attr.value);
	return x_result(x, &l, v);
}

/* ---- places ---- */

static bool same_quant(const struct exporter *x)
{
	struct ne_quant a = x_quant(x, x->node->in[0]), b = x_quant(x, x->y);

	return x->g->tensor[x->node->in[0]].dtype == NE_F32 ||
	       (a.zero == b.zero && !(a.scale < b.scale) && !(a.scale > b.scale));
}

static int reshape(struct exporter *x)
{
	struct layout same = layout_same();
	uint32_t in = x->node->in[0];
	int64_t dim[NE_MAX_RANK];

	if (same_quant(x)) {
		x->value[x->y].reshaped = in;
		return 0;
	}
	for (uint32_t i = 0; i < x->shape[x->y].rank; i++)
		dim[i] = x->shape[x->y].dim[i];
	return x_result(x, &same,
			X_NODE(x, "Reshape", NULL, x_real(x, in, &same),
			       x_init_ints(x, "shape", x->shape[x->y].rank, dim)));
}

/* Axis i of y is axis perm[i] of x: what ONNX has at some place of x it has there of y. */
static int transpose(struct exporter *x)
{
	uint32_t in = x->node->in[0], rank = x->shape[in].rank;
	struct layout same = layout_same();
	const char *v;

	if (x->value[in].reshaped != NE_NONE || x->g->tensor[in].data)
		x_add_form(x, in, &same, x_stored(x, in, &same));
	if (!same_quant(x)) {
		v = X_NODE(x, "Transpose", NULL, x_real(x, in, &same));
		int64_t perm[NE_MAX_RANK];

		for (uint32_t i = 0; i < rank; i++)
			perm[i] = x->node->attr.perm[i];
		x_attr_ints(x, "perm", rank, perm);
		return x_result(x, &same, v);
	}
	for (uint32_t f = 0; f < x->value[in].n_form; f++) {
		struct layout l = same;

		for (uint32_t i = 0; i < rank; i++)
			for (uint32_t k = 0; k < rank; k++)
				if (x->node->attr.perm[k] == x->value[in].form[f].layout.perm[i])
					l.perm[i] = (int32_t)k;
		x_add_form(x, x->y, &l, x->value[in].form[f].name);
	}
	return x->failed;
}

static int pad(struct exporter *x)
{
	const struct ne_node *n = x->node;
	uint32_t rank = x->shape[n->in[0]].rank;
	struct layout l = x_layout_of(x, n->in[0]);
	int64_t pads[2 * NE_MAX_RANK];
	const char *v = x_real(x, n->in[0], &l);

	for (uint32_t i = 0; i < rank; i++) {
		pads[i] = n->attr.pad[l.perm[i]];
		pads[rank + i] = n->attr.pad[rank + (uint32_t)l.perm[i]];
	}
	return x_result(x, &l,
			X_NODE(x, "Pad", NULL, v, x_init_ints(x, "pads", 2 * rank, pads),
			       x_init_float(x, "value", n->attr.value)));
}

/* ---- between real values and integers ---- */

static int quantise(struct exporter *x)
{
	uint32_t in = x->node->in[0];
	struct layout l = x_layout_of(x, in);

	if (x->g->tensor[in].dtype != NE_F32 && same_quant(x)) { /* u8 of s8: the same bytes here */
		x_add_form(x, x->y, &l, x_stored(x, in, &l));
		return x->failed;
	}
	return x_result(x, &l, x_real(x, in, &l));
}

static int dequantise(struct exporter *x)
{
	struct layout l = x_layout_of(x, x->node->in[0]);

	return x_result(x, &l, x_real(x, x->node->in[0], &l));
}

static int (*const writers[NE_OP_COUNT])(struct exporter *x) = {
	[NE_OP_CONV] = conv,
	[NE_OP_DWCONV] = conv,
	[NE_OP_DENSE] = dense,
	[NE_OP_MAXPOOL] = pool,
	[NE_OP_AVGPOOL] = pool,
	[NE_OP_GLOBALPOOL] = globalpool,
	[NE_OP_ADD] = binary,
	[NE_OP_MUL] = binary,
	[NE_OP_CONCAT] = concat,
	[NE_OP_RELU] = unary,
	[NE_OP_RELU6] = unary,
	[NE_OP_HARDSWISH] = unary,
	[NE_OP_SIGMOID] = unary,
	[NE_OP_TANH] = unary,
	[NE_OP_SOFTMAX] = softmax,
	[NE_OP_BATCHNORM] = batchnorm,
	[NE_OP_RESHAPE] = reshape,
	[NE_OP_PAD] = pad,
	[NE_OP_QUANTISE] = quantise,
	[NE_OP_DEQUANTISE] = dequantise,
	[NE_OP_TRANSPOSE] = transpose,
	[NE_OP_UNARY] = x_unary_family,
	[NE_OP_BINARY] = x_binary_family,
	[NE_OP_WHERE] = x_where,
	[NE_OP_CAST] = x_convert,
	[NE_OP_SLICE] = x_slice,
	[NE_OP_PICK] = x_pick,
	[NE_OP_RESIZE] = x_resize,
	[NE_OP_GATHER] = x_gather,
	[NE_OP_GATHER_ELEMENTS] = x_gather,
	[NE_OP_GATHER_ND] = x_gather,
	[NE_OP_SCATTER_ELEMENTS] = x_scatter,
	[NE_OP_SCATTER_ND] = x_scatter,
	[NE_OP_REDUCE] = x_reduce,
	[NE_OP_CUMSUM] = x_cumsum,
	[NE_OP_TOPK] = x_topk,
	[NE_OP_MATMUL] = x_matmul,
	[NE_OP_LSTM] = x_recurrent,
	[NE_OP_GRU] = x_recurrent,
	[NE_OP_RNN] = x_recurrent,
	[NE_OP_LOGMEL] = x_logmel,
	[NE_OP_SPECTRUM] = x_spectrum,
};

int x_operator(struct exporter *x)
{
	int (*write)(struct exporter *) =
		(unsigned)x->node->op < NE_OP_COUNT ? writers[x->node->op] : NULL;

	if (!write)
		return x_fail(x, EOPNOTSUPP, "the exporter does not write this operator");
	return write(x);
}
