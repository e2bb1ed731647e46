/* SPDX-License-Identifier: MIT */
/*
 * The openWakeWord chain on real recordings, 80 ms of audio at a time, three ways:
 *
 *   bench_stream --ort LIBRARY --data DIR [--json FILE] [--steps N]
 *
 *   ONNX Runtime   mel spectrogram of the last 1,760 samples (8 frames), embedding of the last 76
 *                  frames, head over the last 16 embeddings: what the original program computes;
 *   neap, full     the same models imported, computed the same way;
 *   neap, streamed the same models after ne_stream_model(): 1,280 new samples, 8 new frames, 1 new
 *                  embedding.
 *
 * Engines take turns in bursts of steps, each with rings of its own, one thread each. The chain's time
 * is the process's CPU time over a burst, as its clock is slow to read; the stages' are what passed.
 * Answers of all three are compared once the windows are full.
 */
#include "engine/model/stream.h"
#include "tests/bench/peers/peers.h"
#include "tools/neap/data/data.h"
#include "tools/neap/import/onnx.h"

#include <cjson/cJSON.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES    1280 /* new ones in 80 ms at 16 kHz */
#define CHUNK      1760 /* samples that 8 frames need: 480 old ones */
#define FRAMES     8
#define BANDS      32
#define WINDOW     76 /* frames of an embedding */
#define FEATURES   96
#define EMBEDDINGS 16 /* of a head */
#define FILL       40 /* steps until all windows hold real audio */
#define BURST      25

enum { MEL, EMBEDDING, HEAD, STAGES };
enum { ORT, FULL, STREAMED, LANES };
static const char *const lane_name[LANES] = {"ONNX Runtime", "neap, full", "neap, streamed"};

static const struct stage {
	const char *name, *file, *shape;
	int32_t step;
} stages[STAGES] = {
	[MEL] = {"mel", "melspectrogram.onnx", "input=1x1760", SAMPLES},
	[EMBEDDING] = {"embedding", "embedding_model.onnx", NULL, FRAMES},
	[HEAD] = {"head", "hey_mycroft_v0.1.onnx", NULL, 1},
};

/* One way of computing the chain. */
struct lane {
	struct ne_program *program[STAGES]; /* neap */
	struct ne_context *context[STAGES];
	struct peer_run ort[STAGES];
	float chunk[CHUNK], frames[WINDOW * BANDS], features[EMBEDDINGS * FEATURES];
	double *us[STAGES]; /* [steps] */
	double *chain_us;   /* [bursts] CPU time of a step */
	float *answer;      /* [steps] */
	float *embedding;   /* [steps * FEATURES] */
};

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench_stream: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		fail("memory", "none left");
	return p;
}

static double clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* ---- models ---- */

static struct ne_model *import(const char *path, const char *shape)
{
	struct onnx_options *opt = allocate(1, sizeof(*opt));
	struct ne_error err = {""};
	struct ne_model *m = NULL;
	size_t bytes = 0;
	void *data = NULL;

	if (shape) {
		if (onnx_parse_shape(shape, &opt->shape[0], &err) < 0)
			fail(shape, err.text);
		opt->n_shape = 1;
	}
	if (data_read_file(path, (size_t)1 << 28, &data, &bytes, &err) < 0 ||
	    onnx_import(data, bytes, opt, &m, &err) < 0)
		fail(path, err.text);
	free(data);
	free(opt);
	return m;
}

static void ready(struct lane *l, int stage, const struct ne_model *m)
{
	struct ne_error err = {""};

	if (ne_program_new(m, NULL, &l->program[stage], &err) < 0)
		fail(stages[stage].name, err.text);
	if (ne_context_new(l->program[stage], 1, &l->context[stage]) < 0)
		fail(stages[stage].name, "no memory");
}

static void open_stage(struct lane *l, int stage, const char *folder)
{
	const struct stage *s = &stages[stage];
	struct ne_stream_options o = {.step = s->step};
	struct ne_stream_summary u;
	struct ne_error err = {""};
	struct ne_model *m, *streamed;
	struct peer_case c = {.name = s->name};
	char path[4096];
	void *zeros;

	snprintf(path, sizeof(path), "%s/models/%s", folder, s->file);
	m = import(path, s->shape);
	ready(&l[FULL], stage, m);
	if (ne_stream_model(m, &o, &streamed, &u, &err) < 0)
		fail(path, err.text);
	ready(&l[STREAMED], stage, streamed);
	printf("%-10s %9llu MACs, streamed %9llu; %u of %u operators for new rows alone\n", s->name,
	       (unsigned long long)m->level[0].macs, (unsigned long long)streamed->level[0].macs,
	       u.sliding, u.nodes);
	c.model = m;
	c.onnx = path;
	zeros = allocate(1, ne_program_input(l[FULL].program[stage], 0)->bytes);
	if (peer_onnxruntime.open(&c, NULL, 1, zeros, &l[ORT].ort[stage], &err) < 0)
		fail(path, err.text);
	free(zeros);
	ne_model_free(m);
	ne_model_free(streamed);
}

