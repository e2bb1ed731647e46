/* SPDX-License-Identifier: MIT */
/*
 * The family of functions of one value. Those that real networks use in f32 are plain loops that
 * the compiler turns into vectors; the rest call one function an element. In 8 bits with a scale
 * each is a table of 256 entries.
 */
#include "engine/op/elem.h"
#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <float.h>
#include <math.h>
#include <string.h>

static bool gives_bool(int32_t kind)
{
	return kind == NE_UNARY_NOT || kind == NE_UNARY_ISNAN || kind == NE_UNARY_ISINF;
}

NE_OP_CHECK(function)
{
	enum ne_dtype x = ne_node_in(g, n, 0)->dtype, y = ne_node_out(g, n)->dtype;
	int32_t kind = n->attr.kind;
	bool fits;

	if (kind < 1 || kind >= NE_UNARY_COUNT)
		return ne_node_fail(err, EINVAL, n, "no function %d", kind);
	if (!isfinite(n->attr.value) || !isfinite(n->attr.value2))
		return ne_node_fail(err, EINVAL, n, "a parameter is not a number");
	if (kind == NE_UNARY_NOT)
		fits = x == NE_BOOL && y == NE_BOOL;
	else if (gives_bool(kind))
		fits = x == NE_F32 && y == NE_BOOL;
	else if (kind == NE_UNARY_BITNOT)
		fits = x == y && ne_dtype_is_integer(x);
	else if (kind == NE_UNARY_ABS || kind == NE_UNARY_NEG || kind == NE_UNARY_SIGN)
		fits = x == y && x != NE_BOOL;
	else
		fits = x == y && (x == NE_F32 || x == NE_S8 || x == NE_U8 || x == NE_S16);
	if (!fits || x == NE_F16)
		return ne_node_fail(err, EINVAL, n, "function %d of types %s to %s", kind,
				    ne_dtype_name(x), ne_dtype_name(y));
	return ne_check_same_group(g, n, err);
}

/* ---- f32 ---- */

static float softplus(float x)
{
	return x > 20.0f ? x : log1pf(expf(x));
}

static float elu(float x, float a)
{
	return x < 0 ? a * expm1f(x) : x;
}

/* The product is there either way: a choice of two values is what vectors can do. */
static float leaky(float x, float a)
{
	float below = a * x;

	return x < 0 ? below : x;
}

static float gelu_tanh(float x)
{
	/* sqrt(2 / pi) and the cubic's factor as Hendrycks and Gimpel (2016) give them */
	return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}

static float shrink(float x, float bias, float limit)
{
	return x < -limit ? x + bias : x > limit ? x - bias : 0.0f;
}

static float sign(float x)
{
	return x > 0 ? 1.0f : x < 0 ? -1.0f : x; /* NaN and zero stay */
}

/* @v in place. @a and @b are the node's two parameters. */
static void apply_f32(float *v, size_t n, int32_t kind, float a, float b)
{
#define EACH(expr)                       \
	for (size_t i = 0; i < n; i++) { \
		float x = v[i];          \
                                         \
		v[i] = (expr);           \
	}                                \
	break
	switch (kind) {
	case NE_UNARY_ABS:
		EACH(fabsf(x));
	case NE_UNARY_NEG:
		EACH(-x);
	case NE_UNARY_SIGN:
		EACH(sign(x));
	case NE_UNARY_FLOOR:
		EACH(floorf(x));
	case NE_UNARY_CEIL:
		EACH(ceilf(x));
	case NE_UNARY_ROUND:
		EACH(rintf(x));
	case NE_UNARY_SQRT:
		EACH(sqrtf(x));
	case NE_UNARY_RECIPROCAL:
		EACH(1.0f / x);
	case NE_UNARY_EXP:
		EACH(expf(x));
	case NE_UNARY_LOG:
		EACH(logf(x));
	case NE_UNARY_ERF:
		EACH(erff(x));
	case NE_UNARY_SIN:
		EACH(sinf(x));
	case NE_UNARY_COS:
		EACH(cosf(x));
	case NE_UNARY_TAN:
		EACH(tanf(x));
	case NE_UNARY_ASIN:
		EACH(asinf(x));
	case NE_UNARY_ACOS:
		EACH(acosf(x));
	case NE_UNARY_ATAN:
		EACH(atanf(x));
	case NE_UNARY_SINH:
		EACH(sinhf(x));
	case NE_UNARY_COSH:
		EACH(coshf(x));
	case NE_UNARY_ASINH:
		EACH(asinhf(x));
	case NE_UNARY_ACOSH:
		EACH(acoshf(x));
	case NE_UNARY_ATANH:
		EACH(atanhf(x));
	case NE_UNARY_ISNAN:
		EACH(isnan(x) ? 1.0f : 0.0f);
	case NE_UNARY_ISINF:
		EACH(isinf(x) && (x > 0 ? b : a) > 0 ? 1.0f : 0.0f);
	case NE_UNARY_ELU:
		EACH(elu(x, a));
	case NE_UNARY_CELU:
		EACH(x < 0 ? a * expm1f(x / a) : x);
	case NE_UNARY_SELU:
		EACH(b * elu(x, a));
	case NE_UNARY_LEAKYRELU:
		EACH(leaky(x, a));
	case NE_UNARY_THRESHOLD:
		EACH(x > a ? x : 0.0f);
	case NE_UNARY_SOFTPLUS:
		EACH(softplus(x));
	case NE_UNARY_SOFTSIGN:
		EACH(x / (1.0f + fabsf(x)));
	case NE_UNARY_GELU:
		EACH(0.5f * x * (1.0f + erff(x * 0.70710678f)));
	case NE_UNARY_GELU_TANH:
		EACH(gelu_tanh(x));
	case NE_UNARY_MISH:
		EACH(x * tanhf(softplus(x)));
	case NE_UNARY_HARDSIGMOID:
		EACH(NE_CLAMP(a * x + b, 0.0f, 1.0f));
	case NE_UNARY_CLIP:
		EACH((x < a ? a : x) > b ? b : x < a ? a : x);
	case NE_UNARY_SHRINK:
		EACH(shrink(x, a, b));
	default: /* swish */
		EACH(x / (1.0f + expf(-a * x)));
	}
#undef EACH
}

