/* SPDX-License-Identifier: MIT */
/* Operators on each s8 element by itself, AVX-512. */
#define NE_SET(op) ne_##op##_avx512vnni
#define NE_OWN_ADD /* add_s8_avx512vnni.c */
#include "engine/kernels/elementwise_s8.h"
