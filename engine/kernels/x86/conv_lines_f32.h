/* SPDX-License-Identifier: MIT */
/*
 * Convolution along lines of pixels (lines_f32.h), f32: the loops that AVX2 and AVX-512 share. A
 * tile is MR pixels of a line by NB blocks of NR output channels, its sums in registers; an input
 * is read where it lies and goes to all blocks. A kernel's file defines before it includes this:
 *
 *   vec, LANES                  a vector and its floats: the output channels of a block
 *   MAX_NB, MAX_MR              blocks and pixels of the largest tiles
 *   MR(nb)                      pixels of the tallest tile of nb blocks
 *   TILE_LIST                   TILE(mr, nb) for every tile that there is
 *   vec_zero(), vec_load(p), vec_set1(p), vec_fma(a, b, c), vec_add(a, b), vec_mul, vec_min, vec_max
 *   vec_store(p, v, n)          the first n floats, 1..LANES
 */
#include <math.h>

#include "engine/kernels/tile.h"
#include "engine/kernels/x86/lines_f32.h"

#define CHUNK_PIXELS 48    /* of a line, so that their channels stay in the first cache; below 64 */
#define L1_WEIGHTS   32768 /* bytes of weights that stay there beside them */

/* One input channel of the tile's pixels. @x: every third pixel, so that few pointers address all:
 * x86 adds an index times 1 or 2 (here xs) in the address. */
TILE_INLINE void lines_step(vec *acc, const float *const *x, size_t xs, const float *w,
			    size_t block_stride, const int mr, const int nb)
{
	vec wv[4];

	TILE_UNROLL
	for (int v = 0; v < nb; v++)
		wv[v] = vec_load(w + v * block_stride);
	TILE_UNROLL
	for (int i = 0; i < mr; i++) {
		const vec xv = vec_set1(x[i / 3] + i % 3 * xs);

		TILE_UNROLL
		for (int v = 0; v < nb; v++)
			acc[i * nb + v] = vec_fma(xv, wv[v], acc[i * nb + v]);
	}
}

/* @steps inputs that lie side by side, and so do their weights. */
TILE_INLINE void lines_steps(vec *acc, const float *from, size_t xs, const float *w,
			     size_t block_stride, uint32_t steps, const int mr, const int nb)
{
	const int ways = TILE_WAYS(mr, nb), unroll = ways > 2 ? ways : 2;
	const float *x[MAX_MR / 3 + 1];

	TILE_UNROLL
	for (int i = 0; i < (mr + 2) / 3; i++)
		x[i] = from + (size_t)(3 * i) * xs;
	for (; steps >= (uint32_t)unroll; steps -= (uint32_t)unroll) {
		TILE_UNROLL
		for (int u = 0; u < unroll; u++) {
			lines_step(acc + u % ways * mr * nb, x, xs, w, block_stride, mr, nb);
			TILE_UNROLL
			for (int i = 0; i < (mr + 2) / 3; i++)
				x[i]++;
			w += LANES;
		}
	}
	for (; steps; steps--) {
		lines_step(acc, x, xs, w, block_stride, mr, nb);
		TILE_UNROLL
		for (int i = 0; i < (mr + 2) / 3; i++)
			x[i]++;
		w += LANES;
	}
}

/* Where the tiles of a line read: runs of @steps inputs side by side, and their weights. */
struct lines_runs {
	uint32_t n, steps;
	ptrdiff_t x[NE_LINES_TAPS];
	size_t w[NE_LINES_TAPS];
};

/* What sums start from where the bias is added once they are scaled. */
static const float lines_zero[MAX_NB * LANES] __attribute__((aligned(NE_ALIGN)));

