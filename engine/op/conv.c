/* SPDX-License-Identifier: MIT */
/*
 * Convolution and dense layers. A dense layer is a convolution of one tap over rows. How they
 * become kernel calls is in conv_lower.c.
 */
#include "engine/op/op.h"

int ne_weights_check(const struct ne_graph *g, const struct ne_node *n, int32_t oc,
		     struct ne_error *err)
{
	const struct ne_tensor *x = ne_node_in(g, n, 0), *w = ne_node_in(g, n, 1);
	const struct ne_tensor *b = ne_node_in(g, n, 2);

	NE_RETURN_IF(ne_check_f32_or_s8(g, n, err));
	if (!w->data || (w->dtype != x->dtype && !(w->dtype == NE_U8 && x->dtype == NE_S8)))
		return ne_node_fail(err, EINVAL, n, "weights must be a constant of type %s%s",
				    ne_dtype_name(x->dtype), x->dtype == NE_S8 ? " or u8" : "");
	if (w->dtype == NE_S8 && w->n_scale != 1 && w->n_scale != (uint32_t)oc)
		return ne_node_fail(err, EINVAL, n, "weights have %u scales; 1 or %d needed",
				    w->n_scale, oc);
	if (b && n->attr.norm)
		return ne_node_fail(err, EINVAL, n, "a norm and a bias input; one or the other");
	if (b && (!b->data || ne_shape_elements(&b->shape) != (size_t)oc ||
		  (b->dtype != NE_F32 && !(b->dtype == NE_S32 && x->dtype == NE_S8))))
		return ne_node_fail(err, EINVAL, n,
				    "bias must be a constant of %d values, f32, or s32 beside s8 "
				    "weights",
				    oc);
	return 0;
}

NE_OP_CHECK(conv)
{
	const struct ne_tensor *x = ne_node_in(g, n, 0), *w = ne_node_in(g, n, 1);
	const struct ne_tensor *y = ne_node_out(g, n);
	int32_t groups = n->attr.groups;

	if (w->shape.rank != 4)
		return ne_node_fail(err, EINVAL, n, "weights must be [OC,KH,KW,IC/groups]");
	NE_RETURN_IF(ne_weights_check(g, n, w->shape.dim[0], err));
	if (groups < 1 || w->shape.dim[0] % groups)
		return ne_node_fail(err, EINVAL, n,
				    "%d output channels do not divide into %d groups",
				    w->shape.dim[0], groups);
	if (groups > 1 && (x->group || y->group))
		return ne_node_fail(err, EINVAL, n,
				    "a grouped convolution's channels cannot be cut");
	return 0;
}

NE_OP_INFER(conv)
{
	const struct ne_window *win = &n->attr.window;
	const struct ne_shape *w = &in[1];
	struct ne_image x;
	int32_t oh, ow;

	(void)g;
	NE_RETURN_IF(ne_image_of(n, &in[0], &x, err));
	NE_RETURN_IF(ne_window_output(n, &x, &oh, &ow, err));
	if (n->attr.groups < 1 || w->rank != 4 || w->dim[1] != win->kh || w->dim[2] != win->kw ||
	    (int64_t)w->dim[3] * n->attr.groups != x.c)
		return ne_node_fail(
			err, EINVAL, n,
			"weights do not fit a %dx%d kernel over %d channels in %d groups", win->kh,
			win->kw, x.c, n->attr.groups);
	*ret = in[0];
	if (ret->rank == 4)
		ret->dim[1] = oh;
	else if (oh != 1)
		return ne_node_fail(err, EINVAL, n, "a sequence has one row, the result %d", oh);
	ret->dim[ret->rank - 2] = ow;
	ret->dim[ret->rank - 1] = w->dim[0];
	return 0;
}

NE_OP_MACS(conv)
{
	int32_t ic = n->attr.groups > 1 ? w->dim[3] : ne_shape_last(x);

	return (uint64_t)ne_shape_elements(y) * (uint64_t)w->dim[1] * (uint64_t)w->dim[2] *
	       (uint64_t)ic;
}

NE_OP_CHECK(dense)
{
	const struct ne_tensor *w = ne_node_in(g, n, 1);

	if (w->shape.rank != 2)
		return ne_node_fail(err, EINVAL, n, "weights must be [O,I]");
	return ne_weights_check(g, n, w->shape.dim[0], err);
}

NE_OP_INFER(dense)
{
	(void)g;
	if (!in[0].rank || in[1].rank != 2 || ne_shape_last(&in[0]) != in[1].dim[1])
		return ne_node_fail(err, EINVAL, n,
				    "weights [O,I] do not fit an input of %d values",
				    ne_shape_last(&in[0]));
	*ret = in[0];
	ret->dim[ret->rank - 1] = in[1].dim[0];
	return 0;
}

NE_OP_MACS(dense)
{
	(void)n;
	(void)w;
	return (uint64_t)ne_shape_elements(y) * (uint64_t)ne_shape_last(x);
}
