/* SPDX-License-Identifier: MIT */
/*
 * What the s8 convolutions of arm64 share: this file cuts them into tiles of some pixels and one
 * block of output channels. What a tile reads are runs of contiguous inputs whose weights are
 * contiguous too: the taps of its windows where they lie, or, where channels are so few that to find
 * a tap costs more than to copy it, whole windows from a panel on the stack.
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

/* A window of so few bytes a tap, or of so many taps, is copied; but none that is too long. */
#define PANEL_TAP 32u
#define PANEL_ROW 1088u /* 17 cache lines: an odd number, so that rows meet in no L1 set */

struct conv_panel {
	_Alignas(64) int8_t row[MAX_MR][PANEL_ROW];
};

struct conv_runs {
	const int8_t *x[MAX_MR]; /* first run of each pixel */
	const int32_t *ind;      /* or the taps of the first pixel, a run each; else NULL */
	uint32_t n, bytes;       /* runs; inputs of one */
	size_t x_step, w_step;   /* bytes from run to run */
};

typedef void conv_tile_fn(const struct ne_conv_s8 *a, const struct conv_runs *r, uint32_t p,
			  uint32_t o);

#define TILE(mr, half)                                                                            \
	CONV_FN static void tile_##mr##_##half(const struct ne_conv_s8 *a,                        \
					       const struct conv_runs *r, uint32_t p, uint32_t o) \
	{                                                                                         \
		const int8_t *w = a->w + o / NR * a->w_block_stride, *x[mr];                      \
		const int32_t *ind = r->ind;                                                      \
		const uint32_t bytes = r->bytes;                                                  \
		conv_sum sum[CONV_SUMS(mr, half)];                                                \
                                                                                                  \
		tile_init(a, sum, o, mr, half);                                                   \
		CONV_UNROLL                                                                       \
		for (int i = 0; i < mr; i++)                                                      \
			x[i] = r->x[i];                                                           \
		for (uint32_t t = r->n; t; t--, w += r->w_step) {                                 \
			if (ind) {                                                                \
				CONV_UNROLL                                                       \
				for (int i = 0; i < mr; i++)                                      \
					x[i] = ne_tap_s8(a->x, ind[(size_t)i * a->taps], a->pad); \
				ind++;                                                            \
			}                                                                         \
			tile_run(a, sum, x, w, bytes, mr, half);                                  \
			CONV_UNROLL                                                               \
			for (int i = 0; i < mr; i++)                                              \
				x[i] += r->x_step;                                                \
		}                                                                                 \
		tile_store(a, sum, p, o, mr, half);                                               \
	}
TILES
#undef TILE
#define TILE(mr, half) [half][mr - 1] = tile_##mr##_##half,
static conv_tile_fn *const tiles[2][MAX_MR] = {TILES};
#undef TILE

CONV_INLINE void copy_tap(int8_t *d, const int8_t *s, uint32_t n)
{
	for (; n >= 16; n -= 16, s += 16, d += 16)
		vst1q_s8(d, vld1q_s8(s));
	if (n & 8) {
		vst1_s8(d, vld1_s8(s));
		s += 8;
		d += 8;
	}
	for (n &= 7; n; n--)
		*d++ = *s++;
}

/* Windows of @mr pixels from @p: each tap filled up with zeros to @step bytes. */
CONV_FN static void fill_panel(struct conv_panel *panel, const struct ne_conv_s8 *a, uint32_t p,
			       uint32_t mr, uint32_t step)
{
	const int32_t *ind = a->ind + (size_t)p * a->taps;

	for (uint32_t i = 0; i < mr; i++) {
		int8_t *row = panel->row[i];

		for (uint32_t t = a->taps; t; t--, row += step) {
			copy_tap(row, ne_tap_s8(a->x, *ind++, a->pad), a->ic);
			for (uint32_t k = a->ic; k < step; k++)
				row[k] = 0;
		}
	}
}

/* All blocks of output channels for the pixels that @r tells. */
static inline void run_blocks(const struct ne_conv_s8 *a, const struct conv_runs *r, uint32_t p,
			      uint32_t mr)
{
	for (uint32_t o = 0; o < a->oc; o += NR)
		tiles[a->oc - o <= NR / 2][mr - 1](a, r, p, o);
}

static void conv_s8(const struct ne_conv_s8 *a)
{
	const uint32_t step = (a->ic + KR - 1) / KR * KR, most = TALLEST(a->oc);
	const bool copied = a->taps > 1 && step <= PANEL_TAP && step * a->taps <= PANEL_ROW;
	const bool joined = a->w_tap_stride == (size_t)step * NR; /* no gap between taps */
	struct conv_runs r = {.n = a->taps, .bytes = a->ic, .w_step = a->w_tap_stride};
	struct conv_panel panel;
	uint32_t p = 0;

	if (copied) {
		r.x_step = r.bytes = step;
		if (joined) {
			r.n = 1;
			r.bytes *= a->taps;
		}
		for (uint32_t i = 0; i < MAX_MR; i++)
			r.x[i] = panel.row[i];
	}
	/* dealt out evenly: 6 of at most 5 become 3 and 3, for a last tile of 1 would wait on latency */
	for (uint32_t t = (a->n_pix + most - 1) / most; t; t--) {
		const uint32_t mr = (a->n_pix - p + t - 1) / t;

		if (copied) {
			fill_panel(&panel, a, p, mr, step);
		} else {
			r.ind = a->ind + (size_t)p * a->taps;
			for (uint32_t i = 0; i < mr; i++)
				r.x[i] = a->x;
		}
		run_blocks(a, &r, p, mr);
		p += mr;
	}
}
