/* SPDX-License-Identifier: MIT */
/* Operators on each s8 element by itself, AVX-512. */
#define NE_SET(op) ne_##op##_avx512vnni
#include "engine/kernels/elementwise_s8.h"
