/* SPDX-License-Identifier: MIT */
/* LSTM, GRU and RNN: the engine's inputs and outputs are ONNX's, in its order and its layout. */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"

#define GATES 3 /* places of a direction in ne_recurrent.act */

/* ONNX's names, and which of the two parameters each takes. */
static const struct {
	const char *name;
	bool a, b;
} gates[NE_GATE_COUNT] = {
	[NE_GATE_NONE] = {"Affine", true, true},
	[NE_GATE_SIGMOID] = {"Sigmoid", false, false},
	[NE_GATE_TANH] = {"Tanh", false, false},
	[NE_GATE_RELU] = {"Relu", false, false},
	[NE_GATE_AFFINE] = {"Affine", true, true},
	[NE_GATE_LEAKY_RELU] = {"LeakyRelu", true, false},
	[NE_GATE_THRESHOLDED_RELU] = {"ThresholdedRelu", true, false},
	[NE_GATE_SCALED_TANH] = {"ScaledTanh", true, true},
	[NE_GATE_HARD_SIGMOID] = {"HardSigmoid", true, true},
	[NE_GATE_ELU] = {"Elu", true, false},
	[NE_GATE_SOFTSIGN] = {"Softsign", false, false},
	[NE_GATE_SOFTPLUS] = {"Softplus", false, false},
};

/* Activations of one direction that ONNX lists. */
static uint32_t per_direction(enum ne_op op)
{
	return op == NE_OP_LSTM ? 3 : op == NE_OP_GRU ? 2 : 1;
}

static void write_gates(struct exporter *x)
{
	const struct ne_recurrent *r = &x->node->attr.recurrent;
	uint32_t each = per_direction(x->node->op), n_a = 0, n_b = 0;
	uint32_t n = each * (r->direction == NE_BOTH_WAYS ? 2 : 1);
	const char *name[2 * GATES];
	float a[2 * GATES], b[2 * GATES];

	for (uint32_t i = 0; i < n; i++) {
		const struct ne_gate *g = &r->act[i / each * GATES + i % each];
		bool none = g->kind == NE_GATE_NONE; /* x = 1 * x + 0 */

		name[i] = gates[g->kind].name;
		if (gates[g->kind].a)
			a[n_a++] = none ? 1 : g->a;
		if (gates[g->kind].b)
			b[n_b++] = none ? 0 : g->b;
	}
	x_attr_texts(x, "activations", n, name);
	if (n_a)
		x_attr_floats(x, "activation_alpha", n_a, a);
	if (n_b)
		x_attr_floats(x, "activation_beta", n_b, b);
}

static void write_attributes(struct exporter *x)
{
	static const char *const directions[] = {"forward", "reverse", "bidirectional"};
	const struct ne_recurrent *r = &x->node->attr.recurrent;

	x_attr_text(x, "direction", directions[r->direction]);
	x_attr_int(x, "hidden_size", x->shape[x->node->in[2]].dim[2]);
	if (r->clip > 0)
		x_attr_float(x, "clip", r->clip);
	if (x->node->op == NE_OP_GRU)
		x_attr_int(x, "linear_before_reset", r->linear_before_reset);
	if (x->node->op == NE_OP_LSTM && r->input_forget)
		x_attr_int(x, "input_forget", 1);
	write_gates(x);
}

/* ---- a cell that is kept within limits ---- */

/*
 * TFLite's limit of the cell has no attribute. One node a step, the cell clamped in between, is the
 * same but for the step's output: that is of the cell before the clamp, whose tanh differs by less
 * than 2 exp(-2 limit), which f32 hardly tells from limits of 7.9 on.
 */
#define LEAST_LIMIT 7.9f

static int check_limited(struct exporter *x)
{
	const struct ne_node *n = x->node;

	if (n->attr.recurrent.direction == NE_FORWARD && n->attr.value >= LEAST_LIMIT &&
	    (n->n_in < 5 || n->in[4] == NE_NONE) && (n->n_in < 8 || n->in[7] == NE_NONE))
		return 0;
	return x_fail(
		x, EOPNOTSUPP,
		"its cell is kept within %g, which ONNX has no attribute for; only from %g on, "
		"forward, without lengths and peepholes, it can be written in steps",
		(double)n->attr.value, (double)LEAST_LIMIT);
}

/* [T,B,I] as T values [1,B,I]. */
static const char **split_steps(struct exporter *x, const char *v, uint32_t steps)
{
	const char **out = x_alloc(x, steps * sizeof(*out));

	if (!out || x_node_outputs(x, "Split", steps, out, 1, &v) < 0)
		return NULL;
	x_attr_int(x, "axis", 0);
	return out;
}

static int limited(struct exporter *x)
{
	const struct ne_node *n = x->node;
	uint32_t steps = (uint32_t)x->shape[n->in[0]].dim[0];
	struct layout same = layout_same();
	const char *in[8] = {"", "", "", "", "", "", "", ""}, *out[3] = {NULL};
	const char **step, *low, *high;

	NE_RETURN_IF(check_limited(x));
	for (uint32_t k = 0; k < n->n_in; k++)
		if (n->in[k] != NE_NONE)
			in[k] = x_stored(x, n->in[k], &same);
	step = split_steps(x, in[0], steps);
	low = x_init_float(x, "low", -n->attr.value);
	high = x_init_float(x, "high", n->attr.value);
	for (uint32_t t = 0; t < steps && !x->failed; t++) {
		in[0] = step[t];
		out[0] = out[1] = out[2] = NULL;
		NE_RETURN_IF(x_node_outputs(x, "LSTM", 3, out, 7, in));
		write_attributes(x);
		step[t] = out[0];
		in[5] = out[1];
		in[6] = X_NODE(x, "Clip", NULL, out[2], low, high);
	}
	if (x->failed)
		return x->failed;
	x_add_form(x, n->out[0], &same, x_node(x, "Concat", NULL, steps, step));
	x_attr_int(x, "axis", 0);
	x_add_form(x, n->out[1], &same, in[5]);
	x_add_form(x, n->out[2], &same, in[6]);
	return x->failed;
}

int x_recurrent(struct exporter *x)
{
	static const char *const names[] = {"LSTM", "GRU", "RNN"};
	const struct ne_node *n = x->node;
	struct layout same = layout_same();
	const char *in[8], *out[3] = {NULL};

	if (n->attr.value > 0)
		return limited(x);
	for (uint32_t k = 0; k < n->n_in; k++)
		in[k] = n->in[k] == NE_NONE ? "" : x_stored(x, n->in[k], &same);
	NE_RETURN_IF(x_node_outputs(x, names[n->op - NE_OP_LSTM], n->n_out, out, n->n_in, in));
	write_attributes(x);
	for (uint32_t k = 0; k < n->n_out; k++)
		x_add_form(x, n->out[k], &same, out[k]);
	return x->failed;
}
