/* SPDX-License-Identifier: MIT */
/*
 * Training end to end on a made-up task: patterns in noise. It learns at every width and exit, gives
 * the same bits each time, goes on from a checkpoint as if it had never stopped, and what the
 * command writes is a model whose engine accuracy is the trainer's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef HAVE_OPENBLAS
#include "engine/model/container.h"
#include "tools/neap/command.h"
#include "tools/neap/evaluate.h"
#include "tools/neap/train/assemble.h"
#include "tools/neap/train/augment.h"
#include "tools/neap/train/front.h"
#include "tools/neap/train/random.h"
#include "tools/neap/train/session.h"
#include "tools/neap/train/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIDE    8
#define SAMPLES 480
#define CLASSES 3

static char folder[] = "/tmp/neap-train-XXXXXX";

static char *in_folder(const char *name)
{
	static char path[4][96];
	static int at;

	at = (at + 1) % 4;
	snprintf(path[at], sizeof(path[at]), "%s/%s", folder, name);
	return path[at];
}

/* Class 0: bright above, 1: bright left, 2: a bright middle; with noise and a random level. */
static void draw(struct rng *rng, int32_t class, uint8_t *p)
{
	for (int y = 0; y < SIDE; y++) {
		for (int x = 0; x < SIDE; x++) {
			bool on = class == 0 ? y < SIDE / 2
				  : class == 1
					  ? x < SIDE / 2
					  : abs(2 * y - SIDE + 1) < 5 && abs(2 * x - SIDE + 1) < 5;

			*p++ = (uint8_t)(rng_below(rng, 90) + (on ? 60 + rng_below(rng, 40) : 0));
		}
	}
}

static void make_data(struct data_set *d, uint64_t seed, size_t n)
{
	struct rng rng = rng_make(seed, RNG_INIT, 5);

	*d = (struct data_set){.n = n,
			       .dtype = NE_U8,
			       .sample = {.rank = 3, .dim = {SIDE, SIDE, 1}},
			       .sample_bytes = SIDE * SIDE,
			       .n_class = CLASSES};
	d->x = malloc(n * d->sample_bytes);
	d->y = malloc(n * sizeof(*d->y));
	d->name = strdup("made-up");
	for (size_t i = 0; i < n; i++) {
		d->y[i] = (int32_t)(i % CLASSES);
		draw(&rng, d->y[i], (uint8_t *)d->x + i * d->sample_bytes);
	}
}

static const char recipe_text[] =
	"[data]\ntrain = a\ntest = b\nvalidation = 60\n"
	"[network]\ninput = u8 8x8x1\nnormalise = 70 0.02\n"
	"block = conv 16\nblock = exit grid=2\nblock = residual 16 stride=2\nblock = exit\n"
	"[widths]\nfractions = 1 0.5\n"
	"[train]\nepochs = 8\nbatch = 30\nlearning_rate = 0.1\nwarmup = 0.5\naverage = 0.9\n"
	"[augment]\nshift = 1\nmixup = 0.2\n[quantise]\nrecalibrate = 200\n";

struct fixture {
	struct recipe r;
	struct data_set d;
	struct network n;
	struct pool *pool;
	struct sampler *s;
};

static void open_fixture(struct fixture *f)
{
	struct ne_error err = {{0}};

	make_data(&f->d, 1, SAMPLES);
	assert_int_equal(recipe_parse("test", recipe_text, &f->r, &err), 0);
	assert_int_equal(network_build(&f->r, CLASSES, &f->n, &err), 0);
	assert_int_equal(pool_new(2, &f->pool), 0);
	assert_int_equal(sampler_new(&f->r, &f->n, &f->d, 2, &f->s, &err), 0);
}

static void close_fixture(struct fixture *f)
{
	sampler_free(f->s);
	pool_free(f->pool);
	network_done(&f->n);
	recipe_done(&f->r);
	data_close(&f->d);
}

static const struct trainer_scope nested = {.n_width = 2, .width = {0, 1}, .exits = 3};

static struct session session_in(struct fixture *f, const char *name)
{
	return (struct session){.r = &f->r,
				.n = &f->n,
				.s = f->s,
				.pool = f->pool,
				.checkpoint = in_folder(name),
				.title = "test",
				.epochs = 8,
				.quiet = true};
}

