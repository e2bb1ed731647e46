/* SPDX-License-Identifier: MIT */
/* What whole rows of an image take in scratch (table.h). */
#include "engine/kernels/table.h"

#define BEYOND 256u /* bytes that loads and stores of whole vectors touch past the last row */

size_t ne_image_scratch(const struct ne_image_rows *im, bool flat, size_t elem)
{
	const size_t rows = flat ? 1 : (size_t)(im->chunk - 1) * (size_t)im->sh + (size_t)im->rows;
	const size_t columns = flat ? im->chunk : (size_t)im->columns;

	return rows * columns * im->pixel * elem + BEYOND;
}

size_t ne_dw_square_scratch(const struct ne_image_rows *im)
{
	const size_t pairs = ((size_t)(im->chunk - 1) * (size_t)im->sh + 3 + 1) / 2;

	return pairs * 2 * (size_t)im->columns * im->pixel * sizeof(int16_t) + BEYOND;
}

size_t ne_winograd_scratch(const struct ne_image_rows *im)
{
	return (size_t)im->chunk * ne_winograd_tiles(im) * im->pixel * 16 * sizeof(int16_t) +
	       BEYOND;
}
