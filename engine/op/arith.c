/* SPDX-License-Identifier: MIT */
/*
 * The family of functions of two values, of any type, broadcast; and where. Addition and
 * multiplication in f32 and s8 have fast forms of their own (binary.c).
 *
 * f32 without broadcasting goes straight through; anything else in chunks that are widened to f32
 * (f32 and quantised operands) or to s64.
 */
#include "engine/op/broadcast.h"
#include "engine/op/elem.h"
#include "engine/op/op.h"
#include "engine/plan/plan.h"

#include <math.h>
#include <string.h>

static bool compares(int32_t kind)
{
	return kind >= NE_BINARY_EQUAL && kind <= NE_BINARY_GREATER_EQUAL;
}

static bool is_logic(int32_t kind)
{
	return kind >= NE_BINARY_AND && kind <= NE_BINARY_XOR;
}

static bool is_bits(int32_t kind)
{
	return kind >= NE_BINARY_BITAND && kind <= NE_BINARY_SHIFT_RIGHT;
}

NE_OP_CHECK(arith)
{
	enum ne_dtype a = ne_node_in(g, n, 0)->dtype, b = ne_node_in(g, n, 1)->dtype;
	enum ne_dtype y = ne_node_out(g, n)->dtype;
	int32_t kind = n->attr.kind;
	bool fits;

	if (kind < 1 || kind >= NE_BINARY_COUNT)
		return ne_node_fail(err, EINVAL, n, "no function %d", kind);
	if (compares(kind))
		fits = a == b && y == NE_BOOL && (a != NE_BOOL || kind == NE_BINARY_EQUAL);
	else if (is_logic(kind))
		fits = a == NE_BOOL && b == NE_BOOL && y == NE_BOOL;
	else if (is_bits(kind))
		fits = a == b && a == y && ne_dtype_is_integer(a);
	else if (kind == NE_BINARY_POW)
		fits = a == y && a != NE_BOOL && b != NE_BOOL && b != NE_F16;
	else
		fits = a == b && a == y && a != NE_BOOL;
	if (!fits || a == NE_F16)
		return ne_node_fail(err, EINVAL, n, "function %d of types %s and %s to %s", kind,
				    ne_dtype_name(a), ne_dtype_name(b), ne_dtype_name(y));
	return ne_check_uncut(g, n, err);
}

/* ---- the functions ---- */

static float modulo(float a, float b)
{
	float r = fmodf(a, b);

	return (r < 0 && b > 0) || (r > 0 && b < 0) ? r + b : r;
}

/* NaN wins, as in IEEE 754's minimum and maximum. */
static float least(float a, float b)
{
	return a < b || isnan(a) ? a : b;
}

static float most(float a, float b)
{
	return a > b || isnan(a) ? a : b;
}

/* @y may be @a. Compares give 1 and 0. */
static void apply_f32(float *y, const float *a, const float *b, size_t n, int32_t kind)
{
#define EACH(expr)                     \
	for (size_t i = 0; i < n; i++) \
		y[i] = (expr);         \
	break
	switch (kind) {
	case NE_BINARY_ADD:
		EACH(a[i] + b[i]);
	case NE_BINARY_SUB:
		EACH(a[i] - b[i]);
	case NE_BINARY_MUL:
		EACH(a[i] * b[i]);
	case NE_BINARY_DIV:
		EACH(a[i] / b[i]);
	case NE_BINARY_MOD:
		EACH(modulo(a[i], b[i]));
	case NE_BINARY_FMOD:
		EACH(fmodf(a[i], b[i]));
	case NE_BINARY_POW:
		EACH(powf(a[i], b[i]));
	case NE_BINARY_MIN:
		EACH(least(a[i], b[i]));
	case NE_BINARY_MAX:
		EACH(most(a[i], b[i]));
	case NE_BINARY_EQUAL:
		EACH(a[i] <= b[i] && a[i] >= b[i] ? 1.0f : 0.0f);
	case NE_BINARY_LESS:
		EACH(a[i] < b[i] ? 1.0f : 0.0f);
	case NE_BINARY_LESS_EQUAL:
		EACH(a[i] <= b[i] ? 1.0f : 0.0f);
	case NE_BINARY_GREATER:
		EACH(a[i] > b[i] ? 1.0f : 0.0f);
	case NE_BINARY_GREATER_EQUAL:
		EACH(a[i] >= b[i] ? 1.0f : 0.0f);
	default: /* prelu */
		EACH(a[i] < 0 ? a[i] * b[i] : a[i]);
	}
#undef EACH
}

