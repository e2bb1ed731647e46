/* SPDX-License-Identifier: MIT */
/*
 * Plain integers, which are shapes being worked out: files give all shapes, so these are constants,
 * worked out here. What comes of them is held by the output's struct tflite_tensor.
 */
#include "tools/neap/import/tflite_internal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_VALUES 4096u /* of such a tensor */

enum { FOLD_AXIS = 0 };

static int set_ints(struct tflite *t, const struct tflite_node *n, const int64_t *v, size_t count)
{
	struct tflite_tensor *y = tflite_out(t, n, 0);
	size_t size = tflite_type_bytes(y->type);

	if (y->data || y->id >= 0)
		return tflite_fail(t, n, EINVAL, "output '%.80s' is written twice", y->name);
	if (!y->shaped || tflite_elements(y) != count)
		return tflite_fail(t, n, EINVAL, "%zu values for output '%.80s'", count, y->name);
	y->own = malloc(count * size);
	if (!y->own)
		return tflite_fail(t, n, ENOMEM, "no memory");
	for (size_t i = 0; i < count; i++) {
		int32_t narrow = (int32_t)NE_CLAMP(v[i], INT32_MIN, INT32_MAX);

		if (size == 8)
			memcpy((char *)y->own + 8 * i, &v[i], 8);
		else
			memcpy((char *)y->own + 4 * i, &narrow, 4);
	}
	y->data = y->own;
	y->bytes = count * size;
	return 0;
}

/* The values of all inputs one after another: their number. */
static int all_ints(struct tflite *t, const struct tflite_node *n, int64_t *v)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n->in.n; i++) {
		int k = tflite_in_ints(t, n, i, v + count, MAX_VALUES - count);

		if (k < 0)
			return k;
		count += (uint32_t)k;
	}
	return (int)count;
}

int tflite_shape_op(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *x = tflite_in(t, n, 0), *y = tflite_out(t, n, 0);
	int64_t v[NE_MAX_RANK];

	if (!x || !x->shaped || !y || (y->type != TFLITE_S32 && y->type != TFLITE_S64))
		return tflite_fail(t, n, EOPNOTSUPP, "of a tensor whose shape is open");
	for (uint32_t i = 0; i < x->rank; i++)
		v[i] = x->dim[i];
	return set_ints(t, n, v, x->rank);
}

/* Casts, and changes of shape alone. */
int tflite_fold_same(struct tflite *t, const struct tflite_node *n)
{
	int64_t v[MAX_VALUES];
	int count = tflite_in_ints(t, n, 0, v, MAX_VALUES);

	return count < 0 ? count : set_ints(t, n, v, (size_t)count);
}

/* PACK of single values, CONCATENATION of lists. */
int tflite_fold_join(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *y = tflite_out(t, n, 0);
	int64_t v[MAX_VALUES];
	int count = all_ints(t, n, v);

	if (count < 0)
		return count;
	if (y->rank != 1)
		return tflite_fail(t, n, EOPNOTSUPP, "integers of rank %u", y->rank);
	return set_ints(t, n, v, (size_t)count);
}

int tflite_fold_strided_slice(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *x = tflite_in(t, n, 0);
	struct ne_slice s = {{0}, {0}, {0}};
	int64_t v[MAX_VALUES], part[MAX_VALUES];
	int count = tflite_in_ints(t, n, 0, v, MAX_VALUES);

	if (count < 0)
		return count;
	if (!x || x->rank != 1)
		return tflite_fail(t, n, EOPNOTSUPP, "integers of other than rank 1");
	NE_RETURN_IF(tflite_read_strided(t, n, 1, x->dim, &s));
	for (int32_t i = 0; i < s.size[0]; i++)
		part[i] = v[s.begin[0] + i * s.step[0]];
	return set_ints(t, n, part, (size_t)s.size[0]);
}

int tflite_fold_gather(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *x = tflite_in(t, n, 0);
	int64_t v[MAX_VALUES], at[MAX_VALUES];
	int count = tflite_in_ints(t, n, 0, v, MAX_VALUES);
	int picked = tflite_in_ints(t, n, 1, at, MAX_VALUES);

	if (count < 0 || picked < 0)
		return count < 0 ? count : picked;
	if (!x || x->rank != 1)
		return tflite_fail(t, n, EOPNOTSUPP, "integers of other than rank 1");
	for (int i = 0; i < picked; i++) {
		if (at[i] < 0 || at[i] >= count)
			return tflite_fail(t, n, EINVAL, "no position %lld", (long long)at[i]);
		at[i] = v[at[i]];
	}
	return set_ints(t, n, at, (size_t)picked);
}

/* All values' product, whatever the axes: of a list there is one. */
int tflite_fold_product(struct tflite *t, const struct tflite_node *n)
{
	int64_t v[MAX_VALUES], product = 1;
	int count = tflite_in_ints(t, n, 0, v, MAX_VALUES);

	if (count < 0)
		return count;
	for (int i = 0; i < count; i++)
		if (__builtin_mul_overflow(product, v[i], &product))
			return tflite_fail(t, n, EINVAL, "the product is out of range");
	return set_ints(t, n, &product, 1);
}

/* ADD, SUB and MUL of lists of one length, or of a list and a single value. */
int tflite_fold_arithmetic(struct tflite *t, const struct tflite_node *n)
{
	int64_t a[MAX_VALUES], b[MAX_VALUES];
	int na = tflite_in_ints(t, n, 0, a, MAX_VALUES);
	int nb = tflite_in_ints(t, n, 1, b, MAX_VALUES), count;

	if (na < 0 || nb < 0)
		return na < 0 ? na : nb;
	count = NE_MAX(na, nb);
	if ((na != count && na != 1) || (nb != count && nb != 1))
		return tflite_fail(t, n, EINVAL, "%d and %d values", na, nb);
	for (int i = count - 1; i >= 0; i--) {
		int64_t x = a[na == 1 ? 0 : i], y = b[nb == 1 ? 0 : i];
		bool over = n->op[0] == 'A'   ? __builtin_add_overflow(x, y, &x)
			    : n->op[0] == 'S' ? __builtin_sub_overflow(x, y, &x)
					      : __builtin_mul_overflow(x, y, &x);

		if (over)
			return tflite_fail(t, n, EINVAL, "a value out of range");
		a[i] = x;
	}
	return set_ints(t, n, a, (size_t)count);
}
