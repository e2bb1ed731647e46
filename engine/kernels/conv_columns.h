/* SPDX-License-Identifier: MIT */
/*
 * Tiles of conv_image.h for windows of three columns side by side, one column apart: each pixel of a
 * row is in three windows and is read once for all of them. With one or two blocks of output channels
 * a tile would otherwise wait on reading its inputs. Included by conv_image.h; the kernel's file
 * defines COLUMNS_MR(nb), pixels of the tallest tile of nb blocks, at most 16, and COLUMNS_LIST of all.
 */

TILE_INLINE void columns_any(const tile_args *a, const tile_x *x, uint32_t p, uint32_t block,
			     const int mr, const int nb)
{
	const size_t pixel = a->im.pixel, block_stride = a->w_block_stride;
	const size_t tap = pixel * TILE_NR;
	const tile_w *w_run = a->w + block * block_stride;
	tile_vec acc[TILE_MAX_ACC];

	TILE_UNROLL
	for (int v = 0; v < nb; v++)
		acc[v] = tile_init(a, block * TILE_NR + v * TILE_LANES);
	TILE_UNROLL
	for (int i = nb; i < mr * nb; i++)
		acc[i] = acc[i - nb];
	for (uint32_t r = 0; r < a->n_run; r++, w_run += a->w_run_stride) {
		const tile_x *xr = x + a->run_offset[r];
		const tile_x *at[6] = {xr,
				       xr + 3 * pixel,
				       xr + 6 * pixel,
				       xr + 9 * pixel,
				       xr + 12 * pixel,
				       xr + 15 * pixel};
		const tile_w *w = w_run;

		for (uint32_t c = 0; c < pixel; c += TILE_KR, w += TILE_NR * TILE_KR) {
			tile_vec wv[3 * 2];

			TILE_UNROLL
			for (int v = 0; v < 3 * nb; v++)
				wv[v] = tile_load_w(w + v % 3 * tap + v / 3 * block_stride);
			TILE_UNROLL
			for (int j = 0; j < mr + 2; j++) {
				const tile_vec xv = tile_load_x(at[j / 3] + j % 3 * pixel);

				TILE_UNROLL
				for (int k = 0; k < 3; k++) {
					if (j - k < 0 || j - k >= mr)
						continue;
					TILE_UNROLL
					for (int v = 0; v < nb; v++)
						acc[(j - k) * nb + v] = tile_dot(
							acc[(j - k) * nb + v], xv, wv[v * 3 + k]);
				}
			}
			TILE_UNROLL
			for (int k = 0; k <= (mr + 1) / 3; k++)
				at[k] += TILE_KR;
		}
	}
	tile_store(a, acc, mr, nb, p, block * TILE_NR);
}

#define TILE(mr, nb)                                                             \
	TILE_NO_SPILL TILE_PLAIN static void columns_##mr##x##nb(                \
		const tile_args *a, const tile_x *x, uint32_t p, uint32_t block) \
	{                                                                        \
		columns_any(a, x, p, block, mr, nb);                             \
	}
COLUMNS_LIST
#undef TILE
#define TILE(mr, nb) [(nb)-1][(mr)-1] = columns_##mr##x##nb,
static image_fn *const columns_table[2][16] = {COLUMNS_LIST};
#undef TILE

/* Whether these tiles do for @a. */
static inline bool image_has_columns(const tile_args *a)
{
	return a->im.sw == 1 && a->im.pixel % TILE_KR == 0 &&
	       a->run_steps * TILE_KR == 3 * a->im.pixel;
}

static inline void columns_pixels(const tile_args *a, const tile_x *x, uint32_t p, uint32_t n,
				  uint32_t block, uint32_t nb)
{
	for (uint32_t tiles = (n + COLUMNS_MR(nb) - 1) / COLUMNS_MR(nb); tiles; tiles--) {
		const uint32_t mr = (n + tiles - 1) / tiles;

		columns_table[nb - 1][mr - 1](a, x, p, block);
		x += mr * a->im.pixel;
		p += mr;
		n -= mr;
	}
}
