// SPDX-License-Identifier: MIT
/* Feeding samples, accuracy of levels, timing, and what is said of levels. */
#include "tools/neap/evaluate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/tiny_model.h"
#include "tools/neap/levels.h"
#include "tools/neap/timing.h"

#define SAMPLES 200u

/* Sample i is largest at i % 4; its class is that too, but one in five is one further. */
static void make_data(struct data_set *d)
{
	float *x = calloc(SAMPLES * TINY_CLASSES, sizeof(*x));

	memset(d, 0, sizeof(*d));
	d->n = SAMPLES;
	d->dtype = NE_F32;
	d->sample = (struct ne_shape){.rank = 1, .dim = {TINY_CLASSES}};
	d->sample_bytes = TINY_CLASSES * sizeof(*x);
	d->n_class = TINY_CLASSES;
	d->y = calloc(SAMPLES, sizeof(*d->y));
	assert_non_null(x);
	assert_non_null(d->y);
	for (size_t i = 0; i < SAMPLES; i++) {
		x[i * TINY_CLASSES + i % TINY_CLASSES] = 1 + (float)i;
		d->y[i] = (int32_t)((i + (i % 5 == 0)) % TINY_CLASSES);
	}
	d->x = x;
}

static void test_accuracy_of_each_level(void **state)
{
	struct ne_model *m = tiny_model();
	struct ne_error err = {""};
	float accuracy[2] = {-1, -1}, one = -1;
	struct data_set d;

	(void)state;
	make_data(&d);
	for (unsigned threads = 0; threads <= 3; threads++) {
		assert_int_equal(evaluate_levels(m, &d, EVALUATE_ALL, 0, threads, accuracy, &err),
				 0);
		/* Reversed, a sample is right where its class moved on to 3 - k: k = 1 and 3,
		 * half of the fifth that moved. */
		assert_true(accuracy[m->level[0].depth] == 0.8f);
		assert_true(accuracy[m->level[1].depth] == 0.1f);
	}
	for (uint32_t l = 0; l < 2; l++) {
		assert_int_equal(evaluate_levels(m, &d, l, 0, 1, &one, &err), 0);
		assert_true(one == accuracy[l]);
	}
	assert_int_equal(evaluate_levels(m, &d, 0, 1, 1, &one, &err), 0);
	assert_true(one == 0.0f); /* sample 0 moved: wrong at both exits */
	assert_int_equal(evaluate_levels(m, &d, 2, 0, 1, &one, &err), -EINVAL);
	assert_non_null(strstr(err.text, "levels 0 to 1"));
	data_close(&d);
	ne_model_free(m);
}

static char **names(const char *letters)
{
	char **name = calloc(TINY_CLASSES, sizeof(*name));

	assert_non_null(name);
	for (int i = 0; i < TINY_CLASSES; i++)
		name[i] = strndup(letters + i, 1);
	return name;
}

/* The data set numbers its classes the other way round than the model; names put that right. */
static void test_classes_by_name(void **state)
{
	struct ne_model *m = tiny_model();
	struct ne_error err = {""};
	float accuracy[2];
	struct data_set d;

	(void)state;
	make_data(&d);
	d.class_name = names("dcba");
	for (size_t i = 0; i < d.n; i++)
		d.y[i] = TINY_CLASSES - 1 - d.y[i];
	assert_int_equal(evaluate_levels(m, &d, EVALUATE_ALL, 0, 1, accuracy, &err), 0);
	assert_true(accuracy[m->level[0].depth] == 0.8f);
	data_close(&d);
	make_data(&d);
	d.class_name = names("efgh"); /* strangers to the model: by number */
	assert_int_equal(evaluate_levels(m, &d, EVALUATE_ALL, 0, 1, accuracy, &err), 0);
	assert_true(accuracy[m->level[0].depth] == 0.8f);
	data_close(&d);
	ne_model_free(m);
}

