/* SPDX-License-Identifier: MIT */
/*
 * Silero's voice activity detector, its state kept between calls through its own inputs and outputs.
 * The sample rate is fixed when it is imported: the If nodes on it fold, and those on shapes.
 */
#include "tests/unit/real_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHUNK   512u /* new samples of a call */
#define CONTEXT 64u  /* samples of the call before that it sees again */
#define STATE   256u

struct detector {
	struct real_model m;
	float x[CONTEXT + CHUNK], state[2][STATE];
	unsigned calls;
};

static void detector_open(struct detector *d)
{
	memset(d, 0, sizeof(*d));
	real_open(&d->m, "models/silero_vad_v5.onnx",
		  (const char *const[]){"input=1x576", "state=2x1x128", NULL},
		  (const char *const[]){"sr=16000", NULL});
	/* the rate is a constant now; the others are there in order */
	assert_int_equal(ne_program_inputs(d->m.p), 2);
	assert_int_equal(ne_program_outputs(d->m.p), 2);
	assert_int_equal(ne_program_output(d->m.p, 1)->bytes, sizeof(d->state[0]));
}

static float probability(struct detector *d, const float *samples)
{
	unsigned now = d->calls++ % 2;
	float y;

	memmove(d->x, d->x + CHUNK, CONTEXT * sizeof(*d->x));
	memcpy(d->x + CONTEXT, samples, CHUNK * sizeof(*d->x));
	real_run(&d->m, (const void *const[]){d->x, d->state[now]},
		 (void *const[]){&y, d->state[1 - now]});
	return y;
}

static void silence_is_no_speech(void **state)
{
	static const float quiet[CHUNK];
	struct detector d;

	(void)state;
	detector_open(&d);
	for (int i = 0; i < 60; i++) {
		float p = probability(&d, quiet);

		if (!(p < 0.05f))
			fail_msg("%.4f in silence, call %d", (double)p, i);
	}
	real_close(&d.m);
}

/* The highest probability over a recording, and the last one after half a second of silence. */
static void speech(const char *file)
{
	static const float quiet[CHUNK];
	struct detector d;
	float *v, top = 0, after = 1;
	size_t n;

	v = real_recording(file, &n);
	for (size_t i = 0; i < n; i++)
		v[i] /= 32768;
	detector_open(&d);
	for (size_t i = 0; i + CHUNK <= n; i += CHUNK)
		top = NE_MAX(top, probability(&d, v + i));
	for (int i = 0; i < 16; i++)
		after = probability(&d, quiet);
	print_message("%s: %.3f in speech, %.3f after it\n", file, (double)top, (double)after);
	assert_true(top > 0.9f);
	assert_true(after < 0.2f);
	real_close(&d.m);
	free(v);
}

static void recordings_are_speech(void **state)
{
	(void)state;
	speech("wake-audio/alexa.wav");
	speech("wake-audio/hey_mycroft.wav");
	speech("wake-audio/hey_jane.wav");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_is_no_speech),
		cmocka_unit_test(recordings_are_speech),
	};

	return cmocka_run_group_tests_name("silero", tests, NULL, NULL);
}