static void test_learns(void **state)
{
	struct fixture f;
	struct trainer *t;
	struct width_stats stats;
	struct ne_model *m;
	struct data_set held;
	struct ne_error err = {{0}};
	struct session c;
	const uint32_t *index;
	float right[NE_MAX_EXITS], engine[4];
	size_t n;

	(void)state;
	open_fixture(&f);
	c = session_in(&f, "learns.ckpt");
	assert_int_equal(session_train(&c, &nested, true, &t, &err), 0);
	assert_int_equal(width_stats_new(&f.n, &stats), 0);
	for (uint32_t w = 0; w < 2; w++)
		trainer_recalibrate(t, w, 200, stats.mean[w], stats.var[w]);
	assert_int_equal(assemble_model(&f.n, trainer_weights(t), &stats, &m, &err), 0);
	assert_int_equal(m->n_level, 4);
	n = sampler_held_out(f.s, &index);
	assert_int_equal(n, 60);
	assert_int_equal(sampler_subset(&f.d, index, n, &held, &err), 0);
	assert_int_equal(evaluate_levels(m, &held, EVALUATE_ALL, 0, 1, engine, &err), 0);
	for (uint32_t w = 0; w < 2; w++) {
		trainer_accuracy(t, w, stats.mean[w], stats.var[w], f.s, index, n, right);
		for (uint32_t e = 0; e < 2; e++)
			if (right[e] < 0.9f)
				fail_msg("width %u, exit %u: %g", w, e, (double)right[e]);
		/* The folded model in the engine is the network in training. */
		for (uint32_t l = 0; l < m->n_level; l++)
			if (m->level[l].width == w)
				assert_true(abs((int)(engine[l] * 60.5f) -
						(int)(right[m->level[l].depth] * 60.5f)) <= 1);
	}
	data_close(&held);
	ne_model_free(m);
	width_stats_done(&stats);
	trainer_free(t);
	unlink(c.checkpoint);
	close_fixture(&f);
}

static void test_goes_on_as_if_never_stopped(void **state)
{
	struct fixture f;
	struct trainer *whole, *rest;
	struct ne_error err = {{0}};
	struct session c;
	size_t bytes;

	(void)state;
	open_fixture(&f);
	bytes = f.n.n_theta * sizeof(float);
	c = session_in(&f, "whole.ckpt");
	assert_int_equal(session_train(&c, &nested, true, &whole, &err), 0);
	unlink(c.checkpoint);
	c = session_in(&f, "cut.ckpt");
	for (uint64_t stop = 5; stop < 50; stop += 17) { /* in an epoch, at its end, in the next */
		c.stop_after = stop;
		assert_int_equal(session_train(&c, &nested, true, &rest, &err), -EINTR);
		c.resume = true;
	}
	c.stop_after = 0;
	assert_int_equal(session_train(&c, &nested, true, &rest, &err), 0);
	assert_int_equal(trainer_state(whole)->step, trainer_state(rest)->step);
	assert_memory_equal(trainer_state(whole)->theta, trainer_state(rest)->theta, bytes);
	assert_memory_equal(trainer_state(whole)->velocity, trainer_state(rest)->velocity, bytes);
	assert_memory_equal(trainer_weights(whole), trainer_weights(rest), bytes);
	trainer_free(whole);
	trainer_free(rest);
	/* With other epochs it is another training. */
	c.epochs = 5;
	assert_int_equal(session_train(&c, &nested, true, &rest, &err), -ESTALE);
	unlink(c.checkpoint);
	close_fixture(&f);
}

static void test_stops_when_asked(void **state)
{
	struct fixture f;
	struct trainer *t;
	struct ne_error err = {{0}};
	struct session c;

	(void)state;
	open_fixture(&f);
	c = session_in(&f, "stop.ckpt");
	command_stop = 1;
	assert_int_equal(session_train(&c, &nested, true, &t, &err), -EINTR);
	command_stop = 0;
	assert_non_null(strstr(err.text, "--resume"));
	assert_int_equal(access(c.checkpoint, R_OK), 0);
	unlink(c.checkpoint);
	close_fixture(&f);
}

