/* SPDX-License-Identifier: MIT */
/* Partial loads and stores of x86 kernels that touch no byte outside. SSE4.1 and newer. */
#ifndef NE_KERNELS_X86_UTIL_H
#define NE_KERNELS_X86_UTIL_H

#include <immintrin.h>

#include "engine/kernels/kernels.h"

static inline int32_t load_4(const void *p)
{
	int32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t load_8(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* @n bytes, 1 to 8, the rest zero: two loads that overlap. */
static inline uint64_t load_up_to_8(const int8_t *p, uint32_t n)
{
	if (n == 8)
		return load_8(p);
	if (n >= 4)
		return (uint32_t)load_4(p) | (uint64_t)(uint32_t)load_4(p + n - 4) << (8 * (n - 4));
	return (uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << (8 * (n / 2)) |
	       (uint64_t)(uint8_t)p[n - 1] << (8 * (n - 1));
}

/* @n bytes, 1 to 16, the rest zero. */
static inline __m128i load_up_to_16(const int8_t *p, uint32_t n)
{
	if (n == 16)
		return _mm_loadu_si128((const __m128i *)(const void *)p);
	if (n <= 8)
		return _mm_cvtsi64_si128((long long)load_up_to_8(p, n));
	return _mm_set_epi64x((long long)load_up_to_8(p + 8, n - 8), (long long)load_8(p));
}

/* @n floats, 1 to 4, the rest zero. */
static inline __m128 load_up_to_4f(const float *p, uint32_t n)
{
	if (n == 4)
		return _mm_loadu_ps(p);
	if (n == 1)
		return _mm_load_ss(p);
	const __m128 two = _mm_castsi128_ps(_mm_cvtsi64_si128((long long)load_8(p)));

	return n == 2 ? two : _mm_insert_ps(two, _mm_load_ss(p + 2), 0x20);
}

static inline void store_up_to_8(int8_t *p, uint64_t v, uint32_t n)
{
	if (n == 8) {
		memcpy(p, &v, 8);
		return;
	}
	if (n & 4) {
		memcpy(p, &v, 4);
		v >>= 32;
		p += 4;
	}
	if (n & 2) {
		memcpy(p, &v, 2);
		v >>= 16;
		p += 2;
	}
	if (n & 1)
		*p = (int8_t)v;
}

static inline void store_up_to_16(int8_t *p, __m128i v, uint32_t n)
{
	if (n == 16) {
		_mm_storeu_si128((__m128i *)(void *)p, v);
		return;
	}
	if (n >= 8) {
		_mm_storel_epi64((__m128i *)(void *)p, v);
		v = _mm_srli_si128(v, 8);
		p += 8;
		n -= 8;
	}
	store_up_to_8(p, (uint64_t)_mm_cvtsi128_si64(v), n);
}

/* @n floats, 0 to 4. */
static inline void store_up_to_4f(float *p, __m128 v, uint32_t n)
{
	if (n == 4) {
		_mm_storeu_ps(p, v);
		return;
	}
	if (n & 2) {
		_mm_storel_epi64((__m128i *)(void *)p, _mm_castps_si128(v));
		v = _mm_movehl_ps(v, v);
		p += 2;
	}
	if (n & 1)
		_mm_store_ss(p, v);
}

#endif
