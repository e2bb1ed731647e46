/* SPDX-License-Identifier: MIT */
/* Convolution over whole rows of an image, s8, AVX-512 VNNI. */
#include "engine/kernels/table.h"

typedef struct ne_conv_image_s8 tile_args;
#define TILE_IS_WIDE(a) ((a)->wide)
#include "engine/kernels/x86/tile_s8_avx512.h"

static inline uint8_t tile_of(int8_t zero)
{
	return (uint8_t)(zero + 128);
}

#define IMAGE_LIST   TILES_16(1) TILES_12(2) TILES_8(3) TILES_6(4)
#define IMAGE_MR(nb) ((nb) == 1 ? 16u : TILE_MR(nb))
#define IMAGE_COLUMNS
#define COLUMNS_MR(nb) ((nb) == 2 ? 10u : 16u)
#define COLUMNS_LIST   TILES_16(1) TILES_10(2)
#define IMAGE_ADD      ne_add_s8_avx512vnni
#include "engine/kernels/conv_image.h"

void ne_conv_image_s8_avx512vnni(const struct ne_conv_image_s8 *a)
{
	image_conv(a);
}
