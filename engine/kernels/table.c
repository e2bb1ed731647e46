/* SPDX-License-Identifier: MIT */
/* The table of kernels: plain C first, then overwritten by each better set that is allowed. */
#include "engine/kernels/kernels.h"

void ne_kernels_init(struct ne_kernels *k, unsigned flags)
{
	*k = (struct ne_kernels){
		.cpu = "c",
		.conv_s8_nr = 8,
		.conv_s8_kr = 1,
		.conv_s8_shift = 0,
		.conv_f32_nr = 8,
		.conv_s8 = ne_conv_s8_c,
		.conv_f32 = ne_conv_f32_c,
		.dw_s8 = ne_dw_s8_c,
		.dw_f32 = ne_dw_f32_c,
		.maxpool_s8 = ne_maxpool_s8_c,
		.maxpool_f32 = ne_maxpool_f32_c,
		.avgpool_s8 = ne_avgpool_s8_c,
		.avgpool_f32 = ne_avgpool_f32_c,
		.add_s8 = ne_add_s8_c,
		.add_f32 = ne_add_f32_c,
		.mul_f32 = ne_mul_f32_c,
		.clamp_f32 = ne_clamp_f32_c,
		.hardswish_f32 = ne_hardswish_f32_c,
		.lut_s8 = ne_lut_s8_c,
		.interleave_8 = ne_interleave_8_c,
		.sums_s8 = ne_sums_s8_c,
		.rans32 = ne_rans32_c,
		.quantise_s8 = ne_quantise_s8_c,
		.dequantise_s8 = ne_dequantise_s8_c,
		.mel_f32 = ne_mel_f32_c,
	};
#if defined(__x86_64__) || defined(__i386__)
	ne_kernels_init_x86(k, flags);
#elif defined(__aarch64__)
	ne_kernels_init_arm(k, flags);
#else
	(void)flags;
#endif
}