static int64_t quotient(int64_t a, int64_t b)
{
	if (b == 0)
		return 0;
	return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remainder_of(int64_t a, int64_t b, bool of_divisor)
{
	int64_t r = b == 0 || b == -1 ? 0 : a % b;

	return of_divisor && r && (r < 0) != (b < 0) ? r + b : r;
}

/* Modulo 2^64, as multiplications wrap; 1 / a^-b truncated. */
static int64_t power(int64_t a, int64_t b)
{
	uint64_t r = 1, base = (uint64_t)a;

	if (b < 0)
		return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
	for (; b; b >>= 1, base *= base)
		r *= b & 1 ? base : 1;
	return (int64_t)r;
}

/* Shifts take the value as the bits that its type has: @mask. */
static int64_t shift(int64_t a, int64_t b, bool left, uint64_t mask)
{
	uint64_t v = (uint64_t)a & mask;

	if (b < 0 || b >= 64)
		return 0;
	return (int64_t)((left ? v << b : v >> b) & mask);
}

static int64_t apply_one(int64_t a, int64_t b, int32_t kind, uint64_t mask)
{
	switch (kind) {
	case NE_BINARY_ADD:
		return (int64_t)((uint64_t)a + (uint64_t)b);
	case NE_BINARY_SUB:
		return (int64_t)((uint64_t)a - (uint64_t)b);
	case NE_BINARY_MUL:
		return (int64_t)((uint64_t)a * (uint64_t)b);
	case NE_BINARY_DIV:
		return quotient(a, b);
	case NE_BINARY_MOD:
		return remainder_of(a, b, true);
	case NE_BINARY_FMOD:
		return remainder_of(a, b, false);
	case NE_BINARY_POW:
		return power(a, b);
	case NE_BINARY_MIN:
		return NE_MIN(a, b);
	case NE_BINARY_MAX:
		return NE_MAX(a, b);
	case NE_BINARY_EQUAL:
		return a == b;
	case NE_BINARY_LESS:
		return a < b;
	case NE_BINARY_LESS_EQUAL:
		return a <= b;
	case NE_BINARY_GREATER:
		return a > b;
	case NE_BINARY_GREATER_EQUAL:
		return a >= b;
	case NE_BINARY_AND:
	case NE_BINARY_BITAND:
		return a & b;
	case NE_BINARY_OR:
	case NE_BINARY_BITOR:
		return a | b;
	case NE_BINARY_XOR:
	case NE_BINARY_BITXOR:
		return a ^ b;
	case NE_BINARY_SHIFT_LEFT:
		return shift(a, b, true, mask);
	case NE_BINARY_SHIFT_RIGHT:
		return shift(a, b, false, mask);
	default: /* prelu */
		return a < 0 ? (int64_t)((uint64_t)a * (uint64_t)b) : a;
	}
}

/* ---- steps ---- */

struct arith_args {
	struct ne_ref in[NE_BROADCAST_MAX], y;
	struct ne_elem a, b, out;
	struct ne_broadcast walk;
	int32_t kind;
	bool real; /* worked out in f32 */
	uint64_t mask;
};

/* Integers to a real power, or the other way: in double, which holds what either says. */
static void power_mixed(const struct arith_args *c, void *y, const void *a, const void *b, size_t n)
{
	float fa[NE_CHUNK], fb[NE_CHUNK], fy[NE_CHUNK];

	ne_elem_load_f32(fa, a, n, &c->a);
	ne_elem_load_f32(fb, b, n, &c->b);
	for (size_t i = 0; i < n; i++)
		fy[i] = (float)pow((double)fa[i], (double)fb[i]);
	ne_elem_store_f32(y, fy, n, &c->out);
}

/* At most NE_CHUNK elements. */
static void run_chunk(const struct arith_args *c, void *y, const void *a, const void *b, size_t n)
{
	int64_t sa[NE_CHUNK], sb[NE_CHUNK];

	if (c->kind == NE_BINARY_POW && (ne_elem_is_real(&c->a) != ne_elem_is_real(&c->b))) {
		power_mixed(c, y, a, b, n);
	} else if (c->real) {
		float fa[NE_CHUNK], fb[NE_CHUNK];

		ne_elem_load_f32(fa, a, n, &c->a);
		ne_elem_load_f32(fb, b, n, &c->b);
		apply_f32(fa, fa, fb, n, c->kind);
		ne_elem_store_f32(y, fa, n, &c->out);
	} else {
		ne_elem_load_s64(sa, a, n, &c->a);
		ne_elem_load_s64(sb, b, n, &c->b);
		for (size_t i = 0; i < n; i++)
			sa[i] = apply_one(sa[i], sb[i], c->kind, c->mask);
		ne_elem_store_s64(y, sa, n, &c->out);
	}
}

/* @n elements of @size bytes, all as the one at @value, into @row. */
static const void *spread(void *row, const void *value, size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++)
		memcpy((char *)row + i * size, value, size);
	return row;
}

