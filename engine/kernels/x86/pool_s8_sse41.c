/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling, s8, SSE4.1. */
#define NE_SET(op) ne_##op##_sse41
#include "engine/kernels/x86/pool_s8.h"
