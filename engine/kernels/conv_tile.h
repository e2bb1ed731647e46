/* SPDX-License-Identifier: MIT */
/*
 * Convolution by register tiles: the loops that all instruction sets share, for s8 and for f32. A
 * kernel's file defines what follows and then includes this file; all of it is static there.
 *
 * A tile is MR pixels by NB blocks of NR output channels, its sums in registers. Windows of the
 * tile's pixels are first gathered into a panel on the stack, one row a pixel, in the form that the
 * dot product takes (u8, s16 or f32, tails filled up with zeros). Gathering costs one load and one
 * store for a vector of inputs; it frees the inner loop from indirection, padding, tails and
 * conversions, and all blocks of output channels share it. A row is at a constant distance from
 * the next, so that one pointer addresses all. A window longer than a row is worked off in chunks.
 *
 *   struct tile_args       the kernel's argument (typedef)
 *   tile_in, tile_w        elements of x and of the weights
 *   tile_x                 element of the panel
 *   tile_vec               a vector of TILE_LANES sums; TILE_NR = TILE_LANES * TILE_VPB a block
 *   TILE_KR                input channels of one step
 *   TILE_MAX_NB            blocks of the widest tile, at most 4
 *   TILE_MR(nb)            pixels of the tallest tile of nb blocks, at most TILE_MAX_MR
 *   TILE_LIST              TILE(mr, nb) for every tile that there is; TILES_<mr>(nb) are 1..mr
 *   tile_gather(d, s, n)   n inputs to the panel, then zeros to a multiple of TILE_KR; may write
 *                          up to TILE_SLACK elements behind these
 *   tile_init(a, o)        first value of the sums of output channels o..o + TILE_LANES - 1
 *   tile_load_x(x)         TILE_KR inputs, repeated in every lane
 *   tile_load_w(w)         TILE_KR weights for each lane
 *   tile_dot(acc, x, w)    acc + x * w
 *   tile_add(a, b)         a + b, for sums split over independent registers
 *   tile_store(a, acc, mr, nb, p, o)
 *                          writes mr pixels from p and the output channels from o of nb blocks
 */
#include "engine/kernels/tile.h"

/* 37 cache lines: an odd number, so that rows do not meet in the same L1 sets; a 3x3 window of 256
 * s8 channels fits, and TILE_MAX_MR rows in L1. */
#define TILE_ROW  (37 * 64 / sizeof(tile_x))
#define TILE_FULL ((uint32_t)((TILE_ROW - TILE_SLACK) / TILE_KR * TILE_KR))

struct tile_panel {
	_Alignas(64) tile_x row[TILE_MAX_MR][TILE_ROW];
};

/* A part of the windows: n_tap taps from tap, n_ic channels from ic of each. */
struct tile_chunk {
	uint32_t tap, n_tap, ic, n_ic;
};

/* How many taps from the first of @ind lie side by side in memory, as those of a window's row do
 * where no channel is cut off. */
static inline uint32_t tile_side_by_side(const int32_t *ind, uint32_t n_tap, uint32_t n_ic)
{
	uint32_t n = 1;

	if (ind[0] >= 0)
		while (n < n_tap && ind[n] == ind[n - 1] + (int32_t)n_ic)
			n++;
	return n;
}

static void tile_fill(struct tile_panel *panel, const tile_args *a, uint32_t p, uint32_t mr,
		      const struct tile_chunk *c)
{
	const uint32_t step = (c->n_ic + TILE_KR - 1) / TILE_KR * TILE_KR;
	const bool joins = step == a->ic; /* no tail to fill up, no part of the channels */

	for (uint32_t i = 0; i < mr; i++) {
		const int32_t *ind = a->ind + (size_t)(p + i) * a->taps + c->tap;
		tile_x *row = panel->row[i];

		for (uint32_t t = 0, n; t < c->n_tap; t += n, row += n * step) {
			const tile_in *x = ind[t] < 0 ? a->pad : a->x + ind[t];

			n = joins ? tile_side_by_side(ind + t, c->n_tap - t, a->ic) : 1;
			tile_gather(row, x + c->ic, n * c->n_ic);
		}
	}
}

TILE_INLINE void tile_step(tile_vec *acc, const tile_x *x, const tile_w *w, size_t block_stride,
			   const int mr, const int nb)
{
	tile_vec wv[4 * TILE_VPB];

	TILE_UNROLL
	for (int v = 0; v < nb * TILE_VPB; v++)
		wv[v] = tile_load_w(w + (v / TILE_VPB) * block_stride +
				    (v % TILE_VPB) * TILE_LANES * TILE_KR);
	TILE_UNROLL
	for (int i = 0; i < mr; i++) {
		const tile_vec xv = tile_load_x(x + i * TILE_ROW);

		TILE_UNROLL
		for (int v = 0; v < nb * TILE_VPB; v++)
			acc[i * nb * TILE_VPB + v] =
				tile_dot(acc[i * nb * TILE_VPB + v], xv, wv[v]);
	}
}

/* Adds steps groups of TILE_KR channels, contiguous in the panel and in each block. */
TILE_INLINE void tile_run(tile_vec *acc, const tile_x *x, const tile_w *w, size_t block_stride,
			  uint32_t steps, const int mr, const int nb)
{
	const int ways = TILE_WAYS(mr, nb * TILE_VPB);

	for (; ways > 1 && steps >= (uint32_t)ways; steps -= (uint32_t)ways) {
		TILE_UNROLL
		for (int u = 0; u < ways; u++)
			tile_step(acc + u * mr * nb * TILE_VPB, x + u * TILE_KR,
				  w + u * TILE_NR * TILE_KR, block_stride, mr, nb);
		x += ways * TILE_KR;
		w += ways * TILE_NR * TILE_KR;
	}
	for (; steps; steps--) {
		tile_step(acc, x, w, block_stride, mr, nb);
		x += TILE_KR;
		w += TILE_NR * TILE_KR;
	}
}

