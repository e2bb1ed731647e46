/* SPDX-License-Identifier: MIT */
/*
 * The kernels: one table of function pointers, filled with C first and then overwritten by each
 * better instruction set that the CPU has and the caller allows. Callers never test CPU flags.
 *
 * Rules for every kernel
 * - No byte is read or written outside of what the arguments describe (no over-reads).
 * - Integer kernels give the same bits as the C version. The requantisation is, in this order:
 *   (float)acc * mult (one IEEE rounding), round to nearest even, add zp, clamp to [lo, hi].
 *   zp, lo and hi are s8 values, lo <= hi. Sums wrap modulo 2^32. A product of any size is clamped
 *   as the real number that it is.
 * - f32 kernels may reorder sums and use FMA; bound in tests/kernels.
 * - Pointers have any alignment; packed weights, bias and mult are 64-byte aligned.
 *
 * Windows are given as indirection: ind[pixel * taps + tap] is the element offset, from x, of the
 * first channel of that tap's input pixel, or -1 for padding, which reads the row `pad` instead.
 */
#ifndef NE_KERNELS_TABLE_H
#define NE_KERNELS_TABLE_H

#include "engine/base.h"

/* y[p][o] = requant(bias[o] + sum over taps, i < ic of (x + shift) * w), o < oc.
 * Weights packed by the layout (nr, kr) of the table: blocks of nr output channels; in a block a
 * tap takes w_tap_stride bytes: groups of kr input channels, each nr * kr bytes, output channel
 * outermost. ic and oc may be smaller than what was packed: a prefix of both. Where ic is not a
 * multiple of kr the rest of the last group counts as zero input (the weights there may be set).
 * bias and mult hold oc rounded up to nr. */
struct ne_conv_s8 {
	const int8_t *x;
	const int32_t *ind;
	const int8_t *pad; /* ic elements */
	uint32_t n_pix, taps, ic, oc;
	const int8_t *w;
	bool w_above_min;                    /* no weight is -128: two products fit in s16 */
	size_t w_tap_stride, w_block_stride; /* bytes */
	const int32_t *bias; /* zero points of the input and the table's shift already in it */
	const float *mult;
	int32_t zp, lo, hi;
	int8_t *y;
	size_t y_stride; /* elements from pixel to pixel */
};

/*
 * Windows over whole rows of an image, without indirection. The kernel first writes the input rows
 * of a chunk of output rows to scratch, padding around and in the form that its dot product takes
 * (shifted by the table's shift, s16, ...); then a tap is at a constant distance from the window's
 * first. Elements of scratch are conv_image_elem bytes.
 *
 * Where a window is one pixel and outputs are as many as inputs (ne_image_flat()) the image may be
 * any rows of pixels, and rows mean pixels in chunk, and in first and n of the kernels' arguments.
 */
struct ne_image_rows {
	int32_t h, w;      /* of the input, [h][w][c], dense */
	int32_t oh, ow;    /* of the output */
	int32_t sh, sw;    /* strides */
	int32_t top, left; /* padding */
	int32_t rows;      /* input rows of one output row: (kh - 1) * dh + 1 */
	int32_t columns;   /* of a row in scratch: (ow - 1) * sw + (kw - 1) * dw + 1 */
	uint32_t pixel;    /* elements of a pixel in scratch: >= c, the rest zero */
	uint32_t chunk;    /* output rows of a chunk */
	int8_t zero;       /* padding reads this */
};

static inline bool ne_image_flat(const struct ne_image_rows *im)
{
	return im->oh == 1 && im->rows == 1 && im->columns == im->ow && im->columns == im->w;
}

/* Both operands, and the result before the clamp, as unsigned bytes (128 more): y =
 * clamp(rne(fma(a + 128, fa, fma(b + 128, fb, fc))) - 128, lo, hi). This order, each fma rounded
 * once, is ONNX Runtime's, so that sums of quantised models agree with it to the byte. y may be a
 * or b. */
struct ne_add_s8 {
	const int8_t *a, *b;
	int8_t *y;
	size_t n;
	float fa, fb, fc; /* fc: the zero points of all three */
	int32_t lo, hi;
};

/* As conv_s8, with the same packing: "taps" are runs of contiguous elements of scratch, each
 * run_steps groups of kr long: a whole row of the window where its pixels have no gaps, else a
 * tap. run_offset[n_run]: elements from the window's first. */
