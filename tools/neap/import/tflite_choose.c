/* SPDX-License-Identifier: MIT */
/* Compares, logic and choices; changes of type; what is sorted or found by computed positions. */
#include "tools/neap/import/tflite_internal.h"

enum { CUMSUM_EXCLUSIVE, CUMSUM_REVERSE };

/* ---- truth values ---- */

/* Quantised operands are compared as the real values that they stand for. */
static int compare(struct tflite *t, const struct tflite_node *n, enum ne_binary kind)
{
	struct ne_attr attr = {.groups = 1, .kind = (int32_t)kind};
	uint32_t in[2];

	for (uint32_t k = 0; k < 2; k++) {
		int id = tflite_in_any(t, n, k);

		if (id >= 0 && !tflite_plain(t, id))
			id = tflite_emit_real(t, n, id);
		if (id < 0)
			return id;
		in[k] = (uint32_t)id;
	}
	return tflite_emit_as(t, n, NE_OP_BINARY, &attr, 2, in, NE_BOOL);
}

#define COMPARE(name, kind)                                              \
	int tflite_##name(struct tflite *t, const struct tflite_node *n) \
	{                                                                \
		return tflite_set_out(t, n, 0, compare(t, n, kind));     \
	}

COMPARE(equal, NE_BINARY_EQUAL)
COMPARE(greater, NE_BINARY_GREATER)
COMPARE(greater_equal, NE_BINARY_GREATER_EQUAL)
COMPARE(less, NE_BINARY_LESS)
COMPARE(less_equal, NE_BINARY_LESS_EQUAL)
COMPARE(logical_and, NE_BINARY_AND)
COMPARE(logical_or, NE_BINARY_OR)

static int negation(struct tflite *t, const struct tflite_node *n, int id)
{
	struct ne_attr attr = {.groups = 1, .kind = NE_UNARY_NOT};
	uint32_t in = (uint32_t)id;

	return tflite_set_out(
		t, n, 0, id < 0 ? id : tflite_emit_as(t, n, NE_OP_UNARY, &attr, 1, &in, NE_BOOL));
}

int tflite_not_equal(struct tflite *t, const struct tflite_node *n)
{
	return negation(t, n, compare(t, n, NE_BINARY_EQUAL));
}

int tflite_logical_not(struct tflite *t, const struct tflite_node *n)
{
	return negation(t, n, tflite_in_any(t, n, 0));
}

/* A list of conditions in front of values of a higher rank chooses among their first axis. */
static int condition(struct tflite *t, const struct tflite_node *n, uint32_t rank)
{
	int id = tflite_in_any(t, n, 0);
	struct ne_shape shape = {.rank = rank};

	if (id < 0 || tflite_shape_of(t, id)->rank != 1 || rank < 2 || n->version_two)
		return id;
	for (uint32_t i = 0; i < rank; i++)
		shape.dim[i] = i ? 1 : tflite_shape_of(t, id)->dim[0];
	return tflite_emit_reshape(t, n, id, &shape);
}

int tflite_select(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	struct ne_quant q;
	uint32_t in[3];
	int id;

	for (uint32_t k = 1; k < 3; k++) {
		id = tflite_in_any(t, n, k);
		if (id < 0)
			return id;
		in[k] = (uint32_t)id;
	}
	if (tflite_real(t, (int)in[1]) != tflite_real(t, (int)in[2]))
		return tflite_fail(t, n, EOPNOTSUPP, "values of different types");
	id = condition(t, n, tflite_shape_of(t, (int)in[1])->rank);
	if (id < 0)
		return id;
	in[0] = (uint32_t)id;
	if (tflite_plain(t, (int)in[1]))
		return tflite_set_out(
			t, n, 0,
			tflite_emit_as(t, n, NE_OP_WHERE, &attr, 3, in, t->g->tensor[in[1]].dtype));
	NE_RETURN_IF(tflite_result_quant(t, n, (int)in[1], &q));
	return tflite_set_out(t, n, 0, tflite_emit(t, n, NE_OP_WHERE, &attr, 3, in, q));
}

/* ---- types ---- */

