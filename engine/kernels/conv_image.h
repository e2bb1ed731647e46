/* SPDX-License-Identifier: MIT */
/*
 * Convolution over whole rows of an image by register tiles, s8 (struct ne_conv_image_s8). Includes
 * as conv_tile.h does, with the same definitions, and tile_of(zero), an element of the panel. With
 * IMAGE_OWN_BLOCKS the includer brings image_blocks(), the tiles, itself; with IMAGE_COLUMNS there are
 * the tiles of conv_columns.h too. IMAGE_ADD is the kernel that does the sum behind a convolution,
 * chunk by chunk. IMAGE_LIST and IMAGE_MR(nb), at most 16, may name other tiles than TILE_LIST and
 * TILE_MR(nb).
 *
 * Input rows are brought to scratch once, with their padding and in the form that the dot product
 * takes. After that a tile's pixels lie at constant distances from each other, and so do the runs
 * of their windows: no gathering, no indirection. Chunks of rows keep scratch in the first cache;
 * within a chunk the blocks of output channels are outermost, so that their weights stay there too.
 */
#include "engine/kernels/tile.h"

/* A vector of padding, made once for a chunk. */
struct image_zero {
	_Alignas(64) tile_x x[TILE_SLACK];
};

/* As image_copy() may write beyond, where pixels have no rest. */
static inline void image_fill(tile_x *d, const struct ne_image_rows *im, uint32_t c, int32_t pixels,
			      const struct image_zero *zero)
{
	if (im->pixel == c) {
		for (size_t i = 0; i < (size_t)pixels * c; i += TILE_SLACK)
			memcpy(d + i, zero, sizeof(*zero));
		return;
	}
	for (int32_t p = 0; p < pixels; p++, d += im->pixel)
		for (uint32_t i = 0; i < im->pixel; i++)
			d[i] = i < c ? zero->x[0] : 0;
}

/* @pixels of @x to scratch. May write TILE_SLACK elements beyond: what follows is written later. */
static inline void image_copy(tile_x *d, const struct ne_image_rows *im, uint32_t c,
			      const tile_in *x, int32_t pixels)
{
	if (im->pixel == c) {
		tile_gather(d, x, (uint32_t)pixels * c);
		return;
	}
	for (int32_t p = 0; p < pixels; p++, d += im->pixel, x += c)
		tile_gather(d, x, c);
}

static inline void image_row(tile_x *d, const struct ne_image_rows *im, uint32_t c,
			     const tile_in *x, int32_t row, const struct image_zero *zero)
{
	const int32_t left = NE_MIN(im->left, im->columns);
	const int32_t inside = NE_MIN(im->w, im->columns - left);

	if (row < 0 || row >= im->h) {
		image_fill(d, im, c, im->columns, zero);
		return;
	}
	image_fill(d, im, c, left, zero);
	d += (size_t)left * im->pixel;
	image_copy(d, im, c, x + (size_t)row * (size_t)im->w * c, inside);
	d += (size_t)inside * im->pixel;
	image_fill(d, im, c, im->columns - left - inside, zero);
}

/* All output channels of @rows rows of @n pixels, the first of them pixel p, from scratch. */
static void image_blocks(const tile_args *a, const tile_x *x, uint32_t p, uint32_t rows,
			 uint32_t n);

static void image_chunk(const tile_args *a, uint32_t first, uint32_t n)
{
	const struct ne_image_rows *im = &a->im;
	const int32_t top = (int32_t)first * im->sh - im->top;
	const int32_t rows = (int32_t)(n - 1) * im->sh + im->rows;
	const size_t row = (size_t)im->columns * im->pixel;
	tile_x *d = a->scratch;
	struct image_zero zero;

	for (size_t i = 0; i < TILE_SLACK; i++)
		zero.x[i] = tile_of(im->zero);
	for (int32_t r = 0, of_window = 0; r < rows; r++, d += row) {
		if (of_window < im->rows) /* rows between windows are skipped */
			image_row(d, im, a->ic, a->x, top + r, &zero);
		of_window = of_window + 1 == im->sh ? 0 : of_window + 1;
	}
	image_blocks(a, a->scratch, first * (uint32_t)im->ow, n, (uint32_t)im->ow);
}

/* The sum of the chunk, which is still in the first cache. */
static inline void image_sum(const tile_args *a, uint32_t p, uint32_t n)
{
	if (ne_adds_s8(&a->add))
		ne_sum_s8(&a->add, a->y, (size_t)p * a->oc, (size_t)n * a->oc, IMAGE_ADD);
}

static void image_conv(const tile_args *a)
{
	const bool flat = ne_image_flat(&a->im);

	for (uint32_t first = a->first, left = a->n, n; left; first += n, left -= n) {
		n = NE_MIN(left, a->im.chunk);
		if (flat) {
			image_copy(a->scratch, &a->im, a->ic, a->x + (size_t)first * a->ic,
				   (int32_t)n);
			image_blocks(a, a->scratch, first, 1, n);
			image_sum(a, first, n);
		} else {
			image_chunk(a, first, n);
			image_sum(a, first * (uint32_t)a->im.ow, n * (uint32_t)a->im.ow);
		}
	}
}

#ifndef IMAGE_OWN_BLOCKS

#ifndef IMAGE_LIST
#define IMAGE_LIST   TILE_LIST
#define IMAGE_MR(nb) TILE_MR(nb)
#endif