struct ne_conv_image_s8 {
	const int8_t *x;
	void *scratch; /* ne_image_scratch() bytes, 64-byte aligned */
	struct ne_image_rows im;
	uint32_t first, n; /* output rows to work out */
	uint32_t ic, oc;
	const int32_t *run_offset;
	uint32_t n_run, run_steps;
	const int8_t *w;
	bool w_above_min;                    /* as in ne_conv_s8 */
	size_t w_run_stride, w_block_stride; /* bytes */
	const int32_t *bias;                 /* as in ne_conv_s8 */
	const float *mult;
	bool wide; /* some |product|, or sum that follows, may be 2^31 or more, or no number */
	int32_t zp, lo, hi;
	uint32_t
		way; /* of cutting the work into tiles, below conv_image_ways; the bytes are equal */
	int8_t *y;   /* of row 0 */
	size_t y_stride;
	/* A sum that follows where a or b is set (ne_adds_s8()): the one that is NULL is the
	 * convolution's result, the other is of row 0, dense as y is then (y_stride = oc), and apart
	 * from it. y and n are not looked at. */
	struct ne_add_s8 add;
};

static inline bool ne_adds_s8(const struct ne_add_s8 *v)
{
	return v->a || v->b;
}

/*
 * As conv_image_s8 where the dot product of u8 by s8 adds pairs in 16 bits that saturate: weights are
 * packed by ne_pack_quads() so that none does. A quad is four inputs next to each other, at a
 * distance of its own from the window's first, and their weights for 8 output channels, zeros where
 * another quad has them. The first quads of a block come in twos, whose sums in 16 bits may be added
 * before they are widened. Inputs are taken as u8, 128 more; pixel = ic.
 */
#define NE_QUAD_BYTES 32u /* 8 output channels of 4 inputs */
struct ne_conv_quads_s8 {
	const int8_t *x;
	void *scratch;           /* ne_image_scratch() bytes, 64-byte aligned */
	struct ne_image_rows im; /* elements of scratch are bytes */
	uint32_t first, n;       /* output rows to work out */
	uint32_t ic, oc;
	const uint32_t *quad;  /* [blocks of 8 output channels + 1]: the first quad of each */
	const int32_t *offset; /* of a quad, elements */
	const int8_t *w;       /* of a quad, NE_QUAD_BYTES */
	const int32_t *bias;   /* as in ne_conv_image_s8; both hold oc rounded up to 8 */
	const float *mult;
	bool wide;
	int32_t zp, lo, hi;
	int8_t *y; /* of row 0 */
	size_t y_stride;
	struct ne_add_s8 add; /* as in ne_conv_image_s8 */
};

/*
 * Windows of 3x3, no dilation, 1 apart, by Winograd's F(2x2, 3x3): tiles of 2x2 outputs. All is
 * whole numbers: transformed inputs are at most 512, weights 9 * 128, sums four times as large as
 * plain ones, which NE_WINOGRAD_INPUTS keeps within s32.
 */
#define NE_WINOGRAD_INPUTS 512u
struct ne_conv_winograd_s8 {
	const int8_t *x;
	void *scratch;           /* ne_winograd_scratch() bytes, 64-byte aligned */
	struct ne_image_rows im; /* pixel = ic, a multiple of 16; chunk in rows of tiles */
	uint32_t first, n;       /* rows of tiles */
	uint32_t ic, oc;
	const int16_t *w;    /* ne_pack_winograd(); a prefix of what was packed, as in ne_conv_s8 */
	size_t w_point;      /* elements from point to point: 16 for each input packed */
	const int32_t *bias; /* zero point of the input already in it; oc rounded up to 8 */
	const float *mult;
	bool wide;            /* as in ne_conv_image_s8 */
	struct ne_add_s8 add; /* as in ne_conv_image_s8 */
	int32_t zp, lo, hi;
	int8_t *y; /* of row 0 */
	size_t y_stride;
};

static inline uint32_t ne_winograd_tiles(const struct ne_image_rows *im) /* of a row */
{
	return ((uint32_t)im->ow + 1) / 2;
}