static void test_too_many_classes(void **state)
{
	struct ne_model *m = tiny_model();
	struct ne_error err = {""};
	float accuracy[2];
	struct data_set d;

	(void)state;
	make_data(&d);
	d.n_class = TINY_CLASSES + 1;
	assert_int_equal(evaluate_levels(m, &d, EVALUATE_ALL, 0, 1, accuracy, &err), -EINVAL);
	assert_non_null(strstr(err.text, "5 classes"));
	data_close(&d);
	ne_model_free(m);
}

struct stopper {
	volatile sig_atomic_t stop;
	size_t calls;
};

static void stop_at_once(void *user, size_t done, size_t total)
{
	struct stopper *s = user;

	assert_true(done <= total);
	s->stop = 1;
	s->calls++;
}

static void test_stops_early(void **state)
{
	struct ne_model *m = tiny_model();
	struct ne_program *p = NULL;
	struct ne_error err = {""};
	struct level_measure measure[2];
	struct stopper s = {.stop = 0};
	struct evaluate_options opt = {
		.level = EVALUATE_ALL,
		.threads = 1,
		.stop = &s.stop,
		.progress = stop_at_once,
		.user = &s,
	};
	struct data_set d;

	(void)state;
	make_data(&d);
	assert_int_equal(ne_program_new(m, NULL, &p, &err), 0);
	assert_int_equal(evaluate_measure(m, p, &d, &opt, measure, &err), 0);
	assert_int_equal(s.calls, 1);
	assert_in_range(measure[0].samples, 1, SAMPLES - 1);
	assert_true(measure[0].right <= measure[0].samples);
	assert_true(measure[0].p50_us > 0);
	assert_true(measure[0].p99_us >= measure[0].p50_us);
	ne_program_free(p);
	data_close(&d);
	ne_model_free(m);
}

/* ---- feeding ---- */

static struct sample_feeder *feeder(const struct ne_model *m, const struct data_set *d)
{
	struct sample_feeder *f = NULL;
	struct ne_error err = {""};

	if (sample_feeder_new(m, d, &f, &err) < 0)
		fail_msg("%s", err.text);
	return f;
}

/* Six values as [1,3,2] or so. */
static struct data_set six(enum ne_dtype t, void *x, int32_t a, int32_t b, int32_t c)
{
	return (struct data_set){
		.n = 1,
		.dtype = t,
		.sample = {.rank = 3, .dim = {a, b, c}},
		.sample_bytes = 6 * ne_dtype_size(t),
		.x = x,
	};
}

static void test_feed_scales(void **state)
{
	const struct ne_shape shape = {.rank = 4, .dim = {1, 1, 3, 2}};
	struct ne_model *m = tiny_input(NE_F32, &shape, (struct ne_quant){0});
	uint8_t u8[6] = {0, 1, 2, 128, 254, 255};
	int16_t s16[6] = {-32768, -1, 0, 1, 2, 32767};
	struct data_set d = six(NE_U8, u8, 1, 3, 2);
	struct sample_feeder *f;
	float got[6];

	(void)state;
	f = feeder(m, &d);
	sample_feed(f, 0, got);
	assert_true(got[5] == 255.0f);
	sample_feeder_free(f);
	assert_int_equal(ne_model_set_note(m, "input_scale", "0.5"), 0);
	assert_int_equal(ne_model_set_note(m, "input_offset", "-1"), 0);
	f = feeder(m, &d);
	assert_int_equal(sample_feeder_bytes(f), sizeof(got));
	sample_feed(f, 0, got);
	assert_true(got[0] == -1.0f && got[1] == -0.5f && got[3] == 63.0f && got[5] == 126.5f);
	sample_feeder_free(f);
	d = six(NE_S16, s16, 1, 3, 2);
	f = feeder(m, &d);
	sample_feed(f, 0, got);
	assert_true(got[0] == -16385.0f && got[5] == 16382.5f);
	sample_feeder_free(f);
	ne_model_free(m);
}

