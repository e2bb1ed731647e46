/* SPDX-License-Identifier: MIT */
/*
 * Packing of 3x3 weights for conv_winograd_s8 (table.h). The caller owns both arrays.
 *
 * Winograd's F(2x2, 3x3) turns a window's weights g into G g G', 4x4 of them (A. Lavin, S. Gray,
 * Fast Algorithms for Convolutional Neural Networks, CVPR 2016). G has halves; twice G is whole, so
 * that weights are four times as large, at most 9 * 128, and sums are too.
 */
#include <string.h>

#include "engine/kernels/table.h"

size_t ne_pack_winograd_bytes(uint32_t oc, uint32_t ic)
{
	return ne_round_up(oc, 16) * ic * 16 * sizeof(int16_t);
}

/* Twice G times three values that are @step apart. */
static void transform(int32_t y[4], const int32_t *g, int step)
{
	const int32_t ends = g[0] + g[2 * step], middle = g[step];

	y[0] = 2 * g[0];
	y[1] = ends + middle;
	y[2] = ends - middle;
	y[3] = 2 * g[2 * step];
}

void ne_pack_winograd(int16_t *dst, const int8_t *w, uint32_t oc, uint32_t ic)
{
	const size_t point = (size_t)ic * 16;

	memset(dst, 0, ne_pack_winograd_bytes(oc, ic));
	for (uint32_t o = 0; o < oc; o++)
		for (uint32_t i = 0; i < ic; i++) {
			int16_t *to = dst + o / 16 * 16 * point + i / 2 * 32 + o % 16 * 2 + i % 2;
			int32_t g[9], rows[3][4];

			for (uint32_t t = 0; t < 9; t++)
				g[t] = w[((size_t)o * 9 + t) * ic + i];
			for (int r = 0; r < 3; r++)
				transform(rows[r], g + 3 * r, 1);
			for (int x = 0; x < 4; x++) {
				int32_t column[4];

				transform(column, &rows[0][x], 4);
				for (int y = 0; y < 4; y++)
					to[(size_t)(y * 4 + x) * point] = (int16_t)column[y];
			}
		}
}