static void test_holds_out(void **state)
{
	struct fixture f;
	struct ne_error err = {{0}};
	struct sampler *s;
	const uint32_t *train, *held;
	uint8_t seen[SAMPLES] = {0};
	size_t n_train, n_held;

	(void)state;
	open_fixture(&f);
	n_train = sampler_train(f.s, &train);
	n_held = sampler_held_out(f.s, &held);
	assert_int_equal(n_train + n_held, SAMPLES);
	for (size_t i = 0; i < n_train; i++)
		seen[train[i]]++;
	for (size_t i = 0; i < n_held; i++)
		seen[held[i]]++;
	for (size_t i = 0; i < SAMPLES; i++)
		assert_int_equal(seen[i], 1);
	/* With speakers: nobody is on both sides. */
	f.d.speaker = malloc(SAMPLES * sizeof(*f.d.speaker));
	for (int i = 0; i < SAMPLES; i++)
		f.d.speaker[i] = i / 7;
	assert_int_equal(sampler_new(&f.r, &f.n, &f.d, 1, &s, &err), 0);
	n_train = sampler_train(s, &train);
	n_held = sampler_held_out(s, &held);
	assert_true(n_held >= 60 && n_held < 60 + 7);
	assert_int_equal(n_train + n_held, SAMPLES);
	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < n_held; i++)
		seen[f.d.speaker[held[i]]] = 1;
	for (size_t i = 0; i < n_train; i++)
		assert_int_equal(seen[f.d.speaker[train[i]]], 0);
	sampler_free(s);
	close_fixture(&f);
}

/* The same draw gives the same sample; another draw another; no draw the sample itself. */
static void test_augments(void **state)
{
	struct fixture f;
	float a[64], b[64], t[CLASSES];
	uint32_t i = 4;
	int same = 0;

	(void)state;
	open_fixture(&f);
	for (uint64_t draw_number = 0; draw_number < 20; draw_number++) {
		sampler_fill(f.s, 0, &i, 1, true, draw_number, a, t);
		assert_true(t[0] + t[1] + t[2] > 0.999f && t[0] + t[1] + t[2] < 1.001f);
		sampler_fill(f.s, 1, &i, 1, true, draw_number, b, t);
		assert_memory_equal(a, b, sizeof(a));
		sampler_fill(f.s, 0, &i, 1, false, 0, b, t);
		same += !memcmp(a, b, sizeof(a));
	}
	assert_true(same < 10);
	assert_true(t[f.d.y[i]] == 1.0f);
	close_fixture(&f);
}

static void test_augments_audio(void **state)
{
	struct recipe_augment a = {.noise_db = -30.0f};
	struct rng rng = rng_make(1, RNG_AUGMENT, 0);
	int16_t in[400], out[400];
	float x[12];
	int changed = 0;

	(void)state;
	for (int i = 0; i < 400; i++)
		in[i] = (int16_t)((i * 7919) % 60000 - 30000);
	augment_audio(&a, &rng, 16000, 400, in, NULL, out);
	for (int i = 0; i < 399; i++) /* nothing asked for: nothing changes */
		assert_true(abs(in[i] - out[i]) <= 1);
	a = (struct recipe_augment){
		.time_shift_ms = 10, .gain_db = 12, .noise_p = 1, .speed = 0.2f};
	for (int k = 0; k < 50; k++) /* loud: must saturate, never wrap nor leave the clip */
		augment_audio(&a, &rng, 16000, 400, in, in, out);
	a = (struct recipe_augment){.mask_frames = 2, .mask_bins = 2};
	for (int k = 0; k < 50; k++) {
		for (int i = 0; i < 12; i++)
			x[i] = (float)i;
		augment_features(&a, &rng, 4, 3, x);
		for (int i = 0; i < 12; i++)
			changed += x[i] != (float)i;
	}
	assert_true(changed > 0);
}

