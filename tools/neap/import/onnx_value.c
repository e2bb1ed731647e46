/* SPDX-License-Identifier: MIT */
/* Names and constants of the ONNX graph. */
#include "tools/neap/import/onnx_internal.h"

#include "engine/model/f16.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h;
}

/* Slot of @name in @scope, or the free one where it would go. */
static uint32_t find_slot(const struct onnx *o, const char *name, uint32_t scope)
{
	uint32_t i = (hash(name) + scope * 2654435761u) & (o->n_slot - 1);

	while (o->slot[i] && (o->value[o->slot[i] - 1].scope != scope ||
			      strcmp(o->value[o->slot[i] - 1].name, name) != 0))
		i = (i + 1) & (o->n_slot - 1);
	return i;
}

static struct onnx_value *find_in(const struct onnx *o, const char *name, uint32_t scope)
{
	uint32_t i;

	if (!o->n_slot)
		return NULL;
	i = o->slot[find_slot(o, name, scope)];
	return i ? &o->value[i - 1] : NULL;
}

struct onnx_value *onnx_value_find(const struct onnx *o, const char *name)
{
	for (const struct onnx_scope *s = o->scope; s; s = s->outer) {
		struct onnx_value *v = find_in(o, name, s->id);

		if (v)
			return v;
	}
	return find_in(o, name, 0);
}

void onnx_scope_enter(struct onnx *o, struct onnx_scope *s)
{
	*s = (struct onnx_scope){.id = ++o->n_scope, .outer = o->scope};
	o->scope = s;
}

void onnx_scope_leave(struct onnx *o)
{
	o->scope = o->scope->outer;
}

static int grow_values(struct onnx *o)
{
	uint32_t cap = o->cap_value ? 2 * o->cap_value : 256;
	struct onnx_value *v = realloc(o->value, cap * sizeof(*v));
	uint32_t *slot;

	if (!v)
		return -ENOMEM;
	o->value = v;
	slot = calloc(2 * (size_t)cap, sizeof(*slot)); /* at most half full */
	if (!slot)
		return -ENOMEM;
	free(o->slot);
	o->slot = slot;
	o->n_slot = 2 * cap;
	o->cap_value = cap;
	for (uint32_t i = 0; i < o->n_value; i++)
		slot[find_slot(o, o->value[i].name, o->value[i].scope)] = i + 1;
	return 0;
}

int onnx_value_add(struct onnx *o, const char *name, struct onnx_const *c, int64_t tensor)
{
	uint32_t scope = o->scope ? o->scope->id : 0;
	char *copy = NULL;
	int r = -EINVAL;

	if (o->n_value >= ONNX_MAX_VALUES) {
		r = ne_fail(o->err, E2BIG, "ONNX model: more than %u values", ONNX_MAX_VALUES);
		goto fail;
	}
	if (o->n_value == o->cap_value && grow_values(o) < 0) {
		r = ne_fail(o->err, ENOMEM, "ONNX model: no memory");
		goto fail;
	}
	if (find_in(o, name, scope)) {
		r = ne_fail(o->err, EEXIST, "ONNX model: value '%.100s' is defined twice", name);
		goto fail;
	}
	copy = strdup(name);
	if (!copy) {
		r = ne_fail(o->err, ENOMEM, "ONNX model: no memory");
		goto fail;
	}
	o->slot[find_slot(o, name, scope)] = o->n_value + 1;
	o->value[o->n_value++] =
		(struct onnx_value){.name = copy, .scope = scope, .constant = c, .tensor = tensor};
	return 0;
fail:
	onnx_const_free(c);
	return r;
}

void onnx_values_done(struct onnx *o)
{
	for (uint32_t i = 0; i < o->n_value; i++) {
		free(o->value[i].name);
		onnx_const_free(o->value[i].constant);
	}
	free(o->value);
	free(o->slot);
}

/* ---- constants ---- */

struct onnx_const *onnx_const_new(enum ne_dtype dtype, uint32_t rank, const int64_t *dim)
{
	struct onnx_const *c;
	uint64_t n = 1;