/* Between f32, integers and truth values. */
int tflite_cast(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);
	struct ne_attr attr = {.groups = 1};
	int id = tflite_in_any(t, n, 0);
	enum ne_dtype to;
	uint32_t in;

	if (id < 0)
		return id;
	if (!y)
		return tflite_fail(t, n, EINVAL, "output 0 is missing");
	to = y->type == TFLITE_F32 ? NE_F32 : tflite_plain_type(y->type);
	if (!to || (!tflite_plain(t, id) && !tflite_real(t, id)))
		return tflite_fail(
			t, n, EOPNOTSUPP,
			"to type %d; between float32, int32, int64 and bool is supported",
			(int)y->type);
	in = (uint32_t)id;
	if (t->g->tensor[id].dtype != to)
		id = tflite_emit_as(t, n, NE_OP_CAST, &attr, 1, &in, to);
	return tflite_set_out(t, n, 0, id);
}

/* ---- along the last axis, and by computed positions ---- */

int tflite_cumsum(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int64_t axis = 0;
	int id = tflite_in_any(t, n, 0), count = tflite_in_ints(t, n, 1, &axis, 1), a;
	uint32_t in;

	if (id >= 0 && !tflite_plain(t, id))
		id = tflite_emit_real(t, n, id);
	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	a = tflite_axis(t, n, axis, tflite_shape_of(t, id)->rank);
	if (a < 0)
		return a;
	attr.axis = a;
	attr.kind = fb_bool(&n->opt, CUMSUM_EXCLUSIVE) + 2 * fb_bool(&n->opt, CUMSUM_REVERSE);
	in = (uint32_t)id;
	return tflite_set_out(
		t, n, 0, tflite_emit_as(t, n, NE_OP_CUMSUM, &attr, 1, &in, t->g->tensor[id].dtype));
}

/* The places as the file declares them. */
static int set_places(struct tflite *t, const struct tflite_node *n, int id)
{
	return tflite_out(t, n, 1) ? tflite_set_out(t, n, 1, id) : 0;
}

int tflite_topk_v2(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int64_t k = 0;
	int id = tflite_in_any(t, n, 0), count = tflite_in_ints(t, n, 1, &k, 1), pair[2];
	uint32_t in;

	if (id < 0 || count < 0)
		return id < 0 ? id : count;
	if (count != 1 || !tflite_shape_of(t, id)->rank)
		return tflite_fail(t, n, EINVAL, "one number of places is wanted, and an axis");
	attr.axis = (int32_t)tflite_shape_of(t, id)->rank - 1;
	if (k < 1 || k > tflite_shape_of(t, id)->dim[attr.axis])
		return tflite_fail(t, n, EINVAL, "the first %lld of %d", (long long)k,
				   tflite_shape_of(t, id)->dim[attr.axis]);
	attr.slice.size[attr.axis] = (int32_t)k;
	in = (uint32_t)id;
	NE_RETURN_IF(tflite_emit_two(t, n, NE_OP_TOPK, &attr, 1, &in, NE_S64, pair));
	NE_RETURN_IF(tflite_set_out(t, n, 0, pair[0]));
	return set_places(t, n, pair[1]);
}

int tflite_gather_nd(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	int x = tflite_in_any(t, n, 0), index = tflite_in_any(t, n, 1);
	uint32_t in[2] = {(uint32_t)x, (uint32_t)index};

	if (x < 0 || index < 0)
		return x < 0 ? x : index;
	return tflite_set_out(t, n, 0, tflite_emit_like(t, n, NE_OP_GATHER_ND, &attr, 2, in));
}

int tflite_gather_computed(struct tflite *t, const struct tflite_node *n, int axis)
{
	struct ne_attr attr = {.groups = 1, .axis = axis};
	int x = tflite_in_any(t, n, 0), index = tflite_in_any(t, n, 1);
	uint32_t in[2] = {(uint32_t)x, (uint32_t)index};

	if (x < 0 || index < 0)
		return x < 0 ? x : index;
	return tflite_set_out(t, n, 0, tflite_emit_like(t, n, NE_OP_GATHER, &attr, 2, in));
}
