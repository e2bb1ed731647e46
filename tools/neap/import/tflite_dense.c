/* SPDX-License-Identifier: MIT */
/* Fully connected layers; the weights and biases that convolutions share with them. */
#include "tools/neap/import/tflite_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DENSE_ACT, DENSE_FORMAT, DENSE_KEEP_DIMS };
enum { MATMUL_ADJ_X, MATMUL_ADJ_Y };

/* ---- weights ---- */

/* Where value @i of the weights goes: depthwise weights of a multiplier over 1, [KH,KW,OC], become
 * [OC,KH,KW,1]. */
static size_t place(const struct ne_shape *to, bool turned, size_t i)
{
	size_t oc = (size_t)to->dim[0], taps = (size_t)to->dim[1] * (size_t)to->dim[2];

	return turned ? i % oc * taps + i / oc : i;
}

static int scales(struct tflite *t, const struct tflite_node *n, const struct tflite_tensor *w,
		  struct ne_tensor *ret)
{
	ret->scale = calloc(w->scale.n, sizeof(*ret->scale));
	if (!ret->scale)
		return tflite_fail(t, n, ENOMEM, "no memory");
	ret->n_scale = w->scale.n;
	for (uint32_t i = 0; i < w->scale.n; i++)
		ret->scale[i] = fb_vector_f32(&w->scale, i);
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

/* Symmetric int8 weights are the engine's s8; others, with a zero point, its u8. */
static int quantised_weights(struct tflite *t, const struct tflite_node *n,
			     const struct tflite_tensor *w, const struct ne_shape *shape,
			     bool turned, uint32_t *ret)
{
	size_t elements = tflite_elements(w);
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
	for (size_t i = 0; i < elements; i++)
		v[place(shape, turned, i)] =
			asymmetric && is_signed ? w->data[i] ^ 0x80 : w->data[i];
	if (asymmetric)
		q = (struct ne_quant){fb_vector_f32(&w->scale, 0), is_signed ? zero + 128 : zero};
	id = tflite_emit_const(t, n, asymmetric ? NE_U8 : NE_S8, shape, v, q);
	if (id < 0)
		return id;
	*ret = (uint32_t)id;
	return asymmetric ? 0 : scales(t, n, w, &t->g->tensor[id]);
}

int tflite_weights(struct tflite *t, const struct tflite_node *n, int x,
		   const struct ne_shape *shape, uint32_t *ret)
{
	const struct tflite_tensor *w = tflite_in(t, n, 1);
	struct ne_shape own;
	size_t elements;
	float *real, *v;
	bool turned;
	int id;

	if (!w || !w->shaped)
		return tflite_fail(t, n, EINVAL, "weights are missing");
	own = tflite_shape(w);
	if (!shape)
		shape = &own;
	turned = shape->rank == 4 && own.rank == 4 && shape != &own;
	if (w->id >= 0 && !w->data) {
		const struct ne_tensor *made = &t->g->tensor[w->id];

		/* float16 weights that a DEQUANTIZE made f32 */
		if (made->data && made->dtype == NE_F32 && tflite_real(t, x) && shape == &own) {
			*ret = (uint32_t)w->id;
			return 0;
		}
	}
	if (!w->data)
		return tflite_fail(t, n, EOPNOTSUPP, "weights must be a constant");
	if (!tflite_real(t, x)) {
		if ((w->type != TFLITE_S8 && w->type != TFLITE_U8) || !w->scale.n)
			return tflite_fail(t, n, EOPNOTSUPP,
					   "weights of type %d beside quantised values",
					   (int)w->type);
		return quantised_weights(t, n, w, shape, turned, ret);
	}
	NE_RETURN_IF(tflite_reals(t, n, w, &real));
	v = real;
	elements = tflite_elements(w);
	if (turned) {
		int r = tflite_const_alloc(t, n, elements * sizeof(*v), &v);

		if (r < 0) {
			free(real);
			return r;
		}
		for (size_t i = 0; i < elements; i++)
			v[place(shape, true, i)] = real[i];
		free(real);
	}
	id = tflite_emit_const(t, n, NE_F32, shape, v, (struct ne_quant){0});
	if (id < 0)
		return id;
	*ret = (uint32_t)id;
	return 0;
}

int tflite_bias(struct tflite *t, const struct tflite_node *n, int x, uint32_t *ret)
{
	const struct tflite_tensor *b = tflite_in(t, n, 2);
	struct ne_shape shape = {.rank = 1};
	void *v;
	int id;

	*ret = NE_NONE;
	if (!b)
		return 0;
	if (b->id >= 0 && t->g->tensor[b->id].data && tflite_real(t, (int)b->id)) {
		*ret = (uint32_t)b->id;
		return 0;
	}
	if (!b->data)
		return tflite_fail(t, n, EOPNOTSUPP, "the bias must be a constant");
	shape.dim[0] = (int32_t)tflite_elements(b);
	if (tflite_real(t, x)) {
		NE_RETURN_IF(tflite_reals(t, n, b, (float **)&v));
		id = tflite_emit_const(t, n, NE_F32, &shape, v, (struct ne_quant){0});
	} else {
		if (b->type != TFLITE_S32)
			return tflite_fail(t, n, EOPNOTSUPP,
					   "a bias of type %d; int32 is supported", (int)b->type);
		NE_RETURN_IF(tflite_const_alloc(t, n, b->bytes, &v));
		memcpy(v, b->data, b->bytes);
		id = tflite_emit_const(t, n, NE_S32, &shape, v, (struct ne_quant){0});
	}
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
	in[0] = (uint32_t)id;
	NE_RETURN_IF(tflite_weights(t, n, id, NULL, &in[1]));
	NE_RETURN_IF(tflite_bias(t, n, id, &in[2]));
	return tflite_set_out_act(t, n, NE_OP_DENSE, &attr, in[2] == NE_NONE ? 2 : 3, in,
				  fb_s8(&n->opt, DENSE_ACT, 0));
}

/* ---- products of two computed matrices, in f32 ---- */

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