/* Scale and bias, slope and limits, each where there is one; @o: the first output channel. */
TILE_INLINE void lines_store(const struct ne_conv_lines_f32 *a, vec *acc, float *y, size_t ys,
			     uint32_t o, const int mr, const int nb)
{
	const uint32_t left = a->oc - o - (uint32_t)(nb - 1) * LANES;
	const vec lo = vec_set1(&a->lo), hi = vec_set1(&a->hi);

	if (a->scale) {
		TILE_UNROLL
		for (int v = 0; v < nb; v++) {
			const vec scale = vec_load(a->scale + o + v * LANES);
			const vec bias = vec_load(a->bias + o + v * LANES);

			TILE_UNROLL
			for (int i = 0; i < mr; i++)
				acc[i * nb + v] = vec_fma(acc[i * nb + v], scale, bias);
		}
	}
	if (a->slope > 0) {
		const vec slope = vec_set1(&a->slope);

		TILE_UNROLL
		for (int i = 0; i < mr * nb; i++)
			acc[i] = vec_max(acc[i], vec_mul(acc[i], slope));
	}
	if (a->hi < INFINITY) {
		TILE_UNROLL
		for (int i = 0; i < mr * nb; i++)
			acc[i] = vec_min(acc[i], hi);
	}
	TILE_UNROLL
	for (int i = 0; i < mr * nb; i++)
		vec_store(y + (size_t)(i / nb) * ys + i % nb * LANES, vec_max(acc[i], lo),
			  i % nb == nb - 1 && left < LANES ? left : LANES);
}

TILE_INLINE void lines_tile(const struct ne_conv_lines_f32 *a, const struct lines_runs *runs,
			    const float *x, size_t xs, float *y, size_t ys, uint32_t block,
			    const int mr, const int nb)
{
	const int ways = TILE_WAYS(mr, nb);
	const uint32_t o = block * LANES;
	const float *w = a->w + block * a->w_block_stride;
	const float *start = a->scale ? lines_zero : a->bias + o;
	vec acc[TILE_MAX_ACC];

	TILE_UNROLL
	for (int i = 0; i < mr * nb; i++)
		acc[i] = vec_load(start + i % nb * LANES);
	TILE_UNROLL
	for (int i = mr * nb; i < ways * mr * nb; i++)
		acc[i] = vec_zero();
	for (uint32_t r = 0; r < runs->n; r++)
		lines_steps(acc, x + runs->x[r], xs, w + runs->w[r], a->w_block_stride, runs->steps,
			    mr, nb);
	TILE_UNROLL
	for (int i = mr * nb; i < ways * mr * nb; i++)
		acc[i % (mr * nb)] = vec_add(acc[i % (mr * nb)], acc[i]);
	lines_store(a, acc, y + o, ys, o, mr, nb);
}

typedef void lines_tile_fn(const struct ne_conv_lines_f32 *a, const struct lines_runs *runs,
			   const float *x, size_t xs, float *y, size_t ys, uint32_t block);

#define TILE(mr, nb)                                                                              \
	TILE_NO_SPILL TILE_PLAIN static void tile_##mr##x##nb(                                    \
		const struct ne_conv_lines_f32 *a, const struct lines_runs *runs, const float *x, \
		size_t xs, float *y, size_t ys, uint32_t block)                                   \
	{                                                                                         \
		lines_tile(a, runs, x, xs, y, ys, block, mr, nb);                                 \
	}
TILE_LIST
#undef TILE
#define TILE(mr, nb) [(nb)-1][(mr)-1] = tile_##mr##x##nb,
static lines_tile_fn *const tile_table[MAX_NB][MAX_MR] = {TILE_LIST};
#undef TILE

static void lines_find_runs(const struct ne_conv_lines_f32 *a, const struct line_f32 *l,
			    struct lines_runs *ret)
{
	/* a row of the window in one, where neither inputs nor weights have gaps */
	const bool joined = a->im.dw == 1 && a->w_tap_stride == (size_t)a->ic * LANES;
	const int32_t columns = joined && l->n_kx ? 1 : l->n_kx;
	uint32_t i = 0;

	for (int32_t r = 0; r < l->n_ky; r++)
		for (int32_t k = 0; k < columns; k++, i++) {
			ret->x[i] = l->tap_x + r * l->row_x + k * l->column_x;
			ret->w[i] =
				(l->tap + (uint32_t)r * l->row_tap + (uint32_t)k) * a->w_tap_stride;
		}
	ret->n = i;
	ret->steps = (joined ? (uint32_t)l->n_kx : 1) * a->ic;
}

