/* SPDX-License-Identifier: MIT */
/*
 * Values. The engine has channels last, ONNX channels first: a tensor is written in the layout
 * that its producer gives, and turned when a reader wants another. Transposes of the graph are
 * therefore no nodes at all, only another name for the layout; reshapes are written when read.
 */
#include "tools/neap/export/onnx_internal.h"

#include <string.h>

struct layout layout_same(void)
{
	struct layout l;

	for (int32_t i = 0; i < (int32_t)NE_MAX_RANK; i++)
		l.perm[i] = i;
	return l;
}

struct layout layout_channels_first(uint32_t rank)
{
	struct layout l = layout_same();

	if (rank < 3)
		return l;
	l.perm[1] = (int32_t)rank - 1;
	for (int32_t i = 2; i < (int32_t)rank; i++)
		l.perm[i] = i - 1;
	return l;
}

bool layout_equal(const struct layout *a, const struct layout *b, uint32_t rank)
{
	return memcmp(a->perm, b->perm, rank * sizeof(a->perm[0])) == 0;
}

bool x_is_s8(const struct exporter *x, uint32_t t)
{
	const struct ne_tensor *v = &x->g->tensor[t];

	/* weights are of no use to others than their layer, so that a scale per channel is one too */
	return v->dtype == NE_S8 && (x->width->quant[t].scale > 0 || (v->data && v->n_scale));
}

bool x_is_real(const struct exporter *x, uint32_t t)
{
	enum ne_dtype type = x->g->tensor[t].dtype;

	if (type == NE_U8 || type == NE_S16)
		return x_quant(x, t).scale > 0;
	return type == NE_F32 || x_is_s8(x, t);
}

enum ne_dtype x_dtype(const struct exporter *x, uint32_t t)
{
	return x_is_s8(x, t) ? NE_U8 : x->g->tensor[t].dtype;
}

struct ne_quant x_quant(const struct exporter *x, uint32_t t)
{
	const struct ne_tensor *v = &x->g->tensor[t];
	struct ne_quant q = x->width->quant[t];

	if (!(q.scale > 0) && v->data && v->n_scale == 1)
		q = (struct ne_quant){v->scale[0], 0};
	if (x_is_s8(x, t))
		q.zero += 128;
	return q;
}

/* ---- quantising ---- */

static const char *zero_point(struct exporter *x, int32_t zero, enum ne_dtype type)
{
	const uint8_t u8 = (uint8_t)zero;
	const int8_t s8 = (int8_t)zero;

	return type == NE_U8 ? x_init(x, "zero", NE_U8, 0, NULL, &u8)
			     : x_init(x, "zero", NE_S8, 0, NULL, &s8);
}

const char *x_quantise(struct exporter *x, const char *real, struct ne_quant q, enum ne_dtype type,
		       const char *out)
{
	const char *v;

	if (type != NE_S16)
		return X_NODE(x, "QuantizeLinear", out, real, x_init_float(x, "scale", q.scale),
			      zero_point(x, q.zero, type));
	/* 16 bits: QuantizeLinear gives them from opset 21 on */
	v = X_NODE(x, "Div", NULL, real, x_init_float(x, "scale", q.scale));
	v = X_NODE(x, "Round", NULL, v);
	if (q.zero)
		v = X_NODE(x, "Add", NULL, v, x_init_float(x, "zero", (float)q.zero));
	v = X_NODE(x, "Clip", NULL, v, x_init_float(x, "low", INT16_MIN),
		   x_init_float(x, "high", INT16_MAX));
	v = X_NODE(x, "Cast", out, v);
	x_attr_type(x, "to", NE_S16);
	return v;
}

const char *x_dequantise(struct exporter *x, const char *stored, struct ne_quant q,
			 enum ne_dtype type)
{
	const float zero = (float)q.zero;
	const char *v;

	if (type != NE_S16)
		return X_NODE(x, "DequantizeLinear", NULL, stored,
			      x_init_float(x, "scale", q.scale), zero_point(x, q.zero, type));
	/* 16 bits: DequantizeLinear takes them from opset 21 on */
	v = x_cast(x, stored, NE_F32);
	if (q.zero)
		v = X_NODE(x, "Sub", NULL, v, x_init_float(x, "zero", zero));
	return X_NODE(x, "Mul", NULL, v, x_init_float(x, "scale", q.scale));
}

/* ---- constants ---- */

/* Where element @i of @s, counted in the order of layout @l, is in a tensor of @stored's shape. */
static size_t source_index(const struct ne_shape *s, const struct layout *l,
			   const struct ne_shape *stored, size_t i)
{
	size_t index[NE_MAX_RANK] = {0}, at = 0;

	for (uint32_t d = s->rank; d-- > 0;) {
		size_t length = (size_t)s->dim[l->perm[d]];

		index[l->perm[d]] = i % length;
		i /= length;
	}
	for (uint32_t d = 0; d < s->rank; d++)
		at = at * (size_t)stored->dim[d] + index[d];
	return at;
}

/* A constant cut to the level, in the layout. */
static const char *constant(struct exporter *x, uint32_t t, const struct layout *l)
{
	const struct ne_tensor *v = &x->g->tensor[t];
	const struct ne_shape *s = &x->shape[t];
	size_t n = ne_shape_elements(s), size = ne_dtype_size(v->dtype);
	char *data = x_alloc(x, n * size);
	int64_t dim[NE_MAX_RANK];

	if (!data)
		return NULL;
	for (uint32_t d = 0; d < s->rank; d++)
		dim[d] = s->dim[l->perm[d]];
	for (size_t i = 0; i < n; i++)
		memcpy(data + i * size,
		       (const char *)v->data + source_index(s, l, &v->shape, i) * size, size);
	if (x_is_s8(x, t))
		for (size_t i = 0; i < n; i++)
			data[i] = (char)(data[i] ^ 0x80);
	return x_init(x, v->name, x_dtype(x, t), s->rank, dim, data);
}