/*
 * As dw_s8, over whole rows of an image. A vector holds `lanes` channels, or, where these are at
 * most half as many, those of several pixels side by side. dw_image_taps taps of a channel count at
 * once: a group. Where rows are next to each other (sh and dilation 1) two output rows are worked
 * out together (pair): a window is then one row taller and each group has weights for both.
 * bias, mult and weights are packed by ne_pack_dw_image().
 */
struct ne_dw_image_s8 {
	const int8_t *x;
	void *scratch;           /* ne_image_scratch() bytes, 64-byte aligned */
	struct ne_image_rows im; /* pixel = c; chunk even where pair */
	/* Columns of scratch lie as planes: those of remainder 0 divided by planes, then 1, ... */
	uint32_t planes; /* 1, or sw; columns is a multiple of it */
	uint32_t first, n, c;
	uint32_t pixels; /* of a vector */
	bool pair;
	uint32_t n_group;
	const int32_t *offset; /* [n_group][dw_image_taps], elements from a window's first */
	const void *w;
	const int32_t *bias; /* zero points of the input and the table's shift already in it */
	const float *mult;
	bool wide; /* some |product| may be 2^31 or more */
	int32_t zp, lo, hi;
	int8_t *y; /* of row 0, dense */
};

/*
 * Depthwise windows of 3x3 without dilation, 1 or 2 rows apart. Scratch holds rows in pairs, their
 * elements in turn as s16, so that one product adds two taps of a column; where windows are a row
 * apart two output rows are worked out from the same two pairs.
 */
struct ne_dw_square_s8 {
	const int8_t *x;
	void *scratch;           /* ne_dw_square_scratch() bytes, 64-byte aligned */
	struct ne_image_rows im; /* pixel: c or, so many at a time, a multiple of 8;
				  * chunk even where sh is 1 */
	uint32_t first, n, c;
	const int16_t *w;    /* ne_pack_dw_square() */
	const int32_t *bias; /* zero point of the input already in it; c rounded up to 8 */
	const float *mult;
	bool wide; /* some |product| may be 2^31 or more */
	int32_t zp, lo, hi;
	int8_t *y; /* of row 0, dense */
};

/* v = scale[o] * sum + bias[o]; where slope is not 0 (0 to 1) v = max(v, slope * v); y[p][o] =
 * clamp(v, lo, hi). Packed [oc/nr][tap][ic][nr]. */
struct ne_conv_f32 {
	const float *x;
	const int32_t *ind;
	const float *pad;
	uint32_t n_pix, taps, ic, oc;
	const float *w;
	size_t w_tap_stride, w_block_stride; /* elements */
	const float *scale, *bias;           /* oc rounded up to nr */
	float slope, lo, hi;
	float *y;
	size_t y_stride;
};

/*
 * Windows over an image [h][w][c] without indirection, padded with zeros. Where a window is one
 * pixel, strides are 1 and nothing is padded, the image may be any rows of pixels as one row.
 */
#define NE_LINES_TAPS 64 /* kh * kw at most */
struct ne_lines_f32 {
	int32_t h, w, oh, ow;
	int32_t kh, kw, sh, sw, dh, dw, top, left;
};

/* As conv_f32, packed alike, taps = kh * kw, for output rows first..first + n - 1. */
struct ne_conv_lines_f32 {
	const float *x; /* of input row 0 */
	struct ne_lines_f32 im;
	uint32_t first, n, ic, oc;
	const float *w;
	size_t w_tap_stride, w_block_stride;
	const float *scale, *bias; /* scale: NULL where all are 1 */
	float slope, lo, hi;       /* as in conv_f32 */
	float *y;                  /* of output row 0 */
	size_t y_stride;
};

/* Depthwise: weights [tap][w_tap_stride], any prefix of channels; bias, mult: c elements. No shift. */
struct ne_dw_s8 {
	const int8_t *x;
	const int32_t *ind;
	const int8_t *pad;
	uint32_t n_pix, taps, c;
	const int8_t *w;
	size_t w_tap_stride;
	const int32_t *bias;
	const float *mult;
	int32_t zp, lo, hi;
	int8_t *y;
	size_t y_stride;
};

struct ne_dw_f32 {
	const float *x;
	const int32_t *ind;
	const float *pad;
	uint32_t n_pix, taps, c;
	const float *w;
	size_t w_tap_stride;
	const float *scale, *bias;
	float lo, hi;
	float *y;
	size_t y_stride;
};