/* ---- audio ---- */

/* All recordings of the folder one after the other, as the mel model takes them: PCM values. */
static size_t read_audio(const char *folder, float **ret)
{
	static const char *const file[] = {"hey_mycroft.wav",     "alexa.wav",     "hey_jane.wav",
					   "computer.wav",        "okay_nabu.wav", "alexa_test.wav",
					   "hey_mycroft_test.wav"};
	size_t n = 0;
	float *all = NULL;

	for (size_t k = 0; k < NE_ARRAY_SIZE(file); k++) {
		struct ne_error err = {""};
		char path[4096];
		size_t bytes, samples;
		uint8_t *data = NULL;

		snprintf(path, sizeof(path), "%s/wake-audio/%s", folder, file[k]);
		if (data_read_file(path, (size_t)1 << 28, (void **)&data, &bytes, &err) < 0)
			fail(path, err.text);
		if (bytes < 44 || memcmp(data, "RIFF", 4) != 0 || memcmp(data + 36, "data", 4) != 0)
			fail(path, "not a plain WAV file");
		samples = (bytes - 44) / 2;
		all = realloc(all, (n + samples) * sizeof(*all));
		if (!all)
			fail("memory", "none left");
		for (size_t i = 0; i < samples; i++)
			all[n++] = (float)(int16_t)(data[44 + 2 * i] | data[45 + 2 * i] << 8);
		free(data);
	}
	*ret = all;
	return n;
}

/* ---- a step ---- */

static void push(float *ring, size_t n, const float *fresh, size_t k)
{
	memmove(ring, ring + k, (n - k) * sizeof(*ring));
	memcpy(ring + n - k, fresh, k * sizeof(*ring));
}

/* One stage on @in; the output's values are copied to @out. */
static void run_stage(struct lane *l, int stage, const float *in, size_t n_in, float *out,
		      size_t n_out)
{
	if (l->program[stage]) {
		if (ne_run(l->program[stage], l->context[stage], 0, (const void *[]){in},
			   (void *[]){out}, NULL, NULL) < 0)
			fail(stages[stage].name, "does not run");
		return;
	}
	memcpy(l->ort[stage].in, in, n_in * sizeof(*in));
	peer_onnxruntime.run(&l->ort[stage]);
	memcpy(out, l->ort[stage].out, n_out * sizeof(*out));
}

static void step(struct lane *l, bool streamed, const float *audio, size_t i)
{
	float mel[FRAMES * BANDS], embedding[FEATURES], answer = 0;
	double t[STAGES + 1];

	t[0] = clock_us(CLOCK_MONOTONIC);
	if (!streamed)
		push(l->chunk, CHUNK, audio, SAMPLES);
	run_stage(l, MEL, streamed ? audio : l->chunk, CHUNK, mel, FRAMES * BANDS);
	for (int k = 0; k < FRAMES * BANDS; k++)
		mel[k] = mel[k] / 10 + 2; /* what the embedding was trained on */
	t[1] = clock_us(CLOCK_MONOTONIC);
	if (!streamed)
		push(l->frames, WINDOW * BANDS, mel, FRAMES * BANDS);
	run_stage(l, EMBEDDING, streamed ? mel : l->frames, WINDOW * BANDS, embedding, FEATURES);
	t[2] = clock_us(CLOCK_MONOTONIC);
	if (!streamed)
		push(l->features, EMBEDDINGS * FEATURES, embedding, FEATURES);
	run_stage(l, HEAD, streamed ? embedding : l->features, EMBEDDINGS * FEATURES, &answer, 1);
	t[3] = clock_us(CLOCK_MONOTONIC);
	for (int k = 0; k < STAGES; k++)
		l->us[k][i] = t[k + 1] - t[k];
	l->answer[i] = answer;
	memcpy(l->embedding + i * FEATURES, embedding, sizeof(embedding));
}

