/* SPDX-License-Identifier: MIT */
/*
 * Tiles of s8 convolutions, AVX-512 VNNI: 16 output channels a block, 4 input channels a step.
 * vpdpbusd takes u8 by s8: inputs are x + 128. Included before conv_tile.h or conv_image.h; the
 * includer defines tile_args, and TILE_IS_WIDE(a): whether a product may pass 2^31.
 */
#include "engine/kernels/x86/util.h"

typedef int8_t tile_in;
typedef int8_t tile_w;
typedef uint8_t tile_x;
typedef __m512i tile_vec;
#define TILE_LANES  16
#define TILE_VPB    1
#define TILE_NR     16u
#define TILE_KR     4u
#define TILE_MAX_NB 4u
#define TILE_MAX_MR 12
#define TILE_MR(nb) ((nb) == 4 ? 6u : (nb) == 3 ? 8u : 12u)
#define TILE_LIST   TILES_12(1) TILES_12(2) TILES_8(3) TILES_6(4)

/* Narrow vectors for few channels: a wide access would cross cache lines. */
static inline void tile_gather(uint8_t *d, const int8_t *s, uint32_t n)
{
	const __m512i sign = _mm512_set1_epi8(-128);
	__mmask64 mask;

	for (; n > 64; n -= 64, s += 64, d += 64)
		_mm512_storeu_si512(d, _mm512_xor_si512(_mm512_loadu_si512(s), sign));
	if (!n)
		return;
	mask = ~0ull >> (64 - n);
	if (n <= 16)
		_mm_storeu_si128((__m128i *)(void *)d,
				 _mm_maskz_add_epi8((__mmask16)mask,
						    _mm_maskz_loadu_epi8((__mmask16)mask, s),
						    _mm512_castsi512_si128(sign)));
	else if (n <= 32)
		_mm256_storeu_si256(
			(__m256i *)(void *)d,
			_mm256_maskz_add_epi8((__mmask32)mask,
					      _mm256_maskz_loadu_epi8((__mmask32)mask, s),
					      _mm512_castsi512_si256(sign)));
	else
		_mm512_storeu_si512(
			d, _mm512_maskz_add_epi8(mask, _mm512_maskz_loadu_epi8(mask, s), sign));
}

static inline __m512i tile_init(const tile_args *a, uint32_t o)
{
	return _mm512_load_si512(a->bias + o);
}

static inline __m512i tile_load_x(const uint8_t *x)
{
	return _mm512_set1_epi32(load_4(x));
}

static inline __m512i tile_load_w(const int8_t *w)
{
	return _mm512_load_si512(w);
}

static inline __m512i tile_dot(__m512i acc, __m512i x, __m512i w)
{
	return _mm512_dpbusd_epi32(acc, x, w);
}

static inline __m512i tile_add(__m512i a, __m512i b)
{
	return _mm512_add_epi32(a, b);
}

/* What requantising takes, in registers: bytes that are stored may alias the arguments. */
struct requant {
	__m512 top;
	__m512i zp, lo, hi;
};

static inline struct requant requant_of(const tile_args *a)
{
	return (struct requant){
		.top = _mm512_set1_ps((float)(a->hi - a->zp)),
		.zp = _mm512_set1_epi16((int16_t)a->zp),
		.lo = _mm512_set1_epi8((int8_t)a->lo),
		.hi = _mm512_set1_epi8((int8_t)a->hi),
	};
}

/*
 * Requantises four vectors to 64 bytes: 128-bit lane j holds output channels 4j to 4j + 3 of each
 * vector in turn. Saturating packs and adds clamp as the real number would be, but for products
 * past s32 (wide), which convert to INT32_MIN: right for negative ones, so only the upper side is
 * clamped in float.
 */
static inline __attribute__((always_inline)) __m512i
requantise(const __m512i v[4], const __m512 mult[4], const struct requant *to, const bool wide)
{
	__m512i q[4];

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		const __m512 r = _mm512_mul_ps(_mm512_cvtepi32_ps(v[i]), mult[i]);

		q[i] = _mm512_cvtps_epi32(wide ? _mm512_min_ps(r, to->top) : r);
	}
	q[0] = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), to->zp);
	q[2] = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), to->zp);
	return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(q[0], q[2]), to->lo), to->hi);
}

