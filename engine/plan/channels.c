/* SPDX-License-Identifier: MIT */
/*
 * Scale and bias per output channel of convolutions and dense layers.
 *
 * s8: the kernel computes (float)acc * mult, with acc = bias + sum of (x + shift) * w. A real value
 * is sx * sw * norm * (sum of (x - zx) * w) + bias, so
 *	mult = sx * sw * norm / sy
 *	bias = bias_real / (sx * sw * norm) - (zx + shift) * sum of the active weights
 * in double, rounded once; but without a norm mult is worked out in f32 step by step, as ONNX
 * Runtime does, so that imported models give its bytes.
 */
#include "engine/plan/plan.h"
#include "engine/op/op.h"

#include <math.h>
#include <stdlib.h>

/* Room for the sum of products beside the bias in 32 bits. */
#define BIAS_LIMIT 1073741824.0 /* 2^30 */

/* Real bias of channel @c, without a norm. @unit: real value of one step of an s32 bias. */
static double bias_of(const struct ne_tensor *b, uint32_t c, double unit)
{
	if (!b)
		return 0;
	if (b->dtype == NE_S32)
		return ((const int32_t *)b->data)[c] * unit;
	return (double)((const float *)b->data)[c];
}

/*
 * One channel. Where the bias is too large for its unit the multiplier is raised until it fits:
 * such a channel hardly depends on its input (|acc| << 2^30), so its value stays right.
 */
static void fold_channel(double scale, double bias_real, double sy, double *ret_mult,
			 double *ret_bias)
{
	double limit = fabs(bias_real) / BIAS_LIMIT;

	if (fabs(scale) < limit) {
		*ret_bias = bias_real < 0 ? -BIAS_LIMIT : BIAS_LIMIT;
		*ret_mult = limit / sy;
	} else {
		*ret_bias = scale == 0 ? 0 : rint(bias_real / scale);
		*ret_mult = scale / sy;
	}
}

int ne_lower_channels_s8(struct ne_lower *lw, const struct ne_node *n, uint32_t oc,
			 const int64_t *sum, const int64_t *magnitude, int32_t shift,
			 uint32_t group_oc, uint32_t group_padded, struct ne_channels_s8 *ret)
{
	const struct ne_tensor *w = &lw->g->tensor[n->in[1]], *b = ne_node_in(lw->g, n, 2);
	const struct ne_norm *norm = n->attr.norm ? &lw->width->norm[n->attr.norm - 1] : NULL;
	struct ne_quant qx = ne_lower_quant(lw, n->in[0]), qy = ne_lower_quant(lw, lw->y);
	size_t padded = (size_t)oc / group_oc * group_padded;
	int32_t *bias = calloc(padded, sizeof(*bias));
	float *mult = calloc(padded, sizeof(*mult));
	int r = 0;

	if (!bias || !mult) {
		r = ne_lower_no_memory(lw, n);
		goto out;
	}
	for (uint32_t c = 0; c < oc; c++) {
		float sw = w->dtype == NE_U8 ? lw->width->quant[n->in[1]].scale
					     : w->scale[w->n_scale == 1 ? 0 : c];
		double unit = (double)qx.scale * (double)sw;
		double real = norm ? (double)norm->bias[c] : bias_of(b, c, unit);
		double scale = norm ? unit * (double)norm->scale[c] : unit, v, f;
		size_t at = (size_t)c / group_oc * group_padded + c % group_oc;

		fold_channel(scale, real, (double)qy.scale, &f, &v);
		/* any x, any zero point, any shift: the same models pass on every CPU */
		if (!norm && f == scale / (double)qy.scale)
			f = (double)(qx.scale * sw / qy.scale);
		if (fabs(v) + 510.0 * (double)magnitude[c] > INT32_MAX || !isfinite(f) ||
		    fabs(f) > 3e38) {
			r = ne_node_fail(lw->err, ERANGE, n,
					 "output channel %u: sums overflow 32 bits or its scale is "
					 "out of range",
					 c);
			goto out;
		}
		bias[at] = (int32_t)((int64_t)v - (int64_t)(qx.zero + shift) * sum[c]);
		mult[at] = (float)f;
	}
	ret->bias = ne_lower_table(lw, bias, padded * sizeof(*bias));
	ret->mult = ne_lower_table(lw, mult, padded * sizeof(*mult));
	if (!ret->bias || !ret->mult)
		r = ne_lower_no_memory(lw, n);
out:
	free(bias);
	free(mult);
	return r;
}

int ne_lower_channels_f32(struct ne_lower *lw, const struct ne_node *n, uint32_t oc,
			  uint32_t group_oc, uint32_t group_padded, struct ne_channels_f32 *ret)
{
	const struct ne_tensor *b = ne_node_in(lw->g, n, 2);
	const struct ne_norm *norm = n->attr.norm ? &lw->width->norm[n->attr.norm - 1] : NULL;
	size_t padded = (size_t)oc / group_oc * group_padded;
	float *scale = calloc(padded, sizeof(*scale)), *bias = calloc(padded, sizeof(*bias));
	bool unscaled = true;
	int r = 0;

	if (!scale || !bias) {
		r = ne_lower_no_memory(lw, n);
		goto out;
	}
	for (uint32_t c = 0; c < oc; c++) {
		size_t at = (size_t)c / group_oc * group_padded + c % group_oc;

		scale[at] = norm ? norm->scale[c] : 1.0f;
		bias[at] = norm ? norm->bias[c] : b ? ((const float *)b->data)[c] : 0.0f;
		unscaled = unscaled && scale[at] == 1.0f;
	}
	ret->unscaled = unscaled;
	ret->scale = ne_lower_table(lw, scale, padded * sizeof(*scale));
	ret->bias = ne_lower_table(lw, bias, padded * sizeof(*bias));
	if (!ret->scale || !ret->bias)
		r = ne_lower_no_memory(lw, n);
out:
	free(scale);
	free(bias);
	return r;
}