struct operands {
	const void *p[NE_BROADCAST_MAX];
	size_t step[NE_BROADCAST_MAX]; /* bytes from element to element; 0 = spread */
	int64_t row[NE_BROADCAST_MAX][NE_CHUNK];
};

/* The operands of outer iteration @i: where each starts, spread ones widened to a chunk. */
static void at_outer(const struct ne_frame *f, const struct ne_ref *in, uint32_t n,
		     const struct ne_broadcast *walk, uint32_t i, const size_t *size,
		     struct operands *ret)
{
	for (uint32_t k = 0; k < n; k++) {
		size_t at = ne_broadcast_at(walk, k, i) * size[k];

		ret->p[k] = (const char *)ne_at(f, in[k]) + at;
		ret->step[k] = size[k];
		if (walk->in[k].spread) {
			ret->p[k] = spread(ret->row[k], ret->p[k], NE_MIN(walk->inner, NE_CHUNK),
					   size[k]);
			ret->step[k] = 0;
		}
	}
}

static void run_arith(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct arith_args *c = s->args;
	const size_t size[2] = {ne_dtype_size(c->a.type), ne_dtype_size(c->b.type)};
	size_t out = ne_dtype_size(c->out.type), inner = c->walk.inner;
	char *y = (char *)ne_at(f, c->y) + first * inner * out;
	bool plain = c->real && c->a.type == NE_F32 && c->b.type == NE_F32 && out == sizeof(float);
	struct operands o;

	for (uint32_t i = first; i < first + n; i++, y += inner * out) {
		at_outer(f, c->in, 2, &c->walk, i, size, &o);
		for (size_t k = 0; k < inner; k += NE_CHUNK) {
			const char *a = (const char *)o.p[0] + k * o.step[0];
			const char *b = (const char *)o.p[1] + k * o.step[1];
			size_t m = NE_MIN(NE_CHUNK, inner - k);

			if (plain)
				apply_f32((float *)(void *)(y + k * out), (const void *)a,
					  (const void *)b, m, c->kind);
			else
				run_chunk(c, y + k * out, a, b, m);
		}
	}
}

/* Same shapes are one run: units are elements. */
static void run_flat(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct arith_args *c = s->args;
	size_t sa = ne_dtype_size(c->a.type), sb = ne_dtype_size(c->b.type);
	size_t out = ne_dtype_size(c->out.type);
	const char *a = (const char *)ne_at(f, c->in[0]) + first * sa;
	const char *b = (const char *)ne_at(f, c->in[1]) + first * sb;
	char *y = (char *)ne_at(f, c->y) + first * out;

	if (c->real && c->a.type == NE_F32 && c->b.type == NE_F32 && out == sizeof(float)) {
		apply_f32((float *)(void *)y, (const void *)a, (const void *)b, n, c->kind);
		return;
	}
	for (uint32_t i = 0; i < n; i += NE_CHUNK)
		run_chunk(c, y + i * out, a + i * sa, b + i * sb, NE_MIN(NE_CHUNK, n - i));
}

