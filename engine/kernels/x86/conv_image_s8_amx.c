/* SPDX-License-Identifier: MIT */
/*
 * Convolution over whole rows of an image, s8, AMX: tiles of 16 pixels by 16 output channels, 64
 * input channels an instruction. The packing is that of AVX-512 VNNI: a tile of weights is 16 of
 * its vectors. What tiles would not fill goes to the AVX-512 kernel.
 *
 * Tile registers: 0 to 3 sums, one set of pixels by four blocks of output channels or the other
 * way round; 4 to 7 inputs and weights. The bias is loaded as a tile of equal rows.
 */
#include "engine/kernels/table.h"

typedef struct ne_conv_image_s8 tile_args;
#define TILE_IS_WIDE(a) ((a)->wide)
#include "engine/kernels/x86/tile_s8_avx512.h"

static inline uint8_t tile_of(int8_t zero)
{
	return (uint8_t)(zero + 128);
}

#define IMAGE_OWN_BLOCKS
#define IMAGE_ADD ne_add_s8_avx512vnni
#include "engine/kernels/conv_image.h"

#define MOST_PIXELS 16u /* of a tile */
#define MOST_STEPS  16u /* groups of four channels of a tile */

/* The palette's configuration as LDTILECFG reads it. */
struct tile_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

/* Sums that wait to be requantised: up to four tiles, of one set of pixels (blocks > 1) or of one
 * block. */
struct pending {
	uint32_t n, blocks, block;
	uint32_t p[4];
	_Alignas(64) int32_t sum[4][MOST_PIXELS * 16];
};

/*
 * How a convolution is cut into tiles. Sums are stored a turn late: while the tile unit works on the
 * next ones the vector units requantise those before.
 */
struct amx {
	const struct ne_conv_image_s8 *a;
	uint32_t pixels, steps, chunks; /* of a tile; tiles that a run takes */
	size_t pixel, block;            /* bytes from pixel to pixel, from block to block */
	uint32_t turn;
	struct pending pending[2];
};

/* The fewest equal parts of a run of @n steps that a tile can hold; 0: these would be slivers. */
static uint32_t parts_of_run(uint32_t n)
{
	for (uint32_t parts = (n + MOST_STEPS - 1) / MOST_STEPS; parts <= n / 4; parts++)
		if (n % parts == 0)
			return parts;
	return 0;
}

static void configure(const struct amx *t)
{
	struct tile_config c = {.palette = 1};

	for (int i = 0; i < 4; i++) {
		c.rows[i] = (uint8_t)t->pixels;
		c.row_bytes[i] = 64;
	}
	/* 4: inputs of the first pixels; 5 to 7 weights, or, for one block, 5 and 6 inputs too */
	for (int i = 4; i < 8; i++) {
		c.rows[i] = (uint8_t)t->steps;
		c.row_bytes[i] = 64;
	}
	c.rows[4] = (uint8_t)t->pixels;
	c.row_bytes[4] = (uint16_t)(4 * t->steps);
	_tile_loadconfig(&c);
}

/* One set of pixels at @x, @nb blocks. */
static inline __attribute__((always_inline)) void accumulate(const struct amx *t, const uint8_t *x,
							     const int8_t *w, const int nb)
{
	const struct ne_conv_image_s8 *a = t->a;

	for (uint32_t r = 0; r < a->n_run; r++, w += a->w_run_stride) {
		const uint8_t *xr = x + a->run_offset[r];
		const int8_t *wr = w;

		for (uint32_t k = 0; k < t->chunks; k++) {
			_tile_loadd(4, xr, t->pixel);
			_tile_loadd(5, wr, 64);
			_tile_dpbusd(0, 4, 5);
			if (nb > 1) {
				_tile_loadd(6, wr + t->block, 64);
				_tile_dpbusd(1, 4, 6);
			}
			if (nb > 2) {
				_tile_loadd(7, wr + 2 * t->block, 64);
				_tile_dpbusd(2, 4, 7);
			}
			if (nb > 3) {
				_tile_loadd(5, wr + 3 * t->block, 64);
				_tile_dpbusd(3, 4, 5);
			}
			xr += 4 * t->steps;
			wr += (size_t)64 * t->steps;
		}
	}
}

