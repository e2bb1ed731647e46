/* SPDX-License-Identifier: MIT */
/* Table lookup, s8, NEON: four tables of 64 bytes; an index outside of one leaves the lane as it
 * is (tbx) or zero (tbl). */
#include <arm_neon.h>

#include "engine/kernels/kernels.h"

void ne_lut_s8_neon(int8_t *y, const int8_t *x, size_t n, const int8_t table[256])
{
	const int8x16x4_t t0 = vld1q_s8_x4(table), t1 = vld1q_s8_x4(table + 64);
	const int8x16x4_t t2 = vld1q_s8_x4(table + 128), t3 = vld1q_s8_x4(table + 192);
	const uint8x16_t next = vdupq_n_u8(64);

	for (; n >= 16; n -= 16, x += 16, y += 16) {
		uint8x16_t i = vreinterpretq_u8_s8(vld1q_s8(x));
		int8x16_t v = vqtbl4q_s8(t0, i);

		i = vsubq_u8(i, next);
		v = vqtbx4q_s8(v, t1, i);
		i = vsubq_u8(i, next);
		v = vqtbx4q_s8(v, t2, i);
		i = vsubq_u8(i, next);
		vst1q_s8(y, vqtbx4q_s8(v, t3, i));
	}
	for (; n; n--)
		*y++ = table[(uint8_t)*x++];
}
