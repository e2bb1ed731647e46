/* SPDX-License-Identifier: MIT */
/* What the templates of register tiles share: lists of tiles, and how compilers are kept in check. */
#include "engine/kernels/kernels.h"

#define TILES_4(nb)  TILE(1, nb) TILE(2, nb) TILE(3, nb) TILE(4, nb)
#define TILES_6(nb)  TILES_4(nb) TILE(5, nb) TILE(6, nb)
#define TILES_8(nb)  TILES_6(nb) TILE(7, nb) TILE(8, nb)
#define TILES_10(nb) TILES_8(nb) TILE(9, nb) TILE(10, nb)
#define TILES_12(nb) TILES_10(nb) TILE(11, nb) TILE(12, nb)
#define TILES_16(nb) TILES_12(nb) TILE(13, nb) TILE(14, nb) TILE(15, nb) TILE(16, nb)

#define TILE_INLINE TILE_PLAIN static inline __attribute__((always_inline))

/* GCC's partial redundancy elimination makes second copies of all sums live and spills them. */
#ifdef __clang__
#define TILE_UNROLL _Pragma("unroll")
#define TILE_NO_SPILL
#else
#define TILE_UNROLL   _Pragma("GCC unroll 32")
#define TILE_NO_SPILL __attribute__((optimize("no-tree-pre")))
#endif
/* Sanitizers would instrument every lane of every unrolled tile, and compile for minutes. What
 * follows indirection, tile_fill(), keeps them; tests/kernels puts guard pages around the rest. */
#define TILE_PLAIN __attribute__((no_sanitize("address"), no_sanitize("undefined")))

/* Sums of a tile kept in `ways` sets, to hide the latency of the dot product in small tiles. */
#define TILE_WAYS(mr, nv) ((mr) * (nv) >= 8 ? 1 : (mr) * (nv) >= 4 ? 2 : 4)
#define TILE_MAX_ACC      32

/* Elements that copies to scratch may write beyond: whole vectors. */
#define TILE_SLACK (64 / sizeof(tile_x))