/* As dw_f32, for output rows first..first + n - 1. */
struct ne_dw_lines_f32 {
	const float *x; /* of input row 0 */
	struct ne_lines_f32 im;
	uint32_t first, n, c;
	const float *w;
	size_t w_tap_stride;
	const float *scale, *bias; /* scale: NULL where all are 1 */
	float lo, hi;
	float *y; /* of output row 0 */
	size_t y_stride;
};

/* Pools skip taps of padding (ind < 0) altogether; a pixel has at least one tap.
 * max: y = clamp(max, lo, hi). avg s8: y = clamp(rne(sum of (x - zx) * mult[pixel] + offset) + zp,
 * lo, hi), the product and the sum each rounded to f32.
 * avg f32: y = clamp(sum * mult[pixel], lo, hi). */
struct ne_pool_s8 {
	const int8_t *x;
	const int32_t *ind;
	uint32_t n_pix, taps, c;
	int32_t zx;
	const float *mult; /* avg only, [n_pix] */
	float offset;      /* avg only */
	int32_t zp, lo, hi;
	int8_t *y;
	size_t y_stride;
};

struct ne_pool_f32 {
	const float *x;
	const int32_t *ind;
	uint32_t n_pix, taps, c;
	const float *mult;
	float lo, hi;
	float *y;
	size_t y_stride;
};

/*
 * y[bin][frame] = sum over the triangle's k of weight * |X[frame][k]|^2, where X is the FFT of n
 * points of a windowed frame with zeros behind it. Frame l starts l * hop samples on from x; s16
 * samples count as fractions of 32768. Lanes past `frames` are zeros. The same bits on every set:
 * each sum and product rounded by itself.
 */
#define NE_MEL_LANES 8

struct ne_mel_triangle {
	uint32_t first, n; /* bins k of the spectrum, 0..n/2 */
	uint32_t at;       /* in the weights */
};

struct ne_mel_f32 {
	const void *x; /* s16 or f32 */
	bool s16;
	uint32_t frames;        /* 1..NE_MEL_LANES */
	uint32_t hop, frame, n; /* n: a power of two, 4..8192, >= frame */
	const float *window;    /* [frame] */
	/* Pairs cos(2 pi k / m), -sin(2 pi k / m): m = n/2, k < n/4, and m = n, k <= n/4. */
	const float *twiddle, *untangle;
	uint32_t bins;
	const struct ne_mel_triangle *triangle; /* [bins] */
	const float *weight;
	float *work; /* [(n/2 + 1) * 2 * NE_MEL_LANES] */
	float *y;    /* [bins][NE_MEL_LANES] */
};

/*
 * Rounds of interleaved rANS (docs/container.md, section 8): value i of a round from state i. A state
 * below NE_RANS32_LOW takes the next word, states in their order. Any state and any words do: what is
 * wrong comes out as wrong values.
 */
#define NE_RANS32     32u /* states */
#define NE_RANS32_LOW (1u << 16)
struct ne_rans32 {
	/* [1 << bits] of the symbol in bits 0 to 7, its frequency less 1 in 8 to 19, and the slot's
	 * place among the symbol's in 20 to 31 */
	const uint32_t *slot;
	uint32_t bits; /* 12 or 13 */
	uint32_t state[NE_RANS32];
	const uint8_t *word; /* 2 bytes each, the lower first */
	size_t words;        /* that are left */
	int8_t *y;
	size_t n; /* values that are left */
};

/* Of weights, added up. */
struct ne_sums {
	int64_t sum, magnitude; /* magnitude: of the values without their signs */
	int32_t least;
};

struct ne_kernels {
	const char *cpu;                 /* "c", "sse41", ... the best set in it */
	uint32_t conv_s8_nr, conv_s8_kr; /* nr <= 32, kr a power of two up to 16 */
	int32_t conv_s8_shift;           /* 0, or 128 where x is taken as u8 */
	uint32_t conv_f32_nr;            /* <= 32 */