static void test_front(void **state)
{
	static const uint64_t macs[6] = {50, 10, 40, 20, 30, 60};
	static const float accuracy[6] = {0.9f, 0.5f, 0.7f, 0.6f, 0.8f, 0.95f};
	struct ne_model *m = ne_model_new();

	(void)state;
	m->level = calloc(6, sizeof(*m->level));
	m->n_level = 6;
	for (int i = 0; i < 6; i++)
		m->level[i].macs = macs[i];
	assert_int_equal(front_choose(m, accuracy, 0.55f, 16), 0);
	/* 10 is too bad, 40 is worse than 30. */
	assert_int_equal(m->level[0].macs, 20);
	assert_int_equal(m->level[1].macs, 30);
	assert_int_equal(m->level[2].macs, 50);
	assert_int_equal(m->level[3].macs, 60);
	assert_int_equal(m->level[4].macs, 10);
	assert_int_equal(m->level[5].macs, 40);
	for (int i = 0; i < 6; i++)
		assert_int_equal(m->level[i].flags & NE_LEVEL_PARETO, i < 4);
	for (int i = 0; i < 6; i++)
		m->level[i].macs = macs[i];
	assert_int_equal(front_choose(m, accuracy, 0.0f, 3), 0);
	assert_int_equal(m->level[0].macs, 10);
	assert_int_equal(m->level[1].macs, 30);
	assert_int_equal(m->level[2].macs, 60);
	assert_int_equal(m->level[3].flags & NE_LEVEL_PARETO, 0);
	assert_int_equal(front_choose(m, accuracy, 0.99f, 3), -ERANGE);
	ne_model_free(m);
}

/* Of four levels, the last off the front, the second is beaten by its control and the third has none. */
static void test_front_beaten(void **state)
{
	static const float f32[4] = {0.80f, 0.85f, 0.9f, 0.7f};
	static const float control[4] = {0.805f, 0.87f, -1.0f, 0.9f};
	struct ne_model *m = ne_model_new();

	(void)state;
	m->level = calloc(4, sizeof(*m->level));
	m->n_level = 4;
	for (uint32_t i = 0; i < 4; i++)
		m->level[i] = (struct ne_level){.macs = 10 * (i + 1),
						.f32_accuracy = f32[i],
						.control_accuracy = control[i],
						.flags = i < 3 ? NE_LEVEL_PARETO : 0};
	assert_int_equal(front_drop_beaten(m, 0.05f), 0);
	assert_int_equal(front_drop_beaten(m, 0.01f), 1);
	assert_int_equal(m->level[0].macs, 10);
	assert_int_equal(m->level[1].macs, 30);
	assert_int_equal(m->level[2].macs, 20);
	assert_true(m->level[2].control_accuracy == 0.87f);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(m->level[i].flags & NE_LEVEL_PARETO, i < 2);
	m->level[0].control_accuracy = m->level[1].control_accuracy = 1.0f;
	assert_int_equal(front_drop_beaten(m, 0.01f), -ERANGE); /* none would be left */
	assert_int_equal(m->level[0].flags & NE_LEVEL_PARETO, NE_LEVEL_PARETO);
	ne_model_free(m);
}

static void put_u32(FILE *f, uint32_t v)
{
	const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
			      (uint8_t)v};

	fwrite(b, 1, 4, f);
}

static void write_idx(const char *images, const char *labels, uint64_t seed, uint32_t n)
{
	struct data_set d;
	FILE *f = fopen(images, "wb");

	make_data(&d, seed, n);
	assert_non_null(f);
	put_u32(f, 0x803);
	put_u32(f, n);
	put_u32(f, SIDE);
	put_u32(f, SIDE);
	fwrite(d.x, 1, n * SIDE * SIDE, f);
	fclose(f);
	f = fopen(labels, "wb");
	assert_non_null(f);
	put_u32(f, 0x801);
	put_u32(f, n);
	for (uint32_t i = 0; i < n; i++)
		fputc(d.y[i], f);
	fclose(f);
	data_close(&d);
}

static void write_recipe(const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f,
		"[data]\ntrain = idx:%s/x,%s/y\ntest = idx:%s/tx,%s/ty\nvalidation = 60\n"
		"licence = none\n%s[levels]\nby = probability\nconfidence = "
		"0.75\n[report]\ncontrol = yes\n",
		folder, folder, folder, folder, strstr(recipe_text, "[network]"));
	fclose(f);
}

