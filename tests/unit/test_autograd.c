/* SPDX-License-Identifier: MIT */
/* Gradients of every trained operator, and of a whole network, against finite differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef HAVE_OPENBLAS
#include "engine/model/graph.h"
#include "tools/neap/train/conv_direct.h"
#include "tools/neap/train/random.h"
#include "tools/neap/train/tape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *random_floats(struct rng *rng, size_t n)
{
	float *v = malloc((n + 1) * sizeof(*v));

	assert_non_null(v);
	for (size_t i = 0; i < n; i++)
		v[i] = rng_between(rng, -1.0f, 1.0f);
	return v;
}

static double dot(size_t n, const float *a, const float *b)
{
	double sum = 0.0;

	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

/* The function under test: y = f(x, w), n_y values. */
struct probe {
	const struct op_window *d;
	size_t n_x, n_w, n_y;
	void (*forward)(const struct op_window *d, const float *x, const float *w, float *y);
	/* Sets dx and dw from dy. */
	void (*backward)(const struct op_window *d, const float *x, const float *w, const float *y,
			 float *dy, float *dx, float *dw);
};

/* d(r . f)/dv at random places of @v (x or w), by central differences. */
static void compare(const struct probe *p, struct rng *rng, float *x, float *w, float *v,
		    size_t n_v, const float *r, const float *got, float h)
{
	float *y = malloc(p->n_y * sizeof(*y));

	for (int k = 0; k < 40 && n_v; k++) {
		size_t i = rng_below(rng, (uint32_t)n_v);
		float keep = v[i];
		double up, down, want;

		v[i] = keep + h;
		p->forward(p->d, x, w, y);
		up = dot(p->n_y, r, y);
		v[i] = keep - h;
		p->forward(p->d, x, w, y);
		down = dot(p->n_y, r, y);
		v[i] = keep;
		want = (up - down) / (2.0 * (double)h);
		if (fabs((double)got[i] - want) > 5e-3 * (1.0 + fabs(want)))
			fail_msg("value %zu: gradient %g, differences say %g", i, (double)got[i],
				 want);
	}
	free(y);
}

static void check_probe(const struct probe *p, uint64_t seed)
{
	struct rng rng = rng_make(seed, RNG_INIT, 1);
	float *x = random_floats(&rng, p->n_x), *w = random_floats(&rng, p->n_w);
	float *r = random_floats(&rng, p->n_y), *dy = malloc(p->n_y * sizeof(*dy));
	float *y = malloc(p->n_y * sizeof(*y));
	float *dx = calloc(p->n_x, sizeof(*dx)), *dw = calloc(p->n_w + 1, sizeof(*dw));

	memcpy(dy, r, p->n_y * sizeof(*dy));
	p->forward(p->d, x, w, y);
	p->backward(p->d, x, w, y, dy, dx, dw);
	compare(p, &rng, x, w, x, p->n_x, r, dx, 1e-2f);
	compare(p, &rng, x, w, w, p->n_w, r, dw, 1e-2f);
	free(x);
	free(w);
	free(r);
	free(dy);
	free(y);
	free(dx);
	free(dw);
}

static size_t size_in(const struct op_window *d)
{
	return (size_t)d->n * (size_t)d->ih * (size_t)d->iw * (size_t)d->ic;
}

static size_t size_out(const struct op_window *d)
{
	return (size_t)d->n * (size_t)d->oh * (size_t)d->ow * (size_t)d->oc;
}

/* ---- convolutions ---- */

static void conv_forward(const struct op_window *d, const float *x, const float *w, float *y)
{
	float *work = malloc(op_conv_work(d) * sizeof(*work));

	op_conv_forward(d, x, w, y, work);
	free(work);
}

static void conv_backward(const struct op_window *d, const float *x, const float *w, const float *y,
			  float *dy, float *dx, float *dw)
{
	float *work = malloc(op_conv_work(d) * sizeof(*work));

	(void)y;
	op_conv_backward(d, x, w, dy, dx, 0.0f, dw, work);
	free(work);
}

