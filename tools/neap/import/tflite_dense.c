/* SPDX-License-Identifier: MIT */
/* Fully connected layers; the weights and biases that convolutions share with them. */
#include "tools/neap/import/tflite_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DENSE_ACT, DENSE_FORMAT, DENSE_KEEP_DIMS };
enum { MATMUL_ADJ_X, MATMUL_ADJ_Y };

/* ---- weights ---- */

/* @times each of the file's scales, all of them one after another. */
static int scales(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *w,
		  uint32_t times, struct ne_tensor *ret)
{
	uint32_t count = w->scale.n == 1 ? 1 : times * w->scale.n;

	ret->scale = calloc(count, sizeof(*ret->scale));
	if (!ret->scale)
		return tflite_fail(t, n, ENOMEM, "no memory");
	ret->n_scale = count;
	for (uint32_t i = 0; i < count; i++)
		ret->scale[i] = fb_vector_f32(&w->scale, i % w->scale.n);
	return 0;
}

/* Zero points of quantised weights: the same for all, or -EOPNOTSUPP. */
static int zero_point(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *w,
		      int32_t *ret)
{
	*ret = w->zero.n ? (int32_t)fb_vector_s64(&w->zero, 0) : 0;
	for (uint32_t i = 1; i < w->zero.n; i++)
		if (fb_vector_s64(&w->zero, i) != *ret)
			return tflite_fail(t, n, EOPNOTSUPP,
					   "weights with a zero point per channel");
	if (w->type == TFLITE_S8 ? *ret != 0 : false)
		return w->scale.n == 1 ? 0
				       : tflite_fail(t, n, EOPNOTSUPP,
						     "weights of several scales with a zero point");
	return 0;
}

/* Where value @i of the engine's weights is in the file's. */
static size_t place(const struct tflite_places *p, size_t i)
{
	return p && p->from ? p->from[i] : i;
}

/* Symmetric int8 weights are the engine's s8; others, with a zero point, its u8. */
static int quantised_weights(struct tflite *t, const struct tflite_node *n,
			     const struct tflite_tensor *w, const struct ne_shape *shape,
			     const struct tflite_places *p, uint32_t *ret)
{
	size_t elements = ne_shape_elements(shape);
	bool is_signed = w->type == TFLITE_S8, asymmetric;
	struct ne_quant q = {0};
	uint8_t *v;
	int32_t zero;
	int id;

	NE_RETURN_IF(zero_point(t, n, w, &zero));
	asymmetric = !is_signed || zero != 0;
	if (asymmetric && w->scale.n != 1)
		return tflite_fail(t, n, EOPNOTSUPP, "uint8 weights with a scale per channel");
	if (w->scale.n > 1 &&
	    (w->axis < 0 || w->axis >= (int32_t)w->rank || w->dim[w->axis] != (int32_t)w->scale.n))
		return tflite_fail(t, n, EINVAL, "%u scales of weights do not fit axis %d",
				   w->scale.n, w->axis);
	NE_RETURN_IF(tflite_const_alloc(t, n, elements, &v));
	for (size_t i = 0; i < elements; i++) {
		size_t from = place(p, i);

		v[i] = from == TFLITE_NO_PLACE ? (uint8_t)zero : w->data[from];
		if (asymmetric && is_signed)
			v[i] ^= 0x80;
	}
	if (asymmetric)
		q = (struct ne_quant){fb_vector_f32(&w->scale, 0), is_signed ? zero + 128 : zero};
	id = tflite_emit_const(t, n, asymmetric ? NE_U8 : NE_S8, shape, v, q);
	if (id < 0)
		return id;
	*ret = (uint32_t)id;
	return asymmetric ? 0 : scales(t, n, w, p ? p->times : 1, &t->g->tensor[id]);
}

