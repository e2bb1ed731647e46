/* SPDX-License-Identifier: MIT */
/* Operators on each s8 element by itself, plain C. */
#define NE_SET(op) ne_##op##_c
#include "engine/kernels/elementwise_s8.h"
