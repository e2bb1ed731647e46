/* SPDX-License-Identifier: MIT */
/* Convolution over whole rows of an image, s8, AVX2. */
#include "engine/kernels/table.h"

typedef struct ne_conv_image_s8 tile_args;
#define TILE_IS_WIDE(a) ((a)->wide)
#include "engine/kernels/x86/tile_s8_avx2.h"

static inline int16_t tile_of(int8_t zero)
{
	return zero;
}

#define IMAGE_ADD ne_add_s8_avx2
#include "engine/kernels/conv_image.h"

void ne_conv_image_s8_avx2(const struct ne_conv_image_s8 *a)
{
	image_conv(a);
}