static const struct op_window convs[] = {
	/* n, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, pad_top, pad_left */
	{2, 9, 9, 1, 9, 9, 16, 3, 3, 1, 1, 1, 1},
	{2, 8, 8, 5, 4, 4, 24, 3, 3, 2, 2, 0, 0},
	{2, 7, 7, 8, 7, 7, 40, 3, 3, 1, 1, 1, 1},
	{2, 6, 5, 3, 3, 5, 7, 5, 3, 2, 1, 2, 1},
	{3, 4, 4, 16, 1, 1, 10, 4, 4, 1, 1, 0, 0},
	{2, 5, 5, 9, 3, 3, 70, 1, 1, 2, 2, 0, 0},
	/* too wide for the direct way: matrix products on every CPU */
	{2, 5, 5, 6, 5, 5, 100, 3, 3, 1, 1, 1, 1},
	{2, 6, 6, 4, 3, 3, 104, 3, 3, 2, 2, 0, 0},
	{2, 4, 4, 7, 4, 4, 101, 1, 1, 1, 1, 0, 0},
};

static void test_conv(void **state)
{
	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(convs); i++) {
		const struct op_window *d = &convs[i];
		struct probe p = {d,
				  size_in(d),
				  (size_t)d->kh * (size_t)d->kw * (size_t)d->ic * (size_t)d->oc,
				  size_out(d),
				  conv_forward,
				  conv_backward};

		check_probe(&p, 10 + i);
	}
}

/* Sums by the definition, in double. */
static double conv_at(const struct op_window *d, const float *x, const float *w, int32_t n,
		      int32_t oy, int32_t ox, int32_t o)
{
	double sum = 0.0;

	for (int32_t ky = 0; ky < d->kh; ky++) {
		for (int32_t kx = 0; kx < d->kw; kx++) {
			int32_t iy = oy * d->sh - d->pad_top + ky,
				ix = ox * d->sw - d->pad_left + kx;

			if (iy < 0 || iy >= d->ih || ix < 0 || ix >= d->iw)
				continue;
			for (int32_t i = 0; i < d->ic; i++)
				sum += (double)x[((n * d->ih + iy) * d->iw + ix) * d->ic + i] *
				       (double)w[((o * d->kh + ky) * d->kw + kx) * d->ic + i];
		}
	}
	return sum;
}

static void test_conv_values(void **state)
{
	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(convs); k++) {
		const struct op_window *d = &convs[k];
		struct rng rng = rng_make(k, RNG_INIT, 2);
		float *x = random_floats(&rng, size_in(d)), *y = malloc(size_out(d) * sizeof(*y));
		float *w = random_floats(&rng, (size_t)d->kh * (size_t)d->kw * (size_t)d->ic *
						       (size_t)d->oc);
		size_t at = 0;

		conv_forward(d, x, w, y);
		for (int32_t n = 0; n < d->n; n++)
			for (int32_t p = 0; p < d->oh * d->ow; p++)
				for (int32_t o = 0; o < d->oc; o++, at++)
					assert_true(
						fabs((double)y[at] - conv_at(d, x, w, n, p / d->ow,
									     p % d->ow, o)) < 1e-4);
		free(x);
		free(y);
		free(w);
	}
}

/* beta = 1 adds the gradient to what is there. */
static void test_conv_accumulates(void **state)
{
	(void)state;
	for (size_t k = 0; k < NE_ARRAY_SIZE(convs); k++) {
		const struct op_window *d = &convs[k];
		struct rng rng = rng_make(k, RNG_INIT, 3);
		size_t n_w = (size_t)d->kh * (size_t)d->kw * (size_t)d->ic * (size_t)d->oc;
		float *x = random_floats(&rng, size_in(d)), *w = random_floats(&rng, n_w);
		float *dy = random_floats(&rng, size_out(d)), *dw = malloc(n_w * sizeof(*dw));
		float *one = calloc(size_in(d), sizeof(*one)),
		      *two = calloc(size_in(d), sizeof(*two));
		float *work = malloc(op_conv_work(d) * sizeof(*work));

		op_conv_backward(d, x, w, dy, one, 0.0f, dw, work);
		for (size_t i = 0; i < size_in(d); i++)
			two[i] = 3.0f;
		op_conv_backward(d, x, w, dy, two, 1.0f, dw, work);
		for (size_t i = 0; i < size_in(d); i++)
			assert_true(fabsf(two[i] - one[i] - 3.0f) < 1e-4f);
		free(x);
		free(w);
		free(dy);
		free(dw);
		free(one);
		free(two);
		free(work);
	}
}

static void dw_forward(const struct op_window *d, const float *x, const float *w, float *y)
{
	op_dwconv_forward(d, x, w, y);
}

static void dw_backward(const struct op_window *d, const float *x, const float *w, const float *y,
			float *dy, float *dx, float *dw)
{
	(void)y;
	op_dwconv_backward(d, x, w, dy, dx, 0.0f, dw);
}

