/* SPDX-License-Identifier: MIT */
/* Maximum and average pooling, f32, plain C. */
#define NE_SET(op) ne_##op##_c
#include "engine/kernels/pool_f32.h"
