/* SPDX-License-Identifier: MIT */
/*
 * The sum behind a convolution (add of struct ne_conv_image_s8), AVX-512: the tile's sums are
 * requantised, stay in registers as unsigned bytes in f32, and are added up as add_s8 does. Included
 * by tile_s8_avx512.h where tile_args has such a sum.
 *
 * Not part of the tiles: their sums come through memory, so that there is one copy of this code.
 */

struct sum_s8 {
	__m512 bottom, top;         /* of a product, before it is rounded */
	__m512 back;                /* takes off what rounded; 128 + zero point remain */
	__m512 first, second, zero; /* fa, fb, fc */
	__m512 least, most;         /* of the sum, before it is rounded: where that is wide */
	__m512i lo, hi;             /* of the sum */
};

/* From memory to all lanes without a detour over other registers, for each tile comes here. */
static inline __m512 lanes_of(const int32_t *v)
{
	return _mm512_cvtepi32_ps(_mm512_set1_epi32(*v));
}

static inline struct sum_s8 sum_of(const tile_args *a)
{
	const __m512 zp = lanes_of(&a->zp), half = _mm512_set1_ps(128.0f);

	return (struct sum_s8){
		.bottom = _mm512_sub_ps(lanes_of(&a->lo), zp),
		.top = _mm512_sub_ps(lanes_of(&a->hi), zp),
		.back = _mm512_sub_ps(_mm512_set1_ps(0x1.8p23f - 128.0f), zp),
		.first = _mm512_set1_ps(a->add.fa),
		.second = _mm512_set1_ps(a->add.fb),
		.zero = _mm512_set1_ps(a->add.fc),
		.least = _mm512_add_ps(lanes_of(&a->add.lo), half),
		.most = _mm512_add_ps(lanes_of(&a->add.hi), half),
		.lo = _mm512_set1_epi8((int8_t)a->add.lo),
		.hi = _mm512_set1_epi8((int8_t)a->add.hi),
	};
}

/* Four vectors of sums and @other, 64 bytes in the order of the vectors, to 64 bytes in that order.
 * @swapped: the convolution's result is the second operand. */
static inline __attribute__((always_inline)) __m512i sum_four(const __m512i v[4],
							      const __m512 mult[4], __m512i other,
							      const struct sum_s8 *t,
							      const bool swapped, const bool wide)
{
	/* from the vectors' order to that of packs, and back */
	const __m512i order =
		_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	const __m512i flip = _mm512_set1_epi8(-128);
	const __m512i byte = _mm512_set4_epi32(-253, -254, -255, -256); /* 0, 1, 2, 3; rest none */
	const __m512 magic = _mm512_set1_ps(0x1.8p23f);
	__m512i q[4];

	other = _mm512_permutexvar_epi32(order, _mm512_xor_si512(other, flip));
#pragma GCC unroll 4
	for (int k = 0; k < 4; k++) {
		const __m512i at = _mm512_add_epi32(byte, _mm512_set1_epi32(4 * k));
		const __m512 b = _mm512_cvtepi32_ps(_mm512_shuffle_epi8(other, at));
		__m512 a = _mm512_mul_ps(_mm512_cvtepi32_ps(v[k]), mult[k]), s;

		a = _mm512_min_ps(_mm512_max_ps(a, t->bottom), t->top);
		a = _mm512_sub_ps(_mm512_add_ps(a, magic), t->back);
		s = swapped ? _mm512_fmadd_ps(b, t->first, _mm512_fmadd_ps(a, t->second, t->zero))
			    : _mm512_fmadd_ps(a, t->first, _mm512_fmadd_ps(b, t->second, t->zero));
		if (wide) /* NaN gives the least */
			s = _mm512_min_ps(_mm512_max_ps(s, t->least), t->most);
		q[k] = _mm512_cvtps_epi32(s);
	}
	q[0] = _mm512_packs_epi32(q[0], q[1]);
	q[2] = _mm512_packs_epi32(q[2], q[3]);
	q[0] = _mm512_xor_si512(_mm512_packus_epi16(q[0], q[2]), flip);
	return _mm512_permutexvar_epi32(order,
					_mm512_min_epi8(_mm512_max_epi8(q[0], t->lo), t->hi));
}

/* Groups of four vectors that are 64 bytes in a row: @n vectors, @step bytes from group to group;
 * nb, the blocks of a pixel, divides four. */