static void test_dwconv(void **state)
{
	static const struct op_window d[] = {{2, 7, 6, 5, 7, 6, 5, 3, 3, 1, 1, 1, 1},
					     {2, 8, 8, 16, 4, 4, 16, 5, 3, 2, 2, 1, 0}};

	(void)state;
	for (size_t i = 0; i < NE_ARRAY_SIZE(d); i++) {
		struct probe p = {&d[i],
				  size_in(&d[i]),
				  (size_t)d[i].kh * (size_t)d[i].kw * (size_t)d[i].oc,
				  size_out(&d[i]),
				  dw_forward,
				  dw_backward};

		check_probe(&p, 30 + i);
	}
}

/* ---- dense: a slice of a wider weight ---- */

#define DENSE_N   5
#define DENSE_I   6
#define DENSE_O   4
#define DENSE_LDW 9

static void dense_forward(const struct op_window *d, const float *x, const float *w, float *y)
{
	(void)d;
	op_dense_forward(DENSE_N, DENSE_I, DENSE_O, DENSE_LDW, x, w, w + DENSE_O * DENSE_LDW, y);
}

static void dense_backward(const struct op_window *d, const float *x, const float *w,
			   const float *y, float *dy, float *dx, float *dw)
{
	(void)d;
	(void)y;
	op_dense_backward(DENSE_N, DENSE_I, DENSE_O, DENSE_LDW, x, w, dy, dx, 0.0f, dw,
			  dw + DENSE_O * DENSE_LDW);
}

static void test_dense(void **state)
{
	struct probe p = {NULL,
			  (size_t)DENSE_N * DENSE_I,
			  (size_t)DENSE_O * DENSE_LDW + DENSE_O,
			  (size_t)DENSE_N * DENSE_O,
			  dense_forward,
			  dense_backward};

	(void)state;
	check_probe(&p, 40);
}

/* ---- pools ---- */

static void avg_forward(const struct op_window *d, const float *x, const float *w, float *y)
{
	(void)w;
	op_pool_forward(d, false, false, x, y);
}

static void avg_backward(const struct op_window *d, const float *x, const float *w, const float *y,
			 float *dy, float *dx, float *dw)
{
	(void)w;
	(void)y;
	(void)dw;
	op_pool_backward(d, false, false, x, dy, dx, 0.0f);
}

static void max_forward(const struct op_window *d, const float *x, const float *w, float *y)
{
	(void)w;
	op_pool_forward(d, true, false, x, y);
}

static void max_backward(const struct op_window *d, const float *x, const float *w, const float *y,
			 float *dy, float *dx, float *dw)
{
	(void)w;
	(void)y;
	(void)dw;
	op_pool_backward(d, true, false, x, dy, dx, 0.0f);
}

static void global_forward(const struct op_window *d, const float *x, const float *w, float *y)
{
	(void)w;
	op_globalpool_forward(d->n, d->ih * d->iw, d->ic, x, y);
}

static void global_backward(const struct op_window *d, const float *x, const float *w,
			    const float *y, float *dy, float *dx, float *dw)
{
	(void)x;
	(void)w;
	(void)y;
	(void)dw;
	op_globalpool_backward(d->n, d->ih * d->iw, d->ic, dy, dx, 0.0f);
}

/* Values far apart, so that no difference of +-h changes which one is the largest. */
static void test_maxpool(void **state)
{
	struct op_window d = {1, 6, 6, 2, 3, 3, 2, 3, 3, 2, 2, 0, 0};
	float x[72], y[18], dy[18], dx[72];

	(void)state;
	for (int i = 0; i < 72; i++)
		x[i] = (float)((i * 29) % 72);
	for (int i = 0; i < 18; i++)
		dy[i] = (float)(i + 1);
	max_forward(&d, x, NULL, y);
	max_backward(&d, x, NULL, y, dy, dx, NULL);
	for (int i = 0; i < 72; i++) {
		float keep = x[i], up[18], down[18];

		x[i] = keep + 0.25f;
		max_forward(&d, x, NULL, up);
		x[i] = keep - 0.25f;
		max_forward(&d, x, NULL, down);
		x[i] = keep;
		assert_true(fabs((dot(18, dy, up) - dot(18, dy, down)) / 0.5 - (double)dx[i]) <
			    1e-3);
	}
}

