/* SPDX-License-Identifier: MIT */
/* Addition of two s8 tensors, AVX-512: 64 outputs at a time. */
#include "engine/kernels/x86/util.h"

struct add {
	__m512 fa, fb, fc;
	__m512 least, most; /* of the sum of unsigned bytes, before it is rounded */
	__m512i lo, hi;
};

/* The bytes of dword @k of each 128-bit lane of @v, as unsigned ones, in f32. */
static inline __attribute__((always_inline)) __m512 widen(__m512i v, const int k)
{
	const __m512i first = _mm512_set4_epi32(-253, -254, -255, -256); /* 0 to 3; the rest none */

	return _mm512_cvtepi32_ps(
		_mm512_shuffle_epi8(v, _mm512_add_epi32(first, _mm512_set1_epi32(4 * k))));
}

/* @wide: sums may be beyond s32, or not a number, which gives the least. Others saturate. */
static inline __attribute__((always_inline)) __m512i add_64(__m512i a, __m512i b,
							    const struct add *t, const bool wide)
{
	const __m512i flip = _mm512_set1_epi8(-128);
	__m512i q[4];

	a = _mm512_xor_si512(a, flip);
	b = _mm512_xor_si512(b, flip);
#pragma GCC unroll 4
	for (int k = 0; k < 4; k++) {
		__m512 s = _mm512_fmadd_ps(widen(b, k), t->fb, t->fc);

		s = _mm512_fmadd_ps(widen(a, k), t->fa, s);
		if (wide)
			s = _mm512_min_ps(_mm512_max_ps(s, t->least), t->most);
		q[k] = _mm512_cvtps_epi32(s);
	}
	q[0] = _mm512_packs_epi32(q[0], q[1]);
	q[2] = _mm512_packs_epi32(q[2], q[3]);
	q[0] = _mm512_xor_si512(_mm512_packus_epi16(q[0], q[2]), flip);
	return _mm512_min_epi8(_mm512_max_epi8(q[0], t->lo), t->hi);
}

static inline __attribute__((always_inline)) void add_all(const struct ne_add_s8 *v,
							  const bool wide)
{
	const struct add t = {
		.fa = _mm512_set1_ps(v->fa),
		.fb = _mm512_set1_ps(v->fb),
		.fc = _mm512_set1_ps(v->fc),
		.least = _mm512_set1_ps((float)(v->lo + 128)),
		.most = _mm512_set1_ps((float)(v->hi + 128)),
		.lo = _mm512_set1_epi8((int8_t)v->lo),
		.hi = _mm512_set1_epi8((int8_t)v->hi),
	};
	const int8_t *a = v->a, *b = v->b;
	int8_t *y = v->y;
	size_t n = v->n;

	for (; n >= 64; n -= 64, a += 64, b += 64, y += 64)
		_mm512_storeu_si512(y,
				    add_64(_mm512_loadu_si512(a), _mm512_loadu_si512(b), &t, wide));
	if (n) {
		const __mmask64 mask = ~0ull >> (64 - n);

		_mm512_mask_storeu_epi8(y, mask,
					add_64(_mm512_maskz_loadu_epi8(mask, a),
					       _mm512_maskz_loadu_epi8(mask, b), &t, wide));
	}
}

void ne_add_s8_avx512vnni(const struct ne_add_s8 *v)
{
	const float most =
		255 * (__builtin_fabsf(v->fa) + __builtin_fabsf(v->fb)) + __builtin_fabsf(v->fc);

	if (most < 0x1p30f)
		add_all(v, false);
	else
		add_all(v, true);
}
