/* SPDX-License-Identifier: MIT */
/* LSTM, GRU and RNN: attributes to the engine's, the batch-first layout to the time-first one. */
#include "tools/neap/import/onnx_internal.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* The names that ONNX gives, and their parameters where a model gives none. */
struct gate_name {
	const char *name;
	int32_t kind;
	bool has_a, has_b;
	float a, b;
};

static const struct gate_name gate_names[] = {
	{"affine", NE_GATE_AFFINE, true, true, 1.0f, 0.0f},
	{"elu", NE_GATE_ELU, true, false, 1.0f, 0.0f},
	{"hardsigmoid", NE_GATE_HARD_SIGMOID, true, true, 0.2f, 0.5f},
	{"leakyrelu", NE_GATE_LEAKY_RELU, true, false, 0.01f, 0.0f},
	{"relu", NE_GATE_RELU, false, false, 0.0f, 0.0f},
	{"scaledtanh", NE_GATE_SCALED_TANH, true, true, 1.0f, 1.0f},
	{"sigmoid", NE_GATE_SIGMOID, false, false, 0.0f, 0.0f},
	{"softplus", NE_GATE_SOFTPLUS, false, false, 0.0f, 0.0f},
	{"softsign", NE_GATE_SOFTSIGN, false, false, 0.0f, 0.0f},
	{"tanh", NE_GATE_TANH, false, false, 0.0f, 0.0f},
	{"thresholdedrelu", NE_GATE_THRESHOLDED_RELU, true, false, 1.0f, 0.0f},
};

/* Case does not count. */
static const struct gate_name *find_gate(ProtobufCBinaryData s)
{
	for (size_t i = 0; i < NE_ARRAY_SIZE(gate_names); i++) {
		const char *name = gate_names[i].name;
		size_t k = 0;

		while (k < s.len && name[k] && tolower(s.data[k]) == name[k])
			k++;
		if (k == s.len && !name[k])
			return &gate_names[i];
	}
	return NULL;
}

/* Parameters are listed for those activations alone that take them. */
static float parameter(const Onnx__AttributeProto *list, size_t *at, bool takes, float absent)
{
	if (!takes)
		return 0;
	if (!list || *at >= list->n_floats)
		return absent;
	return list->floats[(*at)++];
}

static int read_gates(struct onnx *o, const onnx_node *n, uint32_t per_direction,
		      struct ne_recurrent *ret)
{
	const Onnx__AttributeProto *names = onnx_attr(n, "activations");
	const Onnx__AttributeProto *alpha = onnx_attr(n, "activation_alpha");
	const Onnx__AttributeProto *beta = onnx_attr(n, "activation_beta");
	uint32_t directions = ret->direction == NE_BOTH_WAYS ? 2 : 1;
	size_t at_a = 0, at_b = 0;

	for (uint32_t i = 0; i < 2 * 3; i++) {
		bool first = i % 3 == 0 && per_direction > 1;

		ret->act[i].kind = i % 3 >= per_direction ? NE_GATE_NONE
				   : first                ? NE_GATE_SIGMOID
							  : NE_GATE_TANH;
	}
	if (!names)
		return 0;
	if (names->n_strings != directions * per_direction)
		return onnx_fail(o, n, EINVAL, "%zu activations, not %u", names->n_strings,
				 directions * per_direction);
	for (uint32_t i = 0; i < names->n_strings; i++) {
		const struct gate_name *g = find_gate(names->strings[i]);
		struct ne_gate *to = &ret->act[i / per_direction * 3 + i % per_direction];

		if (!g)
			return onnx_fail(o, n, EOPNOTSUPP, "activation '%.*s'",
					 (int)NE_MIN(names->strings[i].len, 40u),
					 (const char *)names->strings[i].data);
		to->kind = g->kind;
		to->a = parameter(alpha, &at_a, g->has_a, g->a);
		to->b = parameter(beta, &at_b, g->has_b, g->b);
		if (!isfinite(to->a) || !isfinite(to->b))
			return onnx_fail(o, n, EINVAL, "a parameter is not a finite number");
	}
	return 0;
}