static void test_pools(void **state)
{
	static const struct op_window d = {2, 7, 7, 5, 4, 4, 5, 3, 3, 2, 2, 1, 1};
	struct probe avg = {&d, size_in(&d), 0, size_out(&d), avg_forward, avg_backward};
	struct probe global = {&d, size_in(&d), 0, 2 * 5, global_forward, global_backward};

	(void)state;
	check_probe(&avg, 50);
	check_probe(&global, 51);
}

/* ---- batch norm ---- */

#define NORM_ROWS 33
#define NORM_C    300 /* more than one slice of channels */

static void norm_forward(const struct op_window *d, const float *x, const float *w, float *y)
{
	static float mean[NORM_C], var[NORM_C], inv[NORM_C];

	(void)d;
	op_norm_stats(NORM_ROWS, NORM_C, x, 1e-5f, mean, var, inv);
	op_norm_apply(NORM_ROWS, NORM_C, x, w, w + NORM_C, mean, inv, NE_ACT_NONE, y);
}

static void norm_backward(const struct op_window *d, const float *x, const float *w, const float *y,
			  float *dy, float *dx, float *dw)
{
	static float mean[NORM_C], var[NORM_C], inv[NORM_C], sums[3 * NORM_C];

	(void)d;
	op_norm_stats(NORM_ROWS, NORM_C, x, 1e-5f, mean, var, inv);
	op_norm_backward(NORM_ROWS, NORM_C, x, w, mean, inv, NE_ACT_NONE, y, dy, dx, 0.0f, dw,
			 dw + NORM_C, sums);
}

static void test_norm(void **state)
{
	struct probe p = {NULL,         (size_t)NORM_ROWS * NORM_C,
			  2 * NORM_C,   (size_t)NORM_ROWS * NORM_C,
			  norm_forward, norm_backward};

	(void)state;
	check_probe(&p, 60);
}

static void test_activations(void **state)
{
	float y[4] = {-1.0f, 0.5f, 5.0f, 7.0f}, dy[4] = {1.0f, 2.0f, 3.0f, 4.0f};

	(void)state;
	op_act_forward(NE_ACT_RELU6, 4, y);
	assert_true(y[0] == 0.0f && y[1] == 0.5f && y[2] == 5.0f && y[3] == 6.0f);
	op_act_backward(NE_ACT_RELU6, 4, y, dy);
	assert_true(dy[0] == 0.0f && dy[1] == 2.0f && dy[2] == 3.0f && dy[3] == 0.0f);
	op_act_backward(NE_ACT_RELU, 4, y, dy);
	assert_true(dy[1] == 2.0f && dy[2] == 3.0f);
}

/* ---- the loss ---- */

static void test_cross_entropy(void **state)
{
	float logits[6] = {0.3f, -1.0f, 2.0f, 0.0f, 0.5f, -0.25f};
	float target[6] = {0.1f, 0.2f, 0.7f, 1.0f, 0.0f, 0.0f}, d[6], unused[6];

	(void)state;
	for (int t = 1; t <= 3; t++) {
		float temperature = (float)t;

		op_cross_entropy(2, 3, logits, target, temperature, 1.0f, d);
		for (int i = 0; i < 6; i++) {
			float keep = logits[i];
			double up, down;

			logits[i] = keep + 1e-2f;
			up = (double)op_cross_entropy(2, 3, logits, target, temperature, 1.0f,
						      unused);
			logits[i] = keep - 1e-2f;
			down = (double)op_cross_entropy(2, 3, logits, target, temperature, 1.0f,
							unused);
			logits[i] = keep;
			/* The gradient is that of T^2 times the loss. */
			assert_true(fabs((up - down) / 2e-2 * t * t - (double)d[i]) < 1e-3);
		}
	}
}

/* ---- a whole network ---- */

static const char net_text[] = "[data]\ntrain = a\ntest = b\n"
			       "[network]\ninput = f32 12x12x3\n"
			       "block = conv 16\nblock = maxpool kernel=2\n"
			       "block = residual 24 stride=2\nblock = exit grid=2\n"
			       "block = separable 32\nblock = residual 32\nblock = exit\n"
			       "[widths]\nfractions = 1 0.5\n";

static double net_loss(const struct tape *t, struct tape_state *s, const float *theta,
		       const float *x, uint32_t n, const float *target)
{
	double loss = 0.0;

	tape_forward(t, s, TAPE_TRAIN, theta, x, n);
	for (uint32_t e = 0; e < 2; e++)
		loss += (double)op_cross_entropy((int32_t)n, 4, tape_logits(t, s, e), target, 1.0f,
						 1.0f, tape_logit_gradient(t, s, e));
	return loss;
}

