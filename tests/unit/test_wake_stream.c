/* SPDX-License-Identifier: MIT */
/*
 * The openWakeWord chain streamed on recordings, 80 ms at a time: every embedding and every answer
 * is that of the full computation, and the words are heard.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/model/stream.h"
#include "engine/run/run.h"
#include "tests/unit/run_graph.h"
#include "tools/neap/data/data.h"
#include "tools/neap/import/onnx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES    1280
#define CHUNK      1760
#define FRAMES     8
#define BANDS      32
#define WINDOW     76
#define FEATURES   96
#define EMBEDDINGS 16
#define BEFORE     40 /* steps of silence in front of a recording: every window is full */
#define AFTER      12

enum { MEL, EMBEDDING, ALEXA, MYCROFT, STAGES };
static const struct {
	const char *file, *shape;
	int32_t step;
} stages[STAGES] = {
	{"models/melspectrogram.onnx", "input=1x1760", SAMPLES},
	{"models/embedding_model.onnx", NULL, FRAMES},
	{"models/alexa_v0.1.onnx", NULL, 1},
	{"models/hey_mycroft_v0.1.onnx", NULL, 1},
};

struct runner {
	struct ne_program *p[STAGES];
	struct ne_context *c[STAGES];
};
static struct runner full, streamed;

static struct ne_model *import(const char *path, const char *shape)
{
	struct onnx_options *opt = calloc(1, sizeof(*opt));
	struct ne_error err = {""};
	struct ne_model *m = NULL;
	size_t bytes;
	void *data;

	assert_non_null(opt);
	if (shape) {
		assert_int_equal(onnx_parse_shape(shape, &opt->shape[0], &err), 0);
		opt->n_shape = 1;
	}
	if (data_read_file(path, (size_t)1 << 28, &data, &bytes, &err) < 0 ||
	    onnx_import(data, bytes, opt, &m, &err) < 0)
		fail_msg("%s: %s", path, err.text);
	free(data);
	free(opt);
	return m;
}

static void ready(struct runner *r, int stage, const struct ne_model *m)
{
	struct ne_error err = {""};

	if (ne_program_new(m, NULL, &r->p[stage], &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(r->p[stage], 1, &r->c[stage]), 0);
}

static int open_all(void **state)
{
	(void)state;
	for (int k = 0; k < STAGES && data_path(stages[k].file); k++) {
		struct ne_stream_options o = {.step = stages[k].step};
		struct ne_model *m = import(data_path(stages[k].file), stages[k].shape), *s;
		struct ne_stream_summary u;
		struct ne_error err = {""};

		ready(&full, k, m);
		if (ne_stream_model(m, &o, &s, &u, &err) < 0)
			fail_msg("%s", err.text);
		if (k == EMBEDDING) /* all of it slides: what is new is 8 rows of 76 */
			assert_true(u.sliding == u.nodes &&
				    s->level[0].macs * 7 < m->level[0].macs);
		ready(&streamed, k, s);
		ne_model_free(m);
		ne_model_free(s);
	}
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	for (int k = 0; k < STAGES; k++) {
		ne_context_free(full.c[k]);
		ne_context_free(streamed.c[k]);
		ne_program_free(full.p[k]);
		ne_program_free(streamed.p[k]);
	}
	return 0;
}

static void run(const struct runner *r, int stage, const float *in, float *out)
{
	assert_int_equal(ne_run(r->p[stage], r->c[stage], 0, (const void *[]){in}, (void *[]){out},
				NULL, NULL),
			 0);
}

static void push(float *ring, size_t n, const float *fresh, size_t k)
{
	memmove(ring, ring + k, (n - k) * sizeof(*ring));
	memcpy(ring + n - k, fresh, k * sizeof(*ring));
}

/* Silence, the recording's PCM values, silence; @ret_steps of SAMPLES. */
static float *read_wav(const char *name, size_t *ret_steps)
{
	struct ne_error err = {""};
	char file[256];
	uint8_t *data = NULL;
	size_t bytes, n;
	float *v;

	snprintf(file, sizeof(file), "wake-audio/%s", name);
	assert_int_equal(data_read_file(data_path(file), 1 << 24, (void **)&data, &bytes, &err), 0);
	assert_true(bytes > 44 && !memcmp(data + 36, "data", 4));
	n = (bytes - 44) / 2;
	*ret_steps = BEFORE + n / SAMPLES + AFTER;
	v = calloc(*ret_steps * SAMPLES, sizeof(*v));
	assert_non_null(v);
	for (size_t i = 0; i < n; i++)
		v[BEFORE * SAMPLES + i] =
			(float)(int16_t)(data[44 + 2 * i] | data[45 + 2 * i] << 8);
	free(data);
	return v;
}

/* Kernels may add in another order where there are fewer rows: within 1e-5 of the largest value. */
static void same(const float *a, const float *b, size_t n, const char *what, size_t step)
{
	float most = 1;

	for (size_t i = 0; i < n; i++)
		most = fmaxf(most, fabsf(a[i]));
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(a[i] - b[i]) <= 1e-5f * most))
			fail_msg("step %zu, %s %zu: %g streamed, %g in full", step, what, i,
				 (double)b[i], (double)a[i]);
}