NE_OP_LOWER(arith)
{
	const struct ne_shape *ys = &lw->shape[lw->y];
	struct arith_args c = {.in = {lw->ref[n->in[0]], lw->ref[n->in[1]]},
			       .y = lw->ref[lw->y],
			       .a = ne_elem_of(lw, n->in[0]),
			       .b = ne_elem_of(lw, n->in[1]),
			       .out = ne_elem_of(lw, lw->y),
			       .kind = n->attr.kind};
	size_t elements = ne_shape_elements(ys);

	ne_broadcast_plan(lw, n->in, 2, ys, &c.walk);
	c.real = ne_elem_is_real(&c.a);
	c.mask = UINT64_MAX >> (64 - 8 * ne_dtype_size(c.a.type));
	if (c.walk.inner == elements && !c.walk.in[0].spread && !c.walk.in[1].spread)
		return ne_lower_step(lw, run_flat, &c, sizeof(c), elements, 4096, elements * 4,
				     lw->y);
	return ne_lower_step(lw, run_arith, &c, sizeof(c), elements / c.walk.inner, 16,
			     elements * 4, lw->y);
}

/* ---- where ---- */

NE_OP_CHECK(where)
{
	enum ne_dtype a = ne_node_in(g, n, 1)->dtype, b = ne_node_in(g, n, 2)->dtype;

	if (ne_node_in(g, n, 0)->dtype != NE_BOOL || a != b || a != ne_node_out(g, n)->dtype)
		return ne_node_fail(err, EINVAL, n, "types %s, %s, %s to %s; bool, then all alike",
				    ne_dtype_name(ne_node_in(g, n, 0)->dtype), ne_dtype_name(a),
				    ne_dtype_name(b), ne_dtype_name(ne_node_out(g, n)->dtype));
	return ne_check_uncut(g, n, err);
}

NE_OP_INFER(where)
{
	uint32_t axis = 0;

	(void)g;
	if (ne_broadcast_shape(in, 3, ret, &axis) < 0)
		return ne_node_fail(err, EINVAL, n, "axis %u: dimensions are neither equal nor 1",
				    axis);
	return 0;
}

static void run_where(const struct ne_step *s, const struct ne_frame *f, uint32_t first, uint32_t n)
{
	const struct arith_args *c = s->args;
	size_t elem = ne_dtype_size(c->out.type), inner = c->walk.inner;
	const size_t size[3] = {1, elem, elem};
	char *y = (char *)ne_at(f, c->y) + first * inner * elem;
	bool same = ne_quant_equal(c->a.q, c->out.q) && ne_quant_equal(c->b.q, c->out.q);
	struct operands o;

	for (uint32_t i = first; i < first + n; i++, y += inner * elem) {
		at_outer(f, c->in, 3, &c->walk, i, size, &o);
		for (size_t k = 0; k < inner; k++) {
			/* a spread operand is the same all over its chunk */
			bool yes = ((const uint8_t *)o.p[0])[o.step[0] ? k : 0];
			const struct ne_elem *e = yes ? &c->a : &c->b;
			const char *v = (const char *)o.p[yes ? 1 : 2] + k * o.step[yes ? 1 : 2];
			float real;

			if (same) {
				memcpy(y + k * elem, v, elem);
				continue;
			}
			ne_elem_load_f32(&real, v, 1, e);
			ne_elem_store_f32(y + k * elem, &real, 1, &c->out);
		}
	}
}

NE_OP_LOWER(where)
{
	const struct ne_shape *ys = &lw->shape[lw->y];
	struct arith_args c = {.y = lw->ref[lw->y],
			       .a = ne_elem_of(lw, n->in[1]),
			       .b = ne_elem_of(lw, n->in[2]),
			       .out = ne_elem_of(lw, lw->y)};
	size_t elements = ne_shape_elements(ys);

	for (int k = 0; k < 3; k++)
		c.in[k] = lw->ref[n->in[k]];
	ne_broadcast_plan(lw, n->in, 3, ys, &c.walk);
	return ne_lower_step(lw, run_where, &c, sizeof(c), elements / c.walk.inner, 16,
			     elements * 8, lw->y);
}
