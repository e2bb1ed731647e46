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
