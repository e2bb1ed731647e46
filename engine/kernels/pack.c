/* SPDX-License-Identifier: MIT */
/*
 * Packing of weights, once when a program is built. What lies beyond the last channel is zero, so
 * that the bytes are the same for the same weights. The caller owns both arrays.
 */
#include <string.h>

#include "engine/kernels/table.h"

size_t ne_pack_conv_s8_bytes(const struct ne_kernels *k, uint32_t oc, uint32_t taps, uint32_t ic)
{
	return ne_round_up(oc, k->conv_s8_nr) * taps * ne_round_up(ic, k->conv_s8_kr);
}

typedef uint32_t quad __attribute__((vector_size(16)));

static inline quad quad_at(const int8_t *p)
{
	quad v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Four groups of four input channels of four output channels, which lie @row bytes apart, to where
 * groups are @step bytes apart: 4x4 words turned over in registers. */
static inline void pack_quads(int8_t *dst, size_t step, const int8_t *w, size_t row)
{
	const quad a = quad_at(w), b = quad_at(w + row);
	const quad c = quad_at(w + 2 * row), d = quad_at(w + 3 * row);
	const quad ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
	const quad cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
	const quad ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
	const quad cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
	const quad g[4] = {__builtin_shufflevector(ab0, cd0, 0, 1, 4, 5),
			   __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7),
			   __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5),
			   __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7)};

	for (size_t i = 0; i < 4; i++)
		memcpy(dst + i * step, &g[i], sizeof(g[i]));
}

/* What of a tap of a whole block can be packed so; returns the input channels done. */
static size_t pack_squares(int8_t *dst, const int8_t *w, size_t row, size_t nr, size_t ic)
{
	size_t i = 0;

	for (; i + 16 <= ic; i += 16)
		for (size_t o = 0; o < nr; o += 4)
			pack_quads(dst + i * nr + o * 4, 4 * nr, w + o * row + i, row);
	return i;
}

/* One tap of @rows output channels, each @row bytes from the one before, to a block of @nr. @kr is
 * known where this is inlined, so that a group is copied by one move. */
static inline int8_t *pack_tap(int8_t *dst, const int8_t *w, size_t row, size_t rows, size_t nr,
			       size_t kr, size_t ic)
{
	const size_t full = ic / kr * kr, rest = ic - full;
	size_t i = 0;

	if (kr == 4 && rows == nr && nr % 4 == 0) {
		i = pack_squares(dst, w, row, nr, ic);
		dst += i * nr;
	}
	for (; i < full; i += kr) {
		for (size_t o = 0; o < rows; o++, dst += kr)
			memcpy(dst, w + o * row + i, kr);
		memset(dst, 0, (nr - rows) * kr);
		dst += (nr - rows) * kr;
	}
	if (!rest)
		return dst;
	memset(dst, 0, nr * kr);
	for (size_t o = 0; o < rows; o++)
		memcpy(dst + o * kr, w + o * row + full, rest);
	return dst + nr * kr;
}

void ne_pack_conv_s8(const struct ne_kernels *k, int8_t *dst, const int8_t *w, uint32_t oc,
		     uint32_t taps, uint32_t ic, size_t *ret_tap_stride, size_t *ret_block_stride)
{
	const size_t nr = k->conv_s8_nr, kr = k->conv_s8_kr, row = (size_t)taps * ic;

	for (size_t o = 0; o < oc; o += nr, w += nr * row)
		for (size_t t = 0; t < taps; t++) {
			const size_t rows = NE_MIN(nr, oc - o);
			const int8_t *from = w + t * ic;

			switch (kr) {
			case 1:
				dst = pack_tap(dst, from, row, rows, nr, 1, ic);
				break;
			case 2:
				dst = pack_tap(dst, from, row, rows, nr, 2, ic);
				break;
			case 4:
				dst = pack_tap(dst, from, row, rows, nr, 4, ic);
				break;
			case 16:
				dst = pack_tap(dst, from, row, rows, nr, 16, ic);
				break;
			default:
				dst = pack_tap(dst, from, row, rows, nr, kr, ic);
			}
		}
	*ret_tap_stride = nr * ne_round_up(ic, kr);
	*ret_block_stride = *ret_tap_stride * taps;
}

size_t ne_pack_conv_f32_elements(const struct ne_kernels *k, uint32_t oc, uint32_t taps,
				 uint32_t ic)
{
	return ne_round_up(oc, k->conv_f32_nr) * taps * ic;
}

void ne_pack_conv_f32(const struct ne_kernels *k, float *dst, const float *w, uint32_t oc,
		      uint32_t taps, uint32_t ic, size_t *ret_tap_stride, size_t *ret_block_stride)
{
	const size_t nr = k->conv_f32_nr, row = (size_t)taps * ic;

	for (size_t o = 0; o < oc; o += nr, w += nr * row) {
		const size_t rows = NE_MIN(nr, oc - o);

		for (size_t i = 0; i < row; i++, dst += nr) {
			for (size_t r = 0; r < rows; r++)
				dst[r] = w[r * row + i];
			for (size_t r = rows; r < nr; r++)
				dst[r] = 0;
		}
	}
	*ret_tap_stride = nr * ic;
	*ret_block_stride = nr * row;
}
