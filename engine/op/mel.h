/* SPDX-License-Identifier: MIT */
/* What the operators that use the kernel mel_f32 share. */
#ifndef NE_OP_MEL_H
#define NE_OP_MEL_H

#include "engine/plan/plan.h"

#define NE_MAX_FFT 8192

/* @count pairs cos(2 pi k / n), -sin(2 pi k / n); NULL without memory. */
const float *ne_lower_twiddle(struct ne_lower *lw, uint32_t n, uint32_t count);

/* The tables of a log-mel front end: the window, [frame]; the triangles' weights of each frequency,
 * [bins][fft / 2 + 1]; the cosine transform, [cepstra][bins]. */
void ne_mel_window(uint32_t frame, float *ret);
void ne_mel_filters(const struct ne_mel *m, float *ret);
void ne_mel_cosines(const struct ne_mel *m, float *ret);

#endif
