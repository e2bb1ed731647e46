/* SPDX-License-Identifier: MIT */
/* Table look-up, AVX-512 VBMI: the table in four registers, two permutations of two each. */
#include "engine/kernels/x86/util.h"

struct lut {
	__m512i t[4];
};

static inline __m512i look_up(const struct lut *l, __m512i x)
{
	const __mmask64 upper = _mm512_movepi8_mask(x); /* 128 to 255 as u8 */
	const __m512i a = _mm512_permutex2var_epi8(l->t[0], x, l->t[1]);
	const __m512i b = _mm512_permutex2var_epi8(l->t[2], x, l->t[3]);

	return _mm512_mask_mov_epi8(a, upper, b);
}

void ne_lut_s8_avx512vbmi(int8_t *y, const int8_t *x, size_t n, const int8_t table[256])
{
	struct lut l;

	for (int i = 0; i < 4; i++)
		l.t[i] = _mm512_loadu_si512(table + 64 * i);
	for (; n >= 64; n -= 64, x += 64, y += 64)
		_mm512_storeu_si512(y, look_up(&l, _mm512_loadu_si512(x)));
	if (n) {
		const __mmask64 mask = ~0ull >> (64 - n);

		_mm512_mask_storeu_epi8(y, mask, look_up(&l, _mm512_maskz_loadu_epi8(mask, x)));
	}
}
