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

void ne_pack_conv_s8(const struct ne_kernels *k, int8_t *dst, const int8_t *w, uint32_t oc,
		     uint32_t taps, uint32_t ic, size_t *ret_tap_stride, size_t *ret_block_stride)
{
	const size_t nr = k->conv_s8_nr, kr = k->conv_s8_kr;
	const size_t tap = nr * ne_round_up(ic, kr), block = tap * taps;

	memset(dst, 0, ne_pack_conv_s8_bytes(k, oc, taps, ic));
	for (size_t o = 0; o < oc; o++)
		for (size_t t = 0; t < taps; t++) {
			int8_t *group = dst + o / nr * block + t * tap + o % nr * kr;

			for (size_t i = 0; i < ic; i++)
				group[i / kr * nr * kr + i % kr] = *w++;
		}
	*ret_tap_stride = tap;
	*ret_block_stride = block;
}

size_t ne_pack_conv_f32_elements(const struct ne_kernels *k, uint32_t oc, uint32_t taps,
				 uint32_t ic)
{
	return ne_round_up(oc, k->conv_f32_nr) * taps * ic;
}

void ne_pack_conv_f32(const struct ne_kernels *k, float *dst, const float *w, uint32_t oc,
		      uint32_t taps, uint32_t ic, size_t *ret_tap_stride, size_t *ret_block_stride)
{
	const size_t nr = k->conv_f32_nr, tap = nr * ic, block = tap * taps;

	memset(dst, 0, ne_pack_conv_f32_elements(k, oc, taps, ic) * sizeof(*dst));
	for (size_t o = 0; o < oc; o++)
		for (size_t t = 0; t < taps; t++)
			for (size_t i = 0; i < ic; i++)
				dst[o / nr * block + t * tap + i * nr + o % nr] = *w++;
	*ret_tap_stride = tap;
	*ret_block_stride = block;
}
