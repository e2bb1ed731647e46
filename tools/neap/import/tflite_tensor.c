/* SPDX-License-Identifier: MIT */
/* The file's tensors: shapes, types, quantisation, and the values of constants. */
#include "tools/neap/import/tflite_internal.h"

#include "engine/model/f16.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Fields of the schema's tables, in their order. */
enum {
	TENSOR_SHAPE,
	TENSOR_TYPE,
	TENSOR_BUFFER,
	TENSOR_NAME,
	TENSOR_QUANT,
	TENSOR_VARIABLE,
	TENSOR_SPARSITY
};
enum { QUANT_SCALE = 2, QUANT_ZERO = 3, QUANT_DETAILS_KIND = 4, QUANT_AXIS = 6 };
enum { BUFFER_DATA, BUFFER_OFFSET, BUFFER_SIZE };

size_t tflite_type_bytes(enum tflite_type type)
{
	switch (type) {
	case TFLITE_F32:
	case TFLITE_S32:
		return 4;
	case TFLITE_S64:
		return 8;
	case TFLITE_F16:
	case TFLITE_S16:
		return 2;
	case TFLITE_U8:
	case TFLITE_S8:
	case TFLITE_BOOL:
		return 1;
	default: /* int4 is packed, a resource has no values */
		return 0;
	}
}

size_t tflite_elements(const struct tflite_tensor *x)
{
	struct ne_shape s = tflite_shape(x);

	return x->shaped ? ne_shape_elements(&s) : 0;
}

struct ne_shape tflite_shape(const struct tflite_tensor *x)
{
	struct ne_shape s = {.rank = x->rank};

	memcpy(s.dim, x->dim, sizeof(s.dim));
	return s;
}

enum ne_dtype tflite_plain_type(enum tflite_type type)
{
	switch (type) {
	case TFLITE_S32:
		return NE_S32;
	case TFLITE_S64:
		return NE_S64;
	case TFLITE_BOOL:
		return NE_BOOL;
	default:
		return (enum ne_dtype)0;
	}
}

bool tflite_is_s16(const struct tflite_tensor *x)
{
	return x->type == TFLITE_S16 && x->scale.n == 1;
}

struct ne_quant tflite_quant_s16(const struct tflite_tensor *x)
{
	return (struct ne_quant){
		fb_vector_f32(&x->scale, 0),
		x->zero.n ? (int32_t)fb_vector_s64(&x->zero, 0) : 0,
	};
}

struct ne_quant tflite_quant(const struct tflite_tensor *x)
{
	struct ne_quant q = {0};

	if ((x->type != TFLITE_S8 && x->type != TFLITE_U8) || x->scale.n != 1)
		return q;
	q.scale = fb_vector_f32(&x->scale, 0);
	q.zero = x->zero.n ? (int32_t)fb_vector_s64(&x->zero, 0) : 0;
	if (x->type == TFLITE_U8)
		q.zero -= 128;
	return q;
}

/* ---- reading ---- */

static void read_shape(const struct fb_table *from, struct tflite_tensor *x)
{
	struct fb_vector v = fb_vector(from, TENSOR_SHAPE, 4);
	struct ne_shape s;

	x->shaped = v.n <= NE_MAX_RANK;
	if (!x->shaped)
		return;
	x->rank = v.n;
	for (uint32_t i = 0; i < v.n; i++)
		x->dim[i] = fb_vector_s32(&v, i);
	s = tflite_shape(x);
	x->shaped = ne_shape_elements(&s) != 0;
}