	void (*conv_s8)(const struct ne_conv_s8 *a);
	void (*conv_f32)(const struct ne_conv_f32 *a);
	void (*dw_s8)(const struct ne_dw_s8 *a);
	void (*dw_f32)(const struct ne_dw_f32 *a);
	void (*maxpool_s8)(const struct ne_pool_s8 *a);
	void (*maxpool_f32)(const struct ne_pool_f32 *a);
	void (*avgpool_s8)(const struct ne_pool_s8 *a);
	void (*avgpool_f32)(const struct ne_pool_f32 *a);
	void (*add_s8)(const struct ne_add_s8 *a);
	void (*add_f32)(float *y, const float *a, const float *b, size_t n, float lo, float hi);
	void (*mul_f32)(float *y, const float *a, const float *b, size_t n, float lo, float hi);
	void (*clamp_f32)(float *y, const float *x, size_t n, float lo, float hi);
	void (*hardswish_f32)(float *y, const float *x, size_t n); /* x * clamp(x/6 + 0.5, 0, 1) */
	/* y[i] = table[(uint8_t)x[i]]: every unary s8 operator, and u8 or s8 rescaling. */
	void (*lut_s8)(int8_t *y, const int8_t *x, size_t n, const int8_t table[256]);
	/* y = clamp(rne(x * inv_scale) + zp, lo, hi); NaN gives lo. */
	void (*quantise_s8)(int8_t *y, const float *x, size_t n, float inv_scale, int32_t zp,
			    int32_t lo, int32_t hi);
	/* y = (x - zp) * scale */
	void (*dequantise_s8)(float *y, const int8_t *x, size_t n, float scale, int32_t zp);
	void (*mel_f32)(const struct ne_mel_f32 *a);

	/* y[i * planes + p] = x[p * plane + i], i < n: planes become channels. */
	void (*interleave_8)(int8_t *y, const int8_t *x, uint32_t planes, size_t plane, size_t n);

	/* Adds n values at x to what s holds already; n may be 0. */
	void (*sums_s8)(struct ne_sums *s, const int8_t *x, size_t n);
	/* Works off rounds, and moves a on, while 32 values and 32 words are left. */
	void (*rans32)(struct ne_rans32 *a);

	/* ---- from here on NULL where a set has none ---- */

	/* Takes what conv_s8 takes, packed alike. */
	void (*conv_image_s8)(const struct ne_conv_image_s8 *a);
	uint32_t conv_image_elem; /* bytes of an element of scratch */
	uint32_t conv_image_ways; /* 0 or 1: there is but one, 0 */
	void (*conv_quads_s8)(const struct ne_conv_quads_s8 *a);
	void (*conv_winograd_s8)(const struct ne_conv_winograd_s8 *a);
	void (*dw_image_s8)(const struct ne_dw_image_s8 *a);
	uint32_t dw_image_lanes, dw_image_taps, dw_image_elem; /* taps: 1, 2 or 4 */
	int32_t dw_image_shift;

	void (*dw_square_s8)(const struct ne_dw_square_s8 *a);

	void (*conv_lines_f32)(const struct ne_conv_lines_f32 *a);
	void (*dw_lines_f32)(const struct ne_dw_lines_f32 *a);
	/* conv_s8 of one pixel and one tap at @x to @y (of channel 0), for the blocks of nr output
	 * channels from @first, @n of them; what @a says of pixels is of no meaning. */
	void (*dense_s8)(const struct ne_conv_s8 *a, const int8_t *x, int8_t *y, uint32_t first,
			 uint32_t n);
};

enum ne_cpu_flags {
	NE_CPU_SSE41 = 1 << 0,
	NE_CPU_AVX2 = 1 << 1, /* and FMA */
	NE_CPU_AVXVNNI = 1 << 2,
	NE_CPU_AVX512VNNI = 1 << 3, /* F, BW, DQ, VL, VNNI */
	NE_CPU_AVX512VBMI = 1 << 4, /* part of "avx512vnni" where the CPU has it */
	NE_CPU_AMX = 1 << 5,        /* tiles of s8; the kernel lets this process use them */
	NE_CPU_NEON = 1 << 8,
	NE_CPU_DOTPROD = 1 << 9,
};

/* What this CPU and its operating system (xgetbv, hwcaps) have. */
unsigned ne_cpu_detect(void);
/* Flags of @name and of all below it on its architecture; "c" = 0; -EINVAL for an unknown name. */
int ne_cpu_parse(const char *name);
/* Detected flags lowered by @name, or by NEAP_CPU where @name is NULL; unknown names are ignored
 * there with no effect (the tools check them). */
unsigned ne_cpu_select(const char *name);

/* Fills @k for exactly these flags. */
void ne_kernels_init(struct ne_kernels *k, unsigned flags);