/* ---- figures ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *us, size_t n)
{
	double *sorted = allocate(n, sizeof(*sorted)), m;

	memcpy(sorted, us, n * sizeof(*us));
	qsort(sorted, n, sizeof(*sorted), by_value);
	m = sorted[n / 2];
	free(sorted);
	return m;
}

static double difference(const float *a, const float *b, size_t from, size_t to)
{
	double most = 0;

	for (size_t i = from; i < to; i++)
		most = fmax(most, fabs((double)a[i] - (double)b[i]));
	return most;
}

static void report(struct lane *l, size_t steps, const char *json)
{
	cJSON *rows = cJSON_CreateArray();

	printf("\n80 ms of audio, us; the chain's are CPU time (medians of %zu steps)\n",
	       steps - FILL);
	printf("%-10s %13s %13s %15s %10s %12s\n", "", lane_name[0], lane_name[1], lane_name[2],
	       "full /", "ONNX Runtime");
	printf("%-10s %13s %13s %15s %10s %12s\n", "", "", "", "", "streamed", "/ streamed");
	for (int k = 0; k <= STAGES; k++) {
		cJSON *row = cJSON_CreateObject();
		double us[LANES];

		for (int i = 0; i < LANES; i++)
			us[i] = k < STAGES ? median(l[i].us[k] + FILL, steps - FILL)
					   : median(l[i].chain_us + FILL / BURST + 1,
						    steps / BURST - FILL / BURST - 1);
		printf("%-10s %13.1f %13.1f %15.1f %9.2fx %11.2fx\n",
		       k < STAGES ? stages[k].name : "chain", us[ORT], us[FULL], us[STREAMED],
		       us[FULL] / us[STREAMED], us[ORT] / us[STREAMED]);
		cJSON_AddStringToObject(row, "stage", k < STAGES ? stages[k].name : "chain");
		cJSON_AddNumberToObject(row, "onnxruntime_us", us[ORT]);
		cJSON_AddNumberToObject(row, "neap_full_us", us[FULL]);
		cJSON_AddNumberToObject(row, "neap_streamed_us", us[STREAMED]);
		cJSON_AddNumberToObject(row, "full_over_streamed", us[FULL] / us[STREAMED]);
		cJSON_AddNumberToObject(row, "onnxruntime_over_streamed", us[ORT] / us[STREAMED]);
		cJSON_AddItemToArray(rows, row);
	}
	printf("\nlargest difference        embedding   answer\n");
	for (int i = 0; i < STREAMED; i++)
		printf("streamed to %-13s %9.2g %8.2g\n", lane_name[i],
		       difference(l[i].embedding, l[STREAMED].embedding, FILL * FEATURES,
				  steps * FEATURES),
		       difference(l[i].answer, l[STREAMED].answer, FILL, steps));
	if (json) {
		char *text = cJSON_Print(rows);
		FILE *f = text ? fopen(json, "w") : NULL;

		if (!f || fprintf(f, "%s\n", text) < 0 || fclose(f) != 0)
			fail(json, strerror(errno));
		free(text);
		printf("\n%s written\n", json);
	}
	cJSON_Delete(rows);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"ort", required_argument, NULL, 'o'},
						{"data", required_argument, NULL, 'd'},
						{"json", required_argument, NULL, 'j'},
						{"steps", required_argument, NULL, 'n'},
						{NULL, 0, NULL, 0}};
	const char *folder = NULL, *json = NULL;
	struct lane *lane = allocate(LANES, sizeof(*lane));
	size_t steps = 1000, samples;
	float *audio;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'o')
			onnxruntime_library(optarg);
		else if (opt == 'd')
			folder = optarg;
		else if (opt == 'j')
			json = optarg;
		else if (opt == 'n')
			steps = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	steps -= steps % BURST;
	if (!folder || optind != argc || steps < 5 * BURST) {
		fprintf(stderr, "usage: bench_stream --ort LIBRARY --data DIR [--json FILE] "
				"[--steps N, at least 125]\n");
		return 2;
	}
	samples = read_audio(folder, &audio) / SAMPLES * SAMPLES;
	for (int k = 0; k < STAGES; k++)
		open_stage(lane, k, folder);
	for (int i = 0; i < LANES; i++) {
		for (int k = 0; k < STAGES; k++)
			lane[i].us[k] = allocate(steps, sizeof(double));
		lane[i].chain_us = allocate(steps / BURST, sizeof(double));
		lane[i].answer = allocate(steps, sizeof(float));
		lane[i].embedding = allocate(steps * FEATURES, sizeof(float));
	}
	for (size_t at = 0; at < steps; at += BURST)
		for (int i = 0; i < LANES; i++) {
			double from = clock_us(CLOCK_PROCESS_CPUTIME_ID);

			for (size_t k = at; k < at + BURST; k++)
				step(&lane[i], i == STREAMED, audio + k * SAMPLES % samples, k);
			lane[i].chain_us[at / BURST] =
				(clock_us(CLOCK_PROCESS_CPUTIME_ID) - from) / BURST;
		}
	report(lane, steps, json);
	return 0;
}
