/* SPDX-License-Identifier: MIT */
/* Operators on each f32 element by itself, AVX2. */
#define NE_SET(op) ne_##op##_avx2
#include "engine/kernels/elementwise_f32.h"