/* Along the gradient the loss changes by its square, at every width. */
static void test_network(void **state)
{
	const uint32_t n = 8;
	struct recipe r;
	struct network net;
	struct ne_error err = {{0}};
	struct rng rng = rng_make(7, RNG_INIT, 9);
	float *theta, *moved, *grad, *x, target[8 * 4] = {0};

	(void)state;
	assert_int_equal(recipe_parse("test", net_text, &r, &err), 0);
	assert_int_equal(network_build(&r, 4, &net, &err), 0);
	theta = malloc(net.n_theta * sizeof(*theta));
	moved = malloc(net.n_theta * sizeof(*moved));
	x = random_floats(&rng, n * 12 * 12 * 3);
	for (uint32_t i = 0; i < n; i++)
		target[i * 4 + i % 4] = 1.0f;
	network_init_theta(&net, net.active[0], 3, true, theta);
	for (uint32_t w = 0; w < net.n_width; w++) {
		struct tape_state s;
		struct tape *t;
		double square, want, h;

		assert_int_equal(tape_new(&net, net.active[w], 3, n, &t, &err), 0);
		assert_int_equal(tape_state_new(&net, &t, 1, &s), 0);
		grad = calloc(net.n_theta, sizeof(*grad));
		net_loss(t, &s, theta, x, n, target);
		tape_backward(t, &s, theta, x, n, grad);
		square = dot(net.n_theta, grad, grad);
		assert_true(square > 1e-3);
		h = 2e-3 / sqrt(square);
		for (size_t i = 0; i < net.n_theta; i++)
			moved[i] = theta[i] + (float)h * grad[i];
		want = net_loss(t, &s, moved, x, n, target);
		for (size_t i = 0; i < net.n_theta; i++)
			moved[i] = theta[i] - (float)h * grad[i];
		want = (want - net_loss(t, &s, moved, x, n, target)) / (2.0 * h);
		if (fabs(want - square) > 0.03 * square)
			fail_msg("width %u: slope %g, gradient squared %g", w, want, square);
		tape_state_done(&s);
		tape_free(t);
		free(grad);
	}
	free(theta);
	free(moved);
	free(x);
	network_done(&net);
	recipe_done(&r);
}

/* A narrow width must not touch weights of channels that it does not have. */
static void test_narrow_stays_in_its_slice(void **state)
{
	struct recipe r;
	struct network net;
	struct ne_error err = {{0}};
	struct rng rng = rng_make(8, RNG_INIT, 9);
	struct tape_state s;
	struct tape *t;
	float *theta, *grad, *x, target[2 * 4] = {1.0f, 0, 0, 0, 0, 1.0f, 0, 0};
	const struct ne_node *conv;
	size_t at;

	(void)state;
	assert_int_equal(recipe_parse("test", net_text, &r, &err), 0);
	assert_int_equal(network_build(&r, 4, &net, &err), 0);
	theta = malloc(net.n_theta * sizeof(*theta));
	grad = calloc(net.n_theta, sizeof(*grad));
	x = random_floats(&rng, 2 * 12 * 12 * 3);
	network_init_theta(&net, net.active[0], 3, true, theta);
	assert_int_equal(tape_new(&net, net.active[1], 3, 2, &t, &err), 0);
	assert_int_equal(tape_state_new(&net, &t, 1, &s), 0);
	net_loss(t, &s, theta, x, 2, target);
	tape_backward(t, &s, theta, x, 2, grad);
	/* The first convolution: [16][3][3][3], of which the narrow width has 8 outputs. */
	conv = &net.graph.node[0];
	assert_int_equal(conv->op, NE_OP_CONV);
	at = net.theta_of[conv->in[1]];
	assert_true(dot(8 * 27, grad + at, grad + at) > 0.0);
	assert_true(dot(8 * 27, grad + at + 8 * 27, grad + at + 8 * 27) == 0.0);
	tape_state_done(&s);
	tape_free(t);
	free(theta);
	free(grad);
	free(x);
	network_done(&net);
	recipe_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv_values),
		cmocka_unit_test(test_conv),
		cmocka_unit_test(test_conv_accumulates),
		cmocka_unit_test(test_dwconv),
		cmocka_unit_test(test_dense),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_maxpool),
		cmocka_unit_test(test_norm),
		cmocka_unit_test(test_activations),
		cmocka_unit_test(test_cross_entropy),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_narrow_stays_in_its_slice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
#include <stdio.h>

int main(void)
{
	puts("skipped: built without OpenBLAS");
	return 77;
}
#endif
