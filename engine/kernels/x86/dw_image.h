/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution over whole rows of an image, s8 (struct ne_dw_image_s8). Taps of a channel
 * are interleaved, so that one dot product adds a group of them; of two output rows that are worked
 * out together each interleaving serves both. The includer defines
 *
 *   DW_TAPS, DW_LANES          taps of a group; channels of a vector
 *   dw_x, dw_w                 elements of scratch and of the weights
 *   dw_vec                     a vector: DW_LANES / DW_TAPS sums, or DW_LANES elements
 *   dw_of(zero)                an element
 *   dw_load(x), dw_load_w(w), dw_load_sum(s)   vectors from memory; weights and sums are aligned
 *   dw_interleave(v, t)        DW_TAPS vectors of taps to DW_TAPS vectors of channels
 *   dw_dot(acc, x, w)          acc + x * w
 *   struct dw_requant, dw_requant_of(a)        what requantising takes, in registers
 *   dw_store(to, y, acc, mult, n, wide)        requantises, and stores n channels, 1..DW_LANES
 *   dw_fill(d, zero, n)        n elements of padding; may write DW_LANES beyond
 *   dw_convert(d, s, n)        n inputs to scratch; may write DW_LANES elements beyond
 *   dw_convert_8(d, s)         8 inputs, no more
 *   DW_SPLIT, dw_split(even, odd, s, c, n)     optional: pixels of c channels to two planes in
 *                              turn, as many of n as it likes; returns how many, even
 */
#include "engine/kernels/kernels.h"

#define DW_INLINE static inline __attribute__((always_inline))
#define DW_UNROLL _Pragma("GCC unroll 8")

/* ---- to scratch ---- */

static inline void dw_pixel(dw_x *d, const int8_t *s, uint32_t c)
{
	uint32_t i = 0;

	for (; i + 8 <= c; i += 8)
		dw_convert_8(d + i, s + i);
	for (; i < c; i++)
		d[i] = dw_of(s[i]);
}

/* @pixels to two planes in turn; @c channels each. */
static void dw_row_split(dw_x *even, dw_x *odd, const int8_t *x, uint32_t c, uint32_t pixels)
{
	uint32_t done = 0;

#ifdef DW_SPLIT
	done = dw_split(even, odd, x, c, pixels);
	even += done / 2 * c;
	odd += done / 2 * c;
	x += done * c;
#endif
	for (; done < pixels; done++, x += c) {
		dw_pixel(done % 2 ? odd : even, x, c);
		even += done % 2 ? 0 : c;
		odd += done % 2 ? c : 0;
	}
}

static void dw_pad_planes(const struct ne_dw_image_s8 *a, dw_x *d, uint32_t from, uint32_t to)
{
	const size_t plane = (size_t)a->im.columns / a->planes * a->c;
	const dw_x zero = dw_of(a->im.zero);

	for (; from < to; from++) {
		dw_x *pixel = d + from % a->planes * plane + from / a->planes * a->c;

		for (uint32_t i = 0; i < a->c; i++)
			pixel[i] = zero;
	}
}

/* A row whose columns lie as planes. */
static void dw_row_planes(const struct ne_dw_image_s8 *a, dw_x *d, const int8_t *x)
{
	const struct ne_image_rows *im = &a->im;
	const uint32_t left = (uint32_t)NE_MIN(im->left, im->columns), planes = a->planes;
	const uint32_t inside = NE_MIN((uint32_t)im->w, (uint32_t)im->columns - left);
	const size_t plane = (size_t)im->columns / planes * a->c;

	dw_pad_planes(a, d, 0, left);
	dw_pad_planes(a, d, left + inside, (uint32_t)im->columns);
	if (planes == 2) {
		dw_x *even = d + left % 2 * plane + left / 2 * a->c;
		dw_x *odd = d + (left + 1) % 2 * plane + (left + 1) / 2 * a->c;

		dw_row_split(even, odd, x, a->c, inside);
		return;
	}
	for (uint32_t i = 0; i < inside; i++)
		dw_pixel(d + (left + i) % planes * plane + (left + i) / planes * a->c,
			 x + (size_t)i * a->c, a->c);
}

