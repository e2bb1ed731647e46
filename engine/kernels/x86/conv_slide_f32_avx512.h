/* SPDX-License-Identifier: MIT */
/*
 * Convolution along lines of pixels, f32, AVX-512, to one block of output channels, with windows of
 * three taps along the line that move by one: an input is broadcast once and goes to the three
 * pixels that have it. Tiles of one block would else load as often as they multiply.
 * Included after conv_lines_f32.h.
 */
#define SLIDE_MR   16
#define SLIDE_TAPS 3
#define SLIDE_FEW \
	4 /* shorter lines do better where taps are added up apart, not one after another */

/* What a line's tiles share: rows of the window across the line. */
struct slide_rows {
	uint32_t n;
	ptrdiff_t x, next_x;       /* of the first row, from a pixel; from row to row */
	const float *w;            /* of the first row */
	size_t next_w, w_from_tap; /* from row to row; from tap to tap along the line */
};

TILE_INLINE void slide_step(__m512 *acc, const float *const *x, size_t xs, const float *w,
			    size_t w_from_tap, const int mr)
{
	__m512 wv[SLIDE_TAPS];

	TILE_UNROLL
	for (int k = 0; k < SLIDE_TAPS; k++)
		wv[k] = vec_load(w + (size_t)k * w_from_tap);
	TILE_UNROLL
	for (int i = 0; i < mr + SLIDE_TAPS - 1; i++) {
		const __m512 xv = vec_set1(x[i / 3] + i % 3 * xs);

		TILE_UNROLL
		for (int k = 0; k < SLIDE_TAPS; k++)
			if (i >= k && i - k < mr)
				acc[i - k] = vec_fma(xv, wv[k], acc[i - k]);
	}
}

TILE_INLINE void slide_tile(const struct ne_conv_lines_f32 *a, const struct slide_rows *rows,
			    const float *from, size_t xs, float *y, size_t ys, const int mr)
{
	const float *start = a->scale ? lines_zero : a->bias, *w = rows->w;
	__m512 acc[SLIDE_MR];

	TILE_UNROLL
	for (int i = 0; i < mr; i++)
		acc[i] = vec_load(start);
	from += rows->x;
	for (uint32_t r = 0; r < rows->n; r++, from += rows->next_x, w += rows->next_w) {
		const float *x[(SLIDE_MR + SLIDE_TAPS - 1) / 3 + 1], *wt = w;

		TILE_UNROLL
		for (int i = 0; i < (mr + SLIDE_TAPS + 1) / 3; i++)
			x[i] = from + (size_t)(3 * i) * xs;
		for (uint32_t steps = a->ic; steps; steps--, wt += LANES) {
			slide_step(acc, x, xs, wt, rows->w_from_tap, mr);
			TILE_UNROLL
			for (int i = 0; i < (mr + SLIDE_TAPS + 1) / 3; i++)
				x[i]++;
		}
	}
	lines_store(a, acc, y, ys, 0, mr, 1);
}

typedef void slide_tile_fn(const struct ne_conv_lines_f32 *a, const struct slide_rows *rows,
			   const float *x, size_t xs, float *y, size_t ys);

#define TILE(mr, unused)                                                                          \
	TILE_NO_SPILL TILE_PLAIN static void slide_##mr(                                          \
		const struct ne_conv_lines_f32 *a, const struct slide_rows *rows, const float *x, \
		size_t xs, float *y, size_t ys)                                                   \
	{                                                                                         \
		slide_tile(a, rows, x, xs, y, ys, mr);                                            \
	}
TILES_16(1)
#undef TILE
#define TILE(mr, unused) [(mr)-1] = slide_##mr,
static slide_tile_fn *const slide_table[SLIDE_MR] = {TILES_16(1)};
#undef TILE

static void slide_line(const void *args, const struct line_f32 *l)
{
	const struct lines_job *job = args;
	const struct ne_conv_lines_f32 *a = job->a;
	const struct ne_lines_f32 *im = &a->im;
	const bool fits = l->down ? l->n_ky == SLIDE_TAPS && im->sh == 1 && im->dh == 1
				  : l->n_kx == SLIDE_TAPS && im->sw == 1 && im->dw == 1;
	const size_t row_w = l->row_tap * a->w_tap_stride;
	const struct slide_rows rows = {
		.n = (uint32_t)(l->down ? l->n_kx : l->n_ky),
		.x = l->tap_x,
		.next_x = l->down ? l->column_x : l->row_x,
		.w = a->w + l->tap * a->w_tap_stride,
		.next_w = l->down ? a->w_tap_stride : row_w,
		.w_from_tap = l->down ? row_w : a->w_tap_stride,
	};
	const uint32_t tiles = (l->n + SLIDE_MR - 1) / SLIDE_MR;
	const float *x = l->x;
	float *y = l->y;
	uint32_t n = l->n;

	if (!fits || n < SLIDE_FEW) {
		lines_line(args, l);
		return;
	}
	for (uint32_t t = tiles; t; t--) {
		const uint32_t mr = (n + t - 1) / t;

		slide_table[mr - 1](a, &rows, x, l->x_step, y, l->y_step);
		x += mr * l->x_step;
		y += mr * l->y_step;
		n -= mr;
	}
}

static bool slide_takes(const struct ne_conv_lines_f32 *a)
{
	return a->oc <= LANES && (a->im.kw == SLIDE_TAPS || a->im.kh == SLIDE_TAPS);
}
