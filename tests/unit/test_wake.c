/* SPDX-License-Identifier: MIT */
/*
 * The openWakeWord chain on recordings: spectrogram, embeddings of 76 frames every 8, and a head that
 * reads 16 of them. Each word's head knows its own recording and no other's.
 */
#include "tests/unit/real_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BINS       32u
#define FRAMES     76u /* of a window */
#define STEP       8u
#define EMBEDDING  96u
#define EMBEDDINGS 16u    /* that a head reads */
#define QUIET      16000u /* samples before and after the recording, as when nobody speaks */

static struct real_model embedding, alexa, mycroft;

static void open_models(void)
{
	static const char *const shapes[] = {"input_1=1x76x32x1", NULL};

	real_open(&embedding, "models/embedding_model.onnx", shapes, NULL);
	real_open(&alexa, "models/alexa_v0.1.onnx", NULL, NULL);
	real_open(&mycroft, "models/hey_mycroft_v0.1.onnx", NULL, NULL);
}

static void close_models(void)
{
	real_close(&embedding);
	real_close(&alexa);
	real_close(&mycroft);
}

/* The spectrogram of a whole recording, as the embedding wants it. */
static float *spectrogram(const char *file, size_t *ret_frames)
{
	struct real_model mel;
	char shape[64];
	size_t n;
	float *recording = real_recording(file, &n), *audio, *out;

	audio = calloc(n + 2 * QUIET, sizeof(*audio));
	assert_non_null(audio);
	memcpy(audio + QUIET, recording, n * sizeof(*audio));
	free(recording);
	n += 2 * QUIET;
	snprintf(shape, sizeof(shape), "input=1x%zu", n);
	real_open(&mel, "models/melspectrogram.onnx", (const char *const[]){shape, NULL}, NULL);
	*ret_frames = ne_program_output(mel.p, 0)->bytes / sizeof(float) / BINS;
	out = calloc(*ret_frames * BINS, sizeof(*out));
	assert_non_null(out);
	real_run(&mel, (const void *const[]){audio}, (void *const[]){out});
	for (size_t i = 0; i < *ret_frames * BINS; i++)
		out[i] = out[i] / 10 + 2;
	free(audio);
	real_close(&mel);
	return out;
}

struct scores {
	float alexa, mycroft; /* the highest */
};

static struct scores score(const char *file)
{
	struct scores s = {0, 0};
	size_t frames, n;
	float *mel = spectrogram(file, &frames), *e;

	assert_true(frames >= FRAMES + (EMBEDDINGS - 1) * STEP);
	n = (frames - FRAMES) / STEP + 1;
	e = calloc(n * EMBEDDING, sizeof(*e));
	assert_non_null(e);
	for (size_t i = 0; i < n; i++)
		real_run(&embedding, (const void *const[]){mel + i * STEP * BINS},
			 (void *const[]){e + i * EMBEDDING});
	for (size_t i = 0; i + EMBEDDINGS <= n; i++) {
		float y;

		real_run(&alexa, (const void *const[]){e + i * EMBEDDING}, (void *const[]){&y});
		s.alexa = NE_MAX(s.alexa, y);
		real_run(&mycroft, (const void *const[]){e + i * EMBEDDING}, (void *const[]){&y});
		s.mycroft = NE_MAX(s.mycroft, y);
	}
	print_message("%s: alexa %.4f, hey mycroft %.4f\n", file, (double)s.alexa,
		      (double)s.mycroft);
	free(mel);
	free(e);
	return s;
}

static void heads_know_their_word(void **state)
{
	struct scores s;

	(void)state;
	open_models();
	s = score("wake-audio/alexa.wav");
	assert_true(s.alexa >= 0.9f && s.mycroft < 0.1f);
	s = score("wake-audio/hey_mycroft.wav");
	assert_true(s.mycroft >= 0.9f && s.alexa < 0.1f);
	s = score("wake-audio/hey_jane.wav");
	assert_true(s.alexa < 0.1f && s.mycroft < 0.1f);
	close_models();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_know_their_word),
	};

	return cmocka_run_group_tests_name("wake", tests, NULL, NULL);
}
