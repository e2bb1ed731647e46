/* SPDX-License-Identifier: MIT */
/*
 * The x86 entries of the table, from the oldest set to the newest: each overwrites what it does
 * better. Compiled for the baseline, for it runs before the CPU is known to have any of them.
 */
#include "engine/kernels/kernels.h"

static void init_sse41(struct ne_kernels *k)
{
	k->cpu = "sse41";
	k->interleave_8 = ne_interleave_8_sse41;
	k->conv_s8 = ne_conv_s8_sse41;
	k->conv_s8_nr = 4;
	k->conv_s8_kr = 2;
	k->conv_s8_shift = 0;
	k->conv_f32 = ne_conv_f32_sse41;
	k->dw_s8 = ne_dw_s8_sse41;
	k->dw_f32 = ne_dw_f32_sse41;
	k->maxpool_s8 = ne_maxpool_s8_sse41;
	k->maxpool_f32 = ne_maxpool_f32_sse41;
	k->avgpool_s8 = ne_avgpool_s8_sse41;
	k->avgpool_f32 = ne_avgpool_f32_sse41;
	k->add_s8 = ne_add_s8_sse41;
	k->add_f32 = ne_add_f32_sse41;
	k->mul_f32 = ne_mul_f32_sse41;
	k->clamp_f32 = ne_clamp_f32_sse41;
	k->hardswish_f32 = ne_hardswish_f32_sse41;
	k->quantise_s8 = ne_quantise_s8_sse41;
	k->dequantise_s8 = ne_dequantise_s8_sse41;
	k->conv_f32_nr = 4;
}

static void init_avx2(struct ne_kernels *k)
{
	k->cpu = "avx2";
	k->conv_image_s8 = ne_conv_image_s8_avx2;
	k->conv_image_elem = 2;
	k->conv_image_ways = 4;
	k->conv_quads_s8 = ne_conv_quads_s8_avx2;
	k->conv_winograd_s8 = ne_conv_winograd_s8_avx2;
	k->dw_square_s8 = ne_dw_square_s8_avx2;
	k->dw_image_s8 = ne_dw_image_s8_avx2;
	k->dw_image_lanes = 16;
	k->dw_image_taps = 2;
	k->dw_image_elem = 2;
	k->dw_image_shift = 0;
	k->conv_s8 = ne_conv_s8_avx2;
	k->conv_s8_nr = 8;
	k->conv_s8_kr = 2;
	k->conv_s8_shift = 0;
	k->conv_f32 = ne_conv_f32_avx2;
	k->dw_s8 = ne_dw_s8_avx2;
	k->dw_f32 = ne_dw_f32_avx2;
	k->mel_f32 = ne_mel_f32_avx2;
	k->conv_lines_f32 = ne_conv_lines_f32_avx2;
	k->dw_lines_f32 = ne_dw_lines_f32_avx2;
	k->maxpool_s8 = ne_maxpool_s8_avx2;
	k->maxpool_f32 = ne_maxpool_f32_avx2;
	k->avgpool_s8 = ne_avgpool_s8_avx2;
	k->avgpool_f32 = ne_avgpool_f32_avx2;
	k->add_s8 = ne_add_s8_avx2;
	k->add_f32 = ne_add_f32_avx2;
	k->mul_f32 = ne_mul_f32_avx2;
	k->clamp_f32 = ne_clamp_f32_avx2;
	k->hardswish_f32 = ne_hardswish_f32_avx2;
	k->sums_s8 = ne_sums_s8_avx2;
	k->rans32 = ne_rans32_avx2;
	k->quantise_s8 = ne_quantise_s8_avx2;
	k->dequantise_s8 = ne_dequantise_s8_avx2;
	k->conv_f32_nr = 8;
}

static void init_avxvnni(struct ne_kernels *k)
{
	k->cpu = "avxvnni";
	k->conv_image_s8 = ne_conv_image_s8_avxvnni;
	k->conv_image_elem = 1;
	k->conv_image_ways = 4;
	k->conv_quads_s8 = NULL;
	k->conv_winograd_s8 = NULL;
	k->dw_square_s8 = NULL;
	k->dw_image_s8 = ne_dw_image_s8_avxvnni;
	k->dw_image_lanes = 32;
	k->dw_image_taps = 4;
	k->dw_image_elem = 1;
	k->dw_image_shift = 128;
	k->conv_s8 = ne_conv_s8_avxvnni;
	k->dw_s8 = ne_dw_s8_avxvnni;
	k->conv_s8_nr = 8;
	k->conv_s8_kr = 4;
	k->conv_s8_shift = 128;
}

static void init_avx512vnni(struct ne_kernels *k)
{
	k->cpu = "avx512vnni";
	k->conv_s8 = ne_conv_s8_avx512vnni;
	k->conv_s8_nr = 16;
	k->conv_s8_kr = 4;
	k->conv_s8_shift = 128;
	k->conv_image_s8 = ne_conv_image_s8_avx512vnni;
	k->conv_image_elem = 1;
	k->conv_image_ways = 5;
	k->conv_quads_s8 = NULL;
	k->conv_winograd_s8 = NULL;
	k->dw_square_s8 = NULL;
	k->dw_image_s8 = ne_dw_image_s8_avx512vnni;
	k->dw_image_lanes = 64;
	k->dw_image_taps = 4;
	k->dw_image_elem = 1;
	k->dw_image_shift = 128;
	k->conv_f32 = ne_conv_f32_avx512vnni;
	k->dw_s8 = ne_dw_s8_avx512vnni;
	k->dw_f32 = ne_dw_f32_avx512vnni;
	k->conv_lines_f32 = ne_conv_lines_f32_avx512vnni;
	k->dense_s8 = ne_dense_s8_avx512vnni;
	k->rans32 = ne_rans32_avx512vnni;
	k->dw_lines_f32 = ne_dw_lines_f32_avx512vnni;
	k->maxpool_f32 = ne_maxpool_f32_avx512vnni;
	k->avgpool_f32 = ne_avgpool_f32_avx512vnni;
	k->add_s8 = ne_add_s8_avx512vnni;
	k->add_f32 = ne_add_f32_avx512vnni;
	k->mul_f32 = ne_mul_f32_avx512vnni;
	k->clamp_f32 = ne_clamp_f32_avx512vnni;
	k->hardswish_f32 = ne_hardswish_f32_avx512vnni;
	k->quantise_s8 = ne_quantise_s8_avx512vnni;
	k->dequantise_s8 = ne_dequantise_s8_avx512vnni;
	k->conv_f32_nr = 16;
}

static void init_avx512vbmi(struct ne_kernels *k)
{
	k->lut_s8 = ne_lut_s8_avx512vbmi;
	k->interleave_8 = ne_interleave_8_avx512vbmi;
}

static void init_amx(struct ne_kernels *k)
{
	k->cpu = "amx";
	k->conv_image_s8 = ne_conv_image_s8_amx;
	k->conv_image_ways = 1 + 5; /* tiles of AMX, then the ways of AVX-512 */
}

void ne_kernels_init_x86(struct ne_kernels *k, unsigned flags)
{
	if (flags & NE_CPU_SSE41)
		init_sse41(k);
	if (flags & NE_CPU_AVX2)
		init_avx2(k);
	if (flags & NE_CPU_AVXVNNI)
		init_avxvnni(k);
	if (flags & NE_CPU_AVX512VNNI)
		init_avx512vnni(k);
	if (flags & NE_CPU_AVX512VBMI)
		init_avx512vbmi(k);
	if (flags & NE_CPU_AMX)
		init_amx(k);
}
