/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling, f32, SSE4.1. */
#define NE_SET(op) ne_##op##_sse41
#include "engine/kernels/pool_f32.h"