/* Scales are positive numbers and zero points fit the type, so nobody looks again. */
static int read_quant(struct tflite *t, const struct fb_table *from, struct tflite_tensor *x)
{
	struct fb_table q = fb_table(from, TENSOR_QUANT);
	int64_t lo = x->type == TFLITE_U8    ? 0
		     : x->type == TFLITE_S8  ? INT8_MIN
		     : x->type == TFLITE_S16 ? INT16_MIN
					     : INT32_MIN;
	int64_t hi = x->type == TFLITE_U8    ? UINT8_MAX
		     : x->type == TFLITE_S8  ? INT8_MAX
		     : x->type == TFLITE_S16 ? INT16_MAX
					     : INT32_MAX;

	x->scale = fb_vector(&q, QUANT_SCALE, 4);
	x->zero = fb_vector(&q, QUANT_ZERO, 8);
	x->axis = fb_s32(&q, QUANT_AXIS, 0);
	if (fb_u8(&q, QUANT_DETAILS_KIND, 0))
		return ne_fail(t->err, EOPNOTSUPP, "tensor '%.80s': custom quantisation", x->name);
	if (x->scale.n && x->zero.n && x->zero.n != x->scale.n && x->zero.n != 1)
		return ne_fail(t->err, EINVAL, "tensor '%.80s': %u scales but %u zero points",
			       x->name, x->scale.n, x->zero.n);
	for (uint32_t i = 0; i < x->scale.n; i++) {
		float s = fb_vector_f32(&x->scale, i);

		if (!isfinite(s) || s < 0 || (s == 0 && x->scale.n == 1))
			return ne_fail(t->err, EINVAL,
				       "tensor '%.80s': scale %u is not a positive number", x->name,
				       i);
	}
	for (uint32_t i = 0; x->scale.n && i < x->zero.n; i++) {
		int64_t z = fb_vector_s64(&x->zero, i);

		if (z < lo || z > hi)
			return ne_fail(t->err, EINVAL,
				       "tensor '%.80s': zero point %lld is outside of its type",
				       x->name, (long long)z);
	}
	return 0;
}

/* int4 values, two a byte and the lower half first, as int8. */
static int unpack_s4(struct tflite *t, struct tflite_tensor *x, size_t elements)
{
	int8_t *v;

	if (x->bytes != (elements + 1) / 2)
		return ne_fail(t->err, EINVAL, "tensor '%.80s': %zu bytes for %zu int4 values",
			       x->name, x->bytes, elements);
	v = malloc(elements);
	if (!v)
		return ne_fail(t->err, ENOMEM, "tensor '%.80s': no memory", x->name);
	for (size_t i = 0; i < elements; i++) {
		int half = x->data[i / 2] >> 4 * (i % 2) & 15;

		v[i] = (int8_t)(half < 8 ? half : half - 16);
	}
	x->own = v;
	x->data = (const uint8_t *)v;
	x->bytes = elements;
	x->type = TFLITE_S8;
	return 0;
}

static int read_data(struct tflite *t, const struct fb_table *from, struct tflite_tensor *x)
{
	uint32_t index = fb_u32(from, TENSOR_BUFFER, 0);
	struct fb_table b;
	struct fb_vector v;
	size_t elements = tflite_elements(x), size = tflite_type_bytes(x->type);

	if (!index)
		return 0;
	if (index >= t->buffer.n)
		return ne_fail(t->err, EBADMSG, "tensor '%.80s': no buffer %u in the file", x->name,
			       index);
	b = fb_vector_table(&t->buffer, index);
	if (fb_u64(&b, BUFFER_OFFSET, 0) > 1)
		return ne_fail(t->err, EOPNOTSUPP,
			       "tensor '%.80s': values outside of the flatbuffer (a model over "
			       "2 GB)",
			       x->name);
	v = fb_vector(&b, BUFFER_DATA, 1);
	if (!v.n)
		return 0;
	x->data = fb_vector_bytes(&v);
	x->bytes = v.n;
	if (!x->shaped)
		return ne_fail(t->err, EOPNOTSUPP,
			       "tensor '%.80s': a constant whose shape is empty or over the limits",
			       x->name);
	if (x->type == TFLITE_S4)
		return unpack_s4(t, x, elements);
	if (!size || x->bytes / size != elements || x->bytes % size)
		return ne_fail(t->err, EINVAL, "tensor '%.80s': %zu bytes do not fit its shape",
			       x->name, x->bytes);
	return 0;
}

int tflite_tensor_decode(struct tflite *t, const struct fb_table *from, struct tflite_tensor *ret)
{
	struct fb_table sparsity = fb_table(from, TENSOR_SPARSITY);

	ret->id = ret->folded = -1;
	fb_string(from, TENSOR_NAME, ret->name, sizeof(ret->name));
	ret->type = (enum tflite_type)fb_s8(from, TENSOR_TYPE, 0);
	ret->variable = fb_bool(from, TENSOR_VARIABLE);
	read_shape(from, ret);
	NE_RETURN_IF(read_quant(t, from, ret));
	NE_RETURN_IF(read_data(t, from, ret));
	if (sparsity.bytes)
		return ne_fail(t->err, EOPNOTSUPP, "tensor '%.80s': sparse; store it dense",
			       ret->name);
	return fb_failed(&t->fb, t->err);
}

