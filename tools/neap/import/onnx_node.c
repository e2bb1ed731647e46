/* SPDX-License-Identifier: MIT */
/* Reading a node: attributes, inputs, outputs, errors that name it. */
#include "tools/neap/import/onnx_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int onnx_fail(struct onnx *o, const onnx_node *n, int code, const char *fmt, ...)
{
	const char *name = n->name && n->name[0] ? n->name : n->n_output ? n->output[0] : "";
	char text[sizeof(o->err->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ne_fail(o->err, code, "node '%.64s' (%.32s): %s", name, n->op_type, text);
}

/* ---- attributes ---- */

const Onnx__AttributeProto *onnx_attr(const onnx_node *n, const char *name)
{
	for (size_t i = 0; i < n->n_attribute; i++)
		if (n->attribute[i]->name && strcmp(n->attribute[i]->name, name) == 0)
			return n->attribute[i];
	return NULL;
}

int64_t onnx_attr_int(const onnx_node *n, const char *name, int64_t absent)
{
	const Onnx__AttributeProto *a = onnx_attr(n, name);

	return a && a->has_i ? a->i : absent;
}

float onnx_attr_float(const onnx_node *n, const char *name, float absent)
{
	const Onnx__AttributeProto *a = onnx_attr(n, name);

	return a && a->has_f ? a->f : absent;
}

size_t onnx_attr_ints(const onnx_node *n, const char *name, int64_t *ret, size_t max)
{
	const Onnx__AttributeProto *a = onnx_attr(n, name);

	if (!a)
		return 0;
	for (size_t i = 0; i < a->n_ints && i < max; i++)
		ret[i] = a->ints[i];
	return a->n_ints;
}

bool onnx_attr_is(const onnx_node *n, const char *name, const char *text)
{
	const Onnx__AttributeProto *a = onnx_attr(n, name);

	return a && a->has_s && a->s.len == strlen(text) && memcmp(a->s.data, text, a->s.len) == 0;
}

/* ---- inputs ---- */

struct onnx_value *onnx_in(const struct onnx *o, const onnx_node *n, size_t i)
{
	if (i >= n->n_input || !n->input[i] || !n->input[i][0])
		return NULL;
	return onnx_value_find(o, n->input[i]);
}

const struct onnx_const *onnx_in_const(const struct onnx *o, const onnx_node *n, size_t i)
{
	const struct onnx_value *v = onnx_in(o, n, i);

	return v ? v->constant : NULL;
}

int onnx_in_tensor(struct onnx *o, const onnx_node *n, size_t i)
{
	struct onnx_value *v = onnx_in(o, n, i);
	int id;

	if (!v)
		return onnx_fail(o, n, EINVAL, "input %zu is missing", i);
	if (v->shifted)
		return v->bytes ? (int)v->bytes : onnx_plain_bytes(o, n, v);
	if (v->tensor >= 0)
		return (int)v->tensor;
	id = onnx_quantised_const(o, n, v);
	if (id > 0)
		v->tensor = id;
	if (id != 0)
		return id;
	if (v->constant->n == 0)
		return onnx_fail(o, n, EOPNOTSUPP, "constant '%.60s' is empty", v->name);
	id = onnx_emit_value(o, n, v->constant);
	if (id >= 0)
		v->tensor = id;
	return id;
}

int onnx_ints(struct onnx *o, const onnx_node *n, const char *attr, size_t i, int64_t *ret,
	      size_t max)
{
	const struct onnx_value *v = onnx_in(o, n, i);
	size_t count = onnx_attr_ints(n, attr, ret, max);

	if (count == 0 && v) {
		if (!v->constant)
			return onnx_fail(o, n, EOPNOTSUPP, "'%s' must be a constant", attr);
		count = v->constant->n;
		for (size_t k = 0; k < count && k < max; k++)
			ret[k] = onnx_const_int(v->constant, k);
	}
	if (count > max)
		return onnx_fail(o, n, EINVAL, "'%s' has %zu values, at most %zu fit", attr, count,
				 max);
	return (int)count;
}

int onnx_axis(struct onnx *o, const onnx_node *n, int64_t axis, uint32_t rank)
{
	int64_t a = axis < 0 ? axis + (int64_t)rank : axis;

	if (a < 0 || a >= (int64_t)rank)
		return onnx_fail(o, n, EINVAL, "axis %lld of a tensor of rank %u", (long long)axis,
				 rank);
	return (int)a;
}

/* ---- outputs ---- */

static const Onnx__ValueInfoProto *find_info(Onnx__ValueInfoProto *const *list, size_t count,
					     const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (list[i]->name && strcmp(list[i]->name, name) == 0)
			return list[i];
	return NULL;
}

bool onnx_declared(const struct onnx *o, const onnx_node *n, size_t i, struct ne_shape *ret)
{
	const Onnx__ValueInfoProto *v;
	const Onnx__TensorShapeProto *p;
	struct ne_shape s = {.rank = 0};

	if (!o->proto || o->scope || !onnx_has_output(n, i)) /* inner graphs declare nothing */
		return false;
	v = find_info(o->proto->output, o->proto->n_output, n->output[i]);
	if (!v)
		v = find_info(o->proto->value_info, o->proto->n_value_info, n->output[i]);
	if (!v || !v->type || v->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
		return false;
	p = v->type->tensor_type->shape;
	if (!p || p->n_dim > NE_MAX_RANK)
		return false;
	for (size_t d = 0; d < p->n_dim; d++) {
		if (p->dim[d]->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE ||
		    p->dim[d]->dim_value < 1 || p->dim[d]->dim_value > NE_MAX_DIM)
			return false;
		s.dim[s.rank++] = (int32_t)p->dim[d]->dim_value;
	}
	*ret = s;
	return ne_shape_elements(&s) > 0;
}

bool onnx_has_output(const onnx_node *n, size_t i)
{
	return i < n->n_output && n->output[i] && n->output[i][0];
}

int onnx_out_tensor_at(struct onnx *o, const onnx_node *n, size_t i, int tensor)
{
	int r;

	if (tensor < 0)
		return tensor;
	if (!onnx_has_output(n, i))
		return 0;
	r = onnx_value_add(o, n->output[i], NULL, tensor);
	return r < 0 ? r : 0;
}

int onnx_out_const_at(struct onnx *o, const onnx_node *n, size_t i, struct onnx_const *c)
{
	if (!c)
		return onnx_fail(o, n, EINVAL, "a constant with a bad shape");
	if (!onnx_has_output(n, i)) {
		onnx_const_free(c);
		return 0;
	}
	return onnx_value_add(o, n->output[i], c, -1);
}

int onnx_out_tensor(struct onnx *o, const onnx_node *n, int tensor)
{
	if (tensor >= 0 && !onnx_has_output(n, 0))
		return onnx_fail(o, n, EINVAL, "it has no output");
	return onnx_out_tensor_at(o, n, 0, tensor);
}

int onnx_out_const(struct onnx *o, const onnx_node *n, struct onnx_const *c)
{
	if (c && !onnx_has_output(n, 0)) {
		onnx_const_free(c);
		return onnx_fail(o, n, EINVAL, "it has no output");
	}
	return onnx_out_const_at(o, n, 0, c);
}
