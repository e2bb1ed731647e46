// SPDX-License-Identifier: MIT
/* neap features: a recording as the input of a wake word model, an npy file for neap run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_SNDFILE
#include <sndfile.h>
#endif

#include "tools/neap/command.h"
#include "tools/neap/data/microfrontend.h"
#include "tools/neap/data/npy.h"
#include "tools/neap/options.h"

#define MAX_SAMPLES ((size_t)MICRO_RATE_HZ * 3600 * 4) /* four hours */

struct features {
	const char *model, *recording, *out;
	/* Owned. */
	struct ne_model *m;
	int16_t *sample;
	size_t n_sample, frames;
	float *value; /* [frames][MICRO_CHANNELS] */
};

static bool parse(struct features *f, int argc, char **argv, int *ret_exit)
{
	const struct option_spec option[] = {
		OPT_REQUIRED("output", 'o', &f->out, "X.npy", "Where the features go."),
	};
	const char *word[2];
	const struct command_options o = {
		.command = "features",
		.about = "Turns a recording (16 kHz mono) into the features that TFLite Micro's "
			 "wake words take:\n40 mel channels every 10 ms, as many frames a call as "
			 "the model's input has, of its type\nand quantisation. neap run MODEL -i "
			 "X.npy then goes through the recording as one stream.",
		.word_name = "MODEL RECORDING",
		.word = word,
		.n_word = 2,
		.option = option,
		.n_option = NE_ARRAY_SIZE(option),
	};

	if (!options_parse(&o, argc, argv, ret_exit))
		return false;
	f->model = word[0];
	f->recording = word[1];
	return true;
}

#ifdef HAVE_SNDFILE
static int read_recording(struct features *f, struct ne_error *err)
{
	SF_INFO info = {0};
	SNDFILE *s = sf_open(f->recording, SFM_READ, &info);
	int r = 0;

	if (!s)
		return ne_fail(err, EINVAL, "%.120s: %s", f->recording, sf_strerror(NULL));
	if (info.samplerate != MICRO_RATE_HZ || info.channels != 1)
		r = ne_fail(err, EINVAL,
			    "%.120s has %d channels at %d Hz; convert it: sox IN -r 16000 -c 1 OUT",
			    f->recording, info.channels, info.samplerate);
	else if (info.frames < MICRO_FRAME || (uint64_t)info.frames > MAX_SAMPLES)
		r = ne_fail(err, EINVAL, "%.120s has %lld samples; %d to %zu are taken",
			    f->recording, (long long)info.frames, MICRO_FRAME, MAX_SAMPLES);
	if (!r) {
		f->sample = calloc((size_t)info.frames, sizeof(*f->sample));
		if (!f->sample)
			r = ne_fail(err, ENOMEM, "out of memory");
		else
			f->n_sample = (size_t)sf_readf_short(s, f->sample, info.frames);
	}
	sf_close(s);
	return r;
}
#else
static int read_recording(struct features *f, struct ne_error *err)
{
	return ne_fail(err, ENOTSUP,
		       "%.120s: this build has no libsndfile: install libsndfile1-dev and build "
		       "again",
		       f->recording);
}
#endif

static int work_out(struct features *f, struct ne_error *err)
{
	struct micro_frontend *front = micro_frontend_new();

	f->frames = micro_frontend_frames(f->n_sample);
	f->value = calloc(f->frames ? f->frames : 1, MICRO_CHANNELS * sizeof(*f->value));
	if (!front || !f->value) {
		micro_frontend_free(front);
		return ne_fail(err, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < f->frames && !command_stop; i++)
		micro_frontend_frame(front, f->sample + i * MICRO_HOP,
				     f->value + i * MICRO_CHANNELS);
	micro_frontend_free(front);
	return command_stop ? ne_fail(err, EINTR, "interrupted; no file was written") : 0;
}

/* The model's input is [1,R,40] or [1,R,1,40] or [1,R,40,1]: R frames a call. */
static int rows_of(const struct ne_model *m, size_t *ret, struct ne_error *err)
{
	const struct ne_tensor *t = &m->graph.tensor[m->graph.in[0]];
	size_t elements = ne_shape_elements(&t->shape);

	if (m->graph.n_in != 1 || elements % MICRO_CHANNELS ||
	    (t->dtype != NE_F32 && t->dtype != NE_S8 && t->dtype != NE_U8))
		return ne_fail(err, EINVAL,
			       "the model's input '%.60s' is not of %d features a frame", t->name,
			       MICRO_CHANNELS);
	*ret = elements / MICRO_CHANNELS;
	return 0;
}

/* One value as the input's type has it. */
static void put(void *to, size_t at, enum ne_dtype type, struct ne_quant q, float feature)
{
	float real = feature * MICRO_SCALE, v;

	if (type == NE_F32) {
		((float *)to)[at] = real;
		return;
	}
	v = rintf(real / q.scale) + (float)q.zero;
	if (type == NE_S8)
		((int8_t *)to)[at] = (int8_t)NE_CLAMP(v, -128.0f, 127.0f);
	else
		((uint8_t *)to)[at] = (uint8_t)NE_CLAMP(v, 0.0f, 255.0f);
}

static int save(const struct features *f, size_t *ret_calls, struct ne_error *err)
{
	const struct ne_graph *g = &f->m->graph;
	const struct ne_tensor *t = &g->tensor[g->in[0]];
	struct ne_quant q = f->m->width[0].quant[g->in[0]];
	size_t dim[NE_MAX_RANK] = {0}, rows = 1, calls, n;
	void *v;
	int r;

	NE_RETURN_IF(rows_of(f->m, &rows, err));
	calls = f->frames / rows;
	if (!calls)
		return ne_fail(err, EINVAL, "%.120s: %zu frames; the model takes %zu a call",
			       f->recording, f->frames, rows);
	for (uint32_t i = 0; i < t->shape.rank; i++)
		dim[i] = (size_t)t->shape.dim[i];
	dim[0] = calls;
	n = calls * rows * MICRO_CHANNELS;
	v = calloc(n, ne_dtype_size(t->dtype));
	if (!v)
		return ne_fail(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		put(v, i, t->dtype, q, f->value[i]);
	r = npy_save(f->out, t->dtype, t->shape.rank, dim, v, err);
	free(v);
	*ret_calls = calls;
	return r;
}

int cmd_features(int argc, char **argv)
{
	struct features f = {.model = NULL};
	struct ne_error err = {""};
	size_t calls = 0;
	int exit_code, r;

	if (!parse(&f, argc, argv, &exit_code))
		return exit_code;
	command_catch_stop();
	r = command_load(f.model, &f.m, &err);
	if (!r)
		r = read_recording(&f, &err);
	if (!r)
		r = work_out(&f, &err);
	if (!r)
		r = save(&f, &calls, &err);
	if (r < 0) {
		exit_code = command_fail("features", "%s", err.text);
	} else {
		printf("%s: %zu frames of 10 ms, %zu calls\n", f.out, f.frames, calls);
		exit_code = COMMAND_OK;
	}
	free(f.value);
	free(f.sample);
	ne_model_free(f.m);
	return exit_code;
}
