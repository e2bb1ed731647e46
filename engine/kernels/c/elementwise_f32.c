/* SPDX-License-Identifier: MIT */
/* Operators on each f32 element by itself, plain C. */
#define NE_SET(op) ne_##op##_c
#include "engine/kernels/elementwise_f32.h"
