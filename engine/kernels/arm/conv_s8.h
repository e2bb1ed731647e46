/* SPDX-License-Identifier: MIT */
/*
 * What the s8 convolutions of arm64 share: this file cuts them into tiles of some pixels and one
 * block of output channels. What a tile reads are runs of contiguous inputs whose weights are
 * contiguous too: taps found by indirection, or the runs of an image's rows, which are read in place
 * where no padding is needed around them.
 *
 * Includers define, before they include it:
 *
 *   NR, KR          of the packing: output channels of a block, input channels of a step
 *   MAX_MR          pixels of the tallest tile
 *   TALLEST(oc)     pixels of the tallest tile for as many output channels
 *   TILES           TILE(mr, half) for every tile; half: of a last block with at most NR / 2 channels
 *   conv_sum        the type of a vector of sums; CONV_SUMS(mr, half) are a tile's
 *   tile_init(a, sum, o, mr, half)          first values of the sums
 *   tile_run(a, sum, x, w, n, mr, half)     adds a run: n inputs from x[i] of pixel i
 *   tile_store(a, sum, p, o, mr, half)      requantises and writes them
 */
#include "engine/kernels/arm/store_s8.h"

/* Where a tile's windows are. Their runs are found by the indirection of the first pixel, or at
 * offsets from x, pixels `pixel` bytes apart. */
struct conv_runs {
	const int32_t *ind, *offset; /* one of them NULL */
	const int8_t *x;
	size_t pixel;
	uint32_t n, bytes; /* runs; inputs of one */
	size_t w_step;     /* from the weights of a run to the next */
};

/* @n tiles, one after the other, from pixel @p. */
typedef void conv_tile_fn(const struct ne_conv_s8 *a, const struct conv_runs *r, uint32_t p,
			  uint32_t o, uint32_t n);

#define TILE(mr, half)                                                                            \
	NEON_FN static void tile_##mr##_##half(const struct ne_conv_s8 *a,                        \
					       const struct conv_runs *r, uint32_t p, uint32_t o, \
					       uint32_t n)                                        \
	{                                                                                         \
		const uint32_t bytes = r->bytes, n_run = r->n, taps = a->taps;                    \
		const int32_t *ind = r->ind, *offset = r->offset;                                 \
		const size_t w_step = r->w_step, pixel = r->pixel;                                \
		const int8_t *first = r->x, *x[mr];                                               \
		conv_sum sum[CONV_SUMS(mr, half)];                                                \
                                                                                                  \
		for (; n; n--, p += mr) {                                                         \
			const int8_t *w = a->w + o / NR * a->w_block_stride;                      \
                                                                                                  \
			tile_init(a, sum, o, mr, half);                                           \
			for (uint32_t t = 0; t < n_run; t++, w += w_step) {                       \
				if (ind) {                                                        \
					NEON_UNROLL                                               \
					for (int i = 0; i < mr; i++)                              \
						x[i] = ne_tap_s8(a->x, ind[(size_t)i * taps + t], \
								 a->pad);                         \
				} else {                                                          \
					x[0] = first + offset[t];                                 \
					NEON_UNROLL                                               \
					for (int i = 1; i < mr; i++)                              \
						x[i] = x[i - 1] + pixel;                          \
				}                                                                 \
				tile_run(a, sum, x, w, bytes, mr, half);                          \
			}                                                                         \
			tile_store(a, sum, p, o, mr, half);                                       \
			if (ind)                                                                  \
				ind += (size_t)mr * taps;                                         \
			else                                                                      \
				first += mr * pixel;                                              \
		}                                                                                 \
	}
TILES
#undef TILE
#define TILE(mr, half) [half][mr - 1] = tile_##mr##_##half,
static conv_tile_fn *const tiles[2][MAX_MR] = {TILES};
#undef TILE

/* @n pixels from @p for the block of output channels at @o, dealt out evenly: 6 of at most 5 become 3
 * and 3, for a last tile of 1 would wait on latency. */
static inline void conv_pixels(const struct ne_conv_s8 *a, const struct conv_runs *r, uint32_t p,
			       uint32_t n, uint32_t o)
{
	const uint32_t most = TALLEST(a->oc - o);
	conv_tile_fn *const *tile = tiles[a->oc - o <= NR / 2];
	uint32_t number, less, some;
	struct conv_runs at;

	if (n <= most) {
		tile[n - 1](a, r, p, o, 1);
		return;
	}
	number = (n + most - 1) / most;
	less = n / number;
	some = n % number; /* as many have one pixel more */
	at = *r;
	if (some) {
		tile[less](a, &at, p, o, some);
		n = some * (less + 1);
		p += n;
		if (at.ind)
			at.ind += (size_t)n * a->taps;
		else
			at.x += n * at.pixel;
	}
	tile[less - 1](a, &at, p, o, number - some);
}

/* One pixel: a dense layer. A block after the other, without a call for each. */
NEON_FN static void conv_dense(const struct ne_conv_s8 *a)
{
	const int8_t *block = a->w;
	conv_sum sum[CONV_SUMS(1, 0)];

	for (uint32_t o = 0; o < a->oc; o += NR, block += a->w_block_stride) {
		const int8_t *w = block;

		tile_init(a, sum, o, 1, 0);
		for (uint32_t t = 0; t < a->taps; t++, w += a->w_tap_stride) {
			const int8_t *x = ne_tap_s8(a->x, a->ind[t], a->pad);

			tile_run(a, sum, &x, w, a->ic, 1, 0);
		}
		tile_store(a, sum, 0, o, 1, 0);
	}
}