/* Rows of 16 channels that follow each other without a gap, n of them. */
static inline void store_dense(int8_t *y, __m512i v, int n)
{
	if (n >= 4)
		_mm512_storeu_si512(y, v);
	else
		_mm512_mask_storeu_epi8(y, (1ull << (16 * n)) - 1, v);
}

static inline void store_16(int8_t *y, __m128i v, __mmask16 mask)
{
	if (mask == 0xffff)
		_mm_storeu_si128((__m128i *)(void *)y, v);
	else
		_mm_mask_storeu_epi8(y, mask, v);
}

/* Vectors i to i + 3 of the tile, requantised into @v, to their places. */
static inline __attribute__((always_inline)) void
store_apart(int8_t *y, size_t stride, __m512i v, int i, const int mr, const int nb, __mmask16 tail)
{
#define STORE(k)                                                              \
	if (i + (k) < mr * nb)                                                \
	store_16(y + (size_t)((i + (k)) / nb) * stride + (i + (k)) % nb * 16, \
		 _mm512_extracti32x4_epi32(v, k), (i + (k)) % nb == nb - 1 ? tail : 0xffff)
	STORE(0);
	STORE(1);
	STORE(2);
	STORE(3);
#undef STORE
}

static inline __attribute__((always_inline)) void store_tile(const tile_args *a, const __m512i *acc,
							     const int mr, const int nb, uint32_t p,
							     uint32_t o, const bool wide)
{
	const __m512i by_vector =
		_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	const __m512i by_halves = /* of oc 8: the lower half of each vector */
		_mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	const uint32_t left = a->oc - o - (uint32_t)(nb - 1) * 16;
	const __mmask16 tail = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
	const bool alone = a->oc == a->y_stride && !o;
	const bool dense = alone && a->oc == (uint32_t)nb * 16;
	const bool half = nb == 1 && alone && a->oc == 8;
	const struct requant to = requant_of(a);
	const size_t y_stride = a->y_stride;
	int8_t *y = a->y + p * y_stride + o;
	__m512 mult[4];

#pragma GCC unroll 4
	for (int b = 0; b < nb; b++)
		mult[b] = _mm512_load_ps(a->mult + o + b * 16);
#pragma GCC unroll 8
	for (int i = 0; i < mr * nb; i += 4) {
		const int last = mr * nb - 1;
		const int j[4] = {i, NE_MIN(i + 1, last), NE_MIN(i + 2, last), NE_MIN(i + 3, last)};
		const __m512i v[4] = {acc[j[0]], acc[j[1]], acc[j[2]], acc[j[3]]};
		const __m512 m[4] = {mult[j[0] % nb], mult[j[1] % nb], mult[j[2] % nb],
				     mult[j[3] % nb]};
		const __m512i q = requantise(v, m, &to, wide);
		const int n = NE_MIN(4, mr * nb - i);

		if (half)
			_mm256_mask_storeu_epi8(
				y + i * 8, (__mmask32)((1ull << (8 * n)) - 1),
				_mm512_castsi512_si256(_mm512_permutexvar_epi32(by_halves, q)));
		else if (dense)
			store_dense(y + i * 16, _mm512_permutexvar_epi32(by_vector, q), n);
		else if (nb == 4 && tail == 0xffff)
			_mm512_storeu_si512(y + (size_t)(i / 4) * y_stride,
					    _mm512_permutexvar_epi32(by_vector, q));
		else
			store_apart(y, y_stride, _mm512_permutexvar_epi32(by_vector, q), i, mr, nb,
				    tail);
	}
}

static inline __attribute__((always_inline)) void tile_store(const tile_args *a, const __m512i *acc,
							     const int mr, const int nb, uint32_t p,
							     uint32_t o)
{
	if (TILE_IS_WIDE(a))
		store_tile(a, acc, mr, nb, p, o, true);
	else
		store_tile(a, acc, mr, nb, p, o, false);
}
