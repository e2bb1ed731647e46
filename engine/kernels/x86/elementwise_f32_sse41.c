/* SPDX-License-Identifier: MIT */
/* Operators on each f32 element by itself, SSE4.1. */
#define NE_SET(op) ne_##op##_sse41
#include "engine/kernels/elementwise_f32.h"
