/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling, s8, AVX2. */
#define NE_SET(op) ne_##op##_avx2
#include "engine/kernels/x86/pool_s8.h"
