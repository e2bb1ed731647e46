/* SPDX-License-Identifier: MIT */
/* From a range of real values to a scale and a zero point. */
#include "tools/neap/compress/quantise/internal.h"

#include <math.h>

/* Ranges narrower than this are constants: any scale serves. Keeps 1/scale finite in f32. */
#define RANGE_MIN 1e-12f

struct range range_union(struct range a, struct range b)
{
	if (!a.seen)
		return b;
	if (!b.seen)
		return a;
	return (struct range){.lo = fminf(a.lo, b.lo), .hi = fmaxf(a.hi, b.hi), .seen = true};
}

struct ne_quant range_quant(struct range r)
{
	float lo = fminf(r.lo, 0.0f), hi = fmaxf(r.hi, 0.0f);
	struct ne_quant q = {.scale = 1.0f, .zero = 0};

	if (!(hi - lo > RANGE_MIN))
		return q;
	q.scale = (float)(((double)hi - (double)lo) / 255.0);
	/* Zero is a value of its own, so padding and ReLU are exact. */
	q.zero = (int32_t)lrint(-128.0 - (double)lo / (double)q.scale);
	q.zero = NE_CLAMP(q.zero, -128, 127);
	return q;
}