	if (rank > NE_MAX_RANK)
		return NULL;
	for (uint32_t i = 0; i < rank; i++) {
		if (dim[i] < 0 || dim[i] > NE_MAX_DIM)
			return NULL;
		n *= (uint64_t)dim[i];
		if (n > NE_MAX_ELEMENTS)
			return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->data = ne_alloc_aligned((size_t)n * ne_dtype_size(dtype));
	if (!c->data) {
		free(c);
		return NULL;
	}
	c->dtype = dtype;
	c->rank = rank;
	for (uint32_t i = 0; i < rank; i++)
		c->dim[i] = dim[i];
	c->n = (size_t)n;
	return c;
}

void onnx_const_free(struct onnx_const *c)
{
	if (c)
		free(c->data);
	free(c);
}

struct onnx_const *onnx_const_reshape(const struct onnx_const *c, uint32_t rank, const int64_t *dim)
{
	struct onnx_const *r = onnx_const_new(c->dtype, rank, dim);

	if (r && r->n != c->n) {
		onnx_const_free(r);
		return NULL;
	}
	if (r)
		memcpy(r->data, c->data, c->n * ne_dtype_size(c->dtype));
	return r;
}

int64_t onnx_const_int(const struct onnx_const *c, size_t i)
{
	switch (c->dtype) {
	case NE_S64:
		return ((const int64_t *)c->data)[i];
	case NE_S32:
		return ((const int32_t *)c->data)[i];
	case NE_S16:
		return ((const int16_t *)c->data)[i];
	case NE_S8:
		return ((const int8_t *)c->data)[i];
	case NE_U8:
	case NE_BOOL:
		return ((const uint8_t *)c->data)[i];
	default: {
		float v = ((const float *)c->data)[i];

		return fabsf(v) < 9e18f ? (int64_t)v : 0; /* false for NaN */
	}
	}
}

double onnx_const_real(const struct onnx_const *c, size_t i)
{
	if (c->dtype == NE_F32)
		return (double)((const float *)c->data)[i];
	return (double)onnx_const_int(c, i);
}

static int64_t saturate(double v, int64_t lo, int64_t hi)
{
	if (!(v > (double)lo))
		return lo;
	return v < (double)hi ? (int64_t)v : hi;
}

void onnx_const_set(struct onnx_const *c, size_t i, double v)
{
	switch (c->dtype) {
	case NE_S64:
		((int64_t *)c->data)[i] = saturate(v, -(INT64_C(1) << 53), INT64_C(1) << 53);
		break;
	case NE_S32:
		((int32_t *)c->data)[i] = (int32_t)saturate(v, INT32_MIN, INT32_MAX);
		break;
	case NE_S16:
		((int16_t *)c->data)[i] = (int16_t)saturate(v, INT16_MIN, INT16_MAX);
		break;
	case NE_S8:
		((int8_t *)c->data)[i] = (int8_t)saturate(v, INT8_MIN, INT8_MAX);
		break;
	case NE_U8:
		((uint8_t *)c->data)[i] = (uint8_t)saturate(v, 0, UINT8_MAX);
		break;
	case NE_BOOL:
		((uint8_t *)c->data)[i] = v < 0 || v > 0;
		break;
	default:
		((float *)c->data)[i] = (float)v;
	}
}

/* ---- TensorProto ---- */

/* How a TensorProto type is stored in raw_data and what it becomes here. */
struct proto_type {
	int32_t type;
	uint32_t raw_bytes;
	enum ne_dtype dtype;
};

static const struct proto_type *type_of(int32_t type)
{
	static const struct proto_type types[] = {
		{ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 4, NE_F32},
		{ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, 8, NE_F32},
		{ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, 2, NE_F32},
		{ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 8, NE_S64},
		{ONNX__TENSOR_PROTO__DATA_TYPE__INT32, 4, NE_S32},
		{ONNX__TENSOR_PROTO__DATA_TYPE__INT16, 2, NE_S16},
		{ONNX__TENSOR_PROTO__DATA_TYPE__INT8, 1, NE_S8},
		{ONNX__TENSOR_PROTO__DATA_TYPE__UINT8, 1, NE_U8},
		{ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, 1, NE_BOOL},
	};

	for (size_t i = 0; i < NE_ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return &types[i];
	return NULL;
}

/* Elements that the message brings; compared with the shape before anything is allocated. */
static size_t elements_stored(const Onnx__TensorProto *t, const struct proto_type *type)
{
	if (t->has_raw_data)
		return t->raw_data.len % type->raw_bytes ? SIZE_MAX
							 : t->raw_data.len / type->raw_bytes;
	switch (type->type) {
	case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
		return t->n_float_data;
	case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
		return t->n_double_data;
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
		return t->n_int64_data;
	default: /* the rest are kept in int32_data */
		return t->n_int32_data;
	}
}

static bool shape_holds(const Onnx__TensorProto *t, size_t n)
{
	uint64_t product = 1;

	for (size_t i = 0; i < t->n_dims; i++) {
		if (t->dims[i] < 0 || t->dims[i] > NE_MAX_DIM)
			return false;
		product *= (uint64_t)t->dims[i];
		if (product > NE_MAX_ELEMENTS)
			return false;
	}
	return product == n;
}

static void decode_raw(struct onnx_const *c, const Onnx__TensorProto *t,
		       const struct proto_type *type)
{
	const uint8_t *raw = t->raw_data.data;

	if (type->type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE) {
		for (size_t i = 0; i < c->n; i++) {
			double v;

			memcpy(&v, raw + 8 * i, sizeof(v));
			((float *)c->data)[i] = (float)v;
		}
	} else if (type->type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16) {
		for (size_t i = 0; i < c->n; i++) {
			uint16_t v;

			memcpy(&v, raw + 2 * i, sizeof(v));
			((float *)c->data)[i] = ne_f16_to_f32(v);
		}
	} else if (c->n) {
		memcpy(c->data, raw, t->raw_data.len);
	}
}

static void decode_typed(struct onnx_const *c, const Onnx__TensorProto *t, int32_t type)
{
	for (size_t i = 0; i < c->n; i++) {
		switch (type) {
		case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
			((float *)c->data)[i] = t->float_data[i];
			break;
		case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
			((float *)c->data)[i] = (float)t->double_data[i];
			break;
		case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
			((int64_t *)c->data)[i] = t->int64_data[i];
			break;
		case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
			((float *)c->data)[i] = ne_f16_to_f32((uint16_t)t->int32_data[i]);
			break;
		default:
			onnx_const_set(c, i, (double)t->int32_data[i]);
		}
	}
}

int onnx_const_decode(struct onnx *o, const Onnx__TensorProto *t, const char *what,
		      struct onnx_const **ret)
{
	const struct proto_type *type = type_of(t->data_type);
	struct onnx_const *c;

	if (t->n_external_data || t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
		return ne_fail(o->err, EOPNOTSUPP,
			       "constant '%.80s' is kept outside of the file; save the model with "
			       "its data inside",
			       what);
	if (!type)
		return ne_fail(o->err, EOPNOTSUPP,
			       "constant '%.80s' is of ONNX type %d; float, double, float16, "
			       "int64, int32, int16, int8, uint8 and bool are "
			       "supported",
			       what, t->data_type);
	if (t->segment)
		return ne_fail(o->err, EOPNOTSUPP, "constant '%.80s' is stored in segments", what);
	if (t->n_dims > NE_MAX_RANK)
		return ne_fail(o->err, EINVAL, "constant '%.80s' has %zu dimensions, at most %u",
			       what, t->n_dims, NE_MAX_RANK);
	if (!shape_holds(t, elements_stored(t, type)))
		return ne_fail(o->err, EBADMSG, "constant '%.80s': data and shape disagree", what);
	c = onnx_const_new(type->dtype, (uint32_t)t->n_dims, t->dims);
	if (!c)
		return ne_fail(o->err, ENOMEM, "constant '%.80s': no memory", what);
	if (t->has_raw_data)
		decode_raw(c, t, type);
	else
		decode_typed(c, t, type->type);
	*ret = c;
	return 0;
}
