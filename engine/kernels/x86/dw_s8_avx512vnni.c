/* SPDX-License-Identifier: MIT */
/* Depthwise convolution, s8, AVX-512 VNNI: 64, 32 or 16 channels at a time under a mask. */
#include "engine/kernels/x86/util.h"

#define DW_NAME           channels_64
#define DW_VEC            __m512i
#define DW_VECF           __m512
#define DW_BYTES          64
#define DW_OP(name)       _mm512_##name
#define DW_LOAD(p, n)     _mm512_maskz_loadu_epi8(~0ull >> (64 - (n)), p)
#define DW_STORE(p, v, n) _mm512_mask_storeu_epi8(p, ~0ull >> (64 - (n)), v)
#define DW_DOT            _mm512_dpbusd_epi32
#define DW_XOR            _mm512_xor_si512
#include "engine/kernels/x86/dw_s8_vnni.h"

#define DW_NAME           channels_32
#define DW_VEC            __m256i
#define DW_VECF           __m256
#define DW_BYTES          32
#define DW_OP(name)       _mm256_##name
#define DW_LOAD(p, n)     _mm256_maskz_loadu_epi8(~0u >> (32 - (n)), p)
#define DW_STORE(p, v, n) _mm256_mask_storeu_epi8(p, ~0u >> (32 - (n)), v)
#define DW_DOT            _mm256_dpbusd_epi32
#define DW_XOR            _mm256_xor_si256
#include "engine/kernels/x86/dw_s8_vnni.h"

#define DW_NAME           channels_16
#define DW_VEC            __m128i
#define DW_VECF           __m128
#define DW_BYTES          16
#define DW_OP(name)       _mm_##name
#define DW_LOAD(p, n)     _mm_maskz_loadu_epi8((__mmask16)(0xffffu >> (16 - (n))), p)
#define DW_STORE(p, v, n) _mm_mask_storeu_epi8(p, (__mmask16)(0xffffu >> (16 - (n))), v)
#define DW_DOT            _mm_dpbusd_epi32
#define DW_XOR            _mm_xor_si128
#include "engine/kernels/x86/dw_s8_vnni.h"

void ne_dw_s8_avx512vnni(const struct ne_dw_s8 *a)
{
	uint32_t c = 0;

	if (a->taps > DW_MAX_TAPS) {
		ne_dw_s8_c(a);
		return;
	}
	for (; a->c - c > 32; c += NE_MIN(64, a->c - c))
		channels_64(a, c, NE_MIN(64, a->c - c));
	if (a->c - c > 16)
		channels_32(a, c, a->c - c);
	else if (a->c - c)
		channels_16(a, c, a->c - c);
}
