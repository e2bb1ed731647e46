/* SPDX-License-Identifier: MIT */
/* Widening and narrowing of elements; and cast, which is nothing else. */
#include "engine/op/elem.h"

#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <math.h>
#include <string.h>

struct ne_elem ne_elem_of(const struct ne_lower *lw, uint32_t tensor)
{
	struct ne_elem e = {lw->g->tensor[tensor].dtype, {0, 0}};

	if (e.type == NE_S8 || e.type == NE_U8 || e.type == NE_S16)
		e.q = ne_lower_quant(lw, tensor);
	return e;
}

bool ne_elem_is_real(const struct ne_elem *e)
{
	return e->type == NE_F32 || e->q.scale > 0;
}

#define LOAD(c_type, out_type)                      \
	do {                                        \
		const c_type *s_ = src;             \
                                                    \
		for (size_t i_ = 0; i_ < n; i_++)   \
			dst[i_] = (out_type)s_[i_]; \
	} while (0)

void ne_elem_load_f32(float *dst, const void *src, size_t n, const struct ne_elem *e)
{
	switch (e->type) {
	case NE_S8:
		LOAD(int8_t, float);
		break;
	case NE_U8:
	case NE_BOOL:
		LOAD(uint8_t, float);
		break;
	case NE_S16:
		LOAD(int16_t, float);
		break;
	case NE_S32:
		LOAD(int32_t, float);
		break;
	case NE_S64:
		LOAD(int64_t, float);
		break;
	default:
		memcpy(dst, src, n * sizeof(*dst));
	}
	if (e->q.scale > 0)
		for (size_t i = 0; i < n; i++)
			dst[i] = (dst[i] - (float)e->q.zero) * e->q.scale;
}

/* False for NaN, which becomes 0. */
static int64_t truncated(float v)
{
	if (!(fabsf(v) < 9.2e18f))
		return v > 0 ? INT64_MAX : v < 0 ? INT64_MIN : 0;
	return (int64_t)v;
}

/* Half to even; far beyond any type's range, NaN at the least of all as everywhere. */
static int64_t rounded(double v)
{
	return (int64_t)(v >= -1e9 ? (v <= 1e9 ? rint(v) : 1e9) : -1e9);
}

void ne_elem_load_s64(int64_t *dst, const void *src, size_t n, const struct ne_elem *e)
{
	switch (e->type) {
	case NE_S8:
		LOAD(int8_t, int64_t);
		break;
	case NE_U8:
	case NE_BOOL:
		LOAD(uint8_t, int64_t);
		break;
	case NE_S16:
		LOAD(int16_t, int64_t);
		break;
	case NE_S32:
		LOAD(int32_t, int64_t);
		break;
	case NE_S64:
		memcpy(dst, src, n * sizeof(*dst));
		break;
	default:
		for (size_t i = 0; i < n; i++)
			dst[i] = truncated(((const float *)src)[i]);
	}
}

static void range_of(enum ne_dtype t, int64_t *lo, int64_t *hi)
{
	switch (t) {
	case NE_S8:
		*lo = INT8_MIN;
		*hi = INT8_MAX;
		break;
	case NE_U8:
		*lo = 0;
		*hi = UINT8_MAX;
		break;
	case NE_S16:
		*lo = INT16_MIN;
		*hi = INT16_MAX;
		break;
	case NE_S32:
		*lo = INT32_MIN;
		*hi = INT32_MAX;
		break;
	default:
		*lo = INT64_MIN;
		*hi = INT64_MAX;
	}
}

static void store_one(void *dst, size_t i, int64_t v, enum ne_dtype t)
{
	switch (t) {
	case NE_S8:
		((int8_t *)dst)[i] = (int8_t)v;
		break;
	case NE_U8:
		((uint8_t *)dst)[i] = (uint8_t)v;
		break;
	case NE_S16:
		((int16_t *)dst)[i] = (int16_t)v;
		break;
	case NE_S32:
		((int32_t *)dst)[i] = (int32_t)v;
		break;
	case NE_S64:
		((int64_t *)dst)[i] = v;
		break;
	case NE_BOOL:
		((uint8_t *)dst)[i] = v != 0;
		break;
	default:
		((float *)dst)[i] = (float)v;
	}
}

void ne_elem_store_f32(void *dst, const float *src, size_t n, const struct ne_elem *e)
{
	int64_t lo, hi;

	if (e->type == NE_F32) {
		memcpy(dst, src, n * sizeof(*src));
		return;
	}
	if (e->type == NE_BOOL) {
		for (size_t i = 0; i < n; i++)
			((uint8_t *)dst)[i] = src[i] < 0 || src[i] > 0 || isnan(src[i]);
		return;
	}
	range_of(e->type, &lo, &hi);
	for (size_t i = 0; i < n; i++) {
		int64_t v;

		if (e->q.scale > 0)
			v = rounded((double)(src[i] / e->q.scale)) + e->q.zero;
		else
			v = truncated(src[i]);
		store_one(dst, i, NE_CLAMP(v, lo, hi), e->type);
	}
}

void ne_elem_store_s64(void *dst, const int64_t *src, size_t n, const struct ne_elem *e)
{
	for (size_t i = 0; i < n; i++)
		store_one(dst, i, src[i], e->type);
}

void ne_elem_constant(void *dst, double v, const struct ne_elem *e)
{
	float f = (float)v;

	ne_elem_store_f32(dst, &f, 1, e);
}

/* ---- cast ---- */

NE_OP_CHECK(cast)
{
	return ne_check_same_group(g, n, err);
}

struct cast_args {
	struct ne_ref x, y;
	struct ne_elem in, out;
};

static void run_cast(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct cast_args *c = s->args;
	size_t in = ne_dtype_size(c->in.type), out = ne_dtype_size(c->out.type);
	const char *x = (const char *)ne_at(f, c->x) + first * in;
	char *y = (char *)ne_at(f, c->y) + first * out;

	for (uint32_t i = 0; i < n; i += NE_CHUNK) {
		size_t m = NE_MIN(NE_CHUNK, n - i);
		union {
			float f32[NE_CHUNK];
			int64_t s64[NE_CHUNK];
		} v;

		if (ne_elem_is_real(&c->in) || c->out.q.scale > 0) {
			ne_elem_load_f32(v.f32, x + i * in, m, &c->in);
			ne_elem_store_f32(y + i * out, v.f32, m, &c->out);
		} else {
			ne_elem_load_s64(v.s64, x + i * in, m, &c->in);
			ne_elem_store_s64(y + i * out, v.s64, m, &c->out);
		}
	}
}

NE_OP_LOWER(cast)
{
	struct cast_args c = {.x = lw->ref[n->in[0]],
			      .y = lw->ref[lw->y],
			      .in = ne_elem_of(lw, n->in[0]),
			      .out = ne_elem_of(lw, lw->y)};
	size_t elements = ne_shape_elements(&lw->shape[lw->y]);

	return ne_lower_step(lw, run_cast, &c, sizeof(c), elements, 4096, elements * 4, lw->y);
}
