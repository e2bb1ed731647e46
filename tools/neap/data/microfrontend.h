/* SPDX-License-Identifier: MIT */
/*
 * The audio features of TFLite Micro's wake words: 40 mel channels of 30 ms every 10 ms, noise taken
 * off channel by channel, gain normalised by each channel's own noise (PCAN: Wang et al., "Trainable
 * frontend for robust and far-field keyword spotting", 2017), the logarithm. Worked out in real
 * numbers with the constants of that front end; its fixed-point code differs in the last bits.
 */
#ifndef NEAP_TOOL_MICROFRONTEND_H
#define NEAP_TOOL_MICROFRONTEND_H

#include <stddef.h>
#include <stdint.h>

#define MICRO_RATE_HZ  16000
#define MICRO_FRAME    480 /* samples */
#define MICRO_HOP      160
#define MICRO_CHANNELS 40
/* Real value of one step of a feature, as the models were trained. */
#define MICRO_SCALE 0.0390625f

struct micro_frontend;

struct micro_frontend *micro_frontend_new(void); /* NULL without memory */
void micro_frontend_free(struct micro_frontend *f);
/* Forgets the noise: a new recording. */
void micro_frontend_reset(struct micro_frontend *f);

/* Features of the frame that starts at @samples; frames come one after the other. */
void micro_frontend_frame(struct micro_frontend *f, const int16_t samples[MICRO_FRAME],
			  float ret[MICRO_CHANNELS]);

/* Frames of a recording of @n samples. */
static inline size_t micro_frontend_frames(size_t n)
{
	return n < MICRO_FRAME ? 0 : (n - MICRO_FRAME) / MICRO_HOP + 1;
}

#endif