static void conv_s8(const struct ne_conv_s8 *a)
{
	const struct conv_runs r = {
		.ind = a->ind, .n = a->taps, .bytes = a->ic, .w_step = a->w_tap_stride};

	if (a->n_pix == 1)
		conv_dense(a);
	else if (a->n_pix)
		for (uint32_t o = 0; o < a->oc; o += NR)
			conv_pixels(a, &r, 0, a->n_pix, o);
}

/* ---- rows of an image ---- */

/* Columns of padding. The channels past the image's are zero, those of the padding too. */
static void fill_pixels(int8_t *d, const struct ne_image_rows *im, uint32_t c, int32_t n)
{
	if (im->pixel == c) {
		memset(d, im->zero, (size_t)n * c);
		return;
	}
	for (; n > 0; n--, d += im->pixel) {
		memset(d, im->zero, c);
		memset(d + c, 0, im->pixel - c);
	}
}

static void copy_pixels(int8_t *d, const struct ne_image_rows *im, uint32_t c, const int8_t *x,
			int32_t n)
{
	if (im->pixel == c) {
		memcpy(d, x, (size_t)n * c);
		return;
	}
	for (; n > 0; n--, d += im->pixel, x += c) {
		memcpy(d, x, c);
		memset(d + c, 0, im->pixel - c);
	}
}

static void fill_row(int8_t *d, const struct ne_image_rows *im, uint32_t c, const int8_t *x,
		     int32_t row)
{
	const int32_t left = NE_MIN(im->left, im->columns);
	const int32_t inside = NE_MIN(im->w, im->columns - left);

	if (row < 0 || row >= im->h) {
		fill_pixels(d, im, c, im->columns);
		return;
	}
	fill_pixels(d, im, c, left);
	d += (size_t)left * im->pixel;
	copy_pixels(d, im, c, x + (size_t)row * (size_t)im->w * c, inside);
	d += (size_t)inside * im->pixel;
	fill_pixels(d, im, c, im->columns - left - inside);
}

/* All output channels of @rows rows of im.ow pixels from output pixel @p. */
static void conv_rows(const struct ne_conv_s8 *a, const struct ne_image_rows *im,
		      const struct conv_runs *r, uint32_t p, uint32_t rows, uint32_t pixels)
{
	const size_t row = (size_t)im->sh * (size_t)im->columns * im->pixel;

	for (uint32_t o = 0; o < a->oc; o += NR) { /* outermost: its weights stay in cache */
		struct conv_runs at = *r;

		for (uint32_t y = 0; y < rows; y++, at.x += row)
			conv_pixels(a, &at, p + y * pixels, pixels, o);
	}
}

static void conv_image_s8(const struct ne_conv_image_s8 *a)
{
	const struct ne_image_rows *im = &a->im;
	const struct ne_conv_s8 conv = {
		.ic = a->ic,
		.oc = a->oc,
		.w = a->w,
		.w_above_min = a->w_above_min,
		.w_block_stride = a->w_block_stride,
		.bias = a->bias,
		.mult = a->mult,
		.zp = a->zp,
		.lo = a->lo,
		.hi = a->hi,
		.y = a->y,
		.y_stride = a->y_stride,
	};
	struct conv_runs r = {
		.offset = a->run_offset,
		.x = a->scratch,
		.pixel = (size_t)im->sw * im->pixel,
		.n = a->n_run,
		.bytes = a->run_steps * KR,
		.w_step = a->w_run_stride,
	};
	const bool flat = ne_image_flat(im);

	for (uint32_t first = a->first, left = a->n, n; left; first += n, left -= n) {
		n = NE_MIN(left, im->chunk);
		if (flat) { /* as it lies, all at once */
			n = left;
			r.x = a->x + (size_t)first * a->ic;
			r.bytes = a->ic;
			r.pixel = a->ic;
			conv_rows(&conv, im, &r, first, 1, n);
			if (ne_adds_s8(&a->add))
				ne_sum_s8(&a->add, a->y, (size_t)first * a->oc, (size_t)n * a->oc,
					  ne_add_s8_neon);
		} else {
			const int32_t top = (int32_t)first * im->sh - im->top;
			const int32_t rows = (int32_t)(n - 1) * im->sh + im->rows;
			int8_t *d = a->scratch;

			for (int32_t y = 0; y < rows; y++)
				if (y % im->sh < im->rows) /* rows between windows are skipped */
					fill_row(d + (size_t)y * (size_t)im->columns * im->pixel,
						 im, a->ic, a->x, top + y);
			conv_rows(&conv, im, &r, first * (uint32_t)im->ow, n, (uint32_t)im->ow);
			if (ne_adds_s8(&a->add))
				ne_sum_s8(&a->add, a->y, (size_t)first * (size_t)im->ow * a->oc,
					  (size_t)n * (size_t)im->ow * a->oc, ne_add_s8_neon);
		}
	}
}