int tflite_tensors_read(struct tflite *t, const struct fb_table *subgraph)
{
	struct fb_vector v = fb_vector(subgraph, 0, 4);

	NE_RETURN_IF(fb_failed(&t->fb, t->err));
	if (v.n > NE_MAX_TENSORS)
		return ne_fail(t->err, E2BIG, "%u tensors, at most %u", v.n, NE_MAX_TENSORS);
	t->tensor = calloc(v.n + 1u, sizeof(*t->tensor));
	if (!t->tensor)
		return ne_fail(t->err, ENOMEM, "no memory for %u tensors", v.n);
	for (uint32_t i = 0; i < v.n; i++) {
		struct fb_table from = fb_vector_table(&v, i);

		t->n_tensor = i + 1;
		NE_RETURN_IF(tflite_tensor_decode(t, &from, &t->tensor[i]));
	}
	return 0;
}

void tflite_tensors_free(struct tflite *t)
{
	for (uint32_t i = 0; i < t->n_tensor; i++)
		free(t->tensor[i].own);
	free(t->tensor);
	t->tensor = NULL;
	t->n_tensor = 0;
}

/* ---- values of constants ---- */

int64_t tflite_int(const struct tflite_tensor *x, size_t i)
{
	int16_t s16;
	int32_t s32;
	int64_t s64;

	switch (x->type) {
	case TFLITE_U8:
	case TFLITE_BOOL:
		return x->data[i];
	case TFLITE_S8:
		return (int8_t)x->data[i];
	case TFLITE_S16:
		memcpy(&s16, x->data + 2 * i, sizeof(s16));
		return s16;
	case TFLITE_S32:
		memcpy(&s32, x->data + 4 * i, sizeof(s32));
		return s32;
	case TFLITE_S64:
		memcpy(&s64, x->data + 8 * i, sizeof(s64));
		return s64;
	default:
		return 0;
	}
}

/* Elements from one value of the scales' axis to the next. */
static size_t scale_stride(const struct tflite_tensor *x)
{
	size_t stride = 1;

	for (uint32_t i = (uint32_t)x->axis + 1; i < x->rank; i++)
		stride *= (size_t)x->dim[i];
	return stride;
}

static int check_scales(struct tflite *t, const struct tflite_node *n,
			const struct tflite_tensor *x)
{
	if (!x->scale.n)
		return tflite_fail(t, n, EINVAL, "'%.80s' has no scale", x->name);
	if (x->scale.n > 1 &&
	    (x->axis < 0 || x->axis >= (int32_t)x->rank || x->dim[x->axis] != (int32_t)x->scale.n))
		return tflite_fail(t, n, EINVAL, "'%.80s': %u scales do not fit axis %d", x->name,
				   x->scale.n, x->axis);
	return 0;
}

int tflite_reals(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *x,
		 float **ret)
{
	size_t elements = tflite_elements(x), stride = 1;
	float *v;

	if (x->type != TFLITE_F32 && x->type != TFLITE_F16) {
		NE_RETURN_IF(check_scales(t, n, x));
		if (x->scale.n > 1)
			stride = scale_stride(x);
	}
	NE_RETURN_IF(tflite_const_alloc(t, n, elements * sizeof(*v), &v));
	for (size_t i = 0; i < elements; i++) {
		size_t c = x->scale.n > 1 ? i / stride % x->scale.n : 0;
		uint16_t h;

		if (x->type == TFLITE_F32) {
			memcpy(&v[i], x->data + 4 * i, sizeof(v[i]));
		} else if (x->type == TFLITE_F16) {
			memcpy(&h, x->data + 2 * i, sizeof(h));
			v[i] = ne_f16_to_f32(h);
		} else {
			int64_t zero =
				x->zero.n ? fb_vector_s64(&x->zero, x->zero.n > 1 ? (uint32_t)c : 0)
					  : 0;

			v[i] = (float)((double)(tflite_int(x, i) - zero) *
				       (double)fb_vector_f32(&x->scale, (uint32_t)c));
		}
		if (!isfinite(v[i])) {
			free(v);
			return tflite_fail(t, n, EINVAL, "'%.80s': value %zu is not a number",
					   x->name, i);
		}
	}
	*ret = v;
	return 0;
}
