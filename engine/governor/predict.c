/* SPDX-License-Identifier: MIT */
/*
 * How much slower or faster this machine is now than when the levels were measured: an
 * exponentially weighted mean and variance (West 1979, weights 1/16) of measured / predicted time.
 */
#include "engine/governor/governor.h"

#include <math.h>

#define WEIGHT         (1.0 / 16)
#define VARIANCE_PRIOR 0.01 /* before anything was seen: 10 % */

void ne_predictor_init(struct ne_predictor *p)
{
	*p = (struct ne_predictor){.ratio = 1, .variance = VARIANCE_PRIOR};
}

void ne_predictor_update(struct ne_predictor *p, double predicted_us, double measured_us)
{
	double ratio, delta, weight;

	if (!(predicted_us > 0) || !(measured_us >= 0))
		return;
	ratio = NE_CLAMP(measured_us / predicted_us, NE_GOV_RATIO_MIN, NE_GOV_RATIO_MAX);
	/* The first few weigh more, so that a slow machine is known after some runs. */
	weight = fmax(WEIGHT, 1.0 / (double)(p->count + 2));
	delta = ratio - p->ratio;
	p->ratio += weight * delta;
	p->variance = (1 - weight) * (p->variance + weight * delta * delta);
	p->count++;
}
