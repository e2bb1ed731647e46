/* SPDX-License-Identifier: MIT */
/* The graph's inputs: declared shapes, and what the user says of them. */
#include "tools/neap/import/onnx_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the user's words ---- */

int onnx_parse_shape(const char *text, struct onnx_shape *ret, struct ne_error *err)
{
	const char *eq = strrchr(text, '='), *p;
	struct onnx_shape s = {.shape = {.rank = 0}};

	if (!eq || eq == text || (size_t)(eq - text) >= sizeof(s.name))
		return ne_fail(err, EINVAL, "shape '%.80s' is not NAME=1x3x224x224", text);
	memcpy(s.name, text, (size_t)(eq - text));
	p = eq + 1;
	for (;;) {
		char *end;
		long v = strtol(p, &end, 10);

		if (end == p || v < 1 || v > NE_MAX_DIM || s.shape.rank == NE_MAX_RANK ||
		    (*end && *end != 'x'))
			return ne_fail(err, EINVAL, "shape '%.80s' is not NAME=1x3x224x224", text);
		s.shape.dim[s.shape.rank++] = (int32_t)v;
		if (!*end)
			break;
		p = end + 1;
	}
	*ret = s;
	return 0;
}

int onnx_parse_value(const char *text, struct onnx_fixed *ret, struct ne_error *err)
{
	const char *eq = strrchr(text, '=');
	struct onnx_fixed f = {.value = 0};
	char *end;

	if (!eq || eq == text || (size_t)(eq - text) >= sizeof(f.name))
		return ne_fail(err, EINVAL, "'%.80s' is not NAME=VALUE", text);
	memcpy(f.name, text, (size_t)(eq - text));
	f.value = strtod(eq + 1, &end);
	if (end == eq + 1 || *end || !isfinite(f.value))
		return ne_fail(err, EINVAL, "'%.80s': the value is no number", text);
	*ret = f;
	return 0;
}

int onnx_check_options(const struct onnx *o)
{
	for (uint32_t i = 0; o->opt && i < o->opt->n_shape; i++)
		if (!onnx_value_find(o, o->opt->shape[i].name))
			return ne_fail(o->err, EINVAL, "--shape names '%.80s', which is no input",
				       o->opt->shape[i].name);
	for (uint32_t i = 0; o->opt && i < o->opt->n_value; i++)
		if (!onnx_value_find(o, o->opt->value[i].name))
			return ne_fail(o->err, EINVAL, "--set names '%.80s', which is no input",
				       o->opt->value[i].name);
	return 0;
}

/* ---- inputs ---- */

static const struct ne_shape *given_shape(const struct onnx *o, const char *name)
{
	for (uint32_t i = 0; o->opt && i < o->opt->n_shape; i++)
		if (strcmp(o->opt->shape[i].name, name) == 0)
			return &o->opt->shape[i].shape;
	return NULL;
}

static int declared_shape(struct onnx *o, const char *name, const Onnx__TensorShapeProto *p,
			  struct ne_shape *ret)
{
	struct ne_shape s = {.rank = 0};

	if (!p)
		return ne_fail(o->err, EINVAL,
			       "input '%.80s' has no shape; give it with --shape %.80s=1x...", name,
			       name);
	if (p->n_dim > NE_MAX_RANK)
		return ne_fail(o->err, EOPNOTSUPP, "input '%.80s' has %zu dimensions, at most %u",
			       name, p->n_dim, NE_MAX_RANK);
	for (size_t i = 0; i < p->n_dim; i++) {
		const Onnx__TensorShapeProto__Dimension *d = p->dim[i];
		bool known = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		int64_t v = known ? d->dim_value : 0;

		if (!known && i == 0)
			v = 1; /* the batch */
		if (v < 0 || (!known && v < 1) || v > NE_MAX_DIM)
			return ne_fail(o->err, EINVAL,
				       "input '%.60s': dimension %zu is open or out of range; "
				       "give all with --shape %.60s=1x...",
				       name, i, name);
		s.dim[s.rank++] = (int32_t)v;
	}
	*ret = s;
	return 0;
}