static void test_feed_bad_note(void **state)
{
	const struct ne_shape shape = {.rank = 4, .dim = {1, 1, 3, 2}};
	struct ne_model *m = tiny_input(NE_F32, &shape, (struct ne_quant){0});
	uint8_t u8[6] = {0};
	struct data_set d = six(NE_U8, u8, 1, 3, 2);
	struct sample_feeder *f;
	struct ne_error err = {""};

	(void)state;
	assert_int_equal(ne_model_set_note(m, "input_scale", "much"), 0);
	assert_int_equal(sample_feeder_new(m, &d, &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "input_scale"));
	ne_model_free(m);
}

static void test_feed_transposes(void **state)
{
	const struct ne_shape chw = {.rank = 4, .dim = {1, 2, 1, 3}};
	struct ne_model *m = tiny_input(NE_F32, &chw, (struct ne_quant){0});
	float f32[6] = {10, 20, 11, 21, 12, 22};
	uint8_t u8[6] = {10, 20, 11, 21, 12, 22};
	const float want[6] = {10, 11, 12, 20, 21, 22};
	struct data_set d = six(NE_F32, f32, 1, 3, 2);
	struct sample_feeder *f = feeder(m, &d);
	float got[6];

	(void)state;
	sample_feed(f, 0, got);
	assert_memory_equal(got, want, sizeof(want));
	sample_feeder_free(f);
	d = six(NE_U8, u8, 1, 3, 2);
	f = feeder(m, &d);
	sample_feed(f, 0, got);
	assert_memory_equal(got, want, sizeof(want));
	sample_feeder_free(f);
	ne_model_free(m);
}

static void test_feed_quantises(void **state)
{
	const struct ne_shape shape = {.rank = 4, .dim = {1, 1, 3, 2}};
	struct ne_model *m = tiny_input(NE_S8, &shape, (struct ne_quant){2, -128});
	uint8_t u8[6] = {0, 1, 2, 3, 254, 255};
	const int8_t want[6] = {-128, -128, -127, -126, -1, 0}; /* halves to even */
	float f32[6] = {-5, 1e9f, 0.0f / 1.0f, 6, 8, 10};
	struct data_set d = six(NE_U8, u8, 1, 3, 2);
	struct sample_feeder *f = feeder(m, &d);
	int8_t got[6];

	(void)state;
	sample_feed(f, 0, got);
	assert_memory_equal(got, want, sizeof(want));
	sample_feeder_free(f);
	d = six(NE_F32, f32, 1, 3, 2);
	f = feeder(m, &d);
	sample_feed(f, 0, got);
	assert_int_equal(got[0], -128);
	assert_int_equal(got[1], 127);
	assert_int_equal(got[3], -125);
	sample_feeder_free(f);
	ne_model_free(m);
}

static void test_feed_refuses(void **state)
{
	const struct ne_shape shape = {.rank = 4, .dim = {1, 1, 3, 2}};
	struct ne_model *m = tiny_input(NE_U8, &shape, (struct ne_quant){0});
	float f32[6] = {0};
	struct data_set d = six(NE_F32, f32, 1, 3, 2);
	struct sample_feeder *f;
	struct ne_error err = {""};

	(void)state;
	assert_int_equal(sample_feeder_new(m, &d, &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "takes u8 values, the data set has f32"));
	d = six(NE_U8, f32, 1, 3, 1);
	assert_int_equal(sample_feeder_new(m, &d, &f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "takes [1,1,3,2], the data set's samples are [1,3,1]"));
	ne_model_free(m);
}

/* ---- levels, quantiles, timing ---- */

static void test_quantile(void **state)
{
	float v[5] = {5, 1, 4, 2, 3};

	(void)state;
	assert_true(quantile(v, 5, 0.5) == 3);
	assert_true(quantile(v, 5, 0.0) == 1);
	assert_true(quantile(v, 5, 1.0) == 5);
	assert_true(quantile(v, 5, 0.625) == 3.5);
	assert_true(quantile(v, 1, 0.99) == 1);
	assert_true(quantile(v, 0, 0.5) == 0);
}