/* Four sets of pixels, or the first @sets of them, and one block. Registers are named by constants:
 * inputs all go through 4, weights through 5. */
static inline __attribute__((always_inline)) void
accumulate_sets(const struct amx *t, const uint8_t *const x[4], const int8_t *w, const int sets)
{
	const struct ne_conv_image_s8 *a = t->a;

	for (uint32_t r = 0; r < a->n_run; r++, w += a->w_run_stride)
		for (uint32_t k = 0; k < t->chunks; k++) {
			const size_t at = (size_t)a->run_offset[r] + 4 * k * t->steps;

			_tile_loadd(5, w + (size_t)64 * k * t->steps, 64);
			_tile_loadd(4, x[0] + at, t->pixel);
			_tile_dpbusd(0, 4, 5);
			if (sets > 1) {
				_tile_loadd(4, x[1] + at, t->pixel);
				_tile_dpbusd(1, 4, 5);
			}
			if (sets > 2) {
				_tile_loadd(4, x[2] + at, t->pixel);
				_tile_dpbusd(2, 4, 5);
			}
			if (sets > 3) {
				_tile_loadd(4, x[3] + at, t->pixel);
				_tile_dpbusd(3, 4, 5);
			}
		}
}

/* Requantises and stores mr pixels from the @from'th of a tile; sums lie nb tiles apart. */
static inline __attribute__((always_inline)) void store_part(const struct amx *t,
							     const struct pending *q, uint32_t set,
							     uint32_t from, const int mr,
							     const int nb)
{
	__m512i acc[16];

#pragma GCC unroll 4
	for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
		for (int b = 0; b < nb; b++)
			acc[i * nb + b] = _mm512_load_si512(q->sum[set + (uint32_t)b] +
							    (from + (uint32_t)i) * 16);
	tile_store(t->a, acc, mr, nb, q->p[nb > 1 ? 0 : set] + from, q->block * 16);
}

static inline __attribute__((always_inline)) void
store_set(const struct amx *t, const struct pending *q, uint32_t set, const int nb)
{
	uint32_t from = 0;

	for (; from + 4 <= t->pixels; from += 4)
		store_part(t, q, set, from, 4, nb);
	for (; from < t->pixels; from++)
		store_part(t, q, set, from, 1, nb);
}

/* Requantises what waits in @q. */
static inline void store_pending(const struct amx *t, struct pending *q)
{
	if (q->blocks == 4)
		store_set(t, q, 0, 4);
	else if (q->blocks == 3)
		store_set(t, q, 0, 3);
	else if (q->blocks == 2)
		store_set(t, q, 0, 2);
	else
		for (uint32_t i = 0; i < q->n; i++)
			store_set(t, q, i, 1);
	q->n = 0;
}

/* The sums in registers 0 to n - 1 wait; those that waited are stored first. */
static inline void keep_sums(struct amx *t, uint32_t n, uint32_t blocks, uint32_t block,
			     const uint32_t p[4])
{
	struct pending *q = &t->pending[t->turn ^ 1];

	store_pending(t, &t->pending[t->turn]);
	_tile_stored(0, q->sum[0], 64);
	if (n > 1)
		_tile_stored(1, q->sum[1], 64);
	if (n > 2)
		_tile_stored(2, q->sum[2], 64);
	if (n > 3)
		_tile_stored(3, q->sum[3], 64);
	q->n = n;
	q->blocks = blocks;
	q->block = block;
	memcpy(q->p, p, sizeof(q->p));
	t->turn ^= 1;
}

/* Tile @i of the rows: the last of a row overlaps the one before, which works pixels out twice. */
static inline const uint8_t *tile_at(const struct amx *t, const uint8_t *x, uint32_t i, uint32_t n,
				     uint32_t per_row, uint32_t *p)
{
	const size_t row = (size_t)t->a->im.sh * (size_t)t->a->im.columns * t->a->im.pixel;
	const uint32_t r = i / per_row, first = NE_MIN(i % per_row * t->pixels, n - t->pixels);

	*p += r * n + first;
	return x + r * row + first * t->pixel;
}