int onnx_dtype(int64_t type, enum ne_dtype *ret)
{
	static const struct {
		int type;
		enum ne_dtype dtype;
	} types[] = {
		{ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, NE_F32},
		{ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, NE_U8},
		{ONNX__TENSOR_PROTO__DATA_TYPE__INT8, NE_S8},
		{ONNX__TENSOR_PROTO__DATA_TYPE__INT16, NE_S16},
		{ONNX__TENSOR_PROTO__DATA_TYPE__INT32, NE_S32},
		{ONNX__TENSOR_PROTO__DATA_TYPE__INT64, NE_S64},
		{ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, NE_BOOL},
	};

	for (size_t i = 0; i < NE_ARRAY_SIZE(types); i++)
		if (types[i].type == type) {
			*ret = types[i].dtype;
			return 0;
		}
	return -EOPNOTSUPP;
}

const char *onnx_type_name(int64_t type)
{
	static const char *const names[] = {
		"undefined",      "float",    "uint8",        "int8",           "uint16",
		"int16",          "int32",    "int64",        "string",         "bool",
		"float16",        "double",   "uint32",       "uint64",         "complex64",
		"complex128",     "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
		"float8e5m2fnuz", "uint4",    "int4",         "float4e2m1",
	};

	return type >= 0 && type < (int64_t)NE_ARRAY_SIZE(names) ? names[type] : "unknown";
}

static const double *given_value(const struct onnx *o, const char *name)
{
	for (uint32_t i = 0; o->opt && i < o->opt->n_value; i++)
		if (strcmp(o->opt->value[i].name, name) == 0)
			return &o->opt->value[i].value;
	return NULL;
}

/* An input that the user gave a value is a constant, all its elements alike. */
static int fix_input(struct onnx *o, const char *name, enum ne_dtype dtype,
		     const struct ne_shape *shape, double value)
{
	int64_t dim[NE_MAX_RANK];
	struct onnx_const *c;

	for (uint32_t i = 0; i < shape->rank; i++)
		dim[i] = shape->dim[i];
	c = onnx_const_new(dtype, shape->rank, dim);
	if (!c)
		return ne_fail(o->err, ENOMEM, "input '%.80s': no memory", name);
	for (size_t i = 0; i < c->n; i++)
		onnx_const_set(c, i, value);
	return onnx_value_add(o, name, c, -1);
}

int onnx_add_input(struct onnx *o, const Onnx__ValueInfoProto *v)
{
	const Onnx__TypeProto__Tensor *t;
	const struct ne_shape *given;
	struct ne_shape shape;
	enum ne_dtype dtype = NE_F32;
	const double *value;
	int id;

	if (!v->name || !v->name[0])
		return ne_fail(o->err, EBADMSG, "ONNX model: an input without a name");
	if (onnx_value_find(o, v->name))
		return 0; /* an initialiser that IR version 3 lists among the inputs too */
	if (!v->type || v->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
		return ne_fail(o->err, EOPNOTSUPP, "input '%.80s' is not a tensor", v->name);
	t = v->type->tensor_type;
	if (onnx_dtype(t->elem_type, &dtype) < 0)
		return ne_fail(o->err, EOPNOTSUPP,
			       "input '%.80s' is of type %s; float, bool, uint8, int8, int16, "
			       "int32 and int64 are supported",
			       v->name, onnx_type_name(t->elem_type));
	given = given_shape(o, v->name);
	value = given_value(o, v->name);
	if (given)
		shape = *given;
	else if (value && (!t->shape || t->shape->n_dim == 0))
		shape = (struct ne_shape){.rank = 0};
	else
		NE_RETURN_IF(declared_shape(o, v->name, t->shape, &shape));
	for (uint32_t i = 0; i < shape.rank; i++)
		if (shape.dim[i] == 0)
			return ne_fail(o->err, EOPNOTSUPP, "input '%.80s' is empty: axis %u is 0",
				       v->name, i);
	if (ne_shape_elements(&shape) == 0)
		return ne_fail(o->err, E2BIG, "input '%.80s' is larger than %zu elements", v->name,
			       NE_MAX_ELEMENTS);
	if (value)
		return fix_input(o, v->name, dtype, &shape, *value);
	if (o->g->n_in == NE_MAX_IO)
		return ne_fail(o->err, E2BIG, "more than %u inputs", NE_MAX_IO);
	id = ne_graph_add_tensor(o->g, v->name, dtype, &shape);
	if (id < 0 || ne_graph_add_input(o->g, (uint32_t)id) < 0)
		return ne_fail(o->err, ENOMEM, "input '%.80s' cannot be added", v->name);
	return onnx_value_add(o, v->name, NULL, id);
}