/* Bytes (s8) or elements (f32) that the packed weights take; and packing from [oc][taps][ic]. */
size_t ne_pack_conv_s8_bytes(const struct ne_kernels *k, uint32_t oc, uint32_t taps, uint32_t ic);
void ne_pack_conv_s8(const struct ne_kernels *k, int8_t *dst, const int8_t *w, uint32_t oc,
		     uint32_t taps, uint32_t ic, size_t *ret_tap_stride, size_t *ret_block_stride);
/* Packing for conv_winograd_s8, from [oc][9][ic]: blocks of 16 output channels; in a block 16 points,
 * row by row, in a point pairs of inputs for each output channel; zeros behind the last. */
size_t ne_pack_winograd_bytes(uint32_t oc, uint32_t ic);
void ne_pack_winograd(int16_t *dst, const int8_t *w, uint32_t oc, uint32_t ic);
size_t ne_winograd_scratch(const struct ne_image_rows *im);
/* Packing for conv_quads_s8: windows of @runs runs of @n inputs next to each other, which start at
 * run_offset in scratch. @w: [oc][runs][n]. The count is of all quads; that of twos among them is
 * estimated from some blocks. */
struct ne_quads_shape {
	uint32_t oc, runs, n;
	const int32_t *run_offset;
};
uint32_t ne_count_quads(const struct ne_quads_shape *s, const int8_t *w, uint32_t *ret_twos);
void ne_pack_quads(const struct ne_quads_shape *s, const int8_t *w, uint32_t *first,
		   int32_t *offset, int8_t *dst);
size_t ne_pack_conv_f32_elements(const struct ne_kernels *k, uint32_t oc, uint32_t taps,
				 uint32_t ic);
void ne_pack_conv_f32(const struct ne_kernels *k, float *dst, const float *w, uint32_t oc,
		      uint32_t taps, uint32_t ic, size_t *ret_tap_stride, size_t *ret_block_stride);

/*
 * Packing for dw_image_s8. A group's weights: for each row of the pair, dw_image_taps vectors of
 * lanes * elements, in the order that interleaving brings: with q taps, vector k holds channels
 * 4 (q l + k) to 4 (q l + k) + 3, all q taps of each, l counting up.
 */
#define NE_DW_MAX_GROUPS 64u /* windows of more go to dw_s8 */
struct ne_dw_shape {
	uint32_t kh, kw, c;
	bool pair;
};
uint32_t ne_dw_image_groups(const struct ne_kernels *k, const struct ne_dw_shape *s);
/* Pixels of a vector, and vectors of a pixel, at @c channels. */
uint32_t ne_dw_image_pixels(const struct ne_kernels *k, uint32_t c);
uint32_t ne_dw_image_blocks(const struct ne_kernels *k, uint32_t c);
size_t ne_pack_dw_image_bytes(const struct ne_kernels *k, const struct ne_dw_shape *s);
/* @w: [kh * kw][w_stride]; @dst: ne_pack_dw_image_bytes(), all written. */
void ne_pack_dw_image(const struct ne_kernels *k, void *dst, const int8_t *w, size_t w_stride,
		      const struct ne_dw_shape *s);
/* [c] values of 32 bits to [blocks][lanes] in the order of the sums. */
void ne_pack_dw_channels(const struct ne_kernels *k, void *dst, const void *values, uint32_t c);
/* The tap of each place of a group: [n_group][taps] as row * kw + column, row up to kh where pair;
 * -1 where there is none. */
void ne_dw_image_taps(const struct ne_kernels *k, int32_t *tap, const struct ne_dw_shape *s);

/* Packing for dw_square_s8, from [9][w_stride]. A block of 8 channels takes for each column, pair of
 * rows and (sh 1) output row 8 pairs of weights; what has no weight is zero. */
size_t ne_pack_dw_square_bytes(uint32_t c, int32_t sh);
void ne_pack_dw_square(int16_t *dst, const int8_t *w, size_t w_stride, uint32_t c, int32_t sh);
size_t ne_dw_square_scratch(const struct ne_image_rows *im);

/* Bytes of scratch that a chunk of rows, or of pixels (flat), takes, with what kernels touch beyond. */
size_t ne_image_scratch(const struct ne_image_rows *im, bool flat, size_t elem);

#endif