/* ---- forms ---- */

void x_add_form(struct exporter *x, uint32_t t, const struct layout *l, const char *name)
{
	struct value *v = &x->value[t];

	if (v->n_form < FORMS_MAX && name)
		v->form[v->n_form++] = (struct form){*l, name};
}

/* The last node of a Reshape. */
static const char *reshape_node(struct exporter *x, const char *name, uint32_t rank,
				const int64_t *dim)
{
	return X_NODE(x, "Reshape", NULL, name, x_init_ints(x, "shape", rank, dim));
}

static bool is_quantised(const struct exporter *x, uint32_t t)
{
	return x_dtype(x, t) == NE_U8 && x_quant(x, t).scale > 0;
}

/* Moving values is written as all of QDQ form: dequantised before, quantised alike after. */
static const char *to_real(struct exporter *x, uint32_t t, const char *name)
{
	return is_quantised(x, t) ? x_dequantise(x, name, x_quant(x, t), NE_U8) : name;
}

static const char *to_stored(struct exporter *x, uint32_t t, const char *name)
{
	return is_quantised(x, t) ? x_quantise(x, name, x_quant(x, t), NE_U8, NULL) : name;
}

const char *x_reshape(struct exporter *x, uint32_t t, const char *name, uint32_t rank,
		      const int64_t *dim)
{
	return to_stored(x, t, reshape_node(x, to_real(x, t, name), rank, dim));
}

/* Turns a value of @t from one layout to another: a Reshape where only axes of length 1 move. */
static const char *turn(struct exporter *x, uint32_t t, const struct form *from,
			const struct layout *to)
{
	const struct ne_shape *s = &x->shape[t];
	int64_t perm[NE_MAX_RANK], dim[NE_MAX_RANK], last = -1;
	const char *name;
	bool moves = false;

	for (uint32_t i = 0; i < s->rank; i++) {
		dim[i] = s->dim[to->perm[i]];
		for (uint32_t k = 0; k < s->rank; k++)
			if (from->layout.perm[k] == to->perm[i])
				perm[i] = k;
		if (dim[i] == 1)
			continue;
		moves |= perm[i] < last;
		last = perm[i];
	}
	if (!moves)
		return x_reshape(x, t, from->name, s->rank, dim);
	name = X_NODE(x, "Transpose", NULL, to_real(x, t, from->name));
	x_attr_ints(x, "perm", s->rank, perm);
	return to_stored(x, t, name);
}

/* Writes the reshape that @t is, in the engine's order. */
static void write_reshape(struct exporter *x, uint32_t t)
{
	struct layout same = layout_same();
	struct value *v = &x->value[t];
	int64_t dim[NE_MAX_RANK];

	for (uint32_t i = 0; i < x->shape[t].rank; i++)
		dim[i] = x->shape[t].dim[i];
	x_add_form(x, t, &same,
		   x_reshape(x, t, x_stored(x, v->reshaped, &same), x->shape[t].rank, dim));
	v->reshaped = NE_NONE;
}

const char *x_stored(struct exporter *x, uint32_t t, const struct layout *l)
{
	struct value *v = &x->value[t];
	uint32_t rank = x->shape[t].rank;
	const char *name;

	if (x->g->tensor[t].data)
		return constant(x, t, l);
	if (v->reshaped != NE_NONE)
		write_reshape(x, t);
	for (uint32_t i = 0; i < v->n_form; i++)
		if (layout_equal(&v->form[i].layout, l, rank))
			return v->form[i].name;
	if (!v->n_form) {
		x_fail(x, EINVAL, "tensor '%.60s' is read before it is written",
		       x->g->tensor[t].name);
		return NULL;
	}
	name = turn(x, t, &v->form[0], l);
	x_add_form(x, t, l, name);
	return name;
}

const char *x_real(struct exporter *x, uint32_t t, const struct layout *l)
{
	const char *name = x_stored(x, t, l);
	struct ne_quant q = x_quant(x, t);
	enum ne_dtype type = x_dtype(x, t);

	if (type == NE_F32)
		return name;
	if (!(q.scale > 0) || (type != NE_U8 && type != NE_S16)) {
		x_fail(x, EOPNOTSUPP, "input '%.60s' of type %s has no real values",
		       x->g->tensor[t].name, ne_dtype_name(x->g->tensor[t].dtype));
		return NULL;
	}
	return x_dequantise(x, name, q, type);
}

const char *x_value(struct exporter *x, uint32_t t, const struct layout *l)
{
	return x_is_real(x, t) ? x_real(x, t, l) : x_stored(x, t, l);
}

const char *x_cast(struct exporter *x, const char *v, enum ne_dtype type)
{
	v = X_NODE(x, "Cast", NULL, v);
	x_attr_type(x, "to", type);
	return v;
}

enum ne_dtype x_wide_type(enum ne_dtype type)
{
	return type == NE_S8 || type == NE_U8 || type == NE_S16 ? NE_S32 : type;
}

const char *x_wide(struct exporter *x, uint32_t t, const struct layout *l)
{
	enum ne_dtype type = x->g->tensor[t].dtype;
	const char *v = x_value(x, t, l);

	return x_is_real(x, t) || x_wide_type(type) == type ? v : x_cast(x, v, x_wide_type(type));
}

struct layout x_layout_of(struct exporter *x, uint32_t t)
{
	const struct value *v = &x->value[t];

	return v->n_form ? v->form[0].layout : layout_same();
}