static inline __attribute__((always_inline)) void sum_rows(const tile_args *a, const __m512i *acc,
							   uint32_t n, uint32_t nb, size_t at,
							   size_t step, const float *m,
							   const bool swapped, const bool wide)
{
	const int8_t *other = (swapped ? a->add.a : a->add.b) + at;
	const __m512 mult[4] = {_mm512_load_ps(m), _mm512_load_ps(m + (nb > 1 ? 16 : 0)),
				_mm512_load_ps(m + (nb > 2 ? 32 : 0)),
				_mm512_load_ps(m + (nb - 1) * 16)};
	const struct sum_s8 t = sum_of(a);
	int8_t *y = a->y + at;

	for (; n >= 4; n -= 4, acc += 4, y += step, other += step)
		_mm512_storeu_si512(
			y, sum_four(acc, mult, _mm512_loadu_si512(other), &t, swapped, wide));
	if (n) {
		const __mmask64 mask = ~0ull >> (64 - 16 * n);

		_mm512_mask_storeu_epi8(y, mask,
					sum_four(acc, mult, _mm512_maskz_loadu_epi8(mask, other),
						 &t, swapped, wide));
	}
}

/* Any others: @n vectors of nb blocks a pixel, the last of them of @last channels. */
static inline __attribute__((always_inline)) void sum_apart(const tile_args *a, const __m512i *acc,
							    uint32_t n, uint32_t nb, size_t at,
							    uint32_t last, const float *m,
							    const bool swapped, const bool wide)
{
	const int8_t *other = swapped ? a->add.a : a->add.b;
	const struct sum_s8 t = sum_of(a);

	for (uint32_t b = 0, left; n; n -= left, acc += 4) {
		__mmask16 mask[4] = {0};
		size_t to[4] = {at, at, at, at};
		__m128i x[4] = {0};
		__m512 mult[4];
		__m512i y;

		left = NE_MIN(n, 4u);
		for (uint32_t k = 0; k < 4; k++)
			mult[k] = _mm512_setzero_ps();
		for (uint32_t k = 0; k < left; k++) {
			mask[k] = (__mmask16)(0xffffu >> (b == nb - 1 ? 16 - last : 0));
			to[k] = at + b * 16;
			mult[k] = _mm512_load_ps(m + b * 16);
			x[k] = _mm_maskz_loadu_epi8(mask[k], other + to[k]);
			if (++b == nb) {
				b = 0;
				at += a->y_stride;
			}
		}
		y = _mm512_castsi128_si512(x[0]);
		y = _mm512_inserti32x4(y, x[1], 1);
		y = _mm512_inserti32x4(y, x[2], 2);
		y = sum_four(acc, mult, _mm512_inserti32x4(y, x[3], 3), &t, swapped, wide);
		_mm_mask_storeu_epi8(a->y + to[0], mask[0], _mm512_castsi512_si128(y));
		_mm_mask_storeu_epi8(a->y + to[1], mask[1], _mm512_extracti32x4_epi32(y, 1));
		_mm_mask_storeu_epi8(a->y + to[2], mask[2], _mm512_extracti32x4_epi32(y, 2));
		_mm_mask_storeu_epi8(a->y + to[3], mask[3], _mm512_extracti32x4_epi32(y, 3));
	}
}

static inline __attribute__((always_inline)) void sum_tile(const tile_args *a, const __m512i *acc,
							   uint32_t mr, uint32_t nb, uint32_t p,
							   uint32_t o, const bool swapped,
							   const bool wide)
{
	const bool dense = !o && a->oc == nb * 16 && nb != 3, four = nb == 4 && a->oc - o >= 64;
	const uint32_t last = NE_MIN(a->oc - o - (nb - 1) * 16, 16u);
	const size_t at = p * a->y_stride + o;
	const float *m = a->mult + o;

	if (dense || four)
		sum_rows(a, acc, mr * nb, nb, at, dense ? 64 : a->y_stride, m, swapped, wide);
	else
		sum_apart(a, acc, mr * nb, nb, at, last, m, swapped, wide);
}

/* As tile_store(), for sums in memory. @acc may be read up to a multiple of four vectors. */
static __attribute__((noinline)) void store_sum(const tile_args *a, const __m512i *acc, uint32_t mr,
						uint32_t nb, uint32_t p, uint32_t o)
{
	if (a->wide && a->add.b)
		sum_tile(a, acc, mr, nb, p, o, false, true);
	else if (a->wide)
		sum_tile(a, acc, mr, nb, p, o, true, true);
	else if (a->add.b)
		sum_tile(a, acc, mr, nb, p, o, false, false);
	else
		sum_tile(a, acc, mr, nb, p, o, true, false);
}