static int read_attr(struct onnx *o, const onnx_node *n, enum ne_op op, struct ne_recurrent *ret)
{
	*ret = (struct ne_recurrent){.clip = onnx_attr_float(n, "clip", 0)};
	if (onnx_attr_is(n, "direction", "reverse"))
		ret->direction = NE_BACKWARD;
	else if (onnx_attr_is(n, "direction", "bidirectional"))
		ret->direction = NE_BOTH_WAYS;
	else if (onnx_attr(n, "direction") && !onnx_attr_is(n, "direction", "forward"))
		return onnx_fail(o, n, EINVAL,
				 "direction is none of forward, reverse, bidirectional");
	if (!(ret->clip >= 0))
		return onnx_fail(o, n, EINVAL, "clip is not a number >= 0");
	ret->linear_before_reset = onnx_attr_int(n, "linear_before_reset", 0) != 0;
	ret->input_forget = onnx_attr_int(n, "input_forget", 0) != 0;
	return read_gates(o, n, op == NE_OP_LSTM ? 3 : op == NE_OP_GRU ? 2 : 1, ret);
}

static const int32_t swap_first[NE_MAX_RANK] = {1, 0, 2};

/* The inputs, time first. ONNX's and the engine's are in the same order. */
static int read_inputs(struct onnx *o, const onnx_node *n, bool batch_first, uint32_t *in)
{
	uint32_t n_in = 0;

	for (uint32_t i = 0; i < n->n_input && i < 8; i++) {
		int t;

		in[i] = NE_NONE;
		if (!onnx_in(o, n, i))
			continue;
		t = onnx_in_tensor(o, n, i);
		if (t >= 0 && batch_first && (i == 0 || i == 5 || i == 6)) {
			if (onnx_shape_of(o, t)->rank != 3)
				return onnx_fail(o, n, EINVAL, "input %u is not of rank 3", i);
			t = onnx_emit_transpose(o, n, t, swap_first);
		}
		if (t < 0)
			return t;
		in[i] = (uint32_t)t;
		n_in = i + 1;
	}
	return (int)n_in;
}

static int write_outputs(struct onnx *o, const onnx_node *n, bool batch_first, uint32_t n_out,
			 const uint32_t *out)
{
	static const int32_t batch_to_front[NE_MAX_RANK] = {2, 0, 1, 3};

	for (uint32_t i = 0; i < n_out; i++) {
		int t = (int)out[i];

		if (batch_first && onnx_has_output(n, i))
			t = onnx_emit_transpose(o, n, t, i ? swap_first : batch_to_front);
		NE_RETURN_IF(onnx_out_tensor_at(o, n, i, t));
	}
	return 0;
}

int onnx_recurrent(struct onnx *o, const onnx_node *n)
{
	enum ne_op op = n->op_type[0] == 'L'   ? NE_OP_LSTM
			: n->op_type[0] == 'G' ? NE_OP_GRU
					       : NE_OP_RNN;
	bool batch_first = onnx_attr_int(n, "layout", 0) != 0;
	uint32_t in[8], out[3], n_out = op == NE_OP_LSTM ? 3 : 2;
	struct ne_attr attr = {.groups = 1};
	int n_in, r;

	NE_RETURN_IF(read_attr(o, n, op, &attr.recurrent));
	n_in = read_inputs(o, n, batch_first, in);
	if (n_in < 0)
		return n_in;
	if (n_in < 3 || in[0] == NE_NONE || in[1] == NE_NONE || in[2] == NE_NONE)
		return onnx_fail(o, n, EINVAL, "it needs X, W and R");
	if (op != NE_OP_LSTM)
		n_in = NE_MIN(n_in, 6);
	r = onnx_emit_outputs(o, n, op, &attr, (uint32_t)n_in, in, n_out, out);
	return r < 0 ? r : write_outputs(o, n, batch_first, n_out, out);
}