/* @made: f32 values that a DEQUANTIZE of float16 weights made, NULL where they are the file's own. */
static int real_weights(struct tflite *t, const struct tflite_node *n,
			const struct tflite_tensor *w, const float *made,
			const struct ne_shape *shape, const struct tflite_places *p, uint32_t *ret)
{
	size_t elements = ne_shape_elements(shape);
	const float *from;
	float *real = NULL, *v;
	int id, r;

	if (!made)
		NE_RETURN_IF(tflite_reals(t, n, w, &real));
	from = made ? made : real;
	r = tflite_const_alloc(t, n, elements * sizeof(*v), &v);
	for (size_t i = 0; r >= 0 && i < elements; i++)
		v[i] = place(p, i) == TFLITE_NO_PLACE ? 0 : from[place(p, i)];
	if (real)
		tflite_const_drop(t, real, tflite_elements(w) * sizeof(*real));
	NE_RETURN_IF(r);
	id = tflite_emit_const(t, n, NE_F32, shape, v, (struct ne_quant){0});
	if (id < 0)
		return id;
	*ret = (uint32_t)id;
	return 0;
}

int tflite_weights(struct tflite *t, const struct tflite_node *n, int x,
		   const struct ne_shape *shape, const struct tflite_places *p, uint32_t *ret)
{
	const struct tflite_tensor *w = tflite_in(t, n, 1);
	const float *made = NULL;
	struct ne_shape own;

	if (!w || !w->shaped)
		return tflite_fail(t, n, EINVAL, "weights are missing");
	own = tflite_shape(w);
	if (w->id >= 0 && !w->data && t->g->tensor[w->id].dtype == NE_F32 && tflite_real(t, x))
		made = t->g->tensor[w->id].data;
	if (made && !shape) {
		*ret = (uint32_t)w->id;
		return 0;
	}
	if (!shape)
		shape = &own;
	if (!ne_shape_elements(shape))
		return tflite_fail(t, n, E2BIG, "weights over the limit");
	if (!w->data && !made)
		return tflite_fail(t, n, EOPNOTSUPP, "weights must be a constant");
	if (tflite_real(t, x))
		return real_weights(t, n, w, made, shape, p, ret);
	if ((w->type != TFLITE_S8 && w->type != TFLITE_U8) || !w->scale.n)
		return tflite_fail(t, n, EOPNOTSUPP, "weights of type %d beside quantised values",
				   (int)w->type);
	return quantised_weights(t, n, w, shape, p, ret);
}

int tflite_bias(struct tflite *t, const struct tflite_node *n, uint32_t i, int x, uint32_t times,
		uint32_t *ret)
{
	const struct tflite_tensor *b = tflite_in(t, n, i);
	struct ne_shape shape = {.rank = 1};
	float *real;
	size_t count;
	void *v;
	int id, r;

	*ret = NE_NONE;
	if (!b)
		return 0;
	if (b->id >= 0 && t->g->tensor[b->id].data && tflite_real(t, (int)b->id) && times == 1) {
		*ret = (uint32_t)b->id;
		return 0;
	}
	if (!b->data)
		return tflite_fail(t, n, EOPNOTSUPP, "the bias must be a constant");
	count = tflite_elements(b);
	if (count > NE_MAX_DIM / times)
		return tflite_fail(t, n, E2BIG, "a bias of %u times %zu values", times, count);
	shape.dim[0] = (int32_t)(times * count);
	NE_RETURN_IF(tflite_const_alloc(t, n, times * count * 4, &v));
	if (tflite_real(t, x)) {
		r = tflite_reals(t, n, b, &real);
		if (r < 0) {
			free(v);
			return r;
		}
		for (uint32_t k = 0; k < times; k++)
			memcpy((float *)v + k * count, real, count * sizeof(*real));
		tflite_const_drop(t, real, count * sizeof(*real));
	} else if (b->type == TFLITE_S32) {
		for (uint32_t k = 0; k < times; k++)
			memcpy((int32_t *)v + k * count, b->data, b->bytes);
	} else {
		free(v);
		return tflite_fail(t, n, EOPNOTSUPP, "a bias of type %d; int32 is supported",
				   (int)b->type);
	}
	id = tflite_emit_const(t, n, tflite_real(t, x) ? NE_F32 : NE_S32, &shape, v,
			       (struct ne_quant){0});
	if (id < 0)
		return id;
	*ret = (uint32_t)id;
	return 0;
}

/* ---- the layer ---- */

/* The input as rows of as many values as the weights take; its last axis has them already where
 * its dimensions are kept. */
