/* SPDX-License-Identifier: MIT */
/*
 * Packing of depthwise weights, scales and biases for dw_image_s8, in the order of table.h. The
 * caller owns all arrays.
 */
#include <string.h>

#include "engine/kernels/table.h"

uint32_t ne_dw_image_pixels(const struct ne_kernels *k, uint32_t c)
{
	return c && c <= k->dw_image_lanes / 2 ? k->dw_image_lanes / c : 1;
}

uint32_t ne_dw_image_blocks(const struct ne_kernels *k, uint32_t c)
{
	return (c + k->dw_image_lanes - 1) / k->dw_image_lanes;
}

/* Rows of a window, with the second output's where there is a pair. */
static uint32_t window_rows(const struct ne_dw_shape *s)
{
	return s->kh + (s->pair ? 1 : 0);
}

/* A column of the window is cut into groups, so that the pair's rows fall into the same ones. */
static uint32_t groups_of_column(const struct ne_kernels *k, const struct ne_dw_shape *s)
{
	return (window_rows(s) + k->dw_image_taps - 1) / k->dw_image_taps;
}

/* Columns as they are, or, for windows of few rows, all taps one after the other. */
static bool by_columns(const struct ne_kernels *k, const struct ne_dw_shape *s)
{
	const uint32_t all = (window_rows(s) * s->kw + k->dw_image_taps - 1) / k->dw_image_taps;

	return groups_of_column(k, s) * s->kw <= all;
}

uint32_t ne_dw_image_groups(const struct ne_kernels *k, const struct ne_dw_shape *s)
{
	const uint32_t q = k->dw_image_taps;

	return by_columns(k, s) ? groups_of_column(k, s) * s->kw
				: (window_rows(s) * s->kw + q - 1) / q;
}

void ne_dw_image_taps(const struct ne_kernels *k, int32_t *tap, const struct ne_dw_shape *s)
{
	const uint32_t rows = window_rows(s), q = k->dw_image_taps;
	const uint32_t deep = by_columns(k, s) ? groups_of_column(k, s) * q : 0;
	const uint32_t places = ne_dw_image_groups(k, s) * q;

	for (uint32_t i = 0; i < places; i++) {
		const uint32_t row = deep ? i % deep : i % rows;
		const uint32_t column = deep ? i / deep : i / rows;

		tap[i] = row < rows && column < s->kw ? (int32_t)(row * s->kw + column) : -1;
	}
}

/* The channel at a place in the order of the sums, or -1. */
static int32_t channel_at(const struct ne_kernels *k, uint32_t c, uint32_t block, uint32_t place)
{
	const uint32_t q = k->dw_image_taps, lanes = k->dw_image_lanes, part = lanes / q;
	const uint32_t v = place / part, within = place % part;
	const uint32_t lane = 4 * (q * (within / 4) + v) + within % 4;
	const uint32_t pixels = ne_dw_image_pixels(k, c);

	if (pixels > 1)
		return lane < pixels * c ? (int32_t)(lane % c) : -1;
	return block * lanes + lane < c ? (int32_t)(block * lanes + lane) : -1;
}

size_t ne_pack_dw_image_bytes(const struct ne_kernels *k, const struct ne_dw_shape *s)
{
	return (size_t)ne_dw_image_blocks(k, s->c) * ne_dw_image_groups(k, s) * (s->pair ? 2 : 1) *
	       k->dw_image_taps * k->dw_image_lanes * k->dw_image_elem;
}

#define MAX_LANES 64u

/* The weights of all lanes of a group for output row @r of the pair; taps count its rows from 0. */
static void pack_group(const struct ne_kernels *k, int8_t *dst, const int8_t *w, size_t w_stride,
		       const struct ne_dw_shape *s, const int32_t *tap, uint32_t r,
		       const int32_t *channel)
{
	const uint32_t q = k->dw_image_taps, lanes = k->dw_image_lanes;

	for (uint32_t t = 0; t < q; t++) {
		const int32_t own = tap[t] - (int32_t)(r * s->kw);
		const bool there = tap[t] >= 0 && own >= 0 && own < (int32_t)(s->kh * s->kw);
		const int8_t *from = w + (there ? (size_t)own * w_stride : 0);

		for (uint32_t i = 0; i < lanes; i++)
			dst[i * q + t] = (int8_t)(there && channel[i] >= 0 ? from[channel[i]] : 0);
	}
}

static void widen(int16_t *dst, const int8_t *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = src[i];
}

void ne_pack_dw_image(const struct ne_kernels *k, void *dst, const int8_t *w, size_t w_stride,
		      const struct ne_dw_shape *s)
{
	const uint32_t q = k->dw_image_taps, lanes = k->dw_image_lanes;
	const uint32_t groups = ne_dw_image_groups(k, s);
	int32_t tap[NE_DW_MAX_GROUPS * 4], channel[MAX_LANES];
	const size_t n = (size_t)lanes * q;
	int8_t *to = dst, group[MAX_LANES * 4];

	ne_dw_image_taps(k, tap, s);
	for (uint32_t b = 0; b < ne_dw_image_blocks(k, s->c); b++) {
		for (uint32_t i = 0; i < lanes; i++)
			channel[i] = channel_at(k, s->c, b, i);
		for (uint32_t g = 0; g < groups; g++)
			for (uint32_t r = 0; r < (s->pair ? 2 : 1); r++) {
				pack_group(k, group, w, w_stride, s, tap + (size_t)g * q, r,
					   channel);
				if (k->dw_image_elem == 1)
					memcpy(to, group, n);
				else
					widen((int16_t *)(void *)to, group, n);
				to += n * k->dw_image_elem;
			}
	}
}

void ne_pack_dw_channels(const struct ne_kernels *k, void *dst, const void *values, uint32_t c)
{
	const uint32_t lanes = k->dw_image_lanes;
	const int32_t *from = values;
	int32_t *to = dst;

	for (uint32_t b = 0; b < ne_dw_image_blocks(k, c); b++)
		for (uint32_t i = 0; i < lanes; i++) {
			const int32_t channel = channel_at(k, c, b, i);

			*to++ = channel < 0 ? 0 : from[channel];
		}
}

/* ---- 3x3 by pairs of rows ---- */

size_t ne_pack_dw_square_bytes(uint32_t c, int32_t sh)
{
	return ne_round_up(c, 8) * (sh == 1 ? 24 : 12) * sizeof(int16_t);
}

void ne_pack_dw_square(int16_t *dst, const int8_t *w, size_t w_stride, uint32_t c, int32_t sh)
{
	const uint32_t outputs = sh == 1 ? 2 : 1;

	memset(dst, 0, ne_pack_dw_square_bytes(c, sh));
	for (uint32_t i = 0; i < c; i++) {
		int16_t *block = dst + (size_t)(i / 8) * 6 * outputs * 16 + i % 8 * 2;

		for (uint32_t tap = 0; tap < 9; tap++)
			for (uint32_t out = 0; out < outputs; out++) {
				const uint32_t row = tap / 3 + out, column = tap % 3;

				block[((column * 2 + row / 2) * outputs + out) * 16 + row % 2] =
					w[tap * w_stride + i];
			}
	}
}
