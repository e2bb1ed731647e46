/* SPDX-License-Identifier: MIT */
/* Post-training quantisation: what becomes s8, which scales, and how far the answers move. */
#include "tests/unit/run_graph.h"

#include "engine/run/run.h"
#include "tools/neap/compress/quantise/internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Samples of @n values each, in -2..2 or bytes, by a fixed sequence. */
static struct data_set samples_of(enum ne_dtype dtype, struct ne_shape shape, size_t count)
{
	struct data_set d = {.n = count, .dtype = dtype, .sample = shape, .n_class = 2};
	size_t n = ne_shape_elements(&shape) * count;
	uint32_t state = 9;

	d.sample_bytes = ne_shape_elements(&shape) * ne_dtype_size(dtype);
	d.x = malloc(n * ne_dtype_size(dtype));
	d.y = calloc(count, sizeof(*d.y));
	d.name = strdup("made by the test");
	assert_true(d.x && d.y && d.name);
	for (size_t i = 0; i < n; i++) {
		state = state * 1664525u + 1013904223u;
		if (dtype == NE_F32)
			((float *)d.x)[i] = (float)(state >> 8) / 4194304.0f - 2.0f;
		else
			((uint8_t *)d.x)[i] = (uint8_t)(state >> 24);
	}
	return d;
}

static void samples_done(struct data_set *d)
{
	free(d->x);
	free(d->y);
	free(d->name);
}

