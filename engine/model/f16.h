/* SPDX-License-Identifier: MIT */
/* IEEE 754 binary16, in software so that every CPU gives the same bits. */
#ifndef NE_F16_H
#define NE_F16_H

#include "engine/base.h"

/* Exact for every value; NaN stays NaN. */
float ne_f16_to_f32(uint16_t h);
/* Round to nearest even; beyond 65504 it gives infinity. */
uint16_t ne_f32_to_f16(float f);

/*
 * Whether storing @n values as f16 is close enough: each is off by at most 2^-11 of itself or
 * 2^-14 of the largest magnitude. So an array of tiny values, which f16 would flush, stays f32.
 */
bool ne_f16_fits(const float *v, size_t n);
/* Whether each of @n values survives f16 bit for bit. */
bool ne_f16_exact(const float *v, size_t n);

#endif
