/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling, f32, AVX2. */
#define NE_SET(op) ne_##op##_avx2
#include "engine/kernels/pool_f32.h"