static struct ne_model *quantised(const struct ne_model *f32, const struct data_set *calib,
				  const struct quantise_options *opt)
{
	struct ne_error err = {""};
	struct ne_model *m;

	if (quantise_model(f32, calib, opt, &m, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

/* Signal to noise of @got against @want in decibels. */
static double quality(const float *want, const float *got, size_t n)
{
	double signal = 1e-30, noise = 1e-30;

	for (size_t i = 0; i < n; i++) {
		double d = (double)want[i] - (double)got[i];

		signal += (double)want[i] * (double)want[i];
		noise += d * d;
	}
	return 10 * log10(signal / noise);
}

static const struct ne_node *node_of(const struct ne_graph *g, enum ne_op op)
{
	for (uint32_t i = 0; i < g->n_node; i++)
		if (g->node[i].op == op)
			return &g->node[i];
	return NULL;
}

static uint32_t count(const struct ne_graph *g, enum ne_op op)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n_node; i++)
		n += g->node[i].op == op;
	return n;
}

/* A residual network with a concat, pools and a softmax. */
static struct ne_model *network(void)
{
	struct ne_attr relu = {.groups = 1, .act = NE_ACT_RELU};
	struct ne_attr pool = {.groups = 1, .window = {2, 2, 2, 2, 1, 1, 0, 0, 0, 0}};
	struct ne_attr concat = {.groups = 1, .axis = 3}, softmax = {.groups = 1, .axis = 1};
	struct ne_model *m;
	struct ne_graph g;
	uint32_t x, y;

	ne_graph_init(&g);
	x = b_input(&g, SHAPE(1, 8, 8, 3));
	x = B_NODE(&g, NE_OP_RELU, NULL, b_conv(&g, x, 16, 3, 1, 1));
	y = b_conv(&g, x, 16, 3, 1, 1);
	x = B_NODE(&g, NE_OP_ADD, &relu, x, y);
	x = B_NODE(&g, NE_OP_MAXPOOL, &pool, x);
	y = B_NODE(&g, NE_OP_HARDSWISH, NULL, b_conv(&g, x, 8, 1, 1, 0));
	x = B_NODE(&g, NE_OP_CONCAT, &concat, x, y);
	x = B_NODE(&g, NE_OP_GLOBALPOOL, NULL, x);
	x = B_NODE(&g, NE_OP_SOFTMAX, &softmax, b_dense(&g, x, 5));
	b_exit(&g, x);
	m = model_of_graph(&g);
	ne_graph_done(&g);
	return m;
}

static void answers_stay_close(void **state)
{
	struct data_set d = samples_of(NE_F32, SHAPE(8, 8, 3), 64);
	struct ne_model *f32 = network(), *s8 = quantised(f32, &d, NULL);

	(void)state;
	for (unsigned seed = 1; seed < 5; seed++) {
		size_t n, m;
		float *a = run_random(f32, seed, &n), *b = run_random(s8, seed, &m);

		assert_int_equal(n, m);
		if (quality(a, b, n) < 30)
			fail_msg("seed %u: %.1f dB", seed, quality(a, b, n));
		free(a);
		free(b);
	}
	ne_model_free(s8);
	ne_model_free(f32);
	samples_done(&d);
}

static void softmax_and_outputs_stay_f32(void **state)
{
	struct data_set d = samples_of(NE_F32, SHAPE(8, 8, 3), 16);
	struct ne_model *f32 = network(), *s8 = quantised(f32, &d, NULL);
	const struct ne_graph *g = &s8->graph;

	(void)state;
	assert_int_equal(g->tensor[g->in[0]].dtype, NE_F32);
	assert_int_equal(g->tensor[g->exit[0].out[0]].dtype, NE_F32);
	assert_string_equal(g->tensor[g->exit[0].out[0]].name,
			    f32->graph.tensor[f32->graph.exit[0].out[0]].name);
	assert_int_equal(g->tensor[node_of(g, NE_OP_SOFTMAX)->in[0]].dtype, NE_F32);
	assert_int_equal(count(g, NE_OP_QUANTISE), 1);
	assert_int_equal(count(g, NE_OP_DEQUANTISE), 1);
	for (uint32_t i = 0; i < g->n_node; i++)
		if (g->node[i].op == NE_OP_CONV || g->node[i].op == NE_OP_DENSE)
			assert_int_equal(g->tensor[g->node[i].in[1]].dtype, NE_S8);
	ne_model_free(s8);
	ne_model_free(f32);
	samples_done(&d);
}

static void scales_are_shared_and_relu_uses_the_whole_range(void **state)
{
	struct data_set d = samples_of(NE_F32, SHAPE(8, 8, 3), 16);
	struct ne_model *f32 = network(), *s8 = quantised(f32, &d, NULL);
	const struct ne_quant *q = s8->width[0].quant;
	const struct ne_node *n = node_of(&s8->graph, NE_OP_CONCAT);

	(void)state;
	for (uint32_t k = 0; k < n->n_in; k++) {
		assert_true(memcmp(&q[n->in[k]], &q[n->out[0]], sizeof(*q)) == 0);
	}
	n = node_of(&s8->graph, NE_OP_RELU);
	assert_int_equal(q[n->out[0]].zero, -128);
	ne_model_free(s8);
	ne_model_free(f32);
	samples_done(&d);
}

/* u8 pixels, normalised by a dequantise node: one table look-up of the same step, no rounding. */
static void bytes_become_s8_by_a_shift(void **state)
{
	struct data_set d = samples_of(NE_U8, SHAPE(6, 6, 1), 16);
	struct ne_shape shape = SHAPE(1, 6, 6, 1);
	const struct ne_node *n;
	struct ne_model *f32, *s8;
	struct ne_graph g;
	float *a, *b;
	uint32_t x;
	size_t len;

	(void)state;
	ne_graph_init(&g);
	x = (uint32_t)ne_graph_add_tensor(&g, "pixels", NE_U8, &shape);
	assert_true(ne_graph_add_input(&g, x) >= 0);
	x = B_NODE(&g, NE_OP_DEQUANTISE, NULL, x);
	x = B_NODE(&g, NE_OP_GLOBALPOOL, NULL, b_conv(&g, x, 8, 3, 1, 1));
	b_exit(&g, b_dense(&g, x, 4));
	/* the check wants the range of the input, so the model is put together by hand */
	f32 = ne_model_new();
	assert_non_null(f32);
	assert_int_equal(ne_graph_copy(&f32->graph, &g), 0);
	assert_int_equal(ne_model_add_default_levels(f32, NULL), 0);
	f32->width[0].quant[f32->graph.in[0]] = (struct ne_quant){.scale = 1.0f / 64, .zero = 100};
	assert_int_equal(ne_model_check(f32, NULL), 0);
	s8 = quantised(f32, &d, NULL);
	n = node_of(&s8->graph, NE_OP_QUANTISE);
	assert_int_equal(s8->graph.tensor[n->in[0]].dtype, NE_U8);
	assert_int_equal(count(&s8->graph, NE_OP_QUANTISE), 1);
	assert_int_equal(s8->width[0].quant[n->out[0]].zero, 100 - 128);
	assert_true(fabsf(s8->width[0].quant[n->out[0]].scale - 1.0f / 64) < 1e-8f);
	a = run_on(f32, d.x, &len);
	b = run_on(s8, d.x, &len);
	assert_true(quality(a, b, len) > 30);
	free(a);
	free(b);
	ne_graph_done(&g);
	ne_model_free(s8);
	ne_model_free(f32);
	samples_done(&d);
}

/* Two widths of one group: each gets ranges of its own. */
static void every_width_has_its_ranges(void **state)
{
	struct data_set d = samples_of(NE_F32, SHAPE(6, 6, 2), 32);
	struct ne_error err = {""};
	struct ne_model *f32, *s8;
	const struct ne_node *n;
	struct ne_graph g;
	uint32_t x;

	(void)state;
	ne_graph_init(&g);
	assert_int_equal(ne_graph_add_group(&g, 32), 1);
	x = b_conv(&g, b_input(&g, SHAPE(1, 6, 6, 2)), 32, 3, 1, 1);
	g.tensor[x].group = 1;
	x = B_NODE(&g, NE_OP_GLOBALPOOL, NULL, x);
	g.tensor[x].group = 1;
	b_exit(&g, b_dense(&g, x, 3));
	f32 = ne_model_new();
	assert_non_null(f32);
	assert_int_equal(ne_graph_copy(&f32->graph, &g), 0);
	f32->n_width = 2;
	f32->width = calloc(2, sizeof(*f32->width));
	f32->n_level = 2;
	f32->level = calloc(2, sizeof(*f32->level));
	for (uint32_t w = 0; w < 2; w++) {
		f32->width[w].active = calloc(2, sizeof(int32_t));
		f32->width[w].active[1] = w ? 32 : 8;
		f32->width[w].quant = calloc(g.n_tensor, sizeof(struct ne_quant));
		f32->level[w] = (struct ne_level){.width = w,
						  .flags = NE_LEVEL_PARETO,
						  .accuracy = 0.5f + 0.25f * (float)w,
						  .control_accuracy = -1,
						  .f32_accuracy = -1};
	}
	for (uint32_t w = 0; w < 2; w++)
		f32->level[w].macs = ne_model_macs(f32, 0, w);
	if (ne_model_check(f32, &err) < 0)
		fail_msg("%s", err.text);
	s8 = quantised(f32, &d, NULL);
	assert_int_equal(s8->n_width, 2);
	assert_int_equal(s8->width[0].active[1], 8);
	n = node_of(&s8->graph, NE_OP_CONV);
	assert_true(s8->width[0].quant[n->out[0]].scale <= s8->width[1].quant[n->out[0]].scale);
	n = node_of(&s8->graph, NE_OP_DENSE);
	assert_true(s8->width[0].quant[n->out[0]].scale < s8->width[1].quant[n->out[0]].scale ||
		    s8->width[0].quant[n->out[0]].scale > s8->width[1].quant[n->out[0]].scale);
	/* what was measured was the f32 model */
	assert_true(s8->level[1].accuracy < 0);
	assert_true(s8->level[1].f32_accuracy > 0.74f && s8->level[1].f32_accuracy < 0.76f);
	ne_graph_done(&g);
	ne_model_free(s8);
	ne_model_free(f32);
	samples_done(&d);
}

static void weights_have_least_error(void **state)
{
	struct ne_graph g;
	const struct ne_tensor *w;
	float *scale, *v;
	int8_t *q;
	uint32_t id, n;

	(void)state;
	ne_graph_init(&g);
	id = b_const(&g, SHAPE(4, 3, 3, 8), -1, 1);
	w = &g.tensor[id];
	v = w->data;
	v[5] = 3; /* one outlier in channel 0 */
	memset(v + 72, 0, 72 * sizeof(*v));
	assert_int_equal(weights_quantise(w, false, &q, &scale, &n), 0);
	assert_int_equal(n, 4);
	for (uint32_t c = 0; c < n; c++) {
		double own = 0, widest = 0;
		float max = 0;

		for (uint32_t i = 0; i < 72; i++)
			max = fmaxf(max, fabsf(v[c * 72 + i]));
		for (uint32_t i = 0; i < 72; i++) {
			double x = (double)v[c * 72 + i], s = (double)max / 127;
			double a = x - (double)q[c * 72 + i] * (double)scale[c];
			double b = s > 0 ? x - rint(x / s) * s : 0;

			own += a * a;
			widest += b * b;
		}
		assert_true(own <= widest * 1.0001 + 1e-12);
		assert_true(scale[c] > 0);
	}
	free(q);
	free(scale);
	/* along the last axis, as depthwise weights have it */
	assert_int_equal(weights_quantise(w, true, &q, &scale, &n), 0);
	assert_int_equal(n, 8);
	free(q);
	free(scale);
	ne_graph_done(&g);
}

static void percentile_clips_outliers(void **state)
{
	struct data_set d = samples_of(NE_F32, SHAPE(8, 8, 3), 64);
	struct quantise_options clip = {.percentile = 0.99f};
	struct ne_model *f32 = network(), *all, *most;
	const struct ne_node *n;

	(void)state;
	((float *)d.x)[7] = 1000;
	all = quantised(f32, &d, NULL);
	most = quantised(f32, &d, &clip);
	n = node_of(&all->graph, NE_OP_QUANTISE);
	assert_true(all->width[0].quant[n->out[0]].scale >
		    50 * most->width[0].quant[n->out[0]].scale);
	ne_model_free(all);
	ne_model_free(most);
	ne_model_free(f32);
	samples_done(&d);
}

static void zero_is_a_value_of_its_own(void **state)
{
	static const struct range ranges[] = {{-1, 1, true}, {0, 6, true},   {-3, 0, true},
					      {2, 5, true},  {-7, -2, true}, {-0.001f, 4, true},
					      {0, 0, true}};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(ranges); i++) {
		struct ne_quant q = range_quant(ranges[i]);

		assert_true(q.scale > 0 && isfinite(q.scale));
		assert_in_range(q.zero + 128, 0, 255);
		/* both ends within half a step of what s8 can say */
		assert_true((float)(-128 - q.zero) * q.scale <= ranges[i].lo + 0.51f * q.scale);
		assert_true((float)(127 - q.zero) * q.scale >= ranges[i].hi - 0.51f * q.scale);
	}
}