/* Blocks of the tiles for @n pixels, dealt out evenly: 13 of at most 12 become 7 and 6. */
struct lines_deal {
	uint32_t groups, tiles; /* of blocks, of pixels */
	uint32_t mr, taller;    /* pixels of a tile; tiles that have one more */
};

/* A call: what it is for, and how chunks of n pixels are dealt out, where bit n - 1 of known is set.
 * Lines at borders are short and of few lengths. */
struct lines_job {
	const struct ne_conv_lines_f32 *a;
	uint64_t *known;
	struct lines_deal *deal; /* [CHUNK_PIXELS] */
};

/*
 * The tile shape that is done first, by half cycles of a step: two multiply-adds a cycle, two loads
 * a cycle, and where the weights do not stay in the first cache, as long as they take from the next.
 */
static struct lines_deal lines_choose(const struct ne_conv_lines_f32 *a, uint32_t n)
{
	const uint32_t blocks = (a->oc + LANES - 1) / LANES;
	const size_t bytes = a->w_block_stride * blocks * sizeof(float);
	const uint32_t weight = bytes > L1_WEIGHTS ? LANES / 4 + 1 : 1;
	struct lines_deal best = {0};
	uint32_t least = UINT32_MAX, last = 0;

	/* divisions take longest here: unrolled, half of them are by constants */
	TILE_UNROLL
	for (uint32_t most = MAX_NB; most; most--) {
		const uint32_t groups = (blocks + most - 1) / most;

		if (groups == last)
			continue;
		last = groups;

		const uint32_t nb = (blocks + groups - 1) / groups;
		const uint32_t tiles = (n + MR(nb) - 1) / MR(nb), mr = (n + tiles - 1) / tiles;
		const uint32_t cost = NE_MAX(NE_MAX(mr * nb, mr + nb), weight * nb);

		if (groups * tiles * cost < least) {
			least = groups * tiles * cost;
			best = (struct lines_deal){groups, tiles, 0, 0};
		}
	}
	best.mr = n / best.tiles;
	best.taller = n % best.tiles;
	return best;
}

/* @n pixels from @x and @y. */
static void lines_chunk(const struct ne_conv_lines_f32 *a, const struct line_f32 *l,
			const struct lines_runs *runs, const struct lines_deal *d, const float *x,
			float *y)
{
	const uint32_t blocks = (a->oc + LANES - 1) / LANES;
	uint32_t block = 0;

	for (uint32_t g = d->groups; g; g--) {
		const uint32_t nb = (blocks - block + g - 1) / g;
		uint32_t p = 0;

		for (uint32_t t = d->tiles; t; t--) {
			const uint32_t mr = d->mr + (d->tiles - t < d->taller);

			tile_table[nb - 1][mr - 1](a, runs, x + p * l->x_step, l->x_step,
						   y + p * l->y_step, l->y_step, block);
			p += mr;
		}
		block += nb;
	}
}

static void lines_line(const void *args, const struct line_f32 *l)
{
	const struct lines_job *job = args;
	struct lines_runs runs;

	lines_find_runs(job->a, l, &runs);
	for (uint32_t done = 0, n; done < l->n; done += n) {
		n = NE_MIN(l->n - done, (uint32_t)CHUNK_PIXELS);
		if (!(*job->known >> (n - 1) & 1)) {
			*job->known |= UINT64_C(1) << (n - 1);
			job->deal[n - 1] = lines_choose(job->a, n);
		}
		lines_chunk(job->a, l, &runs, &job->deal[n - 1], l->x + done * l->x_step,
			    l->y + done * l->y_step);
	}
}

static void lines_conv(const struct ne_conv_lines_f32 *a, line_fn *line)
{
	struct lines_deal deal[CHUNK_PIXELS];
	uint64_t known = 0;
	const struct lines_job job = {a, &known, deal};

	lines_run(&a->im, a->ic, a->x, a->y, a->y_stride, a->first, a->n, line, &job);
}
