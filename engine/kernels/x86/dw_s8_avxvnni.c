/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, s8, AVX-VNNI: 32 or up to 16 channels at a time. */
#include "engine/kernels/x86/util.h"

/* @n is 32: the rest is left to the narrower vector. */
static inline __m256i load_32(const int8_t *p, uint32_t n)
{
	(void)n;
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline void store_32(int8_t *p, __m256i v, uint32_t n)
{
	(void)n;
	_mm256_storeu_si256((__m256i *)(void *)p, v);
}

#define DW_NAME     channels_32
#define DW_VEC      __m256i
#define DW_VECF     __m256
#define DW_BYTES    32
#define DW_OP(name) _mm256_##name
#define DW_LOAD     load_32
#define DW_STORE    store_32
#define DW_DOT      _mm256_dpbusd_avx_epi32
#define DW_XOR      _mm256_xor_si256
#include "engine/kernels/x86/dw_s8_vnni.h"

#define DW_NAME       channels_16
#define DW_VEC        __m128i
#define DW_VECF       __m128
#define DW_BYTES      16
#define DW_OP(name)   _mm_##name
#define DW_LOAD(p, n) load_up_to_16(p, n)
#define DW_STORE      store_up_to_16
#define DW_DOT        _mm_dpbusd_avx_epi32
#define DW_XOR        _mm_xor_si128
#include "engine/kernels/x86/dw_s8_vnni.h"

void ne_dw_s8_avxvnni(const struct ne_dw_s8 *a)
{
	uint32_t c = 0;

	if (a->taps > DW_MAX_TAPS) {
		ne_dw_s8_c(a);
		return;
	}
	for (; a->c - c >= 32; c += 32)
		channels_32(a, c, 32);
	for (; c < a->c; c += NE_MIN(16, a->c - c))
		channels_16(a, c, NE_MIN(16, a->c - c));
}