static inline __attribute__((always_inline)) void one_set(struct amx *t, const uint8_t *x,
							  uint32_t p, uint32_t block, const int nb)
{
	const int32_t *bias = t->a->bias + block * 16;

	_tile_loadd(0, bias, 0);
	if (nb > 1)
		_tile_loadd(1, bias + 16, 0);
	if (nb > 2)
		_tile_loadd(2, bias + 32, 0);
	if (nb > 3)
		_tile_loadd(3, bias + 48, 0);
	accumulate(t, x, t->a->w + block * t->block, nb);
	keep_sums(t, (uint32_t)nb, (uint32_t)nb, block, (const uint32_t[4]){p});
}

static inline __attribute__((always_inline)) void more_sets(struct amx *t,
							    const uint8_t *const x[4],
							    const uint32_t p[4], uint32_t block,
							    const int sets)
{
	const int32_t *bias = t->a->bias + block * 16;

	_tile_loadd(0, bias, 0);
	if (sets > 1)
		_tile_loadd(1, bias, 0);
	if (sets > 2)
		_tile_loadd(2, bias, 0);
	if (sets > 3)
		_tile_loadd(3, bias, 0);
	accumulate_sets(t, x, t->a->w + block * t->block, sets);
	keep_sums(t, (uint32_t)sets, 1, block, p);
}

/* Up to four tiles of pixels of one block. */
static void sets_of_block(struct amx *t, const uint8_t *x, uint32_t p, uint32_t tiles, uint32_t n,
			  uint32_t per_row, uint32_t block)
{
	for (uint32_t i = 0, sets; i < tiles; i += sets) {
		const uint8_t *at[4] = {x, x, x, x};
		uint32_t pixel[4] = {p, p, p, p};

		sets = NE_MIN(4, tiles - i);
		for (uint32_t k = 0; k < sets; k++)
			at[k] = tile_at(t, x, i + k, n, per_row, &pixel[k]);
		if (sets == 4)
			more_sets(t, at, pixel, block, 4);
		else if (sets == 3)
			more_sets(t, at, pixel, block, 3);
		else if (sets == 2)
			more_sets(t, at, pixel, block, 2);
		else
			more_sets(t, at, pixel, block, 1);
	}
}

static void image_blocks(const tile_args *a, const tile_x *x, uint32_t p, uint32_t rows, uint32_t n)
{
	const uint32_t blocks = (a->oc + 15) / 16;
	const uint32_t per_row = (n + MOST_PIXELS - 1) / MOST_PIXELS, tiles = rows * per_row;
	struct amx t;

	t.a = a;
	t.chunks = parts_of_run(a->run_steps);
	t.steps = a->run_steps / t.chunks;
	t.pixels = (n + per_row - 1) / per_row;
	t.pixel = (size_t)a->im.sw * a->im.pixel;
	t.block = a->w_block_stride;
	t.turn = 0;
	t.pending[0].n = t.pending[0].blocks = 0;
	configure(&t);
	for (uint32_t block = 0, nb; block < blocks; block += nb) {
		nb = NE_MIN(4, blocks - block);
		if (nb == 1)
			sets_of_block(&t, x, p, tiles, n, per_row, block);
		for (uint32_t i = 0; nb > 1 && i < tiles; i++) {
			uint32_t pixel = p;
			const uint8_t *at = tile_at(&t, x, i, n, per_row, &pixel);

			if (nb == 4)
				one_set(&t, at, pixel, block, 4);
			else if (nb == 3)
				one_set(&t, at, pixel, block, 3);
			else
				one_set(&t, at, pixel, block, 2);
		}
	}
	store_pending(&t, &t.pending[t.turn]);
}

void ne_conv_image_s8_amx(const struct ne_conv_image_s8 *a)
{
	if (a->way || !parts_of_run(a->run_steps)) {
		struct ne_conv_image_s8 other = *a;

		other.way = a->way ? a->way - 1 : 0;
		ne_conv_image_s8_avx512vnni(&other);
		return;
	}
	image_conv(a);
	_tile_release();
}