static int rows(struct tflite *t, const struct tflite_node *n, int x, int32_t values)
{
	const struct ne_shape *s = tflite_shape_of(t, x);
	size_t elements = ne_shape_elements(s);
	struct ne_shape flat = {.rank = 2};

	if (s->rank && s->dim[s->rank - 1] == values &&
	    (s->rank == 2 || fb_bool(&n->opt, DENSE_KEEP_DIMS)))
		return x;
	if (elements % (size_t)values)
		return tflite_fail(t, n, EINVAL, "weights of %d inputs for %zu values", values,
				   elements);
	flat.dim[0] = (int32_t)(elements / (size_t)values);
	flat.dim[1] = values;
	return tflite_emit_reshape(t, n, x, &flat);
}

static int swap_last(struct tflite *t, const struct tflite_node *n, int x)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in = (uint32_t)x, rank;

	if (x < 0)
		return x;
	rank = tflite_shape_of(t, x)->rank;
	if (rank < 2)
		return tflite_fail(t, n, EINVAL, "a matrix of rank %u", rank);
	for (uint32_t i = 0; i < rank; i++)
		attr.perm[i] = (int32_t)i;
	attr.perm[rank - 1] = (int32_t)rank - 2;
	attr.perm[rank - 2] = (int32_t)rank - 1;
	return tflite_emit(t, n, NE_OP_TRANSPOSE, &attr, 1, &in, (struct ne_quant){0});
}

/* x by the transposed weights, in f32. */
static int computed_weights(struct tflite *t, const struct tflite_node *n, int x)
{
	struct ne_attr attr = {.groups = 1};
	int w = swap_last(t, n, tflite_in_real(t, n, 1)), id = tflite_emit_real(t, n, x);
	uint32_t in[2] = {(uint32_t)id, (uint32_t)w};

	if (w < 0 || id < 0)
		return w < 0 ? w : id;
	id = tflite_emit(t, n, NE_OP_MATMUL, &attr, 2, in, (struct ne_quant){0});
	if (id >= 0 && tflite_in(t, n, 2)) {
		w = tflite_in_real(t, n, 2);
		if (w < 0)
			return w;
		in[0] = (uint32_t)id;
		in[1] = (uint32_t)w;
		id = tflite_emit(t, n, NE_OP_ADD, &attr, 2, in, (struct ne_quant){0});
	}
	return tflite_set_out(t, n, 0, tflite_activate(t, n, id, fb_s8(&n->opt, DENSE_ACT, 0)));
}

int tflite_fully_connected(struct tflite *t, const struct tflite_node *n)
{
	const struct tflite_tensor *w = tflite_in(t, n, 1);
	struct ne_attr attr = {.groups = 1};
	uint32_t in[3];
	int id = tflite_in_id(t, n, 0);

	if (id < 0)
		return id;
	if (!w || !w->shaped || w->rank != 2)
		return tflite_fail(t, n, EINVAL, "weights must be of rank 2");
	if (fb_s8(&n->opt, DENSE_FORMAT, 0))
		return tflite_fail(t, n, EOPNOTSUPP, "shuffled weights");
	id = rows(t, n, id, w->dim[1]);
	if (id < 0)
		return id;
	if (!w->data && w->id >= 0 && !t->g->tensor[w->id].data)
		return computed_weights(t, n, id);
	in[0] = (uint32_t)id;
	NE_RETURN_IF(tflite_weights(t, n, id, NULL, NULL, &in[1]));
	NE_RETURN_IF(tflite_bias(t, n, 2, id, 1, &in[2]));
	return tflite_set_out_act(t, n, NE_OP_DENSE, &attr, in[2] == NE_NONE ? 2 : 3, in,
				  fb_s8(&n->opt, DENSE_ACT, 0));
}

/* ---- products of two computed matrices, in f32 ---- */

int tflite_batch_matmul(struct tflite *t, const struct tflite_node *n)
{
	struct ne_attr attr = {.groups = 1};
	uint32_t in[2];
	int a = tflite_in_real(t, n, 0), b = tflite_in_real(t, n, 1);

	if (fb_bool(&n->opt, MATMUL_ADJ_X))
		a = swap_last(t, n, a);
	if (fb_bool(&n->opt, MATMUL_ADJ_Y))
		b = swap_last(t, n, b);
	if (a < 0 || b < 0)
		return a < 0 ? a : b;
	in[0] = (uint32_t)a;
	in[1] = (uint32_t)b;
	return tflite_set_out(t, n, 0,
			      tflite_emit(t, n, NE_OP_MATMUL, &attr, 2, in, (struct ne_quant){0}));
}