static void wrong_calls_are_refused(void **state)
{
	struct data_set d = samples_of(NE_F32, SHAPE(8, 8, 3), 1);
	struct quantise_options bad = {.percentile = 1.5f};
	struct ne_model *f32 = network(), *s8 = NULL;
	struct ne_error err = {""};

	(void)state;
	assert_int_equal(quantise_model(f32, &d, &bad, &s8, &err), -EINVAL);
	assert_non_null(strstr(err.text, "percentile"));
	d.n = 0;
	assert_int_equal(quantise_model(f32, &d, NULL, &s8, &err), -EINVAL);
	assert_non_null(strstr(err.text, "empty"));
	d.n = 1;
	d.sample = SHAPE(8, 8, 4);
	assert_true(quantise_model(f32, &d, NULL, &s8, &err) < 0);
	assert_null(s8);
	ne_model_free(f32);
	samples_done(&d);
}

/* y = relu(conv(x) + half of what conv(y) was before): a network with a memory. */
static struct ne_model *recurrent(void)
{
	struct ne_attr relu = {.groups = 1, .act = NE_ACT_RELU};
	uint32_t x, y, before;
	struct ne_shape kept = SHAPE(1, 8, 8, 16);
	struct ne_model *m;
	struct ne_graph g;

	ne_graph_init(&g);
	x = b_conv(&g, b_input(&g, SHAPE(1, 8, 8, 3)), 16, 3, 1, 1);
	before = (uint32_t)ne_graph_add_tensor(&g, "before", NE_F32, &kept);
	y = B_NODE(&g, NE_OP_ADD, &relu, x, before);
	x = b_conv(&g, y, 16, 1, 1, 0);
	x = B_NODE(&g, NE_OP_TANH, NULL, x);
	assert_true(ne_graph_add_state(&g, before, x, NE_NONE) >= 0);
	b_exit(&g, b_dense(&g, B_NODE(&g, NE_OP_GLOBALPOOL, NULL, y), 5));
	m = model_of_graph(&g);
	ne_graph_done(&g);
	return m;
}

