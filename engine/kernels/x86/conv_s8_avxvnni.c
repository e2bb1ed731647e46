/* SPDX-License-Identifier: MIT */
/* Convolution and dense, s8, AVX-VNNI: windows by indirection. */
#include "engine/kernels/table.h"

typedef struct ne_conv_s8 tile_args;
#define TILE_IS_WIDE(a) true
#include "engine/kernels/x86/tile_s8_avxvnni.h"

#include "engine/kernels/conv_tile.h"

void ne_conv_s8_avxvnni(const struct ne_conv_s8 *a)
{
	tile_conv(a);
}
