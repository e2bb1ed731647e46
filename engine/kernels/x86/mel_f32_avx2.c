/* SPDX-License-Identifier: MIT */
/* The mel spectrum of eight frames, f32, AVX2. */
#include "engine/kernels/mel_f32.h"

void ne_mel_f32_avx2(const struct ne_mel_f32 *a)
{
	mel_frames(a);
}