TILE_INLINE void image_step(tile_vec *acc, const tile_x *const x[6], size_t pixel, const tile_w *w,
			    size_t block_stride, const int mr, const int nb)
{
	tile_vec wv[4 * TILE_VPB];

	TILE_UNROLL
	for (int v = 0; v < nb * TILE_VPB; v++)
		wv[v] = tile_load_w(w + (v / TILE_VPB) * block_stride +
				    (v % TILE_VPB) * TILE_LANES * TILE_KR);
	TILE_UNROLL
	for (int i = 0; i < mr; i++) {
		const tile_vec xv = tile_load_x(x[i / 3] + i % 3 * pixel);

		TILE_UNROLL
		for (int v = 0; v < nb * TILE_VPB; v++)
			acc[i * nb * TILE_VPB + v] =
				tile_dot(acc[i * nb * TILE_VPB + v], xv, wv[v]);
	}
}

/* One tile: mr pixels from p of a row, whose first window starts at @x; nb blocks. */
TILE_INLINE void image_any(const tile_args *a, const tile_x *x, uint32_t p, uint32_t block,
			   const int mr, const int nb)
{
	const int nv = nb * TILE_VPB, ways = TILE_WAYS(mr, nv);
	const size_t pixel = (size_t)a->im.sw * a->im.pixel, block_stride = a->w_block_stride;
	const tile_w *w_run = a->w + block * block_stride;
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
	for (uint32_t r = 0; r < a->n_run; r++, w_run += a->w_run_stride) {
		const tile_x *xr = x + a->run_offset[r];
		const tile_x *at[6] = {xr,
				       xr + 3 * pixel,
				       xr + 6 * pixel,
				       xr + 9 * pixel,
				       xr + 12 * pixel,
				       xr + 15 * pixel};
		const tile_w *w = w_run;
		uint32_t steps = a->run_steps;

		for (; ways > 1 && steps >= (uint32_t)ways; steps -= (uint32_t)ways)
			TILE_UNROLL
		for (int u = 0; u < ways; u++) {
			image_step(acc + u * mr * nv, at, pixel, w, block_stride, mr, nb);
			w += TILE_NR * TILE_KR;
			TILE_UNROLL
			for (int k = 0; k <= (mr - 1) / 3; k++)
				at[k] += TILE_KR;
		}
		for (; steps; steps--) {
			image_step(acc, at, pixel, w, block_stride, mr, nb);
			w += TILE_NR * TILE_KR;
			TILE_UNROLL
			for (int k = 0; k <= (mr - 1) / 3; k++)
				at[k] += TILE_KR;
		}
	}
	TILE_UNROLL
	for (int i = mr * nv; i < ways * mr * nv; i++)
		acc[i % (mr * nv)] = tile_add(acc[i % (mr * nv)], acc[i]);
	tile_store(a, acc, mr, nb, p, block * TILE_NR);
}

typedef void image_fn(const tile_args *a, const tile_x *x, uint32_t p, uint32_t block);

#define TILE(mr, nb)                                                             \
	TILE_NO_SPILL TILE_PLAIN static void image_##mr##x##nb(                  \
		const tile_args *a, const tile_x *x, uint32_t p, uint32_t block) \
	{                                                                        \
		image_any(a, x, p, block, mr, nb);                               \
	}
IMAGE_LIST
#undef TILE
#define TILE(mr, nb) [(nb)-1][(mr)-1] = image_##mr##x##nb,
static image_fn *const image_table[TILE_MAX_NB][16] = {IMAGE_LIST};
#undef TILE

#ifdef IMAGE_COLUMNS
#include "engine/kernels/conv_columns.h"
#endif

/* @n pixels from p, dealt out evenly: 13 of at most 12 become 7 and 6. */
static inline void image_pixels(const tile_args *a, const tile_x *x, uint32_t p, uint32_t n,
				uint32_t block, uint32_t nb)
{
	const size_t pixel = (size_t)a->im.sw * a->im.pixel;

	for (uint32_t tiles = (n + IMAGE_MR(nb) - 1) / IMAGE_MR(nb); tiles; tiles--) {
		const uint32_t mr = (n + tiles - 1) / tiles;

		image_table[nb - 1][mr - 1](a, x, p, block);
		x += mr * pixel;
		p += mr;
		n -= mr;
	}
}

/*
 * Ways: 0 deals blocks out evenly to tiles of at most TILE_MAX_NB; 1 to TILE_MAX_NB makes tiles of
 * that many as long as there are enough.
 */
#define IMAGE_WAYS (TILE_MAX_NB + 1)

static void image_blocks(const tile_args *a, const tile_x *x, uint32_t p, uint32_t rows, uint32_t n)
{
	const uint32_t blocks = (a->oc + TILE_NR - 1) / TILE_NR;
	const size_t row = (size_t)a->im.sh * (size_t)a->im.columns * a->im.pixel;

	for (uint32_t block = 0, nb; block < blocks; block += nb) {
		const uint32_t left = blocks - block,
			       groups = (left + TILE_MAX_NB - 1) / TILE_MAX_NB;

		nb = a->way && a->way <= TILE_MAX_NB ? NE_MIN(a->way, left)
						     : (left + groups - 1) / groups;
#ifdef IMAGE_COLUMNS
		if (nb <= 2 && image_has_columns(a)) {
			for (uint32_t r = 0; r < rows; r++)
				columns_pixels(a, x + r * row, p + r * n, n, block, nb);
			continue;
		}
#endif
		for (uint32_t r = 0; r < rows; r++)
			image_pixels(a, x + r * row, p + r * n, n, block, nb);
	}
}

#endif
