/* SPDX-License-Identifier: MIT */
/*
 * The arm64 entries of the table, from the oldest set to the newest. What is missing here runs the
 * C version, which the compiler vectorises well enough with NEON, arm64's baseline.
 */
#include "engine/kernels/kernels.h"

static void init_neon(struct ne_kernels *k)
{
	k->cpu = "neon";
	k->conv_s8 = ne_conv_s8_neon;
	k->conv_s8_nr = 8;
	k->conv_s8_kr = 16;
	k->conv_s8_shift = 0;
	k->conv_image_s8 = ne_conv_image_s8_neon;
	k->conv_image_elem = 1;
	k->conv_f32 = ne_conv_f32_neon;
	k->conv_f32_nr = 16;
	k->dw_s8 = ne_dw_s8_neon;
	k->dw_image_s8 = ne_dw_image_s8_neon;
	k->dw_image_lanes = 8;
	k->dw_image_taps = 1;
	k->dw_image_elem = 2;
	k->dw_image_shift = 0;
	k->dw_f32 = ne_dw_f32_neon;
	k->lut_s8 = ne_lut_s8_neon;
	k->add_s8 = ne_add_s8_neon;
}

static void init_dotprod(struct ne_kernels *k)
{
	k->cpu = "dotprod";
	k->conv_s8 = ne_conv_s8_dotprod;
	k->conv_s8_nr = 16;
	k->conv_s8_kr = 4;
	k->conv_s8_shift = 0;
	k->conv_image_s8 = ne_conv_image_s8_dotprod;
	k->conv_image_elem = 1;
	k->dw_image_s8 = ne_dw_image_s8_dotprod;
	k->dw_image_lanes = 16;
	k->dw_image_taps = 4;
	k->dw_image_elem = 1;
	k->dw_image_shift = 0;
}

void ne_kernels_init_arm(struct ne_kernels *k, unsigned flags)
{
	if (flags & NE_CPU_NEON)
		init_neon(k);
	if (flags & NE_CPU_DOTPROD)
		init_dotprod(k);
}
