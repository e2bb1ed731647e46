// SPDX-License-Identifier: MIT
/* Conversion between f32 and f16; pure functions, nothing owned. */
#include <math.h>
#include <string.h>

#include "engine/model/f16.h"

float ne_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
	uint32_t exp = (h >> 10) & 31u;
	uint32_t frac = h & 1023u;
	uint32_t bits;
	float f;

	if (exp == 31) {
		bits = sign | 0x7f800000u | frac << 13;
	} else if (exp != 0) {
		bits = sign | (exp + 127 - 15) << 23 | frac << 13;
	} else if (frac == 0) {
		bits = sign;
	} else { /* subnormal: shift the leading one up to the implicit place */
		exp = 127 - 15 + 1;
		while (!(frac & 1024u)) {
			frac <<= 1;
			exp--;
		}
		bits = sign | exp << 23 | (frac & 1023u) << 13;
	}
	memcpy(&f, &bits, sizeof(f));
	return f;
}

uint16_t ne_f32_to_f16(float f)
{
	uint32_t bits, sign, mag, frac, rest, half;
	int shift;

	memcpy(&bits, &f, sizeof(bits));
	sign = bits >> 16 & 0x8000u;
	mag = bits & 0x7fffffffu;
	if (mag > 0x7f800000u) /* NaN: quiet, the top of the payload kept */
		return (uint16_t)(sign | 0x7e00u | (mag >> 13 & 0x1ffu));
	if (mag >= 0x47800000u) /* 65536 and more */
		return (uint16_t)(sign | 0x7c00u);
	if (mag >= 0x38800000u) { /* 2^-14 and more: normal; the carry may reach infinity */
		mag += 0xfffu + (mag >> 13 & 1u);
		return (uint16_t)(sign | (mag - 0x38000000u) >> 13);
	}
	if (mag < 0x33000000u) /* below 2^-25: nearest is zero */
		return (uint16_t)sign;
	shift = 126 - (int)(mag >> 23); /* units of 2^-24 */
	frac = (mag & 0x7fffffu) | 0x800000u;
	rest = frac & ((1u << shift) - 1);
	half = 1u << (shift - 1);
	frac >>= shift;
	frac += rest > half || (rest == half && (frac & 1u));
	return (uint16_t)(sign | frac);
}

bool ne_f16_fits(const float *v, size_t n)
{
	float top = 0.0f;

	for (size_t i = 0; i < n; i++)
		top = fmaxf(top, fabsf(v[i]));
	for (size_t i = 0; i < n; i++) {
		float off = fabsf(ne_f16_to_f32(ne_f32_to_f16(v[i])) - v[i]);

		if (!(off <= fmaxf(fabsf(v[i]) * 0x1p-11f, top * 0x1p-14f)))
			return false;
	}
	return true;
}

bool ne_f16_exact(const float *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float back = ne_f16_to_f32(ne_f32_to_f16(v[i]));

		if (memcmp(&back, &v[i], sizeof(back)))
			return false;
	}
	return true;
}
