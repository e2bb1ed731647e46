/* SPDX-License-Identifier: MIT */
/*
 * Streaming wake words: TFLite models that keep resource variables from call to call. Each is run
 * on recordings call by call, its variables kept as the engine's state, and its answers must be
 * those of the same layers run once over the whole recording: a graph without state that the test
 * makes of the imported one. Skipped, with the reason, where the data are absent.
 */
#include "tests/unit/run_graph.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_data.h"

#include "engine/model/container.h"
#include "engine/run/run.h"
#include "tools/neap/data/data.h"
#include "tools/neap/data/microfrontend.h"
#include "tools/neap/import/tflite.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BINS MICRO_CHANNELS

/* ---- features of a recording ---- */

/* Its frames' features as int8 of the models' input. */
static int8_t *features(const char *file, const struct ne_model *m, size_t *ret_frames)
{
	struct ne_quant input = m->width[0].quant[m->graph.in[0]];
	struct micro_frontend *f = micro_frontend_new();
	struct ne_error err = {""};
	const int16_t *sample;
	size_t bytes, n;
	float v[BINS];
	int8_t *q;
	void *data;

	if (data_read_file(tiny_need(file), (size_t)1 << 26, &data, &bytes, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(bytes > 44); /* a canonical WAV header */
	sample = (const void *)((const char *)data + 44);
	n = micro_frontend_frames((bytes - 44) / 2);
	q = malloc(n * BINS);
	assert_non_null(q);
	assert_non_null(f);
	for (size_t i = 0; i < n; i++) {
		micro_frontend_frame(f, sample + i * MICRO_HOP, v);
		for (int k = 0; k < BINS; k++)
			q[i * BINS + (size_t)k] = (int8_t)NE_CLAMP(
				rintf(v[k] * MICRO_SCALE / input.scale) + (float)input.zero,
				-128.0f, 127.0f);
	}
	*ret_frames = n;
	micro_frontend_free(f);
	free(data);
	return q;
}

/* ---- the model ---- */

static struct ne_model *import(const char *file)
{
	const char *path = scratch_path("stream.neap");
	struct ne_error err = {""};
	struct ne_model *m;
	size_t bytes;
	void *data;

	if (data_read_file(tiny_need(file), (size_t)1 << 26, &data, &bytes, &err) < 0 ||
	    tflite_import(data, bytes, &m, &err) < 0 || ne_container_save(path, m, 0, &err) < 0)
		fail_msg("%s: %s", file, err.text);
	free(data);
	ne_model_free(m);
	if (ne_container_load(path, NULL, &m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

/* ---- the same layers over a whole recording ---- */

struct whole {
	const struct ne_model *from;
	struct ne_model *m;
	uint32_t calls;
	uint32_t *id;     /* of each tensor of the streaming graph, in the whole one */
	int32_t *history; /* rows before those of the first call */
};

static const struct ne_tensor *old(const struct whole *w, uint32_t t)
{
	return &w->from->graph.tensor[t];
}

/* A tensor like @t over @rows rows. */
static uint32_t new_tensor(struct whole *w, uint32_t t, int32_t rows)
{
	struct ne_shape s = old(w, t)->shape;
	int id;

	if (s.rank == 2) /* an answer a call: a column of them */
		s = (struct ne_shape){4, {1, 1, 1, s.dim[1]}};
	s.dim[1] = rows;
	id = ne_graph_add_tensor(&w->m->graph, old(w, t)->name, old(w, t)->dtype, &s);
	assert_true(id >= 0);
	w->m->graph.tensor[id].quant = w->from->width[0].quant[t];
	w->id[t] = (uint32_t)id;
	return (uint32_t)id;
}

static uint32_t copy_const(struct whole *w, uint32_t t, const struct ne_shape *shape)
{
	const struct ne_tensor *from = old(w, t);
	void *data = ne_alloc_aligned(from->bytes);
	struct ne_tensor *to;
	int id;

	memcpy(data, from->data, from->bytes);
	id = ne_graph_add_const(&w->m->graph, from->name, from->dtype, shape ? shape : &from->shape,
				data);
	assert_true(id >= 0);
	to = &w->m->graph.tensor[id];
	if (from->n_scale) {
		to->scale = malloc(from->n_scale * sizeof(*to->scale));
		memcpy(to->scale, from->scale, from->n_scale * sizeof(*to->scale));
		to->n_scale = from->n_scale;
	}
	return (uint32_t)id;
}

static void add(struct whole *w, enum ne_op op, uint32_t n_in, const uint32_t *in, uint32_t out,
		const struct ne_attr *attr)
{
	assert_true(ne_graph_add_node(&w->m->graph, op, "", n_in, in, 1, &out, attr) >= 0);
}

static int32_t rows_of(const struct whole *w, uint32_t t)
{
	return w->m->graph.tensor[w->id[t]].shape.dim[1];
}

static bool is_state(const struct whole *w, uint32_t t)
{
	for (uint32_t i = 0; i < w->from->graph.n_state; i++)
		if (w->from->graph.state[i].in == t)
			return true;
	return false;
}

/* Rows kept from before and the new ones: the whole recording with zeros before it. */
static void whole_concat(struct whole *w, const struct ne_node *n)
{
	int32_t kept = old(w, n->in[0])->shape.dim[1];
	struct ne_attr attr = {.groups = 1};
	uint32_t in[2];

	if (!is_state(w, n->in[0])) { /* of channels: as it is */
		assert_int_equal(n->attr.axis, 3);
		in[0] = w->id[n->in[0]];
		in[1] = w->id[n->in[1]];
		assert_int_equal(n->n_in, 2);
		w->history[n->out[0]] = w->history[n->in[0]];
		add(w, NE_OP_CONCAT, 2, in, new_tensor(w, n->out[0], rows_of(w, n->in[0])),
		    &n->attr);
		return;
	}
	assert_int_equal(n->attr.axis, 1);
	assert_int_equal(w->history[n->in[1]], 0);
	attr.pad[1] = kept;
	in[0] = w->id[n->in[1]];
	w->history[n->out[0]] = kept;
	add(w, NE_OP_PAD, 1, in, new_tensor(w, n->out[0], rows_of(w, n->in[1]) + kept), &attr);
}

/* The last rows of each call's: the first ones of the whole are dropped; or a part of the channels. */
static void whole_slice(struct whole *w, const struct ne_node *n)
{
	int32_t before = n->attr.slice.begin[1], rows = rows_of(w, n->in[0]) - before;
	struct ne_attr attr = n->attr;
	uint32_t in = w->id[n->in[0]];

	assert_int_equal(before + n->attr.slice.size[1], old(w, n->in[0])->shape.dim[1]);
	attr.slice.size[1] = rows;
	w->history[n->out[0]] = w->history[n->in[0]] - before;
	if (w->history[n->out[0]] < 0) /* what the next call is to keep: nobody reads it here */
		return;
	add(w, NE_OP_SLICE, 1, &in, new_tensor(w, n->out[0], rows), &attr);
}

/* One row a call comes of it, whose stride is the new rows of a call. */
static void whole_window(struct whole *w, const struct ne_node *n)
{
	const struct ne_shape *x = &old(w, n->in[0])->shape;
	uint32_t in[3] = {w->id[n->in[0]]};
	struct ne_attr attr = n->attr;

	assert_int_equal(old(w, n->out[0])->shape.dim[1], 1);
	attr.window.sh = x->dim[1] - w->history[n->in[0]];
	for (uint32_t k = 1; k < n->n_in; k++)
		in[k] = copy_const(w, n->in[k], NULL);
	add(w, n->op, n->n_in, in, new_tensor(w, n->out[0], (int32_t)w->calls), &attr);
}

/* A dense layer over all of a call's rows is a convolution as high as they. */
static void whole_dense(struct whole *w, const struct ne_node *n, uint32_t flattened)
{
	const struct ne_shape *x = &old(w, flattened)->shape;
	struct ne_shape ws = {4, {old(w, n->out[0])->shape.dim[1], x->dim[1], 1, x->dim[3]}};
	struct ne_attr attr = {.groups = 1, .window = {x->dim[1], 1, 1, 1, 1, 1, 0, 0, 0, 0}};
	uint32_t in[3] = {w->id[flattened], copy_const(w, n->in[1], &ws)};

	assert_int_equal(n->n_in, 3);
	in[2] = copy_const(w, n->in[2], NULL);
	add(w, NE_OP_CONV, 3, in, new_tensor(w, n->out[0], (int32_t)w->calls), &attr);
}

static void whole_node(struct whole *w, const struct ne_node *n, uint32_t *flattened)
{
	uint32_t in = w->id[n->in[0]], rows = (uint32_t)rows_of(w, n->in[0]);

	switch (n->op) {
	case NE_OP_CONCAT:
		whole_concat(w, n);
		return;
	case NE_OP_SLICE:
		whole_slice(w, n);
		return;
	case NE_OP_CONV:
	case NE_OP_DWCONV:
		whole_window(w, n);
		return;
	case NE_OP_DENSE:
		whole_dense(w, n, *flattened);
		return;
	case NE_OP_RESHAPE:
		*flattened = n->in[0];
		if (old(w, n->out[0])->shape.rank == 2)
			return;
		/* [1,rows,bins] to [1,rows,1,bins] */
		add(w, NE_OP_RESHAPE, 1, &in, new_tensor(w, n->out[0], (int32_t)rows), &n->attr);
		return;
	default: /* of each value by itself */
		add(w, n->op, 1, &in, new_tensor(w, n->out[0], (int32_t)rows), &n->attr);
	}
}

static struct ne_model *make_whole(const struct ne_model *from, uint32_t calls)
{
	struct whole w = {.from = from, .m = ne_model_new(), .calls = calls};
	const struct ne_graph *g = &from->graph;
	struct ne_error err = {""};
	uint32_t flattened = 0, in;

	w.id = calloc(g->n_tensor, sizeof(*w.id));
	w.history = calloc(g->n_tensor, sizeof(*w.history));
	assert_non_null(w.id);
	assert_non_null(w.history);
	in = new_tensor(&w, g->in[0], (int32_t)calls * old(&w, g->in[0])->shape.dim[1]);
	assert_true(ne_graph_add_input(&w.m->graph, in) >= 0);
	for (uint32_t i = 0; i < g->n_node; i++)
		whole_node(&w, &g->node[i], &flattened);
	assert_true(ne_graph_add_exit(&w.m->graph, 1, &w.id[g->exit[0].out[0]]) >= 0);
	if (ne_graph_compact(&w.m->graph, &err) < 0 || ne_model_add_default_levels(w.m, &err) < 0 ||
	    ne_model_check(w.m, &err) < 0)
		fail_msg("the whole graph: %s", err.text);
	assert_int_equal(w.m->graph.n_state, 0);
	free(w.id);
	free(w.history);
	return w.m;
}

/* ---- the comparison ---- */

struct stream {
	struct ne_program *p;
	struct ne_context *c;
};

static void open_stream(const struct ne_model *m, struct stream *s)
{
	struct ne_error err = {""};

	if (ne_program_new(m, NULL, &s->p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(s->p, 1, &s->c), 0);
}

static void close_stream(struct stream *s)
{
	ne_context_free(s->c);
	ne_program_free(s->p);
}

static void run_calls(struct stream *s, const int8_t *x, size_t step, uint32_t calls, uint8_t *y)
{
	for (uint32_t i = 0; i < calls; i++)
		assert_int_equal(ne_run(s->p, s->c, 0, (const void *[]){x + i * step},
					(void *[]){y + i}, NULL, NULL),
				 0);
}

/* Returns the largest answer, of 255. */
static int compare(const char *model, const char *recording)
{
	struct ne_model *m = import(model), *whole_model;
	struct ne_state *other;
	struct stream s, whole;
	size_t frames, step;
	int8_t *x = features(recording, m, &frames);
	uint8_t *streamed, *once, *again;
	uint32_t calls;
	int top = 0;

	open_stream(m, &s);
	assert_int_equal(ne_program_states(s.p), 6);
	step = ne_program_input(s.p, 0)->bytes;
	calls = (uint32_t)(frames * BINS / step);
	streamed = calloc(calls, 1);
	once = calloc(calls, 1);
	again = calloc(calls, 1);
	whole_model = make_whole(m, calls);
	open_stream(whole_model, &whole);
	assert_int_equal(ne_program_output(whole.p, 0)->bytes, calls);
	assert_int_equal(
		ne_run(whole.p, whole.c, 0, (const void *[]){x}, (void *[]){once}, NULL, NULL), 0);
	run_calls(&s, x, step, calls, streamed);
	assert_memory_equal(streamed, once, calls);

	/* two streams in turn in one context, and one that starts anew */
	assert_int_equal(ne_state_new(s.p, &other), 0);
	run_calls(&s, x, step, calls / 2, again);
	ne_context_set_state(s.c, other);
	run_calls(&s, x, step, calls, again);
	assert_memory_equal(again, once, calls);
	ne_state_reset(other);
	run_calls(&s, x, step, calls, again);
	assert_memory_equal(again, once, calls);
	ne_context_set_state(s.c, NULL);
	ne_state_free(other);

	for (uint32_t i = 0; i < calls; i++)
		top = NE_MAX(top, streamed[i]);
	print_message(
		"%s on %s: %u calls, all as over the whole recording; largest answer %d/256\n",
		model, recording, calls, top);
	close_stream(&s);
	close_stream(&whole);
	ne_model_free(m);
	ne_model_free(whole_model);
	free(streamed);
	free(once);
	free(again);
	free(x);
	return top;
}

/* 0.9 of 255 for the word itself, at most 0.3 for others. */
static void test_okay_nabu(void **state)
{
	const char *model = "models/microwakeword_okay_nabu_v2.tflite";

	(void)state;
	assert_true(compare(model, "wake-audio/okay_nabu.wav") >= 230);
	assert_true(compare(model, "wake-audio/hey_jane.wav") <= 76);
	assert_true(compare(model, "wake-audio/alexa.wav") <= 76);
}

/* Nobody says its word in the data. */
static void test_hey_jarvis(void **state)
{
	const char *model = "models/microwakeword_hey_jarvis_v2.tflite";

	(void)state;
	assert_true(compare(model, "wake-audio/computer.wav") <= 76);
	assert_true(compare(model, "wake-audio/hey_mycroft.wav") <= 76);
}

/* The front end on what is known: silence gives nothing, a tone its own channels, and a tone that
 * lasts becomes noise. */
static void test_front_end(void **state)
{
	struct micro_frontend *f = micro_frontend_new();
	int16_t x[MICRO_FRAME] = {0};
	float v[BINS], first = 0, last = 0;
	double at;
	int best = 0;

	(void)state;
	assert_non_null(f);
	assert_int_equal(micro_frontend_frames(16000), 98);
	assert_int_equal(micro_frontend_frames(479), 0);
	micro_frontend_frame(f, x, v);
	for (int k = 0; k < BINS; k++)
		assert_true(v[k] == 0);
	for (int t = 0; t < 200; t++) {
		for (int i = 0; i < MICRO_FRAME; i++)
			x[i] = (int16_t)(8000 * sin(2 * M_PI * 1000 / MICRO_RATE_HZ *
						    (t * MICRO_HOP + i)));
		micro_frontend_frame(f, x, v);
		for (int k = 0; t == 0 && k < BINS; k++)
			best = v[k] > v[best] ? k : best;
		first = t == 0 ? v[best] : first;
		last = v[best];
	}
	/* channel k is centred on step k + 1 of 41 from 125 to 7500 Hz, even on the mel scale */
	at = log((1 + 1000.0 / 700) / (1 + 125.0 / 700)) /
	     log((1 + 7500.0 / 700) / (1 + 125.0 / 700)) * 41;
	assert_true(fabs(at - best - 1) < 0.6);
	assert_true(first > 300 && last < first - 100);
	micro_frontend_reset(f);
	micro_frontend_frame(f, x, v);
	assert_true(v[best] > last + 100);
	micro_frontend_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_front_end),
		cmocka_unit_test(test_okay_nabu),
		cmocka_unit_test(test_hey_jarvis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