static void apply_s64(int64_t *v, size_t n, int32_t kind)
{
	for (size_t i = 0; i < n; i++) {
		switch (kind) {
		case NE_UNARY_ABS:
			v[i] = v[i] < 0 ? (int64_t)(0 - (uint64_t)v[i]) : v[i];
			break;
		case NE_UNARY_NEG:
			v[i] = (int64_t)(0 - (uint64_t)v[i]);
			break;
		case NE_UNARY_SIGN:
			v[i] = (v[i] > 0) - (v[i] < 0);
			break;
		case NE_UNARY_NOT:
			v[i] = !v[i];
			break;
		default:
			v[i] = ~v[i];
		}
	}
}

/* ---- steps ---- */

struct function_args {
	struct ne_ref x, y;
	struct ne_elem in, out;
	int32_t kind;
	float a, b;
};

static bool of_integers(int32_t kind)
{
	return kind == NE_UNARY_ABS || kind == NE_UNARY_NEG || kind == NE_UNARY_SIGN ||
	       kind == NE_UNARY_NOT || kind == NE_UNARY_BITNOT;
}

static void run_chunk(const struct function_args *c, void *y, const void *x, size_t n)
{
	union {
		float f32[NE_CHUNK];
		int64_t s64[NE_CHUNK];
	} v;

	if (!ne_elem_is_real(&c->in) && of_integers(c->kind)) {
		ne_elem_load_s64(v.s64, x, n, &c->in);
		apply_s64(v.s64, n, c->kind);
		ne_elem_store_s64(y, v.s64, n, &c->out);
	} else if (c->in.type == NE_F32 && c->out.type == NE_F32) {
		memcpy(y, x, n * sizeof(float));
		apply_f32(y, n, c->kind, c->a, c->b);
	} else {
		ne_elem_load_f32(v.f32, x, n, &c->in);
		apply_f32(v.f32, n, c->kind, c->a, c->b);
		ne_elem_store_f32(y, v.f32, n, &c->out);
	}
}

static void run_function(const struct ne_step *s, const struct ne_frame *f, uint32_t first,
			 uint32_t n)
{
	const struct function_args *c = s->args;
	size_t in = ne_dtype_size(c->in.type), out = ne_dtype_size(c->out.type);
	const char *x = (const char *)ne_at(f, c->x) + first * in;
	char *y = (char *)ne_at(f, c->y) + first * out;

	for (uint32_t i = 0; i < n; i += NE_CHUNK)
		run_chunk(c, y + i * out, x + i * in, NE_MIN(NE_CHUNK, n - i));
}

/* s8 to s8: 256 values are all that there are. */
static int lower_table(struct ne_lower *lw, const struct function_args *c, size_t elements)
{
	int8_t x[256], table[256];

	for (int i = 0; i < 256; i++)
		x[i] = (int8_t)(uint8_t)i;
	run_chunk(c, table, x, 256);
	return ne_lower_lut(lw, c->x, c->y, elements, table, lw->y);
}

NE_OP_LOWER(function)
{
	struct function_args c = {.x = lw->ref[n->in[0]],
				  .y = lw->ref[lw->y],
				  .in = ne_elem_of(lw, n->in[0]),
				  .out = ne_elem_of(lw, lw->y),
				  .kind = n->attr.kind,
				  .a = n->attr.value,
				  .b = n->attr.value2};
	size_t elements = ne_shape_elements(&lw->shape[lw->y]);

	if (c.kind ==
	    NE_UNARY_CLIP) { /* files hold no infinity: the largest numbers stand for it */
		c.a = c.a <= -FLT_MAX ? -INFINITY : c.a;
		c.b = c.b >= FLT_MAX ? INFINITY : c.b;
	}
	if (c.in.type == NE_S8 && c.out.type == NE_S8)
		return lower_table(lw, &c, elements);
	return ne_lower_step(lw, run_function, &c, sizeof(c), elements, 4096, elements * 8, lw->y);
}
