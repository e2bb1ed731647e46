/* SPDX-License-Identifier: MIT */
/* The mel spectrum of eight frames, f32, in whatever vectors the baseline has. */
#include "engine/kernels/mel_f32.h"

void ne_mel_f32_c(const struct ne_mel_f32 *a)
{
	mel_frames(a);
}