/* The largest answers of both heads over the recording. */
static void listen(const char *name, float ret[2])
{
	static float chunk[CHUNK], frames[WINDOW * BANDS], features[EMBEDDINGS * FEATURES];
	size_t steps;
	float *audio = read_wav(name, &steps);

	memset(chunk, 0, sizeof(chunk));
	memset(frames, 0, sizeof(frames));
	memset(features, 0, sizeof(features));
	ret[0] = ret[1] = 0;
	for (int k = 0; k < STAGES; k++)
		ne_context_reset(streamed.c[k]);
	for (size_t i = 0; i < steps; i++) {
		const float *fresh = audio + i * SAMPLES;
		float mel[2][FRAMES * BANDS], e[2][FEATURES], answer[2];

		push(chunk, CHUNK, fresh, SAMPLES);
		run(&full, MEL, chunk, mel[0]);
		run(&streamed, MEL, fresh, mel[1]);
		if (i >= 2)
			same(mel[0], mel[1], FRAMES * BANDS, "band", i);
		for (int k = 0; k < FRAMES * BANDS; k++) {
			mel[0][k] = mel[0][k] / 10 + 2;
			mel[1][k] = mel[1][k] / 10 + 2;
		}
		push(frames, WINDOW * BANDS, mel[0], FRAMES * BANDS);
		run(&full, EMBEDDING, frames, e[0]);
		run(&streamed, EMBEDDING, mel[1], e[1]);
		if (i >= 2 + 10)
			same(e[0], e[1], FEATURES, "feature", i);
		push(features, EMBEDDINGS * FEATURES, e[0], FEATURES);
		for (int head = 0; head < 2; head++) {
			run(&full, ALEXA + head, features, &answer[0]);
			run(&streamed, ALEXA + head, e[1], &answer[1]);
			if (i < BEFORE - 1)
				continue;
			same(&answer[0], &answer[1], 1, "answer", i);
			ret[head] = fmaxf(ret[head], answer[1]);
		}
	}
	free(audio);
}

static void test_words(void **state)
{
	static const struct {
		const char *file;
		float least[2], most[2]; /* alexa, hey mycroft */
	} cases[] = {
		{"alexa.wav", {0.9f, 0}, {1, 0.1f}},
		{"hey_mycroft.wav", {0, 0.9f}, {0.1f, 1}},
		{"hey_jane.wav", {0, 0}, {0.1f, 0.1f}},
	};

	(void)state;
	if (!full.p[STAGES - 1] || !data_path("wake-audio/alexa.wav")) {
		print_message("skipped: the models or recordings of NEAP_DATA are absent\n");
		skip();
	}
	for (size_t i = 0; i < NE_ARRAY_SIZE(cases); i++) {
		float heard[2];

		listen(cases[i].file, heard);
		print_message("%s: alexa %.3f, hey mycroft %.3f\n", cases[i].file, (double)heard[0],
			      (double)heard[1]);
		for (int k = 0; k < 2; k++)
			assert_true(heard[k] >= cases[i].least[k] && heard[k] <= cases[i].most[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words, open_all, close_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