static void test_best_level(void **state)
{
	struct ne_model *m = tiny_model();
	struct ne_error err = {""};
	uint32_t level;

	(void)state;
	m->level[0].accuracy = 0.9f;
	m->level[1].accuracy = 0.8f;
	assert_int_equal(level_best(m), 0);
	m->level[1].accuracy = 0.95f;
	assert_int_equal(level_best(m), 1);
	m->level[1].flags = 0; /* off the front */
	assert_int_equal(level_best(m), 0);
	m->level[1].flags = m->level[0].flags;
	m->level[0].accuracy = m->level[1].accuracy = -1;
	m->level[0].macs = 7;
	m->level[1].macs = 8;
	assert_int_equal(level_best(m), 1);
	assert_true(level_width(m, 0) == 1.0);
	assert_int_equal(level_parse(m, "auto", false, true, &level, &err), 0);
	assert_int_equal(level, 1);
	assert_int_equal(level_parse(m, "all", true, false, &level, &err), 0);
	assert_true(level == LEVELS_ALL);
	assert_int_equal(level_parse(m, "all", false, true, &level, &err), -EINVAL);
	assert_int_equal(level_parse(m, "auto", true, false, &level, &err), -EINVAL);
	assert_int_equal(level_parse(m, "2", true, true, &level, &err), -EINVAL);
	assert_int_equal(level_parse(m, "-1", true, true, &level, &err), -EINVAL);
	assert_int_equal(level_parse(m, "1x", true, true, &level, &err), -EINVAL);
	assert_int_equal(level_parse(m, "", true, true, &level, &err), -EINVAL);
	ne_model_free(m);
}

static void test_width_of_level(void **state)
{
	int32_t third[3] = {0, 8, 16}, most[3] = {0, 24, 40};
	struct ne_width width[2] = {{.active = third}, {.active = most}};
	struct ne_model m = {.n_width = 2, .width = width, .graph = {.n_group = 2}};

	(void)state;
	assert_true(level_width(&m, 0) == 0.375);
	assert_true(level_width(&m, 1) == 1.0);
	third[2] = 13; /* 21 of 64, to 1/1000 */
	assert_true(level_width(&m, 0) == 0.328);
	m.graph.n_group = 0;
	assert_true(level_width(&m, 0) == 1.0);
}

static void test_timing(void **state)
{
	struct ne_model *m = tiny_model();
	struct timing_options opt = {.level = UINT32_MAX, .threads = 1, .runs = 50};
	volatile sig_atomic_t stop = 1;
	struct ne_program *p = NULL;
	struct level_timing t[2];
	struct ne_error err = {""};

	(void)state;
	assert_int_equal(ne_program_new(m, NULL, &p, &err), 0);
	assert_int_equal(time_levels(p, &opt, t, &err), 0);
	for (uint32_t l = 0; l < 2; l++) {
		assert_int_equal(t[l].level, l);
		assert_int_equal(t[l].runs, 50);
		assert_true(t[l].p50_us > 0);
		assert_true(t[l].p99_us >= t[l].p50_us);
	}
	opt.stop = &stop;
	assert_int_equal(time_levels(p, &opt, t, &err), 0);
	assert_int_equal(t[0].runs, 0);
	ne_program_free(p);
	ne_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accuracy_of_each_level),
		cmocka_unit_test(test_classes_by_name),
		cmocka_unit_test(test_too_many_classes),
		cmocka_unit_test(test_stops_early),
		cmocka_unit_test(test_feed_scales),
		cmocka_unit_test(test_feed_bad_note),
		cmocka_unit_test(test_feed_transposes),
		cmocka_unit_test(test_feed_quantises),
		cmocka_unit_test(test_feed_refuses),
		cmocka_unit_test(test_quantile),
		cmocka_unit_test(test_best_level),
		cmocka_unit_test(test_width_of_level),
		cmocka_unit_test(test_timing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