/* Runs @m on all samples as one stream; outputs one after the other, freed with free(). */
static float *run_stream(const struct ne_model *m, const struct data_set *d)
{
	float *out = calloc(d->n * 5, sizeof(*out));
	struct ne_error err = {""};
	struct ne_program *p;
	struct ne_context *c;

	assert_non_null(out);
	if (ne_program_new(m, NULL, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ne_context_new(p, 1, &c), 0);
	for (size_t i = 0; i < d->n; i++)
		assert_int_equal(ne_run(p, c, 0,
					(const void *[]){(const char *)d->x + i * d->sample_bytes},
					(void *[]){out + 5 * i}, NULL, NULL),
				 0);
	ne_context_free(c);
	ne_program_free(p);
	return out;
}

/* What is kept stays f32, however long the stream. */
static void states_stay_real(void **state)
{
	struct data_set d = samples_of(NE_F32, SHAPE(8, 8, 3), 64);
	struct ne_model *f32 = recurrent(), *s8 = quantised(f32, &d, NULL);
	float *a = run_stream(f32, &d), *b = run_stream(s8, &d);

	(void)state;
	assert_int_equal(s8->graph.n_state, 1);
	assert_int_equal(s8->graph.tensor[s8->graph.state[0].in].dtype, NE_F32);
	assert_true(count(&s8->graph, NE_OP_QUANTISE) > 0);
	if (quality(a, b, d.n * 5) < 30 || quality(a + 300, b + 300, 20) < 30)
		fail_msg("%.1f dB, %.1f at the end", quality(a, b, d.n * 5),
			 quality(a + 300, b + 300, 20));
	free(a);
	free(b);
	ne_model_free(s8);
	ne_model_free(f32);
	samples_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_stay_close),
		cmocka_unit_test(states_stay_real),
		cmocka_unit_test(softmax_and_outputs_stay_f32),
		cmocka_unit_test(scales_are_shared_and_relu_uses_the_whole_range),
		cmocka_unit_test(bytes_become_s8_by_a_shift),
		cmocka_unit_test(every_width_has_its_ranges),
		cmocka_unit_test(weights_have_least_error),
		cmocka_unit_test(percentile_clips_outliers),
		cmocka_unit_test(zero_is_a_value_of_its_own),
		cmocka_unit_test(wrong_calls_are_refused),
	};

	return cmocka_run_group_tests_name("quantise", tests, NULL, NULL);
}
