/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share: the kernels of every instruction set by name, and the
 * requantisation that all of them must agree on. Private to engine/kernels.
 *
 * A kernel of set S is a function ne_<operator>_S in a file ..._S.c, whose suffix gives it the
 * compiler's flags. Nothing but such kernels may live in those files: what runs before the CPU is
 * known (detection, tables, packing) is compiled for the baseline. Shared helpers are static
 * inline, so that no copy compiled for a better set can be merged by the linker into the baseline.
 */
#ifndef NE_KERNELS_H
#define NE_KERNELS_H

#include <string.h>

#include "engine/kernels/table.h"

#define NE_DECLARE_KERNELS(set)                                                                    \
	void ne_conv_s8_##set(const struct ne_conv_s8 *a);                                         \
	void ne_conv_image_s8_##set(const struct ne_conv_image_s8 *a);                             \
	void ne_conv_quads_s8_##set(const struct ne_conv_quads_s8 *a);                             \
	void ne_conv_winograd_s8_##set(const struct ne_conv_winograd_s8 *a);                       \
	void ne_conv_f32_##set(const struct ne_conv_f32 *a);                                       \
	void ne_dw_s8_##set(const struct ne_dw_s8 *a);                                             \
	void ne_dw_image_s8_##set(const struct ne_dw_image_s8 *a);                                 \
	void ne_dw_square_s8_##set(const struct ne_dw_square_s8 *a);                               \
	void ne_dw_f32_##set(const struct ne_dw_f32 *a);                                           \
	void ne_maxpool_s8_##set(const struct ne_pool_s8 *a);                                      \
	void ne_maxpool_f32_##set(const struct ne_pool_f32 *a);                                    \
	void ne_avgpool_s8_##set(const struct ne_pool_s8 *a);                                      \
	void ne_avgpool_f32_##set(const struct ne_pool_f32 *a);                                    \
	void ne_add_s8_##set(const struct ne_add_s8 *a);                                           \
	void ne_add_f32_##set(float *y, const float *a, const float *b, size_t n, float lo,        \
			      float hi);                                                           \
	void ne_mul_f32_##set(float *y, const float *a, const float *b, size_t n, float lo,        \
			      float hi);                                                           \
	void ne_clamp_f32_##set(float *y, const float *x, size_t n, float lo, float hi);           \
	void ne_hardswish_f32_##set(float *y, const float *x, size_t n);                           \
	void ne_lut_s8_##set(int8_t *y, const int8_t *x, size_t n, const int8_t table[256]);       \
	void ne_interleave_8_##set(int8_t *y, const int8_t *x, uint32_t planes, size_t plane,      \
				   size_t n);                                                      \
	void ne_rans32_##set(struct ne_rans32 *a);                                                 \
	void ne_sums_s8_##set(struct ne_sums *s, const int8_t *x, size_t n);                       \
	void ne_quantise_s8_##set(int8_t *y, const float *x, size_t n, float inv_scale,            \
				  int32_t zp, int32_t lo, int32_t hi);                             \
	void ne_dequantise_s8_##set(float *y, const int8_t *x, size_t n, float scale, int32_t zp); \
	void ne_mel_f32_##set(const struct ne_mel_f32 *a);                                         \
	void ne_dense_s8_##set(const struct ne_conv_s8 *a, const int8_t *x, int8_t *y,             \
			       uint32_t first, uint32_t n);                                        \
	void ne_conv_lines_f32_##set(const struct ne_conv_lines_f32 *a);                           \
	void ne_dw_lines_f32_##set(const struct ne_dw_lines_f32 *a)

/* Declared for all; a set defines those that it has a better version of. */
NE_DECLARE_KERNELS(c);
NE_DECLARE_KERNELS(sse41);
NE_DECLARE_KERNELS(avx2);
NE_DECLARE_KERNELS(avxvnni);
NE_DECLARE_KERNELS(avx512vnni);
NE_DECLARE_KERNELS(avx512vbmi);
NE_DECLARE_KERNELS(amx);
NE_DECLARE_KERNELS(neon);
NE_DECLARE_KERNELS(dotprod);

/* Overwrite entries of @k by what the flags allow; compiled for the baseline. Each architecture
 * has its own; ne_kernels_init() calls the one that is there. */
void ne_kernels_init_x86(struct ne_kernels *k, unsigned flags);
void ne_kernels_init_arm(struct ne_kernels *k, unsigned flags);

/*
 * Rounds @r, |r| <= 2^22, to nearest even. 1.5 * 2^23 pushes the fraction out of the significand,
 * and the sum's low bits are the integer. Vectorises without SSE4.1, unlike rintf().
 */
static inline int32_t ne_round_even(float r)
{
	int32_t bits;

	r += 0x1.8p23f;
	memcpy(&bits, &r, sizeof(bits));
	return bits - 0x4b400000;
}

/*
 * The one requantisation. Clamping before rounding gives the same as after it, for the bounds are
 * integers, and it keeps every product, however large, in range of the conversion. zp, lo and hi
 * are s8 values.
 */
static inline int8_t ne_requantise(float r, int32_t zp, int32_t lo, int32_t hi)
{
	const float flo = (float)(lo - zp), fhi = (float)(hi - zp);

	r = r > flo ? r : flo; /* NaN, which only quantise can meet, gives lo */
	r = r < fhi ? r : fhi;
	return (int8_t)(ne_round_even(r) + zp);
}

/*
 * x * y + z rounded once. Where the CPU has no such instruction: the product is exact in double;
 * the sum's rounding error, if any, makes its last bit odd, so that rounding to f32 sees on which
 * side of a tie the exact sum lies (S. Boldo, G. Melquiond, Emulation of a FMA and correctly
 * rounded sums: proved algorithms using rounding to odd, IEEE Trans. Computers 57(4), 2008).
 */
static inline float ne_fma(float x, float y, float z)
{
#ifdef __FP_FAST_FMAF
	return __builtin_fmaf(x, y, z);
#else
	const double p = (double)x * (double)y, q = (double)z, s = p + q, t = s - p;
	const double err = (p - (s - t)) + (q - t);
	uint64_t bits;
	double odd;

	memcpy(&bits, &s, sizeof(bits));
	if (err != 0 && !(bits & 1))
		bits += (err > 0) == (s > 0) ? 1u : UINT64_MAX;
	memcpy(&odd, &bits, sizeof(odd));
	return (float)odd;
#endif
}

/* The first channel of a tap's input pixel; padding reads @pad. */
static inline const int8_t *ne_tap_s8(const int8_t *x, int32_t ind, const int8_t *pad)
{
	return ind < 0 ? pad : x + ind;
}

static inline const float *ne_tap_f32(const float *x, int32_t ind, const float *pad)
{
	return ind < 0 ? pad : x + ind;
}

/* A convolution's sum @s by @add, over @n outputs from the @at'th of @y, which are written already. */
static inline void ne_sum_s8(const struct ne_add_s8 *s, int8_t *y, size_t at, size_t n,
			     void (*add)(const struct ne_add_s8 *))
{
	struct ne_add_s8 v = *s;

	v.y = y + at;
	v.n = n;
	v.a = v.a ? v.a + at : v.y;
	v.b = v.b ? v.b + at : v.y;
	add(&v);
}

/* What negative values are multiplied by: 1 where nothing is to happen to them. */
static inline float ne_slope_f32(const struct ne_conv_f32 *a)
{
	return a->slope > 0 ? a->slope : 1.0f;
}

#endif