static int run_train(const char *a, const char *b)
{
	char words[8][96] = {"train", "--quiet", "", "-o", "", "--threads=2", "", ""},
	     *argv[9] = {0};
	int argc = 6;

	strcpy(words[2], in_folder("r.ini"));
	strcpy(words[4], in_folder("m.neap"));
	if (a)
		strcpy(words[argc++], a);
	if (b)
		strcpy(words[argc++], b);
	for (int i = 0; i < argc; i++)
		argv[i] = words[i];
	return cmd_train(argc, argv);
}

/* Nothing is trained again where all is there; the controls outlive the file that had them. */
static void resume_keeps_controls(void)
{
	struct ne_model *before, *after;
	struct ne_error err = {{0}};

	assert_int_equal(ne_container_load(in_folder("m.neap"), NULL, &before, &err), 0);
	for (uint32_t i = 0; i < before->n_level; i++)
		if (before->level[i].control_accuracy >= 0.0f)
			before->level[i].control_accuracy = 0.125f; /* as no training gives it */
	assert_int_equal(ne_container_save(in_folder("m.neap"), before, 0, &err), 0);
	assert_int_equal(run_train("--resume", NULL), COMMAND_OK);
	assert_int_equal(ne_container_load(in_folder("m.neap"), NULL, &after, &err), 0);
	assert_int_equal(after->n_level, before->n_level);
	for (uint32_t i = 0; i < after->n_level; i++) {
		assert_true(after->level[i].control_accuracy == before->level[i].control_accuracy);
		assert_true(after->level[i].accuracy == before->level[i].accuracy);
	}
	ne_model_free(before);
	ne_model_free(after);
}

static void test_command(void **state)
{
	struct ne_model *m;
	struct ne_error err = {{0}};
	uint32_t front = 0;

	(void)state;
	write_idx(in_folder("x"), in_folder("y"), 1, SAMPLES);
	write_idx(in_folder("tx"), in_folder("ty"), 2, 150);
	write_recipe(in_folder("r.ini"));
	assert_int_equal(run_train("--control", NULL), COMMAND_FAILED); /* no model yet */
	assert_int_equal(run_train(NULL, NULL), COMMAND_OK);
	assert_int_equal(ne_container_load(in_folder("m.neap"), NULL, &m, &err), 0);
	assert_int_equal(m->n_level, 4);
	for (uint32_t i = 0; i < m->n_level; i++) {
		const struct ne_level *l = &m->level[i];

		assert_true(l->accuracy > 0.85f && l->f32_accuracy > 0.85f);
		assert_true(l->latency_us > 0.0f && l->macs > 0);
		if (!(l->flags & NE_LEVEL_PARETO))
			continue;
		front++;
		assert_true(l->control_accuracy > 0.85f);
	}
	assert_true(front >= 1);
	assert_true(m->confidence == 0.75f);
	assert_non_null(strstr(ne_model_get_note(m, "recipe"), "residual 16"));
	assert_string_equal(ne_model_get_note(m, "licence"), "none");
	assert_string_equal(ne_model_get_note(m, "train_samples"), "420");
	ne_model_free(m);
	assert_int_equal(access(in_folder("m.report.json"), R_OK), 0);
	assert_int_equal(run_train("--control", NULL), COMMAND_OK); /* nothing left to do */
	assert_int_equal(run_train("--control", "--epochs=3"), COMMAND_FAILED);
	resume_keeps_controls();
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {
		"x", "y", "tx", "ty", "r.ini", "m.neap", "m.report.json", "m.ckpt"};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(names); i++)
		unlink(in_folder(names[i]));
	return rmdir(folder); /* fails where something else was left behind */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learns),
		cmocka_unit_test(test_goes_on_as_if_never_stopped),
		cmocka_unit_test(test_stops_when_asked),
		cmocka_unit_test(test_holds_out),
		cmocka_unit_test(test_augments),
		cmocka_unit_test(test_augments_audio),
		cmocka_unit_test(test_front),
		cmocka_unit_test(test_front_beaten),
		cmocka_unit_test(test_command),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
#else
#include <stdio.h>

int main(void)
{
	puts("skipped: built without OpenBLAS");
	return 77;
}
#endif