static void dw_row(const struct ne_dw_image_s8 *a, dw_x *d, int32_t row)
{
	const struct ne_image_rows *im = &a->im;
	const int32_t left = NE_MIN(im->left, im->columns);
	const int32_t inside = NE_MIN(im->w, im->columns - left);
	const int8_t *x = a->x + (size_t)row * (size_t)im->w * a->c;

	if (row < 0 || row >= im->h) {
		dw_fill(d, im->zero, (size_t)im->columns * a->c);
		return;
	}
	if (a->planes > 1) {
		dw_row_planes(a, d, x);
		return;
	}
	dw_fill(d, im->zero, (size_t)left * a->c);
	d += (size_t)left * a->c;
	dw_convert(d, x, (size_t)inside * a->c);
	d += (size_t)inside * a->c;
	dw_fill(d, im->zero, (size_t)(im->columns - left - inside) * a->c);
}

/* ---- a block of channels ---- */

DW_INLINE void dw_taps(dw_vec *acc, const dw_vec t[DW_TAPS], const dw_w *w, const int rows)
{
	dw_vec v[DW_TAPS];

	dw_interleave(v, t);
	DW_UNROLL
	for (int i = 0; i < rows * DW_TAPS; i++)
		acc[i] = dw_dot(acc[i], v[i % DW_TAPS], dw_load_w(w + i * DW_LANES));
}

/* Windows of 3x3: columns at @x, three or, for two output rows, four elements @row apart. */
DW_INLINE void dw_column(dw_vec *acc, const dw_x *x, size_t row, const dw_w *w, const int rows)
{
	dw_vec t[4] = {dw_load(x), dw_load(x + row), dw_load(x + 2 * row)};

	t[3] = rows > 1 ? dw_load(x + 3 * row) : t[2]; /* its weights are zero */
	DW_UNROLL
	for (int g = 0; g < 4 / DW_TAPS; g++)
		dw_taps(acc, t + g * DW_TAPS, w + g * rows * DW_TAPS * (int)DW_LANES, rows);
}

/* Any other window: group by group. */
DW_INLINE void dw_groups(dw_vec *acc, const struct ne_dw_image_s8 *a, const dw_x *x, const dw_w *w,
			 const int rows)
{
	for (uint32_t g = 0; g < a->n_group; g++, w += rows * DW_TAPS * (int)DW_LANES) {
		dw_vec t[DW_TAPS];

		DW_UNROLL
		for (int i = 0; i < DW_TAPS; i++)
			t[i] = dw_load(x + a->offset[g * DW_TAPS + (uint32_t)i]);
		dw_taps(acc, t, w, rows);
	}
}

struct dw_part { /* of a row: the channels of a block, or several pixels */
	const dw_w *w;
	const int32_t *bias;
	const float *mult;
	size_t x_step, y_step;            /* elements from vector to vector */
	uint32_t vectors, channels, last; /* channels of a vector, and of the last one */
};

/* What a 3x3 window is made of, where the groups' offsets say that it is one. */
struct dw_square {
	bool is;
	size_t row;
	size_t column[3];
};

static struct dw_square dw_square_of(const struct ne_dw_image_s8 *a)
{
	const uint32_t per_column = 4 / DW_TAPS;
	struct dw_square s = {.is = a->n_group == 3 * per_column && a->offset[1] > a->offset[0]};

	for (uint32_t k = 0; s.is && k < 3; k++) {
		const int32_t *o = a->offset + k * 4;

		s.row = (size_t)(o[1] - o[0]);
		s.column[k] = (size_t)o[0];
		s.is = o[0] >= 0 && o[1] - o[0] == (int32_t)s.row &&
		       o[2] - o[1] == (int32_t)s.row &&
		       (a->pair ? o[3] - o[2] == (int32_t)s.row : o[3] == a->offset[0]) &&
		       a->offset[1] - a->offset[0] == (int32_t)s.row;
	}
	return s;
}

