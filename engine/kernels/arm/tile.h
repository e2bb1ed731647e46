/* SPDX-License-Identifier: MIT */
/* How arm64's register tiles are written in C so that compilers keep them in registers. */
#ifndef NE_ARM_TILE_H
#define NE_ARM_TILE_H

#include <arm_neon.h>

#include "engine/kernels/kernels.h"

/* GCC's scheduling before register allocation loads more weights than there are registers, its
 * partial redundancy elimination makes second copies of all sums live, its loops' patterns clear sums
 * by memset(), which keeps them in memory. NEON_STEP keeps a pointer that is advanced: rather than
 * offsets, which loads of several vectors have not. */
#ifdef __clang__
#define NEON_UNROLL _Pragma("unroll")
#define NEON_FN
#else
#define NEON_UNROLL _Pragma("GCC unroll 32")
#define NEON_FN                                                                          \
	__attribute__((optimize("no-tree-pre", "no-schedule-insns", "no-tree-vectorize", \
				"no-tree-loop-distribute-patterns")))
#endif
#define NEON_STEP(p, n)            \
	do {                       \
		(p) += (n);        \
		asm("" : "+r"(p)); \
	} while (0)
#define NEON_INLINE static inline __attribute__((always_inline))

#endif
