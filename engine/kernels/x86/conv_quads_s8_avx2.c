/* SPDX-License-Identifier: MIT */
/*
 * Convolution over whole rows of an image, s8, AVX2, by quads (struct ne_conv_quads_s8). vpmaddubsw
 * multiplies 32 bytes an instruction, twice what vpmaddwd does; what it adds in 16 bits fits there
 * by the choice of quads, and so does the sum of two of them.
 *
 * Blocks of 8 output channels have quads of their own, so a tile is one block by up to 12 pixels:
 * weights are read once for 12 pixels, inputs come by broadcasts, which take no vector unit.
 */
#include "engine/kernels/table.h"

typedef struct ne_conv_quads_s8 tile_args;
#define TILE_IS_WIDE(a) ((a)->wide)
#include "engine/kernels/x86/store_s8_256.h"

typedef int8_t tile_in;
typedef uint8_t tile_x;
typedef __m256i tile_vec;

#include "engine/kernels/x86/gather_u8_256.h"

static inline uint8_t tile_of(int8_t zero)
{
	return (uint8_t)(zero + 128);
}

#define IMAGE_OWN_BLOCKS
#define IMAGE_ADD ne_add_s8_avx2
#include "engine/kernels/conv_image.h"

#define MOST_PIXELS 12u /* of a tile */
#define TILE_LIST   TILES_12(1)

/*
 * Elements from a tile's first pixel to the others: 1, 3, 5, 7, 9 and 11 times a pixel, which
 * addresses double up to eightfold. So many registers suffice for twelve pixels of two quads.
 */
struct distance {
	size_t odd[6];
};

static inline struct distance distance_of(size_t pixel)
{
	struct distance d;

	for (int i = 0; i < 6; i++) {
		d.odd[i] = (size_t)(2 * i + 1) * pixel;
		__asm__("" : "+r"(d.odd[i])); /* else more of them are worked out */
	}
	return d;
}

/* Products of pixel @i, the tile's first of which is at @x, and of a quad's weights. */
static inline __attribute__((always_inline)) __m256i
products(const uint8_t *x, const struct distance *d, const int i, __m256i w)
{
	const int twos = !i ? 0 : i % 8 == 0 ? 3 : i % 4 == 0 ? 2 : i % 2 == 0 ? 1 : 0;
	const uint8_t *at = i ? x + (d->odd[(i >> twos) / 2] << twos) : x;

	return _mm256_maddubs_epi16(_mm256_set1_epi32(load_4(at)), w);
}

static inline __m256i weights_at(const int8_t *w)
{
	return _mm256_load_si256((const __m256i *)(const void *)w);
}

/* One tile: mr pixels from p of a row, whose first window starts at @x. */
TILE_INLINE void quads_any(const struct ne_conv_quads_s8 *a, const uint8_t *x, uint32_t p,
			   uint32_t block, const int mr)
{
	const struct distance d = distance_of((size_t)a->im.sw * a->im.pixel);
	const uint32_t *quad = a->quad + 2 * (size_t)block;
	const int32_t *offset = a->offset + quad[0], *single = a->offset + quad[1];
	const int32_t *end = a->offset + quad[2];
	const int8_t *w = a->w + (size_t)quad[0] * NE_QUAD_BYTES;
	const __m256i one = _mm256_set1_epi16(1);
	__m256i acc[MOST_PIXELS];

	TILE_UNROLL
	for (int i = 0; i < mr; i++)
		acc[i] = _mm256_load_si256((const __m256i *)(const void *)(a->bias + block * 8));
	for (; offset < single; offset += 2, w += 2 * NE_QUAD_BYTES) {
		const uint8_t *x0 = x + offset[0], *x1 = x + offset[1];
		const __m256i w0 = weights_at(w), w1 = weights_at(w + NE_QUAD_BYTES);

		TILE_UNROLL
		for (int i = 0; i < mr; i++) {
			const __m256i sum =
				_mm256_add_epi16(products(x0, &d, i, w0), products(x1, &d, i, w1));

			acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(sum, one));
		}
	}
	for (; offset < end; offset++, w += NE_QUAD_BYTES) {
		const uint8_t *x0 = x + *offset;
		const __m256i w0 = weights_at(w);

		TILE_UNROLL
		for (int i = 0; i < mr; i++)
			acc[i] = _mm256_add_epi32(acc[i],
						  _mm256_madd_epi16(products(x0, &d, i, w0), one));
	}
	tile_store(a, acc, mr, 1, p, block * 8);
}

typedef void quads_fn(const struct ne_conv_quads_s8 *a, const uint8_t *x, uint32_t p,
		      uint32_t block);

#define TILE(mr, nb)                                                                            \
	TILE_NO_SPILL TILE_PLAIN static void quads_##mr(                                        \
		const struct ne_conv_quads_s8 *a, const uint8_t *x, uint32_t p, uint32_t block) \
	{                                                                                       \
		quads_any(a, x, p, block, mr);                                                  \
	}
TILE_LIST
#undef TILE
#define TILE(mr, nb) [(mr)-1] = quads_##mr,
static quads_fn *const quads_table[MOST_PIXELS] = {TILE_LIST};
#undef TILE

/* @n pixels from p, dealt out evenly. */
static void quads_pixels(const struct ne_conv_quads_s8 *a, const uint8_t *x, uint32_t p, uint32_t n,
			 uint32_t block)
{
	const size_t pixel = (size_t)a->im.sw * a->im.pixel;

	for (uint32_t tiles = (n + MOST_PIXELS - 1) / MOST_PIXELS; tiles; tiles--) {
		const uint32_t mr = (n + tiles - 1) / tiles;

		quads_table[mr - 1](a, x, p, block);
		x += mr * pixel;
		p += mr;
		n -= mr;
	}
}

static void image_blocks(const tile_args *a, const tile_x *x, uint32_t p, uint32_t rows, uint32_t n)
{
	const size_t row = (size_t)a->im.sh * (size_t)a->im.columns * a->im.pixel;

	for (uint32_t block = 0; block * 8 < a->oc; block++)
		for (uint32_t r = 0; r < rows; r++)
			quads_pixels(a, x + r * row, p + r * n, n, block);
}

void ne_conv_quads_s8_avx2(const struct ne_conv_quads_s8 *a)
{
	image_conv(a);
}
