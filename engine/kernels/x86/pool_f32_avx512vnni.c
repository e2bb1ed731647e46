/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling, f32, AVX-512. */
#define NE_SET(op) ne_##op##_avx512vnni
#include "engine/kernels/pool_f32.h"