TILE_INLINE void tile_accumulate(tile_vec *acc, const tile_args *a, const tile_x *x,
				 const tile_w *w, const struct tile_chunk *c, const int mr,
				 const int nb)
{
	uint32_t steps = (c->n_ic + TILE_KR - 1) / TILE_KR, n_tap = c->n_tap;

	w += c->tap * a->w_tap_stride + c->ic * (size_t)TILE_NR;
	if (a->w_tap_stride == (size_t)steps * TILE_KR * TILE_NR) { /* no gap between taps */
		steps *= n_tap;
		n_tap = 1;
	}
	for (; n_tap; n_tap--) {
		tile_run(acc, x, w, a->w_block_stride, steps, mr, nb);
		x += steps * TILE_KR;
		w += a->w_tap_stride;
	}
}

/* The chunk behind @c, at most @most long; false at the end. */
static inline bool tile_next(const tile_args *a, const struct tile_chunk *most,
			     struct tile_chunk *c)
{
	c->ic += c->n_ic;
	if (c->ic >= a->ic) {
		c->ic = 0;
		c->tap += c->n_tap;
	}
	if (c->tap >= a->taps)
		return false;
	c->n_tap = NE_MIN(most->n_tap, a->taps - c->tap);
	c->n_ic = NE_MIN(most->n_ic, a->ic - c->ic);
	return true;
}

/* One tile. Where windows take one chunk the caller has filled the panel. */
TILE_INLINE void tile_any(const tile_args *a, struct tile_panel *panel,
			  const struct tile_chunk *first, uint32_t p, uint32_t block, const int mr,
			  const int nb)
{
	const int nv = nb * TILE_VPB, ways = TILE_WAYS(mr, nv);
	const bool filled = first->n_tap == a->taps && first->n_ic == a->ic;
	const tile_w *w = a->w + block * a->w_block_stride;
	struct tile_chunk c = *first;
	tile_vec acc[TILE_MAX_ACC];

	TILE_UNROLL
	for (int v = 0; v < nv; v++)
		acc[v] = tile_init(a, block * TILE_NR + v * TILE_LANES);
	TILE_UNROLL
	for (int i = nv; i < mr * nv; i++)
		acc[i] = acc[i - nv];
	TILE_UNROLL
	for (int i = mr * nv; i < ways * mr * nv; i++)
		acc[i] = (tile_vec){0};
	do {
		if (!filled)
			tile_fill(panel, a, p, (uint32_t)mr, &c);
		tile_accumulate(acc, a, panel->row[0], w, &c, mr, nb);
	} while (!filled && tile_next(a, first, &c));
	TILE_UNROLL
	for (int i = mr * nv; i < ways * mr * nv; i++)
		acc[i % (mr * nv)] = tile_add(acc[i % (mr * nv)], acc[i]);
	tile_store(a, acc, mr, nb, p, block * TILE_NR);
}

typedef void tile_fn(const tile_args *a, struct tile_panel *panel, const struct tile_chunk *first,
		     uint32_t p, uint32_t block);

#define TILE(mr, nb)                                                                          \
	TILE_NO_SPILL TILE_PLAIN static void tile_##mr##x##nb(                                \
		const tile_args *a, struct tile_panel *panel, const struct tile_chunk *first, \
		uint32_t p, uint32_t block)                                                   \
	{                                                                                     \
		tile_any(a, panel, first, p, block, mr, nb);                                  \
	}
TILE_LIST
#undef TILE
#define TILE(mr, nb) [(nb)-1][(mr)-1] = tile_##mr##x##nb,
static tile_fn *const tile_table[TILE_MAX_NB][TILE_MAX_MR] = {TILE_LIST};
#undef TILE

/* All of a convolution: pixels outermost, so that a panel is filled once. Pixels and blocks are
 * dealt out evenly: 13 of at most 12 become 7 and 6, for a last tile of 1 would wait on latency. */
static void tile_conv(const tile_args *a)
{
	const uint32_t blocks = (a->oc + TILE_NR - 1) / TILE_NR;
	const uint32_t groups = (blocks + TILE_MAX_NB - 1) / TILE_MAX_NB;
	const uint32_t most_nb = groups ? (blocks + groups - 1) / groups : 0;
	const uint32_t step = (a->ic + TILE_KR - 1) / TILE_KR * TILE_KR;
	struct tile_chunk first = {.n_ic = NE_MIN(a->ic, TILE_FULL)};
	struct tile_panel panel;
	uint32_t tiles, p = 0;

	if (!most_nb || !a->n_pix)
		return;
	first.n_tap = step ? NE_MIN(a->taps, NE_MAX(1u, TILE_FULL / step)) : a->taps;
	tiles = (a->n_pix + TILE_MR(most_nb) - 1) / TILE_MR(most_nb);
	for (uint32_t t = tiles; t; t--) {
		const uint32_t mr = (a->n_pix - p + t - 1) / t;
		uint32_t block = 0;

		if (first.n_tap == a->taps && first.n_ic == a->ic)
			tile_fill(&panel, a, p, mr, &first);
		for (uint32_t g = groups; g; g--) {
			const uint32_t nb = (blocks - block + g - 1) / g;

			tile_table[nb - 1][mr - 1](a, &panel, &first, p, block);
			block += nb;
		}
		p += mr;
	}
}
