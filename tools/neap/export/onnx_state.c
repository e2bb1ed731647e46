/* SPDX-License-Identifier: MIT */
/*
 * States. A value that the engine keeps from run to run is an input "state_NAME" and an output
 * "state_NAME_next": a caller gives the first value first, and from then on what the run before gave.
 * The model's metadata tell which output belongs to which input, and the first value.
 */
#include "tools/neap/export/onnx_internal.h"

#include "engine/op/op.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_taken(const struct exporter *x, const char *name)
{
	for (size_t i = 0; i < x->graph.n_input; i++)
		if (!strcmp(x->graph.input[i]->name, name))
			return true;
	for (uint32_t e = 0; e < x->g->n_exit; e++)
		for (uint32_t k = 0; k < x->g->exit[e].n_out; k++)
			if (!strcmp(x->g->tensor[x->g->exit[e].out[k]].name, name))
				return true;
	return false;
}

/* @b behind @a. */
static const char *joined(struct exporter *x, const char *a, const char *b)
{
	size_t bytes;
	char *name;

	if (x->failed)
		return NULL;
	bytes = strlen(a) + strlen(b) + 1;
	name = x_alloc(x, bytes);
	if (name)
		snprintf(name, bytes, "%s%s", a, b);
	return name;
}

static int64_t element(const void *data, enum ne_dtype t, size_t i)
{
	switch (t) {
	case NE_S8:
		return ((const int8_t *)data)[i];
	case NE_S16:
		return ((const int16_t *)data)[i];
	case NE_S32:
		return ((const int32_t *)data)[i];
	case NE_S64:
		return ((const int64_t *)data)[i];
	default:
		return ((const uint8_t *)data)[i];
	}
}

/* Element @i of the first value, as ONNX has it. */
static int print_first(const struct exporter *x, const struct ne_graph_state *s, size_t i, char *to,
		       size_t bytes)
{
	const void *data = s->initial == NE_NONE ? NULL : x->g->tensor[s->initial].data;
	enum ne_dtype type = x->g->tensor[s->in].dtype;
	struct ne_quant q = x_quant(x, s->in);
	int64_t v = q.scale > 0 ? q.zero : 0;

	if (type == NE_F32)
		return snprintf(to, bytes, "%.9g", data ? (double)((const float *)data)[i] : 0.0);
	if (data)
		v = element(data, type, i) + (x_is_s8(x, s->in) ? 128 : 0);
	return snprintf(to, bytes, "%" PRId64, v);
}

/* What a run begins with that follows none: one number where all elements are alike, else all. */
static const char *first_value(struct exporter *x, const struct ne_graph_state *s)
{
	size_t n = ne_shape_elements(&x->shape[s->in]), at = 0, bytes;
	size_t size = ne_dtype_size(x->g->tensor[s->in].dtype);
	bool alike = true;
	char *text;

	if (s->initial != NE_NONE) {
		const char *data = x->g->tensor[s->initial].data;

		for (size_t i = 1; i < n; i++)
			alike &= !memcmp(data, data + i * size, size);
	}
	n = alike ? 1 : n;
	bytes = n * 24; /* sign, 19 digits and a space */
	text = x_alloc(x, bytes);
	for (size_t i = 0; text && i < n; i++) {
		if (i)
			text[at++] = ' ';
		at += (size_t)print_first(x, s, i, text + at, bytes - at);
	}
	return text;
}

static int state_input(struct exporter *x, uint32_t i)
{
	const struct ne_graph_state *s = &x->g->state[i];
	const char *base = x->g->tensor[s->in].name ? x->g->tensor[s->in].name : "";
	struct layout same = layout_same();
	const char *name = joined(x, "state_", base), *next = joined(x, name, "_next");

	while (!x->failed && (is_taken(x, name) || is_taken(x, next))) {
		name = joined(x, name, "_");
		next = joined(x, name, "_next");
	}
	if (x->failed)
		return x->failed;
	x->next[i] = next;
	NE_RETURN_IF(x_declare(x, name, x_dtype(x, s->in), &x->shape[s->in], &same, false));
	x_add_form(x, s->in, &same, name);
	NE_RETURN_IF(x_note(x, name, next));
	return x_note(x, joined(x, name, "_first"), first_value(x, s));
}

int x_state_inputs(struct exporter *x)
{
	x->next = x_alloc(x, x->g->n_state * sizeof(*x->next));
	if (!x->next)
		return x->failed;
	for (uint32_t i = 0; i < x->g->n_state; i++)
		if (x->read[x->g->state[i].in])
			NE_RETURN_IF(state_input(x, i));
	return 0;
}

int x_state_outputs(struct exporter *x)
{
	for (uint32_t i = 0; i < x->g->n_state; i++)
		if (x->next[i])
			NE_RETURN_IF(x_output(x, x->g->state[i].out, x->next[i]));
	return 0;
}