/* @rows output rows, of which @kept are stored. */
DW_INLINE void dw_rows(const struct ne_dw_image_s8 *a, const struct dw_square *square,
		       const struct dw_part *part, const dw_x *x, int8_t *y, const int rows,
		       const int kept, const bool is_square, const bool wide)
{
	const size_t y_row = (size_t)a->im.ow * a->c;
	const struct dw_requant to = dw_requant_of(a);
	const struct dw_square sq = *square;
	const struct dw_part p = *part;

	for (uint32_t v = 0; v < p.vectors; v++, x += p.x_step, y += p.y_step) {
		const uint32_t n = v + 1 == p.vectors ? p.last : p.channels;
		dw_vec acc[2 * DW_TAPS];

		DW_UNROLL
		for (int i = 0; i < rows * DW_TAPS; i++)
			acc[i] = dw_load_sum(p.bias + i % DW_TAPS * (int)(DW_LANES / DW_TAPS));
		if (is_square)
			DW_UNROLL
		for (int k = 0; k < 3; k++)
			dw_column(acc, x + sq.column[k], sq.row, p.w + k * rows * 4 * (int)DW_LANES,
				  rows);
		else dw_groups(acc, a, x, p.w, rows);
		dw_store(&to, y, acc, p.mult, n, wide);
		if (kept > 1)
			dw_store(&to, y + y_row, acc + DW_TAPS, p.mult, n, wide);
	}
}

static void dw_rows_any(const struct ne_dw_image_s8 *a, const struct dw_square *s,
			const struct dw_part *p, const dw_x *x, int8_t *y, uint32_t kept)
{
	if (s->is && !a->wide && a->pair && kept == 2)
		dw_rows(a, s, p, x, y, 2, 2, true, false);
	else if (s->is && !a->wide && !a->pair)
		dw_rows(a, s, p, x, y, 1, 1, true, false);
	else if (a->pair)
		dw_rows(a, s, p, x, y, 2, (int)kept, false, true);
	else
		dw_rows(a, s, p, x, y, 1, 1, false, true);
}

/* Part @b of every row, as dw_part tells. */
static struct dw_part dw_part_of(const struct ne_dw_image_s8 *a, uint32_t b)
{
	const uint32_t rows = a->pair ? 2 : 1, ow = (uint32_t)a->im.ow;
	struct dw_part p = {
		.w = (const dw_w *)a->w + (size_t)b * a->n_group * rows * DW_TAPS * DW_LANES,
		.bias = a->bias + b * DW_LANES,
		.mult = a->mult + b * DW_LANES,
	};

	if (a->pixels > 1) {
		p.y_step = (size_t)a->pixels * a->c;
		p.x_step = a->planes > 1 ? p.y_step : p.y_step * (size_t)a->im.sw;
		p.vectors = (ow + a->pixels - 1) / a->pixels;
		p.channels = a->pixels * a->c;
		p.last = (ow - (p.vectors - 1) * a->pixels) * a->c;
	} else {
		p.y_step = a->c;
		p.x_step = (size_t)a->im.sw * a->c;
		p.vectors = ow;
		p.channels = p.last = NE_MIN(DW_LANES, a->c - b * DW_LANES);
	}
	return p;
}

static void dw_chunk(const struct ne_dw_image_s8 *a, const struct dw_square *s, uint32_t first,
		     uint32_t n)
{
	const struct ne_image_rows *im = &a->im;
	const size_t row = (size_t)im->columns * a->c;
	const uint32_t step = a->pair ? 2 : 1;
	const int32_t top = (int32_t)first * im->sh - im->top;
	/* the second of a pair reads a row more, even where it is not wanted */
	const int32_t rows = (int32_t)((n + step - 1) / step * step - 1) * im->sh + im->rows;
	dw_x *scratch = a->scratch;

	for (int32_t r = 0; r < rows; r++)
		if (r % im->sh < im->rows)
			dw_row(a, scratch + (size_t)r * row, top + r);
	for (uint32_t b = 0; b * DW_LANES < a->c; b++) {
		const struct dw_part p = dw_part_of(a, b);

		for (uint32_t r = 0; r < n; r += step)
			dw_rows_any(a, s, &p, scratch + r * (size_t)im->sh * row + b * DW_LANES,
				    a->y + (size_t)(first + r) * (uint32_t)im->ow * a->c +
					    b * DW_LANES,
				    NE_MIN(step, n - r));
	}
}

static void dw_image(const struct ne_dw_image_s8 *a)
{
	const struct dw_square s = dw_square_of(a);

	for (uint32_t first = a->first, left = a->n, n; left; first += n, left -= n) {
		n = NE_MIN(left, a->im.chunk);
		dw_chunk(a, &s, first, n);
	}
}
